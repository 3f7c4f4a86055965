//! Decides what is told to whom and when; sends nothing and knows no clock, so that tests can let
//! a week pass.
//!
//! A notice goes through folding (the same again is only counted), routes (who hears of it),
//! quiet hours and digests (when), and waits in the queue. Whatever is due for a channel that is
//! free and has not used up its rate makes one message: one notice in full, or several in lines,
//! and what does not fit as `and 37 more`.

use crate::config::{NotifyConfig, Route};
use crate::error::{Again, SendError};
use crate::message::{Message, Reason};
use crate::notice::Notice;
use crate::queue::{Entry, Queue};
use flowtrack_event::{Severity, Timestamp};
use jiff::tz::TimeZone;
use std::collections::HashMap;
use std::time::Duration;

/// How a channel is.
#[derive(Clone, PartialEq, Debug)]
pub struct ChannelHealth {
    /// Its name.
    pub name: String,
    /// What kind it is.
    pub kind: &'static str,
    /// Where messages go, without what is secret of it.
    pub destination: String,
    /// Whether the last message arrived.
    pub state: ChannelState,
    /// Why the last message did not arrive.
    pub problem: Option<String>,
    /// When the last message arrived.
    pub delivered_at: Option<Timestamp>,
    /// When it is tried again, where something waits for that.
    pub retry_at: Option<Timestamp>,
    /// How many notices did what.
    pub counts: Counts,
}

/// Whether a channel works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChannelState {
    /// Nothing was sent yet.
    Unused,
    /// The last message arrived.
    Ok,
    /// The last message did not arrive and is tried again.
    Retrying,
    /// The last message was refused for good.
    Failed,
}

/// What became of the notices of a channel, since the start.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// Arrived.
    pub delivered: u64,
    /// Refused for good.
    pub failed: u64,
    /// Given up for want of room or because they got too old.
    pub dropped: u64,
    /// Not told, because the same was told a while ago.
    pub suppressed: u64,
    /// Waiting.
    pub waiting: u64,
    /// Attempts to send that failed.
    pub attempts_failed: u64,
}

/// A message to be sent.
pub(crate) struct Job {
    /// Place of the channel in the configuration.
    pub channel: usize,
    /// What to send.
    pub message: Message,
}

/// What decides.
pub(crate) struct Desk {
    routes: Vec<Route>,
    sensor: String,
    zone: TimeZone,
    repeat: Duration,
    max_age: Duration,
    queue: Queue,
    told: Told,
    outboxes: Vec<Outbox>,
    aged_at: Timestamp,
}

/// One channel as the desk sees it.
struct Outbox {
    bucket: Bucket,
    /// The message that is being sent.
    sending: Option<Sending>,
    /// Attempts that failed in a row.
    failures: u32,
    not_before: Timestamp,
    /// Notices that were dropped and not yet told of.
    lost: u64,
    health: ChannelHealth,
}

impl Outbox {
    /// The name of its channel.
    fn name(&self) -> &str {
        &self.health.name
    }
}

/// A message on its way.
struct Sending {
    /// Its entries.
    ids: Vec<u64>,
    /// Lost notices that it counts.
    lost: u64,
}

impl Desk {
    /// A desk for these channels; what waits in `queue` is told too.
    ///
    /// `sensor` names the machine, `zone` is the one of quiet hours and of times in messages.
    pub fn new(config: &NotifyConfig, sensor: String, zone: TimeZone, queue: Queue) -> Self {
        let outboxes = config
            .channels
            .iter()
            .map(|channel| Outbox {
                bucket: Bucket::new(channel.per_hour, channel.burst),
                sending: None,
                failures: 0,
                not_before: Timestamp::ZERO,
                lost: 0,
                health: ChannelHealth {
                    name: channel.name.clone(),
                    kind: channel.kind(),
                    destination: channel.open().destination(),
                    state: ChannelState::Unused,
                    problem: None,
                    delivered_at: None,
                    retry_at: None,
                    counts: Counts::default(),
                },
            })
            .collect();
        let mut desk = Self {
            routes: config.routes(),
            sensor,
            zone,
            repeat: Duration::from_secs(u64::from(config.repeat_minutes) * 60),
            max_age: Duration::from_secs(u64::from(config.queue_hours) * 3600),
            queue,
            told: Told::default(),
            outboxes,
            aged_at: Timestamp::ZERO,
        };
        desk.forget_unknown();
        desk
    }

