//! Content codings of bodies, in layers, with limits.
//!
//! What a message says of its coding and what its bytes are often differ, and readers forgive it:
//! so do these. A layer that turns out not to be encoded hands its bytes on as they are.

use flate2::{Decompress, FlushDecompress, Status};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::cell::Cell;
use std::io::Write;
use zstd::stream::raw::{DParameter, Decoder as Zstd, Operation as _};

/// Layers that are decoded.
const LAYERS_CAP: usize = 3;
/// Layers beyond which an anomaly is raised.
const LAYERS_USUAL: usize = 2;
/// Bytes that a decoder writes at a time.
const SCRATCH: usize = 16 * 1024;
/// Bytes kept so that a layer which cannot be decoded can be handed on as it is.
const HELD_CAP: usize = 1024;
/// Checksum and size behind a gzip member.
const GZIP_TRAILER: usize = 8;
/// Longest gzip header.
const GZIP_HEADER_CAP: usize = 8 * 1024;
/// Bytes that the bodies of a flow may grow to whatever their size was.
const FREE: u64 = 4 << 20;
/// How often they may grow beyond that.
const RATIO: u64 = 200;
/// Largest dictionary of LZMA.
const LZMA_MEMORY: usize = 1 << 20;
/// Largest window of Zstandard as a power of two; RFC 9659 asks for 8 MiB.
const ZSTD_WINDOW_LOG: u32 = 23;
/// Largest window of Brotli as a power of two.
const BROTLI_WINDOW_LOG: u8 = 22;
/// Input that a decoder is given at a time where its output has no cap of its own.
const SIP: usize = 256;

/// What decoding may cost, counted over all bodies of a flow.
#[derive(Default, Debug)]
pub(crate) struct Budget {
    taken: Cell<u64>,
    produced: Cell<u64>,
    spent: Cell<bool>,
}

impl Budget {
    fn took(&self, n: usize) {
        self.taken.set(self.taken.get().saturating_add(n as u64));
    }

    /// Whether so many bytes more may be made.
    fn allows(&self, n: usize) -> bool {
        let produced = self.produced.get().saturating_add(n as u64);
        self.produced.set(produced);
        let limit = self.taken.get().saturating_mul(RATIO).saturating_add(FREE);
        if produced > limit {
            self.spent.set(true);
        }
        !self.spent.get()
    }
}

/// A content coding (RFC 9110 section 8.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
    Lzma,
}

impl Coding {
    fn named(token: &[u8]) -> Option<Self> {
        let token = token.to_ascii_lowercase();
        // What stands around these two hinders no browser.
        let has = |name: &[u8]| memchr::memmem::find(&token, name).is_some();
        Some(match token.as_slice() {
            _ if has(b"gzip") => Self::Gzip,
            _ if has(b"deflate") => Self::Deflate,
            b"br" => Self::Brotli,
            b"zstd" => Self::Zstd,
            b"lzma" => Self::Lzma,
            _ => return None,
        })
    }
}

/// Undoes the codings of one body.
pub(crate) struct Decoder {
    layers: SmallVec<[Layer; 1]>,
    /// Names of what was odd, to be taken by the caller.
    pub(crate) odd: SmallVec<[&'static str; 1]>,
}

impl Decoder {
    /// By the value of `Content-Encoding`; `None` where nothing is encoded in a way known here.
    pub(crate) fn by(value: &[u8]) -> Option<Self> {
        // Real implementations look past NUL bytes.
        let value: Vec<u8> = value.iter().copied().filter(|&b| b != 0).collect();
        let mut odd = SmallVec::new();
        let mut layers = SmallVec::new();
        let mut named = 0;
        // The last coding named was applied last, and is undone first.
        for token in value.rsplit(|b| matches!(b, b',' | b' ' | b'\t')) {
            if token.is_empty() || token.eq_ignore_ascii_case(b"identity") {
                continue;
            }
            named += 1;
            match Coding::named(token) {
                Some(coding) if layers.len() < LAYERS_CAP => layers.push(Layer::new(coding)),
                None if odd.is_empty() => odd.push("abnormal_ce_header"),
                Some(_) | None => {}
            }
        }
        if named > LAYERS_USUAL {
            odd.push("too_many_encoding_layers");
        }
        (named > 0).then_some(Self { layers, odd })
    }

