//! Asking the signatures, and turning what they found into alerts.

use super::keep::Choice;
use super::watch::{Due, Watch};
use crate::{Output, Tell};
use flowtrack_event::{
    Alert, AlertAction, AlertEnds, AlertFlow, DetectStats, Direction, Event, FileRecord, FlowKey,
    FlowState, LinkType, Remembered, TaggedPacket, Timestamp, Transaction,
};
use flowtrack_rules::lang::ActionScope;
use flowtrack_rules::state::{Tagged, Verdict};
use flowtrack_rules::{
    Action, Clock, Context, FlowScope, Hit, Inspector, Kind, On, Requirements, RuleSet, Shared,
    Signature, Spent, TxScope, Window,
};
use flowtrack_wire::Packet;
use std::sync::Arc;

/// Alerts that one packet may raise; the first in the order of the set are kept.
const MAX_ALERTS: usize = 15;

/// Signatures about the recognised protocol that may speak of one flow.
const MAX_SPOKE: usize = 64;

/// Bytes of a payload that an alert keeps.
const MAX_PAYLOAD: usize = 4096;

/// The signatures of one worker.
#[derive(Default)]
pub(crate) struct Judge {
    rules: Option<Rules>,
    work: Work,
}

struct Rules {
    set: Arc<RuleSet>,
    shared: Arc<Shared>,
    needs: Requirements,
}

/// What judging changes.
#[derive(Default)]
struct Work {
    inspector: Inspector,
    hits: Vec<Hit>,
    found: Vec<Found>,
    /// What matching signatures chose of the files of the transaction in hand.
    choices: Vec<Choice>,
    /// What alerts carry besides.
    tell: Tell,
    /// Of the streams that were judged last, the bytes that matched, where alerts carry them.
    matched: Vec<u8>,
    /// Whether a signature decided about the rest of the flow without a word.
    settles: bool,
    /// Alerts told, silent, and beyond what a packet may raise.
    told: u64,
    silent: u64,
    overflow: u64,
    /// What flows that ended could not remember, and hosts that could not be recorded.
    memory_dropped: u64,
}

/// The packet in hand, or the end of a flow.
#[derive(Clone, Copy)]
pub(crate) struct Now<'a> {
    pub(crate) ts: Timestamp,
    /// Place in the capture, 0 where a flow ended without a packet.
    pub(crate) number: u64,
    pub(crate) packet: Option<&'a Packet<'a>>,
    /// How `frame` begins.
    pub(crate) link: LinkType,
    /// The packet from its first header on.
    pub(crate) frame: &'a [u8],
    pub(crate) direction: Direction,
    /// Sender and receiver.
    pub(crate) key: Option<FlowKey>,
    /// Whether the payload is part of a stream.
    pub(crate) in_stream: bool,
    /// Whether the payload is encrypted.
    pub(crate) is_secret: bool,
    /// What of it breaks TCP.
    pub(crate) stream_events: &'a [&'static str],
    pub(crate) flow: FlowFacts,
}

/// What the flow table knows of the flow.
#[derive(Clone, Copy, Default)]
pub(crate) struct FlowFacts {
    pub(crate) state: FlowState,
    pub(crate) established: bool,
    pub(crate) packets: [u64; 2],
    pub(crate) bytes: [u64; 2],
    pub(crate) stream_bytes: [u64; 2],
}

/// A signature that matched, and as what it is told.
struct Found {
    hit: Hit,
    action: Action,
    tx: Option<(u64, Arc<dyn Transaction>)>,
    files: Vec<FileRecord>,
}

impl Judge {
    /// A judge without signatures; of `tell` it heeds what alerts carry.
    pub(crate) fn new(tell: Tell) -> Self {
        Self { rules: None, work: Work { tell, ..Work::default() } }
    }

    /// Begins to count what each signature takes.
    pub(crate) fn profile(&mut self, clock: Clock) {
        if let Some(rules) = &self.rules {
            self.work.inspector.profile(&rules.set, clock);
        }
    }

    /// What each signature took.
    pub(crate) fn spent(&self) -> &[Spent] {
        self.work.inspector.spent()
    }

