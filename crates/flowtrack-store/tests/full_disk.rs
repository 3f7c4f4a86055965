//! A full disk stops nothing, is said, and is over when there is space again.

mod support;

use flowtrack_event::Timestamp;
use flowtrack_filter::Filter;
use flowtrack_store::history::{HistoryConfig, Query};
use flowtrack_store::{HistoryWriter, StoreState};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{ended, record, second};

/// A small file system of its own.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"])
            .arg(dir.path())
            .output();
        match mounted {
            Ok(done) if done.status.success() => Some(Self(dir)),
            _ => None,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "the small disk stays mounted");
    }
}

#[test]
fn a_full_disk_is_said_counted_and_survived() {
    let Some(disk) = SmallDisk::mount() else {
        #[expect(clippy::disallowed_macros, reason = "a test that was skipped says so")]
        let () = eprintln!("skipped: a small file system can only be mounted by root");
        return;
    };
    let ballast = disk.file("ballast");
    std::fs::write(&ballast, vec![0; 3 << 20]).unwrap();
    let writer = HistoryWriter::spawn(&disk.file("history.db"), HistoryConfig::default()).unwrap();
    let reader = writer.reader();
    let mut handed = 0;
    let mut delays = Vec::new();
    let mut append = |n: i64| {
        let at = Timestamp::from_secs(1_772_366_400 + n);
        let mut batch: Vec<_> = (0..1_000).map(|id| ended(record(id, at))).collect();
        batch.push(second(at.secs(), 1_000));
        handed += 1_000;
        let begin = Instant::now();
        writer.try_append(Arc::new(batch));
        delays.push(begin.elapsed());
        writer.flush();
        handed
    };

    let mut n = 0;
    while writer.health().state != StoreState::Failing {
        append(n);
        n += 1;
        assert!(n < 100, "the disk never became full");
    }
    let health = writer.health();
    assert!(health.message.as_deref().unwrap().contains("disk is full"), "{health:?}");
    let kept = health.rows_written;
    assert!(kept > 0);
    for _ in 0..3 {
        append(n);
        n += 1;
    }
    assert!(writer.health().rows_dropped >= 3_000);
    let all = Query { filter: Filter::default(), ..Query::default() };
    assert!(reader.totals(&all).unwrap().flows > 0, "the dashboard can still read");

    std::fs::remove_file(&ballast).unwrap();
    let begin = Instant::now();
    let mut handed = 0;
    while writer.health().state != StoreState::Ok {
        assert!(begin.elapsed() < Duration::from_mins(1), "never recovered: {:?}", writer.health());
        std::thread::sleep(Duration::from_millis(100));
        handed = append(n);
        n += 1;
    }
    // The machine may stop everybody for a moment now and then.
    delays.sort();
    let usual = delays[delays.len() / 2];
    assert!(usual < Duration::from_millis(500), "whoever appends is delayed by {usual:?}");
    let health = writer.close();
    assert!(health.rows_written > kept);
    assert_eq!(health.rows_written, reader.totals(&all).unwrap().flows);
    assert_eq!(health.rows_written + health.rows_dropped, handed, "every row is accounted for");
    // The sums of traffic waited in memory until there was space.
    assert_eq!(reader.series(0, i64::MAX, 1).unwrap().len() as i64, n);
    let verdict: String = rusqlite::Connection::open(disk.file("history.db"))
        .unwrap()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(verdict, "ok");
}
