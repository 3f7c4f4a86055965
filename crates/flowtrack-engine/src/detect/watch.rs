//! What the signatures need to know of one flow.

use super::keep::{Choice, Keep};
use super::session::Session;
use super::stream::Waiting;
use flowtrack_event::{
    AppProto, AppRecord, Chunk, Direction, Event, FileRecord, FlowContext, IpProto, Transaction,
};
use flowtrack_rules::{FlowVars, TxScope};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;

/// Transactions that wait for their acknowledgement; more are judged at once.
const MAX_DUE: usize = 256;
/// Signatures that are remembered to have matched on half of a transaction.
const MAX_SPOKE: usize = 256;
/// Odd things of a flow that wait for their acknowledgement; more are not told.
const MAX_FLOW_EVENTS: usize = 8;
/// Files that wait for their transaction; the oldest go first.
const MAX_FILES: usize = 64;

/// What is kept with a flow while there are signatures.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) context: Arc<FlowContext>,
    pub(crate) vars: FlowVars,
    /// Directions of which a packet was judged.
    pub(crate) seen: [bool; 2],
    /// Directions that were told what recognition of the application said.
    pub(crate) told_app: [bool; 2],
    pub(crate) app: Option<AppRecord>,
    pub(crate) waiting: [Waiting; 2],
    pub(crate) due: [VecDeque<Due>; 2],
    files: Vec<FileRecord>,
    /// Files that wait to be chosen for the store.
    keep: Option<Box<Keep>>,
    progress: [Progress; 2],
    /// Whether streams are to be kept.
    pub(crate) keeps_streams: bool,
    /// Whether what is still to come is encrypted.
    pub(crate) is_secret: bool,
    /// Signatures about the recognised protocol that spoke: each does once.
    pub(crate) spoke: Vec<u32>,
    /// Whether an alert was raised.
    pub(crate) alerted: bool,
    /// What breaks TCP.
    pub(crate) session: Session,
    /// Signatures that matched on half of a transaction.
    of_halves: Vec<(u64, u32)>,
    /// What is odd about the flow as a whole, the way of the bytes that showed it, and their end.
    flow_events: Vec<(&'static str, Direction, u64)>,
    /// Whether data came with a SYN that asks for it.
    pub(crate) is_early: bool,
    /// Whether a signature decided about the rest of the flow: it passes, or would be dropped.
    pub(crate) settled: bool,
    /// What was recognised from bytes that the receiver has not acknowledged yet: the record, the
    /// way they went and where they end.
    app_to_come: Option<(AppRecord, Direction, u64)>,
}

/// One direction of a transaction that is to be judged.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) tx_id: u64,
    pub(crate) transaction: Arc<dyn Transaction>,
    pub(crate) files: Vec<FileRecord>,
    /// Where in the stream it ended.
    pub(crate) end: u64,
    /// Whether the other half is not there yet.
    pub(crate) is_half: bool,
    /// Whether this way was judged, without it, while it was still on its way.
    pub(crate) was_partial: bool,
}

/// How far transactions came one way.
#[derive(Clone, Copy, Default, Debug)]
struct Progress {
    /// The latest transaction, where it ended, and whether part of it was judged before.
    tx_id: Option<u64>,
    end: u64,
    was_partial: bool,
}

impl Watch {
    pub(crate) fn new(context: Arc<FlowContext>, keeps_streams: bool) -> Self {
        Self {
            context,
            vars: FlowVars::default(),
            seen: [false; 2],
            told_app: [false; 2],
            app: None,
            waiting: Default::default(),
            due: Default::default(),
            files: Vec::new(),
            keep: None,
            progress: Default::default(),
            keeps_streams,
            is_secret: false,
            spoke: Vec::new(),
            alerted: false,
            session: Session::default(),
            of_halves: Vec::new(),
            flow_events: Vec::new(),
            is_early: false,
            settled: false,
            app_to_come: None,
        }
    }

    /// What is known of the application protocol by now. What is encrypted is not searched.
    ///
    /// Of a stream it counts once the receiver has acknowledged the bytes that told it: only then
    /// it is certain that both ends speak so.
    pub(crate) fn recognised(
        &mut self,
        app: Option<AppRecord>,
        is_read: bool,
        direction: Direction,
    ) {
        let is_new =
            app != self.app && self.app_to_come.is_none_or(|(known, ..)| app != Some(known));
        match app {
            Some(app) if is_new && self.context.key.proto == IpProto::TCP => {
                let end = self.waiting_mut(direction).end();
                self.app_to_come = Some((app, direction, end));
            }
            _ if is_new => self.app = app,
            _ => {}
        }
        let is_secret = |app: AppRecord| matches!(app.proto.name(), "tls" | "ssh");
        if !is_read && app.is_some_and(is_secret) {
            self.keeps_streams = false;
            self.is_secret = true;
        }
    }

