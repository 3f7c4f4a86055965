//! What this host depends on: its own addresses, gateways, resolvers, the DHCP server, and where
//! its administrators sit. Whoever blocks traffic must never block these.
//!
//! Everything is read from files, so it may be asked again every few seconds. Where the system
//! does not tell, the lists are empty, but for administrators: if it cannot be told who is logged
//! in, everybody who is connected to the SSH server counts as one.

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use crate::{IpNetwork, interfaces};

mod dhcp;
mod sockets;
mod ssh;

/// What this host cannot do without.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct HostSurroundings {
    /// The host's own addresses, with the networks they are in.
    pub own: Vec<IpNetwork>,
    /// Routers that a route of the main table goes through.
    pub gateways: Vec<IpAddr>,
    /// Name servers.
    pub resolvers: Vec<IpAddr>,
    /// Who gave the host its address.
    pub dhcp_servers: Vec<IpAddr>,
    /// Where people are logged in from.
    pub admins: Vec<IpAddr>,
    /// TCP ports on which people log in.
    pub admin_ports: Vec<u16>,
}

/// Looks at the host.
pub fn surroundings() -> HostSurroundings {
    let net = Path::new(NET);
    let mut found = HostSurroundings {
        own: interfaces().into_iter().flat_map(|i| i.addresses).collect(),
        gateways: gateways(&read(net.join("route")), &read(net.join("ipv6_route"))),
        resolvers: RESOLVERS.iter().flat_map(|path| resolvers(&read(path))).collect(),
        dhcp_servers: dhcp::servers(Path::new("/")),
        ..HostSurroundings::default()
    };
    (found.admins, found.admin_ports) = ssh::admins(Path::new("/proc"), net);
    for list in
        [&mut found.gateways, &mut found.resolvers, &mut found.dhcp_servers, &mut found.admins]
    {
        list.iter_mut().for_each(|address| *address = address.to_canonical());
        list.sort_unstable();
        list.dedup();
        list.truncate(MAX_LISTED);
    }
    found
}

/// Whether this process, or one that started it, was started by somebody who came over SSH.
pub fn is_remote_session() -> bool {
    std::env::var_os("SSH_CONNECTION").is_some() || ssh::has_ssh_ancestor(Path::new("/proc"))
}

/// Columns of `/proc/net/route` and `/proc/net/ipv6_route`, see `interfaces/route.rs`.
fn gateways(ipv4: &str, ipv6: &str) -> Vec<IpAddr> {
    let of_ipv4 = |line: &str| {
        let number = u32::from_str_radix(line.split_whitespace().nth(2)?, 16).ok()?;
        // Four bytes in network order, printed as a number of the host.
        Some(IpAddr::V4(Ipv4Addr::from(number.to_ne_bytes())))
    };
    let of_ipv6 = |line: &str| {
        let number = u128::from_str_radix(line.split_whitespace().nth(4)?, 16).ok()?;
        Some(IpAddr::V6(Ipv6Addr::from(number)))
    };
    let all = ipv4.lines().filter_map(of_ipv4).chain(ipv6.lines().filter_map(of_ipv6));
    all.filter(|gateway| !gateway.is_unspecified()).collect()
}

/// Lines `nameserver ADDRESS` of resolv.conf(5); a zone such as `%eth0` is left out.
fn resolvers(text: &str) -> Vec<IpAddr> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next()? == "nameserver").then(|| words.next())?
        })
        .filter_map(|word| word.split('%').next()?.parse().ok())
        .collect()
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn files(folder: PathBuf) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}

/// Tables of the network namespace of the asking thread.
const NET: &str = "/proc/thread-self/net";

/// Where name servers stand; with systemd the first names only the local one, the second those
/// that it asks.
const RESOLVERS: [&str; 3] = [
    "/etc/resolv.conf",
    "/run/systemd/resolve/resolv.conf",
    "/run/NetworkManager/no-stub-resolv.conf",
];

/// Addresses of a kind that are kept.
const MAX_LISTED: usize = 4_096;

/// Numbers of open sockets.
type Inodes = HashSet<u64>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_of_all_routes_are_found() {
        let v4 = "Iface\tDestination\tGateway\tFlags\n\
                  eth0\t00000000\t010A000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                  eth0\t000A000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        let v6 = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
                  fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n";
        let found = gateways(v4, v6);
        assert_eq!(found, ["10.0.10.1", "fe80::1"].map(|a| a.parse::<IpAddr>().unwrap()));
    }

    #[test]
    fn resolvers_are_read_with_and_without_zone() {
        let text = "# c\nsearch a\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\nnameserver x\n";
        let found = resolvers(text);
        assert_eq!(found, ["192.0.2.53", "fe80::1"].map(|a| a.parse::<IpAddr>().unwrap()));
    }

    #[test]
    fn this_host_is_described() {
        let found = surroundings();
        assert!(found.own.iter().any(|n| n.address.is_loopback()), "{found:?}");
        assert!(found.admin_ports.contains(&22), "{found:?}");
    }
}
