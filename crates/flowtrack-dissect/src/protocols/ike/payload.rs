//! The payloads of a message, one behind the other (RFC 2408 section 3, RFC 7296 section 3).

use super::names;
use crate::Reader;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// Payloads read of one message.
const PAYLOADS_CAP: usize = 64;
/// Attributes kept of all proposals.
const ATTRIBUTES_CAP: usize = 256;

/// What is kept of a message's payloads.
#[derive(Default, Debug)]
pub struct Payloads {
    /// Their names, in their order.
    pub names: Vec<&'static str>,
    /// Domain of interpretation of the security association (version 1).
    pub doi: Option<u32>,
    /// Attributes of all transforms.
    pub attributes: Vec<Attribute>,
    /// Public value of the key exchange.
    pub key: Option<Vec<u8>>,
    /// Nonce.
    pub nonce: Option<Vec<u8>>,
    /// Vendor identifiers.
    pub vendors: Vec<Vec<u8>>,
    /// Types of notifications.
    pub notifications: Vec<u16>,
}

/// An attribute of a transform.
#[derive(Clone, Copy, Debug)]
pub struct Attribute {
    /// Its type in version 1.
    pub kind: u16,
    /// Its value.
    pub value: u64,
}

impl Attribute {
    /// Its name in EVE; only attributes that have one are kept.
    pub fn key(&self) -> &'static str {
        names::attribute(self.kind).unwrap_or_default()
    }
}

impl Serialize for Attribute {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("key", self.key())?;
        map.serialize_entry("value", names::attribute_value(self.kind, self.value))?;
        map.serialize_entry("raw", &self.value)?;
        map.end()
    }
}

impl Payloads {
    /// Reads them from the first on; answers whether all have their form.
    pub fn read(&mut self, version: u8, first: u8, bytes: &[u8]) -> bool {
        let mut r = Reader::new(bytes);
        let mut kind = first;
        for _ in 0..PAYLOADS_CAP {
            if kind == 0 {
                return true;
            }
            let Some((next, body)) = payload(&mut r) else { return false };
            self.names.push(names::payload(version, kind));
            if version == 2 && matches!(kind, 46 | 53) {
                // Encrypted; the next payload is inside.
                return true;
            }
            if self.take(version, kind, body).is_none() {
                return false;
            }
            kind = next;
        }
        true
    }

    fn take(&mut self, version: u8, kind: u8, body: &[u8]) -> Option<()> {
        let mut r = Reader::new(body);
        match (version, kind) {
            (1, 1) => {
                self.doi = Some(r.u32()?);
                r.skip(4)?;
                self.proposals(r)?;
            }
            (1, 4) => self.key = Some(body.to_vec()),
            (2, 34) => {
                r.skip(4)?;
                self.key = Some(r.rest().to_vec());
            }
            (1, 10) | (2, 40) => self.nonce = Some(body.to_vec()),
            (1, 13) | (2, 43) => self.vendors.push(body.to_vec()),
            (1, 11) => {
                r.skip(6)?;
                self.notifications.push(r.u16()?);
            }
            (2, 41) => {
                r.skip(2)?;
                self.notifications.push(r.u16()?);
            }
            _ => {}
        }
        Some(())
    }

    /// The proposals of version 1 and the transforms inside each.
    fn proposals(&mut self, mut r: Reader<'_>) -> Option<()> {
        for _ in 0..PAYLOADS_CAP {
            if r.is_empty() {
                break;
            }
            let (_, body) = payload(&mut r)?;
            self.names.push("Proposal");
            let mut proposal = Reader::new(body);
            proposal.skip(2)?;
            let spi = usize::from(proposal.u8()?);
            proposal.skip(1 + spi)?;
            for _ in 0..PAYLOADS_CAP {
                if proposal.is_empty() {
                    break;
                }
                let (_, transform) = payload(&mut proposal)?;
                if self.names.len() < 2 * PAYLOADS_CAP {
                    self.names.push("Transform");
                }
                self.attributes(transform.get(4..)?)?;
            }
        }
        Some(())
    }

    /// Attributes (RFC 2408 section 3.3).
    fn attributes(&mut self, bytes: &[u8]) -> Option<()> {
        let mut r = Reader::new(bytes);
        while !r.is_empty() && self.attributes.len() < ATTRIBUTES_CAP {
            let kind = r.u16()?;
            let value = if kind & 0x8000 != 0 {
                u64::from(r.u16()?)
            } else {
                let length = usize::from(r.u16()?);
                let digits = r.take(length)?;
                digits.iter().fold(0u64, |n, &digit| n.wrapping_shl(8) | u64::from(digit))
            };
            let kind = kind & 0x7fff;
            if names::attribute(kind).is_some() {
                self.attributes.push(Attribute { kind, value });
            }
        }
        Some(())
    }
}

/// The type of the next payload and the content of this one.
fn payload<'a>(r: &mut Reader<'a>) -> Option<(u8, &'a [u8])> {
    let next = r.u8()?;
    r.skip(1)?;
    let length = usize::from(r.u16()?).checked_sub(4)?;
    Some((next, r.take(length)?))
}
