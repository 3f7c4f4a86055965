//! What is kept of one flow: a part that every packet touches and a part that few do.
//!
//! The first is three cache lines: the key with the states, and one line for each side. A segment
//! touches all three, since it moves its own side and acknowledges the other.

use crate::key::{End, Key, direction, unpack_vlans};
use crate::list::Links;
use crate::tcp::{ColdSide, Handshake};
use crate::zeek::{self, History};
use crate::{At, FlowIndex};
use flowtrack_event::{
    ConnState, Direction, FlowId, FlowKey, FlowRecord, FlowState, Icmp, IfaceId, IpProto, Latency,
    MacAddr, Rtt, SideRecord, TcpRecord, TcpState, Timestamp, TunnelKind, Vlans,
};

/// The part of a flow that every packet touches.
#[derive(Clone, Default, Debug)]
#[repr(C, align(64))]
pub(crate) struct Hot {
    pub(crate) key: Key,
    /// Last packet.
    pub(crate) end: Timestamp,
    pub(crate) state: FlowState,
    pub(crate) tcp: TcpState,
    /// See [`bits`].
    pub(crate) bits: u8,
    /// Who began, as far as is known.
    pub(crate) client: End,
    /// Who began, as Zeek sees it.
    pub(crate) zeek_orig: End,
    pub(crate) class: Class,
    /// See [`crate::FlowTable::set_tag`].
    pub(crate) tag: u16,
    pub(crate) low: Side,
    pub(crate) high: Side,
}

/// Flags of a flow.
pub(crate) mod bits {
    /// The slot holds a flow.
    pub(crate) const LIVE: u8 = 1;
    /// Changed since changes were last asked for.
    pub(crate) const CHANGED: u8 = 2;
    /// A request was seen and its time kept.
    pub(crate) const ASKED: u8 = 4;
    /// The first request was answered.
    pub(crate) const ANSWERED: u8 = 8;
}

/// How much a flow is worth when the table is full.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Class {
    /// Over.
    Closed,
    /// One-sided so far: a flood looks like this.
    #[default]
    Unconfirmed,
    /// Both sides take part.
    Confirmed,
}

/// One side of a flow: what it sent.
#[derive(Clone, Copy, Default, Debug)]
#[repr(C)]
pub(crate) struct Side {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) ip_bytes: u64,
    pub(crate) payload_bytes: u64,
    /// Sequence number of its SYN, or one before its first byte.
    pub(crate) isn: u32,
    /// Highest sequence number it reached.
    pub(crate) next: u32,
    /// All before was seen, or given up.
    pub(crate) contiguous: u32,
    /// End of the segment whose acknowledgement is awaited to measure the round trip.
    pub(crate) timed_end: u32,
    /// When that segment was sent, in microseconds modulo 2^32.
    pub(crate) timed_at: u32,
    /// When `next` last moved, in microseconds modulo 2^32.
    pub(crate) moved_at: u32,
    /// All flags it sent.
    pub(crate) flags: u8,
    /// See [`crate::tcp::bits`].
    pub(crate) bits: u8,
    /// See [`zeek::seen`].
    pub(crate) letters: u8,
    pub(crate) window_scale: u8,
    pub(crate) zeek: zeek::Side,
}

impl Hot {
    pub(crate) const fn has(&self, bit: u8) -> bool {
        self.bits & bit != 0
    }

    #[inline]
    pub(crate) fn side_mut(&mut self, end: End) -> &mut Side {
        match end {
            End::Low => &mut self.low,
            End::High => &mut self.high,
        }
    }

    pub(crate) fn side(&self, end: End) -> &Side {
        match end {
            End::Low => &self.low,
            End::High => &self.high,
        }
    }
}

/// The part of a flow that few packets touch.
#[derive(Default, Debug)]
pub(crate) struct Cold<A> {
    pub(crate) app: A,
    pub(crate) id: u64,
    /// [`NO_PARENT`] where there is none.
    pub(crate) parent: u64,
    pub(crate) start: Timestamp,
    /// VLAN tags of the first packet, packed; they stand here as well because the key may lack
    /// them.
    pub(crate) vlans: u64,
    pub(crate) low: ColdSide,
    pub(crate) high: ColdSide,
    /// Neighbours in the slot of the timer wheel.
    pub(crate) timer: Links,
    /// Neighbours among flows of the same [`Class`].
    pub(crate) order: Links,
    pub(crate) detail: Detail,
    /// When the request was sent whose answer is awaited (see [`crate::latency`]).
    pub(crate) asked_at: u32,
    /// From the first request to its answer.
    pub(crate) response_us: u32,
    /// Slot of the timer wheel.
    pub(crate) slot: u16,
    pub(crate) iface: u16,
    /// ICMP errors about this flow.
    pub(crate) icmp_errors: u16,
    /// All zero where there are none.
    pub(crate) macs: [[u8; 6]; 2],
    pub(crate) tunnel: Option<TunnelKind>,
    pub(crate) history: History,
}

