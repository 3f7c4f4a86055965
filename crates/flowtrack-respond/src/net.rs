//! Networks of addresses, and what a block is of.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A network, or a single address as the network of it alone.
///
/// IPv4 addresses that are written as IPv6 (`::ffff:192.0.2.1`) are IPv4 here, and no bit behind
/// the prefix is set, so equal networks are equal values.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Net {
    address: IpAddr,
    len: u8,
}

impl Net {
    /// The network of `address` with this length of prefix; `None` where the prefix is longer than
    /// the address.
    pub fn new(address: IpAddr, len: u8) -> Option<Self> {
        let (address, len) = match (address, address.to_canonical()) {
            // The prefix of a mapped address counts the 96 bits in front of the IPv4 address.
            (IpAddr::V6(_), IpAddr::V4(v4)) if len >= MAPPED => (IpAddr::V4(v4), len - MAPPED),
            _ => (address, len),
        };
        let bits = if address.is_ipv4() { 32 } else { 128 };
        (len <= bits).then(|| Self { address: masked(address, len), len })
    }

    /// One address.
    pub fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, len: if address.is_ipv4() { 32 } else { 128 } }
    }

    /// Its first address.
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// Leading bits that its addresses have in common.
    pub const fn prefix(self) -> u8 {
        self.len
    }

    /// Whether it is one address.
    pub const fn is_single(self) -> bool {
        match self.address {
            IpAddr::V4(_) => self.len == 32,
            IpAddr::V6(_) => self.len == 128,
        }
    }

    /// Whether an address lies in it.
    pub fn contains(self, address: IpAddr) -> bool {
        self.covers(Self::of(address))
    }

    /// Whether all of `other` lies in it.
    ///
    /// A network of IPv6 that holds all mapped addresses (`::/0`, `::ffff:0:0/96` cannot be
    /// written) covers those of IPv4 too, because that is what a person would expect of it.
    pub fn covers(self, other: Self) -> bool {
        match (self.address, other.address) {
            (IpAddr::V6(_), IpAddr::V4(v4)) => {
                let mapped = IpAddr::V6(v4.to_ipv6_mapped());
                self.len < MAPPED && masked(mapped, self.len) == self.address
            }
            (IpAddr::V4(_), IpAddr::V6(_)) => false,
            _ => self.len <= other.len && masked(other.address, self.len) == self.address,
        }
    }

    /// Whether any address lies in both.
    pub fn meets(self, other: Self) -> bool {
        self.covers(other) || other.covers(self)
    }
}

/// An address with all bits behind the prefix cleared, and nothing else changed.
fn masked(address: IpAddr, len: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(len.into())).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(v4) & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(len.into())).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask))
        }
    }
}

/// `192.0.2.1` or `192.0.2.0/24`.
impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)?;
        if self.is_single() { Ok(()) } else { write!(f, "/{}", self.len) }
    }
}

impl FromStr for Net {
    type Err = NotNet;

    fn from_str(text: &str) -> Result<Self, NotNet> {
        let wrong = || NotNet(text.to_owned());
        let text = text.trim();
        match text.split_once('/') {
            None => text.parse().map(Self::of).map_err(|_| wrong()),
            Some((address, len)) => {
                let address = address.parse().map_err(|_| wrong())?;
                let len = len.parse().map_err(|_| wrong())?;
                Self::new(address, len).ok_or_else(wrong)
            }
        }
    }
}

/// Transport of a port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    /// The name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// What a block is of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum What {
    /// All traffic from and to an address or a network.
    Net(Net),
    /// All traffic to a port of this host, or through it.
    Port(Transport, u16),
    /// Requests for connections to a service, beyond a rate: what helps where the sources are
    /// spoofed and none of them may be blocked.
    Requests(IpAddr, u16),
}

impl What {
    /// Whether it is more than one address.
    pub fn is_network(&self) -> bool {
        matches!(self, Self::Net(net) if !net.is_single())
    }
}

