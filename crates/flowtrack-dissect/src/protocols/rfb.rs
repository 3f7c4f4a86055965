//! RFB (RFC 6143), the protocol of VNC: versions, security, and the screen that is shared.

use crate::{First, Probe, Protocol, Transport};
use flowtrack_event::AppProto;

const NAME: AppProto = AppProto("rfb");

/// RFB.
pub struct Rfb;

impl Protocol for Rfb {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn ports(&self) -> &'static [u16] {
        &[5900, 5901]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        match first.bytes {
            [_, _, _, _, a, b, c, b'.', rest @ ..] => Probe::content(
                first.bytes.starts_with(b"RFB ")
                    && [a, b, c].iter().all(|d| d.is_ascii_digit())
                    && rest.iter().take(3).all(u8::is_ascii_digit),
            ),
            _ => match Probe::prefix(first.bytes, b"RFB ") {
                Probe::Match(_) if first.bytes.len() < 8 => Probe::NeedMore,
                Probe::NeedMore => Probe::NeedMore,
                _ => Probe::No,
            },
        }
    }
}
