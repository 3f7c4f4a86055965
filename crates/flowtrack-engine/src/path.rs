//! What happens to a burst of packets.

use crate::apps::{Apps, OVERLAP_DIFFERS, Place, Slot, context_of};
use crate::detect::{FlowFacts, Judge, Met, Now, Watch};
use crate::meters::Meters;
use crate::neighbours::neighbour;
use crate::tag::{Labels, Tag};
use crate::{Output, Shard, Tell};
use flowtrack_event::{
    Anomaly, AnomalyLayer, AppProto, DecoderStats, Direction, EndReason, Event, FlowContext,
    FlowEvent, FlowId, FlowKey, FlowPhase, FlowRecord, FlowState, IpProto, LedgerRow, LinkType,
    RawPacket, Stats, Timestamp, TunnelKind,
};
use flowtrack_flow::{At, Defrag, Flow, FlowIndex, FlowTable, PacketKey, Rates, Seen, Unplaced};
use flowtrack_wire::{
    DecodeAnomaly, Network, Packet, Tcp, TcpOption, Transport, checksum_ok, decode_inner,
    decode_into, decode_reassembled, ipv4_checksum_ok, preload,
};

use std::sync::Arc;

/// Packets that are decoded and looked up together, so that their memory is loaded together.
const TOGETHER: usize = 32;
/// Tunnels and reassembled packets followed inward from one frame.
const MAX_LEVELS: u8 = 8;
/// Flows and seconds that one burst may spend on ending idle flows.
const EXPIRE_BUDGET: usize = 256;

/// Everything that packets pass through.
pub(crate) struct Path {
    pub(crate) table: FlowTable<Slot>,
    pub(crate) defrag: Defrag,
    pub(crate) apps: Apps,
    pub(crate) judge: Judge,
    pub(crate) labels: Labels,
    pub(crate) rates: Option<Rates>,
    pub(crate) meters: Option<Box<Meters>>,
    /// Flows that changed, as far as meters asked before whoever tells updates did.
    pub(crate) metered: Vec<FlowIndex>,
    pub(crate) stats: Stats,
    pub(crate) shard: Option<Shard>,
    pub(crate) verify_checksums: bool,
    pub(crate) tell: Tell,
    /// Flows that ended and are not told yet.
    pub(crate) ended: Vec<(FlowRecord, EndReason, Slot)>,
}

/// What is known of a frame before its flow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It belongs to another share.
    Elsewhere,
    Good,
    /// Its checksum is wrong.
    Corrupt,
}

/// Where a packet was put.
#[derive(Clone, Copy)]
struct Placed {
    index: FlowIndex,
    tag: Tag,
}

/// What the application layer made of a packet.
#[derive(Clone, Copy)]
struct Applied {
    tag: Tag,
    /// It showed that the flow goes the other way round.
    reversed: bool,
}

/// What is around a packet that is followed inward.
#[derive(Clone, Copy)]
struct Around {
    /// The flow of the packet.
    parent: Option<FlowId>,
    /// The flow whose tunnel carries the packet, and how.
    own: Option<FlowId>,
    tunnel: Option<TunnelKind>,
    /// How the bytes of the packet begin.
    link: LinkType,
    /// Levels from the frame to the packet.
    levels: u8,
    /// Tunnels among them.
    tunnels: u8,
}

