//! The report of a capture: one HTML file that needs nothing else.
//!
//! It holds no script, and its content policy allows none. Strings of the wire reach it through
//! the template's escaping or that of the charts, and are shown without characters that hide or
//! turn text.

mod svg;

#[cfg(test)]
mod tests;

use std::io::{self, Write};

use askama::Template;
use flowtrack_detect::alerts::{AlertKind, AlertRecord};
use flowtrack_event::encryption::{CertificateRow, GradedVolume, Validity, Volume};
use flowtrack_event::{Histogram, Severity, Timestamp};

use crate::human;
use crate::summary::{FindingRow, Grid, Percentiles, Summary, SummaryView, Table, TrafficRow};
use svg::{Series, TimeAxis, Unit};

/// What a report says about itself.
#[derive(Clone, Debug)]
pub struct ReportInfo {
    /// Heading, such as the name of the capture.
    pub title: String,
    /// What was read.
    pub sources: Vec<ReportSource>,
    /// The filter that chose the packets, where there was one.
    pub filter: Option<String>,
    /// When it was made.
    pub generated: Timestamp,
    /// Version of the program.
    pub version: String,
}

/// A capture that a report is about.
#[derive(Clone, Debug)]
pub struct ReportSource {
    /// File or interface.
    pub name: String,
    /// What a reader must know about it, such as that it is cut off.
    pub note: Option<String>,
}

/// A report that is ready to be written.
#[derive(Debug)]
pub struct Report {
    info: ReportInfo,
    view: SummaryView,
}

impl Report {
    /// A report of everything that `summary` took in.
    pub fn new(summary: &Summary, info: ReportInfo) -> Self {
        Self { info, view: summary.view_with(ROWS, ALERTS) }
    }

    /// Writes the HTML file.
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        self.page().write_into(out)
    }

    fn sources(&self) -> Vec<&ReportSource> {
        let told = |source: &&ReportSource| {
            source.note.is_none() && self.info.sources.len() == 1 && source.name == self.info.title
        };
        self.info.sources.iter().filter(|source| !told(source)).collect()
    }

    fn page(&self) -> Page<'_> {
        let view = &self.view;
        let palette = Palette::new(view);
        Page {
            info: &self.info,
            sources: self.sources(),
            empty: view.span.is_none() && view.totals.packets == 0,
            generated: human::date_time(self.info.generated),
            span: view.span.map(|span| {
                let length = human::duration(span.end.since(span.start));
                format!("{} UTC ({length})", human::span(span.start, span.end))
            }),
            tiles: tiles(view),
            alerts: alerts(view),
            charts: charts(view, &palette),
            protocols: protocols(view, &palette),
            donut: donut(view, &palette),
            talkers: talkers(view),
            conversations: conversations(view),
            encryption: encryption(view),
            latency: latency(view),
            slowest: slowest(view),
            outcomes: outcomes(view),
            loss: loss(view),
            anomalies: anomalies(view),
            oddities: oddities(view),
            ledger: ledger(view),
        }
    }
}

/// Rows of each table.
const ROWS: usize = 20;
/// Alerts that are told with their evidence.
const ALERTS: usize = 200;
/// Pieces of evidence shown of one alert, and characters of each.
const EVIDENCE: (usize, usize) = (24, 400);
/// Protocols with a colour of their own.
const COLORS: usize = 6;

