#![allow(clippy::disallowed_methods, reason = "captures of the corpus are files")]
#![allow(clippy::disallowed_macros, reason = "a skipped test says why")]

use super::*;
use flowtrack_capture::{Burst, FileOptions, FileSource, PacketSource as _};
use flowtrack_event::{AnomalyLayer, Event, FlowPhase, IfaceId, LinkType};
use flowtrack_flow::HostPolicy;
use proptest::prelude::*;
use std::path::PathBuf;
use std::time::Duration;

const SEED: Seed = Seed([1, 2, 3, 4]);

fn config(tell: Tell, shard: Option<Shard>) -> Config {
    Config { tell, shard, ..Config::default() }
}

/// Everything that happened, one line each, in an order that does not depend on workers.
fn render(events: &[Event]) -> Vec<String> {
    let mut lines: Vec<String> = events
        .iter()
        .filter_map(|event| match event {
            Event::Flow(flow) if matches!(flow.phase, FlowPhase::End(_)) => {
                let r = &flow.record;
                Some(format!(
                    "flow {:?} {:?} {:?} {:?} {:?} {} {:?} {:?} {:?}",
                    r.key,
                    r.vlans,
                    r.start,
                    r.end,
                    flow.phase,
                    r.conn_state.name(),
                    r.to_server,
                    r.to_client,
                    r.app,
                ))
            }
            Event::Transaction(tx) => Some(format!(
                "tx {:?} {} {} {:?}",
                tx.flow.key, tx.tx_id, tx.packet, tx.transaction
            )),
            Event::Anomaly(anomaly) => Some(format!("anomaly {} {}", anomaly.name, anomaly.packet)),
            _ => None,
        })
        .collect();
    lines.sort();
    lines
}

/// Runs a capture through one engine; `None` where it is no capture.
fn run(path: &std::path::Path, config: &Config) -> Option<(Vec<Event>, Stats)> {
    let mut source = FileSource::open(path, FileOptions::default()).ok()?;
    let mut engine = Engine::new(config, 0, SEED);
    let mut out = Output::default();
    loop {
        let burst = source.next_burst(Duration::ZERO, &mut |b, _| engine.process(b, &mut out));
        if matches!(burst, Ok(Burst::End) | Err(_)) {
            break;
        }
    }
    engine.finish(&mut out);
    let stats = engine.stats();
    Some((out.events, stats))
}

/// Every `step`-th capture of the corpus, or none with a printed reason.
fn corpus(step: usize) -> Vec<PathBuf> {
    let root = std::env::var_os("FLOWTRACK_CORPUS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpus")),
        PathBuf::from,
    );
    let Ok(index) = std::fs::read_to_string(root.join("index.csv")) else {
        println!("skipped: no corpus at {}; set FLOWTRACK_CORPUS", root.display());
        return Vec::new();
    };
    let files = index.lines().skip(1).filter_map(|line| line.split(',').next());
    files.step_by(step).map(|file| root.join(file)).collect()
}

#[test]
fn every_byte_of_the_corpus_is_on_a_flow_or_in_a_rest() {
    for path in corpus(3) {
        let Some((_, stats)) = run(&path, &config(Tell::LOGS, None)) else { continue };
        assert!(stats.ledger.balances(), "{}: {:?}", path.display(), stats.ledger);
        let decoded = (stats.decoder.pkts, stats.decoder.bytes);
        assert_eq!(decoded, (stats.ledger.seen.packets, stats.ledger.seen.bytes));
    }
}

#[test]
fn flows_sum_up_to_what_the_ledger_says() {
    for path in corpus(7) {
        let Some((events, stats)) = run(&path, &config(Tell::FLOWS, None)) else { continue };
        let bytes: u64 = events
            .iter()
            .filter_map(|event| match event {
                Event::Flow(f) => Some(f.record.to_server.bytes + f.record.to_client.bytes),
                _ => None,
            })
            .sum();
        let ledger = stats.ledger.on_flows.bytes + stats.ledger.synthetic.bytes;
        assert_eq!(bytes, ledger, "{}", path.display());
    }
}

/// Captures in which the two directions of a tunnelled flow go through different tunnels, as with
/// relays of 6to4 and Teredo: they are of different shares.
const ASYMMETRIC_TUNNELS: [&str; 3] = ["Ftp.pcap", "6in6tunnel.pcap", "teredo.pcap"];

