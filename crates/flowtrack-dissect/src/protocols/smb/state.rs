//! What one connection of SMB has open: requests without answer, shares, files and pipes.

use super::record::{Command, Details, Exchange, Guid, Status};
use crate::protocols::dcerpc::{calls::Calls, pdu};
use crate::{FileTracker, Malformed, Outcome, Pending, Take, Wants};
use flowtrack_event::{Direction, FileState};
use std::collections::BTreeMap;

/// Requests that may wait for an answer.
const WAITING_CAP: usize = 512;
/// Shares that are remembered.
const TREE_CAP: usize = 256;
/// Files that may be open.
const FILE_CAP: usize = 1024;
/// Bytes of a file that are kept for rules.
const CONTENT_CAP: usize = 100 * 1024;
/// Calls of one pipe that may wait for an answer.
const CALL_CAP: usize = 128;
/// Longest packet of a pipe: lengths are of two bytes.
const PACKET_CAP: usize = 0xffff;

/// Stands for the file that an earlier message of the same compound opens.
pub const OF_COMPOUND: Guid = Guid([0xff; 16]);

/// What a message says of itself, in either version.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// Identifies a request among those without answer.
    pub key: u64,
    /// What is asked.
    pub command: Command,
    /// Session.
    pub session: u64,
    /// Share.
    pub tree: u32,
    /// Which way it goes.
    pub direction: Direction,
}

/// A connection.
pub struct State {
    /// What is asked of the dissector.
    pub wants: Wants,
    /// Dialect that was agreed on.
    pub dialect: String,
    /// Dialects that the client offered to an SMB 1 server.
    pub offered: Vec<String>,
    ids: u64,
    waiting: Vec<Waiting>,
    trees: BTreeMap<u32, Share>,
    files: BTreeMap<Guid, Open>,
}

/// A request without answer.
#[derive(Debug)]
pub struct Waiting {
    context: Context,
    /// Its record, where it has one of its own.
    pub exchange: Option<Exchange>,
    /// The file it is about.
    pub guid: Option<Guid>,
    /// Where in the file.
    pub offset: u64,
}

impl Waiting {
    /// Share of the request.
    pub fn tree(&self) -> u32 {
        self.context.tree
    }
}

/// A share that is connected.
#[derive(Clone, Default, Debug)]
struct Share {
    path: String,
    pipe: bool,
}

/// An open file or pipe.
#[derive(Default)]
struct Open {
    name: String,
    share: String,
    /// As a file: what is read and what is written.
    transfers: [Option<Transfer>; 2],
    /// As a pipe: its calls.
    pipe: Option<Pipe>,
}

/// The contents of a file, on their way.
struct Transfer {
    tracker: FileTracker,
    exchange: Exchange,
    next: u64,
}

/// A named pipe.
struct Pipe {
    calls: Calls,
    sides: [Pending; 2],
    /// Calls whose request was seen: number of the call, and the record that it began.
    begun: Vec<(u32, Exchange)>,
}

/// Where the rest of a long message goes.
#[derive(Clone, Copy, Debug)]
pub struct Sink {
    guid: Guid,
    direction: Direction,
    left: usize,
}

impl State {
    /// Of a new connection.
    pub fn new(wants: Wants) -> Self {
        Self {
            wants,
            dialect: "unknown".to_owned(),
            offered: Vec::new(),
            ids: 0,
            waiting: Vec::new(),
            trees: BTreeMap::new(),
            files: BTreeMap::new(),
        }
    }

    /// A record that begins now.
    pub fn begin(&mut self, context: &Context, details: Details) -> Exchange {
        self.ids += 1;
        Exchange {
            id: self.ids,
            dialect: String::new(),
            command: context.command,
            status: None,
            session: context.session,
            tree: context.tree,
            details,
        }
    }

    /// A request that waits for its answer; `exchange` where it has a record of its own.
    pub fn wait(
        &mut self,
        context: &Context,
        exchange: Option<Exchange>,
        guid: Option<Guid>,
        offset: u64,
        out: &mut Outcome,
    ) {
        if self.waiting.len() >= WAITING_CAP {
            let oldest = self.waiting.remove(0);
            if let Some(exchange) = oldest.exchange {
                self.tell(exchange, context.direction, out);
            }
        }
        self.waiting.push(Waiting { context: *context, exchange, guid, offset });
    }

    /// The request that an answer belongs to.
    pub fn answered(&mut self, context: &Context) -> Option<Waiting> {
        let same =
            |w: &Waiting| w.context.key == context.key && w.context.command == context.command;
        self.waiting.iter().position(same).map(|at| self.waiting.remove(at))
    }

    /// A record is complete.
    pub fn tell(&self, mut exchange: Exchange, direction: Direction, out: &mut Outcome) {
        exchange.dialect.clone_from(&self.dialect);
        if out.wants_logins {
            exchange.login(out);
        }
        out.transaction(direction, exchange.id.saturating_sub(1), exchange);
    }