/// What the template is filled with; all text, laid out.
#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    info: &'a ReportInfo,
    /// Those that the heading does not already tell all about.
    sources: Vec<&'a ReportSource>,
    /// Whether there was no packet at all.
    empty: bool,
    generated: String,
    span: Option<String>,
    tiles: Vec<Tile>,
    alerts: AlertLines,
    charts: Vec<Chart>,
    protocols: Vec<ProtocolLine>,
    donut: String,
    talkers: Section<TalkerLine>,
    conversations: Section<ConversationLine>,
    encryption: Option<EncryptionLines>,
    latency: Vec<LatencyLine>,
    slowest: Vec<SlowLine>,
    outcomes: Vec<OutcomeLine>,
    loss: Vec<(&'static str, String)>,
    anomalies: Vec<AnomalyLine>,
    oddities: Vec<(&'static str, String)>,
    ledger: Option<LedgerLines>,
}

/// A number to be seen first.
struct Tile {
    label: &'static str,
    value: String,
    detail: String,
}

struct AlertLines {
    /// How many of each severity, the gravest first, of all that were kept.
    counts: Vec<(&'static str, String)>,
    section: Section<AlertLine>,
}

struct AlertLine {
    severity: &'static str,
    title: String,
    explanation: String,
    /// Source and target, each with the name that the traffic gave it.
    source: Option<(String, String)>,
    target: Option<(String, String)>,
    first: String,
    last: Option<String>,
    count: String,
    category: String,
    /// Identifier and name.
    technique: Option<(String, String)>,
    rule: String,
    evidence: Vec<(String, String)>,
}

struct Chart {
    title: &'static str,
    /// What a column of the chart stands for.
    detail: String,
    /// Name and class of each colour.
    legend: Vec<(String, String)>,
    svg: String,
}

/// Rows, and how many there are besides.
struct Section<T> {
    rows: Vec<T>,
    remainder: Option<String>,
}

struct ProtocolLine {
    name: String,
    class: String,
    flows: String,
    packets: String,
    bytes: String,
    share: String,
    bar: String,
}

struct TalkerLine {
    addr: String,
    name: String,
    flows: String,
    sent: String,
    received: String,
    total: String,
    bar: String,
}

struct ConversationLine {
    client: String,
    client_name: String,
    server: String,
    server_name: String,
    service: String,
    flows: String,
    packets: String,
    up: String,
    down: String,
    total: String,
    bar: String,
}

struct EncryptionLines {
    /// What, flows, bytes, share and bar.
    shares: Vec<VolumeLine>,
    versions: Vec<VolumeLine>,
    ciphers: Vec<VolumeLine>,
    clients: Vec<ClientLine>,
    certificates: Section<CertificateLine>,
    ech: Option<String>,
}

struct VolumeLine {
    name: String,
    weak: bool,
    flows: String,
    bytes: String,
    share: String,
    bar: String,
}

struct ClientLine {
    fingerprint: String,
    client: String,
    names: String,
    flows: String,
    bytes: String,
}

struct CertificateLine {
    name: String,
    issuer: String,
    server: String,
    fingerprint: String,
    from: String,
    to: String,
    age: i64,
    left: i64,
    troubles: String,
    flows: String,
}

struct LatencyLine {
    name: &'static str,
    p50: String,
    p95: String,
    p99: String,
    max: String,
    count: String,
}

struct SlowLine {
    time: String,
    start: String,
    client: String,
    server: String,
    server_name: String,
    service: String,
}

struct OutcomeLine {
    state: &'static str,
    meaning: &'static str,
    flows: String,
    share: String,
    bar: String,
}

struct AnomalyLine {
    name: &'static str,
    layer: &'static str,
    count: String,
    first: String,
}

struct LedgerLines {
    rows: Vec<(String, String, String)>,
    balances: bool,
}

/// Which protocol has which colour: the heaviest have one each, the rest share one.
struct Palette {
    names: Vec<String>,
}

impl Palette {
    fn new(view: &SummaryView) -> Self {
        let rows = protocol_rows(view);
        Self { names: rows.into_iter().take(COLORS).map(|row| row.name.clone()).collect() }
    }

    fn class(&self, name: &str) -> String {
        match self.names.iter().position(|known| known == name) {
            Some(i) => format!("s{}", i + 1),
            None => "s0".to_owned(),
        }
    }
}

fn protocol_rows(view: &SummaryView) -> Vec<&TrafficRow> {
    let protocols = &view.protocols;
    let mut rows: Vec<&TrafficRow> =
        protocols.application.iter().chain(&protocols.without_flow).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.bytes));
    rows
}

