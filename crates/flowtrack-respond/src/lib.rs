//! Decides whom to block, and has a firewall do it.
//!
//! ```text
//! Trigger (detection, alert) --.                .-> refused, told why
//! Request (a person) ----------+-> Decision::new+-> Blocker: nftables, ipset, pf, Windows or none
//!                                  Safety       '-> Book (file), BlockEvent
//! ```
//!
//! What it keeps, whatever it is asked: nothing is blocked that this host, or who looks after it,
//! depends on ([`Safety`]); every block ends, in the kernel, by itself, or by this program where the
//! firewall cannot ([`Nature`]); nobody is blocked for what a spoofed address could have sent; the
//! number of blocks and their rate have a limit.
//!
//! Nothing here reads the clock: who calls says what time it is.

mod blocker;
mod book;
mod config;
mod control;
mod decision;
mod ipset;
mod net;
mod nft;
mod pf;
mod responder;
mod safety;
mod system;
mod tool;
mod trigger;
mod windows;

pub use blocker::{Blocker, DryRun, FirewallError, Nature, Stopped};
pub use book::{Block, PastBlock};
pub use config::{Firewall, RespondConfig, When};
pub use control::{Command, Door, Reply, Status, ask, shut};
pub use decision::{Decision, Origin, Wish};
pub use ipset::Ipset;
pub use net::{Net, NotBlockable, NotNet, Transport, What};
pub use nft::Nftables;
pub use pf::Pf;
pub use responder::{BlockError, Look, OpenError, Request, RespondStats, Responder};
pub use safety::{Refusal, Role, Safety, Surroundings};
pub use system::{System, choose};
pub use trigger::Trigger;
pub use windows::Windows;