    /// Takes notice of what was recognised, if the bytes that told it are acknowledged.
    #[inline]
    pub(crate) fn app_is_due(&mut self) {
        if let Some((app, direction, end)) = self.app_to_come
            && self.waiting_mut(direction).is_acked(end)
        {
            self.told_app = [false; 2];
            self.app = Some(app);
            self.app_to_come = None;
        }
    }

    /// Something is odd about the flow as a whole.
    pub(crate) fn flow_event(&mut self, direction: Direction, name: &'static str) {
        let end = self.waiting_mut(direction).end();
        if self.flow_events.len() < MAX_FLOW_EVENTS {
            self.flow_events.push((name, direction, end));
        }
    }

    /// Takes what is odd and acknowledged.
    pub(crate) fn due_flow_events(&mut self) -> SmallVec<[&'static str; 2]> {
        if self.flow_events.is_empty() {
            return SmallVec::new();
        }
        let mut events = std::mem::take(&mut self.flow_events);
        let due = events
            .extract_if(.., |(_, direction, end)| self.waiting_mut(*direction).is_acked(*end))
            .map(|(name, ..)| name)
            .collect();
        self.flow_events = events;
        due
    }

    /// Takes notice of what was recognised, acknowledged or not.
    pub(crate) fn settle_app(&mut self) {
        if let Some((app, ..)) = self.app_to_come.take() {
            self.app = Some(app);
        }
    }

    /// The session is over: nothing more will be acknowledged.
    pub(crate) fn closed(&mut self) {
        self.waiting.iter_mut().for_each(Waiting::end_here);
    }

    /// Who was thought to have begun did not. What is due stays: the message that told so is read
    /// with its direction turned already, and nothing was due before it.
    pub(crate) fn reverse(&mut self, context: FlowContext) {
        self.context = Arc::new(context);
        if let Some((_, direction, _)) = &mut self.app_to_come {
            *direction = direction.opposite();
        }
        self.progress.reverse();
        self.seen.reverse();
        self.told_app.reverse();
        self.waiting.reverse();
    }

    /// The next piece of one direction's stream.
    pub(crate) fn stream(&mut self, direction: Direction, chunk: Chunk<'_>) {
        let keep = self.keeps_streams;
        self.waiting_mut(direction).add(chunk, keep);
    }

    /// A transaction is complete; where there is nothing more to come, only one way of it counts.
    pub(crate) fn completed(
        &mut self,
        tx_id: u64,
        transaction: &Arc<dyn Transaction>,
        only: Option<Direction>,
    ) {
        if let Some(keep) = &mut self.keep {
            keep.completed(tx_id);
        }
        let one_way = transaction.one_way().or(only);
        for direction in [Direction::ToServer, Direction::ToClient] {
            if one_way.is_none_or(|way| way == direction) {
                self.told(direction, tx_id, transaction, false);
            }
        }
    }

    /// One half of a transaction is complete.
    pub(crate) fn half(
        &mut self,
        direction: Direction,
        tx_id: u64,
        transaction: &Arc<dyn Transaction>,
    ) {
        self.told(direction, tx_id, transaction, true);
    }

    fn told(
        &mut self,
        direction: Direction,
        tx_id: u64,
        transaction: &Arc<dyn Transaction>,
        is_half: bool,
    ) {
        self.push(direction, tx_id, transaction, is_half);
        if asks_for_stream(&**transaction) {
            self.waiting_mut(direction).complete_here();
        }
    }

    /// Notes that a signature matched on a half; says whether it did before.
    pub(crate) fn spoke_of(&mut self, tx_id: u64, signature: u32, is_half: bool) -> bool {
        let known = self.of_halves.contains(&(tx_id, signature));
        if is_half && !known && self.of_halves.len() < MAX_SPOKE {
            self.of_halves.push((tx_id, signature));
        }
        known
    }

    /// A transaction was judged whole.
    pub(crate) fn judged_whole(&mut self, tx_id: u64) {
        self.of_halves.retain(|(known, _)| *known != tx_id);
    }

    /// A frame was cut out.
    pub(crate) fn frame(&mut self, frame: &Arc<dyn Transaction>) {
        if let Some(direction) = frame.one_way() {
            self.push(direction, TxScope::FRAME, frame, false);
        }
    }

