//! What tests of several crates are made of: packets, networks of namespaces, and real servers.
//!
//! Only tests use it. What it cannot do, such as without root, it says and answers with none, so
//! that the test is skipped; what fails for any other reason ends the test at once.

#![allow(clippy::missing_panics_doc, reason = "tests end where something is not as it should be")]

pub mod frames;
#[cfg(target_os = "linux")]
mod namespace;
#[cfg(target_os = "linux")]
pub mod net;
#[cfg(target_os = "linux")]
pub mod pair;
mod port;
#[cfg(target_os = "linux")]
pub mod servers;
mod traffic;

pub use port::free_port;
pub use traffic::{End, Traffic, detections, tcp_flags};
