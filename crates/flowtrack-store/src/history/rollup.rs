//! Exact sums per second and per minute.

use crate::live::RatePoint;
use flowtrack_event::{Histogram, Second};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Sums of some time.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Tally {
    pub packets: u64,
    pub bytes: u64,
    pub flows_new: u64,
    pub flows_ended: u64,
    pub tcp_segments: u64,
    pub retransmissions: u64,
    pub out_of_order: u64,
    pub lost: u64,
    pub rtt: Histogram,
    pub response: Histogram,
    /// Packets and bytes by protocol.
    pub shares: BTreeMap<String, (u64, u64)>,
}

impl Tally {
    /// Adds what one worker saw in a second.
    pub fn add_second(&mut self, second: &Second) {
        self.packets += second.packets;
        self.bytes += second.bytes;
        self.flows_new += second.flows_new;
        self.flows_ended += second.flows_ended;
        self.tcp_segments += second.tcp_data_segments;
        self.retransmissions += second.tcp_retransmissions;
        self.out_of_order += second.tcp_out_of_order;
        self.lost += second.tcp_lost;
        self.rtt.merge(&second.rtt);
        self.response.merge(&second.response);
        for share in &second.shares {
            self.add_share(share.protocol, share.packets, share.bytes);
        }
    }

    /// Adds another time.
    pub fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.flows_new += other.flows_new;
        self.flows_ended += other.flows_ended;
        self.tcp_segments += other.tcp_segments;
        self.retransmissions += other.retransmissions;
        self.out_of_order += other.out_of_order;
        self.lost += other.lost;
        self.rtt.merge(&other.rtt);
        self.response.merge(&other.response);
        for (protocol, &(packets, bytes)) in &other.shares {
            self.add_share(protocol, packets, bytes);
        }
    }

    fn add_share(&mut self, protocol: &str, packets: u64, bytes: u64) {
        if let Some(sum) = self.shares.get_mut(protocol) {
            *sum = (sum.0 + packets, sum.1 + bytes);
        } else {
            self.shares.insert(protocol.to_owned(), (packets, bytes));
        }
    }

    /// As a point of a chart that begins at `at`.
    pub fn point(&self, at: i64) -> RatePoint {
        let shares = self.shares.iter().map(|(name, &(_, bytes))| (name.clone(), bytes)).collect();
        RatePoint {
            at,
            packets: self.packets,
            bytes: self.bytes,
            flows_new: self.flows_new,
            rtt_p50_us: self.rtt.quantile(0.50),
            rtt_p95_us: self.rtt.quantile(0.95),
            rtt_p99_us: self.rtt.quantile(0.99),
            tcp_segments: self.tcp_segments,
            retransmissions: self.retransmissions,
            lost: self.lost,
            shares: crate::live::largest_shares(shares),
        }
    }

    /// From a row of [`COLUMNS`].
    pub fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let count = |column: &str| row.get::<_, i64>(column).map(|n| n as u64);
        let shares: String = row.get("shares")?;
        Ok(Self {
            packets: count("packets")?,
            bytes: count("bytes")?,
            flows_new: count("flows_new")?,
            flows_ended: count("flows_ended")?,
            tcp_segments: count("tcp_segments")?,
            retransmissions: count("retransmissions")?,
            out_of_order: count("out_of_order")?,
            lost: count("lost")?,
            rtt: decode(&row.get::<_, Vec<u8>>("rtt")?),
            response: decode(&row.get::<_, Vec<u8>>("response")?),
            shares: serde_json::from_str(&shares).unwrap_or_default(),
        })
    }
}

/// Columns that [`Tally::from_row`] reads.
pub(crate) const COLUMNS: &str = "packets, bytes, flows_new, flows_ended, tcp_segments, \
    retransmissions, out_of_order, lost, rtt, response, shares";

/// Seconds of the roll-ups that are kept.
pub(crate) const STEPS: [i64; 2] = [1, 60];

