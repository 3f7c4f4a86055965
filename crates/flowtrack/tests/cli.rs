//! The program as a user at a shell meets it.

use flowtrack_capture::{PacketWriter as _, PcapWriter, Precision};
use flowtrack_event::{IfaceId, LinkType, RawPacket, Timestamp};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn flowtrack(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flowtrack")).args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A DNS question in an Ethernet frame, from one of several hosts.
fn frame(host: u8, id: u16) -> Vec<u8> {
    let mut dns = id.to_be_bytes().to_vec();
    dns.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    dns.extend(b"\x07example\x03org\0\0\x01\0\x01");
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, host, 8, 0];
    frame.extend([0x45, 0]);
    frame.extend((28 + dns.len() as u16).to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, host, 198, 51, 100, 53]);
    frame.extend(40_000_u16.to_be_bytes());
    frame.extend(53_u16.to_be_bytes());
    frame.extend((8 + dns.len() as u16).to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(dns);
    frame
}

/// Writes a capture of DNS questions from `hosts` hosts, three each; answers its path.
fn capture(folder: &Path, name: &str, hosts: u8) -> PathBuf {
    let path = folder.join(name);
    let file = std::fs::File::create(&path).unwrap();
    let mut writer = PcapWriter::new(file, Precision::Micros);
    for round in 0..3_u16 {
        for host in 1..=hosts {
            let data = frame(host, round);
            let packet = RawPacket {
                ts: Timestamp::from_secs(1_700_000_000 + i64::from(round)),
                iface: IfaceId(0),
                link: LinkType::ETHERNET,
                number: 1,
                wire_len: data.len() as u32,
                vlan_tci: None,
                data: &data,
            };
            writer.write(&packet, "").unwrap();
        }
    }
    writer.finish().unwrap();
    path
}

