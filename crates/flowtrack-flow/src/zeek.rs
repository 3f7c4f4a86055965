//! How Zeek tells the story of a connection: `conn_state` and the letters of `history`.
//!
//! Zeek has roles of its own: it believes a well-known port before it believes who spoke first,
//! and says so with `^`. So upper case is Zeek's originator, which is the flow's responder in the
//! rare case that the two disagree.

use crate::key::End;
use crate::tcp::Flags;
use flowtrack_event::{ConnState, IpProto};
use smallvec::SmallVec;

/// Letters kept of a history; real ones are shorter, and repeats must not grow without bound.
const LETTERS: usize = 16;

/// The letters so far.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct History {
    letters: [u8; LETTERS],
    len: u8,
}

impl History {
    /// Adds a letter, given in upper case, for one of the two roles.
    pub(crate) fn add(&mut self, letter: u8, is_orig: bool) {
        if let Some(slot) = self.letters.get_mut(usize::from(self.len)) {
            *slot = if is_orig { letter } else { letter.to_ascii_lowercase() };
            self.len += 1;
        }
    }

    /// Says that the roles were turned round.
    pub(crate) fn add_flip(&mut self) {
        self.add(b'^', true);
    }

    pub(crate) fn to_smallvec(self) -> SmallVec<[u8; 16]> {
        self.letters.iter().take(usize::from(self.len)).copied().collect()
    }
}

/// Letters that a side may have only once.
pub(crate) mod seen {
    pub(crate) const SYN: u8 = 1;
    pub(crate) const FIN: u8 = 2;
    pub(crate) const RST: u8 = 4;
    pub(crate) const DATA: u8 = 8;
    pub(crate) const ACK: u8 = 16;
    pub(crate) const MULTI: u8 = 32;
    pub(crate) const FIN_RST: u8 = 64;
}

/// Counts up and says whether the count reached 1, 10, 100, ..., when it is worth a letter.
pub(crate) fn is_milestone(count: &mut u32) -> bool {
    *count = count.saturating_add(1);
    matches!(*count, 1 | 10 | 100 | 1_000 | 10_000 | 100_000 | 1_000_000)
}

/// What one side of a connection has done.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Endpoint {
    #[default]
    Inactive,
    SynSent,
    SynAckSent,
    /// It speaks, but its SYN was not seen.
    Partial,
    Established,
    Closed,
    Reset,
}

/// The state of a side, and the one before.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Side {
    pub(crate) now: Endpoint,
    pub(crate) before: Endpoint,
}

impl Side {
    fn set(&mut self, next: Endpoint) {
        if next != self.now {
            (self.before, self.now) = (self.now, next);
        }
    }

    /// Whether it is established, or closed in order after that.
    fn is_clean(self) -> bool {
        self.now == Endpoint::Established
            || self.now == Endpoint::Closed && self.before == Endpoint::Established
    }
}

/// Whether holes in the streams of such a connection are real ones.
pub(crate) fn gaps_count(one: Side, other: Side) -> bool {
    one.is_clean() && other.is_clean()
}

/// Moves on by a segment with `len` bytes of payload; says whether the roles turn round.
pub(crate) fn advance(
    me: &mut Side,
    peer: &mut Side,
    is_orig: bool,
    flags: Flags,
    len: u32,
) -> bool {
    match me.now {
        Endpoint::Inactive => begin(me, peer, is_orig, flags, len),
        Endpoint::SynSent | Endpoint::SynAckSent => {
            if flags.fin() {
                me.set(Endpoint::Closed);
            }
            if flags.rst() {
                me.set(Endpoint::Reset);
            }
            false
        }
        Endpoint::Established | Endpoint::Partial => {
            if flags.syn()
                && !flags.ack()
                && me.now == Endpoint::Partial
                && peer.now == Endpoint::Inactive
            {
                me.set(Endpoint::SynSent);
            }
            if flags.fin() && !flags.rst() {
                me.set(Endpoint::Closed);
                // FIN then RST from the other side was a normal end after all.
                if peer.now == Endpoint::Reset && peer.before == Endpoint::Closed {
                    peer.set(Endpoint::Closed);
                }
            }
            if flags.rst() {
                me.set(Endpoint::Reset);
            }
            false
        }
        Endpoint::Closed => {
            if flags.rst() && peer.now != Endpoint::Closed {
                me.set(Endpoint::Reset);
            }
            false
        }
        Endpoint::Reset => false,
    }
}

