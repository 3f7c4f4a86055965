//! ONC RPC messages and the record marks that they have over TCP.

use crate::{First, Probe, Reader};
use flowtrack_event::Confidence;

/// Length of a record mark.
pub const MARK: usize = 4;
/// The last fragment of a record has this bit in its mark.
const LAST_FRAGMENT: u32 = 0x8000_0000;
/// Longest record; a write of a megabyte is usual.
pub const RECORD_CAP: usize = 4 << 20;
/// Number of the NFS program.
pub const NFS: u32 = 100_003;

/// Length of a fragment, and whether it is the last of its record.
pub fn mark(bytes: &[u8]) -> Option<(usize, bool)> {
    let mark = u32::from_be_bytes(*bytes.first_chunk()?);
    Some(((mark & !LAST_FRAGMENT) as usize, mark & LAST_FRAGMENT != 0))
}

/// Whether the first bytes are a call of NFS, or an answer that its port makes one.
pub fn probe(first: &First<'_>) -> Probe {
    let mut r = Reader::new(first.bytes);
    let short = if first.udp { Probe::No } else { Probe::NeedMore };
    if !first.udp {
        match mark(first.bytes) {
            Some((length, _)) if !(24..=RECORD_CAP).contains(&length) => return Probe::No,
            Some(_) => {}
            None => return short,
        }
        r.skip(MARK);
    }
    let (Some(_xid), Some(kind)) = (r.u32(), r.u32()) else { return short };
    match kind {
        0 => match (r.u32(), r.u32(), r.u32(), r.u32()) {
            (Some(rpc), _, _, _) if rpc != 2 => Probe::No,
            (_, Some(program), _, _) if program != NFS => Probe::No,
            (_, _, Some(version), Some(procedure)) => {
                Probe::content((2..=4).contains(&version) && procedure <= 21)
            }
            _ => short,
        },
        // Accepted or denied, with a credential of a usual kind.
        1 if first.has_port(&[2049]) => match (r.u32(), r.u32(), r.u32()) {
            (Some(state), Some(flavor), Some(length)) => {
                if state <= 1 && (flavor <= 3 || flavor == 6) && length <= 400 {
                    Probe::Match(Confidence::Content)
                } else {
                    Probe::No
                }
            }
            _ => short,
        },
        _ => Probe::No,
    }
}
