use super::*;
use std::collections::HashMap;
use std::net::IpAddr;

/// A flow made of the values that a test names.
#[derive(Default)]
struct Flow(HashMap<Field, Value<'static>>);

impl Fields for Flow {
    fn get(&self, field: Field) -> Value<'_> {
        self.0.get(&field).cloned().unwrap_or(Value::None)
    }
}

fn ip(text: &str) -> Value<'static> {
    Value::Address(text.parse::<IpAddr>().unwrap())
}

fn flow() -> Flow {
    Flow(HashMap::from([
        (Field::SrcIp, ip("10.1.2.3")),
        (Field::SrcPort, Value::Number(49_200)),
        (Field::DestIp, ip("192.0.2.7")),
        (Field::DestPort, Value::Number(443)),
        (Field::DestName, Value::text("www.Example.org")),
        (Field::Proto, Value::text("TCP")),
        (Field::AppProto, Value::text("tls")),
        (Field::Bytes, Value::Number(1_500_000)),
        (Field::Duration, Value::Number(12_000_000)),
        (Field::Start, Value::Number(1_772_366_400_000_000)),
        (Field::State, Value::text("established")),
        (Field::ConnState, Value::text("SF")),
        (Field::Info, Value::text("TLS 1.3 www.example.org")),
        (Field::CommunityId, Value::text("1:LQU9qZlK+B5F3KDmev6m5PMibrg=")),
        (Field::Alerted, Value::Number(1)),
    ]))
}

#[test]
fn matches_what_it_says() {
    for (filter, yes) in [
        ("", true),
        ("  ", true),
        ("src_ip = 10.0.0.0/8", true),
        ("src_ip = 192.0.2.0/24", false),
        ("host = 192.0.2.7", true),
        ("host != 192.0.2.7", false),
        ("host = www.example.org", true),
        ("host in (203.0.113.1, WWW.example.ORG)", true),
        ("src = 10.1.2.3 and dst = 192.0.2.7", true),
        ("SRC_IP = 10.1.2.3 AND NOT dport in (80, 8000-8100)", true),
        ("dest_port in (80, 440-450)", true),
        ("dest_port not in (80, 443)", false),
        ("port >= 49152", true),
        ("port > 49200", false),
        ("port <= 442", false),
        ("port < 443", false),
        ("port >= 443 and port <= 443", true),
        ("bytes > 1M", true),
        ("bytes > 1.5M", false),
        ("bytes >= 1.5M", true),
        ("duration > 10s", true),
        ("duration > 1m", false),
        ("start = 2026-03-01", true),
        ("start > 2026-03-01", false),
        ("start >= 2026-03-01", true),
        ("start >= 2026-03-01T12:00:00.000001", false),
        ("start < 2026-03-01T12:01", true),
        ("proto = tcp", true),
        ("proto = 6", true),
        ("proto != udp", true),
        ("app = TLS", true),
        ("state = established", true),
        ("conn_state in (s0, sf)", true),
        ("info contains \"1.3 WWW\"", true),
        ("info not contains tls", false),
        ("info ~ \"tls *.org\"", true),
        ("info !~ *.org", false),
        ("name ~ *.example.org", true),
        ("name ~ example", false),
        ("alerted", true),
        ("not alerted", false),
        ("alerted = no", false),
        // What is not there answers no comparison, and `!=` is the opposite of `=`.
        ("vlan = 7", false),
        ("vlan != 7", true),
        ("vlan > 0", false),
        ("not not vlan = 7", false),
        ("!vlan = 7", true),
        // Precedence: not, and, or.
        ("alerted or alerted and vlan = 1", true),
        ("(alerted or alerted) and vlan = 1", false),
        ("not alerted or alerted", true),
        ("not (alerted or alerted)", false),
        ("not alerted && vlan = 1 || proto = tcp", true),
        // As in a search box.
        ("10.1.2.3", true),
        ("192.0.2.0/24 443", true),
        ("443 80", false),
        ("192.0.2.7:443", true),
        ("192.0.2.7:80", false),
        ("10.1.2.3:443", false),
        ("440-450", true),
        ("tcp", true),
        ("udp", false),
        ("tls", true),
        ("example.org", true),
        ("*.example.org", true),
        ("\"tls 1.3\"", true),
        ("1:LQU9qZlK+B5F3KDmev6m5PMibrg=", true),
        ("1:AAA9qZlK+B5F3KDmev6m5PMibrg=", false),
        ("nothing", false),
        ("fe80::/10", false),
    ] {
        let parsed = Filter::parse(filter).unwrap_or_else(|e| panic!("{filter}: {e}"));
        assert_eq!(parsed.matches(&flow()), yes, "{filter}");
    }
}

