//! What Linux tells of an interface in `/sys/class/net`.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{HostInterface, InterfaceKind};

/// Fills in all that `/sys/class/net/NAME` says.
pub fn describe(interface: &mut HostInterface) {
    let device = Device(Path::new("/sys/class/net").join(&interface.name));
    let flags = device
        .text("flags")
        .map_or(0, |text| u32::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or(0));
    interface.index = device.number("ifindex");
    interface.up = flags & IFF_UP != 0;
    interface.loopback = flags & IFF_LOOPBACK != 0;
    // Tunnels and loopback know of no link and say `unknown`.
    let state = device.text("operstate").unwrap_or_default();
    interface.running = interface.up && matches!(state.as_str(), "up" | "unknown");
    interface.kind = device.kind();
    // -1 where there is no link; the file cannot be read at all where the interface is down.
    interface.speed_mbps = device.number("speed").filter(|&speed| speed > 0 && speed < u32::MAX);
    interface.mtu = device.number("mtu").or(interface.mtu);
    let counter = |name: &str| device.number(&format!("statistics/{name}")).unwrap_or(0);
    let counters = &mut interface.counters;
    counters.rx_bytes = counter("rx_bytes");
    counters.rx_packets = counter("rx_packets");
    counters.rx_dropped = counter("rx_dropped") + counter("rx_missed_errors");
    counters.rx_errors = counter("rx_errors");
    counters.tx_bytes = counter("tx_bytes");
    counters.tx_packets = counter("tx_packets");
    counters.tx_dropped = counter("tx_dropped");
    counters.tx_errors = counter("tx_errors");
}

/// The folder of an interface.
struct Device(PathBuf);

impl Device {
    fn text(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.0.join(file)).ok().map(|text| text.trim().to_owned())
    }

    fn number<T: FromStr>(&self, file: &str) -> Option<T> {
        self.text(file)?.parse().ok()
    }

    fn has(&self, entry: &str) -> bool {
        self.0.join(entry).exists()
    }

    fn kind(&self) -> InterfaceKind {
        let uevent = self.text("uevent").unwrap_or_default();
        let device_type = uevent.lines().find_map(|line| line.strip_prefix("DEVTYPE="));
        let hardware = self.number("type").unwrap_or(0);
        match (device_type, hardware) {
            (_, ARPHRD_LOOPBACK) => InterfaceKind::Loopback,
            (_, ARPHRD_PPP) => InterfaceKind::Ppp,
            (Some("wlan"), _) => InterfaceKind::Wifi,
            (Some("bridge"), _) => InterfaceKind::Bridge,
            (Some("bond"), _) => InterfaceKind::Bond,
            (Some("vlan"), _) => InterfaceKind::Vlan,
            (Some("vxlan" | "geneve" | "wireguard" | "gretap" | "ip6gretap"), _) => {
                InterfaceKind::Tunnel
            }
            (Some(_), _) => InterfaceKind::Virtual,
            _ if self.has("wireless") || self.has("phy80211") => InterfaceKind::Wifi,
            _ if self.has("tun_flags") || hardware != ARPHRD_ETHER => InterfaceKind::Tunnel,
            _ if self.has("device") => InterfaceKind::Ethernet,
            // Of what is made in software and names no type, only the pair has another end.
            _ if self.number::<u32>("iflink") != self.number("ifindex") => InterfaceKind::Veth,
            _ => InterfaceKind::Virtual,
        }
    }
}

/// Flags of netdevice(7).
const IFF_UP: u32 = 0x1;
const IFF_LOOPBACK: u32 = 0x8;

/// Hardware types of `linux/if_arp.h`.
const ARPHRD_ETHER: u32 = 1;
const ARPHRD_PPP: u32 = 512;
const ARPHRD_LOOPBACK: u32 = 772;
