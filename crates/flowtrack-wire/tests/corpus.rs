//! Every capture of the corpus is decoded, and what is found agrees with tshark.
//!
//! The corpus is read in place (`FLOWTRACK_CORPUS`, by default beside the repository); without it
//! the test says so and passes.

#![allow(clippy::disallowed_methods, reason = "a test reads captures from disk")]
#![allow(clippy::disallowed_macros, reason = "a test says why it is skipped")]

use flowtrack_event::{DecoderStats, IfaceId, LinkType, RawPacket, Timestamp};
use flowtrack_wire::{Network, Packet, Transport, decode, decode_inner};
use serde_json::Value;
use std::{collections::BTreeMap, path::PathBuf};

/// Tunnel levels that are followed.
const MAX_LEVELS: usize = 8;

/// Protocols that are compared.
const COMPARED: [&str; 6] = ["ip", "ipv6", "tcp", "udp", "arp", "sctp"];

fn corpus() -> Option<PathBuf> {
    let path = std::env::var_os("FLOWTRACK_CORPUS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus"),
        PathBuf::from,
    );
    if path.join("facts.jsonl").is_file() {
        return Some(path);
    }
    eprintln!("skipped: no corpus at {}", path.display());
    None
}

/// Captured bytes of a frame, and its length on the wire.
type Frame<'a> = (&'a [u8], u32);

/// The link type and the frames of a classic capture file.
fn frames(file: &[u8]) -> Option<(LinkType, Vec<Frame<'_>>)> {
    let magic: [u8; 4] = file.get(..4)?.try_into().ok()?;
    let word: fn([u8; 4]) -> u32 = match magic {
        [0xd4, 0xc3, 0xb2, 0xa1] | [0x4d, 0x3c, 0xb2, 0xa1] => u32::from_le_bytes,
        [0xa1, 0xb2, 0xc3, 0xd4] | [0xa1, 0xb2, 0x3c, 0x4d] => u32::from_be_bytes,
        _ => return None,
    };
    let at = |at: usize| Some(word(file.get(at..at + 4)?.try_into().ok()?));
    let link = LinkType(at(20)? & 0xffff);
    let mut frames = Vec::new();
    let mut next = 24;
    while let (Some(captured), Some(wire)) = (at(next + 8), at(next + 12)) {
        let Some(data) = file.get(next + 16..next + 16 + captured as usize) else {
            break;
        };
        frames.push((data, wire));
        next += 16 + captured as usize;
    }
    Some((link, frames))
}

/// All levels of one frame.
fn levels<'a>(raw: &RawPacket<'a>, stats: &mut DecoderStats) -> Vec<Packet<'a>> {
    let mut levels = vec![decode(raw, stats)];
    while let Some(inner) = levels.last().and_then(|p| p.inner)
        && levels.len() < MAX_LEVELS
    {
        let vlans = levels.last().map(|p| p.vlans).unwrap_or_default();
        levels.push(decode_inner(&inner, vlans, stats));
    }
    levels
}

/// Which of the compared protocols a packet has.
fn protocols(packet: &Packet<'_>) -> Vec<&'static str> {
    let mut found = Vec::new();
    match &packet.network {
        Network::Ip(ip) if ip.src.is_ipv4() => found.push("ip"),
        Network::Ip(_) => found.push("ipv6"),
        Network::Arp(_) => found.push("arp"),
        Network::None(_) => {}
    }
    match packet.transport {
        Transport::Tcp(_) => found.push("tcp"),
        Transport::Udp(_) => found.push("udp"),
        Transport::Sctp(_) => found.push("sctp"),
        _ => {}
    }
    found
}

/// Frames by protocol as tshark found them, quotes in ICMP errors left out.
fn tshark(fact: &Value) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    let Some(hierarchy) = fact["tshark"]["hierarchy"].as_object() else {
        return counts;
    };
    for (path, frames) in hierarchy {
        let path = path.split(":icmp:ip").next().unwrap_or_default();
        let path = path.split(":icmpv6:ipv6").next().unwrap_or_default();
        for name in COMPARED {
            if path.split(':').any(|layer| layer == name) {
                *counts.entry(name).or_default() += frames.as_u64().unwrap_or(0);
            }
        }
    }
    counts
}

#[test]
fn corpus_is_decoded_as_tshark_decodes_it() {
    let Some(corpus) = corpus() else { return };
    let facts = std::fs::read_to_string(corpus.join("facts.jsonl")).expect("facts are readable");
    let (mut compared, mut equal) = (0_u32, 0_u32);
    for line in facts.lines() {
        let fact: Value = serde_json::from_str(line).expect("facts are JSON");
        let name = fact["file"].as_str().expect("every fact names its file");
        let file = std::fs::read(corpus.join(name)).expect("every capture is there");
        let Some((link, frames)) = frames(&file) else {
            continue;
        };
        let mut stats = DecoderStats::default();
        let mut mine: BTreeMap<&str, u64> = BTreeMap::new();
        for (number, (data, wire_len)) in (1..).zip(&frames) {
            let raw = RawPacket {
                ts: Timestamp::default(),
                iface: IfaceId(0),
                link,
                number,
                wire_len: *wire_len,
                vlan_tci: None,
                data,
            };
            let levels = levels(&raw, &mut stats);
            for name in COMPARED {
                if levels.iter().any(|p| protocols(p).contains(&name)) {
                    *mine.entry(name).or_default() += 1;
                }
            }
        }
        assert_eq!(stats.pkts, frames.len() as u64, "{name}");
        if stats.unknown_link > 0 {
            continue;
        }
        for (protocol, theirs) in tshark(&fact) {
            compared += 1;
            let ours = mine.get(protocol).copied().unwrap_or(0);
            if ours == theirs {
                equal += 1;
            } else if std::env::var_os("FLOWTRACK_SHOW_DIFFERENCES").is_some() {
                eprintln!("{name} (link {}): {protocol} {ours}, tshark {theirs}", link.0);
            }
        }
    }
    eprintln!("{equal} of {compared} counts agree");
    assert!(compared > 1000, "only {compared} counts were compared");
    assert!(equal * 100 >= compared * 97, "{equal} of {compared} agree");
}
