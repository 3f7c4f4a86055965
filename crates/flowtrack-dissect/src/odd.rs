//! What was odd about transactions that are still open, told with them when they are complete.

use crate::Outcome;
use flowtrack_event::{AppProto, Direction, Encryption, Transaction};
use std::net::IpAddr;
use std::sync::Arc;

/// Events that wait for their transaction.
const CAP: usize = 64;

/// Events of transactions that are not complete.
#[derive(Default, Debug)]
pub struct Odd {
    waiting: Vec<(u64, &'static str)>,
}

impl Odd {
    /// Takes the anomalies that a call brought, and gives them to the transactions it completed;
    /// both are those from so many on.
    pub fn settle(&mut self, out: &mut Outcome, anomalies: usize, transactions: usize) {
        for raised in out.anomalies.iter().skip(anomalies) {
            if let Some(tx_id) = raised.tx_id {
                if self.waiting.len() >= CAP {
                    self.waiting.remove(0);
                }
                self.waiting.push((tx_id, raised.name));
            }
        }
        if self.waiting.is_empty() {
            return;
        }
        for done in out.transactions.iter_mut().skip(transactions) {
            let mut events = Vec::new();
            self.waiting.retain(|&(tx_id, name)| {
                let is_its = tx_id == done.tx_id;
                if is_its && !events.contains(&name) {
                    events.push(name);
                }
                !is_its
            });
            if !events.is_empty() {
                let inner = done.transaction.clone();
                done.transaction = Arc::new(WithEvents { inner, events });
            }
        }
    }
}

/// A transaction and what was odd about it.
#[derive(Debug)]
struct WithEvents {
    inner: Arc<dyn Transaction>,
    events: Vec<&'static str>,
}

impl Transaction for WithEvents {
    fn protocol(&self) -> AppProto {
        self.inner.protocol()
    }

    fn event_type(&self) -> &'static str {
        self.inner.event_type()
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self.inner.record()
    }

    fn siblings(&self, visit: &mut dyn FnMut(&'static str, &dyn erased_serde::Serialize)) {
        self.inner.siblings(visit);
    }

    fn one_way(&self) -> Option<Direction> {
        self.inner.one_way()
    }

    fn is_recorded(&self) -> bool {
        self.inner.is_recorded()
    }

    fn buffer_towards(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(&[u8])) {
        self.inner.buffer_towards(direction, name, visit);
    }

    fn number(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(u64)) {
        self.inner.number(direction, name, visit);
    }

    fn events(&self, visit: &mut dyn FnMut(&'static str)) {
        self.inner.events(visit);
        self.events.iter().for_each(|event| visit(event));
    }

    fn names(&self, visit: &mut dyn FnMut(IpAddr, &str)) {
        self.inner.names(visit);
    }

    fn encryption(&self) -> Option<Encryption<'_>> {
        self.inner.encryption()
    }

    fn summary(&self) -> String {
        self.inner.summary()
    }
}
