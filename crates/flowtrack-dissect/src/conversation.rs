//! Tests over every protocol: recorded conversations in, events out.
//!
//! A conversation is a text file `testdata/<protocol>/<name>.conv`; what must come of it stands
//! beside it in `<name>.events`, and what rules can ask it for in `<name>.keywords` (run with
//! `UPDATE_EXPECT=1` to accept what comes). Its lines:
//!
//! ```text
//! # a comment
//! udp 53                  datagrams to port 53; `tcp 80` is a stream (the default is tcp 4000)
//! > GET / HTTP/1.1\r\n    bytes to the server, with \r \n \t \0 \\ and \xHH
//! < HTTP/1.1 200 OK\r\n   bytes to the client
//! >x 00 01 ff             the same as hexadecimal
//! >gap 100                100 bytes to the server were lost
//! >fin                    the client closed its side
//! announced ftp-data STOR a.txt   another flow said that this one would come, and with what
//! ```

#![allow(clippy::disallowed_methods, reason = "the conversations are files")]

use crate::{
    AppConfig, AppFlow, AppLayer, Expectation, KeywordKind, Moment, Outcome, Transfer, Wants,
    protocols,
};
use flowtrack_event::{AppProto, Chunk, Direction, FlowKey, IpProto, Timestamp, WireText};
use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod linear;
mod seeds;

pub struct Conversation {
    udp: bool,
    port: u16,
    steps: Vec<Step>,
    announced: Option<Expectation>,
}

#[derive(Clone)]
enum Step {
    Bytes(Direction, Vec<u8>),
    Gap(Direction, u64),
    Fin(Direction),
}

impl Conversation {
    fn parse(text: &str) -> Self {
        let mut it = Self { udp: false, port: 4000, steps: Vec::new(), announced: None };
        for (number, line) in text.lines().enumerate() {
            let bad = || -> ! { panic!("line {}: not understood: {line}", number + 1) };
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let direction = match word.chars().next() {
                Some('>') => Direction::ToServer,
                Some('<') => Direction::ToClient,
                _ => {
                    match word {
                        "" | "#" => {}
                        "udp" | "tcp" => {
                            it.udp = word == "udp";
                            it.port = rest.trim().parse().unwrap();
                        }
                        "announced" => it.announced = Some(it.expectation(rest)),
                        _ => bad(),
                    }
                    continue;
                }
            };
            it.steps.push(match &word[1..] {
                "" => Step::Bytes(direction, unescape(rest)),
                "x" => Step::Bytes(direction, unhex(rest)),
                "gap" => Step::Gap(direction, rest.trim().parse().unwrap()),
                "fin" => Step::Fin(direction),
                _ => bad(),
            });
        }
        it
    }

    /// Of `<protocol> <command> [<file>]`.
    fn expectation(&self, text: &str) -> Expectation {
        let mut words = text.split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let protocol = AppProto(word().leak());
        let transfer = Transfer { command: word().leak(), filename: word().into_bytes() };
        Expectation {
            responder: (self.key().dst, self.port),
            originator: None,
            udp: self.udp,
            protocol,
            transfer: Some(Arc::new(transfer)),
        }
    }

    fn key(&self) -> FlowKey {
        FlowKey {
            src: [192, 0, 2, 1].into(),
            dst: [198, 51, 100, 2].into(),
            src_port: 40_000,
            dst_port: self.port,
            proto: if self.udp { IpProto::UDP } else { IpProto::TCP },
        }
    }

    /// Runs it; streams are cut into pieces of the lengths that `cut` gives.
    fn run(&self, mut cut: impl FnMut() -> usize) -> Came {
        let wants =
            Wants { records: true, buffers: true, files: true, hashes: true, contents: None };
        let layer = AppLayer::new(AppConfig { wants, ..AppConfig::default() });
        let key = self.key();
        let mut flow = match &self.announced {
            Some(announced) => AppFlow::expecting(&layer, announced),
            None => AppFlow::default(),
        };
        let mut found = Outcome { wants_logins: true, ..Outcome::default() };
        let at = Moment {
            ts: Timestamp::from_secs(1_700_000_000),
            packet: 1,
            key: &key,
            midstream: false,
        };
        let mut feed = |flow: &mut AppFlow, dir, chunk| {
            flow.feed(&layer, &at, dir, chunk, &mut found);
        };
        let mut ended = Vec::new();
        for step in &self.steps {
            match step {
                Step::Bytes(dir, bytes) if self.udp => feed(&mut flow, *dir, Chunk::Bytes(bytes)),
                Step::Bytes(dir, bytes) => {
                    let mut rest = &bytes[..];
                    while !rest.is_empty() {
                        let (piece, after) = rest.split_at(cut().clamp(1, rest.len()));
                        feed(&mut flow, *dir, Chunk::Bytes(piece));
                        rest = after;
                    }
                }
                Step::Gap(dir, n) => feed(&mut flow, *dir, Chunk::Gap(*n)),
                Step::Fin(dir) => ended.push(*dir),
            }
        }
        for dir in ended {
            flow.finish(&at, dir, &mut found);
        }
        flow.close(&layer, &at, &mut found);
        let mut came = Came { events: render(&flow, &found), ..Came::default() };
        came.ask(&found);
        came
    }
}

