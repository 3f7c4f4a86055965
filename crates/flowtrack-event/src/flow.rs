//! Flows: who talks to whom, and how it goes.

use crate::{AppProto, AppRecord, IfaceId, Remembered, Timestamp};
use serde::{Serialize, Serializer};
use smallvec::SmallVec;
use std::net::IpAddr;

/// One flow of one run; never used twice, unrelated to the five-tuple.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct FlowId(pub u64);

/// Which way a packet of a flow goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the originator to the responder.
    ToServer,
    /// From the responder to the originator.
    ToClient,
}

impl Direction {
    /// The other way.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }

    /// Of a pair, to the server and to the client, the one that is about this way.
    #[inline]
    pub const fn of<T>(self, pair: &[T; 2]) -> &T {
        let [to_server, to_client] = pair;
        match self {
            Self::ToServer => to_server,
            Self::ToClient => to_client,
        }
    }

    /// The same, to be changed.
    #[inline]
    pub const fn of_mut<T>(self, pair: &mut [T; 2]) -> &mut T {
        let [to_server, to_client] = pair;
        match self {
            Self::ToServer => to_server,
            Self::ToClient => to_client,
        }
    }
}

/// An IP protocol number (IANA "Assigned Internet Protocol Numbers").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct IpProto(pub u8);

impl IpProto {
    /// ICMP for IPv4.
    pub const ICMP: Self = Self(1);
    /// IGMP.
    pub const IGMP: Self = Self(2);
    /// IPv4 in IP.
    pub const IPIP: Self = Self(4);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// IPv6 in IP.
    pub const IPV6: Self = Self(41);
    /// GRE.
    pub const GRE: Self = Self(47);
    /// IPsec encapsulating security payload.
    pub const ESP: Self = Self(50);
    /// IPsec authentication header.
    pub const AH: Self = Self(51);
    /// ICMP for IPv6.
    pub const ICMPV6: Self = Self(58);
    /// SCTP.
    pub const SCTP: Self = Self(132);

    /// The name in lower case, where it is one that FlowTrack decodes.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::ICMP => "icmp",
            Self::IGMP => "igmp",
            Self::IPIP => "ipip",
            Self::TCP => "tcp",
            Self::UDP => "udp",
            Self::IPV6 => "ipv6",
            Self::GRE => "gre",
            Self::ESP => "esp",
            Self::AH => "ah",
            Self::ICMPV6 => "ipv6-icmp",
            Self::SCTP => "sctp",
            _ => return None,
        })
    }
}

/// Source, destination and protocol of a flow, seen from its originator.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FlowKey {
    /// Originator.
    pub src: IpAddr,
    /// Responder.
    pub dst: IpAddr,
    /// Originator's port; for ICMP `type << 8 | code` of the first packet; for ESP the lower half of
    /// the security parameter index; else 0.
    pub src_port: u16,
    /// Responder's port; for ICMP the identifier of an echo; for ESP the upper half of the index;
    /// else 0.
    pub dst_port: u16,
    /// IP protocol.
    pub proto: IpProto,
}

impl FlowKey {
    /// Type of the first message of an ICMP flow.
    pub const fn icmp_type(&self) -> u8 {
        (self.src_port >> 8) as u8
    }

    /// Code of the first message of an ICMP flow.
    pub const fn icmp_code(&self) -> u8 {
        self.src_port as u8
    }

    /// Whether the protocol has ports.
    pub const fn has_ports(&self) -> bool {
        matches!(self.proto, IpProto::TCP | IpProto::UDP | IpProto::SCTP)
    }

    /// Whether it is ICMP of either version.
    pub const fn is_icmp(&self) -> bool {
        matches!(self.proto, IpProto::ICMP | IpProto::ICMPV6)
    }

    /// The key of the way back.
    #[must_use]
    pub const fn reversed(&self) -> Self {
        Self {
            src: self.dst,
            dst: self.src,
            src_port: self.dst_port,
            dst_port: self.src_port,
            proto: self.proto,
        }
    }
}

/// VLAN identifiers of a frame, outermost first; deeper tags than three are not kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Vlans {
    ids: [u16; 3],
    len: u8,
}

impl Vlans {
    /// Adds the next inner tag; says whether there was room.
    pub fn push(&mut self, id: u16) -> bool {
        match self.ids.get_mut(usize::from(self.len)) {
            Some(slot) => {
                *slot = id & 0x0fff;
                self.len += 1;
                true
            }
            None => false,
        }
    }