/// The EVE lines of a run without what differs from run to run, sorted.
fn events(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|event| event["event_type"] != "stats")
        .map(|mut event| {
            event.as_object_mut().unwrap().remove("flow_id");
            event.to_string()
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn analyze_tells_what_is_in_a_capture() {
    let folder = tempfile::tempdir().unwrap();
    let path = capture(folder.path(), "a.pcap", 5);
    let path = path.to_str().unwrap();
    let text = flowtrack(&["analyze", path]);
    assert!(text.status.success());
    assert!(stdout(&text).contains("15 packets"), "{}", stdout(&text));
    let json = flowtrack(&["analyze", "--json", path]);
    let summary: serde_json::Value = serde_json::from_str(&stdout(&json)).unwrap();
    assert_eq!(summary["totals"]["packets"], 15);
    let report = folder.path().join("report.html");
    assert!(flowtrack(&["analyze", path, "--report", report.to_str().unwrap()]).status.success());
    assert!(std::fs::read_to_string(report).unwrap().contains("<svg"));
}

#[test]
fn events_alone_are_on_standard_output_and_end_with_counters() {
    let folder = tempfile::tempdir().unwrap();
    let path = capture(folder.path(), "a.pcap", 2);
    let output = flowtrack(&["analyze", "--eve", "-", path.to_str().unwrap()]);
    let last: serde_json::Value =
        serde_json::from_str(stdout(&output).lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["event_type"], &last["stats"]["decoder"]["pkts"]),
        (&"stats".into(), &6.into())
    );
    let dns = stdout(&output).lines().filter(|l| l.contains(r#""event_type":"dns""#)).count();
    assert_eq!(dns, 6);
}

#[test]
fn four_workers_tell_what_one_tells() {
    let folder = tempfile::tempdir().unwrap();
    let path = capture(folder.path(), "a.pcap", 40);
    let run = |workers| {
        stdout(&flowtrack(&["analyze", "--workers", workers, "--eve", "-", path.to_str().unwrap()]))
    };
    let one = events(&run("1"));
    assert_eq!(one.len(), 40 + 120);
    assert_eq!(events(&run("4")), one);
}

#[test]
fn each_file_is_a_run_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (capture(folder.path(), "a", 1), capture(folder.path(), "b", 2));
    let out = folder.path().join("out");
    let [out_arg, a, b] = [&out, &a, &b].map(|path| path.to_str().unwrap());
    let output = flowtrack(&["analyze", "--each", "--eve", out_arg, a, b]);
    assert!(output.status.success(), "{}", stderr(&output));
    for (name, packets) in [("000000.eve.json", 3), ("000001.eve.json", 6)] {
        let text = std::fs::read_to_string(out.join(name)).unwrap();
        assert!(text.contains(&format!(r#""pkts":{packets}"#)), "{name}: {text}");
    }
}

#[test]
fn a_cut_file_keeps_what_came_before_and_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let path = capture(folder.path(), "a.pcap", 4);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 10]).unwrap();
    let output = flowtrack(&["analyze", "--json", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("byte "), "{}", stderr(&output));
    let summary: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(summary["totals"]["packets"], 11);
}

#[test]
fn wrong_usage_is_told_with_the_nearest_right_word() {
    let status = |args: &[&str]| flowtrack(args).status.code();
    assert_eq!(status(&["analyze"]), Some(2));
    assert_eq!(status(&["--no-such-option"]), Some(2));
    let output = flowtrack(&["--set", "flow.max_flow=1", "config", "check"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("did you mean `flow.max_flows`?"), "{}", stderr(&output));
    assert_eq!(status(&["analyze", "/no/such/file"]), Some(3));
    assert_eq!(status(&["config", "show"]), Some(0));
}

#[test]
fn what_is_wrong_is_told_with_what_to_do_next() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../../demo/office.pcap.zst");
    let text = format!("{folder}/text");
    std::fs::write(&text, "no database, and long enough not to be taken for an empty one\n")
        .unwrap();
    let toml = format!("{folder}/wrong.toml");
    std::fs::write(&toml, "[respond]\nfirewall = \"pf\"\n").unwrap();
    let said = |args: &[&str], wants: &[&str]| {
        let output = flowtrack(args);
        let text = stderr(&output) + &stdout(&output);
        assert_ne!(output.status.code(), Some(0), "{args:?}: {text}");
        for want in wants {
            assert_eq!(text.matches(want).count(), 1, "{args:?} wants {want}: {text}");
        }
    };
    let nothing = ["there is no history here", "`flowtrack run` keeps one", "--data-dir or --db"];
    said(&["alerts", "--data-dir", folder], &nothing);
    said(&["export", "flows", "--format", "csv", "--data-dir", folder], &nothing);
    said(&["block", "192.0.2.1", "--preview", "--data-dir", folder], &nothing);
    said(&["alerts", "--db", &text], &[&text, "no history of FlowTrack", "--db names another"]);
    said(&["analyze", "/no/such/file"], &["/no/such/file", "No such file or directory"]);
    let inside = format!("{folder}/history.db");
    said(&["analyze", demo, "--db", folder], &["this is a folder", &inside]);
    said(&["analyze", demo, "--workers", "0"], &["want a number from 1 to 64"]);
    said(&["run", "--workers", "x"], &["want a number from 1 to 64"]);
    said(&["run", "--listen", "999"], &["such as 127.0.0.1:8080"]);
    said(&["run", "-r", demo, "--pace", "fast"], &["there is no pace `fast`", "10x, 0.5x or max"]);
    let first = "--set respond.first_secs=x";
    said(&["--set", "respond.first_secs=x", "config", "check"], &[first, "want a whole number"]);
    said(&["--set", "respond.automatic=3", "config", "check"], &["want true or false"]);
    let place = format!("{toml}:2:1: respond.firewall: `pf` is the firewall of macOS");
    said(&["--config", &toml, "config", "check"], &[&place, "nftables, ipset, dry_run"]);
    let wrong = |text: &str, wants: &[&str]| {
        let file = format!("{folder}/other.toml");
        std::fs::write(&file, text).unwrap();
        said(&["--config", &file, "config", "check"], wants);
    };
    wrong("respond = 3\n", &["`respond` is a section: write [respond]"]);
    wrong("[respond]\nfirewall = \"x\"\n", &[":2:12: there is no `x`, take one of `auto`, "]);
    wrong("[respond]\nallow = [\"x\"]\n", &["`x` is no address or network"]);
    let channel = "[[notify.channels]]\nname = \"s\"\ntype = \"syslog\"\naddress = \"127.0.0.1:1\"\n\
                   transport = \"tcp\"\n";
    let file = format!("{folder}/channel.toml");
    std::fs::write(&file, channel).unwrap();
    said(
        &["--config", &file, "--data-dir", folder, "notify", "test", "s"],
        &["s  FAILED: 127.0.0.1:1 by TCP: Connection refused"],
    );
    let chosen = flowtrack(&["rules", "disable", "8800001", "8", "--data-dir", folder]);
    let told = stdout(&chosen);
    assert!(told.contains("no rule 8 now") && !told.contains("8800001"), "{told}");
    for args in [["unblock", "192.0.2.1"], ["confirm", "192.0.2.1"], ["block", "127.0.0.1"]] {
        let output = flowtrack(&[&args[..], &["--data-dir", folder]].concat());
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    }
    // The doctor says so too, and goes on.
    said(&["--config", &toml, "doctor"], &[&place, "data folder", "firewall  "]);
    // What makes no sense does not cost a file that is there.
    let output = ["--data-dir", folder, "-o", &text];
    said(&[&["export", "dsn", "--format", "csv"], &output[..]].concat(), &["did you mean `dns`?"]);
    said(&[&["export", "flows", "--format", "pcap"], &output[..]].concat(), &["as csv or json"]);
    said(
        &[&["export", "packets", "--format", "csv"], &output[..]].concat(),
        &["as pcap or pcapng"],
    );
    said(&[&["export", "packets", "--format", "pcap"], &output[..]].concat(), &["--record"]);
    assert!(std::fs::read_to_string(&text).unwrap().starts_with("no database"));
    let none = flowtrack(&["rules", "list", "nosuchword", "--data-dir", folder]);
    assert_eq!(stdout(&none), "no rule has nosuchword\n");
}

#[test]
fn history_of_a_capture_can_be_exported() {
    let folder = tempfile::tempdir().unwrap();
    let path = capture(folder.path(), "a.pcap", 3);
    let db = folder.path().join("h.db");
    let db = db.to_str().unwrap();
    let output = flowtrack(&["analyze", path.to_str().unwrap(), "--db", db]);
    assert!(output.status.success(), "{}", stderr(&output));
    let csv = flowtrack(&["export", "flows", "--format", "csv", "--db", db]);
    assert_eq!(stdout(&csv).lines().count(), 4, "{}{}", stdout(&csv), stderr(&csv));
    let args = ["export", "flows", "--format", "json", "--db", db, "--filter", "host = 192.0.2.2"];
    let json = flowtrack(&args);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&stdout(&json)).unwrap();
    assert_eq!(rows.len(), 1);
    // Who reads only the beginning sees no error.
    let mut head = Command::new(env!("CARGO_BIN_EXE_flowtrack"))
        .args(["export", "dns", "--format", "json", "--db", db])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(head.stdout.take());
    let head = head.wait_with_output().unwrap();
    assert_eq!((head.status.code(), stderr(&head)), (Some(0), String::new()));
    let dns = flowtrack(&["export", "dns", "--format", "json", "--db", db]);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&stdout(&dns)).unwrap();
    assert_eq!(rows.len(), 9);
    let wrong = flowtrack(&["export", "dsn", "--format", "json", "--db", db]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("did you mean `dns`?"), "{}", stderr(&wrong));
}

#[test]
fn an_analysis_that_fails_leaves_nothing_in_history() {
    let folder = tempfile::tempdir().unwrap();
    let path = capture(folder.path(), "a.pcap", 3);
    let (path, db) = (path.to_str().unwrap(), folder.path().join("h.db"));
    let db = db.to_str().unwrap();
    let report = folder.path().join("no/such/r.html");
    let args = ["analyze", path, "--db", db, "--eve", "/dev/full"];
    assert!(!flowtrack(&args).status.success(), "{}", stderr(&flowtrack(&args)));
    let csv = flowtrack(&["export", "flows", "--format", "csv", "--db", db]);
    assert_eq!(stdout(&csv).lines().count(), 1, "{}{}", stdout(&csv), stderr(&csv));
    // So it can be done again. What comes after history does not undo it.
    let args = ["analyze", path, "--db", db, "--report", report.to_str().unwrap()];
    assert!(!flowtrack(&args).status.success());
    let csv = flowtrack(&["export", "flows", "--format", "csv", "--db", db]);
    assert_eq!(stdout(&csv).lines().count(), 4, "{}{}", stdout(&csv), stderr(&csv));
}

#[test]
fn an_analysis_whose_reader_leaves_is_not_taken_for_whole() {
    let folder = tempfile::tempdir().unwrap();
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../../demo/office.pcap.zst");
    let db = folder.path().join("h.db");
    let db = db.to_str().unwrap();
    let mut left = Command::new(env!("CARGO_BIN_EXE_flowtrack"))
        .args(["analyze", demo, "--db", db, "--eve", "-"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(left.stdout.take());
    let left = left.wait_with_output().unwrap();
    assert!(!left.status.success());
    assert!(stderr(&left).contains("nothing is kept in history"), "{}", stderr(&left));
    let again = flowtrack(&["analyze", demo, "--db", db]);
    assert!(again.status.success(), "{}", stderr(&again));
}

#[test]
fn an_analysis_that_was_killed_is_taken_out_and_can_be_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = capture(folder.path(), "a.pcap", 3);
    let db = folder.path().join("h.db");
    let (path, db) = (path.to_str().unwrap(), db.to_str().unwrap());
    let bytes = std::fs::read(path).unwrap();
    let (header, packets) = bytes.split_at(24);
    // It waits for the rest of its input, and is killed meanwhile.
    let mut half = Command::new(env!("CARGO_BIN_EXE_flowtrack"))
        .args(["analyze", "-", "--db", db])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut input = half.stdin.take().unwrap();
    // More than a pipe holds: once all of it is written, some of it was read.
    let much = [header, &packets.repeat(2_000)].concat();
    std::io::Write::write_all(&mut input, &much).unwrap();
    half.kill().unwrap();
    half.wait().unwrap();
    let again = flowtrack(&["analyze", path, "--db", db]);
    assert!(again.status.success(), "{}", stderr(&again));
    assert!(stderr(&again).contains("not read to their end"), "{}", stderr(&again));
    assert!(stderr(&again).contains("standard input"), "{}", stderr(&again));
    assert!(!stderr(&again).contains('\u{1b}'), "no colours but in a terminal");
    let csv = flowtrack(&["export", "flows", "--format", "csv", "--db", db]);
    assert_eq!(stdout(&csv).lines().count(), 4, "{}", stdout(&csv));
}

#[test]
fn files_of_a_capture_are_stored_under_their_hash() {
    let folder = tempfile::tempdir().unwrap();
    let (eve, files) = (folder.path().join("eve.json"), folder.path().join("files"));
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../../demo/office.pcap.zst");
    let (eve_arg, files_arg) = (eve.to_str().unwrap(), files.to_str().unwrap());
    let args = ["analyze", demo, "--eve", eve_arg, "--store-files", files_arg];
    let done = flowtrack(&[&args[..], &["--set", "files.max_file_kib=256"]].concat());
    assert!(done.status.success(), "{}", stderr(&done));

    let events: Vec<serde_json::Value> = std::fs::read_to_string(&eve)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told = events.iter().map(|event| &event["fileinfo"]);
    let mut expected = std::collections::BTreeSet::new();
    for info in told.clone().filter(|info| info["stored"] == true) {
        assert!(info["file_id"].as_u64().is_some_and(|id| id > 0), "{info}");
        assert!(info["size"].as_u64().unwrap() <= 256 * 1024, "{info}");
        expected.insert(info["sha256"].as_str().unwrap().to_owned());
    }
    assert!(expected.len() > 5, "{expected:?}");
    assert!(told.clone().any(|info| info["stored"] == false && info.get("file_id").is_none()));

    let mut found = std::collections::BTreeSet::new();
    let mut described = std::collections::BTreeSet::new();
    for subfolder in std::fs::read_dir(&files).unwrap() {
        for file in std::fs::read_dir(subfolder.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let bytes = std::fs::read(&path).unwrap();
            if let Some(hash) = name.strip_suffix(".json").and_then(|name| name.get(..64)) {
                let info: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
                assert_eq!(info["fileinfo"]["sha256"], hash);
                assert!(events.contains(&info), "the log has it too: {info}");
                described.insert(hash.to_owned());
                continue;
            }
            let hash = sha2::Digest::finalize({
                let mut hasher = sha2::Sha256::default();
                sha2::Digest::update(&mut hasher, &bytes);
                hasher
            });
            let hash = flowtrack_dissect::hex(&hash);
            assert_eq!((&hash, path.parent().unwrap().ends_with(&hash[..2])), (&name, true));
            found.insert(name);
        }
    }
    assert_eq!((&found, &described), (&expected, &expected));
    let stats = &events.last().unwrap()["stats"]["file_store"];
    assert_eq!(stats["stored"], found.len(), "{stats}");
    assert_eq!(stats["fs_errors"], 0);
}

#[test]
fn a_rule_chooses_the_files_that_are_stored() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("store.rules");
    std::fs::write(&rules, "alert http any any -> any any (filesize:>100KB; filestore; sid:1;)\n")
        .unwrap();
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../../demo/office.pcap.zst");
    let files = folder.path().join("files");
    let args = ["analyze", demo, "--eve", "-", "--store-files", files.to_str().unwrap()];
    let done = flowtrack(&[&args[..], &["-S", rules.to_str().unwrap()]].concat());
    assert!(done.status.success(), "{}", stderr(&done));
    let text = stdout(&done);
    let events: Vec<serde_json::Value> =
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    // The rule is about what HTTP carries.
    let of_http = events.iter().filter(|event| event["app_proto"] == "http");
    let told = of_http.map(|event| &event["fileinfo"]);
    let (mut large, mut small) = (0, 0);
    for info in told.filter(|info| info["state"] == "CLOSED") {
        let is_large = info["size"].as_u64().unwrap() > 100 * 1024;
        assert_eq!(info["stored"], is_large, "{info}");
        *(if is_large { &mut large } else { &mut small }) += 1;
    }
    assert!(large > 0 && small > 0, "{large} and {small}");
    let stats = &events.last().unwrap()["stats"]["file_store"];
    assert_eq!((&stats["dropped"], &stats["fs_errors"]), (&0.into(), &0.into()), "{stats}");
}

#[test]
fn alerts_of_a_capture_are_kept_reported_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../../demo/office.pcap.zst");
    let [db, report, rules] =
        ["history.db", "r.html", "own.rules"].map(|n| folder.path().join(n).display().to_string());
    std::fs::write(
        &rules,
        "alert dns any any -> any any (msg:\"a question\"; dns.query; content:\".\"; \
         sid:1000001; rev:1; metadata:mitre_technique_id T1071;)\n",
    )
    .unwrap();
    let args = ["analyze", demo, "--detect", "-S", &rules, "--db", &db, "--report", &report];
    let done = flowtrack(&args);
    assert!(done.status.success(), "{}", stderr(&done));
    let summary = stdout(&done);
    let eve = flowtrack(&["analyze", demo, "--detect", "-S", &rules, "--eve", "-"]);
    let counters: serde_json::Value =
        serde_json::from_str(stdout(&eve).lines().last().unwrap()).unwrap();
    let counted = &counters["stats"]["alerts"];
    let has = |what: &str| summary.lines().any(|line| what.split('*').all(|w| line.contains(w)));
    assert!(has("  high *SYN flood against 10.20.0.10"), "{summary}");
    assert!(has("  medium *10.20.0.66 scans ports of 10.20.0.10"), "{summary}");
    assert!(has("  low *a question  10.20.10.174 -> 10.20.0.1:53*178"), "{summary}");
    // What it says to do next gives the same alerts, rules' and detectors', with evidence.
    let next = summary.lines().last().unwrap().split(": flowtrack ").nth(1).unwrap();
    let alerts = flowtrack(&next.split(' ').collect::<Vec<_>>());
    let alerts: Vec<serde_json::Value> = serde_json::from_str(&stdout(&alerts)).unwrap();
    let of = |kind: &str| alerts.iter().filter(|a| a["kind"] == kind).collect::<Vec<_>>();
    assert!(!of("signature").is_empty() && of("behaviour").len() > 2, "{alerts:#?}");
    let scan =
        of("behaviour").into_iter().find(|a| a["name"].as_str() == Some("port_scan/vertical"));
    let scan = scan.unwrap();
    assert!(!scan["evidence"].as_object().unwrap().is_empty(), "{scan}");
    let json = flowtrack(&["analyze", demo, "--detect", "-S", &rules, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&stdout(&json)).unwrap();
    let told: u64 = alerts.iter().map(|a| a["count"].as_u64().unwrap()).sum();
    assert_eq!(told, json["totals"]["alerts"].as_u64().unwrap());
    assert_eq!(counted["reports"], told, "{counted}");
    assert_eq!(counted["opened"].as_u64().unwrap(), alerts.len() as u64, "{counted}");
    assert_eq!(counted["untold"], 0, "{counted}");
    // The same from the data folder, and as a table.
    let data = folder.path().to_str().unwrap();
    let again = flowtrack(&["alerts", "--data-dir", data, "--since", "2000-01-01", "--json"]);
    let again: Vec<serde_json::Value> = serde_json::from_str(&stdout(&again)).unwrap();
    assert_eq!(again, alerts);
    let csv = flowtrack(&["export", "alerts", "--format", "csv", "--db", &db]);
    assert!(stdout(&csv).lines().count() > alerts.len(), "{}", stdout(&csv));
    let html = std::fs::read_to_string(&report).unwrap();
    for what in ["<h2>Alerts", scan["explanation"].as_str().unwrap(), "a question", "T1071"] {
        assert!(html.contains(what), "{what}");
    }
    // The same file is not counted twice unwittingly, and no earlier events are lost by that.
    let events = folder.path().join("eve.json");
    std::fs::write(&events, "before").unwrap();
    let refused = flowtrack(&[&args[..], &["--eve", events.to_str().unwrap()]].concat());
    assert_eq!(std::fs::read_to_string(&events).unwrap(), "before");
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("office.pcap.zst is in history"), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("--again"), "{}", stderr(&refused));
    // A file that is no history is not touched.
    let mistaken = flowtrack(&["analyze", args[1], "--db", events.to_str().unwrap()]);
    assert_eq!(mistaken.status.code(), Some(2));
    assert!(stderr(&mistaken).contains("is no history"), "{}", stderr(&mistaken));
    assert_eq!(std::fs::read_to_string(&events).unwrap(), "before");
    let same = flowtrack(&["alerts", "--db", &db, "--since", "2000-01-01", "--json"]);
    assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&stdout(&same)).unwrap(), alerts);
    // A second run of the same numbers its alerts on, or goes on with them; none is lost.
    let again = [&args[..], &["--again"]].concat();
    assert!(flowtrack(&again).status.success());
    let twice = flowtrack(&["alerts", "--db", &db, "--since", "2000-01-01", "--json"]);
    let twice: Vec<serde_json::Value> = serde_json::from_str(&stdout(&twice)).unwrap();
    let total: u64 = twice.iter().map(|a| a["count"].as_u64().unwrap()).sum();
    assert_eq!(total, 2 * told);
}

