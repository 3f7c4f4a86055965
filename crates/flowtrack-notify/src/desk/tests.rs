//! The desk with simulated time.

use super::*;

const CHANNELS: &str = r#"
    [[channels]]
    name = "ops"
    type = "desktop"
    per_hour = 60
    burst = 2
    [[channels]]
    name = "boss"
    type = "desktop"
"#;

/// A Saturday, 12:00 UTC.
const NOON: Timestamp = Timestamp::from_secs(1_795_262_400);

fn desk(text: &str) -> Desk {
    desk_with(text, Queue::open(None, 100).unwrap())
}

fn desk_with(text: &str, queue: Queue) -> Desk {
    let config: NotifyConfig = toml::from_str(&format!("{text}{CHANNELS}")).unwrap();
    config.check().unwrap();
    Desk::new(&config, "gate".into(), TimeZone::UTC, queue)
}

fn notice(key: &str, severity: Severity) -> Notice {
    Notice {
        key: key.into(),
        severity,
        title: key.into(),
        detector: key.split(' ').next().unwrap().into(),
        category: "test".into(),
        ..Notice::test(NOON)
    }
}

fn after(seconds: u64) -> Timestamp {
    NOON.plus(Duration::from_secs(seconds))
}

/// What is sent at a time, as `channel: titles +more`; all of it arrives.
fn sent(desk: &mut Desk, now: Timestamp) -> Vec<String> {
    let jobs = desk.next(now);
    jobs.into_iter()
        .map(|job| {
            let titles: Vec<&str> =
                job.message.notices.iter().map(|notice| notice.title.as_str()).collect();
            desk.done(now, job.channel, Ok(()));
            let more = if job.message.more > 0 {
                format!(" +{}", job.message.more)
            } else {
                String::new()
            };
            format!("{}: {}{more}", desk.name(job.channel), titles.join(", "))
        })
        .collect()
}

#[test]
fn routes_choose_by_severity_category_and_detector() {
    let mut desk = desk(
        r#"
        [[routes]]
        channels = ["ops"]
        min_severity = "low"
        detectors = ["port_scan"]
        [[routes]]
        channels = ["boss", "ops"]
        min_severity = "critical"
        categories = ["Test"]
        "#,
    );
    for (key, severity) in [
        ("port_scan", Severity::Info),
        ("port_scan a", Severity::Low),
        ("beacon", Severity::High),
        ("syn_flood", Severity::Critical),
    ] {
        desk.accept(NOON, notice(key, severity));
    }
    let mut other = notice("beacon b", Severity::Critical);
    other.category = "else".into();
    desk.accept(NOON, other);
    assert_eq!(sent(&mut desk, NOON), ["ops: syn_flood, port_scan a", "boss: syn_flood"]);
}

#[test]
fn the_same_is_told_again_only_later_or_when_more_urgent() {
    let mut desk = desk("");
    desk.accept(NOON, notice("a", Severity::High));
    assert_eq!(sent(&mut desk, NOON).len(), 2);
    desk.accept(after(60), notice("a", Severity::High));
    assert!(sent(&mut desk, after(60)).is_empty());
    assert_eq!(desk.health()[0].counts.suppressed, 1);
    desk.accept(after(120), notice("a", Severity::Critical));
    assert_eq!(sent(&mut desk, after(120)).len(), 2);
    desk.accept(after(130), notice("a", Severity::High));
    desk.accept(after(130 + 3600), notice("a", Severity::High));
    let jobs = desk.next(after(130 + 3600));
    // What came in between is in the count.
    assert_eq!(jobs[0].message.notices[0].count, 2);
}

#[test]
fn repetitions_fold_into_what_still_waits() {
    let mut desk = desk("[[routes]]\nchannels = [\"ops\"]\ndigest_minutes = 5\n");
    for second in 0..10 {
        desk.accept(after(second), notice("a", Severity::High));
    }
    let jobs = desk.next(after(300));
    assert_eq!((jobs.len(), jobs[0].message.notices.len()), (1, 1));
    assert_eq!(jobs[0].message.notices[0].count, 10);
}

#[test]
fn a_digest_collects_and_comes_once() {
    let mut desk = desk("[[routes]]\nchannels = [\"ops\"]\ndigest_minutes = 10\n");
    for n in 0..14 {
        desk.accept(after(n * 30), notice(&format!("n{n:02}"), Severity::High));
    }
    assert!(sent(&mut desk, after(599)).is_empty());
    assert_eq!(desk.wake_at(after(599)), Some(after(600)));
    let told = sent(&mut desk, after(600));
    assert_eq!(told.len(), 1);
    assert!(told[0].ends_with(" +4"), "{told:?}");
    desk.accept(after(700), notice("later", Severity::High));
    assert_eq!(sent(&mut desk, after(1300)), ["ops: later"]);
}

#[test]
fn quiet_hours_hold_back_all_but_the_critical() {
    let mut desk = desk(
        r#"
        [[routes]]
        channels = ["ops"]
        quiet_hours = ["11:00-13:00"]
        [[routes]]
        channels = ["boss"]
        min_severity = "critical"
        quiet_hours = ["11:00-13:00"]
        quiet_critical = true
        "#,
    );
    desk.accept(NOON, notice("high", Severity::High));
    desk.accept(NOON, notice("high too", Severity::High));
    assert!(sent(&mut desk, NOON).is_empty());
    desk.accept(NOON, notice("critical", Severity::Critical));
    assert_eq!(sent(&mut desk, NOON), ["ops: critical"]);
    assert!(sent(&mut desk, after(3599)).is_empty());
    assert_eq!(sent(&mut desk, after(3600)), ["ops: high, high too", "boss: critical"]);
}

