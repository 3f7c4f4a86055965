//! Folding, states, mutes and filters, with made-up reports.

use super::*;
use cpu_time::ThreadTime;
use flowtrack_event::{
    Alert, AlertAction, AlertEnds, Detection, Direction, Event, Evidence, FlowId, FlowKey, IpProto,
    RuleInfo, Severity, Technique, Timestamp,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

const NOW: i64 = 1_700_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(NOW + seconds)
}

fn host(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 | n).into()
}

fn rule(sid: u32, priority: u8) -> Arc<RuleInfo> {
    Arc::new(RuleInfo {
        gid: 1,
        sid,
        signature: format!("TEST rule {sid}").into(),
        category: "Attempted test".into(),
        severity: priority,
        ..RuleInfo::default()
    })
}

fn alert(rule: &Arc<RuleInfo>, src: u32, dst: u32, port: u16, ts: Timestamp) -> Alert {
    let key = FlowKey {
        src: host(src),
        dst: host(dst),
        src_port: 40_000,
        dst_port: port,
        proto: IpProto::TCP,
    };
    Alert {
        ts,
        packet: 1,
        ends: AlertEnds { key: Some(key), direction: Direction::ToServer },
        flow: None,
        rule: Arc::clone(rule),
        action: AlertAction::Allowed,
        tx: None,
        files: Vec::new(),
        payload: None,
        from_stream: false,
        frame: None,
        remembered: None,
    }
}

fn detection(severity: Severity, seconds: i64) -> Detection {
    Detection {
        ts: at(seconds),
        detector: "port_scan",
        kind: "vertical",
        sid: 101,
        title: "10.0.0.1 scans ports of 10.0.0.2".into(),
        explanation: "Somebody looks for open doors.".into(),
        severity,
        category: "reconnaissance",
        technique: Some(Technique { id: "T1046", name: "Network Service Discovery" }),
        source: Some(host(1)),
        target: Some(host(2)),
        target_port: None,
        proto: Some(IpProto::TCP),
        first_seen: at(seconds - 5),
        last_seen: at(seconds),
        count: 20,
        evidence: vec![("ports".into(), Evidence::Count(20))],
        flows: vec![FlowId(7), FlowId(8)],
        source_proved: true,
    }
}

fn book() -> AlertBook {
    AlertBook::new(Config::default())
}

fn mute(scope: &str, seconds: i64) -> Mute {
    let parts: Vec<&str> = scope.split('|').collect();
    Mute {
        id: 0,
        scope: Scope {
            rule: parts[0].parse().unwrap(),
            source: parts[1].parse().unwrap(),
            target: parts[2].parse().unwrap(),
            port: parts[3].parse().unwrap(),
        },
        reason: "known".into(),
        created: at(0),
        until: at(seconds),
        hidden: 0,
    }
}

fn only(book: &AlertBook) -> AlertRecord {
    let mut all = book.alerts();
    let one = all.next().unwrap().clone();
    assert!(all.next().is_none());
    one
}

#[test]
fn a_detection_folds_grows_and_tells_what_matters() {
    let mut book = book();
    book.set_run(3);
    book.detection(&detection(Severity::Low, 0));
    let told = book.drain(10);
    assert_eq!((told.len(), told[0].change), (1, Change::Opened));

    let mut more = detection(Severity::Low, 1);
    more.title = "10.0.0.1 scans 40 ports of 10.0.0.2".into();
    book.detection(&more);
    assert_eq!(book.drain(10)[0].change, Change::Updated);

    let id = only(&book).id;
    book.set(id, Some(AlertState::Seen), Some("that is me"));
    book.drain(10);
    book.detection(&detection(Severity::High, 2));
    let told = book.drain(10);
    let alert = &told[0].alert;
    assert_eq!(told[0].change, Change::Raised);
    assert_eq!((alert.state, alert.severity), (AlertState::New, Severity::High));
    assert_eq!((alert.count, alert.occurrences), (3, 60));
    assert_eq!((alert.first_seen, alert.last_seen), (at(-5), at(2)));
    assert_eq!(&*alert.note, "that is me");
    assert_eq!(alert.flows, [FlowRef { run: 3, id: 7 }, FlowRef { run: 3, id: 8 }]);
    assert_eq!(&*alert.name, "port_scan/vertical");
    assert!(book.drain(10).is_empty(), "nothing is told twice");
}

