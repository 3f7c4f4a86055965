//! The summary laid out for reading; as JSON, the object that `analyze --json` prints.
//!
//! Field names are stable. Times are UTC, sizes bytes, durations microseconds where the name ends
//! in `_us` and seconds where it ends in `seconds`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use flowtrack_detect::alerts::AlertRecord;
use flowtrack_event::{
    AnomalyLayer, CaptureStats, DetectorStats, Durations, EncryptionView, Histogram, Ledger,
    Timestamp,
};
use serde::{Serialize, Serializer};

use super::{Grid, Summary, Traffic};
use crate::clock::Clock;
use crate::eve::proto_name;

/// A whole summary.
#[derive(Debug, Serialize)]
pub struct SummaryView {
    /// First and last packet; absent where there was none.
    pub span: Option<Span>,
    /// Exact totals, however many rows the tables below show.
    pub totals: Totals,
    /// Throughput.
    pub rates: Option<Rates>,
    /// Frame sizes.
    pub packet_size: PacketSize,
    /// Throughput over time.
    pub throughput: Option<Throughput>,
    /// Traffic by protocol.
    pub protocols: Protocols,
    /// Hosts by bytes.
    pub talkers: Table<Talker>,
    /// Client, server and service by bytes.
    pub conversations: Table<ConversationRow>,
    /// Latencies.
    pub latency: Latency,
    /// TCP connections that took longest to open.
    pub slowest_handshakes: Vec<SlowHandshake>,
    /// Loss and order of TCP.
    pub loss: Loss,
    /// TCP connections by how they went, in Zeek's words.
    pub outcomes: Vec<Outcome>,
    /// How much is encrypted, and by what; what handshakes say only where they were read.
    pub encryption: EncryptionView,
    /// Alerts by signature or detector, the most urgent first.
    pub alerts: Vec<AlertRow>,
    /// Alerts with their repeats folded and with their evidence, the gravest first.
    pub findings: Table<FindingRow>,
    /// How many of them there are by severity.
    pub findings_by_severity: BTreeMap<&'static str, u64>,
    /// Malformed traffic by name.
    pub anomalies: Vec<AnomalyRow>,
    /// Fragments of IP.
    pub fragments: Fragments,
    /// Inner flows by what carried them.
    pub tunnels: Vec<TrafficRow>,
    /// Transactions by kind.
    pub transactions: BTreeMap<&'static str, u64>,
    /// Addresses to which the traffic gave a name, by bytes.
    pub names: Table<NameRow>,
    /// What was said most by kind of transaction, where details were asked for.
    pub said: Vec<SaidRow>,
    /// What the capture itself lost.
    pub capture: Option<CaptureStats>,
    /// What detectors told and what they left out, where they were on.
    pub detectors: Option<DetectorStats>,
    /// Where every frame went.
    pub ledger: Option<Ledger>,
    /// For charts; wider than `throughput` tells.
    #[serde(skip)]
    pub(crate) grid: Option<Grid>,
}

/// First and last packet.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Span {
    /// First packet.
    #[serde(serialize_with = "iso")]
    pub start: Timestamp,
    /// Last packet.
    #[serde(serialize_with = "iso")]
    pub end: Timestamp,
    /// From the first to the last.
    pub seconds: f64,
}

/// Exact totals.
#[derive(Clone, Copy, Default, Debug, Serialize)]
pub struct Totals {
    /// Frames.
    pub packets: u64,
    /// Captured bytes of those frames.
    pub bytes: u64,
    /// Flows.
    pub flows: u64,
    /// Packets on flows; inner packets of tunnels are counted on their own flow too.
    pub flow_packets: u64,
    /// Bytes on flows, counted alike.
    pub flow_bytes: u64,
    /// Hosts with flows; absent where there were more than could be kept apart.
    pub hosts: Option<u64>,
    /// Transactions.
    pub transactions: u64,
    /// Files.
    pub files: u64,
    /// Bytes of files.
    pub file_bytes: u64,
    /// Alerts.
    pub alerts: u64,
    /// Malformed things.
    pub anomalies: u64,
}

