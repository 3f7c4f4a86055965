//! History as its users see it: what is appended is found again, exactly.

mod support;

use flowtrack_event::{AppProto, EndReason, FlowPhase, FlowRecord, IpProto, Timestamp};
use flowtrack_filter::{Field, Filter};
use flowtrack_store::history::{FlowTotals, HistoryConfig, HistoryReader, OpenError, Query};
use flowtrack_store::{FlowRow, History, HistoryWriter, Names, SqliteHistory, StoreState};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{ended, flow, record, second, transaction};
use tempfile::TempDir;

const T0: i64 = 1_772_366_400;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(T0 + secs)
}

fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    (dir, path)
}

fn open(path: &std::path::Path) -> SqliteHistory {
    SqliteHistory::open(path, HistoryConfig::default()).unwrap()
}

fn query(filter: &str) -> Query {
    Query { filter: Filter::parse(filter).unwrap(), ..Query::default() }
}

fn ids(rows: &[FlowRow]) -> Vec<u64> {
    rows.iter().map(|row| row.id).collect()
}

#[test]
fn a_row_comes_back_as_it_went() {
    let (_dir, path) = place();
    let mut history = open(&path);
    history.set_interfaces(vec!["eth0".into()]);
    let mut v6 = record(2, at(5));
    v6.key.src = "::ffff:10.0.0.1".parse().unwrap();
    v6.key.dst = "2001:db8::1".parse().unwrap();
    v6.vlans.push(42);
    let mut ping = record(3, at(6));
    ping.key.proto = IpProto::ICMP;
    (ping.key.src_port, ping.key.dst_port) = (8 << 8, 77);
    ping.app = None;
    let mut odd = record(4, at(7));
    odd.key.proto = IpProto(253);
    odd.iface.0 = 9;
    if let Some(app) = &mut odd.app {
        app.proto = AppProto::FAILED;
    }

    let mut expected = Vec::new();
    let mut names = Names::new(10, 10);
    for record in [record(1, at(0)), v6, ping, odd] {
        let told = transaction(&record, "www.example.org", "hello \0 world");
        if let flowtrack_event::Event::Transaction(told) = &told {
            names.learn(told);
        }
        let mut row = FlowRow::from_record(&record, &["eth0".into()], &names);
        row.run = 1;
        row.reason = Some("timeout".into());
        expected.push(row);
        history.append(&[told, ended(record)]).unwrap();
    }
    expected.reverse();

    assert_eq!(history.query(&Query::default()).unwrap().rows, expected);
    assert_eq!(expected[3].info.as_deref(), Some("hello \\u{0} world"));
    let apps = expected.iter().rev().map(|row| row.app_proto.as_deref());
    assert_eq!(apps.collect::<Vec<_>>(), [Some("tls"), Some("tls"), None, None]);
    assert_eq!((expected[1].src_port, expected[1].proto.as_str()), (0, "ICMP"));
    assert_ne!(expected[1].community_id, expected[0].community_id);

    history.commit().unwrap();
    let reader = HistoryReader::open(&path).unwrap();
    assert_eq!(reader.query(&Query::default()).unwrap().rows, expected);
    assert_eq!(reader.flow(0, 3).unwrap().as_ref(), Some(&expected[1]));
    assert_eq!(reader.flow(7, 3).unwrap(), None);
    let said = reader.transactions_of(0, 1, 10).unwrap();
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].summary, "hello \\u{0} world");
    assert_eq!(said[0].record.as_ref().unwrap()["name"], "www.example.org");
}

#[test]
fn a_long_flow_is_there_before_it_ends_and_only_once() {
    let (_dir, path) = place();
    let mut history = open(&path);
    let long = |secs: i64, packets: u64| {
        let mut record = record(1, at(0));
        record.end = at(secs);
        record.to_server.packets = packets;
        record
    };
    history.append(&[flow(long(0, 1), FlowPhase::Start)]).unwrap();
    history.append(&[flow(long(29, 10), FlowPhase::Update)]).unwrap();
    assert_eq!(history.query(&query("")).unwrap().rows.len(), 0);
    for (secs, packets, written) in [(31, 20, 20), (40, 30, 20), (62, 40, 40)] {
        history.append(&[flow(long(secs, packets), FlowPhase::Update)]).unwrap();
        let rows = history.query(&query("")).unwrap().rows;
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].pkts_toserver, &rows[0].reason), (written, &None));
    }
    history.append(&[flow(long(70, 50), FlowPhase::End(EndReason::Evicted))]).unwrap();
    let rows = history.query(&query("")).unwrap().rows;
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].pkts_toserver, rows[0].reason.as_deref()), (50, Some("forced")));
}

