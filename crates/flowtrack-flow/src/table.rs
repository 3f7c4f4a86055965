//! The flow table of one worker.

use crate::flow::{Class, Cold, Detail, Flow, Hot, IcmpDetail, Side, begin, bits, direction_of};
use crate::index::Index;
use crate::key::{End, Keys, PacketKey, Purpose, Seed};
use crate::latency::{self, Response, micros};
use crate::list::List;
use crate::slab::{Order, Slab, Timers};
use crate::tcp::{self, Flags, Handshake, Seg, Segment, TcpFacts};
use crate::wheel::Wheel;
use crate::zeek::{self, seen};
use crate::{At, Config, Timeouts};
use flowtrack_event::{
    Direction, EndReason, FlowRecord, FlowState, FlowStats, IpProto, TcpState, TcpStats, Timestamp,
};
use flowtrack_wire::{Icmp, Network, Packet, Tcp, Transport};
use std::net::{IpAddr, Ipv4Addr};

/// Place of a flow in its table; another flow may have it later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FlowIndex(pub(crate) u32);

/// What a packet did to its flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// Where the flow is.
    pub index: FlowIndex,
    /// Which way the packet goes.
    pub direction: Direction,
    /// Whether it began the flow.
    pub is_new: bool,
    /// Whether it turned the flow round: what was to the server before is to the client now.
    pub reversed: bool,
    /// State of the flow after it.
    pub state: FlowState,
    /// For TCP, what the segment told. `None` where its checksum is wrong.
    pub tcp: Option<TcpFacts>,
    /// Time since the request that this packet answers (DNS, ICMP echo, first answer of UDP).
    pub response: Option<Response>,
    /// Whether it is an ICMP error that quotes a packet of the flow.
    pub is_icmp_error: bool,
    /// What [`FlowTable::set_tag`] left with the flow; 0 at first.
    pub tag: u16,
}

/// Why a packet that might have a flow has none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unplaced {
    /// An ICMPv4 error; whatever it quotes, it counts on no flow.
    IcmpError,
    /// The table is full, and every flow in it is worth more.
    Full,
}

impl Unplaced {
    /// Its name as a row of the ledger.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IcmpError => "icmp_error",
            Self::Full => "flow_memcap",
        }
    }
}

/// Receives flows that ended, with what the engine kept.
pub type Ended<'a, A> = &'a mut dyn FnMut(FlowRecord, EndReason, A);

/// All flows of one worker. `A` is what the engine keeps with each; eight bytes at best.
///
/// # Limits
/// [`Config::max_flows`] flows; every call does a bounded amount of work.
pub struct FlowTable<A> {
    config: Config,
    keys: Keys,
    index: Index,
    flows: Slab<A>,
    wheel: Wheel,
    classes: Classes,
    /// The flow that was found last.
    last: u32,
    changed: Vec<u32>,
    /// The upper bits of all identifiers of this worker, and the number of the next flow below.
    next_id: u64,
    stats: FlowStats,
    tcp_stats: TcpStats,
}

/// Flows in the order in which they joined their class.
#[derive(Default)]
struct Classes {
    closed: List,
    unconfirmed: List,
    confirmed: List,
}

impl Classes {
    fn of(&mut self, class: Class) -> &mut List {
        match class {
            Class::Closed => &mut self.closed,
            Class::Unconfirmed => &mut self.unconfirmed,
            Class::Confirmed => &mut self.confirmed,
        }
    }
}

/// Bits of a flow identifier that number the flows of one worker.
const SEQUENCE_BITS: u32 = 37;
const SEQUENCE: u64 = (1 << SEQUENCE_BITS) - 1;

const NANOS: i64 = 1_000_000_000;

/// So many flows stay in the caches of a processor by themselves.
const NEAR_FLOWS: usize = 16_384;

/// Established flows that are looked at to find one idle enough to be evicted.
const EVICTION_TRIES: u32 = 8;

impl<A: Default> FlowTable<A> {
    /// An empty table. Identifiers are unique over all workers of a run and below 2^53.
    pub fn new(config: Config, worker: u16, seed: Seed) -> Self {
        Self {
            keys: Keys::new(seed, config.use_vlan, config.use_interface),
            index: Index::new(),
            flows: Slab::new(),
            wheel: Wheel::new(),
            classes: Classes::default(),
            last: 0,
            changed: Vec::new(),
            next_id: u64::from(worker) << SEQUENCE_BITS | 1,
            stats: FlowStats::default(),
            tcp_stats: TcpStats::default(),
            config,
        }
    }