/// Throughput of the whole capture.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Rates {
    /// Bytes by the length of the capture, as bits.
    pub avg_bits_per_second: f64,
    /// Frames by the length of the capture.
    pub avg_packets_per_second: f64,
    /// The most in any one second, as bits; never below the average.
    pub peak_bits_per_second: f64,
    /// The most frames in any one second; never below the average.
    pub peak_packets_per_second: f64,
}

/// Frame sizes.
#[derive(Clone, Copy, Default, Debug, Serialize)]
pub struct PacketSize {
    /// Mean; absent where there was no frame.
    pub avg: Option<u64>,
    /// Largest; absent where it was not counted.
    pub max: Option<u64>,
}

/// Throughput over time.
#[derive(Clone, Debug, Serialize)]
pub struct Throughput {
    /// Where the first value begins.
    #[serde(serialize_with = "iso")]
    pub start: Timestamp,
    /// Seconds that each value covers.
    pub step_seconds: u32,
    /// Captured bits per second.
    pub bits_per_second: Vec<f64>,
    /// Frames per second.
    pub packets_per_second: Vec<f64>,
}

/// Traffic by protocol.
#[derive(Debug, Serialize)]
pub struct Protocols {
    /// By application protocol; flows without one by their IP protocol.
    pub application: Vec<TrafficRow>,
    /// By IP protocol.
    pub transport: Vec<TrafficRow>,
    /// Frames that are on no flow, by reason.
    pub without_flow: Vec<TrafficRow>,
}

/// Traffic of one kind.
#[derive(Clone, Debug, Serialize)]
pub struct TrafficRow {
    /// Which.
    pub name: String,
    /// Flows; 0 for frames without one.
    pub flows: u64,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// Part of the bytes of all rows of this list and, for protocols, of frames without a flow.
    pub share: f64,
}

/// The heaviest rows of a table, and whether they are exact.
#[derive(Clone, Debug, Serialize)]
pub struct Table<T> {
    /// Whether all rows were kept to the end; where not, rows are lower bounds.
    pub complete: bool,
    /// How many rows there are in all; absent where some were let go.
    pub total_rows: Option<u64>,
    /// The heaviest.
    pub rows: Vec<T>,
}

/// One host.
#[derive(Clone, Debug, Serialize)]
pub struct Talker {
    /// Address.
    pub addr: String,
    /// Host name that the traffic gave it.
    pub name: Option<String>,
    /// Flows it had part in.
    pub flows: u64,
    /// Packets of those flows.
    pub packets: u64,
    /// Bytes it sent.
    pub bytes_sent: u64,
    /// Bytes it received.
    pub bytes_received: u64,
    /// Both.
    pub bytes: u64,
}

/// An address and the name that the traffic gave it.
#[derive(Clone, Debug, Serialize)]
pub struct NameRow {
    /// Address.
    pub addr: String,
    /// The first name that it was given.
    pub name: String,
    /// Flows it had part in; 0 where it only was named.
    pub flows: u64,
    /// Bytes it sent and received.
    pub bytes: u64,
}

/// What was said.
#[derive(Clone, Debug, Serialize)]
pub struct SaidRow {
    /// Kind of transaction.
    pub protocol: &'static str,
    /// In one line.
    pub what: String,
    /// How often.
    pub count: u64,
}

