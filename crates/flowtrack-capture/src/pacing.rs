//! Playing a capture at the pace at which it was taken, or faster, once or over and over.

mod schedule;
#[cfg(test)]
mod tests;

use crate::batch::{Batch, Handler};
use crate::memory::PacketBuffer;
use crate::{Burst, Interface, PacketSource, SourceError};
use flowtrack_event::{CaptureStats, RawPacket, Timestamp};
use schedule::Schedule;
use std::collections::VecDeque;
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How a capture is played.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PaceOptions {
    /// How fast.
    pub pace: Pace,
    /// What becomes of time stamps.
    pub stamps: Stamps,
    /// Longer silence is shortened to this, so that a capture of years does not last years.
    pub max_gap: Duration,
}

impl Default for PaceOptions {
    fn default() -> Self {
        Self { pace: Pace::default(), stamps: Stamps::Capture, max_gap: Duration::from_mins(1) }
    }
}

/// How fast a capture is played.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Pace {
    /// So many times as fast as it was taken; above zero.
    Times(f64),
    /// As fast as it can be read.
    Max,
}

impl Default for Pace {
    fn default() -> Self {
        Self::Times(1.0)
    }
}

impl FromStr for Pace {
    type Err = String;

    /// Reads `1x`, `10x`, `0.5x`, `max`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let times = text.strip_suffix('x').unwrap_or(text).parse::<f64>();
        match times {
            Ok(times) if times.is_finite() && times >= 0.001 => Ok(Self::Times(times)),
            _ => Err(format!("there is no pace `{text}`; say 1x, 10x, 0.5x or max")),
        }
    }
}

/// What becomes of the time stamps of a played capture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stamps {
    /// They stay; each further round of a loop follows on the one before.
    Capture,
    /// They become the time at which the packet is played, as if it happened now. At the greatest
    /// pace, which has no such time, they follow on the beginning at their own distance.
    Now,
}

/// Opens the capture for another round.
pub type Reopen<S> = Box<dyn FnMut() -> Result<S, SourceError> + Send>;

/// `S`, played.
///
/// Packets wait in here, copied, so that a call never waits longer than it was allowed to.
pub struct Paced<S> {
    source: S,
    reopen: Option<Reopen<S>>,
    pace: Pace,
    schedule: Schedule,
    /// When the first packet was played.
    began: Option<Instant>,
    held: PacketBuffer,
    /// When each held packet is due, after the beginning; the next one first.
    due: VecDeque<Duration>,
    /// Packets of earlier rounds and of this one.
    packets_before: u64,
    packets: u64,
    /// Counters of earlier rounds.
    stats_before: CaptureStats,
    over: bool,
}

impl<S: PacketSource> Paced<S> {
    /// Plays `source` once.
    pub fn new(source: S, options: PaceOptions) -> Self {
        Self {
            source,
            reopen: None,
            pace: options.pace,
            schedule: Schedule::new(options),
            began: None,
            held: PacketBuffer::new(),
            due: VecDeque::new(),
            packets_before: 0,
            packets: 0,
            stats_before: CaptureStats::default(),
            over: false,
        }
    }

    /// Plays it again and again; `reopen` gives the source for each further round.
    ///
    /// A round without a packet ends it.
    #[must_use]
    pub fn looped(mut self, reopen: Reopen<S>) -> Self {
        self.reopen = Some(reopen);
        self
    }

    /// Hands packets on as they come, at new times.
    fn pass(&mut self, wait: Duration, f: &mut Handler<'_>) -> Result<Burst, SourceError> {
        let Self { source, schedule, packets, packets_before, .. } = self;
        source.next_burst(wait, &mut |burst, verdicts| {
            for (burst, verdicts) in
                burst.chunks(Batch::CAPACITY).zip(verdicts.chunks_mut(Batch::CAPACITY))
            {
                let mut batch = Batch::new();
                for packet in burst {
                    *packets += 1;
                    let number = *packets_before + packet.number;
                    let ts = schedule.place(packet.ts, wall_clock).stamp;
                    batch.push(RawPacket { ts, number, ..*packet });
                }
                let answers = batch.deliver(f);
                verdicts.copy_from_slice(&answers[..verdicts.len()]);
            }
        })
    }

    /// Takes in the next burst, for later.
    fn hold(&mut self, wait: Duration) -> Result<Burst, SourceError> {
        let Self { source, schedule, held, due, packets, packets_before, .. } = self;
        held.clear();
        source.next_burst(wait, &mut |burst, _| {
            for packet in burst {
                *packets += 1;
                let number = *packets_before + packet.number;
                let place = schedule.place(packet.ts, wall_clock);
                held.push(&RawPacket { ts: place.stamp, number, ..*packet });
                due.push_back(place.due);
            }
        })
    }

    /// Plays what is due of the held packets, after waiting for the first of them.
    fn play(&mut self, wait: Duration, f: &mut Handler<'_>) -> Burst {
        let began = *self.began.get_or_insert_with(Instant::now);
        if let Some(early) = self.due.front().and_then(|due| due.checked_sub(began.elapsed())) {
            std::thread::sleep(early.min(wait));
        }
        let now = began.elapsed();
        let mut batch = Batch::new();
        while !batch.is_full()
            && self.due.front().is_some_and(|due| *due <= now)
            && let Some(packet) = self.held.get(self.held.len() - self.due.len())
        {
            self.due.pop_front();
            batch.push(packet);
        }
        let count = batch.len();
        batch.deliver(f);
        if count == 0 { Burst::Idle } else { Burst::Packets(count) }
    }

    /// The source is over: another round, if there shall be one; answers whether.
    fn another_round(&mut self) -> Result<bool, SourceError> {
        let Some(reopen) = self.reopen.as_mut().filter(|_| self.packets > 0) else {
            return Ok(false);
        };
        self.stats_before.merge(&self.source.stats());
        self.source = reopen()?;
        self.schedule.begin_round();
        self.packets_before += self.packets;
        self.packets = 0;
        Ok(true)
    }

    fn burst(&mut self, wait: Duration, f: &mut Handler<'_>) -> Result<Burst, SourceError> {
        loop {
            if !self.due.is_empty() {
                return Ok(self.play(wait, f));
            }
            let burst = match self.pace {
                Pace::Max => self.pass(wait, f)?,
                Pace::Times(_) => self.hold(wait)?,
            };
            match burst {
                Burst::End if self.another_round()? => return Ok(Burst::Again),
                Burst::Packets(_) if !self.due.is_empty() => {}
                burst => return Ok(burst),
            }
        }
    }
}

impl<S: PacketSource> PacketSource for Paced<S> {
    fn next_burst(&mut self, wait: Duration, f: &mut Handler<'_>) -> Result<Burst, SourceError> {
        if self.over {
            return Ok(Burst::End);
        }
        let burst = self.burst(wait, f);
        self.over = matches!(burst, Ok(Burst::End) | Err(_));
        burst
    }

    fn interfaces(&self) -> &[Interface] {
        self.source.interfaces()
    }

    fn stats(&mut self) -> CaptureStats {
        let mut stats = self.stats_before;
        stats.merge(&self.source.stats());
        stats
    }

    fn progress(&self) -> (u64, Option<u64>) {
        self.source.progress()
    }
}

/// What time it is.
fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::ZERO.plus(since)
}
