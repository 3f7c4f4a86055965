//! The summary for a terminal.
//!
//! Every line is at most as wide as asked, counted in characters: what comes from the wire is
//! reduced to printable ASCII first, so that it cannot move the cursor or the columns.

use std::fmt::Write as _;

use super::{Percentiles, SummaryView, TrafficRow};
use crate::human;
use flowtrack_detect::alerts::{AlertKind, AlertRecord};
use flowtrack_event::encryption::{CertificateRow, Validity};
use flowtrack_event::{DetectorStats, Severity};

/// How much is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum More {
    /// What fits on a screen or two.
    Nothing,
    /// Longer tables, the evidence of alerts, names, and what was said.
    Details,
}

impl More {
    /// Rows of tables.
    pub(super) const fn rows(self) -> usize {
        match self {
            Self::Nothing => 10,
            Self::Details => 25,
        }
    }
}

/// Renders for `width` columns, with colours where the terminal has them.
pub(super) fn render(view: &SummaryView, more: More, width: usize, color: bool) -> String {
    let width = width.clamp(72, 120);
    let mut page = Page { text: String::new(), width, color, more };
    page.head(view);
    page.alerts(view);
    page.throughput(view);
    page.protocols(view);
    page.talkers(view);
    page.conversations(view);
    page.names(view);
    page.said(view);
    page.encryption(view);
    page.certificates(view);
    page.latency(view);
    page.tcp(view);
    page.oddities(view);
    page.ledger(view);
    page.text
}

struct Page {
    text: String,
    width: usize,
    color: bool,
    more: More,
}

/// How a piece of text looks on a terminal with colours.
#[derive(Clone, Copy)]
enum Look {
    Heading,
    Bar,
    Dim,
    Warning,
    Bad,
}

impl Page {
    fn head(&mut self, view: &SummaryView) {
        let totals = &view.totals;
        if view.span.is_none() && totals.packets == 0 {
            self.line("No packets.");
            return;
        }
        if let Some(span) = view.span {
            let length = human::duration(span.end.since(span.start));
            self.field("Time", &format!("{} UTC ({length})", human::span(span.start, span.end)));
        }
        let mut traffic =
            format!("{} packets, {}", human::count(totals.packets), human::bytes(totals.bytes));
        if let Some(avg) = view.packet_size.avg {
            write!(traffic, "; {} a packet", human::bytes(avg)).expect(STRING);
        }
        if let Some(max) = view.packet_size.max {
            write!(traffic, ", at most {}", human::bytes(max)).expect(STRING);
        }
        self.field("Traffic", &traffic);
        if let Some(rates) = view.rates {
            self.field(
                "Average",
                &format!(
                    "{}, {}",
                    human::bit_rate(rates.avg_bits_per_second),
                    human::packet_rate(rates.avg_packets_per_second)
                ),
            );
            self.field(
                "Peak",
                &format!(
                    "{}, {}",
                    human::bit_rate(rates.peak_bits_per_second),
                    human::packet_rate(rates.peak_packets_per_second)
                ),
            );
        }
        let mut flows = human::count(totals.flows);
        if let Some(hosts) = totals.hosts {
            write!(flows, " between {}", plural(hosts, "host")).expect(STRING);
        }
        if totals.transactions > 0 {
            write!(flows, "; {}", plural(totals.transactions, "transaction")).expect(STRING);
        }
        if totals.files > 0 {
            let size = human::bytes(totals.file_bytes);
            write!(flows, ", {} ({size})", plural(totals.files, "file")).expect(STRING);
        }
        self.field("Flows", &flows);
        if let Some(capture) = &view.capture {
            let drops = [
                (capture.kernel_drops, "by the kernel"),
                (capture.kernel_ifdrops, "by the interface"),
                (capture.own_drops, "by FlowTrack"),
            ];
            let drops: Vec<String> = drops
                .iter()
                .filter(|(n, _)| *n > 0)
                .map(|(n, who)| format!("{} {who}", plural(*n, "packet")))
                .collect();
            if !drops.is_empty() {
                self.warning("Dropped", &drops.join(", "));
            }
        }
    }