    /// Takes bytes as they were sent, and hands on what they were.
    pub(crate) fn feed(&mut self, bytes: &[u8], budget: &Budget, sink: &mut dyn FnMut(&[u8])) {
        if budget.spent.get() {
            return;
        }
        budget.took(bytes.len());
        let failed = through(&mut self.layers, bytes, budget, sink);
        if budget.spent.get() {
            self.odd.push("compression_bomb");
        } else if let Some(name) = failed {
            self.odd.push(name);
        }
    }

    /// Bytes were lost: what follows cannot be decoded.
    pub(crate) fn lose(&mut self) {
        for layer in &mut self.layers {
            layer.stage = Stage::Over;
        }
    }

    /// After the last byte: what was held back to see what it is comes through as it is.
    pub(crate) fn finish(&mut self, budget: &Budget, sink: &mut dyn FnMut(&[u8])) {
        for at in 0..self.layers.len() {
            if let Some((layer, inner)) =
                self.layers.get_mut(at..).and_then(<[Layer]>::split_first_mut)
            {
                layer.finish(&mut |b| {
                    let _ = through(inner, b, budget, sink);
                });
            }
        }
    }
}

/// Passes bytes through the layers, of which there are at most [`LAYERS_CAP`].
fn through(
    layers: &mut [Layer],
    bytes: &[u8],
    budget: &Budget,
    sink: &mut dyn FnMut(&[u8]),
) -> Option<&'static str> {
    let Some((layer, inner)) = layers.split_first_mut() else {
        sink(bytes);
        return None;
    };
    let mut inner_failed = None;
    let failed = layer.feed(bytes, &mut |made| {
        let allowed = budget.allows(made.len());
        if allowed {
            inner_failed = inner_failed.or(through(inner, made, budget, sink));
        }
        allowed
    });
    failed.or(inner_failed)
}

/// One coding of a body.
struct Layer {
    coding: Coding,
    stage: Stage,
    /// Bytes from the beginning while nothing was made of them.
    held: Vec<u8>,
    made_any: bool,
}

enum Stage {
    /// The first bytes decide what it is.
    Begin,
    Inflate {
        state: Box<Inflate>,
        is_gzip: bool,
        /// Whether a beginning that fails is tried again without a header.
        may_be_raw: bool,
    },
    /// So many bytes behind a gzip member.
    Trailer(usize),
    Brotli(Box<Brotli>),
    Zstd(Box<Zstd<'static>>),
    Lzma(Box<lzma_rs::decompress::Stream<Vec<u8>>>),
    /// It was not encoded.
    Plain,
    /// It ended, or cannot be decoded further.
    Over,
}

struct Inflate {
    state: Decompress,
    scratch: Box<[u8]>,
}

type Brotli = brotli_decompressor::BrotliState<
    brotli_decompressor::StandardAlloc,
    brotli_decompressor::StandardAlloc,
    brotli_decompressor::StandardAlloc,
>;

/// Takes what a layer made, and answers whether more may come.
type Emit<'a> = &'a mut dyn FnMut(&[u8]) -> bool;

impl Layer {
    fn new(coding: Coding) -> Self {
        Self { coding, stage: Stage::Begin, held: Vec::new(), made_any: false }
    }

