//! GRE (RFC 2784, RFC 2890, RFC 1701), its version 1 for PPTP (RFC 2637), and ERSPAN in it.

use crate::{
    anomaly::DecodeAnomaly,
    bytes::{be16, behind, chunk},
    decode::Decoder,
    ethertype,
    packet::Inner,
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

/// Lengths of ERSPAN headers II and III, and of the subheader that III may have.
const ERSPAN_II: usize = 8;
const ERSPAN_III: usize = 12;
const ERSPAN_SUBHEADER: usize = 8;

/// Versions in ERSPAN headers II and III.
const ERSPAN_II_VERSION: u8 = 1;
const ERSPAN_III_VERSION: u8 = 2;

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
            ethertype::ERSPAN if flags & SEQUENCE == 0 => self.erspan_i(rest),
            ethertype::ERSPAN => self.erspan_ii(rest),
            ethertype::ERSPAN_III => self.erspan_iii(rest),
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

    /// ERSPAN type I: no header at all.
    fn erspan_i(&mut self, data: &'a [u8]) {
        self.stats.erspan += 1;
        self.carry(TunnelKind::Erspan, LinkType::ETHERNET, data);
    }

    fn erspan_ii(&mut self, data: &'a [u8]) {
        let Some(&[b0, b1, ..]) = data.first_chunk::<ERSPAN_II>() else {
            return self.short_note(DecodeAnomaly::ErspanHeaderTooSmall);
        };
        if b0 >> 4 != ERSPAN_II_VERSION {
            return self.note(DecodeAnomaly::ErspanUnsupportedVersion);
        }
        self.erspan_frame([b0, b1], behind(data, ERSPAN_II));
    }

    fn erspan_iii(&mut self, data: &'a [u8]) {
        let Some(&[b0, b1, .., last]) = data.first_chunk::<ERSPAN_III>() else {
            return self.short_note(DecodeAnomaly::ErspanHeaderTooSmall);
        };
        if b0 >> 4 != ERSPAN_III_VERSION {
            return self.note(DecodeAnomaly::ErspanUnsupportedVersion);
        }
        let len = if last & 1 == 0 { ERSPAN_III } else { ERSPAN_III + ERSPAN_SUBHEADER };
        self.erspan_frame([b0, b1], behind(data, len));
    }

    /// The mirrored frame behind an ERSPAN header that begins with version and VLAN.
    fn erspan_frame(&mut self, version_vlan: [u8; 2], data: &'a [u8]) {
        self.stats.erspan += 1;
        self.carry(TunnelKind::Erspan, LinkType::ETHERNET, data);
        let vlan = u16::from_be_bytes(version_vlan) & 0x0fff;
        if vlan != 0
            && let Some(Inner { vlan: told, .. }) = &mut self.packet.inner
        {
            *told = Some(vlan);
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