/// One client and the service it used.
#[derive(Clone, Debug, Serialize)]
pub struct ConversationRow {
    /// Originator.
    pub client: String,
    /// Its name, where the traffic gave it one.
    pub client_name: Option<String>,
    /// Responder.
    pub server: String,
    /// Its name, where the traffic gave it one.
    pub server_name: Option<String>,
    /// IP protocol by its EVE name.
    pub proto: String,
    /// Responder's port; absent where the protocol has none.
    pub port: Option<u16>,
    /// Application protocol, where known.
    pub app: Option<&'static str>,
    /// Flows.
    pub flows: u64,
    /// Packets.
    pub packets: u64,
    /// Bytes from client to server.
    pub bytes_to_server: u64,
    /// Bytes from server to client.
    pub bytes_to_client: u64,
    /// Both.
    pub bytes: u64,
}

/// Latencies; absent where none was measured.
#[derive(Debug, Serialize)]
pub struct Latency {
    /// TCP handshake, SYN to ACK.
    pub handshake: Option<Percentiles>,
    /// Its part between the observer and the client.
    pub handshake_client: Option<Percentiles>,
    /// Its part between the observer and the server.
    pub handshake_server: Option<Percentiles>,
    /// Handshakes, and data to its acknowledgement, on both sides.
    pub rtt: Option<Percentiles>,
    /// Requests to their answers (DNS, ICMP echo).
    pub response: Option<Percentiles>,
    /// First question of a DNS flow to its answer.
    pub dns: Option<Percentiles>,
    /// First echo of an ICMP flow to its answer.
    pub icmp_echo: Option<Percentiles>,
}

/// A distribution of durations; percentiles are upper bounds within 19 %.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Percentiles {
    /// How many were measured.
    pub count: u64,
    /// Shortest, exact, where it was kept.
    pub min_us: Option<u32>,
    /// Half are not longer.
    pub p50_us: u32,
    /// 95 % are not longer.
    pub p95_us: u32,
    /// 99 % are not longer.
    pub p99_us: u32,
    /// Longest, exact, where it was kept.
    pub max_us: Option<u32>,
    /// Mean, exact, where it was kept.
    pub mean_us: Option<u32>,
}

/// A connection that took long to open.
#[derive(Clone, Debug, Serialize)]
pub struct SlowHandshake {
    /// From SYN to ACK.
    pub handshake_us: u32,
    /// When it began.
    #[serde(serialize_with = "iso")]
    pub start: Timestamp,
    /// Flow.
    pub flow_id: u64,
    /// Originator.
    pub client: String,
    /// Responder.
    pub server: String,
    /// Responder's name, where the traffic gave it one.
    pub server_name: Option<String>,
    /// Responder's port.
    pub port: u16,
    /// Application protocol, where known.
    pub app: Option<&'static str>,
}

/// Loss and order of TCP.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Loss {
    /// Segments with payload; absent where they were not counted.
    pub data_segments: Option<u64>,
    /// Segments sent again.
    pub retransmissions: u64,
    /// Part of the data segments that were sent again.
    pub retransmission_share: Option<f64>,
    /// Segments that came after later ones.
    pub out_of_order: u64,
    /// Holes that never filled.
    pub lost_segments: u64,
    /// Bytes in those holes.
    pub lost_bytes: u64,
    /// Times a receiver closed its window.
    pub zero_windows: u64,
}

/// TCP connections that went one way.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Zeek's `conn_state`.
    pub state: &'static str,
    /// The same in words.
    pub meaning: &'static str,
    /// How many.
    pub flows: u64,
}

/// What one signature or detector found.
#[derive(Clone, Debug, Serialize)]
pub struct AlertRow {
    /// Generator: 1 for signatures, 1000 for detectors.
    pub gid: u32,
    /// Signature identifier.
    pub signature_id: u32,
    /// Message, or title of the gravest detection.
    pub signature: String,
    /// 1 is the most urgent.
    pub severity: u8,
    /// Alerts.
    pub count: u64,
    /// Place in the capture of the first, where it has one.
    pub first_packet: Option<u64>,
}

