//! The alerts that are open: folding, states, mutes.

use super::Config;
use super::mute::{Mute, MuteId, WrongMute};
use super::record::{AlertId, AlertKind, AlertRecord, AlertState, FlowRef, RuleId, TechniqueName};
use ahash::RandomState;
use flowtrack_event::{
    Alert, AlertAction, BookStats, Detection, Event, Evidence, FlowId, FlowKey, IpProto, Severity,
    Timestamp, Transaction,
};
use hashbrown::HashMap;
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The alerts that are open, and the mutes.
///
/// A repeat costs one look-up and no allocation; texts are made only for an alert that opens.
#[derive(Debug)]
pub struct AlertBook {
    config: Config,
    window: Duration,
    open: HashMap<Key, Entry, RandomState>,
    keys: HashMap<AlertId, Key, RandomState>,
    rules: HashMap<RuleId, Tally, RandomState>,
    mutes: Vec<Mute>,
    /// Counts up when the mutes change.
    generation: u64,
    mutes_changed: bool,
    next_alert: AlertId,
    next_mute: MuteId,
    run: u64,
    /// Keys of alerts that changed since the last drain.
    changed: Vec<Key>,
    /// Alerts that left with something untold.
    leaving: Vec<AlertChange>,
    stats: BookStats,
}

/// What is one alert: the same rule between the same hosts, for the same service.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Key {
    rule: RuleId,
    source: Option<IpAddr>,
    target: Option<IpAddr>,
    port: Option<u16>,
    /// For all hosts beyond what one rule may open, muted ones apart.
    many: Option<bool>,
}

#[derive(Debug)]
struct Entry {
    record: AlertRecord,
    /// What the mutes said, and which mutes.
    verdict: Verdict,
    generation: u64,
    /// What it was before it was muted.
    before: AlertState,
    /// What is to be told, where something is.
    news: Option<Change>,
    /// For an alert of many hosts: a few of them.
    hosts: [Option<IpAddr>; HOSTS],
}

/// Which mute hides an alert, by its place in the list, and until when; where none does, since when
/// that is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Verdict {
    mute: Option<usize>,
    until: Timestamp,
}

/// What a rule opened in this minute.
#[derive(Debug)]
struct Tally {
    minute: i64,
    opened: u32,
    /// Whether the minute before opened too many.
    flooded: bool,
    /// Places of the mutes that may concern it, as of this generation.
    mutes: Box<[usize]>,
    generation: u64,
}

/// Hosts named by an alert of many.
const HOSTS: usize = 8;
/// Rules whose opened alerts are counted apart.
const RULES: usize = 100_000;
/// Alerts that may leave between two drains with something untold.
const LEAVING: usize = 20_000;
/// Longest piece of evidence that is a text, in bytes.
const EVIDENCE: usize = 1_000;
/// Pieces of evidence kept of a detection.
const PIECES: usize = 40;

/// What happened to an alert since it was told last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Change {
    /// More of the same, or a person did something.
    Updated,
    /// It is more severe than before.
    Raised,
    /// It came back after it was resolved.
    Reopened,
    /// It is new.
    Opened,
}

impl Change {
    /// Whether a person should be told.
    pub fn is_news(self) -> bool {
        self != Self::Updated
    }
}

/// An alert that changed.
#[derive(Clone, Debug)]
pub struct AlertChange {
    /// What happened.
    pub change: Change,
    /// The alert as it is now.
    pub alert: Arc<AlertRecord>,
}

impl AlertBook {
    /// An empty book.
    pub fn new(config: Config) -> Self {
        Self {
            window: Duration::from_secs(u64::from(config.fold_minutes) * 60),
            config,
            open: HashMap::default(),
            keys: HashMap::default(),
            rules: HashMap::default(),
            mutes: Vec::new(),
            generation: 1,
            mutes_changed: false,
            next_alert: 1,
            next_mute: 1,
            run: 0,
            changed: Vec::new(),
            leaving: Vec::new(),
            stats: BookStats::default(),
        }
    }

