//! `tag`: what is to be recorded behind an alert, and for how long.

use ahash::AHashMap;
use flowtrack_event::Timestamp;
use smallvec::SmallVec;
use std::net::IpAddr;

/// What a rule asks to be recorded behind its alert.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TagRequest {
    /// Whose packets.
    pub of: Tagged,
    /// For how long, in `unit`; the packet that raised the alert counts.
    pub limit: u32,
    /// What is counted.
    pub unit: TagUnit,
}

/// Whose packets are recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tagged {
    /// Those of the flow.
    Session,
    /// Those that the sender of the packet that raised the alert sends or gets.
    Source,
    /// The same of its receiver.
    Destination,
}

/// What bounds a recording.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TagUnit {
    /// Packets.
    Packets,
    /// Bytes of packets, headers with them.
    Bytes,
    /// Seconds since the alert.
    Seconds,
}

impl TagRequest {
    /// Packets that one request may ask for, as in Suricata.
    pub const MAX_PACKETS: u32 = 256;
}

/// Requests of one flow or host that run at the same time; more are not begun.
const MAX_REQUESTS: usize = 50;
/// How often an alert that comes again may begin a request that runs anew.
const MAX_RENEWALS: u8 = 10;
/// Hosts that are recorded at the same time; more are not.
const MAX_HOSTS: usize = 4096;
/// Seconds without a packet after which a host makes room for another.
const SILENT: i64 = 600;

/// The recordings that run of one flow or host; bounded.
#[derive(Clone, Default, Debug)]
pub struct Tags {
    running: SmallVec<[Running; 1]>,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    rule: (u32, u32),
    limit: u32,
    unit: TagUnit,
    since: i64,
    counted: u64,
    renewals: u8,
    /// Whether the packet that raised the alert is behind: the alert records that one itself.
    is_begun: bool,
}

impl Tags {
    /// Begins a recording, or begins it anew where this rule asked before; says whether there was
    /// room.
    pub fn add(&mut self, rule: (u32, u32), request: TagRequest, now: Timestamp) -> bool {
        if let Some(known) = self.running.iter_mut().find(|running| running.rule == rule) {
            known.renewals = known.renewals.saturating_add(1);
            if known.renewals < MAX_RENEWALS {
                (known.since, known.counted) = (now.secs(), 0);
            }
            return true;
        }
        if self.running.len() >= MAX_REQUESTS {
            return false;
        }
        self.running.push(Running {
            rule,
            limit: request.limit,
            unit: request.unit,
            since: now.secs(),
            counted: 0,
            renewals: 0,
            is_begun: false,
        });
        true
    }

    /// Counts a packet of so many bytes; says whether it is to be recorded.
    pub fn meet(&mut self, now: Timestamp, bytes: u32) -> bool {
        let mut is_wanted = false;
        self.running.retain(|running| {
            let spent = match running.unit {
                TagUnit::Packets => {
                    running.counted += 1;
                    running.counted
                }
                TagUnit::Bytes => {
                    running.counted += u64::from(bytes);
                    running.counted
                }
                TagUnit::Seconds => {
                    u64::try_from(now.secs().saturating_sub(running.since)).unwrap_or(0)
                }
            };
            if !std::mem::replace(&mut running.is_begun, true) {
                return true;
            }
            let goes_on = spent <= u64::from(running.limit);
            is_wanted |= goes_on;
            goes_on
        });
        is_wanted
    }

    /// Whether nothing is recorded any more.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }
}

/// The hosts whose packets are recorded; bounded.
#[derive(Default, Debug)]
pub(super) struct TaggedHosts {
    hosts: AHashMap<IpAddr, (Tags, Timestamp)>,
}

