//! What breaks TCP in a session, by the names that `stream-event` uses. Noticed only while
//! signatures ask for it.

use flowtrack_event::Direction;
use flowtrack_flow::{Segment, TcpFacts};
use flowtrack_wire::{Tcp, TcpOption};
use smallvec::SmallVec;

/// Events of one packet.
pub(crate) type Events = SmallVec<[&'static str; 2]>;

/// What is remembered of a session.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Session {
    /// Whether the client's SYN offered timestamps; nothing before it.
    offers_stamps: Option<bool>,
    /// The last timestamp of each side, to the server and to the client.
    stamps: [Option<u32>; 2],
    /// Which way a RST went that nothing has contradicted.
    reset: Option<Direction>,
}

/// A segment and what is known of its session.
#[derive(Clone, Copy)]
pub(crate) struct Met<'a> {
    pub(crate) tcp: Tcp<'a>,
    pub(crate) direction: Direction,
    pub(crate) has_payload: bool,
    /// What it told; nothing where its checksum is wrong.
    pub(crate) facts: Option<TcpFacts>,
    /// Whether its beginning was seen.
    pub(crate) is_followed: bool,
    /// Whether the handshake was complete before it.
    pub(crate) was_established: bool,
}

impl Session {
    /// Takes the next segment; adds what is odd about it.
    pub(crate) fn meet(&mut self, met: &Met<'_>, events: &mut Events) {
        let Met { tcp, direction, has_payload, is_followed, was_established, .. } = *met;
        let (syn, ack) = (tcp.has(Tcp::SYN), tcp.has(Tcp::ACK));
        let (fin, rst) = (tcp.has(Tcp::FIN), tcp.has(Tcp::RST));
        if !ack && tcp.ack != 0 {
            events.push("pkt_broken_ack");
        }
        if syn && fin {
            events.push("fin_syn");
        }
        if rst && has_payload {
            events.push("rst_with_data");
        }
        if !is_followed {
            if rst {
                events.push("rst_but_no_session");
            } else if fin {
                events.push("fin_but_no_session");
            }
            return;
        }
        if was_established && syn {
            events.push(match (ack, direction) {
                (true, Direction::ToClient) => "est_synack_resend",
                (true, Direction::ToServer) => "est_synack_toserver",
                (false, Direction::ToServer) => "est_syn_resend",
                (false, Direction::ToClient) => "est_syn_toclient",
            });
        }
        self.stamp(met, events);
        // A RST that its sender goes on behind was somebody else's.
        if rst {
            self.reset = Some(direction);
        } else if has_payload && self.reset == Some(direction) {
            self.reset = None;
            events.push("suspected_rst_inject");
        }
    }

    /// Timestamps grow, and are of both sides or of none (RFC 7323).
    fn stamp(&mut self, met: &Met<'_>, events: &mut Events) {
        let stamp = met.tcp.options().find_map(|option| match option {
            TcpOption::Timestamps { value, .. } => Some(value),
            _ => None,
        });
        let from_client = met.direction == Direction::ToServer;
        if met.tcp.has(Tcp::SYN) && from_client && !met.was_established {
            self.offers_stamps = Some(stamp.is_some());
        }
        let Some(value) = stamp else { return };
        if self.offers_stamps == Some(false) {
            if !from_client && !met.was_established {
                events.push("pkt_invalid_timestamp");
            }
            return;
        }
        let [to_server, to_client] = &mut self.stamps;
        let last = if from_client { to_server } else { to_client };
        if last.is_some_and(|last| (value.wrapping_sub(last) as i32) < 0) {
            events.push("pkt_invalid_timestamp");
        } else if met
            .facts
            .is_some_and(|facts| matches!(facts.segment, Segment::Empty | Segment::InOrder))
        {
            *last = Some(value);
        }
    }
}
