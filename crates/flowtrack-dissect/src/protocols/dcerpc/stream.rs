//! DCE/RPC over a stream.

use super::calls::{Call, Calls, Record};
use super::{NAME, pdu};
use crate::{Malformed, Outcome, Pending, Take, Wants};
use flowtrack_event::{AppProto, Chunk, Direction, Transaction};
use serde::{Serialize, Serializer};

/// Longest packet: lengths are of two bytes.
const PACKET_CAP: usize = 0xffff;

/// Reads both directions of one connection.
pub struct Stream {
    sides: [Side; 2],
    calls: Calls,
    told: u64,
    ended: bool,
}

#[derive(Default)]
struct Side {
    pending: Pending,
    /// Behind a hole the next packet is looked for.
    lost: bool,
}

impl Stream {
    /// Of a new connection.
    pub fn new(wants: Wants) -> Self {
        Self { sides: Default::default(), calls: Calls::new(wants.buffers), told: 0, ended: false }
    }

    /// Takes the next chunk.
    pub fn feed(
        &mut self,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) -> Result<(), Malformed> {
        let side = direction.of_mut(&mut self.sides);
        let Chunk::Bytes(bytes) = chunk else {
            side.pending.take();
            side.lost = true;
            return Ok(());
        };
        let Side { pending, lost } = side;
        let (calls, told) = (&mut self.calls, &mut self.told);
        let read = pending.records(bytes, PACKET_CAP, |b| {
            if b.len() < pdu::HEADER {
                return Ok(Take::Need(pdu::HEADER));
            }
            let Some(header) = pdu::Header::parse(b) else {
                if *lost {
                    return Ok(Take::Used(1));
                }
                return Err(Malformed("invalid_header"));
            };
            let Some(packet) = b.get(..header.length) else {
                return Ok(Take::Need(header.length));
            };
            *lost = false;
            if let Some(call) = calls.packet(&header, packet) {
                tell(told, direction, call, out);
            }
            Ok(Take::Used(header.length))
        });
        if read.is_err() {
            self.end(direction, out);
        }
        read
    }

    /// One direction ended: what waits will get no answer.
    pub fn finish(&mut self, direction: Direction, out: &mut Outcome) {
        if std::mem::replace(&mut self.ended, true) {
            self.end(direction, out);
        }
    }

    fn end(&mut self, direction: Direction, out: &mut Outcome) {
        for call in self.calls.end() {
            tell(&mut self.told, direction, call, out);
        }
    }
}

fn tell(told: &mut u64, direction: Direction, call: Call, out: &mut Outcome) {
    out.transaction(direction, *told, StreamCall(call));
    *told += 1;
}

/// A call over a stream.
#[derive(Debug)]
struct StreamCall(Call);

impl Serialize for StreamCall {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        Record { call: &self.0, in_smb: false }.serialize(s)
    }
}

impl Transaction for StreamCall {
    fn protocol(&self) -> AppProto {
        NAME
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn buffer_towards(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(&[u8])) {
        self.0.buffer_towards(direction, name, visit);
    }

    fn number(&self, _direction: Direction, name: &str, visit: &mut dyn FnMut(u64)) {
        if name == "dcerpc.opnum" {
            self.0.opnum().into_iter().for_each(visit);
        }
    }

    fn summary(&self) -> String {
        self.0.summary()
    }
}
