//! Arguments and results of NFS 2 and 3 that name files.

use super::rpc::opaque;
use crate::Reader;

/// Length of a handle of version 2.
const V2_HANDLE: usize = 32;
/// Longest handle of version 3.
const HANDLE_CAP: usize = 64;
/// Longest name.
const NAME_CAP: usize = 1024;

/// What a call is about.
#[derive(Clone, Copy, Default, Debug)]
pub struct Arguments<'a> {
    /// The file, or the directory of the name.
    pub handle: Option<&'a [u8]>,
    /// A name in that directory.
    pub name: Option<&'a [u8]>,
    /// Another name, of a rename.
    pub to: Option<&'a [u8]>,
}

/// Reads the arguments of a call; compounds of version 4 have none of this form.
pub fn arguments(version: u32, procedure: u32, body: &[u8]) -> Option<Arguments<'_>> {
    let mut r = Reader::new(body);
    let handle = |r: &mut Reader<'_>| match version {
        2 => body.get(r.position()..r.position() + V2_HANDLE).inspect(|_| {
            r.skip(V2_HANDLE);
        }),
        _ => {
            let at = r.position();
            let length = opaque(r, HANDLE_CAP)?.len();
            body.get(at + 4..at + 4 + length)
        }
    };
    // Procedures that take a directory and a name in it, and those that rename.
    let (named, renames) = match version {
        2 => (matches!(procedure, 4 | 9..=15), procedure == 11),
        3 => (matches!(procedure, 3 | 8..=14), procedure == 14),
        _ => return None,
    };
    if procedure == 0 {
        return None;
    }
    let mut found = Arguments { handle: handle(&mut r), ..Arguments::default() };
    if named {
        found.name = Some(opaque(&mut r, NAME_CAP)?);
    }
    if renames {
        handle(&mut r)?;
        found.to = Some(opaque(&mut r, NAME_CAP)?);
    }
    Some(found)
}

/// Status of a reply.
pub fn status(body: &[u8]) -> Option<u32> {
    Reader::new(body).u32()
}

/// The handle that a lookup or creation returned.
pub fn new_handle(version: u32, procedure: u32, body: &[u8]) -> Option<&[u8]> {
    let mut r = Reader::new(body);
    if r.u32()? != 0 {
        return None;
    }
    match (version, procedure) {
        (2, 4 | 9 | 14) => r.take(V2_HANDLE),
        (3, 3) => opaque(&mut r, HANDLE_CAP),
        // The handle may be left out of what a creation returns.
        (3, 8..=11) => (r.u32()? == 1).then(|| opaque(&mut r, HANDLE_CAP)).flatten(),
        _ => None,
    }
}