    /// The identifiers, outermost first.
    pub fn as_slice(&self) -> &[u16] {
        self.ids.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl Serialize for Vlans {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.as_slice().serialize(s)
    }
}

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct MacAddr(pub [u8; 6]);

impl std::fmt::Display for MacAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// What carried an inner packet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TunnelKind {
    /// Generic routing encapsulation (RFC 2784).
    Gre,
    /// IPv4 or IPv6 in IPv4 or IPv6 (RFC 2003, RFC 4213).
    Ip,
    /// Teredo (RFC 4380).
    Teredo,
    /// VXLAN (RFC 7348).
    Vxlan,
    /// GENEVE (RFC 8926).
    Geneve,
    /// Encapsulated remote switch port analyzer.
    Erspan,
}

/// How far a flow has come (EVE `flow.state`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FlowState {
    /// Only one side has spoken, or the handshake is not complete.
    #[default]
    New,
    /// Both sides have spoken; for TCP, the handshake is complete.
    Established,
    /// TCP ended by FIN or RST.
    Closed,
}

impl FlowState {
    /// The name as EVE writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Established => "established",
            Self::Closed => "closed",
        }
    }
}

/// Why a flow is no longer tracked (EVE `flow.reason`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// Nothing came for longer than its state allows.
    Timeout,
    /// The capture or the program ended.
    Shutdown,
    /// The same five-tuple began again.
    TcpReuse,
    /// The table was full, and this flow was the least worth keeping.
    Evicted,
}

impl EndReason {
    /// The name as EVE writes it; `evicted` is `forced` there.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Shutdown => "shutdown",
            Self::TcpReuse => "tcp_reuse",
            Self::Evicted => "forced",
        }
    }
}

/// Zeek's summary of how a connection went (`conn_state` of conn.log).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ConnState {
    /// Connection attempt seen, no reply.
    S0,
    /// Established, not terminated.
    S1,
    /// Normal establishment and termination.
    Sf,
    /// Attempt rejected.
    Rej,
    /// Established, close attempt by originator seen without reply.
    S2,
    /// Established, close attempt by responder seen without reply.
    S3,
    /// Established, originator aborted.
    Rsto,
    /// Responder aborted.
    Rstr,
    /// Originator sent SYN then RST; no SYN-ACK seen.
    Rstos0,
    /// Responder sent SYN-ACK then RST; no SYN seen.
    Rstrh,
    /// Originator sent SYN then FIN; no SYN-ACK seen.
    Sh,
    /// Responder sent SYN-ACK then FIN; no SYN seen.
    Shr,
    /// No SYN seen, just midstream traffic.
    Oth,
}

impl ConnState {
    /// The name as Zeek writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::S0 => "S0",
            Self::S1 => "S1",
            Self::Sf => "SF",
            Self::Rej => "REJ",
            Self::S2 => "S2",
            Self::S3 => "S3",
            Self::Rsto => "RSTO",
            Self::Rstr => "RSTR",
            Self::Rstos0 => "RSTOS0",
            Self::Rstrh => "RSTRH",
            Self::Sh => "SH",
            Self::Shr => "SHR",
            Self::Oth => "OTH",
        }
    }
}

/// TCP state of a session (EVE `tcp.state`, RFC 9293 section 3.3.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TcpState {
    /// Nothing usable seen.
    #[default]
    None,
    /// SYN seen.
    SynSent,
    /// SYN and SYN-ACK seen.
    SynRecv,
    /// Handshake complete.
    Established,
    /// One side sent FIN.
    FinWait1,
    /// That FIN was acknowledged.
    FinWait2,
    /// Waiting for the last acknowledgement after both FINs.
    TimeWait,
    /// The last acknowledgement is missing.
    LastAck,
    /// The other side sent FIN first.
    CloseWait,
    /// Both sides sent FIN at once.
    Closing,
    /// Over.
    Closed,
}

impl TcpState {
    /// The name as EVE writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SynSent => "syn_sent",
            Self::SynRecv => "syn_recv",
            Self::Established => "established",
            Self::FinWait1 => "fin_wait1",
            Self::FinWait2 => "fin_wait2",
            Self::TimeWait => "time_wait",
            Self::LastAck => "last_ack",
            Self::CloseWait => "close_wait",
            Self::Closing => "closing",
            Self::Closed => "closed",
        }
    }
}