#[test]
fn a_new_run_says_that_living_flows_were_interrupted() {
    let (_dir, path) = place();
    let mut history = open(&path);
    let mut record = record(1, at(0));
    record.end = at(31);
    history.append(&[flow(record, FlowPhase::Update)]).unwrap();
    history.commit().unwrap();
    drop(history);
    let history = open(&path);
    assert_eq!(history.run(), 2);
    let rows = history.query(&query("reason = interrupted")).unwrap().rows;
    assert_eq!((rows.len(), rows[0].run), (1, 1));
}

#[test]
fn another_run_numbers_its_flows_anew() {
    let (_dir, path) = place();
    let writer = HistoryWriter::spawn(&path, HistoryConfig::default()).unwrap();
    let mut living = record(1, at(0));
    living.end = at(31);
    writer.append(Arc::new(vec![flow(living, FlowPhase::Update)]));
    writer.begin_run();
    writer.append(Arc::new(vec![ended(record(1, at(60)))]));
    writer.flush();
    assert_eq!(writer.run(), 2);
    let reader = writer.reader();
    assert_eq!(reader.flow(1, 1).unwrap().unwrap().reason.as_deref(), Some("interrupted"));
    assert_eq!(reader.flow(0, 1).unwrap().unwrap().start_us, at(60).micros());
}

#[test]
fn a_search_for_an_address_finds_it_wherever_it_is() {
    let (_dir, path) = place();
    let whole = 16_384 * 4 + 100;
    let rare = |id: u64| matches!(id, 3 | 20_000 | 49_151 | 49_152 | 65_600);
    let mut written = Vec::new();
    for run in 0..2_u64 {
        let mut history = open(&path);
        for batch in 0..=whole / 1_000 {
            let ids = (batch * 1_000)..((batch + 1) * 1_000).min(whole);
            let events = ids.map(|id| {
                let mut record = record(id % 7, at(id as i64));
                record.id.0 = run * whole + id;
                if rare(id) {
                    record.key.dst = "2001:db8::99".parse().unwrap();
                    written.push(record.id.0);
                }
                ended(record)
            });
            history.append(&events.collect::<Vec<_>>()).unwrap();
        }
        // The second writer is killed, so to say.
        if run == 0 {
            history.close().unwrap();
        } else {
            history.commit().unwrap();
        }
    }
    let mut history = open(&path);
    let mut late = record(999_999, at(0));
    late.key.src = "2001:db8::99".parse().unwrap();
    history.append(&[ended(late)]).unwrap();
    written.push(999_999);
    history.commit().unwrap();

    let reader = HistoryReader::open(&path).unwrap();
    written.sort_unstable();
    for filter in ["2001:db8::99", "host = 2001:db8::/64", "2001:db8::99 or host = 203.0.113.9"] {
        for sort in [Field::Id, Field::Bytes] {
            let asked = Query { sort, descending: false, ..query(filter) };
            let mut found = ids(&reader.query(&asked).unwrap().rows);
            found.sort_unstable();
            assert_eq!(found, written, "{filter}");
        }
        assert_eq!(reader.totals(&query(filter)).unwrap().flows, written.len() as u64);
    }
    assert_eq!(reader.totals(&query("192.0.2.7")).unwrap().flows, 2 * (whole - 5) + 1);
    assert_eq!(reader.totals(&query("10.0.0.99")).unwrap().flows, 0);
    assert_eq!(reader.talkers(&query("2001:db8::99"), 99).unwrap().len(), 6);
}

