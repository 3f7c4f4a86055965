//! Signatures on the packet path: what is judged when, and what it raises.
//!
//! Packets are judged as they come. Streams and transactions are judged when the receiver has
//! acknowledged them and their sender goes on, because only then is it certain what the receiver
//! got: that is how the authors of rules count alerts. What is left is judged when a flow ends.

mod judge;
mod keep;
mod session;
mod stream;
mod watch;

pub(crate) use judge::{FlowFacts, Judge, Now};
pub(crate) use session::{Events, Met};
pub(crate) use watch::Watch;