/// Stands for no flow; identifiers stay below 2^53.
pub(crate) const NO_PARENT: u64 = u64::MAX;

/// What only flows of some protocols have.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) enum Detail {
    #[default]
    None,
    Tcp(Handshake),
    Icmp(IcmpDetail),
    Dns {
        /// See [`crate::latency`].
        asked: u32,
    },
}

/// Messages of an ICMP flow.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct IcmpDetail {
    pub(crate) request: (u8, u8),
    pub(crate) response: Option<(u8, u8)>,
    /// Identifier of the first echo.
    pub(crate) id: u16,
    /// See [`crate::latency`].
    pub(crate) asked: u32,
}

impl<A> Cold<A> {
    pub(crate) fn side_mut(&mut self, end: End) -> &mut ColdSide {
        match end {
            End::Low => &mut self.low,
            End::High => &mut self.high,
        }
    }

    fn side(&self, end: End) -> &ColdSide {
        match end {
            End::Low => &self.low,
            End::High => &self.high,
        }
    }
}

/// A flow as its owner may look at it.
#[derive(Debug)]
pub struct Flow<'a, A> {
    pub(crate) index: FlowIndex,
    pub(crate) hot: &'a Hot,
    pub(crate) cold: &'a Cold<A>,
}

impl<A> Clone for Flow<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Flow<'_, A> {}

impl<'a, A> Flow<'a, A> {
    /// Its place in the table.
    pub const fn index(&self) -> FlowIndex {
        self.index
    }

    /// Its name in this run.
    pub const fn id(&self) -> FlowId {
        FlowId(self.cold.id)
    }

    /// The flow whose tunnel carries it.
    pub fn parent(&self) -> Option<FlowId> {
        (self.cold.parent != NO_PARENT).then_some(FlowId(self.cold.parent))
    }

