//! Files of a flow that wait until signatures have chosen which of them are stored (`filestore`).
//!
//! A file is held from its end until both directions of its transaction are judged: then no
//! signature about that transaction can choose it any more. What is held is told with the choice.

use flowtrack_event::{Direction, Event, FileRecord};
use flowtrack_rules::{FileScope, FileStoring};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;

/// Files of one flow that are held; the oldest is told before its time, and not stored unless it
/// was chosen already.
const MAX_HELD: usize = 256;
/// Transactions of one flow whose files are chosen before they are there; the oldest goes first.
const MAX_CHOSEN: usize = 64;

/// What is chosen of a flow, and what waits for it.
#[derive(Default, Debug)]
pub(crate) struct Keep {
    held: VecDeque<Held>,
    /// Ways whose files are stored from now on.
    flow: [bool; 2],
    /// Transactions whose files are, by the way they go.
    transactions: SmallVec<[(u64, [bool; 2]); 1]>,
}

#[derive(Debug)]
struct Held {
    file: Box<FileRecord>,
    /// Whether its transaction is complete.
    is_complete: bool,
}

/// What a signature that matched chose.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) storing: FileStoring,
    /// The way of what matched.
    pub(crate) direction: Direction,
    pub(crate) tx_id: u64,
    /// The files that matched.
    pub(crate) files: Vec<FileRecord>,
}

impl Keep {
    /// Holds a file that ended; where there is no room, gives back the oldest.
    pub(crate) fn hold(&mut self, mut file: Box<FileRecord>, is_complete: bool) -> Option<Event> {
        let way = file.direction;
        let of_tx = self.transactions.iter().find(|(tx_id, _)| *tx_id == file.tx_id);
        file.wanted = *way.of(&self.flow) || of_tx.is_some_and(|(_, chosen)| *way.of(chosen));
        let is_full = self.held.len() >= MAX_HELD;
        let oldest = self.held.pop_front_if(|_| is_full);
        self.held.push_back(Held { file, is_complete });
        oldest.map(told)
    }

    /// A transaction is complete.
    pub(crate) fn completed(&mut self, tx_id: u64) {
        let of_it = self.held.iter_mut().filter(|held| held.file.tx_id == tx_id);
        of_it.for_each(|held| held.is_complete = true);
    }

    /// A signature matched.
    pub(crate) fn choose(&mut self, choice: &Choice) {
        let Choice { storing, direction, tx_id, files } = choice;
        let own = [Direction::ToServer, Direction::ToClient].map(|way| way == *direction);
        let ways = storing.ways.unwrap_or(own);
        match storing.scope {
            FileScope::File => {
                let chosen = |held: &&mut Held| {
                    *held.file.direction.of(&ways)
                        && files.iter().any(|file| is_same(file, &held.file))
                };
                self.held.iter_mut().filter(chosen).for_each(|held| held.file.wanted = true);
            }
            FileScope::Transaction => {
                self.mark(ways, |file| file.tx_id == *tx_id);
                let known = self.transactions.iter_mut().find(|(known, _)| known == tx_id);
                if let Some((_, chosen)) = known {
                    *chosen = either(*chosen, ways);
                } else {
                    if self.transactions.len() >= MAX_CHOSEN {
                        self.transactions.remove(0);
                    }
                    self.transactions.push((*tx_id, ways));
                }
            }
            FileScope::Flow => {
                self.flow = either(self.flow, ways);
                self.mark(ways, |_| true);
            }
        }
    }

    /// Gives back what need not wait any longer: what `is_waiting` says no transaction of is to be
    /// judged any more, or everything.
    pub(crate) fn release(
        &mut self,
        all: bool,
        is_waiting: impl Fn(u64) -> bool,
        mut tell: impl FnMut(Event),
    ) {
        let mut still = VecDeque::new();
        for held in self.held.drain(..) {
            if all || held.is_complete && !is_waiting(held.file.tx_id) {
                tell(told(held));
            } else {
                still.push_back(held);
            }
        }
        self.held = still;
    }

    /// Whether anything waits.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.held.is_empty()
    }

    fn mark(&mut self, ways: [bool; 2], is_meant: impl Fn(&FileRecord) -> bool) {
        for Held { file, .. } in &mut self.held {
            file.wanted |= *file.direction.of(&ways) && is_meant(file);
        }
    }
}

fn told(held: Held) -> Event {
    let mut file = held.file;
    if !file.wanted {
        file.content = None;
    }
    Event::File(file)
}

/// Whether two records are of one file: they share its bytes.
fn is_same(one: &FileRecord, other: &FileRecord) -> bool {
    match (&one.content, &other.content) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        // A file too large to be kept is chosen as well, so that its loss is counted.
        (None, None) => {
            (one.tx_id, one.direction, one.size, &one.filename)
                == (other.tx_id, other.direction, other.size, &other.filename)
        }
        _ => false,
    }
}

const fn either([a, b]: [bool; 2], [c, d]: [bool; 2]) -> [bool; 2] {
    [a || c, b || d]
}