    /// Judges by these signatures from now on; what flows remember stays.
    pub(crate) fn set_rules(&mut self, set: Arc<RuleSet>, shared: Arc<Shared>) {
        let needs = set.requirements();
        self.rules = (!set.is_empty()).then_some(Rules { set, shared, needs });
    }

    /// What has to be done for the signatures.
    pub(crate) fn needs(&self) -> Requirements {
        self.rules.as_ref().map_or_else(Requirements::default, |rules| rules.needs)
    }

    /// Whether there are any.
    #[inline]
    pub(crate) const fn is_on(&self) -> bool {
        self.rules.is_some()
    }

    /// What was counted, where there are signatures; of files `files_unchosen` were told before these
    /// had chosen.
    pub(crate) fn stats(&self, files_unchosen: u64) -> Option<DetectStats> {
        self.rules.as_ref()?;
        let counters = self.work.inspector.counters();
        Some(DetectStats {
            alert: self.work.told,
            alert_queue_overflow: self.work.overflow,
            alerts_suppressed: self.work.silent,
            retries_exhausted: counters.retries_exhausted,
            pcre_given_up: counters.pcre_given_up,
            values_dropped: counters.values_dropped,
            memory_dropped: self.work.memory_dropped,
            files_unchosen,
        })
    }

    /// What signatures remember of a flow.
    pub(crate) fn remembered(&self, watch: &Watch) -> Option<Box<Remembered>> {
        self.rules.as_ref()?.set.remembered(&watch.vars, None)
    }

    /// Judges a packet, and what of its flow is due with it.
    pub(crate) fn packet(
        &mut self,
        now: &Now<'_>,
        mut watch: Option<&mut Watch>,
        out: &mut Output,
    ) {
        let Self { rules: Some(rules), work } = self else { return };
        rules.shared.at(now.number);
        match watch.as_deref_mut() {
            Some(watch) if watch.settled => {
                watch.release(true, |event| out.events.push(event));
                return;
            }
            Some(watch) => {
                work.on_flow(rules, now, watch, out);
                watch.release(watch.settled, |event| out.events.push(event));
            }
            None if rules.needs.packets => {
                let cx = Context { is_first: true, ..context(rules, now) };
                work.judge_packet(rules, now, cx);
                work.tell(rules, now, None, out);
            }
            None => {}
        }
        if rules.needs.tags {
            work.record_tagged(rules, now, watch, out);
        }
    }

    /// Judges all that is left of a flow that ended.
    pub(crate) fn end(&mut self, now: &Now<'_>, watch: &mut Watch, out: &mut Output) {
        if let Self { rules: Some(rules), work } = self {
            work.judge_rest(rules, now, watch, out);
        }
        watch.release(true, |event| out.events.push(event));
        self.work.memory_dropped += u64::from(std::mem::take(&mut watch.vars.dropped));
    }
}

impl Work {
    /// Judges all that is left of a flow.
    fn judge_rest(&mut self, rules: &Rules, now: &Now<'_>, watch: &mut Watch, out: &mut Output) {
        rules.shared.at(now.number);
        let key = watch.context.key;
        for (direction, key) in [(Direction::ToServer, key), (Direction::ToClient, key.reversed())]
        {
            if watch.settled {
                return;
            }
            watch.settle_app();
            let now = Now { direction, key: Some(key), ..*now };
            self.judge_streams(rules, &now, watch, true);
            self.settle_hits(rules, &now, watch);
            self.judge_transactions(rules, &now, watch, true);
            self.tell(rules, &now, Some(watch), out);
        }
    }

    fn on_flow(&mut self, rules: &Rules, now: &Now<'_>, watch: &mut Watch, out: &mut Output) {
        watch.app_is_due();
        watch.vars.forget_packet();
        self.judge_streams(rules, now, watch, false);
        if rules.needs.packets {
            let is_first = !mark(&mut watch.seen, now.direction);
            let recognised = watch.app.is_some() && !mark(&mut watch.told_app, now.direction);
            let events = watch.due_flow_events();
            let cx =
                Context { is_first, recognised, app_events: &events, ..in_flow(rules, now, watch) };
            self.judge_packet(rules, now, cx);
        } else {
            self.settle_hits(rules, now, watch);
        }
        self.judge_transactions(rules, now, watch, false);
        self.tell(rules, now, Some(watch), out);
    }