    /// Takes up what an earlier run left: alerts that may go on, mutes, and the numbers that are
    /// free.
    pub fn resume(
        &mut self,
        alerts: Vec<AlertRecord>,
        mutes: Vec<Mute>,
        next_alert: AlertId,
        next_mute: MuteId,
    ) {
        self.next_alert = self.next_alert.max(next_alert);
        self.next_mute = self.next_mute.max(next_mute);
        self.mutes = mutes;
        self.mutes.truncate(self.config.max_mutes);
        self.generation += 1;
        for record in alerts.into_iter().take(self.config.max_open) {
            let key = Key {
                rule: record.rule,
                source: record.source,
                target: record.target,
                port: record.port,
                many: record.many.then_some(record.state == AlertState::Muted),
            };
            // An alert of many hosts is found by its rule alone.
            let key = if record.many {
                Key { source: None, target: None, port: None, ..key }
            } else {
                key
            };
            self.next_alert = self.next_alert.max(record.id.saturating_add(1));
            // Of two with the same ends, the newer goes on.
            if self.open.get(&key).is_some_and(|entry| entry.record.id > record.id) {
                continue;
            }
            self.keys.insert(record.id, key);
            if let Some(old) = self.open.insert(key, Entry::of(record)) {
                self.keys.remove(&old.record.id);
            }
        }
    }

    /// The run whose flows are told from now on, as history numbers it.
    pub fn set_run(&mut self, run: u64) {
        self.run = run;
    }

