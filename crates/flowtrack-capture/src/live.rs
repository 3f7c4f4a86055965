//! Live capture: one source per worker, each with its share of the flows.
//!
//! On Linux a source reads packet rings ([`linux`]); elsewhere, or on request, libpcap ([`pcap`]).
//!
//! # Limits
//! The kernel joins segments before a capture sees them where the card or the kernel does so
//! (LRO, GRO; on sending TSO), so a frame may be longer than the wire allows and packets are fewer
//! than on the wire; bytes of payload are right. `ethtool -K IFACE gro off lro off` shows the
//! wire's own packets.

use serde::{Deserialize, Serialize};

use crate::{PacketSource, SourceError};

#[cfg(target_os = "linux")]
mod fanout;
#[cfg(target_os = "linux")]
mod filter;
#[cfg(target_os = "linux")]
mod linux;
mod pcap;

/// What to capture, and how.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LiveConfig {
    /// Names of the interfaces, or only [`ANY`].
    pub interfaces: Vec<String>,
    /// Ask the interfaces for frames that are not addressed to this host; not with [`ANY`].
    pub promiscuous: bool,
    /// Bytes kept of each packet.
    pub snaplen: u32,
    /// Expression in the language of tcpdump; run in the kernel where that can be.
    pub filter: Option<String>,
    /// MiB of ring for each worker, shared by its interfaces. It bridges the time in which the
    /// worker is not scheduled: at 10 Gbit/s, 64 MiB last 50 ms.
    pub ring_mib: u32,
    /// Who captures.
    pub backend: Backend,
}

impl Default for LiveConfig {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            promiscuous: false,
            snaplen: 262_144,
            filter: None,
            ring_mib: 64,
            backend: Backend::default(),
        }
    }
}

/// Who captures.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// The system's own way where FlowTrack knows it (Linux), else libpcap.
    #[default]
    Native,
    /// libpcap, loaded at run time; one worker only.
    Libpcap,
}

/// The name that stands for all interfaces, those that come later included.
pub const ANY: &str = "any";

/// Opens live capture for up to `workers` workers.
///
/// Answers one source for each worker; only one in all where the system cannot share out flows.
/// A source sees both directions of a flow, all its fragments, and what flows through the same
/// tunnel.
///
/// # Errors
/// [`SourceError::System`] where the system refuses, with what to do about it;
/// [`SourceError::Filter`] for a wrong expression.
pub fn open_live(
    config: &LiveConfig,
    workers: usize,
) -> Result<Vec<Box<dyn PacketSource>>, SourceError> {
    #[cfg(target_os = "linux")]
    if config.backend == Backend::Native {
        return linux::open(config, workers);
    }
    let _ = workers;
    pcap::PcapSource::open(config).map(|source| vec![Box::new(source) as _])
}

/// What to do where the system does not permit a capture.
fn permission_hint() -> String {
    let program = std::env::current_exe()
        .map_or_else(|_| "flowtrack".to_owned(), |path| path.display().to_string());
    if cfg!(target_os = "linux") {
        format!(
            "; run it with sudo, or permit it once and for all: \
             sudo setcap cap_net_raw,cap_net_admin+ep {program}"
        )
    } else {
        "; run it with sudo".to_owned()
    }
}