    /// A share was connected.
    pub fn connect(&mut self, tree: u32, path: String, pipe: bool) {
        if self.trees.len() < TREE_CAP || self.trees.contains_key(&tree) {
            self.trees.insert(tree, Share { path, pipe });
        }
    }

    /// A share was given back.
    pub fn disconnect(&mut self, tree: u32) {
        self.trees.remove(&tree);
    }

    /// A file or pipe was opened.
    pub fn open(&mut self, guid: Guid, tree: u32, name: &str, out: &mut Outcome) {
        if self.files.len() >= FILE_CAP
            && let Some((&oldest, _)) = self.files.first_key_value()
        {
            self.close(oldest, Direction::ToServer, out);
        }
        let share = self.trees.get(&tree).cloned().unwrap_or_default();
        let pipe = share.pipe.then(|| Pipe::new(self.wants));
        let open = Open { name: name.to_owned(), share: share.path, transfers: [None, None], pipe };
        self.files.insert(guid, open);
    }

    /// Name of an open file.
    pub fn name_of(&self, guid: Guid) -> String {
        self.files.get(&guid).map(|open| open.name.clone()).unwrap_or_default()
    }

    /// A file or pipe was closed.
    pub fn close(&mut self, guid: Guid, direction: Direction, out: &mut Outcome) {
        let Some(open) = self.files.remove(&guid) else { return };
        for transfer in open.transfers.into_iter().flatten() {
            self.end_transfer(transfer, FileState::Closed, direction, out);
        }
        if let Some(pipe) = open.pipe {
            self.end_pipe(pipe, direction, out);
        }
    }

    fn end_transfer(
        &self,
        mut transfer: Transfer,
        state: FileState,
        direction: Direction,
        out: &mut Outcome,
    ) {
        if let Details::File { content, .. } = &mut transfer.exchange.details {
            *content = transfer.tracker.take_kept();
        }
        if self.wants.files {
            out.file(transfer.tracker.done(state));
        }
        self.tell(transfer.exchange, direction, out);
    }

    fn end_pipe(&mut self, mut pipe: Pipe, direction: Direction, out: &mut Outcome) {
        for call in pipe.calls.end() {
            if let Some(exchange) = pipe.begun_by(call.number) {
                let details = Details::Call(Box::new(call));
                self.tell(Exchange { details, ..exchange }, direction, out);
            }
        }
    }

    /// All that is open ends with the connection.
    pub fn end(&mut self, direction: Direction, out: &mut Outcome) {
        for waiting in std::mem::take(&mut self.waiting) {
            if let Some(exchange) = waiting.exchange {
                self.tell(exchange, direction, out);
            }
        }
        for (_, open) in std::mem::take(&mut self.files) {
            for transfer in open.transfers.into_iter().flatten() {
                self.end_transfer(transfer, FileState::Truncated, direction, out);
            }
            if let Some(pipe) = open.pipe {
                self.end_pipe(pipe, direction, out);
            }
        }
    }

    /// Bytes of a file or pipe; `whole` is how many there are in the message, of which `bytes` may
    /// be only the first. Answers where the rest goes.
    pub fn data(
        &mut self,
        context: &Context,
        guid: Guid,
        place: (u64, usize),
        bytes: &[u8],
        status: Option<u32>,
        out: &mut Outcome,
    ) -> Option<Sink> {
        let (offset, whole) = place;
        let is_pipe = match self.files.get(&guid) {
            Some(open) => open.pipe.is_some(),
            None => {
                // Opened before the capture began: only its contents can tell what it is.
                let pipe = self.trees.get(&context.tree).is_some_and(|share| share.pipe)
                    || (offset == 0 && pdu::Header::parse(bytes).is_some());
                self.open(guid, context.tree, "", out);
                if pipe && let Some(open) = self.files.get_mut(&guid) {
                    open.pipe.get_or_insert_with(|| Pipe::new(self.wants));
                }
                pipe
            }
        };
        if is_pipe {
            self.pipe(context, guid, bytes, status, out);
            return None;
        }
        self.file(context, guid, offset, bytes, out);
        let left = whole.checked_sub(bytes.len()).filter(|&left| left > 0)?;
        Some(Sink { guid, direction: context.direction, left })
    }

