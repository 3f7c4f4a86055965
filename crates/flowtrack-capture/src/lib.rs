//! Packet sources and the packet recorder. The only home of `unsafe`.

mod batch;
mod bpf;
mod file;
mod live;
mod memory;
mod pacing;
mod recorder;
mod source;
#[allow(
    unsafe_code,
    reason = "ring memory, packet sockets and libpcap are beyond what rustc checks"
)]
pub mod sys;
mod writer;

pub use bpf::{Filter, FilterError, Filtered, Instruction, WrongExpression};
pub use file::{FileOptions, FileSource};
pub use live::{ANY, Backend, LiveConfig, open_live};
pub use memory::{MemorySource, PacketBuffer};
pub use pacing::{Pace, PaceOptions, Paced, Reopen, Stamps};
pub use recorder::{Query, Recorder, RecorderConfig, RecorderHandle, RecorderStats, Selection};
pub use source::{Burst, Interface, PacketSource, SourceError};
pub use writer::{Comments, PacketWriter, PcapWriter, PcapngWriter, Precision, WriteError};
