//! Files that are sent as parts of a form (RFC 7578).

use super::fields::filename_of;
use super::head::{EndFinder, Head, Side};
use super::payload::{KEPT_CAP, Part};
use crate::{FileTracker, Outcome, Wants};
use flowtrack_event::{Direction, FileState};

/// Longest boundary that is followed; RFC 2046 section 5.1.1 allows 70.
pub(crate) const BOUNDARY_CAP: usize = 256;
/// Longest head of a part.
const PART_HEAD_CAP: usize = 8 * 1024;
/// Files of one form that are kept for rules.
const PARTS_CAP: usize = 64;

/// Follows the parts of a form.
pub(crate) struct Multipart {
    wants: Wants,
    tx_id: u64,
    direction: Direction,
    /// LF, two dashes and the boundary: what ends a part, with a CR before it or without.
    delimiter: Vec<u8>,
    /// Bytes that may be the beginning of a delimiter, or a part's head so far.
    held: Vec<u8>,
    at: At,
    file: Option<FileTracker>,
    /// What rules want to see, and how many bytes more.
    parts: Vec<Part>,
    room: usize,
}

#[derive(Clone, Copy, Debug)]
enum At {
    /// Before a delimiter, inside a part or ahead of the first.
    Part,
    /// Behind a delimiter.
    Head(EndFinder),
    Over,
}

impl Multipart {
    pub(crate) fn new(wants: Wants, tx_id: u64, direction: Direction, boundary: &[u8]) -> Self {
        let delimiter = [b"\n--", boundary].concat();
        // The first delimiter has no line before it.
        let held = vec![b'\n'];
        let (parts, room) = (Vec::new(), if wants.buffers { KEPT_CAP } else { 0 });
        Self { wants, tx_id, direction, delimiter, held, at: At::Part, file: None, parts, room }
    }

    pub(crate) fn data(&mut self, bytes: &[u8], out: &mut Outcome) {
        if matches!(self.at, At::Over) {
            return;
        }
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        let mut rest = &all[..];
        loop {
            match &mut self.at {
                At::Over => return,
                At::Part => match memchr::memmem::find(rest, &self.delimiter) {
                    Some(at) => {
                        let (content, after) = rest.split_at_checked(at).unwrap_or_default();
                        self.content(content.strip_suffix(b"\r").unwrap_or(content));
                        self.end(FileState::Closed, out);
                        rest = after.get(self.delimiter.len()..).unwrap_or_default();
                        self.at = At::Head(EndFinder::default());
                    }
                    None => {
                        // What may be the beginning of a delimiter waits.
                        let keep = (self.delimiter.len() + 1).min(rest.len());
                        let (content, tail) =
                            rest.split_at_checked(rest.len() - keep).unwrap_or_default();
                        self.content(content);
                        self.held = tail.to_vec();
                        return;
                    }
                },
                At::Head(_) if rest.starts_with(b"--") => self.at = At::Over,
                At::Head(finder) => match finder.find_in_part(rest) {
                    Some(end) => {
                        let (head, after) = rest.split_at_checked(end).unwrap_or_default();
                        rest = after;
                        self.begin(head);
                        self.at = At::Part;
                    }
                    None if rest.len() > PART_HEAD_CAP => self.at = At::Over,
                    None => {
                        self.held = rest.to_vec();
                        return;
                    }
                },
            }
        }
    }

    pub(crate) fn gap(&mut self, bytes: u64) {
        self.held = Vec::new();
        match (&mut self.file, self.at) {
            (Some(file), At::Part) => file.gap(bytes),
            _ => self.at = At::Part,
        }
    }

    pub(crate) fn finish(mut self, state: FileState, out: &mut Outcome) -> Vec<Part> {
        if matches!(self.at, At::Part) {
            let held = std::mem::take(&mut self.held);
            self.content(&held);
        }
        // A part that no delimiter ended is cut off.
        let state = if state == FileState::Closed { FileState::Truncated } else { state };
        self.end(state, out);
        self.parts
    }

    fn begin(&mut self, head: &[u8]) {
        // What follows the boundary in its line stands where a first line would.
        let head = Head::read(&[b"part", head].concat(), Side::Request);
        let disposition = head.get("content-disposition");
        let name = disposition.as_deref().and_then(filename_of);
        let Some(name) = name else { return };
        if self.wants.buffers && self.parts.len() < PARTS_CAP {
            self.parts.push(Part { filename: name.to_vec(), content: Vec::new() });
        }
        self.file = Some(FileTracker::new(self.wants, self.tx_id, self.direction, &name));
    }

    fn content(&mut self, bytes: &[u8]) {
        let Some(file) = &mut self.file else { return };
        file.data(bytes);
        if let Some(part) = self.parts.last_mut() {
            let kept = bytes.get(..self.room).unwrap_or(bytes);
            part.content.extend_from_slice(kept);
            self.room -= kept.len();
        }
    }

    fn end(&mut self, state: FileState, out: &mut Outcome) {
        if let Some(file) = self.file.take()
            && self.wants.files
        {
            out.file(file.done(state));
        }
    }
}