    /// What the engine keeps with it.
    pub const fn app(&self) -> &'a A {
        &self.cold.app
    }

    /// Originator and responder.
    pub fn key(&self) -> FlowKey {
        let mut key = self.hot.key.flow_key(self.hot.client);
        if key.is_icmp() {
            (key.src_port, key.dst_port) = match self.cold.detail {
                Detail::Icmp(icmp) => {
                    let (kind, code) = icmp.request;
                    (u16::from(kind) << 8 | u16::from(code), icmp.id)
                }
                _ => (0, 0),
            };
        } else if key.proto == IpProto::ESP {
            // The security parameter index stands in the key upper half first.
            (key.src_port, key.dst_port) = (key.dst_port, key.src_port);
        } else if !key.has_ports() {
            (key.src_port, key.dst_port) = (0, 0);
        }
        key
    }

    /// IP protocol.
    pub const fn proto(&self) -> IpProto {
        self.hot.key.proto()
    }

    /// How far it has come.
    pub const fn state(&self) -> FlowState {
        self.hot.state
    }

    /// State of its TCP session.
    pub const fn tcp_state(&self) -> TcpState {
        self.hot.tcp
    }

    /// First packet.
    pub const fn start(&self) -> Timestamp {
        self.cold.start
    }

    /// Last packet so far.
    pub const fn end(&self) -> Timestamp {
        self.hot.end
    }

    /// Interface of the first packet.
    pub const fn iface(&self) -> IfaceId {
        IfaceId(self.cold.iface)
    }

    /// VLAN tags of the first packet.
    pub fn vlans(&self) -> Vlans {
        unpack_vlans(self.cold.vlans)
    }

    /// Packets one way.
    pub const fn packets(&self, direction: Direction) -> u64 {
        self.side(direction).packets
    }

    /// Captured frame bytes one way.
    pub const fn bytes(&self, direction: Direction) -> u64 {
        self.side(direction).bytes
    }

    /// Payload bytes one way; for TCP, of the stream, counted once.
    pub const fn payload_bytes(&self, direction: Direction) -> u64 {
        self.side(direction).payload_bytes
    }

    /// Initial sequence number of one way, if its SYN was seen. Nothing else tells where a stream
    /// begins: the first segment may be a keep-alive, which repeats the number before it.
    pub fn isn(&self, direction: Direction) -> Option<u32> {
        let side = self.side(direction);
        side.has(crate::tcp::bits::SYN).then_some(side.isn)
    }

    /// Whether a SYN was seen one way.
    pub const fn has_syn(&self, direction: Direction) -> bool {
        self.side(direction).has(crate::tcp::bits::SYN)
    }

    /// Whether the number of its responder's SYN was acknowledged exactly: who spoofs the address of
    /// the originator does not get to know it.
    pub const fn originator_is_proved(&self) -> bool {
        let responder = self.side(Direction::ToClient);
        responder.has(crate::tcp::bits::SYN) && responder.has(crate::tcp::bits::SYN_ACKED)
    }

    /// How far the window of one way is to be shifted (RFC 7323), as its SYN said.
    pub const fn window_scale(&self, direction: Direction) -> u8 {
        self.side(direction).window_scale
    }

    /// TCP flags that one way ever had.
    pub const fn flags(&self, direction: Direction) -> u8 {
        self.side(direction).flags
    }

    /// ICMP errors that quote a packet of it.
    pub const fn icmp_errors(&self) -> u16 {
        self.cold.icmp_errors
    }

    const fn side(&self, direction: Direction) -> &'a Side {
        match (direction, self.hot.client) {
            (Direction::ToServer, End::Low) | (Direction::ToClient, End::High) => &self.hot.low,
            _ => &self.hot.high,
        }
    }

    /// All that is known about it; what only the engine knows (application protocol, transactions,
    /// alerts) is left empty.
    pub fn record(&self) -> FlowRecord {
        let (hot, cold) = (self.hot, self.cold);
        let (client, server) = (hot.client, hot.client.other());
        let (to_server, to_client) = (hot.side(client), hot.side(server));
        let (cold_client, cold_server) = (cold.side(client), cold.side(server));
        let handshake = match cold.detail {
            Detail::Tcp(handshake) => handshake,
            _ => Handshake::default(),
        };
        let measured = |us: u32, yes: bool| yes.then_some(us);
        FlowRecord {
            id: self.id(),
            parent: self.parent(),
            tunnel: cold.tunnel,
            key: self.key(),
            vlans: self.vlans(),
            iface: self.iface(),
            macs: (cold.macs != [[0; 6]; 2])
                .then_some((MacAddr(cold.macs[0]), MacAddr(cold.macs[1]))),
            start: cold.start,
            end: hot.end,
            to_server: side_record(to_server, cold_client),
            to_client: side_record(to_client, cold_server),
            state: hot.state,
            conn_state: self.conn_state(),
            history: cold.history.to_smallvec(),
            tcp: (self.proto() == IpProto::TCP).then(|| TcpRecord {
                state: hot.tcp,
                flags_to_server: to_server.flags,
                flags_to_client: to_client.flags,
                gap_to_server: cold_client.lost_bytes > 0,
                gap_to_client: cold_server.lost_bytes > 0,
                midstream: !to_server.has(crate::tcp::bits::SYN)
                    && !to_client.has(crate::tcp::bits::SYN),
            }),
            icmp: match cold.detail {
                Detail::Icmp(icmp) => Some(Icmp { request: icmp.request, response: icmp.response }),
                _ => None,
            },
            latency: Latency {
                handshake_client_us: measured(handshake.client_us, handshake.client_us != 0),
                handshake_server_us: measured(handshake.server_us, handshake.server_us != 0),
                response_us: measured(cold.response_us, hot.has(bits::ANSWERED)),
            },
            app: None,
            tx_count: 0,
            alerted: false,
            remembered: None,
        }
    }

    /// Zeek's summary.
    pub fn conn_state(&self) -> ConnState {
        let orig = self.hot.side(self.hot.zeek_orig);
        let resp = self.hot.side(self.hot.zeek_orig.other());
        match self.proto() {
            IpProto::TCP => zeek::tcp_state(
                orig.zeek,
                resp.zeek,
                orig.payload_bytes > 0 || resp.payload_bytes > 0,
            ),
            IpProto::UDP => {
                let spoke = |side: &Side| side.letters & zeek::seen::DATA != 0;
                zeek::udp_state(spoke(orig), spoke(resp))
            }
            _ => ConnState::Oth,
        }
    }
}

impl Side {
    pub(crate) const fn has(&self, bit: u8) -> bool {
        self.bits & bit != 0
    }
}

fn side_record(hot: &Side, cold: &ColdSide) -> SideRecord {
    SideRecord {
        packets: hot.packets,
        bytes: hot.bytes,
        ip_bytes: hot.ip_bytes,
        payload_bytes: hot.payload_bytes,
        retransmissions: cold.retransmissions,
        out_of_order: cold.out_of_order,
        lost_segments: cold.lost_segments,
        lost_bytes: cold.lost_bytes,
        zero_windows: cold.zero_windows,
        rtt: Rtt {
            min_us: cold.rtt_min_us,
            max_us: cold.rtt_max_us,
            sum_us: cold.rtt_sum_us,
            count: cold.rtt_count,
        },
    }
}

/// Fills the cold part of a new flow.
pub(crate) fn begin<A>(
    cold: &mut Cold<A>,
    id: u64,
    at: &At,
    vlans: Vlans,
    macs: Option<(MacAddr, MacAddr)>,
) {
    cold.id = id;
    cold.parent = at.parent.map_or(NO_PARENT, |parent| parent.0);
    cold.start = at.ts;
    cold.vlans = crate::key::pack_vlans(vlans);
    cold.iface = at.iface.0;
    cold.tunnel = at.tunnel;
    if let Some((src, dst)) = macs {
        cold.macs = [src.0, dst.0];
    }
}

/// Which way packets of `sender` go.
pub(crate) const fn direction_of(hot: &Hot, sender: End) -> Direction {
    direction(sender, hot.client)
}