impl Path {
    pub(crate) fn burst(&mut self, burst: &[RawPacket<'_>], out: &mut Output) {
        let mut packets: [Packet<'_>; TOGETHER] = std::array::from_fn(|_| Packet::default());
        for raws in burst.chunks(TOGETHER) {
            std::hint::black_box(preload(raws));
            let mut keys = [None; TOGETHER];
            let mut fates = [Fate::Elsewhere; TOGETHER];
            let slots = packets.iter_mut().zip(&mut keys).zip(&mut fates);
            for (raw, ((packet, key), fate)) in raws.iter().zip(slots) {
                if !self.decode(raw, packet) {
                    continue;
                }
                *fate = if self.is_corrupt(packet) { Fate::Corrupt } else { Fate::Good };
                self.table.key_into(packet, &At::of(raw.ts, raw.iface), key);
            }
            std::hint::black_box(self.table.prefetch(keys.iter().flatten()));
            let slots = packets.iter().zip(&keys).zip(&fates);
            for (raw, ((packet, key), &fate)) in raws.iter().zip(slots) {
                if fate != Fate::Elsewhere {
                    self.frame(raw, packet, key.as_ref(), fate, out);
                }
            }
        }
    }

    /// Reads the headers of a frame; false where it belongs to another share.
    #[inline]
    fn decode<'a>(&mut self, raw: &RawPacket<'a>, packet: &mut Packet<'a>) -> bool {
        let Some(shard) = self.shard else {
            decode_into(raw, &mut self.stats.decoder, packet);
            return true;
        };
        let mut counted = DecoderStats::default();
        decode_into(raw, &mut counted, packet);
        let is_ours = shard.has(packet);
        if is_ours {
            let longest = counted.max_pkt_size.max(self.stats.decoder.max_pkt_size);
            self.stats.decoder.merge(&counted);
            self.stats.decoder.max_pkt_size = longest;
        }
        is_ours
    }

    /// Whether the checksum of a packet is wrong, where that is asked for.
    #[inline]
    fn is_corrupt(&mut self, packet: &Packet<'_>) -> bool {
        let is_corrupt = self.verify_checksums && !checksum_ok(packet);
        self.stats.tcp.invalid_checksum +=
            u64::from(is_corrupt && matches!(packet.transport, Transport::Tcp(_)));
        is_corrupt
    }

    /// A frame is on exactly one flow, or in exactly one rest.
    #[inline]
    fn frame(
        &mut self,
        raw: &RawPacket<'_>,
        packet: &Packet<'_>,
        key: Option<&PacketKey>,
        fate: Fate,
        out: &mut Output,
    ) {
        let row = LedgerRow { packets: 1, bytes: u64::from(packet.len) };
        self.stats.ledger.seen.merge(&row);
        if let Some(rates) = &mut self.rates
            && let Some(second) = rates.advance(raw.ts)
        {
            out.events.push(Event::Second(Box::new(second)));
        }
        self.measure(raw.ts, out);
        let place = Place { ts: raw.ts, number: raw.number, link: raw.link };
        let at = At { bad_checksum: fate == Fate::Corrupt, ..At::of(raw.ts, raw.iface) };
        let placed = match key {
            Some(key) if counts(packet, &at) => {
                self.on_flow(key, packet, &at, place, raw.data, out)
            }
            Some(_) => Err("invalid_checksum"),
            None => Err(rest_of(packet)),
        };
        // Of a fragment more is known once it stands beside the others.
        if placed.is_err() && self.judge.is_on() && !is_fragment(packet) {
            self.judge_alone(packet, place, raw.data, out);
        }
        match placed {
            Ok(_) => self.stats.ledger.on_flows.merge(&row),
            Err(rest) => self.stats.ledger.rest.entry(rest).or_default().merge(&row),
        }
        if let Some(rates) = &mut self.rates {
            let known = placed.ok().and_then(|placed| self.labels.name(placed.tag));
            let protocol = known.map_or_else(|| transport_name(packet), AppProto::name);
            rates.frame(protocol, packet.len);
        }
        if !packet.anomalies.is_empty() {
            self.anomalies(&packet.anomalies, place, out);
        }
        if self.tell.neighbours
            && let Some(neighbour) = neighbour(raw, packet)
        {
            out.events.push(Event::Neighbour(Box::new(neighbour)));
        }
        if packet.inner.is_some() || is_fragment(packet) {
            let parent = placed.ok().and_then(|placed| self.id_of(placed.index));
            let around =
                Around { parent, own: None, tunnel: None, link: raw.link, levels: 0, tunnels: 0 };
            self.inward(raw, packet, raw.data, around, out);
        }
    }

    /// Puts a packet on its flow.
    #[inline(never)]
    fn on_flow(
        &mut self,
        key: &PacketKey,
        packet: &Packet<'_>,
        at: &At,
        place: Place,
        frame: &[u8],
        out: &mut Output,
    ) -> Result<Placed, &'static str> {
        let ended = &mut self.ended;
        let seen = self.table.update(key, packet, at, &mut |record, reason, slot| {
            ended.push((record, reason, slot));
        });
        if !self.ended.is_empty() {
            self.tell_ended(place, out);
        }
        let seen = seen.map_err(Unplaced::name)?;
        if seen.is_new {
            self.begun(seen.index, place, out);
        }
        if let Some(rates) = &mut self.rates {
            if let Some(facts) = &seen.tcp {
                rates.tcp(facts);
            }
            if let Some(response) = seen.response {
                rates.response(response);
            }
        }
        let mut tag = Tag(seen.tag);
        if at.bad_checksum {
            // No stream takes it in, but signatures may ask for just that.
            if self.judge.is_on() {
                self.judge_alone(packet, place, frame, out);
            }
        } else if self.judge.is_on() && is_apart(packet) {
            self.judge_alone(packet, place, frame, out);
        } else if self.judge.is_on() {
            tag = self.watched(packet, seen, place, frame, out);
        } else if !tag.is_done() && self.apps.wants(packet) {
            tag = self.application(packet, seen, place, out).tag;
        }
        Ok(Placed { index: seen.index, tag })
    }

