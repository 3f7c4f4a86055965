//! From the snapshots of the live view to the events of each open dashboard.
//!
//! One task looks for a new snapshot and publishes it as a [`Frame`]; one task per dashboard
//! turns frames into events at the pace of that dashboard. Nothing queues: who is slow skips.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::body::Bytes;
use flowtrack_filter::Filter;
use flowtrack_store::live::{RatePoint, Snapshot};
use serde::Serialize;
use tokio::{
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval, sleep},
};

use crate::{
    api::{
        App,
        alerts::LiveAlerts,
        capture::CaptureStatus,
        flows::{Flow, FlowSort, Order, flow_id, select},
        health::{Health, HealthState},
        live::{LiveFlows, LiveState},
    },
    backend::Backend,
    desk::AlertNews,
};

/// What all dashboards show at one moment.
pub(crate) struct Frame {
    /// Counts frames up by one.
    number: u64,
    snapshot: Arc<Snapshot>,
    capture: CaptureStatus,
    health: Health,
    alerts: Arc<AlertNews>,
    /// Seconds that differ from the frame before; `None` where a client must begin anew.
    changed: Option<Vec<RatePoint>>,
    /// The `tick` event, written once for all clients that have the frame before.
    tick: OnceLock<String>,
}

impl Frame {
    /// The frame that stands before anything was published.
    pub fn first(backend: &dyn Backend) -> Self {
        Self {
            number: 0,
            snapshot: backend.snapshot(),
            capture: backend.capture_status(),
            health: backend.health(),
            alerts: backend.alerts().news(),
            changed: None,
            tick: OnceLock::new(),
        }
    }

    /// The frame that follows, if anything is new that is worth one.
    ///
    /// What the parts say of themselves may change with every packet; without a new snapshot only
    /// their states are news, unless it has been `quiet`.
    fn next(&self, backend: &dyn Backend, quiet: bool) -> Option<Self> {
        let next = Self { number: self.number + 1, ..Self::first(backend) };
        if next.snapshot.revision == self.snapshot.revision {
            let states = |frame: &Self| -> Vec<HealthState> {
                frame.health.parts.iter().map(|part| part.state).collect()
            };
            let news = next.capture != self.capture
                || next.alerts.revision != self.alerts.revision
                || states(&next) != states(self)
                || (quiet && next.health != self.health);
            return news.then_some(Self { changed: Some(Vec::new()), ..next });
        }
        let changed = changed_seconds(&self.snapshot, &next.snapshot);
        Some(Self { changed, ..next })
    }

    fn state(&self, seconds: &[RatePoint]) -> LiveState {
        let now = &self.snapshot;
        LiveState {
            revision: now.revision,
            at: now.at,
            seconds: seconds.iter().map(Into::into).collect(),
            protocols: now.protocols.iter().map(Into::into).collect(),
            hosts: now.talkers.iter().take(LIVE_HOSTS).map(Into::into).collect(),
            flows_active: now.flows_active,
            totals: (&now.totals).into(),
            evicted: (&now.evicted).into(),
            capture: self.capture.clone(),
            health: self.health.clone(),
        }
    }

    /// The event that brings a client up to date that was sent frame `sent`.
    fn event(&self, sent: Option<u64>) -> String {
        match &self.changed {
            Some(changed) if sent.is_some_and(|sent| sent + 1 == self.number) => {
                let tick = || event("tick", self.snapshot.revision, &self.state(changed));
                self.tick.get_or_init(tick).clone()
            }
            _ => event("state", self.snapshot.revision, &self.state(&self.snapshot.seconds)),
        }
    }
}

/// The seconds of `new` that `old` does not have like that; `None` where time went back, as when
/// a file is replayed again.
fn changed_seconds(old: &Snapshot, new: &Snapshot) -> Option<Vec<RatePoint>> {
    if new.revision < old.revision || new.at < old.at {
        return None;
    }
    let known: HashMap<i64, &RatePoint> = old.seconds.iter().map(|p| (p.at, p)).collect();
    Some(new.seconds.iter().filter(|p| known.get(&p.at) != Some(p)).cloned().collect())
}

/// Publishes a frame whenever something is new, until the server stops.
pub(crate) async fn publish(app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looks = 0;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stopped.wait_for(|&stop| stop) => return,
        }
        looks += 1;
        let next = app.frames.borrow().next(&*app.backend, looks >= QUIET_LOOKS);
        if let Some(frame) = next {
            looks = 0;
            app.frames.send_replace(Arc::new(frame));
        }
    }
}

