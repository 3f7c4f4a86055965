//! Judging: what a worker does with the signatures.

mod cache;

pub(crate) use cache::FILE_KIND;

use crate::builder::Source;
use crate::context::{Context, TxScope};
use crate::lang::Arrow;
use crate::search::{SearchCounters, Searcher};
use crate::set::{Grid, Group, Mark, Plan, RuleSet, TCP_CLASS, class, way};
use crate::signature::{Absent, Kind, Search, Signature};
use cache::Cache;
use flowtrack_event::{AppRecord, Direction};

/// A signature matched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hit {
    /// Its place in the [`RuleSet`].
    pub signature: u32,
    /// What it was judged on.
    pub on: On,
    /// Which way that went.
    pub direction: Direction,
}

/// What a signature was judged on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum On {
    /// A packet.
    Packet,
    /// The bytes of a stream.
    Stream,
    /// A transaction.
    Transaction,
}

/// A piece of one direction of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Bytes of the stream before them.
    pub offset: u64,
}

/// What was counted while judging.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// Signatures whose pattern was there, or that have none.
    pub candidates: u64,
    /// Signatures that matched.
    pub hits: u64,
    /// Searches that tried too many occurrences.
    pub retries_exhausted: u64,
    /// Regular expressions that took too many steps.
    pub pcre_given_up: u64,
    /// Values of buffers that were too many or too large to be searched.
    pub values_dropped: u64,
}

/// What one worker needs to judge: scratch memory and counters.
#[derive(Debug, Default)]
pub struct Inspector {
    searcher: Searcher,
    cache: Cache,
    candidates: Candidates,
    counters: Counters,
    profile: Option<Profile>,
}

/// Nanoseconds since whenever; asked before and after a signature is judged, while that is counted.
pub type Clock = fn() -> u64;

#[derive(Debug)]
struct Profile {
    spent: Vec<Spent>,
    clock: Clock,
}

impl Profile {
    fn count(&mut self, index: u32, began: u64, matched: bool, bytes: usize) {
        let took = (self.clock)().saturating_sub(began);
        if let Some(spent) = self.spent.get_mut(index as usize) {
            spent.judged += 1;
            spent.matched += u64::from(matched);
            spent.bytes += bytes as u64;
            spent.nanos += took;
        }
    }
}

/// What judging one signature took.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Spent {
    /// How often it was judged.
    pub judged: u64,
    /// How often it matched.
    pub matched: u64,
    /// Bytes of buffers that its searches were run over.
    pub bytes: u64,
    /// Nanoseconds, with those of asking the clock once for each time it was judged.
    pub nanos: u64,
}

