//! How often a signature may speak: `threshold`, `detection_filter`, and what `threshold.config`
//! says of signatures (`threshold`, `suppress`, `rate_filter`).

use crate::context::Context;
use crate::lang::{Action, Addresses, ThresholdConfig, ThresholdRule, Track};
use crate::signature::Signature;
use ahash::{AHashMap, AHashSet};
use flowtrack_event::{FlowId, Timestamp};
use std::net::IpAddr;

/// Whose matches are counted together.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scope {
    /// Those of one sender.
    Source,
    /// Those of one receiver.
    Destination,
    /// Those between two hosts, either way.
    Both,
    /// All.
    Rule,
    /// Those of one flow.
    Flow,
}

/// How matches are counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Count {
    /// The first `n` of a period speak.
    Limit,
    /// Every `n`-th of a period speaks.
    Threshold,
    /// The `n`-th of a period speaks, once.
    Both,
    /// All after the `n`-th of a period speak (`detection_filter`).
    Filter,
    /// The `n`-th speaks, then the one `n` times as late as the last, and so on.
    Backoff {
        /// By what the distance grows.
        multiplier: u32,
    },
}

/// `threshold` or `detection_filter` of a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Threshold {
    /// How matches are counted.
    pub count: Count,
    /// Whose.
    pub scope: Scope,
    /// How many.
    pub n: u32,
    /// Length of a period.
    pub seconds: u32,
    /// Whether matches with a port that was counted before are not counted again
    /// (`detection_filter: …, unique_on src_port`).
    pub distinct: Option<Distinct>,
}

/// What has to differ for a match to be counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Distinct {
    /// The port of the sender.
    SourcePort,
    /// The port of the receiver.
    DestinationPort,
}

impl Distinct {
    fn of(self, cx: &Context<'_>) -> Option<u16> {
        let key = cx.key.filter(|key| matches!(key.proto.0, 6 | 17 | 132))?;
        Some(match self {
            Self::SourcePort => key.src_port,
            Self::DestinationPort => key.dst_port,
        })
    }
}

/// What a signature that speaks too often does for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateFilter {
    /// Whose matches are counted.
    pub scope: Scope,
    /// How many are too many.
    pub n: u32,
    /// Length of a period.
    pub seconds: u32,
    /// What the signature does then.
    pub action: Action,
    /// For how many seconds; 0 for the rest of the period.
    pub timeout: u32,
}

/// Which matches are never told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Suppress {
    /// All.
    Always,
    /// Those from or to these addresses.
    Of(Track, Addresses),
}

/// All that limits how often a signature speaks.
#[derive(Clone, Default, Debug)]
pub struct Limits {
    /// `detection_filter` of the rule.
    pub filter: Option<Threshold>,
    /// `threshold` of the rule, or of `threshold.config`, which wins.
    pub threshold: Option<Threshold>,
    /// `rate_filter`.
    pub rate: Option<RateFilter>,
    /// `suppress`.
    pub suppress: Vec<Suppress>,
}

/// Whether a match is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is.
    Tell,
    /// It is, as if the rule had this action.
    TellAs(Action),
    /// It is not.
    Silent,
    /// It is not, yet what the rule does is done: a limit is on words, not on deeds.
    ActSilently,
}

impl Limits {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        self.filter.is_none()
            && self.threshold.is_none()
            && self.rate.is_none()
            && self.suppress.is_empty()
    }

    /// Whether matches of hosts that are different workers' are counted together.
    fn crosses(&self) -> bool {
        let thresholds = [&self.filter, &self.threshold].into_iter().flatten();
        let mut scopes = thresholds.map(|t| t.scope).chain(self.rate.map(|rate| rate.scope));
        scopes.any(|scope| !matches!(scope, Scope::Both | Scope::Flow))
    }

    /// Judges a match of `rule` (generator and signature), and counts it.
    pub fn judge(&self, rule: (u32, u32), cx: &mut Context<'_>) -> Verdict {
        if self.is_empty() {
            return Verdict::Tell;
        }
        let ends = cx.key.map(|key| (key.src, key.dst));
        if self.suppress.iter().any(|suppress| suppress.applies(ends)) {
            return Verdict::ActSilently;
        }
        let shared = cx.shared;
        let (verdict, uncounted) = shared.limits(self.crosses(), |memory| {
            let verdict = self.count(rule, cx, memory);
            (verdict, std::mem::take(&mut memory.uncounted))
        });
        cx.forgotten += uncounted;
        verdict
    }

    /// Counts a match in what all matches are counted in.
    fn count(&self, rule: (u32, u32), cx: &Context<'_>, memory: &mut Thresholds) -> Verdict {
        let ends = cx.key.map(|key| (key.src, key.dst));
        let flow = cx.flow.as_ref().map(|flow| flow.context.id);
        for threshold in [&self.filter, &self.threshold].into_iter().flatten() {
            let Some(key) = Key::of(rule, threshold.scope, ends, flow, Purpose::Threshold) else {
                continue;
            };
            let port = threshold.distinct.and_then(|distinct| distinct.of(cx));
            match memory.count(key, threshold, port, cx.ts) {
                Counted::Speaks => {}
                Counted::Acts => return Verdict::ActSilently,
                Counted::Waits => return Verdict::Silent,
            }
        }
        match &self.rate {
            Some(rate) => match Key::of(rule, rate.scope, ends, flow, Purpose::Rate) {
                Some(key) if memory.is_too_fast(key, rate, cx.ts) => Verdict::TellAs(rate.action),
                _ => Verdict::Tell,
            },
            None => Verdict::Tell,
        }
    }
}

