//! Alerts while the program runs: the book, its place in history, and what the dashboard is told.
//!
//! The hub's thread feeds the book and hands what changed to history about once a second; the
//! dashboard asks and changes it from threads of its own. The lock is held for look-ups in memory
//! only, never for the disk.

use crate::control;
use crate::lock::lock;
use crate::notify::People;
use crate::watch::{Origin, Watcher};
use flowtrack_detect::alerts::{
    AlertBook, AlertChange, AlertId, AlertRecord, AlertState, Config, FlowRef, Mute, MuteId,
    Preview, Scope, WrongMute,
};
use flowtrack_event::{BookStats, Event, Stats, Timestamp};
use flowtrack_store::history::{AlertPage, AlertQuery};
use flowtrack_store::{HistoryReader, HistoryWriter, StoreHealth, StoreState};
use flowtrack_web::{AlertDesk, AlertNews};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Alerts and mutes.
pub struct Alerts {
    book: Mutex<AlertBook>,
    history: Option<(Arc<HistoryWriter>, HistoryReader)>,
    /// Whoever is told of what is new.
    people: Option<Arc<People>>,
    outgoing: Mutex<Outgoing>,
    news: Mutex<Arc<AlertNews>>,
}

/// What is on its way to history.
#[derive(Default)]
struct Outgoing {
    /// Alerts that history had no room for, as they were last.
    waiting: BTreeMap<AlertId, Arc<AlertRecord>>,
    /// How history was.
    was_failing: bool,
    set_aside: Option<PathBuf>,
    /// Reports hidden by all mutes, as written last.
    hidden: u64,
    /// Changes for which there was no room here.
    unkept: u64,
}

/// Alerts handed to history at once.
const BATCH: usize = 5_000;
/// Alerts that may wait for history.
const WAITING: usize = 20_000;
/// Changed alerts that a dashboard can be behind.
const NEWS: usize = 200;
/// Microseconds of a minute.
const MICROS_PER_MINUTE: i64 = 60_000_000;

/// A book that goes on where the history ended, if there is one: with its mutes, and with numbers
/// that no alert has yet.
pub fn resumed(config: &Config, history: Option<&HistoryWriter>) -> anyhow::Result<AlertBook> {
    let mut book = AlertBook::new(config.clone());
    if let Some(writer) = history {
        let window = i64::from(config.fold_minutes) * MICROS_PER_MINUTE;
        let left = writer.reader().resume(window, config.max_open)?;
        book.resume(left.alerts, left.mutes, left.next_alert, left.next_mute);
        book.set_run(writer.run());
    }
    Ok(book)
}

impl Alerts {
    /// Goes on where the history ended.
    pub fn open(
        config: &Config,
        history: Option<&Arc<HistoryWriter>>,
        people: Option<Arc<People>>,
    ) -> anyhow::Result<Self> {
        let book = resumed(config, history.map(Arc::as_ref))?;
        let history = history.map(|writer| (Arc::clone(writer), writer.reader()));
        let news = AlertNews { unseen: book.unseen(), ..AlertNews::default() };
        Ok(Self {
            book: Mutex::new(book),
            history,
            people,
            outgoing: Mutex::default(),
            news: Mutex::new(Arc::new(news)),
        })
    }

    /// What the hub asks.
    pub fn watcher(self: &Arc<Self>) -> Box<dyn Watcher> {
        Box::new(AlertWatcher(Arc::clone(self)))
    }

    /// Brings what a person did to history before anybody reads it there.
    fn settle(&self) {
        self.publish(control::now());
        if let Some((writer, _)) = &self.history
            && writer.health().state != StoreState::Failing
        {
            writer.flush();
        }
    }

    /// History, where what is asked of it is what is going on.
    fn readable(&self) -> Option<&HistoryReader> {
        let (writer, reader) = self.history.as_ref()?;
        (writer.health().state != StoreState::Failing).then_some(reader)
    }

