//! What hosts do per second, in bounded memory.
//!
//! Packets cost nothing here: the flow table counts them anyway and remembers which flows changed.
//! When a second is over, each flow that changed or ended in it adds what it grew by to its
//! originator and its responder, and flows that began in the second before are judged: completed,
//! refused, unanswered, half open.

use crate::apps::Slot;
use ahash::RandomState;
use flowtrack_event::{
    Activity, Direction, EndReason, Failure, FlowId, FlowKey, FlowRecord, FlowState, FromPort,
    IpProto, Outcomes, PeerActivity, Probe, ProbeKind, ServiceActivity, SourceActivity,
    TargetActivity, Timestamp,
};
use flowtrack_flow::{Flow, FlowIndex, FlowTable};
use flowtrack_wire::Tcp;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;

/// Sources and targets that are counted in a second, each.
const MAX_HOSTS: usize = 4_096;
/// Sources and targets that are told of a second, each; the most striking ones.
const MAX_TOLD: usize = 512;
/// Flows that wait for their outcome; beyond, it is only counted how they began.
const MAX_WAITING: usize = 262_144;
/// Hosts that are looked at to find one that is worth less than a new one.
const TRIES: usize = 8;
/// Seconds by which a packet may be late without time starting over.
const MAX_LATE: i64 = 10;
/// Packets of a second that count as not answered where the session was not seen to begin.
const MAX_HALF_SEEN: u64 = 4;
/// Nanoseconds after which nobody waits for an answer any more.
const PATIENCE: i64 = 1_000_000_000;

/// Counts what hosts do in one second.
pub(crate) struct Meters {
    /// The second that is counted; none before the first packet.
    second: Option<i64>,
    known: Vec<Known>,
    free: Vec<u32>,
    /// Flows that began in this second, and in the one before.
    fresh: Vec<(FlowIndex, FlowId)>,
    waiting: Vec<(FlowIndex, FlowId)>,
    sources: Hosts<SourceActivity>,
    targets: Hosts<TargetActivity>,
    all: Activity,
}

/// Place of what is known of a flow, one more than its number; 0 for nothing yet.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct MeterId(u32);

/// What was counted of a flow.
#[derive(Clone, Copy, Default, Debug)]
struct Known {
    packets: [u64; 2],
    bytes: [u64; 2],
    /// Its handshake completed, or its responder answered.
    completed: bool,
    /// Its originator is not spoofed.
    proved: bool,
    /// It came to nothing, and that was said.
    failed: bool,
    /// It ended without payload, and that was said.
    empty: bool,
}

/// What is to know of a flow, wherever it is kept.
struct Look {
    id: FlowId,
    key: FlowKey,
    packets: [u64; 2],
    bytes: [u64; 2],
    payload: [u64; 2],
    flags: [u8; 2],
    state: FlowState,
    icmp_errors: u16,
    /// Its originator is not spoofed.
    proved: bool,
}

