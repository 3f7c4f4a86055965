//! Packets for the tests of the flow table, and a table to feed them to.

#![allow(dead_code, reason = "each test binary uses its own part")]

use flowtrack_event::{EndReason, FlowRecord, IfaceId, IpProto, Timestamp, Vlans};
use flowtrack_flow::{At, Config, FlowTable, Seed, Seen, Unplaced};
use flowtrack_wire::{Icmp, Ip, Network, Packet, Ports, Tcp, Transport};
use std::net::IpAddr;

pub const CLIENT: &str = "10.0.0.1";
pub const SERVER: &str = "10.0.0.2";

/// Bytes of the headers below the payload, of every packet made here.
pub const HEADERS: u32 = 54;

pub fn packet(
    src: &str,
    dst: &str,
    proto: IpProto,
    transport: Transport<'static>,
    payload: u32,
) -> Packet<'static> {
    packet_between(src.parse().unwrap(), dst.parse().unwrap(), proto, transport, payload)
}

pub fn packet_between(
    src: IpAddr,
    dst: IpAddr,
    proto: IpProto,
    transport: Transport<'static>,
    payload: u32,
) -> Packet<'static> {
    let ip = Ip {
        src,
        dst,
        proto,
        ttl: 64,
        tos: 0,
        header: &[],
        payload: &[0x01, 0x02, 0x03, 0x04],
        total_len: HEADERS - 14 + payload,
        fragment: None,
    };
    Packet {
        len: HEADERS + payload,
        network: Network::Ip(ip),
        transport,
        payload_wire_len: payload,
        ..Packet::default()
    }
}

pub fn udp(src: (&str, u16), dst: (&str, u16), payload: u32) -> Packet<'static> {
    let ports = Ports { src: src.1, dst: dst.1 };
    packet(src.0, dst.0, IpProto::UDP, Transport::Udp(ports), payload)
}

pub fn icmp(src: &str, dst: &str, kind: u8, seq: u16) -> Packet<'static> {
    let proto = if src.contains(':') { IpProto::ICMPV6 } else { IpProto::ICMP };
    let icmp = Icmp { kind, code: 0, id: 77, seq, quoted: None };
    packet(src, dst, proto, Transport::Icmp(icmp), 0)
}

pub fn segment(
    src: (&str, u16),
    dst: (&str, u16),
    flags: u8,
    (seq, ack): (u32, u32),
    payload: u32,
) -> Packet<'static> {
    let tcp =
        Tcp { src: src.1, dst: dst.1, seq, ack, flags, window: 1000, urgent: 0, options: &[] };
    packet(src.0, dst.0, IpProto::TCP, Transport::Tcp(tcp), payload)
}

pub fn millis(ms: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + ms * 1_000)
}

pub fn at(ms: i64) -> At {
    At { ts: millis(ms), ..At::default() }
}

pub fn vlans(ids: &[u16]) -> Vlans {
    let mut vlans = Vlans::default();
    for &id in ids {
        assert!(vlans.push(id));
    }
    vlans
}

pub const fn iface(id: u16) -> IfaceId {
    IfaceId(id)
}

/// A table that remembers what ended.
pub struct Table {
    pub table: FlowTable<u32>,
    pub ended: Vec<(FlowRecord, EndReason)>,
}

impl Table {
    pub fn new(config: Config) -> Self {
        Self { table: FlowTable::new(config, 3, Seed([7, 8, 9, 10])), ended: Vec::new() }
    }

    /// Feeds a packet; `None` where it has no flow.
    pub fn feed(&mut self, packet: &Packet<'_>, at: &At) -> Option<Seen> {
        self.try_feed(packet, at)?.ok()
    }

    pub fn try_feed(&mut self, packet: &Packet<'_>, at: &At) -> Option<Result<Seen, Unplaced>> {
        let key = self.table.key(packet, at)?;
        let ended = &mut self.ended;
        let mut push = |record, reason, _| ended.push((record, reason));
        Some(self.table.update(&key, packet, at, &mut push))
    }

    pub fn expire(&mut self, ms: i64, budget: usize) {
        let ended = &mut self.ended;
        let mut push = |record, reason, _| ended.push((record, reason));
        self.table.expire(millis(ms), budget, &mut push);
    }

    /// Ends all flows and hands out all that ended.
    pub fn finish(mut self) -> Vec<(FlowRecord, EndReason)> {
        let ended = &mut self.ended;
        self.table.drain(&mut |record, reason, _| ended.push((record, reason)));
        assert!(self.table.is_empty());
        self.ended
    }
}

/// A TCP session written down: one segment a line, as `<ms> <dir> <flags> <seq> <ack> +<len>`.
///
/// Direction is `>` from client to server or `<`; numbers are relative to the initial sequence
/// numbers, so that a SYN is 0 and the first byte 1; `w0` closes the window.
pub fn session(script: &str, isns: (u32, u32)) -> Vec<(Packet<'static>, At)> {
    let mut segments = Vec::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let ms: i64 = words.next().unwrap().parse().unwrap();
        let to_server = words.next() == Some(">");
        let flags = words.next().unwrap().chars().map(|flag| match flag {
            'S' => Tcp::SYN,
            'A' => Tcp::ACK,
            'F' => Tcp::FIN,
            'R' => Tcp::RST,
            'P' => Tcp::PSH,
            '.' => 0,
            other => panic!("flag {other} in {line}"),
        });
        let flags = flags.fold(0, |sum, flag| sum | flag);
        let (mut numbers, mut len, mut window) = (Vec::new(), 0, 1000);
        for word in words {
            match word.strip_prefix('+') {
                Some(bytes) => len = bytes.parse().unwrap(),
                None if word == "w0" => window = 0,
                None => numbers.push(word.parse::<i64>().unwrap() as u32),
            }
        }
        let (mine, theirs) = if to_server { isns } else { (isns.1, isns.0) };
        let seq = numbers[0].wrapping_add(mine);
        let ack = numbers.get(1).map_or(0, |ack| ack.wrapping_add(theirs));
        let (client, server) = ((CLIENT, 40_000), (SERVER, 80));
        let (src, dst) = if to_server { (client, server) } else { (server, client) };
        let mut packet = segment(src, dst, flags, (seq, ack), len);
        if let Transport::Tcp(tcp) = &mut packet.transport {
            tcp.window = window;
        }
        segments.push((packet, at(ms)));
    }
    segments
}

/// The record of a session that is one flow.
pub fn record_of(script: &str, isns: (u32, u32)) -> FlowRecord {
    let mut table = Table::new(Config::default());
    for (packet, at) in session(script, isns) {
        table.feed(&packet, &at).unwrap();
    }
    let mut ended = table.finish();
    assert_eq!(ended.len(), 1, "{script}");
    ended.pop().unwrap().0
}
