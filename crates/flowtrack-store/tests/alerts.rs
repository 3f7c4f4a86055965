//! Alerts and mutes survive whatever happens to the program.

use flowtrack_detect::alerts::{
    AlertBook, AlertFilter, AlertRecord, AlertState, Config, FlowRef, Mute, Scope,
};
use flowtrack_event::{Detection, Evidence, FlowId, IpProto, Severity, Technique, Timestamp};
use flowtrack_store::history::{AlertQuery, AlertSort, HistoryConfig, SqliteHistory};
use flowtrack_store::{HistoryReader, HistoryWriter};
use std::path::Path;
use std::sync::Arc;

const NOW: i64 = 1_772_366_400;

fn detection(n: u8, severity: Severity, seconds: i64) -> Detection {
    let ts = Timestamp::from_secs(NOW + seconds);
    Detection {
        ts,
        detector: "port_scan",
        kind: "vertical",
        sid: 101,
        title: format!("host {n} scans \u{1f409} <b>"),
        explanation: "It looks for a way in.".into(),
        severity,
        category: "reconnaissance",
        technique: Some(Technique { id: "T1046", name: "Network Service Discovery" }),
        source: Some([10, 0, 0, n].into()),
        target: "2001:db8::7".parse().ok(),
        target_port: Some(22),
        proto: Some(IpProto::TCP),
        first_seen: ts,
        last_seen: ts,
        count: 17,
        evidence: vec![
            ("ports".into(), Evidence::Count(17)),
            ("rate".into(), Evidence::Number(3.0)),
            ("said".into(), Evidence::Text("=cmd".into())),
            ("some".into(), Evidence::List(vec!["22".into()])),
        ],
        flows: vec![FlowId(u64::from(n)), FlowId(u64::MAX)],
        source_proved: true,
    }
}

/// Some alerts, newest change last.
fn alerts(book: &mut AlertBook) -> Vec<Arc<AlertRecord>> {
    book.drain(1_000).into_iter().map(|change| change.alert).collect()
}

fn filled() -> AlertBook {
    let mut book = AlertBook::new(Config::default());
    book.set_run(1);
    for (n, severity) in (1..).zip(Severity::ALL) {
        for repeat in 0..n {
            book.detection(&detection(n, severity, i64::from(10 * n + repeat)));
        }
    }
    book
}

fn sources(history: &HistoryReader, query: &AlertQuery) -> Vec<String> {
    let rows = history.alerts(query).unwrap().rows;
    rows.iter().map(|alert| alert.source.unwrap().to_string()).collect()
}

fn open(path: &Path) -> SqliteHistory {
    SqliteHistory::open(path, HistoryConfig::default()).unwrap()
}

#[test]
fn what_is_written_is_read_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    let mut book = filled();
    book.set(2, Some(AlertState::Resolved), Some("done"));
    let written = alerts(&mut book);
    let mut history = open(&path);
    history.write_alerts(&written).unwrap();
    history.commit().unwrap();
    let reader = HistoryReader::open(&path).unwrap();
    for alert in &written {
        assert_eq!(reader.alert(alert.id).unwrap().as_ref(), Some(&**alert));
    }
    assert_eq!(written[0].flows[1], FlowRef { run: 1, id: u64::MAX });
    // Written again, it is the same row.
    book.detection(&detection(1, Severity::Critical, 60));
    history.write_alerts(&alerts(&mut book)).unwrap();
    history.commit().unwrap();
    assert_eq!(reader.alert(1).unwrap().unwrap().severity, Severity::Critical);
    assert_eq!(reader.alerts(&AlertQuery::default()).unwrap().rows.len(), 5);
}

