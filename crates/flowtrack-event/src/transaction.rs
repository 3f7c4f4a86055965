//! Finished application exchanges.

use crate::{AppProto, Direction, Encryption, FlowId, FlowKey, IfaceId, Timestamp, Vlans};
use std::sync::Arc;

/// What every event of a flow says about the flow it belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowContext {
    /// The flow.
    pub id: FlowId,
    /// The flow whose tunnel carried it.
    pub parent: Option<FlowId>,
    /// Originator and responder.
    pub key: FlowKey,
    /// VLAN tags of the first packet, outermost first.
    pub vlans: Vlans,
    /// Interface of the first packet.
    pub iface: IfaceId,
    /// When the flow began.
    pub start: Timestamp,
}

/// A finished exchange of an application protocol.
///
/// Rules ask it for buffers, logs and stores for its record. It owns its bytes: it outlives the
/// packets it came from.
pub trait Transaction: Send + Sync + std::fmt::Debug {
    /// The protocol, by its EVE name.
    fn protocol(&self) -> AppProto;

    /// EVE `event_type`, and the key under which [`Transaction::record`] stands.
    fn event_type(&self) -> &'static str {
        self.protocol().name()
    }

    /// The fields of the record as they are logged.
    fn record(&self) -> &dyn erased_serde::Serialize;

    /// Visits the objects that EVE writes beside [`Transaction::record`], at the top level of the
    /// event, such as `email` beside `smtp`.
    fn siblings(&self, _visit: &mut dyn FnMut(&'static str, &dyn erased_serde::Serialize)) {}

    /// Whether it is worth a record; if not, only rules look at it.
    fn is_recorded(&self) -> bool {
        true
    }

    /// Visits every value of a named inspection buffer such as `http.uri`, whichever way it went; a
    /// protocol that has no such buffer visits nothing.
    ///
    /// For protocols whose exchanges go one way: who asks, asks [`Transaction::buffer_towards`],
    /// and who answers that needs not answer this.
    fn buffer(&self, _name: &str, _visit: &mut dyn FnMut(&[u8])) {}

    /// The one way that all of it went; `None` where both sides said something, as in a request
    /// and its response.
    fn one_way(&self) -> Option<Direction> {
        None
    }

    /// Visits every value of a named inspection buffer of what went one way: `http.header` is of the
    /// request or of the response.
    fn buffer_towards(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(&[u8])) {
        if self.one_way().is_none_or(|way| way == direction) {
            self.buffer(name, visit);
        }
    }

    /// Visits every value of a numeric keyword by the keyword's own name, such as `dns.opcode`, of
    /// what went one way; flags and enumerations are numbers too. A protocol that has no such
    /// keyword visits nothing.
    fn number(&self, _direction: Direction, _name: &str, _visit: &mut dyn FnMut(u64)) {}

    /// Visits the names of what was odd about this exchange, as anomaly records name them: without
    /// the protocol before it.
    fn events(&self, _visit: &mut dyn FnMut(&'static str)) {}

    /// Addresses and the host names that this exchange gave them (DNS answers, SNI, DHCP).
    fn names(&self, _visit: &mut dyn FnMut(std::net::IpAddr, &str)) {}

    /// What this exchange says of the encryption that follows it, where it is a handshake.
    fn encryption(&self) -> Option<Encryption<'_>> {
        None
    }

    /// One line that tells a person what was said, such as `GET example.org/ 200`.
    fn summary(&self) -> String {
        String::new()
    }
}

/// A transaction and the flow it belongs to.
#[derive(Clone, Debug)]
pub struct TransactionEvent {
    /// When it was complete.
    pub ts: Timestamp,
    /// Place in the capture of the packet that completed it, from 1.
    pub packet: u64,
    /// The flow.
    pub flow: Arc<FlowContext>,
    /// Which way the packet that completed it went.
    pub direction: Direction,
    /// Counted from 0 in its flow.
    pub tx_id: u64,
    /// What was said.
    pub transaction: Arc<dyn Transaction>,
}