    /// Something odd that belongs to no transaction.
    pub(crate) fn odd(&mut self, direction: Direction, app: AppProto, name: &'static str) {
        let transaction: Arc<dyn Transaction> = Arc::new(OddThing { app, name });
        self.push(direction, u64::MAX, &transaction, false);
    }

    /// A file is complete; its transaction may be or not.
    pub(crate) fn file(&mut self, file: FileRecord) {
        if self.files.len() >= MAX_FILES {
            self.files.remove(0);
        }
        self.files.push(file);
    }

    /// Holds a file until it is known whether it is stored; gives back one that had to make room.
    pub(crate) fn hold(&mut self, file: Box<FileRecord>) -> Option<Event> {
        let is_due = |due: &Due| due.tx_id == file.tx_id && !due.is_half;
        let is_complete = self.due.iter().flatten().any(is_due);
        self.keep.get_or_insert_default().hold(file, is_complete)
    }

    /// A signature chose files.
    pub(crate) fn choose(&mut self, choice: &Choice) {
        self.keep.get_or_insert_default().choose(choice);
    }

    /// Tells of the files that need not wait any longer, or of all.
    #[inline]
    pub(crate) fn release(&mut self, all: bool, tell: impl FnMut(Event)) {
        let Self { keep: Some(keep), due, .. } = self else { return };
        if keep.is_waiting() {
            keep.release(all, |tx_id| due.iter().flatten().any(|due| due.tx_id == tx_id), tell);
        }
    }

    /// Takes the files that belong to what is due.
    pub(crate) fn give_files(&mut self) {
        if self.files.is_empty() {
            return;
        }
        for (direction, due) in [Direction::ToServer, Direction::ToClient].iter().zip(&mut self.due)
        {
            for due in due {
                let is_its = |f: &FileRecord| f.tx_id == due.tx_id && f.direction == *direction;
                let (its, rest): (Vec<_>, Vec<_>) = self.files.drain(..).partition(is_its);
                due.files.extend(its);
                self.files = rest;
            }
        }
    }

    pub(crate) fn waiting_mut(&mut self, direction: Direction) -> &mut Waiting {
        direction.of_mut(&mut self.waiting)
    }

    /// The next transaction whose part this way is acknowledged, or any of them if `all`.
    pub(crate) fn next_due(&mut self, direction: Direction, all: bool) -> Option<Due> {
        let (due, waiting) = (direction.of_mut(&mut self.due), direction.of(&self.waiting));
        let is_stream = self.context.key.proto == IpProto::TCP;
        let first = due.front()?;
        if all || !is_stream || due.len() > MAX_DUE || waiting.is_acked(first.end) {
            due.pop_front()
        } else {
            None
        }
    }

    fn push(
        &mut self,
        direction: Direction,
        tx_id: u64,
        transaction: &Arc<dyn Transaction>,
        is_half: bool,
    ) {
        let (due, waiting) = (direction.of_mut(&mut self.due), direction.of(&self.waiting));
        let (end, transaction) = (waiting.end(), Arc::clone(transaction));
        let progress = direction.of_mut(&mut self.progress);
        let was_partial = if tx_id >= TxScope::FRAME {
            false
        } else if progress.tx_id == Some(tx_id) {
            // Its half was here already.
            progress.was_partial
        } else {
            // Where a request is only known with its response, nobody knows when it was complete.
            let is_timely = is_half
                || direction == Direction::ToClient
                || waiting.is_over()
                || transaction.protocol().name() == "tls";
            // What completes it came behind bytes of it that were judged once acknowledged.
            let was_partial = is_timely && waiting.acked() > progress.end;
            *progress = Progress { tx_id: Some(tx_id), was_partial, ..*progress };
            was_partial
        };
        if tx_id < TxScope::FRAME {
            progress.end = progress.end.max(end);
        }
        due.push_back(Due { tx_id, transaction, files: Vec::new(), end, is_half, was_partial });
    }
}

/// Whether the stream is judged as far as it came when such a transaction is complete. Rules about
/// SMB are written for streams that are judged in their usual pieces, whatever ends in them.
fn asks_for_stream(transaction: &dyn Transaction) -> bool {
    transaction.protocol().name() != "smb"
}

/// Stands for what no transaction says: only that something was odd.
#[derive(Debug)]
struct OddThing {
    app: AppProto,
    name: &'static str,
}

impl Transaction for OddThing {
    fn protocol(&self) -> AppProto {
        self.app
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        &()
    }

    fn is_recorded(&self) -> bool {
        false
    }

    fn events(&self, visit: &mut dyn FnMut(&'static str)) {
        visit(self.name);
    }
}
