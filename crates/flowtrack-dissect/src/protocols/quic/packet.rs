//! Packets of QUIC (RFC 9000 section 17, invariants RFC 8999) and of Google's QUIC before it.

use super::version;
use crate::Reader;

/// Longest connection ID; RFC 9000 section 17.2.
const CID_CAP: usize = 20;

/// One packet; a datagram may hold several.
#[derive(Clone, Copy, Debug)]
pub enum Packet<'a> {
    /// With a long header, as before keys are agreed on.
    Long(Long<'a>),
    /// Of Google's QUIC up to version 46, not encrypted.
    Google(Google<'a>),
    /// A list of versions that the server knows.
    Versions,
    /// With a short header: encrypted.
    Short,
}

/// A packet with a long header.
#[derive(Clone, Copy, Debug)]
pub struct Long<'a> {
    /// What it is for.
    pub kind: Kind,
    /// Version.
    pub version: u32,
    /// Connection ID of the receiver.
    pub dcid: &'a [u8],
    /// The whole packet.
    pub bytes: &'a [u8],
    /// Where the protected packet number begins.
    pub number_at: usize,
}

/// What a packet with a long header is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The hellos.
    Initial,
    /// Data before the handshake is through.
    ZeroRtt,
    /// The rest of the handshake.
    Handshake,
    /// The client shall prove its address.
    Retry,
}

impl Kind {
    /// The name that logs give it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::ZeroRtt => "0rtt",
            Self::Handshake => "handshake",
            Self::Retry => "retry",
        }
    }
}

/// A packet of Google's QUIC.
#[derive(Clone, Copy, Debug)]
pub struct Google<'a> {
    /// Version.
    pub version: u32,
    /// Frames, behind the hash that authenticates them.
    pub frames: &'a [u8],
}

/// The first packet of a datagram and what follows it.
pub fn read(datagram: &[u8]) -> Option<(Packet<'_>, &[u8])> {
    const LONG: u8 = 0x80;
    let &first = datagram.first()?;
    if first & LONG == 0 {
        let packet = google_public(datagram).map_or(Packet::Short, Packet::Google);
        return Some((packet, &[]));
    }
    let mut r = Reader::new(datagram);
    r.skip(1)?;
    let version = r.u32()?;
    if version == 0 {
        let dcid = usize::from(r.u8()?);
        r.skip(dcid)?;
        let scid = usize::from(r.u8()?);
        r.skip(scid)?;
        return (!r.is_empty()).then_some((Packet::Versions, &[]));
    }
    if let Some(google @ 44..=46) = version::google(version) {
        nibble_cids(&mut r)?;
        let number = if google == 46 { usize::from(first & 3) + 1 } else { 4 };
        r.skip(number)?;
        r.skip(GOOGLE_HASH)?;
        return Some((Packet::Google(Google { version, frames: r.rest() }), &[]));
    }
    let dcid = if version::draft(version).is_some_and(|draft| draft < 22) {
        nibble_cids(&mut r)?
    } else {
        let length = usize::from(r.u8()?);
        let dcid = r.take(length).filter(|cid| cid.len() <= CID_CAP)?;
        let length = usize::from(r.u8()?);
        r.take(length).filter(|cid| cid.len() <= CID_CAP)?;
        dcid
    };
    let kind = kind(first >> 4 & 3, version);
    if kind == Kind::Initial {
        let token = usize::try_from(varint(&mut r)?).ok()?;
        r.skip(token)?;
    }
    if kind == Kind::Retry {
        let long = Long { kind, version, dcid, bytes: datagram, number_at: r.position() };
        return Some((Packet::Long(long), &[]));
    }
    let length = usize::try_from(varint(&mut r)?).ok()?;
    let number_at = r.position();
    r.skip(length)?;
    let bytes = datagram.get(..r.position())?;
    Some((Packet::Long(Long { kind, version, dcid, bytes, number_at }), r.rest()))
}

/// Version 2 numbers its packets otherwise (RFC 9369 section 3.2).
const fn kind(bits: u8, version: u32) -> Kind {
    let is_2 = matches!(version, version::V2 | version::V2_DRAFT);
    match if is_2 { bits.wrapping_sub(1) & 3 } else { bits } {
        0 => Kind::Initial,
        1 => Kind::ZeroRtt,
        2 => Kind::Handshake,
        _ => Kind::Retry,
    }
}

/// Both connection IDs, whose lengths share a byte; returns that of the receiver.
fn nibble_cids<'a>(r: &mut Reader<'a>) -> Option<&'a [u8]> {
    let lengths = r.u8()?;
    let length = |nibble: u8| if nibble == 0 { 0 } else { usize::from(nibble) + 3 };
    let dcid = r.take(length(lengths >> 4))?;
    r.skip(length(lengths & 0x0f))?;
    Some(dcid)
}

/// Bytes of the hash that stands before the frames of a packet that is not encrypted.
const GOOGLE_HASH: usize = 12;

/// A packet with the header that Google's QUIC had up to version 43, if it names its version.
fn google_public(datagram: &[u8]) -> Option<Google<'_>> {
    const HAS_VERSION: u8 = 0x01;
    const HAS_CID: u8 = 0x08;
    let mut r = Reader::new(datagram);
    let flags = r.u8()?;
    if flags & HAS_VERSION == 0 {
        return None;
    }
    if flags & HAS_CID != 0 {
        r.skip(8)?;
    }
    let version = r.u32()?;
    let google = version::google(version)?;
    r.skip(match flags >> 4 & 3 {
        0 => 1,
        1 => 2,
        2 => 4,
        _ => 6,
    })?;
    r.skip(GOOGLE_HASH)?;
    if google < 34 {
        // Flags of their own stood before the frames.
        r.skip(1)?;
    }
    Some(Google { version, frames: r.rest() })
}

/// A number of one, two, four or eight bytes (RFC 9000 section 16).
pub fn varint(r: &mut Reader<'_>) -> Option<u64> {
    let first = r.u8()?;
    let more = (1usize << (first >> 6)) - 1;
    let rest = r.take(more)?;
    Some(rest.iter().fold(u64::from(first & 0x3f), |value, &byte| value << 8 | u64::from(byte)))
}