/// The bytes that a signature is judged on.
#[derive(Clone, Copy)]
enum Subject<'a> {
    Packet(&'a [u8]),
    Stream(Window<'a>),
    Transaction,
}

impl Inspector {
    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        let SearchCounters { retries_exhausted, pcre_given_up } = self.searcher.counters;
        let values_dropped = self.cache.dropped;
        Counters { retries_exhausted, pcre_given_up, values_dropped, ..self.counters }
    }

    /// Begins to count what each signature takes.
    pub fn profile(&mut self, set: &RuleSet, clock: Clock) {
        self.profile = Some(Profile { spent: vec![Spent::default(); set.len()], clock });
    }

    /// What each signature took, in the order of the set.
    pub fn spent(&self) -> &[Spent] {
        self.profile.as_ref().map_or(&[], |profile| &profile.spent)
    }

    /// Judges a packet. The payload is that of `cx.packet`, whole.
    ///
    /// Where the packet completes a piece of stream, that is judged first, with the same `hits`:
    /// what matched there does not match once more on the packet. Hits come in the order of the
    /// set.
    pub fn packet(
        &mut self,
        set: &RuleSet,
        cx: &mut Context<'_>,
        payload: &[u8],
        hits: &mut Vec<Hit>,
    ) {
        self.begin(set, cx, On::Packet);
        let class = class_of(cx);
        let has_no_stream = class == TCP_CLASS && !cx.in_stream;
        let places = [set.packets.get(class), set.streams.as_ref().filter(|_| has_no_stream)];
        self.collect(set, places, cx, payload, 0);
        if cx.is_first {
            self.add_all(set, cx, &set.addresses);
        }
        if cx.recognised {
            self.add_all(set, cx, &set.recognition);
        }
        if let Some(app) = flow_app(cx)
            && let Some((_, of_it)) = set.apps.iter().find(|(name, _)| *name == app)
        {
            self.add_all(set, cx, of_it);
        }
        self.judge_all(set, places, cx, Subject::Packet(payload), On::Packet, hits);
    }

    /// Judges a piece of a stream.
    pub fn stream(
        &mut self,
        set: &RuleSet,
        cx: &mut Context<'_>,
        window: Window<'_>,
        hits: &mut Vec<Hit>,
    ) {
        self.begin(set, cx, On::Stream);
        let places = [set.streams.as_ref(), None];
        self.collect(set, places, cx, window.bytes, window.offset);
        self.judge_all(set, places, cx, Subject::Stream(window), On::Stream, hits);
    }

    /// Judges what of the transaction `cx.tx` goes `cx.direction`; call it once for each direction,
    /// to the server first.
    pub fn transaction(&mut self, set: &RuleSet, cx: &mut Context<'_>, hits: &mut Vec<Hit>) {
        let Some(tx) = cx.tx else { return };
        self.begin(set, cx, On::Transaction);
        self.cache.begin(set);
        let route = set.route_of(app_of(tx, cx));
        let way = way(cx.direction);
        for at in route.groups.get(way).into_iter().flatten() {
            let Some(group) = set.transactions.get(*at as usize) else { continue };
            self.cache.fetch(set, group.buffer, cx.direction, tx);
            let Self { cache, candidates, .. } = self;
            let matcher = set.matcher_of(group);
            for value in cache.values(group.buffer, cx.direction) {
                matcher.search(value, 0, &mut |index| candidates.add(set, cx, index));
            }
        }
        if let Some(always) = route.always.get(way) {
            self.add_all(set, cx, always);
        }
        self.judge_all(set, [None; 2], cx, Subject::Transaction, On::Transaction, hits);
    }

    fn begin(&mut self, set: &RuleSet, cx: &Context<'_>, on: On) {
        self.candidates.begin(set, cx, on);
        if let Some(profile) = &mut self.profile {
            profile.spent.resize(set.len(), Spent::default());
        }
    }

    fn add_all(&mut self, set: &RuleSet, cx: &Context<'_>, indices: &[u32]) {
        for index in indices {
            self.candidates.add(set, cx, *index);
        }
    }

    /// Notes whose pattern is in the bytes, and who has none.
    fn collect(
        &mut self,
        set: &RuleSet,
        places: Places<'_>,
        cx: &Context<'_>,
        bytes: &[u8],
        offset: u64,
    ) {
        let candidates = &mut self.candidates;
        each_group(set, places, cx, candidates.ports, |group| {
            if cx.is_secret {
                group.bare.iter().for_each(|index| candidates.add(set, cx, *index));
                return;
            }
            if !bytes.is_empty() {
                group.matcher.search(bytes, offset, &mut |index| candidates.add(set, cx, index));
            }
            for (gate, index) in &group.always {
                if gate.is_open(candidates.ports) {
                    candidates.add(set, cx, *index);
                }
            }
            candidates.add_marked(set, cx, group, 0);
        });
    }

    fn judge_all(
        &mut self,
        set: &RuleSet,
        places: Places<'_>,
        cx: &mut Context<'_>,
        subject: Subject<'_>,
        on: On,
        hits: &mut Vec<Hit>,
    ) {
        if self.candidates.list.is_empty() {
            return;
        }
        let mut candidates = std::mem::take(&mut self.candidates.list);
        candidates.sort_unstable();
        let mut at = 0;
        while let Some(index) = candidates.get(at).copied() {
            at += 1;
            let (Some(signature), Some(plan)) = (set.get(index), set.plans.get(index as usize))
            else {
                continue;
            };
            // One packet tells once, whatever pieces of stream came with it.
            if on != On::Transaction
                && hits.iter().any(|hit| hit.signature == index && hit.on != On::Transaction)
            {
                continue;
            }
            let began = self.profile.as_ref().map_or(0, |profile| (profile.clock)());
            let matched = self.judge(set, signature, plan, cx, subject);
            if let Some(profile) = &mut self.profile {
                profile.count(index, began, matched, subject.len());
            }
            if matched {
                if let (Some(partial), Some(flow)) = (plan.partial, &mut cx.flow) {
                    flow.vars.set_kept_texts(partial, index);
                }
                if let (false, Some(flow)) = (self.searcher.captured.is_empty(), &mut cx.flow) {
                    for (whom, name, text) in self.searcher.captured.drain(..) {
                        flow.vars.set_text(whom, index, &name, &text);
                    }
                }
                for effect in &signature.effects {
                    effect.apply(cx);
                }
                // What was changed may be just what others wait for.
                if !signature.effects.is_empty() && self.candidates.awaken(set, places, cx, index) {
                    candidates.append(&mut self.candidates.list);
                    if let Some(rest) = candidates.get_mut(at..) {
                        rest.sort_unstable();
                    }
                }
                self.counters.hits += 1;
                hits.push(Hit { signature: index, on, direction: cx.direction });
            }
        }
        self.counters.candidates += candidates.len() as u64;
        candidates.clear();
        self.candidates.list = candidates;
    }

    /// Whether all of a signature holds.
    fn judge(
        &mut self,
        set: &RuleSet,
        signature: &Signature,
        plan: &Plan,
        cx: &mut Context<'_>,
        subject: Subject<'_>,
    ) -> bool {
        if !is_about(signature, cx)
            || !plan.has_frames && cx.tx.is_some_and(|tx| tx.id == TxScope::FRAME)
        {
            return false;
        }
        self.searcher.begin();
        if signature.kind == Kind::Transaction
            && let Subject::Packet(_) | Subject::Stream(_) = subject
        {
            // The part about the payload of a signature about transactions: what is found is kept
            // until a transaction is judged.
            let Some(partial) = plan.partial else { return false };
            // What a bare acknowledgement does not say says nothing of the stream.
            if let Subject::Packet([]) = subject {
                return false;
            }
            let is_found = if is_between(signature, cx) {
                self.searches(set, signature, plan, cx, subject)
            } else {
                // Its transactions will not match either, so nothing of it need be asked again.
                signature.direction.is_some()
            };
            if is_found && let Some(flow) = &mut cx.flow {
                flow.vars.set_part(partial);
                // What was captured there is told with the transaction.
                for (whom, name, text) in self.searcher.captured.drain(..) {
                    flow.vars.keep_text(partial, whom, &name, text);
                }
            }
            return false;
        }
        let (cheap, dear) = signature.tests.split_at_checked(plan.cheap_tests).unwrap_or_default();
        cheap.iter().all(|test| test.test(cx))
            && is_between(signature, cx)
            && dear.iter().all(|test| test.test(cx))
            && self.searches(set, signature, plan, cx, subject)
    }

    fn searches(
        &mut self,
        set: &RuleSet,
        signature: &Signature,
        plan: &Plan,
        cx: &mut Context<'_>,
        subject: Subject<'_>,
    ) -> bool {
        signature.searches.iter().zip(&plan.buffers).all(|(search, buffer)| {
            match (search.buffer.source, subject) {
                (Source::Payload, Subject::Packet(payload)) => {
                    self.searcher.holds(&search.steps, payload, 0, cx)
                }
                (Source::Payload, Subject::Stream(window)) => {
                    self.searcher.holds(&search.steps, window.bytes, window.offset, cx)
                }
                (Source::Payload, Subject::Transaction) => match cx.packet {
                    // The packet in hand may well be an acknowledgement alone.
                    Some(packet)
                        if !matches!(packet.transport, flowtrack_wire::Transport::Tcp(_)) =>
                    {
                        self.searcher.holds(&search.steps, packet.user_data(), 0, cx)
                    }
                    _ => plan.partial.is_some_and(|partial| {
                        cx.flow.as_ref().is_some_and(|flow| flow.vars.has_part(partial))
                    }),
                },
                (Source::Packet(bytes), _) => self.packet_buffer(search, bytes, cx),
                (Source::Transaction, Subject::Transaction) => {
                    buffer.is_some_and(|buffer| self.transaction_buffer(set, search, buffer, cx))
                }
                // Not asked for now; see the part about the payload.
                (Source::Transaction, _) => true,
            }
        })
    }

    fn packet_buffer(
        &mut self,
        search: &Search,
        bytes: crate::builder::PacketBytes,
        cx: &mut Context<'_>,
    ) -> bool {
        let Some(packet) = cx.packet else { return false };
        let (mut holds, mut is_there) = (false, false);
        bytes(packet, &mut |value| {
            is_there = true;
            if holds {
                return;
            }
            holds = if search.transforms.is_empty() {
                self.searcher.holds(&search.steps, value, 0, cx)
            } else {
                let mut changed = value.to_vec();
                for transform in &search.transforms {
                    transform.apply(&mut changed);
                }
                self.searcher.holds(&search.steps, &changed, 0, cx)
            };
        });
        with_absent(search, is_there, holds)
    }

    fn transaction_buffer(
        &mut self,
        set: &RuleSet,
        search: &Search,
        buffer: u32,
        cx: &mut Context<'_>,
    ) -> bool {
        let Some(tx) = cx.tx else { return false };
        let Self { cache, searcher, .. } = self;
        cache.fetch(set, buffer, cx.direction, tx);
        let (mut is_there, mut holds) = (false, false);
        for value in cache.values(buffer, cx.direction) {
            is_there = true;
            if search.absent != Some(Absent::Only) && searcher.holds(&search.steps, value, 0, cx) {
                holds = true;
                break;
            }
        }
        with_absent(search, is_there, holds)
    }
}

