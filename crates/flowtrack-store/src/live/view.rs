//! The live view itself: events in, one picture a second out.

use super::flows::LiveFlows;
use super::seconds::Seconds;
use super::talkers::Talkers;
use super::{Evicted, Snapshot, Totals};
use crate::names::Names;
use crate::row::shown;
use arc_swap::ArcSwap;
use flowtrack_event::{EncryptionBook, EncryptionView, Event, FlowEvent, Stats, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How much the live view remembers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LiveConfig {
    /// Living flows that are remembered.
    pub flows: usize,
    /// Hosts that are remembered.
    pub hosts: usize,
    /// Names of addresses that are remembered.
    pub names: usize,
    /// Seconds for which an ended flow stays visible.
    pub ended_seconds: u32,
}

impl Default for LiveConfig {
    fn default() -> Self {
        Self { flows: 100_000, hosts: 20_000, names: 50_000, ended_seconds: 30 }
    }
}

/// The picture of now, kept up to date by the thread that handles events.
pub struct LiveView {
    interfaces: Vec<String>,
    names: Names,
    flows: LiveFlows,
    talkers: Talkers,
    encryption: EncryptionBook,
    seconds: Seconds,
    stats: Stats,
    store_dropped: u64,
    /// Latest packet time that events spoke of.
    now: Timestamp,
    revision: u64,
    published: LiveReader,
}

impl LiveView {
    /// An empty view.
    pub fn new(config: &LiveConfig) -> Self {
        Self {
            interfaces: Vec::new(),
            names: Names::new(config.names, config.flows),
            flows: LiveFlows::new(config.flows, config.ended_seconds),
            talkers: Talkers::new(config.hosts),
            encryption: EncryptionBook::default(),
            seconds: Seconds::default(),
            stats: Stats::default(),
            store_dropped: 0,
            now: Timestamp::ZERO,
            revision: 0,
            published: LiveReader { current: Arc::default() },
        }
    }

    /// A handle that reads what was published last.
    pub fn reader(&self) -> LiveReader {
        self.published.clone()
    }

    /// Names of the interfaces, in the order of [`flowtrack_event::IfaceId`].
    pub fn set_interfaces(&mut self, names: Vec<String>) {
        self.interfaces = names;
    }

    /// Rows that history could not keep, for the totals.
    pub fn set_store_dropped(&mut self, rows: u64) {
        self.store_dropped = rows;
    }

    /// Names that the traffic gave to addresses.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Forgets all traffic, as when a new capture begins; readers see it with the next
    /// [`LiveView::publish`].
    pub fn reset(&mut self) {
        self.names.clear();
        self.flows.clear();
        self.talkers.clear();
        self.encryption = EncryptionBook::default();
        self.seconds = Seconds::default();
        self.stats = Stats::default();
        self.store_dropped = 0;
        self.now = Timestamp::ZERO;
    }

    /// Takes in what happened.
    ///
    /// Seconds of several workers are added up; [`Event::Stats`] must be those of all workers
    /// together, because it replaces what was known.
    pub fn ingest(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::Flow(event) => self.ingest_flow(event),
                Event::Transaction(event) => {
                    self.names.learn(event);
                    self.encryption.transaction(event);
                }
                Event::Second(second) => {
                    if self.seconds.add(second, self.revision) {
                        self.now = second.at;
                    }
                    self.now = self.now.max(second.at);
                }
                Event::Stats(stats) => self.stats.clone_from(stats),
                Event::Anomaly(_)
                | Event::File(_)
                | Event::Alert(_)
                | Event::Packet(_)
                | Event::Detection(_)
                | Event::Block(_)
                | Event::Login(_)
                | Event::Neighbour(_)
                | Event::Activity(_) => {}
            }
        }
    }

    fn ingest_flow(&mut self, event: &FlowEvent) {
        self.now = self.now.max(event.ts);
        self.flows.update(event, self.revision, &mut self.talkers, &mut self.encryption);
    }

    /// Builds the picture of now and hands it to all readers.
    pub fn publish(&mut self) -> Arc<Snapshot> {
        let (seconds, protocols) = self.seconds.shown(self.revision);
        self.revision += 1;
        self.flows.expire(self.now);
        let snapshot = Arc::new(Snapshot {
            revision: self.revision,
            at: self.now.secs(),
            seconds,
            protocols,
            talkers: self.talkers.top(Snapshot::HOSTS, self.now, &self.names),
            flows: self.flows.rows(Snapshot::FLOWS, self.revision, &self.interfaces, &self.names),
            encryption: shown_view(self.encryption.view(Snapshot::ENCRYPTION)),
            flows_active: self.flows_active(),
            totals: self.totals(),
            evicted: Evicted {
                flows: self.flows.evicted(),
                hosts: self.talkers.evicted(),
                names: self.names.forgotten(),
            },
        });
        self.published.current.store(Arc::clone(&snapshot));
        snapshot
    }

    /// Flows tracked now: those remembered, or what the workers last said once some were lost.
    fn flows_active(&self) -> u64 {
        let complete = self.flows.evicted() == 0 && self.stats.flow.events_dropped == 0;
        if complete { self.flows.len() } else { self.stats.flow.active }
    }

    /// Totals since the start.
    ///
    /// Both sources are exact where nothing was lost: the counters come seldom but survive a full
    /// queue, the seconds come each second. Neither ever says more than the truth, so the larger
    /// is the better.
    fn totals(&self) -> Totals {
        let Stats { capture, decoder, flow, detectors, alerts, detect, file_store, .. } =
            &self.stats;
        let alerts = alerts.unwrap_or_default();
        let detectors = detectors.unwrap_or_default();
        let detect = detect.unwrap_or_default();
        let files = file_store.unwrap_or_default();
        let seconds = self.seconds.totals();
        Totals {
            packets: decoder.pkts.max(seconds.packets),
            bytes: decoder.bytes.max(seconds.bytes),
            flows: flow.total.max(seconds.flows_new),
            kernel_drops: capture.kernel_drops.saturating_add(capture.kernel_ifdrops),
            own_drops: capture.own_drops,
            events_dropped: flow.events_dropped,
            store_dropped: self.store_dropped,
            detections_left_out: detectors.left_out,
            detectors_forgot: detectors.forgotten,
            alerts_crowded: alerts.crowded,
            alerts_lost: alerts.untold.saturating_add(alerts.unkept),
            rules_forgot: detect.memory_dropped,
            files_not_stored: files.dropped.saturating_add(detect.files_unchosen),
            anomalies: self.stats.anomalies.values().fold(0, |sum: u64, n| sum.saturating_add(*n)),
        }
    }
}

/// The same with texts of the wire as they may be shown.
fn shown_view(mut view: EncryptionView) -> EncryptionView {
    let clean = |text: &mut String| *text = shown(text, TEXT);
    view.versions.iter_mut().for_each(|row| clean(&mut row.name));
    for row in &mut view.clients {
        row.server_names.iter_mut().for_each(clean);
    }
    for row in &mut view.certificates {
        clean(&mut row.subject);
        clean(&mut row.issuer);
        row.server_name.iter_mut().for_each(clean);
    }
    view
}

/// Longest text of a certificate that is shown, in characters.
const TEXT: usize = 256;

/// Reads what was published last, from any thread and without a lock.
#[derive(Clone, Default)]
pub struct LiveReader {
    current: Arc<ArcSwap<Snapshot>>,
}

impl LiveReader {
    /// What was published last.
    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }
}

#[cfg(test)]
mod tests;
