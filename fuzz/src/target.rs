//! What the bytes of a fuzzer are used for: one target for all that reads traffic.
//!
//! The first byte says what follows:
//!
//! ```text
//! 0  a conversation with one dissector      name (2), flags, steps
//! 1  the same with probing before it        the same; the name only chooses the port
//! 2  frames for the packet path             frames
//! 3  a filter expression                    text
//!
//! name   of the protocol, by `mark`
//! flags  1 = datagrams, 2 = the beginning was not seen
//! step   control (1), length (1), then as many bytes where it carries any
//!        control & 1 = to the client; >> 1 & 3: 0 and 1 = bytes, 2 = a hole of 16 times the length,
//!        3 = this way ends
//! frame  link (1), seconds (1), length (2), bytes
//! ```
//!
//! Nothing may panic, and every byte of a frame must be accounted for.

use super::mark::mark;
use flowtrack_dissect::{
    AppConfig, AppFlow, AppLayer, Expectation, Moment, Next, Outcome, Protocol, Transport, Wants,
    protocols::ALL,
};
use flowtrack_engine::{Config, Engine, Output, Seed, Tell};
use flowtrack_event::{
    Chunk, Direction, FileLimits, FlowKey, IfaceId, IpProto, LinkType, RawPacket, Timestamp,
    Transaction,
};

/// Link types that a frame may choose from.
const LINKS: [u32; 8] = [1, 101, 113, 276, 0, 105, 127, 9];

/// Reads one input.
pub fn run(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    match kind % 4 {
        0 => conversation(rest, true),
        1 => conversation(rest, false),
        2 => frames(rest),
        _ => filter(&String::from_utf8_lossy(rest)),
    }
}

fn conversation(data: &[u8], is_known: bool) {
    let [first, second, flags, steps @ ..] = data else { return };
    let marked = ALL.iter().find(|p| mark(p.name().name()) == [*first, *second]);
    let protocol = *marked.unwrap_or(&ALL[usize::from(*first) % ALL.len()]);
    let udp = match protocol.transport() {
        Transport::Tcp => false,
        Transport::Udp => true,
        Transport::Both => flags & 1 != 0,
    };
    let contents = Some(FileLimits { file: 64 * 1024, total: 1024 * 1024 });
    let wants = Wants { records: true, buffers: true, files: true, hashes: true, contents };
    let layer = AppLayer::new(AppConfig { wants, ..AppConfig::default() });
    let key = FlowKey {
        src: [192, 0, 2, 1].into(),
        dst: [198, 51, 100, 2].into(),
        src_port: 40_000,
        dst_port: protocol.ports().first().copied().unwrap_or(4000),
        proto: if udp { IpProto::UDP } else { IpProto::TCP },
    };
    let mut at = Moment {
        ts: Timestamp::from_secs(1_700_000_000),
        packet: 1,
        key: &key,
        midstream: flags & 2 != 0,
    };
    let mut out = nothing_found();
    let mut dissector = protocol.dissector(wants).filter(|_| is_known);
    let mut flow = AppFlow::default();
    let mut rest = steps;
    while let [control, length, after @ ..] = rest {
        rest = after;
        at.packet += 1;
        let direction = if control & 1 == 0 { Direction::ToServer } else { Direction::ToClient };
        let chunk = match control >> 1 & 3 {
            2 => Chunk::Gap(u64::from(*length) * 16),
            3 => {
                match &mut dissector {
                    Some(dissector) => dissector.finish(&at, direction, &mut out),
                    None => flow.finish(&at, direction, &mut out),
                }
                continue;
            }
            _ => {
                let (bytes, after) = rest.split_at(rest.len().min(usize::from(*length)));
                rest = after;
                Chunk::Bytes(bytes)
            }
        };
        match &mut dissector {
            Some(reader) => {
                if !matches!(reader.feed(&at, direction, chunk, &mut out), Ok(Next::More)) {
                    break;
                }
            }
            None => flow.feed(&layer, &at, direction, chunk, &mut out),
        }
        read(protocol, &mut out, &layer);
    }
    flow.close(&layer, &at, &mut out);
    read(protocol, &mut out, &layer);
}

/// Asks of what came all that anybody may ask.
fn read(protocol: &dyn Protocol, out: &mut Outcome, layer: &AppLayer) {
    for done in out.transactions.iter().chain(&out.halves) {
        let transaction: &dyn Transaction = &*done.transaction;
        serde_json::to_value(transaction.record()).expect("a record is JSON");
        transaction.siblings(&mut |_, record| {
            serde_json::to_value(record).expect("so is what stands beside it");
        });
        let _ = transaction.summary();
        transaction.names(&mut |_, _| {});
        transaction.events(&mut |_| {});
        for keyword in protocol.keywords() {
            for direction in [Direction::ToServer, Direction::ToClient] {
                transaction.buffer_towards(direction, keyword.name, &mut |_| {});
                transaction.number(direction, keyword.name, &mut |_| {});
            }
        }
    }
    for expectation in &out.expectations {
        let _ = AppFlow::expecting(layer, &Expectation::clone(expectation));
    }
    *out = nothing_found();
}

/// An outcome that takes in all that dissectors can find.
fn nothing_found() -> Outcome {
    Outcome { wants_logins: true, wants_halves: true, ..Outcome::default() }
}

fn frames(data: &[u8]) {
    let config = Config { tell: Tell::LOGS, ..Config::default() };
    let mut engine = Engine::new(&config, 0, Seed([1, 2, 3, 4]));
    let mut out = Output::default();
    let mut rest = data;
    let (mut number, mut seconds) = (0, 1_700_000_000);
    while let [link, later, high, low, after @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (frame, after) = after.split_at(after.len().min(length));
        rest = after;
        number += 1;
        seconds += i64::from(*later);
        let raw = RawPacket {
            ts: Timestamp::from_secs(seconds),
            iface: IfaceId(0),
            link: LinkType(LINKS[usize::from(*link) % LINKS.len()]),
            number,
            wire_len: length as u32,
            vlan_tci: None,
            data: frame,
        };
        engine.process(&[raw], &mut out);
        out.events.clear();
    }
    engine.finish(&mut out);
    let stats = engine.stats();
    assert!(stats.ledger.balances(), "{:?}", stats.ledger);
    assert_eq!(stats.ledger.seen.packets, number);
}

fn filter(text: &str) {
    if let Ok(filter) = flowtrack_filter::Filter::parse(text) {
        let _ = filter.to_sql();
        let _ = filter.addresses();
        let again = flowtrack_filter::Filter::parse(filter.text());
        assert!(again.is_ok(), "{text:?} is understood, and {:?} is not", filter.text());
    }
    for cursor in (0..=text.len()).filter(|&at| text.is_char_boundary(at)).take(64) {
        let _ = flowtrack_filter::complete(text, cursor);
    }
}