    /// Takes out what waits for channels that are no longer configured.
    fn forget_unknown(&mut self) {
        let ids: Vec<u64> = self
            .queue
            .iter()
            .filter(|(_, e)| !self.outboxes.iter().any(|o| o.name() == e.channel))
            .map(|(id, _)| id)
            .collect();
        let gone = self.queue.remove(&ids).len();
        if gone > 0 {
            tracing::warn!(notices = gone, "notifications for channels that are gone are dropped");
        }
    }

    /// Takes a notice.
    pub fn accept(&mut self, now: Timestamp, mut notice: Notice) {
        match self.told.see(now, &notice, self.repeat) {
            Seen::New { missed } => notice.count = notice.count.saturating_add(missed),
            Seen::Again => {
                for at in self.channels_of(&notice) {
                    let outbox = &mut self.outboxes[at];
                    outbox.health.counts.suppressed += 1;
                    let sent = outbox.sending.as_ref().map_or(&[][..], |sending| &sending.ids);
                    if let Some(entry) = self.queue.find_mut(outbox.name(), &notice.key, sent) {
                        entry.notice.fold(notice.clone());
                    }
                }
                return;
            }
        }
        let mut due: HashMap<usize, (Timestamp, bool)> = HashMap::new();
        for route in self.routes.iter().filter(|route| wants(route, &notice)) {
            let when = self.due(now, route, &notice);
            for name in &route.channels {
                let Some(at) = self.outboxes.iter().position(|o| o.name() == name) else {
                    continue;
                };
                // Of several routes to a channel, the one that tells it first counts.
                let slot = due.entry(at).or_insert(when);
                *slot = (*slot).min(when);
            }
        }
        let mut due: Vec<_> = due.into_iter().collect();
        due.sort_unstable();
        for (at, (when, digest)) in due {
            let channel = self.outboxes[at].name().to_owned();
            let when = if digest { self.digest_of(&channel, now, when) } else { when };
            let gone = self.queue.add(Entry {
                channel,
                at_us: now.micros(),
                due_us: when.micros(),
                digest,
                notice: notice.clone(),
            });
            if let Some(channel) = gone {
                self.lose(&channel, 1);
            }
        }
    }

    /// When a notice may be told by this route, and whether with others.
    fn due(&self, now: Timestamp, route: &Route, notice: &Notice) -> (Timestamp, bool) {
        let wait = Duration::from_secs(u64::from(route.digest_minutes) * 60);
        let digest = plus(now, wait);
        let passes = notice.severity == Severity::Critical && !route.quiet_critical;
        let local = |ts: Timestamp| {
            jiff::Timestamp::from_microsecond(ts.micros())
                .unwrap_or_default()
                .to_zoned(self.zone.clone())
        };
        match route.quiet_hours.end(&local(digest)).filter(|_| !passes) {
            Some(end) => (Timestamp::from_micros(end.timestamp().as_microsecond()), true),
            None => (digest, !wait.is_zero()),
        }
    }

    /// A digest that is being collected is joined, where it is told no later than a new one.
    fn digest_of(&self, channel: &str, now: Timestamp, when: Timestamp) -> Timestamp {
        self.queue
            .iter()
            .filter(|(_, e)| e.digest && e.channel == channel && e.due_us > now.micros())
            .map(|(_, e)| Timestamp::from_micros(e.due_us))
            .filter(|&due| due <= when)
            .min()
            .unwrap_or(when)
    }