/// How much time a flow had to be answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Judged {
    /// Not enough to say that nobody answers.
    Early,
    /// Enough.
    Now,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self {
            second: None,
            known: Vec::new(),
            free: Vec::new(),
            fresh: Vec::new(),
            waiting: Vec::new(),
            sources: Hosts::default(),
            targets: Hosts::default(),
            all: Activity::default(),
        }
    }

    /// Whether a packet of this time belongs to another second.
    #[inline]
    pub(crate) fn is_over(&self, ts: Timestamp) -> bool {
        let now = ts.secs();
        self.second.is_none_or(|second| now > second || now < second - MAX_LATE)
    }

    /// Ends the second: counts the flows that changed in it and judges those of the one before.
    pub(crate) fn turn(
        &mut self,
        now: Timestamp,
        changed: &[FlowIndex],
        table: &mut FlowTable<Slot>,
    ) -> Option<Activity> {
        let before = self.second.replace(now.secs());
        for &index in changed {
            let Some(look) = table.get(index).map(|flow| Look::of(&flow)) else { continue };
            let Some(slot) = table.app_mut(index) else { continue };
            let (place, is_new) = self.place(&mut slot.meter);
            self.count(&look, place, is_new);
            // A refusal is known at once.
            self.judge(&look, place, Judged::Early);
            if is_new && self.fresh.len() < MAX_WAITING {
                self.fresh.push((index, look.id));
            }
        }
        let mut due = std::mem::take(&mut self.waiting);
        for (index, id) in due.drain(..) {
            let Some(flow) = table.get(index).filter(|flow| flow.id() == id) else { continue };
            if let Some(place) = flow.app().meter.place() {
                self.judge(&Look::of(&flow), place, Judged::Now);
            }
        }
        self.waiting = std::mem::replace(&mut self.fresh, due);
        self.take(before?)
    }

    /// Counts a flow that ended, and forgets it.
    pub(crate) fn ended(&mut self, record: &FlowRecord, reason: EndReason, mut id: MeterId) {
        let look = Look::of_record(record);
        let (place, is_new) = self.place(&mut id);
        self.count(&look, place, is_new);
        let waited = record.end.nanos().saturating_sub(record.start.nanos()) >= PATIENCE;
        let judged = match reason {
            EndReason::Shutdown | EndReason::TcpReuse if !waited => Judged::Early,
            _ => Judged::Now,
        };
        self.judge(&look, place, judged);
        if let Some(known) = self.known.get_mut(place as usize) {
            *known = Known::default();
        }
        self.free.push(place);
    }

    /// What was counted and not told.
    pub(crate) fn finish(&mut self) -> Option<Activity> {
        let second = self.second.take()?;
        self.fresh.clear();
        self.waiting.clear();
        self.take(second)
    }

    fn place(&mut self, id: &mut MeterId) -> (u32, bool) {
        if let Some(place) = id.place() {
            return (place, false);
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.known.push(Known::default());
            self.known.len() as u32 - 1
        });
        *id = MeterId(place + 1);
        (place, true)
    }

    fn take(&mut self, second: i64) -> Option<Activity> {
        let mut activity = std::mem::take(&mut self.all);
        activity.at = Timestamp::from_secs(second);
        activity.left_out = self.sources.take_left_out() + self.targets.take_left_out();
        activity.sources = self.sources.take(weight_of_source);
        activity.targets = self.targets.take(weight_of_target);
        let is_empty = activity.sources.is_empty() && activity.targets.is_empty();
        (!is_empty).then_some(activity)
    }

    /// Adds what a flow grew by.
    fn count(&mut self, look: &Look, place: u32, is_new: bool) {
        let Some(known) = self.known.get_mut(place as usize) else { return };
        let packets = grown(look.packets, known.packets);
        let bytes = grown(look.bytes, known.bytes);
        (known.packets, known.bytes) = (look.packets, look.bytes);
        let completes = !known.completed && look.is_completed();
        known.completed |= completes;
        let completed = known.completed;
        let proves = completed && !known.proved && look.proved;
        known.proved |= proves;
        let empties = known.proved && !known.empty && look.is_empty_session();
        known.empty |= empties;
        if packets == [0, 0] && !completes && !proves && !empties {
            return;
        }
        self.all.packets += packets[0] + packets[1];
        self.all.bytes += bytes[0] + bytes[1];
        self.all.begun += u64::from(is_new);
        if look.is_unasked_answer() {
            self.count_unasked_answer(look, packets, bytes);
            return;
        }
        let outcomes = Outcomes {
            begun: u64::from(is_new),
            completed: u64::from(completes),
            proved: u64::from(proves),
            empty: u64::from(empties),
            syns: match look.flags[0] {
                Tcp::SYN if !completed => packets[0],
                flags if flags & Tcp::SYN != 0 => u64::from(is_new),
                _ => 0,
            },
            ..Outcomes::default()
        };
        let key = &look.key;
        let weight = packets[0] + packets[1];
        // Of a session whose beginning or other direction was not captured, one cannot say that it
        // is not answered.
        let is_half_seen = key.proto == IpProto::TCP && look.flags[0] & Tcp::SYN == 0;
        let one_way = match key.proto {
            // Each direction has a flow of its own.
            IpProto::ESP | IpProto::AH => 0,
            _ if is_half_seen => packets[0].min(MAX_HALF_SEEN),
            _ => packets[0],
        };
        if let Some(source) = self.sources.get(key.src, weight, weight_of_source) {
            source.outcomes.merge(&outcomes);
            source.volume.packets_out += packets[0];
            source.volume.bytes_out += bytes[0];
            source.volume.packets_in += packets[1];
            source.volume.bytes_in += bytes[1];
            if !completed && is_one_host(key.dst) {
                source.one_way += one_way;
            }
            if is_new && key.is_icmp() && look.kind() == Some(ProbeKind::Icmp) {
                source.pinged.insert(&key.dst);
            }
            if is_new || completes || proves || empties {
                if let Some(peer) = peer_of(source, key) {
                    peer.outcomes.merge(&outcomes);
                }
                some(&mut source.flows, look.id, SourceActivity::FLOWS);
            }
        }
        if !is_one_host(key.dst) {
            return;
        }
        if let Some(target) = self.targets.get(key.dst, weight, weight_of_target) {
            target.outcomes.merge(&outcomes);
            target.volume.packets_in += packets[0];
            target.volume.bytes_in += bytes[0];
            target.volume.packets_out += packets[1];
            target.volume.bytes_out += bytes[1];
            if let Some(row) = target.by_proto.get_mut(proto_row(key.proto)) {
                *row += packets[0];
            }
            if packets[0] > 0 {
                target.sources.insert(&key.src);
                some(&mut target.some_sources, key.src, TargetActivity::SOURCES);
                some(&mut target.flows, look.id, TargetActivity::FLOWS);
            }
            if let Some(service) = service_of(target, key) {
                service.outcomes.merge(&outcomes);
                if is_new {
                    service.sources.insert(&key.src);
                }
            }
            if !completed {
                target.one_way += one_way;
                target.one_way_bytes += bytes[0];
                if key.proto == IpProto::UDP && is_reflector(key.src_port) {
                    from(target, key.src_port, key.proto, key.src, packets[0], bytes[0]);
                }
            }
        }
    }

    /// An answer to a SYN that its receiver never sent counts for the receiver alone.
    fn count_unasked_answer(&mut self, look: &Look, packets: [u64; 2], bytes: [u64; 2]) {
        let key = &look.key;
        if let Some(target) = self.targets.get(key.src, packets[1], weight_of_target) {
            target.volume.packets_in += packets[1];
            target.volume.bytes_in += bytes[1];
            target.volume.packets_out += packets[0];
            target.volume.bytes_out += bytes[0];
            target.one_way += packets[1];
            target.one_way_bytes += bytes[1];
            if let Some(row) = target.by_proto.get_mut(proto_row(key.proto)) {
                *row += packets[1];
            }
            target.sources.insert(&key.dst);
            some(&mut target.some_sources, key.dst, TargetActivity::SOURCES);
            some(&mut target.flows, look.id, TargetActivity::FLOWS);
            from(target, key.dst_port, key.proto, key.dst, packets[1], bytes[1]);
        }
    }

    /// Says what came of a flow, if that is known and was not said.
    fn judge(&mut self, look: &Look, place: u32, judged: Judged) {
        let Some(known) = self.known.get_mut(place as usize) else { return };
        if known.completed || known.failed {
            return;
        }
        let Some((kind, failure)) = look.failure(judged) else { return };
        if !is_one_host(look.key.dst) && kind != ProbeKind::Solicitation {
            return;
        }
        known.failed = true;
        let mut outcomes = Outcomes::default();
        match failure {
            Failure::Refused => outcomes.refused = 1,
            Failure::Unanswered => outcomes.unanswered = 1,
            Failure::HalfOpen => outcomes.half_open = 1,
        }
        let key = &look.key;
        if let Some(source) = self.sources.get(key.src, 1, weight_of_source) {
            source.outcomes.merge(&outcomes);
            source.failed_targets.insert(&(key.dst, port_of(key)));
            let probe = Probe { target: key.dst, port: port_of(key), kind, failure, flow: look.id };
            if source.probes.len() < SourceActivity::PROBES {
                source.probes.push(probe);
            }
            if let Some(peer) = peer_of(source, key) {
                peer.outcomes.merge(&outcomes);
            }
        }
        if let Some(target) = self.targets.get(key.dst, 1, weight_of_target) {
            target.outcomes.merge(&outcomes);
            target.failed_sources.insert(&key.src);
            target.failed_ports.insert(&(port_of(key), key.proto.0));
            if let Some(service) = service_of(target, key) {
                service.outcomes.merge(&outcomes);
            }
        }
    }
}