    /// One row of block characters, and when it begins and ends.
    fn throughput(&mut self, view: &SummaryView) {
        let Some(grid) = &view.grid else { return };
        let Some(throughput) = &view.throughput else { return };
        let values = &throughput.bits_per_second;
        if values.len() < 3 {
            return;
        }
        let room = self.width - INDENT.len();
        let columns = squeeze(values, room);
        let top = columns.iter().copied().fold(0.0, f64::max);
        self.heading("Throughput", "");
        let bars: String = columns.iter().map(|&value| block(value, top)).collect();
        // Short captures get bars wide enough to be seen.
        let wide = (room / columns.len()).clamp(1, 4);
        let bars: String = bars.chars().flat_map(|bar| std::iter::repeat_n(bar, wide)).collect();
        let length = columns.len() * wide;
        let bars = self.look(Look::Bar, &bars);
        self.line(&format!("{INDENT}{bars}"));
        let begin = human::time_of_day(grid.start);
        let end = view.span.map(|span| human::time_of_day(span.end)).unwrap_or_default();
        let middle = format!("highest bar {}", human::bit_rate(top));
        let room = length.max(begin.len() + middle.len() + end.len() + 4).min(room);
        let space = room - begin.len() - middle.len() - end.len();
        let legend = format!(
            "{begin}{}{middle}{}{end}",
            " ".repeat(space / 2),
            " ".repeat(space - space / 2)
        );
        let legend = self.look(Look::Dim, &legend);
        self.line(&format!("{INDENT}{legend}"));
    }

    fn protocols(&mut self, view: &SummaryView) {
        let mut rows: Vec<&TrafficRow> =
            view.protocols.application.iter().chain(&view.protocols.without_flow).collect();
        if rows.is_empty() {
            return;
        }
        rows.sort_by_key(|row| std::cmp::Reverse(row.bytes));
        self.heading("Protocols", "flows     packets       bytes   share");
        let (shown, rest) = rows.split_at(rows.len().min(10));
        let bar_room = self.width - INDENT.len() - 14 - NUMBERS - 10;
        for row in shown {
            let bar = bar(row.share, bar_room);
            let bar = format!("{}{}", self.look(Look::Bar, &bar), pad(&bar, bar_room));
            let flows = if row.flows > 0 { human::count(row.flows) } else { "-".to_owned() };
            self.line(&format!(
                "{INDENT}{:<13} {bar}{flows:>10}{:>12}{:>12} {:>8}",
                fit(&row.name, 13),
                human::count(row.packets),
                human::bytes(row.bytes),
                human::percent(row.share),
            ));
        }
        if !rest.is_empty() {
            let (packets, bytes) =
                rest.iter().fold((0, 0), |(p, b), row| (p + row.packets, b + row.bytes));
            let share: f64 = rest.iter().map(|row| row.share).sum();
            let flows: u64 = rest.iter().map(|row| row.flows).sum();
            self.line(&format!(
                "{INDENT}{:<13} {}{:>10}{:>12}{:>12} {:>8}",
                format!("{} others", rest.len()),
                " ".repeat(bar_room),
                human::count(flows),
                human::count(packets),
                human::bytes(bytes),
                human::percent(share),
            ));
        }
    }

    fn talkers(&mut self, view: &SummaryView) {
        let table = &view.talkers;
        if table.rows.is_empty() {
            return;
        }
        self.heading("Top talkers", "flows        sent    received       total");
        let room = self.width - INDENT.len() - 46;
        for row in &table.rows {
            self.line(&format!(
                "{INDENT}{:<room$}{:>10}{:>12}{:>12}{:>12}",
                host(&row.addr, row.name.as_deref(), room),
                human::count(row.flows),
                human::bytes(row.bytes_sent),
                human::bytes(row.bytes_received),
                human::bytes(row.bytes),
            ));
        }
        self.remainder(table.rows.len(), table.total_rows, "host");
    }

    fn conversations(&mut self, view: &SummaryView) {
        let table = &view.conversations;
        if table.rows.is_empty() {
            return;
        }
        self.heading("Conversations", "flows       bytes");
        let room = self.width - INDENT.len() - 22;
        for row in &table.rows {
            let proto = row.proto.to_lowercase();
            let service = match (row.port, row.app) {
                (Some(port), Some(app)) => format!("{app} {port}"),
                (Some(port), None) => format!("{proto} {port}"),
                (None, app) => app.map_or(proto, str::to_owned),
            };
            let service = fit(&service, 16);
            let hosts = room - 3 - service.len() - 2;
            let client = host(&row.client, None, hosts / 2);
            let server =
                host(&row.server, row.server_name.as_deref(), hosts - client.chars().count());
            let text = format!("{client} → {server}  {service}");
            self.line(&format!(
                "{INDENT}{text:<room$}{:>10}{:>12}",
                human::count(row.flows),
                human::bytes(row.bytes),
            ));
        }
        self.remainder(table.rows.len(), table.total_rows, "conversation");
    }

