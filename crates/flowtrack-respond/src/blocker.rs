//! Firewalls: who carries decisions out.

use flowtrack_event::Timestamp;

use crate::decision::Decision;
use crate::net::What;

/// Carries decisions out.
///
/// [`Blocker::add`] and [`Blocker::remove`] only note what is wanted; [`Blocker::commit`] does it.
pub trait Blocker: Send {
    /// What it is called, such as `nftables`.
    fn name(&self) -> &'static str;

    /// Makes the place for blocks, with exactly these in it, whatever an earlier run left there.
    /// Doing it twice changes nothing.
    fn start(&mut self, blocks: &[Decision], now: Timestamp) -> Result<(), FirewallError>;

    /// Notes a block to be made; one that exists gets this end.
    fn add(&mut self, block: &Decision);

    /// Notes a block to be undone; one that does not exist is no error.
    fn remove(&mut self, what: What);

    /// Does what was noted since the last time, all of it or nothing.
    fn commit(&mut self, now: Timestamp) -> Result<(), FirewallError>;

    /// What is blocked now, and what each block stopped.
    fn list(&mut self) -> Result<Vec<Stopped>, FirewallError>;

    /// Takes everything out again that this program put in.
    fn clear(&mut self) -> Result<(), FirewallError>;
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
    #[error("not permitted ({program}: {message}); blocking needs root or CAP_NET_ADMIN")]
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
    /// It refused.
    #[error("{program}: {message}")]
    Refused {
        /// The program that was asked.
        program: &'static str,
        /// What it said.
        message: String,
    },
}

/// Blocks nothing: for trying settings out.
#[derive(Default, Debug)]
pub struct DryRun {
    blocks: Vec<What>,
    noted: Vec<(What, bool)>,
}

impl Blocker for DryRun {
    fn name(&self) -> &'static str {
        "dry_run"
    }

    fn start(&mut self, blocks: &[Decision], _now: Timestamp) -> Result<(), FirewallError> {
        self.noted.clear();
        self.blocks = blocks.iter().map(Decision::what).collect();
        Ok(())
    }

    fn add(&mut self, block: &Decision) {
        self.noted.push((block.what(), true));
    }

    fn remove(&mut self, what: What) {
        self.noted.push((what, false));
    }

    fn commit(&mut self, _now: Timestamp) -> Result<(), FirewallError> {
        for (what, is_added) in self.noted.drain(..) {
            self.blocks.retain(|block| *block != what);
            if is_added {
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
