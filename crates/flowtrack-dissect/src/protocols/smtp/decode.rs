//! Encodings of mail: base64 and quoted-printable bodies, encoded words in headers, links in text.

/// Decodes base64 that comes in pieces; other bytes are passed over (RFC 2045 section 6.8).
#[derive(Default, Debug)]
pub(super) struct Base64 {
    bits: u32,
    count: u8,
    ended: bool,
    /// Whether a byte was met that is neither base64 nor space.
    pub(super) strange: bool,
}

/// Decodes base64 that is there as a whole.
pub(crate) fn base64(text: &[u8]) -> Vec<u8> {
    let (mut base64, mut bytes) = (Base64::default(), Vec::new());
    base64.decode(text, &mut bytes);
    base64.pad(&mut bytes);
    bytes
}

impl Base64 {
    pub(super) fn decode(&mut self, bytes: &[u8], into: &mut Vec<u8>) {
        into.reserve(bytes.len() / 4 * 3 + 3);
        let mut rest = bytes;
        loop {
            if self.count == 0 && !self.ended {
                rest = whole_groups(rest, into);
            }
            let Some((&byte, behind)) = rest.split_first() else { return };
            self.byte(byte, into);
            rest = behind;
        }
    }

    fn byte(&mut self, byte: u8, into: &mut Vec<u8>) {
        let value = match sextet(byte) {
            value @ 0..64 => value,
            PAD => return self.pad(into),
            SPACE => return,
            _ => {
                self.strange = true;
                return;
            }
        };
        if self.ended {
            return;
        }
        self.bits = self.bits << 6 | u32::from(value);
        self.count += 1;
        if self.count == 4 {
            let [_, a, b, c] = self.bits.to_be_bytes();
            into.extend_from_slice(&[a, b, c]);
            (self.bits, self.count) = (0, 0);
        }
    }

    /// What an end inside a group of four still gives.
    pub(super) fn pad(&mut self, into: &mut Vec<u8>) {
        match self.count {
            2 => into.push((self.bits >> 4 & 0xff) as u8),
            3 => into.extend_from_slice(&[
                (self.bits >> 10 & 0xff) as u8,
                (self.bits >> 2 & 0xff) as u8,
            ]),
            _ => {}
        }
        self.ended |= self.count > 0;
        (self.bits, self.count) = (0, 0);
    }
}

/// Decodes groups of four as long as nothing else is among them; returns what follows.
///
/// Mail is mostly attachments, so this is most of the work on it: a table for each place spares the
/// shifts, and room made at once the question for room with every group.
fn whole_groups<'a>(bytes: &'a [u8], into: &mut Vec<u8>) -> &'a [u8] {
    let (groups, _) = bytes.as_chunks::<4>();
    let start = into.len();
    into.resize(start + groups.len() * 3, 0);
    let (room, _) = into.get_mut(start..).unwrap_or_default().as_chunks_mut::<3>();
    let mut done = 0;
    for ([a, b, c, d], out) in groups.iter().zip(room) {
        let bits = placed::<18>(*a) | placed::<12>(*b) | placed::<6>(*c) | placed::<0>(*d);
        let [strange, x, y, z] = bits.to_be_bytes();
        if strange != 0 {
            break;
        }
        *out = [x, y, z];
        done += 1;
    }
    into.truncate(start + done * 3);
    bytes.get(done * 4..).unwrap_or_default()
}

/// The six bits of a byte moved to their place in 24, or a bit above those where it has none.
#[inline]
fn placed<const SHIFT: u32>(byte: u8) -> u32 {
    Placed::<SHIFT>::TABLE.get(usize::from(byte)).copied().unwrap_or(NO_PLACE)
}

struct Placed<const SHIFT: u32>;

impl<const SHIFT: u32> Placed<SHIFT> {
    /// By reference, so that nobody copies it.
    const TABLE: &'static [u32; 256] = &Self::BITS;

    #[allow(clippy::indexing_slicing, reason = "computed by the compiler, which would say so")]
    const BITS: [u32; 256] = {
        let mut table = [NO_PLACE; 256];
        let mut byte = 0;
        while byte < table.len() {
            if SEXTETS[byte] < 64 {
                table[byte] = (SEXTETS[byte] as u32) << SHIFT;
            }
            byte += 1;
        }
        table
    };
}

const NO_PLACE: u32 = 1 << 24;

fn sextet(byte: u8) -> u8 {
    SEXTETS.get(usize::from(byte)).copied().unwrap_or(STRANGE)
}

const PAD: u8 = 64;
const SPACE: u8 = 65;
const STRANGE: u8 = 66;