#[test]
fn details_name_addresses_and_say_what_was_said() {
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../../demo/office.pcap.zst");
    let plain = stdout(&flowtrack(&["analyze", demo]));
    let details = stdout(&flowtrack(&["analyze", demo, "--details", "--detect"]));
    for what in ["Names", "files.office.example", "Said in ", "distinct ports: ", "T1046"] {
        assert!(!plain.contains(what) && details.contains(what), "{what}: {details}");
    }
}

#[test]
fn alerts_since_so_many_days_are_asked_for_as_help_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = capture(folder.path(), "a.pcap", 1);
    let db = folder.path().join("h.db");
    let db = db.to_str().unwrap();
    assert!(flowtrack(&["analyze", path.to_str().unwrap(), "--db", db]).status.success());
    for since in ["90s", "30m", "2h", "7d", "2w"] {
        let done = flowtrack(&["alerts", "--db", db, "--since", since]);
        assert!(done.status.success(), "{since}: {}", stderr(&done));
        let done = flowtrack(&["export", "flows", "--format", "csv", "--db", db, "--since", since]);
        assert!(done.status.success(), "{since}: {}", stderr(&done));
    }
    let wrong = flowtrack(&["alerts", "--db", db, "--since", "7y"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("--since 7y: want `2026-01-31`"), "{}", stderr(&wrong));
}
