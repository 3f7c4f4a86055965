//! Network service header (RFC 8300).

use crate::{
    anomaly::DecodeAnomaly,
    bytes::behind,
    decode::{Decoder, Next},
    ethertype,
};

/// Metadata types: 1 has four fixed words, 2 any number.
const FIXED_METADATA: u8 = 1;
const VARIABLE_METADATA: u8 = 2;

/// Words of a header with metadata type 1, and of one without any metadata.
const FIXED_WORDS: usize = 6;
const LEAST_WORDS: usize = 2;

impl<'a> Decoder<'a, '_> {
    /// A network service header.
    pub(crate) fn nsh(&mut self, data: &'a [u8]) -> Next<'a> {
        let Some(&[b0, b1, metadata, next, ..]) = data.first_chunk::<8>() else {
            self.short(DecodeAnomaly::NshHeaderTooSmall);
            return Next::End;
        };
        if b0 >> 6 != 0 {
            self.fail(DecodeAnomaly::NshUnsupportedVersion);
            return Next::End;
        }
        let words = usize::from(b1 & 0x3f);
        let fits = match metadata & 0x0f {
            FIXED_METADATA => words == FIXED_WORDS,
            VARIABLE_METADATA => words >= LEAST_WORDS,
            0 => {
                self.note(DecodeAnomaly::NshReservedType);
                words >= LEAST_WORDS
            }
            _ => {
                self.note(DecodeAnomaly::NshUnsupportedType);
                words >= LEAST_WORDS
            }
        };
        if !fits || !self.fits(words * 4, data) {
            self.fail(DecodeAnomaly::NshBadHeaderLength);
            return Next::End;
        }
        let rest = behind(data, words * 4);
        match next {
            1 => Next::Ethertype(ethertype::IPV4, rest),
            2 => Next::Ethertype(ethertype::IPV6, rest),
            3 => Next::Ethernet(rest),
            4 => Next::Ethertype(ethertype::NSH, rest),
            5 => Next::Ethertype(ethertype::MPLS_UNICAST, rest),
            _ => {
                self.note(DecodeAnomaly::NshUnknownPayload);
                Next::End
            }
        }
    }
}