    /// How much is encrypted, then by what.
    fn encryption(&mut self, view: &SummaryView) {
        let encryption = &view.encryption;
        let shares = &encryption.shares;
        let parts = [
            ("encrypted", shares.encrypted),
            ("readable", shares.clear),
            ("not named", shares.unnamed),
            ("  looks encrypted", shares.random),
        ];
        let whole = shares.encrypted.bytes
            + shares.clear.bytes
            + shares.unnamed.bytes
            + shares.control.bytes;
        if parts.iter().all(|(_, volume)| volume.flows == 0) {
            return;
        }
        self.heading("Encryption", "flows       bytes   share");
        let room = self.width - INDENT.len() - 31;
        let row = |page: &mut Self, name: &str, is_bad: bool, flows: u64, bytes: u64| {
            let name = format!("{:<room$}", fit(name, room));
            let name = if is_bad { page.look(Look::Warning, &name) } else { name };
            page.line(&format!(
                "{INDENT}{name}{:>10}{:>12} {:>8}",
                human::count(flows),
                human::bytes(bytes),
                human::percent(bytes as f64 / whole.max(1) as f64),
            ));
        };
        for (name, volume) in parts.iter().filter(|(_, volume)| volume.flows > 0) {
            row(self, name, false, volume.flows, volume.bytes);
        }
        for kind in encryption.versions.iter().take(8).chain(encryption.ciphers.iter().take(5)) {
            let name = if kind.weak { format!("{} (weak)", kind.name) } else { kind.name.clone() };
            row(self, &name, kind.weak, kind.flows, kind.bytes);
        }
        for client in encryption.clients.iter().take(3) {
            let host = client.server_names.first().unwrap_or(&client.client);
            let both = format!("{} {host}", client.fingerprint);
            let name = if both.len() < room { both } else { client.fingerprint.clone() };
            row(self, &name, false, client.flows, client.bytes);
        }
        if encryption.ech_flows > 0 {
            let flows = plural(encryption.ech_flows, "flow");
            self.field("  encrypted SNI", &format!("{flows} (ECH, or feigned)"));
        }
    }

    fn certificates(&mut self, view: &SummaryView) {
        let encryption = &view.encryption;
        if encryption.certificates.is_empty() {
            return;
        }
        self.heading("Certificates", "flows   age, days    left");
        let room = self.width - INDENT.len() - 30;
        for row in encryption.certificates.iter().take(8) {
            let trouble = trouble(row);
            let name = row.server_name.as_deref().unwrap_or(&row.subject);
            let name = match trouble {
                Some(trouble) => {
                    let trouble = format!(" ({trouble})");
                    format!("{}{trouble}", fit(name, room - trouble.len() - 1))
                }
                None => fit(name, room - 1),
            };
            let name = format!("{name:<room$}");
            let name = if trouble.is_some() { self.look(Look::Warning, &name) } else { name };
            self.line(&format!(
                "{INDENT}{name}{:>10}{:>12}{:>8}",
                human::count(row.flows),
                row.age_days,
                row.days_left,
            ));
        }
        let total = (!encryption.partial).then_some(encryption.certificates_seen);
        self.remainder(encryption.certificates.len().min(8), total, "certificate");
    }

    fn latency(&mut self, view: &SummaryView) {
        let latency = &view.latency;
        let rows: Vec<(&str, Percentiles)> = [
            ("TCP handshake", latency.handshake),
            ("  client side", latency.handshake_client),
            ("  server side", latency.handshake_server),
            ("round trip", latency.rtt),
            ("DNS answer", latency.dns),
            ("ICMP echo", latency.icmp_echo),
        ]
        .into_iter()
        .filter_map(|(name, row)| row.map(|row| (name, row)))
        .collect();
        if rows.is_empty() {
            return;
        }
        self.heading("Latency", "median       95 %       99 %    longest   measured");
        let room = self.width - INDENT.len() - 55;
        for (name, row) in rows {
            let longest = row.max_us.map_or_else(|| "-".to_owned(), human::micros);
            self.line(&format!(
                "{INDENT}{name:<room$}{:>11}{:>11}{:>11}{longest:>11}{:>11}",
                human::micros(row.p50_us),
                human::micros(row.p95_us),
                human::micros(row.p99_us),
                human::count(row.count),
            ));
        }
    }

