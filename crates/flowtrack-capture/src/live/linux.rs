//! Live capture through packet rings: one ring per interface and worker.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flowtrack_event::{CaptureStats, IfaceId, LinkType, RawPacket};
use tracing::{debug, info, warn};

use super::filter::Filters;
use super::{ANY, LiveConfig, fanout, permission_hint};
use crate::batch::{Batch, Handler};
use crate::sys::instruction::Instruction;
use crate::sys::netdev;
use crate::sys::ring::{Frame, Ring, RingConfig};
use crate::sys::socket::{Bound, PacketSocket, Poller};
use crate::{Burst, Filter, Filtered, Interface, PacketSource, SourceError};

/// Opens packet rings, their filter in the kernel where that can be.
pub fn open(
    config: &LiveConfig,
    workers: usize,
) -> Result<Vec<Box<dyn PacketSource>>, SourceError> {
    if let Some(expression) = &config.filter
        && Filter::compile(expression, LinkType::ETHERNET, config.snaplen)
            .is_ok_and(|filter| filter.mentions_vlan())
    {
        // The kernel takes tags out of the frame before a program sees it.
        let everything = LiveConfig { filter: None, ..config.clone() };
        let filtered = |source| Ok(Box::new(Filtered::new(source, expression)?) as _);
        return LiveSource::open(&everything, workers)?.into_iter().map(filtered).collect();
    }
    let sources = LiveSource::open(config, workers)?;
    Ok(sources.into_iter().map(|source| Box::new(source) as _).collect())
}

/// One worker's share of a live capture.
///
/// An interface that goes down, or away, is waited for; it counts in `errors`.
///
/// Its filter runs in the kernel, which does not show it VLAN tags; see [`open`].
struct LiveSource {
    ports: Vec<Port>,
    /// The port last read from.
    turn: usize,
    poller: Poller,
    names: Names,
    shared: Arc<Shared>,
    worker: usize,
    bursts: u32,
    number: u64,
    stats: CaptureStats,
}

/// What the workers of a capture have in common. Nobody looks at it for every packet.
struct Shared {
    /// Interfaces by their [`IfaceId`], which mean the same in all workers.
    interfaces: Mutex<Vec<Interface>>,
    /// Fanout groups by number of the interface.
    groups: Mutex<HashMap<u32, u16>>,
    fanout: Vec<Instruction>,
    workers: usize,
}

/// One interface of one worker, or all of them.
struct Port {
    name: String,
    /// Place in [`LiveConfig::interfaces`].
    iface: IfaceId,
    ring_mib: u32,
    promiscuous: bool,
    filter: Vec<Instruction>,
    /// None while the interface is away.
    ring: Option<Ring>,
    bound: Bound,
    /// Since an error: when to look next what became of the interface.
    look_at: Option<Instant>,
    /// Packets the interface had dropped by itself when the capture began.
    dropped_before: u64,
}

impl LiveSource {
    /// Opens the sources of all workers of a capture.
    ///
    /// # Errors
    /// [`SourceError::System`] where an interface is unknown, down or not permitted;
    /// [`SourceError::Filter`] for a wrong expression.
    fn open(config: &LiveConfig, workers: usize) -> Result<Vec<Self>, SourceError> {
        check_names(config)?;
        let shared = Arc::new(Shared {
            interfaces: Mutex::default(),
            groups: Mutex::default(),
            fanout: fanout::program(random_seed()),
            workers: workers.max(1),
        });
        // In the order of the workers, which is the order in which the kernel numbers them; so
        // worker N of every interface gets the same hosts.
        let mut filters = Filters::new(config.filter.as_deref(), config.snaplen);
        let sources = (0..shared.workers)
            .map(|worker| Self::open_one(config, worker, &mut filters, &shared))
            .collect::<Result<Vec<_>, _>>()?;
        // Only now does the kernel's division stand.
        for port in sources.iter().flat_map(|source| &source.ports) {
            port.start().map_err(|e| refused(&port.name, e))?;
        }
        Ok(sources)
    }

