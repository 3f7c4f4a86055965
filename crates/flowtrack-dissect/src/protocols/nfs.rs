//! NFS 2, 3 and 4 (RFC 1094, RFC 1813, RFC 7530) over ONC RPC (RFC 5531).

mod record;
mod rpc;
mod v3;

use crate::{
    Dissector, Field, First, Keyword, Malformed, Moment, Next, Outcome, Pending, Probe, Protocol,
    Take, Transport, Wants,
};
use flowtrack_event::{AppProto, Chunk, Direction};
use record::Exchange;
use rpc::{Call, Reply};
use std::collections::BTreeMap;

const NAME: AppProto = AppProto("nfs");
/// Bytes of a record that are held; of longer ones, which carry contents of files, only the
/// beginning is read.
const HEAD_CAP: usize = 64 * 1024;
/// Calls that may wait for a reply.
const WAITING_CAP: usize = 256;
/// Handles whose names are remembered.
const NAME_CAP: usize = 1024;

const KEYWORDS: &[Keyword] = &[
    Keyword::number("nfs_procedure", "number of the procedure called").to_server(),
    Keyword::number("nfs.version", "version of NFS").to_server(),
    Keyword::buffer("nfs.filename", "names of files").to_server().multi(),
];

const FIELDS: &[Field] = &[
    Field::eve("version", "integer", "version of the protocol"),
    Field::eve("procedure", "string", "what was asked"),
    Field::eve("filename", "string", "name of the file"),
    Field::eve("hhash", "string", "short hash of the file's handle"),
    Field::eve("id", "integer", "number of the exchange in the flow"),
    Field::eve("file_tx", "boolean", "whether it carries contents of a file"),
    Field::eve("type", "string", "request or response"),
    Field::eve("status", "string", "how it ended"),
    Field::eve("rename.from", "string", "name before"),
    Field::eve("rename.to", "string", "name after"),
];

/// NFS.
pub struct Nfs;

impl Protocol for Nfs {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Both
    }

    fn ports(&self) -> &'static [u16] {
        &[2049]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        rpc::probe(first)
    }

    fn dissector(&self, wants: Wants) -> Option<Box<dyn Dissector>> {
        (wants.records || wants.buffers).then(|| Box::<Reading>::default() as Box<dyn Dissector>)
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    fn keywords(&self) -> &'static [Keyword] {
        KEYWORDS
    }
}

#[derive(Default)]
struct Reading {
    sides: [Side; 2],
    waiting: Vec<Waiting>,
    /// Names of handles that were looked up.
    names: BTreeMap<Vec<u8>, Vec<u8>>,
    begun: u64,
    ended: bool,
}

/// A call without reply.
struct Waiting {
    exchange: Exchange,
    version: u32,
    procedure: u32,
}

#[derive(Default)]
struct Side {
    pending: Pending,
    /// Bytes left of a long record whose beginning is read.
    left: usize,
    /// The next fragment goes on with a record.
    inside: bool,
}

impl Dissector for Reading {
    fn feed(
        &mut self,
        at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) -> Result<Next, Malformed> {
        let slot = usize::from(direction == Direction::ToClient);
        let bytes = match chunk {
            Chunk::Bytes(bytes) => bytes,
            Chunk::Gap(lost) => {
                let Some(side) = self.sides.get_mut(slot) else { return Ok(Next::Done) };
                let inside = side.pending.is_empty() && lost <= side.left as u64;
                side.left = side.left.saturating_sub(lost as usize);
                return Ok(if inside { Next::More } else { Next::Done });
            }
        };
        if at.is_udp() {
            self.message(direction, bytes, out);
            return Ok(Next::More);
        }
        let Some(side) = self.sides.get_mut(slot) else { return Ok(Next::Done) };
        let mut side = std::mem::take(side);
        let Side { pending, left, inside } = &mut side;
        pending.records::<Malformed>(bytes, rpc::MARK + HEAD_CAP, |b| {
            if *left > 0 {
                let n = b.len().min(*left);
                *left -= n;
                return Ok(Take::Used(n));
            }
            let Some((length, last)) = rpc::mark(b) else { return Ok(Take::Need(rpc::MARK)) };
            if length > rpc::RECORD_CAP {
                return Err(Malformed("malformed_data"));
            }
            let held = length.min(HEAD_CAP);
            let Some(message) = b.get(rpc::MARK..rpc::MARK + held) else {
                return Ok(Take::Need(rpc::MARK + held));
            };
            if !*inside {
                self.message(direction, message, out);
            }
            *inside = !last;
            *left = length - held;
            Ok(Take::Used(rpc::MARK + held))
        })?;
        if let Some(slot) = self.sides.get_mut(slot) {
            *slot = side;
        }
        Ok(Next::More)
    }

    fn finish(&mut self, _at: &Moment<'_>, direction: Direction, out: &mut Outcome) {
        if std::mem::replace(&mut self.ended, true) {
            for waiting in std::mem::take(&mut self.waiting) {
                out.transaction(direction, waiting.exchange.tx(), waiting.exchange);
            }
        }
    }
}

impl Reading {
    fn message(&mut self, direction: Direction, bytes: &[u8], out: &mut Outcome) {
        if let Some(call) = Call::parse(bytes) {
            self.call(&call, direction, out);
        } else if let Some(reply) = Reply::parse(bytes) {
            self.reply(&reply, direction, out);
        }
    }

    fn call(&mut self, call: &Call<'_>, direction: Direction, out: &mut Outcome) {
        if call.program != rpc::NFS {
            return;
        }
        self.begun += 1;
        let mut exchange = Exchange::of(self.begun, call);
        let args = v3::arguments(call.version, call.procedure, call.body).unwrap_or_default();
        exchange.handle = args.handle.map(<[u8]>::to_vec);
        let known = args.handle.and_then(|handle| self.names.get(handle));
        exchange.filename =
            args.name.map(<[u8]>::to_vec).or_else(|| known.cloned()).unwrap_or_default();
        exchange.to = args.to.map(<[u8]>::to_vec);
        if self.waiting.len() >= WAITING_CAP {
            let oldest = self.waiting.remove(0).exchange;
            out.transaction(direction, oldest.tx(), oldest);
        }
        self.waiting.push(Waiting { exchange, version: call.version, procedure: call.procedure });
    }

    fn reply(&mut self, reply: &Reply<'_>, direction: Direction, out: &mut Outcome) {
        let Some(at) = self.waiting.iter().position(|w| w.exchange.xid == reply.xid) else {
            return;
        };
        let Waiting { mut exchange, version, procedure } = self.waiting.remove(at);
        exchange.answer(reply, version);
        // What was looked up or made is known by this name from now on.
        if let Some(handle) = v3::new_handle(version, procedure, reply.body)
            && self.names.len() < NAME_CAP
        {
            self.names.insert(handle.to_vec(), exchange.filename.clone());
        }
        out.transaction(direction, exchange.tx(), exchange);
    }
}
