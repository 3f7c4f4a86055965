//! Decisions: what is blocked, checked before it exists.

use std::time::Duration;

use flowtrack_event::Timestamp;

use crate::config::RespondConfig;
use crate::net::What;
use crate::safety::{Refusal, Safety};

/// Who wants a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A person.
    Person,
    /// A detection or a signature.
    Automatic {
        /// Whether the source completed a handshake or answered.
        source_proved: bool,
    },
}

/// What somebody wants to be blocked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wish {
    /// What.
    pub what: What,
    /// Who wants it.
    pub origin: Origin,
    /// For how long.
    pub lasts: Duration,
}

/// A block that may be made: it passed every check and it ends.
///
/// There is no other way to a decision than [`Decision::new`], and no other way into a firewall
/// than a decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decision {
    what: What,
    until: Timestamp,
}

impl Decision {
    /// Decides that a wish is granted, from `now` on, for no longer than configured.
    pub fn new(
        wish: &Wish,
        safety: &Safety,
        config: &RespondConfig,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let what = wish.what;
        safety.check(what)?;
        if let Origin::Automatic { source_proved } = wish.origin {
            match what {
                What::Net(net) if !net.is_single() => return Err(Refusal::NotSingle(what)),
                What::Port(..) => return Err(Refusal::NotSingle(what)),
                What::Net(_) if !source_proved => return Err(Refusal::Unproved(what)),
                // The limit of requests is for those whose sources are not proved.
                What::Net(_) | What::Requests(..) => {}
            }
        }
        let lasts = wish.lasts.min(Duration::from_secs(config.max_secs));
        if lasts.is_zero() {
            return Err(Refusal::Endless(what));
        }
        Ok(Self { what, until: now.plus(lasts) })
    }

    /// What is blocked.
    pub const fn what(&self) -> What {
        self.what
    }

    /// Until when.
    pub const fn until(&self) -> Timestamp {
        self.until
    }

    /// Whole seconds for which the kernel keeps it: one more than are left, so that the program
    /// can read its counters before it takes it out, and a program that was killed leaves nothing
    /// behind for longer than that.
    pub fn kernel_secs(&self, now: Timestamp) -> u64 {
        let left = self.until.since(now);
        left.as_secs() + u64::from(left.subsec_nanos() > 0) + 1
    }
}