    /// The key of a packet, to be passed to [`FlowTable::update`]; `None` where the packet belongs
    /// to no flow: no IP, a fragment, or a transport header that cannot be read.
    pub fn key(&self, packet: &Packet<'_>, at: &At) -> Option<PacketKey> {
        let mut key = None;
        self.key_into(packet, at, &mut key);
        key
    }

    /// [`FlowTable::key`] into its place, which spares moving it.
    #[inline(never)]
    pub fn key_into(&self, packet: &Packet<'_>, at: &At, key: &mut Option<PacketKey>) {
        self.keys.of(packet, at, key);
    }

    /// Loads the memory that [`FlowTable::update`] will need for the packets of a burst, so that
    /// the loads overlap: a million flows lie far from the processor, and one load after the other
    /// costs five times as much.
    ///
    /// The result is worthless, but has to be used for the loads to happen
    /// (`std::hint::black_box`).
    #[inline]
    pub fn prefetch<'k>(&self, keys: impl Iterator<Item = &'k PacketKey> + Clone) -> u64 {
        if self.flows.len() < NEAR_FLOWS {
            return 0;
        }
        // Buckets first, so that the flows that they name are not waited for one by one.
        let buckets = keys.clone().map(|key| u64::from(self.index.touch(key.hash)));
        let buckets = buckets.fold(0, u64::wrapping_add);
        let flows = keys.map(|key| {
            let hot = self.index.guess(key.hash).and_then(|flow| self.flows.hot(flow));
            hot.map_or(0, |hot| u64::from(hot.bits) ^ hot.low.packets ^ hot.high.packets)
        });
        flows.fold(buckets, u64::wrapping_add)
    }

    /// Takes a packet in: finds or begins its flow and tells what became of it. Flows that end by
    /// it (idle too long, same five-tuple again, evicted) are handed to `ended` first.
    #[inline]
    pub fn update(
        &mut self,
        key: &PacketKey,
        packet: &Packet<'_>,
        at: &At,
        ended: Ended<'_, A>,
    ) -> Result<Seen, Unplaced> {
        let found = self.find(key);
        match key.purpose {
            Purpose::Belong => {}
            Purpose::Quote | Purpose::Note => return self.update_quoted(found, key, packet, at),
        }
        let usable = found.filter(|&flow| !self.end_if_over(flow, key, packet, at, ended));
        let (flow, is_new) = match usable {
            Some(flow) => (flow, false),
            None => (self.begin(key, packet, at, ended).ok_or(Unplaced::Full)?, true),
        };
        if let Transport::Icmp(Icmp { quoted: Some(quoted), .. }) = &packet.transport {
            self.note_icmp6_error(quoted, packet, at);
        }
        let Some((hot, cold)) = self.flows.get_mut(flow) else { return Err(Unplaced::Full) };
        let reversed = !is_new && !at.bad_checksum && reverses(hot, key.sender, packet);
        if reversed {
            turn_round(hot);
        }
        let direction = direction_of(hot, key.sender);
        count(hot, key.sender, packet, at.ts);
        if self.config.track_changes && !hot.has(bits::CHANGED) {
            hot.bits |= bits::CHANGED;
            self.changed.push(flow);
        }
        let (mut facts, mut response) = (None, None);
        match &packet.transport {
            Transport::Tcp(_) | Transport::Udp(_) if at.bad_checksum => {
                if hot.key.proto() == IpProto::TCP {
                    self.tcp_stats.invalid_checksum += 1;
                }
                tcp::note_bad_checksum(hot, cold, key.sender);
            }
            Transport::Tcp(tcp) => {
                let seg = Seg {
                    tcp,
                    sender: key.sender,
                    len: packet.payload_wire_len,
                    now: micros(at.ts),
                    midstream: self.config.midstream,
                };
                let facts = facts.insert(tcp::update(hot, cold, &seg));
                if facts.payload > 0 && !hot.has(bits::ANSWERED) {
                    latency::first_answer(hot, cold, direction, at.ts);
                }
                count_tcp(&mut self.tcp_stats, Flags(tcp.flags), facts);
            }
            _ => {
                let side = hot.side_mut(key.sender);
                side.payload_bytes += u64::from(packet.payload_wire_len);
                if side.letters & seen::DATA == 0 {
                    speak(hot, cold, key.sender);
                }
                if let (Detail::Icmp(detail), Transport::Icmp(icmp), Direction::ToClient) =
                    (&mut cold.detail, &packet.transport, direction)
                {
                    detail.response.get_or_insert((icmp.kind, icmp.code));
                }
                response = latency::response(hot, cold, direction, packet, at.ts);
            }
        }
        let (state, tag) = (hot.state, hot.tag);
        let class = class_of(hot);
        if class != hot.class {
            self.reclass(flow, class, at.ts.secs());
        }
        Ok(Seen {
            index: FlowIndex(flow),
            direction,
            is_new,
            reversed,
            state,
            tcp: facts,
            response,
            is_icmp_error: false,
            tag,
        })
    }

    /// The flow at a place, as long as it is there.
    pub fn get(&self, index: FlowIndex) -> Option<Flow<'_, A>> {
        let (hot, cold) = self.flows.get(index.0)?;
        hot.has(bits::LIVE).then_some(Flow { index, hot, cold })
    }

    /// What the engine keeps with a flow.
    pub fn app_mut(&mut self, index: FlowIndex) -> Option<&mut A> {
        let (hot, cold) = self.flows.get_mut(index.0)?;
        hot.has(bits::LIVE).then_some(&mut cold.app)
    }

    /// Leaves two bytes with a flow that every packet of it brings back as [`Seen::tag`], without
    /// touching more memory than it touches anyway.
    pub fn set_tag(&mut self, index: FlowIndex, tag: u16) {
        if let Some(hot) = self.flows.hot_mut(index.0) {
            hot.tag = tag;
        }
    }

    /// All that is known about a flow.
    pub fn record(&self, index: FlowIndex) -> Option<FlowRecord> {
        self.get(index).map(|flow| flow.record())
    }

    /// Turns a flow round, where its bytes show that the first packet came from the responder.
    pub fn reverse(&mut self, index: FlowIndex) {
        if let Some((hot, _)) = self.flows.get_mut(index.0)
            && hot.has(bits::LIVE)
        {
            turn_round(hot);
        }
    }

    /// Notes in the history that the bytes of one side are looked at no more.
    pub fn note_skipped(&mut self, index: FlowIndex, direction: Direction) {
        if let Some((hot, cold)) = self.flows.get_mut(index.0) {
            let end = match direction {
                Direction::ToServer => hot.client,
                Direction::ToClient => hot.client.other(),
            };
            cold.history.add(b'X', end == hot.zeek_orig);
        }
    }

    /// Ends flows that were idle too long at `now`, looking at `budget` flows and seconds at most.
    pub fn expire(&mut self, now: Timestamp, budget: usize, ended: Ended<'_, A>) {
        let second = now.secs();
        let mut budget = budget;
        while budget > 0
            && let Some(flow) = self.wheel.due(second, &mut budget)
        {
            budget = budget.saturating_sub(1);
            let Some((hot, cold)) = self.flows.get(flow) else { return };
            let due = self.due(hot);
            if due <= second {
                self.end(flow, EndReason::Timeout, ended);
            } else {
                let slot = cold.slot;
                self.rearm(flow, slot, due, second);
            }
        }
    }

    /// Ends all flows, in the order in which they began.
    pub fn drain(&mut self, ended: Ended<'_, A>) {
        let mut all: Vec<(u64, u32)> = self
            .flows
            .numbers()
            .filter_map(|flow| Some((self.flows.get(flow)?.1.id, flow)))
            .collect();
        all.sort_unstable();
        for (_, flow) in all {
            let Some(record) = self.record(FlowIndex(flow)) else { continue };
            let app = self.app_mut(FlowIndex(flow)).map(std::mem::take).unwrap_or_default();
            self.flows.release(flow);
            ended(record, EndReason::Shutdown, app);
        }
        // Nobody has to be taken one by one out of what is empty now.
        self.index.clear();
        self.wheel = Wheel::new();
        self.classes = Classes::default();
    }

    /// Moves the flows that changed since the last call into `changed`, if changes are tracked.
    pub fn take_changed(&mut self, changed: &mut Vec<FlowIndex>) {
        changed.clear();
        for flow in self.changed.drain(..) {
            if let Some(hot) = self.flows.hot_mut(flow) {
                hot.bits &= !bits::CHANGED;
                if hot.has(bits::LIVE) {
                    changed.push(FlowIndex(flow));
                }
            }
        }
    }

    /// All flows now.
    pub fn iter(&self) -> impl Iterator<Item = Flow<'_, A>> {
        self.flows.numbers().filter_map(|flow| self.get(FlowIndex(flow)))
    }

    /// Flows now.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether there is no flow.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Counters of the table.
    pub fn stats(&self) -> FlowStats {
        let memory = self.index.memory() + self.flows.memory() + self.wheel.memory();
        FlowStats {
            active: self.flows.len() as u64,
            memuse: (memory + self.changed.capacity() * size_of::<u32>()) as u64,
            ..self.stats
        }
    }

    /// Counters of TCP.
    pub fn tcp_stats(&self) -> TcpStats {
        self.tcp_stats
    }

    /// Look-ups that had to read more than one bucket of the index.
    pub fn collisions(&self) -> u64 {
        self.index.collisions()
    }

    #[inline]
    fn find(&mut self, key: &PacketKey) -> Option<u32> {
        let flows = &self.flows;
        let is_it =
            |flow| flows.hot(flow).is_some_and(|hot| hot.key == key.key && hot.has(bits::LIVE));
        // Packets of a flow come in rows.
        if is_it(self.last) {
            return Some(self.last);
        }
        self.last = self.index.find(key.hash, is_it)?;
        Some(self.last)
    }

    /// Ends a flow that this packet is too late for, or that it begins anew; says whether it did.
    fn end_if_over(
        &mut self,
        flow: u32,
        key: &PacketKey,
        packet: &Packet<'_>,
        at: &At,
        ended: Ended<'_, A>,
    ) -> bool {
        let Some(hot) = self.flows.hot(flow) else { return true };
        let idle = at.ts.nanos().saturating_sub(hot.end.nanos());
        // Most packets follow within the second.
        let is_late = idle >= NANOS && idle / NANOS >= i64::from(self.idle_time(hot));
        let reason = if is_late {
            EndReason::Timeout
        } else if let Transport::Tcp(tcp) = &packet.transport
            && tcp.flags & (Tcp::SYN | Tcp::ACK) == Tcp::SYN
            && tcp::may_be_reused(hot.tcp)
            && tcp.seq != hot.side(key.sender).isn
            && !at.bad_checksum
        {
            self.stats.tcp_reuse += 1;
            EndReason::TcpReuse
        } else {
            return false;
        };
        self.end(flow, reason, ended);
        true
    }

    /// The second at whose beginning a flow is over for sure, if no packet comes.
    fn due(&self, hot: &Hot) -> i64 {
        hot.end.secs().saturating_add(i64::from(self.idle_time(hot)) + 1)
    }

    /// Seconds that a flow may be idle.
    fn idle_time(&self, hot: &Hot) -> u32 {
        self.timeouts().of(hot.key.proto(), hot.state)
    }

    fn timeouts(&self) -> &Timeouts {
        // Nearly full is above nine tenths.
        if self.flows.len() as u64 * 10 > u64::from(self.config.max_flows) * 9 {
            &self.config.emergency_timeouts
        } else {
            &self.config.timeouts
        }
    }

    /// Begins a flow; `None` where there is no room for it.
    fn begin(
        &mut self,
        key: &PacketKey,
        packet: &Packet<'_>,
        at: &At,
        ended: Ended<'_, A>,
    ) -> Option<u32> {
        if self.flows.len() >= self.config.max_flows as usize && !self.evict(at.ts, ended) {
            self.stats.memcap += 1;
            return None;
        }
        let flow = self.flows.take()?;
        if !self.index.insert(key.hash, flow) {
            self.flows.release(flow);
            self.stats.memcap += 1;
            return None;
        }
        let id = self.next_id;
        self.next_id = id & !SEQUENCE | (id + 1) & SEQUENCE;
        let proto = key.key.proto();
        let mut flags = None;
        let (hot, cold) = self.flows.get_mut(flow)?;
        hot.key = key.key;
        // The slot may still be in the list of changes, for the flow that had it before.
        hot.bits |= bits::LIVE;
        hot.end = at.ts;
        hot.client = key.sender;
        begin(cold, id, at, packet.vlans, packet.macs);
        match &packet.transport {
            Transport::Tcp(tcp) => {
                cold.detail = Detail::Tcp(Handshake::default());
                flags = Some(Flags(tcp.flags));
                if self.config.reverse_syn_ack
                    && !at.bad_checksum
                    && tcp.flags & (Tcp::SYN | Tcp::ACK) == Tcp::SYN | Tcp::ACK
                {
                    hot.client = key.sender.other();
                }
            }
            Transport::Icmp(icmp) => {
                let request = (icmp.kind, icmp.code);
                cold.detail =
                    Detail::Icmp(IcmpDetail { request, id: icmp.id, ..IcmpDetail::default() });
            }
            _ => {}
        }
        let (_, src_port) = key.key.end(key.sender);
        let (dst, dst_port) = key.key.end(key.sender.other());
        let to_broadcast = dst == IpAddr::V4(Ipv4Addr::BROADCAST);
        hot.zeek_orig =
            zeek::originator(proto, flags, (src_port, dst_port), to_broadcast, key.sender);
        if hot.zeek_orig != key.sender {
            cold.history.add_flip();
        }
        let due = self.flows.hot(flow).map_or(0, |hot| self.due(hot));
        let slot = self.wheel.arm(flow, due, at.ts.secs(), &mut Timers(&mut self.flows));
        if let Some((_, cold)) = self.flows.get_mut(flow) {
            cold.slot = slot;
        }
        self.classes.unconfirmed.push(flow, &mut Order(&mut self.flows));
        self.count_begin(proto, flags.filter(|_| !at.bad_checksum));
        Some(flow)
    }

    fn count_begin(&mut self, proto: IpProto, flags: Option<Flags>) {
        self.stats.total += 1;
        let row = match proto {
            IpProto::TCP => &mut self.stats.tcp,
            IpProto::UDP => &mut self.stats.udp,
            IpProto::ICMP => &mut self.stats.icmpv4,
            IpProto::ICMPV6 => &mut self.stats.icmpv6,
            _ => &mut self.stats.other,
        };
        *row += 1;
        if let Some(flags) = flags {
            if flags.syn() && !flags.ack() {
                self.tcp_stats.sessions += 1;
            } else {
                self.tcp_stats.midstream_pickups += 1;
            }
        }
    }

    /// Ends the flow that is least worth keeping: one that is over, else the oldest one-sided one,
    /// else one of those established that is idle for long.
    fn evict(&mut self, now: Timestamp, ended: Ended<'_, A>) -> bool {
        let mut victim = self.classes.closed.first().or_else(|| self.classes.unconfirmed.first());
        if victim.is_none() {
            victim = self.idle_established(now);
            self.stats.evicted_established += u64::from(victim.is_some());
        }
        let Some(victim) = victim else { return false };
        self.stats.evicted += 1;
        self.end(victim, EndReason::Evicted, ended);
        true
    }

    /// An established flow that had no packet for as long as is allowed in an emergency. Those
    /// looked at in vain go to the end of the row.
    fn idle_established(&mut self, now: Timestamp) -> Option<u32> {
        for _ in 0..EVICTION_TRIES {
            let flow = self.classes.confirmed.first()?;
            let hot = self.flows.hot(flow)?;
            let idle = self.config.emergency_timeouts.of(hot.key.proto(), hot.state);
            if now.since(hot.end).as_secs() > u64::from(idle) {
                return Some(flow);
            }
            self.classes.confirmed.remove(flow, &mut Order(&mut self.flows));
            self.classes.confirmed.push(flow, &mut Order(&mut self.flows));
        }
        None
    }

    /// Takes in an ICMPv4 error by the flow that it quotes.
    fn update_quoted(
        &mut self,
        found: Option<u32>,
        key: &PacketKey,
        packet: &Packet<'_>,
        at: &At,
    ) -> Result<Seen, Unplaced> {
        let flow = found.ok_or(Unplaced::IcmpError)?;
        let (hot, cold) = self.flows.get_mut(flow).ok_or(Unplaced::IcmpError)?;
        cold.icmp_errors = cold.icmp_errors.saturating_add(1);
        if self.config.track_changes && !hot.has(bits::CHANGED) {
            hot.bits |= bits::CHANGED;
            self.changed.push(flow);
        }
        if key.purpose == Purpose::Note {
            return Err(Unplaced::IcmpError);
        }
        count(hot, key.sender, packet, at.ts);
        Ok(Seen {
            index: FlowIndex(flow),
            direction: direction_of(hot, key.sender),
            is_new: false,
            reversed: false,
            state: hot.state,
            tcp: None,
            response: None,
            is_icmp_error: true,
            tag: hot.tag,
        })
    }

    /// Notes an ICMPv6 error on the flow that it quotes; it is a flow of its own as well.
    fn note_icmp6_error(&mut self, quoted: &[u8], packet: &Packet<'_>, at: &At) {
        if let Some(key) = self.keys.of_quote(quoted, packet.vlans, at)
            && let Some(flow) = self.find(&key)
            && let Some((_, cold)) = self.flows.get_mut(flow)
        {
            cold.icmp_errors = cold.icmp_errors.saturating_add(1);
        }
    }

    fn reclass(&mut self, flow: u32, class: Class, now: i64) {
        let Some((hot, cold)) = self.flows.get_mut(flow) else { return };
        let old = std::mem::replace(&mut hot.class, class);
        let slot = cold.slot;
        self.classes.of(old).remove(flow, &mut Order(&mut self.flows));
        self.classes.of(class).push(flow, &mut Order(&mut self.flows));
        // Times only grow until the end, which is worth coming back to early.
        if class == Class::Closed {
            let due = self.flows.hot(flow).map_or(0, |hot| self.due(hot));
            self.rearm(flow, slot, due, now);
        }
    }

    fn rearm(&mut self, flow: u32, slot: u16, due: i64, now: i64) {
        self.wheel.disarm(flow, slot, &mut Timers(&mut self.flows));
        let slot = self.wheel.arm(flow, due, now, &mut Timers(&mut self.flows));
        if let Some((_, cold)) = self.flows.get_mut(flow) {
            cold.slot = slot;
        }
    }

    fn end(&mut self, flow: u32, reason: EndReason, ended: Ended<'_, A>) {
        let index = FlowIndex(flow);
        let Some(record) = self.record(index) else { return };
        let Some((hot, cold)) = self.flows.get_mut(flow) else { return };
        let (key, class, slot) = (hot.key, hot.class, cold.slot);
        let app = std::mem::take(&mut cold.app);
        self.index.remove(self.keys.hash(&key), flow);
        self.wheel.disarm(flow, slot, &mut Timers(&mut self.flows));
        self.classes.of(class).remove(flow, &mut Order(&mut self.flows));
        self.flows.release(flow);
        ended(record, reason, app);
    }
}

