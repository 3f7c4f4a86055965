//! What a certificate says about its owner (X.509, RFC 5280). Nothing here checks a signature.

use super::der::{self, Element, tag};
use crate::{Reader, hex, sha1_hex};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Alternative names kept.
const NAMES_CAP: usize = 256;
/// Attributes of a distinguished name kept.
const ATTRIBUTES_CAP: usize = 64;
/// Longest text of a distinguished name.
const NAME_TEXT_CAP: usize = 4096;

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
        let whole = der::expect(&mut Reader::new(der), tag::SEQUENCE);
        let mut r = whole.ok_or("CERTIFICATE_INVALID_DER")?.inside();
        let signed = der::expect(&mut r, tag::SEQUENCE).ok_or("CERTIFICATE_INVALID_DER")?;
        let mut r = signed.inside();
        // Version is absent in version 1.
        let _ = der::expect(&mut r, 0xa0);
        let serial = der::expect(&mut r, tag::INTEGER).ok_or("CERTIFICATE_INVALID_SERIAL")?;
        der::expect(&mut r, tag::SEQUENCE).ok_or("CERTIFICATE_INVALID_ALGORITHMIDENTIFIER")?;
        let issuer = der::expect(&mut r, tag::SEQUENCE).ok_or("CERTIFICATE_INVALID_X509NAME")?;
        let validity = der::expect(&mut r, tag::SEQUENCE).ok_or("CERTIFICATE_INVALID_DATE")?;
        let subject = der::expect(&mut r, tag::SEQUENCE).ok_or("CERTIFICATE_INVALID_X509NAME")?;
        let mut dates = validity.inside();
        let mut date = || der::element(&mut dates).and_then(|e| der::time(&e));
        let (not_before, not_after) = date().zip(date()).ok_or("CERTIFICATE_INVALID_DATE")?;
        let issuer = distinguished_name(&issuer).ok_or("CERTIFICATE_INVALID_X509NAME")?;
        let subject = distinguished_name(&subject).ok_or("CERTIFICATE_INVALID_X509NAME")?;
        Ok(Self {
            names: alternative_names(r),
            serial: with_colons(&hex(serial.content).to_uppercase()),
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

fn distinguished_name(name: &Element<'_>) -> Option<Name> {
    const COMMON_NAME: &[u8] = &[0x55, 4, 3];
    let mut read = Name { text: String::new(), common_name: None };
    let mut sets = name.inside();
    let mut attributes = 0;
    while !sets.is_empty() {
        let mut set = der::expect(&mut sets, tag::SET)?.inside();
        let mut between = ", ";
        while !set.is_empty() {
            let mut pair = der::expect(&mut set, tag::SEQUENCE)?.inside();
            let kind = der::expect(&mut pair, tag::OID)?;
            let value = value_text(&der::element(&mut pair)?);
            attributes += 1;
            if attributes > ATTRIBUTES_CAP || read.text.len() + value.len() > NAME_TEXT_CAP {
                return Some(read);
            }
            if !read.text.is_empty() {
                read.text.push_str(between);
            }
            match attribute_name(kind.content) {
                Some(name) => read.text.push_str(name),
                None => read.text.push_str(&der::oid_text(kind.content)),
            }
            read.text.push('=');
            read.text.push_str(&value);
            if kind.content == COMMON_NAME {
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
fn value_text(value: &Element<'_>) -> String {
    const BMP_STRING: u8 = 0x1e;
    const UNIVERSAL_STRING: u8 = 0x1c;
    match value.tag {
        // UTF8, numeric, printable, T.61, videotex, IA5, graphic, visible and general string.
        0x0c | 0x12..=0x16 | 0x19..=0x1b => match std::str::from_utf8(value.content) {
            Ok(text) => text.to_owned(),
            // What claims to be T.61 is Latin 1 in practice.
            Err(_) => value.content.iter().copied().map(char::from).collect(),
        },
        BMP_STRING => {
            let (pairs, _) = value.content.as_chunks::<2>();
            let units: Vec<u16> = pairs.iter().map(|&pair| u16::from_be_bytes(pair)).collect();
            String::from_utf16_lossy(&units)
        }
        UNIVERSAL_STRING => {
            let (fours, _) = value.content.as_chunks::<4>();
            fours.iter().filter_map(|&four| char::from_u32(u32::from_be_bytes(four))).collect()
        }
        _ => hex(value.content).to_uppercase(),
    }
}

/// The names of the extension `subjectAltName`; `r` stands behind the subject.
fn alternative_names(mut r: Reader<'_>) -> Vec<String> {
    const EXTENSIONS: u8 = 0xa3;
    const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
    let mut names = Vec::new();
    while let Some(part) = der::element(&mut r) {
        if part.tag != EXTENSIONS {
            continue;
        }
        let Some(list) = der::expect(&mut part.inside(), tag::SEQUENCE) else { break };
        let mut extensions = list.inside();
        while let Some(extension) = der::expect(&mut extensions, tag::SEQUENCE) {
            let mut r = extension.inside();
            let is_it = der::expect(&mut r, tag::OID).is_some_and(|e| e.content == SUBJECT_ALT_NAME);
            if !is_it {
                continue;
            }
            let _ = der::expect(&mut r, tag::BOOLEAN);
            let Some(value) = der::expect(&mut r, tag::OCTET_STRING) else { break };
            let Some(list) = der::expect(&mut value.inside(), tag::SEQUENCE) else { break };
            let mut r = list.inside();
            while let Some(name) = der::element(&mut r).filter(|_| names.len() < NAMES_CAP) {
                names.extend(general_name(&name));
            }
        }
    }
    names
}

/// A mail address, host name, URI or IP address; other kinds name nobody on a network.
fn general_name(name: &Element<'_>) -> Option<String> {
    const MAIL: u8 = 0x81;
    const HOST: u8 = 0x82;
    const URI: u8 = 0x86;
    const ADDRESS: u8 = 0x87;
    match name.tag {
        MAIL | HOST | URI => Some(String::from_utf8_lossy(name.content).into_owned()),
        ADDRESS => match name.content.len() {
            4 => <[u8; 4]>::try_from(name.content).ok().map(|b| Ipv4Addr::from(b).to_string()),
            16 => <[u8; 16]>::try_from(name.content).ok().map(|b| Ipv6Addr::from(b).to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// Hexadecimal digits with a colon between bytes.
fn with_colons(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() * 3 / 2);
    for (i, digit) in digits.chars().enumerate() {
        let between = if i > 0 && i % 2 == 0 { ":" } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(text, "{between}{digit}");
    }
    text
}
