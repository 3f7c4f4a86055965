//! DCE/RPC (C706, MS-RPCE) over TCP and UDP: remote procedure calls of Windows.

pub(crate) mod pdu;

use crate::{First, Probe, Protocol, Transport};
use flowtrack_event::AppProto;

const NAME: AppProto = AppProto("dcerpc");

/// DCE/RPC.
pub struct Dcerpc;

impl Protocol for Dcerpc {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Both
    }

    fn ports(&self) -> &'static [u16] {
        &[135, 593]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        if first.udp {
            Probe::content(pdu::Datagram::parse(first.bytes).is_some())
        } else {
            pdu::probe(first.bytes)
        }
    }
}
