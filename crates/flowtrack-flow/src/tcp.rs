//! What a TCP segment tells: its place in the stream, loss, round trips, windows, and what the
//! two ends make of each other (RFC 9293).
//!
//! No bytes are kept here; that is the work of [`crate::stream`].

mod coverage;
mod state;

use crate::flow::{Cold, Detail, Hot, Side};
use crate::key::End;
use crate::zeek::{self, is_milestone, seen};
use coverage::{Lost, Piece, Ranges, distance};
use flowtrack_event::{FlowState, TcpState};
use flowtrack_wire::{Tcp, TcpOption};

pub(crate) use state::{flow_state, may_be_reused};

/// What one segment told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcpFacts {
    /// Its place in the stream.
    pub segment: Segment,
    /// Bytes of payload in it.
    pub payload: u32,
    /// Payload bytes in it that were never seen before.
    pub new_bytes: u32,
    /// A round trip that its acknowledgement ended, in microseconds.
    pub rtt_us: Option<u32>,
    /// Holes in the other side's stream that its acknowledgement showed to be lost.
    pub lost_segments: u32,
    /// State of the session after it.
    pub state: TcpState,
    /// Whether it completed the handshake.
    pub established: bool,
    /// Whether it ended the session.
    pub closed: bool,
}

/// Place of a segment in its stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Segment {
    /// It carries no payload.
    Empty,
    /// It carries the next bytes.
    InOrder,
    /// It lies behind a hole.
    Ahead,
    /// It fills a hole so soon that it must have been overtaken on the way.
    OutOfOrder,
    /// Sent again, whether or not the first try was seen.
    Retransmission,
    /// A probe of one old byte at most, which asks whether the other side is still there.
    KeepAlive,
}

/// The flags of a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flags(pub(crate) u8);

impl Flags {
    pub(crate) const fn syn(self) -> bool {
        self.0 & Tcp::SYN != 0
    }

    pub(crate) const fn ack(self) -> bool {
        self.0 & Tcp::ACK != 0
    }

    pub(crate) const fn fin(self) -> bool {
        self.0 & Tcp::FIN != 0
    }

    pub(crate) const fn rst(self) -> bool {
        self.0 & Tcp::RST != 0
    }

    /// Whether it opens, closes or breaks.
    const fn any_control(self) -> bool {
        self.0 & (Tcp::SYN | Tcp::FIN | Tcp::RST) != 0
    }
}

/// Flags of a side.
pub(crate) mod bits {
    /// Its sequence numbers are known.
    pub(crate) const KNOWN: u8 = 1;
    /// An acknowledgement is awaited to measure the round trip.
    pub(crate) const TIMED: u8 = 2;
    /// Its receive window is closed.
    pub(crate) const ZERO_WINDOW: u8 = 4;
    /// It sent SYN.
    pub(crate) const SYN: u8 = 8;
    /// Its SYN was acknowledged.
    pub(crate) const SYN_ACKED: u8 = 16;
    /// It sent FIN.
    pub(crate) const FIN: u8 = 32;
    /// It has holes.
    pub(crate) const HOLES: u8 = 64;
}

/// Metrics of one side that few segments touch.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct ColdSide {
    pub(crate) rtt_sum_us: u64,
    pub(crate) lost_bytes: u64,
    pub(crate) rtt_min_us: u32,
    pub(crate) rtt_max_us: u32,
    pub(crate) rtt_count: u32,
    pub(crate) retransmissions: u32,
    pub(crate) out_of_order: u32,
    pub(crate) lost_segments: u32,
    pub(crate) zero_windows: u32,
    /// Segments that Zeek would write as `t`.
    zeek_late: u32,
    /// Segments that Zeek would write as `w`.
    zeek_zero_windows: u32,
    /// Holes that Zeek would write as `g`.
    zeek_gaps: u32,
    /// Sequence number of the last FIN and RST, to tell a repeated one from another.
    last_fin: u32,
    last_rst: u32,
    /// Segments with a wrong checksum.
    bad_checksums: u32,
    ranges: Ranges,
}

/// Round trips of the handshake in microseconds; 0 where not measured.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Handshake {
    /// SYN-ACK to ACK.
    pub(crate) client_us: u32,
    /// SYN to SYN-ACK.
    pub(crate) server_us: u32,
}