/// The six bits that each byte stands for, or what it is instead.
#[allow(clippy::indexing_slicing, reason = "computed by the compiler, which would say so")]
const SEXTETS: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut table = [STRANGE; 256];
    let mut value = 0;
    while value < alphabet.len() {
        table[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    table[b'=' as usize] = PAD;
    table[b'\r' as usize] = SPACE;
    table[b'\n' as usize] = SPACE;
    table[b' ' as usize] = SPACE;
    table[b'\t' as usize] = SPACE;
    table
};

/// Decodes one line of quoted-printable (RFC 2045 section 6.7); says whether its end is soft.
pub(super) fn quoted_printable(line: &[u8], into: &mut Vec<u8>) -> bool {
    let line = line.trim_ascii_end();
    let mut rest = line.iter();
    while let Some(&byte) = rest.next() {
        if byte != b'=' {
            into.push(byte);
            continue;
        }
        let tail = rest.as_slice();
        match tail.first_chunk::<2>() {
            Some([high, low]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    into.push(high << 4 | low);
                    rest.next();
                    rest.next();
                }
                _ => into.push(byte),
            },
            None if tail.is_empty() => return true,
            None => into.push(byte),
        }
    }
    false
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

/// Decodes the encoded words of a header (RFC 2047) for a person; character sets other than UTF-8
/// and Latin-1 are shown as far as they are ASCII.
pub(super) fn words(header: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = header;
    let mut after_word = false;
    while let Some(at) = memchr::memmem::find(rest, b"=?") {
        let (before, tail) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        let mut parts = tail.get(2..).unwrap_or_default().splitn(4, |&b| b == b'?');
        let (charset, encoding, data) = (parts.next(), parts.next(), parts.next());
        let word = charset.zip(encoding).zip(data).and_then(|((charset, encoding), data)| {
            let end = 2 + charset.len() + 1 + encoding.len() + 1 + data.len();
            (tail.get(end..end + 2)? == b"?=").then_some((charset, encoding, data, end + 2))
        });
        let Some((charset, encoding, data, used)) = word else {
            text.push_str(&String::from_utf8_lossy(before));
            text.push_str("=?");
            rest = tail.get(2..).unwrap_or_default();
            after_word = false;
            continue;
        };
        // Space between encoded words only parts them.
        if !(after_word && before.trim_ascii().is_empty()) {
            text.push_str(&String::from_utf8_lossy(before));
        }
        let mut bytes = Vec::new();
        if encoding.eq_ignore_ascii_case(b"B") {
            let mut base64 = Base64::default();
            base64.decode(data, &mut bytes);
            base64.pad(&mut bytes);
        } else {
            let spaced: Vec<u8> = data.iter().map(|&b| if b == b'_' { b' ' } else { b }).collect();
            quoted_printable(&spaced, &mut bytes);
        }
        if charset.to_ascii_lowercase().starts_with(b"iso-8859-1") {
            text.extend(bytes.iter().map(|&b| char::from(b)));
        } else {
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
        rest = tail.get(used..).unwrap_or_default();
        after_word = true;
    }
    text.push_str(&String::from_utf8_lossy(rest));
    text
}

/// Shows every link of a line without its scheme, as EVE has it.
pub(super) fn links(line: &[u8], mut show: impl FnMut(&[u8])) {
    let mut rest = line;
    while let Some(at) = memchr::memmem::find(rest, b"://") {
        let (before, tail) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        let scheme = before.to_ascii_lowercase();
        let known = [&b"http"[..], b"https", b"ftp"].iter().any(|s| scheme.ends_with(s));
        rest = tail.get(3..).unwrap_or_default();
        if !known {
            continue;
        }
        let end = rest.iter().position(|b| !is_of_link(*b)).unwrap_or(rest.len());
        let (link, tail) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        if !link.is_empty() {
            show(link);
        }
        rest = tail;
    }
}

/// RFC 3986 section 2: unreserved, reserved and percent.
const fn is_of_link(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b':'
                | b'/'
                | b'?'
                | b'#'
                | b'['
                | b']'
                | b'@'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b'%'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_in_pieces() {
        for size in 1..8 {
            let (mut base64, mut got) = (Base64::default(), Vec::new());
            for piece in b"SGVsbG8s\r\nIHdvcmxkIQ==".chunks(size) {
                base64.decode(piece, &mut got);
            }
            base64.pad(&mut got);
            assert_eq!(got, b"Hello, world!");
        }
    }

    #[test]
    fn quoted_printable_lines() {
        let mut got = Vec::new();
        assert!(quoted_printable(b"caf=C3=A9 =3D=", &mut got));
        assert!(!quoted_printable(b" odd =zz =4  ", &mut got));
        assert_eq!(String::from_utf8(got).unwrap(), "café = odd =zz =4");
    }

    #[test]
    fn encoded_words() {
        assert_eq!(words(b"=?utf-8?B?w7xi?= =?UTF-8?q?er_alles?= !"), "über alles !");
        assert_eq!(words(b"=?iso-8859-1?Q?=FC?= =?broken"), "ü =?broken");
    }

    #[test]
    fn links_of_text() {
        let mut got = Vec::new();
        links(b"<a href=\"http://a.example/x?y=1\">see HTTPS://b.example</a> foo://c", |l| {
            got.push(String::from_utf8(l.to_vec()).unwrap());
        });
        assert_eq!(got, ["a.example/x?y=1", "b.example"]);
    }
}