impl TaggedHosts {
    /// Begins to record a host; says whether there was room.
    pub(super) fn add(
        &mut self,
        host: IpAddr,
        rule: (u32, u32),
        request: TagRequest,
        now: Timestamp,
    ) -> bool {
        if self.hosts.len() >= MAX_HOSTS && !self.hosts.contains_key(&host) {
            self.hosts.retain(|_, (_, last)| now.secs() - last.secs() < SILENT);
            if self.hosts.len() >= MAX_HOSTS {
                return false;
            }
        }
        let (tags, last) = self.hosts.entry(host).or_insert_with(|| (Tags::default(), now));
        *last = now;
        tags.add(rule, request, now)
    }

    /// Counts a packet between two hosts; says whether it is to be recorded.
    pub(super) fn meet(&mut self, ends: [IpAddr; 2], now: Timestamp, bytes: u32) -> bool {
        let [src, dst] = ends;
        let from = self.meet_one(src, now, bytes);
        let to = dst != src && self.meet_one(dst, now, bytes);
        from || to
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    fn meet_one(&mut self, host: IpAddr, now: Timestamp, bytes: u32) -> bool {
        let Some((tags, last)) = self.hosts.get_mut(&host) else { return false };
        *last = now;
        let is_wanted = tags.meet(now, bytes);
        if tags.is_empty() {
            self.hosts.remove(&host);
        }
        is_wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: (u32, u32) = (1, 7);

    fn request(limit: u32, unit: TagUnit) -> TagRequest {
        TagRequest { of: Tagged::Session, limit, unit }
    }

    fn recorded(limit: u32, unit: TagUnit, packets: &[(i64, u32)]) -> Vec<bool> {
        let mut tags = Tags::default();
        assert!(tags.add(RULE, request(limit, unit), Timestamp::from_secs(100)));
        packets.iter().map(|(at, bytes)| tags.meet(Timestamp::from_secs(*at), *bytes)).collect()
    }

    #[test]
    fn the_packet_of_the_alert_counts_but_is_not_recorded_again() {
        let packets = [(100, 60); 4];
        assert_eq!(recorded(3, TagUnit::Packets, &packets), [false, true, true, false]);
        assert_eq!(recorded(150, TagUnit::Bytes, &packets), [false, true, false, false]);
        let seconds = [(100, 60), (102, 60), (103, 60), (101, 60)];
        assert_eq!(recorded(2, TagUnit::Seconds, &seconds), [false, true, false, false]);
    }

    #[test]
    fn an_alert_that_comes_again_renews_so_often_and_not_for_ever() {
        let mut tags = Tags::default();
        let now = Timestamp::from_secs(1);
        let mut recorded = 0;
        for _ in 0..30 {
            tags.add(RULE, request(20, TagUnit::Packets), now);
            recorded += u32::from(tags.meet(now, 60));
        }
        // Not that of the first alert, and none once it ran to its end behind the last renewal.
        assert_eq!(recorded, 28);
        for sid in 0..100 {
            tags.add((1, sid), request(2, TagUnit::Packets), now);
        }
        assert_eq!(tags.running.len(), MAX_REQUESTS);
    }

    #[test]
    fn hosts_are_bounded_and_silent_ones_make_room() {
        let mut hosts = TaggedHosts::default();
        let host = |n: u32| IpAddr::from(n.to_be_bytes());
        let ask = request(5, TagUnit::Packets);
        for n in 0..=MAX_HOSTS as u32 {
            let has_room = hosts.add(host(n), RULE, ask, Timestamp::from_secs(1));
            assert_eq!(has_room, n < MAX_HOSTS as u32, "host {n}");
        }
        assert!(hosts.add(host(1 << 20), RULE, ask, Timestamp::from_secs(700)));
        assert_eq!(hosts.hosts.len(), 1);
        let now = Timestamp::from_secs(701);
        assert!(!hosts.meet([host(5), host(1 << 20)], now, 60));
        assert!(hosts.meet([host(1 << 20), host(6)], now, 60));
        assert!(!hosts.meet([host(5), host(6)], now, 60));
    }
}
