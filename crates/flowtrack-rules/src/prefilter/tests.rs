use super::packed::FREE_HITS;
use super::*;
use proptest::prelude::*;

fn search(matcher: &Matcher, text: &[u8]) -> Vec<u32> {
    let mut found = Vec::new();
    matcher.search(text, 0, &mut |value| found.push(value));
    found.sort_unstable();
    found.dedup();
    found
}

#[test]
fn patterns_of_every_length_are_found_in_either_case() {
    let wanted = ["a", "bc", "def", "ghij", "klmno", "GET /index", "\r\n\r\n"];
    let patterns =
        (0u32..).zip(wanted).map(|(at, text)| Wanted::anywhere(text.as_bytes(), true, at));
    let matcher = Matcher::new(patterns.collect());
    assert_eq!(matcher.len(), 7);
    assert_eq!(search(&matcher, b"xABCDEFGHIJKLMNO"), [0, 1, 2, 3, 4]);
    assert_eq!(search(&matcher, b"get /INDEX\r\n\r\n"), [5, 6]);
    assert_eq!(search(&matcher, b"zz"), []);
    assert_eq!(search(&matcher, b""), []);
}

#[test]
fn equal_patterns_report_every_value() {
    let matcher =
        Matcher::new(vec![Wanted::anywhere(b"Test", true, 7), Wanted::anywhere(b"tEST", true, 9)]);
    assert_eq!(matcher.len(), 1);
    assert_eq!(search(&matcher, b"a test"), [7, 9]);
    assert_eq!(search(&Matcher::new(Vec::new()), b"test"), []);
}

#[test]
fn patterns_are_found_where_they_may_be() {
    for length in [2, 5] {
        let bytes = b"abcde".get(..length).unwrap().to_vec();
        let to = length as u32 + 3;
        let matcher = Matcher::new(vec![Wanted { bytes, nocase: false, from: 1, to, value: 7 }]);
        let search = |text: &[u8], offset| {
            let mut found = Vec::new();
            matcher.search(text, offset, &mut |value| found.push(value));
            found
        };
        assert_eq!(search(b"abcde", 0), [], "too early");
        assert_eq!(search(b".abcde", 0), [7]);
        assert_eq!(search(b"...abcde", 0), [7]);
        assert_eq!(search(b"....abcde", 0), [], "too late");
        assert_eq!(search(b"..abcde", 2), [], "too late in the stream");
    }
}

#[test]
fn patterns_that_stand_at_one_place_are_found_there_alone() {
    for length in 1..=6usize {
        let bytes = b"abcdef".get(..length).unwrap().to_vec();
        let to = length as u32 + 2;
        let matcher = Matcher::new(vec![Wanted { bytes, nocase: false, from: 2, to, value: 7 }]);
        assert_eq!(search(&matcher, b"..abcdef.."), [7]);
        assert_eq!(search(&matcher, b"abcdefabcdef"), []);
        assert_eq!(search(&matcher, b"..Abcdef"), [], "case");
        assert_eq!(search(&matcher, b".."), []);
    }
}

#[test]
fn few_short_patterns_are_found_by_their_rarest_byte() {
    let matcher = Matcher::new(vec![
        Wanted::anywhere(b"MZ", false, 1),
        Wanted::anywhere(b"|", false, 2),
        Wanted::anywhere(b"\\u0", false, 3),
    ]);
    assert_eq!(matcher.short.rare.len(), 3);
    assert_eq!(search(&matcher, b"xMZ|u0\\u"), [1, 2]);
    assert_eq!(search(&matcher, b"mz\\u0"), [3]);
    assert_eq!(search(&matcher, b"Z|\\"), [2]);
}

#[test]
fn what_stands_there_again_and_again_counts_as_found() {
    let matcher = Matcher::new(vec![
        Wanted::anywhere(b"ab", true, 1),
        Wanted::anywhere(b"cd", false, 2),
        Wanted::anywhere(b"efgh", true, 3),
    ]);
    assert!(matcher.short.rare.is_empty() && matcher.packed_short.is_some());
    assert_eq!(search(&matcher, b"abAbcD"), [1]);
    assert_eq!(search(&matcher, &b"aB".repeat(FREE_HITS)), [1]);
    assert_eq!(search(&matcher, &b"aB".repeat(FREE_HITS * 2)), [1, 2]);
}

