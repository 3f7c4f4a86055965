//! What detectors say of real captures: attacks are noticed, applications are left alone.

#![allow(clippy::disallowed_methods, reason = "captures of the corpus are files")]
#![allow(clippy::disallowed_macros, reason = "a skipped test says why, and what it found")]

use flowtrack_capture::{Burst, FileOptions, FileSource, PacketSource as _};
use flowtrack_detect::{Config, DetectorSet, Networks};
use flowtrack_engine::{Config as EngineConfig, Engine, Output, Seed, Tell};
use flowtrack_event::{Detection, Severity};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Captures of attacks that detectors are to notice, and by what.
///
/// Behaviour shows nothing of a DNS tunnel that is eight seconds of TLS with a public resolver
/// (`nDPI/dns2tcp_tunnel.pcap`).
const ATTACKS: &[(&str, &str, &str)] = &[
    ("StopDDoS/amp.TCP.reflection.SYNACK.pcap", "ddos", "reflection"),
    ("StopDDoS/amp.UDP.snmp.src161.pcapng", "ddos", "reflection"),
    ("StopDDoS/pkt.TCP.synflood.spoofed.pcap", "syn_flood", "spoofed"),
    ("nDPI/tcp_scan.pcapng", "port_scan", "odd_flags"),
    ("pcap-analyzer/nmap_tcp_22_ipv6.pcap", "port_scan", "arp"),
    ("slips/test12-icmp-portscan.pcap", "port_scan", "ping"),
    ("zeek/traces/nmap-vsn.pcap", "port_scan", "arp"),
    ("corelight_cve-2021-44228/log4j-dns_exfil.pcap", "dns_tunnel", "payload"),
    ("nDPI/dns-tunnel-iodine.pcap", "dns_tunnel", "tunnel"),
    ("slips/malicious-ssh-bruteforce.pcap", "brute_force", "guessing"),
    ("zeek/traces/ftp__bruteforce.pcap", "brute_force", "guessing"),
    ("slips/test-cc-capture-1.pcap", "beacon", "calls"),
    (
        "corelight_zeek-strrat-detector/strrat-4423258f-59bc-4a88-bfec-d8ac08c88538.pcap",
        "beacon",
        "heartbeat",
    ),
    (
        "corelight_zeek-asyncrat-detector/30a385ed-171e-4f15-ac3f-08c96be7bfd1.pcap",
        "beacon",
        "bare_tls",
    ),
    (
        "corelight_zeek-asyncrat-detector/9596cf60-0da6-47a7-a375-1f25ae32d843.pcap",
        "beacon",
        "bare_tls",
    ),
    ("zeek/traces/quic__merlinc2_Zeek_example.pcapng", "beacon", "bare_tls"),
    (
        "corelight_zeek-agenttesla-detector/0e328ab7-12b2-4843-8717-a5b3ebef33a8.pcap",
        "covert",
        "false_browser",
    ),
    ("nDPI/trickbot.pcap", "covert", "false_browser"),
    ("nDPI/emotet.pcap", "covert", "made_up_agent"),
];

/// The corpus; none with a printed reason.
fn corpus() -> Option<PathBuf> {
    let root = std::env::var_os("FLOWTRACK_CORPUS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpus")),
        PathBuf::from,
    );
    if root.join("index.csv").exists() {
        return Some(root);
    }
    println!("skipped: no corpus at {}; set FLOWTRACK_CORPUS", root.display());
    None
}

