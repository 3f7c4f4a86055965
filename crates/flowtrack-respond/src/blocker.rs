//! Firewalls: who carries decisions out.

use flowtrack_event::Timestamp;

use crate::decision::Decision;
use crate::net::What;

/// Carries decisions out.
pub trait Blocker: Send {
    /// What it is called, such as `nftables`.
    fn name(&self) -> &'static str;

    /// What it does by itself, and whether anybody has seen it do so.
    fn nature(&self) -> Nature {
        Nature::default()
    }

    /// Makes the place for blocks, with exactly these in it, whatever an earlier run left there.
    /// Doing it twice changes nothing.
    fn start(&mut self, blocks: &[Decision], now: Timestamp) -> Result<(), FirewallError>;

    /// Makes blocks and undoes others, all of it or nothing. A block that exists gets its new end;
    /// undoing one that does not exist is no error, and one that is made too stays.
    fn change(
        &mut self,
        added: &[Decision],
        removed: &[What],
        now: Timestamp,
    ) -> Result<(), FirewallError>;

    /// What is blocked now, and what each block stopped.
    fn list(&mut self) -> Result<Vec<Stopped>, FirewallError>;

    /// Takes everything out again that this program put in.
    fn clear(&mut self) -> Result<(), FirewallError>;
}

/// What a firewall does by itself, and whether anybody has seen it do so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nature {
    /// Whether it ends each block by itself, even if the program is gone.
    pub ends_blocks: bool,
    /// Whether it counts what each block stops.
    pub counts: bool,
    /// Whether it was tried on a real system.
    pub is_tried: bool,
}

impl Default for Nature {
    fn default() -> Self {
        Self { ends_blocks: true, counts: true, is_tried: true }
    }
}

impl Nature {
    /// What a person has to know of it; nothing where it is as it should be.
    pub fn notes(self) -> Vec<String> {
        let notes = [
            (self.is_tried, "untried on a real system: check that what is blocked really is"),
            (
                self.ends_blocks,
                "it does not end blocks by itself: if FlowTrack is killed, they stay until it \
                 starts again",
            ),
            (self.counts, "it does not count what it stops"),
        ];
        notes.into_iter().filter(|(is_so, _)| !is_so).map(|(_, note)| note.to_owned()).collect()
    }
}

/// What a block stopped since it was made, or given another end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stopped {
    /// The block.
    pub what: What,
    /// Packets.
    pub packets: u64,
    /// Bytes of these packets.
    pub bytes: u64,
}

/// The firewall would not.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FirewallError {
    /// The program that speaks to it is not installed.
    #[error("`{0}` is not installed; install it, or set respond.firewall to another one")]
    Missing(&'static str),
    /// The system does not permit it.
    #[error(
        "not permitted ({program}: {message}); blocking needs root, CAP_NET_ADMIN or an administrator"
    )]
    NotPermitted {
        /// The program that was asked.
        program: &'static str,
        /// What it said.
        message: String,
    },
    /// The table was taken away by somebody else.
    #[error("the table of blocks was removed by somebody else")]
    Gone,
    /// It does not answer.
    #[error("`{0}` did not answer within {1} seconds")]
    Slow(&'static str, u64),
    /// It cannot do this.
    #[error("{firewall} cannot do {what}")]
    Cannot {
        /// The firewall.
        firewall: &'static str,
        /// What it was to do.
        what: What,
    },
    /// It is there, but blocks would have no effect.
    #[error("{firewall} cannot block yet: {what}")]
    NotReady {
        /// The firewall.
        firewall: &'static str,
        /// What is wrong and what to do.
        what: String,
    },
    /// It is the firewall of another system.
    #[error("`{firewall}` is the firewall of {of}, not of this system; take one of {known}")]
    OtherSystem {
        /// As the settings name it.
        firewall: &'static str,
        /// Whose it is.
        of: &'static str,
        /// What may be set here.
        known: String,
    },
    /// It refused.
    #[error("{program}: {message}")]
    Refused {
        /// The program that was asked.
        program: &'static str,
        /// What it said.
        message: String,
    },
}

/// What is undone and not made again at once with another end.
pub(crate) fn undone<'a>(
    added: &'a [Decision],
    removed: &'a [What],
) -> impl Iterator<Item = What> + 'a {
    let is_made = |what: &What| added.iter().any(|block| block.what() == *what);
    removed.iter().copied().filter(move |what| !is_made(what))
}

/// Blocks nothing: for trying settings out.
#[derive(Default, Debug)]
pub struct DryRun {
    blocks: Vec<What>,
}

impl Blocker for DryRun {
    fn name(&self) -> &'static str {
        "dry_run"
    }

    fn start(&mut self, blocks: &[Decision], _now: Timestamp) -> Result<(), FirewallError> {
        self.blocks = blocks.iter().map(Decision::what).collect();
        Ok(())
    }

    fn change(
        &mut self,
        added: &[Decision],
        removed: &[What],
        _now: Timestamp,
    ) -> Result<(), FirewallError> {
        self.blocks.retain(|block| !removed.contains(block));
        for what in added.iter().map(Decision::what) {
            if !self.blocks.contains(&what) {
                self.blocks.push(what);
            }
        }
        Ok(())
    }

    fn list(&mut self) -> Result<Vec<Stopped>, FirewallError> {
        Ok(self.blocks.iter().map(|&what| Stopped { what, packets: 0, bytes: 0 }).collect())
    }

    fn clear(&mut self) -> Result<(), FirewallError> {
        self.blocks.clear();
        Ok(())
    }
}
