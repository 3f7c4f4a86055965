//! Live capture through libpcap, for systems whose own way FlowTrack does not know.
//!
//! Tried on Linux only; macOS and Windows have not been tried.
//! One worker: libpcap does not share out flows. Packets are copied once, since the library keeps
//! a packet only until the next.

use std::io;
use std::time::{Duration, Instant};

use flowtrack_event::{CaptureStats, IfaceId, RawPacket};
use tracing::{info, warn};

use super::{LiveConfig, permission_hint};
use crate::batch::{Batch, Handler};
use crate::sys::libpcap_live::{PcapConfig, PcapError, PcapHandle};
use crate::{Burst, Interface, PacketBuffer, PacketSource, SourceError};

/// A live capture on one or several interfaces.
///
/// An interface that goes down, or away, is waited for; it counts in `errors`.
pub struct PcapSource {
    ports: Vec<Port>,
    interfaces: Vec<Interface>,
    config: LiveConfig,
    number: u64,
    buffer: PacketBuffer,
    stats: CaptureStats,
}

/// One interface.
struct Port {
    /// None while the interface is away.
    handle: Option<PcapHandle>,
    /// When to try again to open it.
    retry_at: Instant,
}

impl PcapSource {
    /// Opens every interface of `config`.
    ///
    /// # Errors
    /// [`SourceError::System`] where libpcap is missing or refuses; [`SourceError::Filter`] for a
    /// wrong expression.
    pub fn open(config: &LiveConfig) -> Result<Self, SourceError> {
        let mut source = Self {
            ports: Vec::new(),
            interfaces: Vec::new(),
            config: config.clone(),
            number: 0,
            buffer: PacketBuffer::new(),
            stats: CaptureStats::default(),
        };
        for name in &config.interfaces {
            let handle = open_handle(config, name).map_err(|error| explain(error, name))?;
            source.interfaces.push(Interface { name: name.clone(), link: handle.link() });
            source.ports.push(Port { handle: Some(handle), retry_at: Instant::now() });
        }
        if source.ports.is_empty() {
            let source = io::Error::from(io::ErrorKind::InvalidInput);
            return Err(SourceError::System { what: "no interface to capture on".into(), source });
        }
        Ok(source)
    }

    /// Copies what is there, of every port its share of a batch.
    fn fill(&mut self) {
        self.buffer.clear();
        let share = (Batch::CAPACITY / self.ports.len()).max(1);
        for (n, port) in self.ports.iter_mut().enumerate() {
            let Some(handle) = &mut port.handle else { continue };
            let interface = &self.interfaces[n];
            for _ in 0..share.min(Batch::CAPACITY - self.buffer.len()) {
                match handle.next_packet() {
                    Ok(None) => break,
                    Ok(Some(packet)) => {
                        self.number += 1;
                        self.buffer.push(&RawPacket {
                            ts: packet.ts,
                            iface: IfaceId(n as u16),
                            link: interface.link,
                            number: self.number,
                            wire_len: packet.wire_len,
                            vlan_tci: None,
                            data: packet.data,
                        });
                    }
                    Err(error) => {
                        warn!(iface = interface.name, error, "interface is gone or down");
                        self.stats.errors += 1;
                        add_counters(handle, &mut self.stats);
                        port.handle = None;
                        port.retry_at = Instant::now() + RETRY;
                        break;
                    }
                }
            }
        }
    }

    /// Tries again to open what is away.
    fn reopen(&mut self) {
        for (port, interface) in self.ports.iter_mut().zip(&mut self.interfaces) {
            if port.handle.is_some() || Instant::now() < port.retry_at {
                continue;
            }
            port.retry_at = Instant::now() + RETRY;
            if let Ok(handle) = open_handle(&self.config, &interface.name) {
                info!(iface = interface.name, "interface is back");
                interface.link = handle.link();
                port.handle = Some(handle);
            }
        }
    }
}

impl PacketSource for PcapSource {
    fn next_burst(&mut self, wait: Duration, f: &mut Handler<'_>) -> Result<Burst, SourceError> {
        let deadline = Instant::now() + wait;
        loop {
            self.fill();
            if !self.buffer.is_empty() {
                break;
            }
            self.reopen();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Burst::Idle);
            }
            // Not every system has something to wait on that works for every interface.
            std::thread::sleep(left.min(PAUSE));
        }
        let mut batch = Batch::new();
        for packet in self.buffer.iter() {
            batch.push(packet);
        }
        let count = batch.len();
        self.stats.kernel_packets += count as u64;
        batch.deliver(f);
        Ok(Burst::Packets(count))
    }

    fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn stats(&mut self) -> CaptureStats {
        let mut stats = self.stats;
        for port in &mut self.ports {
            if let Some(handle) = &mut port.handle {
                add_counters(handle, &mut stats);
            }
        }
        stats
    }
}

fn open_handle(config: &LiveConfig, interface: &str) -> Result<PcapHandle, PcapError> {
    let mib = config.ring_mib / config.interfaces.len().max(1) as u32;
    PcapHandle::open(&PcapConfig {
        interface,
        snaplen: config.snaplen,
        promiscuous: config.promiscuous,
        buffer: mib.clamp(1, 1024) << 20,
        filter: config.filter.as_deref(),
    })
}

fn add_counters(handle: &mut PcapHandle, stats: &mut CaptureStats) {
    let counters = handle.counters();
    stats.kernel_drops += u64::from(counters.drops);
    stats.kernel_ifdrops += u64::from(counters.interface_drops);
}

fn explain(error: PcapError, interface: &str) -> SourceError {
    let (what, source) = match error {
        PcapError::Missing => (
            "; capturing here needs libpcap, which is not installed".to_owned(),
            io::Error::from(io::ErrorKind::NotFound),
        ),
        PcapError::Filter(words) => return SourceError::Filter(words),
        PcapError::Permission(words) => {
            (permission_hint(), io::Error::new(io::ErrorKind::PermissionDenied, words))
        }
        PcapError::Other(words) => (String::new(), io::Error::other(words)),
    };
    SourceError::System { what: format!("cannot capture on {interface}{what}"), source }
}

/// How often to look whether a packet came.
const PAUSE: Duration = Duration::from_millis(2);

/// How often to look whether an interface is back.
const RETRY: Duration = Duration::from_millis(500);
