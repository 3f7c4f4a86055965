//! What a capture was about: totals, talkers, protocols, latency, loss, oddities.
//!
//! Fed with the events of a run, read as text for a terminal, as one JSON object, or as the basis
//! of the HTML report. Memory is bounded: tables of hosts and conversations let their lightest
//! rows go, and say so; every total is counted apart from them and stays exact.

mod findings;
mod named;
mod text;
mod timeline;
mod view;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;

use ahash::AHashMap;
use flowtrack_detect::alerts::AlertRecord;
use flowtrack_event::{
    Alert, AnomalyLayer, AppProto, ConnState, Detection, Durations, EncryptionBook, Event,
    FlowEvent, FlowId, FlowKey, FlowPhase, FlowRecord, IpProto, RuleInfo, Second, Stats, Timestamp,
    TopTable, TransactionEvent, Weight,
};
use serde::{Serialize, Serializer};

use crate::eve::tunnel_name;
use findings::Findings;
use named::Named;
use timeline::Timeline;

pub(crate) use timeline::{Grid, ROUND_SECONDS};
pub use view::*;

/// Takes in the events of a run and tells what they amount to.
///
/// Flows count when they end, so the engine's `finish` has to be among the events.
#[derive(Debug)]
pub struct Summary {
    span: Option<(Timestamp, Timestamp)>,
    timeline: Timeline,
    stats: Option<Box<Stats>>,
    flows: FlowTotals,
    hosts: TopTable<IpAddr, Host>,
    conversations: TopTable<ConversationKey, Conversation>,
    apps: Named<Traffic>,
    transports: BTreeMap<IpProto, Traffic>,
    outcomes: Named<u64>,
    tunnels: BTreeMap<&'static str, Traffic>,
    loss: LossTotals,
    latency: Latencies,
    slowest: Vec<Slow>,
    /// By generator and signature.
    alerts: BTreeMap<(u32, u32), AlertTotals>,
    /// Alerts of signatures beyond [`ALERTS`].
    more_alerts: u64,
    findings: Findings,
    anomalies: BTreeMap<&'static str, Oddity>,
    transactions: BTreeMap<&'static str, u64>,
    files: Traffic,
    /// What was said, by kind of transaction, where that is asked for.
    said: Option<TopTable<Said, Times>>,
    encryption: EncryptionBook,
    names: AHashMap<IpAddr, Box<str>>,
}

/// Hosts kept.
const HOSTS: usize = 32_768;
/// Conversations kept.
const CONVERSATIONS: usize = 32_768;
/// What was said, kept apart from one another.
const SAID: usize = 16_384;
/// Characters that are kept of it.
const SAID_LENGTH: usize = 200;
/// Host names kept.
const NAMES: usize = 65_536;
/// Longest host name kept, in bytes; DNS has no longer ones.
const NAME_LENGTH: usize = 255;
/// Signatures whose alerts are told apart.
const ALERTS: usize = 10_000;
/// Slow handshakes kept.
const SLOWEST: usize = 20;

#[derive(Clone, Copy, Default, Debug)]
struct FlowTotals {
    count: u64,
    packets: u64,
    bytes: u64,
}

/// Flows, packets and bytes of one kind.
#[derive(Clone, Copy, Default, Debug)]
struct Traffic {
    flows: u64,
    packets: u64,
    bytes: u64,
}

#[derive(Clone, Copy, Default, Debug)]
struct Host {
    flows: u64,
    packets: u64,
    sent: u64,
    received: u64,
}

/// What TCP lost, over both sides of all flows.
#[derive(Clone, Copy, Default, Debug)]
struct LossTotals {
    retransmissions: u64,
    out_of_order: u64,
    lost_segments: u64,
    lost_bytes: u64,
    zero_windows: u64,
}

/// Who talks to which service.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct ConversationKey {
    client: IpAddr,
    server: IpAddr,
    proto: IpProto,
    port: u16,
}