fn tiles(view: &SummaryView) -> Vec<Tile> {
    let totals = &view.totals;
    let tile = |label, value, detail| Tile { label, value, detail };
    let size = view.packet_size.avg.map(|avg| format!("{} a packet", human::bytes(avg)));
    let hosts = totals.hosts.map(|hosts| format!("between {} hosts", human::count(hosts)));
    let mut tiles = vec![
        tile("Packets", human::count(totals.packets), size.unwrap_or_default()),
        tile("Volume", human::bytes(totals.bytes), String::new()),
        tile("Flows", human::count(totals.flows), hosts.unwrap_or_default()),
    ];
    if let Some(rates) = view.rates {
        tiles[1].detail = format!("{} on average", human::bit_rate(rates.avg_bits_per_second));
        tiles.push(tile(
            "Peak",
            human::bit_rate(rates.peak_bits_per_second),
            human::packet_rate(rates.peak_packets_per_second),
        ));
    }
    if let Some(handshake) = view.latency.handshake {
        let detail = format!("95 % within {}", human::micros(handshake.p95_us));
        tiles.push(tile("TCP handshake", human::micros(handshake.p50_us), detail));
    }
    if let Some(share) = view.loss.retransmission_share {
        let detail = format!("{} segments", human::count(view.loss.retransmissions));
        tiles.push(tile("Sent again", human::percent(share), detail));
    }
    tiles
}

/// Alerts in words.
fn alerts(view: &SummaryView) -> AlertLines {
    let table = &view.findings;
    let counts = Severity::ALL.into_iter().rev().filter_map(|severity| {
        let count = view.findings_by_severity.get(severity.name())?;
        Some((severity.name(), human::count(*count)))
    });
    let section = Section {
        rows: table.rows.iter().map(alert).collect(),
        remainder: remainder(table, "alerts"),
    };
    AlertLines { counts: counts.collect(), section }
}

fn alert(row: &FindingRow) -> AlertLine {
    let FindingRow { alert, src_name, dest_name } = row;
    let port = alert.port.map_or_else(String::new, |port| format!(" port {port}"));
    AlertLine {
        severity: alert.severity.name(),
        title: shown(Some(&alert.title)),
        explanation: shown(Some(&alert.explanation)),
        source: alert.source.map(|addr| (addr.to_string(), shown(src_name.as_deref()))),
        target: alert.target.map(|addr| (format!("{addr}{port}"), shown(dest_name.as_deref()))),
        first: human::date_time(alert.first_seen),
        last: (alert.last_seen.secs() != alert.first_seen.secs())
            .then(|| human::later(alert.first_seen, alert.last_seen)),
        count: human::count(alert.count),
        category: shown(Some(&alert.category)),
        technique: alert
            .technique
            .as_ref()
            .map(|technique| (shown(Some(&technique.id)), shown(Some(&technique.name)))),
        rule: match alert.kind {
            AlertKind::Behaviour => shown(Some(&alert.name)),
            AlertKind::Signature => alert.rule.to_string(),
        },
        evidence: evidence(alert),
    }
}

fn evidence(alert: &AlertRecord) -> Vec<(String, String)> {
    let (pieces, length) = EVIDENCE;
    let rows = alert.evidence.iter().take(pieces).map(|(name, value)| {
        let value = value.to_string();
        let mut text: String = value.chars().take(length).collect();
        if text.len() < value.len() {
            text.push('…');
        }
        (shown(Some(&name.replace('_', " "))), shown(Some(&text)))
    });
    rows.collect()
}

/// Charts over time, for captures long enough to have one.
fn charts(view: &SummaryView, palette: &Palette) -> Vec<Chart> {
    let Some(grid) = view.grid.as_ref().filter(|grid| grid.columns.len() >= 3) else {
        return Vec::new();
    };
    let detail = match grid.step {
        1 => "per second".to_owned(),
        step => format!("in steps of {}", human::interval(step)),
    };
    let axis = TimeAxis { start: grid.start, step: grid.step, columns: grid.columns.len() };
    [throughput_chart(grid, axis, palette), latency_chart(grid, axis), loss_chart(grid, axis)]
        .into_iter()
        .flatten()
        .map(|chart| Chart { detail: detail.clone(), ..chart })
        .collect()
}

