//! Work grows with the input and not with its square: every dissector is given an input and one
//! twice as long, and may work at most [`MOST`] times as much.
//!
//! Work is counted as bytes allocated, which is the same in every run, and as time on a processor,
//! of which only the shortest of several runs counts: what disturbs a run makes it longer, never
//! shorter.

use super::{Conversation, Step, all};
use crate::{AppConfig, AppFlow, AppLayer, Moment, Outcome, Wants};
use cpu_time::ThreadTime;
use flowtrack_event::{Chunk, Direction, Timestamp};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

/// How much more work twice the input may be.
const MOST: f64 = 2.5;
/// Bytes of the shorter input, in pieces as a network brings them.
const WHOLE: usize = 128 * 1024;
/// Bytes of the shorter input where every byte comes alone.
const SINGLE: usize = 8 * 1024;
/// Work below this is not worth a look, whatever it grew from.
const LITTLE_TIME: Duration = Duration::from_micros(1_500);
const LITTLE_BYTES: u64 = 256 * 1024;
/// Runs after which a time is believed to be too long.
const ROUNDS: usize = 20;

/// What may follow a beginning without an end.
const FLOODS: &[(&str, &[u8])] = &[
    ("an endless word", b"A"),
    ("zeros", b"\0"),
    ("ones", b"\xff"),
    ("blanks", b" "),
    ("empty lines", b"\r\n"),
    ("half line ends", b"\r"),
    ("endless fields", b"Name: value\r\n"),
    ("folded fields", b"X: y\r\n folded\r\n"),
    ("separators", b",;,;=\"\\"),
    ("nested parts", b"--x\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"),
    ("chunks", b"1\r\na\r\n"),
    ("brackets", b"([{<"),
    ("BER in BER", b"\x30\x80"),
    ("long BER in BER", b"\x30\x84\x00\x01\x00\x00"),
    ("names that point back", b"\xc0\x0c\x01a"),
    ("short records", b"\x00\x00\x00\x04\x00\x00\x00\x00"),
    ("short records, the other way round", b"\x04\x00\x00\x00\x00\x00\x00\x00"),
];

/// One input: a beginning, and what is repeated behind it.
struct Input<'a> {
    conversation: &'a Conversation,
    beginning: &'a [Step],
    repeated: Vec<Step>,
    /// Bytes that come at a time.
    piece: usize,
}

/// What a run cost.
#[derive(Clone, Copy)]
struct Work {
    time: Duration,
    bytes: u64,
}