#[test]
fn what_was_resolved_comes_back_as_new_and_after_the_window_as_another() {
    let mut book = book();
    book.detection(&detection(Severity::Low, 0));
    let first = only(&book).id;
    book.set(first, Some(AlertState::Resolved), None);
    book.drain(10);
    book.detection(&detection(Severity::Low, 60));
    let told = book.drain(10);
    assert_eq!((told[0].change, told[0].alert.id), (Change::Reopened, first));
    assert_eq!((told[0].alert.state, told[0].alert.reopened), (AlertState::New, 1));

    book.detection(&detection(Severity::Low, 60 + 3_601));
    let told = book.drain(10);
    assert_eq!((told.len(), told[0].change), (1, Change::Opened));
    assert_ne!(told[0].alert.id, first);
    assert_eq!(book.stats().left_reports, 2);
}

#[test]
fn a_signature_names_the_service_whichever_way_the_packet_went() {
    let mut book = book();
    let rule = rule(1, 1);
    book.signature(&alert(&rule, 1, 2, 80, at(0)));
    let record = only(&book);
    assert_eq!((record.source, record.target), (Some(host(1)), Some(host(2))));
    assert_eq!((record.port, record.severity), (Some(80), Severity::High));
    assert_eq!(&*record.title, "TEST rule 1");
    let json = serde_json::to_value(&record).unwrap();
    assert_eq!(json["evidence"]["packet"], "10.0.0.1:40000 to 10.0.0.2:80");
    assert_eq!((&json["gid"], &json["sid"]), (&1.into(), &1.into()));
    assert_eq!((&json["proto"], &json["state"]), (&"TCP".into(), &"new".into()));
}

#[test]
fn a_mute_hides_at_once_counts_what_it_hides_and_ends() {
    let mut book = book();
    book.detection(&detection(Severity::High, 0));
    book.drain(10);
    let mute = book.add_mute(mute("port_scan|10.0.0.1|*|*", 100), at(1)).unwrap();
    let told = book.drain(10);
    assert_eq!((told[0].change, told[0].alert.state), (Change::Updated, AlertState::Muted));
    assert_eq!(told[0].alert.muted_by, Some(mute.id));

    book.detection(&detection(Severity::Critical, 50));
    let told = book.drain(10);
    assert!(told.iter().all(|change| !change.change.is_news()), "a muted alert is no news");
    assert_eq!((book.mutes()[0].hidden, book.stats().muted), (1, 1));

    // Its time is over: the next report is seen again, before anybody tidied up.
    book.detection(&detection(Severity::Low, 100));
    assert_eq!(only(&book).state, AlertState::New);
    assert_eq!(book.mutes()[0].hidden, 1);
    book.expire(at(100));
    assert!(book.mutes().is_empty());
}

#[test]
fn taking_a_mute_back_shows_what_it_hid() {
    let mut book = book();
    book.detection(&detection(Severity::High, 0));
    let id = only(&book).id;
    book.set(id, Some(AlertState::Seen), None);
    let mute = book.add_mute(mute("*|*|10.0.0.0/24|*", 100), at(0)).unwrap();
    assert_eq!(only(&book).state, AlertState::Muted);
    assert!(book.remove_mute(mute.id, at(1)));
    assert_eq!(only(&book).state, AlertState::Seen, "as it was before");
    assert!(!book.remove_mute(mute.id, at(1)));
}

#[test]
fn a_mute_must_name_something_and_end() {
    let mut book = book();
    assert_eq!(book.add_mute(mute("*|*|*|*", 60), at(0)), Err(WrongMute::Everything));
    assert_eq!(book.add_mute(mute("*|*|*|22", 0), at(0)), Err(WrongMute::End));
    assert_eq!(book.add_mute(mute("*|*|*|22", 367 * 86_400), at(0)), Err(WrongMute::End));
    assert!(book.add_mute(mute("*|*|*|22", 366 * 86_400), at(0)).is_ok());
}

