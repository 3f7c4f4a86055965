//! What hosts did in one second, in bounded numbers.

use crate::{Distinct, FlowId, IpProto, Timestamp};
use std::net::IpAddr;

/// What one worker saw of the busiest hosts in one second of packet time.
///
/// A flow counts for its originator ([`SourceActivity`]) and for its responder
/// ([`TargetActivity`]). Outcomes are counted when they are known: success at once, failure about
/// a second after the flow began.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Activity {
    /// The beginning of the second.
    pub at: Timestamp,
    /// Packets of all flows.
    pub packets: u64,
    /// Captured bytes of those packets.
    pub bytes: u64,
    /// Flows that began.
    pub begun: u64,
    /// Originators, the most striking ones; each once.
    pub sources: Vec<SourceActivity>,
    /// Responders, the most striking ones; each once.
    pub targets: Vec<TargetActivity>,
    /// Times that a source or target was left out or forgotten for another.
    pub left_out: u64,
}

/// How attempts of one second went.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Outcomes {
    /// Flows that began.
    pub begun: u64,
    /// Flows whose responder took part: TCP handshakes that completed, answers of any other kind.
    pub completed: u64,
    /// Flows that were refused: RST, ICMP unreachable.
    pub refused: u64,
    /// Flows that nobody answered.
    pub unanswered: u64,
    /// TCP sessions that were offered by the responder and not taken: SYN-ACK without ACK, or with
    /// RST.
    pub half_open: u64,
    /// TCP sessions whose originator acknowledged the number that the responder chose, which only
    /// who gets the answers knows: its address is not spoofed. Among the completed.
    pub proved: u64,
    /// TCP sessions that ended without a byte of payload, among the proved.
    pub empty: u64,
    /// SYN segments on sessions that are not established.
    pub syns: u64,
}

impl Outcomes {
    /// Adds others.
    pub fn merge(&mut self, other: &Self) {
        self.begun += other.begun;
        self.completed += other.completed;
        self.refused += other.refused;
        self.unanswered += other.unanswered;
        self.half_open += other.half_open;
        self.proved += other.proved;
        self.empty += other.empty;
        self.syns += other.syns;
    }

    /// Flows that came to nothing.
    pub const fn failed(&self) -> u64 {
        self.refused + self.unanswered + self.half_open
    }
}

/// Packets and bytes both ways, seen from one host.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Volume {
    /// Packets it sent.
    pub packets_out: u64,
    /// Captured bytes it sent.
    pub bytes_out: u64,
    /// Packets it got.
    pub packets_in: u64,
    /// Captured bytes it got.
    pub bytes_in: u64,
}

impl Volume {
    /// Adds another.
    pub fn merge(&mut self, other: &Self) {
        self.packets_out += other.packets_out;
        self.bytes_out += other.bytes_out;
        self.packets_in += other.packets_in;
        self.bytes_in += other.bytes_in;
    }
}

/// How a host asked another whether something is there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum ProbeKind {
    /// A SYN, and no more even where the port is open.
    Syn,
    /// A whole TCP handshake.
    Connect,
    /// FIN without SYN or ACK.
    Fin,
    /// No flag at all.
    Null,
    /// FIN, PSH and URG.
    Xmas,
    /// ACK (or FIN with ACK) of no session.
    Ack,
    /// A UDP datagram.
    Udp,
    /// An ICMP request.
    Icmp,
    /// An IPv6 neighbour solicitation, whether it is answered or not.
    Solicitation,
    /// Anything else.
    Other,
}

impl ProbeKind {
    /// Its name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syn => "SYN",
            Self::Connect => "connect",
            Self::Fin => "FIN",
            Self::Null => "NULL",
            Self::Xmas => "Xmas",
            Self::Ack => "ACK",
            Self::Udp => "UDP",
            Self::Icmp => "ICMP",
            Self::Solicitation => "neighbour solicitation",
            Self::Other => "IP protocol",
        }
    }
}

/// How a flow that came to nothing did so.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Failure {
    /// RST, or ICMP unreachable.
    Refused,
    /// Nothing came back.
    Unanswered,
    /// The port is open and the session was not taken.
    HalfOpen,
}

/// A flow that came to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Probe {
    /// Who was asked.
    pub target: IpAddr,
    /// Which port; 0 where the protocol has none.
    pub port: u16,
    /// How.
    pub kind: ProbeKind,
    /// What came of it.
    pub failure: Failure,
    /// The flow.
    pub flow: FlowId,
}

