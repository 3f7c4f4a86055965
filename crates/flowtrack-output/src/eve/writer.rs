//! Lines of EVE JSON on their way out, in large pieces and with every failure counted.

use std::io::{self, ErrorKind, Write};

use flowtrack_event::Event;
use tracing::{error, info};

use super::{EveConfig, EveEncoder, Skipped};

/// Writes events as EVE JSON, buffered.
///
/// A failing disk stops nobody: the lines that could not be written are counted and dropped, it
/// is said once, and the next piece is tried again. A reader that went away (a broken pipe) ends
/// the writing without a word.
#[derive(Debug)]
pub struct EveWriter<W: Write> {
    encoder: EveEncoder,
    pub(super) out: W,
    buffer: Vec<u8>,
    counters: EveCounters,
    state: State,
    /// Whether the last line written lacks its end, because the disk filled up inside it.
    torn: bool,
}

/// What an [`EveWriter`] did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct EveCounters {
    /// Lines written.
    pub events: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Lines lost because writing failed.
    pub lost: u64,
    /// Events without a JSON form.
    pub unserialisable: u64,
    /// Failed attempts to write.
    pub errors: u64,
}

/// How the output is.
#[derive(Clone, PartialEq, Eq, Debug)]
enum State {
    /// Takes what it is given.
    Good,
    /// Failed last time, for this reason.
    Failing(String),
    /// Nobody reads any more.
    Closed,
}

impl<W: Write> EveWriter<W> {
    /// Writes to `out` as `config` says; interfaces have no names.
    pub fn new(out: W, config: EveConfig) -> Self {
        Self::with_encoder(out, EveEncoder::new(config))
    }

    /// Writes what `encoder` makes to `out`.
    pub fn with_encoder(out: W, encoder: EveEncoder) -> Self {
        Self {
            encoder,
            out,
            buffer: Vec::with_capacity(BUFFER + SLACK),
            counters: EveCounters::default(),
            state: State::Good,
            torn: false,
        }
    }

    /// Writes one event, if its kind is wanted.
    #[inline]
    pub fn write(&mut self, event: &Event) {
        if self.state == State::Closed {
            return;
        }
        if self.encoder.encode(event, &mut self.buffer) == Err(Skipped::Unserialisable) {
            self.counters.unserialisable += 1;
        }
        if self.buffer.len() >= BUFFER {
            self.drain();
        }
    }

    /// Writes events in order.
    pub fn write_all<'a>(&mut self, events: impl IntoIterator<Item = &'a Event>) {
        for event in events {
            self.write(event);
        }
    }

    /// Hands everything on to the output.
    pub fn flush(&mut self) {
        self.drain();
        if self.state == State::Good
            && let Err(error) = self.out.flush()
        {
            self.failed(&error);
        }
    }

    /// What was done so far; lines that still wait in the buffer are not in it.
    pub fn counters(&self) -> EveCounters {
        self.counters
    }

    /// Why the last attempt to write failed, where it did.
    pub fn error(&self) -> Option<&str> {
        match &self.state {
            State::Failing(reason) => Some(reason),
            State::Good | State::Closed => None,
        }
    }

    /// Whether nobody reads any more.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Flushes, and writes to another output from now on; gives back the one so far.
    pub fn replace(&mut self, out: W) -> W {
        self.flush();
        self.torn = false;
        self.state = State::Good;
        std::mem::replace(&mut self.out, out)
    }

    /// Begins with a newline, because what stands in the output so far lacks one.
    pub(crate) fn end_torn_line(&mut self) {
        self.torn = true;
    }

    /// Flushes and gives back the output.
    pub fn into_inner(mut self) -> W {
        self.flush();
        self.out
    }

    fn drain(&mut self) {
        if self.buffer.is_empty() || self.state == State::Closed {
            self.buffer.clear();
            return;
        }
        let mut written = 0;
        let result = self.write_buffer(&mut written);
        let (done, rest) = self.buffer.split_at(written);
        self.counters.bytes += done.len() as u64;
        self.counters.events += lines(done);
        self.counters.lost += lines(rest);
        // A line in two parts is lost too, and is ended before the next one begins.
        self.torn = done.last().map_or(self.torn, |&last| last != b'\n');
        self.buffer.clear();
        match result {
            Ok(()) => {
                if let State::Failing(_) = self.state {
                    info!(lost = self.counters.lost, "event log is written again");
                    self.state = State::Good;
                }
            }
            Err(error) => self.failed(&error),
        }
    }

    /// Writes the buffer as far as it goes; `written` tells how far that was.
    fn write_buffer(&mut self, written: &mut usize) -> io::Result<()> {
        if self.torn {
            self.out.write_all(b"\n")?;
            self.torn = false;
        }
        while *written < self.buffer.len() {
            match self.out.write(&self.buffer[*written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => *written += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn failed(&mut self, error: &io::Error) {
        self.counters.errors += 1;
        if error.kind() == ErrorKind::BrokenPipe {
            self.state = State::Closed;
            return;
        }
        if self.state == State::Good {
            error!(%error, "cannot write the event log; events are dropped until it works again");
        }
        self.state = State::Failing(error.to_string());
    }
}

/// Bytes after which the buffer is written out.
const BUFFER: usize = 256 * 1024;
/// Room for the line that crosses that mark.
const SLACK: usize = 16 * 1024;

fn lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}
