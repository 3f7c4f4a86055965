//! Who logs on: NTLMSSP (MS-NLMP) and Kerberos inside a session setup's security blob.

use crate::Reader;
use crate::ber::{self, Ber};
use serde::Serialize;

/// Bytes of a name that are kept.
const NAME_CAP: usize = 512;

/// An NTLMSSP authentication.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Ntlmssp {
    /// Domain of the user.
    pub domain: String,
    /// The user.
    pub user: String,
    /// The client's computer.
    pub host: String,
    /// Version of the client's system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// The service that a Kerberos ticket is for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Kerberos {
    /// Realm of the service.
    pub realm: String,
    /// Parts of its name.
    pub snames: Vec<String>,
}

/// Finds the last message of NTLMSSP, which names the user.
pub fn ntlmssp(blob: &[u8]) -> Option<Ntlmssp> {
    const AUTHENTICATE: u32 = 3;
    const UNICODE: u32 = 0x0000_0001;
    const VERSION: u32 = 0x0200_0000;
    let at = memchr::memmem::find(blob, b"NTLMSSP\0")?;
    let message = blob.get(at..)?;
    let mut r = Reader::new(message.get(8..)?);
    if r.u32_le()? != AUTHENTICATE {
        return None;
    }
    // The two answers to the challenge come first, then names, then the session key.
    r.skip(16)?;
    let mut field = || {
        let length = usize::from(r.u16_le()?);
        r.skip(2)?;
        let offset = r.u32_le()? as usize;
        Some(message.get(offset..offset.checked_add(length)?).unwrap_or_default())
    };
    let (domain, user, host) = (field()?, field()?, field()?);
    r.skip(8)?;
    let flags = r.u32_le()?;
    let text = |bytes: &[u8]| {
        let bytes = bytes.get(..NAME_CAP).unwrap_or(bytes);
        if flags & UNICODE != 0 { super::utf16(bytes) } else { super::oem(bytes) }
    };
    let version = (flags & VERSION != 0).then(|| {
        let (major, minor, build) = (r.u8()?, r.u8()?, r.u16_le()?);
        r.skip(3)?;
        Some(format!("{major}.{minor} build {build} rev {}", r.u8()?))
    });
    Some(Ntlmssp {
        domain: text(domain),
        user: text(user),
        host: text(host),
        version: version.flatten(),
    })
}

/// Finds the ticket of a Kerberos application request.
pub fn kerberos(blob: &[u8]) -> Option<Kerberos> {
    const TICKET: u8 = 0x61;
    // Version 5 and the type of an application request.
    let marks = [0xa0, 3, 2, 1, 5, 0xa1, 3, 2, 1, 14];
    let at = memchr::memmem::find(blob, &marks)?;
    let mut request = Ber::new(blob.get(at + marks.len()..)?);
    let _options = request.value(0xa2)?;
    let mut ticket = request.inside(0xa3)?.inside(TICKET)?.inside(ber::SEQUENCE)?;
    let _version = ticket.value(0xa0)?;
    let realm = ticket.inside(0xa1)?.next()?.1;
    let mut name = ticket.inside(0xa2)?.inside(ber::SEQUENCE)?;
    let _kind = name.value(0xa0)?;
    let mut parts = name.inside(0xa1)?.inside(ber::SEQUENCE)?;
    let mut snames = Vec::new();
    while let Some((_, part)) = parts.next() {
        if snames.len() == 8 {
            break;
        }
        snames.push(super::oem(part));
    }
    Some(Kerberos { realm: super::oem(realm), snames })
}