/// Kind of a transaction, and what it said.
type Said = (&'static str, Box<str>);

/// How often.
#[derive(Clone, Copy, Default, Debug)]
struct Times(u64);

impl Weight for Times {
    fn weight(&self) -> u64 {
        self.0
    }
}

#[derive(Clone, Copy, Default, Debug)]
struct Conversation {
    flows: u64,
    packets: u64,
    to_server: u64,
    to_client: u64,
    app: Option<&'static str>,
}

#[derive(Clone, Default, Debug)]
struct Latencies {
    handshake: Durations,
    client: Durations,
    server: Durations,
    dns: Durations,
    icmp: Durations,
}

#[derive(Clone, Copy, Debug)]
struct Slow {
    micros: u32,
    id: FlowId,
    key: FlowKey,
    start: Timestamp,
    app: Option<&'static str>,
}

/// What one signature found.
#[derive(Clone, Debug)]
struct AlertTotals {
    rule: Arc<RuleInfo>,
    count: u64,
    first_packet: u64,
}

/// One kind of anomaly.
#[derive(Clone, Copy, Debug)]
struct Oddity {
    layer: AnomalyLayer,
    count: u64,
    first_packet: u64,
}

impl Summary {
    /// A summary of nothing.
    pub fn new() -> Self {
        Self {
            span: None,
            timeline: Timeline::new(),
            stats: None,
            flows: FlowTotals::default(),
            hosts: TopTable::new(HOSTS),
            conversations: TopTable::new(CONVERSATIONS),
            apps: Named::default(),
            transports: BTreeMap::new(),
            outcomes: Named::default(),
            tunnels: BTreeMap::new(),
            loss: LossTotals::default(),
            latency: Latencies::default(),
            slowest: Vec::new(),
            alerts: BTreeMap::new(),
            more_alerts: 0,
            findings: Findings::default(),
            anomalies: BTreeMap::new(),
            transactions: BTreeMap::new(),
            files: Traffic::default(),
            said: None,
            encryption: EncryptionBook::default(),
            names: AHashMap::new(),
        }
    }

    /// A summary of nothing that also keeps what was said most, and tells more of everything.
    pub fn with_details() -> Self {
        Self { said: Some(TopTable::new(SAID)), ..Self::new() }
    }

    /// Takes in one event.
    pub fn ingest(&mut self, event: &Event) {
        match event {
            Event::Flow(flow) => self.flow(flow),
            Event::Transaction(transaction) => self.transaction(transaction),
            Event::File(file) => {
                self.files.packets += 1;
                self.files.bytes += file.size;
            }
            Event::Anomaly(anomaly) => {
                let row = self.anomalies.entry(anomaly.name).or_insert(Oddity {
                    layer: anomaly.layer,
                    count: 0,
                    first_packet: anomaly.packet,
                });
                row.count += 1;
                row.first_packet = row.first_packet.min(anomaly.packet);
            }
            Event::Alert(alert) => self.alert(alert),
            Event::Second(second) => self.second(second),
            // Counters run since the start: the last ones say it all.
            Event::Stats(stats) => self.stats = Some(stats.clone()),
            Event::Detection(detection) => self.detection(detection),
            Event::Packet(_)
            | Event::Block(_)
            | Event::Login(_)
            | Event::Neighbour(_)
            | Event::Activity(_) => {}
        }
    }

    /// Takes in an alert as the book of alerts holds it now, instead of what it was before.
    ///
    /// Events are counted by signature and detector; who did what to whom is told by these.
    pub fn finding(&mut self, alert: Arc<AlertRecord>) {
        self.findings.take(alert);
    }

    fn alert(&mut self, alert: &Alert) {
        let rule = &alert.rule;
        let full = self.alerts.len() >= ALERTS;
        match self.alerts.entry((rule.gid, rule.sid)) {
            Entry::Vacant(_) if full => self.more_alerts += 1,
            Entry::Vacant(row) => {
                let (rule, first_packet) = (Arc::clone(rule), alert.packet);
                row.insert(AlertTotals { rule, count: 1, first_packet });
            }
            Entry::Occupied(row) => {
                let row = row.into_mut();
                row.count += 1;
                row.first_packet = row.first_packet.min(alert.packet);
            }
        }
    }

    /// A detector and kind is one row, under the title of its gravest detection.
    fn detection(&mut self, detection: &Detection) {
        let key = (Detection::GID, detection.sid);
        let severity = detection.severity.priority();
        let rule = |detection: &Detection| {
            Arc::new(RuleInfo {
                gid: Detection::GID,
                sid: detection.sid,
                signature: detection.title.as_str().into(),
                category: detection.category.into(),
                severity,
                ..RuleInfo::default()
            })
        };
        if let Some(row) = self.alerts.get_mut(&key) {
            row.count += 1;
            if severity < row.rule.severity {
                row.rule = rule(detection);
            }
        } else if self.alerts.len() >= ALERTS {
            self.more_alerts += 1;
        } else {
            let rule = rule(detection);
            self.alerts.insert(key, AlertTotals { rule, count: 1, first_packet: 0 });
        }
    }

    /// How many alerts there were, repeats included.
    pub fn alerts(&self) -> u64 {
        self.more_alerts + self.alerts.values().map(|row| row.count).sum::<u64>()
    }

    /// When the capture begins, where it has packets.
    pub fn begin(&self) -> Option<Timestamp> {
        self.whole_span().map(|span| span.start)
    }

    /// The summary as text for a terminal of `width` columns.
    pub fn to_text(&self, width: usize, color: bool) -> String {
        let more = if self.said.is_some() { text::More::Details } else { text::More::Nothing };
        text::render(&self.view(more.rows()), more, width, color)
    }

    fn flow(&mut self, event: &FlowEvent) {
        let FlowPhase::End(_) = event.phase else { return };
        self.encryption.flow(None, event);
        let flow = &event.record;
        let (up, down) = (&flow.to_server, &flow.to_client);
        let packets = up.packets + down.packets;
        let bytes = up.bytes + down.bytes;
        self.extend_span(flow.start, flow.end);
        self.flows.count += 1;
        self.flows.packets += packets;
        self.flows.bytes += bytes;
        self.hosts.row(flow.key.src).add(packets, up.bytes, down.bytes);
        if flow.key.src == flow.key.dst {
            // Who talks to himself sends and receives everything, on one flow.
            self.hosts.row(flow.key.src).add_bytes(down.bytes, up.bytes);
        } else {
            self.hosts.row(flow.key.dst).add(packets, down.bytes, up.bytes);
        }
        self.conversation(flow, packets);
        let transport = flow.key.proto;
        let app = flow.recognised().map(AppProto::name);
        let app = app.or(transport.name()).unwrap_or("other");
        for row in [self.apps.row(app), self.transports.entry(transport).or_default()] {
            row.add(packets, bytes);
        }
        if let Some(kind) = flow.tunnel {
            self.tunnels.entry(tunnel_name(kind)).or_default().add(packets, bytes);
        }
        if flow.tcp.is_some() {
            *self.outcomes.row(flow.conn_state.name()) += 1;
        }
        for side in [up, down] {
            self.loss.retransmissions += u64::from(side.retransmissions);
            self.loss.out_of_order += u64::from(side.out_of_order);
            self.loss.lost_segments += u64::from(side.lost_segments);
            self.loss.lost_bytes += side.lost_bytes;
            self.loss.zero_windows += u64::from(side.zero_windows);
        }
        self.latency(flow);
    }

    fn conversation(&mut self, flow: &FlowRecord, packets: u64) {
        let key = &flow.key;
        let row = self.conversations.row(ConversationKey {
            client: key.src,
            server: key.dst,
            proto: key.proto,
            port: if key.has_ports() { key.dst_port } else { 0 },
        });
        row.flows += 1;
        row.packets += packets;
        row.to_server += flow.to_server.bytes;
        row.to_client += flow.to_client.bytes;
        if let Some(app) = flow.recognised() {
            row.app = Some(app.name());
        }
    }

    fn latency(&mut self, flow: &FlowRecord) {
        let latency = &flow.latency;
        if let Some(client) = latency.handshake_client_us {
            self.latency.client.record(client);
        }
        if let Some(server) = latency.handshake_server_us {
            self.latency.server.record(server);
        }
        if let (Some(client), Some(server)) =
            (latency.handshake_client_us, latency.handshake_server_us)
        {
            let micros = client.saturating_add(server);
            self.latency.handshake.record(micros);
            self.slow(flow, micros);
        }
        // Over UDP every answer is told with its second.
        if let Some(response) = latency.response_us
            && flow.key.proto == IpProto::TCP
            && flow.recognised() == Some(AppProto("dns"))
        {
            self.latency.dns.record(response);
        }
    }

    fn slow(&mut self, flow: &FlowRecord, micros: u32) {
        let full = self.slowest.len() == SLOWEST;
        if full && self.slowest.last().is_some_and(|last| last.micros >= micros) {
            return;
        }
        if full {
            self.slowest.pop();
        }
        let at = self.slowest.partition_point(|slow| slow.micros >= micros);
        let app = flow.recognised().map(AppProto::name);
        let slow = Slow { micros, id: flow.id, key: flow.key, start: flow.start, app };
        self.slowest.insert(at, slow);
    }

    fn transaction(&mut self, event: &TransactionEvent) {
        *self.transactions.entry(event.transaction.event_type()).or_default() += 1;
        self.encryption.transaction(event);
        if let Some(said) = &mut self.said {
            let what: String = event.transaction.summary().chars().take(SAID_LENGTH).collect();
            if !what.is_empty() {
                said.row((event.transaction.event_type(), what.into())).0 += 1;
            }
        }
        let names = &mut self.names;
        event.transaction.names(&mut |addr, name| {
            // The first name stays: later ones may be those of other sites at the same address.
            let plausible = !name.is_empty() && name.len() <= NAME_LENGTH;
            if plausible && names.len() < NAMES {
                names.entry(addr).or_insert_with(|| name.into());
            }
        });
    }

    fn second(&mut self, second: &Second) {
        self.timeline.add(second);
        self.latency.dns.merge(&second.dns);
        self.latency.icmp.merge(&second.echo);
    }

    fn extend_span(&mut self, start: Timestamp, end: Timestamp) {
        self.span = Some(match self.span {
            Some((a, b)) => (a.min(start), b.max(end)),
            None => (start, end),
        });
    }
}

impl Default for Summary {
    fn default() -> Self {
        Self::new()
    }
}

/// The one JSON object of `analyze --json`; [`SummaryView`] documents its fields.
impl Serialize for Summary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.view(100).serialize(serializer)
    }
}