    /// Takes what signatures and detectors reported.
    pub fn take(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::Alert(alert) => self.signature(alert),
                Event::Detection(detection) => self.detection(detection),
                _ => {}
            }
        }
    }

    /// A signature matched.
    pub fn signature(&mut self, alert: &Alert) {
        let rule = RuleId { gid: alert.rule.gid, sid: alert.rule.sid };
        let (mut source, mut target) = (None, None);
        if let Some(((victim, _), (attacker, _))) = alert.target_and_source() {
            (source, target) = (Some(attacker), Some(victim));
        } else if let Some(key) = &alert.ends.key {
            (source, target) = (Some(key.src), Some(key.dst));
        }
        // The service, whichever way the packet went.
        let served = alert.flow.as_ref().map(|flow| flow.context.key).or(alert.ends.key);
        let port = served.filter(FlowKey::has_ports).map(|key| key.dst_port);
        let report = Report {
            key: Key { rule, source, target, port, many: None },
            ts: alert.ts,
            first: alert.ts,
            severity: Severity::of_priority(alert.rule.severity),
            occurrences: 1,
            flow: alert.flow.as_ref().map(|flow| flow.context.id),
        };
        self.report(&report, &Described::Signature(alert));
    }

    /// A detector noticed behaviour.
    pub fn detection(&mut self, detection: &Detection) {
        let rule = RuleId { gid: Detection::GID, sid: detection.sid };
        let report = Report {
            key: Key {
                rule,
                source: detection.source,
                target: detection.target,
                port: detection.target_port,
                many: None,
            },
            ts: detection.ts.max(detection.last_seen),
            first: detection.first_seen.min(detection.ts),
            severity: detection.severity,
            occurrences: detection.count,
            flow: None,
        };
        self.report(&report, &Described::Detection(detection));
    }

    /// One report, from whatever source.
    fn report(&mut self, report: &Report, described: &Described<'_>) {
        self.stats.reports += 1;
        if self.repeat(&report.key, report, described, None) {
            return;
        }
        let name = described.name();
        let (crowded, verdict) = self.admit(report, &name);
        if !crowded {
            self.open_alert(report.key, report, described, name, verdict);
            return;
        }
        self.stats.crowded += 1;
        let key = Key {
            rule: report.key.rule,
            source: None,
            target: None,
            port: None,
            many: Some(verdict.mute.is_some()),
        };
        if !self.repeat(&key, report, described, Some(verdict)) {
            self.open_alert(key, report, described, name, verdict);
        }
    }

    /// Adds a report to the open alert of a key, if there is one; one that is too old leaves. What
    /// the mutes say is known of an alert of many hosts only.
    fn repeat(
        &mut self,
        key: &Key,
        report: &Report,
        described: &Described<'_>,
        known: Option<Verdict>,
    ) -> bool {
        let Some(entry) = self.open.get_mut(key) else { return false };
        if entry.is_too_old(report.ts, self.window) {
            self.leave(key);
            return false;
        }
        if let Some(verdict) = known {
            entry.judge(verdict, self.generation, &self.mutes);
            entry.crowd(&report.key);
        } else if entry.needs_verdict(self.generation, report.ts) {
            let verdict = verdict(&self.mutes, None, key, &entry.record.name, report.ts);
            entry.judge(verdict, self.generation, &self.mutes);
        }
        let news = entry.fold(report, described, self.run);
        if entry.news.is_none() {
            self.changed.push(*key);
        }
        entry.news = entry.news.max(Some(news));
        self.stats.folded += 1;
        hide(entry, &mut self.mutes, &mut self.stats);
        true
    }

    /// Whether a rule has opened too many alerts for another one, and what the mutes say of it.
    fn admit(&mut self, report: &Report, name: &str) -> (bool, Verdict) {
        if self.rules.len() >= RULES && !self.rules.contains_key(&report.key.rule) {
            self.rules.clear();
        }
        let minute = report.ts.secs().div_euclid(60);
        let max = self.config.max_per_rule;
        let tally = self.rules.entry(report.key.rule).or_insert_with(|| Tally {
            minute,
            opened: 0,
            flooded: false,
            mutes: Box::default(),
            generation: 0,
        });
        if tally.minute != minute {
            tally.flooded = tally.opened > max && minute == tally.minute + 1;
            tally.minute = minute;
            tally.opened = 0;
        }
        tally.opened = tally.opened.saturating_add(1);
        if tally.generation != self.generation {
            let places = self.mutes.iter().enumerate();
            tally.mutes = places
                .filter(|(_, mute)| mute.scope.rule.matches(report.key.rule, name))
                .map(|(place, _)| place)
                .collect();
            tally.generation = self.generation;
        }
        let crowded = tally.flooded || tally.opened > max;
        (crowded, verdict(&self.mutes, Some(&tally.mutes), &report.key, name, report.ts))
    }

    fn open_alert(
        &mut self,
        key: Key,
        report: &Report,
        described: &Described<'_>,
        name: Arc<str>,
        verdict: Verdict,
    ) {
        if self.open.len() >= self.config.max_open.max(1) {
            self.make_room();
        }
        let id = self.next_alert;
        self.next_alert += 1;
        let mut entry = Entry::of(described.record(id, report, name));
        entry.record.many = key.many.is_some();
        entry.news = Some(Change::Opened);
        entry.judge(verdict, self.generation, &self.mutes);
        if let Some(id) = report.flow {
            entry.record.add_flow(FlowRef { run: self.run, id: id.0 });
        }
        described.add_flows(&mut entry.record, self.run);
        entry.crowd(&report.key);
        hide(&entry, &mut self.mutes, &mut self.stats);
        self.stats.opened += 1;
        self.keys.insert(id, key);
        self.open.insert(key, entry);
        self.changed.push(key);
    }

    /// Lets the least severe and oldest alerts go, many at once, so that each costs little.
    fn make_room(&mut self) {
        let mut ranked: Vec<_> = self
            .open
            .iter()
            .map(|(key, entry)| {
                let rank = match entry.record.state {
                    AlertState::Muted => 0,
                    AlertState::Resolved => 1,
                    AlertState::New | AlertState::Seen => 2 + entry.record.severity as u8,
                };
                ((rank, entry.record.last_seen, entry.record.id), *key)
            })
            .collect();
        let share = (ranked.len() / 16).max(1);
        if share < ranked.len() {
            ranked.select_nth_unstable_by_key(share, |(rank, _)| *rank);
        }
        for (_, key) in ranked.into_iter().take(share) {
            self.leave(&key);
        }
        // Those that left need not be told as changed.
        self.changed.retain(|key| self.open.contains_key(key));
    }

    fn leave(&mut self, key: &Key) {
        let Some(mut entry) = self.open.remove(key) else { return };
        self.keys.remove(&entry.record.id);
        self.stats.left += 1;
        self.stats.left_reports += entry.record.count;
        if entry.news.is_some() {
            if self.leaving.len() < LEAVING {
                self.leaving.push(entry.tell());
            } else {
                self.stats.untold += 1;
            }
        }
    }

    /// What changed since the last time, at most `limit` alerts; the rest waits.
    pub fn drain(&mut self, limit: usize) -> Vec<AlertChange> {
        let mut told: Vec<_> = self.leaving.drain(..self.leaving.len().min(limit)).collect();
        let room = limit.saturating_sub(told.len()).min(self.changed.len());
        for key in self.changed.drain(..room) {
            if let Some(entry) = self.open.get_mut(&key).filter(|entry| entry.news.is_some()) {
                told.push(entry.tell());
            }
        }
        told
    }

    /// Says of all alerts that they changed, so that a store that lost some gets them anew.
    pub fn tell_all(&mut self) {
        for (key, entry) in &mut self.open {
            if entry.news.is_none() {
                entry.news = Some(Change::Updated);
                self.changed.push(*key);
            }
        }
        self.mutes_changed = true;
    }

    /// Ends mutes that are over; what they hid and still goes on is new again.
    pub fn expire(&mut self, now: Timestamp) {
        if self.mutes.iter().any(|mute| !mute.is_active(now)) {
            self.mutes.retain(|mute| mute.is_active(now));
            self.mutes_replaced(now);
        }
    }

    /// Adds a mute, gives it its number, and hides at once what it covers.
    pub fn add_mute(&mut self, mut mute: Mute, now: Timestamp) -> Result<Mute, WrongMute> {
        mute.check(now)?;
        if self.mutes.len() >= self.config.max_mutes {
            return Err(WrongMute::TooMany);
        }
        mute.id = self.next_mute;
        mute.hidden = 0;
        self.next_mute += 1;
        self.mutes.push(mute.clone());
        self.mutes_replaced(now);
        Ok(mute)
    }

    /// Takes a mute back; says whether there was one.
    pub fn remove_mute(&mut self, id: MuteId, now: Timestamp) -> bool {
        let before = self.mutes.len();
        self.mutes.retain(|mute| mute.id != id);
        let found = self.mutes.len() < before;
        if found {
            self.mutes_replaced(now);
        }
        found
    }

    /// The mutes, oldest first.
    pub fn mutes(&self) -> &[Mute] {
        &self.mutes
    }

    /// Whether mutes, or what they hid, changed since this was asked last.
    pub fn take_mutes_changed(&mut self) -> bool {
        std::mem::take(&mut self.mutes_changed)
    }

    fn mutes_replaced(&mut self, now: Timestamp) {
        self.generation += 1;
        self.mutes_changed = true;
        for (key, entry) in &mut self.open {
            if key.many.is_some() {
                // Its hosts are judged one by one, as they report.
                entry.generation = self.generation;
                continue;
            }
            let verdict = verdict(&self.mutes, None, key, &entry.record.name, now);
            let state = entry.record.state;
            entry.judge(verdict, self.generation, &self.mutes);
            if entry.record.state != state && entry.news.is_none() {
                entry.news = Some(Change::Updated);
                self.changed.push(*key);
            }
        }
    }

    /// What a person says of an alert; `None` where it is not open. What a mute hides stays muted.
    pub fn set(
        &mut self,
        id: AlertId,
        state: Option<AlertState>,
        note: Option<&str>,
    ) -> Option<Arc<AlertRecord>> {
        let key = self.keys.get(&id)?;
        let entry = self.open.get_mut(key)?;
        if let Some(state) = state.filter(|&state| state != AlertState::Muted) {
            if entry.record.state == AlertState::Muted {
                entry.before = state;
            } else {
                entry.record.state = state;
            }
        }
        if let Some(note) = note {
            entry.record.note = cut(note, AlertRecord::NOTE).into();
        }
        if entry.news.is_none() {
            entry.news = Some(Change::Updated);
            self.changed.push(*key);
        }
        Some(Arc::new(entry.record.clone()))
    }

    /// One open alert.
    pub fn get(&self, id: AlertId) -> Option<&AlertRecord> {
        self.open.get(self.keys.get(&id)?).map(|entry| &entry.record)
    }

    /// All open alerts, in no order.
    pub fn alerts(&self) -> impl Iterator<Item = &AlertRecord> {
        self.open.values().map(|entry| &entry.record)
    }

    /// Open alerts that nobody has looked at, by severity, the least first.
    pub fn unseen(&self) -> [u64; Severity::ALL.len()] {
        let mut counts = [0; Severity::ALL.len()];
        for entry in self.open.values().filter(|entry| entry.record.state == AlertState::New) {
            if let Some(count) = counts.get_mut(entry.record.severity as usize) {
                *count += 1;
            }
        }
        counts
    }

    /// What became of reports.
    pub fn stats(&self) -> BookStats {
        BookStats { open: self.open.len() as u64, ..self.stats }
    }

    /// How alerts are folded.
    pub fn config(&self) -> &Config {
        &self.config
    }
}