/// What came of a conversation.
#[derive(Default, PartialEq, Debug)]
struct Came {
    /// One line each.
    events: String,
    /// What rules can ask its transactions for, one line for each value.
    keywords: String,
    /// Which keywords of which protocols were answered.
    answered: BTreeSet<(AppProto, &'static str)>,
}

impl Came {
    fn ask(&mut self, found: &Outcome) {
        for done in &found.transactions {
            let asked = &done.transaction;
            let name = asked.protocol();
            let _ = writeln!(self.keywords, "tx {} {}", done.tx_id, name.name());
            asked.events(&mut |event| {
                let _ = writeln!(self.keywords, "   event {event}");
            });
            let keywords = protocols::ALL.iter().filter(|p| p.name() == name);
            let keywords: BTreeMap<_, _> =
                keywords.flat_map(|p| p.keywords()).map(|k| (k.name, k)).collect();
            for keyword in keywords.into_values() {
                for direction in [Direction::ToServer, Direction::ToClient] {
                    if keyword.toward.is_some_and(|toward| toward != direction) {
                        continue;
                    }
                    let mark = if direction == Direction::ToServer { '>' } else { '<' };
                    let mut values = Vec::new();
                    match keyword.kind {
                        KeywordKind::Buffer => {
                            asked.buffer_towards(direction, keyword.name, &mut |bytes| {
                                values.push(shown(bytes));
                            });
                        }
                        KeywordKind::Number => {
                            asked.number(direction, keyword.name, &mut |number| {
                                values.push(number.to_string());
                            });
                        }
                    }
                    assert!(
                        values.len() <= 1 || keyword.multi,
                        "{} has one value only: {values:?}",
                        keyword.name
                    );
                    for value in values {
                        self.answered.insert((name, keyword.name));
                        let _ = writeln!(self.keywords, "   {mark} {} {value}", keyword.name);
                    }
                }
            }
        }
    }
}

/// Bytes as a line shows them.
fn shown(bytes: &[u8]) -> String {
    const CAP: usize = 400;
    let cut = bytes.get(..CAP).unwrap_or(bytes);
    let rest = bytes.len() - cut.len();
    let end = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("\"{}\"{end}", cut.escape_ascii())
}

/// What came of a conversation, one line each.
fn render(flow: &AppFlow, found: &Outcome) -> String {
    let mut text = match flow.record() {
        Some(r) => {
            let mut line = format!("app {} {:?}", r.proto.name(), r.confidence);
            for (what, name) in [("from", r.original), ("expected", r.expected)] {
                if let Some(name) = name {
                    let _ = write!(line, " {what} {}", name.name());
                }
            }
            line + "\n"
        }
        None => "app unknown\n".into(),
    };
    if flow.record().is_some_and(|record| record.looks_random) {
        text.push_str("looks random\n");
    }
    for done in found.transactions.iter().filter(|done| done.transaction.is_recorded()) {
        let json = serde_json::to_string(&done.transaction.record()).unwrap();
        let kind = done.transaction.event_type();
        let _ = writeln!(text, "tx {} {kind} {json}", done.tx_id);
        done.transaction.siblings(&mut |name, record| {
            let _ = writeln!(text, "   {name} {}", serde_json::to_string(record).unwrap());
        });
        let summary = done.transaction.summary();
        if !summary.is_empty() {
            let _ = writeln!(text, "   {summary}");
        }
        done.transaction.names(&mut |ip, name| {
            let _ = writeln!(text, "   name {ip} {name}");
        });
        if let Some(e) = done.transaction.encryption() {
            let shown =
                [&e.version, &e.cipher, &e.server_name].map(|o| o.as_deref().unwrap_or("-"));
            let (client, ech) = (e.client.unwrap_or("-"), if e.has_ech { " ech" } else { "" });
            let _ = writeln!(text, "   encryption {} {client}{ech}", shown.join(" "));
            if let Some(c) = e.certificate {
                let (dates, for_name) = (c.not_before..c.not_after, c.is_for_name);
                let _ = writeln!(text, "   certificate {} {dates:?} {for_name:?}", c.fingerprint);
            }
        }
    }
    for file in &found.files {
        let name = WireText(&file.filename);
        let md5 = file.hashes.as_ref().map(|h| crate::digest::hex(&h.md5));
        let _ = writeln!(
            text,
            "file tx {} {:?} \"{name}\" size {} {:?} gaps {} range {:?} magic {:?} md5 {md5:?}",
            file.tx_id, file.direction, file.size, file.state, file.gaps, file.range, file.magic
        );
    }
    for login in &found.logins {
        let _ = writeln!(text, "login {:?} {:?} {:?}", login.user, login.outcome, login.secret);
    }
    for raised in &found.anomalies {
        let _ = writeln!(text, "anomaly {} tx {:?}", raised.name, raised.tx_id);
    }
    for e in &found.expectations {
        let _ = writeln!(text, "expect {} {:?} udp {}", e.protocol.name(), e.responder, e.udp);
    }
    text
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        if b != b'\\' {
            bytes.push(b);
            continue;
        }
        bytes.push(match rest.next().unwrap() {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'0' => 0,
            b'\\' => b'\\',
            b'x' => {
                let mut hex = || (rest.next().unwrap() as char).to_digit(16).unwrap() as u8;
                hex() << 4 | hex()
            }
            other => panic!("unknown escape \\{}", other as char),
        });
    }
    bytes
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).unwrap() as u8)
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Every conversation of the project, with its path.
pub fn all() -> Vec<(PathBuf, Conversation)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut found = Vec::new();
    for folder in std::fs::read_dir(root).unwrap().map(|e| e.unwrap().path()) {
        for path in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            if path.extension().is_some_and(|e| e == "conv") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, Conversation::parse(&text)));
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(!found.is_empty());
    found
}