/// Roll-ups on their way to the database.
///
/// They are kept here until they are committed, so a failing disk does not make them wrong; a
/// second that comes late is added to what the database has of it.
#[derive(Default)]
pub(crate) struct RollUps {
    pending: BTreeMap<(i64, i64), Pending>,
}

struct Pending {
    tally: Tally,
    changed: bool,
}

/// Roll-ups that wait at most for a disk that does not take them; over an hour.
const WAITING: usize = 4_096;

/// Roll-ups that stay here although they are written, because more may come for them.
const WARM: usize = 64;

impl RollUps {
    /// Adds what one worker saw in a second.
    pub fn add(&mut self, connection: &Connection, second: &Second) -> rusqlite::Result<()> {
        let keys = STEPS.map(|step| (step, second.at.secs().div_euclid(step) * step));
        // Both are there before either is changed, so that seconds and minutes always agree.
        for key in keys {
            if let Entry::Vacant(entry) = self.pending.entry(key) {
                let tally = load(connection, key)?.unwrap_or_default();
                entry.insert(Pending { tally, changed: false });
            }
        }
        for key in keys {
            if let Some(pending) = self.pending.get_mut(&key) {
                pending.tally.add_second(second);
                pending.changed = true;
            }
        }
        Ok(())
    }

    /// Writes what changed into the open transaction.
    pub fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        for (&(step, at), Pending { tally, .. }) in self.pending.iter().filter(|(_, p)| p.changed) {
            let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
            connection
                .prepare_cached(&format!(
                    "INSERT OR REPLACE INTO rates (step, at, {COLUMNS}) \
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                ))?
                .execute(params![
                    step,
                    at,
                    count(tally.packets),
                    count(tally.bytes),
                    count(tally.flows_new),
                    count(tally.flows_ended),
                    count(tally.tcp_segments),
                    count(tally.retransmissions),
                    count(tally.out_of_order),
                    count(tally.lost),
                    encode(&tally.rtt),
                    encode(&tally.response),
                    serde_json::to_string(&tally.shares).unwrap_or_default(),
                ])?;
        }
        Ok(())
    }

    /// What was written is committed.
    pub fn committed(&mut self) {
        for pending in self.pending.values_mut() {
            pending.changed = false;
        }
        while self.pending.len() > WARM {
            self.pending.pop_first();
        }
    }

    /// What was written is not committed; returns how many had to be given up for want of room.
    pub fn rolled_back(&mut self) -> u64 {
        let too_many = self.pending.len().saturating_sub(WAITING);
        for _ in 0..too_many {
            self.pending.pop_first();
        }
        too_many as u64
    }
}

fn load(connection: &Connection, key: (i64, i64)) -> rusqlite::Result<Option<Tally>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM rates WHERE step = ? AND at = ?"))?
        .query_row(key, Tally::from_row)
        .optional()
}

/// A histogram as its buckets that are not empty.
fn encode(histogram: &Histogram) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, &count) in histogram.buckets.iter().enumerate().filter(|&(_, &count)| count > 0) {
        bytes.push(index as u8);
        bytes.extend(count.to_le_bytes());
    }
    bytes
}

fn decode(bytes: &[u8]) -> Histogram {
    let mut histogram = Histogram::default();
    for part in bytes.chunks_exact(5) {
        if let (Some(bucket), Ok(count)) =
            (histogram.buckets.get_mut(usize::from(part[0])), part[1..].try_into())
        {
            *bucket = u32::from_le_bytes(count);
        }
    }
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_come_back() {
        let mut histogram = Histogram::default();
        assert_eq!(decode(&encode(&histogram)), histogram);
        for micros in [0, 1, 80, 80, 1_000_000, u32::MAX] {
            histogram.record(micros);
        }
        assert_eq!(decode(&encode(&histogram)), histogram);
        assert_eq!(decode(&[255, 1, 0, 0, 0, 3]), Histogram::default());
    }
}
