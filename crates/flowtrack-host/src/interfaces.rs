//! The network interfaces of this host.

use std::net::IpAddr;

use serde::Serialize;
use sysinfo::Networks;

#[cfg(target_os = "linux")]
mod linux;
mod route;

/// An interface as a person chooses it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HostInterface {
    /// Name such as `eth0`.
    pub name: String,
    /// The system's number, where it has one.
    pub index: Option<u32>,
    /// What it is.
    pub kind: InterfaceKind,
    /// Addresses, those of IPv4 first.
    pub addresses: Vec<IpNetwork>,
    /// Hardware address as `02:00:00:00:00:01`; none where it is all zeroes.
    pub mac: Option<String>,
    /// Whether somebody switched it on.
    pub up: bool,
    /// Whether it has a link, as far as it can tell.
    pub running: bool,
    /// Whether it is the host talking to itself.
    pub loopback: bool,
    /// Whether it carries the default route.
    pub default_route: bool,
    /// Mbit/s, where the driver says.
    pub speed_mbps: Option<u32>,
    /// Longest packet in bytes.
    pub mtu: Option<u64>,
    /// Traffic since the interface came up.
    pub counters: Counters,
}

/// What an interface is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InterfaceKind {
    /// A network card, real or of a virtual machine.
    Ethernet,
    /// A wireless card.
    Wifi,
    /// The host talking to itself.
    Loopback,
    /// A switch in software.
    Bridge,
    /// Several cards as one.
    Bond,
    /// One VLAN of another interface.
    Vlan,
    /// One end of a pair, mostly into a container.
    Veth,
    /// A tunnel that a program or the kernel ends.
    Tunnel,
    /// A point-to-point link over PPP.
    Ppp,
    /// Any other made in software.
    Virtual,
    /// Unknown.
    #[default]
    Other,
}

/// An address and the length of its network's prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct IpNetwork {
    /// The host's own address.
    pub address: IpAddr,
    /// Leading bits that the network has in common.
    pub prefix: u8,
}

impl std::fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// What an interface counted.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Counters {
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets dropped on receiving, those that found no room in the card included.
    pub rx_dropped: u64,
    /// Packets that came damaged.
    pub rx_errors: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Packets dropped on sending.
    pub tx_dropped: u64,
    /// Packets that could not be sent.
    pub tx_errors: u64,
}

/// All interfaces, by their name; the one with the default route first. Empty where the system
/// does not tell.
pub fn interfaces() -> Vec<HostInterface> {
    let default = route::default_route();
    let networks = Networks::new_with_refreshed_list().ok();
    let mut all: Vec<_> = networks
        .iter()
        .flat_map(|networks| networks.iter())
        .map(|(name, network)| {
            let name = name.to_string_lossy();
            let mut interface = from_sysinfo(&name, network);
            interface.default_route = default.as_deref() == Some(&*name);
            #[cfg(target_os = "linux")]
            linux::describe(&mut interface);
            interface
        })
        .collect();
    all.sort_by(|a, b| (!a.default_route, &a.name).cmp(&(!b.default_route, &b.name)));
    all
}

/// The interface to capture on if nobody chose one: the one that carries the default route, of
/// IPv4 or else of IPv6; without a default route the busiest that has an address.
pub fn default_interface() -> Option<String> {
    route::default_route().or_else(|| best_guess(interfaces()))
}

fn best_guess(all: Vec<HostInterface>) -> Option<String> {
    let usable = all.into_iter().filter(|i| i.up && !i.loopback && !i.addresses.is_empty());
    let worth = |i: &HostInterface| {
        let real = matches!(i.kind, InterfaceKind::Ethernet | InterfaceKind::Wifi);
        (i.running, real, i.counters.rx_bytes)
    };
    usable.max_by_key(worth).map(|i| i.name)
}

/// What every system tells.
fn from_sysinfo(name: &str, network: &sysinfo::NetworkData) -> HostInterface {
    let mut addresses: Vec<_> = network
        .ip_networks()
        .iter()
        .map(|ip| IpNetwork { address: ip.addr, prefix: ip.prefix })
        .collect();
    addresses.sort_by_key(|network| (network.address.is_ipv6(), network.address));
    let loopback = !addresses.is_empty() && addresses.iter().all(|n| n.address.is_loopback());
    let mac = network.mac_address();
    HostInterface {
        name: name.to_owned(),
        index: None,
        kind: if loopback { InterfaceKind::Loopback } else { InterfaceKind::Other },
        mac: (!mac.is_unspecified()).then(|| mac.to_string()),
        up: !addresses.is_empty(),
        running: !addresses.is_empty(),
        addresses,
        loopback,
        default_route: false,
        speed_mbps: None,
        mtu: Some(network.mtu()).filter(|&mtu| mtu > 0),
        counters: Counters {
            rx_bytes: network.total_received(),
            rx_packets: network.total_packets_received(),
            rx_errors: network.total_errors_on_received(),
            tx_bytes: network.total_transmitted(),
            tx_packets: network.total_packets_transmitted(),
            tx_errors: network.total_errors_on_transmitted(),
            ..Counters::default()
        },
    }
}

#[cfg(test)]
mod tests;