/// Swaps originator and responder. What was taken for a request was none.
fn turn_round(hot: &mut Hot) {
    hot.client = hot.client.other();
    hot.bits &= !bits::ASKED;
}

/// Counts a packet on the side that sent it.
#[inline]
fn count(hot: &mut Hot, sender: End, packet: &Packet<'_>, now: Timestamp) {
    hot.end = hot.end.max(now);
    let ip_len = match &packet.network {
        Network::Ip(ip) => u64::from(ip.total_len),
        _ => 0,
    };
    let side = hot.side_mut(sender);
    side.packets += 1;
    side.bytes += u64::from(packet.len);
    side.ip_bytes += ip_len;
}

/// Notes that a side of a flow without sessions has spoken.
fn speak<A>(hot: &mut Hot, cold: &mut Cold<A>, sender: End) {
    hot.side_mut(sender).letters |= seen::DATA;
    if hot.key.proto() == IpProto::UDP {
        cold.history.add(b'D', sender == hot.zeek_orig);
    }
    if hot.low.letters & hot.high.letters & seen::DATA != 0 {
        hot.state = FlowState::Established;
    }
}

fn count_tcp(stats: &mut TcpStats, flags: Flags, facts: &TcpFacts) {
    if flags.syn() {
        let row = if flags.ack() { &mut stats.synack } else { &mut stats.syn };
        *row += 1;
    }
    stats.rst += u64::from(flags.rst());
    match facts.segment {
        Segment::Retransmission => stats.retransmissions += 1,
        Segment::OutOfOrder => stats.out_of_order += 1,
        _ => {}
    }
}

/// Whether a packet shows that its sender began the flow after all: it opens a session, where
/// nothing before did.
fn reverses(hot: &Hot, sender: End, packet: &Packet<'_>) -> bool {
    match &packet.transport {
        Transport::Tcp(tcp) => {
            sender != hot.client
                && hot.tcp == TcpState::None
                && tcp.flags & (Tcp::SYN | Tcp::ACK | Tcp::RST | Tcp::FIN) == Tcp::SYN
                && hot.side(hot.client).flags & Tcp::SYN == 0
        }
        _ => false,
    }
}

fn class_of(hot: &Hot) -> Class {
    // Picked up in the middle, a session is as good as established when it comes to keeping it.
    let takes_part = |side: &Side| side.letters & (seen::DATA | seen::ACK) != 0;
    match hot.state {
        FlowState::Closed => Class::Closed,
        FlowState::Established => Class::Confirmed,
        FlowState::New if takes_part(&hot.low) && takes_part(&hot.high) => Class::Confirmed,
        FlowState::New => Class::Unconfirmed,
    }
}
