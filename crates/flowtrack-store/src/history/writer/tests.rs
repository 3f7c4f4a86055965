use super::*;
use crate::history::{History as _, Query};
use flowtrack_event::{Second, Timestamp};
use std::os::unix::fs::FileExt as _;

fn second(at: i64) -> Event {
    Event::Second(Box::new(Second {
        at: Timestamp::from_secs(at),
        packets: 1,
        ..Second::default()
    }))
}

fn writer(path: &Path) -> Writer {
    Writer {
        history: SqliteHistory::open(path, HistoryConfig::default()).unwrap(),
        commands: bounded(1).1,
        shared: Arc::default(),
        retry: None,
    }
}

/// What a dying disk does: pages read back as something else. Gives the length of the file.
fn damage(writer: &Writer) -> usize {
    writer.history.shrink_log();
    let file = std::fs::File::options().write(true).open(writer.history.path()).unwrap();
    let len = file.metadata().unwrap().len() as usize;
    file.write_all_at(&vec![0x5a; len - 4_096], 4_096).unwrap();
    writer.history.forget_pages();
    len
}

#[test]
fn an_import_whose_file_breaks_is_not_kept_in_part() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    let mut writer = writer(&path);
    let file = ImportFile { fingerprint: Some("f".into()), name: "a.pcap".into() };
    writer.history.begin_import(std::slice::from_ref(&file), false).unwrap();
    writer.append(&vec![second(0)]);
    writer.commit();
    damage(&writer);
    // The write that fails, and one that goes into the new file.
    for at in [3_600, 7_200] {
        writer.append(&vec![second(at)]);
        writer.commit();
    }
    assert!(writer.end_import().unwrap_err().contains("broke meanwhile"));
    writer.history.close().unwrap();
    let reader = HistoryReader::open(&path).unwrap();
    assert_eq!(reader.series(0, 99_999, 1).unwrap(), []);
    let mut history = SqliteHistory::open(&path, HistoryConfig::default()).unwrap();
    history.begin_import(&[file], false).unwrap();
}

#[test]
fn a_file_that_breaks_while_it_is_written_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    let mut writer = writer(&path);
    let reader = HistoryReader::following(&path, Arc::clone(&writer.shared.generation));
    writer.append(&vec![second(0), second(3_600)]);
    writer.commit();
    assert_eq!(reader.series(0, 9_999, 1).unwrap().len(), 2);

    let len = damage(&writer);
    writer.append(&vec![second(7_200)]);
    writer.commit();

    let status = writer.shared.status.lock().unwrap().clone();
    assert_eq!(status.state, StoreState::Ok);
    let aside = status.set_aside.expect("the broken file is kept");
    assert_eq!(std::fs::metadata(aside).unwrap().len() as usize, len);
    writer.append(&vec![second(10_800)]);
    writer.commit();
    let at: Vec<_> = reader.series(0, 99_999, 1).unwrap().iter().map(|p| p.at).collect();
    assert!(at.contains(&10_800) && !at.contains(&0), "readers follow to the new file: {at:?}");
    assert_eq!(writer.history.query(&Query::default()).unwrap().rows.len(), 0);
}
