//! Values of fields with an inner form: parameters, ranges.

use std::borrow::Cow;

/// The value of a parameter such as `filename` of a field such as `Content-Disposition`.
pub(crate) fn parameter<'a>(value: &'a [u8], name: &str) -> Option<Cow<'a, [u8]>> {
    let mut rest = value;
    // Each turn passes a semicolon.
    while let Some(at) = memchr::memchr2(b';', b'"', rest) {
        let (before, after) = rest.split_at_checked(at)?;
        let _ = before;
        if after.first() == Some(&b'"') {
            // A semicolon between quotes separates nothing.
            rest = unquote(after).1;
            continue;
        }
        rest = after.get(1..)?.trim_ascii_start();
        let given = rest.get(..name.len())?;
        let after = rest.get(name.len()..).unwrap_or_default().trim_ascii_start();
        if given.eq_ignore_ascii_case(name.as_bytes())
            && let Some(value) = after.strip_prefix(b"=")
        {
            let value = value.trim_ascii_start();
            return Some(if value.starts_with(b"\"") {
                unquote(value).0
            } else {
                let end = value.iter().position(|b| matches!(b, b';' | b' ' | b'\t'));
                Cow::Borrowed(value.get(..end.unwrap_or(value.len())).unwrap_or_default())
            });
        }
    }
    None
}

/// A quoted string without its quotes and escapes, and what follows it.
fn unquote(quoted: &[u8]) -> (Cow<'_, [u8]>, &[u8]) {
    let inner = quoted.get(1..).unwrap_or_default();
    let Some(first) = memchr::memchr2(b'"', b'\\', inner) else { return (inner.into(), b"") };
    if inner.get(first) == Some(&b'"') {
        let (text, rest) = inner.split_at_checked(first).unwrap_or_default();
        return (text.into(), rest.get(1..).unwrap_or_default());
    }
    let mut text = Vec::new();
    let mut bytes = inner.iter().enumerate();
    while let Some((at, &b)) = bytes.next() {
        match b {
            b'"' => return (text.into(), inner.get(at + 1..).unwrap_or_default()),
            // Old browsers send paths with bare backslashes: only these two are escapes.
            b'\\' if matches!(inner.get(at + 1), Some(b'"' | b'\\')) => {
                text.extend(bytes.next().map(|(_, &b)| b));
            }
            b => text.push(b),
        }
    }
    (text.into(), b"")
}

/// The name of the file that a `Content-Disposition` tells of.
pub(crate) fn filename_of(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let plain = parameter(value, "filename");
    // RFC 8187: character set, language, and the name with escapes.
    let extended = || {
        let value = parameter(value, "filename*")?;
        let name = value.splitn(3, |&b| b == b'\'').nth(2)?;
        Some(Cow::Owned(super::uri::decoded(name)))
    };
    plain.or_else(extended).filter(|name| !name.is_empty())
}

/// What `Content-Range` says: first and last offset, and the size of the whole.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Range {
    pub(crate) bounds: Option<(u64, u64)>,
    pub(crate) size: Option<u64>,
}

impl Range {
    /// Reads `bytes 0-499/1234` (RFC 9110 section 14.4).
    pub(crate) fn of(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?.trim();
        let text = text.strip_prefix("bytes").or_else(|| text.strip_prefix("BYTES"))?;
        let (bounds, size) = text.trim_start_matches([' ', '=', ':']).split_once('/')?;
        let bounds = match bounds.trim() {
            "*" => None,
            bounds => {
                let (first, last) = bounds.split_once('-')?;
                let bounds = (first.trim().parse().ok()?, last.trim().parse().ok()?);
                Some(bounds).filter(|(first, last)| first <= last)
            }
        };
        let size = match size.trim() {
            "*" => None,
            size => Some(size.parse().ok()?),
        };
        Some(Self { bounds, size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_found() {
        for (value, want) in [
            (r#"form-data; name="a;filename=no"; filename="b c.txt""#, Some("b c.txt")),
            (r#"attachment; FileName = "a\"b\\c""#, Some(r#"a"b\c"#)),
            (r#"attachment; filename="C:\dir\x.doc""#, Some(r"C:\dir\x.doc")),
            ("attachment; filename=plain.zip; size=3", Some("plain.zip")),
            ("attachment; filename*=UTF-8''a%20b", Some("a b")),
            ("attachment; filename=\"cut", Some("cut")),
            ("inline", None),
            ("attachment; filename=\"\"", None),
        ] {
            let got =
                filename_of(value.as_bytes()).map(|n| String::from_utf8(n.into_owned()).unwrap());
            assert_eq!(got.as_deref(), want, "{value}");
        }
    }

    #[test]
    fn ranges_are_read() {
        let range = |bounds, size| Some(Range { bounds, size });
        assert_eq!(Range::of(b"bytes 500-1000/146515"), range(Some((500, 1000)), Some(146_515)));
        assert_eq!(Range::of(b"bytes */10"), range(None, Some(10)));
        assert_eq!(Range::of(b"bytes 5-1/*"), range(None, None));
        assert_eq!(Range::of(b"bytes x-y/z"), None);
    }
}