/// First columns of a table of the corpus.
fn rows(root: &Path, table: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(root.join(table)).unwrap();
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// Everything that detectors say of a capture; nothing where it cannot be read.
fn detections(path: &Path) -> Vec<Detection> {
    let Ok(mut source) = FileSource::open(path, FileOptions::default()) else { return Vec::new() };
    let tell = Tell::FLOWS.for_detectors();
    let config = EngineConfig { tell, ..EngineConfig::default() };
    let mut engine = Engine::new(&config, 0, Seed([1, 2, 3, 4]));
    let mut set = DetectorSet::new(&Config::default(), Networks::default());
    let mut out = Output::default();
    let mut said = Vec::new();
    loop {
        // One by one, as they come live: flows that go on are told of once a second.
        let burst = source.next_burst(Duration::ZERO, &mut |burst, _| {
            burst.iter().for_each(|packet| engine.process(std::slice::from_ref(packet), &mut out));
        });
        set.ingest(&out.events, &mut said);
        out.events.clear();
        if matches!(burst, Ok(Burst::End) | Err(_)) {
            break;
        }
    }
    engine.finish(&mut out);
    set.ingest(&out.events, &mut said);
    set.finish(&mut said);
    flowtrack_lab::detections(said)
}

#[test]
fn attacks_of_the_corpus_are_noticed() {
    let Some(root) = corpus() else { return };
    let mut missed = String::new();
    for (file, detector, kind) in ATTACKS {
        let said = detections(&root.join(file));
        let found = said.iter().filter(|d| d.detector == *detector && d.kind == *kind).count();
        println!("{file}: {found} of {} are {detector} {kind}", said.len());
        if found == 0 {
            let titles: Vec<_> = said.iter().map(|d| &d.title).collect();
            writeln!(missed, "{file}: no {detector} {kind} but {titles:?}").unwrap();
        }
    }
    assert!(missed.is_empty(), "{missed}");
}

/// Captures of applications raise nothing above low, apart from those that show an attack.
#[test]
fn applications_of_the_corpus_raise_nothing_urgent() {
    let Some(root) = corpus() else { return };
    let attacks: Vec<String> =
        rows(&root, "labels.csv").into_iter().filter_map(|row| row.into_iter().next()).collect();
    let mut urgent = String::new();
    let mut counts: BTreeMap<(&str, &str, &str), (u32, u32)> = BTreeMap::new();
    let mut captures = 0;
    for row in rows(&root, "index.csv") {
        let file = &row[0];
        let is_app = file.starts_with("nDPI/") || file.starts_with("nfstream/");
        if !is_app || attacks.contains(file) {
            continue;
        }
        captures += 1;
        let mut seen = Vec::new();
        for said in detections(&root.join(file)) {
            let key = (said.severity.name(), said.detector, said.kind);
            let count = counts.entry(key).or_default();
            count.0 += 1;
            if !seen.contains(&key) {
                seen.push(key);
                count.1 += 1;
                println!("{file}: {} {}/{}: {}", key.0, key.1, key.2, said.title);
            }
            if said.severity > Severity::Low {
                writeln!(urgent, "{file}: {} {}", said.severity.name(), said.title).unwrap();
            }
        }
    }
    for ((severity, detector, kind), (times, files)) in &counts {
        println!("{severity:8} {detector}/{kind}: {times} times in {files} captures");
    }
    println!("{captures} captures");
    assert!(urgent.is_empty(), "{urgent}");
}

/// Most captures of what behaviour can show are noticed, and which class how often is printed.
///
/// Not noticed are, besides the tunnel above, a ping with a single SYN (`nmap_tcp_22_ipv4.pcap`), a
/// visit to a test page and one download (`nDPI/malware.pcap`), and peers of a currency
/// (`nDPI/monero.pcap`).
#[test]
fn classes_of_the_corpus_are_noticed() {
    /// Words of labels of what behaviour can show; what exploits one flaw is the business of rules.
    const SHOWN: &[&str] =
        &["scan", "flood", "DDoS", "brute force", "tunnel", "exfiltration", "C2", "malware"];
    let Some(root) = corpus() else { return };
    let (mut shown, mut all_shown) = (0, 0);
    let mut counts: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for row in rows(&root, "labels.csv") {
        let [file, class, what, ..] = &row[..] else { continue };
        let said = detections(&root.join(file));
        let mut kinds: Vec<_> = said
            .iter()
            .map(|d| format!("{} {}/{}", d.severity.name(), d.detector, d.kind))
            .collect();
        kinds.sort();
        kinds.dedup();
        println!("{class} ({what}) {file}: {}", kinds.join(", "));
        let is_noticed = u32::from(said.iter().any(|d| d.severity >= Severity::Low));
        let name = format!("{class}: {what}");
        if SHOWN.iter().any(|word| name.contains(word)) {
            shown += is_noticed;
            all_shown += 1;
        }
        let count = counts.entry(name).or_default();
        count.0 += is_noticed;
        count.1 += 1;
    }
    for (class, (noticed, all)) in &counts {
        println!("{noticed} of {all}: {class}");
    }
    println!("{shown} of {all_shown} that behaviour can show");
    assert!(shown * 4 >= all_shown * 3, "{shown} of {all_shown}");
}
