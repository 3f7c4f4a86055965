//! The same capture gives the same alerts with one worker and with four, and from a wire.

use crate::corpus::Corpus;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Rules whose memory is filled by hosts of different workers.
const ACROSS: &str = r#"
alert tcp any any -> any any (msg:"by source"; flags:S; threshold:type threshold, track by_src, count 3, seconds 60; sid:1;)
alert tcp any any -> any any (msg:"by destination"; flags:S; detection_filter:track by_dst, count 4, seconds 60; sid:2;)
alert udp any any -> any any (msg:"by rule"; threshold:type limit, track by_rule, count 5, seconds 1; sid:3;)
alert tcp any any -> any any (msg:"both"; threshold:type both, track by_both, count 5, seconds 10; sid:4;)
alert tcp any any -> any any (msg:"speaks"; flags:S; xbits:set,spoke,track ip_src,expire 30; noalert; sid:5;)
alert ip any any -> any any (msg:"to one that spoke"; xbits:isset,spoke,track ip_dst; threshold:type limit, track by_dst, count 2, seconds 10; sid:6;)
alert udp any any -> any any (msg:"resolves"; hostbits:set,resolves,dst; noalert; sid:7;)
alert tcp any any -> any any (msg:"a resolver connects"; flags:S; hostbits:isset,resolves,src; sid:8;)
alert dns any any -> any any (msg:"a new name"; dns.query; dataset:set,names,type string; sid:9;)
alert http any any -> any any (msg:"too many requests"; http.uri; content:"/"; threshold:type backoff, track by_src, count 2, multiplier 3; sid:10;)
alert dns any any -> any any (msg:"what follows"; threshold:type limit, track by_src, count 1, seconds 60; tag:session,5,packets; sid:11;)
alert tcp any any -> any any (msg:"what a host does next"; flags:S; threshold:type limit, track by_dst, count 1, seconds 60; tag:host,7,packets,src; sid:12;)
"#;

#[test]
fn four_workers_raise_the_alerts_of_one() {
    let Some(corpus) = Corpus::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let across = folder.path().join("across.rules");
    std::fs::write(&across, ACROSS).unwrap();
    let mut alerts = 0;
    // What one capture leaves behind, the next one finds: all are read as one.
    for (rules, captures) in [
        (across, every_tenth(&corpus)),
        (open_rules(&corpus, folder.path()), with_alerts(&corpus, usize::MAX)),
    ] {
        let one = analyze(&rules, 1, &captures);
        let four = analyze(&rules, 4, &captures);
        assert_same(&one, &four);
        alerts += one.values().sum::<usize>();
    }
    println!("{alerts} alerts are the same");
    assert!(alerts > 1_000, "only {alerts} alerts");
}

#[test]
fn packets_behind_an_alert_are_recorded_as_suricata_records_them() {
    let Some(corpus) = Corpus::find() else { return };
    let test = "suricata-verify/tests/output-pcap-log-conditional-tag-alert";
    let text = std::fs::read_to_string(corpus.path(&format!("{test}/expected.json"))).unwrap();
    let facts: Value = serde_json::from_str(&text).unwrap();
    let rules = corpus.path(&format!("{test}/test.rules"));
    let told = analyze(&rules, 1, &[corpus.path(facts["pcap"].as_str().unwrap())]);
    let packets = told.keys().filter(|name| name.starts_with("null")).count();
    assert_eq!(Some(packets as u64), facts["measured_default"]["events"]["packet"].as_u64());
}

#[test]
fn what_rules_remember_is_told_as_suricata_tells_it() {
    let Some(corpus) = Corpus::find() else { return };
    let mut checked = 0;
    for test in ["eve-metadata", "eve-metadata-04-flowvar", "detect-pcre/detect-pcre-06"] {
        let path = corpus.path(&format!("suricata-verify/tests/{test}/expected.json"));
        let facts: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_flowtrack"))
            .args(["analyze", "--eve", "-", "--set", "flow.midstream=true", "-S"])
            .args(["rules", "pcap"].map(|name| corpus.path(facts[name].as_str().unwrap())))
            .output()
            .unwrap();
        let eve = String::from_utf8_lossy(&output.stdout);
        let events: Vec<Value> =
            eve.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        for check in facts["upstream_checks"].as_array().unwrap() {
            let wanted = check["match"].as_object().unwrap();
            let kind = wanted["event_type"].as_str().unwrap();
            let of_memory = ["metadata.", "alert.context.", "traffic."];
            let is_about = |name: &String| of_memory.iter().any(|of| name.starts_with(of));
            if !matches!(kind, "alert" | "flow") || !wanted.keys().any(is_about) {
                continue;
            }
            let fits = |event: &&Value| wanted.iter().all(|(path, value)| at(event, path) == value);
            let found = events.iter().filter(fits).count();
            assert_eq!(Some(found as u64), check["count"].as_u64(), "{test}: {check}\n{eve}");
            checked += 1;
        }
    }
    assert!(checked >= 5, "{checked}");
}

