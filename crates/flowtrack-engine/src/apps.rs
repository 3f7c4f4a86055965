//! Streams and application protocols of the flows of one worker.

use crate::detect::{Events, Watch};
use crate::expected::Expected;
use crate::meters::MeterId;
use crate::{Config, Dissect, Output, Overlap, Tell};
use flowtrack_dissect::{AppConfig, AppFlow, AppLayer, Expectation, Moment, Outcome};
use flowtrack_event::{
    Anomaly, AnomalyLayer, AppProto, Chunk, Direction, Event, FileRecord, FlowContext, FlowKey,
    FlowRecord, IpProto, LinkType, LoginEvent, Stats, TcpStats, Timestamp, TransactionEvent,
};
use flowtrack_flow::stream::{OverlapPolicy, Stream, StreamMemory};
use flowtrack_flow::{Flow, HostPolicy, Seen};
use flowtrack_rules::Requirements;
use flowtrack_wire::{Packet, Tcp, Transport};
use std::sync::Arc;

/// The anomaly of a segment that repeats bytes with other values.
pub(crate) const OVERLAP_DIFFERS: &str = "stream.reassembly_overlap_different_data";

/// What the engine keeps with a flow.
#[derive(Default)]
pub(crate) struct Slot {
    /// Nothing before its first payload.
    pub(crate) side: Option<Box<AppSide>>,
    /// Nothing without signatures.
    pub(crate) watch: Option<Box<Watch>>,
    /// Nothing unless activity is told.
    pub(crate) meter: MeterId,
}

/// The application side of a flow.
pub(crate) struct AppSide {
    app: AppFlow,
    streams: [Stream; 2],
    context: Arc<FlowContext>,
    midstream: bool,
}

/// What all flows of a worker share.
pub(crate) struct Apps {
    enabled: bool,
    layer: AppLayer,
    memory: StreamMemory,
    expected: Expected,
    outcome: Outcome,
    depth: u64,
    policy: OverlapPolicy,
    /// The same for some receivers.
    policies: Vec<HostPolicy<Overlap>>,
    /// Whether TCP sessions are followed although their beginning was not seen, and turned where
    /// they begin with an answer.
    pub(crate) midstream: bool,
    tell: Tell,
    depth_reached: u64,
    /// Files told before it was known whether they are stored.
    pub(crate) unchosen: u64,
    /// The segment at hand repeats bytes of its stream with other values.
    differs: bool,
    /// What the segment at hand showed of its stream, while signatures ask for it.
    stream_events: Events,
    /// What signatures need of dissectors.
    needs: Requirements,
    /// Whether signatures choose the files that are stored.
    chooses: bool,
}

/// Time and place of a packet.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) ts: Timestamp,
    pub(crate) number: u64,
    /// How its bytes begin.
    pub(crate) link: LinkType,
}

impl Place {
    /// The place of what happens without a packet.
    pub(crate) const fn without_packet(ts: Timestamp) -> Self {
        Self { ts, number: 0, link: LinkType::RAW }
    }
}

impl Apps {
    pub(crate) fn new(config: &Config) -> Self {
        let dissect = &config.dissect;
        Self {
            enabled: dissect.enabled,
            layer: AppLayer::new(AppConfig {
                wants: dissect.wants(config.tell),
                turns: config.flow.midstream,
                ..AppConfig::default()
            }),
            memory: StreamMemory::new(dissect.limits()),
            expected: Expected::default(),
            outcome: Outcome { wants_logins: config.tell.logins, ..Outcome::default() },
            depth: dissect.depth,
            policy: dissect.overlap.into(),
            policies: dissect.hosts.clone(),
            midstream: config.flow.midstream,
            tell: config.tell,
            depth_reached: 0,
            unchosen: 0,
            differs: false,
            stream_events: Events::new(),
            needs: Requirements::default(),
            chooses: false,
        }
    }

