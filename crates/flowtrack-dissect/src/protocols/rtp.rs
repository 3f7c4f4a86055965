//! RTP and its control protocol RTCP (RFC 3550): sound and pictures; named only.
//!
//! A call's session description announces its flows; without one they are recognised by what a
//! single datagram shows, which is little, so only usual payloads are.

use crate::{First, Probe, Protocol, Transport};
use flowtrack_event::{AppProto, Confidence};

const NAME: AppProto = AppProto("rtp");
/// Bytes of a header without contributing sources.
const HEADER: usize = 12;

/// RTP.
pub struct Rtp;

impl Protocol for Rtp {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Udp
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        let Some(&[flags, kind, ..]) = first.bytes.first_chunk::<HEADER>() else {
            return Probe::No;
        };
        // Version 2, no padding, extension or sources.
        let sound = first.bytes.len() - HEADER;
        let is_usual = match kind & 0x7f {
            // G.711 and G.722: eight bytes a millisecond, in packets of 10, 20, 30 or 40.
            0 | 8 | 9 => matches!(sound, 80 | 160 | 240 | 320),
            // GSM, G.723 and G.729 have frames of fixed length.
            3 => sound == 33,
            4 => matches!(sound, 20 | 24),
            18 => matches!(sound, 10 | 20 | 30 | 40),
            _ => false,
        };
        let ports = first.key.src_port >= 1024 && first.key.dst_port >= 1024;
        if flags == 0x80 && is_usual && ports {
            Probe::Match(Confidence::Heuristic)
        } else {
            Probe::No
        }
    }
}
