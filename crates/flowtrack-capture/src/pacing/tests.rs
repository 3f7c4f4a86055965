//! Captures played at several paces.

use super::schedule::{Place, Schedule};
use super::{Pace, PaceOptions, Paced, Stamps};
use crate::memory::{MemorySource, PacketBuffer};
use crate::{Burst, PacketSource, SourceError};
use flowtrack_event::{IfaceId, LinkType, RawPacket, Timestamp};
use std::time::{Duration, Instant};

fn capture(millis: &[i64]) -> MemorySource {
    let packets: PacketBuffer = millis
        .iter()
        .map(|&millis| RawPacket {
            ts: Timestamp::from_nanos(millis * 1_000_000),
            iface: IfaceId(0),
            link: LinkType::ETHERNET,
            number: 0,
            wire_len: 3,
            vlan_tci: None,
            data: b"abc",
        })
        .collect();
    MemorySource::new(packets)
}

/// Places for packets at so many milliseconds, as milliseconds: when due, and what time they bear.
/// `None` begins another round.
fn places(options: PaceOptions, millis: &[Option<i64>]) -> Vec<(u64, i64)> {
    let mut schedule = Schedule::new(options);
    let mut places = Vec::new();
    for millis in millis {
        let Some(millis) = *millis else {
            schedule.begin_round();
            continue;
        };
        let now = || Timestamp::from_secs(5_000);
        let Place { due, stamp } = schedule.place(Timestamp::from_nanos(millis * 1_000_000), now);
        places.push((due.as_millis() as u64, stamp.nanos() / 1_000_000));
    }
    places
}

fn options(pace: Pace, stamps: Stamps) -> PaceOptions {
    PaceOptions { pace, stamps, max_gap: Duration::from_mins(1) }
}

#[test]
fn packets_keep_their_distance() {
    let capture = [Some(1_000_000), Some(1_000_500), Some(1_002_000)];
    let check = |pace, stamps, expected: [(u64, i64); 3]| {
        assert_eq!(places(options(pace, stamps), &capture), expected, "{pace:?} {stamps:?}");
    };
    let kept = [1_000_000, 1_000_500, 1_002_000];
    let at = |due: [u64; 3], stamps: [i64; 3]| [0, 1, 2].map(|i| (due[i], stamps[i]));
    check(Pace::Times(1.0), Stamps::Capture, at([0, 500, 2_000], kept));
    check(Pace::Times(10.0), Stamps::Capture, at([0, 50, 200], kept));
    check(Pace::Times(0.5), Stamps::Capture, at([0, 1_000, 4_000], kept));
    check(Pace::Max, Stamps::Capture, at([0, 0, 0], kept));
    let now = |later: [i64; 3]| later.map(|millis| 5_000_000 + millis);
    check(Pace::Times(1.0), Stamps::Now, at([0, 500, 2_000], now([0, 500, 2_000])));
    check(Pace::Times(10.0), Stamps::Now, at([0, 50, 200], now([0, 50, 200])));
    check(Pace::Max, Stamps::Now, at([0, 0, 0], now([0, 500, 2_000])));
}