    fn channels_of(&self, notice: &Notice) -> Vec<usize> {
        let reached = |outbox: &Outbox| {
            self.routes
                .iter()
                .any(|r| wants(r, notice) && r.channels.iter().any(|c| c == outbox.name()))
        };
        (0..self.outboxes.len()).filter(|&at| reached(&self.outboxes[at])).collect()
    }

    fn lose(&mut self, channel: &str, count: u64) {
        if let Some(outbox) = self.outboxes.iter_mut().find(|o| o.name() == channel) {
            outbox.health.counts.dropped += count;
            outbox.lost += count;
        }
    }

    /// Counts notices that were lost before they came here.
    pub fn lose_everywhere(&mut self, count: u64) {
        for outbox in &mut self.outboxes {
            outbox.health.counts.dropped += count;
            outbox.lost += count;
        }
    }

    /// The messages that are to be sent now.
    pub fn next(&mut self, now: Timestamp) -> Vec<Job> {
        self.drop_old(now);
        let mut jobs = Vec::new();
        for at in 0..self.outboxes.len() {
            let outbox = &self.outboxes[at];
            if outbox.sending.is_some() || now < outbox.not_before {
                continue;
            }
            let due: Vec<u64> = self.due_now(outbox.name(), now);
            if !due.is_empty() && self.outboxes[at].bucket.take(now) {
                jobs.push(self.compose(at, due, now));
            }
        }
        self.queue.flush();
        jobs
    }

    fn due_now(&self, channel: &str, now: Timestamp) -> Vec<u64> {
        let due = |e: &Entry| e.channel == channel && e.due_us <= now.micros();
        self.queue.iter().filter(|(_, e)| due(e)).map(|(id, _)| id).collect()
    }

    /// One message of what is due, the most urgent first, of these the newest.
    fn compose(&mut self, at: usize, ids: Vec<u64>, now: Timestamp) -> Job {
        let mut entries: Vec<&Entry> = self
            .queue
            .iter()
            .filter(|(id, _)| ids.binary_search(id).is_ok())
            .map(|(_, e)| e)
            .collect();
        let digest = entries.iter().all(|entry| entry.digest);
        entries.sort_by_key(|e| {
            (std::cmp::Reverse(e.notice.severity), std::cmp::Reverse(e.notice.last_seen_us))
        });
        let notices: Vec<Notice> =
            entries.iter().take(MAX_LINES).map(|entry| entry.notice.clone()).collect();
        let outbox = &mut self.outboxes[at];
        let more = (ids.len() - notices.len()) as u64 + outbox.lost;
        let first = ids.first().copied().unwrap_or_default();
        // The same entries make the same identifier, so that a receiver can tell a repetition.
        let born = self.queue.iter().find(|(id, _)| *id == first).map_or(0, |(_, e)| e.at_us);
        let id = format!("{born:x}-{first}-{}", ids.len());
        outbox.sending = Some(Sending { ids, lost: outbox.lost });
        let message = Message {
            id,
            reason: if digest { Reason::Digest } else { Reason::Alert },
            notices,
            more,
            sensor: self.sensor.clone(),
            at: now,
            zone: self.zone.clone(),
        };
        Job { channel: at, message }
    }

    /// Notes how sending went.
    pub fn done(&mut self, now: Timestamp, channel: usize, result: Result<(), SendError>) {
        let outbox = &mut self.outboxes[channel];
        let Some(Sending { ids, lost }) = outbox.sending.take() else { return };
        let error = match result {
            Ok(()) => {
                outbox.failures = 0;
                outbox.lost -= lost.min(outbox.lost);
                outbox.health.state = ChannelState::Ok;
                outbox.health.problem = None;
                outbox.health.delivered_at = Some(now);
                outbox.health.counts.delivered += self.queue.remove(&ids).len() as u64;
                return self.queue.flush();
            }
            Err(error) => error,
        };
        outbox.health.counts.attempts_failed += 1;
        outbox.health.problem = Some(error.text);
        match error.again {
            Again::Never => {
                outbox.failures = 0;
                outbox.health.state = ChannelState::Failed;
                outbox.health.counts.failed += self.queue.remove(&ids).len() as u64;
                self.queue.flush();
            }
            Again::Later(wait) => {
                // What did not arrive has not used up the rate.
                outbox.bucket.give_back();
                outbox.health.state = ChannelState::Retrying;
                let pause = back_off(outbox.failures, outbox.name()).max(wait.unwrap_or_default());
                outbox.failures = outbox.failures.saturating_add(1);
                outbox.not_before = plus(now, pause);
            }
        }
    }