#[test]
fn pages_follow_each_other_in_any_order() {
    let (_dir, path) = place();
    let mut history = open(&path);
    for id in 0..95_u64 {
        let mut record = record(id, at(id as i64 / 10));
        record.to_server.bytes = id % 7;
        record.to_client.bytes = 0;
        if id % 3 == 0 {
            record.key.src = "2001:db8::1".parse().unwrap();
        }
        if id % 2 == 0 {
            record.latency.handshake_server_us = None;
        }
        let name = format!("host-{}", id % 5);
        let told = transaction(&record, &name, "");
        history.append(&[told, ended(record)]).unwrap();
    }
    let sorts = [
        Field::End,
        Field::Bytes,
        Field::SrcIp,
        Field::DestName,
        Field::RttServer,
        Field::Rate,
        Field::Id,
        Field::AppProto,
        Field::CommunityId,
        Field::Duration,
    ];
    for sort in sorts {
        for descending in [true, false] {
            let mut query = Query { sort, descending, limit: 20, ..Query::default() };
            let mut paged = Vec::new();
            loop {
                let page = history.query(&query).unwrap();
                assert!(page.rows.len() <= 20);
                paged.extend(page.rows);
                let Some(next) = page.next else { break };
                query.after = Some(next.to_string().parse().unwrap());
            }
            let all = Query { limit: 1_000, after: None, ..query };
            let whole = history.query(&all).unwrap();
            assert_eq!(whole.next, None);
            assert_eq!(ids(&paged), ids(&whole.rows), "{sort:?} {descending}");
            let mut unique = ids(&paged);
            unique.sort_unstable();
            assert_eq!(unique, (0..95).collect::<Vec<_>>());
        }
    }
    let by_address = Query { sort: Field::SrcIp, descending: false, ..Query::default() };
    let rows = history.query(&by_address).unwrap().rows;
    assert!(rows[0].src_ip.starts_with("10."), "IPv4 before IPv6");
    assert_eq!(rows[94].src_ip, "2001:db8::1");
    assert!("7:x1".parse::<flowtrack_store::history::Cursor>().is_err());
}

#[test]
fn totals_and_talkers_are_over_all_rows() {
    let (_dir, path) = place();
    let mut history = open(&path);
    let events: Vec<_> = (0..500).map(|id| ended(record(id % 3, at(id as i64)))).collect();
    history.append(&events).unwrap();
    history.commit().unwrap();
    let reader = HistoryReader::open(&path).unwrap();
    let few = Query { limit: 1, ..query("") };
    assert_eq!(
        reader.totals(&few).unwrap(),
        FlowTotals { flows: 500, packets: 500 * 16, bytes: 500 * 9_000 }
    );
    let since = Query { since_us: Some(at(490).micros()), ..query("host = 10.0.0.0/31") };
    assert_eq!(reader.totals(&since).unwrap().flows, 7);
    let until = Query { until_us: Some(at(10).micros()), ..query("") };
    assert_eq!(reader.totals(&until).unwrap().flows, 10);
    let talkers = reader.talkers(&query(""), 2).unwrap();
    assert_eq!(talkers.len(), 2);
    assert_eq!((talkers[0].addr.as_str(), talkers[0].bytes_in), ("192.0.2.7", 500 * 900));
    assert_eq!((talkers[1].addr.as_str(), talkers[1].flows), ("10.0.0.0", 167));
    assert_eq!(reader.span().unwrap(), Some((at(0).micros(), at(499).micros() + 100_000)));
}

#[test]
fn seconds_add_up_across_workers_commits_and_runs() {
    let (_dir, path) = place();
    for _ in 0..2 {
        let mut history = open(&path);
        for worker_packets in [10, 20] {
            for secs in 0..130 {
                history.append(&[second(T0 + secs, worker_packets)]).unwrap();
            }
            history.commit().unwrap();
        }
        history.close().unwrap();
    }
    let reader = HistoryReader::open(&path).unwrap();
    let seconds = reader.series(T0, T0 + 130, 1).unwrap();
    assert_eq!(seconds.len(), 130);
    assert!(seconds.iter().all(|p| (p.packets, p.bytes, p.flows_new) == (60, 6_000, 4)));
    let shares: Vec<_> = vec![("tls".to_owned(), 6_000 - 240), ("arp".to_owned(), 240)];
    assert_eq!(seconds[0].shares, shares);
    assert_eq!(seconds[0].rtt_p50_us, Some(1_023));
    let minutes = reader.series(T0, T0 + 130, 60).unwrap();
    assert_eq!(minutes.iter().map(|p| p.packets).collect::<Vec<_>>(), [3_600, 3_600, 600]);
    let tens = reader.series(T0 + 5, T0 + 20, 10).unwrap();
    assert_eq!(
        tens.iter().map(|p| (p.at - T0, p.packets)).collect::<Vec<_>>(),
        [(0, 600), (10, 600)]
    );
}