/// One alert, with all its repeats.
#[derive(Clone, Debug, Serialize)]
pub struct FindingRow {
    /// As the book of alerts holds it.
    #[serde(flatten, serialize_with = "record")]
    pub alert: Arc<AlertRecord>,
    /// Name of its source, where the traffic gave it one.
    pub src_name: Option<String>,
    /// Name of its target, where the traffic gave it one.
    pub dest_name: Option<String>,
}

fn record<S: Serializer>(alert: &Arc<AlertRecord>, serializer: S) -> Result<S::Ok, S::Error> {
    alert.serialize(serializer)
}

/// One kind of malformed traffic.
#[derive(Clone, Debug, Serialize)]
pub struct AnomalyRow {
    /// Name as EVE writes it.
    pub name: &'static str,
    /// Who noticed; absent where only the counter tells of it.
    pub layer: Option<AnomalyLayer>,
    /// How often.
    pub count: u64,
    /// Place in the capture of the first packet, from 1; absent where only the counter tells.
    pub first_packet: Option<u64>,
}

/// Fragments of IP.
#[derive(Clone, Copy, Default, Debug, Serialize)]
pub struct Fragments {
    /// IPv4 fragments.
    pub ipv4: u64,
    /// IPv4 packets put together.
    pub ipv4_reassembled: u64,
    /// IPv6 fragments.
    pub ipv6: u64,
    /// IPv6 packets put together.
    pub ipv6_reassembled: u64,
    /// Packets given up.
    pub timeouts: u64,
}

impl Summary {
    /// The summary with at most `rows` rows in each table.
    pub fn view(&self, rows: usize) -> SummaryView {
        self.view_with(rows, rows)
    }

    /// The same with so many alerts.
    pub(crate) fn view_with(&self, rows: usize, alerts: usize) -> SummaryView {
        let span = self.whole_span();
        let totals = self.totals();
        let grid = self.timeline.grid(120);
        SummaryView {
            span,
            totals,
            rates: span.and_then(|span| self.rates(span, totals)),
            packet_size: PacketSize {
                avg: totals.bytes.checked_div(totals.packets),
                max: self.stats.as_ref().map(|s| s.decoder.max_pkt_size).filter(|&max| max > 0),
            },
            throughput: grid.as_ref().map(|grid| Throughput {
                start: grid.start,
                step_seconds: grid.step,
                bits_per_second: grid.per_second(|bucket| bucket.bytes * 8),
                packets_per_second: grid.per_second(|bucket| bucket.packets),
            }),
            protocols: self.protocols(),
            talkers: self.talkers(rows),
            conversations: self.conversation_rows(rows),
            latency: self.latencies(),
            slowest_handshakes: self.slow_handshakes(rows),
            loss: self.loss_view(),
            outcomes: self.outcome_rows(),
            encryption: self.encryption.view(rows),
            alerts: self.alert_rows(),
            findings: self.findings.table(alerts, |addr| self.name(addr)),
            findings_by_severity: self.findings.by_severity(),
            anomalies: self.anomaly_rows(),
            fragments: self.fragments(),
            tunnels: traffic_rows(
                self.tunnels.iter().map(|(&name, row)| (name.to_owned(), *row)),
                0,
            ),
            transactions: self.transactions.clone(),
            names: self.name_rows(rows),
            said: self.said_rows(rows),
            capture: self.stats.as_ref().map(|stats| stats.capture),
            detectors: self.stats.as_ref().and_then(|stats| stats.detectors),
            ledger: self.stats.as_ref().map(|stats| stats.ledger.clone()),
            grid,
        }
    }

    /// The name of an address, where the traffic gave it one.
    fn name(&self, addr: IpAddr) -> Option<String> {
        self.names.get(&addr).map(ToString::to_string)
    }

    /// From flows to the nanosecond; seconds only widen it where frames are on no flow.
    pub(super) fn whole_span(&self) -> Option<Span> {
        let (start, end) = match (self.span, self.timeline.range()) {
            (None, None) => return None,
            (Some(flows), None) => flows,
            (None, Some(seconds)) => seconds,
            (Some((start, end)), Some((first, last))) => {
                let start = if first.secs() < start.secs() { first } else { start };
                let end = if last.secs() > end.secs() { last } else { end };
                (start, end)
            }
        };
        Some(Span { start, end, seconds: end.since(start).as_secs_f64() })
    }