    /// What streams hit stays in `hits`, so that the packet does not hit it once more.
    fn judge_streams(&mut self, rules: &Rules, now: &Now<'_>, watch: &mut Watch, all: bool) {
        if !rules.needs.streams {
            return;
        }
        while let Some(piece) = watch.waiting_mut(now.direction).take(all) {
            if now.direction == Direction::ToServer {
                watch.vars.begin_request();
            }
            // What was sent before encryption began may be judged only now.
            let mut cx = Context {
                is_last: all,
                in_stream: true,
                is_secret: false,
                ..in_flow(rules, now, watch)
            };
            let window = Window { bytes: piece.bytes(), offset: piece.offset };
            let before = self.hits.len();
            self.inspector.stream(&rules.set, &mut cx, window, &mut self.hits);
            if self.tell.alert_payload && self.hits.len() > before {
                head(piece.bytes()).clone_into(&mut self.matched);
            }
            self.memory_dropped += cx.forgotten;
            watch.waiting_mut(now.direction).give_back(piece);
        }
    }

    fn judge_packet(&mut self, rules: &Rules, now: &Now<'_>, mut cx: Context<'_>) {
        let payload = now.packet.map_or(&[][..], Packet::user_data);
        self.inspector.packet(&rules.set, &mut cx, payload, &mut self.hits);
        self.collect(rules, &mut cx, None);
    }

    /// Takes what streams hit where no packet is judged with them.
    fn settle_hits(&mut self, rules: &Rules, now: &Now<'_>, watch: &mut Watch) {
        if !self.hits.is_empty() {
            let mut cx = in_flow(rules, now, watch);
            self.collect(rules, &mut cx, None);
        }
    }

    fn judge_transactions(&mut self, rules: &Rules, now: &Now<'_>, watch: &mut Watch, all: bool) {
        if !rules.needs.transactions {
            return;
        }
        watch.give_files();
        while let Some(due) = watch.next_due(now.direction, all) {
            let Due { tx_id, transaction, files, is_half, was_partial, .. } = due;
            let tx = TxScope { id: tx_id, transaction: &*transaction, files: &files, was_partial };
            let mut cx = Context { is_last: all, tx: Some(tx), ..in_flow(rules, now, watch) };
            self.inspector.transaction(&rules.set, &mut cx, &mut self.hits);
            let before = self.found.len();
            self.collect(rules, &mut cx, Some((tx_id, &transaction, &files)));
            let is_whole = !is_half && tx_id < TxScope::FRAME;
            if now.direction == Direction::ToServer && is_whole {
                watch.vars.end_request();
            }
            self.choices.drain(..).for_each(|choice| watch.choose(&choice));
            if rules.needs.halves && now.direction == Direction::ToServer {
                let spoke = |found: &mut Found| watch.spoke_of(tx_id, found.hit.signature, is_half);
                self.found.extract_if(before.., spoke).for_each(drop);
                if !is_half {
                    watch.judged_whole(tx_id);
                }
            }
        }
    }