#[test]
fn the_old_and_the_too_many_go() {
    let (_dir, path) = place();
    let config = HistoryConfig { max_age_days: 1, seconds_hours: 1, ..HistoryConfig::default() };
    let mut history = SqliteHistory::open(&path, config.clone()).unwrap();
    let day = 86_400;
    let events: Vec<_> = (0..5_000)
        .flat_map(|n| [ended(record(n, at(n as i64 * 60))), second(T0 + n as i64 * 60, 10)])
        .collect();
    history.append(&events).unwrap();
    history.commit().unwrap();
    history.tidy_now().unwrap();
    let last = 4_999 * 60;
    let rows = history.query(&Query { limit: 10_000, ..query("") }).unwrap().rows;
    assert_eq!(rows.len(), day / 60 + 1);
    assert!(rows.iter().all(|row| row.end_us >= at(last - day as i64).micros()));
    history.close().unwrap();
    let reader = HistoryReader::open(&path).unwrap();
    assert_eq!(reader.series(0, i64::MAX, 1).unwrap().len(), 61);
    assert_eq!(reader.series(0, i64::MAX, 60).unwrap().len(), 5_000);
    drop(reader);

    // Room for all minutes and a few flows.
    let most = 5 << 18;
    let config = HistoryConfig { max_bytes: most, ..config };
    let mut history = SqliteHistory::open(&path, config).unwrap();
    for batch in 0..20_u64 {
        let ids = batch * 2_000..(batch + 1) * 2_000;
        let events: Vec<_> = ids.map(|id| ended(record(id, at(last + batch as i64)))).collect();
        history.append(&events).unwrap();
    }
    history.commit().unwrap();
    assert!(history.size() > 2 << 20);
    history.tidy_now().unwrap();
    assert!(history.size() <= most, "{}", history.size());
    let newest = history.query(&query("")).unwrap().rows;
    assert_eq!(newest[0].id, 39_999, "the newest stay");
    assert!(history.written().expired > 30_000);
    history.close().unwrap();
    let bytes = std::fs::metadata(&path).unwrap().len();
    assert!(bytes < 4 << 20, "free pages went back: {bytes}");
}

#[test]
fn floods_of_transactions_and_anomalies_are_capped() {
    let (_dir, path) = place();
    let config = HistoryConfig { transactions_per_second: 10, ..HistoryConfig::default() };
    let mut history = SqliteHistory::open(&path, config).unwrap();
    let record = record(1, at(0));
    let events: Vec<_> = (0..25).map(|_| transaction(&record, "a", "b")).collect();
    history.append(&events).unwrap();
    history.commit().unwrap();
    assert_eq!((history.written().committed, history.written().capped), (10, 15));
}

#[test]
fn two_writers_are_refused_and_the_lock_goes_with_the_first() {
    let (_dir, path) = place();
    let first = open(&path);
    let second = SqliteHistory::open(&path, HistoryConfig::default());
    assert!(matches!(second, Err(OpenError::InUse(_))));
    drop(first);
    open(&path);
}