/// What the book needs to know of a report before it knows whether it is a repeat.
struct Report {
    key: Key,
    ts: Timestamp,
    first: Timestamp,
    severity: Severity,
    occurrences: u64,
    flow: Option<FlowId>,
}

/// Counts a report that a mute hid.
fn hide(entry: &Entry, mutes: &mut [Mute], stats: &mut BookStats) {
    if let Some(mute) = entry.verdict.mute.and_then(|place| mutes.get_mut(place)) {
        mute.hidden = mute.hidden.saturating_add(1);
        stats.muted += 1;
    }
}

/// What the mutes say of an alert: the one that hides it longest.
fn verdict(
    mutes: &[Mute],
    places: Option<&[usize]>,
    key: &Key,
    name: &str,
    at: Timestamp,
) -> Verdict {
    let mut found = Verdict { mute: None, until: at };
    let mut look = |place: usize| {
        let Some(mute) = mutes.get(place) else { return };
        let longer = found.mute.is_none() || mute.until > found.until;
        if longer
            && mute.is_active(at)
            && mute.scope.matches(key.rule, name, key.source, key.target, key.port)
        {
            found = Verdict { mute: Some(place), until: mute.until };
        }
    };
    match places {
        Some(places) => places.iter().copied().for_each(&mut look),
        None => (0..mutes.len()).for_each(&mut look),
    }
    found
}