    /// Does what signatures need from now on, in flows whose protocol is not recognised yet.
    pub(crate) fn serve(&mut self, needs: Requirements, dissect: &Dissect) {
        self.needs = needs;
        self.chooses = needs.file_store && dissect.contents.is_some_and(|_| !dissect.stores_all);
        let mut wants = dissect.wants(self.tell);
        wants.records |= needs.transactions;
        wants.buffers |= needs.transactions;
        wants.files |= needs.files;
        wants.hashes |= needs.hashes;
        let Requirements { frames, both_ways, .. } = needs;
        let turns = self.midstream;
        let config = AppConfig { wants, frames, both_ways, turns, ..AppConfig::default() };
        self.outcome.wants_halves = needs.halves;
        self.layer = AppLayer::new(config);
    }

    /// Takes what the last segment showed of its stream.
    pub(crate) fn take_stream_events(&mut self) -> Events {
        std::mem::take(&mut self.stream_events)
    }

    /// Whether a packet has anything for the application layer.
    #[inline]
    pub(crate) fn wants(&self, packet: &Packet<'_>) -> bool {
        self.enabled
            && match packet.transport {
                Transport::Tcp(tcp) => !packet.payload.is_empty() || tcp.has(Tcp::FIN | Tcp::RST),
                Transport::Udp(_) => !packet.payload.is_empty(),
                _ => false,
            }
    }

    /// Whether a flow was announced; asked once, of new flows.
    #[inline]
    pub(crate) fn announced(&mut self, now: Timestamp, key: &FlowKey) -> Option<Expectation> {
        self.expected.take(now, key)
    }

    /// The application side of a flow that shows its first payload.
    pub(crate) fn begin<A>(
        &mut self,
        flow: &Flow<'_, A>,
        announced: Option<Expectation>,
    ) -> AppSide {
        let key = flow.key();
        let mut streams = <[Stream; 2]>::default();
        let isns = [Direction::ToServer, Direction::ToClient].map(|d| flow.isn(d));
        for (stream, isn) in streams.iter_mut().zip(isns) {
            if let Some(isn) = isn {
                stream.syn(isn, &mut self.memory);
            }
        }
        let app = match announced {
            Some(expectation) => AppFlow::expecting(&self.layer, &expectation),
            None => AppFlow::default(),
        };
        let midstream = key.proto == IpProto::TCP && isns == [None, None];
        AppSide { app, streams, context: Arc::new(context_of(flow)), midstream }
    }

    /// Takes a packet of a flow; says whether its bytes show that the responder sent it, although it
    /// came first.
    pub(crate) fn packet(
        &mut self,
        side: &mut AppSide,
        mut watch: Option<&mut Watch>,
        packet: &Packet<'_>,
        seen: &Seen,
        place: Place,
        out: &mut Output,
    ) -> bool {
        if !side.app.wants_bytes() && !watch.as_ref().is_some_and(|watch| watch.keeps_streams) {
            return false;
        }
        let context = Arc::clone(&side.context);
        let moment = moment_of(&context, side.midstream, place);
        let direction = seen.direction;
        let gaps = self.memory.gaps;
        match packet.transport {
            Transport::Tcp(tcp) => {
                self.segment(side, watch.as_deref_mut(), packet, &tcp, direction, &moment);
            }
            _ => {
                let chunk = Chunk::Bytes(packet.payload);
                side.app.feed(&self.layer, &moment, direction, chunk, &mut self.outcome);
            }
        }
        // What is missing when a session ends may never have been sent.
        let gaps_after = self.memory.gaps;
        if seen.tcp.is_some_and(|tcp| tcp.closed) {
            self.close(side, watch.as_deref_mut(), &moment);
        }
        if self.needs.stream_events {
            if self.differs {
                self.stream_events.push("reassembly_overlap_different_data");
            }
            if gaps_after > gaps {
                self.stream_events.push("reassembly_seq_gap");
            }
        }
        if std::mem::take(&mut self.differs) && self.tell.anomalies {
            out.events.push(Event::Anomaly(Box::new(Anomaly {
                ts: place.ts,
                layer: AnomalyLayer::Stream,
                name: OVERLAP_DIFFERS,
                app: None,
                packet: place.number,
                flow: Some(FlowContext::clone(&context)),
                tx_id: None,
            })));
        }
        let reversed = std::mem::take(&mut self.outcome.reversed);
        if reversed {
            side.streams.reverse();
            let key = context.key.reversed();
            side.context = Arc::new(FlowContext { key, ..FlowContext::clone(&context) });
        }
        let going = Some(if reversed { direction.opposite() } else { direction });
        self.tell(&Arc::clone(&side.context), watch.as_deref_mut(), going, place, out);
        if let Some(watch) = watch {
            watch.recognised(side.app.record(), side.app.wants_bytes(), direction);
        }
        reversed
    }