    /// Reads a packet of a flow and asks the signatures about it.
    fn watched(
        &mut self,
        packet: &Packet<'_>,
        seen: Seen,
        place: Place,
        frame: &[u8],
        out: &mut Output,
    ) -> Tag {
        self.watch(&seen, packet);
        let mut direction = seen.direction;
        let mut tag = Tag(seen.tag);
        // The packet that ends a handshake is still searched.
        let watch = self.table.app_mut(seen.index).and_then(|slot| slot.watch.as_ref());
        let is_secret = watch.is_some_and(|watch| watch.is_secret);
        if self.apps.wants(packet) {
            let applied = self.application(packet, seen, place, out);
            tag = applied.tag;
            if applied.reversed {
                direction = direction.opposite();
            }
        }
        let Some(flow) = self.table.get(seen.index) else { return tag };
        let key = flow.key();
        let ways = [Direction::ToServer, Direction::ToClient];
        let is_tcp = key.proto == IpProto::TCP;
        let is_followed = is_followed(&flow, self.apps.midstream);
        let was_established =
            flow.state() != FlowState::New && !seen.tcp.is_some_and(|facts| facts.established);
        let facts = FlowFacts {
            state: flow.state(),
            established: was_established && is_followed,
            packets: ways.map(|way| flow.packets(way)),
            bytes: ways.map(|way| flow.bytes(way)),
            stream_bytes: ways.map(|way| flow.payload_bytes(way)),
        };
        let flow_state = flow.state();
        let has_answered = flow.has_syn(Direction::ToClient);
        let Some(Slot { side, watch, .. }) = self.table.app_mut(seen.index) else { return tag };
        let Some(watch) = watch else { return tag };
        if let (Some(side), Transport::Tcp(tcp)) = (side, packet.transport)
            && tcp.has(Tcp::ACK)
            && !tcp.has(Tcp::SYN)
        {
            side.acknowledged(watch, direction, tcp.ack);
        }
        let mut events = self.apps.take_stream_events();
        if self.judge.needs().stream_events
            && let Transport::Tcp(tcp) = packet.transport
        {
            let has_payload = !packet.payload.is_empty();
            let facts = seen.tcp;
            let was_established = was_established && has_answered;
            let met = Met { tcp, direction, has_payload, facts, is_followed, was_established };
            watch.session.meet(&met, &mut events);
        }
        let now = Now {
            ts: place.ts,
            number: place.number,
            packet: Some(packet),
            link: place.link,
            frame,
            direction: if knows_ways(packet) { direction } else { Direction::ToServer },
            key: Some(match direction {
                Direction::ToServer => key,
                Direction::ToClient => key.reversed(),
            }),
            in_stream: is_tcp && is_followed && in_stream(packet, flow_state, watch),
            is_secret,
            stream_events: &events,
            flow: facts,
        };
        self.judge.packet(&now, Some(watch), out);
        tag
    }

    /// Begins or turns what is kept of a flow for the signatures.
    fn watch(&mut self, seen: &Seen, packet: &Packet<'_>) {
        let Self { table, judge, .. } = self;
        let Some(flow) = table.get(seen.index) else { return };
        if flow.app().watch.is_some() && !seen.reversed {
            return;
        }
        let context = context_of(&flow);
        let Some(slot) = table.app_mut(seen.index) else { return };
        match &mut slot.watch {
            Some(watch) => watch.reverse(context),
            None => {
                let keeps_streams = judge.needs().streams && context.key.proto == IpProto::TCP;
                let mut watch = Watch::new(Arc::new(context), keeps_streams);
                watch.is_early = is_early(packet);
                slot.watch = Some(Box::new(watch));
            }
        }
    }