/// A segment with what the table knows about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seg<'a> {
    pub(crate) tcp: &'a Tcp<'a>,
    pub(crate) sender: End,
    /// Length of its payload as the IP header tells it.
    pub(crate) len: u32,
    /// Microseconds modulo 2^32.
    pub(crate) now: u32,
    pub(crate) midstream: bool,
}

/// Notes a segment whose checksum is wrong: no host believes a word of it.
pub(crate) fn note_bad_checksum<A>(hot: &Hot, cold: &mut Cold<A>, sender: End) {
    let side = cold.side_mut(sender);
    if is_milestone(&mut side.bad_checksums) {
        cold.history.add(b'C', sender == hot.zeek_orig);
    }
}

/// Takes a segment in.
pub(crate) fn update<A>(hot: &mut Hot, cold: &mut Cold<A>, seg: &Seg<'_>) -> TcpFacts {
    let tcp = seg.tcp;
    let flags = Flags(tcp.flags);
    let is_orig = seg.sender == hot.zeek_orig;
    let from_client = seg.sender == hot.client;
    let before = hot.tcp;
    let (me, peer) = match seg.sender {
        End::Low => (&mut hot.low, &mut hot.high),
        End::High => (&mut hot.high, &mut hot.low),
    };
    me.flags |= tcp.flags;

    let data = if flags.rst() { 0 } else { seg.len };
    let control = u32::from(flags.syn()) + u32::from(flags.fin());
    let end = tcp.seq.wrapping_add(data).wrapping_add(control);

    let fresh = (me.zeek.now == zeek::Endpoint::Inactive || flags.syn())
        && start_numbering(me, cold.side_mut(seg.sender), flags, tcp.seq, end);
    if wants_letter(me, flags, seg.len) {
        write_letter(me, cold, seg, flags, is_orig);
    }
    if tcp.window == 0 || me.has(bits::ZERO_WINDOW) {
        watch_window(me, peer, cold, seg, flags, is_orig);
    }
    if flags.syn() {
        let scale = tcp.options().find_map(|option| match option {
            TcpOption::WindowScale(shift) => Some(shift.min(MAX_WINDOW_SCALE)),
            _ => None,
        });
        me.window_scale = scale.unwrap_or(0);
    }

    let mut rtt_us = None;
    let mut acked = None;
    let mut acks_fin = false;
    if flags.ack() {
        if peer.zeek.now == zeek::Endpoint::Inactive {
            // What it sent before stays unknown; its first byte is the one acknowledged next.
            peer.isn = tcp.ack.wrapping_sub(1);
            peer.next = tcp.ack;
            peer.contiguous = tcp.ack;
            peer.bits |= bits::KNOWN;
        } else if !flags.rst() && is_plausible_ack(peer, tcp.ack) {
            acked = Some(tcp.ack);
            let in_sent = distance(tcp.ack, peer.isn) > 0 && distance(tcp.ack, peer.next) <= 0;
            if peer.has(bits::SYN) && in_sent {
                peer.bits |= bits::SYN_ACKED;
            }
            acks_fin = peer.has(bits::FIN) && distance(tcp.ack, peer.next) >= 0;
            if peer.has(bits::TIMED) && distance(tcp.ack, peer.timed_end) >= 0 {
                rtt_us = end_timing(peer, cold, seg, from_client);
            }
        }
    }

    let believed_rst = flags.rst() && is_believable_rst(me, peer, from_client, before, tcp);
    let (segment, new_bytes) = place(me, cold, seg, flags, (end, fresh), is_orig);

    if (flags.any_control() || me.zeek.now == zeek::Endpoint::Inactive)
        && zeek::advance(&mut me.zeek, &mut peer.zeek, is_orig, flags, seg.len)
    {
        cold.history.add_flip();
        hot.zeek_orig = hot.zeek_orig.other();
    }
    let mut lost = Lost::default();
    if let Some(ack) = acked
        && distance(ack, peer.contiguous) > 0
    {
        lost = give_up(me, peer, cold, seg, ack, !is_orig);
    }

    // Nearly all segments leave the state as it is.
    let settled = match before {
        TcpState::None => !seg.midstream,
        TcpState::Established | TcpState::Closed => true,
        _ => false,
    };
    if flags.any_control() || !settled {
        let handshake = bits::SYN | bits::SYN_ACKED;
        hot.tcp = state::next(
            before,
            state::Event {
                from_client,
                syn: flags.syn(),
                ack: flags.ack(),
                fin: flags.fin(),
                rst: believed_rst,
                handshake_done: me.bits & peer.bits & handshake == handshake
                    || seg.midstream && acked.is_some() && peer.bits & handshake == handshake,
                acks_fin,
                midstream: seg.midstream,
            },
        );
        hot.state = flow_state(hot.tcp);
    }
    if flags.fin() {
        me.bits |= bits::FIN;
    }
    TcpFacts {
        segment,
        payload: data,
        new_bytes,
        rtt_us,
        lost_segments: lost.holes,
        state: hot.tcp,
        established: hot.state == FlowState::Established && flow_state(before) == FlowState::New,
        closed: hot.state == FlowState::Closed && flow_state(before) != FlowState::Closed,
    }
}

