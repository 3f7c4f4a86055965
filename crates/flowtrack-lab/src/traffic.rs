//! Packets with their times, to be played as fast as they are judged.

use crate::frames;
use flowtrack_event::{Detection, Event, IfaceId, LinkType, RawPacket, Timestamp};
use std::net::Ipv4Addr;

/// Flags of TCP.
pub mod tcp_flags {
    /// The sender has said all.
    pub const FIN: u8 = 1;
    /// The sender begins.
    pub const SYN: u8 = 2;
    /// There is no such connection.
    pub const RST: u8 = 4;
    /// The receiver shall not wait for more.
    pub const PSH: u8 = 8;
    /// Something is acknowledged.
    pub const ACK: u8 = 16;
    /// Something is urgent.
    pub const URG: u8 = 32;
}

use tcp_flags::{ACK, FIN, PSH, RST, SYN};

/// An address and a port.
pub type End = ([u8; 4], u16);

/// Packets of raw IPv4 with their times in microseconds.
#[derive(Default)]
pub struct Traffic(Vec<(i64, Vec<u8>)>);

/// When time 0 is, in microseconds since 1970.
const START: i64 = 1_700_000_000_000_000;
/// Largest payload of one packet of a session.
const MOST: usize = 60_000;
/// What no protocol begins with.
const FILLER: u8 = 0xa5;

impl Traffic {
    /// A packet of IPv4.
    pub fn ip(&mut self, micros: i64, src: [u8; 4], dst: [u8; 4], proto: u8, body: &[u8]) {
        let (src, dst) = (Ipv4Addr::from(src), Ipv4Addr::from(dst));
        self.0.push((micros, frames::ipv4(src, dst, proto, 0, body)));
    }

    /// A segment of TCP with these numbers of sequence and acknowledgement.
    pub fn tcp(
        &mut self,
        micros: i64,
        src: End,
        dst: End,
        flags: u8,
        (seq, ack): (u32, u32),
        payload: &[u8],
    ) {
        let mut body = [src.1.to_be_bytes(), dst.1.to_be_bytes()].concat();
        body.extend(seq.to_be_bytes());
        body.extend(ack.to_be_bytes());
        body.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        body.extend(payload);
        self.ip(micros, src.0, dst.0, 6, &body);
    }

    /// A segment of TCP with so many bytes that are nothing in particular.
    pub fn filled(
        &mut self,
        micros: i64,
        src: End,
        dst: End,
        flags: u8,
        numbers: (u32, u32),
        len: usize,
    ) {
        self.tcp(micros, src, dst, flags, numbers, &vec![FILLER; len]);
    }

    /// A datagram of UDP.
    pub fn udp(&mut self, micros: i64, src: End, dst: End, payload: &[u8]) {
        self.ip(micros, src.0, dst.0, 17, &frames::udp(src.1, dst.1, payload));
    }

    /// An echo and what comes back, if anything, with so many bytes in each.
    pub fn echo(
        &mut self,
        micros: i64,
        (src, dst): ([u8; 4], [u8; 4]),
        number: u16,
        sent: usize,
        returned: Option<usize>,
    ) {
        /// How long the way there and back takes.
        const BACK: i64 = 20_000;
        let message = |kind: u8, len: usize| {
            let mut body = vec![kind, 0, 0, 0, 0, 7];
            body.extend(number.to_be_bytes());
            body.resize(body.len() + len, FILLER);
            body
        };
        self.ip(micros, src, dst, 1, &message(8, sent));
        if let Some(returned) = returned {
            self.ip(micros + BACK, dst, src, 1, &message(0, returned));
        }
    }

    /// An attempt at a port that is closed.
    pub fn refused(&mut self, micros: i64, src: End, dst: End) {
        self.filled(micros, src, dst, SYN, (100, 0), 0);
        self.filled(micros + 100, dst, src, RST | ACK, (0, 101), 0);
    }

    /// A session that carries so much up, and a little back.
    pub fn session(&mut self, micros: i64, src: End, dst: End, up: usize) {
        let mut at = micros;
        let (mut seq, back) = (101_u32, 60_usize);
        self.filled(at, src, dst, SYN, (100, 0), 0);
        self.filled(at + 100, dst, src, SYN | ACK, (500, 101), 0);
        self.filled(at + 200, src, dst, ACK, (101, 501), 0);
        let mut left = up;
        while left > 0 {
            let part = left.min(MOST);
            at += 300;
            self.filled(at, src, dst, ACK | PSH, (seq, 501), part);
            seq = seq.wrapping_add(part as u32);
            self.filled(at + 50, dst, src, ACK, (501, seq), 0);
            left -= part;
        }
        self.filled(at + 300, dst, src, ACK | PSH, (501, seq), back);
        let answered = 501 + back as u32;
        self.filled(at + 400, src, dst, FIN | ACK, (seq, answered), 0);
        self.filled(at + 500, dst, src, FIN | ACK, (answered, seq + 1), 0);
        self.filled(at + 600, src, dst, ACK, (seq + 1, answered + 1), 0);
    }

    /// Shows every packet by its time; of those with the same, as they were added.
    pub fn play(mut self, mut show: impl FnMut(RawPacket<'_>)) {
        self.0.sort_by_key(|(at, _)| *at);
        for (number, (at, data)) in self.0.iter().enumerate() {
            show(RawPacket {
                ts: Timestamp::from_micros(START + at),
                iface: IfaceId(0),
                link: LinkType::RAW,
                number: number as u64,
                wire_len: data.len() as u32,
                vlan_tci: None,
                data,
            });
        }
    }

    /// What there is before this second, and what there is from then on.
    pub fn cut(self, second: i64) -> (Self, Self) {
        let (before, after) = self.0.into_iter().partition(|(at, _)| *at < second * 1_000_000);
        (Self(before), Self(after))
    }
}

/// What detectors said among these events.
pub fn detections(events: Vec<Event>) -> Vec<Detection> {
    let said = events.into_iter().filter_map(|event| match event {
        Event::Detection(detection) => Some(*detection),
        _ => None,
    });
    said.collect()
}