    /// Whose bytes win at the receiver of a packet.
    fn policy_of(&self, packet: &Packet<'_>) -> OverlapPolicy {
        let own = packet.ip().and_then(|ip| HostPolicy::of(&self.policies, ip.dst));
        own.map_or(self.policy, Overlap::into)
    }

    fn segment(
        &mut self,
        side: &mut AppSide,
        mut watch: Option<&mut Watch>,
        packet: &Packet<'_>,
        tcp: &Tcp<'_>,
        direction: Direction,
        moment: &Moment<'_>,
    ) {
        let policy = self.policy_of(packet);
        let Self { layer, memory, outcome, depth, differs, .. } = self;
        let AppSide { app, streams, .. } = side;
        let [to_server, to_client] = streams;
        let (own, other) = match direction {
            Direction::ToServer => (to_server, to_client),
            Direction::ToClient => (to_client, to_server),
        };
        if tcp.has(Tcp::ACK) && other.is_waiting() {
            other.acknowledged(tcp.ack, memory, &mut |chunk| {
                if let Some(watch) = &mut watch {
                    watch.stream(direction.opposite(), chunk);
                }
                app.feed(layer, moment, direction.opposite(), chunk, outcome);
            });
        }
        if own.offset() > *depth {
            return;
        }
        // The payload of a SYN has the number behind the SYN's own (RFC 9293 section 3.4).
        let seq = tcp.seq.wrapping_add(u32::from(tcp.has(Tcp::SYN)));
        // What a RST says why is not part of the stream (RFC 9293 section 3.5.3).
        if !packet.payload.is_empty() && !tcp.has(Tcp::RST) {
            let (mut seq, mut payload) = (seq, packet.payload);
            let mut pass = |chunk: Chunk<'_>| {
                if let Some(watch) = &mut watch {
                    watch.stream(direction, chunk);
                }
                app.feed(layer, moment, direction, chunk, outcome);
            };
            if tcp.has(Tcp::URG)
                && let Some(at) = usize::from(tcp.urgent).checked_sub(1)
                && let Some((before, [_, behind @ ..])) = payload.split_at_checked(at)
            {
                let placed = own.segment(seq, before, policy, memory, &mut pass);
                *differs = placed.differs;
                let urgent = seq.wrapping_add(at as u32);
                let skips = own.skip_urgent(urgent);
                seq = urgent.wrapping_add(u32::from(skips));
                payload = if skips { behind } else { payload.get(at..).unwrap_or_default() };
            }
            let placed = own.segment(seq, payload, policy, memory, &mut pass);
            *differs |= placed.differs;
        }
        if tcp.has(Tcp::FIN) && !own.is_waiting() {
            app.finish(moment, direction, outcome);
        }
        if own.offset() > *depth {
            // One way is deep enough; what is asked the other way may still be short.
            self.depth_reached += 1;
            own.forget(memory);
            app.finish(moment, direction, outcome);
            if other.offset() > *depth {
                self.close(side, watch, moment);
            }
        }
    }

    /// Passes on what streams still keep, and ends the application layer of a flow.
    fn close(&mut self, side: &mut AppSide, mut watch: Option<&mut Watch>, moment: &Moment<'_>) {
        let Self { layer, memory, outcome, .. } = self;
        let AppSide { app, streams, .. } = side;
        for (stream, direction) in
            streams.iter_mut().zip([Direction::ToServer, Direction::ToClient])
        {
            stream.finish(memory, &mut |chunk| {
                if let Some(watch) = &mut watch {
                    watch.stream(direction, chunk);
                }
                app.feed(layer, moment, direction, chunk, outcome);
            });
        }
        if let Some(watch) = watch {
            watch.closed();
        }
        app.close(layer, moment, outcome);
    }

    /// A flow is over: completes its record with what its application layer knows.
    pub(crate) fn end(
        &mut self,
        slot: &mut Slot,
        is_judged: bool,
        record: &mut FlowRecord,
        place: Place,
        stats: &mut Stats,
        out: &mut Output,
    ) {
        let Slot { side: Some(side), watch, .. } = slot else { return };
        let mut watch = watch.as_deref_mut().filter(|_| is_judged);
        let context = Arc::clone(&side.context);
        let moment = moment_of(&context, side.midstream, place);
        self.close(side, watch.as_deref_mut(), &moment);
        self.tell(&context, watch, None, place, out);
        side.complete(record);
        if let Some(app) = record.app {
            *stats.app_flows.entry(app.proto.name()).or_default() += 1;
            *stats.app_transactions.entry(app.proto.name()).or_default() += record.tx_count;
        }
    }

    /// Turns what dissectors found into events; `going` is the way of the packet they found it in.
    fn tell(
        &mut self,
        context: &Arc<FlowContext>,
        mut watch: Option<&mut Watch>,
        going: Option<Direction>,
        place: Place,
        out: &mut Output,
    ) {
        if self.outcome.is_empty() {
            return;
        }
        // Where reading ends with a flaw, only what went that way is looked at any more.
        let is_fatal = self.outcome.anomalies.iter().any(|raised| raised.is_fatal);
        let only = going.filter(|_| is_fatal);
        let Place { ts, number, .. } = place;
        for half in self.outcome.halves.drain(..) {
            if let Some(watch) = &mut watch {
                watch.half(half.direction, half.tx_id, &half.transaction);
            }
        }
        for done in self.outcome.transactions.drain(..) {
            if let Some(watch) = &mut watch {
                watch.completed(done.tx_id, &done.transaction, only);
            }
            if self.tell.transactions && done.transaction.is_recorded() {
                out.events.push(Event::Transaction(Box::new(TransactionEvent {
                    ts,
                    packet: number,
                    flow: Arc::clone(context),
                    direction: done.direction,
                    tx_id: done.tx_id,
                    transaction: done.transaction,
                })));
            }
        }
        for login in self.outcome.logins.drain(..) {
            out.events.push(Event::Login(Box::new(LoginEvent {
                ts,
                flow: Arc::clone(context),
                app: login.app.unwrap_or(AppProto::FAILED),
                user: login.user.to_string(),
                outcome: login.outcome,
                secret: login.secret,
            })));
        }
        for event in self.outcome.flow_events.drain(..) {
            if let (Some(watch), Some(going)) = (&mut watch, going) {
                watch.flow_event(going, event);
            }
        }
        for frame in self.outcome.frames.drain(..) {
            if let Some(watch) = &mut watch {
                watch.frame(&frame);
            }
        }
        for file in self.outcome.files.drain(..) {
            if self.tell.files || self.needs.files {
                let record = FileRecord {
                    ts,
                    flow: FlowContext::clone(context),
                    direction: file.direction,
                    app: file.app.unwrap_or(AppProto::FAILED),
                    tx_id: file.tx_id,
                    filename: file.filename,
                    start: file.range.map(|r| r.0),
                    end: file.range.map(|r| r.1),
                    size: file.size,
                    magic: file.magic,
                    description: file.description,
                    state: file.state,
                    gaps: file.gaps,
                    md5: file.hashes.as_ref().map(|h| h.md5),
                    sha1: file.hashes.as_ref().map(|h| h.sha1),
                    sha256: file.hashes.as_ref().map(|h| h.sha256),
                    content: file.content,
                    wanted: !self.chooses,
                    stored: false,
                    file_id: None,
                };
                if let Some(watch) = watch.as_mut().filter(|_| self.needs.files) {
                    watch.file(record.clone());
                }
                if !self.tell.files {
                    continue;
                }
                let record = Box::new(record);
                match &mut watch {
                    Some(watch) if self.chooses => {
                        let early = watch.hold(record);
                        let is_lost = matches!(&early, Some(Event::File(file)) if !file.wanted);
                        self.unchosen += u64::from(is_lost);
                        out.events.extend(early);
                    }
                    _ => out.events.push(Event::File(record)),
                }
            }
        }
        for raised in self.outcome.anomalies.drain(..) {
            if let (Some(watch), Some(app), None) = (&mut watch, raised.app, raised.tx_id) {
                let ways = [Direction::ToServer, Direction::ToClient];
                for way in ways.into_iter().filter(|way| only.is_none_or(|only| only == *way)) {
                    watch.odd(way, app, raised.name);
                }
            }
            if self.tell.anomalies {
                out.events.push(Event::Anomaly(Box::new(Anomaly {
                    ts,
                    layer: AnomalyLayer::Applayer,
                    name: raised.name,
                    app: raised.app,
                    packet: number,
                    flow: Some(FlowContext::clone(context)),
                    tx_id: raised.tx_id,
                })));
            }
        }
        for expectation in self.outcome.expectations.drain(..) {
            self.expected.add(ts, expectation);
        }
    }

    /// Adds what streams counted.
    pub(crate) fn add_to(&self, tcp: &mut TcpStats) {
        tcp.reassembly_gap = self.memory.gaps;
        tcp.reassembly_memuse = self.memory.used() as u64;
        tcp.segment_memcap_drop = self.memory.dropped;
        tcp.overlap = self.memory.overlaps;
        tcp.overlap_diff_data = self.memory.overlaps_differ;
        tcp.stream_depth_reached = self.depth_reached;
    }
}