#[test]
fn patterns_are_read_and_written() {
    for (text, shown) in [
        ("", "*"),
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("10.1.*", "10.1.0.0/16"),
        ("10.1.2.*", "10.1.2.0/24"),
        ("10.1.2.3/32", "10.1.2.3"),
        ("2001:db8::1/32", "2001:db8::/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ] {
        assert_eq!(text.parse::<AddressPattern>().unwrap().to_string(), shown);
    }
    for wrong in ["10.0.0.0/33", "10.*.1", "host", "10.0.0", "::/129", "*.1", "1.2.3.4.*"] {
        assert!(wrong.parse::<AddressPattern>().is_err(), "{wrong}");
    }
    assert_eq!("8000 - 8100".parse::<PortPattern>().unwrap().to_string(), "8000-8100");
    assert!("90-80".parse::<PortPattern>().is_err());
    let scan = RuleId { gid: Detection::GID, sid: 101 };
    let name: RulePattern = "Port_Scan".parse().unwrap();
    assert!(name.matches(scan, "port_scan/vertical"));
    assert!(!name.matches(RuleId { gid: 1, sid: 101 }, "port_scan/vertical"));
    assert!("*scan*".parse::<RulePattern>().unwrap().matches(scan, "port_scan/slow"));
    assert!("1000:101".parse::<RulePattern>().unwrap().matches(scan, "x"));
    assert!(!"ET *x".parse::<RulePattern>().unwrap().matches(scan, "ET scan"));
}

#[test]
fn filters_find_and_explain() {
    let mut book = book();
    book.detection(&detection(Severity::High, 0));
    let record = only(&book);
    let asks = |text: &str| AlertFilter::parse(text).unwrap().matches(&record);
    for yes in [
        "",
        "scans",
        "10.0.0.1",
        "10.0.0.0/24 severity=medium",
        "source=10.0.0.1 target=10.0.0.2",
        "state=new,seen kind=behaviour",
        "technique=T1046",
        "\"ports of\"",
        "rule=port_scan",
        "category=recon",
        "title 10.0.0.2",
    ] {
        assert_eq!(asks(yes), yes != "title 10.0.0.2", "{yes}");
    }
    for no in ["severity=critical", "port=22", "source=10.0.0.2", "state=muted", "T9999"] {
        assert!(!asks(no), "{no}");
    }
    let wrong = AlertFilter::parse("ssh severty=high").unwrap_err();
    assert_eq!(wrong.to_string(), "alerts have no `severty`; did you mean `severity`? at column 5");
    assert!(AlertFilter::parse("severity=huge").unwrap_err().message.contains("critical"));
    assert!(AlertFilter::parse("\"open").unwrap_err().message.contains("quote"));
}

#[test]
fn too_many_hosts_of_one_rule_fold_into_one_alert_that_says_so() {
    let mut book = AlertBook::new(Config { max_per_rule: 10, ..Config::default() });
    let rule = rule(1, 2);
    for n in 0..1_000 {
        book.signature(&alert(&rule, n, 0xffff, 80, at(0)));
    }
    assert_eq!(book.stats().open, 11);
    assert_eq!(book.stats().crowded, 990);
    let told = book.drain(100);
    let many = told.iter().find(|change| change.alert.many).unwrap();
    assert_eq!((many.alert.count, many.alert.source), (990, None));
    assert_eq!((many.alert.target, many.alert.port), (Some(host(0xffff)), Some(80)));
    let json = serde_json::to_value(&*many.alert).unwrap();
    assert_eq!(json["evidence"]["reports of many hosts"], 990);
    assert_eq!(json["evidence"]["some of them"].as_array().unwrap().len(), 8);
    // It goes on for as long as the flood does, not a few alerts in each minute.
    for minute in 1..5 {
        for n in 0..100 {
            book.signature(&alert(
                &rule,
                10_000 * minute + n,
                0xffff,
                80,
                at(60 * i64::from(minute)),
            ));
        }
    }
    assert_eq!(book.stats().open, 11);
}

#[test]
fn the_cap_holds_under_millions_of_distinct_alerts_and_every_report_is_accounted_for() {
    // Many rules, so that the book itself must make room.
    let mut book = AlertBook::new(Config { max_open: 5_000, ..Config::default() });
    let rules: Vec<_> =
        (0..20_000).map(|sid| rule(sid, u8::try_from(sid % 4).unwrap() + 1)).collect();
    let mut told = 0;
    for n in 0..2_000_000_u32 {
        let rule = &rules[(n % 20_000) as usize];
        book.signature(&alert(rule, n, 1, 80, at(i64::from(n / 20_000))));
        if n % 50_000 == 0 {
            told += book.drain(10_000).len();
        }
    }
    let stats = book.stats();
    assert!(stats.open <= 5_000 && book.alerts().count() as u64 == stats.open);
    assert!(told > 0);
    assert_eq!(stats.reports, 2_000_000);
    assert_eq!(book.alerts().map(|alert| alert.count).sum::<u64>() + stats.left_reports, 2_000_000);
    assert_eq!(stats.opened + stats.folded, stats.reports);
    // Room was made at the cost of the least severe; a few came since.
    let light = book.alerts().filter(|alert| alert.severity < Severity::Medium).count();
    assert!(light <= 5_000 / 16 + 1, "{light}");
}

#[test]
#[allow(clippy::disallowed_macros)] // It measures.
fn a_million_repeats_a_second_leave_time_for_other_things() {
    let mut book = book();
    let rule = rule(1, 1);
    let alerts: Vec<_> = (0..1_000).map(|n| alert(&rule, n % 100, 1, 80, at(0))).collect();
    let begun = ThreadTime::now();
    for _ in 0..1_000 {
        alerts.iter().for_each(|alert| book.signature(alert));
    }
    let repeats = begun.elapsed();
    let spread: Vec<_> = (0..1_000_000).map(|n| alert(&rule, n, 1, 80, at(1))).collect();
    let begun = ThreadTime::now();
    spread.iter().for_each(|alert| book.signature(alert));
    let distinct = begun.elapsed();
    println!("a million repeats {repeats:?}, a million hosts {distinct:?}");
    assert_eq!(book.alerts().map(|alert| alert.count).sum::<u64>(), 2_000_000);
    // Generous, for a build that is not optimised; what else runs on the machine does not count.
    assert!(repeats + distinct < Duration::from_secs(30));
}

/// A report as a test makes it: rule, source, target, port, second.
type Made = (u32, u32, u32, u16, i64);

fn made() -> impl Strategy<Value = Vec<Made>> {
    prop::collection::vec((1..5_u32, 0..6_u32, 0..4_u32, 1..4_u16, 0..1_000_i64), 0..200)
}

fn feed(book: &mut AlertBook, reports: &[Made], batch: usize) {
    let rules: Vec<_> = (0..5).map(|sid| rule(sid, sid as u8)).collect();
    for part in reports.chunks(batch.max(1)) {
        let events: Vec<Event> = part
            .iter()
            .map(|&(sid, src, dst, port, second)| {
                let rule = &rules[sid as usize];
                Event::Alert(Box::new(alert(rule, src, dst, port, at(second))))
            })
            .collect();
        book.take(&events);
        book.drain(batch);
    }
}

type Ends = (u32, Option<IpAddr>, Option<IpAddr>, Option<u16>);

fn counts(book: &AlertBook) -> BTreeMap<Ends, u64> {
    book.alerts().map(|a| ((a.rule.sid, a.source, a.target, a.port), a.count)).collect()
}

fn pattern() -> impl Strategy<Value = String> {
    let address = || prop::sample::select(vec!["*", "10.0.0.1", "10.0.0.2/31", "10.0.0.*", "::/0"]);
    let rule = prop::sample::select(vec!["*", "1:1", "1:2", "TEST rule *", "*3", "nothing"]);
    let port = prop::sample::select(vec!["*", "1", "2-3"]);
    (rule, address(), address(), port).prop_map(|(r, s, t, p)| format!("{r}|{s}|{t}|{p}"))
}

proptest! {
    /// Whatever the order and the batches, each alert has the count of its reports.
    #[test]
    fn counts_are_exact(mut reports in made(), batch in 1..50_usize, seed in any::<u64>()) {
        let config = Config { max_per_rule: 1_000, ..Config::default() };
        let mut expected: BTreeMap<Ends, u64> = BTreeMap::new();
        for &(sid, src, dst, port, _) in &reports {
            *expected.entry((sid, Some(host(src)), Some(host(dst)), Some(port))).or_default() += 1;
        }
        let mut one = AlertBook::new(config.clone());
        feed(&mut one, &reports, batch);
        prop_assert_eq!(&counts(&one), &expected);
        // Another order.
        let mut state = seed;
        for i in (1..reports.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            reports.swap(i, (state >> 33) as usize % (i + 1));
        }
        let mut other = AlertBook::new(config);
        feed(&mut other, &reports, 7);
        prop_assert_eq!(&counts(&other), &expected);
    }

    /// Under any cap, no report is lost: it is in an alert that is open or in one that left.
    #[test]
    fn every_report_is_accounted_for(
        reports in made(), max_open in 1..20_usize, max_per_rule in 0..10_u32, batch in 1..20_usize,
    ) {
        let mut book = AlertBook::new(Config { max_open, max_per_rule, ..Config::default() });
        feed(&mut book, &reports, batch);
        let stats = book.stats();
        let open: u64 = book.alerts().map(|alert| alert.count).sum();
        prop_assert_eq!(stats.reports, reports.len() as u64);
        prop_assert_eq!(open + stats.left_reports, stats.reports);
        prop_assert!(book.alerts().count() <= max_open);
        prop_assert_eq!(stats.untold, 0);
    }

    /// A mute hides exactly what lies in its scope and in its time.
    #[test]
    fn mutes_hide_what_they_name_and_nothing_else(
        reports in made(), scope in pattern(), until in 1..1_200_i64,
        max_per_rule in prop::sample::select(vec![2_u32, 1_000]),
    ) {
        let mut book = AlertBook::new(Config { max_per_rule, ..Config::default() });
        let wanted = mute(&scope, until);
        let Ok(taken) = book.add_mute(wanted.clone(), at(0)) else {
            prop_assert!(wanted.scope.is_everything());
            return Ok(());
        };
        feed(&mut book, &reports, 10);
        let hidden = reports.iter().filter(|&&(sid, src, dst, port, second)| {
            second < until
                && taken.scope.matches(
                    RuleId { gid: 1, sid }, &format!("TEST rule {sid}"),
                    Some(host(src)), Some(host(dst)), Some(port),
                )
        });
        prop_assert_eq!(book.mutes()[0].hidden, hidden.count() as u64);
        if max_per_rule == 1_000 {
            for alert in book.alerts().filter(|alert| alert.state == AlertState::Muted) {
                prop_assert!(taken.covers(alert));
            }
        }
    }

    /// A mute that is over before anything happens hides nothing.
    #[test]
    fn an_expired_mute_hides_nothing(reports in made(), scope in pattern()) {
        let mut book = book();
        if book.add_mute(mute(&scope, 1), at(0)).is_ok() {
            let later: Vec<Made> =
                reports.iter().map(|&(a, b, c, d, second)| (a, b, c, d, second + 1)).collect();
            feed(&mut book, &later, 10);
            prop_assert_eq!(book.mutes()[0].hidden, 0);
            prop_assert!(book.alerts().all(|alert| alert.state == AlertState::New));
        }
    }

    /// What the preview says of the past is what the mute hides when the same comes again.
    #[test]
    fn the_preview_is_what_is_later_hidden(reports in made(), scope in pattern()) {
        let config = Config { max_per_rule: 1_000, ..Config::default() };
        let mut past = AlertBook::new(config.clone());
        feed(&mut past, &reports, 10);
        let wanted = mute(&scope, 2_000);
        let preview = wanted.preview(past.alerts());
        let mut again = AlertBook::new(config);
        if again.add_mute(wanted, at(0)).is_ok() {
            feed(&mut again, &reports, 10);
            let muted = || again.alerts().filter(|alert| alert.state == AlertState::Muted);
            prop_assert_eq!(again.mutes()[0].hidden, preview.reports.iter().sum::<u64>());
            prop_assert_eq!(muted().count() as u64, preview.total());
            for severity in Severity::ALL {
                let count = muted().filter(|alert| alert.severity == severity).count();
                prop_assert_eq!(count as u64, preview.alerts[severity as usize]);
            }
        }
    }
}