    /// Decodes bytes; answers what went wrong.
    fn feed(&mut self, bytes: &[u8], emit: Emit<'_>) -> Option<&'static str> {
        let mut input = Cow::Borrowed(bytes);
        if matches!(self.stage, Stage::Begin) && !self.held.is_empty() {
            let mut joined = std::mem::take(&mut self.held);
            joined.extend_from_slice(bytes);
            input = Cow::Owned(joined);
        }
        let mut at = 0;
        // Each turn uses up bytes or moves to a later stage.
        while let Some(rest) = input.get(at..).filter(|rest| !rest.is_empty()) {
            match &mut self.stage {
                Stage::Over => return None,
                Stage::Plain => {
                    if !emit(rest) {
                        self.stage = Stage::Over;
                    }
                    return None;
                }
                // Behind a gzip member only another one is read; anything else is padding.
                Stage::Begin if self.made_any && rest.first() != Some(&0x1f) => {
                    self.stage = Stage::Over;
                }
                Stage::Begin => match begin(self.coding, rest) {
                    Begin::Need => {
                        self.held = rest.to_vec();
                        return None;
                    }
                    Begin::Plain => self.stage = Stage::Plain,
                    Begin::Failed => return self.failed(&input, emit),
                    Begin::As(stage, skip) => {
                        self.stage = stage;
                        at += skip;
                    }
                },
                Stage::Trailer(left) => {
                    let n = rest.len().min(*left);
                    *left -= n;
                    at += n;
                    if *left == 0 {
                        self.stage = Stage::Begin;
                    }
                }
                _ => match self.decode(rest, emit) {
                    Ran::On => {
                        self.hold(&input);
                        return None;
                    }
                    Ran::Stopped => self.stage = Stage::Over,
                    Ran::Ended(used) => {
                        at += used;
                        let is_gzip = matches!(self.stage, Stage::Inflate { is_gzip: true, .. });
                        self.stage =
                            if is_gzip { Stage::Trailer(GZIP_TRAILER) } else { Stage::Over };
                    }
                    Ran::Failed => return self.failed(&input, emit),
                },
            }
        }
        None
    }

    /// Runs the decoder of the present stage.
    fn decode(&mut self, bytes: &[u8], emit: Emit<'_>) -> Ran {
        let Self { stage, made_any, .. } = self;
        let emit = &mut |b: &[u8]| {
            *made_any |= !b.is_empty();
            b.is_empty() || emit(b)
        };
        match stage {
            Stage::Inflate { state, .. } => state.run(bytes, emit),
            Stage::Brotli(state) => brotli(state, bytes, emit),
            Stage::Zstd(state) => zstd(state, bytes, emit),
            Stage::Lzma(state) => lzma(state, bytes, emit),
            Stage::Begin | Stage::Trailer(_) | Stage::Plain | Stage::Over => Ran::Stopped,
        }
    }

    /// Keeps bytes while it may still turn out that they are not encoded.
    fn hold(&mut self, bytes: &[u8]) {
        if self.made_any {
            self.held = Vec::new();
        } else {
            let room = HELD_CAP.saturating_sub(self.held.len());
            self.held.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        }
    }

    /// A stream cannot be decoded: perhaps it has no header, or is not encoded at all.
    fn failed(&mut self, bytes: &[u8], emit: Emit<'_>) -> Option<&'static str> {
        let name = match self.coding {
            Coding::Gzip | Coding::Deflate => "gzip_decompression_failed",
            Coding::Brotli | Coding::Zstd | Coding::Lzma => "decompression_failed",
        };
        if self.made_any || self.held.len() >= HELD_CAP {
            self.stage = Stage::Over;
            return Some(name);
        }
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        if matches!(self.stage, Stage::Inflate { may_be_raw: true, .. }) {
            let state = Inflate::new(false);
            self.stage = Stage::Inflate { state, is_gzip: false, may_be_raw: false };
            match self.decode(&all, emit) {
                Ran::On => {
                    self.hold(&all);
                    return None;
                }
                Ran::Failed if !self.made_any => {}
                _ => {
                    self.stage = Stage::Over;
                    return None;
                }
            }
        }
        self.stage = if emit(&all) { Stage::Plain } else { Stage::Over };
        Some(name)
    }

    /// Hands on what was held back, as it is.
    fn finish(&mut self, emit: &mut dyn FnMut(&[u8])) {
        let held = std::mem::take(&mut self.held);
        if !self.made_any && !held.is_empty() && !matches!(self.stage, Stage::Plain | Stage::Over) {
            emit(&held);
        } else if let Stage::Lzma(state) = &mut self.stage
            && let Some(output) = state.get_output_mut()
        {
            emit(&std::mem::take(output));
        }
        self.stage = Stage::Over;
    }
}

/// How far a decoder came with a piece of input.
enum Ran {
    /// It used all and waits for more.
    On,
    /// Its stream ended after so many bytes.
    Ended(usize),
    /// It may make no more.
    Stopped,
    /// The input is not of its coding.
    Failed,
}

enum Begin {
    Need,
    Plain,
    /// It is not of its coding.
    Failed,
    /// In this stage, behind so many bytes.
    As(Stage, usize),
}

/// Decides what first bytes are.
fn begin(coding: Coding, bytes: &[u8]) -> Begin {
    match coding {
        Coding::Gzip | Coding::Deflate => {
            let &[first, second, ..] = bytes else { return Begin::Need };
            if (first, second) == (0x1f, 0x8b) {
                return match gzip_header(bytes) {
                    Header::Need => Begin::Need,
                    Header::No => Begin::Plain,
                    Header::Long(skip) => Begin::As(
                        Stage::Inflate {
                            state: Inflate::new(false),
                            is_gzip: true,
                            may_be_raw: false,
                        },
                        skip,
                    ),
                };
            }
            // The header of zlib (RFC 1950 section 2.2); what has none is deflate alone.
            let has_header = first & 0x0f == 8
                && first >> 4 <= 7
                && u16::from_be_bytes([first, second]).is_multiple_of(31);
            // Deflate alone has nothing to know it by, and makes something of nearly everything:
            // only what it reads without a flaw is taken for it.
            if !has_header && matches!(Inflate::new(false).run(bytes, &mut |_| true), Ran::Failed) {
                return Begin::Failed;
            }
            let state = Inflate::new(has_header);
            Begin::As(Stage::Inflate { state, is_gzip: false, may_be_raw: has_header }, 0)
        }
        Coding::Brotli => match bytes.first() {
            None => Begin::Need,
            Some(&first) if brotli_window_log(first) > BROTLI_WINDOW_LOG => {
                Begin::As(Stage::Over, 0)
            }
            Some(_) => {
                let alloc = brotli_decompressor::StandardAlloc::default;
                Begin::As(Stage::Brotli(Box::new(Brotli::new(alloc(), alloc(), alloc()))), 0)
            }
        },
        Coding::Zstd => {
            if bytes.len() < 4 {
                return Begin::Need;
            }
            if !bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
                return Begin::Plain;
            }
            let decoder = Zstd::new().and_then(|mut decoder| {
                decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
                Ok(decoder)
            });
            match decoder {
                Ok(decoder) => Begin::As(Stage::Zstd(Box::new(decoder)), 0),
                Err(_) => Begin::As(Stage::Over, 0),
            }
        }
        Coding::Lzma => {
            // Properties, dictionary size, and the size of what is in it.
            if bytes.len() < 13 {
                return Begin::Need;
            }
            let options = lzma_rs::decompress::Options {
                memlimit: Some(LZMA_MEMORY),
                allow_incomplete: true,
                ..Default::default()
            };
            let stream = lzma_rs::decompress::Stream::new_with_options(&options, Vec::new());
            Begin::As(Stage::Lzma(Box::new(stream)), 0)
        }
    }
}

/// The window a Brotli stream asks for by its first bits (RFC 7932 section 9.1).
fn brotli_window_log(first: u8) -> u8 {
    if first & 1 == 0 {
        return 16;
    }
    match (first >> 1 & 7, first >> 4 & 7) {
        (0, 0) => 17,
        // Large windows are no part of the content coding.
        (0, 1) => u8::MAX,
        (0, n) => 8 + n,
        (n, _) => 17 + n,
    }
}

enum Header {
    Need,
    No,
    /// So many bytes long.
    Long(usize),
}

/// Measures the header of a gzip member (RFC 1952 section 2.3).
fn gzip_header(bytes: &[u8]) -> Header {
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    const CHECK: u8 = 2;
    let Some(&[first, second, _, flags, ..]) = bytes.first_chunk::<10>() else {
        return Header::Need;
    };
    if (first, second) != (0x1f, 0x8b) {
        return Header::No;
    }
    let need = || if bytes.len() > GZIP_HEADER_CAP { Header::No } else { Header::Need };
    let mut at = 10;
    if flags & EXTRA != 0 {
        let Some(&[low, high]) = bytes.get(at..).and_then(<[u8]>::first_chunk) else {
            return need();
        };
        at += 2 + usize::from(u16::from_le_bytes([low, high]));
    }
    for flag in [NAME, COMMENT] {
        if flags & flag != 0 {
            let Some(n) = bytes.get(at..).and_then(|b| memchr::memchr(0, b)) else {
                return need();
            };
            at += n + 1;
        }
    }
    if flags & CHECK != 0 {
        at += 2;
    }
    if at > bytes.len() { need() } else { Header::Long(at) }
}

impl Inflate {
    #[allow(clippy::unnecessary_box_returns, reason = "the decoder is large, and lives boxed")]
    fn new(has_header: bool) -> Box<Self> {
        let scratch = vec![0; SCRATCH].into_boxed_slice();
        Box::new(Self { state: Decompress::new(has_header), scratch })
    }

