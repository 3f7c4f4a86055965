//! Networks, and which of them are one's own.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network: an address and how many of its leading bits count.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Net {
    addr: IpAddr,
    len: u8,
}

impl Net {
    /// The network of `len` bits around an address; longer than the address, it is the address.
    pub fn new(addr: IpAddr, len: u8) -> Self {
        match addr {
            IpAddr::V4(v4) => {
                let len = len.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
                Self { addr: IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask)), len }
            }
            IpAddr::V6(v6) => {
                let len = len.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
                Self { addr: IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask)), len }
            }
        }
    }

    /// Whether an address is of it.
    pub fn contains(&self, addr: IpAddr) -> bool {
        addr.is_ipv4() == self.addr.is_ipv4() && Self::new(addr, self.len).addr == self.addr
    }

    /// Its first address.
    pub const fn addr(&self) -> IpAddr {
        self.addr
    }

    /// The network of one address.
    pub fn one(addr: IpAddr) -> Self {
        Self::new(addr, 128)
    }

    /// Whether it is one address.
    pub const fn is_one(&self) -> bool {
        self.len == if self.addr.is_ipv4() { 32 } else { 128 }
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

impl FromStr for Net {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no network; write it like 192.0.2.0/24");
        let (addr, len) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
        let addr: IpAddr = addr.trim().parse().map_err(|_| wrong())?;
        let longest = if addr.is_ipv4() { 32 } else { 128 };
        let len = match len {
            Some(len) => len.trim().parse().map_err(|_| wrong())?,
            None => longest,
        };
        if len > longest { Err(wrong()) } else { Ok(Self::new(addr, len)) }
    }
}

impl Serialize for Net {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Net {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Which addresses are one's own: private ones (RFC 1918, RFC 6598, RFC 4193), loopback, link
/// local, and those that are configured.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Networks {
    own: Vec<Net>,
    hosts: Vec<IpAddr>,
    resolvers: Vec<IpAddr>,
}

impl Networks {
    /// Private networks and `own` ones.
    pub fn new(own: Vec<Net>) -> Self {
        Self { own, hosts: Vec::new(), resolvers: Vec::new() }
    }

    /// With the addresses of this machine, which are home wherever they are.
    #[must_use]
    pub fn with_hosts(mut self, hosts: Vec<IpAddr>) -> Self {
        self.hosts = hosts;
        self
    }

    /// With the resolvers that this machine asks.
    #[must_use]
    pub fn with_resolvers(mut self, resolvers: Vec<IpAddr>) -> Self {
        self.resolvers = resolvers;
        self
    }

    /// Whether an address is one's own.
    pub(crate) fn is_home(&self, addr: IpAddr) -> bool {
        let addr = addr.to_canonical();
        let is_private = match addr {
            IpAddr::V4(v4) => {
                let [a, b, ..] = v4.octets();
                v4.is_private()
                    || v4.is_loopback()
                    || v4.is_link_local()
                    || (a == 100 && b & 0xc0 == 64)
            }
            IpAddr::V6(v6) => {
                v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local()
            }
        };
        is_private || self.hosts.contains(&addr) || self.own.iter().any(|net| net.contains(addr))
    }

    /// Whether an address is a resolver that this machine asks.
    pub(crate) fn is_resolver(&self, addr: IpAddr) -> bool {
        self.resolvers.contains(&addr)
    }

    /// Whether an address is one host: no multicast, no broadcast, not unspecified.
    pub(crate) fn is_host(addr: IpAddr) -> bool {
        !addr.is_multicast() && !addr.is_unspecified() && addr != IpAddr::V4(Ipv4Addr::BROADCAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_is_private_and_what_is_configured() {
        let networks = Networks::new(vec!["198.51.100.0/24".parse().unwrap()])
            .with_hosts(vec!["203.0.113.9".parse().unwrap()]);
        for home in [
            "10.1.2.3",
            "172.31.0.1",
            "192.168.9.9",
            "127.0.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "198.51.100.200",
            "203.0.113.9",
            "::ffff:10.0.0.1",
        ] {
            assert!(networks.is_home(home.parse().unwrap()), "{home}");
        }
        for away in ["172.32.0.1", "8.8.8.8", "2001:db8::1", "198.51.101.1", "203.0.113.10"] {
            assert!(!networks.is_home(away.parse().unwrap()), "{away}");
        }
    }

    #[test]
    fn networks_are_read_and_written() {
        for (text, shown) in
            [("10.9.8.7/8", "10.0.0.0/8"), ("192.0.2.1", "192.0.2.1/32"), ("::1/0", "::/0")]
        {
            assert_eq!(text.parse::<Net>().unwrap().to_string(), shown);
        }
        for wrong in ["", "10.0.0.0/33", "10.0.0/8", "x", "10.0.0.0/-1"] {
            assert!(wrong.parse::<Net>().is_err(), "{wrong}");
        }
    }
}
