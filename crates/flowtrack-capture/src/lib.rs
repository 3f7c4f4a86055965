//! Packet sources and the packet recorder. The only home of `unsafe`.

mod source;

pub use source::{Burst, Interface, PacketSource, SourceError};
