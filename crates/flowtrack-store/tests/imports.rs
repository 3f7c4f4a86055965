//! A capture file is counted once, and all of it or nothing.

mod support;

use flowtrack_detect::alerts::{AlertBook, Config};
use flowtrack_event::{Detection, Event, Severity, Timestamp};
use flowtrack_store::history::{
    AlertQuery, History as _, HistoryConfig, HistoryReader, HistoryWriter, ImportFile, OpenError,
    Query, SqliteHistory,
};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use support::{ended, record, second, transaction};

const NOW: i64 = 1_772_366_400;
/// Names the database for the child that is killed.
const CHILD: &str = "FLOWTRACK_TEST_KILLED_IMPORT";

fn file(fingerprint: &str) -> ImportFile {
    ImportFile { fingerprint: Some(fingerprint.to_owned()), name: format!("{fingerprint}.pcap") }
}

fn events(from: u64) -> Vec<Event> {
    let mut events: Vec<_> =
        (from..from + 500).map(|n| ended(record(n, Timestamp::from_secs(NOW)))).collect();
    let said = record(from, Timestamp::from_secs(NOW));
    events.push(transaction(&said, "example.org", "hello"));
    // One second that others have too, and one of its own.
    events.push(second(NOW, 100 + from));
    events.push(second(NOW + 100 + from as i64, 7));
    events
}

fn detection(host: u8) -> Detection {
    let ts = Timestamp::from_secs(NOW);
    Detection {
        ts,
        detector: "port_scan",
        kind: "vertical",
        sid: 101,
        title: format!("host {host} scans"),
        explanation: String::new(),
        severity: Severity::High,
        category: "reconnaissance",
        technique: None,
        source: Some([10, 0, 0, host].into()),
        target: None,
        target_port: None,
        proto: None,
        first_seen: ts,
        last_seen: ts,
        count: 1,
        evidence: Vec::new(),
        flows: Vec::new(),
        source_proved: true,
    }
}

/// Writes what one file tells: flows, sums, an alert that goes on and one of its own.
fn write(path: &Path, writer: &HistoryWriter, from: u64, host: u8) {
    let mut book = AlertBook::new(Config::default());
    let left = HistoryReader::open(path).unwrap().resume(i64::MAX, 1_000).unwrap();
    book.resume(left.alerts, left.mutes, left.next_alert, left.next_mute);
    book.detection(&detection(0));
    book.detection(&detection(host));
    writer.append(Arc::new(events(from)));
    writer.alerts(book.drain(100).into_iter().map(|change| change.alert).collect());
    writer.flush();
}

fn import(path: &Path, name: &str, again: bool) -> Result<HistoryWriter, OpenError> {
    HistoryWriter::spawn_import(path, HistoryConfig::default(), &[file(name)], again)
}

/// Everything that a person is shown.
fn shown(path: &Path) -> String {
    let reader = HistoryReader::open(path).unwrap();
    let totals = reader.totals(&Query::default()).unwrap();
    let series = reader.series(0, i64::MAX / 2_000_000, 60).unwrap();
    let seconds = reader.series(NOW, NOW + 10_000, 1).unwrap();
    let alerts = reader.alerts(&AlertQuery::default()).unwrap().rows;
    let said = reader.transactions(0, i64::MAX, None, None, 1_000).unwrap();
    format!("{totals:?}\n{series:?}\n{seconds:?}\n{alerts:#?}\n{said:?}")
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    (dir, path)
}

#[test]
fn a_file_is_taken_up_once_unless_it_is_wanted_again() {
    let (_dir, path) = folder();
    let writer = import(&path, "a", false).unwrap();
    write(&path, &writer, 0, 1);
    writer.end_import().unwrap();
    drop(writer);
    let once = shown(&path);
    let error = import(&path, "a", false).err().unwrap();
    assert!(matches!(error, OpenError::Imported { .. }), "{error}");
    assert!(error.to_string().contains("a.pcap is in history"), "{error}");
    assert_eq!(shown(&path), once);
    // Another file, and the same once more.
    let both = [file("b"), file("c"), file("b")];
    let config = HistoryConfig::default;
    let error = HistoryWriter::spawn_import(&path, config(), &both, false).err().unwrap();
    assert!(error.to_string().contains("b.pcap is in history"), "{error}");
    let unknown = ImportFile { fingerprint: None, name: "standard input".into() };
    let unknown = [unknown.clone(), unknown];
    HistoryWriter::spawn_import(&path, config(), &unknown, false).unwrap().end_import().unwrap();
    let writer = import(&path, "a", true).unwrap();
    write(&path, &writer, 0, 1);
    writer.end_import().unwrap();
    drop(writer);
    let flows = HistoryReader::open(&path).unwrap().totals(&Query::default()).unwrap().flows;
    assert_eq!(flows, 1_000);
}

