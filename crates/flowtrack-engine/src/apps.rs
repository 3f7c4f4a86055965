//! Streams and application protocols of the flows of one worker.

use crate::expected::Expected;
use crate::{Config, Output, Tell};
use flowtrack_dissect::{AppConfig, AppFlow, AppLayer, Expectation, Moment, Outcome};
use flowtrack_event::{
    Anomaly, AnomalyLayer, AppProto, Chunk, Direction, Event, FileRecord, FlowContext, FlowKey,
    FlowRecord, IpProto, Stats, TcpStats, Timestamp, TransactionEvent,
};
use flowtrack_flow::stream::{OverlapPolicy, Stream, StreamMemory};
use flowtrack_flow::{Flow, Seen};
use flowtrack_wire::{Packet, Tcp, Transport};
use std::sync::Arc;

/// What the engine keeps with a flow: nothing before its first payload.
pub(crate) type Slot = Option<Box<AppSide>>;

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
    tell: Tell,
    depth_reached: u64,
}

/// Time and place of a packet.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) ts: Timestamp,
    pub(crate) number: u64,
}

impl Apps {
    pub(crate) fn new(config: &Config) -> Self {
        let dissect = &config.dissect;
        Self {
            enabled: dissect.enabled,
            layer: AppLayer::new(AppConfig {
                wants: dissect.wants(config.tell),
                ..AppConfig::default()
            }),
            memory: StreamMemory::new(dissect.limits()),
            expected: Expected::default(),
            outcome: Outcome::default(),
            depth: dissect.depth,
            policy: dissect.overlap.into(),
            tell: config.tell,
            depth_reached: 0,
        }
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
        packet: &Packet<'_>,
        seen: &Seen,
        place: Place,
        out: &mut Output,
    ) -> bool {
        if !side.app.wants_bytes() {
            return false;
        }
        let context = Arc::clone(&side.context);
        let moment = moment_of(&context, side.midstream, place);
        let direction = seen.direction;
        match packet.transport {
            Transport::Tcp(tcp) => self.segment(side, packet, &tcp, direction, &moment),
            _ => {
                let chunk = Chunk::Bytes(packet.payload);
                side.app.feed(&self.layer, &moment, direction, chunk, &mut self.outcome);
            }
        }
        if seen.tcp.is_some_and(|tcp| tcp.closed) {
            self.close(side, &moment);
        }
        let reversed = std::mem::take(&mut self.outcome.reversed);
        if reversed {
            let key = context.key.reversed();
            side.context = Arc::new(FlowContext { key, ..FlowContext::clone(&context) });
        }
        self.tell(&Arc::clone(&side.context), place, out);
        reversed
    }

    fn segment(
        &mut self,
        side: &mut AppSide,
        packet: &Packet<'_>,
        tcp: &Tcp<'_>,
        direction: Direction,
        moment: &Moment<'_>,
    ) {
        let Self { layer, memory, outcome, policy, depth, .. } = self;
        let AppSide { app, streams, .. } = side;
        let [to_server, to_client] = streams;
        let (own, other) = match direction {
            Direction::ToServer => (to_server, to_client),
            Direction::ToClient => (to_client, to_server),
        };
        if tcp.has(Tcp::ACK) && other.is_waiting() {
            other.acknowledged(tcp.ack, memory, &mut |chunk| {
                app.feed(layer, moment, direction.opposite(), chunk, outcome);
            });
        }
        // The payload of a SYN has the number behind the SYN's own (RFC 9293 section 3.4).
        let seq = tcp.seq.wrapping_add(u32::from(tcp.has(Tcp::SYN)));
        if !packet.payload.is_empty() {
            own.segment(seq, packet.payload, *policy, memory, &mut |chunk| {
                app.feed(layer, moment, direction, chunk, outcome);
            });
        }
        if tcp.has(Tcp::FIN) && !own.is_waiting() {
            app.finish(moment, direction, outcome);
        }
        if own.offset() > *depth {
            self.depth_reached += 1;
            self.close(side, moment);
        }
    }

    /// Passes on what streams still keep, and ends the application layer of a flow.
    fn close(&mut self, side: &mut AppSide, moment: &Moment<'_>) {
        let Self { layer, memory, outcome, .. } = self;
        let AppSide { app, streams, .. } = side;
        for (stream, direction) in
            streams.iter_mut().zip([Direction::ToServer, Direction::ToClient])
        {
            stream.finish(memory, &mut |chunk| app.feed(layer, moment, direction, chunk, outcome));
        }
        app.close(moment, outcome);
    }

    /// A flow is over: completes its record with what its application layer knows.
    pub(crate) fn end(
        &mut self,
        slot: Slot,
        record: &mut FlowRecord,
        place: Place,
        stats: &mut Stats,
        out: &mut Output,
    ) {
        let Some(mut side) = slot else { return };
        let context = Arc::clone(&side.context);
        let moment = moment_of(&context, side.midstream, place);
        self.close(&mut side, &moment);
        self.tell(&context, place, out);
        side.complete(record);
        if let Some(app) = record.app {
            *stats.app_flows.entry(app.proto.name()).or_default() += 1;
            *stats.app_transactions.entry(app.proto.name()).or_default() += record.tx_count;
        }
    }

    /// Turns what dissectors found into events.
    fn tell(&mut self, context: &Arc<FlowContext>, place: Place, out: &mut Output) {
        if self.outcome.is_empty() {
            return;
        }
        let Place { ts, number } = place;
        for done in self.outcome.transactions.drain(..) {
            if self.tell.transactions {
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
        for file in self.outcome.files.drain(..) {
            if self.tell.files {
                out.events.push(Event::File(Box::new(FileRecord {
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
                    state: file.state,
                    gaps: file.gaps,
                    md5: file.hashes.as_ref().map(|h| h.md5),
                    sha1: file.hashes.as_ref().map(|h| h.sha1),
                    sha256: file.hashes.as_ref().map(|h| h.sha256),
                    stored: false,
                })));
            }
        }
        for raised in self.outcome.anomalies.drain(..) {
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
        self.app.record().map(|r| r.proto).filter(|&p| p != AppProto::FAILED)
    }
}

fn moment_of(context: &FlowContext, midstream: bool, place: Place) -> Moment<'_> {
    Moment { ts: place.ts, packet: place.number, key: &context.key, midstream }
}

fn context_of<A>(flow: &Flow<'_, A>) -> FlowContext {
    FlowContext {
        id: flow.id(),
        parent: flow.parent(),
        key: flow.key(),
        vlans: flow.vlans(),
        iface: flow.iface(),
        start: flow.start(),
    }
}