/// One service that a source turned to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeerActivity {
    /// Who offers it.
    pub target: IpAddr,
    /// On which port; 0 where the protocol has none.
    pub port: u16,
    /// Transport.
    pub proto: IpProto,
    /// How its attempts went.
    pub outcomes: Outcomes,
}

/// What one host began.
#[derive(Clone, PartialEq, Debug)]
pub struct SourceActivity {
    /// Who.
    pub addr: IpAddr,
    /// How its flows went.
    pub outcomes: Outcomes,
    /// What went over them.
    pub volume: Volume,
    /// Packets it sent on flows that were not answered so far.
    pub one_way: u64,
    /// Some of its flows that came to nothing, at most [`Self::PROBES`].
    pub probes: Vec<Probe>,
    /// Distinct address and port of its flows that came to nothing.
    pub failed_targets: Distinct,
    /// Distinct hosts that it sent an ICMP request, answered or not.
    pub pinged: Distinct,
    /// The services that it turned to most, at most [`Self::PEERS`].
    pub peers: Vec<PeerActivity>,
    /// Some of its flows, at most [`Self::FLOWS`].
    pub flows: Vec<FlowId>,
}

impl SourceActivity {
    /// Probes that are told one by one.
    pub const PROBES: usize = 32;
    /// Services that are told.
    pub const PEERS: usize = 8;
    /// Flows that are told.
    pub const FLOWS: usize = 4;

    /// A host that did nothing yet.
    pub fn new(addr: IpAddr) -> Self {
        Self {
            addr,
            outcomes: Outcomes::default(),
            volume: Volume::default(),
            one_way: 0,
            probes: Vec::new(),
            failed_targets: Distinct::default(),
            pinged: Distinct::default(),
            peers: Vec::new(),
            flows: Vec::new(),
        }
    }
}

/// One service of a target.
#[derive(Clone, PartialEq, Debug)]
pub struct ServiceActivity {
    /// Its port; 0 where the protocol has none.
    pub port: u16,
    /// Transport.
    pub proto: IpProto,
    /// How attempts went.
    pub outcomes: Outcomes,
    /// Distinct sources.
    pub sources: Distinct,
}

/// What came to a target from one port, as answers of a reflected attack do.
#[derive(Clone, PartialEq, Debug)]
pub struct FromPort {
    /// The port of the sender.
    pub port: u16,
    /// Transport.
    pub proto: IpProto,
    /// Packets that nobody asked for.
    pub packets: u64,
    /// Their captured bytes.
    pub bytes: u64,
    /// Distinct senders.
    pub senders: Distinct,
}

/// What one host was asked for.
#[derive(Clone, PartialEq, Debug)]
pub struct TargetActivity {
    /// Who.
    pub addr: IpAddr,
    /// How flows to it went.
    pub outcomes: Outcomes,
    /// What went over them, from its side.
    pub volume: Volume,
    /// Packets it got on flows that it did not answer so far.
    pub one_way: u64,
    /// Captured bytes of those.
    pub one_way_bytes: u64,
    /// Packets it got by transport: TCP, UDP, ICMP, others.
    pub by_proto: [u64; 4],
    /// Distinct sources.
    pub sources: Distinct,
    /// Distinct ports on which flows came to nothing.
    pub failed_ports: Distinct,
    /// Distinct sources of flows that came to nothing.
    pub failed_sources: Distinct,
    /// The services that were asked most, at most [`Self::SERVICES`].
    pub services: Vec<ServiceActivity>,
    /// Ports that sent it most unasked, at most [`Self::FROM_PORTS`].
    pub from_ports: Vec<FromPort>,
    /// Some sources, at most [`Self::SOURCES`].
    pub some_sources: Vec<IpAddr>,
    /// Some flows, at most [`Self::FLOWS`].
    pub flows: Vec<FlowId>,
}

impl TargetActivity {
    /// Services that are told.
    pub const SERVICES: usize = 8;
    /// Ports of senders that are told.
    pub const FROM_PORTS: usize = 8;
    /// Sources that are told.
    pub const SOURCES: usize = 8;
    /// Flows that are told.
    pub const FLOWS: usize = 4;

    /// A host that nobody asked yet.
    pub fn new(addr: IpAddr) -> Self {
        Self {
            addr,
            outcomes: Outcomes::default(),
            volume: Volume::default(),
            one_way: 0,
            one_way_bytes: 0,
            by_proto: [0; 4],
            sources: Distinct::default(),
            failed_ports: Distinct::default(),
            failed_sources: Distinct::default(),
            services: Vec::new(),
            from_ports: Vec::new(),
            some_sources: Vec::new(),
            flows: Vec::new(),
        }
    }
}
