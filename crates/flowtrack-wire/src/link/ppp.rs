//! PPP (RFC 1661, RFC 1662) and PPPoE (RFC 2516).

use crate::{
    anomaly::DecodeAnomaly,
    bytes::{at_most, be16, behind},
    decode::{Decoder, Next},
    ethertype,
};

/// Address and control field of HDLC-like framing, which may be left out.
const ADDRESS_CONTROL: [u8; 2] = [0xff, 0x03];

/// PPPoE: version 1, type 1.
const VERSION_TYPE: u8 = 0x11;

/// PPPoE code of a session packet.
const SESSION: u8 = 0x00;

/// PPPoE codes of discovery: initiation, offer, request, session confirmation, termination.
const DISCOVERY: [u8; 5] = [0x09, 0x07, 0x19, 0x65, 0xa7];

/// Network and control protocols that are known and carry nothing that is decoded (IANA "PPP
/// Numbers"), uncompressed Van Jacobson aside.
const KNOWN: [u16; 29] = [
    0x0001, 0x0023, 0x0025, 0x0027, 0x0029, 0x002b, 0x002d, 0x0031, 0x0035, 0x003b, 0x003d, 0x0053,
    0x00fb, 0x00fd, 0x8021, 0x8023, 0x8025, 0x8027, 0x8029, 0x802b, 0x8031, 0x8053, 0x8057, 0x80fb,
    0x80fd, 0x8281, 0xc021, 0xc023, 0xc025,
];

/// Authentication and other link control, continued.
const KNOWN_CONTROL: [u16; 5] = [0xc02b, 0xc02d, 0xc081, 0xc223, 0xc227];

/// Uncompressed Van Jacobson TCP/IP: an IPv4 packet whose protocol field is a slot number.
const VJ_UNCOMPRESSED: u16 = 0x002f;

impl<'a> Decoder<'a, '_> {
    /// A PPP header: address and control where they are, and one or two bytes of protocol.
    pub(crate) fn ppp(&mut self, data: &'a [u8]) -> Next<'a> {
        self.stats.ppp += 1;
        let data = data.strip_prefix(&ADDRESS_CONTROL).unwrap_or(data);
        let (protocol, rest) = match *data {
            [low, ref rest @ ..] if low & 1 == 1 => (u16::from(low), rest),
            [high, low, ref rest @ ..] => (u16::from_be_bytes([high, low]), rest),
            _ => {
                self.short(DecodeAnomaly::PppPktTooSmall);
                return Next::End;
            }
        };
        match protocol {
            0x0021 if rest.len() < 20 => self.short(DecodeAnomaly::PppIp4PktTooSmall),
            0x0021 => return Next::Ethertype(ethertype::IPV4, rest),
            0x0057 if rest.len() < 40 => self.short(DecodeAnomaly::PppIp6PktTooSmall),
            0x0057 => return Next::Ethertype(ethertype::IPV6, rest),
            0x0281 | 0x0283 => return Next::Ethertype(ethertype::MPLS_UNICAST, rest),
            VJ_UNCOMPRESSED if rest.len() < 20 => self.short(DecodeAnomaly::PppVjuPktTooSmall),
            VJ_UNCOMPRESSED => self.note(DecodeAnomaly::PppUnsupProto),
            known if KNOWN.contains(&known) || KNOWN_CONTROL.contains(&known) => {}
            _ => self.note(DecodeAnomaly::PppWrongType),
        }
        Next::End
    }

    /// A PPPoE header of discovery or session, whichever its code says.
    pub(crate) fn pppoe(&mut self, data: &'a [u8]) -> Next<'a> {
        self.stats.pppoe += 1;
        let Some((&[version_type, code, _, _, l0, l1], rest)) = data.split_first_chunk::<6>()
        else {
            self.short(DecodeAnomaly::PppoePktTooSmall);
            return Next::End;
        };
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        if version_type != VERSION_TYPE || (code != SESSION && !DISCOVERY.contains(&code)) {
            self.note(DecodeAnomaly::PppoeWrongCode);
            return Next::End;
        }
        if code == SESSION {
            // What is behind the payload pads the frame, whatever the packet inside tells.
            let payload = at_most(rest, len);
            self.padding = rest.len() - payload.len();
            self.cut += self.padding;
            return Next::Ppp(payload);
        }
        self.no_network(Some(ethertype::PPPOE_DISCOVERY));
        if !self.fits(len, rest) || !tags_fit(rest, len) {
            self.note(DecodeAnomaly::PppoeMalformedTags);
        }
        Next::End
    }
}

/// Whether the tags of discovery fill their length; what the capture cut is believed.
fn tags_fit(mut data: &[u8], len: usize) -> bool {
    let mut left = len;
    while left > 0 {
        if left < 4 {
            return false;
        }
        let Some(tag_len) = be16(data, 2) else {
            return true;
        };
        let tag = 4 + usize::from(tag_len);
        if tag > left {
            return false;
        }
        left -= tag;
        data = behind(data, tag);
    }
    true
}
