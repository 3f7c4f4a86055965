//! Which interface carries the default route, from `/proc/net/route` and `/proc/net/ipv6_route`.

use std::fs;

/// The interface of the default route with the best metric, of IPv4 or else of IPv6. None where
/// there is no such route, or the system keeps its routes elsewhere.
pub fn default_route() -> Option<String> {
    let table = |path| fs::read_to_string(path).unwrap_or_default();
    ipv4_default(&table("/proc/net/route")).or_else(|| ipv6_default(&table("/proc/net/ipv6_route")))
}

/// Columns: interface, destination, gateway, flags, reference count, use, metric, mask, ...; the
/// numbers that matter in hexadecimal, but the metric in decimal.
pub(super) fn ipv4_default(table: &str) -> Option<String> {
    let route = |line: &str| {
        let mut columns = line.split_whitespace();
        let name = columns.next()?;
        let destination = columns.next()?;
        let flags = u32::from_str_radix(columns.nth(1)?, 16).ok()?;
        let metric: u32 = columns.nth(2)?.parse().ok()?;
        let mask = columns.next()?;
        let default = destination == "00000000" && mask == "00000000" && usable(flags);
        default.then(|| (metric, name.to_owned()))
    };
    table.lines().filter_map(route).min_by_key(|(metric, _)| *metric).map(|(_, name)| name)
}

/// Columns: destination, its prefix length, source, its prefix length, gateway, metric, reference
/// count, use, flags, interface; all numbers in hexadecimal.
pub(super) fn ipv6_default(table: &str) -> Option<String> {
    let route = |line: &str| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let [destination, prefix, _, _, _, metric, _, _, flags, name] = columns[..] else {
            return None;
        };
        let metric = u32::from_str_radix(metric, 16).ok()?;
        let flags = u32::from_str_radix(flags, 16).ok()?;
        // The route that refuses all else stands on the loopback interface.
        let default = destination.bytes().all(|b| b == b'0') && prefix == "00" && name != "lo";
        (default && usable(flags)).then(|| (metric, name.to_owned()))
    };
    table.lines().filter_map(route).min_by_key(|(metric, _)| *metric).map(|(_, name)| name)
}

/// Up, and not one that refuses.
fn usable(flags: u32) -> bool {
    flags & RTF_UP != 0 && flags & RTF_REJECT == 0
}

const RTF_UP: u32 = 0x1;
const RTF_REJECT: u32 = 0x200;
