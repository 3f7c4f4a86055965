//! Protocols whose every datagram is a message of its own.

use crate::{Dissector, Malformed, Moment, Next, Outcome};
use flowtrack_event::{Chunk, Direction, Transaction};
use std::marker::PhantomData;

/// A message that one datagram carries whole.
pub trait Datagram: Transaction + Sized + 'static {
    /// Reads it; `None` where it is malformed.
    fn read(at: &Moment<'_>, direction: Direction, bytes: &[u8]) -> Option<Self>;

    /// Whether a datagram is of this protocol at all; others share the flow unnoticed.
    fn is_mine(_bytes: &[u8]) -> bool {
        true
    }

    /// Whether it is worth a transaction.
    fn is_logged(&self) -> bool {
        true
    }

    /// What else follows from it: anomalies, and flows that it announces.
    fn notice(&self, _at: &Moment<'_>, _direction: Direction, _tx_id: u64, _out: &mut Outcome) {}
}

/// Reads a flow of such messages; each is a transaction.
#[derive(Debug)]
pub struct Datagrams<T> {
    transactions: u64,
    message: PhantomData<fn() -> T>,
}

impl<T> Default for Datagrams<T> {
    fn default() -> Self {
        Self { transactions: 0, message: PhantomData }
    }
}

impl<T: Datagram> Datagrams<T> {
    /// A reader of one flow.
    pub fn boxed() -> Box<dyn Dissector> {
        Box::new(Self::default())
    }
}

impl<T: Datagram> Dissector for Datagrams<T> {
    fn feed(
        &mut self,
        at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) -> Result<Next, Malformed> {
        let Chunk::Bytes(bytes) = chunk else { return Ok(Next::More) };
        if !T::is_mine(bytes) {
            return Ok(Next::More);
        }
        let tx_id = self.transactions;
        let Some(message) = T::read(at, direction, bytes) else {
            out.anomaly("malformed_data", None);
            return Ok(Next::More);
        };
        message.notice(at, direction, tx_id, out);
        if message.is_logged() {
            self.transactions += 1;
            out.transaction(direction, tx_id, message);
        }
        Ok(Next::More)
    }
}