#[test]
fn conversations_give_their_events() {
    let mut wrong = String::new();
    for (path, conversation) in all() {
        let came = conversation.run(|| usize::MAX);
        for (what, got) in [("events", came.events), ("keywords", came.keywords)] {
            let expected = path.with_extension(what);
            if what == "keywords" && !got.lines().any(|line| line.starts_with("   ")) {
                continue;
            }
            if std::env::var_os("UPDATE_EXPECT").is_some() {
                std::fs::write(&expected, &got).unwrap();
            }
            let want = std::fs::read_to_string(&expected).unwrap_or_default();
            if got != want {
                let _ = writeln!(wrong, "{}:\n--- want\n{want}--- got\n{got}", expected.display());
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_keyword_is_answered() {
    let mut left: BTreeSet<_> = protocols::ALL
        .iter()
        .flat_map(|p| p.keywords().iter().map(|keyword| (p.name(), keyword.name)))
        .collect();
    for (_, conversation) in all() {
        for answered in conversation.run(|| usize::MAX).answered {
            left.remove(&answered);
        }
    }
    assert!(left.is_empty(), "never answered: {left:?}");
}

#[test]
fn a_stream_cut_anywhere_gives_the_same_events() {
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    for (path, conversation) in all() {
        let whole = conversation.run(|| usize::MAX);
        for size in [1, 2, 3, 7, 16, 61] {
            assert_eq!(conversation.run(|| size), whole, "{}: pieces of {size}", path.display());
        }
        for _ in 0..20 {
            let got = conversation.run(|| 1 + (rng.next_u32() % 40) as usize);
            assert_eq!(got, whole, "{}", path.display());
        }
    }
}

#[test]
fn damaged_conversations_do_no_harm() {
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    for (_, mut conversation) in all() {
        let whole = conversation.steps.clone();
        for _ in 0..200 {
            conversation.steps = whole.clone();
            for step in &mut conversation.steps {
                if let Step::Bytes(direction, bytes) = step {
                    for _ in 0..=rng.next_u32() % 3 {
                        if !bytes.is_empty() {
                            let at = rng.next_u32() as usize % bytes.len();
                            bytes[at] = rng.next_u32() as u8;
                        }
                    }
                    if rng.next_u32().is_multiple_of(20) {
                        *step = Step::Gap(*direction, u64::from(rng.next_u32() % 2000));
                    }
                }
            }
            conversation.run(|| 1 + (rng.next_u32() % 100) as usize);
        }
    }
}