/// Sets the sequence numbers of a side by its first segment, or by a SYN that begins again; says
/// whether it did.
fn start_numbering(me: &mut Side, cold: &mut ColdSide, flags: Flags, seq: u32, end: u32) -> bool {
    use zeek::Endpoint::{Established, Inactive, Partial, Reset, SynAckSent, SynSent};
    let first = me.zeek.now == Inactive;
    let again = flags.syn()
        && match me.zeek.now {
            SynSent | SynAckSent => seq != me.isn,
            Established | Partial => true,
            Reset => me.zeek.before == Inactive,
            _ => false,
        };
    if !first && !again {
        return false;
    }
    if flags.syn() {
        me.isn = seq;
        me.next = end;
        me.contiguous = seq.wrapping_add(1);
    } else {
        me.isn = seq.wrapping_sub(1);
        me.next = seq;
        me.contiguous = seq;
    }
    if me.has(bits::HOLES) {
        cold.ranges = Ranges::default();
    }
    me.bits = me.bits & !(bits::TIMED | bits::HOLES) | bits::KNOWN;
    true
}

/// Whether a segment may add a letter to the history; most repeat what was seen.
#[inline]
fn wants_letter(me: &Side, flags: Flags, len: u32) -> bool {
    let letter = if len > 0 { seen::DATA } else { seen::ACK };
    flags.any_control() || me.letters & letter == 0
}

fn write_letter<A>(me: &mut Side, cold: &mut Cold<A>, seg: &Seg<'_>, flags: Flags, is_orig: bool) {
    let seq = seg.tcp.seq;
    let side = cold.side_mut(seg.sender);
    let (syn, fin, rst) = (flags.syn(), flags.fin(), flags.rst());
    // A second one of these counts only where it is not the first one sent again.
    let (kind, letter, repeated) = match (syn, fin, rst) {
        (_, true, true) => (seen::FIN_RST, b'I', true),
        (true, true, _) | (true, _, true) => (seen::MULTI, b'Q', true),
        (true, ..) => (seen::SYN, if flags.ack() { b'H' } else { b'S' }, seq == me.isn),
        (_, true, _) => {
            let end = seq.wrapping_add(seg.len);
            (seen::FIN, b'F', std::mem::replace(&mut side.last_fin, end) == end)
        }
        (.., true) => (seen::RST, b'R', std::mem::replace(&mut side.last_rst, seq) == seq),
        _ if seg.len > 0 => (seen::DATA, b'D', true),
        _ if flags.ack() => (seen::ACK, b'A', true),
        _ => return,
    };
    if me.letters & kind == 0 || !repeated {
        me.letters |= kind;
        cold.history.add(letter, is_orig);
    }
}

fn watch_window<A>(
    me: &mut Side,
    peer: &Side,
    cold: &mut Cold<A>,
    seg: &Seg<'_>,
    flags: Flags,
    is_orig: bool,
) {
    if seg.tcp.window > 0 {
        me.bits &= !bits::ZERO_WINDOW;
        return;
    }
    // After a RST, or when the other side has nothing more to send, it means nothing.
    if flags.rst()
        || peer.zeek.now == zeek::Endpoint::Closed
        || me.zeek.now == zeek::Endpoint::Reset
    {
        return;
    }
    let side = cold.side_mut(seg.sender);
    if !me.has(bits::ZERO_WINDOW) && !flags.syn() {
        me.bits |= bits::ZERO_WINDOW;
        side.zero_windows = side.zero_windows.saturating_add(1);
    }
    if is_milestone(&mut side.zeek_zero_windows) {
        cold.history.add(b'W', is_orig);
    }
}

