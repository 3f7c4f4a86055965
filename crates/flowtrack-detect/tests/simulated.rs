//! What takes hours, played in seconds: packets with the times of a day go through the packet path
//! and the detectors. Each attack is noticed, what looks like it is not.

use flowtrack_detect::{Config, DetectorSet, Learned, Networks};
use flowtrack_engine::{Config as EngineConfig, Engine, Output, Seed, Tell};
use flowtrack_event::{Detection, Severity};
use flowtrack_lab::tcp_flags::ACK;
use flowtrack_lab::{Traffic, detections};

const SERVER: [u8; 4] = [10, 0, 0, 5];
const CLIENT: [u8; 4] = [10, 0, 0, 9];
const OUTSIDE: [u8; 4] = [203, 0, 113, 80];
/// What detectors say of traffic.
fn judged(traffic: Traffic) -> Vec<Detection> {
    judged_by(traffic, &mut DetectorSet::new(&Config::default(), Networks::default()))
}

/// What these detectors say of it.
fn judged_by(traffic: Traffic, set: &mut DetectorSet) -> Vec<Detection> {
    let tell = Tell::LIVE.for_detectors();
    let config = EngineConfig { tell, ..EngineConfig::default() };
    let mut engine = Engine::new(&config, 0, Seed([1, 2, 3, 4]));
    let (mut out, mut said) = (Output::default(), Vec::new());
    traffic.play(|packet| {
        engine.process(&[packet], &mut out);
        set.ingest(&out.events, &mut said);
        out.events.clear();
    });
    engine.finish(&mut out);
    set.ingest(&out.events, &mut said);
    set.finish(&mut said);
    detections(said)
}

/// Seconds in microseconds.
fn micros(seconds: f64) -> i64 {
    (seconds * 1e6) as i64
}

/// What plays traffic; each of a row takes the same.
type Plays = fn(&mut Traffic);

const ROWS: &[(&str, &str, Plays, Plays)] = &[
    ("port_scan", "slow", slow_scan, one_dead_service),
    ("port_scan", "distributed", shared_scan, clients_of_dead_services),
    ("connection_flood", "unusual", sudden_client, more_of_a_client),
    ("ddos", "unusual", crowd_of_a_minute, lunch_time),
    ("beacon", "calls", calls_of_a_day, calls_of_a_person),
    ("covert", "icmp_tunnel", terminal_in_echoes, pings_of_all_lengths),
    ("exfiltration", "", upload_of_a_night, backup_of_every_hour),
    ("spikes", "bytes", |t| hours_and_then(t, 900), |t| hours_and_then(t, 75)),
];

