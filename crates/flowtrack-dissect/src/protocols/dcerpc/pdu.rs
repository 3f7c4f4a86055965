//! The packets of DCE/RPC: connection-oriented (version 5) and datagrams (version 4).

use crate::{Probe, Reader};
use flowtrack_event::hex_digits;

/// Length of the header of a connection's packet.
pub const HEADER: usize = 16;
/// Length of the header of a datagram.
const DATAGRAM_HEADER: usize = 80;
/// First packet of a call.
const FIRST_FRAG: u8 = 0x01;
/// Last packet of a call.
const LAST_FRAG: u8 = 0x02;
/// The packet carries an object's UUID.
const OBJECT_UUID: u8 = 0x80;
/// Contexts of one bind that are kept.
const CONTEXT_CAP: usize = 64;

/// Types of packets.
pub mod kind {
    pub const REQUEST: u8 = 0;
    pub const RESPONSE: u8 = 2;
    pub const FAULT: u8 = 3;
    pub const BIND: u8 = 11;
    pub const BIND_ACK: u8 = 12;
    pub const BIND_NAK: u8 = 13;
    pub const ALTER_CONTEXT: u8 = 14;
    pub const ALTER_CONTEXT_RESP: u8 = 15;
    pub const LAST: u8 = 20;
}

/// Name of a type as EVE writes it.
pub const fn kind_name(kind: u8) -> &'static str {
    match kind {
        0 => "REQUEST",
        1 => "PING",
        2 => "RESPONSE",
        3 => "FAULT",
        4 => "WORKING",
        5 => "NOCALL",
        6 => "REJECT",
        7 => "ACK",
        8 => "CL_CANCEL",
        9 => "FACK",
        10 => "CANCEL_ACK",
        11 => "BIND",
        12 => "BINDACK",
        13 => "BINDNAK",
        14 => "ALTER_CONTEXT",
        15 => "ALTER_CONTEXT_RESP",
        16 => "AUTH3",
        17 => "SHUTDOWN",
        18 => "CO_CANCEL",
        19 => "ORPHANED",
        20 => "RTS",
        _ => "UNKNOWN",
    }
}

/// Header of a connection's packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Minor version; the major one is 5.
    pub minor: u8,
    /// Type.
    pub kind: u8,
    flags: u8,
    /// Whether integers are least significant first.
    pub little: bool,
    /// Length of the packet, header and all.
    pub length: usize,
    /// Length of the authentication value at the end.
    auth_length: usize,
    /// Number of the call.
    pub call_id: u32,
}

impl Header {
    /// Reads the header; `None` where it is none or not complete.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let head: &[u8; HEADER] = bytes.first_chunk()?;
        let [version, minor, kind, flags, order, float, z0, z1, l0, l1, a0, a1, c0, c1, c2, c3] =
            *head;
        // The order of integers stands in the upper half, the kind of letters in the lower.
        let known = version == 5
            && minor <= 1
            && kind <= kind::LAST
            && order & 0xee == 0
            && float <= 3
            && z0 == 0
            && z1 == 0;
        let little = order & 0x10 != 0;
        let short = |b| if little { u16::from_le_bytes(b) } else { u16::from_be_bytes(b) };
        let length = usize::from(short([l0, l1]));
        let auth_length = usize::from(short([a0, a1]));
        let call = [c0, c1, c2, c3];
        let call_id = if little { u32::from_le_bytes(call) } else { u32::from_be_bytes(call) };
        (known && length >= HEADER && auth_length < length).then_some(Self {
            minor,
            kind,
            flags,
            little,
            length,
            auth_length,
            call_id,
        })
    }

    /// Whether this is the first packet of its call.
    pub const fn is_first(&self) -> bool {
        self.flags & FIRST_FRAG != 0
    }

    /// Whether this is the last packet of its call.
    pub const fn is_last(&self) -> bool {
        self.flags & LAST_FRAG != 0
    }
}

/// Whether a stream begins with a packet.
pub fn probe(bytes: &[u8]) -> Probe {
    if bytes.len() >= HEADER {
        return Probe::content(Header::parse(bytes).is_some());
    }
    let fits = |at: usize, ok: fn(u8) -> bool| bytes.get(at).is_none_or(|&b| ok(b));
    let possible = fits(0, |b| b == 5)
        && fits(1, |b| b <= 1)
        && fits(2, |b| b <= kind::LAST)
        && fits(4, |b| b & 0xee == 0)
        && fits(5, |b| b <= 3)
        && fits(6, |b| b == 0)
        && fits(7, |b| b == 0);
    if possible { Probe::NeedMore } else { Probe::No }
}

/// A UUID, in the order in which it is written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// From the wire, whose first three parts may be least significant first.
    pub const fn from_wire(b: [u8; 16], little: bool) -> Self {
        if !little {
            return Self(b);
        }
        Self([
            b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13],
            b[14], b[15],
        ])
    }

    /// Hexadecimal digits with a hyphen between the parts (RFC 9562 section 4).
    pub fn text(self) -> String {
        let mut text = String::with_capacity(36);
        for (at, &byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.extend(hex_digits(byte).map(char::from));
        }
        text
    }
}

impl std::fmt::Display for Uuid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}

impl serde::Serialize for Uuid {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.text())
    }
}

/// What a packet of a connection carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body<'a> {
    /// `bind` or `alter_context`: the interfaces asked for.
    Bind(Vec<Context>),
    /// The answer to one: result and reason of each context.
    BindAck(Vec<(u16, u16)>),
    /// A call's packet.
    Request {
        /// Which of the bound interfaces.
        context: u16,
        /// Number of the procedure.
        opnum: u16,
        /// Its arguments.
        stub: &'a [u8],
    },
    /// A packet of the answer.
    Response {
        /// Its results.
        stub: &'a [u8],
    },
    /// Anything else.
    Other,
}