/// Finds the place of a segment in its stream and counts what it adds.
fn place<A>(
    me: &mut Side,
    cold: &mut Cold<A>,
    seg: &Seg<'_>,
    flags: Flags,
    (end, fresh): (u32, bool),
    is_orig: bool,
) -> (Segment, u32) {
    let seq = seg.tcp.seq;
    let delta = distance(end, me.next);
    let advances = if flags.syn() || flags.rst() {
        delta > 0 && delta <= TOO_FAR && me.zeek.now != zeek::Endpoint::Reset
    } else if flags.fin() && me.next == me.isn.wrapping_add(1) {
        // Nothing but the SYN was seen, so that the FIN is right wherever it lies.
        true
    } else {
        delta > 0 && me.zeek.now != zeek::Endpoint::Reset
    };
    if advances {
        me.next = end;
    } else if seg.len > 0
        && delta <= 0
        && me.zeek.now != zeek::Endpoint::Reset
        && (delta >= -TOO_FAR || !flags.syn() && !flags.rst())
        && is_milestone(&mut cold.side_mut(seg.sender).zeek_late)
    {
        cold.history.add(b'T', is_orig);
    }
    if flags.syn() {
        me.bits |= bits::SYN;
    }
    if flags.rst() || end == seq {
        return (Segment::Empty, 0);
    }
    if advances || fresh {
        me.moved_at = seg.now;
        if !me.has(bits::TIMED) {
            me.bits |= bits::TIMED;
            me.timed_end = end;
            me.timed_at = seg.now;
        }
    } else if me.has(bits::TIMED) && distance(seq, me.timed_end) < 0 {
        // Sent again: nobody knows which of both the acknowledgement answers (Karn).
        me.bits &= !bits::TIMED;
    }

    let start = if flags.syn() { seq.wrapping_add(1) } else { seq };
    if start == me.contiguous && !me.has(bits::HOLES) {
        me.contiguous = end;
        me.payload_bytes += u64::from(seg.len);
        return match (seg.len, flags.syn() && !fresh) {
            (_, true) => (count_again(cold, seg), 0),
            (0, _) => (Segment::Empty, 0),
            (new, _) => (Segment::InOrder, new),
        };
    }
    place_late(me, cold, seg, flags, (start, end), delta)
}

/// Places a segment that is not simply the next one.
fn place_late<A>(
    me: &mut Side,
    cold: &mut Cold<A>,
    seg: &Seg<'_>,
    flags: Flags,
    (start, end): (u32, u32),
    delta: i32,
) -> (Segment, u32) {
    let handshake = match cold.detail {
        Detail::Tcp(handshake) => handshake,
        _ => Handshake::default(),
    };
    let side = cold.side_mut(seg.sender);
    let piece = side.ranges.add(&mut me.contiguous, start, end);
    me.bits &= !bits::HOLES;
    if !side.ranges.is_empty() {
        me.bits |= bits::HOLES;
    }
    let new = match piece {
        Piece::Next(new) | Piece::Ahead(new) => {
            new.saturating_sub(u32::from(flags.fin())).min(seg.len)
        }
        Piece::Old => 0,
    };
    me.payload_bytes += u64::from(new);
    let is_probe = seg.len <= 1 && !flags.any_control() && seg.tcp.seq.wrapping_add(1) == me.next;
    let segment = match piece {
        Piece::Next(_) if delta > 0 => Segment::InOrder,
        Piece::Ahead(_) if delta > 0 => Segment::Ahead,
        Piece::Next(_) | Piece::Ahead(_) => {
            // Nobody can send again what he does not know to be missing: that takes a round trip.
            let round_trip = handshake.client_us.saturating_add(handshake.server_us).max(3_000);
            if seg.now.wrapping_sub(me.moved_at) < round_trip {
                side.out_of_order = side.out_of_order.saturating_add(1);
                Segment::OutOfOrder
            } else {
                count_again(cold, seg)
            }
        }
        Piece::Old if delta > 0 && seg.len > 0 => {
            // Its acknowledgement was captured first, so it was taken for lost.
            side.lost_bytes = side.lost_bytes.saturating_sub(u64::from(seg.len));
            side.lost_segments = side.lost_segments.saturating_sub(1);
            side.out_of_order = side.out_of_order.saturating_add(1);
            me.payload_bytes += u64::from(seg.len);
            return (Segment::OutOfOrder, seg.len);
        }
        Piece::Old if is_probe => Segment::KeepAlive,
        Piece::Old if delta > 0 => Segment::Empty,
        Piece::Old => count_again(cold, seg),
    };
    if seg.len == 0 && segment == Segment::InOrder { (Segment::Empty, 0) } else { (segment, new) }
}

