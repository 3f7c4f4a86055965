//! The last seconds in numbers, of all workers together.

use super::{ProtocolRow, RatePoint, Snapshot};
use flowtrack_event::Second;
use std::collections::{BTreeMap, HashMap};

/// The last [`Snapshot::SECONDS`] seconds, and the sums of all there ever were.
#[derive(Default)]
pub(crate) struct Seconds {
    seconds: BTreeMap<i64, Heard>,
    totals: SecondTotals,
}

/// One second and the revision in which it was first heard of.
struct Heard {
    second: Second,
    revision: u64,
}

/// Sums since the start.
#[derive(Clone, Copy, Default)]
pub(crate) struct SecondTotals {
    pub packets: u64,
    pub bytes: u64,
    pub flows_new: u64,
}

/// Seconds by which workers may be apart; more means that time began anew, as in a replay.
const APART: i64 = 60;

impl Seconds {
    /// Adds what one worker saw in a second; says whether time began anew with it.
    pub fn add(&mut self, second: &Second, revision: u64) -> bool {
        self.totals.packets = self.totals.packets.saturating_add(second.packets);
        self.totals.bytes = self.totals.bytes.saturating_add(second.bytes);
        self.totals.flows_new = self.totals.flows_new.saturating_add(second.flows_new);
        let at = second.at.secs();
        let again = self.seconds.last_key_value().is_some_and(|(&last, _)| at < last - APART);
        if again {
            self.seconds.clear();
        }
        match self.seconds.get_mut(&at) {
            Some(heard) => merge(&mut heard.second, second),
            None => {
                self.seconds.insert(at, Heard { second: second.clone(), revision });
                // One is held back, so one more than is shown.
                while self.seconds.len() > Snapshot::SECONDS + 1 {
                    self.seconds.pop_first();
                }
            }
        }
        again
    }

    /// Sums since the start.
    pub fn totals(&self) -> SecondTotals {
        self.totals
    }

    /// The seconds that all workers had time to speak of, and the protocols in them.
    ///
    /// A second is shown one picture after it was first heard of: by then the slower workers have
    /// told their part, and the chart does not dip at its end.
    pub fn shown(&self, revision: u64) -> (Vec<RatePoint>, Vec<ProtocolRow>) {
        let complete: Vec<_> =
            self.seconds.values().filter(|h| h.revision < revision).map(|h| &h.second).collect();
        let skip = complete.len().saturating_sub(Snapshot::SECONDS);
        let complete = &complete[skip..];
        (complete.iter().map(|second| point(second)).collect(), protocols(complete))
    }
}

/// Adds the part of another worker.
fn merge(all: &mut Second, part: &Second) {
    all.packets += part.packets;
    all.bytes += part.bytes;
    all.flows_new += part.flows_new;
    all.flows_ended += part.flows_ended;
    all.tcp_data_segments += part.tcp_data_segments;
    all.tcp_retransmissions += part.tcp_retransmissions;
    all.tcp_out_of_order += part.tcp_out_of_order;
    all.tcp_lost += part.tcp_lost;
    all.rtt.merge(&part.rtt);
    all.response.merge(&part.response);
    for share in &part.shares {
        match all.shares.iter_mut().find(|known| known.protocol == share.protocol) {
            Some(known) => {
                known.packets += share.packets;
                known.bytes += share.bytes;
            }
            None => all.shares.push(*share),
        }
    }
}

fn point(second: &Second) -> RatePoint {
    let shares = second.shares.iter().map(|s| (s.protocol.to_owned(), s.bytes)).collect();
    RatePoint {
        at: second.at.secs(),
        packets: second.packets,
        bytes: second.bytes,
        flows_new: second.flows_new,
        rtt_p50_us: second.rtt.quantile(0.50),
        rtt_p95_us: second.rtt.quantile(0.95),
        rtt_p99_us: second.rtt.quantile(0.99),
        tcp_segments: second.tcp_data_segments,
        retransmissions: second.tcp_retransmissions,
        lost: second.tcp_lost,
        shares: largest_shares(shares),
    }
}

/// Shares that a point of a chart names; the others are one.
const NAMED_SHARES: usize = 8;

/// The largest shares first, and what is left as `other`; their sum stays the same.
pub(crate) fn largest_shares(mut shares: Vec<(String, u64)>) -> Vec<(String, u64)> {
    shares.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    if shares.len() > NAMED_SHARES + 1 {
        let rest = shares.drain(NAMED_SHARES..).map(|(_, bytes)| bytes).sum();
        shares.push(("other".to_owned(), rest));
    }
    shares
}

fn protocols(seconds: &[&Second]) -> Vec<ProtocolRow> {
    let mut sums: HashMap<&'static str, (u64, u64)> = HashMap::new();
    for share in seconds.iter().flat_map(|second| &second.shares) {
        let (packets, bytes) = sums.entry(share.protocol).or_default();
        *packets += share.packets;
        *bytes += share.bytes;
    }
    let mut rows: Vec<_> = sums
        .into_iter()
        .map(|(name, (packets, bytes))| ProtocolRow { protocol: name.to_owned(), packets, bytes })
        .collect();
    rows.sort_unstable_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.protocol.cmp(&b.protocol)));
    rows
}
