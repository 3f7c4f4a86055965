//! ONC RPC messages and the record marks that they have over TCP.

use crate::{First, Probe, Reader};
use flowtrack_event::Confidence;

/// Length of a record mark.
pub const MARK: usize = 4;
/// The last fragment of a record has this bit in its mark.
const LAST_FRAGMENT: u32 = 0x8000_0000;
/// Longest record; a write of a megabyte is usual.
pub const RECORD_CAP: usize = 4 << 20;
/// Number of the NFS program.
pub const NFS: u32 = 100_003;
/// Longest credential (RFC 5531 section 8.2).
const CREDENTIAL_CAP: usize = 400;

const CALL: u32 = 0;
const REPLY: u32 = 1;

/// Length of a fragment, and whether it is the last of its record.
pub fn mark(bytes: &[u8]) -> Option<(usize, bool)> {
    let mark = u32::from_be_bytes(*bytes.first_chunk()?);
    Some(((mark & !LAST_FRAGMENT) as usize, mark & LAST_FRAGMENT != 0))
}

/// Whether the first bytes are a call of NFS, or an answer that its port makes one.
pub fn probe(first: &First<'_>) -> Probe {
    let mut r = Reader::new(first.bytes);
    let short = if first.udp { Probe::No } else { Probe::NeedMore };
    if !first.udp {
        match mark(first.bytes) {
            Some((length, _)) if !(24..=RECORD_CAP).contains(&length) => return Probe::No,
            Some(_) => {}
            None => return short,
        }
        r.skip(MARK);
    }
    let (Some(_xid), Some(kind)) = (r.u32(), r.u32()) else { return short };
    match kind {
        CALL => match (r.u32(), r.u32(), r.u32(), r.u32()) {
            (Some(rpc), _, _, _) if rpc != 2 => Probe::No,
            (_, Some(program), _, _) if program != NFS => Probe::No,
            (_, _, Some(version), Some(procedure)) => {
                Probe::content((2..=4).contains(&version) && procedure <= 21)
            }
            _ => short,
        },
        // Accepted or denied, with a credential of a usual kind.
        REPLY if first.has_port(&[2049]) => match (r.u32(), r.u32(), r.u32()) {
            (Some(state), Some(flavor), Some(length)) => {
                if state <= 1 && (flavor <= 3 || flavor == 6) && length <= 400 {
                    Probe::Match(Confidence::Content)
                } else {
                    Probe::No
                }
            }
            _ => short,
        },
        _ => Probe::No,
    }
}

/// Who calls.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Credentials {
    /// Kind of credential.
    pub flavor: u32,
    /// Of Unix: computer, user and group.
    pub unix: Option<(Vec<u8>, u32, u32)>,
}

/// A call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call<'a> {
    /// Number that its reply repeats.
    pub xid: u32,
    /// Program.
    pub program: u32,
    /// Version of the program.
    pub version: u32,
    /// Procedure.
    pub procedure: u32,
    /// Who calls.
    pub credentials: Credentials,
    /// Arguments.
    pub body: &'a [u8],
}

impl<'a> Call<'a> {
    /// Reads a call; `None` where it is none.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        let (xid, kind, rpc) = (r.u32()?, r.u32()?, r.u32()?);
        if kind != CALL || rpc != 2 {
            return None;
        }
        let (program, version, procedure) = (r.u32()?, r.u32()?, r.u32()?);
        let (flavor, credential) = authentication(&mut r)?;
        authentication(&mut r)?;
        let unix = (flavor == 1).then(|| unix(credential)).flatten();
        let credentials = Credentials { flavor, unix };
        Some(Self { xid, program, version, procedure, credentials, body: r.rest() })
    }
}

/// A reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply<'a> {
    /// Number of the call.
    pub xid: u32,
    /// Whether the call was accepted.
    pub accepted: bool,
    /// Whether it was carried out.
    pub succeeded: bool,
    /// Results.
    pub body: &'a [u8],
}

impl<'a> Reply<'a> {
    /// Reads a reply; `None` where it is none.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        let (xid, kind, state) = (r.u32()?, r.u32()?, r.u32()?);
        if kind != REPLY || state > 1 {
            return None;
        }
        if state == 1 {
            return Some(Self { xid, accepted: false, succeeded: false, body: &[] });
        }
        authentication(&mut r)?;
        let succeeded = r.u32()? == 0;
        Some(Self { xid, accepted: true, succeeded, body: r.rest() })
    }
}

/// Kind and contents of a credential or verifier.
fn authentication<'a>(r: &mut Reader<'a>) -> Option<(u32, &'a [u8])> {
    let flavor = r.u32()?;
    let bytes = opaque(r, CREDENTIAL_CAP)?;
    Some((flavor, bytes))
}

fn unix(credential: &[u8]) -> Option<(Vec<u8>, u32, u32)> {
    let mut r = Reader::new(credential);
    let _stamp = r.u32()?;
    let machine = opaque(&mut r, 255)?.to_vec();
    Some((machine, r.u32()?, r.u32()?))
}

/// Bytes with their length before them, and padding to four bytes behind them.
pub fn opaque<'a>(r: &mut Reader<'a>, cap: usize) -> Option<&'a [u8]> {
    let length = r.u32()? as usize;
    if length > cap {
        return None;
    }
    let bytes = r.take(length)?;
    // The padding of the last ones may be missing in a capture that was cut.
    r.skip((4 - length % 4) % 4);
    Some(bytes)
}