#[test]
fn conversations_without_end_are_linear() {
    let mut wrong = String::new();
    for (path, conversation) in all() {
        for (piece, size) in pieces(&conversation) {
            let repeated = conversation.steps.clone();
            let input = Input { conversation: &conversation, beginning: &[], repeated, piece };
            judge(&input, size, &mut wrong, || format!("{}: pieces of {piece}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn floods_are_linear() {
    let mut wrong = String::new();
    let mut seen = BTreeSet::new();
    for (path, conversation) in all() {
        // Every protocol once, from its beginning and from the middle of what it says.
        if !seen.insert(path.parent().map(std::path::Path::to_owned)) {
            continue;
        }
        let steps = &conversation.steps;
        let mut beginnings = vec![steps.len().min(1), steps.len()];
        beginnings.dedup();
        for beginning in beginnings {
            for &(name, flood) in FLOODS {
                for direction in [Direction::ToServer, Direction::ToClient] {
                    for (piece, size) in pieces(&conversation) {
                        let repeated = vec![Step::Bytes(direction, flood.to_vec())];
                        let beginning = &steps[..beginning];
                        let input =
                            Input { conversation: &conversation, beginning, repeated, piece };
                        judge(&input, size, &mut wrong, || {
                            format!(
                                "{}: {name} {direction:?} behind {} steps, pieces of {piece}",
                                path.display(),
                                beginning.len()
                            )
                        });
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Sizes of pieces, and of the whole, to try a conversation with.
fn pieces(conversation: &Conversation) -> Vec<(usize, usize)> {
    let whole = (1400, WHOLE);
    if conversation.udp { vec![whole] } else { vec![whole, (1, SINGLE)] }
}

/// Notes in `wrong` where twice the input is more than [`MOST`] times the work, and twice that is so
/// again: a reader that first waits for a record of some length grows steeply once.
fn judge(input: &Input<'_>, size: usize, wrong: &mut String, name: impl FnOnce() -> String) {
    let steps = [1, 2, 4].map(|times| input.steps(times * size));
    let [once, twice, again] = steps.each_ref().map(|steps| || input.run(steps));
    if let Some(grown) = too_steep(&once, &twice)
        && let Some(more) = too_steep(&twice, &again)
    {
        let _ = writeln!(wrong, "{}: {grown}; {more}", name());
    }
}

/// What work grew to where that is too much.
fn too_steep(once: &dyn Fn() -> Work, twice: &dyn Fn() -> Work) -> Option<String> {
    let (mut small, mut large) = (once(), twice());
    if large.bytes > LITTLE_BYTES && large.bytes as f64 > MOST * small.bytes as f64 {
        return Some(format!("{} -> {} bytes", small.bytes, large.bytes));
    }
    for _ in 0..ROUNDS {
        if large.time < LITTLE_TIME || large.time.as_secs_f64() <= MOST * small.time.as_secs_f64() {
            return None;
        }
        small.time = small.time.min(once().time);
        large.time = large.time.min(twice().time);
    }
    Some(format!("{:?} -> {:?}", small.time, large.time))
}

impl Input<'_> {
    /// All of it, with at least `size` bytes repeated.
    fn steps(&self, size: usize) -> Vec<Step> {
        let length = |step: &Step| match step {
            Step::Bytes(_, bytes) => bytes.len(),
            Step::Gap(..) | Step::Fin(_) => 0,
        };
        let once: usize = self.repeated.iter().map(length).sum();
        let times = size.div_ceil(once.max(1));
        let mut steps = self.beginning.to_vec();
        match self.repeated.as_slice() {
            // A flood is one piece of the stream; where it is cut is not for it to say.
            [Step::Bytes(direction, flood)] => {
                let flood = flood.repeat(times);
                steps.extend(flood.chunks(1400).map(|part| Step::Bytes(*direction, part.to_vec())));
            }
            repeated => steps.extend((0..times).flat_map(|_| repeated.iter().cloned())),
        }
        steps.retain(|step| !matches!(step, Step::Fin(_)));
        steps
    }

    fn run(&self, steps: &[Step]) -> Work {
        let mut time = Duration::ZERO;
        let counted = allocation_counter::measure(|| {
            let begin = ThreadTime::now();
            self.feed(steps);
            time = begin.elapsed();
        });
        Work { time, bytes: counted.bytes_total }
    }

    fn feed(&self, steps: &[Step]) {
        let wants =
            Wants { records: true, buffers: true, files: true, hashes: true, contents: None };
        let layer = AppLayer::new(AppConfig { wants, ..AppConfig::default() });
        let key = self.conversation.key();
        let ts = Timestamp::from_secs(1_700_000_000);
        let at = Moment { ts, packet: 1, key: &key, midstream: false };
        let announced = self.conversation.announced.as_ref();
        let mut flow =
            announced.map_or_else(AppFlow::default, |told| AppFlow::expecting(&layer, told));
        let nothing = || Outcome { wants_logins: true, ..Outcome::default() };
        let mut found = nothing();
        for step in steps {
            match step {
                Step::Bytes(direction, bytes) => {
                    let piece = if self.conversation.udp { bytes.len() } else { self.piece };
                    for piece in bytes.chunks(piece.max(1)) {
                        flow.feed(&layer, &at, *direction, Chunk::Bytes(piece), &mut found);
                        found = nothing();
                    }
                }
                Step::Gap(direction, n) => {
                    flow.feed(&layer, &at, *direction, Chunk::Gap(*n), &mut found);
                    found = nothing();
                }
                Step::Fin(_) => {}
            }
        }
        flow.close(&layer, &at, &mut found);
    }
}

#[test]
fn square_work_is_told_from_linear() {
    let time = |millis| move || Work { time: Duration::from_millis(millis), bytes: 0 };
    let bytes = |bytes| move || Work { time: Duration::ZERO, bytes };
    assert!(too_steep(&time(10), &time(40)).is_some());
    assert!(too_steep(&time(10), &time(20)).is_none());
    assert!(too_steep(&bytes(1 << 20), &bytes(1 << 22)).is_some());
    assert!(too_steep(&bytes(1 << 20), &bytes(1 << 21)).is_none());
}