/// The port of the responder; 0 where the protocol has none.
const fn port_of(key: &FlowKey) -> u16 {
    if key.has_ports() { key.dst_port } else { 0 }
}

impl MeterId {
    const fn place(self) -> Option<u32> {
        self.0.checked_sub(1)
    }
}

impl Look {
    fn of(flow: &Flow<'_, Slot>) -> Self {
        let ways = [Direction::ToServer, Direction::ToClient];
        Self {
            id: flow.id(),
            key: flow.key(),
            packets: ways.map(|way| flow.packets(way)),
            bytes: ways.map(|way| flow.bytes(way)),
            payload: ways.map(|way| flow.payload_bytes(way)),
            flags: ways.map(|way| flow.flags(way)),
            state: flow.state(),
            icmp_errors: flow.icmp_errors(),
            proved: flow.originator_is_proved(),
        }
    }

    fn of_record(record: &FlowRecord) -> Self {
        let sides = [&record.to_server, &record.to_client];
        let tcp = record.tcp.unwrap_or_default();
        Self {
            id: record.id,
            key: record.key,
            packets: sides.map(|side| side.packets),
            bytes: sides.map(|side| side.bytes),
            payload: sides.map(|side| side.payload_bytes),
            flags: [tcp.flags_to_server, tcp.flags_to_client],
            state: record.state,
            icmp_errors: 0,
            // A record does not tell; a flow stays for a while, and was looked at before it ended.
            proved: false,
        }
    }