#[test]
fn errors_say_where_and_what() {
    for (filter, message) in [
        ("not dst_prt = 80", "unknown field \"dst_prt\" at column 5; did you mean \"dest_port\"?"),
        ("zzzzzzzz = 1", "unknown field \"zzzzzzzz\" at column 1"),
        (
            "state = estblished",
            "unknown state \"estblished\" at column 9; did you mean \"established\"?",
        ),
        (
            "proto = tpc",
            "\"tpc\" is no value of \"proto\": expected a transport protocol such as tcp, or its \
             number at column 9; did you mean \"tcp\"?",
        ),
        (
            "src_ip = 10.0.0",
            "\"10.0.0\" is no value of \"src_ip\": expected an address or network such as \
             10.0.0.1 or 10.0.0.0/8 at column 10",
        ),
        (
            "é and port = 70000",
            "\"70000\" is no value of \"port\": expected a port from 0 to 65535 or a range such \
             as 8000-8100 at column 14",
        ),
        (
            "port > 80-90",
            "\"80-90\" is no value of \"port\": expected a port from 0 to 65535 or a range such \
             as 8000-8100 at column 8",
        ),
        (
            "70000",
            "\"70000\" is no value of \"port\": expected a port from 0 to 65535 or a range such \
             as 8000-8100 at column 1",
        ),
        (
            "10.0.0",
            "\"10.0.0\" is no value of \"host\": expected an address or network such as 10.0.0.1 \
             or 10.0.0.0/8 at column 1",
        ),
        (
            "duration > 10",
            "\"10\" is no value of \"duration\": expected a length of time with its unit such as \
             250ms, 10s or 2h at column 12",
        ),
        (
            "src_ip > 10.0.0.1",
            "\">\" cannot be asked of \"src_ip\", which is an address or network such as 10.0.0.1 \
             or 10.0.0.0/8 at column 8",
        ),
        ("bytes", "expected an operator such as = or in, found the end at column 6"),
        ("bytes and", "expected an operator such as = or in, found \"and\" at column 7"),
        ("info = and", "expected a value (in quotes, if this is one), found \"and\" at column 8"),
        ("port in 80", "expected a list such as (80, 443), found \"80\" at column 9"),
        ("port in (80", "expected \",\" or \")\", found the end at column 12"),
        ("port in ()", "expected a value, found \")\" at column 10"),
        ("(alerted", "parenthesis is not closed at column 1"),
        ("alerted)", "expected \"and\", \"or\" or the end, found \")\" at column 8"),
        (
            "alerted and",
            "expected a field, an address, a port or a word, found the end at column 12",
        ),
        ("()", "expected a field, an address, a port or a word, found \")\" at column 2"),
        ("info = \"x", "quote is not closed at column 8"),
        ("info = \u{1}", "unexpected character '\\u{1}' at column 8"),
        ("a ; drop", "unexpected character ';' at column 3"),
    ] {
        match Filter::parse(filter) {
            Ok(_) => panic!("{filter} was read"),
            Err(e) => assert_eq!(e.to_string(), message, "{filter}"),
        }
    }
}

#[test]
fn limits_hold() {
    let long = format!("info = \"{}\"", "x".repeat(MAX_LENGTH));
    assert_eq!(Filter::parse(&long).unwrap_err().problem, Problem::TooLong);
    let deep = |n: usize| format!("{}alerted{}", "(".repeat(n), ")".repeat(n));
    assert!(Filter::parse(&deep(MAX_DEPTH)).is_ok());
    assert_eq!(Filter::parse(&deep(MAX_DEPTH + 1)).unwrap_err().problem, Problem::TooDeep);
    assert!(Filter::parse(&format!("{}alerted", "!".repeat(4_000))).unwrap().matches(&flow()));
}

#[test]
fn sql_holds_parameters_only() {
    for (filter, sql, values) in [
        ("", "1", vec![]),
        ("src_ip = 10.0.0.1", "src_ip = ?", vec![SqlValue::Blob(vec![10, 0, 0, 1])]),
        (
            "src_ip = 10.0.0.0/8",
            "(length(src_ip) = 4 AND src_ip BETWEEN ? AND ?)",
            vec![SqlValue::Blob(vec![10, 0, 0, 0]), SqlValue::Blob(vec![10, 255, 255, 255])],
        ),
        (
            "port = 80",
            "(src_port = ? OR dest_port = ?)",
            vec![SqlValue::Integer(80), SqlValue::Integer(80)],
        ),
        ("not vlan >= 7", "NOT (vlan IS NOT NULL AND vlan >= ?)", vec![SqlValue::Integer(7)]),
        ("bytes < 0", "(bytes_toserver + bytes_toclient) <= ?", vec![SqlValue::Integer(-1)]),
        (
            "info = \"'; drop table flows; --\"",
            "(info IS NOT NULL AND info COLLATE NOCASE IN (?))",
            vec![SqlValue::Text("'; drop table flows; --".into())],
        ),
        (
            "src_name ~ 5%*",
            "(src_name IS NOT NULL AND src_name LIKE ? ESCAPE '\\')",
            vec![SqlValue::Text("5\\%%".into())],
        ),
    ] {
        assert_eq!(Filter::parse(filter).unwrap().to_sql(), (sql.to_owned(), values), "{filter}");
    }
}