fn throughput_chart(grid: &Grid, axis: TimeAxis, palette: &Palette) -> Option<Chart> {
    let total = grid.per_second(|bucket| bucket.bytes * 8);
    let top = total.iter().copied().fold(0.0, f64::max);
    if top <= 0.0 {
        return None;
    }
    let mut series: Vec<Series> = Vec::new();
    let mut rest = total.clone();
    for name in &palette.names {
        let values = grid.per_second(|bucket| {
            let share = bucket.shares.iter().find(|(protocol, _)| protocol == name);
            share.map_or(0, |(_, bytes)| bytes * 8)
        });
        if values.iter().all(|&value| value <= 0.0) {
            continue;
        }
        for (rest, value) in rest.iter_mut().zip(&values) {
            *rest -= value;
        }
        let values = values.into_iter().map(Some).collect();
        series.push(Series { name: name.clone(), class: palette.class(name), values });
    }
    if rest.iter().any(|&value| value > top * 1e-4) {
        let name = if series.is_empty() { "all" } else { "other" }.to_owned();
        let class = if series.is_empty() { "s1" } else { "s0" }.to_owned();
        let values = rest.into_iter().map(|value| Some(value.max(0.0))).collect();
        series.push(Series { name, class, values });
    }
    Some(Chart {
        title: "Throughput",
        detail: String::new(),
        svg: svg::stacked_areas("Throughput over time", axis, &series, Unit::bit_rate(top)),
        legend: legend(&series),
    })
}

fn latency_chart(grid: &Grid, axis: TimeAxis) -> Option<Chart> {
    let series: Vec<Series> = [("99 %", "s5", 0.99), ("95 %", "s2", 0.95), ("median", "s1", 0.5)]
        .into_iter()
        .map(|(name, class, share)| {
            let quantile = |rtt: &Histogram| rtt.quantile(share).map(f64::from);
            let values = grid.columns.iter().map(|column| quantile(&column.rtt)).collect();
            Series { name: name.to_owned(), class: class.to_owned(), values }
        })
        .collect();
    let top = series.iter().flat_map(|s| &s.values).copied().flatten().fold(0.0, f64::max);
    (top > 0.0).then(|| Chart {
        title: "Round-trip time",
        detail: String::new(),
        svg: svg::duration_lines("Round-trip time over time", axis, &series),
        legend: legend(&series),
    })
}

fn loss_chart(grid: &Grid, axis: TimeAxis) -> Option<Chart> {
    let share = |value: u64, segments: u64| {
        (segments > 0).then(|| (value as f64 / segments as f64).min(1.0))
    };
    let series = [
        Series {
            name: "sent again".to_owned(),
            class: "s2".to_owned(),
            values: grid
                .columns
                .iter()
                .map(|c| share(c.retransmissions, c.data_segments))
                .collect(),
        },
        Series {
            name: "never seen".to_owned(),
            class: "s5".to_owned(),
            values: grid.columns.iter().map(|c| share(c.lost, c.data_segments)).collect(),
        },
    ];
    let any = series.iter().flat_map(|s| &s.values).any(|value| value.is_some_and(|v| v > 0.0));
    any.then(|| Chart {
        title: "TCP segments sent again or never seen",
        detail: String::new(),
        svg: svg::columns("Retransmissions and loss over time", axis, &series, Unit::percent()),
        legend: legend(&series),
    })
}

fn legend(series: &[Series]) -> Vec<(String, String)> {
    series.iter().map(|series| (series.name.clone(), series.class.clone())).collect()
}

