//! Where a body ends: by its length, by chunks, or with its stream.

use super::head::Head;

/// Longest size line of a chunk that is looked at; what follows in it is an extension.
const SIZE_LINE_CAP: usize = 64;
/// Chunks beyond this are taken for bytes that are no chunk at all.
const CHUNK_CAP: u64 = 0x7fff_ffff;

/// How the end of a body is known.
#[derive(Debug)]
pub(super) enum Framing {
    /// So many bytes are left.
    Length(u64),
    /// Chunks of told size (RFC 9112 section 7.1).
    Chunked(Chunked),
    /// All that comes.
    UntilEnd,
}

/// What a framing did with bytes.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Fed {
    /// Bytes used up.
    pub(super) used: usize,
    /// Bytes among them that are part of the body as it was sent, chunk lines included.
    pub(super) length: u64,
    /// Whether the body ended.
    pub(super) done: bool,
    /// A chunk's size was no number; from there on all is body.
    pub(super) invalid_chunk: bool,
    /// A chunk's size line told more than the size.
    pub(super) extension: bool,
}

impl Framing {
    /// Takes bytes of a body, and hands on those that are its content.
    pub(super) fn feed(&mut self, bytes: &[u8], data: &mut dyn FnMut(&[u8])) -> Fed {
        match self {
            Self::Length(left) => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left = left.saturating_sub(n as u64);
                data(bytes.get(..n).unwrap_or_default());
                Fed { used: n, length: n as u64, done: *left == 0, ..Fed::default() }
            }
            Self::UntilEnd => {
                data(bytes);
                Fed { used: bytes.len(), length: bytes.len() as u64, ..Fed::default() }
            }
            Self::Chunked(chunked) => {
                let mut fed = chunked.feed(bytes, data);
                if fed.invalid_chunk {
                    let rest = bytes.get(fed.used..).unwrap_or_default();
                    *self = Self::UntilEnd;
                    data(rest);
                    fed.used = bytes.len();
                    fed.length = fed.length.saturating_add(rest.len() as u64);
                }
                fed
            }
        }
    }

    /// So many bytes of the body were never seen; answers how many of them lie inside the body.
    pub(super) fn gap(&mut self, bytes: u64) -> u64 {
        match self {
            Self::Length(left) => {
                let n = bytes.min(*left);
                *left -= n;
                n
            }
            Self::UntilEnd => bytes,
            Self::Chunked(chunked) => chunked.gap(bytes),
        }
    }

    /// Whether nothing is left to come.
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Length(0))
    }

    /// Whether the end of the stream is a proper end of this body.
    pub(super) fn ends_with_stream(&self) -> bool {
        matches!(self, Self::UntilEnd)
    }
}

/// A body in chunks.
#[derive(Default, Debug)]
pub(super) struct Chunked {
    at: At,
    /// The size line, or the line of a trailer, as far as it is there.
    line: Vec<u8>,
    left: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum At {
    #[default]
    Size,
    Data,
    DataEnd,
    Trailer,
}

impl Chunked {
    fn feed(&mut self, bytes: &[u8], data: &mut dyn FnMut(&[u8])) -> Fed {
        let mut fed = Fed::default();
        while let Some(rest) = bytes.get(fed.used..).filter(|rest| !rest.is_empty()) {
            match self.at {
                At::Data => {
                    let n = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
                    data(rest.get(..n).unwrap_or_default());
                    self.left = self.left.saturating_sub(n as u64);
                    fed.take(n);
                    if self.left == 0 {
                        self.at = At::DataEnd;
                    }
                }
                At::DataEnd => {
                    // Everything up to the end of the line behind a chunk is passed over.
                    match memchr::memchr(b'\n', rest) {
                        Some(n) => {
                            fed.take(n + 1);
                            self.at = At::Size;
                        }
                        None => fed.take(rest.len()),
                    }
                }
                At::Size => {
                    let end = memchr::memchr(b'\n', rest);
                    let piece = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
                    let room = SIZE_LINE_CAP.saturating_sub(self.line.len());
                    self.line.extend_from_slice(piece.get(..room).unwrap_or(piece));
                    if !may_be_size(&self.line) || (end.is_none() && blank(&self.line) && room == 0)
                    {
                        // What was held of the line is body too; the rest follows it.
                        let held = self.line.len().saturating_sub(piece.len().min(room));
                        data(self.line.get(..held).unwrap_or_default());
                        fed.invalid_chunk = true;
                        return fed;
                    }
                    fed.take(end.map_or(rest.len(), |n| n + 1));
                    if end.is_some() {
                        let line = std::mem::take(&mut self.line);
                        self.size(&line, &mut fed);
                        if fed.invalid_chunk {
                            data(&line);
                            return fed;
                        }
                    }
                }
                At::Trailer => {
                    let end = memchr::memchr(b'\n', rest);
                    let piece = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
                    if self.line.len() < SIZE_LINE_CAP {
                        let room = SIZE_LINE_CAP - self.line.len();
                        self.line.extend_from_slice(piece.get(..room).unwrap_or(piece));
                    }
                    fed.used += end.map_or(rest.len(), |n| n + 1);
                    if end.is_some() && blank(&std::mem::take(&mut self.line)) {
                        fed.done = true;
                        return fed;
                    }
                }
            }
        }
        fed
    }

