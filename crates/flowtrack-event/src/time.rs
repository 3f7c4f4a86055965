//! Time as packets carry it.

use std::time::Duration;

/// Nanoseconds since 1970-01-01T00:00:00Z, as the capture said; not monotonic, may be zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest time; what a flow table holds before it saw a packet.
    pub const ZERO: Self = Self(0);

    /// From nanoseconds since the epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From microseconds since the epoch; saturates in the year 2262.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros.saturating_mul(1_000))
    }

    /// From whole seconds since the epoch; saturates in the year 2262.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the epoch.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Microseconds since the epoch, rounded down.
    pub const fn micros(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// How long after `earlier` this is; zero where time ran backwards.
    pub const fn since(self, earlier: Self) -> Duration {
        let nanos = self.0.saturating_sub(earlier.0);
        Duration::from_nanos(if nanos < 0 { 0 } else { nanos as u64 })
    }

    /// This time moved forward; saturates.
    #[must_use]
    pub const fn plus(self, by: Duration) -> Self {
        let nanos = by.as_nanos();
        let nanos = if nanos > i64::MAX as u128 { i64::MAX } else { nanos as i64 };
        Self(self.0.saturating_add(nanos))
    }
}
