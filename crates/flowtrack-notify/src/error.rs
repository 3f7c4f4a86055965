//! Why a message did not arrive.

use std::time::Duration;

/// Why a message did not arrive.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text}")]
pub struct SendError {
    /// What happened, for people; names no secret once [`crate::Vault::blot`] went over it.
    pub text: String,
    /// Whether trying again may help.
    pub again: Again,
}

/// Whether trying again may help.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Again {
    /// Not before somebody changes something.
    Never,
    /// Later, and not before this has passed where the receiver says so.
    Later(Option<Duration>),
}

impl SendError {
    /// Trying again is of no use.
    pub fn never(text: impl Into<String>) -> Self {
        Self { text: text.into(), again: Again::Never }
    }

    /// Trying again may help.
    pub fn later(text: impl Into<String>) -> Self {
        Self { text: text.into(), again: Again::Later(None) }
    }
}
