//! JA4 of clients, as the two programs of its inventor compute it.

use crate::Agreement;
use crate::corpus::{Corpus, Pair, pair, pair_of};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

#[test]
fn ja4_is_foxios() {
    let Some(corpus) = Corpus::find() else { return };
    let captures = corpus.captures_with("ja4", ".rust.snap");
    let analysis = corpus.analyze(&captures);
    let mut agreement = Agreement::on("JA4 of FoxIO");
    for (index, capture) in captures.iter().enumerate() {
        let ours = fingerprints(&analysis.events(index));
        let mut theirs = of_snapshot(&corpus.read(&format!("{capture}.rust.snap")));
        theirs.extend(of_json(&corpus.read(&format!("{capture}.python.json"))));
        for (flow, ja4) in theirs {
            let found = ours.get(&flow);
            agreement.count(found.is_some_and(|found| found.contains(&ja4)), || {
                format!("{capture}: {flow:?} {ja4}, ours {found:?}")
            });
        }
    }
    agreement.assert_at_least(100, 10);
}

fn fingerprints(events: &[Value]) -> HashMap<Pair, BTreeSet<String>> {
    let mut found: HashMap<Pair, BTreeSet<String>> = HashMap::new();
    for event in events {
        for record in ["tls", "quic"] {
            if let (Some(ja4), Some(flow)) = (event[record]["ja4"].as_str(), pair_of(event)) {
                found.entry(flow).or_default().insert(ja4.to_owned());
            }
        }
    }
    found
}

/// The streams of the Rust program: a list in YAML, one field a line.
fn of_snapshot(text: &str) -> BTreeSet<(Pair, String)> {
    let mut found = BTreeSet::new();
    for stream in text.split("\n- ").skip(1) {
        let field = |name: &str| {
            let mut lines = stream.lines().map(str::trim);
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        let flow = || {
            let end = |ip, port| Some((field(ip)?.parse().ok()?, field(port)?.parse().ok()?));
            Some(pair(field("transport")?, [end("src", "src_port")?, end("dst", "dst_port")?]))
        };
        if let (Some(flow), Some(ja4)) = (flow(), field("ja4")) {
            found.insert((flow, ja4.to_owned()));
        }
    }
    found
}

/// The streams of the Python program, which does not say whether it is TCP or UDP but for the
/// first letter of the fingerprint.
fn of_json(text: &str) -> BTreeSet<(Pair, String)> {
    let streams: Vec<Value> = serde_json::from_str(text).unwrap();
    let mut found = BTreeSet::new();
    for stream in &streams {
        let end = |ip: &str, port: &str| {
            Some((stream[ip].as_str()?.parse().ok()?, stream[port].as_str()?.parse().ok()?))
        };
        let (Some(src), Some(dst)) = (end("src", "srcport"), end("dst", "dstport")) else {
            continue;
        };
        for (name, value) in stream.as_object().unwrap() {
            let is_ja4 = name.strip_prefix("JA4.").is_some_and(|n| n.parse::<u32>().is_ok());
            if let (true, Some(ja4)) = (is_ja4, value.as_str()) {
                let proto = if ja4.starts_with('q') { "udp" } else { "tcp" };
                found.insert((pair(proto, [src, dst]), ja4.to_owned()));
            }
        }
    }
    found
}