/// What stands in an event at a place such as `a.b[0].c`; names may have dots in them.
fn at<'a>(event: &'a Value, path: &str) -> &'a Value {
    let pointer = path.replace('[', ".").replace(']', "").replace('.', "/");
    event.pointer(&format!("/{pointer}")).unwrap_or(&Value::Null)
}

/// Captures of all kinds.
fn every_tenth(corpus: &Corpus) -> Vec<PathBuf> {
    let facts = corpus.facts();
    facts.iter().step_by(10).map(|fact| corpus.path(fact["file"].as_str().unwrap())).collect()
}

/// Captures that raise alerts by the open rules, of at most so many packets.
fn with_alerts(corpus: &Corpus, packets: usize) -> Vec<PathBuf> {
    let raises = |fact: &&Value| {
        let few = fact["packets"].as_u64().is_some_and(|n| n <= packets as u64);
        few && fact["suricata"]["et_alerts"].as_object().is_some_and(|alerts| !alerts.is_empty())
    };
    let facts = corpus.facts();
    facts.iter().filter(raises).map(|fact| corpus.path(fact["file"].as_str().unwrap())).collect()
}

/// The open rules, unpacked into a folder.
fn open_rules(corpus: &Corpus, folder: &Path) -> PathBuf {
    let packed = std::fs::File::open(corpus.path("rules/et-open-merged.rules.gz")).unwrap();
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut text).unwrap();
    let path = folder.join("open.rules");
    std::fs::write(&path, text).unwrap();
    path
}

/// How often an alert was raised: its rule, its packet's place, and the ends.
type Alerts = BTreeMap<String, usize>;

fn analyze(rules: &Path, workers: usize, captures: &[PathBuf]) -> Alerts {
    let output = Command::new(env!("CARGO_BIN_EXE_flowtrack"))
        .args(["analyze", "--eve", "-", "--workers", &workers.to_string(), "-S"])
        .arg(rules)
        .args(captures)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    // 1 says that a capture is broken, and that the rest was read.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
    alerts(&String::from_utf8_lossy(&output.stdout), &["timestamp", "pcap_cnt"])
}

fn alerts(eve: &str, besides: &[&str]) -> Alerts {
    const ENDS: [&str; 5] = ["src_ip", "src_port", "dest_ip", "dest_port", "proto"];
    let mut alerts = Alerts::new();
    // A line that is still being written is read the next time.
    for event in eve.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        // Packets that rules ask for behind their alerts have no number of a rule.
        if event["event_type"] == "alert" || event["event_type"] == "packet" {
            let named = ENDS.iter().chain(besides).map(|name| &event[*name]);
            let named: Vec<String> = named.map(Value::to_string).collect();
            let sid = &event["alert"]["signature_id"];
            *alerts.entry(format!("{sid} {}", named.join(" "))).or_default() += 1;
        }
    }
    alerts
}

fn assert_same(left: &Alerts, right: &Alerts) {
    let of = |alerts: &Alerts, name: &str| alerts.get(name).copied().unwrap_or(0);
    let names = left.keys().chain(right.keys());
    let differing: std::collections::BTreeSet<String> = names
        .filter(|name| of(left, name) != of(right, name))
        .map(|name| format!("{} against {}: {name}", of(left, name), of(right, name)))
        .collect();
    assert!(differing.is_empty(), "{differing:#?}");
}

#[cfg(target_os = "linux")]
mod wire {
    use super::{Alerts, alerts, analyze, assert_same, open_rules, with_alerts};
    use crate::corpus::Corpus;
    use flowtrack_capture::sys::{netdev, sender::FrameSender};
    use flowtrack_capture::{
        Burst, FileOptions, FileSource, PacketSource as _, PacketWriter as _, PcapWriter, Precision,
    };
    use flowtrack_event::{IfaceId, LinkType, RawPacket, Timestamp};
    use flowtrack_lab::frames::{ethernet, ip, udp};
    use flowtrack_lab::pair::Pair;
    use std::io::{BufRead as _, BufReader};
    use std::net::Ipv4Addr;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    /// Says that everything before it was judged.
    const LAST: &str = "alert udp any any -> any 65000 (msg:\"the last\"; \
                        content:\"this was the last packet\"; sid:1;)\n";
    /// Pairs of hosts that say it, so that every worker gets one.
    const PAIRS: u8 = 32;

    #[test]
    fn a_wire_raises_the_alerts_of_a_file() {
        let Some(corpus) = Corpus::find() else { return };
        let Some(net) = Pair::new() else { return };
        net.ip("link set left mtu 65535");
        net.ip("link set right mtu 65535");
        let folder = tempfile::tempdir().unwrap();
        let (frames, captures) = frames(&with_alerts(&corpus, 3_000));
        let file = folder.path().join("sent.pcap");
        write(&file, &frames);
        let rules = open_rules(&corpus, folder.path());
        let text = std::fs::read_to_string(&rules).unwrap();
        std::fs::write(&rules, format!("{text}\n{LAST}")).unwrap();
        let mut wanted = Alerts::new();
        for (alert, count) in analyze(&rules, 1, std::slice::from_ref(&file)) {
            // Only the file knows places and times.
            let (alert, _) = alert.rsplit_once(" \"").unwrap();
            *wanted.entry(alert.to_owned()).or_default() += count;
        }
        let seen = listen(&net, folder.path(), &rules, &frames, 1);
        assert_same(&wanted, &seen);
        // Which of several hosts fills a limit that they share depends on whose worker comes first;
        // how often the rule speaks does not.
        let two = listen(&net, folder.path(), &rules, &frames, 2);
        assert_same(&by_rule(&wanted), &by_rule(&two));
        let raised = seen.values().sum::<usize>() - usize::from(PAIRS);
        println!("{raised} alerts of {captures} captures are the same on the wire");
        assert!(raised > 100, "only {raised} alerts");
    }