#[test]
fn a_flood_uses_up_the_rate_and_the_rest_is_counted() {
    let mut desk = desk("[[routes]]\nchannels = [\"ops\"]\n");
    let mut messages = 0;
    for n in 0..60 {
        desk.accept(after(n), notice(&format!("n{n}"), Severity::High));
        messages += sent(&mut desk, after(n)).len();
    }
    assert_eq!(messages, 2, "a burst of two");
    // A minute after the first message there is room for one more.
    assert_eq!(desk.wake_at(after(59)), Some(after(60)));
    let told = sent(&mut desk, after(60));
    assert!(told[0].ends_with(" +48"), "{told:?}");
    assert_eq!(desk.health()[0].counts.delivered, 60);
}

#[test]
fn what_has_no_room_is_counted_and_said() {
    let mut desk = desk_with("[[routes]]\nchannels = [\"ops\"]\n", Queue::open(None, 20).unwrap());
    for n in 0..50 {
        desk.accept(NOON, notice(&format!("n{n}"), Severity::High));
    }
    desk.lose_everywhere(7);
    let health = desk.health();
    assert_eq!((health[0].counts.dropped, health[0].counts.waiting), (37, 20));
    let told = sent(&mut desk, NOON);
    // Ten lines, ten that wait and 37 that are lost.
    assert!(told[0].ends_with(" +47"), "{told:?}");
    assert!(!desk.next(after(5)).iter().any(|job| job.message.more > 0));
}

#[test]
fn failures_are_retried_later_and_later() {
    let mut desk = desk("[[routes]]\nchannels = [\"ops\"]\n");
    desk.accept(NOON, notice("a", Severity::High));
    let mut now = NOON;
    let mut pauses = Vec::new();
    for _ in 0..12 {
        let jobs = desk.next(now);
        assert_eq!(jobs.len(), 1);
        desk.done(now, 0, Err(SendError::later("connection refused")));
        assert!(desk.next(now).is_empty());
        let next = desk.wake_at(now).unwrap();
        pauses.push(next.since(now).as_secs());
        now = next;
    }
    assert!((5..=6).contains(&pauses[0]), "{pauses:?}");
    assert!(pauses.windows(2).take(8).all(|pair| pair[1] > pair[0]), "{pauses:?}");
    assert!(pauses.iter().all(|&pause| pause <= 1800 * 5 / 4), "{pauses:?}");
    let health = &desk.health()[0];
    assert_eq!(health.state, ChannelState::Retrying);
    assert_eq!(health.problem.as_deref(), Some("connection refused"));
    assert_eq!(health.retry_at, Some(now));
    assert_eq!(health.counts.attempts_failed, 12);
    assert_eq!(sent(&mut desk, now), ["ops: a"]);
    assert_eq!(desk.health()[0].state, ChannelState::Ok);
}

#[test]
fn a_service_may_say_how_long_to_wait() {
    let mut desk = desk("[[routes]]\nchannels = [\"ops\"]\n");
    desk.accept(NOON, notice("a", Severity::High));
    desk.next(NOON);
    let again = Again::Later(Some(Duration::from_mins(5)));
    desk.done(NOON, 0, Err(SendError { text: "slow down".into(), again }));
    assert_eq!(desk.wake_at(NOON), Some(after(300)));
}

#[test]
fn what_is_refused_for_good_is_not_tried_again() {
    let mut desk = desk("[[routes]]\nchannels = [\"ops\"]\n");
    desk.accept(NOON, notice("a", Severity::High));
    desk.next(NOON);
    desk.done(NOON, 0, Err(SendError::never("the service answered 404")));
    assert_eq!(desk.wake_at(NOON), None);
    let health = &desk.health()[0];
    assert_eq!((health.state, health.counts.failed), (ChannelState::Failed, 1));
}

#[test]
fn what_is_too_old_is_dropped() {
    let mut desk = desk("queue_hours = 2\n[[routes]]\nchannels = [\"ops\"]\n");
    desk.accept(NOON, notice("a", Severity::High));
    desk.next(NOON);
    desk.done(NOON, 0, Err(SendError::later("refused")));
    assert!(desk.next(after(2 * 3600 + 1)).is_empty());
    assert_eq!(desk.health()[0].counts.dropped, 1);
}

#[test]
fn what_waits_is_told_after_a_restart_and_by_known_channels_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.jsonl");
    let text = "[[routes]]\nchannels = [\"ops\", \"boss\"]\ndigest_minutes = 10\n";
    let mut first = desk_with(text, Queue::open(Some(&path), 100).unwrap());
    first.accept(NOON, notice("a", Severity::High));
    assert!(first.next(NOON).is_empty());
    drop(first);
    let config: NotifyConfig =
        toml::from_str("[[channels]]\nname = \"ops\"\ntype = \"desktop\"\n").unwrap();
    let queue = Queue::open(Some(&path), 100).unwrap();
    let mut second = Desk::new(&config, "gate".into(), TimeZone::UTC, queue);
    assert_eq!(sent(&mut second, after(600)), ["ops: a"]);
    drop(second);
    assert_eq!(Queue::open(Some(&path), 100).unwrap().len(), 0);
}

#[test]
fn a_week_of_different_alerts_stays_within_bounds() {
    let mut desk = desk("repeat_minutes = 10080\n[[routes]]\nchannels = [\"ops\"]\n");
    for n in 0..30_000u64 {
        desk.accept(after(n), notice(&format!("n{n}"), Severity::High));
        if n % 100 == 0 {
            sent(&mut desk, after(n));
        }
    }
    assert!(desk.told.recent.len() <= MAX_TOLD);
    let counts = desk.health()[0].counts;
    assert_eq!(counts.delivered + counts.dropped + counts.waiting, 30_000);
}