    /// Keeps the hits that are told.
    fn collect(
        &mut self,
        rules: &Rules,
        cx: &mut Context<'_>,
        tx: Option<(u64, &Arc<dyn Transaction>, &[FileRecord])>,
    ) {
        for hit in self.hits.drain(..) {
            let Some(signature) = rules.set.get(hit.signature) else { continue };
            if let (Some(storing), Some((tx_id, _, files))) = (signature.store, tx) {
                let fits = |file: &&FileRecord| signature.fits_file(file, cx);
                self.choices.push(Choice {
                    storing,
                    direction: hit.direction,
                    tx_id,
                    files: files.iter().filter(fits).cloned().collect(),
                });
            }
            // What passes is silent too, yet silences others.
            if signature.noalert && signature.action != Action::Pass {
                self.memory_dropped += u64::from(!begin_tags(signature, cx));
                self.settles |= ends_flow(signature, signature.action, hit.on);
                self.silent += 1;
                continue;
            }
            // Of one transaction each file that a signature asks for is told by itself.
            let times = match tx {
                Some((.., files)) if signature.of_files && files.len() > 1 => {
                    let fits = |file: &&FileRecord| {
                        file.direction == hit.direction && signature.fits_file(file, cx)
                    };
                    files.iter().filter(fits).count().max(1)
                }
                _ => 1,
            };
            for _ in 0..times {
                let action = match signature.limits.judge((signature.info.gid, signature.sid()), cx)
                {
                    Verdict::Tell => signature.action,
                    Verdict::TellAs(action) => action,
                    Verdict::Silent => {
                        self.silent += 1;
                        continue;
                    }
                    // What would be dropped is, however seldom that is told.
                    Verdict::ActSilently => {
                        self.silent += 1;
                        self.memory_dropped += u64::from(!begin_tags(signature, cx));
                        self.settles |= ends_flow(signature, signature.action, hit.on);
                        continue;
                    }
                };
                self.memory_dropped += u64::from(!begin_tags(signature, cx));
                self.found.push(Found {
                    hit,
                    action,
                    tx: tx
                        .filter(|(id, ..)| *id < TxScope::FRAME)
                        .map(|(id, tx, _)| (id, Arc::clone(tx))),
                    // Their bytes are the file store's alone.
                    files: tx
                        .iter()
                        .flat_map(|(.., files)| files.iter())
                        .map(|file| FileRecord { content: None, ..file.clone() })
                        .collect(),
                });
            }
        }
        self.memory_dropped += std::mem::take(&mut cx.forgotten);
    }

    /// Records the packet in hand where a signature asked for what follows its alert.
    fn record_tagged(
        &mut self,
        rules: &Rules,
        now: &Now<'_>,
        watch: Option<&mut Watch>,
        out: &mut Output,
    ) {
        let Some(bytes) = now.packet.map(|packet| packet.len) else { return };
        let mut flow = None;
        let mut is_wanted = false;
        if let Some(watch) = watch {
            is_wanted = watch.vars.is_tagged(now.ts, bytes);
            flow = Some(Arc::clone(&watch.context));
        }
        if rules.needs.host_tags
            && let Some(key) = &now.key
        {
            is_wanted |= rules.shared.is_tagged(key, now.ts, bytes);
        }
        // What was put together from fragments is no packet of its own.
        if is_wanted && self.tell.tagged && !now.frame.is_empty() {
            out.events.push(Event::Packet(Box::new(TaggedPacket {
                ts: now.ts,
                packet: now.number,
                ends: AlertEnds { key: now.key, direction: now.direction },
                flow,
                link: now.link,
                frame: now.frame.into(),
            })));
        }
    }

