//! Names that the traffic gave to addresses, and what was said on a flow.

use crate::row::shown;
use flowtrack_event::{FlowId, FlowRecord, Recent, TransactionEvent};
use std::net::IpAddr;
use std::sync::Arc;

/// Longest host name that is kept, in characters; what DNS allows.
const NAME: usize = 253;
/// Longest line about a flow that is kept, in characters.
const LINE: usize = 200;

/// What transactions told about addresses and flows, bounded.
///
/// Names come from the traffic, so they are claims: whoever answers DNS gives any name to any
/// address.
pub struct Names {
    addresses: Recent<IpAddr, Arc<str>>,
    flows: Recent<FlowId, Note>,
    forgotten: u64,
}

/// What is known about one flow.
#[derive(Clone, Default)]
pub(crate) struct Note {
    pub src_name: Option<Arc<str>>,
    pub dest_name: Option<Arc<str>>,
    pub info: Option<Arc<str>>,
}

impl Names {
    /// Keeps at most `addresses` names and notes about `flows` flows.
    pub fn new(addresses: usize, flows: usize) -> Self {
        Self { addresses: Recent::new(addresses), flows: Recent::new(flows), forgotten: 0 }
    }

    /// Takes over the names and the line of a transaction.
    ///
    /// The line of the last transaction of a flow is kept; a name that it gives to one of the
    /// flow's own addresses is that flow's name even when the address has others.
    pub fn learn(&mut self, event: &TransactionEvent) {
        let key = &event.flow.key;
        let mut note = self.flows.get(&event.flow.id).cloned().unwrap_or_default();
        event.transaction.names(&mut |address, name| {
            if name.is_empty() {
                return;
            }
            let known = self.addresses.get_mut(&address).filter(|known| known.as_ref() == name);
            let name: Arc<str> = match known {
                Some(known) => Arc::clone(known),
                None => shown(name, NAME).into(),
            };
            if address == key.src {
                note.src_name = Some(Arc::clone(&name));
            } else if address == key.dst {
                note.dest_name = Some(Arc::clone(&name));
            }
            self.forgotten += u64::from(self.addresses.insert(address, name).is_some());
        });
        let line = event.transaction.summary();
        if !line.is_empty() {
            note.info = Some(shown(&line, LINE).into());
        }
        self.flows.insert(event.flow.id, note);
    }

    /// The last name that an address was given.
    pub fn of_address(&self, address: IpAddr) -> Option<&str> {
        self.addresses.get(&address).map(AsRef::as_ref)
    }

    /// Names of both sides and the line of a flow.
    pub(crate) fn note(&self, record: &FlowRecord) -> Note {
        let mut note = self.flows.get(&record.id).cloned().unwrap_or_default();
        let known = |address| self.addresses.get(&address).cloned();
        note.src_name = note.src_name.or_else(|| known(record.key.src));
        note.dest_name = note.dest_name.or_else(|| known(record.key.dst));
        note
    }

    /// Drops the note of a flow that is over.
    pub fn forget_flow(&mut self, id: FlowId) {
        self.flows.remove(&id);
    }

    /// Names that had to go because too many were known.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.addresses.clear();
        self.flows.clear();
        self.forgotten = 0;
    }
}
