//! Tables read back, and what a spreadsheet would make of them.

use proptest::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use super::*;
use crate::samples;

#[derive(Serialize)]
struct Row {
    src_ip: &'static str,
    bytes: u64,
    balance: i64,
    rate: Option<f64>,
    alerted: bool,
    dns: Dns,
}

#[derive(Serialize)]
struct Dns {
    rrname: String,
    answers: Vec<&'static str>,
}

fn row(rrname: &str) -> Row {
    Row {
        src_ip: "10.0.0.1",
        bytes: 1_234,
        balance: -5,
        rate: None,
        alerted: false,
        dns: Dns { rrname: rrname.to_owned(), answers: vec!["a", "b,\"c"] },
    }
}

fn csv(columns: Columns, rows: &[impl Serialize]) -> String {
    written(TableFormat::Csv, columns, rows)
}

fn written(format: TableFormat, columns: Columns, rows: &[impl Serialize]) -> String {
    let mut writer = TableWriter::new(Vec::new(), format, columns);
    for row in rows {
        writer.write(row).unwrap();
    }
    String::from_utf8(writer.finish().unwrap()).unwrap()
}

fn records(text: &str, delimiter: u8) -> Vec<Vec<String>> {
    ::csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(text.as_bytes())
        .records()
        .map(|record| record.unwrap().iter().map(str::to_owned).collect())
        .collect()
}

#[test]
fn nested_fields_become_columns_in_their_order() {
    assert_eq!(
        csv(Columns::Discovered, &[row("example.org")]),
        "src_ip,bytes,balance,rate,alerted,dns.rrname,dns.answers\r\n\
         10.0.0.1,1234,-5,,false,example.org,\"[\"\"a\"\",\"\"b,\\\"\"c\"\"]\"\r\n"
    );
    assert_eq!(
        csv(Columns::named(&["dns.rrname", "absent", "bytes"]), &[row("=1+1")]),
        "dns.rrname,absent,bytes\r\n'=1+1,,1234\r\n"
    );
}

#[test]
fn an_empty_table_still_says_what_its_columns_are() {
    let none: &[Row] = &[];
    assert_eq!(csv(Columns::named(&["a", "b"]), none), "a,b\r\n");
    assert_eq!(written(TableFormat::Json, Columns::Discovered, none), "[]\n");
    assert_eq!(written(TableFormat::Ndjson, Columns::Discovered, none), "");
}

#[test]
fn json_holds_rows_as_they_are() {
    let rows = [row("a"), row("b")];
    let expected = serde_json::to_value(&rows).unwrap();
    let array = written(TableFormat::Json, Columns::Discovered, &rows);
    assert_eq!(serde_json::from_str::<Value>(&array).unwrap(), expected);
    let lines = written(TableFormat::Ndjson, Columns::Discovered, &rows);
    let parsed: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(Value::Array(parsed), expected);
}

#[test]
fn late_fields_are_kept_in_the_last_column() {
    let mut rows: Vec<Value> = (0..LOOK_AHEAD + 5).map(|n| json!({ "n": n })).collect();
    rows.push(json!({ "n": 1, "late": { "x": "=1" } }));
    let records = records(&csv(Columns::Discovered, &rows), b',');
    assert_eq!(records[0], ["n", "more"]);
    assert_eq!(records.len(), rows.len() + 1);
    assert_eq!(records.last().unwrap()[1], "{\"late.x\":\"=1\"}");
}

#[test]
fn names_from_the_wire_do_not_make_columns_without_end() {
    let rows: Vec<Value> = (0..900).map(|n| json!({ format!("=h{n}"): n, "last": true })).collect();
    let records = records(&csv(Columns::Discovered, &rows), b',');
    assert_eq!(records[0].len(), MAX_COLUMNS + 1);
    assert!(records[0].iter().all(|name| !name.starts_with('=')), "{:?}", records[0]);
    assert_eq!(records[900][MAX_COLUMNS], "{\"=h899\":899}");
}

#[test]
fn a_row_that_is_no_object_is_an_error() {
    let mut writer = TableWriter::new(Vec::new(), TableFormat::Csv, Columns::Discovered);
    assert!(writer.write(&[1, 2]).unwrap_err().to_string().contains("a row that is an object"));
}

#[test]
fn formulas_become_text_and_the_rest_stays() {
    for (text, expected) in [
        ("=1", "'=1"),
        ("  -1", "'  -1"),
        ("\"+1", "'\"+1"),
        ("\t@x", "'\t'@x"),
        ("\rx", "'\rx"),
        ("'=1", "''=1"),
        ("\u{ff1d}1", "'\u{ff1d}1"),
        ("a; =1", "a;' =1"),
        ("a\n=1", "a\n'=1"),
        ("a=1", "a=1"),
        ("1-2", "1-2"),
        ("2026-01-01", "2026-01-01"),
        ("a; b=1", "a; b=1"),
    ] {
        assert_eq!(csv::guarded(text), expected, "{text:?}");
    }
}

fn hostile_text() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        proptest::sample::select(vec![
            "=", "+", "-", "@", "\t", "\r", "\n", ";", ",", "\"", "'", " ", "1", "x", "é", "\0",
        ])
        .prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
        proptest::sample::select(samples::HOSTILE.to_vec()).prop_map(str::to_owned),
    ];
    proptest::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// What is read back is what was written, apart from apostrophes put in front.
    #[test]
    fn csv_can_be_read_back(texts in proptest::collection::vec(hostile_text(), 2..5)) {
        let rows: Vec<Value> = texts.iter().map(|text| json!({ "a": text, "b": 1 })).collect();
        let records = records(&csv(Columns::Discovered, &rows), b',');
        prop_assert_eq!(records.len(), rows.len() + 1);
        for (record, text) in records[1..].iter().zip(&texts) {
            prop_assert_eq!(record[0].replace('\'', ""), text.replace('\'', ""));
            prop_assert_eq!(&record[1], "1");
        }
    }

    /// No program that reads the table, by comma, semicolon or tab, finds a formula in it.
    #[test]
    fn no_cell_begins_as_a_formula(texts in proptest::collection::vec(hostile_text(), 1..5)) {
        let rows: Vec<Value> = texts.iter().map(|text| json!({ text: text, "z": text })).collect();
        let text = csv(Columns::Discovered, &rows);
        for delimiter in *b",;\t" {
            for cell in records(&text, delimiter).into_iter().flatten() {
                let first = cell.trim_start_matches(|c: char| c.is_whitespace() || c == '"');
                prop_assert!(!first.starts_with(['=', '+', '-', '@']), "{cell:?} by {delimiter} in {text:?}");
                if delimiter == b',' {
                    prop_assert!(!cell.starts_with(['\t', '\r']), "{cell:?}");
                }
            }
        }
    }
}