    fn tcp(&mut self, view: &SummaryView) {
        if view.outcomes.is_empty() {
            return;
        }
        self.heading("TCP", "");
        let loss = &view.loss;
        let mut retransmitted = human::count(loss.retransmissions);
        if let (Some(share), Some(segments)) = (loss.retransmission_share, loss.data_segments) {
            write!(retransmitted, " of {} data segments", human::count(segments)).expect(STRING);
            write!(retransmitted, " ({})", human::percent(share)).expect(STRING);
        }
        self.field("  sent again", &retransmitted);
        self.field("  out of order", &human::count(loss.out_of_order));
        let lost = match loss.lost_segments {
            0 => "0".to_owned(),
            n => format!("{} segments, {}", human::count(n), human::bytes(loss.lost_bytes)),
        };
        self.field("  never seen", &lost);
        self.field("  zero window", &human::count(loss.zero_windows));
        let connections: u64 = view.outcomes.iter().map(|row| row.flows).sum();
        self.field("  connections", &human::count(connections));
        let room = self.width - INDENT.len() - 26;
        for row in view.outcomes.iter().take(6) {
            let share = human::percent(row.flows as f64 / connections.max(1) as f64);
            self.line(&format!(
                "{INDENT}{:<6}  {:<room$}{:>9}{share:>9}",
                row.state,
                fit(row.meaning, room),
                human::count(row.flows),
            ));
        }
    }

    fn oddities(&mut self, view: &SummaryView) {
        let parts = [
            (view.fragments.ipv4 + view.fragments.ipv6, "fragments"),
            (view.fragments.ipv4_reassembled + view.fragments.ipv6_reassembled, "put together"),
            (view.fragments.timeouts, "given up"),
        ];
        let has_fragments = parts[0].0 > 0;
        if has_fragments || !view.tunnels.is_empty() {
            self.gap();
        }
        if has_fragments {
            let text: Vec<String> =
                parts.iter().map(|(n, what)| format!("{} {what}", human::count(*n))).collect();
            self.field("Fragments", &text.join(", "));
        }
        if !view.tunnels.is_empty() {
            let rows = view.tunnels.iter();
            let text: Vec<String> =
                rows.map(|row| format!("{} in {}", human::count(row.flows), row.name)).collect();
            self.field("Inner flows", &text.join(", "));
        }
        if view.anomalies.is_empty() {
            return;
        }
        self.heading("Anomalies", "count   first packet");
        let room = self.width - INDENT.len() - 27;
        for row in view.anomalies.iter().take(10) {
            let first = row.first_packet.map_or_else(|| "-".to_owned(), human::count);
            let name = format!("{:<room$}", fit(row.name, room));
            let name = self.look(Look::Warning, &name);
            self.line(&format!("{INDENT}{name}{:>12}{first:>15}", human::count(row.count)));
        }
        let total = Some(view.anomalies.len() as u64);
        self.remainder(view.anomalies.len().min(10), total, "kind");
    }

    /// The gravest alerts: how grave, what, between whom where the title does not say it, how often.
    fn alerts(&mut self, view: &SummaryView) {
        let table = &view.findings;
        let short = view.detectors.and_then(|stats| shortfall(&stats));
        if table.rows.is_empty() {
            if let Some(short) = short {
                self.warning("Detectors", &short);
            }
            return;
        }
        self.heading("Alerts", "count");
        let room = self.width - INDENT.len() - SEVERITY - 10;
        for row in &table.rows {
            let alert = &row.alert;
            let look = if alert.severity >= Severity::High { Look::Bad } else { Look::Warning };
            let severity = self.look(look, &format!("{:<SEVERITY$}", alert.severity.name()));
            let title = format!("{:<room$}", titled(alert, room));
            self.line(&format!("{INDENT}{severity}{title}{:>10}", human::count(alert.count)));
            if self.more == More::Details {
                self.evidence(alert);
            }
        }
        self.remainder(table.rows.len(), table.total_rows, "alert");
        if let Some(short) = short {
            self.warning("  detectors", &short);
        }
    }

