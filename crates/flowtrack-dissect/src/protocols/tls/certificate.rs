//! What a certificate says about its owner (X.509, RFC 5280). Nothing here checks a signature.

use super::time;
use crate::ber::{self, Ber};
use crate::{hex, sha1_hex};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Alternative names kept.
const NAMES_CAP: usize = 256;
/// Attributes of a distinguished name kept.
const ATTRIBUTES_CAP: usize = 64;
/// Longest text of a distinguished name.
const NAME_TEXT_CAP: usize = 4096;
/// `OBJECT IDENTIFIER`.
const OID: u8 = 0x06;

/// One certificate.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Certificate {
    /// Whom it names.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Other names of its owner.
    pub names: Vec<String>,
    /// Serial number as bytes with colons.
    pub serial: String,
    /// SHA-1 of the whole as bytes with colons.
    pub fingerprint: String,
    /// Seconds since 1970 from which it is valid.
    pub not_before: i64,
    /// Seconds since 1970 up to which it is valid.
    pub not_after: i64,
    /// Common name of its owner.
    common_name: Option<String>,
}

/// Why a certificate cannot be read; the anomaly to raise.
pub type Flaw = &'static str;

impl Certificate {
    /// Reads its DER form.
    pub fn read(der: &[u8]) -> Result<Self, Flaw> {
        const INVALID_NAME: Flaw = "CERTIFICATE_INVALID_X509NAME";
        const VERSION: u8 = 0xa0;
        let whole = Ber::new(der).inside(ber::SEQUENCE);
        let mut whole = whole.ok_or("INVALID_CERTIFICATE")?;
        let mut r = whole.inside(ber::SEQUENCE).ok_or("INVALID_CERTIFICATE")?;
        // Absent in version 1.
        let _ = r.value(VERSION);
        let serial = r.value(ber::INTEGER).ok_or("CERTIFICATE_INVALID_SERIAL")?;
        r.value(ber::SEQUENCE).ok_or("CERTIFICATE_INVALID_ALGORITHMIDENTIFIER")?;
        let issuer = r.inside(ber::SEQUENCE).and_then(distinguished_name).ok_or(INVALID_NAME)?;
        let mut dates = r.inside(ber::SEQUENCE).ok_or("CERTIFICATE_INVALID_DATE")?;
        let mut date = || dates.next().and_then(|(tag, value)| time::read(tag, value));
        let (not_before, not_after) = date().zip(date()).ok_or("CERTIFICATE_INVALID_DATE")?;
        let subject = r.inside(ber::SEQUENCE).and_then(distinguished_name).ok_or(INVALID_NAME)?;
        Ok(Self {
            names: alternative_names(r),
            serial: with_colons(&hex(serial).to_uppercase()),
            fingerprint: with_colons(&sha1_hex(der)),
            subject: subject.text,
            issuer: issuer.text,
            common_name: subject.common_name,
            not_before,
            not_after,
        })
    }

    /// Whether it is for this host; a wildcard stands for one label.
    pub fn is_for(&self, host: &str) -> bool {
        let common_name = self.common_name.as_deref().filter(|_| self.names.is_empty());
        self.names.iter().map(String::as_str).chain(common_name).any(|name| {
            name.eq_ignore_ascii_case(host)
                || name.strip_prefix("*.").is_some_and(|parent| {
                    host.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent))
                })
        })
    }

    /// Whether it names its owner as its signer.
    pub fn is_self_signed(&self) -> bool {
        self.subject == self.issuer
    }
}

/// A distinguished name.
struct Name {
    /// `C=US, O=Example, CN=example.org`; parts that stand together are joined by ` + `.
    text: String,
    common_name: Option<String>,
}

fn distinguished_name(mut sets: Ber<'_>) -> Option<Name> {
    const COMMON_NAME: &[u8] = &[0x55, 4, 3];
    let mut read = Name { text: String::new(), common_name: None };
    let mut attributes = 0;
    while !sets.is_empty() {
        let mut set = sets.inside(ber::SET)?;
        let mut between = ", ";
        while !set.is_empty() {
            let mut pair = set.inside(ber::SEQUENCE)?;
            let kind = pair.value(OID)?;
            let (tag, value) = pair.next()?;
            let value = value_text(tag, value);
            attributes += 1;
            if attributes > ATTRIBUTES_CAP || read.text.len() + value.len() > NAME_TEXT_CAP {
                return Some(read);
            }
            if !read.text.is_empty() {
                read.text.push_str(between);
            }
            match attribute_name(kind) {
                Some(name) => read.text.push_str(name),
                None => read.text.push_str(&oid_text(kind)),
            }
            read.text.push('=');
            read.text.push_str(&value);
            if kind == COMMON_NAME {
                read.common_name = Some(value);
            }
            between = " + ";
        }
    }
    Some(read)
}

