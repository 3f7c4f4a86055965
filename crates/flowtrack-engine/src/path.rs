//! What happens to a burst of packets.

use crate::apps::{Apps, Place, Slot};
use crate::{Output, Shard, Tell};
use flowtrack_event::{
    Anomaly, AnomalyLayer, DecoderStats, EndReason, Event, FlowEvent, FlowId, FlowPhase,
    FlowRecord, LedgerRow, RawPacket, Stats, Timestamp, TunnelKind,
};
use flowtrack_flow::{At, Defrag, FlowIndex, FlowTable, PacketKey, Rates, Seen, Unplaced};
use flowtrack_wire::{
    DecodeAnomaly, Network, Packet, Transport, checksum_ok, decode_inner, decode_into,
    decode_reassembled, preload,
};

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
    pub(crate) rates: Option<Rates>,
    pub(crate) stats: Stats,
    pub(crate) shard: Option<Shard>,
    pub(crate) verify_checksums: bool,
    pub(crate) tell: Tell,
    /// Flows that ended and are not told yet.
    pub(crate) ended: Vec<(FlowRecord, EndReason, Slot)>,
}

/// What is around a packet that is followed inward.
#[derive(Clone, Copy)]
struct Around {
    /// The flow of the packet.
    parent: Option<FlowId>,
    /// The flow whose tunnel carries the packet, and how.
    own: Option<FlowId>,
    tunnel: Option<TunnelKind>,
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
            for ((raw, packet), key) in raws.iter().zip(&mut packets).zip(&mut keys) {
                if !self.decode(raw, packet) {
                    continue;
                }
                let at = self.at(raw, packet);
                *key = Some(self.table.key(packet, &at).map(|key| (key, at)));
            }
            let wanted = keys.iter().flatten().flatten().map(|(key, _)| key);
            std::hint::black_box(self.table.prefetch(wanted));
            for ((raw, packet), key) in raws.iter().zip(&packets).zip(keys) {
                if let Some(key) = key {
                    self.frame(raw, packet, key, out);
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

    #[inline]
    fn at(&mut self, raw: &RawPacket<'_>, packet: &Packet<'_>) -> At {
        let bad_checksum = self.verify_checksums && !checksum_ok(packet);
        self.stats.tcp.invalid_checksum +=
            u64::from(bad_checksum && matches!(packet.transport, Transport::Tcp(_)));
        At { ts: raw.ts, iface: raw.iface, bad_checksum, ..At::default() }
    }

    /// A frame is on exactly one flow, or in exactly one rest.
    #[inline]
    fn frame(
        &mut self,
        raw: &RawPacket<'_>,
        packet: &Packet<'_>,
        key: Option<(PacketKey, At)>,
        out: &mut Output,
    ) {
        let row = LedgerRow { packets: 1, bytes: u64::from(packet.len) };
        self.stats.ledger.seen.merge(&row);
        if let Some(rates) = &mut self.rates
            && let Some(second) = rates.advance(raw.ts)
        {
            out.events.push(Event::Second(Box::new(second)));
        }
        let place = Place { ts: raw.ts, number: raw.number };
        let placed = match key {
            Some((key, at)) if !at.bad_checksum => self.on_flow(&key, packet, &at, place, out),
            Some(_) => Err("invalid_checksum"),
            None => Err(rest_of(packet)),
        };
        match placed {
            Ok(_) => self.stats.ledger.on_flows.merge(&row),
            Err(rest) => self.stats.ledger.rest.entry(rest).or_default().merge(&row),
        }
        if let Some(rates) = &mut self.rates {
            let protocol = match &placed {
                Ok(seen) => self
                    .table
                    .get(seen.index)
                    .and_then(|flow| flow.app().as_ref()?.protocol())
                    .map_or_else(|| transport_name(packet), |app| app.name()),
                Err(_) => transport_name(packet),
            };
            rates.frame(protocol, packet.len);
        }
        if !packet.anomalies.is_empty() {
            self.anomalies(&packet.anomalies, place, out);
        }
        if packet.inner.is_some() || is_fragment(packet) {
            let parent = placed.ok().and_then(|seen| self.id_of(seen.index));
            let around = Around { parent, own: None, tunnel: None, levels: 0, tunnels: 0 };
            self.inward(raw, packet, around, out);
        }
    }

    /// Puts a packet on its flow.
    #[inline]
    fn on_flow(
        &mut self,
        key: &PacketKey,
        packet: &Packet<'_>,
        at: &At,
        place: Place,
        out: &mut Output,
    ) -> Result<Seen, &'static str> {
        let ended = &mut self.ended;
        let seen = self.table.update(key, packet, at, &mut |record, reason, slot| {
            ended.push((record, reason, slot));
        });
        if !self.ended.is_empty() {
            self.tell_ended(place, out);
        }
        let seen = seen.map_err(Unplaced::name)?;
        if seen.is_new {
            self.begun(&seen, place, out);
        }
        if let Some(rates) = &mut self.rates {
            if let Some(facts) = &seen.tcp {
                rates.tcp(facts);
            }
            if let Some(response) = seen.response {
                rates.response(response);
            }
        }
        if self.apps.wants(packet) {
            self.application(packet, &seen, place, out);
        }
        Ok(seen)
    }

    fn begun(&mut self, seen: &Seen, place: Place, out: &mut Output) {
        if let Some(rates) = &mut self.rates {
            rates.flow_began();
        }
        if self.tell.starts
            && let Some(record) = self.record(seen.index)
        {
            let event = FlowEvent { ts: place.ts, phase: FlowPhase::Start, record };
            out.events.push(Event::Flow(Box::new(event)));
        }
    }

    fn application(&mut self, packet: &Packet<'_>, seen: &Seen, place: Place, out: &mut Output) {
        let Self { table, apps, .. } = self;
        let begins = match table.get(seen.index) {
            Some(flow) if flow.app().is_none() => {
                if packet.payload.is_empty() {
                    return;
                }
                let announced = apps.announced(place.ts, &flow.key());
                Some(Box::new(apps.begin(&flow, announced)))
            }
            _ => None,
        };
        let Some(slot) = table.app_mut(seen.index) else { return };
        if begins.is_some() {
            *slot = begins;
        }
        if let Some(side) = slot
            && apps.packet(side, packet, seen, place, out)
        {
            table.reverse(seen.index);
        }
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
        around: Around,
        out: &mut Output,
    ) {
        if around.levels >= MAX_LEVELS {
            self.stats.decoder.too_many_layers += 1;
            return;
        }
        let place = Place { ts: raw.ts, number: raw.number };
        if is_fragment(packet) {
            let whole = self.defrag.insert(raw.ts, raw.iface, packet, &mut self.stats.defrag);
            let noticed = self.defrag.noticed();
            self.anomalies(&noticed, place, out);
            if let Some(whole) = whole {
                let link_len = whole.link_len();
                let decoder = &mut self.stats.decoder;
                let packet =
                    decode_reassembled(whole.data(), link_len, packet.macs, packet.vlans, decoder);
                let at = At {
                    parent: around.own,
                    tunnel: around.tunnel,
                    depth: around.tunnels,
                    ..self.at(raw, &packet)
                };
                self.level(raw, &packet, at, around, out);
                self.defrag.recycle(whole);
            }
        } else if let Some(inner) = packet.inner {
            let packet = decode_inner(&inner, packet.vlans, &mut self.stats.decoder);
            let around = Around {
                own: around.parent,
                tunnel: Some(inner.tunnel),
                tunnels: around.tunnels + 1,
                ..around
            };
            let at = At {
                parent: around.own,
                tunnel: around.tunnel,
                depth: around.tunnels,
                ..self.at(raw, &packet)
            };
            self.level(raw, &packet, at, around, out);
        }
    }

    /// Puts one level on its flow and goes on inward.
    fn level(
        &mut self,
        raw: &RawPacket<'_>,
        packet: &Packet<'_>,
        at: At,
        around: Around,
        out: &mut Output,
    ) {
        let place = Place { ts: raw.ts, number: raw.number };
        let flow = self.synthetic(packet, &at, place, out);
        if packet.inner.is_some() || is_fragment(packet) {
            let parent = flow.and_then(|index| self.id_of(index)).or(around.parent);
            let around = Around { parent, levels: around.levels + 1, ..around };
            self.inward(raw, packet, around, out);
        }
    }

    /// Puts a packet that is no frame of its own on its flow.
    fn synthetic(
        &mut self,
        packet: &Packet<'_>,
        at: &At,
        place: Place,
        out: &mut Output,
    ) -> Option<FlowIndex> {
        self.anomalies(&packet.anomalies, place, out);
        let key = self.table.key(packet, at).filter(|_| !at.bad_checksum)?;
        let seen = self.on_flow(&key, packet, at, place, out).ok()?;
        let row = LedgerRow { packets: 1, bytes: u64::from(packet.len) };
        self.stats.ledger.synthetic.merge(&row);
        Some(seen.index)
    }

    fn id_of(&self, flow: FlowIndex) -> Option<FlowId> {
        self.table.get(flow).map(|flow| flow.id())
    }

    pub(crate) fn expire(&mut self, now: Timestamp, out: &mut Output) {
        let ended = &mut self.ended;
        self.table.expire(now, EXPIRE_BUDGET, &mut |record, reason, slot| {
            ended.push((record, reason, slot));
        });
        self.defrag.expire(now, &mut self.stats.defrag);
        if !self.ended.is_empty() {
            self.tell_ended(Place { ts: now, number: 0 }, out);
        }
    }

    pub(crate) fn end_flows(&mut self, now: Timestamp, out: &mut Output) {
        let ended = &mut self.ended;
        // What was idle too long ended by that, however far the bounded work had come.
        self.table.expire(now, usize::MAX, &mut |record, reason, slot| {
            ended.push((record, reason, slot));
        });
        self.table.drain(&mut |record, reason, slot| ended.push((record, reason, slot)));
        self.tell_ended(Place { ts: now, number: 0 }, out);
    }

    pub(crate) fn finish(&mut self, now: Timestamp, out: &mut Output) {
        self.end_flows(now, out);
        if let Some(second) = self.rates.as_mut().and_then(Rates::finish) {
            out.events.push(Event::Second(Box::new(second)));
        }
    }

    fn tell_ended(&mut self, place: Place, out: &mut Output) {
        let mut ended = std::mem::take(&mut self.ended);
        for (mut record, reason, slot) in ended.drain(..) {
            self.apps.end(slot, &mut record, place, &mut self.stats, out);
            if let Some(rates) = &mut self.rates {
                rates.flow_ended();
            }
            if self.tell.ends {
                let event = FlowEvent { ts: place.ts, phase: FlowPhase::End(reason), record };
                out.events.push(Event::Flow(Box::new(event)));
            }
        }
        self.ended = ended;
    }

    /// All that is known about a flow that goes on.
    pub(crate) fn record(&self, index: FlowIndex) -> Option<FlowRecord> {
        let flow = self.table.get(index)?;
        let mut record = flow.record();
        if let Some(side) = flow.app() {
            side.complete(&mut record);
        }
        Some(record)
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.stats.clone();
        let invalid_checksum = stats.tcp.invalid_checksum;
        stats.flow = self.table.stats();
        stats.tcp = self.table.tcp_stats();
        stats.tcp.invalid_checksum = invalid_checksum;
        self.apps.add_to(&mut stats.tcp);
        stats
    }
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