    /// Notes how a test went.
    pub fn tested(&mut self, now: Timestamp, channel: usize, result: Result<(), String>) {
        let outbox = &mut self.outboxes[channel];
        match result {
            Ok(()) => {
                outbox.health.state = ChannelState::Ok;
                outbox.health.problem = None;
                outbox.health.delivered_at = Some(now);
                // What waits for the next attempt need not any longer.
                outbox.failures = 0;
                outbox.not_before = now;
            }
            Err(problem) => {
                outbox.health.state = ChannelState::Failed;
                outbox.health.problem = Some(problem);
            }
        }
    }

    /// When [`Desk::next`] may have something to do; `None` where nothing waits.
    pub fn wake_at(&self, now: Timestamp) -> Option<Timestamp> {
        let free = self.outboxes.iter().filter(|outbox| outbox.sending.is_none());
        free.filter_map(|outbox| {
            let waiting = self.queue.iter().filter(|(_, e)| e.channel == outbox.name());
            let due = waiting.map(|(_, e)| Timestamp::from_micros(e.due_us)).min()?;
            Some(due.max(outbox.not_before).max(outbox.bucket.free_at(now)))
        })
        .min()
    }

    /// How the channels are.
    pub fn health(&self) -> Vec<ChannelHealth> {
        self.outboxes
            .iter()
            .map(|outbox| {
                let mut health = outbox.health.clone();
                let waiting = self.queue.iter().filter(|(_, e)| e.channel == outbox.name()).count();
                health.counts.waiting = waiting as u64;
                health.retry_at = (outbox.failures > 0 && waiting > 0).then_some(outbox.not_before);
                health
            })
            .collect()
    }

    /// The name of a channel.
    pub fn name(&self, channel: usize) -> &str {
        self.outboxes[channel].name()
    }

    /// Whether a message is being sent.
    pub fn is_sending(&self) -> bool {
        self.outboxes.iter().any(|outbox| outbox.sending.is_some())
    }

    /// Drops what is older than anybody wants to hear.
    fn drop_old(&mut self, now: Timestamp) {
        if now.since(self.aged_at) < Duration::from_secs(1) {
            return;
        }
        self.aged_at = now;
        let limit = self.max_age.as_micros() as i64;
        let sending = self.outboxes.iter().filter_map(|outbox| outbox.sending.as_ref());
        let busy: Vec<u64> = sending.flat_map(|sending| sending.ids.iter().copied()).collect();
        // Counted from when it could have been told: quiet hours are nobody's failure.
        let old: Vec<u64> = self
            .queue
            .iter()
            .filter(|(id, e)| now.micros() - e.at_us.max(e.due_us) > limit && !busy.contains(id))
            .map(|(id, _)| id)
            .collect();
        for entry in self.queue.remove(&old) {
            self.lose(&entry.channel, 1);
        }
    }
}

/// Whether a route takes a notice.
fn wants(route: &Route, notice: &Notice) -> bool {
    let named = |list: &[String], name: &str| {
        list.is_empty() || list.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
    };
    notice.severity >= route.min_severity
        && named(&route.categories, &notice.category)
        && named(&route.detectors, &notice.detector)
}

/// What was told lately.
#[derive(Default)]
struct Told {
    recent: HashMap<String, Recent>,
}

struct Recent {
    at: Timestamp,
    severity: Severity,
    /// Occurrences since then that nobody was told of.
    missed: u64,
}

/// Whether a notice is to be told.
enum Seen {
    New { missed: u64 },
    Again,
}