/// Short names of attributes (RFC 4514 section 3 and what is usual beyond it).
fn attribute_name(oid: &[u8]) -> Option<&'static str> {
    Some(match oid {
        [0x55, 4, attribute] => match attribute {
            3 => "CN",
            4 => "SN",
            5 => "serialNumber",
            6 => "C",
            7 => "L",
            8 => "ST",
            9 => "STREET",
            10 => "O",
            11 => "OU",
            12 => "title",
            13 => "description",
            15 => "businessCategory",
            17 => "postalCode",
            41 => "name",
            42 => "GN",
            43 => "initials",
            44 => "generationQualifier",
            45 => "x500UniqueIdentifier",
            46 => "dnQualifier",
            _ => return None,
        },
        // PKCS #9.
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, attribute] => match attribute {
            1 => "Email",
            2 => "unstructuredName",
            _ => return None,
        },
        // RFC 4519.
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, attribute] => match attribute {
            1 => "UID",
            25 => "DC",
            _ => return None,
        },
        // Jurisdiction of extended validation.
        [0x2b, 6, 1, 4, 1, 0x82, 0x37, 0x3c, 2, 1, attribute] => match attribute {
            1 => "jurisdictionL",
            2 => "jurisdictionST",
            3 => "jurisdictionC",
            _ => return None,
        },
        _ => return None,
    })
}

/// A string of any kind; other values as hexadecimal digits.
fn value_text(tag: u8, value: &[u8]) -> String {
    const BMP_STRING: u8 = 0x1e;
    const UNIVERSAL_STRING: u8 = 0x1c;
    match tag {
        // UTF8, numeric, printable, T.61, videotex, IA5, graphic, visible and general string.
        0x0c | 0x12..=0x16 | 0x19..=0x1b => match std::str::from_utf8(value) {
            Ok(text) => text.to_owned(),
            // What claims to be T.61 is Latin 1 in practice.
            Err(_) => value.iter().copied().map(char::from).collect(),
        },
        BMP_STRING => {
            let (pairs, _) = value.as_chunks::<2>();
            let units: Vec<u16> = pairs.iter().map(|&pair| u16::from_be_bytes(pair)).collect();
            String::from_utf16_lossy(&units)
        }
        UNIVERSAL_STRING => {
            let (fours, _) = value.as_chunks::<4>();
            fours.iter().filter_map(|&four| char::from_u32(u32::from_be_bytes(four))).collect()
        }
        _ => hex(value).to_uppercase(),
    }
}

/// An object identifier as numbers with dots.
fn oid_text(content: &[u8]) -> String {
    let mut text = String::new();
    let mut value = 0u64;
    for &byte in content {
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        // The first two numbers share the first value. Writing to a string cannot fail.
        let _ = if text.is_empty() {
            let first = (value / 40).min(2);
            write!(text, "{first}.{}", value - first * 40)
        } else {
            write!(text, ".{value}")
        };
        value = 0;
    }
    text
}

/// The names of the extension `subjectAltName`; `r` stands behind the subject.
fn alternative_names(mut r: Ber<'_>) -> Vec<String> {
    const EXTENSIONS: u8 = 0xa3;
    const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
    const BOOLEAN: u8 = 0x01;
    let mut names = Vec::new();
    while let Some((tag, value)) = r.next() {
        if tag != EXTENSIONS {
            continue;
        }
        let Some(mut extensions) = Ber::new(value).inside(ber::SEQUENCE) else { break };
        while let Some(mut extension) = extensions.inside(ber::SEQUENCE) {
            if extension.value(OID) != Some(SUBJECT_ALT_NAME) {
                continue;
            }
            let _ = extension.value(BOOLEAN);
            let list = extension.value(ber::OCTET_STRING).map(Ber::new);
            let Some(mut list) = list.and_then(|mut list| list.inside(ber::SEQUENCE)) else {
                break;
            };
            while let Some((tag, value)) = list.next().filter(|_| names.len() < NAMES_CAP) {
                names.extend(general_name(tag, value));
            }
        }
    }
    names
}

