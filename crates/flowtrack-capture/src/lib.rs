//! Packet sources and the packet recorder. The only home of `unsafe`.

mod batch;
mod file;
mod live;
mod source;
#[allow(unsafe_code, reason = "ring memory, packet sockets and libpcap are beyond what rustc checks")]
pub mod sys;

pub use file::{FileOptions, FileSource};
pub use live::{ANY, Backend, LiveConfig, open_live};
#[cfg(target_os = "linux")]
pub use live::LiveSource;
pub use source::{Burst, Interface, PacketSource, SourceError};