    /// When, what it means, and what proves it.
    fn evidence(&mut self, alert: &AlertRecord) {
        let indent = " ".repeat(INDENT.len() + SEVERITY);
        let room = self.width - indent.len();
        let mut facts = vec![human::span(alert.first_seen, alert.last_seen)];
        facts.extend(alert.technique.as_ref().map(|t| format!("{} {}", t.id, t.name)));
        facts.push(alert.explanation.to_string());
        let evidence = alert.evidence.iter();
        facts.extend(evidence.map(|(name, value)| format!("{}: {value}", name.replace('_', " "))));
        for fact in facts.iter().filter(|fact| !fact.trim().is_empty()) {
            // The dash of a span is ours; all else may be of the wire.
            let fact = human::terminal(&fact.replace(" – ", " to "));
            let mut left = 4;
            for line in wrap(&fact, room) {
                left -= 1;
                let line = self.look(Look::Dim, &fit(&line, room));
                self.line(&format!("{indent}{line}"));
                if left == 0 {
                    break;
                }
            }
        }
    }

    /// Addresses and the names that the traffic gave them.
    fn names(&mut self, view: &SummaryView) {
        let table = &view.names;
        if self.more != More::Details || table.rows.is_empty() {
            return;
        }
        self.heading("Names", "flows       bytes");
        let addr = table.rows.iter().map(|row| row.addr.len()).max().unwrap_or_default() + 2;
        let room = self.width - INDENT.len() - addr - 22;
        for row in &table.rows {
            let (flows, bytes) = (human::count(row.flows), human::bytes(row.bytes));
            let name = fit(&row.name, room);
            self.line(&format!("{INDENT}{:<addr$}{name:<room$}{flows:>10}{bytes:>12}", row.addr));
        }
        self.remainder(table.rows.len(), table.total_rows, "named address");
    }

    /// What was said most, by kind of transaction.
    fn said(&mut self, view: &SummaryView) {
        if self.more != More::Details || view.said.is_empty() {
            return;
        }
        let room = self.width - INDENT.len() - 10;
        for rows in view.said.chunk_by(|a, b| a.protocol == b.protocol) {
            let Some(first) = rows.first() else { continue };
            let count = view.transactions.get(first.protocol).copied().unwrap_or_default();
            let title =
                format!("Said in {}", plural(count, &format!("{} exchange", first.protocol)));
            self.heading(&title, "times");
            for row in rows.iter().take(SAID) {
                let what = fit(&row.what, room);
                self.line(&format!("{INDENT}{what:<room$}{:>10}", human::count(row.count)));
            }
        }
    }

    /// Says where every frame went, so that a reader can add it up.
    fn ledger(&mut self, view: &SummaryView) {
        let Some(ledger) = &view.ledger else { return };
        if ledger.seen.packets == 0 {
            return;
        }
        let mut parts = vec![format!("{} on flows", human::count(ledger.on_flows.packets))];
        parts.extend(
            ledger
                .rest
                .iter()
                .filter(|(_, row)| row.packets > 0)
                .map(|(name, row)| format!("{} {name}", human::count(row.packets))),
        );
        let text = format!("{} frames = {}", human::count(ledger.seen.packets), parts.join(" + "));
        self.gap();
        if ledger.balances() {
            self.field("Ledger", &text);
        } else {
            self.warning("Ledger", &format!("{text}; this does not add up"));
        }
    }

    fn heading(&mut self, title: &str, columns: &str) {
        self.gap();
        let room = self.width - title.chars().count();
        let shown = self.look(Look::Heading, title);
        let columns = self.look(Look::Dim, &format!("{columns:>room$}"));
        self.line(format!("{shown}{columns}").trim_end());
    }

    /// A label and its text, which goes on in further lines where it is too long.
    fn field(&mut self, label: &str, text: &str) {
        self.labelled(Look::Heading, label, text);
    }

    fn warning(&mut self, label: &str, text: &str) {
        self.labelled(Look::Warning, label, text);
    }

    fn labelled(&mut self, look: Look, label: &str, text: &str) {
        let label = if label.starts_with(' ') {
            format!("{label:<LABEL$}")
        } else {
            self.look(look, &format!("{label:<LABEL$}"))
        };
        for (i, line) in wrap(text, self.width - LABEL).iter().enumerate() {
            let label = if i == 0 { label.as_str() } else { &" ".repeat(LABEL) };
            self.line(&format!("{label}{line}"));
        }
    }