/// An interface that a bind asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Context {
    /// Number by which calls name it.
    pub id: u16,
    /// The interface.
    pub uuid: Uuid,
    /// Its version.
    pub version: (u16, u16),
}

impl<'a> Body<'a> {
    /// Reads what follows the header of the whole packet `pdu`.
    pub fn parse(header: &Header, pdu: &'a [u8]) -> Option<Self> {
        let mut r = Ordered { r: Reader::new(pdu.get(HEADER..)?), little: header.little };
        Some(match header.kind {
            kind::BIND | kind::ALTER_CONTEXT => Self::Bind(contexts(&mut r)?),
            kind::BIND_ACK | kind::ALTER_CONTEXT_RESP => Self::BindAck(results(&mut r)?),
            kind::REQUEST => {
                let _hint = r.u32()?;
                let context = r.u16()?;
                let opnum = r.u16()?;
                if header.flags & OBJECT_UUID != 0 {
                    r.r.skip(16)?;
                }
                Self::Request { context, opnum, stub: without_auth(header, r.r.rest()) }
            }
            kind::RESPONSE | kind::FAULT => {
                r.r.skip(8)?;
                Self::Response { stub: without_auth(header, r.r.rest()) }
            }
            _ => Self::Other,
        })
    }
}

/// The stub without the authentication that may stand behind it.
fn without_auth<'a>(header: &Header, rest: &'a [u8]) -> &'a [u8] {
    const TRAILER: usize = 8;
    if header.auth_length == 0 {
        return rest;
    }
    let Some(trailer) = rest.len().checked_sub(header.auth_length + TRAILER) else { return rest };
    let padding = rest.get(trailer + 2).copied().map_or(0, usize::from);
    rest.get(..trailer.saturating_sub(padding)).unwrap_or(rest)
}

/// A reader in the order that the header names.
struct Ordered<'a> {
    r: Reader<'a>,
    little: bool,
}

impl Ordered<'_> {
    fn u16(&mut self) -> Option<u16> {
        if self.little { self.r.u16_le() } else { self.r.u16() }
    }

    fn u32(&mut self) -> Option<u32> {
        if self.little { self.r.u32_le() } else { self.r.u32() }
    }

    fn uuid(&mut self) -> Option<Uuid> {
        self.r.array().map(|b| Uuid::from_wire(b, self.little))
    }
}

fn contexts(r: &mut Ordered<'_>) -> Option<Vec<Context>> {
    // Largest fragments each way and the association group.
    r.r.skip(8)?;
    let count = r.r.u8()?;
    r.r.skip(3)?;
    let mut found = Vec::new();
    for _ in 0..count {
        let (Some(id), Some(transfers)) = (r.u16(), r.r.u8()) else { break };
        r.r.skip(1)?;
        let (Some(uuid), Some(major), Some(minor)) = (r.uuid(), r.u16(), r.u16()) else { break };
        if found.len() < CONTEXT_CAP {
            found.push(Context { id, uuid, version: (major, minor) });
        }
        if r.r.skip(usize::from(transfers) * 20).is_none() {
            break;
        }
    }
    Some(found)
}

fn results(r: &mut Ordered<'_>) -> Option<Vec<(u16, u16)>> {
    r.r.skip(8)?;
    // The secondary address, and padding to four bytes behind it.
    let address = usize::from(r.u16()?);
    r.r.skip(address)?;
    r.r.skip((4 - (2 + address) % 4) % 4)?;
    let count = r.r.u8()?;
    r.r.skip(3)?;
    let mut found = Vec::new();
    for _ in 0..count {
        let (Some(result), Some(reason)) = (r.u16(), r.u16()) else { break };
        if found.len() < CONTEXT_CAP {
            found.push((result, reason));
        }
        if r.r.skip(20).is_none() {
            break;
        }
    }
    Some(found)
}

/// A datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Datagram<'a> {
    /// Type.
    pub kind: u8,
    flags: u8,
    /// The activity that its calls belong to.
    pub activity: Uuid,
    /// The interface that is called.
    pub interface: Uuid,
    /// Its version.
    pub version: u32,
    /// Number of the call in its activity.
    pub sequence: u32,
    /// Number of the procedure.
    pub opnum: u16,
    /// Arguments or results.
    pub stub: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads a datagram; `None` where it is none.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        const LAST_KIND: u8 = 10;
        let mut r = Reader::new(bytes.get(..DATAGRAM_HEADER)?);
        let (version, kind, flags, flags2) = (r.u8()?, r.u8()?, r.u8()?, r.u8()?);
        let [order, float, _reserved] = r.array()?;
        r.skip(1)?;
        if version != 4 || kind > LAST_KIND || flags2 & 0xfc != 0 || order & 0xee != 0 || float > 3
        {
            return None;
        }
        let mut r = Ordered { r, little: order & 0x10 != 0 };
        let _object = r.uuid()?;
        let interface = r.uuid()?;
        let activity = r.uuid()?;
        let _boot = r.u32()?;
        let version = r.u32()?;
        let sequence = r.u32()?;
        let opnum = r.u16()?;
        // Hints of interface and activity.
        r.r.skip(4)?;
        let length = usize::from(r.u16()?);
        let body = bytes.get(DATAGRAM_HEADER..)?;
        let stub = body.get(..length)?;
        Some(Self { kind, flags, activity, interface, version, sequence, opnum, stub })
    }

    /// Whether more packets of this call follow.
    pub const fn more_follow(&self) -> bool {
        const LAST: u8 = 0x02;
        const FRAGMENT: u8 = 0x04;
        self.flags & FRAGMENT != 0 && self.flags & LAST == 0
    }
}
