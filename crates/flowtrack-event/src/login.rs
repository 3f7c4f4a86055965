//! Attempts to log on.

use crate::{AppProto, FlowContext, Timestamp};
use std::sync::Arc;

/// How an attempt to log on ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LoginOutcome {
    /// The server let the client in.
    Granted,
    /// The server did not.
    Refused,
    /// The answer does not say: a web page that may be either.
    Unknown,
}

/// How a password or its proof crossed the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Secret {
    /// Anybody on the way could read it.
    Readable,
    /// As a proof, or encrypted.
    Hidden,
    /// Nothing secret was asked for, as of anonymous users.
    None,
}

/// Somebody tried to log on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoginEvent {
    /// When the server answered.
    pub ts: Timestamp,
    /// The flow.
    pub flow: Arc<FlowContext>,
    /// The protocol.
    pub app: AppProto,
    /// Who, at most [`LoginEvent::USER_CAP`] bytes; empty where the exchange does not say.
    pub user: String,
    /// How it ended.
    pub outcome: LoginOutcome,
    /// How the secret crossed the wire.
    pub secret: Secret,
}

impl LoginEvent {
    /// Longest name of a user that is kept, in bytes.
    pub const USER_CAP: usize = 64;
}
