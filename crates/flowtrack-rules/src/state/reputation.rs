//! `iprep` and `geoip`: what lists and databases say about addresses.

use ahash::AHashMap;
use std::net::IpAddr;

/// Says in which country an address is.
pub trait Countries: Send + Sync + std::fmt::Debug {
    /// The two capital letters of the country; nothing where it is not known.
    fn of(&self, address: IpAddr) -> Option<[u8; 2]>;
}

/// Addresses and networks kept.
const CAP: usize = 4_000_000;

/// Scores of addresses by category.
#[derive(Clone, Default, Debug)]
pub struct Reputation {
    categories: AHashMap<String, u8>,
    /// By prefix length and address with its host bits cleared.
    scores: AHashMap<(u8, IpAddr), Vec<(u8, u8)>>,
    /// Prefix lengths in use, the longest first.
    lengths: Vec<u8>,
    /// Lines that could not be read, or did not fit.
    pub bad_lines: u64,
}

impl Reputation {
    /// Takes in a file of categories: `id,short name,description` a line.
    pub fn load_categories(&mut self, text: &str) {
        for line in lines(text) {
            let mut fields = line.split(',').map(str::trim);
            match (fields.next().and_then(|id| id.parse().ok()), fields.next()) {
                (Some(id), Some(name)) if !name.is_empty() => {
                    self.categories.insert(name.to_ascii_lowercase(), id);
                }
                _ => self.bad_lines += 1,
            }
        }
    }

    /// Takes in a file of scores: `address or network,category,score` a line; says how many lines
    /// it has.
    pub fn load_scores(&mut self, text: &str) -> u64 {
        let mut count = 0;
        for line in lines(text) {
            count += 1;
            if self.add(line).is_none() {
                self.bad_lines += 1;
            }
        }
        self.lengths = self.scores.keys().map(|(length, _)| *length).collect();
        self.lengths.sort_unstable_by(|a, b| b.cmp(a));
        self.lengths.dedup();
        count
    }

    /// The number of a category.
    pub fn category(&self, name: &str) -> Option<u8> {
        self.categories.get(&name.to_ascii_lowercase()).copied()
    }

    /// The score of an address: its own, else that of the smallest network around it.
    pub fn score(&self, addr: IpAddr, category: u8) -> Option<u8> {
        self.lengths.iter().find_map(|&length| {
            let key = (length, masked(addr, length)?);
            let scores = self.scores.get(&key)?;
            scores.iter().find(|(c, _)| *c == category).map(|(_, score)| *score)
        })
    }

    fn add(&mut self, line: &str) -> Option<()> {
        let mut fields = line.split(',').map(str::trim);
        let (addr, category, score) = (fields.next()?, fields.next()?, fields.next()?);
        let (category, score): (u8, u8) = (category.parse().ok()?, score.parse().ok()?);
        let (addr, length) = match addr.split_once('/') {
            Some((addr, length)) => (addr.parse().ok()?, length.parse().ok()?),
            None => {
                let addr: IpAddr = addr.parse().ok()?;
                (addr, if addr.is_ipv4() { 32 } else { 128 })
            }
        };
        let key = (length, masked(addr, length)?);
        if score > 127 || (self.scores.len() >= CAP && !self.scores.contains_key(&key)) {
            return None;
        }
        let scores = self.scores.entry(key).or_default();
        scores.retain(|(c, _)| *c != category);
        scores.push((category, score));
        Some(())
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// An address with its host bits cleared; `None` where the length is longer than the address.
fn masked(addr: IpAddr, length: u8) -> Option<IpAddr> {
    let length = u32::from(length);
    Some(match addr {
        IpAddr::V4(v4) if length <= 32 => {
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) if length <= 128 => {
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_list_entry_counts() {
        let mut reputation = Reputation::default();
        reputation.load_categories("1,BadHosts,known bad\n# comment\n2,Scanners,x\n");
        reputation.load_scores("10.0.0.0/8,1,20\n10.1.1.1,1,90\n10.1.1.1,2,5\nnonsense\n");
        let bad = reputation.category("badhosts").unwrap();
        assert_eq!(reputation.score([10, 1, 1, 1].into(), bad), Some(90));
        assert_eq!(reputation.score([10, 1, 1, 2].into(), bad), Some(20));
        assert_eq!(reputation.score([11, 1, 1, 2].into(), bad), None);
        assert_eq!(reputation.bad_lines, 1);
    }
}
