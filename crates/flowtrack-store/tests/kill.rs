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
    let mut checked = 0;
    for round in 1..=ROUNDS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let said = run_and_kill(&path, Duration::from_millis(50 + random % 1_900));
        let Some(&(run, _, killed_at)) = said.last() else {
            continue;
        };

        let connection = rusqlite::Connection::open(&path).unwrap();
        let verdict: String =
            connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(verdict, "ok", "round {round}");
        drop(connection);
        let reader = HistoryReader::open(&path).unwrap();
        let kept = reader.totals(&Query { run: Some(run), ..Query::default() }).unwrap().flows;
        let due = said.iter().rev().find(|&&(_, _, at)| at + 1_000 <= killed_at);
        if let Some(&(_, rows, at)) = due {
            assert!(
                kept >= rows,
                "round {round}: {kept} of {rows} handed over at {at} of {killed_at} ms"
            );
            checked += 1;
        }
        assert!(kept <= said.last().unwrap().1 + 50, "no row twice");
    }
    assert!(checked > ROUNDS / 8, "only {checked} rounds lasted longer than a second");
}

/// What the child said, as run, rows and milliseconds, before it was killed after `life`.
fn run_and_kill(path: &Path, life: Duration) -> Vec<(u64, u64, u64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "write_until_killed", "--nocapture", "--quiet"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = child.stdout.take().unwrap();
    let listener = std::thread::spawn(move || {
        let numbers = |line: String| -> Option<(u64, u64, u64)> {
            let line = &line[line.find("run ")?..];
            let mut words = line.split_ascii_whitespace();
            let mut number = || words.nth(1)?.parse().ok();
            Some((number()?, number()?, number()?))
        };
        BufReader::new(out).lines().map_while(Result::ok).filter_map(numbers).collect()
    });
    std::thread::sleep(life);
    // SIGKILL: the child cannot do anything about it.
    child.kill().unwrap();
    child.wait().unwrap();
    listener.join().unwrap()
}
