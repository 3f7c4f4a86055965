//! GRE (RFC 2784, RFC 2890, RFC 1701) and its version 1 for PPTP (RFC 2637).

use crate::{
    anomaly::DecodeAnomaly,
    bytes::{be16, behind, chunk},
    decode::Decoder,
    ethertype,
};
use flowtrack_event::{LinkType, TunnelKind};

/// Flags of both versions.
const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
const STRICT_ROUTE: u16 = 0x0800;
const RECURSION: u16 = 0x0700;
const VERSION: u16 = 0x0007;

/// Flags that must be zero in version 0, and in version 1.
const RESERVED_V0: u16 = 0x00f8;
const RESERVED_V1: u16 = 0x0078;

/// Version 1: an acknowledgement number follows.
const ACKNOWLEDGEMENT: u16 = 0x0080;

/// Source route entries that are followed.
const MAX_ROUTE_ENTRIES: usize = 32;

impl<'a> Decoder<'a, '_> {
    /// A GRE header.
    pub(crate) fn gre(&mut self, data: &'a [u8]) {
        self.stats.gre += 1;
        let (Some(flags), Some(protocol)) = (be16(data, 0), be16(data, 2)) else {
            return self.unreadable(DecodeAnomaly::GrePktTooSmall);
        };
        match flags & VERSION {
            0 => self.gre_v0(flags, protocol, data),
            1 => self.gre_v1(flags, protocol, data),
            _ => self.broken(DecodeAnomaly::GreWrongVersion),
        }
    }

    fn gre_v0(&mut self, flags: u16, protocol: u16, data: &'a [u8]) {
        if flags & RECURSION != 0 {
            return self.broken(DecodeAnomaly::GreVersion0Recur);
        }
        if flags & RESERVED_V0 != 0 {
            return self.broken(DecodeAnomaly::GreVersion0Flags);
        }
        let mut len = 4;
        for (bits, more) in [(CHECKSUM | ROUTING, 4), (KEY, 4), (SEQUENCE, 4)] {
            if flags & bits != 0 {
                len += more;
            }
        }
        if flags & ROUTING != 0 {
            match route_len(behind(data, len)) {
                Some(route) => len += route,
                None => return self.unreadable(DecodeAnomaly::GreVersion0MalformedSreHdr),
            }
        }
        if !self.fits(len, data) {
            return self.broken(DecodeAnomaly::GreVersion0HdrTooBig);
        }
        let rest = behind(data, len);
        match protocol {
            ethertype::ERSPAN if flags & SEQUENCE == 0 => {
                // Type I has no header of its own.
                self.stats.erspan += 1;
                self.carry(TunnelKind::Erspan, LinkType::ETHERNET, rest);
            }
            ethertype::ERSPAN | ethertype::ERSPAN_III => {
                self.carry(TunnelKind::Erspan, ethertype::to_link(protocol), rest);
            }
            known if ethertype::is_decoded(known) => {
                self.carry(TunnelKind::Gre, ethertype::to_link(known), rest);
            }
            _ => {}
        }
    }

    fn gre_v1(&mut self, flags: u16, protocol: u16, data: &'a [u8]) {
        let forbidden = [
            (CHECKSUM, DecodeAnomaly::GreVersion1Chksum),
            (ROUTING, DecodeAnomaly::GreVersion1Route),
            (STRICT_ROUTE, DecodeAnomaly::GreVersion1Ssr),
            (RECURSION, DecodeAnomaly::GreVersion1Recur),
            (RESERVED_V1, DecodeAnomaly::GreVersion1Flags),
        ];
        for (bits, anomaly) in forbidden {
            if flags & bits != 0 {
                return self.broken(anomaly);
            }
        }
        if protocol != ethertype::PPP {
            return self.broken(DecodeAnomaly::GreVersion1WrongProtocol);
        }
        if flags & KEY == 0 {
            return self.broken(DecodeAnomaly::GreVersion1NoKey);
        }
        let mut len = 8;
        for bit in [SEQUENCE, ACKNOWLEDGEMENT] {
            if flags & bit != 0 {
                len += 4;
            }
        }
        if !self.fits(len, data) {
            return self.broken(DecodeAnomaly::GreVersion1HdrTooBig);
        }
        // Without a sequence number it is a bare acknowledgement.
        if flags & SEQUENCE != 0 {
            self.carry(TunnelKind::Gre, LinkType::PPP, behind(data, len));
        }
    }
}

/// Length of the source route of RFC 1701, its closing entry included.
fn route_len(data: &[u8]) -> Option<usize> {
    let mut at = 0;
    for _ in 0..MAX_ROUTE_ENTRIES {
        let [f0, f1, _, len] = chunk::<4>(data, at)?;
        at += 4;
        if [f0, f1, len] == [0, 0, 0] {
            return Some(at);
        }
        at += usize::from(len);
    }
    None
}
