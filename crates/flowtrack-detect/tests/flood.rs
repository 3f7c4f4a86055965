//! A flood of SYNs from ever new sources: memory stays under its cap, flows that are established
//! stay, and the flood is named.
//!
//! By default as many sources as a debug build manages in seconds; `FLOWTRACK_FLOOD=10000000` sends
//! ten million within a minute of simulated time.

#![allow(
    clippy::disallowed_methods,
    reason = "memory is read from the system, the size from outside"
)]
#![allow(clippy::disallowed_macros, reason = "says what it measured")]

use flowtrack_detect::{Config, DetectorSet, Networks};
use flowtrack_engine::{Config as EngineConfig, Engine, FlowConfig, Output, Seed, Tell};
use flowtrack_event::{
    Detection, EndReason, Event, FlowPhase, IfaceId, LinkType, RawPacket, Timestamp,
};
use std::net::IpAddr;

const SYN: u8 = 2;
const ACK: u8 = 16;
const VICTIM: u32 = 0x0a00_0005;
const CLIENT: u32 = 0x0a00_0100;
/// Sessions that are established before the flood.
const SESSIONS: u16 = 500;
/// Sources that come in a second.
const PER_SECOND: i64 = 10_000_000 / 60;

struct Play {
    engine: Engine,
    set: DetectorSet,
    out: Output,
    said: Vec<Event>,
    told: Vec<Detection>,
    evicted_sessions: u64,
    number: u64,
}

impl Play {
    fn packet(
        &mut self,
        micros: i64,
        src: (u32, u16),
        dst: (u32, u16),
        flags: u8,
        seq: u32,
        ack: u32,
    ) {
        let mut data = [0_u8; 40];
        data[..4].copy_from_slice(&[0x45, 0, 0, 40]);
        (data[8], data[9]) = (64, 6);
        data[12..16].copy_from_slice(&src.0.to_be_bytes());
        data[16..20].copy_from_slice(&dst.0.to_be_bytes());
        data[20..22].copy_from_slice(&src.1.to_be_bytes());
        data[22..24].copy_from_slice(&dst.1.to_be_bytes());
        data[24..28].copy_from_slice(&seq.to_be_bytes());
        data[28..32].copy_from_slice(&ack.to_be_bytes());
        (data[32], data[33], data[34]) = (0x50, flags, 0x20);
        self.number += 1;
        let raw = RawPacket {
            ts: Timestamp::from_micros(micros),
            iface: IfaceId(0),
            link: LinkType::RAW,
            number: self.number,
            wire_len: 40,
            vlan_tci: None,
            data: &data,
        };
        self.engine.process(&[raw], &mut self.out);
        if self.out.events.len() > 4_096 {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        for event in &self.out.events {
            if let Event::Flow(flow) = event
                && flow.phase == FlowPhase::End(EndReason::Evicted)
                && flow.record.key.src == IpAddr::from(CLIENT.to_be_bytes())
            {
                self.evicted_sessions += 1;
            }
        }
        self.set.ingest(&self.out.events, &mut self.said);
        self.out.events.clear();
        for event in self.said.drain(..) {
            if let Event::Detection(detection) = event {
                self.told.push(*detection);
            }
        }
    }
}

#[test]
fn a_flood_of_new_sources_is_named_and_not_suffered() {
    let sources: i64 =
        std::env::var("FLOWTRACK_FLOOD").map_or(500_000, |n| n.parse().expect("a number"));
    // So many flows that most of them have to go again, in either form.
    let max_flows = if sources > 2_000_000 { 1_000_000 } else { 50_000 };
    let flow = FlowConfig { max_flows, ..FlowConfig::default() };
    let tell = Tell::FLOWS.for_detectors();
    let mut play = Play {
        engine: Engine::new(
            &EngineConfig { flow, tell, ..EngineConfig::default() },
            0,
            Seed([5, 6, 7, 8]),
        ),
        set: DetectorSet::new(&Config::default(), Networks::default()),
        out: Output::default(),
        said: Vec::new(),
        told: Vec::new(),
        evicted_sessions: 0,
        number: 0,
    };
    for n in 0..SESSIONS {
        let at = i64::from(n) * 100;
        let (client, server) = ((CLIENT, 10_000 + n), (VICTIM, 22));
        play.packet(at, client, server, SYN, 100, 0);
        play.packet(at + 10, server, client, SYN | ACK, 200, 101);
        play.packet(at + 20, client, server, ACK, 101, 201);
    }
    let before = memory();
    let begin = 1_000_000;
    let mut mix = 1_u32;
    for n in 0..sources {
        let at = begin + n * 1_000_000 / PER_SECOND;
        // Every address once: multiplication by an odd number is one to one.
        mix = mix.wrapping_add(1);
        let source = mix.wrapping_mul(0x9e37_79b1);
        play.packet(at, (source, (n % 60_000) as u16 + 1_024), (VICTIM, 80), SYN, mix, 0);
        // The sessions go on, each about every three seconds.
        if n % (PER_SECOND * 3 / i64::from(SESSIONS)) == 0 {
            let session = (n / (PER_SECOND * 3 / i64::from(SESSIONS)) % i64::from(SESSIONS)) as u16;
            play.packet(at, (CLIENT, 10_000 + session), (VICTIM, 22), ACK, 101, 201);
        }
    }
    let end = begin + sources * 1_000_000 / PER_SECOND;
    play.engine.tick(Timestamp::from_micros(end + 2_000_000), &mut play.out);
    play.hand_over();
    let stats = play.engine.stats();
    let grown = memory().saturating_sub(before);
    println!(
        "{sources} sources in {} s: table {} MiB for {} flows, process grew by {} MiB; {} evicted, \
         {} of them established",
        (end - begin) / 1_000_000,
        stats.flow.memuse >> 20,
        stats.flow.active,
        grown >> 20,
        stats.flow.evicted,
        stats.flow.evicted_established,
    );
    assert_eq!(play.evicted_sessions, 0);
    assert_eq!(stats.flow.evicted_established, 0);
    assert!(stats.flow.active <= u64::from(max_flows));
    assert!(stats.flow.evicted > 0, "the flood did not fill the table");
    // 1 KiB a flow is more than the table, its streams and its meters take.
    let cap = u64::from(max_flows) * 1_024 + (96 << 20);
    assert!(stats.flow.memuse <= cap && grown <= cap, "{grown} of {cap}");
    let flood: Vec<_> = play.told.iter().filter(|told| told.detector == "syn_flood").collect();
    let first = flood.first().expect("the flood was not named");
    println!("{}", first.title);
    assert_eq!((first.kind, first.target_port, first.source), ("spoofed", Some(80), None));
    assert_eq!(first.target, Some(IpAddr::from(VICTIM.to_be_bytes())));
    assert!(first.ts.micros() - begin < 10_000_000, "named at {:?}", first.ts);
    assert!(!first.source_proved);
    let proved: Vec<_> = play.told.iter().filter(|told| told.source_proved).collect();
    assert!(proved.is_empty(), "a spoofed source is proved: {proved:#?}");
}

/// Bytes of memory that the process has in use.
fn memory() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|line| line.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * 4_096
}