impl Entry {
    /// Adds a report; says what is new of the alert.
    fn fold(&mut self, report: &Report, described: &Described<'_>, run: u64) -> Change {
        let record = &mut self.record;
        record.count = record.count.saturating_add(1);
        record.occurrences = record.occurrences.saturating_add(report.occurrences);
        record.last_seen = record.last_seen.max(report.ts);
        record.first_seen = record.first_seen.min(report.first);
        if let Some(id) = report.flow {
            record.add_flow(FlowRef { run, id: id.0 });
        }
        described.add_flows(record, run);
        let mut news = Change::Updated;
        if report.severity > record.severity {
            record.severity = report.severity;
            news = Change::Raised;
            if record.state == AlertState::Seen {
                record.state = AlertState::New;
            }
        }
        if record.state == AlertState::Resolved {
            record.state = AlertState::New;
            record.reopened = record.reopened.saturating_add(1);
            news = Change::Reopened;
        }
        described.refresh(record);
        if record.state == AlertState::Muted { Change::Updated } else { news }
    }

    fn of(record: AlertRecord) -> Self {
        let before = match record.state {
            AlertState::Muted => AlertState::New,
            state => state,
        };
        Self {
            record,
            verdict: Verdict { mute: None, until: Timestamp::ZERO },
            generation: 0,
            before,
            news: None,
            hosts: [None; HOSTS],
        }
    }

    fn is_too_old(&self, at: Timestamp, window: Duration) -> bool {
        at.since(self.record.last_seen) > window
    }

    /// Whether the mutes have changed, the one that hides it is over, or time went back to where one
    /// may have hidden it.
    fn needs_verdict(&self, generation: u64, at: Timestamp) -> bool {
        self.generation != generation
            || match self.verdict.mute {
                Some(_) => at >= self.verdict.until,
                None => at < self.verdict.until,
            }
    }

