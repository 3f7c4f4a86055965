//! OpenVPN: its first packets; named only.

use crate::{First, Probe, Protocol, Reader, Transport};
use flowtrack_event::AppProto;

const NAME: AppProto = AppProto("openvpn");
/// Longest first packet: a key of the client may be wrapped in it.
const PACKET_CAP: usize = 1024;

/// Whether the beginning of a packet so long may become a first packet.
fn plausible(beginning: &[u8], length: usize) -> bool {
    (14..=PACKET_CAP).contains(&length)
        && beginning.first().is_none_or(|&b| matches!(b, 0x38 | 0x40 | 0x50))
}

/// Whether a packet is the first of a session: a reset with key 0, of the client (version 2 or 3)
/// or of the server.
fn is_reset(packet: &[u8]) -> bool {
    let Some(&operation) = packet.first() else { return false };
    if !matches!(operation, 0x38 | 0x40 | 0x50) || packet.len() > PACKET_CAP {
        return false;
    }
    let starts_at = |at: usize| packet.get(at..at + 4) == Some(&[0, 0, 0, 1][..]);
    // Behind the session: nothing, a packet number (tls-crypt), or a keyed hash of MD5, SHA-1,
    // SHA-256 or SHA-512 and the packet number (tls-auth).
    let plain = packet.len() == 14 && packet.get(9..14) == Some(&[0; 5][..]);
    let answer = packet.len() == 26 && operation == 0x40 && packet.get(9) == Some(&1);
    let crypt = packet.len() >= 54 && starts_at(9);
    let auth = [16, 20, 32, 64].iter().any(|hash| {
        let rest = packet.len().checked_sub(9 + hash);
        starts_at(9 + hash) && matches!(rest, Some(13 | 25))
    });
    plain || answer || crypt || auth
}

/// OpenVPN.
pub struct Openvpn;

impl Protocol for Openvpn {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Both
    }

    fn ports(&self) -> &'static [u16] {
        &[1194]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        let mut r = Reader::new(first.bytes);
        let packet = if first.udp {
            first.bytes
        } else {
            let Some(length) = r.u16() else { return Probe::NeedMore };
            let length = usize::from(length);
            match r.take(length) {
                Some(packet) => packet,
                None if plausible(r.rest(), length) => return Probe::NeedMore,
                None => return Probe::No,
            }
        };
        Probe::content(is_reset(packet))
    }
}