    fn open_one(
        config: &LiveConfig,
        worker: usize,
        filters: &mut Filters<'_>,
        shared: &Arc<Shared>,
    ) -> Result<Self, SourceError> {
        let ring_mib = config.ring_mib / config.interfaces.len() as u32;
        let dropped = dropped_by_interfaces();
        let mut ports = Vec::new();
        for (iface, name) in config.interfaces.iter().enumerate() {
            let mut port = Port {
                name: name.clone(),
                iface: IfaceId(iface as u16),
                ring_mib: ring_mib.max(MIN_RING_MIB),
                promiscuous: config.promiscuous && name != ANY,
                filter: Vec::new(),
                ring: None,
                bound: Bound { ifindex: 0, hardware_type: 0 },
                look_at: None,
                dropped_before: dropped.get(name).copied().unwrap_or(0),
            };
            port.open(shared).map_err(|e| refused(name, e))?;
            port.filter = match port.bound.ifindex {
                0 => filters.for_any()?,
                _ => filters.for_link(link_type(port.bound.hardware_type))?,
            };
            shared.enlist(name, port.bound.hardware_type);
            ports.push(port);
        }
        let names = Names { list: shared.list(), ..Names::default() };
        Ok(Self {
            ports,
            turn: 0,
            poller: Poller::default(),
            names,
            shared: Arc::clone(shared),
            worker,
            bursts: 0,
            number: 0,
            stats: CaptureStats::default(),
        })
    }

    /// Hands over frames of the first port in turn that has some; none where no port has. Of the
    /// frames read, there may be none that is handed over.
    fn read(&mut self, f: &mut Handler<'_>) -> Option<usize> {
        for _ in 0..self.ports.len() {
            self.turn = (self.turn + 1) % self.ports.len();
            let port = &mut self.ports[self.turn];
            let Some(ring) = &mut port.ring else { continue };
            let Some(mut block) = ring.block() else { continue };
            port.look_at = None;
            let mut batch = Batch::new();
            for frame in block.frames().take(Batch::CAPACITY) {
                self.stats.kernel_packets += 1;
                if frame.outgoing && frame.hardware_type == libc::ARPHRD_LOOPBACK {
                    // Loopback shows every packet twice: as it leaves and as it arrives.
                    self.stats.duplicates += 1;
                    continue;
                }
                let Some((link, skip)) = framing(&frame) else {
                    self.stats.own_drops += 1;
                    continue;
                };
                let iface = match port.bound.ifindex {
                    0 => self.names.of(&frame, &self.shared),
                    _ => port.iface,
                };
                self.number += 1;
                batch.push(RawPacket {
                    ts: frame.ts,
                    iface,
                    link,
                    number: self.number,
                    wire_len: frame.wire_len.saturating_sub(skip as u32),
                    vlan_tci: frame.vlan_tci,
                    data: frame.data.get(skip..).unwrap_or_default(),
                });
            }
            let count = batch.len();
            batch.deliver(f);
            return Some(count);
        }
        None
    }

    fn wait(&mut self, wait: Duration) {
        let now = Instant::now();
        let due = self.ports.iter().filter_map(|port| port.look_at).min();
        let wait = due.map_or(wait, |due| wait.min(due.saturating_duration_since(now)));
        let open = self.ports.iter().filter_map(|port| port.ring.as_ref());
        if let Err(error) = self.poller.wait(open.map(Ring::socket), wait) {
            self.stats.errors += 1;
            warn!(%error, "cannot wait for packets");
            // Not in vain: a system that cannot wait now must not be asked in a tight loop.
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut open = 0;
        for port in &mut self.ports {
            if let Some(ring) = &port.ring {
                if self.poller.failed(open)
                    && let Err(error) = ring.socket().take_error()
                {
                    self.stats.errors += 1;
                    warn!(iface = port.name, %error, "interface is gone or down; waiting for it");
                    port.look_at = Some(now);
                }
                open += 1;
            }
            if port.look_at.is_some_and(|at| at <= Instant::now()) {
                port.look(&self.shared, &mut self.stats);
            }
        }
    }
}

impl PacketSource for LiveSource {
    fn next_burst(&mut self, wait: Duration, f: &mut Handler<'_>) -> Result<Burst, SourceError> {
        self.bursts = self.bursts.wrapping_add(1);
        if self.bursts.is_multiple_of(LOOK_AROUND) {
            // One interface may be gone while others never let us wait.
            self.wait(Duration::ZERO);
        }
        let count = self.read(f).or_else(|| {
            self.wait(wait);
            self.read(f)
        });
        Ok(count.map_or(Burst::Idle, Burst::Packets))
    }

    fn interfaces(&self) -> &[Interface] {
        &self.names.list
    }