/// What one TCP session had.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct TcpRecord {
    /// State of the session.
    pub state: TcpState,
    /// Flags that the originator ever sent, as the header's eight bits.
    pub flags_to_server: u8,
    /// Flags that the responder ever sent.
    pub flags_to_client: u8,
    /// Whether bytes of the originator were never seen.
    pub gap_to_server: bool,
    /// Whether bytes of the responder were never seen.
    pub gap_to_client: bool,
    /// Whether the handshake was not seen.
    pub midstream: bool,
}

/// Message types of an ICMP flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Icmp {
    /// Type and code of the first message.
    pub request: (u8, u8),
    /// Type and code of the first message the other way.
    pub response: Option<(u8, u8)>,
}

/// Round-trip times in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Rtt {
    /// Shortest; 0 where none was measured.
    pub min_us: u32,
    /// Longest.
    pub max_us: u32,
    /// Sum of all.
    pub sum_us: u64,
    /// How many were measured.
    pub count: u32,
}

impl Rtt {
    /// Mean, where any was measured.
    pub fn mean_us(&self) -> Option<u32> {
        (self.sum_us).checked_div(u64::from(self.count)).map(|mean| mean as u32)
    }
}

/// Counters of one direction of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SideRecord {
    /// Packets.
    pub packets: u64,
    /// Captured bytes of whole frames (of the inner packet, for a tunnelled flow).
    pub bytes: u64,
    /// Bytes from the IP header on, as the IP header tells them.
    pub ip_bytes: u64,
    /// Bytes of transport payload; for TCP, of the stream, counted once.
    pub payload_bytes: u64,
    /// Segments sent again.
    pub retransmissions: u32,
    /// Segments that came after later ones.
    pub out_of_order: u32,
    /// Holes in the stream that never filled.
    pub lost_segments: u32,
    /// Bytes in those holes.
    pub lost_bytes: u64,
    /// Times this side closed its window.
    pub zero_windows: u32,
    /// From a segment of this side to its acknowledgement.
    pub rtt: Rtt,
}

/// Latencies of a flow, in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Latency {
    /// From the observer to the originator and back: SYN-ACK to ACK.
    pub handshake_client_us: Option<u32>,
    /// From the observer to the responder and back: SYN to SYN-ACK.
    pub handshake_server_us: Option<u32>,
    /// From the first request to the first answer (ICMP echo, UDP, first TCP payloads).
    pub response_us: Option<u32>,
}

/// All that is known about a flow at one moment.
#[derive(Clone, Debug)]
pub struct FlowRecord {
    /// Its name in this run.
    pub id: FlowId,
    /// The flow whose tunnel carried it.
    pub parent: Option<FlowId>,
    /// What carried it.
    pub tunnel: Option<TunnelKind>,
    /// Originator and responder.
    pub key: FlowKey,
    /// VLAN tags of the first packet.
    pub vlans: Vlans,
    /// Interface of the first packet.
    pub iface: IfaceId,
    /// Source and destination of the first frame.
    pub macs: Option<(MacAddr, MacAddr)>,
    /// First packet.
    pub start: Timestamp,
    /// Last packet so far.
    pub end: Timestamp,
    /// Originator's counters.
    pub to_server: SideRecord,
    /// Responder's counters.
    pub to_client: SideRecord,
    /// How far it has come.
    pub state: FlowState,
    /// Zeek's summary.
    pub conn_state: ConnState,
    /// Zeek's history letters; upper case is the originator.
    pub history: SmallVec<[u8; 16]>,
    /// Only for TCP.
    pub tcp: Option<TcpRecord>,
    /// Only for ICMP.
    pub icmp: Option<Icmp>,
    /// Latencies.
    pub latency: Latency,
    /// Application protocol, once recognised or given up.
    pub app: Option<AppRecord>,
    /// Application transactions so far.
    pub tx_count: u64,
    /// Whether an alert was raised on it.
    pub alerted: bool,
    /// What rules remember of it; known when it ends, nothing where that is nothing.
    pub remembered: Option<Box<Remembered>>,
}

impl FlowRecord {
    /// The application protocol as a person is shown it: none where detection gave up.
    pub fn recognised(&self) -> Option<AppProto> {
        self.app.map(|app| app.proto).filter(|&proto| proto != AppProto::FAILED)
    }
}

/// Where a flow is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlowPhase {
    /// First packet.
    Start,
    /// Still going on; the only phase that may be dropped under load.
    Update,
    /// No longer tracked.
    End(EndReason),
}

/// A flow at one moment of its life.
#[derive(Clone, Debug)]
pub struct FlowEvent {
    /// When this was said, in packet time.
    pub ts: Timestamp,
    /// Which moment.
    pub phase: FlowPhase,
    /// The flow.
    pub record: FlowRecord,
}
