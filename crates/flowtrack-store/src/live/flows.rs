//! Flows as they are now, in bounded memory.

use super::FlowRow;
use super::talkers::{Delta, Entries, Talkers};
use crate::names::Names;
use flowtrack_event::{
    EncryptionBook, EndReason, FlowEvent, FlowId, FlowPhase, FlowRecord, Recent, Timestamp,
    community_id,
};
use std::time::Duration;

/// Living flows in the order of their last activity, and those that ended a moment ago.
pub(crate) struct LiveFlows {
    living: Recent<FlowId, LiveFlow>,
    ended: Recent<FlowId, LiveFlow>,
    ended_for: Duration,
    evicted: u64,
    /// Latest start among the evicted: what is unknown and began later was never known.
    evicted_start: Timestamp,
}

struct LiveFlow {
    record: FlowRecord,
    reason: Option<EndReason>,
    /// When this was last heard of.
    at: Timestamp,
    /// Revision in which this was last heard of.
    revision: u64,
    /// Total bytes, and when, from which the rate is reckoned.
    mark: (u64, Timestamp),
    rate: u64,
    entries: Entries,
    /// Made when the flow is shown for the first time.
    community_id: Option<Box<str>>,
}

/// Ended flows that are remembered; they never fill the table alone.
const ENDED: usize = 2_500;

/// Shortest time over which a rate is reckoned.
const RATE_OVER: Duration = Duration::from_millis(900);

impl LiveFlows {
    pub fn new(capacity: usize, ended_seconds: u32) -> Self {
        Self {
            living: Recent::new(capacity),
            ended: Recent::new(ENDED),
            ended_for: Duration::from_secs(ended_seconds.into()),
            evicted: 0,
            evicted_start: Timestamp::ZERO,
        }
    }

    pub fn clear(&mut self) {
        self.living.clear();
        self.ended.clear();
        self.evicted = 0;
        self.evicted_start = Timestamp::ZERO;
    }

    /// Living flows that are remembered.
    pub fn len(&self) -> u64 {
        self.living.len() as u64
    }

    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Takes in a moment of a flow's life, and credits its hosts with what is new.
    pub fn update(
        &mut self,
        event: &FlowEvent,
        revision: u64,
        talkers: &mut Talkers,
        encryption: &mut EncryptionBook,
    ) {
        let record = &event.record;
        match event.phase {
            FlowPhase::Start | FlowPhase::Update => {
                if let Some(flow) = self.living.get_mut(&record.id) {
                    flow.advance(event, revision);
                    talkers.credit(&record.key, &flow.delta_to(record), &mut flow.entries);
                    encryption.flow(Some(&flow.record), event);
                    flow.record.clone_from(record);
                    return;
                }
                let mut flow = LiveFlow::new(event, revision);
                encryption.flow(self.before(event), event);
                talkers.credit(&record.key, &self.first_delta(event), &mut flow.entries);
                if let Some((_, gone)) = self.living.insert(record.id, flow) {
                    self.evicted += 1;
                    self.evicted_start = self.evicted_start.max(gone.record.start);
                    talkers.end(&gone.record.key, gone.entries);
                }
            }
            FlowPhase::End(reason) => {
                let (mut flow, delta) = match self.living.remove(&record.id) {
                    Some(flow) => {
                        let delta = flow.delta_to(record);
                        encryption.flow(Some(&flow.record), event);
                        (flow, delta)
                    }
                    None => {
                        encryption.flow(self.before(event), event);
                        (LiveFlow::new(event, revision), self.first_delta(event))
                    }
                };
                talkers.credit(&record.key, &delta, &mut flow.entries);
                talkers.end(&record.key, flow.entries);
                flow.record.clone_from(record);
                flow.reason = Some(reason);
                flow.at = event.ts;
                self.ended.insert(record.id, flow);
            }
        }
    }

    /// What a flow had that is not remembered.
    fn first_delta(&self, event: &FlowEvent) -> Delta {
        Delta::between(self.before(event), &event.record)
    }

    /// What was counted of a flow that is not remembered.
    ///
    /// Of one that may have been evicted, all that it has: its bytes may be counted already, and
    /// too little is honest where too much is not.
    fn before<'a>(&self, event: &'a FlowEvent) -> Option<&'a FlowRecord> {
        let known_new = event.phase == FlowPhase::Start
            || self.evicted == 0
            || event.record.start > self.evicted_start;
        (!known_new).then_some(&event.record)
    }

    /// Drops what ended long enough ago.
    pub fn expire(&mut self, now: Timestamp) {
        while self.ended.oldest().is_some_and(|(_, f)| f.at.plus(self.ended_for) < now) {
            self.ended.pop_oldest();
        }
    }

    /// At most `max` rows, most recently active first.
    pub fn rows(
        &mut self,
        max: usize,
        revision: u64,
        interfaces: &[String],
        names: &Names,
    ) -> Vec<FlowRow> {
        let ended = self.ended.len();
        let living = self.living.len().min(max.saturating_sub(ended));
        let mut rows = Vec::with_capacity(living + ended);
        let mut add = |_: &FlowId, flow: &mut LiveFlow| {
            rows.push(flow.row(revision, interfaces, names));
        };
        self.living.visit_newest(living, &mut add);
        self.ended.visit_newest(max, &mut add);
        rows.sort_by(|a, b| b.end_us.cmp(&a.end_us).then(b.id.cmp(&a.id)));
        rows.truncate(max);
        rows
    }
}

impl LiveFlow {
    fn new(event: &FlowEvent, revision: u64) -> Self {
        Self {
            record: event.record.clone(),
            reason: None,
            at: event.ts,
            revision,
            mark: (0, event.record.start),
            rate: 0,
            entries: Entries::default(),
            community_id: None,
        }
    }

    /// What is new in `record`.
    fn delta_to(&self, record: &FlowRecord) -> Delta {
        Delta::between(Some(&self.record), record)
    }

    /// Reckons the rate anew.
    fn advance(&mut self, event: &FlowEvent, revision: u64) {
        self.at = event.ts;
        self.revision = revision;
        let (before, since) = self.mark;
        let passed = event.ts.since(since);
        if passed >= RATE_OVER {
            let bytes = bytes(&event.record);
            let new = u128::from(bytes.saturating_sub(before));
            self.rate = u64::try_from(new * 1_000_000 / passed.as_micros()).unwrap_or(u64::MAX);
            self.mark = (bytes, event.ts);
        }
    }

    fn row(&mut self, revision: u64, interfaces: &[String], names: &Names) -> FlowRow {
        let record = &self.record;
        let id = self.community_id.get_or_insert_with(|| community_id(&record.key, 0).into());
        let mut row = FlowRow::build(record, interfaces, names.note(record), id.to_string());
        row.reason = self.reason.map(|reason| reason.name().to_owned());
        // A flow that changes is heard of each second; silence for two pictures is standstill.
        if self.reason.is_none() && self.revision + 2 >= revision {
            row.rate = self.rate;
        }
        row
    }
}

fn bytes(record: &FlowRecord) -> u64 {
    record.to_server.bytes.saturating_add(record.to_client.bytes)
}