    /// How often each rule spoke.
    fn by_rule(alerts: &Alerts) -> Alerts {
        let mut rules = Alerts::new();
        for (alert, count) in alerts {
            let (rule, _) = alert.split_once(' ').unwrap();
            *rules.entry(rule.to_owned()).or_default() += count;
        }
        rules
    }

    /// Runs the program on the wire while the frames pass, and gives what it told.
    fn listen(net: &Pair, folder: &Path, rules: &Path, frames: &[Vec<u8>], workers: u32) -> Alerts {
        let eve = folder.join(format!("eve{workers}.json"));
        let mut command = net.command(env!("CARGO_BIN_EXE_flowtrack"));
        command.arg("--data-dir").arg(folder.join("data"));
        // What behaviour says is not asked for, and a machine that is busy loses nothing.
        command.args(["--set", "detect.enabled=false", "--set", "capture.ring_mib=512"]);
        command.args(["run", "-i", "right", "--workers", &workers.to_string()]);
        command
            .args(["--listen", "127.0.0.1:0", "-S"])
            .arg(rules)
            .arg("--eve")
            .arg(&eve)
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let runs = lines.map_while(Result::ok).any(|line| line.starts_with("stop"));
        let told = || alerts(&std::fs::read_to_string(&eve).unwrap_or_default(), &[]);
        let is_last = |alerts: &Alerts| {
            alerts.keys().filter(|alert| alert.starts_with("1 ")).count() == usize::from(PAIRS)
        };
        net.inside(|| {
            let index = netdev::index_of("left").unwrap();
            let mut sender = FrameSender::open(index, false).unwrap();
            for burst in frames.chunks(8) {
                let burst: Vec<&[u8]> = burst.iter().map(Vec::as_slice).collect();
                let mut sent = 0;
                while sent < burst.len() {
                    sent += sender.send(&burst[sent..]).unwrap();
                }
                // The ring is not what is tested.
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let begun = Instant::now();
        while runs && !is_last(&told()) && begun.elapsed() < Duration::from_mins(1) {
            std::thread::sleep(Duration::from_millis(50));
        }
        // Flows that are open are judged when the program ends.
        let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        let status = child.wait().unwrap();
        let told = told();
        assert!(runs && status.success() && is_last(&told), "{status}: {} alerts", told.len());
        told
    }

    /// The frames of captures one after another, then the last ones; and of how many captures.
    fn frames(captures: &[PathBuf]) -> (Vec<Vec<u8>>, usize) {
        let (mut frames, mut read) = (Vec::new(), 0);
        for capture in captures {
            let mut source = FileSource::open(capture, FileOptions::default()).unwrap();
            let mut of_this = Vec::new();
            let mut fits = true;
            while let Ok(Burst::Packets(_) | Burst::Idle) =
                source.next_burst(Duration::ZERO, &mut |packets, _| {
                    for packet in packets {
                        // Longer ones cannot be sent, and what was cut off is not there.
                        let whole = packet.wire_len as usize == packet.data.len();
                        fits &= packet.link == LinkType::ETHERNET && whole;
                        fits &= (14..60_000).contains(&packet.data.len());
                        of_this.push(packet.data.to_vec());
                    }
                })
            {}
            if fits {
                read += 1;
                frames.append(&mut of_this);
            }
        }
        frames.extend((1..=PAIRS).map(|pair| {
            let ends = [1, 2].map(|host| Ipv4Addr::new(198, 18, pair, host).into());
            let (ethertype, packet) =
                ip(ends[0], ends[1], 17, &udp(65_000, 65_000, b"this was the last packet"));
            ethernet(ethertype, &packet, 60)
        }));
        (frames, read)
    }

    /// Writes the frames as they will be sent: at once.
    fn write(path: &Path, frames: &[Vec<u8>]) {
        let mut writer = PcapWriter::new(std::fs::File::create(path).unwrap(), Precision::Micros);
        for (number, frame) in (0..).zip(frames) {
            let packet = RawPacket {
                ts: Timestamp::from_micros(1_700_000_000_000_000 + number * 30),
                iface: IfaceId(0),
                link: LinkType::ETHERNET,
                number: 1,
                wire_len: frame.len() as u32,
                vlan_tci: None,
                data: frame,
            };
            writer.write(&packet, "").unwrap();
        }
        writer.finish().unwrap();
    }
}