#[test]
fn an_import_that_does_not_end_leaves_nothing() {
    let (_dir, path) = folder();
    let writer = import(&path, "a", false).unwrap();
    write(&path, &writer, 0, 1);
    writer.end_import().unwrap();
    drop(writer);
    let before = shown(&path);
    // Given up: taken out at once.
    let writer = import(&path, "b", false).unwrap();
    write(&path, &writer, 1_000, 2);
    write(&path, &writer, 2_000, 3);
    assert_ne!(shown(&path), before);
    drop(writer);
    assert_eq!(shown(&path), before);
    // Killed: taken out by whoever writes next, whatever that is.
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "import_and_be_killed", "--quiet"]).env(CHILD, &path);
    assert!(!child.status().unwrap().success());
    assert_ne!(shown(&path), before);
    drop(SqliteHistory::open(&path, HistoryConfig::default()).unwrap());
    assert_eq!(shown(&path), before);
    let left: i64 = Connection::open(&path)
        .unwrap()
        .query_row(
            "SELECT (SELECT count(*) FROM before_rates) + (SELECT count(*) FROM before_alerts) \
             + (SELECT count(*) FROM imports WHERE done_us IS NULL)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(left, 0);
    // And then it can be taken up, and is found by its addresses.
    let writer = import(&path, "b", false).unwrap();
    write(&path, &writer, 1_000, 2);
    writer.end_import().unwrap();
    drop(writer);
    let reader = HistoryReader::open(&path).unwrap();
    let filter = flowtrack_filter::Filter::parse("host = 10.0.3.233").unwrap();
    let query = Query { filter, ..Query::default() };
    assert_eq!(reader.query(&query).unwrap().rows.len(), 1);
    assert_eq!(reader.totals(&Query::default()).unwrap().flows, 1_000);
}

#[test]
fn nothing_gives_way_to_an_import_before_its_end() {
    let (_dir, path) = folder();
    let small = HistoryConfig { max_bytes: 1 << 20, ..HistoryConfig::default() };
    let flows = |from: u64, at: i64| -> Vec<Event> {
        (from..from + 1_000).map(|n| ended(record(n, Timestamp::from_secs(at)))).collect()
    };
    let write = |again: &mut dyn FnMut(&mut SqliteHistory)| {
        let mut history = SqliteHistory::open(&path, small.clone()).unwrap();
        again(&mut history);
        history.close().unwrap();
        HistoryReader::open(&path).unwrap().totals(&Query::default()).unwrap().flows
    };
    let before = write(&mut |history| history.append(&flows(0, NOW)).unwrap());
    assert_eq!(before, 1_000);
    let import = |history: &mut SqliteHistory| {
        history.begin_import(&[file("large")], false).unwrap();
        (1..10).for_each(|n| history.append(&flows(n * 1_000, NOW + 1_000)).unwrap());
        history.tidy_now().unwrap();
        assert!(history.size() > small.max_bytes);
    };
    assert_eq!(write(&mut |history| import(history)), 1_000, "given up");
    let after = write(&mut |history| {
        import(history);
        history.end_import().unwrap();
        assert!(history.size() <= small.max_bytes, "{}", history.size());
    });
    assert!(after > 0 && after < 10_000, "{after}");
}

/// The child: takes up a file, and is killed before its end.
#[test]
fn import_and_be_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let path = Path::new(&path);
    let writer = import(path, "b", false).unwrap();
    write(path, &writer, 1_000, 2);
    std::process::abort();
}
