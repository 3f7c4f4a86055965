//! When a packet is played and which time it then bears. No clock here: the caller has one.

use super::{Pace, PaceOptions, Stamps};
use flowtrack_event::Timestamp;
use std::time::Duration;

/// The time line that is played.
pub struct Schedule {
    options: PaceOptions,
    /// When the first packet was placed, by the clock on the wall.
    wall: Option<Timestamp>,
    /// Place of the last packet, in nanoseconds of capture time since the beginning.
    at: i64,
    round: Option<Round>,
    /// The time between two rounds, once there was one.
    pause: i64,
    /// What was added to the time stamps of this round, to follow on those before.
    shift: i64,
    /// The newest of the time stamps given.
    newest: Timestamp,
}

/// One passage of the capture.
struct Round {
    packets: i64,
    began: i64,
    last: Timestamp,
}

/// Where a packet stands on the time line.
#[derive(PartialEq, Eq, Debug)]
pub struct Place {
    /// When to play it, after the first packet.
    pub due: Duration,
    /// The time stamp that it bears then.
    pub stamp: Timestamp,
}

/// Packets that are later than the one before them by no more than this are out of order; more,
/// and the capture's clock was set back.
const DISORDER: i64 = 1_000_000_000;

/// The shortest pause between two rounds.
const LEAST_PAUSE: i64 = 1_000_000;

impl Schedule {
    pub fn new(options: PaceOptions) -> Self {
        Self {
            options,
            wall: None,
            at: 0,
            round: None,
            pause: 0,
            shift: 0,
            newest: Timestamp::ZERO,
        }
    }

    /// Places the next packet, taken at `ts`; `clock` tells the time when the first one comes.
    pub fn place(&mut self, ts: Timestamp, clock: impl FnOnce() -> Timestamp) -> Place {
        let wall = *self.wall.get_or_insert_with(clock);
        match &mut self.round {
            Some(round) => {
                let max_gap = i64::try_from(self.options.max_gap.as_nanos()).unwrap_or(i64::MAX);
                let step = ts.nanos().saturating_sub(round.last.nanos());
                if step >= -DISORDER {
                    self.at = self.at.saturating_add(step.min(max_gap));
                }
                round.last = ts;
                round.packets += 1;
            }
            None => {
                self.at = self.at.saturating_add(self.pause);
                if self.pause > 0 {
                    let follows = self.newest.nanos().saturating_add(self.pause);
                    self.shift = follows.saturating_sub(ts.nanos());
                }
                self.round = Some(Round { packets: 1, began: self.at, last: ts });
            }
        }
        let stamp = match (self.options.stamps, self.options.pace) {
            (Stamps::Capture, _) => ts.nanos().saturating_add(self.shift),
            (Stamps::Now, Pace::Max) => wall.nanos().saturating_add(self.at),
            (Stamps::Now, Pace::Times(times)) => {
                wall.nanos().saturating_add((self.at as f64 / times) as i64)
            }
        };
        let stamp = Timestamp::from_nanos(stamp);
        self.newest = self.newest.max(stamp);
        let due = match self.options.pace {
            Pace::Max => Duration::ZERO,
            // A float becomes the nearest number that fits.
            Pace::Times(times) => Duration::from_nanos((self.at as f64 / times) as u64),
        };
        Place { due, stamp }
    }

    /// The capture is over and begins again, as long after its end as its packets lie apart.
    pub fn begin_round(&mut self) {
        let Some(round) = self.round.take() else {
            return;
        };
        let apart = self.at.saturating_sub(round.began) / round.packets;
        self.pause = apart.max(LEAST_PAUSE);
    }
}