    fn run(&mut self, bytes: &[u8], emit: Emit<'_>) -> Ran {
        let Self { state, scratch } = self;
        let mut used = 0;
        loop {
            let (taken, made) = (state.total_in(), state.total_out());
            let rest = bytes.get(used..).unwrap_or_default();
            let result = state.decompress(rest, scratch, FlushDecompress::None);
            let taken = (state.total_in() - taken) as usize;
            let made = (state.total_out() - made) as usize;
            used += taken;
            if !emit(scratch.get(..made).unwrap_or_default()) {
                return Ran::Stopped;
            }
            match result {
                Ok(Status::StreamEnd) => return Ran::Ended(used),
                Ok(_) if made == 0 && (taken == 0 || used >= bytes.len()) => return Ran::On,
                Ok(_) => {}
                Err(_) => return Ran::Failed,
            }
        }
    }
}

fn brotli(state: &mut Brotli, bytes: &[u8], emit: Emit<'_>) -> Ran {
    use brotli_decompressor::BrotliResult;
    let (mut available, mut at, mut total) = (bytes.len(), 0, 0);
    let mut scratch = [0; SCRATCH];
    loop {
        let (mut room, mut made) = (scratch.len(), 0);
        let result = brotli_decompressor::BrotliDecompressStream(
            &mut available,
            &mut at,
            bytes,
            &mut room,
            &mut made,
            &mut scratch,
            &mut total,
            state,
        );
        if !emit(scratch.get(..made).unwrap_or_default()) {
            return Ran::Stopped;
        }
        match result {
            BrotliResult::ResultSuccess => return Ran::Ended(at),
            BrotliResult::NeedsMoreInput => return Ran::On,
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::ResultFailure => return Ran::Failed,
        }
    }
}

fn zstd(state: &mut Zstd<'static>, bytes: &[u8], emit: Emit<'_>) -> Ran {
    let mut scratch = [0; SCRATCH];
    let mut used = 0;
    loop {
        let rest = bytes.get(used..).unwrap_or_default();
        let Ok(status) = state.run_on_buffers(rest, &mut scratch) else { return Ran::Failed };
        used += status.bytes_read;
        if !emit(scratch.get(..status.bytes_written).unwrap_or_default()) {
            return Ran::Stopped;
        }
        if status.bytes_written == 0 && (status.bytes_read == 0 || used >= bytes.len()) {
            return Ran::On;
        }
    }
}

fn lzma(state: &mut lzma_rs::decompress::Stream<Vec<u8>>, bytes: &[u8], emit: Emit<'_>) -> Ran {
    for sip in bytes.chunks(SIP) {
        let result = state.write_all(sip);
        if let Some(output) = state.get_output_mut()
            && !emit(&std::mem::take(output))
        {
            return Ran::Stopped;
        }
        if result.is_err() {
            return Ran::Failed;
        }
    }
    Ran::On
}