    fn file(
        &mut self,
        context: &Context,
        guid: Guid,
        offset: u64,
        bytes: &[u8],
        out: &mut Outcome,
    ) {
        let wants = self.wants;
        let id = self.ids + 1;
        let Some(open) = self.files.get_mut(&guid) else { return };
        let Some(slot) = open.transfers.get_mut(side(context.direction)) else { return };
        if slot.is_none() {
            self.ids = id;
        }
        let (name, share) = (&open.name, &open.share);
        let transfer = slot.get_or_insert_with(|| Transfer {
            tracker: FileTracker::new(wants, id - 1, context.direction, name.as_bytes())
                .keeping(if wants.buffers { CONTENT_CAP } else { 0 }),
            exchange: Exchange {
                id,
                dialect: String::new(),
                command: context.command,
                status: Some(Status::Nt(0)),
                session: context.session,
                tree: context.tree,
                details: Details::File {
                    name: name.clone(),
                    share: share.clone(),
                    guid,
                    direction: context.direction,
                    content: Vec::new(),
                },
            },
            next: 0,
        });
        if offset < transfer.next && !bytes.is_empty() {
            out.anomaly("file_overlap", Some(transfer.exchange.id - 1));
        }
        // What was carried before is not taken again.
        let seen = transfer.next.saturating_sub(offset).min(bytes.len() as u64) as usize;
        if offset > transfer.next {
            transfer.tracker.gap(offset - transfer.next);
        }
        let fresh = bytes.get(seen..).unwrap_or_default();
        transfer.tracker.data(fresh);
        transfer.next = transfer.next.max(offset.saturating_add(bytes.len() as u64));
    }

    /// More bytes of a long message; answers how many of them were wanted.
    pub fn more(&mut self, sink: &mut Sink, bytes: &[u8]) {
        let n = sink.left.min(bytes.len());
        sink.left -= n;
        let transfer = self.transfer(sink);
        if let (Some(transfer), Some(bytes)) = (transfer, bytes.get(..n)) {
            transfer.tracker.data(bytes);
            transfer.next = transfer.next.saturating_add(n as u64);
        }
    }

    /// Bytes of a long message were lost.
    pub fn lost(&mut self, sink: &mut Sink, bytes: u64) {
        let n = bytes.min(sink.left as u64);
        sink.left -= n as usize;
        if n > 0
            && let Some(transfer) = self.transfer(sink)
        {
            transfer.tracker.gap(n);
            transfer.next = transfer.next.saturating_add(n);
        }
    }

    fn transfer(&mut self, sink: &Sink) -> Option<&mut Transfer> {
        self.files.get_mut(&sink.guid)?.transfers.get_mut(side(sink.direction))?.as_mut()
    }

    /// Bytes of a pipe: packets of DCE/RPC.
    pub fn pipe(
        &mut self,
        context: &Context,
        guid: Guid,
        bytes: &[u8],
        status: Option<u32>,
        out: &mut Outcome,
    ) {
        if !self.files.contains_key(&guid) {
            self.open(guid, context.tree, "", out);
        }
        let wants = self.wants;
        let Some(open) = self.files.get_mut(&guid) else { return };
        let mut pipe = open.pipe.take().unwrap_or_else(|| Pipe::new(wants));
        let Some(pending) = pipe.sides.get_mut(side(context.direction)) else { return };
        let mut pending = std::mem::take(pending);
        let read = pending.records::<Malformed>(bytes, PACKET_CAP, |b| {
            if b.len() < pdu::HEADER {
                return Ok(Take::Need(pdu::HEADER));
            }
            let header = pdu::Header::parse(b).ok_or(Malformed("invalid_dcerpc"))?;
            let Some(packet) = b.get(..header.length) else {
                return Ok(Take::Need(header.length));
            };
            if context.direction == Direction::ToServer && header.is_first() {
                let exchange = self.begin(context, Details::None);
                if matches!(
                    header.kind,
                    pdu::kind::REQUEST | pdu::kind::BIND | pdu::kind::ALTER_CONTEXT
                ) && pipe.begun.len() < CALL_CAP
                {
                    pipe.begun.push((header.call_id, exchange));
                } else {
                    self.ids -= 1;
                }
            }
            if let Some(call) = pipe.calls.packet(&header, packet) {
                let exchange = pipe
                    .begun_by(call.number)
                    .unwrap_or_else(|| self.begin(context, Details::None));
                let details = Details::Call(Box::new(call));
                let status = status.map(Status::Nt);
                self.tell(Exchange { status, details, ..exchange }, context.direction, out);
            }
            Ok(Take::Used(header.length))
        });
        // What is not DCE/RPC is passed over: other things are said over pipes as well.
        if read.is_ok()
            && let Some(slot) = pipe.sides.get_mut(side(context.direction))
        {
            *slot = pending;
        }
        if let Some(open) = self.files.get_mut(&guid) {
            open.pipe = Some(pipe);
        }
    }
}

impl Pipe {
    fn new(wants: Wants) -> Self {
        Self { calls: Calls::new(wants.buffers), sides: Default::default(), begun: Vec::new() }
    }

    fn begun_by(&mut self, call_id: u32) -> Option<Exchange> {
        let at = self.begun.iter().position(|(id, _)| *id == call_id)?;
        Some(self.begun.remove(at).1)
    }
}

const fn side(direction: Direction) -> usize {
    match direction {
        Direction::ToServer => 0,
        Direction::ToClient => 1,
    }
}