#[test]
fn pages_are_sorted_filtered_and_the_same_from_memory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    let mut book = filled();
    let mut history = open(&path);
    history.write_alerts(&alerts(&mut book)).unwrap();
    history.commit().unwrap();
    let reader = HistoryReader::open(&path).unwrap();
    for sort in [AlertSort::Last, AlertSort::First, AlertSort::Severity, AlertSort::Count] {
        for descending in [true, false] {
            for limit in 1..7 {
                for filter in ["", "severity=medium", "10.0.0.2", "port=23"] {
                    let filter = AlertFilter::parse(filter).unwrap();
                    let mut query =
                        AlertQuery { sort, descending, limit, filter, ..AlertQuery::default() };
                    let mut seen = 0;
                    loop {
                        let page = reader.alerts(&query).unwrap();
                        assert_eq!(page, query.page_of(book.alerts()), "{query:?}");
                        seen += page.rows.len();
                        match page.next {
                            Some(next) => query.after = Some(next),
                            None => break,
                        }
                    }
                    query.after = None;
                    query.limit = 100;
                    assert_eq!(seen, reader.alerts(&query).unwrap().rows.len());
                }
            }
        }
    }
    let newest = AlertQuery { limit: 2, ..AlertQuery::default() };
    assert_eq!(sources(&reader, &newest), ["10.0.0.5", "10.0.0.4"]);
    let since = AlertQuery { since_us: Some((NOW + 40) * 1_000_000), ..AlertQuery::default() };
    assert_eq!(sources(&reader, &since), ["10.0.0.5", "10.0.0.4"]);
}

#[test]
fn whoever_follows_sees_each_change_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    let mut book = filled();
    let mut history = open(&path);
    let reader = HistoryReader::open(&path).unwrap();
    let from = reader.alerts_now().unwrap();
    history.write_alerts(&alerts(&mut book)).unwrap();
    history.commit().unwrap();
    let (first, from) = reader.alerts_changed(from, 3).unwrap();
    let (rest, from) = reader.alerts_changed(from, 10).unwrap();
    assert_eq!((first.len(), rest.len()), (3, 2));
    history.set_alert(3, Some(AlertState::Seen), None).unwrap();
    history.commit().unwrap();
    let (changed, from) = reader.alerts_changed(from, 10).unwrap();
    assert_eq!((changed.len(), changed[0].id, changed[0].state), (1, 3, AlertState::Seen));
    assert!(reader.alerts_changed(from, 10).unwrap().0.is_empty());
}

#[test]
fn a_new_run_goes_on_with_alerts_and_mutes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    let mut book = filled();
    let now = Timestamp::from_secs(NOW);
    let mute = |source: &str, reason: &str| Mute {
        id: 0,
        scope: Scope { source: source.parse().unwrap(), ..Scope::default() },
        reason: reason.into(),
        created: now,
        until: Timestamp::from_secs(NOW + 500),
        hidden: 0,
    };
    book.add_mute(mute("10.0.0.5", "first"), now).unwrap();
    book.add_mute(mute("10.0.0.4/31", "second"), now).unwrap();
    book.detection(&detection(5, Severity::High, 100));
    let writer = HistoryWriter::spawn(&path, HistoryConfig::default()).unwrap();
    writer.try_alerts(alerts(&mut book)).unwrap();
    assert!(writer.try_mutes(book.mutes().to_vec()));
    writer.close();

    let reader = HistoryReader::open(&path).unwrap();
    let left = reader.resume(3_600_000_000, 100).unwrap();
    assert_eq!((left.alerts.len(), left.next_alert, left.next_mute), (5, 6, 3));
    assert_eq!(left.mutes, book.mutes());
    assert_eq!(left.mutes.iter().map(|mute| mute.hidden).sum::<u64>(), 1);
    let mut again = AlertBook::new(Config::default());
    again.resume(left.alerts, left.mutes, left.next_alert, left.next_mute);
    again.set_run(2);
    // A repeat folds into the alert of before, and is muted as before.
    again.detection(&detection(1, Severity::Info, 130));
    again.detection(&detection(4, Severity::High, 130));
    again.detection(&detection(9, Severity::Info, 130));
    let told = alerts(&mut again);
    let of = |id| told.iter().find(|alert| alert.id == id).unwrap();
    assert_eq!((of(1).count, of(1).state), (2, AlertState::New));
    assert_eq!((of(4).count, of(4).state), (5, AlertState::Muted));
    assert_eq!((of(6).count, of(6).flows[0].run), (1, 2));
    // Only so many, and only recent ones.
    assert_eq!(reader.resume(3_600_000_000, 2).unwrap().alerts.len(), 2);
    assert_eq!(reader.resume(0, 10).unwrap().alerts.len(), 1);
}