/// A mail address, host name, URI or IP address; other kinds name nobody on a network.
fn general_name(tag: u8, value: &[u8]) -> Option<String> {
    const MAIL: u8 = 0x81;
    const HOST: u8 = 0x82;
    const URI: u8 = 0x86;
    const ADDRESS: u8 = 0x87;
    match tag {
        MAIL | HOST | URI => Some(String::from_utf8_lossy(value).into_owned()),
        ADDRESS => match value.len() {
            4 => <[u8; 4]>::try_from(value).ok().map(|b| Ipv4Addr::from(b).to_string()),
            16 => <[u8; 16]>::try_from(value).ok().map(|b| Ipv6Addr::from(b).to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// Hexadecimal digits with a colon between bytes.
fn with_colons(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() * 3 / 2);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && i % 2 == 0 {
            text.push(':');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tag, length and content.
    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82], &length[..], content].concat()
    }

    fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
        tlv(ber::SEQUENCE, &parts.concat())
    }

    fn attribute(oid: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
        sequence(&[tlv(OID, oid), tlv(tag, value)])
    }

    fn certificate(subject: Vec<u8>, extensions: &[u8]) -> Vec<u8> {
        let signed = sequence(&[
            tlv(ber::INTEGER, &[0xff, 1]),
            sequence(&[]),
            sequence(&[]),
            sequence(&[tlv(0x17, b"240101000000Z"), tlv(0x18, b"20250101000000Z")]),
            subject,
            sequence(&[]),
            extensions.to_vec(),
        ]);
        sequence(&[signed])
    }

    #[test]
    fn names_are_written_as_logs_write_them() {
        let subject = sequence(&[
            tlv(ber::SET, &attribute(&[0x55, 4, 6], 0x13, b"DE")),
            tlv(
                ber::SET,
                &[
                    attribute(&[0x55, 4, 10], 0x14, b"K\xf6ln"),
                    attribute(&[0x55, 4, 11], 0x1e, &[0, b'A', 0x20, 0xac]),
                ]
                .concat(),
            ),
            tlv(ber::SET, &attribute(&[0x55, 4, 99], 0x04, &[0xab, 0xcd])),
            tlv(ber::SET, &attribute(&[0x55, 4, 3], 0x0c, b"www.example.org")),
        ]);
        let read = Certificate::read(&certificate(subject, &[])).unwrap();
        assert_eq!(
            read.subject,
            "C=DE, O=K\u{f6}ln + OU=A\u{20ac}, 2.5.4.99=ABCD, CN=www.example.org"
        );
        assert_eq!((read.issuer.as_str(), read.serial.as_str()), ("", "FF:01"));
        assert_eq!((read.not_before, read.not_after), (1_704_067_200, 1_735_689_600));
        assert!(read.is_for("WWW.example.org") && !read.is_for("example.org"));
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let names =
            sequence(&[tlv(0x82, b"*.example.org"), tlv(0x87, &[192, 0, 2, 1]), tlv(0x88, &[42])]);
        let extension = sequence(&[
            tlv(OID, &[0x55, 0x1d, 0x11]),
            tlv(0x01, &[0xff]),
            tlv(ber::OCTET_STRING, &names),
        ]);
        let extensions =
            tlv(0xa3, &sequence(&[sequence(&[tlv(OID, &[0x55, 0x1d, 0x0f])]), extension]));
        let read = Certificate::read(&certificate(sequence(&[]), &extensions)).unwrap();
        assert_eq!(read.names, ["*.example.org", "192.0.2.1"]);
        assert!(read.is_for("a.example.org"));
        assert!(!read.is_for("example.org") && !read.is_for("a.b.example.org"));
    }

    #[test]
    fn what_is_wrong_is_told() {
        assert_eq!(Certificate::read(b""), Err("INVALID_CERTIFICATE"));
        // Cut off behind its first length.
        assert_eq!(Certificate::read(&tlv(ber::SEQUENCE, b"\x30")), Err("INVALID_CERTIFICATE"));
        let no_dates =
            sequence(&[sequence(&[tlv(ber::INTEGER, &[1]), sequence(&[]), sequence(&[])])]);
        assert_eq!(Certificate::read(&no_dates), Err("CERTIFICATE_INVALID_DATE"));
        let bad_name = certificate(tlv(ber::SEQUENCE, &[1, 2]), &[]);
        assert_eq!(Certificate::read(&bad_name), Err("CERTIFICATE_INVALID_X509NAME"));
    }

    #[test]
    fn object_identifiers_are_numbers_with_dots() {
        assert_eq!(oid_text(&[0x55, 4, 3]), "2.5.4.3");
        assert_eq!(oid_text(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d]), "1.2.840.113549");
        assert_eq!(oid_text(&[0x88, 0x37, 1]), "2.999.1");
        assert_eq!(oid_text(&[0xff; 99]), "");
    }
}
