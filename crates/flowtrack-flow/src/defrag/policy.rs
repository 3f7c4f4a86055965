//! Whose bytes count where fragments overlap.

use super::DefragConfig;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Whose bytes count where fragments overlap, after the operating systems that behave so.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FragmentPolicy {
    /// What came first.
    First,
    /// What came last.
    Last,
    /// What begins earlier, and of those that begin together what came first.
    #[default]
    Bsd,
    /// The newer unless it begins earlier.
    BsdRight,
    /// What begins earlier, and of those that begin together what came last.
    Linux,
    /// What came first, unless the newer begins earlier and ends later.
    Windows,
    /// What came first, unless the newer begins earlier and does not end earlier.
    Solaris,
}

impl FragmentPolicy {
    /// Whether the newer of two overlapping fragments counts; fragments as (begin, end).
    pub(super) fn newer_wins(self, old: (u32, u32), new: (u32, u32)) -> bool {
        match self {
            Self::First => false,
            Self::Last => true,
            Self::Bsd => new.0 < old.0,
            Self::BsdRight => new.0 >= old.0,
            Self::Linux => new.0 <= old.0,
            Self::Windows => new.0 < old.0 && new.1 > old.1,
            Self::Solaris => new.0 < old.0 && new.1 >= old.1,
        }
    }
}

/// The policy of some destinations.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostPolicy<P> {
    /// Which destinations, such as `10.0.0.0/8`.
    pub network: Prefix,
    /// Whose bytes count there.
    pub policy: P,
}

impl<P: Copy> HostPolicy<P> {
    /// The policy of a destination: that of the longest prefix it has.
    pub fn of(hosts: &[Self], dst: IpAddr) -> Option<P> {
        let its = hosts.iter().filter(|host| host.network.contains(dst));
        its.max_by_key(|host| host.network.len).map(|host| host.policy)
    }
}

/// Addresses that begin alike, such as `10.0.0.0/8`; an address alone is one of full length.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix {
    address: IpAddr,
    len: u8,
}

impl Prefix {
    /// Whether an address begins so.
    pub fn contains(self, address: IpAddr) -> bool {
        if self.address.is_ipv4() != address.is_ipv4() {
            return false;
        }
        let width: u32 = if address.is_ipv4() { 32 } else { 128 };
        let differing = bits(self.address) ^ bits(address);
        differing.checked_shr(width - u32::from(self.len)).unwrap_or(0) == 0
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => Ipv6Addr::to_bits(v6),
    }
}

/// A text that is no prefix.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoPrefix(String);

impl fmt::Display for NoPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no network; write it as 10.0.0.0/8 or 2001:db8::/32", self.0)
    }
}

impl std::error::Error for NoPrefix {}

impl FromStr for Prefix {
    type Err = NoPrefix;

    fn from_str(text: &str) -> Result<Self, NoPrefix> {
        let (address, len) = match text.split_once('/') {
            Some((address, len)) => (address, Some(len)),
            None => (text, None),
        };
        let wrong = || NoPrefix(text.to_owned());
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let len = match len {
            Some(len) => len.parse().ok().filter(|len| *len <= most).ok_or_else(wrong)?,
            None => most,
        };
        Ok(Self { address, len })
    }
}

impl TryFrom<String> for Prefix {
    type Error = NoPrefix;

    fn try_from(text: String) -> Result<Self, NoPrefix> {
        text.parse()
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.to_string()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.len)
    }
}

impl DefragConfig {
    /// The policy of a destination.
    pub(super) fn policy_for(&self, dst: IpAddr) -> FragmentPolicy {
        HostPolicy::of(&self.hosts, dst).unwrap_or(self.policy)
    }
}
