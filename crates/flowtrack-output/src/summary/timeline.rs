//! Traffic over time, at a resolution that the length of the capture allows.

use std::collections::BTreeMap;

use flowtrack_event::{Histogram, Second, Timestamp};

/// Traffic of a stretch of time.
#[derive(Clone, Default, Debug)]
pub(crate) struct Bucket {
    pub packets: u64,
    pub bytes: u64,
    pub data_segments: u64,
    pub retransmissions: u64,
    pub lost: u64,
    pub rtt: Histogram,
    pub response: Histogram,
    /// Bytes by protocol.
    pub shares: Vec<(&'static str, u64)>,
}

/// Buckets of equal width over the whole capture; the width doubles when they become too many.
///
/// The last seconds are kept apart until all workers have told theirs, because a peak is a
/// property of whole seconds and cannot be read from wider buckets.
#[derive(Debug)]
pub(super) struct Timeline {
    recent: BTreeMap<i64, Bucket>,
    buckets: BTreeMap<i64, Bucket>,
    width: i64,
    peak: Peak,
    total: Bucket,
    range: Option<(i64, i64)>,
}

/// The most in any one second.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Peak {
    pub packets: u64,
    pub bytes: u64,
}

/// The timeline laid out for a chart.
#[derive(Clone, Debug)]
pub(crate) struct Grid {
    /// Where the first column begins.
    pub start: Timestamp,
    /// Seconds that a column covers.
    pub step: u32,
    /// First second of the capture, counted from `start`.
    first: i64,
    /// Last second of the capture, counted from `start`.
    last: i64,
    /// The columns; empty stretches included.
    pub columns: Vec<Bucket>,
}

impl Timeline {
    pub fn new() -> Self {
        Self {
            recent: BTreeMap::new(),
            buckets: BTreeMap::new(),
            width: 1,
            peak: Peak::default(),
            total: Bucket::default(),
            range: None,
        }
    }

    /// Adds one worker's second.
    pub fn add(&mut self, second: &Second) {
        let at = second.at.secs();
        self.range = Some(self.range.map_or((at, at), |(a, b)| (a.min(at), b.max(at))));
        self.total.add_second(second);
        self.recent.entry(at).or_default().add_second(second);
        while self.recent.len() > RECENT
            && let Some((at, bucket)) = self.recent.pop_first()
        {
            self.peak.raise(&bucket);
            let width = self.width;
            self.buckets.entry(at.div_euclid(width)).or_default().merge(&bucket);
            while self.buckets.len() > BUCKETS {
                self.widen();
            }
        }
    }

    /// Everything together.
    pub fn total(&self) -> &Bucket {
        &self.total
    }

    /// First and last second in which something was seen.
    pub fn range(&self) -> Option<(Timestamp, Timestamp)> {
        self.range.map(|(a, b)| (Timestamp::from_secs(a), Timestamp::from_secs(b)))
    }

    /// The most in any one second.
    pub fn peak(&self) -> Peak {
        let mut peak = self.peak;
        for bucket in self.recent.values() {
            peak.raise(bucket);
        }
        peak
    }

    /// At most `columns` columns of equal, round width from the first to the last second.
    pub fn grid(&self, columns: u32) -> Option<Grid> {
        let (first, last) = self.range?;
        let limit = i64::from(columns.max(2));
        let fits = |step: &i64| {
            step % self.width == 0 && last.div_euclid(*step) - first.div_euclid(*step) < limit
        };
        // Beyond the round ones, widths that hold whole buckets.
        let doubled = (0..40).map(|power| (self.width << power).max(1));
        let step = ROUND_SECONDS.into_iter().chain(doubled).find(fits)?;
        let start = first.div_euclid(step) * step;
        let count = (last.div_euclid(step) - first.div_euclid(step) + 1) as usize;
        let mut grid = vec![Bucket::default(); count];
        let buckets = self.buckets.iter().map(|(&at, bucket)| (at * self.width, bucket));
        for (at, bucket) in buckets.chain(self.recent.iter().map(|(&at, bucket)| (at, bucket))) {
            let column = (at - start).div_euclid(step).clamp(0, count as i64 - 1);
            grid[column as usize].merge(bucket);
        }
        Some(Grid {
            start: Timestamp::from_secs(start),
            step: u32::try_from(step).unwrap_or(u32::MAX),
            first: first - start,
            last: last - start,
            columns: grid,
        })
    }

    fn widen(&mut self) {
        let old = self.width;
        let wider = WIDTHS.into_iter().find(|&width| width > old);
        self.width = wider.unwrap_or(old * 2);
        for (at, bucket) in std::mem::take(&mut self.buckets) {
            self.buckets.entry((at * old).div_euclid(self.width)).or_default().merge(&bucket);
        }
    }
}