fn donut(view: &SummaryView, palette: &Palette) -> String {
    let mut parts: Vec<(String, String, f64)> = Vec::new();
    let mut rest = 0.0;
    for row in protocol_rows(view) {
        if palette.names.contains(&row.name) {
            parts.push((row.name.clone(), palette.class(&row.name), row.share));
        } else {
            rest += row.share;
        }
    }
    if rest > 0.0 {
        parts.push(("other".to_owned(), "s0".to_owned(), rest));
    }
    svg::donut("Protocols by bytes", &parts, &human::bytes(view.totals.bytes))
}

fn protocols(view: &SummaryView, palette: &Palette) -> Vec<ProtocolLine> {
    let rows = protocol_rows(view);
    let lines = rows.iter().take(ROWS).map(|row| ProtocolLine {
        name: row.name.clone(),
        class: palette.class(&row.name),
        flows: if row.flows > 0 { human::count(row.flows) } else { "–".to_owned() },
        packets: human::count(row.packets),
        bytes: human::bytes(row.bytes),
        share: human::percent(row.share),
        bar: svg::cell_bar(&[(&palette.class(&row.name), row.share)]),
    });
    lines.collect()
}

fn talkers(view: &SummaryView) -> Section<TalkerLine> {
    let top = view.talkers.rows.first().map_or(1, |row| row.bytes.max(1)) as f64;
    let rows = view.talkers.rows.iter().map(|row| TalkerLine {
        addr: row.addr.clone(),
        name: shown(row.name.as_deref()),
        flows: human::count(row.flows),
        sent: human::bytes(row.bytes_sent),
        received: human::bytes(row.bytes_received),
        total: human::bytes(row.bytes),
        bar: svg::cell_bar(&[
            ("s1", row.bytes_sent as f64 / top),
            ("s3", row.bytes_received as f64 / top),
        ]),
    });
    Section { rows: rows.collect(), remainder: remainder(&view.talkers, "hosts") }
}

fn conversations(view: &SummaryView) -> Section<ConversationLine> {
    let table = &view.conversations;
    let top = table.rows.first().map_or(1, |row| row.bytes.max(1)) as f64;
    let rows = table.rows.iter().map(|row| ConversationLine {
        client: row.client.clone(),
        client_name: shown(row.client_name.as_deref()),
        server: row.server.clone(),
        server_name: shown(row.server_name.as_deref()),
        service: service(row.app, &row.proto, row.port),
        flows: human::count(row.flows),
        packets: human::count(row.packets),
        up: human::bytes(row.bytes_to_server),
        down: human::bytes(row.bytes_to_client),
        total: human::bytes(row.bytes),
        bar: svg::cell_bar(&[
            ("s1", row.bytes_to_server as f64 / top),
            ("s3", row.bytes_to_client as f64 / top),
        ]),
    });
    Section { rows: rows.collect(), remainder: remainder(table, "conversations") }
}

fn service(app: Option<&str>, proto: &str, port: Option<u16>) -> String {
    let name = app.map_or_else(|| proto.to_lowercase(), str::to_owned);
    port.map_or_else(|| name.clone(), |port| format!("{name} {port}"))
}

fn remainder<T>(table: &Table<T>, what: &str) -> Option<String> {
    match table.total_rows {
        Some(total) => {
            let more = total.saturating_sub(table.rows.len() as u64);
            (more > 0).then(|| format!("and {} more {what}", human::count(more)))
        }
        None => Some(format!("more {what} than are kept apart; rows are lower bounds")),
    }
}