#[test]
fn a_round_follows_on_the_one_before() {
    let round = [Some(1_000), Some(1_100), Some(1_200)];
    let capture = [&round[..], &[None], &round, &[None], &round].concat();
    let got = places(options(Pace::Times(1.0), Stamps::Capture), &capture);
    // The pause is as long as the packets of the capture lie apart.
    let apart: Vec<_> = got.iter().map(|&(due, stamp)| (due as i64, stamp - 1_000)).collect();
    assert_eq!(apart, [0, 100, 200, 266, 366, 466, 533, 633, 733].map(|at| (at, at)), "{got:?}");
    let got = places(options(Pace::Times(2.0), Stamps::Now), &capture);
    assert!(got.windows(2).all(|pair| pair[0].1 < pair[1].1 && pair[0].0 < pair[1].0), "{got:?}");
    // One packet alone does not become a storm.
    let got =
        places(options(Pace::Times(1.0), Stamps::Now), &[Some(7), None, Some(7), None, Some(7)]);
    assert_eq!(got.iter().map(|place| place.0).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn leaps_of_the_clock_stop_nothing() {
    let years = 20 * 365 * 86_400_000;
    let leaps = [Some(0), Some(years), Some(years + 10), Some(5), Some(15), Some(0)];
    let got = places(options(Pace::Times(1.0), Stamps::Now), &leaps);
    let due: Vec<_> = got.iter().map(|place| place.0).collect();
    // A gap lasts a minute at most, a step back no time, and disorder is played at once.
    assert_eq!(due, [0, 60_000, 60_010, 60_010, 60_020, 60_005]);
    let end =
        [Some(i64::MIN / 1_000_000), Some(i64::MAX / 1_000_000), None, Some(i64::MIN / 1_000_000)];
    for stamps in [Stamps::Capture, Stamps::Now] {
        assert_eq!(places(options(Pace::Times(0.001), stamps), &end).len(), 3);
    }
}

#[test]
fn playing_takes_the_time_it_took() {
    let mut source = Paced::new(
        capture(&[0, 0, 100, 200, 200, 150]),
        PaceOptions { pace: Pace::Times(2.0), ..PaceOptions::default() },
    );
    let began = Instant::now();
    let mut played = Vec::new();
    while source
        .next_burst(Duration::from_millis(20), &mut |packets, _| {
            let now = began.elapsed().as_millis();
            played.extend(packets.iter().map(|packet| (packet.number, packet.ts, now)));
        })
        .unwrap()
        != Burst::End
    {}
    assert_eq!(played.iter().map(|packet| packet.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    for (number, ts, at) in &played {
        // Half of the capture's milliseconds, never before.
        let due = ts.nanos() as u128 / 1_000_000 / 2;
        assert!(*at >= due, "packet {number} at {at} ms instead of {due}");
    }
    assert_eq!(source.stats().kernel_packets, 6);
}

#[test]
fn what_is_not_due_is_not_waited_for() {
    let options = PaceOptions { pace: Pace::Times(1.0), ..PaceOptions::default() };
    let mut source = Paced::new(capture(&[0, 60_000]), options);
    let began = Instant::now();
    let mut next = || source.next_burst(Duration::from_millis(20), &mut |_, _| {}).unwrap();
    assert_eq!([next(), next(), next()], [Burst::Packets(1), Burst::Idle, Burst::Idle]);
    assert!(began.elapsed() < Duration::from_secs(50), "waited for the packet");
}

#[test]
fn a_loop_goes_on_and_numbers_on() {
    for pace in [Pace::Max, Pace::Times(1_000.0)] {
        let options = PaceOptions { pace, stamps: Stamps::Capture, ..PaceOptions::default() };
        let mut rounds = 1;
        let mut source =
            Paced::new(capture(&[1_000, 1_010, 1_005]), options).looped(Box::new(move || {
                rounds += 1;
                Ok(capture(if rounds < 4 { &[1_000, 1_010, 1_005] } else { &[] }))
            }));
        let mut got = Vec::new();
        while source
            .next_burst(Duration::from_secs(1), &mut |packets, _| {
                got.extend(packets.iter().map(|p| (p.number, p.ts.nanos() / 1_000_000)));
                assert!(packets.iter().all(|packet| packet.data == b"abc"));
            })
            .unwrap()
            != Burst::End
        {}
        let expected = [1_000, 1_010, 1_005, 1_011, 1_021, 1_016, 1_023, 1_033, 1_028];
        assert_eq!(got, (1..).zip(expected).collect::<Vec<_>>(), "{pace:?}");
        assert_eq!(source.stats().kernel_packets, 9);
        assert_eq!(source.next_burst(Duration::ZERO, &mut |_, _| {}).unwrap(), Burst::End);
    }
}

#[test]
fn a_capture_that_is_gone_ends_the_loop() {
    let options = PaceOptions { pace: Pace::Max, ..PaceOptions::default() };
    let gone = || Err(SourceError::Filter("gone".to_owned()));
    let mut source = Paced::new(capture(&[0]), options).looped(Box::new(gone));
    let mut next = || source.next_burst(Duration::ZERO, &mut |_, _| {});
    assert_eq!(next().unwrap(), Burst::Packets(1));
    assert_eq!(next().unwrap_err().to_string(), "filter: gone");
    assert_eq!(next().unwrap(), Burst::End);
}

#[test]
fn paces_are_read() {
    let pace = |text: &str| text.parse::<Pace>();
    assert_eq!(pace("max"), Ok(Pace::Max));
    assert_eq!(pace("1x"), Ok(Pace::Times(1.0)));
    assert_eq!(pace("10x"), Ok(Pace::Times(10.0)));
    assert_eq!(pace("0.5"), Ok(Pace::Times(0.5)));
    for wrong in ["", "x", "0x", "-1x", "nanx", "infx", "fast", "1e-9x"] {
        assert!(pace(wrong).is_err(), "{wrong}");
    }
}