    fn remainder(&mut self, shown: usize, total: Option<u64>, what: &str) {
        let text = match total {
            Some(total) if total > shown as u64 => {
                format!("and {}", plural(total - shown as u64, &format!("more {what}")))
            }
            Some(_) => return,
            None => format!("and more {what}s than are kept apart; rows are lower bounds"),
        };
        let text = self.look(Look::Dim, &text);
        self.line(&format!("{INDENT}{text}"));
    }

    fn gap(&mut self) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    /// The text with its colour; lines are laid out before they are coloured.
    fn look(&self, look: Look, text: &str) -> String {
        let code = match look {
            Look::Heading => "1",
            Look::Bar => "36",
            Look::Dim => "2",
            Look::Warning => "33",
            Look::Bad => "31",
        };
        if self.color && !text.trim().is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Writing into a String.
const STRING: &str = "a String takes everything";
const INDENT: &str = "  ";
/// Columns of a label.
const LABEL: usize = 16;
/// Columns of flows, packets and bytes.
const NUMBERS: usize = 34;

/// What detectors did not say or lost, if anything.
fn shortfall(stats: &DetectorStats) -> Option<String> {
    let mut parts = Vec::new();
    if stats.left_out > 0 {
        parts.push(format!("{} left out as too many", human::count(stats.left_out)));
    }
    if stats.forgotten > 0 {
        parts.push(format!("{} hosts or names forgotten", human::count(stats.forgotten)));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Rows of what was said in one kind of transaction.
const SAID: usize = 8;
/// Columns of a severity.
const SEVERITY: usize = 10;

/// The title of an alert in at most `room` columns; that of a signature does not say between whom.
fn titled(alert: &AlertRecord, room: usize) -> String {
    let ends = alert.ends();
    if alert.kind == AlertKind::Behaviour || ends.is_empty() {
        return fit(&alert.title, room);
    }
    match room.checked_sub(ends.len() + 2).filter(|&room| room >= 16) {
        Some(room) => format!("{}  {ends}", fit(&alert.title, room)),
        None => fit(&alert.title, room),
    }
}

fn plural(n: u64, what: &str) -> String {
    format!("{} {what}{}", human::count(n), if n == 1 { "" } else { "s" })
}

/// What is wrong with a certificate, the worst first.
fn trouble(row: &CertificateRow) -> Option<&'static str> {
    match row.validity {
        Validity::Expired => Some("expired"),
        Validity::NotYet => Some("not yet valid"),
        Validity::Valid if row.wrong_name_flows > 0 => Some("other name"),
        Validity::Valid if row.self_signed => Some("self-signed"),
        Validity::Valid => None,
    }
}

/// An address and its name in at most `room` columns.
fn host(addr: &str, name: Option<&str>, room: usize) -> String {
    match name {
        // A name is only shown where enough of it can be.
        Some(name) if addr.len() + 9 <= room => {
            let name = fit(name, room - addr.len() - 2);
            format!("{addr}  {name}").trim_end().to_owned()
        }
        _ => fit(addr, room),
    }
}

/// Printable ASCII in at most `room` columns; what is too long loses its middle.
fn fit(text: &str, room: usize) -> String {
    let text = human::terminal(text);
    if text.len() <= room {
        return text;
    }
    let head = room.saturating_sub(1).div_ceil(2);
    let tail = room.saturating_sub(1) - head;
    format!("{}…{}", &text[..head], &text[text.len() - tail..])
}

/// Lines of at most `room` columns, broken at blanks.
fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("begins with one line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= room {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// A horizontal bar in eighths of a column.
fn bar(share: f64, room: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * room as f64 * 8.0).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// The blanks that fill a text up.
fn pad(text: &str, room: usize) -> String {
    " ".repeat(room.saturating_sub(text.chars().count()))
}

/// A vertical bar in eighths of a line; what is there is never shown as nothing.
fn block(value: f64, top: f64) -> char {
    const EIGHTHS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    if value <= 0.0 || top <= 0.0 {
        return ' ';
    }
    EIGHTHS[((value / top * 8.0).ceil() as usize).clamp(1, 8) - 1]
}

/// At most `room` values, each the highest of those it stands for.
fn squeeze(values: &[f64], room: usize) -> Vec<f64> {
    let each = values.len().div_ceil(room.max(1)).max(1);
    values.chunks(each).map(|chunk| chunk.iter().copied().fold(0.0, f64::max)).collect()
}
