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
    /// Sequence number of the client's SYN.
    syn: Option<u32>,
    /// Sequence and acknowledgement number of the server's SYN-ACK.
    syn_ack: Option<(u32, u32)>,
    /// How far each side may send as the other one says, to the server and to the client.
    windows: [Option<u32>; 2],
    /// By how many bits the windows that each side tells are shifted, where both sides do.
    scales: [Option<u8>; 2],
    /// Whether a side said that it ends.
    ends: bool,
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
        if syn {
            self.begin(&tcp, direction, was_established, events);
        } else if ack && !rst {
            self.acknowledge(&tcp, direction, was_established, events);
        }
        self.ends |= fin;
        self.stamp(met, events);
        // A RST that its sender goes on behind was somebody else's.
        if rst {
            self.reset = Some(direction);
        } else if has_payload && self.reset == Some(direction) {
            self.reset = None;
            events.push("suspected_rst_inject");
        }
    }

    /// A SYN or a SYN-ACK: each is said once, the second in answer to the first.
    fn begin(
        &mut self,
        tcp: &Tcp<'_>,
        direction: Direction,
        was_established: bool,
        events: &mut Events,
    ) {
        let (ack, from_client) = (tcp.has(Tcp::ACK), direction == Direction::ToServer);
        let answered = self.syn_ack.is_some();
        let odd = match (was_established, ack, from_client) {
            (true, true, true) => Some("est_synack_toserver"),
            (true, true, false) => Some(match self.syn_ack {
                Some((_, known)) if known != tcp.ack => "est_synack_resend_with_different_ack",
                Some((known, _)) if known != tcp.seq => "est_synack_resend_with_diff_seq",
                _ => "est_synack_resend",
            }),
            (true, false, false) => Some("est_syn_toclient"),
            (true, false, true) => Some(match self.syn {
                Some(known) if known != tcp.seq => "est_syn_resend_diff_seq",
                _ => "est_syn_resend",
            }),
            (false, true, true) if answered => Some("3whs_synack_toserver_on_syn_recv"),
            (false, true, false) => match (self.syn_ack, self.syn) {
                (Some((_, known)), _) if known != tcp.ack => {
                    Some("3whs_synack_resend_with_different_ack")
                }
                (Some((known, _)), _) if known != tcp.seq => {
                    Some("3whs_synack_resend_with_diff_seq")
                }
                // Where nothing came with the SYN, only the SYN is answered.
                (None, Some(syn)) if (tcp.ack.wrapping_sub(syn) as i32) < 1 => {
                    Some("3whs_synack_with_wrong_ack")
                }
                _ => None,
            },
            (false, false, false) if answered => Some("3whs_syn_toclient_on_syn_recv"),
            (false, false, true) if answered && self.syn.is_some_and(|syn| syn != tcp.seq) => {
                Some("3whs_syn_resend_diff_seq_on_syn_recv")
            }
            _ => None,
        };
        if let Some(odd) = odd {
            events.push(odd);
            return;
        }
        let scale = tcp.options().find_map(|option| match option {
            TcpOption::WindowScale(scale) => Some(scale.min(14)),
            _ => None,
        });
        match (ack, from_client) {
            (false, true) => {
                (self.syn, self.syn_ack, self.ends) = (Some(tcp.seq), None, false);
                (self.windows, self.scales) = ([None; 2], [scale, None]);
            }
            (true, false) => {
                self.syn_ack = Some((tcp.seq, tcp.ack));
                self.scales[1] = scale;
                self.windows[0] = Some(tcp.ack.wrapping_add(tcp.window.into()));
            }
            _ => {}
        }
    }

    /// An acknowledgement: not of more than its sender said the other side may send.
    fn acknowledge(
        &mut self,
        tcp: &Tcp<'_>,
        direction: Direction,
        was_established: bool,
        events: &mut Events,
    ) {
        let Some((isn, _)) = self.syn_ack else { return };
        let scale = match self.scales {
            [Some(client), Some(server)] => *direction.of(&[client, server]),
            _ => 0,
        };
        let window = direction.opposite().of_mut(&mut self.windows);
        // The server's first bytes go behind its SYN.
        let limit = window.unwrap_or_else(|| isn.wrapping_add(1));
        let is_known = window.is_some() || !was_established;
        if is_known && (tcp.ack.wrapping_sub(limit) as i32) > 0 {
            events.push("pkt_invalid_ack");
            if was_established && !self.ends {
                events.push("est_invalid_ack");
            }
            return;
        }
        let end = tcp.ack.wrapping_add(u32::from(tcp.window) << scale);
        if window.is_none_or(|known| (end.wrapping_sub(known) as i32) > 0) {
            *window = Some(end);
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