impl Grid {
    /// Seconds of the capture that a column covers; the first and last one may be cut.
    pub fn seconds_of(&self, column: usize) -> f64 {
        let begin = i64::from(self.step) * column as i64;
        let end = begin + i64::from(self.step) - 1;
        (end.min(self.last) - begin.max(self.first) + 1).max(1) as f64
    }

    /// A value of each column, per second.
    pub fn per_second(&self, value: impl Fn(&Bucket) -> u64) -> Vec<f64> {
        let columns = self.columns.iter().enumerate();
        columns.map(|(i, bucket)| value(bucket) as f64 / self.seconds_of(i)).collect()
    }
}

impl Bucket {
    fn add_second(&mut self, second: &Second) {
        self.packets += second.packets;
        self.bytes += second.bytes;
        self.data_segments += second.tcp_data_segments;
        self.retransmissions += second.tcp_retransmissions;
        self.lost += second.tcp_lost;
        self.rtt.merge(&second.rtt);
        self.response.merge(&second.response);
        for share in &second.shares {
            self.add_share(share.protocol, share.bytes);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.data_segments += other.data_segments;
        self.retransmissions += other.retransmissions;
        self.lost += other.lost;
        self.rtt.merge(&other.rtt);
        self.response.merge(&other.response);
        for &(protocol, bytes) in &other.shares {
            self.add_share(protocol, bytes);
        }
    }

    fn add_share(&mut self, protocol: &'static str, bytes: u64) {
        match self.shares.iter_mut().find(|(name, _)| *name == protocol) {
            Some((_, sum)) => *sum += bytes,
            None => self.shares.push((protocol, bytes)),
        }
    }
}

impl Peak {
    fn raise(&mut self, second: &Bucket) {
        self.packets = self.packets.max(second.packets);
        self.bytes = self.bytes.max(second.bytes);
    }
}

/// Seconds kept whole; workers are never that far apart.
const RECENT: usize = 300;
/// Buckets kept; the resolution of the finest chart.
const BUCKETS: usize = 1_024;
/// Widths of a bucket in seconds; each is a multiple of the one before.
const WIDTHS: [i64; 13] =
    [1, 5, 15, 30, 60, 300, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400];
/// Stretches of time that a person counts in, in seconds.
pub(crate) const ROUND_SECONDS: [i64; 23] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200,
    86_400, 172_800, 604_800, 2_592_000, 7_776_000, 31_536_000,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn second(at: i64, bytes: u64) -> Second {
        Second { at: Timestamp::from_secs(at), packets: 1, bytes, ..Second::default() }
    }

    #[test]
    fn the_peak_is_of_whole_seconds_of_all_workers() {
        let mut timeline = Timeline::new();
        for at in 0..100_000 {
            timeline.add(&second(at, 100));
            timeline.add(&second(at, if at == 777 { 900 } else { 100 }));
        }
        assert_eq!(timeline.peak().bytes, 1_000);
        assert_eq!(timeline.total().bytes, 20_000_800);
        assert!(timeline.buckets.len() <= BUCKETS);
    }

    #[test]
    fn a_grid_holds_everything_at_any_width() {
        for (count, gap) in [(1, 1), (7, 1), (1_500, 1), (3_000, 1_000_000), (5_000, 7)] {
            let mut timeline = Timeline::new();
            for n in 0..count {
                timeline.add(&second(-5_000 + n * gap, 3));
            }
            for columns in [2, 60, 120] {
                let grid = timeline.grid(columns).unwrap();
                assert!(grid.columns.len() <= columns as usize, "{count} {gap} {columns}");
                let sum: u64 = grid.columns.iter().map(|column| column.bytes).sum();
                assert_eq!(sum, count as u64 * 3, "{count} {gap} {columns}");
            }
        }
    }

    #[test]
    fn a_rate_is_of_the_seconds_that_were_captured() {
        let mut timeline = Timeline::new();
        for at in 3..=303 {
            timeline.add(&second(at, 10));
        }
        let grid = timeline.grid(60).unwrap();
        assert_eq!((grid.start.secs(), grid.step, grid.columns.len()), (0, 10, 31));
        assert!(
            grid.per_second(|bucket| bucket.bytes).iter().all(|&rate| (rate - 10.0).abs() < 1e-9)
        );
    }

    #[test]
    fn times_at_the_ends_of_the_calendar_do_no_harm() {
        let mut timeline = Timeline::new();
        for nanos in [i64::MIN, i64::MAX, 0] {
            let at = Timestamp::from_nanos(nanos);
            timeline.add(&Second { at, bytes: 1, ..Second::default() });
        }
        let grid = timeline.grid(60).unwrap();
        assert_eq!(grid.columns.iter().map(|column| column.bytes).sum::<u64>(), 3);
    }
}