#[test]
fn four_shares_give_the_events_of_one_engine() {
    for path in corpus(11) {
        if ASYMMETRIC_TUNNELS.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        let Some((one, stats)) = run(&path, &config(Tell::LOGS, None)) else { continue };
        let mut four = Vec::new();
        let mut packets = 0;
        for index in 0..4 {
            let share = Some(Shard { index, count: 4 });
            let (events, stats) = run(&path, &config(Tell::LOGS, share)).unwrap();
            packets += stats.decoder.pkts;
            four.extend(events);
        }
        assert_eq!(packets, stats.decoder.pkts, "{}", path.display());
        let (four, one) = (render(&four), render(&one));
        let differs = four.iter().zip(&one).find(|(a, b)| a != b);
        assert_eq!(differs, None, "{}", path.display());
        assert_eq!(four.len(), one.len(), "{}", path.display());
    }
}

/// A segment in IPv4, with the right checksums but for one bit.
fn segment(to_server: bool, flags: u8, seq: u32, payload: &[u8], wrong: bool) -> Vec<u8> {
    let fold = |data: &[u8], begin: u32| {
        let words =
            data.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0)));
        let sum = words.fold(begin, |sum, word| sum + word);
        !((sum & 0xffff) + (sum >> 16)) as u16
    };
    let mut ports = [40_000_u16, 80];
    let mut addresses = [[10, 0, 0, 1], [10, 0, 0, 2]];
    if !to_server {
        ports.reverse();
        addresses.reverse();
    }
    let mut tcp = Vec::new();
    tcp.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
    tcp.extend(seq.to_be_bytes());
    tcp.extend([0, 0, 0, 101, 0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    tcp.extend(payload);
    let pseudo = [addresses.concat(), vec![0, 6, 0, tcp.len() as u8]].concat();
    let begin = pseudo.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
    let sum = fold(&tcp, begin) ^ u16::from(wrong);
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    let mut ip = vec![0x45, 0, 0, 20 + tcp.len() as u8, 0, 1, 0, 0, 64, 6, 0, 0];
    ip.extend(addresses.concat());
    let sum = fold(&ip, 0);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    [ip, tcp].concat()
}

#[test]
fn a_wrong_checksum_counts_on_its_flow_and_says_nothing() {
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut broken_header = segment(true, 0x10, 101, b"", false);
    broken_header[8] ^= 1;
    let frames = [
        segment(true, 0x02, 100, b"", false),
        segment(false, 0x12, 100, b"", false),
        segment(true, 0x10, 101, b"", false),
        segment(true, 0x18, 101, REQUEST, true),
        segment(false, 0x14, 101, b"", true),
        broken_header,
    ];
    let run = |frames: &[Vec<u8>], verify_checksums| {
        let config = Config { verify_checksums, ..config(Tell::LOGS, None) };
        let mut engine = Engine::new(&config, 0, SEED);
        let mut out = Output::default();
        for (number, data) in frames.iter().enumerate() {
            let ts = Timestamp::from_micros(number as i64);
            let raw = RawPacket {
                ts,
                iface: IfaceId(0),
                link: LinkType::RAW,
                number: number as u64 + 1,
                wire_len: data.len() as u32,
                vlan_tci: None,
                data,
            };
            engine.process(&[raw], &mut out);
        }
        engine.finish(&mut out);
        let record = out.events.iter().find_map(|event| match event {
            Event::Flow(flow) => Some(flow.record.clone()),
            _ => None,
        });
        (record.unwrap(), engine.stats())
    };
    let (record, stats) = run(&frames, true);
    assert_eq!((record.to_server.packets, record.to_client.packets), (3, 2));
    assert_eq!(record.history.as_slice(), b"ShACc");
    assert_eq!(
        (record.tcp.unwrap().state, record.app),
        (flowtrack_event::TcpState::Established, None)
    );
    assert_eq!(stats.tcp.invalid_checksum, 3);
    assert_eq!(stats.ledger.on_flows.packets, 5);
    assert_eq!(stats.ledger.rest["invalid_checksum"].packets, 1);
    assert!(stats.ledger.balances());

    let (record, stats) = run(&frames[..5], false);
    assert_eq!(record.tcp.unwrap().state, flowtrack_event::TcpState::Closed);
    assert_eq!((record.app.unwrap().proto.name(), stats.tcp.invalid_checksum), ("http", 0));

    // Nor does it begin a session that is believed in.
    let (record, stats) = run(&[segment(false, 0x12, 100, b"", true)], true);
    assert_eq!((record.key.src_port, record.history.as_slice()), (80, &b"^c"[..]));
    assert_eq!((stats.flow.total, stats.tcp.sessions, stats.tcp.midstream_pickups), (1, 0, 0));
}

/// What comes of frames, a microsecond apart.
fn run_frames(frames: &[Vec<u8>], config: &Config) -> (Vec<Event>, Stats) {
    let mut engine = Engine::new(config, 0, SEED);
    let mut out = Output::default();
    for (number, data) in frames.iter().enumerate() {
        let raw = RawPacket {
            ts: Timestamp::from_micros(number as i64),
            iface: IfaceId(0),
            link: LinkType::RAW,
            number: number as u64 + 1,
            wire_len: data.len() as u32,
            vlan_tci: None,
            data,
        };
        engine.process(&[raw], &mut out);
    }
    engine.finish(&mut out);
    (out.events, engine.stats())
}

#[test]
fn bytes_sent_again_with_other_values_are_an_anomaly() {
    let frames = [
        segment(true, 0x02, 100, b"", false),
        segment(false, 0x12, 100, b"", false),
        segment(true, 0x18, 101, b"GET /good HTTP/1.1\r\n", false),
        segment(true, 0x18, 101, b"GET /good HTTP/1.1\r\n", false),
        segment(true, 0x18, 101, b"GET /evil HTTP/1.1\r\n", false),
    ];
    let (events, stats) = run_frames(&frames, &config(Tell::LOGS, None));
    let told: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Anomaly(anomaly) if anomaly.layer == AnomalyLayer::Stream => {
                Some((anomaly.name, anomaly.packet))
            }
            _ => None,
        })
        .collect();
    assert_eq!(told, [("stream.reassembly_overlap_different_data", 5)]);
    assert_eq!(stats.anomalies["stream.reassembly_overlap_different_data"], 1);
}

