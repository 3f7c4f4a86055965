//! Runs packets of a source through an engine.

use crate::status::Status;
use crate::turns::Seat;
use flowtrack_capture::{Burst, PacketSource};
use flowtrack_engine::{Engine, Output, Seed};
use flowtrack_event::{CaptureStats, Event, Stats};
use std::time::Duration;

/// How long a source that has nothing to read is waited for.
const WAIT: Duration = Duration::from_millis(250);

/// Random numbers for hashes, from the system.
pub fn seed() -> anyhow::Result<Seed> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|e| anyhow::anyhow!("the system has no random numbers: {e}"))?;
    let (words, _) = bytes.as_chunks::<8>();
    let mut seed = [0; 4];
    for (word, bytes) in seed.iter_mut().zip(words) {
        *word = u64::from_ne_bytes(*bytes);
    }
    Ok(Seed(seed))
}

/// Reads a source to its end. Damage is said on standard error with its place, and what came
/// before it is kept.
///
/// With `seat`, the worker shares the packets with others. `emit` takes events as they come and says whether to go on.
pub fn read(
    source: &mut dyn PacketSource,
    engine: &mut Engine,
    seat: Option<&Seat>,
    emit: &mut dyn FnMut(&mut Vec<Event>, &dyn Progress) -> bool,
) -> Status {
    let mut out = Output::default();
    loop {
        let burst = source.next_burst(WAIT, &mut |packets, _| match seat {
            Some(seat) => seat.burst(packets, || engine.process(packets, &mut out)),
            None => engine.process(packets, &mut out),
        });
        let go_on = emit(&mut out.events, &SourceProgress(source));
        out.events.clear();
        match burst {
            Ok(Burst::Packets(_) | Burst::Idle | Burst::Again) if go_on => {}
            Ok(_) => return Status::Ok,
            Err(e) => {
                eprintln!("flowtrack: {e}");
                return Status::of_source(&e);
            }
        }
    }
}

/// How far a source is read.
pub trait Progress {
    /// Bytes read and, where known, all there are.
    fn bytes(&self) -> (u64, Option<u64>);
}

struct SourceProgress<'a>(&'a dyn PacketSource);

impl Progress for SourceProgress<'_> {
    fn bytes(&self) -> (u64, Option<u64>) {
        self.0.progress()
    }
}

/// Ends the engine's run; the counters come last and contain those of the sources.
pub fn finish(engine: &mut Engine, capture: &CaptureStats) -> (Vec<Event>, Stats) {
    let mut out = Output::default();
    engine.finish(&mut out);
    let mut stats = match out.events.pop() {
        Some(Event::Stats(stats)) => *stats,
        _ => engine.stats(),
    };
    stats.capture = *capture;
    (out.events, stats)
}