/// `192.0.2.1`, `192.0.2.0/24`, `tcp/23`, or `requests/192.0.2.1/80`.
impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(net) => net.fmt(f),
            Self::Port(transport, port) => write!(f, "{}/{port}", transport.name()),
            Self::Requests(address, port) => write!(f, "requests/{address}/{port}"),
        }
    }
}

impl FromStr for What {
    type Err = NotBlockable;

    fn from_str(text: &str) -> Result<Self, NotBlockable> {
        let text = text.trim();
        let wrong = || NotBlockable(text.to_owned());
        let port = |port: &str| port.parse::<u16>().map_err(|_| wrong());
        match text.split_once('/') {
            Some(("tcp", number)) => Ok(Self::Port(Transport::Tcp, port(number)?)),
            Some(("udp", number)) => Ok(Self::Port(Transport::Udp, port(number)?)),
            Some(("requests", service)) => {
                let (address, number) = service.rsplit_once('/').ok_or_else(wrong)?;
                let address: IpAddr = address.parse().map_err(|_| wrong())?;
                Ok(Self::Requests(address.to_canonical(), port(number)?))
            }
            // A bare port is one of TCP; whoever wants UDP says so.
            None if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                Ok(Self::Port(Transport::Tcp, port(text)?))
            }
            _ => text.parse().map(Self::Net).map_err(|_| wrong()),
        }
    }
}

/// As text, which is what files and people have.
impl Serialize for What {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for What {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Net {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Net {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A text names no network.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is no address or network; write 192.0.2.1, 192.0.2.0/24 or 2001:db8::/64")]
pub struct NotNet(pub String);

/// A text names nothing that could be blocked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`{0}` is no address, network or port; write 192.0.2.1, 192.0.2.0/24, 2001:db8::/64, \
     23, tcp/23 or udp/53"
)]
pub struct NotBlockable(pub String);

/// Bits in front of an IPv4 address that is written as IPv6.
const MAPPED: u8 = 96;

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Net {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_meant_is_one_value() {
        for (text, shown) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.77/24", "192.0.2.0/24"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.77/120", "192.0.2.0/24"),
            ("2001:db8::1/128", "2001:db8::1"),
            ("2001:DB8::1/64", "2001:db8::/64"),
            ("23", "tcp/23"),
            ("udp/53", "udp/53"),
            ("requests/192.0.2.1/80", "requests/192.0.2.1/80"),
            ("requests/2001:db8::1/80", "requests/2001:db8::1/80"),
        ] {
            let what: What = text.parse().unwrap();
            assert_eq!(what.to_string(), shown, "{text}");
            assert_eq!(shown.parse::<What>().unwrap(), what);
        }
        for wrong in ["", "x", "192.0.2.1/33", "2001:db8::/129", "70000", "tcp/x", "1.2.3", "::/"] {
            assert!(wrong.parse::<What>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn networks_cover_what_lies_in_them() {
        assert!(net("10.0.0.0/8").covers(net("10.9.0.0/16")));
        assert!(!net("10.9.0.0/16").covers(net("10.0.0.0/8")));
        assert!(net("10.9.0.0/16").meets(net("10.0.0.0/8")));
        assert!(!net("10.0.0.0/9").meets(net("10.128.0.0/9")));
        assert!(net("0.0.0.0/0").contains("255.255.255.255".parse().unwrap()));
        assert!(net("::/0").contains("2001:db8::1".parse().unwrap()));
        assert!(net("::/0").contains("192.0.2.1".parse().unwrap()));
        assert!(!net("0.0.0.0/0").contains("2001:db8::1".parse().unwrap()));
        assert!(net("192.0.2.0/24").contains("::ffff:192.0.2.9".parse().unwrap()));
        assert!(!net("2001:db8::/32").contains("192.0.2.1".parse().unwrap()));
    }
}