impl Subject<'_> {
    const fn len(&self) -> usize {
        match self {
            Self::Packet(bytes) => bytes.len(),
            Self::Stream(window) => window.bytes.len(),
            Self::Transaction => 0,
        }
    }
}

/// Whether the search holds, where it may be about a buffer that is not there.
const fn with_absent(search: &Search, is_there: bool, holds: bool) -> bool {
    match search.absent {
        None => holds,
        Some(Absent::Only) => !is_there,
        Some(Absent::OrElse) => !is_there || holds,
    }
}

/// Signatures that are worth judging, each once.
#[derive(Debug, Default)]
struct Candidates {
    /// When each became one last.
    seen: Vec<u32>,
    /// The judgement in hand.
    now: u32,
    /// Between which ports it is.
    ports: (u16, u16),
    /// Whether it is on payload.
    on_payload: bool,
    list: Vec<u32>,
    /// Those that wait for a mark on the flow, which one before them may set.
    waiting: Vec<u32>,
}

impl Candidates {
    fn begin(&mut self, set: &RuleSet, cx: &Context<'_>, on: On) {
        if self.seen.len() != set.len() {
            self.seen = vec![0; set.len()];
            self.now = 0;
        }
        self.now = self.now.wrapping_add(1);
        if self.now == 0 {
            self.seen.fill(0);
            self.now = 1;
        }
        self.ports = ports(cx);
        self.on_payload = on != On::Transaction;
        self.list.clear();
        self.waiting.clear();
    }