    /// Asks the signatures about a packet that is on no flow.
    fn judge_alone(&mut self, packet: &Packet<'_>, place: Place, frame: &[u8], out: &mut Output) {
        let ports = match packet.transport {
            Transport::Tcp(tcp) => (tcp.src, tcp.dst),
            Transport::Udp(ports) | Transport::Sctp(ports) => (ports.src, ports.dst),
            Transport::Icmp(icmp) => (u16::from(icmp.kind) << 8 | u16::from(icmp.code), 0),
            Transport::None | Transport::Other => (0, 0),
        };
        let key = packet.ip().map(|ip| FlowKey {
            src: ip.src,
            dst: ip.dst,
            src_port: ports.0,
            dst_port: ports.1,
            proto: ip.proto,
        });
        let now = Now {
            ts: place.ts,
            number: place.number,
            packet: Some(packet),
            link: place.link,
            frame,
            direction: Direction::ToServer,
            key,
            in_stream: false,
            is_secret: false,
            stream_events: &[],
            flow: FlowFacts::default(),
        };
        self.judge.packet(&now, None, out);
    }

    fn begun(&mut self, index: FlowIndex, place: Place, out: &mut Output) {
        if let Some(rates) = &mut self.rates {
            rates.flow_began();
        }
        if self.tell.starts
            && let Some(record) = self.record(index)
        {
            let event = FlowEvent { ts: place.ts, phase: FlowPhase::Start, record };
            out.events.push(Event::Flow(Box::new(event)));
        }
    }

    /// Hands a packet to the application layer of its flow.
    fn application(
        &mut self,
        packet: &Packet<'_>,
        seen: Seen,
        place: Place,
        out: &mut Output,
    ) -> Applied {
        let Self { table, apps, labels, .. } = self;
        let before = Tag(seen.tag);
        let unchanged = Applied { tag: before, reversed: false };
        let Some(flow) = table.get(seen.index) else { return unchanged };
        let (is_followed, state) = (is_followed(&flow, apps.midstream), flow.state());
        let mut begins = None;
        if flow.app().side.is_none() {
            if packet.payload.is_empty() {
                return unchanged;
            }
            let announced = apps.announced(place.ts, &flow.key());
            begins = Some(Box::new(apps.begin(&flow, announced)));
        }
        let Some(Slot { side, watch, .. }) = table.app_mut(seen.index) else { return unchanged };
        if begins.is_some() {
            *side = begins;
        }
        let Some(side) = side else { return unchanged };
        let judged = watch.as_deref_mut().filter(|watch| {
            is_followed && (packet.payload.is_empty() || in_stream(packet, state, watch))
        });
        let reversed = apps.packet(side, judged, packet, &seen, place, out);
        let tag = labels.rename(before, side.protocol()).done(!side.wants_bytes());
        if reversed {
            if let Some(watch) = watch {
                let key = watch.context.key.reversed();
                watch.reverse(FlowContext { key, ..FlowContext::clone(&watch.context) });
            }
            table.reverse(seen.index);
        }
        if tag != before {
            table.set_tag(seen.index, tag.0);
        }
        Applied { tag, reversed }
    }

    fn anomalies(&mut self, anomalies: &[DecodeAnomaly], place: Place, out: &mut Output) {
        for anomaly in anomalies {
            *self.stats.anomalies.entry(anomaly.name()).or_default() += 1;
            if self.tell.anomalies {
                out.events.push(Event::Anomaly(Box::new(Anomaly {
                    ts: place.ts,
                    layer: AnomalyLayer::Decode,
                    name: anomaly.name(),
                    app: None,
                    packet: place.number,
                    flow: None,
                    tx_id: None,
                })));
            }
        }
    }