#[test]
fn addresses_are_those_that_every_match_has() {
    let addresses = |filter: &str| {
        let needs = Filter::parse(filter).unwrap().addresses()?;
        Some(needs.iter().map(|n| (n.fields.len(), n.first.to_string())).collect::<Vec<_>>())
    };
    let one = |sides, first: &str| Some(vec![(sides, first.to_owned())]);
    assert_eq!(addresses("src_ip = 10.0.0.0/8 and port = 80"), one(1, "10.0.0.0"));
    assert_eq!(addresses("10.0.0.1"), one(2, "10.0.0.1"));
    assert_eq!(addresses("host in (::1, ::2) and dest_ip = ::3"), one(1, "::3"));
    assert_eq!(addresses("src_ip = ::1 or dest_ip = ::2").map(|a| a.len()), Some(2));
    assert_eq!(addresses("10.0.0.1:80").map(|a| a.len()), Some(2));
    for any in
        ["", "port = 80", "not host = 10.0.0.1", "host = 10.0.0.1 or port = 80", "host != ::1"]
    {
        assert_eq!(addresses(any), None, "{any}");
    }
}

#[test]
fn every_example_of_the_reference_is_read() {
    for field in FIELDS {
        assert!(Filter::parse(field.example).is_ok(), "{}", field.example);
        assert!(field_docs().contains(&format!("| `{}` |", field.name)));
    }
}

#[test]
fn names_of_fields_are_unique() {
    let mut names: Vec<_> = FIELDS.iter().flat_map(FieldInfo::names).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn completes_by_what_stands_before() {
    let words = |text: &str| {
        let c = complete(text, text.chars().count());
        (c.start, c.suggestions.iter().map(|s| s.text).collect::<Vec<_>>())
    };
    assert_eq!(words("src_"), (0, vec!["src_ip", "src_port", "src_name"]));
    assert_eq!(words("state "), (6, vec!["=", "!=", "in", "contains", "~"]));
    assert_eq!(words("src_ip "), (7, vec!["=", "!=", "in"]));
    assert_eq!(words("state = "), (8, vec!["new", "established", "closed"]));
    assert_eq!(words("state = EST"), (8, vec!["established"]));
    assert_eq!(words("conn_state in (S0, R"), (19, vec!["REJ", "RSTO", "RSTR", "RSTOS0", "RSTRH"]));
    assert_eq!(words("port in (80"), (9, vec![]));
    assert_eq!(words("port in (80 "), (12, vec![",", ")"]));
    assert_eq!(words("é alerted a"), (10, vec!["and", "app_proto", "alerted"]));
    assert_eq!(words("proto = tcp an"), (12, vec!["and"]));
    assert_eq!(words("(proto = udp) or rtt"), (17, vec!["rtt_server", "rtt_client"]));
    assert_eq!(words("info = \"open"), (12, vec![]));
    assert!(complete("", 0).suggestions.iter().any(|s| s.text == "not"));
    // The cursor may stand anywhere, even behind the end.
    assert_eq!(complete("state = new", 3).suggestions[1].text, "start");
    assert_eq!(complete("state", 99).suggestions[0].text, "state");
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Nothing that can be typed panics, and a column lies within the text.
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,80}", cursor in 0_usize..90) {
            if let Err(e) = Filter::parse(&text) {
                prop_assert!(e.column >= 1 && e.column <= text.chars().count() + 1);
            }
            let c = complete(&text, cursor);
            prop_assert!(c.start <= text.chars().count());
        }

        /// The same for texts made of the words of the language.
        #[test]
        fn any_words_are_read_or_refused(words in prop::collection::vec(word(), 0..24)) {
            let text = words.join(" ");
            if let Ok(filter) = Filter::parse(&text) {
                let (sql, values) = filter.to_sql();
                prop_assert_eq!(sql.matches('?').count(), values.len());
                filter.matches(&flow());
            }
            complete(&text, text.len());
        }
    }

    fn word() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "and",
            "or",
            "not",
            "in",
            "contains",
            "(",
            ")",
            ",",
            "=",
            "!=",
            "<",
            ">=",
            "~",
            "!~",
            "src_ip",
            "port",
            "host",
            "bytes",
            "state",
            "info",
            "alerted",
            "duration",
            "start",
            "10.0.0.0/8",
            "::1",
            "443",
            "1-2",
            "1M",
            "5s",
            "new",
            "x",
            "\"a b\"",
            "*",
            "proto",
            "tcp",
            "2026-03-01",
        ])
    }
}