    #[inline]
    fn add(&mut self, set: &RuleSet, cx: &Context<'_>, index: u32) {
        let at = index as usize;
        let Some(seen) = self.seen.get_mut(at).filter(|seen| **seen != self.now) else { return };
        *seen = self.now;
        if !set.gates.get(at).is_some_and(|gate| gate.is_open(self.ports)) {
            return;
        }
        let vars = cx.flow.as_ref().map(|flow| &*flow.vars);
        match set.marks.get(at) {
            Some(Mark::With(mark)) if !vars.is_some_and(|vars| vars.has(*mark)) => {
                self.waiting.push(index);
            }
            Some(Mark::Until(part))
                if self.on_payload && vars.is_some_and(|vars| vars.has_part(*part)) => {}
            _ => self.list.push(index),
        }
    }

    /// Adds those of a group, from `first` on, whose mark the flow has.
    fn add_marked(&mut self, set: &RuleSet, cx: &Context<'_>, group: &Group, first: u32) {
        let bits = cx.flow.as_ref().map_or(&[][..], |flow| flow.vars.bits());
        for bit in bits {
            let from = group.marked.partition_point(|known| *known < (*bit, first));
            let rest = group.marked.get(from..).unwrap_or_default();
            rest.iter()
                .take_while(|(mark, _)| mark == bit)
                .for_each(|(_, index)| self.add(set, cx, *index));
        }
    }

