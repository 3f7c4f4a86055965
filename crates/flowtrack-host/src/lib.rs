//! What FlowTrack asks the host it runs on: which interfaces there are, whether it may capture,
//! and how it and the machine are doing.
//!
//! No unsafe code and no traffic here: everything is read from the system's own tables.

mod interfaces;
mod permission;
mod surroundings;
mod system;

pub use interfaces::{
    Counters, HostInterface, InterfaceKind, IpNetwork, default_interface, interfaces,
};
pub use permission::{NotPermitted, can_capture};
pub use surroundings::{HostSurroundings, is_remote_session, surroundings};
pub use system::{HostSystem, Metrics, System};
