//! Packets and captured bytes of every capture of the corpus, as another program counted them.

#![allow(clippy::disallowed_macros, reason = "a test that is skipped says why")]

use flowtrack_capture::{Burst, FileOptions, FileSource, PacketSource, SourceError};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What reading a capture to its end, or to its damage, gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Read {
    packets: u64,
    bytes: u64,
    broken: bool,
}

/// Captures that the other program misread, with what Wireshark reads there.
const MISREAD: &[(&str, Read)] = &[
    // It counts the padding of simple packets as bytes captured.
    ("gopacket/056321_test011.pcapng", Read { packets: 4, bytes: 1312, broken: false }),
    ("gopacket/539bf3_test012.pcapng", Read { packets: 4, bytes: 1258, broken: false }),
    ("gopacket/test011.pcapng", Read { packets: 4, bytes: 1312, broken: false }),
    ("gopacket/test012.pcapng", Read { packets: 4, bytes: 1258, broken: false }),
    ("gopacket/test016.pcapng", Read { packets: 4, bytes: 1312, broken: false }),
    // One byte follows the last packet.
    ("scapy/bad_rsn_parsing_overrides_ssid.pcap", Read { packets: 1, bytes: 319, broken: true }),
];

#[test]
fn every_capture_has_the_packets_that_others_count() {
    let corpus = std::env::var_os("FLOWTRACK_CORPUS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus"),
        PathBuf::from,
    );
    let Ok(facts) = std::fs::read_to_string(corpus.join("facts.jsonl")) else {
        println!("skipped: no corpus at {}", corpus.display());
        return;
    };
    let mut wrong = Vec::new();
    let mut read_in_all = 0;
    for line in facts.lines() {
        let fact: Value = serde_json::from_str(line).unwrap();
        let number = |key: &str| fact[key].as_u64().unwrap();
        let file = fact["file"].as_str().unwrap();
        let counted = Read {
            packets: number("packets"),
            bytes: number("cap_bytes"),
            broken: fact["file_truncated"].as_bool().unwrap_or(false),
        };
        let known = MISREAD.iter().find(|(name, _)| *name == file).map(|&(_, right)| right);
        let expected = (known.unwrap_or(counted), fact["linktypes"].clone());
        let (read, links) = read(&corpus.join(file));
        let got = (read, Value::from(links));
        if got != expected {
            wrong.push(format!("{file}: {got:?}, expected {expected:?}"));
        }
        read_in_all += 1;
    }
    assert!(wrong.is_empty(), "{} of {read_in_all}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(read_in_all > 0, "no facts in the corpus");
}

/// Reads a capture, and names the link types of its interfaces.
fn read(path: &Path) -> (Read, Vec<u32>) {
    let mut read = Read { packets: 0, bytes: 0, broken: false };
    let mut source = FileSource::open(path, FileOptions::default()).unwrap();
    loop {
        let burst = source.next_burst(Duration::ZERO, &mut |packets, _| {
            for packet in packets {
                read.packets += 1;
                assert_eq!(packet.number, read.packets);
                read.bytes += packet.data.len() as u64;
            }
        });
        match burst {
            Ok(Burst::Packets(_)) => {}
            Ok(Burst::End) => break,
            Ok(Burst::Idle | Burst::Again) => panic!("a file is never idle"),
            Err(SourceError::Broken { .. }) => read.broken = true,
            Err(error) => panic!("{error}"),
        }
    }
    let mut links: Vec<_> = source.interfaces().iter().map(|interface| interface.link.0).collect();
    links.sort_unstable();
    links.dedup();
    (read, links)
}
