//! IGMP (RFC 2236, RFC 3376): only whether a message can be.

use crate::{
    anomaly::DecodeAnomaly,
    bytes::{be16, behind},
    decode::Decoder,
};

/// Message types.
const QUERY: u8 = 0x11;
const V3_REPORT: u8 = 0x22;

/// Lengths: of a message of version 1 or 2, of a query of version 3, of a group record.
const SHORT: usize = 8;
const V3_QUERY: usize = 12;
const GROUP_RECORD: usize = 8;

impl<'a> Decoder<'a, '_> {
    /// An IGMP message.
    pub(crate) fn igmp(&mut self, data: &'a [u8]) {
        self.stats.igmp += 1;
        if data.len() < SHORT {
            return self.unreadable(DecodeAnomaly::IgmpPktTooSmall);
        }
        match data.first() {
            Some(&QUERY) if data.len() > SHORT => self.igmpv3_query(data),
            Some(&V3_REPORT) => self.igmpv3_report(data),
            _ => {}
        }
    }

    fn igmpv3_query(&mut self, data: &[u8]) {
        let Some(sources) = be16(data, 10) else {
            return self.short_note(DecodeAnomaly::IgmpV3PktTooSmall);
        };
        if !self.fits(V3_QUERY + usize::from(sources) * 4, data) {
            self.note(DecodeAnomaly::IgmpMalformed);
        }
    }

    fn igmpv3_report(&mut self, data: &[u8]) {
        let mut groups = be16(data, 6).unwrap_or(0);
        let mut rest = behind(data, SHORT);
        while groups > 0 {
            let (Some(&auxiliary_words), Some(sources)) = (rest.get(1), be16(rest, 2)) else {
                return self.short_note(DecodeAnomaly::IgmpMalformed);
            };
            let len = GROUP_RECORD + usize::from(sources) * 4 + usize::from(auxiliary_words) * 4;
            if !self.fits(len, rest) {
                return self.note(DecodeAnomaly::IgmpMalformed);
            }
            rest = behind(rest, len);
            groups -= 1;
        }
    }
}
