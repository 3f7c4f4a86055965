use super::*;
use proptest::prelude::*;

/// Feeds segments given as (sequence number, bytes) and renders what comes out; `~n` is a hole.
fn run(policy: OverlapPolicy, steps: &[(u32, &str)]) -> String {
    let mut out = String::new();
    let mut memory = StreamMemory::default();
    let mut stream = Stream::default();
    stream.syn(99, &mut memory);
    for &(seq, text) in steps {
        stream.segment(seq, text.as_bytes(), policy, &mut memory, &mut |c| show(&mut out, c));
    }
    stream.finish(&mut memory, &mut |c| show(&mut out, c));
    assert_eq!(memory.used(), 0);
    out
}

fn show(out: &mut String, chunk: Chunk<'_>) {
    match chunk {
        Chunk::Bytes(bytes) => out.push_str(std::str::from_utf8(bytes).unwrap()),
        Chunk::Gap(n) => out.push_str(&format!("~{n}")),
    }
}

#[test]
fn orders_and_fills_holes() {
    let f = OverlapPolicy::First;
    assert_eq!(run(f, &[(100, "ab"), (104, "ef"), (102, "cd")]), "abcdef");
    assert_eq!(run(f, &[(100, "ab"), (104, "ef")]), "ab~2ef");
    assert_eq!(run(f, &[(100, "abc"), (101, "bcd"), (99, "xabcde")]), "abcde");
}

#[test]
fn policies_choose_among_kept_segments() {
    // Kept: 102..106 "OOOO"; then 101..104 "nnn" (begins earlier), 104..108 "mmmm" (ends later).
    let steps = [(102, "OOOO"), (101, "nnn"), (104, "mmmm"), (100, "a")];
    assert_eq!(run(OverlapPolicy::First, &steps), "anOOOOmm");
    assert_eq!(run(OverlapPolicy::Last, &steps), "annnmmmm");
    assert_eq!(run(OverlapPolicy::Bsd, &steps), "annnOOmm");
    let same_begin = [(102, "OO"), (102, "nnnn"), (100, "ab")];
    assert_eq!(run(OverlapPolicy::Bsd, &same_begin), "abOOnn");
    assert_eq!(run(OverlapPolicy::Linux, &same_begin), "abnnnn");
    assert_eq!(run(OverlapPolicy::Solaris, &same_begin), "abnnnn");
}

#[test]
fn differing_overlap_is_told() {
    let mut memory = StreamMemory::default();
    let mut stream = Stream::default();
    stream.syn(0, &mut memory);
    let mut place = |seq, text: &str| {
        stream.segment(seq, text.as_bytes(), OverlapPolicy::First, &mut memory, &mut |_| {})
    };
    assert!(!place(5, "same").differs);
    assert!(!place(5, "same").differs);
    assert!(place(5, "evil").differs);
}

#[test]
fn differing_repetition_of_what_was_passed_on_is_told() {
    let mut memory = StreamMemory::new(StreamLimits::default());
    let mut stream = Stream::default();
    let mut place = |seq, text: &str| {
        stream.segment(seq, text.as_bytes(), OverlapPolicy::Bsd, &mut memory, &mut |_| {}).differs
    };
    assert!(!place(100, "GET /good"));
    assert!(!place(109, " HTTP/1.1"));
    assert!(!place(100, "GET /good"));
    assert!(place(100, "GET /evil"));
    // Both at once, with a byte more than was there before.
    assert!(!place(100, "GET /good HTTP/1.1\r"));
    assert!(place(100, "GET /good HTTP/1.0\r\n"));
    // A keep-alive repeats one byte, and may send any.
    assert!(!place(119, "\0"));
    assert_eq!(memory.overlaps_differ, 2);
}

#[test]
fn acknowledged_hole_is_given_up() {
    let mut out = String::new();
    let mut memory = StreamMemory::default();
    let mut stream = Stream::default();
    stream.syn(99, &mut memory);
    // The acknowledgement may be captured before the data that it acknowledges.
    stream.acknowledged(103, &mut memory, &mut |c| show(&mut out, c));
    stream.segment(100, b"abc", OverlapPolicy::First, &mut memory, &mut |c| show(&mut out, c));
    stream.segment(106, b"ghi", OverlapPolicy::First, &mut memory, &mut |c| show(&mut out, c));
    assert_eq!(out, "abc");
    stream.acknowledged(109, &mut memory, &mut |c| show(&mut out, c));
    assert_eq!(out, "abc~3ghi");
    assert!(stream.has_gap());
}

#[test]
fn sequence_numbers_wrap() {
    let mut out = String::new();
    let mut memory = StreamMemory::default();
    let mut stream = Stream::default();
    stream.syn(u32::MAX - 2, &mut memory);
    for (seq, text) in [(1, "de"), (u32::MAX - 1, "ab"), (0, "c")] {
        stream.segment(seq, text.as_bytes(), OverlapPolicy::First, &mut memory, &mut |c| {
            show(&mut out, c);
        });
    }
    assert_eq!(out, "abcde");
}

#[test]
fn caps_bound_what_is_kept() {
    let limits = StreamLimits { stream_bytes: 1000, stream_segments: 8, total_bytes: 1000 };
    let mut memory = StreamMemory::new(limits);
    let mut stream = Stream::default();
    stream.syn(0, &mut memory);
    for i in 0..10_000_u32 {
        stream.segment(10 + i * 7, &[1; 5], OverlapPolicy::First, &mut memory, &mut |_| {});
        assert!(memory.used() <= 1000 && stream.kept.len() <= 8);
    }
    assert!(memory.gaps > 0);
}

proptest! {
    /// A stream cut, doubled and shuffled in any way comes out as it went in.
    #[test]
    fn any_order_gives_the_same_bytes(
        bytes in proptest::collection::vec(any::<u8>(), 1..400),
        cuts in proptest::collection::vec((0..400_usize, 1..60_usize), 0..60),
        isn in any::<u32>(),
    ) {
        let mut memory = StreamMemory::default();
        let mut stream = Stream::default();
        stream.syn(isn, &mut memory);
        let mut got = Vec::new();
        let mut pass = |c: Chunk<'_>| match c {
            Chunk::Bytes(b) => got.extend_from_slice(b),
            Chunk::Gap(_) => panic!("nothing is lost"),
        };
        // Random pieces first, then everything once in small pieces.
        let whole = (0..bytes.len()).step_by(7).map(|at| (at, 7));
        for (at, len) in cuts.into_iter().chain(whole) {
            let from = at.min(bytes.len());
            let to = (from + len).min(bytes.len());
            let seq = isn.wrapping_add(1).wrapping_add(from as u32);
            let placed =
                stream.segment(seq, &bytes[from..to], OverlapPolicy::Linux, &mut memory, &mut pass);
            prop_assert!(!placed.differs && !placed.dropped);
        }
        stream.finish(&mut memory, &mut pass);
        prop_assert_eq!(got, bytes);
        prop_assert_eq!(memory.used(), 0);
    }
}