#[test]
fn many_patterns_of_few_bytes_are_found() {
    for count in [60u32, 150, 400] {
        let bytes = |at: u32| [b'x', at as u8, (at >> 8) as u8, 0xfe, 0];
        let wanted = (0..count).map(|at| Wanted::anywhere(&bytes(at), false, at));
        let matcher = Matcher::new(wanted.collect());
        for at in 0..count {
            let text = [&[7; 40][..], &bytes(at), &[9; 40]].concat();
            assert!(search(&matcher, &text).contains(&at), "{at} of {count}");
        }
    }
}

#[test]
fn long_runs_hide_nothing() {
    let zeros = [0u8; 12];
    let mixed = [&zeros[..], b"\x11"].concat();
    let front = [b"\x12", &zeros[..]].concat();
    let patterns = [b"AAAAAAAA".as_slice(), &mixed, &front, b"\0\0\0\0\x06", &zeros, b"\0\0\0"];
    let wanted = (0u32..).zip(patterns).map(|(at, bytes)| Wanted::anywhere(bytes, false, at));
    let matcher = Matcher::new(wanted.collect());
    for run in [12, 13, 100, 1001] {
        for shift in 0..5 {
            let text = |byte: u8, last: &[u8]| {
                [&vec![b'.'; shift], b"\x12".as_slice(), &vec![byte; run], last].concat()
            };
            assert_eq!(search(&matcher, &text(b'A', b"")), [0]);
            assert_eq!(search(&matcher, &text(0, b"")), [2, 4, 5]);
            assert_eq!(search(&matcher, &text(0, b"\x11...")), [1, 2, 4, 5]);
            assert_eq!(search(&matcher, &text(0, b"\x06")), [2, 3, 4, 5]);
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_against_a_plain_search(
        patterns in prop::collection::vec(
            (prop::collection::vec(0u8..6, 1..12), any::<bool>(), 0u32..12, 0u32..80), 1..20,
        ),
        text in prop::collection::vec(0u8..6, 0..90),
        runs in prop::collection::vec((any::<prop::sample::Index>(), 1usize..70), 0..3),
        inserted in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..4),
        offset in prop_oneof![Just(0u64), 0u64..30],
    ) {
        let shown = |bytes: &[u8]| bytes.iter().map(|b| b"aAbB\0@"[usize::from(*b)]).collect::<Vec<u8>>();
        let wanted: Vec<_> = (0u32..).zip(&patterns).map(|(value, (bytes, nocase, from, room))| {
            let to = match *room {
                0..40 => from + bytes.len() as u32 + room / 4 * (room % 4),
                _ => u32::MAX,
            };
            let mut bytes = shown(bytes);
            if *nocase {
                bytes.make_ascii_lowercase();
            }
            Wanted { bytes, nocase: *nocase, from: *from, to, value }
        }).collect();
        let mut text = shown(&text);
        for (place, length) in runs {
            let place = place.index(text.len() + 1);
            text.splice(place..place, std::iter::repeat_n(b'a', length));
        }
        for (pattern, place) in inserted {
            let bytes = &pattern.get(&wanted).bytes;
            let place = place.index(text.len() + 1);
            text.splice(place..place, bytes.iter().copied());
        }
        let mut found = Vec::new();
        Matcher::new(wanted.clone()).search(&text, offset, &mut |value| found.push(value));
        for Wanted { bytes, nocase, from, to, value } in wanted.clone() {
            let is_there = text.windows(bytes.len()).enumerate().any(|(at, there)| {
                let equal = if nocase { there.eq_ignore_ascii_case(&bytes) } else { there == bytes };
                let end = offset + (at + bytes.len()) as u64;
                equal && at >= from as usize && (to == u32::MAX || end <= u64::from(to))
            });
            // What stands there again and again may be told without being looked for.
            let is_known = |pair: &&[u8]| {
                wanted.iter().any(|wanted| {
                    wanted.bytes.windows(2).any(|known| known.eq_ignore_ascii_case(pair))
                })
            };
            let often = text.windows(2).filter(is_known).count() > FREE_HITS;
            prop_assert!(!is_there || found.contains(&value), "{:?} {} {}", bytes, from, to);
            prop_assert!(is_there || often || !found.contains(&value), "{:?} {} {}", bytes, from, to);
        }
    }
}
