//! Reads a mail line by line: headers, parts, attachments (RFC 5322, RFC 2045, RFC 2046).

use super::decode::{self, Base64};
use super::email::Email;
use crate::{FileTracker, Outcome, Text, Wants};
use flowtrack_event::{Direction, FileState, hex};
use md5::{Digest as _, Md5};

/// Longest piece of a line looked at in one go; a longer line comes in several.
const PIECE_CAP: usize = 8192;
/// Longest header with its continuation lines.
const HEADER_CAP: usize = 16 * 1024;
/// Boundaries that may be open inside each other.
const NESTING_CAP: usize = 16;
/// Files of one mail that are followed.
const FILE_CAP: usize = 256;
/// Bytes kept for rules of one file, and of all files of a mail.
const CONTENT_CAP: usize = 100_000;
const CONTENTS_CAP: usize = 400_000;
/// Longest boundary; RFC 2046 section 5.1.1 allows 70.
const BOUNDARY_CAP: usize = 256;

/// Reads one mail.
pub(super) struct MailReader {
    wants: Wants,
    tx_id: u64,
    email: Email,
    cutter: Cutter,
    /// Whether the headers are the mail's own, not those of a part.
    outermost: bool,
    in_headers: bool,
    header: Vec<u8>,
    /// What a line of a body decodes to; kept to be used again.
    decoded: Vec<u8>,
    boundaries: Vec<Vec<u8>>,
    part: Part,
    files: usize,
    kept: usize,
    duplicates: bool,
    /// A boundary is too long to be one.
    long_boundary: bool,
    strange: bool,
    gaps: bool,
    /// Of all lines behind the headers of the mail, for rules.
    body: Option<Md5>,
}

