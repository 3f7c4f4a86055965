//! Tells people about alerts: e-mail, SMS, webhooks, chats, syslog, desktop.
//!
//! ```text
//! alert that changed ──> Notice ──> Notifier's desk ── Message ──> one thread per Channel
//!                                   fold, routes, quiet hours,
//!                                   digests, rates, queue on disk
//! ```
//!
//! [`Notifier::tell`] never waits. The desk is one thread and decides by the time it
//! is told; sending blocks, each channel in a thread of its own, and every wait there has a bound.
//! What was accepted is kept in a file until the receiver has taken it: it is told at least once,
//! or counted as failed or dropped.
//!
//! Passwords and tokens stand in the environment or in files. The configuration names the place
//! ([`Secret`]); the value exists only while a message is sent, and is blotted out of whatever the
//! other side says.

mod channels;
mod config;
mod desk;
mod error;
mod http;
mod message;
mod notice;
mod notifier;
mod queue;
mod quiet;
mod secret;
mod tls;

pub use channels::{Channel, KINDS, Kind};
pub use config::{ChannelConfig, NotifyConfig, Route};
pub use desk::{ChannelHealth, ChannelState, Counts};
pub use error::{Again, SendError};
pub use message::{Message, Reason};
pub use notice::Notice;
pub use notifier::{Notifier, NotifyError, test_channel, warnings};
pub use quiet::QuietHours;
pub use secret::{Keeper, Secret, Vault};