    /// Follows what a packet carries: the packet that a fragment completes, or the one inside a
    /// tunnel. Each has a flow of its own.
    fn inward(
        &mut self,
        raw: &RawPacket<'_>,
        packet: &Packet<'_>,
        frame: &[u8],
        around: Around,
        out: &mut Output,
    ) {
        if around.levels >= MAX_LEVELS {
            self.stats.decoder.too_many_layers += 1;
            return;
        }
        let place = Place { ts: raw.ts, number: raw.number, link: around.link };
        if is_fragment(packet) {
            let whole = self.defrag.insert(raw.ts, raw.iface, packet, &mut self.stats.defrag);
            let noticed = self.defrag.noticed();
            self.anomalies(&noticed, place, out);
            if self.judge.is_on() {
                let mut fragment = packet.clone();
                for anomaly in noticed.iter().copied() {
                    fragment.anomalies.push(anomaly);
                }
                self.judge_alone(&fragment, place, frame, out);
            }
            if let Some(whole) = whole {
                let link_len = whole.link_len();
                let decoder = &mut self.stats.decoder;
                let packet =
                    decode_reassembled(whole.data(), link_len, packet.macs, packet.vlans, decoder);
                self.level(raw, &packet, &[], around, out);
                self.defrag.recycle(whole);
            }
        } else if let Some(inner) = packet.inner {
            let packet = decode_inner(&inner, packet.vlans, &mut self.stats.decoder);
            let around = Around {
                own: around.parent,
                tunnel: Some(inner.tunnel),
                link: inner.link,
                tunnels: around.tunnels + 1,
                ..around
            };
            self.level(raw, &packet, inner.data, around, out);
        }
    }

    /// Puts one level on its flow and goes on inward.
    fn level(
        &mut self,
        raw: &RawPacket<'_>,
        packet: &Packet<'_>,
        frame: &[u8],
        around: Around,
        out: &mut Output,
    ) {
        let at = At {
            parent: around.own,
            tunnel: around.tunnel,
            depth: around.tunnels,
            bad_checksum: self.is_corrupt(packet),
            ..At::of(raw.ts, raw.iface)
        };
        let place = Place { ts: raw.ts, number: raw.number, link: around.link };
        let flow = self.synthetic(packet, &at, place, frame, out);
        if packet.inner.is_some() || is_fragment(packet) {
            let parent = flow.and_then(|index| self.id_of(index)).or(around.parent);
            let around = Around { parent, levels: around.levels + 1, ..around };
            self.inward(raw, packet, frame, around, out);
        }
    }

    /// Puts a packet that is no frame of its own on its flow.
    fn synthetic(
        &mut self,
        packet: &Packet<'_>,
        at: &At,
        place: Place,
        frame: &[u8],
        out: &mut Output,
    ) -> Option<FlowIndex> {
        self.anomalies(&packet.anomalies, place, out);
        let key = self.table.key(packet, at).filter(|_| counts(packet, at));
        let placed = key.and_then(|key| self.on_flow(&key, packet, at, place, frame, out).ok());
        if placed.is_none() && self.judge.is_on() {
            self.judge_alone(packet, place, frame, out);
        }
        let placed = placed?;
        let row = LedgerRow { packets: 1, bytes: u64::from(packet.len) };
        self.stats.ledger.synthetic.merge(&row);
        Some(placed.index)
    }

    fn id_of(&self, flow: FlowIndex) -> Option<FlowId> {
        self.table.get(flow).map(|flow| flow.id())
    }

    /// Tells what hosts did, where a second of it is over.
    #[inline]
    pub(crate) fn measure(&mut self, now: Timestamp, out: &mut Output) {
        if self.meters.as_ref().is_some_and(|meters| meters.is_over(now)) {
            self.turn_meters(now, out);
        }
    }

    #[cold]
    fn turn_meters(&mut self, now: Timestamp, out: &mut Output) {
        let Self { meters: Some(meters), table, .. } = self else { return };
        let mut changed = Vec::new();
        table.take_changed(&mut changed);
        if let Some(activity) = meters.turn(now, &changed, table) {
            out.events.push(Event::Activity(Box::new(activity)));
        }
        if self.tell.updates {
            self.metered.append(&mut changed);
        }
    }

    /// Moves the flows that changed since the last call into `changed`.
    pub(crate) fn take_changed(&mut self, changed: &mut Vec<FlowIndex>) {
        self.table.take_changed(changed);
        if !self.metered.is_empty() {
            changed.append(&mut self.metered);
            changed.sort_unstable();
            changed.dedup();
        }
    }

    pub(crate) fn expire(&mut self, now: Timestamp, out: &mut Output) {
        let ended = &mut self.ended;
        self.table.expire(now, EXPIRE_BUDGET, &mut |record, reason, slot| {
            ended.push((record, reason, slot));
        });
        self.defrag.expire(now, &mut self.stats.defrag);
        if !self.ended.is_empty() {
            self.tell_ended(Place::without_packet(now), out);
        }
    }