    fn totals(&self) -> Totals {
        let seconds = self.timeline.total();
        let (packets, bytes) = match &self.stats {
            Some(stats) => (stats.decoder.pkts, stats.decoder.bytes),
            None => (seconds.packets, seconds.bytes),
        };
        Totals {
            packets,
            bytes,
            flows: self.flows.count,
            flow_packets: self.flows.packets,
            flow_bytes: self.flows.bytes,
            hosts: self.hosts.is_complete().then_some(self.hosts.len() as u64),
            transactions: self.transactions.values().sum(),
            files: self.files.packets,
            file_bytes: self.files.bytes,
            alerts: self.alerts(),
            anomalies: self.anomaly_rows().iter().map(|row| row.count).sum(),
        }
    }

    /// No rate for what took no time; and a second's peak is never below the average, which it
    /// would be where the capture covers only parts of its seconds.
    fn rates(&self, span: Span, totals: Totals) -> Option<Rates> {
        if span.seconds < 1e-3 {
            return None;
        }
        let avg_bits = totals.bytes as f64 * 8.0 / span.seconds;
        let avg_packets = totals.packets as f64 / span.seconds;
        let peak = self.timeline.peak();
        Some(Rates {
            avg_bits_per_second: avg_bits,
            avg_packets_per_second: avg_packets,
            peak_bits_per_second: avg_bits.max(peak.bytes as f64 * 8.0),
            peak_packets_per_second: avg_packets.max(peak.packets as f64),
        })
    }

    fn protocols(&self) -> Protocols {
        let rest = self.stats.iter().flat_map(|stats| &stats.ledger.rest).map(|(&name, row)| {
            (name.to_owned(), Traffic { flows: 0, packets: row.packets, bytes: row.bytes })
        });
        let rest: Vec<_> = rest.filter(|(_, row)| row.packets > 0).collect();
        let rest_bytes: u64 = rest.iter().map(|(_, row)| row.bytes).sum();
        let apps = self.apps.sorted().into_iter().map(|(name, row)| (name.to_owned(), row));
        let transports = self
            .transports
            .iter()
            .map(|(&proto, row)| (proto_name(proto, &mut [0; 3]).to_lowercase(), *row));
        Protocols {
            application: traffic_rows(apps, rest_bytes),
            transport: traffic_rows(transports, rest_bytes),
            without_flow: traffic_rows(rest.into_iter(), self.flows.bytes),
        }
    }

    fn talkers(&self, rows: usize) -> Table<Talker> {
        let heaviest = self.hosts.heaviest(rows).into_iter();
        Table {
            complete: self.hosts.is_complete(),
            total_rows: self.hosts.is_complete().then_some(self.hosts.len() as u64),
            rows: heaviest
                .map(|(addr, host)| Talker {
                    addr: addr.to_string(),
                    name: self.name(*addr),
                    flows: host.flows,
                    packets: host.packets,
                    bytes_sent: host.sent,
                    bytes_received: host.received,
                    bytes: host.sent + host.received,
                })
                .collect(),
        }
    }

    fn conversation_rows(&self, rows: usize) -> Table<ConversationRow> {
        let table = &self.conversations;
        Table {
            complete: table.is_complete(),
            total_rows: table.is_complete().then_some(table.len() as u64),
            rows: table
                .heaviest(rows)
                .into_iter()
                .map(|(key, row)| ConversationRow {
                    client: key.client.to_string(),
                    client_name: self.name(key.client),
                    server: key.server.to_string(),
                    server_name: self.name(key.server),
                    proto: proto_name(key.proto, &mut [0; 3]).to_owned(),
                    port: (key.port != 0).then_some(key.port),
                    app: row.app,
                    flows: row.flows,
                    packets: row.packets,
                    bytes_to_server: row.to_server,
                    bytes_to_client: row.to_client,
                    bytes: row.to_server + row.to_client,
                })
                .collect(),
        }
    }

