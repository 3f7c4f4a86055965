//! Sums per host over flows of history.

use super::rows::address_of;
use crate::live::HostRow;
use ahash::RandomState;
use hashbrown::HashMap;
use rusqlite::Row;
use rusqlite::types::ValueRef;
use std::cmp::Reverse;
use std::net::IpAddr;

/// Exact sums per host.
#[derive(Default)]
pub(crate) struct Hosts {
    sums: HashMap<IpAddr, HostRow, RandomState>,
}

impl Hosts {
    pub fn len(&self) -> usize {
        self.sums.len()
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
        let host = self.sums.entry(host).or_default();
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
        let mut hosts: Vec<_> = self.sums.into_iter().collect();
        hosts.sort_unstable_by_key(|(address, host)| {
            (Reverse(host.bytes_out.saturating_add(host.bytes_in)), *address)
        });
        hosts.truncate(limit);
        let named = |(address, host): (IpAddr, _)| HostRow { addr: address.to_string(), ..host };
        hosts.into_iter().map(named).collect()
    }
}