/// The first segment of a side.
fn begin(me: &mut Side, peer: &mut Side, is_orig: bool, flags: Flags, len: u32) -> bool {
    let mut flip = false;
    let orig_sent_syn = !is_orig && peer.now == Endpoint::SynSent;
    if flags.syn() {
        if is_orig {
            me.set(if flags.ack() { Endpoint::SynAckSent } else { Endpoint::SynSent });
        } else {
            if !flags.ack() && peer.now == Endpoint::SynAckSent {
                // SYN and SYN-ACK came in the wrong order.
                flip = true;
                peer.set(Endpoint::Established);
            }
            if peer.now == Endpoint::SynSent {
                peer.set(Endpoint::Established);
            }
            me.set(Endpoint::Established);
        }
    }
    if flags.fin() {
        me.set(Endpoint::Closed);
    }
    if flags.rst() {
        me.set(Endpoint::Reset);
    }
    if me.now == Endpoint::Inactive {
        if orig_sent_syn && len == 0 {
            // Some hosts acknowledge a SYN before they answer it.
        } else if flags.ack() && peer.now == Endpoint::Established {
            me.set(Endpoint::Established);
        } else {
            me.set(Endpoint::Partial);
        }
    }
    flip
}

/// Zeek's verdict on a TCP connection. `carried_data` is whether either side sent payload.
pub(crate) fn tcp_state(orig: Side, resp: Side, carried_data: bool) -> ConnState {
    use Endpoint::{Closed, Established, Inactive, Partial, Reset, SynAckSent, SynSent};
    match (orig.now, resp.now) {
        (SynSent | SynAckSent, Reset) => ConnState::Rej,
        (Reset, Reset) if !carried_data => ConnState::Rej,
        (Inactive | Partial, Reset) => ConnState::Rstrh,
        (_, Reset) => ConnState::Rstr,
        (Reset, Inactive | Partial) => ConnState::Rstos0,
        (Reset, _) => ConnState::Rsto,
        (Closed, Closed) => ConnState::Sf,
        (Closed, Inactive | Partial) => ConnState::Sh,
        (Closed, _) => ConnState::S2,
        (Inactive | Partial, Closed) => ConnState::Shr,
        (_, Closed) => ConnState::S3,
        (SynSent, Inactive) => ConnState::S0,
        (Established, Established) => ConnState::S1,
        _ => ConnState::Oth,
    }
}

/// Zeek's verdict on a UDP exchange.
pub(crate) fn udp_state(orig_spoke: bool, resp_spoke: bool) -> ConnState {
    match (orig_spoke, resp_spoke) {
        (true, true) => ConnState::Sf,
        (true, false) => ConnState::S0,
        (false, true) => ConnState::Shr,
        (false, false) => ConnState::Oth,
    }
}

/// Who Zeek takes for the originator of a flow that `sender` began, ports being in that order.
pub(crate) fn originator(
    proto: IpProto,
    flags: Option<Flags>,
    (src, dst): (u16, u16),
    to_broadcast: bool,
    sender: End,
) -> End {
    let flip = match (proto, flags) {
        (IpProto::TCP, Some(flags)) if !flags.syn() || flags.ack() => {
            is_server_port(TCP_SERVERS, src)
                && (!is_server_port(TCP_SERVERS, dst) || !flags.syn() && src < dst)
        }
        (IpProto::UDP, _) => is_server_port(UDP_SERVERS, src) && !is_server_port(UDP_SERVERS, dst),
        _ => false,
    };
    if flip && !to_broadcast { sender.other() } else { sender }
}

fn is_server_port(ports: &[u16], port: u16) -> bool {
    ports.binary_search(&port).is_ok()
}

/// TCP ports that Zeek's own protocol scripts claim, sorted.
const TCP_SERVERS: &[u16] = &[
    21, 22, 25, 53, 80, 81, 88, 110, 111, 143, 389, 443, 445, 502, 514, 563, 585, 587, 614, 631,
    636, 989, 990, 992, 993, 995, 1080, 1434, 1883, 2049, 2811, 3128, 3268, 3306, 3389, 5060, 5222,
    5223, 5269, 5432, 6379, 6666, 6667, 6668, 6669, 8000, 8080, 8888, 20000,
];

/// UDP ports that Zeek's own protocol scripts claim, sorted.
const UDP_SERVERS: &[u16] = &[
    53, 67, 88, 111, 123, 137, 161, 162, 389, 443, 514, 1812, 2049, 2123, 2152, 3389, 3544, 4011,
    4789, 5060, 5072, 5353, 5355, 6081, 20000,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_lists_are_sorted() {
        assert!(TCP_SERVERS.is_sorted());
        assert!(UDP_SERVERS.is_sorted());
    }

    #[test]
    fn history_is_bounded() {
        let mut history = History::default();
        for _ in 0..1_000 {
            history.add(b'S', false);
        }
        assert_eq!(history.to_smallvec().as_slice(), [b's'; LETTERS]);
    }

    #[test]
    fn milestones_are_powers_of_ten() {
        let mut count = 0;
        let hits: Vec<u32> = (1..=2_000).filter(|_| is_milestone(&mut count)).collect();
        assert_eq!(hits, [1, 10, 100, 1_000]);
    }
}
