//! One second of traffic in numbers.

use crate::Timestamp;

/// A histogram of durations with buckets of constant relative width.
///
/// Bucket `i` counts durations up to `2^(i/4)` microseconds, so a percentile is right within 19 %.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Histogram {
    /// Count per bucket.
    pub buckets: [u32; Self::BUCKETS],
}

impl Histogram {
    /// Buckets up to 2^31 µs, a little over half an hour.
    pub const BUCKETS: usize = 125;

    /// Counts one duration.
    pub fn record(&mut self, micros: u32) {
        let micros = micros.max(1);
        let octave = micros.ilog2();
        // The two bits below the leading one split an octave in four.
        let quarter = if octave >= 2 { (micros >> (octave - 2)) & 3 } else { 0 };
        let index = (octave * 4 + quarter) as usize;
        if let Some(count) = self.buckets.get_mut(index.min(Self::BUCKETS - 1)) {
            *count = count.saturating_add(1);
        }
    }

    /// Adds another histogram.
    pub fn merge(&mut self, other: &Self) {
        for (a, b) in self.buckets.iter_mut().zip(&other.buckets) {
            *a = a.saturating_add(*b);
        }
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|&n| u64::from(n)).sum()
    }

    /// The duration in microseconds that `share` (0 to 1) of all counted ones do not exceed by
    /// more than a bucket; `None` where none was counted.
    pub fn quantile(&self, share: f64) -> Option<u32> {
        let total = self.count();
        let rank = (share * total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        self.buckets.iter().enumerate().find_map(|(i, &n)| {
            seen += u64::from(n);
            (n > 0 && seen >= rank).then(|| Self::upper(i))
        })
    }

    /// The largest duration, in microseconds, that bucket `index` counts.
    fn upper(index: usize) -> u32 {
        let (octave, quarter) = (index / 4, index as u64 % 4);
        if octave < 2 {
            return 1 << octave;
        }
        let step = 1_u64 << (octave - 2);
        u32::try_from((4 + quarter + 1) * step - 1).unwrap_or(u32::MAX)
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: [0; Self::BUCKETS] }
    }
}

/// Durations with their exact ends, because a histogram knows them only within a bucket.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Durations {
    /// How many there are of each length.
    pub histogram: Histogram,
    /// The shortest, where there is any.
    pub min_us: Option<u32>,
    /// The longest.
    pub max_us: u32,
    /// All together.
    pub sum_us: u64,
}

impl Durations {
    /// Counts one duration.
    pub fn record(&mut self, micros: u32) {
        self.histogram.record(micros);
        self.include(micros, micros, u64::from(micros));
    }

    /// Adds others.
    pub fn merge(&mut self, other: &Self) {
        if let Some(min) = other.min_us {
            self.histogram.merge(&other.histogram);
            self.include(min, other.max_us, other.sum_us);
        }
    }

    fn include(&mut self, min: u32, max: u32, sum: u64) {
        self.min_us = Some(self.min_us.map_or(min, |known| known.min(min)));
        self.max_us = self.max_us.max(max);
        self.sum_us += sum;
    }
}

/// Part of the traffic that one protocol has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// Application protocol where known, else transport or network protocol (`tcp`, `arp`).
    pub protocol: &'static str,
    /// Frames.
    pub packets: u64,
    /// Captured frame bytes.
    pub bytes: u64,
}

/// What one worker saw in one second of packet time.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Second {
    /// The beginning of the second.
    pub at: Timestamp,
    /// Frames.
    pub packets: u64,
    /// Captured frame bytes.
    pub bytes: u64,
    /// Flows that began.
    pub flows_new: u64,
    /// Flows that ended.
    pub flows_ended: u64,
    /// TCP segments with payload.
    pub tcp_data_segments: u64,
    /// TCP segments sent again.
    pub tcp_retransmissions: u64,
    /// TCP segments that came out of order.
    pub tcp_out_of_order: u64,
    /// Segments that were acknowledged but never seen.
    pub tcp_lost: u64,
    /// Round-trip times from handshakes and from data and its acknowledgement.
    pub rtt: Histogram,
    /// Times from a request to its answer: those below, and the first of every other UDP flow.
    pub response: Histogram,
    /// Times from a DNS question over UDP to its answer.
    pub dns: Durations,
    /// Times from an ICMP echo to its reply.
    pub echo: Durations,
    /// Traffic by protocol; sums to `packets` and `bytes`.
    pub shares: Vec<Share>,
}

#[cfg(test)]
mod tests {
    use super::{Durations, Histogram};

    #[test]
    fn merged_durations_keep_their_ends() {
        let (mut all, mut more) = (Durations::default(), Durations::default());
        all.merge(&more);
        assert_eq!(all, Durations::default());
        all.record(40);
        more.record(7);
        more.record(90);
        all.merge(&more);
        assert_eq!((all.min_us, all.max_us, all.sum_us), (Some(7), 90, 137));
        assert_eq!(all.histogram.count(), 3);
    }

    #[test]
    fn quantiles_are_within_a_bucket() {
        let mut h = Histogram::default();
        for micros in 1..=10_000 {
            h.record(micros);
        }
        for (share, exact) in [(0.5, 5_000.0), (0.95, 9_500.0), (0.99, 9_900.0)] {
            let got = f64::from(h.quantile(share).unwrap());
            assert!((got / exact - 1.0).abs() < 0.25, "{share}: {got} for {exact}");
        }
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn extremes_fall_into_the_outer_buckets() {
        let mut h = Histogram::default();
        h.record(0);
        h.record(u32::MAX);
        assert_eq!((h.buckets[0], h.buckets[Histogram::BUCKETS - 1]), (1, 1));
    }
}