impl AppSide {
    /// Notes what the receiver acknowledged of the other way's stream.
    pub(crate) fn acknowledged(&self, watch: &mut Watch, direction: Direction, ack: u32) {
        if let Some(offset) = direction.opposite().of(&self.streams).offset_of(ack) {
            watch.waiting_mut(direction.opposite()).acknowledged(offset);
        }
    }

    /// Adds what the application layer knows to a flow's record.
    pub(crate) fn complete(&self, record: &mut FlowRecord) {
        record.app = self.app.record();
        record.tx_count = self.app.transactions();
        if let Some(tcp) = &mut record.tcp {
            let [to_server, to_client] = &self.streams;
            tcp.gap_to_server |= to_server.has_gap();
            tcp.gap_to_client |= to_client.has_gap();
        }
    }

    /// The name of the protocol, once recognised.
    pub(crate) fn protocol(&self) -> Option<AppProto> {
        self.app.protocol().filter(|&p| p != AppProto::FAILED)
    }

    /// Whether more packets of the flow are of interest.
    pub(crate) fn wants_bytes(&self) -> bool {
        self.app.wants_bytes()
    }
}

fn moment_of(context: &FlowContext, midstream: bool, place: Place) -> Moment<'_> {
    Moment { ts: place.ts, packet: place.number, key: &context.key, midstream }
}

pub(crate) fn context_of<A>(flow: &Flow<'_, A>) -> FlowContext {
    FlowContext {
        id: flow.id(),
        parent: flow.parent(),
        key: flow.key(),
        vlans: flow.vlans(),
        iface: flow.iface(),
        start: flow.start(),
    }
}
