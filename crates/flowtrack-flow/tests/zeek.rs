//! `conn_state` and `history` against Zeek's own baselines, where the corpus is at hand.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "the test reads the corpus, and says why it is skipped"
)]

mod support;

use flowtrack_event::{DecoderStats, IfaceId, LinkType, RawPacket, Timestamp};
use flowtrack_flow::{At, Config};
use flowtrack_wire::{decode, decode_inner, transport_checksum_ok};
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use support::Table;

/// Both ends of a connection in order, and its protocol.
type Conn = (u8, [(IpAddr, u16); 2]);

/// Connections that Zeek cuts in two are not compared: it forgets an unanswered SYN after five
/// seconds, and takes what follows for another connection. What else differs, and why:
/// - some baselines were made without the protocol scripts, so that no port was well known;
/// - some stop to look at a connection (`X`), or end it, when a script says so.
#[test]
fn tells_the_story_that_zeek_tells() {
    let Some(corpus) = corpus() else { return };
    let map = std::fs::read_to_string(corpus.join("baseline_map.jsonl")).unwrap();
    let (mut rows, mut states, mut histories) = (0, 0, 0);
    for line in map.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |field: &str| entry[field].as_str().unwrap().to_owned();
        let baseline = corpus.join("baseline").join(text("test")).join("conn.log");
        let Ok(log) = std::fs::read_to_string(baseline) else { continue };
        let ignores_checksums = entry["cmds"].as_array().unwrap().iter().any(|command| {
            let words = command.as_str().unwrap().split(' ');
            words.into_iter().any(|word| word.starts_with('-') && word.contains('C'))
        });
        let trace = corpus.join("traces").join(text("trace"));
        let mut ours = stories(&trace, !ignores_checksums);
        let theirs = conn_log(&log);
        // Where Zeek has more connections between two ends, it cut one of them in two.
        let mut cut = theirs.iter().fold(HashMap::<Conn, usize>::new(), |mut counts, row| {
            *counts.entry(row.0).or_default() += 1;
            counts
        });
        cut.retain(|conn, count| ours.get(conn).is_some_and(|stories| stories.len() < *count));
        for (conn, state, history) in theirs {
            if cut.contains_key(&conn) {
                continue;
            }
            let Some(stories) = ours.get_mut(&conn) else { continue };
            let same = |(s, h): &(String, String)| (*s == state, *h == history);
            // Of several connections, each counts once, the best first.
            let Some(best) =
                (0..stories.len()).max_by_key(|&i| (same(&stories[i]), usize::MAX - i))
            else {
                continue;
            };
            let story = stories.remove(best);
            let (same_state, same_history) = same(&story);
            rows += 1;
            states += usize::from(same_state);
            histories += usize::from(same_history);
            if !same_state || !same_history {
                println!("{}: {state} {history}, ours {} {}", text("test"), story.0, story.1);
            }
        }
    }
    println!(
        "of {rows} connections, {states} have the same state and {histories} the same history"
    );
    assert!(rows > 250);
    assert!(states * 100 >= rows * 97);
    assert!(histories * 100 >= rows * 97);
}

fn corpus() -> Option<PathBuf> {
    let root = std::env::var_os("FLOWTRACK_CORPUS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus"),
        PathBuf::from,
    );
    if root.join("zeek/baseline_map.jsonl").is_file() {
        return Some(root.join("zeek"));
    }
    println!("skipped: no corpus at {}", root.display());
    None
}