#[test]
fn old_and_superfluous_alerts_go() {
    let dir = tempfile::tempdir().unwrap();
    let config = HistoryConfig { max_alerts: 3, ..HistoryConfig::default() };
    let path = dir.path().join("history.db");
    let mut history = SqliteHistory::open(&path, config).unwrap();
    history.write_alerts(&alerts(&mut filled())).unwrap();
    history.tidy_now().unwrap();
    let reader = HistoryReader::open(&path).unwrap();
    assert_eq!(sources(&reader, &AlertQuery::default()), ["10.0.0.5", "10.0.0.4", "10.0.0.3"]);
}

/// Names the database for the child that is to be killed.
const CHILD: &str = "FLOWTRACK_TEST_KILLED_ALERTS";

/// The child: opens an alert after another until it is killed, and says which.
#[test]
fn write_alerts_until_killed() {
    use std::io::Write as _;
    let Some(path) = std::env::var_os(CHILD) else { return };
    let writer = HistoryWriter::spawn(Path::new(&path), HistoryConfig::default()).unwrap();
    let mut book = AlertBook::new(Config::default());
    let begin = std::time::Instant::now();
    let mut out = std::io::stdout();
    for n in 0..250 {
        book.detection(&detection(n, Severity::Low, i64::from(n)));
        book.set(u64::from(n), Some(AlertState::Seen), Some("by hand"));
        writer.try_alerts(alerts(&mut book)).unwrap();
        writeln!(out, "alerts {} at {}", n + 1, begin.elapsed().as_millis()).unwrap();
        out.flush().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn alerts_older_than_a_second_survive_a_kill() {
    // A disk or a processor that is busy may make the history late, but not every time.
    assert!((0..10).any(|_| {
        let (said, left) = write_and_kill();
        let killed_at = said.last().unwrap().1;
        let old = said.iter().filter(|(_, at)| at + 1_000 < killed_at).map(|(n, _)| *n).max();
        left >= old.unwrap()
    }));
}

/// Kills a child after two seconds; gives what it said, as alerts and milliseconds, and how many
/// alerts are left.
fn write_and_kill() -> (Vec<(u64, u64)>, u64) {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["write_alerts_until_killed", "--exact", "--nocapture"])
        .env(CHILD, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said: Vec<(u64, u64)> = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        // The first line of the test begins with the test's name.
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [.., "alerts", n, "at", ms] = words[..] {
            said.push((n.parse().unwrap(), ms.parse().unwrap()));
            if said.last().unwrap().1 > 2_000 {
                break;
            }
        }
    }
    let kept = || HistoryReader::open(&path).unwrap().resume(i64::MAX >> 1, 10_000).unwrap();
    let before = kept().alerts.len();
    child.kill().unwrap();
    child.wait().unwrap();
    drop(open(&path));
    let left = kept();
    assert!(left.alerts.len() >= before, "{} of {before} that were there", left.alerts.len());
    let noted = left.alerts.iter().filter(|alert| &*alert.note == "by hand").count();
    assert!(noted + 1 >= left.alerts.len(), "{noted} of {}", left.alerts.len());
    assert_eq!(left.next_alert, left.alerts.len() as u64 + 1);
    (said, left.alerts.len() as u64)
}