impl ThresholdConfig {
    /// Gives signatures their entries. What a rule says of itself gives way.
    pub fn apply(&self, signatures: &mut [Signature]) {
        if self.entries.is_empty() {
            return;
        }
        for signature in signatures {
            for entry in &self.entries {
                let is_meant = (entry.gid == 0 || entry.gid == signature.info.gid)
                    && (entry.sid == 0 || entry.sid == signature.info.sid);
                if is_meant {
                    signature.limits.add(&entry.rule);
                }
            }
        }
    }
}

impl Limits {
    fn add(&mut self, rule: &ThresholdRule) {
        match rule {
            ThresholdRule::Threshold(threshold) => {
                if let Ok(threshold) = Threshold::of(*threshold) {
                    self.threshold = Some(threshold);
                }
            }
            ThresholdRule::RateFilter { track, count, seconds, new_action, timeout } => {
                if let Some(scope) = Scope::of(*track) {
                    self.rate = Some(RateFilter {
                        scope,
                        n: *count,
                        seconds: *seconds,
                        action: *new_action,
                        timeout: *timeout,
                    });
                }
            }
            ThresholdRule::Suppress(None) => self.suppress.push(Suppress::Always),
            ThresholdRule::Suppress(Some((track, addresses))) => {
                self.suppress.push(Suppress::Of(*track, addresses.clone()));
            }
        }
    }
}

