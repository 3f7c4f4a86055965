//! The summary of an office's minute, of nothing, and of traffic that is out to harm.

use flowtrack_event::EndReason;
use serde_json::Value;

use super::*;
use crate::samples;

fn summary(events: &[Event]) -> Summary {
    let mut summary = Summary::new();
    for event in events {
        summary.ingest(event);
    }
    for alert in samples::findings(events) {
        summary.finding(alert);
    }
    summary
}

#[test]
fn an_office_on_eighty_columns() {
    let text = summary(&samples::office()).to_text(80, false);
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
    }
    samples::expect_file("summary.txt", &text);
}

#[test]
fn details_have_names_what_was_said_and_evidence() {
    let mut detailed = Summary::with_details();
    let mut events = samples::office();
    events.push(samples::transaction(&samples::tcp_flow(), samples::hostile()));
    events.iter().for_each(|event| detailed.ingest(event));
    samples::findings(&events).into_iter().for_each(|alert| detailed.finding(alert));
    for width in [72, 80, 120] {
        for line in detailed.to_text(width, false).lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
            assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line:?}");
        }
    }
    samples::expect_file("details.txt", &detailed.to_text(80, false));
    let view = detailed.view(2);
    assert_eq!((view.names.rows.len(), view.names.rows[0].name.as_str()), (2, "www.example.org"));
    assert!(view.names.rows[0].bytes > view.names.rows[1].bytes);
    assert!(view.said.iter().any(|row| row.protocol == "dns"), "{:?}", view.said);
    assert!(summary(&events).view(2).said.is_empty(), "only where it is asked for");
}

#[test]
fn an_office_as_json() {
    let summary = summary(&samples::office());
    let mut view = summary.view(3);
    let whole = serde_json::to_value(&summary).unwrap();
    assert_eq!(whole["talkers"]["rows"].as_array().unwrap().len(), 30);
    assert_eq!(whole["totals"], serde_json::to_value(view.totals).unwrap());
    let throughput = view.throughput.as_mut().unwrap();
    assert_eq!(throughput.bits_per_second.len(), 60);
    throughput.bits_per_second.truncate(3);
    throughput.packets_per_second.truncate(3);
    let json = serde_json::to_string_pretty(&view).unwrap();
    samples::expect_file("summary.json", &(json + "\n"));
}

#[test]
fn nothing_is_said_of_nothing() {
    let summary = Summary::new();
    assert_eq!(summary.to_text(80, true), "No packets.\n");
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!((&json["span"], &json["totals"]["packets"]), (&Value::Null, &Value::from(0)));
}

#[test]
fn counters_alone_are_worth_a_summary() {
    let text = summary(&[Event::Stats(Box::new(samples::stats()))]).to_text(80, false);
    assert!(text.starts_with("Traffic         113 packets, 44.3 kB"), "{text}");
}

#[test]
fn fits_any_width_whatever_the_wire_says() {
    let mut events = samples::office();
    events.push(samples::transaction(&samples::tcp_flow(), samples::hostile()));
    let mut flow = samples::icmp_flow();
    flow.key.src = samples::ip("2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff");
    flow.to_server.bytes = u64::from(u32::MAX) * 1_000;
    flow.app = Some(samples::app("a-protocol-with-a-very-long-name"));
    events.push(samples::ended(flow, EndReason::Timeout));
    let summary = summary(&events);
    for width in [0, 72, 80, 100, 120, 500] {
        let text = summary.to_text(width, false);
        for line in text.lines() {
            assert!(line.chars().count() <= width.clamp(72, 120), "{width}: {line}");
            assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line:?}");
        }
    }
}

#[test]
fn colour_changes_nothing_but_the_colour() {
    let summary = summary(&samples::office());
    let mut plain = summary.to_text(80, true);
    for code in ["0", "1", "2", "31", "33", "36"] {
        plain = plain.replace(&format!("\x1b[{code}m"), "");
    }
    let plain: Vec<&str> = plain.lines().map(str::trim_end).collect();
    assert_eq!(plain, summary.to_text(80, false).lines().collect::<Vec<_>>());
}

#[test]
fn totals_do_not_depend_on_the_rows_shown() {
    let mut events = Vec::new();
    for n in 0..70_000_u32 {
        let mut flow = samples::udp_flow();
        flow.key.src = std::net::Ipv4Addr::from_bits(0x0a00_0000 + n).into();
        events.push(samples::ended(flow, EndReason::Timeout));
    }
    let view = summary(&events).view(5);
    assert_eq!((view.totals.flows, view.totals.flow_bytes), (70_000, 70_000 * 166));
    assert_eq!(view.totals.hosts, None);
    assert!(!view.talkers.complete && view.talkers.total_rows.is_none());
    assert_eq!(view.talkers.rows[0].bytes, 70_000 * 166, "the one server is never let go");
    assert_eq!(view.talkers.rows.len(), 5);
}

#[test]
fn only_ended_flows_count_and_counters_replace_one_another() {
    let mut events = vec![samples::ended(samples::tcp_flow(), EndReason::Timeout)];
    for phase in [FlowPhase::Start, FlowPhase::Update] {
        let record = samples::tcp_flow();
        events.push(Event::Flow(Box::new(FlowEvent { ts: record.end, phase, record })));
    }
    events.push(Event::Stats(Box::new(samples::stats())));
    events.push(Event::Stats(Box::new(samples::stats())));
    let view = summary(&events).view(5);
    assert_eq!((view.totals.flows, view.totals.packets), (1, 113));
}

#[test]
fn a_host_that_talks_to_itself_has_one_flow() {
    let mut flow = samples::udp_flow();
    flow.key.dst = flow.key.src;
    let view = summary(&[samples::ended(flow, EndReason::Timeout)]).view(5);
    let host = &view.talkers.rows[0];
    assert_eq!((host.flows, host.packets, host.bytes_sent, host.bytes_received), (1, 2, 166, 166));
}

#[test]
fn the_peak_is_never_below_the_average() {
    let mut flow = samples::udp_flow();
    flow.end = flow.start.plus(std::time::Duration::from_millis(100));
    let second = Second { at: samples::at(0, 0), packets: 2, bytes: 1_000, ..Second::default() };
    let events = [samples::ended(flow, EndReason::Timeout), Event::Second(Box::new(second))];
    let rates = summary(&events).view(5).rates.unwrap();
    assert!((rates.avg_bits_per_second - 80_000.0).abs() < 1.0);
    assert!(rates.peak_bits_per_second >= rates.avg_bits_per_second);
}

#[test]
fn percentiles_stay_within_what_was_measured() {
    let view = summary(&[samples::ended(samples::tcp_flow(), EndReason::Timeout)]).view(5);
    let handshake = view.latency.handshake.unwrap();
    let all = [handshake.p50_us, handshake.p95_us, handshake.p99_us, handshake.max_us.unwrap()];
    assert_eq!(all, [18_660; 4]);
    assert_eq!(view.slowest_handshakes[0].handshake_us, 18_660);
}
