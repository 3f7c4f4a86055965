//! IEEE 802.11 data frames, with and without a radiotap header before them.

use crate::{
    anomaly::DecodeAnomaly,
    bytes::{be16, behind, chunk},
    decode::{Decoder, Next},
};

/// Frame type of data in the frame control field.
const TYPE_DATA: u8 = 2;

/// Subtype bits of a data frame.
const SUBTYPE_NO_DATA: u8 = 0x04;
const SUBTYPE_QOS: u8 = 0x08;

/// Bits of the second byte of frame control.
const TO_DS: u8 = 0x01;
const FROM_DS: u8 = 0x02;
const MORE_FRAGMENTS: u8 = 0x04;
const PROTECTED: u8 = 0x40;
const ORDER: u8 = 0x80;

/// Bit of the `QoS` control field: the body is an aggregate of Ethernet-like frames.
const QOS_AMSDU: u8 = 0x80;

/// Radiotap: more words of presence bits follow.
const PRESENT_EXTENDED: u32 = 1 << 31;
const PRESENT_TSFT: u32 = 1 << 0;
const PRESENT_FLAGS: u32 = 1 << 1;

/// Radiotap flags: the header is padded to a multiple of 4 bytes.
const FLAG_PADDED: u8 = 0x20;

/// Words of presence bits that are followed.
const MAX_PRESENT_WORDS: usize = 32;

impl<'a> Decoder<'a, '_> {
    /// A radiotap header, of which only the padding flag matters here.
    pub(crate) fn radiotap(&mut self, data: &'a [u8]) -> Next<'a> {
        let Some(&[version, _, l0, l1]) = data.first_chunk::<4>() else {
            self.short(DecodeAnomaly::Ieee80211PktTooSmall);
            return Next::End;
        };
        let len = usize::from(u16::from_le_bytes([l0, l1]));
        if version != 0 || len < 8 || !self.fits(len, data) {
            self.fail(DecodeAnomaly::Ieee80211PktTooSmall);
            return Next::End;
        }
        let header = data.get(..len).unwrap_or(data);
        let padded = radiotap_flags(header).is_some_and(|flags| flags & FLAG_PADDED != 0);
        self.wlan_frame(behind(data, len), padded)
    }

    /// An 802.11 frame without anything before it.
    pub(crate) fn wlan(&mut self, data: &'a [u8]) -> Next<'a> {
        self.wlan_frame(data, false)
    }

    fn wlan_frame(&mut self, data: &'a [u8], padded: bool) -> Next<'a> {
        let Some(&[control, flags]) = data.first_chunk::<2>() else {
            self.short(DecodeAnomaly::Ieee80211PktTooSmall);
            return Next::End;
        };
        let (kind, subtype) = ((control >> 2) & 0x03, control >> 4);
        if kind != TYPE_DATA || subtype & SUBTYPE_NO_DATA != 0 {
            self.stats.ieee80211_other += 1;
            return Next::End;
        }
        self.stats.ieee80211 += 1;
        let four_addresses = flags & (TO_DS | FROM_DS) == TO_DS | FROM_DS;
        let qos = subtype & SUBTYPE_QOS != 0;
        let mut len = if four_addresses { 30 } else { 24 };
        let qos_control = if qos { chunk::<2>(data, len) } else { None };
        if qos {
            len += 2;
            if flags & ORDER != 0 {
                len += 4;
            }
        }
        let addresses =
            (chunk::<6>(data, 4), chunk::<6>(data, 10), chunk::<6>(data, 16), chunk::<6>(data, 24));
        let (Some(first), Some(second), Some(third), fourth) = addresses else {
            self.short(DecodeAnomaly::Ieee80211PktTooSmall);
            return Next::End;
        };
        if data.len() < len {
            self.short(DecodeAnomaly::Ieee80211PktTooSmall);
            return Next::End;
        }
        match flags & (TO_DS | FROM_DS) {
            0 => self.keep_macs(second, first),
            TO_DS => self.keep_macs(second, third),
            FROM_DS => self.keep_macs(third, first),
            _ => self.keep_macs(fourth.unwrap_or_default(), third),
        }
        if padded {
            len = len.next_multiple_of(4);
        }
        // Fragments but the first have no LLC header, and an encrypted body has nothing to read.
        let fragment_number = data.get(22).map_or(0, |b| b & 0x0f);
        if flags & PROTECTED != 0 || fragment_number != 0 || flags & MORE_FRAGMENTS != 0 {
            return Next::End;
        }
        let body = behind(data, len);
        if qos_control.is_some_and(|[low, _]| low & QOS_AMSDU != 0) {
            return self.amsdu(body);
        }
        Next::Llc(body)
    }

    /// An aggregate: the first of its frames is read.
    fn amsdu(&mut self, data: &'a [u8]) -> Next<'a> {
        if be16(data, 12).is_none() {
            self.short(DecodeAnomaly::Ieee80211PktTooSmall);
            return Next::End;
        }
        Next::Llc(behind(data, 14))
    }
}

/// The flags field of a radiotap header, where it has one.
fn radiotap_flags(header: &[u8]) -> Option<u8> {
    let present = |word: usize| chunk::<4>(header, 4 + 4 * word).map(u32::from_le_bytes);
    let first = present(0)?;
    if first & PRESENT_FLAGS == 0 {
        return None;
    }
    let mut words = 1;
    while present(words - 1)? & PRESENT_EXTENDED != 0 {
        words += 1;
        if words > MAX_PRESENT_WORDS {
            return None;
        }
    }
    let mut at = 4 + 4 * words;
    if first & PRESENT_TSFT != 0 {
        at = at.next_multiple_of(8) + 8;
    }
    header.get(at).copied()
}