    /// Whether the responder takes part: a TCP handshake completed or both sides talk in the
    /// middle of one, or anything else was answered.
    fn is_completed(&self) -> bool {
        let [client, server] = self.flags;
        match self.key.proto {
            IpProto::TCP if server & Tcp::SYN != 0 => client & Tcp::ACK != 0,
            IpProto::TCP => {
                client & Tcp::ACK != 0 && server & Tcp::ACK != 0 && server & Tcp::RST == 0
            }
            _ => self.state != FlowState::New,
        }
    }

    /// Whether it is a session that is over and carried nothing.
    fn is_empty_session(&self) -> bool {
        self.key.proto == IpProto::TCP
            && self.state == FlowState::Closed
            && self.payload == [0, 0]
            && self.flags[0] & Tcp::SYN != 0
    }

    /// Whether it is a SYN-ACK that nobody asked for.
    fn is_unasked_answer(&self) -> bool {
        let [client, server] = self.flags;
        self.key.proto == IpProto::TCP
            && client & Tcp::SYN == 0
            && server & (Tcp::SYN | Tcp::ACK) == Tcp::SYN | Tcp::ACK
            && self.payload == [0, 0]
    }

    /// How it was asked and what came of it, where it came to nothing; `None` too where nothing was
    /// asked.
    fn failure(&self, judged: Judged) -> Option<(ProbeKind, Failure)> {
        let kind = self.kind()?;
        let server = self.flags[1];
        if self.key.proto == IpProto::TCP && server != 0 {
            return if server & Tcp::SYN != 0 {
                let is_told = judged == Judged::Now || self.flags[0] & Tcp::RST != 0;
                is_told.then_some((kind, Failure::HalfOpen))
            } else if server & Tcp::RST != 0 {
                Some((kind, Failure::Refused))
            } else {
                None
            };
        }
        if self.icmp_errors > 0 {
            return Some((kind, Failure::Refused));
        }
        (judged == Judged::Now).then_some((kind, Failure::Unanswered))
    }