/// Connections of a log with their state and history, in its order.
fn conn_log(log: &str) -> Vec<(Conn, String, String)> {
    let mut fields: Vec<&str> = Vec::new();
    let mut conns = Vec::new();
    for line in log.lines() {
        if let Some(names) = line.strip_prefix("#fields\t") {
            fields = names.split('\t').collect();
        }
        if line.starts_with('#') {
            continue;
        }
        let row: HashMap<&str, &str> = fields.iter().copied().zip(line.split('\t')).collect();
        let protos = [("tcp", 6), ("udp", 17), ("icmp", 1)];
        let conn = || {
            let addr = |name| row.get(name)?.parse::<IpAddr>().ok();
            let port = |name| row.get(name)?.parse::<u16>().ok();
            let (_, proto) = *protos.iter().find(|(name, _)| row.get("proto") == Some(name))?;
            let ends = [
                (addr("id.orig_h")?, port("id.orig_p")?),
                (addr("id.resp_h")?, port("id.resp_p")?),
            ];
            Some((conn_of(proto, ends), (*row.get("conn_state")?).into(), row.get("history")?))
        };
        if let Some((conn, state, history)) = conn() {
            let history = if *history == "-" { "" } else { history };
            conns.push((conn, state, history.to_owned()));
        }
    }
    conns
}

fn conn_of(proto: u8, mut ends: [(IpAddr, u16); 2]) -> Conn {
    // ICMP of both versions has one name in the log, and no ports.
    let proto = if proto == 58 { 1 } else { proto };
    if proto == 1 {
        ends = ends.map(|(addr, _)| (addr, 0));
    }
    ends.sort_unstable();
    (proto, ends)
}

/// State and history of every flow of a capture, in the order in which they began.
fn stories(path: &Path, verify_checksums: bool) -> HashMap<Conn, Vec<(String, String)>> {
    let file = std::fs::read(path).unwrap();
    let mut table = Table::new(Config::default());
    let mut stats = DecoderStats::default();
    for raw in frames(&file) {
        let mut packet = decode(&raw, &mut stats);
        let mut at = At { ts: raw.ts, ..At::default() };
        loop {
            at.bad_checksum = verify_checksums && transport_checksum_ok(&packet) == Some(false);
            table.feed(&packet, &at);
            let Some(inner) = packet.inner else { break };
            packet = decode_inner(&inner, packet.vlans, &mut stats);
            at.depth += 1;
        }
    }
    let mut ended = table.finish();
    ended.sort_by_key(|(record, _)| record.id);
    let mut stories: HashMap<Conn, Vec<(String, String)>> = HashMap::new();
    for (record, _) in ended {
        let key = record.key;
        let conn = conn_of(key.proto.0, [(key.src, key.src_port), (key.dst, key.dst_port)]);
        let history = String::from_utf8(record.history.to_vec()).unwrap();
        stories.entry(conn).or_default().push((record.conn_state.name().into(), history));
    }
    stories
}

/// The frames of a classic capture file; of another kind, none.
fn frames(file: &[u8]) -> Vec<RawPacket<'_>> {
    let bytes = |at: usize| file.get(at..)?.first_chunk::<4>().copied();
    let (big_endian, nanos) = match bytes(0) {
        Some([0xa1, 0xb2, 0xc3, 0xd4]) => (true, 1_000),
        Some([0xd4, 0xc3, 0xb2, 0xa1]) => (false, 1_000),
        Some([0xa1, 0xb2, 0x3c, 0x4d]) => (true, 1),
        Some([0x4d, 0x3c, 0xb2, 0xa1]) => (false, 1),
        _ => return Vec::new(),
    };
    let word = |at: usize| {
        let bytes = bytes(at)?;
        Some(if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    };
    let mut frames = Vec::new();
    let mut next = 24;
    while let (Some(seconds), Some(fraction), Some(captured), Some(wire_len)) =
        (word(next), word(next + 4), word(next + 8), word(next + 12))
        && let Some(data) = file.get(next + 16..next + 16 + captured as usize)
    {
        next += 16 + captured as usize;
        frames.push(RawPacket {
            ts: Timestamp::from_nanos(
                i64::from(seconds) * 1_000_000_000 + i64::from(fraction) * nanos,
            ),
            iface: IfaceId(0),
            link: LinkType(word(20).unwrap_or(0) & 0xffff),
            number: frames.len() as u64 + 1,
            wire_len,
            vlan_tci: None,
            data,
        });
    }
    frames
}