    /// Those that take part in traffic first, the heaviest of them before the others.
    fn name_rows(&self, rows: usize) -> Table<NameRow> {
        let row = |addr: IpAddr, name: &str| {
            let host = self.hosts.get(&addr).copied().unwrap_or_default();
            (host.sent + host.received, addr, name.to_owned(), host.flows)
        };
        let mut all: Vec<_> = self.names.iter().map(|(&addr, name)| row(addr, name)).collect();
        all.sort_unstable_by(|a, b| (b.0, a.1).cmp(&(a.0, b.1)));
        let complete = self.names.len() < super::NAMES;
        Table {
            complete,
            total_rows: complete.then_some(all.len() as u64),
            rows: all
                .into_iter()
                .take(rows)
                .map(|(bytes, addr, name, flows)| NameRow {
                    addr: addr.to_string(),
                    name,
                    flows,
                    bytes,
                })
                .collect(),
        }
    }

    /// At most `rows` of each kind.
    fn said_rows(&self, rows: usize) -> Vec<SaidRow> {
        let Some(said) = &self.said else { return Vec::new() };
        let mut taken: BTreeMap<&'static str, Vec<SaidRow>> = BTreeMap::new();
        for ((protocol, what), times) in said.heaviest(said.len()) {
            let of = taken.entry(protocol).or_default();
            if of.len() < rows {
                of.push(SaidRow { protocol, what: what.to_string(), count: times.0 });
            }
        }
        taken.into_values().flatten().collect()
    }

    fn latencies(&self) -> Latency {
        let seconds = self.timeline.total();
        Latency {
            handshake: exact_percentiles(&self.latency.handshake),
            handshake_client: exact_percentiles(&self.latency.client),
            handshake_server: exact_percentiles(&self.latency.server),
            rtt: percentiles(&seconds.rtt),
            response: percentiles(&seconds.response),
            dns: exact_percentiles(&self.latency.dns),
            icmp_echo: exact_percentiles(&self.latency.icmp),
        }
    }

    fn slow_handshakes(&self, rows: usize) -> Vec<SlowHandshake> {
        let slowest = self.slowest.iter().take(rows);
        slowest
            .map(|slow| SlowHandshake {
                handshake_us: slow.micros,
                start: slow.start,
                flow_id: slow.id.0,
                client: slow.key.src.to_string(),
                server: slow.key.dst.to_string(),
                server_name: self.name(slow.key.dst),
                port: slow.key.dst_port,
                app: slow.app,
            })
            .collect()
    }

    fn loss_view(&self) -> Loss {
        let segments = self.timeline.total().data_segments;
        let data_segments = self.timeline.range().map(|_| segments);
        let loss = &self.loss;
        Loss {
            data_segments,
            retransmissions: loss.retransmissions,
            retransmission_share: data_segments
                .filter(|&segments| segments > 0)
                .map(|segments| loss.retransmissions as f64 / segments as f64),
            out_of_order: loss.out_of_order,
            lost_segments: loss.lost_segments,
            lost_bytes: loss.lost_bytes,
            zero_windows: loss.zero_windows,
        }
    }

