//! RTCP (RFC 3550 section 6), which tells how RTP arrives; named only.

use crate::{First, Probe, Protocol, Transport};
use flowtrack_event::{AppProto, Confidence};

const NAME: AppProto = AppProto("rtcp");
/// Packets looked at in one datagram.
const PACKETS_CAP: usize = 16;

/// RTCP.
pub struct Rtcp;

impl Protocol for Rtcp {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Udp
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        // A report comes first, and the lengths of all packets fill the datagram.
        let is_report = matches!(first.bytes.get(1), Some(200 | 201));
        if is_report && is_compound(first.bytes) {
            Probe::Match(Confidence::Heuristic)
        } else {
            Probe::No
        }
    }
}

fn is_compound(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    for _ in 0..PACKETS_CAP {
        let Some(&[flags, kind, l0, l1]) = rest.first_chunk::<4>() else { return false };
        let length = 4 * (usize::from(u16::from_be_bytes([l0, l1])) + 1);
        if flags >> 6 != 2 || !(200..=213).contains(&kind) || length < 8 {
            return false;
        }
        match rest.get(length..) {
            Some([]) => return true,
            Some(after) => rest = after,
            None => return false,
        }
    }
    false
}