    /// How it asks whether something is there; `None` where it does not ask.
    fn kind(&self) -> Option<ProbeKind> {
        let client = self.flags[0];
        Some(match self.key.proto {
            // What goes on from before the capture asks nothing, nor does what carries data.
            IpProto::TCP if client & Tcp::SYN != 0 => ProbeKind::Syn,
            IpProto::TCP if self.payload != [0, 0] || self.packets[0] > 3 => return None,
            IpProto::TCP => match client & !(Tcp::ECE | Tcp::CWR) {
                0 => ProbeKind::Null,
                Tcp::FIN => ProbeKind::Fin,
                Tcp::ACK => ProbeKind::Ack,
                flags if flags == Tcp::FIN | Tcp::PSH | Tcp::URG => ProbeKind::Xmas,
                _ => return None,
            },
            // From a service to a client, it is a late answer or one that was not asked for.
            IpProto::UDP if is_reflector(self.key.src_port) && self.key.dst_port >= 1_024 => {
                return None;
            }
            IpProto::UDP => ProbeKind::Udp,
            IpProto::ICMP => match self.key.icmp_type() {
                8 | 13 | 15 | 17 => ProbeKind::Icmp,
                _ => return None,
            },
            IpProto::ICMPV6 => match self.key.icmp_type() {
                128 => ProbeKind::Icmp,
                135 => ProbeKind::Solicitation,
                _ => return None,
            },
            IpProto::IGMP | IpProto::ESP | IpProto::AH => return None,
            _ => ProbeKind::Other,
        })
    }
}

/// Hosts of one second, so many at most.
struct Hosts<T> {
    index: HashMap<IpAddr, u32, RandomState>,
    list: Vec<T>,
    hand: usize,
    left_out: u64,
}

impl<T> Default for Hosts<T> {
    fn default() -> Self {
        Self { index: HashMap::default(), list: Vec::new(), hand: 0, left_out: 0 }
    }
}

impl<T: Host> Hosts<T> {
    /// What is counted of a host. Where there is no room, the lightest of a few makes it, if it
    /// weighs less than the new one.
    fn get(&mut self, addr: IpAddr, weight: u64, weigh: fn(&T) -> u64) -> Option<&mut T> {
        if let Some(&at) = self.index.get(&addr) {
            return self.list.get_mut(at as usize);
        }
        if self.list.len() < MAX_HOSTS {
            self.index.insert(addr, self.list.len() as u32);
            self.list.push(T::new(addr));
            return self.list.last_mut();
        }
        self.left_out += 1;
        if weight <= 1 {
            // Nothing here is lighter; a flood of sources is made of these.
            return None;
        }
        let (at, lightest) = (0..TRIES)
            .filter_map(|n| {
                let at = (self.hand + n) % MAX_HOSTS;
                Some((at, weigh(self.list.get(at)?)))
            })
            .min_by_key(|&(_, weight)| weight)?;
        self.hand = (self.hand + TRIES) % MAX_HOSTS;
        if lightest >= weight {
            return None;
        }
        let host = self.list.get_mut(at)?;
        self.index.remove(&host.addr());
        self.index.insert(addr, at as u32);
        *host = T::new(addr);
        Some(host)
    }

    /// The weightiest hosts; none is left.
    fn take(&mut self, weigh: fn(&T) -> u64) -> Vec<T> {
        self.index.clear();
        let mut hosts = std::mem::take(&mut self.list);
        if hosts.len() > MAX_TOLD {
            hosts.select_nth_unstable_by_key(MAX_TOLD, |host| Reverse(weigh(host)));
            self.left_out += (hosts.len() - MAX_TOLD) as u64;
            hosts.truncate(MAX_TOLD);
        }
        hosts
    }

    fn take_left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }
}

trait Host {
    fn new(addr: IpAddr) -> Self;
    fn addr(&self) -> IpAddr;
}

impl Host for SourceActivity {
    fn new(addr: IpAddr) -> Self {
        Self::new(addr)
    }

    fn addr(&self) -> IpAddr {
        self.addr
    }
}

impl Host for TargetActivity {
    fn new(addr: IpAddr) -> Self {
        Self::new(addr)
    }

    fn addr(&self) -> IpAddr {
        self.addr
    }
}