#[test]
fn what_takes_hours_is_noticed_and_what_looks_like_it_is_not() {
    let mut wrong = Vec::new();
    for (detector, kind, attack, harmless) in ROWS {
        let is_it = |d: &Detection| d.detector == *detector && d.kind == *kind;
        let titles = |said: &[Detection]| {
            let title = |d: &Detection| format!("{} {}", d.severity.name(), d.title);
            said.iter().map(title).collect::<Vec<_>>()
        };
        let mut traffic = Traffic::default();
        attack(&mut traffic);
        let said = judged(traffic);
        if !said.iter().any(is_it) {
            wrong.push(format!("{detector}/{kind}: not noticed: {:?}", titles(&said)));
        }
        let mut traffic = Traffic::default();
        harmless(&mut traffic);
        let said = judged(traffic);
        if said.iter().any(|d| is_it(d) || d.severity > Severity::Low) {
            wrong.push(format!("{detector}/{kind}: harmless: {:?}", titles(&said)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_was_learned_outlives_the_program() {
    for (detector, play, restart) in [
        ("connection_flood", sudden_client as Plays, 2_400),
        ("exfiltration", upload_of_a_night, 11_000),
        ("beacon", calls_of_a_day, 14_000),
        ("spikes", |t: &mut Traffic| hours_and_then(t, 900), 3_870),
        ("ddos", crowd_of_a_minute, 2_400),
    ] {
        for remembers in [true, false] {
            let mut traffic = Traffic::default();
            play(&mut traffic);
            let (before, after) = traffic.cut(restart);
            let new = || DetectorSet::new(&Config::default(), Networks::default());
            let mut first = new();
            judged_by(before, &mut first);
            let kept = serde_json::to_string(&first.learned()).unwrap();
            let mut second = new();
            if remembers {
                let kept: Learned = serde_json::from_str(&kept).unwrap();
                assert!(kept.is_known() && !kept.is_empty());
                second.recall(&kept);
                assert_eq!(second.learned(), kept, "{detector}");
            }
            let said = judged_by(after, &mut second);
            assert_eq!(said.iter().any(|d| d.detector == detector), remembers, "{detector}");
        }
    }
}

/// A port every twenty minutes.
fn slow_scan(traffic: &mut Traffic) {
    for n in 0..60 {
        traffic.refused(micros(f64::from(n) * 1_200.0), (CLIENT, 40_000 + n), (SERVER, 1_000 + n));
    }
}

fn one_dead_service(traffic: &mut Traffic) {
    for n in 0..2_000 {
        traffic.refused(micros(f64::from(n) * 40.0), (CLIENT, 20_000 + n), (SERVER, 5_432));
    }
}

/// Ten sources, six ports each, in a minute.
fn shared_scan(traffic: &mut Traffic) {
    for n in 0..60 {
        let source = [203, 0, 113, (n % 10) as u8];
        traffic.refused(micros(f64::from(n)), (source, 40_000), (SERVER, 1_000 + n));
    }
}

fn clients_of_dead_services(traffic: &mut Traffic) {
    for n in 0..300 {
        let source = [10, 0, 1, (n % 30) as u8];
        traffic.refused(
            micros(f64::from(n)),
            (source, 40_000 + n),
            (SERVER, [80, 443, 8_080][n as usize % 3]),
        );
    }
}

/// A service that gets ten sessions a minute of each of three clients, for as long.
fn usual_sessions(traffic: &mut Traffic, minutes: u16) {
    for minute in 0..minutes {
        for n in 0..30 {
            let client = [10, 0, 2, (n % 3) as u8];
            let at = f64::from(minute) * 60.0 + f64::from(n) * 2.0;
            traffic.session(micros(at), (client, 1_024 + minute * 30 + n), (SERVER, 443), 500);
        }
    }
}

fn sudden_client(traffic: &mut Traffic) {
    usual_sessions(traffic, 40);
    for n in 0..400 {
        traffic.session(
            micros(2_400.0 + f64::from(n) * 0.1),
            (CLIENT, 10_000 + n),
            (SERVER, 443),
            500,
        );
    }
}

fn more_of_a_client(traffic: &mut Traffic) {
    usual_sessions(traffic, 40);
    for n in 0..90 {
        traffic.session(
            micros(2_400.0 + f64::from(n) * 0.5),
            (CLIENT, 10_000 + n),
            (SERVER, 443),
            500,
        );
    }
}

/// A service that is asked by many more than ever, all of whom it answers.
fn crowd(traffic: &mut Traffic, clients: u16) {
    usual_sessions(traffic, 40);
    for second in 2_400..2_404_u16 {
        for n in 0..clients {
            let client = [10, 1, (n >> 8) as u8, n as u8];
            let at = f64::from(second) + f64::from(n) * 0.001;
            traffic.session(micros(at), (client, 1_024 + second), (SERVER, 443), 500);
        }
    }
}

fn crowd_of_a_minute(traffic: &mut Traffic) {
    crowd(traffic, 600);
}

fn lunch_time(traffic: &mut Traffic) {
    crowd(traffic, 15);
}

fn calls_of_a_day(traffic: &mut Traffic) {
    for n in 0..60 {
        let jitter = f64::from(n * 7 % 5);
        let at = f64::from(n) * 300.0 + jitter;
        traffic.session(micros(at), (CLIENT, 20_000 + n), (OUTSIDE, 8_443), 400);
    }
}

fn calls_of_a_person(traffic: &mut Traffic) {
    let mut at = 0.0;
    for n in 0..200_u16 {
        let draw = f64::from(u32::from(n) * 48_271 % 1_000 + 1) / 1_000.0;
        at -= 60.0 * draw.ln();
        let up = 300 + usize::from(n) * 131 % 4_000;
        traffic.session(micros(at), (CLIENT, 20_000 + n), (OUTSIDE, 8_443), up);
    }
}

/// Keys go out, screens come back.
fn terminal_in_echoes(traffic: &mut Traffic) {
    for n in 0..60 {
        let screen = 90 + usize::from(n) * 53 % 900;
        traffic.echo(
            micros(f64::from(n) * 0.4),
            (CLIENT, OUTSIDE),
            n,
            32 + usize::from(n % 5),
            Some(screen),
        );
    }
}

/// Pings that come back, of which some are lost, and some are too long for the way.
fn pings_of_all_lengths(traffic: &mut Traffic) {
    for n in 0..300 {
        let is_long = n % 7 == 0;
        let len = if is_long { 8_000 } else { 56 + usize::from(n % 3) * 400 };
        let returned = (!is_long && n % 11 != 0).then_some(len);
        traffic.echo(micros(f64::from(n) * 0.4), (CLIENT, OUTSIDE), n, len, returned);
    }
}

/// One in every five minutes, by no clock.
fn uploads(traffic: &mut Traffic, hours: u16, mut size: impl FnMut(u16) -> usize) {
    for n in 0..hours * 12 {
        let at = f64::from(n) * 300.0 + f64::from(u32::from(n) * 7_919 % 290);
        traffic.session(micros(at), (CLIENT, 10_000 + n), (OUTSIDE, 443), size(n));
    }
}

fn upload_of_a_night(traffic: &mut Traffic) {
    uploads(traffic, 4, |n| if n == 40 { 150_000_000 } else { 50_000 });
}

fn backup_of_every_hour(traffic: &mut Traffic) {
    uploads(traffic, 4, |n| if n == 40 { 150_000_000 } else { 60_000_000 });
}

/// A little traffic each second for more than an hour, and then so many full packets a second.
fn hours_and_then(traffic: &mut Traffic, packets: u32) {
    for second in 0..3_900_u32 {
        let each = if second > 3_870 { packets } else { 15 };
        for n in 0..each {
            let at = i64::from(second) * 1_000_000 + i64::from(n) * 1_000;
            let (src, dst) = ((SERVER, 445), (CLIENT, 50_000));
            let seq = second.wrapping_mul(200_000_000).wrapping_add(n * 1_400);
            traffic.filled(at, src, dst, ACK, (seq, 1), 1_400);
        }
    }
}