    /// Flows of this run are named as the live view names them.
    fn name_flows(&self, alert: &mut AlertRecord) {
        let run = self.history.as_ref().map_or(0, |(writer, _)| writer.run());
        for flow in &mut alert.flows {
            if flow.run == run {
                *flow = FlowRef { run: 0, id: flow.id };
            }
        }
    }

    /// Tells everybody what changed, and hands it to history.
    fn publish(&self, now: Timestamp) {
        // One at a time: an older state must not overtake a newer one.
        let mut outgoing = lock(&self.outgoing);
        let health = self.history.as_ref().map(|(writer, _)| writer.health());
        let (changes, unseen, mutes) = {
            let mut book = lock(&self.book);
            if let Some((writer, _)) = &self.history {
                book.set_run(writer.run());
            }
            book.expire(now);
            if health.as_ref().is_some_and(|health| outgoing.lost_some(health)) {
                book.tell_all();
            }
            let changes = book.drain(BATCH);
            let hidden = book.mutes().iter().map(|mute| mute.hidden).sum();
            let mutes_changed = book.take_mutes_changed() || hidden != outgoing.hidden;
            outgoing.hidden = hidden;
            let unseen = (!changes.is_empty()).then(|| book.unseen());
            (changes, unseen, mutes_changed.then(|| book.mutes().to_vec()))
        };
        if let Some(unseen) = unseen {
            self.tell(&changes, unseen);
        }
        if let Some(people) = &self.people {
            people.hear(&changes);
        }
        let Some((writer, _)) = &self.history else { return };
        for change in changes {
            if outgoing.waiting.len() < WAITING || outgoing.waiting.contains_key(&change.alert.id) {
                outgoing.waiting.insert(change.alert.id, change.alert);
            } else {
                outgoing.unkept += 1;
            }
        }
        if !outgoing.waiting.is_empty() {
            let alerts = std::mem::take(&mut outgoing.waiting).into_values().collect();
            if let Err(back) = writer.try_alerts(alerts) {
                outgoing.waiting = back.into_iter().map(|alert| (alert.id, alert)).collect();
            }
        }
        if let Some(mutes) = mutes
            && !writer.try_mutes(mutes)
        {
            // Asked for again with the next look.
            outgoing.hidden = u64::MAX;
        }
    }

    fn tell(&self, changes: &[AlertChange], unseen: [u64; 5]) {
        let mut last = lock(&self.news);
        let mut next =
            AlertNews { revision: last.revision + 1, unseen, changed: last.changed.clone() };
        for change in changes {
            let mut alert = AlertRecord::clone(&change.alert);
            self.name_flows(&mut alert);
            next.changed.push_back((next.revision, Arc::new(alert)));
        }
        let extra = next.changed.len().saturating_sub(NEWS);
        next.changed.drain(..extra);
        *last = Arc::new(next);
    }
}

impl AlertDesk for Alerts {
    fn news(&self) -> Arc<AlertNews> {
        Arc::clone(&lock(&self.news))
    }

    fn page(&self, query: &AlertQuery) -> anyhow::Result<AlertPage> {
        let mut page = match self.readable() {
            Some(reader) => reader.alerts(query)?,
            None => query.page_of(lock(&self.book).alerts()),
        };
        page.rows.iter_mut().for_each(|alert| self.name_flows(alert));
        Ok(page)
    }

    fn get(&self, id: AlertId) -> anyhow::Result<Option<AlertRecord>> {
        let open = lock(&self.book).get(id).cloned();
        let mut found = match (open, self.readable()) {
            (Some(alert), _) => Some(alert),
            (None, Some(reader)) => reader.alert(id)?,
            (None, None) => None,
        };
        found.iter_mut().for_each(|alert| self.name_flows(alert));
        Ok(found)
    }

    fn set(
        &self,
        ids: &[AlertId],
        state: Option<AlertState>,
        note: Option<&str>,
    ) -> anyhow::Result<usize> {
        let mut found = 0;
        for &id in ids {
            if lock(&self.book).set(id, state, note).is_some() {
                found += 1;
            } else if let Some((writer, reader)) = &self.history
                && reader.alert(id)?.is_some()
            {
                writer.set_alert(id, state, note);
                found += 1;
            }
        }
        self.settle();
        Ok(found)
    }