    pub(crate) fn end_flows(&mut self, now: Timestamp, out: &mut Output) {
        // What nobody answered for a second is known now, while ICMP errors are.
        if self.meters.is_some() {
            self.turn_meters(now, out);
        }
        let place = Place::without_packet(now);
        let (table, mut teller) = self.teller();
        let mut tell = |record, reason, slot| teller.ended(record, reason, slot, place, out);
        // What was idle too long ended by that, however far the bounded work had come.
        table.expire(now, usize::MAX, &mut tell);
        table.drain(&mut tell);
    }

    pub(crate) fn finish(&mut self, now: Timestamp, out: &mut Output) {
        self.end_flows(now, out);
        if let Some(activity) = self.meters.as_mut().and_then(|meters| meters.finish()) {
            out.events.push(Event::Activity(Box::new(activity)));
        }
        if let Some(second) = self.rates.as_mut().and_then(Rates::finish) {
            out.events.push(Event::Second(Box::new(second)));
        }
    }

    fn tell_ended(&mut self, place: Place, out: &mut Output) {
        let mut ended = std::mem::take(&mut self.ended);
        let (_, mut teller) = self.teller();
        for (record, reason, slot) in ended.drain(..) {
            teller.ended(record, reason, slot, place, out);
        }
        self.ended = ended;
    }

    /// The flow table, and apart from it what tells of flows that end.
    fn teller(&mut self) -> (&mut FlowTable<Slot>, Teller<'_>) {
        let Self { table, apps, judge, rates, meters, stats, tell, .. } = self;
        (table, Teller { apps, judge, rates, meters, stats, tell: *tell })
    }

    /// All that is known about a flow that goes on.
    pub(crate) fn record(&self, index: FlowIndex) -> Option<FlowRecord> {
        let flow = self.table.get(index)?;
        let mut record = flow.record();
        let Slot { side, watch, .. } = flow.app();
        if let Some(side) = side {
            side.complete(&mut record);
        }
        record.alerted = watch.as_ref().is_some_and(|watch| watch.alerted);
        Some(record)
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.stats.clone();
        let invalid_checksum = stats.tcp.invalid_checksum;
        stats.flow = self.table.stats();
        stats.tcp = self.table.tcp_stats();
        stats.tcp.invalid_checksum = invalid_checksum;
        self.apps.add_to(&mut stats.tcp);
        stats.detect = self.judge.stats(self.apps.unchosen);
        if stats.tcp.overlap_diff_data > 0 {
            stats.anomalies.insert(OVERLAP_DIFFERS, stats.tcp.overlap_diff_data);
        }
        stats
    }
}

/// Tells of flows that ended.
struct Teller<'a> {
    apps: &'a mut Apps,
    judge: &'a mut Judge,
    rates: &'a mut Option<Rates>,
    meters: &'a mut Option<Box<Meters>>,
    stats: &'a mut Stats,
    tell: Tell,
}

impl Teller<'_> {
    fn ended(
        &mut self,
        mut record: FlowRecord,
        reason: EndReason,
        mut slot: Slot,
        place: Place,
        out: &mut Output,
    ) {
        let is_followed = self.is_followed(&record);
        self.apps.end(&mut slot, is_followed, &mut record, place, self.stats, out);
        if let Some(watch) = &mut slot.watch {
            self.judge_end(watch, &record, is_followed, place, out);
            record.alerted = watch.alerted;
            record.remembered = self.judge.remembered(watch);
        }
        if let Some(rates) = self.rates {
            rates.flow_ended();
        }
        if let Some(meters) = self.meters {
            meters.ended(&record, reason, slot.meter);
        }
        if self.tell.ends {
            let event = FlowEvent { ts: place.ts, phase: FlowPhase::End(reason), record };
            out.events.push(Event::Flow(Box::new(event)));
        }
    }

    fn is_followed(&self, record: &FlowRecord) -> bool {
        self.apps.midstream || record.tcp.is_none_or(|tcp| tcp.flags_to_server & Tcp::SYN != 0)
    }

    fn judge_end(
        &mut self,
        watch: &mut Watch,
        record: &FlowRecord,
        is_followed: bool,
        place: Place,
        out: &mut Output,
    ) {
        let sides = [&record.to_server, &record.to_client];
        let now = Now {
            ts: place.ts,
            number: place.number,
            packet: None,
            link: place.link,
            frame: &[],
            direction: Direction::ToServer,
            key: Some(record.key),
            in_stream: record.key.proto == IpProto::TCP,
            is_secret: false,
            stream_events: &[],
            flow: FlowFacts {
                state: record.state,
                established: record.state != FlowState::New && is_followed,
                packets: sides.map(|side| side.packets),
                bytes: sides.map(|side| side.bytes),
                stream_bytes: sides.map(|side| side.payload_bytes),
            },
        };
        self.judge.end(&now, watch, out);
    }
}

