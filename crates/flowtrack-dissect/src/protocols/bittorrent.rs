//! BitTorrent between peers (BEP 3): named by the handshake.

use crate::{First, Probe, Protocol, Transport};
use flowtrack_event::AppProto;

const NAME: AppProto = AppProto("bittorrent");

/// BitTorrent.
pub struct Bittorrent;

impl Protocol for Bittorrent {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn ports(&self) -> &'static [u16] {
        &[6881, 6882, 6883, 6884, 6885, 6886, 6887, 6888, 6889]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        Probe::prefix(first.bytes, b"\x13BitTorrent protocol")
    }
}