#[test]
fn requests_are_read_behind_an_answer_that_is_too_deep() {
    let mut config = config(Tell::LOGS, None);
    config.dissect.depth = 150;
    let request = |path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
    let answer = [&b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n"[..], &[b'x'; 150]].concat();
    let frames = [
        segment(true, 0x02, 100, b"", false),
        segment(false, 0x12, 100, b"", false),
        segment(true, 0x18, 101, &request("/one"), false),
        segment(false, 0x18, 101, &answer, false),
        segment(true, 0x18, 101 + 30, &request("/two"), false),
    ];
    assert_eq!(request("/one").len(), 30);
    let (events, stats) = run_frames(&frames, &config);
    assert_eq!(said(&events), ["GET a/one 200", "GET a/two"]);
    assert_eq!(stats.tcp.stream_depth_reached, 1);
}

#[test]
fn the_receiver_chooses_whose_bytes_win_where_segments_overlap() {
    let [begin, good, evil] = [&b"GET /"[..], b"good HTTP/1.1\r\n\r\n", b"evil HTTP/1.1\r\n\r\n"];
    let frames = [
        segment(true, 0x02, 100, b"", false),
        segment(false, 0x12, 100, b"", false),
        segment(true, 0x18, 106, good, false),
        segment(true, 0x18, 106, evil, false),
        segment(true, 0x18, 101, begin, false),
    ];
    let host = |network: &str, policy| HostPolicy { network: network.parse().unwrap(), policy };
    let asked = |hosts: Vec<HostPolicy<Overlap>>| {
        let mut config = config(Tell::LOGS, None);
        config.dissect.hosts = hosts;
        said(&run_frames(&frames, &config).0)
    };
    assert_eq!(asked(Vec::new()), ["GET /good"]);
    let everywhere = host("0.0.0.0/0", Overlap::Last);
    assert_eq!(asked(vec![everywhere]), ["GET /evil"]);
    assert_eq!(asked(vec![host("10.0.0.2", Overlap::Windows), everywhere]), ["GET /good"]);
    assert_eq!(asked(vec![host("10.0.0.1", Overlap::Windows), everywhere]), ["GET /evil"]);
}

/// Summaries of the transactions among events.
fn said(events: &[Event]) -> Vec<String> {
    let summary = |event: &Event| match event {
        Event::Transaction(done) => Some(done.transaction.summary()),
        _ => None,
    };
    events.iter().filter_map(summary).collect()
}

proptest! {
    /// Whatever comes, nothing panics and nothing is lost.
    #[test]
    fn any_frames_are_accounted_for(
        frames in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..200), any::<u32>(), any::<bool>()), 1..80),
        links in proptest::collection::vec(prop_oneof![Just(1_u32), Just(101), Just(113), any::<u32>()], 80),
    ) {
        let mut engine = Engine::new(&config(Tell::LIVE, None), 0, SEED);
        let mut out = Output::default();
        for (number, ((data, ts, ip), link)) in frames.iter().zip(links).enumerate() {
            let mut data = data.clone();
            if *ip && data.len() > 34 {
                // Make headers of IPv4 likely.
                data[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
            }
            let raw = RawPacket {
                ts: Timestamp::from_micros(i64::from(*ts)),
                iface: IfaceId(0),
                link: LinkType(link),
                number: number as u64,
                wire_len: data.len() as u32,
                vlan_tci: None,
                data: &data,
            };
            engine.process(&[raw], &mut out);
        }
        engine.finish(&mut out);
        let stats = engine.stats();
        prop_assert!(stats.ledger.balances());
        prop_assert_eq!(stats.ledger.seen.packets, frames.len() as u64);
    }
}