    /// Puts those that wait no longer, and come behind `index`, on the list, which was taken; says
    /// whether there are any.
    fn awaken(&mut self, set: &RuleSet, places: Places<'_>, cx: &Context<'_>, index: u32) -> bool {
        let Some(flow) = &cx.flow else { return false };
        if !cx.is_secret {
            each_group(set, places, cx, self.ports, |group| {
                self.add_marked(set, cx, group, index + 1);
            });
        }
        let Self { list, waiting, .. } = self;
        waiting.retain(|later| {
            let is_ready = *later > index
                && matches!(set.marks.get(*later as usize),
                    Some(Mark::With(mark)) if flow.vars.has(*mark));
            if is_ready {
                list.push(*later);
            }
            !is_ready
        });
        !list.is_empty()
    }
}

/// Where groups are that judge the same bytes.
type Places<'a> = [Option<&'a [Grid; 2]>; 2];

/// Hands out the groups that what goes between two ports concerns.
#[inline]
fn each_group<'a>(
    set: &'a RuleSet,
    places: Places<'a>,
    cx: &Context<'_>,
    ports: (u16, u16),
    mut visit: impl FnMut(&'a Group),
) {
    let app = flow_app(cx);
    for grids in places.into_iter().flatten() {
        let grid = cx.direction.of(grids);
        for group in grid.groups(set, ports, app).into_iter().flatten() {
            visit(group);
        }
    }
}

/// Ports of sender and receiver, 0 where there are none.
fn ports(cx: &Context<'_>) -> (u16, u16) {
    match cx.key {
        Some(key) if matches!(key.proto.0, 6 | 17 | 132) => (key.src_port, key.dst_port),
        _ => (0, 0),
    }
}

fn class_of(cx: &Context<'_>) -> usize {
    let proto = cx.packet.and_then(|packet| packet.ip()).map(|ip| ip.proto.0);
    class(proto.or(cx.key.map(|key| key.proto.0)))
}

/// Whether a signature is about what is in hand: direction and protocols.
fn is_about(signature: &Signature, cx: &Context<'_>) -> bool {
    let header = &signature.header;
    if let Some(direction) = signature.direction
        && (direction != cx.direction || cx.flow.is_none())
        && header.arrow != Arrow::Transaction
    {
        return false;
    }
    let base = header.protocol.base;
    let fits = match (cx.packet, cx.key) {
        (Some(packet), _) => base.fits(packet),
        (None, Some(key)) => base.carries(key.proto.0),
        (None, None) => false,
    };
    if !fits {
        return false;
    }
    if !signature.apps.is_empty() && !has_app(signature, cx) {
        return false;
    }
    true
}

/// Whether a signature is about the addresses and ports in hand.
fn is_between(signature: &Signature, cx: &Context<'_>) -> bool {
    let header = &signature.header;
    if header.is_any() {
        return true;
    }
    let Some(key) = cx.key else { return false };
    let (src_port, dst_port) = ports(cx);
    header.fits((key.src, src_port), (key.dst, dst_port))
}

/// The protocol of a transaction: where DNS goes over HTTP/2, all of the flow is of that.
fn app_of(tx: TxScope<'_>, cx: &Context<'_>) -> &'static str {
    const HTTP2: &str = "http2";
    const DOH2: &str = "doh2";
    let is_doh =
        || cx.flow.as_ref().and_then(|flow| flow.app).is_some_and(|app| app.proto.name() == DOH2);
    match tx.transaction.protocol().name() {
        HTTP2 if is_doh() => DOH2,
        name => name,
    }
}

fn has_app(signature: &Signature, cx: &Context<'_>) -> bool {
    if let Some(tx) = cx.tx {
        return signature.apps.contains(&app_of(tx, cx));
    }
    flow_app(cx).is_some_and(|name| signature.apps.contains(&name))
}

/// The application protocol of the flow, as it is known for this direction.
fn flow_app(cx: &Context<'_>) -> Option<&'static str> {
    let AppRecord { proto, to_server, to_client, .. } = cx.flow.as_ref()?.app?;
    let towards = match cx.direction {
        Direction::ToServer => to_server,
        Direction::ToClient => to_client,
    };
    Some(towards.unwrap_or(proto).name())
}

#[cfg(test)]
mod tests;
