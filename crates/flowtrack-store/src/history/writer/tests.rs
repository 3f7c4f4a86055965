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

#[test]
fn a_file_that_breaks_while_it_is_written_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    let mut writer = writer(&path);
    let reader = HistoryReader::following(&path, Arc::clone(&writer.shared.generation));
    writer.append(&vec![second(0), second(3_600)]);
    writer.commit();
    assert_eq!(reader.series(0, 9_999, 1).unwrap().len(), 2);

    // What a dying disk does: pages read back as something else.
    writer.history.shrink_log();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    let len = file.metadata().unwrap().len() as usize;
    file.write_all_at(&vec![0x5a; len - 4_096], 4_096).unwrap();
    writer.history.forget_pages();
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