    /// Begins the chunk that a size line tells of.
    fn size(&mut self, line: &[u8], fed: &mut Fed) {
        // An empty line where a size should be is passed over.
        if blank(line) {
            return;
        }
        let line = line.trim_ascii();
        let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let size = line.iter().take(digits).try_fold(0u64, |size, &b| {
            let digit = char::from(b).to_digit(16).map_or(0, u64::from);
            (size <= CHUNK_CAP).then(|| (size << 4) + digit)
        });
        fed.extension |= digits < line.len();
        match size {
            Some(0) => self.at = At::Trailer,
            Some(size) if size <= CHUNK_CAP => {
                self.left = size;
                self.at = At::Data;
            }
            _ => fed.invalid_chunk = true,
        }
    }

    fn gap(&mut self, bytes: u64) -> u64 {
        match self.at {
            At::Data if bytes <= self.left => {
                self.left -= bytes;
                if self.left == 0 {
                    self.at = At::DataEnd;
                }
                bytes
            }
            At::Data => self.left,
            At::Size | At::DataEnd | At::Trailer => 0,
        }
    }
}

impl Fed {
    fn take(&mut self, n: usize) {
        self.used += n;
        self.length += n as u64;
    }
}

fn blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// Whether a line begins as the size of a chunk does.
fn may_be_size(line: &[u8]) -> bool {
    line.trim_ascii_start().first().is_none_or(u8::is_ascii_hexdigit)
}

/// What the fields of a head say about its body.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) chunked: bool,
    /// `Transfer-Encoding` says something else too.
    pub(super) odd_coding: bool,
    /// There is a `Transfer-Encoding`.
    pub(super) coded: bool,
    pub(super) length: Option<u64>,
    /// There is a `Content-Length` that is no number.
    pub(super) bad_length: bool,
    /// Lengths differ.
    pub(super) ambiguous: bool,
    pub(super) junk_before: bool,
    pub(super) junk_after: bool,
}

impl Told {
    /// Reads `Transfer-Encoding` and `Content-Length`.
    pub(super) fn by(head: &Head) -> Self {
        let mut told = Self::default();
        for coding in head.all("transfer-encoding") {
            told.coded = true;
            // Real implementations look past NUL bytes.
            let mut coding: Vec<u8> = coding.iter().copied().filter(|&b| b != 0).collect();
            coding.make_ascii_lowercase();
            told.chunked |= memchr::memmem::find(&coding, b"chunked").is_some();
            told.odd_coding |= coding.trim_ascii() != b"chunked";
        }
        for value in head.all("content-length") {
            let before = value.iter().take_while(|b| !b.is_ascii_digit()).count();
            let digits: &[u8] = value.get(before..).unwrap_or_default();
            let n = digits.iter().take_while(|b| b.is_ascii_digit()).count();
            told.junk_before |= before > 0 && n > 0;
            told.junk_after |= n < digits.len();
            let length = digits
                .iter()
                .take(n)
                .try_fold(0u64, |sum, d| sum.checked_mul(10)?.checked_add(u64::from(d - b'0')))
                .filter(|_| n > 0);
            match (told.length, length) {
                (None, None) => told.bad_length = true,
                (None, Some(length)) => told.length = Some(length),
                (Some(first), second) => told.ambiguous |= Some(first) != second,
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(bytes: &[u8], size: usize) -> (Vec<u8>, u64, bool, bool) {
        let mut framing = Framing::Chunked(Chunked::default());
        let (mut got, mut length, mut done, mut invalid) = (Vec::new(), 0, false, false);
        for piece in bytes.chunks(size) {
            let mut rest = piece;
            while !rest.is_empty() && !done {
                let fed = framing.feed(rest, &mut |b| got.extend_from_slice(b));
                rest = &rest[fed.used..];
                length += fed.length;
                done |= fed.done;
                invalid |= fed.invalid_chunk;
            }
        }
        (got, length, done, invalid)
    }

    #[test]
    fn chunks_are_joined_however_they_are_cut() {
        let body = b"3;x=y\r\nabc\r\n 02 \nde\n\r\n0\r\nTrailer: x\r\n\r\n";
        for size in 1..body.len() {
            assert_eq!(run(body, size), (b"abcde".to_vec(), 25, true, false), "{size}");
        }
    }

    #[test]
    fn what_is_no_chunk_is_body() {
        for size in 1..12 {
            let (got, .., invalid) = run(b"2\r\nab\r\n<html>\r\nx", size);
            assert_eq!((got, invalid), (b"ab<html>\r\nx".to_vec(), true), "{size}");
            assert!(run(b"80000000\r\nx", size).3);
        }
    }
}
