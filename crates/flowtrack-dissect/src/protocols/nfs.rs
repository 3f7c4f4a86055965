//! NFS 2, 3 and 4 (RFC 1094, RFC 1813, RFC 7530) over ONC RPC (RFC 5531).

mod rpc;

use crate::{First, Probe, Protocol, Transport};
use flowtrack_event::AppProto;

const NAME: AppProto = AppProto("nfs");

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
}
