//! How long an answer takes: requests paired with what answers them.
//!
//! A DNS question and an ICMP echo carry a number that comes back with the answer, so every pair
//! of a flow can be told. Of other flows only the first request and the first answer are timed: what
//! answers what is not known later.

use crate::flow::{Cold, Detail, Hot, bits};
use crate::key::End;
use flowtrack_event::{Direction, IpProto, Timestamp};
use flowtrack_wire::{Icmp, Packet, Transport};

/// The time from a request to its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Response {
    /// What was asked.
    pub kind: Asked,
    /// Microseconds.
    pub micros: u32,
}

/// Kinds of requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// A question over UDP to the port of DNS.
    Dns,
    /// An ICMP echo.
    Echo,
    /// The first datagram of another UDP flow.
    Other,
}

/// What a packet says of requests and answers.
#[derive(Clone, Copy, Debug)]
struct Tagged {
    kind: Asked,
    /// What request and answer have in common.
    tag: u32,
    is_request: bool,
}

/// Measures the time from a request to the packet that answers it, for a flow without sessions.
#[inline]
pub(crate) fn response<A>(
    hot: &mut Hot,
    cold: &mut Cold<A>,
    direction: Direction,
    packet: &Packet<'_>,
    now: Timestamp,
) -> Option<Response> {
    let tagged = match &packet.transport {
        Transport::Udp(_) => match dns(hot, packet.payload) {
            Some(tagged) => tagged,
            None if hot.has(bits::ANSWERED) => return None,
            None => {
                let micros = first_answer(hot, cold, direction, now)?;
                return Some(Response { kind: Asked::Other, micros });
            }
        },
        Transport::Icmp(icmp) => echo(hot.key.proto(), icmp)?,
        _ => return None,
    };
    paired(hot, cold, direction, tagged, now)
}

/// Measures the time from the first request to the first answer behind it.
pub(crate) fn first_answer<A>(
    hot: &mut Hot,
    cold: &mut Cold<A>,
    direction: Direction,
    now: Timestamp,
) -> Option<u32> {
    match direction {
        Direction::ToServer if !hot.has(bits::ASKED) => {
            hot.bits |= bits::ASKED;
            cold.asked_at = micros(now);
            None
        }
        Direction::ToClient if hot.has(bits::ASKED) => answered(hot, cold, now),
        _ => None,
    }
}

/// Measures the time from a request to the answer with the same tag. One request of a flow is timed
/// at a time: of those that are sent before its answer, none takes its place, lest a slow path
/// with many on the way be never measured.
fn paired<A>(
    hot: &mut Hot,
    cold: &mut Cold<A>,
    direction: Direction,
    Tagged { kind, tag, is_request }: Tagged,
    now: Timestamp,
) -> Option<Response> {
    match direction {
        Direction::ToServer if is_request => {
            let waits = micros(now).wrapping_sub(cold.asked_at);
            if !hot.has(bits::ASKED) || waits > PATIENCE {
                hot.bits |= bits::ASKED;
                cold.asked_at = micros(now);
                *tag_of(&mut cold.detail) = tag;
            }
            None
        }
        Direction::ToClient
            if !is_request && hot.has(bits::ASKED) && *tag_of(&mut cold.detail) == tag =>
        {
            answered(hot, cold, now).map(|micros| Response { kind, micros })
        }
        _ => None,
    }
}

fn answered<A>(hot: &mut Hot, cold: &mut Cold<A>, now: Timestamp) -> Option<u32> {
    hot.bits &= !bits::ASKED;
    let took = micros(now).wrapping_sub(cold.asked_at);
    if took > i32::MAX as u32 {
        // Time ran backwards.
        return None;
    }
    if !hot.has(bits::ANSWERED) {
        hot.bits |= bits::ANSWERED;
        cold.response_us = took;
    }
    Some(took)
}

/// Where the tag of the request is kept whose answer is awaited.
fn tag_of(detail: &mut Detail) -> &mut u32 {
    match detail {
        Detail::Icmp(icmp) => &mut icmp.asked,
        Detail::Dns { asked } => asked,
        other => {
            *other = Detail::Dns { asked: 0 };
            tag_of(other)
        }
    }
}

fn echo(proto: IpProto, icmp: &Icmp<'_>) -> Option<Tagged> {
    let is_request = match (proto, icmp.kind) {
        (IpProto::ICMP, 8) | (IpProto::ICMPV6, 128) => true,
        (IpProto::ICMP, 0) | (IpProto::ICMPV6, 129) => false,
        _ => return None,
    };
    let tag = u32::from(icmp.id) << 16 | u32::from(icmp.seq);
    Some(Tagged { kind: Asked::Echo, tag, is_request })
}

fn dns(hot: &Hot, payload: &[u8]) -> Option<Tagged> {
    if ![End::Low, End::High].into_iter().any(|end| hot.key.end(end).1 == DNS_PORT) {
        return None;
    }
    let [a, b, flags] = payload.first_chunk::<3>()?;
    Some(Tagged {
        kind: Asked::Dns,
        tag: u32::from(u16::from_be_bytes([*a, *b])),
        is_request: flags & 0x80 == 0,
    })
}

/// Microseconds modulo 2^32, for differences below half an hour.
pub(crate) fn micros(ts: Timestamp) -> u32 {
    ts.micros() as u32
}

/// Microseconds after which an answer is no longer waited for when something else is asked.
const PATIENCE: u32 = 2_000_000;

const DNS_PORT: u16 = 53;