/// Feeds one dashboard until it closes or the server stops.
pub(crate) async fn feed(app: &App, mut flows: Option<FlowFeed>, out: mpsc::Sender<Bytes>) {
    let mut frames = app.frames.subscribe();
    let mut stopped = app.stopped.clone();
    let mut sent = None;
    let mut sent_alerts = None;
    let mut text = String::from("retry: 2000\n\n");
    loop {
        let frame = Arc::clone(&frames.borrow_and_update());
        if sent != Some(frame.number) {
            text += &frame.event(sent);
            if let Some(flows) = &mut flows {
                text += &event("flows", frame.snapshot.revision, &flows.update(&frame.snapshot));
            }
            let revision = frame.alerts.revision;
            if sent_alerts != Some(revision) {
                let alerts = LiveAlerts::after(&frame.alerts, sent_alerts);
                text += &event("alerts", frame.snapshot.revision, &alerts);
                sent_alerts = Some(revision);
            }
            sent = Some(frame.number);
        }
        if text.is_empty() {
            text += "event: ping\ndata:\n\n";
        }
        let bytes = Bytes::from(std::mem::take(&mut text));
        tokio::select! {
            delivered = out.send(bytes) => if delivered.is_err() { return },
            _ = stopped.wait_for(|&stop| stop) => return,
        }
        tokio::select! {
            // An error means that the server is gone; `stopped` tells it too.
            _ = frames.changed() => {}
            () = sleep(SILENCE) => {}
            () = out.closed() => return,
            _ = stopped.wait_for(|&stop| stop) => return,
        }
    }
}

/// The flows of one dashboard: what it asked for and what it has.
pub(crate) struct FlowFeed {
    filter: Filter,
    sort: FlowSort,
    order: Order,
    limit: usize,
    /// What the client has, by id; never more than `limit`.
    known: HashMap<u64, Flow>,
}

impl FlowFeed {
    pub fn new(filter: Filter, sort: FlowSort, order: Order, limit: usize) -> Self {
        Self { filter, sort, order, limit, known: HashMap::new() }
    }

    /// What the client must be told about a snapshot.
    fn update(&mut self, snapshot: &Snapshot) -> LiveFlows {
        let selected = select(snapshot, &self.filter, self.sort, self.order);
        let matched = selected.len();
        let mut known = HashMap::with_capacity(self.known.len());
        let mut rows = Vec::new();
        let mut order = Vec::with_capacity(selected.len().min(self.limit));
        for row in selected.into_iter().take(self.limit) {
            order.push(flow_id(row));
            let flow = Flow::from(row);
            if self.known.get(&row.id) != Some(&flow) {
                rows.push(flow.clone());
            }
            known.insert(row.id, flow);
        }
        self.known = known;
        LiveFlows { revision: snapshot.revision, matched, order, rows }
    }
}

/// One event in the form of the HTML standard, section 9.2.
fn event(name: &str, id: u64, data: &impl Serialize) -> String {
    let mut text = format!("id: {id}\nevent: {name}\ndata: ");
    // JSON has no raw line breaks, so one `data` line holds it.
    text += &serde_json::to_string(data).expect("plain structs with string keys always serialise");
    let _ = write!(text, "\n\n");
    text
}

/// How often a new snapshot is looked for; they come once a second.
const LOOK: Duration = Duration::from_millis(200);
/// So many looks are longer than a second.
const QUIET_LOOKS: u32 = 6;
/// After this long without news a client is told that the connection lives.
const SILENCE: Duration = Duration::from_secs(5);
/// Hosts that every dashboard gets.
const LIVE_HOSTS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use flowtrack_store::live::FlowRow;

    fn flow(id: u64, bytes: u64) -> FlowRow {
        FlowRow { id, bytes_toserver: bytes, ..FlowRow::default() }
    }

    fn snapshot(at: i64, flows: Vec<FlowRow>) -> Snapshot {
        Snapshot { revision: at as u64, at, flows, ..Snapshot::default() }
    }

    #[test]
    fn only_changed_flows_are_sent_again() {
        let mut feed = FlowFeed::new(Filter::default(), FlowSort::Bytes, Order::Desc, 2);
        let first = feed.update(&snapshot(1, vec![flow(1, 10), flow(2, 30), flow(3, 20)]));
        assert_eq!((first.matched, first.rows.len()), (3, 2));
        assert_eq!(first.order, ["0-2", "0-3"]);

        let second = feed.update(&snapshot(2, vec![flow(1, 40), flow(2, 30), flow(3, 20)]));
        assert_eq!(second.order, ["0-1", "0-2"]);
        assert_eq!(second.rows.len(), 1, "only the flow that came in");

        let third = feed.update(&snapshot(3, vec![flow(2, 30), flow(3, 20)]));
        assert_eq!(third.order, ["0-2", "0-3"]);
        assert_eq!(third.rows.len(), 1, "the client forgot what it was not shown");
    }

    #[test]
    fn a_tick_has_the_seconds_that_changed() {
        let point = |at, bytes| RatePoint { at, bytes, ..RatePoint::default() };
        let mut old = snapshot(2, vec![]);
        old.seconds = vec![point(1, 5), point(2, 5)];
        let mut new = snapshot(3, vec![]);
        new.seconds = vec![point(1, 5), point(2, 7), point(3, 1)];
        assert_eq!(changed_seconds(&old, &new), Some(vec![point(2, 7), point(3, 1)]));
        assert_eq!(changed_seconds(&new, &old), None, "time went back");
    }

    #[test]
    fn an_event_is_one_line_of_data() {
        let text = event("state", 7, &"a\nb\r\u{2028}");
        assert_eq!(text, "id: 7\nevent: state\ndata: \"a\\nb\\r\u{2028}\"\n\n");
    }
}