    fn stats(&mut self) -> CaptureStats {
        for port in &mut self.ports {
            port.take_counters(&mut self.stats);
        }
        // Every worker sees the same interfaces; one reports what they dropped.
        if self.worker == 0 {
            let now = dropped_by_interfaces();
            self.stats.kernel_ifdrops = self
                .ports
                .iter()
                .filter_map(|port| Some(now.get(&port.name)?.saturating_sub(port.dropped_before)))
                .sum();
        }
        self.stats
    }
}

impl Port {
    /// Opens the ring; it stays closed to traffic until [`Port::start`].
    fn open(&mut self, shared: &Shared) -> io::Result<()> {
        let ifindex = if self.name == ANY { 0 } else { netdev::index_of(&self.name)? };
        let mut config = RingConfig {
            ifindex,
            block_size: BLOCK_SIZE,
            blocks: self.ring_mib,
            block_timeout: BLOCK_TIMEOUT,
            promiscuous: self.promiscuous,
        };
        let ring = loop {
            match Ring::open(&config) {
                Err(e) if is_no_memory(&e) && config.blocks > MIN_RING_MIB => {
                    config.blocks = (config.blocks / 2).max(MIN_RING_MIB);
                    warn!(iface = self.name, ring_mib = config.blocks, "ring made smaller");
                }
                opened => break opened?,
            }
        };
        self.bound = ring.socket().bound_to()?;
        // Loopback alone can leave out the second sight of every packet in the kernel. Where an
        // old kernel cannot, the reader does.
        let loopback = self.bound.hardware_type == libc::ARPHRD_LOOPBACK;
        if loopback {
            let _ = ring.socket().ignore_outgoing();
        }
        if shared.workers > 1 {
            shared.join(ring.socket(), ifindex, loopback)?;
        }
        self.ring = Some(ring);
        self.look_at = None;
        Ok(())
    }

    /// Lets traffic in.
    fn start(&self) -> io::Result<()> {
        self.ring.as_ref().map_or(Ok(()), |ring| ring.start(&self.filter))
    }

    /// Finds out what became of an interface that had an error.
    fn look(&mut self, shared: &Shared, stats: &mut CaptureStats) {
        self.look_at = Some(Instant::now() + LOOK_AGAIN);
        if let Some(ring) = &self.ring {
            if ring.socket().bound_to().is_ok_and(|bound| bound == self.bound) {
                // Only down: the kernel takes the ring up again together with the interface.
                return;
            }
            self.take_counters(stats);
            self.ring = None;
            shared.leave(self.bound.ifindex);
        }
        match self.open(shared).and_then(|()| self.start()) {
            Ok(()) => info!(iface = self.name, "interface is back"),
            Err(error) => {
                self.ring = None;
                self.look_at = Some(Instant::now() + LOOK_AGAIN);
                debug!(iface = self.name, %error, "interface is still away");
            }
        }
    }

    /// Adds what the kernel counted since the last call.
    fn take_counters(&self, stats: &mut CaptureStats) {
        let Some(ring) = &self.ring else { return };
        match ring.take_counters() {
            Ok(counters) => {
                stats.kernel_drops += u64::from(counters.drops);
                stats.ring_freezes += u64::from(counters.freezes);
            }
            Err(_) => stats.errors += 1,
        }
    }
}

impl Shared {
    /// Joins the fanout group of an interface, or founds it.
    fn join(&self, socket: &PacketSocket, ifindex: u32, loopback: bool) -> io::Result<()> {
        let mut groups = lock(&self.groups);
        if let Some(&group) = groups.get(&ifindex) {
            return socket.join_fanout(Some(group), loopback).map(drop);
        }
        let group = socket.join_fanout(None, loopback)?;
        socket.set_fanout_program(&self.fanout)?;
        groups.insert(ifindex, group);
        Ok(())
    }

    /// Forgets the group of an interface that was removed.
    fn leave(&self, ifindex: u32) {
        lock(&self.groups).remove(&ifindex);
    }

    /// The id of the interface called `name`, new or known.
    fn enlist(&self, name: &str, hardware_type: u16) -> IfaceId {
        let mut interfaces = lock(&self.interfaces);
        if let Some(known) = interfaces.iter().position(|interface| interface.name == name) {
            return IfaceId(known as u16);
        }
        if interfaces.len() >= MAX_INTERFACES {
            return IfaceId(0);
        }
        interfaces.push(Interface { name: name.to_owned(), link: link_type(hardware_type) });
        IfaceId((interfaces.len() - 1) as u16)
    }