#[test]
fn a_broken_file_is_moved_aside() {
    let (dir, path) = place();
    let mut history = open(&path);
    history.append(&(0..5_000).map(|n| ended(record(n, at(0)))).collect::<Vec<_>>()).unwrap();
    history.close().unwrap();
    let mut damaged = std::fs::read(&path).unwrap();
    let middle = damaged.len() / 8_192 * 4_096;
    damaged[middle..].fill(0x5a);
    for broken in [vec![b'x'; 5_000], damaged] {
        std::fs::write(&path, &broken).unwrap();
        let history = open(&path);
        let aside = history.set_aside().unwrap();
        assert_eq!(std::fs::metadata(aside).unwrap().len(), broken.len() as u64);
        assert_eq!(history.query(&query("")).unwrap().rows.len(), 0);
    }
    let kept = std::fs::read_dir(&dir).unwrap().flatten();
    let kept = kept.filter(|f| f.file_name().to_string_lossy().contains("db.broken-"));
    assert_eq!(kept.count(), 2, "one does not replace the other");
}

#[test]
fn a_newer_file_is_refused_and_kept() {
    let (_dir, path) = place();
    open(&path).close().unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 999).unwrap();
    drop(connection);
    let error = SqliteHistory::open(&path, HistoryConfig::default()).err().unwrap();
    assert!(matches!(error, OpenError::Newer { found: 999, .. }), "{error}");
    let error = HistoryReader::open(&path).err().unwrap();
    assert!(error.to_string().starts_with("history has format 999"), "{error}");
    assert!(path.exists());
}

#[test]
fn the_writer_counts_what_its_queue_cannot_take() {
    let (_dir, path) = place();
    let config = HistoryConfig { queue: 2, block_ms: 1, ..HistoryConfig::default() };
    let writer = HistoryWriter::spawn(&path, config).unwrap();
    let batch: Arc<Vec<_>> = Arc::new((0..2_000).map(|n| ended(record(n, at(0)))).collect());
    let handed = 200_u64;
    let kept = (0..handed).filter(|_| writer.try_append(Arc::clone(&batch))).count() as u64;
    assert!(kept < handed, "the queue was never full");
    let health = writer.close();
    assert_eq!(health.rows_written, kept * 2_000);
    assert_eq!(health.rows_dropped, (handed - kept) * 2_000);
    assert_eq!(health.state, StoreState::Stopped);
    assert_eq!(HistoryReader::open(&path).unwrap().totals(&query("")).unwrap().flows, kept * 2_000);
}

#[test]
fn a_commit_comes_within_a_second_without_being_asked() {
    let (_dir, path) = place();
    let writer = HistoryWriter::spawn(&path, HistoryConfig::default()).unwrap();
    // Another process would see the same.
    let reader = HistoryReader::open(&path).unwrap();
    let mut handed = 0;
    let mut commit = || {
        let begin = Instant::now();
        handed += 1;
        writer.try_append(Arc::new(vec![ended(record(handed, at(0)))]));
        while reader.totals(&query("")).unwrap().flows < handed {
            assert!(begin.elapsed() < Duration::from_mins(1), "nothing is committed");
            std::thread::sleep(Duration::from_millis(20));
        }
        begin.elapsed()
    };
    // A disk or a processor that is busy makes one late, but not each.
    assert!((0..10).any(|_| commit() < Duration::from_secs(1)));
    drop(writer);
}

#[test]
fn a_question_that_takes_too_long_is_given_up() {
    let (_dir, path) = place();
    let mut history = open(&path);
    let events: Vec<_> = (0..20_000).map(|n| ended(record(n, at(0)))).collect();
    history.append(&events).unwrap();
    history.close().unwrap();
    let reader = HistoryReader::open(&path).unwrap().with_patience(Duration::ZERO);
    let slow = Query { sort: Field::CommunityId, ..query("info ~ \"*a*a*a*\" or bytes > 1") };
    let error = reader.query(&slow).err().map(|e| e.to_string());
    assert!(error.unwrap().starts_with("the question takes too long"));
}

#[test]
fn the_record_of_a_flow_is_a_row_of_its_own() {
    // One place makes rows, so a change of the record shows here first.
    let row = FlowRow::from_record(&record(1, at(0)), &[], &Names::new(1, 1));
    let FlowRecord { to_server, to_client, .. } = record(1, at(0));
    assert_eq!((row.pkts_toserver, row.bytes_toclient), (to_server.packets, to_client.bytes));
    assert_eq!((row.retransmissions, row.rtt_server_us), (1, Some(11_000)));
    assert_eq!(row.in_iface, None);
}