impl Suppress {
    fn applies(&self, ends: Option<(IpAddr, IpAddr)>) -> bool {
        let Self::Of(track, addresses) = self else { return true };
        let Some((src, dst)) = ends else { return false };
        match track {
            Track::Source => addresses.contains(src),
            Track::Destination => addresses.contains(dst),
            _ => addresses.contains(src) || addresses.contains(dst),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Purpose {
    Threshold,
    Rate,
}

/// Who is counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Whose {
    All,
    Host(IpAddr),
    Pair(IpAddr, IpAddr),
    Flow(FlowId),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Key {
    rule: (u32, u32),
    scope: Scope,
    purpose: Purpose,
    whose: Whose,
}

impl Key {
    fn of(
        rule: (u32, u32),
        scope: Scope,
        ends: Option<(IpAddr, IpAddr)>,
        flow: Option<FlowId>,
        purpose: Purpose,
    ) -> Option<Self> {
        let whose = match (scope, ends) {
            (Scope::Rule, _) => Whose::All,
            (Scope::Flow, _) => Whose::Flow(flow?),
            (Scope::Source, Some((src, _))) => Whose::Host(src),
            (Scope::Destination, Some((_, dst))) => Whose::Host(dst),
            (Scope::Both, Some((src, dst))) => Whose::Pair(src.min(dst), src.max(dst)),
            (_, None) => return None,
        };
        Some(Self { rule, scope, purpose, whose })
    }
}

/// What becomes of a match that was counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Counted {
    /// It is told, and what the rule does is done.
    Speaks,
    /// It is one too many to be told; what the rule does is done.
    Acts,
    /// There are too few yet: it is as if the rule had not matched.
    Waits,
}

impl Counted {
    /// For what is done and told, or neither.
    const fn once(speaks: bool) -> Self {
        if speaks { Self::Speaks } else { Self::Waits }
    }
}

/// One count.
#[derive(Clone, Copy, Debug)]
struct Counter {
    count: u32,
    /// When it may be forgotten.
    until: Timestamp,
    /// The count at which a backoff speaks next; until when a rate filter acts.
    next: u64,
}

/// Counters kept; beyond, those that are over go, and else a match counts as a first one.
const CAP: usize = 262_144;

/// What limits have counted.
#[derive(Default, Debug)]
pub struct Thresholds {
    counters: AHashMap<Key, Counter>,
    /// Ports that were counted, where only different ones are: at most one more than the rule asks
    /// for.
    ports: AHashMap<Key, AHashSet<u16>>,
    /// Matches that could not be counted, because too much is; whoever counts takes them.
    uncounted: u64,
}

impl Thresholds {
    fn room(&mut self, now: Timestamp) -> bool {
        if self.counters.len() >= CAP {
            self.counters.retain(|_, counter| counter.until >= now);
            let Self { counters, ports, .. } = self;
            ports.retain(|key, _| counters.contains_key(key));
        }
        let has_room = self.counters.len() < CAP;
        self.uncounted += u64::from(!has_room);
        has_room
    }

    /// Counts a match; says what becomes of it.
    fn count(
        &mut self,
        key: Key,
        threshold: &Threshold,
        port: Option<u16>,
        now: Timestamp,
    ) -> Counted {
        let n = threshold.n;
        if let Some(port) = port {
            let is_over = self.counters.get(&key).is_none_or(|counter| now > counter.until);
            let ports = self.ports.entry(key).or_default();
            if is_over {
                ports.clear();
            }
            if ports.len() > n as usize || !ports.insert(port) {
                let known = self.counters.get(&key);
                return Counted::once(known.is_some_and(|counter| counter.count > n));
            }
        }
        let period = std::time::Duration::from_secs(threshold.seconds.into());
        let fresh = Counter { count: 1, until: now.plus(period), next: n.into() };
        let Some(counter) = self.counters.get_mut(&key) else {
            if self.room(now) {
                self.counters.insert(key, fresh);
            }
            return first(threshold.count, n, self.counters.get_mut(&key));
        };
        if let Count::Backoff { multiplier } = threshold.count {
            counter.count = counter.count.saturating_add(1);
            counter.until = now.plus(period);
            let speaks = u64::from(counter.count) == counter.next;
            if speaks {
                counter.next = counter.next.saturating_mul(u64::from(multiplier.max(2)));
                return Counted::Speaks;
            }
            return Counted::Acts;
        }
        if now > counter.until {
            *counter = fresh;
            return first(threshold.count, n, Some(counter));
        }
        counter.count = counter.count.saturating_add(1);
        match threshold.count {
            Count::Limit | Count::Both if counter.count > n => Counted::Acts,
            Count::Limit => Counted::Speaks,
            Count::Threshold => {
                let speaks = counter.count >= n;
                if speaks {
                    counter.count = 0;
                }
                Counted::once(speaks)
            }
            Count::Both => Counted::once(counter.count == n),
            Count::Filter => Counted::once(counter.count > n),
            Count::Backoff { .. } => Counted::Acts,
        }
    }

    /// Counts a match; says whether there were too many.
    fn is_too_fast(&mut self, key: Key, rate: &RateFilter, now: Timestamp) -> bool {
        let period = std::time::Duration::from_secs(rate.seconds.into());
        let fresh = Counter { count: 1, until: now.plus(period), next: 0 };
        let Some(counter) = self.counters.get_mut(&key) else {
            if self.room(now) {
                self.counters.insert(key, fresh);
            }
            return rate.n == 0;
        };
        if counter.next > 0 {
            // The other action is in force.
            let acting = rate.timeout == 0
                || now.since(Timestamp::from_nanos(counter.next as i64)).as_secs()
                    < u64::from(rate.timeout);
            if acting && (rate.timeout > 0 || now <= counter.until) {
                return true;
            }
            *counter = fresh;
            return false;
        }
        if now > counter.until {
            *counter = fresh;
            return false;
        }
        counter.count = counter.count.saturating_add(1);
        let too_fast = counter.count > rate.n;
        if too_fast {
            counter.next = now.nanos().max(1) as u64;
            let acting = std::time::Duration::from_secs(rate.timeout.into());
            counter.until = counter.until.max(now.plus(acting));
        }
        too_fast
    }
}

/// What becomes of the first match of a period.
fn first(count: Count, n: u32, counter: Option<&mut Counter>) -> Counted {
    let speaks = match count {
        Count::Limit => n > 0,
        Count::Threshold | Count::Both | Count::Backoff { .. } => n <= 1,
        Count::Filter => n == 0,
    };
    if let Some(counter) = counter {
        match count {
            Count::Threshold if speaks => counter.count = 0,
            Count::Backoff { multiplier } if speaks => {
                counter.next = u64::from(multiplier.max(2));
            }
            _ => {}
        }
    }
    match count {
        // A limit of none is on words alone.
        Count::Limit if !speaks => Counted::Acts,
        _ => Counted::once(speaks),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Shared;
    use flowtrack_event::{Direction, FlowKey, IpProto};

    /// Which of matches at these seconds come to this.
    fn come_to(wanted: Counted, count: Count, n: u32, at: &[i64]) -> Vec<i64> {
        let threshold = Threshold { count, scope: Scope::Rule, n, seconds: 10, distinct: None };
        let key = Key::of((1, 1), Scope::Rule, None, None, Purpose::Threshold).unwrap();
        let mut memory = Thresholds::default();
        let mut come = |at: i64| memory.count(key, &threshold, None, Timestamp::from_secs(at));
        at.iter().copied().filter(|at| come(*at) == wanted).collect()
    }

    #[test]
    fn each_kind_counts_its_own_way() {
        let at = [0, 1, 2, 3, 4, 5, 20, 21];
        let speak = |count, n| come_to(Counted::Speaks, count, n, &at);
        assert_eq!(speak(Count::Limit, 1), [0, 20]);
        assert_eq!(speak(Count::Limit, 2), [0, 1, 20, 21]);
        assert_eq!(speak(Count::Threshold, 3), [2, 5]);
        assert_eq!(speak(Count::Both, 3), [2]);
        assert_eq!(speak(Count::Filter, 3), [3, 4, 5]);
        assert_eq!(speak(Count::Backoff { multiplier: 2 }, 1), [0, 1, 3, 21]);
    }

    #[test]
    fn what_is_not_told_is_done_only_where_there_are_too_many_words() {
        let at = [0, 1, 2, 3, 4, 5, 20, 21];
        let act = |count, n| come_to(Counted::Acts, count, n, &at);
        assert_eq!(act(Count::Limit, 2), [2, 3, 4, 5]);
        assert_eq!(act(Count::Threshold, 3), [0; 0]);
        assert_eq!(act(Count::Both, 3), [3, 4, 5]);
        assert_eq!(act(Count::Filter, 3), [0; 0]);
        assert_eq!(act(Count::Backoff { multiplier: 2 }, 3), [1, 3, 4, 20, 21]);
    }

    #[test]
    fn only_different_ports_are_counted() {
        let distinct = Some(Distinct::SourcePort);
        let (count, scope) = (Count::Filter, Scope::Rule);
        let threshold = Threshold { count, scope, n: 1, seconds: 10, distinct };
        let key = Key::of((1, 1), Scope::Rule, None, None, Purpose::Threshold).unwrap();
        let mut memory = Thresholds::default();
        let mut speaks = |at, port| {
            memory.count(key, &threshold, Some(port), Timestamp::from_secs(at)) == Counted::Speaks
        };
        assert!(!speaks(0, 2000));
        assert!(!speaks(1, 2000));
        assert!(speaks(2, 2001));
        assert!(speaks(3, 2002));
        // A new period begins with nothing.
        assert!(!speaks(20, 2000));
    }

    #[test]
    fn what_cannot_be_counted_is_taken_once_by_whoever_counts() {
        let (count, scope) = (Count::Filter, Scope::Source);
        let filter = Threshold { count, scope, n: 1, seconds: 600, distinct: None };
        let limits = Limits { filter: Some(filter), ..Limits::default() };
        let shared = Shared::default();
        let mut cx = Context::new(Timestamp::from_secs(1), Direction::ToServer, &shared);
        for host in 0..CAP as u32 + 3 {
            cx.key = Some(FlowKey {
                src: host.to_be_bytes().into(),
                dst: [192, 0, 2, 1].into(),
                src_port: 1,
                dst_port: 2,
                proto: IpProto::TCP,
            });
            assert_eq!(limits.judge((1, 1), &mut cx), Verdict::Silent);
        }
        assert_eq!(cx.forgotten, 3);
    }

    #[test]
    fn a_rate_filter_acts_for_its_time() {
        let rate =
            RateFilter { scope: Scope::Rule, n: 2, seconds: 5, action: Action::Drop, timeout: 10 };
        let key = Key::of((1, 1), Scope::Rule, None, None, Purpose::Rate).unwrap();
        let mut memory = Thresholds::default();
        let mut acts = |at| memory.is_too_fast(key, &rate, Timestamp::from_secs(at));
        assert_eq!([0, 1, 2, 8, 11, 13].map(&mut acts), [false, false, true, true, true, false]);
    }
}
