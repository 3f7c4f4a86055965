use super::*;

/// A file as a program of that version left it, with something in each table.
fn write_version(path: &Path, version: usize) {
    let connection = Connection::open(path).unwrap();
    prepare(&connection).unwrap();
    for (step, sql) in MIGRATIONS.iter().enumerate().take(version) {
        connection.execute_batch(sql).unwrap();
        connection.pragma_update(None, "user_version", step as i64 + 1).unwrap();
    }
    if version > 0 {
        connection
            .execute_batch(
                "INSERT INTO runs (begun_us) VALUES (5);
                 INSERT INTO flows (run, id, src_ip, dest_ip, src_port, dest_port, proto, \
                     start_us, end_us, pkts_toserver, pkts_toclient, bytes_toserver, \
                     bytes_toclient, state, conn_state, history, retransmissions, out_of_order, \
                     lost, zero_windows, alerted) \
                 VALUES (1, 7, x'0a000001', x'0a000002', 1, 2, 'TCP', 3, 4, 5, 6, 7, 8, \
                     'closed', 'SF', 'Dd', 0, 0, 0, 0, 0);
                 INSERT INTO rates VALUES (1, 9, 1, 1, 1, 1, 1, 1, 1, 1, x'', x'', '{}');
                 INSERT INTO transactions VALUES \
                     (1, 2, 1, 7, 0, x'0a000001', 1, x'0a000002', 2, 'dns', 'dns', 'said', '{}');
                 INSERT INTO anomalies (ts_us, run, layer, name, packet) \
                     VALUES (1, 1, 'decode', 'x', 1);",
            )
            .unwrap();
    }
}

#[test]
fn every_older_version_is_brought_up_to_date_and_keeps_its_rows() {
    for version in 0..=SCHEMA_VERSION {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.db");
        write_version(&path, version);
        let opened = open(&path).unwrap();
        assert_eq!(opened.set_aside, None);
        assert_eq!(super::version(&opened.connection).unwrap(), SCHEMA_VERSION as i64);
        for table in ["runs", "flows", "rates", "transactions", "anomalies"] {
            let sql = format!("SELECT count(*) FROM {table}");
            let rows: i64 = opened.connection.query_row(&sql, [], |row| row.get(0)).unwrap();
            assert_eq!(rows, version.min(1) as i64, "{table} of version {version}");
        }
        let mode: String =
            opened.connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
        drop(opened);
        if version > 0 {
            let reader = crate::HistoryReader::open(&path).unwrap();
            assert_eq!(reader.flow(1, 7).unwrap().unwrap().dest_ip, "10.0.0.2");
            assert_eq!(reader.transactions_of(1, 7, 9).unwrap()[0].summary, "said");
            assert_eq!(reader.anomalies(0, 9, 9).unwrap()[0].name, "x");
            assert_eq!(reader.series(0, 99, 1).unwrap()[0].at, 9);
        }
    }
}

#[test]
fn a_migration_that_fails_changes_nothing() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("CREATE TABLE rates (other)").unwrap();
    assert!(migrate(&connection, 0).is_err());
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'flows'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(tables, 0, "the tables made before the failure are gone again");
    assert_eq!(version(&connection).unwrap(), 0);
}