impl Told {
    fn see(&mut self, now: Timestamp, notice: &Notice, repeat: Duration) -> Seen {
        if let Some(recent) = self.recent.get_mut(&notice.key) {
            if notice.severity <= recent.severity && now.since(recent.at) < repeat {
                recent.missed = recent.missed.saturating_add(notice.count);
                return Seen::Again;
            }
            let missed = std::mem::take(&mut recent.missed);
            recent.at = now;
            recent.severity = notice.severity;
            return Seen::New { missed };
        }
        if self.recent.len() >= MAX_TOLD {
            // Rare: ten thousand different alerts within one repetition.
            self.recent.retain(|_, recent| now.since(recent.at) < repeat);
            if self.recent.len() >= MAX_TOLD {
                let mut times: Vec<Timestamp> = self.recent.values().map(|r| r.at).collect();
                let middle = times.len() / 2;
                let (_, &mut median, _) = times.select_nth_unstable(middle);
                let mut spare = MAX_TOLD / 2;
                self.recent.retain(|_, recent| {
                    let keep = recent.at > median || recent.at == median && spare > 0;
                    spare = spare.saturating_sub(usize::from(keep));
                    keep
                });
            }
        }
        let recent = Recent { at: now, severity: notice.severity, missed: 0 };
        self.recent.insert(notice.key.clone(), recent);
        Seen::New { missed: 0 }
    }
}

/// How many messages a channel takes: a few at once, and so many per hour.
struct Bucket {
    /// Nanoseconds for one more.
    period: i64,
    burst: u32,
    tokens: u32,
    /// When the last token was added.
    filled_at: Option<Timestamp>,
}

impl Bucket {
    fn new(per_hour: u32, burst: u32) -> Self {
        let period = HOUR / i64::from(per_hour.max(1));
        Self { period, burst: burst.max(1), tokens: burst.max(1), filled_at: None }
    }

    fn fill(&mut self, now: Timestamp) {
        let filled_at = *self.filled_at.get_or_insert(now);
        let fresh = now.since(filled_at).as_nanos() as i64 / self.period;
        let room = i64::from(self.burst - self.tokens.min(self.burst));
        if fresh >= room {
            (self.tokens, self.filled_at) = (self.tokens.max(self.burst), Some(now));
        } else if fresh > 0 {
            self.tokens += fresh as u32;
            self.filled_at = Some(Timestamp::from_nanos(filled_at.nanos() + fresh * self.period));
        }
    }

    fn take(&mut self, now: Timestamp) -> bool {
        self.fill(now);
        let there = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        there
    }

    fn give_back(&mut self) {
        self.tokens = (self.tokens + 1).min(self.burst);
    }

    fn free_at(&self, now: Timestamp) -> Timestamp {
        match self.filled_at {
            Some(filled_at) if self.tokens == 0 => {
                Timestamp::from_nanos(filled_at.nanos().saturating_add(self.period))
            }
            _ => now,
        }
    }
}

/// 5 s after the first failure, twice as long after each further one, at most half an hour; and up
/// to a quarter more, so that channels of one cause do not all come back at once.
fn back_off(failures: u32, name: &str) -> Duration {
    let base = (FIRST_PAUSE << failures.min(16)).min(LONGEST_PAUSE);
    let spread = name.bytes().fold(failures, |sum, byte| sum.wrapping_mul(31) + u32::from(byte));
    Duration::from_millis(base + base / 4 * u64::from(spread % 100) / 100)
}

fn plus(ts: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_micros(ts.micros().saturating_add(by.as_micros() as i64))
}

/// Nanoseconds of an hour.
const HOUR: i64 = 3_600_000_000_000;
/// Notices that a message shows; further ones are counted.
const MAX_LINES: usize = 10;
/// Different alerts that are remembered so as not to be told again.
const MAX_TOLD: usize = 10_000;
/// Milliseconds of the first pause.
const FIRST_PAUSE: u64 = 5_000;
/// Milliseconds of the longest pause.
const LONGEST_PAUSE: u64 = 30 * 60 * 1000;

#[cfg(test)]
mod tests;
