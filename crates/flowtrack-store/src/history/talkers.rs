//! Sums per host over flows of history.

use super::rows::address_of;
use crate::heavy::drop_lighter_half;
use crate::live::HostRow;
use ahash::RandomState;
use hashbrown::HashMap;
use rusqlite::Row;
use rusqlite::types::ValueRef;
use std::cmp::Reverse;
use std::net::IpAddr;

/// Sums per host, exact for all hosts or for those that can be among the heaviest.
///
/// A first reading sums up all hosts. If they are too many, the lighter half goes each time there
/// is no room, and whoever comes new is ranked as if it had the weight of the heaviest that went:
/// so whoever has more than a small part of all bytes is still there at the end, if with too low a
/// sum. A second reading then makes the sums of those exact.
pub(crate) struct Hosts {
    sums: HashMap<IpAddr, Sum, RandomState>,
    capacity: usize,
    /// Weight of the heaviest host that went.
    floor: u64,
    /// Whether only hosts that are there already are summed up.
    recounting: bool,
}

#[derive(Default)]
struct Sum {
    row: HostRow,
    floor: u64,
}

impl Sum {
    fn weight(&self) -> u64 {
        self.floor.saturating_add(self.row.bytes_out).saturating_add(self.row.bytes_in)
    }
}

impl Hosts {
    /// Keeps at most `capacity` hosts, at least two.
    pub fn new(capacity: usize) -> Self {
        let sums = HashMap::default();
        Self { sums, capacity: capacity.max(2), floor: 0, recounting: false }
    }

    /// Whether hosts were left out, so that all flows must be added once more after
    /// [`Hosts::recount`].
    pub fn is_incomplete(&self) -> bool {
        self.floor > 0
    }

    /// Begins the second reading.
    pub fn recount(&mut self) {
        self.recounting = true;
        self.sums.values_mut().for_each(|sum| *sum = Sum::default());
    }

    /// Adds a row of both addresses, the bytes of both sides, all packets and both names.
    pub fn add_flow(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        let address = |i| match row.get_ref(i)? {
            ValueRef::Blob(bytes) => Ok(address_of(bytes)),
            _ => Ok::<_, rusqlite::Error>(None),
        };
        let number = |i| row.get::<_, i64>(i).map(|n| n as u64);
        let (Some(src), Some(dst)) = (address(0)?, address(1)?) else { return Ok(()) };
        let (out, back, packets) = (number(2)?, number(3)?, number(4)?);
        let names = [row.get_ref(5)?, row.get_ref(6)?];
        self.add(src, out, back, packets, names[0]);
        if src != dst {
            self.add(dst, back, out, packets, names[1]);
        }
        Ok(())
    }

    fn add(&mut self, host: IpAddr, out: u64, back: u64, packets: u64, name: ValueRef<'_>) {
        let known = self.sums.contains_key(&host);
        if !known && self.recounting {
            return;
        }
        if !known && self.sums.len() >= self.capacity {
            // At least 1, so that it tells that something went.
            self.floor = self.floor.max(drop_lighter_half(&mut self.sums, Sum::weight)).max(1);
        }
        let floor = self.floor;
        let sum = self.sums.entry(host).or_insert_with(|| Sum { floor, ..Sum::default() });
        let host = &mut sum.row;
        host.bytes_out = host.bytes_out.saturating_add(out);
        host.bytes_in = host.bytes_in.saturating_add(back);
        host.packets = host.packets.saturating_add(packets);
        host.flows += 1;
        if let (None, Ok(name)) = (&host.name, name.as_str()) {
            host.name = Some(name.to_owned());
        }
    }

    /// The hosts with the most bytes, largest first.
    pub fn heaviest(self, limit: usize) -> Vec<HostRow> {
        let mut hosts: Vec<_> = self.sums.into_iter().map(|(a, sum)| (a, sum.row)).collect();
        hosts.sort_unstable_by_key(|(address, host)| {
            (Reverse(host.bytes_out.saturating_add(host.bytes_in)), *address)
        });
        hosts.truncate(limit);
        let named = |(address, host): (IpAddr, _)| HostRow { addr: address.to_string(), ..host };
        hosts.into_iter().map(named).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(hosts: &mut Hosts) {
        for n in 0..20_000_u32 {
            let light = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
            let heavy = IpAddr::from([192, 0, 2, (n % 3) as u8]);
            hosts.add(light, 60, 0, 1, ValueRef::Null);
            hosts.add(heavy, 0, 100, 1, ValueRef::Text(b"name"));
        }
    }

    #[test]
    fn the_heaviest_are_exact_also_where_hosts_are_too_many() {
        for capacity in [100, 100_000] {
            let mut hosts = Hosts::new(capacity);
            read(&mut hosts);
            assert_eq!(hosts.is_incomplete(), capacity == 100);
            if hosts.is_incomplete() {
                assert!(hosts.sums.len() <= 100);
                hosts.recount();
                read(&mut hosts);
            }
            let heaviest = hosts.heaviest(3);
            assert_eq!(heaviest[0].addr, "192.0.2.0");
            let exact: Vec<_> = heaviest.iter().map(|h| (h.bytes_in, h.flows)).collect();
            assert_eq!(exact, [(666_700, 6_667), (666_700, 6_667), (666_600, 6_666)]);
            assert_eq!(heaviest[2].name.as_deref(), Some("name"));
        }
    }
}
