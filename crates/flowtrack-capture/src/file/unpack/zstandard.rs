//! Frames of a Zstandard file (RFC 8878), one after the other.

use super::{Decoder, Ran};
use zstd::stream::raw::{self, InBuffer, Operation, OutBuffer};

pub struct Zstandard {
    inner: raw::Decoder<'static>,
    /// How many bytes of input the decoder can use without beginning another block; 0 between
    /// frames.
    wanted: usize,
    /// Whether it may hold more output than there was room for.
    holds_output: bool,
}

impl Zstandard {
    /// Enough to tell what kind of frame begins, and less than a block.
    const FRAME_BEGIN: usize = 5;

    pub fn new() -> Self {
        let inner = raw::Decoder::new().expect("without a dictionary only memory can lack");
        Self { inner, wanted: 0, holds_output: false }
    }
}

impl Decoder for Zstandard {
    /// Gives the library at most one block at a time: a call that fails does not say what it had
    /// unpacked before.
    fn run(&mut self, input: &[u8], output: &mut [u8]) -> Ran {
        let wanted = if self.wanted == 0 { Self::FRAME_BEGIN } else { self.wanted };
        let input = &input[..input.len().min(wanted)];
        if input.is_empty() && !self.holds_output {
            // The library takes calls without progress for a mistake.
            return Ran { used: 0, made: 0, damage: None };
        }
        let mut from = InBuffer::around(input);
        let room = output.len();
        let mut into = OutBuffer::around(output);
        let damage = match self.inner.run(&mut from, &mut into) {
            Ok(hint) => {
                self.wanted = hint;
                None
            }
            Err(error) => Some(error.to_string()),
        };
        self.holds_output = into.pos() == room;
        Ran { used: from.pos(), made: into.pos(), damage }
    }

    fn may_end(&self) -> bool {
        self.wanted == 0
    }

    fn name(&self) -> &'static str {
        "zstd"
    }
}
