//! The fuzz target over inputs that are at hand: those that once failed, and seeds.
//!
//! With `FUZZ_SEEDS` seeds are written to that folder.

#![allow(clippy::disallowed_methods, reason = "inputs are files")]

use flowtrack_capture::{Burst, FileOptions, FileSource, PacketSource as _};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[path = "../../../fuzz/src/mark.rs"]
mod mark;
#[path = "../../../fuzz/src/target.rs"]
mod target;

/// Frames that a seed holds at most, and bytes of each.
const FRAMES: usize = 12;
const FRAME: usize = 1514;

#[test]
fn what_once_failed_does_no_more() {
    let inputs = std::fs::read_dir(root().join("fuzz/regressions")).unwrap();
    let inputs: Vec<_> = inputs.map(|entry| entry.unwrap().path()).collect();
    assert!(!inputs.is_empty());
    for input in inputs {
        target::run(&std::fs::read(input).unwrap());
    }
}

#[test]
fn frames_of_the_demo_capture_are_seeds() {
    let mut seeds: HashMap<u64, (usize, Vec<u8>)> = HashMap::new();
    let file = root().join("demo/office.pcap.zst");
    let mut source = FileSource::open(&file, FileOptions::default()).unwrap();
    loop {
        let burst = source.next_burst(Duration::ZERO, &mut |packets, _| {
            for packet in packets {
                let (frames, seed) = seeds.entry(kind(packet.data)).or_insert((0, vec![2]));
                if *frames < FRAMES && packet.data.len() <= FRAME {
                    *frames += 1;
                    seed.extend([0, 0]);
                    seed.extend((packet.data.len() as u16).to_be_bytes());
                    seed.extend(packet.data);
                }
            }
        });
        if matches!(burst, Ok(Burst::End) | Err(_)) {
            break;
        }
    }
    assert!(seeds.len() > 10, "only {} kinds of frames", seeds.len());
    for (kind, (_, seed)) in seeds {
        plant(&format!("frames-{kind:x}"), &seed);
    }
}

#[test]
fn filters_are_seeds() {
    let filters = [
        "src_ip = 10.0.0.0/8 and not dport in (80, 8000-8100)",
        "host in (203.0.113.1, www.example.org) or bytes > 1.5M",
        "(app_proto = tls and duration >= 10s) or info ~ \"*login*\"",
        "start > 2026-01-01T00:00:00Z and state != established",
    ];
    for (number, filter) in filters.iter().enumerate() {
        plant(&format!("filter-{number}"), &[&[3], filter.as_bytes()].concat());
    }
}

/// Runs a seed, and writes it where that is asked for.
fn plant(name: &str, seed: &[u8]) {
    target::run(seed);
    if let Some(folder) = std::env::var_os("FUZZ_SEEDS") {
        std::fs::write(PathBuf::from(folder).join(name), seed).unwrap();
    }
}

/// Frames of the same kind say about the same: EtherType, protocol, the lower port.
fn kind(frame: &[u8]) -> u64 {
    let word = |at: usize| {
        frame.get(at..at + 2).map_or(0, |bytes| u64::from(u16::from_be_bytes([bytes[0], bytes[1]])))
    };
    let (source, destination) = (word(34), word(36));
    word(12) << 40 | (word(22) & 0xff) << 32 | source.min(destination)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
