//! The order of workers that share the packets of one capture.
//!
//! What rules remember of hosts is filled by several workers. Each says which packet it is at, and
//! one that asks such memory waits until all others are behind that packet, so that the memory is
//! what it would be with one worker. A place is taken by one worker alone and the first in order
//! never waits, so somebody always goes on.

use crate::lock::lock;
use flowtrack_event::RawPacket;
use flowtrack_rules::state::Turn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Where all workers are.
#[derive(Debug)]
pub struct Turns {
    /// The first place that a worker may still be at.
    places: Mutex<Vec<u64>>,
    moved: Condvar,
}

/// One worker's part in it; behind everything once it is dropped.
#[derive(Debug)]
pub struct Seat(Arc<Inner>);

/// What its engine asks.
#[derive(Debug)]
struct Asking(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    turns: Arc<Turns>,
    worker: usize,
    /// Place of the first packet of the file in hand.
    file: AtomicU64,
    /// Place of what happens once the burst in hand is over.
    behind: AtomicU64,
    now: AtomicU64,
}

/// Behind all files: flows that are still open end.
const ENDING: u64 = u64::MAX - 1;
const DONE: u64 = u64::MAX;
/// Places of a file: two for each packet, of which the second is behind its burst.
const FILE: u64 = 1 << 44;

impl Turns {
    /// Seats for so many workers.
    pub fn seats(workers: usize) -> Vec<Seat> {
        let turns = Arc::new(Self { places: Mutex::new(vec![0; workers]), moved: Condvar::new() });
        let seat = |worker| {
            let turns = Arc::clone(&turns);
            let [file, behind, now] = [(); 3].map(|()| AtomicU64::new(0));
            Seat(Arc::new(Inner { turns, worker, file, behind, now }))
        };
        (0..workers).map(seat).collect()
    }

    fn places(&self) -> MutexGuard<'_, Vec<u64>> {
        lock(&self.places)
    }

    fn publish(&self, worker: usize, place: u64) {
        self.places()[worker] = place;
        self.moved.notify_all();
    }
}

impl Seat {
    /// What the engine of this worker asks.
    pub fn turn(&self) -> Box<dyn Turn> {
        Box::new(Asking(Arc::clone(&self.0)))
    }

    /// A file begins, counted from 0.
    pub fn file(&self, index: usize) {
        self.0.file.store(FILE.saturating_mul(index as u64), Ordering::Relaxed);
    }

    /// Runs `work` on a burst.
    pub fn burst<T>(&self, packets: &[RawPacket<'_>], work: impl FnOnce() -> T) -> T {
        let Some(last) = packets.last() else { return work() };
        let behind = self.0.file.load(Ordering::Relaxed) + 2 * last.number + 1;
        self.0.behind.store(behind, Ordering::Relaxed);
        let done = work();
        self.0.turns.publish(self.0.worker, behind + 1);
        done
    }

    /// All packets are read; what follows is the end of flows.
    pub fn ending(&self) {
        self.0.behind.store(ENDING, Ordering::Relaxed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.turns.publish(self.0.worker, DONE);
    }
}

impl Turn for Asking {
    fn at(&self, number: u64) {
        let Inner { file, behind, now, .. } = &*self.0;
        let place = match number {
            0 => behind.load(Ordering::Relaxed),
            _ => file.load(Ordering::Relaxed) + 2 * number,
        };
        now.store(place, Ordering::Relaxed);
    }

    fn wait(&self) {
        let Inner { turns, worker, now, .. } = &*self.0;
        let mine = (now.load(Ordering::Relaxed), *worker);
        let mut places = turns.places();
        if places[mine.1] < mine.0 {
            places[mine.1] = mine.0;
            turns.moved.notify_all();
        }
        let is_first = |places: &Vec<u64>| {
            places.iter().zip(0..).all(|(place, other)| other == mine.1 || (*place, other) > mine)
        };
        let waits = |places: &mut Vec<u64>| !is_first(places);
        drop(turns.moved.wait_while(places, waits).unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowtrack_event::{IfaceId, LinkType, Timestamp};

    #[test]
    fn workers_ask_in_the_order_of_packets() {
        const WORKERS: usize = 4;
        const PACKETS: u64 = 2_000;
        let asked = Mutex::new(Vec::new());
        let (mut seats, asked) = (Turns::seats(WORKERS), &asked);
        std::thread::scope(|scope| {
            for (worker, seat) in seats.drain(..).enumerate() {
                scope.spawn(move || {
                    let turn = seat.turn();
                    for file in 0..2 {
                        seat.file(file);
                        for first in (1..=PACKETS).step_by(64) {
                            let numbers = first..(first + 64).min(PACKETS + 1);
                            let packets: Vec<_> = numbers.clone().map(packet).collect();
                            seat.burst(&packets, || {
                                // Every third packet asks, of whichever worker it is.
                                for n in numbers.filter(|n| n * 7 % WORKERS as u64 == worker as u64)
                                {
                                    turn.at(n);
                                    if n % 3 == 0 {
                                        turn.wait();
                                        asked.lock().unwrap().push((file, n, 0));
                                    }
                                }
                            });
                        }
                    }
                    seat.ending();
                    turn.at(0);
                    turn.wait();
                    asked.lock().unwrap().push((9, 0, worker));
                });
            }
        });
        let asked = asked.lock().unwrap();
        assert!(asked.is_sorted(), "{asked:?}");
        assert_eq!(asked.len(), 2 * (PACKETS as usize / 3) + WORKERS);
    }

    fn packet(number: u64) -> RawPacket<'static> {
        RawPacket {
            ts: Timestamp::ZERO,
            iface: IfaceId(0),
            link: LinkType::ETHERNET,
            number,
            wire_len: 0,
            vlan_tci: None,
            data: &[],
        }
    }
}