/// How striking a source is: what came to nothing says more than what went well.
fn weight_of_source(source: &SourceActivity) -> u64 {
    let volume = source.volume.packets_out + source.volume.packets_in;
    volume / 16 + source.one_way + source.outcomes.begun * 2 + source.outcomes.failed() * 4
}

fn weight_of_target(target: &TargetActivity) -> u64 {
    let volume = target.volume.packets_out + target.volume.packets_in;
    volume / 16 + target.one_way + target.outcomes.begun * 2 + target.outcomes.failed() * 4
}

fn peer_of<'a>(source: &'a mut SourceActivity, key: &FlowKey) -> Option<&'a mut PeerActivity> {
    let port = port_of(key);
    let is_it = |p: &PeerActivity| p.target == key.dst && p.port == port && p.proto == key.proto;
    let peers = &mut source.peers;
    let at = match peers.iter().position(is_it) {
        Some(at) => at,
        None if peers.len() < SourceActivity::PEERS => {
            let outcomes = Outcomes::default();
            peers.push(PeerActivity { target: key.dst, port, proto: key.proto, outcomes });
            peers.len() - 1
        }
        None => return None,
    };
    peers.get_mut(at)
}

fn service_of<'a>(
    target: &'a mut TargetActivity,
    key: &FlowKey,
) -> Option<&'a mut ServiceActivity> {
    let port = port_of(key);
    let services = &mut target.services;
    let at = match services.iter().position(|s| s.port == port && s.proto == key.proto) {
        Some(at) => at,
        None if services.len() < TargetActivity::SERVICES => {
            let (outcomes, sources) = Default::default();
            services.push(ServiceActivity { port, proto: key.proto, outcomes, sources });
            services.len() - 1
        }
        None => return None,
    };
    services.get_mut(at)
}

fn from(
    target: &mut TargetActivity,
    port: u16,
    proto: IpProto,
    sender: IpAddr,
    packets: u64,
    bytes: u64,
) {
    let ports = &mut target.from_ports;
    let at = match ports.iter().position(|from| from.port == port && from.proto == proto) {
        Some(at) => at,
        None if ports.len() < TargetActivity::FROM_PORTS => {
            let (packets, bytes, senders) = Default::default();
            ports.push(FromPort { port, proto, packets, bytes, senders });
            ports.len() - 1
        }
        None => return,
    };
    if let Some(from) = ports.get_mut(at) {
        from.packets += packets;
        from.bytes += bytes;
        from.senders.insert(&sender);
    }
}

fn some<T: PartialEq>(list: &mut Vec<T>, item: T, most: usize) {
    if list.len() < most && !list.contains(&item) {
        list.push(item);
    }
}

fn grown(now: [u64; 2], before: [u64; 2]) -> [u64; 2] {
    // A flow that was turned round has its sides swapped, once.
    [now[0].saturating_sub(before[0]), now[1].saturating_sub(before[1])]
}

const fn proto_row(proto: IpProto) -> usize {
    match proto {
        IpProto::TCP => 0,
        IpProto::UDP => 1,
        IpProto::ICMP | IpProto::ICMPV6 => 2,
        _ => 3,
    }
}

/// Whether an address is one host, which might answer: no multicast, and nothing that looks like a
/// broadcast, since the length of its network is not known here.
const fn is_one_host(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(v4) => {
            let [.., last] = v4.octets();
            !v4.is_multicast() && !v4.is_unspecified() && last != 255
        }
        IpAddr::V6(v6) => !v6.is_multicast() && !v6.is_unspecified(),
    }
}

/// Whether a UDP service answers with more than it is asked and is abused for it (CISA TA14-017A
/// and later reports); low ports besides.
const fn is_reflector(port: u16) -> bool {
    matches!(
        port,
        1..=1023
            | 1434
            | 1604
            | 1900
            | 2362
            | 3283
            | 3478
            | 3702
            | 5060
            | 5093
            | 5351
            | 5353
            | 5683
            | 6881
            | 8080
            | 10001
            | 10074
            | 11211
            | 17185
            | 27015
            | 30718
            | 32414
            | 37810
            | 41794
    )
}