    /// Hides it, or shows it again.
    fn judge(&mut self, verdict: Verdict, generation: u64, mutes: &[Mute]) {
        self.verdict = verdict;
        self.generation = generation;
        let by = verdict.mute.and_then(|place| mutes.get(place)).map(|mute| mute.id);
        match (by, self.record.state) {
            (Some(_), AlertState::Muted) => {}
            (Some(_), state) => {
                self.before = state;
                self.record.state = AlertState::Muted;
            }
            (None, AlertState::Muted) => self.record.state = self.before,
            (None, _) => {}
        }
        self.record.muted_by = by;
    }

    /// Notes one of many hosts; ends that differ are shown as many.
    fn crowd(&mut self, key: &Key) {
        if !self.record.many {
            return;
        }
        if self.record.source != key.source {
            self.record.source = None;
        }
        if self.record.target != key.target {
            self.record.target = None;
        }
        if self.record.port != key.port {
            self.record.port = None;
        }
        let Some(host) = key.source.or(key.target) else { return };
        for place in &mut self.hosts {
            match place {
                Some(known) if *known == host => return,
                Some(_) => {}
                None => {
                    *place = Some(host);
                    return;
                }
            }
        }
    }

    fn tell(&mut self) -> AlertChange {
        let mut change = self.news.take().unwrap_or(Change::Updated);
        if self.record.many {
            let hosts: Vec<String> = self.hosts.iter().flatten().map(ToString::to_string).collect();
            self.record.evidence = [
                (Cow::Borrowed("reports of many hosts"), Evidence::Count(self.record.count)),
                (Cow::Borrowed("some of them"), Evidence::List(hosts)),
            ]
            .into();
        }
        if self.record.state == AlertState::Muted {
            change = Change::Updated;
        }
        AlertChange { change, alert: Arc::new(self.record.clone()) }
    }
}

/// The report as it came, for an alert that opens.
enum Described<'a> {
    Signature(&'a Alert),
    Detection(&'a Detection),
}

impl Described<'_> {
    /// The name that mutes ask for.
    fn name(&self) -> Arc<str> {
        match self {
            Self::Signature(alert) => Arc::clone(&alert.rule.signature),
            Self::Detection(d) if d.kind.is_empty() => d.detector.into(),
            Self::Detection(d) => format!("{}/{}", d.detector, d.kind).into(),
        }
    }

    fn add_flows(&self, record: &mut AlertRecord, run: u64) {
        if let Self::Detection(detection) = self {
            // The newest are last; more than are kept would push one another out.
            let skip = detection.flows.len().saturating_sub(AlertRecord::FLOWS);
            for id in detection.flows.iter().skip(skip) {
                record.add_flow(FlowRef { run, id: id.0 });
            }
        }
    }

    /// What a repeat tells anew; allocates only where it differs.
    fn refresh(&self, record: &mut AlertRecord) {
        let Self::Detection(detection) = self else { return };
        record.source_proved |= detection.source_proved;
        if record.many {
            return;
        }
        if *record.title != *detection.title {
            record.title = detection.title.as_str().into();
        }
        if *record.explanation != *detection.explanation {
            record.explanation = detection.explanation.as_str().into();
        }
        if detection.evidence.len() <= PIECES && *record.evidence != *detection.evidence {
            record.evidence = detection.evidence.as_slice().into();
        }
    }

    fn record(&self, id: AlertId, report: &Report, name: Arc<str>) -> AlertRecord {
        let Key { rule, source, target, port, .. } = report.key;
        let mut record = AlertRecord {
            id,
            kind: AlertKind::Signature,
            rule,
            name,
            severity: report.severity,
            category: Arc::default(),
            technique: None,
            title: Arc::default(),
            explanation: Arc::default(),
            source,
            target,
            port,
            proto: None,
            first_seen: report.first,
            last_seen: report.ts,
            count: 1,
            occurrences: report.occurrences,
            many: false,
            evidence: Arc::default(),
            flows: Vec::new(),
            source_proved: false,
            state: AlertState::New,
            muted_by: None,
            reopened: 0,
            note: Arc::default(),
        };
        match self {
            Self::Signature(alert) => describe_signature(alert, &mut record),
            Self::Detection(detection) => describe_detection(detection, &mut record),
        }
        record
    }
}