    fn mutes(&self) -> Vec<Mute> {
        lock(&self.book).mutes().to_vec()
    }

    fn add_mute(&self, mute: Mute) -> Result<Mute, WrongMute> {
        let mute = lock(&self.book).add_mute(mute, control::now())?;
        self.settle();
        Ok(mute)
    }

    fn remove_mute(&self, id: MuteId) -> bool {
        let found = lock(&self.book).remove_mute(id, control::now());
        self.settle();
        found
    }

    fn preview(&self, scope: &Scope, since_us: i64) -> anyhow::Result<Preview> {
        self.settle();
        if let Some(reader) = self.readable() {
            return Ok(reader.preview(scope, since_us)?);
        }
        let mut preview = Preview::default();
        let book = lock(&self.book);
        let recent = book.alerts().filter(|alert| alert.last_seen.micros() >= since_us);
        recent.for_each(|alert| preview.add(scope, alert));
        Ok(preview)
    }

    fn mute_days(&self) -> u32 {
        lock(&self.book).config().mute_days
    }
}

impl Outgoing {
    /// Whether history may lack alerts that it was given: its disk failed and works again, or a
    /// broken file was replaced by an empty one.
    fn lost_some(&mut self, health: &StoreHealth) -> bool {
        let failing = health.state == StoreState::Failing;
        let works_again = self.was_failing && !failing;
        let replaced = health.set_aside != self.set_aside;
        self.was_failing = failing;
        if replaced {
            self.set_aside.clone_from(&health.set_aside);
        }
        works_again || replaced
    }
}

/// Shows the book what passes the hub.
struct AlertWatcher(Arc<Alerts>);

impl Watcher for AlertWatcher {
    fn watch(&mut self, events: &[Event], _out: &mut Vec<Event>) {
        // Most batches have no alert, and then nobody need wait for the book.
        let is_alert = |event: &Event| matches!(event, Event::Alert(_) | Event::Detection(_));
        if events.iter().any(is_alert) {
            lock(&self.0.book).take(events);
        }
    }

    fn tick(&mut self, now: Timestamp, _out: &mut Vec<Event>) {
        self.0.publish(now);
    }

    fn count(&self, stats: &mut Stats) {
        let unkept = lock(&self.0.outgoing).unkept;
        stats.alerts = Some(BookStats { unkept, ..lock(&self.0.book).stats() });
    }

    fn begin(&mut self, from: Origin) {
        if let Some(people) = &self.0.people {
            // What the capture before found is told as it was to be told then.
            self.0.publish(control::now());
            people.begin(from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowtrack_event::{Detection, Severity};

    fn scan(host: u32) -> Event {
        let ts = Timestamp::from_secs(1_700_000_000);
        Event::Detection(Box::new(Detection {
            ts,
            detector: "port_scan",
            kind: "vertical",
            sid: 101,
            title: "a scan".into(),
            explanation: String::new(),
            severity: Severity::Medium,
            category: "reconnaissance",
            technique: None,
            source: Some(host.to_be_bytes().into()),
            target: None,
            target_port: None,
            proto: None,
            first_seen: ts,
            last_seen: ts,
            count: 1,
            evidence: Vec::new(),
            flows: Vec::new(),
            source_proved: true,
        }))
    }

    #[test]
    fn what_became_of_reports_is_among_the_counters() {
        let config = Config { max_per_rule: 10, ..Config::default() };
        let alerts = Arc::new(Alerts::open(&config, None, None).unwrap());
        let mut watcher = alerts.watcher();
        let events: Vec<_> = (0..30).chain(0..5).map(scan).collect();
        watcher.watch(&events, &mut Vec::new());
        let mut stats = Stats::default();
        watcher.count(&mut stats);
        let told = stats.alerts.unwrap();
        // Ten hosts and one alert for all others; the first five came again.
        let counted = (told.reports, told.opened, told.crowded, told.open, told.unkept);
        assert_eq!(counted, (35, 11, 20, 11, 0), "{told:?}");
    }
}