/// A part of the mail, or the whole.
#[derive(Default)]
struct Part {
    encoding: Encoding,
    kind: Kind,
    filename: Filename,
    boundary: Option<Vec<u8>>,
    file: Option<FileTracker>,
    /// Whether it has a name, which makes it a file.
    attached: bool,
    content: Vec<u8>,
    base64: Base64,
    /// A line end that belongs to the part only if more of it follows.
    line_end: bool,
    begun: bool,
    /// A line of text that is not complete, for links.
    text: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Encoding {
    #[default]
    Plain,
    Base64,
    QuotedPrintable,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Kind {
    #[default]
    Text,
    Multipart,
    Message,
    Other,
}

/// A file name, maybe in numbered pieces (RFC 2231 section 3).
#[derive(Default)]
struct Filename {
    whole: Option<Vec<u8>>,
    pieces: Vec<u8>,
}

impl MailReader {
    pub(super) fn new(wants: Wants, tx_id: u64) -> Self {
        Self {
            wants,
            tx_id,
            email: Email::default(),
            cutter: Cutter::default(),
            outermost: true,
            in_headers: true,
            header: Vec::new(),
            decoded: Vec::new(),
            boundaries: Vec::new(),
            part: Part::default(),
            files: 0,
            kept: 0,
            duplicates: false,
            long_boundary: false,
            strange: false,
            gaps: false,
            body: None,
        }
    }

    /// Bytes of `DATA`: a line with a dot alone ends the mail, and other lines that begin with a dot
    /// lose it. Says how many bytes it used and whether the mail ended.
    pub(super) fn dotted(&mut self, bytes: &[u8], out: &mut Outcome) -> (usize, bool) {
        let mut cutter = std::mem::take(&mut self.cutter);
        let mut ended = false;
        let used = cutter.cut(bytes, |line, begins, ends| {
            let line = if begins && line.first() == Some(&b'.') {
                if line == b"." && ends {
                    ended = true;
                    return false;
                }
                line.get(1..).unwrap_or_default()
            } else {
                line
            };
            self.line(line, begins, ends, out);
            true
        });
        self.cutter = cutter;
        (used, ended)
    }

    /// Bytes of `BDAT`, which are as they are.
    pub(super) fn plain(&mut self, bytes: &[u8], out: &mut Outcome) {
        let mut cutter = std::mem::take(&mut self.cutter);
        cutter.cut(bytes, |line, begins, ends| {
            self.line(line, begins, ends, out);
            true
        });
        self.cutter = cutter;
    }

    /// So many bytes are missing.
    pub(super) fn gap(&mut self, bytes: u64) {
        self.gaps = true;
        self.cutter = Cutter::default();
        self.header.clear();
        if let Some(file) = &mut self.part.file {
            file.gap(bytes);
        }
    }

    /// The mail is over.
    pub(super) fn finish(mut self, state: FileState, out: &mut Outcome) -> Email {
        let rest = std::mem::take(&mut self.cutter);
        if !rest.held.is_empty() {
            self.line(&rest.held, !rest.inside, true, out);
        }
        if self.in_headers {
            self.end_of_header();
        }
        self.end_of_part(state, out);
        if let Some(body) = self.body.take().filter(|_| !self.gaps) {
            self.email.body_md5 = Some(Text::new(hex(&body.finalize()).as_bytes()));
        }
        if self.long_boundary {
            out.anomaly("mime_long_boundary", Some(self.tx_id));
        }
        if self.duplicates {
            out.anomaly("duplicate_fields", Some(self.tx_id));
        }
        if self.strange {
            out.anomaly("mime_invalid_base64", Some(self.tx_id));
        }
        self.email.status =
            if state == FileState::Closed && !self.gaps { "PARSE_DONE" } else { "BODY_STARTED" };
        self.email
    }

    /// One line or a piece of one, without its end.
    fn line(&mut self, line: &[u8], begins: bool, ends: bool, out: &mut Outcome) {
        if self.wants == Wants::default() {
            // Only where the mail ends is asked for.
            return;
        }
        if !self.outermost && self.wants.buffers && self.wants.hashes {
            let body = self.body.get_or_insert_default();
            body.update(line);
            if ends {
                body.update(b"\r\n");
            }
        }
        if begins && line.starts_with(b"--") && self.at_boundary(line, out) {
            return;
        }
        if self.in_headers {
            self.header_line(line, begins);
        } else {
            self.body_line(line, begins, ends);
        }
    }

    /// Whether a line parts two parts; if so, goes over to the next one.
    fn at_boundary(&mut self, line: &[u8], out: &mut Outcome) -> bool {
        let rest = line.get(2..).unwrap_or_default().trim_ascii_end();
        let is_it = |b: &Vec<u8>| {
            rest.strip_prefix(&b[..]).is_some_and(|tail| tail.is_empty() || tail == b"--")
        };
        let Some(at) = self.boundaries.iter().rposition(is_it) else { return false };
        let closing = self.boundaries.get(at).is_some_and(|b| rest.len() > b.len());
        if self.in_headers {
            self.end_of_header();
        }
        self.end_of_part(FileState::Closed, out);
        self.boundaries.truncate(if closing { at } else { at + 1 });
        self.outermost = false;
        self.in_headers = !closing;
        // What follows the last part is for nobody.
        self.part =
            Part { kind: if closing { Kind::Multipart } else { Kind::Text }, ..Part::default() };
        true
    }

    fn header_line(&mut self, line: &[u8], begins: bool) {
        if begins && line.is_empty() {
            self.end_of_header();
            self.end_of_headers();
            return;
        }
        let folded = !begins || line.first().is_some_and(|b| *b == b' ' || *b == b'\t');
        if !folded {
            self.end_of_header();
        }
        let room = HEADER_CAP.saturating_sub(self.header.len());
        let line = if begins && folded && !self.header.is_empty() {
            if self.header.len() < HEADER_CAP {
                self.header.push(b' ');
            }
            line.trim_ascii_start()
        } else {
            line
        };
        self.header.extend_from_slice(line.get(..room).unwrap_or(line));
    }

    /// A header is complete.
    fn end_of_header(&mut self) {
        let header = std::mem::take(&mut self.header);
        let Some(colon) = memchr::memchr(b':', &header) else { return };
        let (name, value) = header.split_at_checked(colon).unwrap_or_default();
        let (name, value) = (name.trim_ascii(), value.get(1..).unwrap_or_default().trim_ascii());
        if self.outermost {
            self.duplicates |= self.email.header(name, value);
        }
        match &name.to_ascii_lowercase()[..] {
            b"content-type" => {
                let (kind, parameters) = first_of(value);
                let kind = kind.to_ascii_lowercase();
                self.part.kind = match &kind[..] {
                    b"message/rfc822" => Kind::Message,
                    k if k.starts_with(b"multipart/") => Kind::Multipart,
                    k if k.starts_with(b"text/") => Kind::Text,
                    _ => Kind::Other,
                };
                let Self { part, long_boundary, .. } = self;
                parameters_of(parameters, |name, value| match name {
                    b"boundary" if value.len() > BOUNDARY_CAP => *long_boundary = true,
                    b"boundary" if !value.is_empty() => part.boundary = Some(value.to_vec()),
                    _ => part.filename.parameter(name, value, b"name"),
                });
            }
            b"content-transfer-encoding" => {
                self.part.encoding = match &value.to_ascii_lowercase()[..] {
                    b"base64" => Encoding::Base64,
                    b"quoted-printable" => Encoding::QuotedPrintable,
                    _ => Encoding::Plain,
                };
            }
            b"content-disposition" => {
                let (_, parameters) = first_of(value);
                let filename = &mut self.part.filename;
                parameters_of(parameters, |name, value| {
                    filename.parameter(name, value, b"filename");
                });
            }
            _ => {}
        }
    }

    /// An empty line ended the headers.
    fn end_of_headers(&mut self) {
        self.in_headers = false;
        self.outermost = false;
        if let Some(boundary) = self.part.boundary.take()
            && self.part.kind == Kind::Multipart
            && self.boundaries.len() < NESTING_CAP
        {
            self.boundaries.push(boundary);
        }
        let filename = std::mem::take(&mut self.part.filename).get();
        if let Some(name) = filename.filter(|_| self.part.kind != Kind::Multipart) {
            self.email.attached(&name);
            self.part.attached = true;
            if self.files < FILE_CAP && self.wants.files {
                self.files += 1;
                let file = FileTracker::new(self.wants, self.tx_id, Direction::ToServer, &name);
                self.part.file = Some(file);
            }
        } else if self.part.kind == Kind::Message && self.part.encoding == Encoding::Plain {
            // A mail inside the mail has headers of its own.
            self.part = Part::default();
            self.in_headers = true;
        }
    }

    fn body_line(&mut self, line: &[u8], begins: bool, ends: bool) {
        let part = &mut self.part;
        if part.kind == Kind::Multipart {
            return;
        }
        let mut bytes = std::mem::take(&mut self.decoded);
        bytes.clear();
        if begins && std::mem::take(&mut part.line_end) && part.encoding != Encoding::Base64 {
            bytes.extend_from_slice(b"\r\n");
        }
        part.begun = true;
        match part.encoding {
            Encoding::Plain => {
                bytes.extend_from_slice(line);
                part.line_end = ends;
            }
            Encoding::Base64 => {
                part.base64.decode(line, &mut bytes);
                self.strange |= part.base64.strange;
            }
            Encoding::QuotedPrintable => {
                part.line_end = !decode::quoted_printable(line, &mut bytes) && ends;
            }
        }
        let keeps = self.wants.buffers && self.kept < CONTENTS_CAP;
        part.take(&bytes, keeps, &mut self.email);
        self.decoded = bytes;
    }

    fn end_of_part(&mut self, state: FileState, out: &mut Outcome) {
        let mut part = std::mem::take(&mut self.part);
        let mut bytes = Vec::new();
        part.base64.pad(&mut bytes);
        let keeps = self.wants.buffers && self.kept < CONTENTS_CAP;
        part.take(&bytes, keeps, &mut self.email);
        self.email.links(&part.text);
        if let Some(file) = part.file.take() {
            out.file(file.done(state));
        }
        if !part.content.is_empty() {
            self.kept += part.content.len();
            self.email.contents.push(part.content);
        }
    }
}

impl Part {
    /// Decoded bytes of the part.
    fn take(&mut self, bytes: &[u8], keeps: bool, email: &mut Email) {
        if bytes.is_empty() {
            return;
        }
        if let Some(file) = &mut self.file {
            file.data(bytes);
        }
        if keeps && self.attached {
            let room = CONTENT_CAP.saturating_sub(self.content.len());
            self.content.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        }
        if self.kind == Kind::Text {
            self.links(bytes, email);
        }
    }

    /// Looks for links in whole lines; a line longer than the cap is looked at in pieces.
    fn links(&mut self, bytes: &[u8], email: &mut Email) {
        let mut rest = bytes;
        while let Some(at) = memchr::memchr(b'\n', rest) {
            let (line, tail) = rest.split_at_checked(at + 1).unwrap_or((rest, &[]));
            if self.text.is_empty() {
                email.links(line);
            } else {
                self.text.extend_from_slice(line);
                email.links(&std::mem::take(&mut self.text));
            }
            rest = tail;
        }
        while !rest.is_empty() {
            let room = PIECE_CAP.saturating_sub(self.text.len());
            let (piece, tail) = rest.split_at_checked(room.min(rest.len())).unwrap_or((rest, &[]));
            self.text.extend_from_slice(piece);
            rest = tail;
            if self.text.len() >= PIECE_CAP {
                email.links(&std::mem::take(&mut self.text));
            }
        }
    }
}

impl Filename {
    /// A parameter that may name the file: `name`, `name*`, `name*0`, `name*0*`, ...
    fn parameter(&mut self, parameter: &[u8], value: &[u8], name: &[u8]) {
        let Some(tail) = parameter.strip_prefix(name) else { return };
        match tail {
            [] => {
                self.whole.get_or_insert_with(|| value.to_vec());
            }
            [b'*'] => self.whole = Some(percent_decoded(without_charset(value))),
            [b'*', number @ ..] if self.pieces.len() + value.len() < HEADER_CAP => {
                match number.strip_suffix(b"*") {
                    Some(b"0") => self.pieces.extend(percent_decoded(without_charset(value))),
                    Some(_) => self.pieces.extend(percent_decoded(value)),
                    None => self.pieces.extend_from_slice(value),
                }
            }
            _ => {}
        }
    }

    fn get(self) -> Option<Vec<u8>> {
        let pieces = Some(self.pieces).filter(|p| !p.is_empty());
        pieces.or(self.whole).filter(|name| !name.is_empty())
    }
}

/// What follows `charset'language'` (RFC 2231 section 4).
fn without_charset(value: &[u8]) -> &[u8] {
    value.splitn(3, |&b| b == b'\'').nth(2).unwrap_or(value)
}

fn percent_decoded(value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.iter();
    while let Some(&byte) = rest.next() {
        let pair = rest.as_slice().first_chunk::<2>();
        let decoded = pair
            .filter(|_| byte == b'%')
            .and_then(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        if let Some(decoded) = decoded {
            bytes.push(decoded);
            rest.next();
            rest.next();
        } else {
            bytes.push(byte);
        }
    }
    bytes
}

/// A header's value before its parameters, and these.
fn first_of(value: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    let (first, rest) = value.split_at_checked(end).unwrap_or((value, &[]));
    (first.trim_ascii(), rest)
}

/// Shows every `name=value` or `name="value"`, names in lower case.
fn parameters_of(text: &[u8], mut show: impl FnMut(&[u8], &[u8])) {
    let mut rest = text;
    loop {
        let skip = rest.iter().position(|b| !matches!(b, b';' | b' ' | b'\t' | b'\r' | b'\n'));
        let Some(tail) = skip.and_then(|n| rest.get(n..)) else { return };
        let Some(end) = tail.iter().position(|b| matches!(b, b'=' | b';')) else { return };
        let (name, tail) = tail.split_at_checked(end).unwrap_or((tail, &[]));
        let Some(value) = tail.strip_prefix(b"=") else {
            rest = tail;
            continue;
        };
        let value = value.trim_ascii_start();
        let name = name.trim_ascii().to_ascii_lowercase();
        if let Some(quoted) = value.strip_prefix(b"\"") {
            let mut text = Vec::new();
            let mut bytes = quoted.iter();
            while let Some(&byte) = bytes.next() {
                match byte {
                    b'"' => break,
                    b'\\' => text.extend(bytes.next()),
                    _ => text.push(byte),
                }
            }
            show(&name, &text);
            rest = bytes.as_slice();
        } else {
            let end = memchr::memchr(b';', value).unwrap_or(value.len());
            let (value, tail) = value.split_at_checked(end).unwrap_or((value, &[]));
            show(&name, value.trim_ascii());
            rest = tail;
        }
    }
}

/// Cuts bytes into lines, and lines that are too long into pieces of one size.
#[derive(Default)]
struct Cutter {
    held: Vec<u8>,
    /// Whether the line began in an earlier piece.
    inside: bool,
}

impl Cutter {
    /// Shows every line without its CR LF or LF, whether the piece begins it and whether it ends it;
    /// stops when told, and says how many bytes it used.
    fn cut(&mut self, bytes: &[u8], mut show: impl FnMut(&[u8], bool, bool) -> bool) -> usize {
        let mut used = 0;
        while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            let room = PIECE_CAP.saturating_sub(self.held.len()).max(1);
            let window = rest.get(..room).unwrap_or(rest);
            let end = memchr::memchr(b'\n', window);
            let piece = window.get(..end.unwrap_or(window.len())).unwrap_or_default();
            used += piece.len() + usize::from(end.is_some());
            if end.is_none() && self.held.len() + piece.len() < PIECE_CAP {
                self.held.extend_from_slice(piece);
                break;
            }
            let held = std::mem::take(&mut self.held);
            let joined;
            let mut line = if held.is_empty() {
                piece
            } else {
                joined = [&held, piece].concat();
                &joined[..]
            };
            if end.is_some() {
                line = line.strip_suffix(b"\r").unwrap_or(line);
            }
            let begins = !std::mem::replace(&mut self.inside, end.is_none());
            if !show(line, begins, end.is_some()) {
                break;
            }
        }
        used
    }
}
