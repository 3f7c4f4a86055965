//! BitTorrent between peers (BEP 3) and their search on a network (BEP 14); named only.

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
        Transport::Both
    }

    fn ports(&self) -> &'static [u16] {
        &[6881, 6882, 6883, 6884, 6885, 6886, 6887, 6888, 6889]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        if first.udp {
            return Probe::content(first.bytes.starts_with(b"BT-SEARCH * HTTP/1.1\r\n"));
        }
        Probe::prefix(first.bytes, b"\x13BitTorrent protocol")
    }
}
