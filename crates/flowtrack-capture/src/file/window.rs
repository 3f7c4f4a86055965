//! The stretch of the (unpacked) file that is in memory.

use super::raw::Raw;
use super::unpack::Unpacked;
use std::io::{self, Read};
use std::time::Duration;

/// One buffer, used again and again; packets are borrowed from it.
pub struct Window {
    /// Taken out only inside [`Self::unpack`].
    input: Option<Input>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Where in the file the buffer begins.
    base: u64,
}

enum Input {
    Plain(Raw),
    Packed(Unpacked),
}

/// What came of reading on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filled {
    /// All that was needed is there.
    Enough,
    /// Nothing more came in the time allowed.
    NotYet,
    /// The file is over.
    End,
}

impl Window {
    pub fn new(raw: Raw, capacity: usize) -> Self {
        Self {
            input: Some(Input::Plain(raw)),
            buffer: vec![0; capacity],
            start: 0,
            end: 0,
            base: 0,
        }
    }

    /// What was read and not yet used.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Lets go of the first `n` bytes.
    #[inline]
    pub fn consume(&mut self, n: usize) {
        self.start += n;
    }

    /// Where in the file [`Self::bytes`] begins.
    pub fn offset(&self) -> u64 {
        self.base + self.start as u64
    }

    /// Reads until there are `need` bytes, waiting at most `wait` for each part of them.
    ///
    /// The buffer grows only as bytes arrive, so that a length that lies costs no memory.
    pub fn fill(&mut self, need: usize, wait: Duration) -> io::Result<Filled> {
        let Some(input) = &mut self.input else {
            return Ok(Filled::End);
        };
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.base += self.start as u64;
            self.end -= self.start;
            self.start = 0;
        }
        input.raw_mut().allow(wait);
        while self.end < need {
            if self.end == self.buffer.len() {
                self.buffer.resize(self.end * 2, 0);
            }
            match input.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Ok(Filled::End),
                Ok(n) => self.end += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Filled::NotYet);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Filled::Enough)
    }

    /// If the file turns out to be packed, goes on with what is in it; to be asked once, before
    /// anything was consumed.
    pub fn unpack(&mut self) -> bool {
        let plain = |input: &mut Input| matches!(input, Input::Plain(_));
        let Some(Input::Plain(raw)) = self.input.take_if(plain) else {
            return false;
        };
        match Unpacked::new(raw, &self.buffer[..self.end]) {
            Ok(unpacked) => {
                self.input = Some(Input::Packed(unpacked));
                self.end = 0;
                true
            }
            Err(raw) => {
                self.input = Some(Input::Plain(raw));
                false
            }
        }
    }

    /// Whether reading may have to wait for somebody else.
    pub fn is_pipe(&self) -> bool {
        self.input.as_ref().is_some_and(|input| input.raw().is_pipe())
    }

    /// Bytes of memory held.
    #[cfg(test)]
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Stored bytes read and, where known, all there are.
    pub fn progress(&self) -> (u64, Option<u64>) {
        self.input.as_ref().map_or((0, None), |input| input.raw().progress())
    }
}

impl Input {
    fn raw(&self) -> &Raw {
        match self {
            Self::Plain(raw) => raw,
            Self::Packed(unpacked) => unpacked.raw(),
        }
    }

    fn raw_mut(&mut self) -> &mut Raw {
        match self {
            Self::Plain(raw) => raw,
            Self::Packed(unpacked) => unpacked.raw_mut(),
        }
    }
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(raw) => raw.read(into),
            Self::Packed(unpacked) => unpacked.read(into),
        }
    }
}
