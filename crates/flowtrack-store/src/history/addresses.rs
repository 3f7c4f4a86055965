//! Which addresses occur in which stretch of flows.
//!
//! An index over the addresses of all flows would be written at a random place for each row, more
//! than a disk can take. So flows are divided into parts of 16,384 keys, and for each part that is
//! full the addresses in it are kept, sorted, each once. A search for an address looks into each
//! part's list and then reads only the parts that have it.

use super::rows::{Address, address_of};
use ahash::RandomState;
use flowtrack_filter::{Filter, SqlValue};
use hashbrown::HashSet;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, params};
use std::net::IpAddr;

/// Keys of a part, as a power of two.
const PART: u32 = 14;

/// The part that a flow of this key belongs to.
const fn part_of(key: i64) -> i64 {
    key >> PART
}

/// The first key of a part.
const fn first_key(part: i64) -> i64 {
    part << PART
}

/// The addresses of the part that is being filled.
#[derive(Default)]
pub(crate) struct Addresses {
    part: i64,
    seen: HashSet<IpAddr, RandomState>,
}

impl Addresses {
    /// Lists the parts that an earlier writer, or a transaction that was undone, left unlisted;
    /// returns the key from which flows can go on, in a part of their own.
    pub fn recover(&mut self, connection: &Connection) -> rusqlite::Result<i64> {
        self.seen.clear();
        self.part = listed(connection)? + 1;
        let mut flows = connection
            .prepare("SELECT key, src_ip, dest_ip FROM flows WHERE key >= ? ORDER BY key")?;
        let mut flows = flows.query([first_key(self.part)])?;
        while let Some(flow) = flows.next()? {
            let address = |i| match flow.get_ref(i) {
                Ok(ValueRef::Blob(bytes)) => address_of(bytes),
                _ => None,
            };
            let both = [address(1), address(2)];
            self.add(connection, flow.get(0)?, both.into_iter().flatten())?;
        }
        if !self.seen.is_empty() {
            self.list(connection)?;
            self.part += 1;
        }
        Ok(first_key(self.part))
    }

    /// Notes the addresses of a flow with the next key.
    pub fn add(
        &mut self,
        connection: &Connection,
        key: i64,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> rusqlite::Result<()> {
        if part_of(key) != self.part {
            self.list(connection)?;
            self.part = part_of(key);
        }
        self.seen.extend(addresses);
        Ok(())
    }

    /// Notes the addresses of a flow that is written again, whose part may be listed long since.
    pub fn add_again(
        &self,
        connection: &Connection,
        key: i64,
        addresses: [IpAddr; 2],
    ) -> rusqlite::Result<()> {
        if part_of(key) < self.part {
            for address in addresses {
                insert(connection, part_of(key), address)?;
            }
        }
        Ok(())
    }

    /// Writes the list of a part, in order, so that it grows at one edge only.
    fn list(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut sorted: Vec<_> = self.seen.drain().collect();
        // As `SQLite` sorts blobs: by bytes, whatever their length.
        sorted.sort_unstable_by(|a, b| match (a, b) {
            (IpAddr::V4(a), IpAddr::V4(b)) => a.octets().as_slice().cmp(&b.octets()),
            (IpAddr::V4(a), IpAddr::V6(b)) => a.octets().as_slice().cmp(&b.octets()),
            (IpAddr::V6(a), IpAddr::V4(b)) => a.octets().as_slice().cmp(&b.octets()),
            (IpAddr::V6(a), IpAddr::V6(b)) => a.octets().as_slice().cmp(&b.octets()),
        });
        sorted.into_iter().try_for_each(|address| insert(connection, self.part, address))
    }
}

fn insert(connection: &Connection, part: i64, address: IpAddr) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO addresses (part, addr) VALUES (?, ?)")?
        .execute(params![part, Address::from(address)])
        .map(drop)
}

/// The last part whose list is written; -1 if there is none.
fn listed(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT ifnull(max(part), -1) FROM addresses")?
        .query_row([], |row| row.get(0))
}

/// Drops the lists of parts that have no flows any more.
pub(crate) fn forget_old(connection: &Connection) -> rusqlite::Result<()> {
    let first: Option<i64> =
        connection.prepare_cached("SELECT min(key) FROM flows")?.query_row([], |row| row.get(0))?;
    let Some(first) = first else { return Ok(()) };
    connection
        .prepare_cached("DELETE FROM addresses WHERE part < ?")?
        .execute([part_of(first)])
        .map(drop)
}

/// How an answer will be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The first rows in some order.
    Some,
    /// All of them, for sums.
    All,
}

/// Most parts that are read for the first rows of an answer. An address in more of them is so
/// frequent that reading on from the newest finds it sooner.
const FEW: usize = 64;

/// Address ranges of a filter that are looked up; a longer list is not worth it.
const NEEDS: usize = 50;

/// The stretches of keys, from first to last, outside of which no flow can match; `None` if all
/// flows are to be read.
pub(crate) fn stretches(
    connection: &Connection,
    filter: &Filter,
    reading: Reading,
) -> rusqlite::Result<Option<Vec<(i64, i64)>>> {
    let Some(needs) = filter.addresses().filter(|needs| needs.len() <= NEEDS) else {
        return Ok(None);
    };
    let bytes = |address: IpAddr| match SqlValue::from(address) {
        SqlValue::Blob(bytes) => Value::Blob(bytes),
        _ => Value::Null,
    };
    let needs: Vec<_> = needs.iter().map(|need| (bytes(need.first), bytes(need.last))).collect();
    let listed = listed(connection)?;
    let first: Option<i64> =
        connection.query_row("SELECT min(part) FROM addresses", [], |row| row.get(0))?;
    let mut look = connection
        .prepare_cached("SELECT 1 FROM addresses WHERE part = ? AND addr BETWEEN ? AND ?")?;
    let mut stretches: Vec<(i64, i64)> = Vec::new();
    let mut parts = 0;
    for part in first.unwrap_or(0)..=listed {
        let mut has = false;
        for (first, last) in &needs {
            has = has || look.exists(params![part, first, last])?;
        }
        if !has {
            continue;
        }
        parts += 1;
        if parts > FEW && reading == Reading::Some {
            return Ok(None);
        }
        match stretches.last_mut() {
            Some((_, last)) if *last + 1 == first_key(part) => *last = first_key(part + 1) - 1,
            _ => stretches.push((first_key(part), first_key(part + 1) - 1)),
        }
    }
    stretches.push((first_key(listed + 1), i64::MAX));
    // A statement has its limits.
    Ok(Some(stretches).filter(|s| s.len() <= 10_000))
}
