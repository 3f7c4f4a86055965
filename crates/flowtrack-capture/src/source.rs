//! Where packets come from.

use flowtrack_event::{CaptureStats, LinkType, RawPacket, Verdict};
use std::time::Duration;

/// What a call of [`PacketSource::next_burst`] brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Burst {
    /// So many packets were handed to the callback.
    Packets(usize),
    /// Nothing came within the time allowed; only live sources, pipes and paced ones say this.
    Idle,
    /// A capture that is played over and over begins again; nothing of before goes on.
    Again,
    /// There will be no more.
    End,
}

/// An interface as a source declares it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interface {
    /// Name such as `eth0`; of a file's interface, what pcapng says, or empty.
    pub name: String,
    /// How its frames begin.
    pub link: LinkType,
}

/// A source of packets, owned by one worker.
pub trait PacketSource: Send {
    /// Hands the next packets to `f`, borrowed, at most a few hundred at a time, and waits at most
    /// `wait` for them.
    ///
    /// `f` may answer with one verdict a packet; passive sources ignore them.
    ///
    /// # Errors
    /// [`SourceError`] where the input is broken or the world failed; packets before the damage
    /// were handed over by then, and later calls return [`Burst::End`].
    fn next_burst(
        &mut self,
        wait: Duration,
        f: &mut dyn FnMut(&[RawPacket<'_>], &mut [Verdict]),
    ) -> Result<Burst, SourceError>;

    /// Interfaces seen so far; [`flowtrack_event::IfaceId`] is an index into this.
    fn interfaces(&self) -> &[Interface];

    /// Counters since the start.
    fn stats(&mut self) -> CaptureStats;

    /// Bytes of input read and, where known, all there are; for a progress bar.
    fn progress(&self) -> (u64, Option<u64>) {
        (0, None)
    }
}

impl<S: PacketSource + ?Sized> PacketSource for Box<S> {
    fn next_burst(
        &mut self,
        wait: Duration,
        f: &mut dyn FnMut(&[RawPacket<'_>], &mut [Verdict]),
    ) -> Result<Burst, SourceError> {
        (**self).next_burst(wait, f)
    }

    fn interfaces(&self) -> &[Interface] {
        (**self).interfaces()
    }

    fn stats(&mut self) -> CaptureStats {
        (**self).stats()
    }

    fn progress(&self) -> (u64, Option<u64>) {
        (**self).progress()
    }
}

/// Why a source gave up.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The input breaks its own format; what came before is good.
    #[error("{file}: byte {offset}: {what}")]
    Broken {
        /// Path of the file, or `standard input`.
        file: String,
        /// Where in the (unpacked) file.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The expression is not one of the filter language.
    #[error("filter: {0}")]
    Filter(String),
    /// The operating system refused.
    #[error("{what}: {source}")]
    System {
        /// What was tried, and what to do about it.
        what: String,
        /// The system's answer.
        source: std::io::Error,
    },
}