fn encryption(view: &SummaryView) -> Option<EncryptionLines> {
    let encryption = &view.encryption;
    let shares = &encryption.shares;
    let parts = [
        ("Encrypted", shares.encrypted),
        ("Readable", shares.clear),
        ("Not named", shares.unnamed),
        ("– looks encrypted or compressed", shares.random),
        ("Without content", shares.control),
    ];
    let whole =
        shares.encrypted.bytes + shares.clear.bytes + shares.unnamed.bytes + shares.control.bytes;
    let line = |name: &str, weak: bool, flows: u64, bytes: u64| {
        let share = bytes as f64 / whole.max(1) as f64;
        VolumeLine {
            name: human::visible(name).into_owned(),
            weak,
            flows: human::count(flows),
            bytes: human::bytes(bytes),
            share: human::percent(share),
            bar: svg::cell_bar(&[(if weak { "s5" } else { "s1" }, share)]),
        }
    };
    let is_seen = |volume: &Volume| volume.flows > 0;
    if ![shares.encrypted, shares.clear, shares.unnamed].iter().any(is_seen) {
        return None;
    }
    let graded = |rows: &[GradedVolume]| {
        let rows = rows.iter().take(10);
        rows.map(|row| line(&row.name, row.weak, row.flows, row.bytes)).collect()
    };
    let clients = encryption.clients.iter().take(10).map(|row| ClientLine {
        fingerprint: row.fingerprint.clone(),
        client: row.client.clone(),
        names: shown(Some(&row.server_names.join(", "))),
        flows: human::count(row.flows),
        bytes: human::bytes(row.bytes),
    });
    let rows: Vec<CertificateLine> = encryption.certificates.iter().map(certificate).collect();
    let more = encryption.certificates_seen.saturating_sub(rows.len() as u64);
    Some(EncryptionLines {
        shares: parts
            .iter()
            .filter(|(_, volume)| is_seen(volume))
            .map(|(name, volume)| line(name, false, volume.flows, volume.bytes))
            .collect(),
        versions: graded(&encryption.versions),
        ciphers: graded(&encryption.ciphers),
        clients: clients.collect(),
        certificates: Section {
            rows,
            remainder: (more > 0).then(|| format!("and {} more certificates", human::count(more))),
        },
        ech: (encryption.ech_flows > 0).then(|| human::count(encryption.ech_flows)),
    })
}

fn certificate(row: &CertificateRow) -> CertificateLine {
    let troubles = [
        (row.validity != Validity::Valid).then(|| row.validity.to_string()),
        row.self_signed.then(|| "self-signed".to_owned()),
        (row.wrong_name_flows > 0).then(|| "for another name".to_owned()),
    ];
    CertificateLine {
        name: shown(row.server_name.as_deref().or(Some(&row.subject))),
        issuer: shown(Some(&row.issuer)),
        server: row.server.clone(),
        fingerprint: row.fingerprint.clone(),
        from: human::day(row.not_before),
        to: human::day(row.not_after),
        age: row.age_days,
        left: row.days_left,
        troubles: troubles.into_iter().flatten().collect::<Vec<_>>().join(", "),
        flows: human::count(row.flows),
    }
}

fn latency(view: &SummaryView) -> Vec<LatencyLine> {
    let latency = &view.latency;
    let line = |name, row: Percentiles| LatencyLine {
        name,
        p50: human::micros(row.p50_us),
        p95: human::micros(row.p95_us),
        p99: human::micros(row.p99_us),
        max: row.max_us.map_or_else(|| "–".to_owned(), human::micros),
        count: human::count(row.count),
    };
    [
        ("TCP handshake", latency.handshake),
        ("– client side", latency.handshake_client),
        ("– server side", latency.handshake_server),
        ("Round trip", latency.rtt),
        ("DNS answer", latency.dns),
        ("ICMP echo", latency.icmp_echo),
    ]
    .into_iter()
    .filter_map(|(name, row)| Some(line(name, row?)))
    .collect()
}

fn slowest(view: &SummaryView) -> Vec<SlowLine> {
    let rows = view.slowest_handshakes.iter().take(10).map(|row| SlowLine {
        time: human::micros(row.handshake_us),
        start: human::time_of_day(row.start),
        client: row.client.clone(),
        server: row.server.clone(),
        server_name: shown(row.server_name.as_deref()),
        service: service(row.app, "tcp", Some(row.port)),
    });
    rows.collect()
}

