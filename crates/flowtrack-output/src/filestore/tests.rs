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

fn record(event: &Event) -> &FileRecord {
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
    let (one, two) = ("ab".repeat(32), "01".repeat(32));
    let at = samples::START + 5;
    let described = |hash: &str, id| format!("{hash}.{at}.{id}.json");
    assert_eq!(
        all(dir.path()),
        [two.clone(), described(&two, 2), one.clone(), described(&one, 1), described(&one, 3)]
    );
    // The same as in the log of events.
    let text = fs::read_to_string(dir.path().join("ab").join(described(&one, 3))).unwrap();
    let info: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut eve = Vec::new();
    EveEncoder::new(EveConfig::default()).encode(&events[3], &mut eve).unwrap();
    assert_eq!(info, serde_json::from_slice::<serde_json::Value>(&eve).unwrap());
    assert_eq!(
        (&info["event_type"], &info["fileinfo"]["file_id"]),
        (&"fileinfo".into(), &3.into())
    );
    assert_eq!(
        (&info["fileinfo"]["stored"], &info["fileinfo"]["sha256"]),
        (&true.into(), &one.into())
    );
    let path = dir.path().join("ab").join("ab".repeat(32));
    assert_eq!(fs::read(&path).unwrap(), b"one");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn descriptions_have_a_bound_and_go_with_their_file() {
    let dir = tempfile::tempdir().unwrap();
    let config = FileStoreConfig { max_total_mib: 1, ..FileStoreConfig::default() };
    let store = FileStore::open(dir.path(), &config).unwrap();
    let mut often: Vec<Event> = (0..DESCRIPTIONS + 8).map(|_| file(0x11, b"again")).collect();
    store.take(&mut often, true);
    let stats = store.close();
    assert_eq!((stats.stored, stats.undescribed, stats.fs_errors), (1, 8, 0));
    assert_eq!(all(dir.path()).len(), 1 + DESCRIPTIONS);
    // Opened anew, it knows them, and they make room with their file.
    let store = FileStore::open(dir.path(), &config).unwrap();
    store.take(&mut [file(0x22, &vec![7; 1_040_000])], true);
    let stats = store.close();
    assert_eq!((stats.deleted, stats.fs_errors), (1, 0));
    let left = all(dir.path());
    assert!(left.len() == 2 && left.iter().all(|name| name.starts_with("2222")), "{left:?}");
    // Nobody who does not want them gets some.
    let dir = tempfile::tempdir().unwrap();
    let config = FileStoreConfig { fileinfo: false, ..config };
    let store = FileStore::open(dir.path(), &config).unwrap();
    store.take(&mut [file(0x22, b"x")], true);
    drop(store);
    assert_eq!(all(dir.path()), ["22".repeat(32)]);
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
    let files: Vec<_> =
        all(dir.path()).into_iter().filter(|name| !name.contains(".json")).collect();
    assert_eq!(files, ["22".repeat(32), "33".repeat(32), "notes.txt".into()]);
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
