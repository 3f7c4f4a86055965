use super::*;
use crate::samples;

const LIMITS: FileLimits = FileLimits { file: 1 << 20, total: 1 << 30 };

/// A file event whose hash is `hash` thirty-two times.
fn file(hash: u8, bytes: &[u8]) -> Event {
    let mut event = samples::file();
    let Event::File(file) = &mut event else { panic!("no file") };
    let mut content = FileContent::default();
    assert!(content.push(bytes, LIMITS));
    file.sha256 = Some([hash; 32]);
    file.size = bytes.len() as u64;
    file.content = Some(Arc::new(content));
    event
}

fn record(event: &Event) -> &flowtrack_event::FileRecord {
    match event {
        Event::File(file) => file,
        other => panic!("{other:?}"),
    }
}

fn all(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|folder| folder.unwrap().path())
        .filter(|path| path.is_dir())
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|file| file.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn files_are_kept_once_under_their_hash() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path(), &FileStoreConfig::default()).unwrap();
    let mut events = [file(0xab, b"one"), samples::file(), file(0x01, b"two"), file(0xab, b"one")];
    store.take(&mut events, true);
    let ids: Vec<_> = events.iter().map(|event| record(event).file_id).collect();
    assert_eq!(ids, [Some(1), None, Some(2), Some(3)]);
    assert!(!record(&events[1]).stored);
    assert!(events.iter().all(|event| record(event).content.is_none()), "memory is given back");
    let stats = store.close();
    assert_eq!((stats.stored, stats.known, stats.bytes, stats.dropped), (2, 1, 6, 1));
    assert_eq!(all(dir.path()), ["01".repeat(32), "ab".repeat(32)]);
    let path = dir.path().join("ab").join("ab".repeat(32));
    assert_eq!(fs::read(&path).unwrap(), b"one");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn the_oldest_makes_room_and_foreign_files_stay() {
    let dir = tempfile::tempdir().unwrap();
    let config = FileStoreConfig { max_total_mib: 1, ..FileStoreConfig::default() };
    let half = vec![7; 500_000];
    let store = FileStore::open(dir.path(), &config).unwrap();
    store.take(&mut [file(0x11, &half), file(0x22, &half)], true);
    drop(store);
    fs::write(dir.path().join("11/notes.txt"), "mine").unwrap();
    // Opened anew, it knows what is there.
    let store = FileStore::open(dir.path(), &config).unwrap();
    let newer = SystemTime::now() + std::time::Duration::from_secs(5);
    let kept = dir.path().join("22").join("22".repeat(32));
    File::options().write(true).open(kept).unwrap().set_modified(newer).unwrap();
    store.take(&mut [file(0x33, &half)], true);
    let stats = store.close();
    assert_eq!((stats.stored, stats.deleted, stats.fs_errors), (1, 1, 0));
    assert_eq!(all(dir.path()), ["22".repeat(32), "33".repeat(32), "notes.txt".into()]);
}

#[test]
#[cfg(unix)]
fn no_link_leads_out_of_the_folder() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::os::unix::fs::symlink(elsewhere.path(), dir.path().join("ab")).unwrap();
    let store = FileStore::open(dir.path(), &FileStoreConfig::default()).unwrap();
    store.take(&mut [file(0xab, b"one"), file(0x01, b"two")], true);
    let stats = store.close();
    assert_eq!((stats.stored, stats.fs_errors), (1, 1));
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}
