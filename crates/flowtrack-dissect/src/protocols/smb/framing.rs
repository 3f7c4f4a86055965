//! How SMB messages stand in a stream: NetBIOS session packets (RFC 1002), one message each.

use crate::{First, Probe, Reader};

/// Length of a session packet's header.
pub const HEADER: usize = 4;
/// Carries an SMB message.
pub const MESSAGE: u8 = 0x00;
/// Asks for a session between two NetBIOS names.
const REQUEST: u8 = 0x81;
/// Other kinds: positive and negative answer, retarget, keep-alive.
const OTHER: [u8; 4] = [0x82, 0x83, 0x84, 0x85];

/// What the first four bytes of a message say it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// SMB 1.
    V1,
    /// SMB 2 or 3.
    V2,
    /// SMB 3, encrypted.
    Encrypted,
    /// SMB 3, compressed.
    Compressed,
}

impl Kind {
    /// By the protocol identifier at the beginning of a message.
    pub fn of(message: &[u8]) -> Option<Self> {
        match message.first_chunk()? {
            b"\xffSMB" => Some(Self::V1),
            b"\xfeSMB" => Some(Self::V2),
            b"\xfdSMB" => Some(Self::Encrypted),
            b"\xfcSMB" => Some(Self::Compressed),
            _ => None,
        }
    }
}

/// Type and length of a session packet.
pub fn header(bytes: &[u8]) -> Option<(u8, usize)> {
    let mut r = Reader::new(bytes);
    Some((r.u8()?, r.u24()? as usize))
}

/// Whether a stream begins with a session packet.
pub fn probe(first: &First<'_>) -> Probe {
    let Some((kind, length)) = header(first.bytes) else {
        let usual = matches!(first.bytes.first(), Some(&(MESSAGE | REQUEST)))
            || first.bytes.first().is_some_and(|kind| OTHER.contains(kind));
        return if usual { Probe::NeedMore } else { Probe::No };
    };
    let message = first.bytes.get(HEADER..).unwrap_or_default();
    match kind {
        MESSAGE if length >= 16 => match message.first_chunk::<4>() {
            Some(_) => Probe::content(Kind::of(message).is_some()),
            None => {
                let possible = match message {
                    [] => true,
                    [kind, rest @ ..] => *kind >= 0xfc && b"SMB".starts_with(rest),
                };
                if possible { Probe::NeedMore } else { Probe::No }
            }
        },
        // Two encoded names: each a length of 32, 32 letters and a scope.
        REQUEST if first.has_port(&[139]) && (68..=512).contains(&length) => {
            match message.first() {
                Some(letters) => Probe::content(*letters == 0x20),
                None => Probe::NeedMore,
            }
        }
        // An answer to such a request, or a keep-alive, which carry next to nothing.
        kind if OTHER.contains(&kind) && first.has_port(&[139, 445]) => Probe::content(length <= 6),
        _ => Probe::No,
    }
}
