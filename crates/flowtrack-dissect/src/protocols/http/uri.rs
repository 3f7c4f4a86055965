//! What a request asks for: the parts of its target, and the form in which rules compare it.

/// The parts of a request's target.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Target<'a> {
    /// Host and port of an absolute target, or of a CONNECT.
    pub(super) authority: Option<&'a [u8]>,
    /// From the first slash on.
    pub(super) path: &'a [u8],
    /// Behind the question mark.
    pub(super) query: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    /// Splits a target (RFC 9112 section 3.2).
    pub(super) fn of(target: &'a [u8], is_connect: bool) -> Self {
        if is_connect {
            return Self { authority: Some(target), ..Self::default() };
        }
        let (authority, rest) = match absolute(target) {
            Some(rest) => {
                let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
                let (authority, rest) = rest.split_at_checked(end).unwrap_or_default();
                // What stands before an @ is a name and a password.
                let host = memchr::memrchr(b'@', authority).and_then(|at| authority.get(at + 1..));
                (Some(host.unwrap_or(authority)), rest)
            }
            None => (None, target),
        };
        let rest = rest.split(|&b| b == b'#').next().unwrap_or_default();
        match memchr::memchr(b'?', rest) {
            Some(at) => Self {
                authority,
                path: rest.get(..at).unwrap_or_default(),
                query: rest.get(at + 1..),
            },
            None => Self { authority, path: rest, query: None },
        }
    }
}

/// What follows `scheme://`.
fn absolute(target: &[u8]) -> Option<&[u8]> {
    let colon = memchr::memchr(b':', target.get(..16).unwrap_or(target))?;
    let is_scheme = target.get(..colon)?.iter().all(u8::is_ascii_alphabetic) && colon > 0;
    target.get(colon + 1..)?.strip_prefix(b"//").filter(|_| is_scheme)
}

/// A host without its port and the dot at its end, and the port.
pub(crate) fn host_and_port(authority: &[u8]) -> (&[u8], Option<u16>) {
    let authority = authority.trim_ascii();
    // The colons of an IPv6 address stand between brackets.
    let from = memchr::memchr(b']', authority).unwrap_or(0);
    let colon = authority
        .get(from..)
        .and_then(|rest| memchr::memchr(b':', rest))
        .map_or(authority.len(), |at| from + at);
    let (host, port) = authority.split_at_checked(colon).unwrap_or((authority, b""));
    let host = host.trim_ascii();
    let port = std::str::from_utf8(port.get(1..).unwrap_or_default())
        .ok()
        .and_then(|port| port.trim().parse().ok())
        .filter(|&port| port != 0);
    (host.strip_suffix(b".").unwrap_or(host), port)
}

/// Whether a host is of letters, digits and the marks that names and addresses have.
pub(super) fn is_host(host: &[u8]) -> bool {
    !host.is_empty()
        && host.len() <= 255
        && host.iter().all(|&b| {
            b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']' | b'%')
        })
        && !host.starts_with(b".")
        && memchr::memmem::find(host, b"..").is_none()
}

/// The form that rules compare: escapes of path and query decoded once, backslashes turned,
/// slashes that repeat joined, `.` and `..` worked off, a scheme and host left out.
pub(crate) fn normalized(target: &[u8], is_connect: bool) -> Vec<u8> {
    if is_connect {
        return target.to_vec();
    }
    let parts = Target::of(target, false);
    let mut path = decoded(parts.path);
    for b in &mut path {
        if *b == b'\\' {
            *b = b'/';
        }
    }
    let mut uri = without_dots(&path);
    if let Some(query) = parts.query {
        uri.push(b'?');
        uri.extend_from_slice(&decoded(query));
    }
    uri
}

/// What a file is called that has no other name: the path it was asked by.
pub(crate) fn file_path(target: &[u8]) -> Vec<u8> {
    decoded(Target::of(target, false).path)
}

/// Whether escapes are left once they were decoded.
pub(super) fn is_double_encoded(target: &[u8]) -> bool {
    memchr::memmem::find_iter(target, b"%25").any(|at| {
        let after = target.get(at + 3..at + 5).unwrap_or_default();
        after.len() == 2 && after.iter().all(u8::is_ascii_hexdigit)
    })
}

/// Decodes `%HH`; what is no escape stays.
pub(crate) fn decoded(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&b, after)) = rest.split_first() {
        rest = after;
        let escaped =
            after.split_first_chunk::<2>().filter(|_| b == b'%').and_then(|(hex, after)| {
                let [high, low] = hex.map(|h| char::from(h).to_digit(16));
                Some((u8::try_from(high? << 4 | low?).ok()?, after))
            });
        match escaped {
            Some((byte, after)) => {
                text.push(byte);
                rest = after;
            }
            None => text.push(b),
        }
    }
    text
}

/// Works off `.`, `..` and repeated slashes (RFC 3986 section 5.2.4).
fn without_dots(path: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(path.len());
    let mut segments = path.split(|&b| b == b'/').peekable();
    let is_rooted = path.first() == Some(&b'/');
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b"" | b"." => {}
            b".." => {
                let cut = memchr::memrchr(b'/', clean.strip_suffix(b"/").unwrap_or(&clean));
                clean.truncate(cut.map_or(0, |at| at + 1));
            }
            segment => {
                clean.extend_from_slice(segment);
                if !is_last {
                    clean.push(b'/');
                }
            }
        }
    }
    if is_rooted {
        clean.insert(0, b'/');
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_normalized() {
        for (target, want) in [
            ("/abc%2fdef", "/abc/def"),
            ("/abc/def?ghi%2fjkl", "/abc/def?ghi/jkl"),
            ("/a//b/./c/../d", "/a/b/d"),
            ("/../../etc/", "/etc/"),
            ("\\a\\b", "/a/b"),
            ("http://host:80/x?y", "/x?y"),
            ("http://host", ""),
            ("*", "*"),
            ("/%zz%4", "/%zz%4"),
        ] {
            assert_eq!(String::from_utf8(normalized(target.as_bytes(), false)).unwrap(), want);
        }
        assert_eq!(normalized(b"host:443", true), b"host:443");
        assert!(is_double_encoded(b"/%2541") && !is_double_encoded(b"/%25zz"));
    }

    #[test]
    fn hosts_are_split_from_ports() {
        assert_eq!(host_and_port(b" Ex.org.:8080 "), (&b"Ex.org"[..], Some(8080)));
        assert_eq!(host_and_port(b"[::1]:80"), (&b"[::1]"[..], Some(80)));
        assert_eq!(host_and_port(b"a:x"), (&b"a"[..], None));
        assert_eq!(Target::of(b"http://u:p@h/x", false).authority, Some(&b"h"[..]));
    }
}