fn describe_detection(detection: &Detection, record: &mut AlertRecord) {
    record.kind = AlertKind::Behaviour;
    record.category = detection.category.into();
    record.technique = detection
        .technique
        .map(|technique| TechniqueName { id: technique.id.into(), name: technique.name.into() });
    record.title = detection.title.as_str().into();
    record.explanation = detection.explanation.as_str().into();
    record.proto = detection.proto;
    record.evidence = detection.evidence.iter().take(PIECES).cloned().collect();
    record.source_proved = detection.source_proved;
}

fn describe_signature(alert: &Alert, record: &mut AlertRecord) {
    let rule = &alert.rule;
    let meta = |name: &str| {
        rule.metadata.iter().find(|(n, _)| **n == *name).map(|(_, value)| Arc::clone(value))
    };
    record.category = Arc::clone(&rule.category);
    record.title = Arc::clone(&rule.signature);
    record.technique = meta("mitre_technique_id").map(|id| TechniqueName {
        id,
        name: meta("mitre_technique_name")
            .map_or_else(Arc::default, |n| n.replace('_', " ").into()),
    });
    record.proto = alert.ends.key.map(|key| key.proto);
    let mut text = String::from("Traffic matches this signature");
    if !rule.category.is_empty() {
        text = format!("{text}, which stands for: {}", rule.category);
    }
    text.push('.');
    if alert.action == AlertAction::Blocked {
        text.push_str(" The rule says that such traffic is to be dropped.");
    }
    text.push_str(" Look at the evidence: a match is a hint, not a proof.");
    record.explanation = text.into();
    record.evidence = signature_evidence(alert).into();
    // Whoever answers in an established session is there.
    record.source_proved = alert.flow.as_ref().is_some_and(|flow| {
        record.proto == Some(IpProto::TCP) && flow.packets.iter().all(|&packets| packets > 1)
    });
}

fn signature_evidence(alert: &Alert) -> Vec<(Cow<'static, str>, Evidence)> {
    let mut evidence: Vec<(Cow<'static, str>, Evidence)> = Vec::new();
    let mut add = |name: &'static str, text: String| {
        if !text.is_empty() {
            let text = cut(&text, EVIDENCE).to_owned();
            evidence.push((Cow::Borrowed(name), Evidence::Text(text)));
        }
    };
    if let Some(key) = &alert.ends.key {
        let end = |address: IpAddr, port: u16| match address {
            address if !key.has_ports() => address.to_string(),
            IpAddr::V4(address) => format!("{address}:{port}"),
            IpAddr::V6(address) => format!("[{address}]:{port}"),
        };
        add("packet", format!("{} to {}", end(key.src, key.src_port), end(key.dst, key.dst_port)));
    }
    if let Some(app) = alert.flow.as_ref().and_then(|flow| flow.app) {
        add("protocol", app.name().to_owned());
    }
    if let Some((_, transaction)) = &alert.tx {
        let transaction: &dyn Transaction = &**transaction;
        add("transaction", transaction.summary());
    }
    let files = alert
        .files
        .iter()
        .take(4)
        .map(|file| flowtrack_event::WireText(&file.filename).to_string());
    add("files", files.collect::<Vec<_>>().join(", "));
    if let Some(payload) = &alert.payload {
        let shown = payload.iter().take(200).map(|&byte| match byte {
            b' '..=b'~' => char::from(byte),
            _ => '.',
        });
        add("payload", shown.collect());
    }
    let links: Vec<String> =
        alert.rule.references.iter().take(8).map(ToString::to_string).collect();
    if !links.is_empty() {
        evidence.push((Cow::Borrowed("references"), Evidence::List(links)));
    }
    evidence
}

/// The text up to so many bytes, at a letter.
fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default()
}
