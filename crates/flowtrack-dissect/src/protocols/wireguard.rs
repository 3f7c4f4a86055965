//! WireGuard: its handshake has fixed lengths; named only.

use crate::{First, Probe, Protocol, Transport};
use flowtrack_event::AppProto;

const NAME: AppProto = AppProto("wireguard");

/// Whether bytes look like keys: hardly one is a zero.
fn has_entropy(bytes: &[u8]) -> bool {
    let keys = bytes.get(4..60).unwrap_or_default();
    keys.iter().map(|&b| u32::from(b == 0)).sum::<u32>() <= 6
}

/// WireGuard.
pub struct Wireguard;

impl Protocol for Wireguard {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Udp
    }

    fn ports(&self) -> &'static [u16] {
        &[51820]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        let Some(([kind, 0, 0, 0], rest)) = first.bytes.split_first_chunk::<4>() else {
            return Probe::No;
        };
        let length = first.bytes.len();
        let usual = first.has_port(self.ports());
        match kind {
            // Initiation, response, cookie.
            1 => Probe::content(length == 148 && has_entropy(rest)),
            2 => Probe::content(length == 92 && has_entropy(rest)),
            3 => Probe::content(length == 64 && usual),
            // Data comes in blocks.
            4 => Probe::content(length >= 32 && length.is_multiple_of(16) && usual),
            _ => Probe::No,
        }
    }
}