    fn list(&self) -> Vec<Interface> {
        lock(&self.interfaces).clone()
    }
}

/// One worker's copy of the list of interfaces.
#[derive(Default)]
struct Names {
    list: Vec<Interface>,
    /// By number of the interface, for a capture of all.
    by_ifindex: HashMap<u32, IfaceId>,
    /// The last one asked for: most packets come in runs.
    last: Option<(u32, IfaceId)>,
}

impl Names {
    /// The interface of a frame from a capture of all interfaces.
    fn of(&mut self, frame: &Frame<'_>, shared: &Shared) -> IfaceId {
        if let Some((ifindex, id)) = self.last
            && ifindex == frame.ifindex
        {
            return id;
        }
        let id = self.by_ifindex.get(&frame.ifindex).copied().unwrap_or_else(|| {
            let name =
                netdev::name_of(frame.ifindex).unwrap_or_else(|_| format!("if{}", frame.ifindex));
            let id = shared.enlist(&name, frame.hardware_type);
            self.list = shared.list();
            if self.by_ifindex.len() >= MAX_INTERFACES {
                // Numbers of interfaces long gone.
                self.by_ifindex.clear();
            }
            self.by_ifindex.insert(frame.ifindex, id);
            id
        });
        self.last = Some((frame.ifindex, id));
        id
    }
}

/// How a frame of an interface begins, and how many bytes to leave out before that. None where
/// nobody can know.
fn framing(frame: &Frame<'_>) -> Option<(LinkType, usize)> {
    let link = link_type(frame.hardware_type);
    if link != LinkType::RAW {
        return Some((link, 0));
    }
    // Tunnels and point-to-point links: what stands before the IP header differs from kind to
    // kind, and from kernel to kernel, so it is left out.
    let is_ip = matches!(i32::from(frame.protocol), libc::ETH_P_IP | libc::ETH_P_IPV6);
    is_ip.then_some((LinkType::RAW, frame.network))
}

fn link_type(hardware_type: u16) -> LinkType {
    match hardware_type {
        // 0 is what a capture of all interfaces has; most of them will be Ethernet.
        0 | libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => LinkType::ETHERNET,
        libc::ARPHRD_IEEE80211 => LinkType::IEEE802_11,
        libc::ARPHRD_IEEE80211_RADIOTAP => LinkType::IEEE802_11_RADIOTAP,
        _ => LinkType::RAW,
    }
}

/// Says what to do about an error of opening a capture on `interface`.
fn refused(interface: &str, source: io::Error) -> SourceError {
    let hint = match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => permission_hint(),
        Some(libc::ENETDOWN) => format!("; bring it up: ip link set {interface} up"),
        Some(libc::ENOMEM) => "; there is no memory for the ring: lower ring_mib".to_owned(),
        _ => String::new(),
    };
    SourceError::System { what: format!("cannot capture on {interface}{hint}"), source }
}

/// Checks the names before anything is opened.
fn check_names(config: &LiveConfig) -> Result<(), SourceError> {
    let wrong = |what: String| {
        let source = io::Error::from(io::ErrorKind::InvalidInput);
        Err(SourceError::System { what, source })
    };
    let names = &config.interfaces;
    if names.is_empty() {
        return wrong(format!("no interface to capture on; there are: {}", known_names()));
    }
    if names.len() > MAX_PORTS {
        return wrong(format!("more than {MAX_PORTS} interfaces; use {ANY} instead"));
    }
    for (n, name) in names.iter().enumerate() {
        if name == ANY && names.len() > 1 {
            return wrong(format!("{ANY} stands for all interfaces; name it alone"));
        }
        if names[..n].contains(name) {
            return wrong(format!("interface {name} is named twice"));
        }
        if name != ANY
            && let Err(source) = netdev::index_of(name)
        {
            let what = format!("there is no interface {name}; there are: {}", known_names());
            return Err(SourceError::System { what, source });
        }
    }
    Ok(())
}

fn known_names() -> String {
    let names = netdev::all().unwrap_or_default().into_iter().map(|(_, name)| name);
    names.chain([ANY.to_owned()]).collect::<Vec<_>>().join(", ")
}

/// Packets that each interface dropped on receiving, in the network namespace of this thread.
fn dropped_by_interfaces() -> HashMap<String, u64> {
    let table = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
    // `name: bytes packets errs drop ...`, after two lines of headings.
    let dropped = |line: &str| {
        let (name, counters) = line.split_once(':')?;
        let dropped = counters.split_whitespace().nth(3)?.parse().ok()?;
        Some((name.trim().to_owned(), dropped))
    };
    table.lines().skip(2).filter_map(dropped).collect()
}

/// Differs from run to run, and nobody outside knows it.
fn random_seed() -> u32 {
    RandomState::new().build_hasher().finish() as u32
}

fn is_no_memory(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOMEM)
}

/// The lock, even if a thread panicked with it: what it guards is whole at any moment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// 1 MiB: also the longest frame, so that 64 KiB segments fit many times.
const BLOCK_SIZE: u32 = 1 << 20;

/// A block that is not full is handed over after this; the longest a packet waits.
const BLOCK_TIMEOUT: Duration = Duration::from_millis(10);

/// Blocks that a ring has at least.
const MIN_RING_MIB: u32 = 4;

/// Bursts after which every interface is asked for errors though there is always something to read.
const LOOK_AROUND: u32 = 4096;

/// How often to look whether an interface is back.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Interfaces that can be named one by one.
const MAX_PORTS: usize = 64;

/// Interfaces told apart in a capture of all.
const MAX_INTERFACES: usize = 4096;
