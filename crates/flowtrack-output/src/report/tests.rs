//! The report of an office, of nothing, and of strings that try to run.

use super::*;
use crate::samples;

fn info(title: &str) -> ReportInfo {
    ReportInfo {
        title: title.to_owned(),
        sources: vec![ReportSource { name: "office.pcap".to_owned(), note: None }],
        filter: None,
        generated: samples::at(3_600, 0),
        version: "1.2.3".to_owned(),
    }
}

fn html(events: &[flowtrack_event::Event], info: ReportInfo) -> String {
    let mut summary = Summary::new();
    for event in events {
        summary.ingest(event);
    }
    for alert in samples::findings(events) {
        summary.finding(alert);
    }
    let mut out = Vec::new();
    Report::new(&summary, info).write_to(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn an_office_has_every_part() {
    let html = html(&samples::office(), info("office.pcap"));
    for heading in [
        "Alerts",
        "Throughput",
        "Round-trip time",
        "TCP segments sent again or never seen",
        "Protocols",
        "Top talkers",
        "Conversations",
        "Encryption",
        "Clients by fingerprint",
        "Certificates",
        "Slowest handshakes",
        "Latency",
        "TCP connections",
        "Loss and order",
        "Anomalies",
        "Where every frame went",
    ] {
        assert!(html.contains(&format!("<h2>{heading}")), "{heading}");
    }
    for text in [
        "192.168.1.66 scans ports of 192.168.1.10 &#60;b&#62;",
        "<small>2×</small>",
        "it looks for a way in.",
        "T1046 Network Service Discovery",
        "<dt><bdi>some ports</bdi></dt><dd><bdi>22, 80</bdi></dd>",
    ] {
        assert!(html.contains(text), "{text}");
    }
    for text in ["68.5 MB", "203.0.113.80", "www.example.org", "ipv4.trunc_pkt", "The sums agree."]
    {
        assert!(html.contains(text), "{text}");
    }
    for name in ["section", "table", "tr", "td", "div", "svg", "title", "bdi", "ul", "li"] {
        let closed = html.matches(&format!("</{name}>")).count();
        let opened =
            html.matches(&format!("<{name}>")).count() + html.matches(&format!("<{name} ")).count();
        assert_eq!(opened, closed, "{name}");
    }
    if let Some(path) = std::env::var_os("FLOWTRACK_REPORT_SAMPLE") {
        std::fs::write(path, html).unwrap();
    }
}

#[test]
fn nothing_is_reported_of_nothing() {
    let html = html(&[], info("empty.pcap"));
    assert!(html.contains("No packets") && !html.contains("<svg"));
}

#[test]
fn strings_of_the_wire_are_text() {
    let mut events = samples::office();
    let names: Vec<_> = samples::HOSTILE
        .iter()
        .enumerate()
        .map(|(n, name)| (samples::ip(&format!("192.168.1.{}", 10 + n)), (*name).to_owned()))
        .collect();
    let record = serde_json::Value::Null;
    let protocol = flowtrack_event::AppProto("dns");
    let sample = samples::Sample { protocol, record, names };
    events.push(samples::transaction(&samples::udp_flow(), sample));
    let mut hostile = info(samples::HOSTILE[0]);
    hostile.sources[0].name = samples::HOSTILE[1].to_owned();
    hostile.sources[0].note = Some(samples::HOSTILE[3].to_owned());
    hostile.filter = Some(samples::HOSTILE.concat());
    let html = html(&events, hostile);
    assert!(html.contains("alert(1)"), "the names are shown");
    assert_eq!(tags(&html, "script"), 0);
    assert_eq!(tags(&html, "img"), 0);
    assert_eq!(tags(&html, "style"), 1);
    assert_eq!(html.matches("</style>").count(), 1);
    // No tag of the page has an attribute that begins with "on".
    for tag in html.split('<').skip(1).filter_map(|rest| rest.split_once('>')) {
        assert!(!tag.0.contains(" onload") && !tag.0.contains(" onerror"), "{}", tag.0);
    }
    assert!(html.contains("default-src 'none'") && !html.contains("javascript:"));
}

#[test]
fn a_capture_too_short_for_charts_has_none() {
    let flow = samples::ended(samples::udp_flow(), flowtrack_event::EndReason::Timeout);
    let html = html(&[flow], info("short.pcap"));
    assert!(!html.contains("class=\"plot\"") && html.contains("192.168.1.10"));
}

fn tags(html: &str, name: &str) -> usize {
    html.to_lowercase().matches(&format!("<{name}")).count()
}
