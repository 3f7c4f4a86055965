//! Addresses and networks as ranges.

use std::net::IpAddr;

/// All addresses of one family from the first to the last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AddressRange {
    pub first: IpAddr,
    pub last: IpAddr,
}

impl AddressRange {
    /// Reads `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32`; bits behind the prefix are ignored.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
            None => (text, None),
        };
        match address.parse().ok()? {
            IpAddr::V4(a) => {
                let rest = 32_u8.checked_sub(prefix.unwrap_or(32))?;
                let rest = u32::MAX.checked_shr(u32::from(32 - rest)).unwrap_or(0);
                let bits = a.to_bits();
                Some(Self {
                    first: IpAddr::V4((bits & !rest).into()),
                    last: IpAddr::V4((bits | rest).into()),
                })
            }
            IpAddr::V6(a) => {
                let rest = 128_u8.checked_sub(prefix.unwrap_or(128))?;
                let rest = u128::MAX.checked_shr(u32::from(128 - rest)).unwrap_or(0);
                let bits = a.to_bits();
                Some(Self {
                    first: IpAddr::V6((bits & !rest).into()),
                    last: IpAddr::V6((bits | rest).into()),
                })
            }
        }
    }

    /// Whether the address is one of them; those of the other family never are.
    pub fn contains(&self, address: IpAddr) -> bool {
        // `IpAddr` orders all of IPv4 before all of IPv6.
        self.first <= address && address <= self.last
    }
}

#[cfg(test)]
mod tests {
    use super::AddressRange;

    #[test]
    fn prefixes_cut_where_they_say() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("10.1.2.3/8", "10.0.0.0", "9.255.255.255"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("0.0.0.0/0", "255.255.255.255", "::"),
            ("::/0", "ffff::", "0.0.0.0"),
            ("2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::"),
            ("::ffff:10.0.0.0/104", "::ffff:10.1.1.1", "10.1.1.1"),
        ] {
            let range = AddressRange::parse(text).unwrap();
            assert!(range.contains(inside.parse().unwrap()), "{text} {inside}");
            assert!(!range.contains(outside.parse().unwrap()), "{text} {outside}");
        }
    }

    #[test]
    fn wrong_ones_are_refused() {
        for text in
            ["", "10.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "1.2.3.4/8/8"]
        {
            assert_eq!(AddressRange::parse(text), None, "{text}");
        }
    }
}