fn count_again<A>(cold: &mut Cold<A>, seg: &Seg<'_>) -> Segment {
    let side = cold.side_mut(seg.sender);
    side.retransmissions = side.retransmissions.saturating_add(1);
    Segment::Retransmission
}

/// Takes the holes of `peer` before `ack` for lost.
fn give_up<A>(
    me: &Side,
    peer: &mut Side,
    cold: &mut Cold<A>,
    seg: &Seg<'_>,
    ack: u32,
    peer_is_orig: bool,
) -> Lost {
    let side = cold.side_mut(seg.sender.other());
    let lost = side.ranges.give_up(&mut peer.contiguous, ack);
    peer.bits &= !bits::HOLES;
    if !side.ranges.is_empty() {
        peer.bits |= bits::HOLES;
    }
    let bytes = lost.bytes.min(largest_window(me));
    side.lost_bytes = side.lost_bytes.saturating_add(u64::from(bytes));
    side.lost_segments = side.lost_segments.saturating_add(lost.holes);
    if zeek::gaps_count(me.zeek, peer.zeek) {
        for _ in 0..lost.holes {
            let side = cold.side_mut(seg.sender.other());
            if is_milestone(&mut side.zeek_gaps) {
                cold.history.add(b'G', peer_is_orig);
            }
        }
    }
    lost
}

/// Bytes that may be on their way to `me` at once. No more can be lost between two
/// acknowledgements, however far its numbers jump.
fn largest_window(me: &Side) -> u32 {
    if me.has(bits::SYN) { u32::from(u16::MAX) << me.window_scale } else { TOO_FAR as u32 }
}

/// Ends the measurement that waited for this acknowledgement.
fn end_timing<A>(
    peer: &mut Side,
    cold: &mut Cold<A>,
    seg: &Seg<'_>,
    from_client: bool,
) -> Option<u32> {
    peer.bits &= !bits::TIMED;
    let took = seg.now.wrapping_sub(peer.timed_at);
    if took > i32::MAX as u32 {
        // Time ran backwards.
        return None;
    }
    let took = took.max(1);
    let side = cold.side_mut(seg.sender.other());
    side.rtt_min_us = if side.rtt_count == 0 { took } else { side.rtt_min_us.min(took) };
    side.rtt_max_us = side.rtt_max_us.max(took);
    side.rtt_sum_us = side.rtt_sum_us.saturating_add(u64::from(took));
    side.rtt_count = side.rtt_count.saturating_add(1);
    if peer.has(bits::SYN)
        && peer.timed_end == peer.isn.wrapping_add(1)
        && let Detail::Tcp(handshake) = &mut cold.detail
    {
        let slot = if from_client { &mut handshake.client_us } else { &mut handshake.server_us };
        if *slot == 0 {
            *slot = took;
        }
    }
    Some(took)
}

/// Whether an acknowledgement can be one of this stream at all.
fn is_plausible_ack(peer: &Side, ack: u32) -> bool {
    let beyond = distance(ack, peer.next);
    // Zero is what broken stacks write; no window is larger than 2^30.
    beyond <= 1 << 30 && !(ack == 0 && beyond > TOO_FAR)
}

/// Whether the receiver would believe a RST: it stands exactly at the next byte (RFC 5961 section
/// 3.2), or refuses the SYN that it acknowledges.
fn is_believable_rst(
    me: &Side,
    peer: &Side,
    from_client: bool,
    state: TcpState,
    tcp: &Tcp<'_>,
) -> bool {
    if state == TcpState::SynSent {
        return !from_client && (tcp.flags & Tcp::ACK == 0 || tcp.ack == peer.next);
    }
    let from_next = distance(tcp.seq, me.next);
    me.zeek.now == zeek::Endpoint::Inactive
        || from_next == 0
        || tcp.seq == me.contiguous
        // As if the FIN had not been sent.
        || from_next == -1 && me.has(bits::FIN)
}

/// Larger shifts of the window mean this one (RFC 7323 section 2.3).
const MAX_WINDOW_SCALE: u8 = 14;

/// Sequence numbers of SYN and RST that jump further are not believed; no window whose scale was
/// not seen is larger.
const TOO_FAR: i32 = 1 << 20;
