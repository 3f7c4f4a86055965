//! Where the body of a message goes: counted, decoded, followed as a file, kept for rules.

use super::decode::{Budget, Decoder};
use super::multipart::Multipart;
use crate::{FileTracker, Outcome, Wants};
use flowtrack_event::{Direction, FileState};

/// Bytes of a body kept for rules.
pub(crate) const KEPT_CAP: usize = 100 * 1024;

/// What is known of a body before it comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) wants: Wants,
    pub(crate) tx_id: u64,
    pub(crate) direction: Direction,
    /// `Content-Encoding`.
    pub(crate) encoding: Option<&'a [u8]>,
    /// What the file is called; `None` where the body is no file.
    pub(crate) filename: Option<&'a [u8]>,
    /// First and last offset where only a range is carried.
    pub(crate) range: Option<(u64, u64)>,
    /// What stands between the parts of a form.
    pub(crate) boundary: Option<&'a [u8]>,
    /// Bytes of it to keep even where no rule wants them.
    pub(crate) keep: usize,
}

/// A body on its way.
pub(crate) struct Payload {
    tx_id: u64,
    decoder: Option<Decoder>,
    content: Content,
    /// Bytes as they were sent, behind the framing of chunks.
    pub(crate) length: u64,
}

/// Takes the decoded bytes.
struct Content {
    carrier: Carrier,
    kept: Option<Vec<u8>>,
    /// Bytes that may be kept.
    keep: usize,
    /// What the file is called, for rules.
    filename: Option<Vec<u8>>,
    /// Files that ended, to be told.
    any: bool,
}

enum Carrier {
    Nothing,
    File(Box<FileTracker>),
    Form(Box<Multipart>),
}

/// What was left of a body at its end.
#[derive(Clone, Default, Debug)]
pub(crate) struct Left {
    /// Bytes as they were sent.
    pub(crate) length: u64,
    /// The beginning of its decoded bytes, if anybody wants it.
    pub(crate) kept: Vec<u8>,
    /// What it is called, where it is a file and rules want it.
    pub(crate) filename: Option<Vec<u8>>,
    /// The files in it, where it is a form and rules want them.
    pub(crate) parts: Vec<Part>,
}

/// A file that is part of a form.
#[derive(Clone, Default, Debug)]
pub(crate) struct Part {
    /// What it is called.
    pub(crate) filename: Vec<u8>,
    /// Its beginning.
    pub(crate) content: Vec<u8>,
}

impl Payload {
    pub(crate) fn new(plan: &Plan<'_>, out: &mut Outcome) -> Self {
        let Plan { wants, tx_id, direction, .. } = *plan;
        let carrier = match (plan.filename, plan.boundary) {
            _ if !wants.files && !wants.buffers => Carrier::Nothing,
            (_, Some(boundary)) => {
                Carrier::Form(Box::new(Multipart::new(wants, tx_id, direction, boundary)))
            }
            (Some(filename), None) if wants.files => {
                let mut file = FileTracker::new(wants, tx_id, direction, filename);
                if let Some((first, last)) = plan.range {
                    file = file.with_range(first, last);
                }
                Carrier::File(Box::new(file))
            }
            _ => Carrier::Nothing,
        };
        let reads = wants.files || wants.buffers || plan.keep > 0;
        let mut payload = Self {
            tx_id,
            decoder: plan.encoding.filter(|_| reads).and_then(Decoder::by),
            content: Content {
                carrier,
                kept: (wants.buffers || plan.keep > 0).then(Vec::new),
                keep: if wants.buffers { KEPT_CAP } else { plan.keep.min(KEPT_CAP) },
                filename: plan.filename.filter(|_| wants.buffers).map(<[u8]>::to_vec),
                any: false,
            },
            length: 0,
        };
        payload.tell(out);
        payload
    }

    /// Bytes it keeps.
    pub(crate) fn weight(&self) -> usize {
        self.content.kept.as_ref().map_or(0, Vec::len)
    }

    /// The next bytes, behind the framing.
    pub(crate) fn data(&mut self, bytes: &[u8], budget: &Budget, out: &mut Outcome) {
        if bytes.is_empty() {
            return;
        }
        self.length = self.length.saturating_add(bytes.len() as u64);
        let content = &mut self.content;
        match &mut self.decoder {
            None => content.data(bytes, out),
            Some(decoder) => {
                decoder.feed(bytes, budget, &mut |b| content.data(b, out));
                self.tell(out);
            }
        }
    }

    /// So many bytes were never seen. What is encoded cannot be read behind them.
    pub(crate) fn gap(&mut self, bytes: u64) {
        if bytes == 0 {
            return;
        }
        self.length = self.length.saturating_add(bytes);
        match &mut self.content.carrier {
            Carrier::File(file) => {
                file.gap(bytes);
                self.content.any = true;
            }
            Carrier::Form(form) => form.gap(bytes),
            Carrier::Nothing => {}
        }
        if let Some(decoder) = &mut self.decoder {
            decoder.lose();
        }
    }

    /// After the last byte.
    pub(crate) fn finish(mut self, state: FileState, budget: &Budget, out: &mut Outcome) -> Left {
        let content = &mut self.content;
        if let Some(decoder) = &mut self.decoder {
            decoder.finish(budget, &mut |b| content.data(b, out));
        }
        let mut left = Left { length: self.length, ..Left::default() };
        match self.content.carrier {
            // A body without a byte is no file.
            Carrier::File(file) if self.content.any => out.file(file.done(state)),
            Carrier::Form(form) => {
                left.parts = form.finish(state, out);
                self.content.filename = None;
            }
            Carrier::File(_) | Carrier::Nothing => {}
        }
        left.kept = self.content.kept.unwrap_or_default();
        left.filename = self.content.filename.filter(|_| self.content.any);
        left
    }

    /// Passes on what the decoder found odd.
    fn tell(&mut self, out: &mut Outcome) {
        if let Some(decoder) = &mut self.decoder {
            for name in decoder.odd.drain(..) {
                out.anomaly(name, Some(self.tx_id));
            }
        }
    }
}

impl Content {
    fn data(&mut self, bytes: &[u8], out: &mut Outcome) {
        self.any |= !bytes.is_empty();
        if let Some(kept) = &mut self.kept {
            let room = self.keep.saturating_sub(kept.len());
            kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        }
        match &mut self.carrier {
            Carrier::File(file) => file.data(bytes),
            Carrier::Form(form) => form.data(bytes, out),
            Carrier::Nothing => {}
        }
    }
}