fn outcomes(view: &SummaryView) -> Vec<OutcomeLine> {
    let total = view.outcomes.iter().map(|row| row.flows).sum::<u64>().max(1) as f64;
    let rows = view.outcomes.iter().map(|row| OutcomeLine {
        state: row.state,
        meaning: row.meaning,
        flows: human::count(row.flows),
        share: human::percent(row.flows as f64 / total),
        bar: svg::cell_bar(&[("s1", row.flows as f64 / total)]),
    });
    rows.collect()
}

fn loss(view: &SummaryView) -> Vec<(&'static str, String)> {
    if view.outcomes.is_empty() {
        return Vec::new();
    }
    let loss = &view.loss;
    let mut again = human::count(loss.retransmissions);
    if let (Some(segments), Some(share)) = (loss.data_segments, loss.retransmission_share) {
        again = format!("{again} of {} ({})", human::count(segments), human::percent(share));
    }
    let lost = format!("{} ({})", human::count(loss.lost_segments), human::bytes(loss.lost_bytes));
    vec![
        ("Data segments sent again", again),
        ("Out of order", human::count(loss.out_of_order)),
        ("Never seen", lost),
        ("Window closed by the receiver", human::count(loss.zero_windows)),
    ]
}

fn anomalies(view: &SummaryView) -> Vec<AnomalyLine> {
    let rows = view.anomalies.iter().map(|row| AnomalyLine {
        name: row.name,
        layer: match row.layer {
            Some(flowtrack_event::AnomalyLayer::Decode) => "header",
            Some(flowtrack_event::AnomalyLayer::Stream) => "stream",
            Some(flowtrack_event::AnomalyLayer::Applayer) => "application",
            None => "–",
        },
        count: human::count(row.count),
        first: row.first_packet.map_or_else(|| "–".to_owned(), human::count),
    });
    rows.collect()
}

fn oddities(view: &SummaryView) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    let fragments = &view.fragments;
    if fragments.ipv4 + fragments.ipv6 > 0 {
        let together = fragments.ipv4_reassembled + fragments.ipv6_reassembled;
        rows.push(("Fragments", human::count(fragments.ipv4 + fragments.ipv6)));
        rows.push(("Packets put together", human::count(together)));
        rows.push(("Packets given up", human::count(fragments.timeouts)));
    }
    if let Some(detectors) = &view.detectors {
        for (label, count) in [
            ("Detections left out", detectors.left_out),
            ("Hosts and names forgotten by detectors", detectors.forgotten),
        ] {
            if count > 0 {
                rows.push((label, human::count(count)));
            }
        }
    }
    for row in &view.tunnels {
        let text = format!("{} in {}", human::count(row.flows), row.name);
        rows.push(("Inner flows", text));
    }
    if let Some(capture) = &view.capture {
        for (label, drops) in [
            ("Dropped by the kernel", capture.kernel_drops),
            ("Dropped by the interface", capture.kernel_ifdrops),
            ("Dropped by FlowTrack", capture.own_drops),
        ] {
            if drops > 0 {
                rows.push((label, human::count(drops)));
            }
        }
    }
    rows
}

fn ledger(view: &SummaryView) -> Option<LedgerLines> {
    let ledger = view.ledger.as_ref().filter(|ledger| ledger.seen.packets > 0)?;
    let line = |name: &str, packets: u64, bytes: u64| {
        (name.to_owned(), human::count(packets), format!("{} B", human::count(bytes)))
    };
    let mut rows = vec![line("on flows", ledger.on_flows.packets, ledger.on_flows.bytes)];
    let rest = ledger.rest.iter().filter(|(_, row)| row.packets > 0);
    rows.extend(rest.map(|(name, row)| line(name, row.packets, row.bytes)));
    rows.push(line("all frames", ledger.seen.packets, ledger.seen.bytes));
    Some(LedgerLines { rows, balances: ledger.balances() })
}

/// A name of the wire without what cannot be seen.
fn shown(name: Option<&str>) -> String {
    human::visible(name.unwrap_or_default()).into_owned()
}
