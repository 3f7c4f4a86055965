//! SMB (MS-CIFS, MS-SMB, MS-SMB2): every version over NetBIOS sessions or directly over TCP.

mod framing;

use crate::{First, Probe, Protocol, Transport};
use flowtrack_event::AppProto;

const NAME: AppProto = AppProto("smb");

/// SMB.
pub struct Smb;

impl Protocol for Smb {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn ports(&self) -> &'static [u16] {
        &[445, 139]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        framing::probe(first)
    }
}
