//! A program that is killed at any moment lacks at most the last second.

mod support;

use flowtrack_event::Timestamp;
use flowtrack_store::history::{HistoryConfig, HistoryReader, Query};
use flowtrack_store::{Batch, HistoryWriter};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{ended, record, second};

/// Names the database for the child that is to be killed.
const CHILD: &str = "FLOWTRACK_TEST_KILLED_WRITER";
const ROUNDS: u64 = 24;

/// The child: writes flows until it is killed, and says what it handed over and when.
#[test]
fn write_until_killed() {
    let Some(path) = std::env::var_os(CHILD) else {
        return;
    };
    let writer = HistoryWriter::spawn(Path::new(&path), HistoryConfig::default()).unwrap();
    let begin = Instant::now();
    let mut out = std::io::stdout();
    for n in 0.. {
        let now = Timestamp::from_secs(1_772_366_400 + n / 100);
        let mut batch: Batch = (0..50).map(|i| ended(record((n * 50 + i) as u64, now))).collect();
        if n % 100 == 99 {
            batch.push(second(now.secs(), 80_000));
        }
        assert!(writer.try_append(Arc::new(batch)));
        let rows = (n + 1) * 50;
        writeln!(out, "run {} rows {rows} at {}", writer.run(), begin.elapsed().as_millis())
            .unwrap();
        out.flush().unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_is_older_than_a_second_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    let mut random = 0x2545_f491_4f6c_dd1d_u64 ^ u64::from(std::process::id());
    let (mut round, mut in_time, mut late) = (0, 0, Vec::new());
    // More rounds where a disk or a processor that is busy makes the history late.
    while round < ROUNDS || (in_time <= ROUNDS / 8 && round < 5 * ROUNDS) {
        round += 1;
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let (said, before) = run_and_kill(&path, Duration::from_millis(50 + random % 1_900));
        let Some(&(run, _, killed_at)) = said.last() else {
            continue;
        };

        let connection = rusqlite::Connection::open(&path).unwrap();
        let verdict: String =
            connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(verdict, "ok", "round {round}");
        drop(connection);
        let after = rows(&path, None);
        assert!(after >= before, "round {round}: {after} of {before} that were there");
        let kept = rows(&path, Some(run));
        assert!(kept <= said.last().unwrap().1 + 50, "no row twice");
        let due = said.iter().rev().find(|&&(_, _, at)| at + 1_000 <= killed_at);
        match due {
            Some(&(_, rows, at)) if kept < rows => {
                late.push(format!("{kept} of {rows} handed over at {at} of {killed_at} ms"));
            }
            Some(_) => in_time += 1,
            None => {}
        }
    }
    assert!(in_time > ROUNDS / 8, "only {in_time} of {round} rounds lacked less: {late:#?}");
}

/// Flows of a run, or of all.
fn rows(path: &Path, run: Option<u64>) -> u64 {
    let reader = HistoryReader::open(path).unwrap();
    reader.totals(&Query { run, ..Query::default() }).unwrap().flows
}

/// What the child said, as run, rows and milliseconds, before it was killed `life` after its first
/// word; and how many flows there were just before.
fn run_and_kill(path: &Path, life: Duration) -> (Vec<(u64, u64, u64)>, u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "write_until_killed", "--nocapture", "--quiet"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let numbers = |line: String| -> Option<(u64, u64, u64)> {
        let line = &line[line.find("run ")?..];
        let mut words = line.split_ascii_whitespace();
        let mut number = || words.nth(1)?.parse().ok();
        Some((number()?, number()?, number()?))
    };
    let mut said = Vec::new();
    let mut line = String::new();
    while said.is_empty() && out.read_line(&mut line).unwrap() > 0 {
        said.extend(numbers(std::mem::take(&mut line)));
    }
    let listener = std::thread::spawn(move || {
        said.extend(out.lines().map_while(Result::ok).filter_map(numbers));
        said
    });
    std::thread::sleep(life);
    let before = rows(path, None);
    // SIGKILL: the child cannot do anything about it.
    child.kill().unwrap();
    child.wait().unwrap();
    (listener.join().unwrap(), before)
}