impl Traffic {
    fn add(&mut self, packets: u64, bytes: u64) {
        self.flows += 1;
        self.packets += packets;
        self.bytes += bytes;
    }
}

impl Host {
    fn add(&mut self, packets: u64, sent: u64, received: u64) {
        self.flows += 1;
        self.packets += packets;
        self.add_bytes(sent, received);
    }

    fn add_bytes(&mut self, sent: u64, received: u64) {
        self.sent += sent;
        self.received += received;
    }
}

impl Weight for Host {
    fn weight(&self) -> u64 {
        self.sent + self.received
    }
}

impl Weight for Conversation {
    fn weight(&self) -> u64 {
        self.to_server + self.to_client
    }
}

/// What each outcome of a TCP connection means.
pub(crate) fn outcome_meaning(state: &str) -> &'static str {
    match state {
        s if s == ConnState::Sf.name() => "opened and closed normally",
        s if s == ConnState::S0.name() => "no answer",
        s if s == ConnState::S1.name() => "opened, still open at the end",
        s if s == ConnState::S2.name() => "closed by the client only",
        s if s == ConnState::S3.name() => "closed by the server only",
        s if s == ConnState::Rej.name() => "refused",
        s if s == ConnState::Rsto.name() => "reset by the client",
        s if s == ConnState::Rstr.name() => "reset by the server",
        s if s == ConnState::Rstos0.name() => "SYN, then reset by the client",
        s if s == ConnState::Rstrh.name() => "SYN-ACK, then reset by the server; no SYN seen",
        s if s == ConnState::Sh.name() => "SYN, then FIN; no answer",
        s if s == ConnState::Shr.name() => "SYN-ACK, then FIN; no SYN seen",
        _ => "beginning not seen",
    }
}