    fn outcome_rows(&self) -> Vec<Outcome> {
        let rows = self.outcomes.sorted().into_iter();
        let mut rows: Vec<Outcome> = rows
            .map(|(state, flows)| Outcome { state, meaning: super::outcome_meaning(state), flows })
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.flows));
        rows
    }

    fn alert_rows(&self) -> Vec<AlertRow> {
        let mut rows: Vec<AlertRow> = self
            .alerts
            .values()
            .map(|row| AlertRow {
                gid: row.rule.gid,
                signature_id: row.rule.sid,
                signature: row.rule.signature.to_string(),
                severity: row.rule.severity,
                count: row.count,
                first_packet: Some(row.first_packet).filter(|&packet| packet > 0),
            })
            .collect();
        rows.sort_by_key(|row| (row.severity, std::cmp::Reverse(row.count)));
        rows
    }

    /// The larger of counter and events, by name: the log may leave repeated anomalies out, and
    /// the counters may come before the last of them.
    fn anomaly_rows(&self) -> Vec<AnomalyRow> {
        let counted = self.stats.iter().flat_map(|stats| &stats.anomalies);
        let mut rows: BTreeMap<&'static str, AnomalyRow> = counted
            .filter(|(_, count)| **count > 0)
            .map(|(&name, &count)| {
                (name, AnomalyRow { name, layer: None, count, first_packet: None })
            })
            .collect();
        for (&name, seen) in &self.anomalies {
            let empty = AnomalyRow { name, layer: None, count: 0, first_packet: None };
            let row = rows.entry(name).or_insert(empty);
            row.layer = Some(seen.layer);
            row.count = row.count.max(seen.count);
            row.first_packet = Some(seen.first_packet).filter(|&packet| packet > 0);
        }
        let mut rows: Vec<AnomalyRow> = rows.into_values().collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.count));
        rows
    }

    fn fragments(&self) -> Fragments {
        let Some(stats) = &self.stats else { return Fragments::default() };
        Fragments {
            ipv4: stats.defrag.ipv4_fragments,
            ipv4_reassembled: stats.defrag.ipv4_reassembled,
            ipv6: stats.defrag.ipv6_fragments,
            ipv6_reassembled: stats.defrag.ipv6_reassembled,
            timeouts: stats.defrag.timeouts,
        }
    }
}

/// Percentiles of what is known exactly at both ends.
fn exact_percentiles(durations: &Durations) -> Option<Percentiles> {
    let rough = percentiles(&durations.histogram)?;
    let min = durations.min_us?;
    let exact = |micros: u32| micros.clamp(min, durations.max_us);
    Some(Percentiles {
        min_us: Some(min),
        p50_us: exact(rough.p50_us),
        p95_us: exact(rough.p95_us),
        p99_us: exact(rough.p99_us),
        max_us: Some(durations.max_us),
        mean_us: u32::try_from(durations.sum_us / rough.count).ok(),
        ..rough
    })
}

fn percentiles(histogram: &Histogram) -> Option<Percentiles> {
    Some(Percentiles {
        count: histogram.count(),
        min_us: None,
        p50_us: histogram.quantile(0.5)?,
        p95_us: histogram.quantile(0.95)?,
        p99_us: histogram.quantile(0.99)?,
        max_us: None,
        mean_us: None,
    })
}

/// Rows by bytes, with their part of all of them and of `besides` bytes that are in no row.
fn traffic_rows(rows: impl Iterator<Item = (String, Traffic)>, besides: u64) -> Vec<TrafficRow> {
    let mut rows: Vec<TrafficRow> = rows
        .map(|(name, row)| TrafficRow {
            name,
            flows: row.flows,
            packets: row.packets,
            bytes: row.bytes,
            share: 0.0,
        })
        .collect();
    let sum = rows.iter().map(|row| row.bytes).sum::<u64>() + besides;
    for row in &mut rows {
        row.share = if sum == 0 { 0.0 } else { row.bytes as f64 / sum as f64 };
    }
    rows.sort_by(|a, b| (b.bytes, &a.name).cmp(&(a.bytes, &b.name)));
    rows
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn iso<S: Serializer>(ts: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    let mut text = Vec::new();
    Clock::new(false).write(*ts, &mut text);
    serializer.serialize_str(std::str::from_utf8(&text).expect("a calendar text is ASCII"))
}
