//! Sets of addresses.

use super::list;
use super::range::RangeSet;
use crate::Complaint;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A set of IPv4 and IPv6 addresses.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct Addresses {
    v4: RangeSet<u32>,
    v6: RangeSet<u128>,
}

impl Addresses {
    /// Every address.
    pub fn any() -> Self {
        Self { v4: RangeSet::full(), v6: RangeSet::full() }
    }

    /// Reads `any`, an address, a network, a range, or a list of them, with `variable` to say what
    /// stands behind a `$`.
    ///
    /// What is negated is taken away from what is wanted, or from every address of its own family
    /// where nothing of that family is wanted. So `!10.0.0.0/8` holds no IPv6 address: that is how
    /// rules have always been matched, and how their authors tested them.
    pub fn parse<'v>(
        text: &str,
        variable: &dyn Fn(&str) -> Result<&'v str, String>,
    ) -> Result<Self, Complaint> {
        let (mut wanted, mut unwanted) = (Ranges::default(), Ranges::default());
        list::walk(text, "addresses", variable, &mut |item, negated| {
            let side = if negated { &mut unwanted } else { &mut wanted };
            side.add(item)
        })?;
        let v4 = merge(wanted.v4, unwanted.v4);
        let v6 = merge(wanted.v6, unwanted.v6);
        if v4.is_empty() && v6.is_empty() {
            return Err(Complaint::new(format!("no address is left of {text}")));
        }
        Ok(Self { v4, v6 })
    }

    /// Whether `address` is in it.
    #[inline]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.contains(address.to_bits()),
            IpAddr::V6(address) => self.v6.contains(address.to_bits()),
        }
    }

    /// Whether every address is in it.
    pub fn is_any(&self) -> bool {
        self.v4.is_full() && self.v6.is_full()
    }

    /// The IPv4 addresses in it.
    pub const fn v4(&self) -> &RangeSet<u32> {
        &self.v4
    }

    /// The IPv6 addresses in it.
    pub const fn v6(&self) -> &RangeSet<u128> {
        &self.v6
    }
}

/// Ranges as they are read.
#[derive(Default)]
struct Ranges {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl Ranges {
    /// Adds one item: `any`, an address, a network or a range.
    fn add(&mut self, item: &str) -> Result<(), String> {
        if item.eq_ignore_ascii_case("any") {
            self.v4.push((0, u32::MAX));
            self.v6.push((0, u128::MAX));
        } else if let Some((first, last)) = item.split_once('-') {
            match (address(first)?, address(last)?) {
                (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => {
                    self.v4.push((first.to_bits(), last.to_bits()));
                }
                (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => {
                    self.v6.push((first.to_bits(), last.to_bits()));
                }
                _ => {
                    return Err(format!(
                        "\"{item}\" is no range: expected smaller-larger of one family"
                    ));
                }
            }
        } else if let Some((base, mask)) = item.split_once('/') {
            match address(base)? {
                IpAddr::V4(base) => self.v4.push(network_v4(base, mask.trim())?),
                IpAddr::V6(base) => self.v6.push(network_v6(base, mask.trim())?),
            }
        } else {
            match address(item)? {
                IpAddr::V4(address) => self.v4.push((address.to_bits(), address.to_bits())),
                IpAddr::V6(address) => self.v6.push((address.to_bits(), address.to_bits())),
            }
        }
        Ok(())
    }
}

/// What is wanted less what is not, or everything less what is not.
fn merge<T: super::range::Point>(wanted: Vec<(T, T)>, unwanted: Vec<(T, T)>) -> RangeSet<T> {
    if unwanted.is_empty() {
        return RangeSet::new(wanted);
    }
    let wanted = if wanted.is_empty() { RangeSet::full() } else { RangeSet::new(wanted) };
    wanted.without(&RangeSet::new(unwanted))
}

fn address(text: &str) -> Result<IpAddr, String> {
    let text = text.trim();
    text.parse().map_err(|_| {
        format!("\"{text}\" is no address: expected any, 192.0.2.1, 192.0.2.0/24, 192.0.2.1-192.0.2.9, the same for IPv6, a list in brackets or a $VARIABLE")
    })
}

fn network_v4(base: Ipv4Addr, mask: &str) -> Result<(u32, u32), String> {
    let mask = match (mask.parse::<u32>(), mask.parse::<Ipv4Addr>()) {
        (Ok(bits @ 0..=32), _) => u32::MAX.checked_shl(32 - bits).unwrap_or(0),
        (_, Ok(mask)) if mask.to_bits().leading_ones() == mask.to_bits().count_ones() => {
            mask.to_bits()
        }
        _ => {
            return Err(format!(
                "\"{mask}\" is no network mask: expected 0 to 32, or 255.255.255.0"
            ));
        }
    };
    let first = base.to_bits() & mask;
    Ok((first, first | !mask))
}

fn network_v6(base: Ipv6Addr, mask: &str) -> Result<(u128, u128), String> {
    let Ok(bits @ 0..=128) = mask.parse::<u32>() else {
        return Err(format!("\"{mask}\" is no network mask: expected 0 to 128"));
    };
    let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
    let first = base.to_bits() & mask;
    Ok((first, first | !mask))
}