/// Whether a packet counts on a flow: with a wrong checksum of TCP or UDP it does, so that the flow
/// says how much was sent, though no host believes a word of it. Behind a wrong IP header nobody
/// knows which flow it is, and what ICMP says is believed or nothing.
#[inline]
fn counts(packet: &Packet<'_>, at: &At) -> bool {
    !at.bad_checksum
        || matches!(packet.transport, Transport::Tcp(_) | Transport::Udp(_))
            && packet.ip().and_then(ipv4_checksum_ok) != Some(false)
}

/// Whether signatures judge what a flow says as a whole. Of a session whose beginning was not seen
/// they judge packets alone unless that is asked for (`midstream`), as Suricata does: nobody knows
/// what its ends made of the bytes before.
fn is_followed(flow: &Flow<'_, Slot>, midstream: bool) -> bool {
    midstream || flow.proto() != IpProto::TCP || flow.has_syn(Direction::ToServer)
}

/// Whether signatures see a packet as part of no flow: they are written for an engine that has
/// flows of TCP, UDP, SCTP, ICMP, ESP and of IP in IP, and judges all others alone (GRE, OSPF).
fn is_apart(packet: &Packet<'_>) -> bool {
    const IPV4: IpProto = IpProto(4);
    const IPV6: IpProto = IpProto(41);
    const ESP: IpProto = IpProto(50);
    !knows_ways(packet) && !packet.ip().is_some_and(|ip| matches!(ip.proto, IPV4 | IPV6 | ESP))
}

/// Whether a flow of such packets has two ways for signatures; of other protocols all goes to the
/// server.
fn knows_ways(packet: &Packet<'_>) -> bool {
    !matches!(packet.transport, Transport::None | Transport::Other)
}

/// Whether the payload of a segment is part of a stream: not before both ends agreed to have one,
/// unless the SYN asked for that (RFC 7413), and not in a RST.
fn in_stream(packet: &Packet<'_>, state: FlowState, watch: &Watch) -> bool {
    let Transport::Tcp(tcp) = packet.transport else { return !packet.payload.is_empty() };
    !packet.payload.is_empty() && !tcp.has(Tcp::RST) && (state != FlowState::New || watch.is_early)
}

/// Whether data may come with a SYN, by its option or as that was tried out (RFC 6994).
fn is_early(packet: &Packet<'_>) -> bool {
    let Transport::Tcp(tcp) = packet.transport else { return false };
    tcp.has(Tcp::SYN)
        && !packet.payload.is_empty()
        && tcp.options().any(|option| {
            matches!(
                option,
                TcpOption::FastOpen(_)
                    | TcpOption::Other { kind: 253 | 254, data: [0xf9, 0x89, ..] }
            )
        })
}

fn is_fragment(packet: &Packet<'_>) -> bool {
    packet.ip().is_some_and(|ip| ip.fragment.is_some())
}

/// Why a frame that has no key is on no flow.
fn rest_of(packet: &Packet<'_>) -> &'static str {
    match &packet.network {
        _ if packet.malformed => "malformed",
        Network::Arp(_) => "arp",
        Network::None(_) => "non_ip",
        Network::Ip(ip) if ip.fragment.is_some() => "fragment",
        Network::Ip(_) => "no_transport",
    }
}

/// What a frame is called in the protocol shares while its application is not known.
fn transport_name(packet: &Packet<'_>) -> &'static str {
    match &packet.network {
        Network::Arp(_) => "arp",
        Network::None(_) => "non-ip",
        Network::Ip(ip) => ip.proto.name().unwrap_or("other-ip"),
    }
}
