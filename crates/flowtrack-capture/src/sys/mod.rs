//! Every call into the operating system that Rust cannot check, behind an interface that it can.
//!
//! Nothing outside this folder may say `unsafe`; nothing inside hands out a raw pointer, or a
//! borrow that outlives the memory it points into.

pub mod fd;
pub mod instruction;
pub mod libpcap;
pub mod libpcap_live;
#[cfg(target_os = "linux")]
pub mod netdev;
#[cfg(target_os = "linux")]
pub mod ring;
#[cfg(target_os = "linux")]
pub mod sender;
#[cfg(target_os = "linux")]
pub mod socket;
