//! What is normal, learned from what was.

use crate::learned::{Usual, UsualHours};
use flowtrack_event::Timestamp;

/// What a number usually is and how far it usually strays, forgetting what is long past.
///
/// Mean and mean absolute deviation as exponentially weighted averages; a value far outside moves
/// them only as far as one at the edge would, so that an attack does not become normal by itself.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Baseline {
    mean: f64,
    deviation: f64,
    samples: u64,
    /// Samples after which one counts for a third.
    memory: f64,
}

/// Deviations beyond which a value counts as one at that distance.
const CLIP: f64 = 3.0;
/// A mean absolute deviation times this is a standard deviation, were it normally distributed.
const TO_SIGMA: f64 = 1.2533;

impl Baseline {
    /// Nothing learned; later, the last `memory` samples count most.
    pub fn new(memory: u32) -> Self {
        Self { mean: 0.0, deviation: 0.0, samples: 0, memory: f64::from(memory.max(1)) }
    }

    /// Goes on with what was learned before; later, the last `memory` samples count most.
    pub(crate) fn recalled(memory: u32, usual: Usual) -> Self {
        let Usual { mean, deviation, samples } = usual;
        if !mean.is_finite() || !deviation.is_finite() || deviation < 0.0 {
            return Self::new(memory);
        }
        Self { mean, deviation, samples, ..Self::new(memory) }
    }

    /// What was learned.
    pub(crate) fn usual(&self) -> Usual {
        Usual { mean: self.mean, deviation: self.deviation, samples: self.samples }
    }

    /// Learns a value.
    pub fn learn(&mut self, value: f64) {
        self.samples = self.samples.saturating_add(1);
        let weight = (1.0 / self.samples as f64).max(1.0 / self.memory);
        // The first samples are all there is to know the deviation by.
        let value = if self.samples > 10 {
            let reach = CLIP * self.spread(0.1, 1.0);
            value.clamp(self.mean - reach, self.mean + reach)
        } else {
            value
        };
        let off = (value - self.mean).abs();
        self.mean += weight * (value - self.mean);
        if self.samples > 1 {
            self.deviation += weight * (off - self.deviation);
        }
    }

    /// How many standard deviations a value is above what is usual; negative below. A deviation
    /// counts as at least `share` of the mean and as `least`, because what never changed would
    /// otherwise make a spike of everything.
    pub fn z(&self, value: f64, share: f64, least: f64) -> f64 {
        (value - self.mean) / self.spread(share, least)
    }

    /// Values learned.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// What is usual.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    fn spread(&self, share: f64, least: f64) -> f64 {
        (self.deviation * TO_SIGMA).max(self.mean.abs() * share).max(least).max(f64::MIN_POSITIVE)
    }
}

/// A [`Baseline`] for each hour of the day and one for all of them: what is normal at noon is not
/// at night. An hour is judged by its own once it was learned for long enough.
///
/// Hours are of UTC, which is as good as any for telling them apart.
#[derive(Clone, PartialEq, Debug)]
pub struct Seasonal {
    hours: Vec<Baseline>,
    all: Baseline,
    /// Samples before anything is judged.
    warm_up: u64,
}

impl Seasonal {
    /// Nothing learned; quiet for `warm_up` samples. An hour forgets after `memory` samples.
    pub fn new(memory: u32, warm_up: u64) -> Self {
        Self { hours: vec![Baseline::new(memory); 24], all: Baseline::new(memory), warm_up }
    }

    /// Goes on with what was learned before.
    pub(crate) fn recall(&mut self, memory: u32, usual: &UsualHours) {
        self.all = Baseline::recalled(memory, usual.all);
        for (hour, usual) in self.hours.iter_mut().zip(&usual.hours) {
            *hour = Baseline::recalled(memory, *usual);
        }
    }

    /// What was learned.
    pub(crate) fn usual(&self) -> UsualHours {
        let hours = self.hours.iter().map(Baseline::usual).collect();
        UsualHours { all: self.all.usual(), hours }
    }

    /// Learns a value.
    pub fn learn(&mut self, now: Timestamp, value: f64) {
        self.all.learn(value);
        if let Some(hour) = self.hours.get_mut(hour_of(now)) {
            hour.learn(value);
        }
    }

    /// What is normal at this time; `None` until enough was learned.
    pub fn at(&self, now: Timestamp) -> Option<&Baseline> {
        if self.all.samples() < self.warm_up {
            return None;
        }
        let hour = self.hours.get(hour_of(now)).filter(|hour| hour.samples() >= self.warm_up);
        Some(hour.unwrap_or(&self.all))
    }
}

fn hour_of(now: Timestamp) -> usize {
    now.secs().div_euclid(3_600).rem_euclid(24) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spike_stands_out_and_does_not_become_normal_at_once() {
        let mut baseline = Baseline::new(300);
        for i in 0..600 {
            baseline.learn(100.0 + f64::from(i % 11));
        }
        assert!(baseline.z(110.0, 0.05, 1.0) < 2.0);
        assert!(baseline.z(1_000.0, 0.05, 1.0) > 50.0);
        for _ in 0..30 {
            baseline.learn(1_000.0);
        }
        assert!(baseline.mean() < 130.0, "{}", baseline.mean());
        assert!(baseline.z(1_000.0, 0.05, 1.0) > 20.0);
    }

    #[test]
    fn hours_are_judged_by_their_own() {
        let mut seasonal = Seasonal::new(3_600, 600);
        let at = Timestamp::from_secs;
        assert!(seasonal.at(at(0)).is_none());
        for second in 0..2 * 3_600 {
            let usual = if second < 3_600 { 10.0 } else { 1_000.0 };
            seasonal.learn(at(second), usual);
        }
        let (night, noon) = (seasonal.at(at(86_400)).unwrap(), seasonal.at(at(86_400 + 3_600)));
        assert!(night.z(1_000.0, 0.1, 1.0) > 100.0);
        assert!(noon.unwrap().z(1_000.0, 0.1, 1.0) < 1.0);
    }
}