    /// Turns what was found into alerts, in the order of the set.
    fn tell(
        &mut self,
        rules: &Rules,
        now: &Now<'_>,
        mut watch: Option<&mut Watch>,
        out: &mut Output,
    ) {
        let mut settles = std::mem::take(&mut self.settles);
        if self.found.is_empty() {
            if let (true, Some(watch)) = (settles, watch) {
                watch.settled = true;
            }
            return;
        }
        self.found.sort_by_key(|found| found.hit.signature);
        let more = self.found.len().saturating_sub(MAX_ALERTS);
        self.overflow += more as u64;
        self.found.truncate(MAX_ALERTS);
        for found in self.found.drain(..) {
            let Some(signature) = rules.set.get(found.hit.signature) else { continue };
            if let (Kind::Recognition, Some(watch)) = (signature.kind, &mut watch) {
                if watch.spoke.contains(&found.hit.signature) || watch.spoke.len() >= MAX_SPOKE {
                    continue;
                }
                watch.spoke.push(found.hit.signature);
            }
            settles |= ends_flow(signature, found.action, found.hit.on);
            let passes = found.action == Action::Pass;
            if passes && signature.noalert {
                break;
            }
            let is_blocked =
                matches!(found.action, Action::Reject | Action::RejectBoth | Action::RejectDst);
            let flow = watch.as_mut().map(|watch| {
                watch.alerted = true;
                AlertFlow {
                    context: Arc::clone(&watch.context),
                    app: watch.app.map(|app| app.proto),
                    packets: now.flow.packets,
                    bytes: now.flow.bytes,
                }
            });
            self.told += 1;
            let payload = self.tell.alert_payload.then(|| match found.hit.on {
                On::Stream => self.matched.as_slice().into(),
                _ => head(now.packet.map_or(&[][..], Packet::user_data)).into(),
            });
            out.events.push(Event::Alert(Box::new(Alert {
                ts: now.ts,
                packet: now.number,
                ends: AlertEnds { key: now.key, direction: now.direction },
                flow,
                rule: Arc::clone(&signature.info),
                action: if is_blocked { AlertAction::Blocked } else { AlertAction::Allowed },
                tx: found.tx,
                files: found.files,
                payload,
                from_stream: found.hit.on == On::Stream,
                frame: self.tell.alert_packet.then(|| now.frame.into()),
                remembered: watch
                    .as_ref()
                    .and_then(|watch| rules.set.remembered(&watch.vars, Some(found.hit.signature))),
            })));
            if passes {
                break;
            }
        }
        self.found.clear();
        if let (true, Some(watch)) = (settles, watch) {
            watch.settled = true;
        }
    }
}

/// Begins the recordings that a signature asks for behind its match; says whether there was room for
/// those of hosts.
fn begin_tags(signature: &Signature, cx: &mut Context<'_>) -> bool {
    let mut has_room = true;
    let rule = (signature.info.gid, signature.sid());
    for request in &signature.tags {
        match (request.of, &mut cx.flow, &cx.key) {
            (Tagged::Session, Some(flow), _) => flow.vars.tag(rule, *request, cx.ts),
            (Tagged::Source | Tagged::Destination, _, Some(key)) => {
                has_room &= cx.shared.tag(rule, *request, key, cx.ts);
            }
            _ => {}
        }
    }
    has_room
}

/// As much of a payload as an alert keeps.
fn head(payload: &[u8]) -> &[u8] {
    payload.get(..MAX_PAYLOAD).unwrap_or(payload)
}

/// Whether nothing more of a flow is judged once a signature matched: what passes and what is
/// dropped does so with all of its flow, unless the signature says otherwise or is about single
/// packets.
fn ends_flow(signature: &Signature, action: Action, on: On) -> bool {
    let decides = matches!(
        action,
        Action::Pass | Action::Drop | Action::Reject | Action::RejectBoth | Action::RejectDst
    );
    let is_of_packets = match signature.kind {
        _ if signature.scope.is_some() => signature.scope == Some(ActionScope::Packet),
        Kind::Addresses | Kind::Recognition | Kind::App | Kind::Transaction => false,
        Kind::Packet => !signature.is_about_ends(),
        Kind::Stream | Kind::PacketAndStream => on != On::Stream,
    };
    decides && !is_of_packets || signature.bypass
}

fn context<'a>(rules: &'a Rules, now: &Now<'a>) -> Context<'a> {
    Context {
        key: now.key,
        packet: now.packet,
        frame: now.frame,
        in_stream: now.in_stream,
        is_secret: now.is_secret,
        stream_events: now.stream_events,
        ..Context::new(now.ts, now.direction, &rules.shared)
    }
}

fn in_flow<'a>(rules: &'a Rules, now: &Now<'a>, watch: &'a mut Watch) -> Context<'a> {
    let FlowFacts { state, established, packets, bytes, stream_bytes } = now.flow;
    let app = watch.app;
    let flow = FlowScope {
        context: &watch.context,
        established,
        state,
        app,
        packets,
        bytes,
        stream_bytes,
        vars: &mut watch.vars,
    };
    Context { flow: Some(flow), ..context(rules, now) }
}

/// Sets the mark of a direction; says whether it was set.
fn mark(marks: &mut [bool; 2], direction: Direction) -> bool {
    std::mem::replace(direction.of_mut(marks), true)
}
