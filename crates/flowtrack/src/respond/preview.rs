//! What blocks would have cut, told from history.

use crate::control::now;
use flowtrack_filter::{Filter, MAX_LENGTH};
use flowtrack_respond::{RespondConfig, Safety, Surroundings, What};
use flowtrack_store::{HistoryReader, Query};
use flowtrack_web::{BlockPreview, PreviewHost};
use std::net::IpAddr;

/// Hosts that are listed.
const TOP: usize = 20;
/// Hosts that are told apart.
const MAX_HOSTS: usize = 100_000;
/// Names that are listed.
const MAX_NAMES: usize = 20;

/// What these blocks would have cut in the last hours: a flow counts where any of them would have
/// met it. Each flow counts with all it ever had.
pub fn preview(
    reader: &HistoryReader,
    whats: &[What],
    hours: u32,
    around: &Surroundings,
    config: &RespondConfig,
) -> anyhow::Result<BlockPreview> {
    let since_us = now().micros() - i64::from(hours) * 3_600_000_000;
    let safety = Safety::new(around, config);
    let mut preview = BlockPreview { hours, complete: true, ..BlockPreview::default() };
    preview
        .refused
        .extend(whats.iter().filter_map(|what| Some(safety.check(*what).err()?.to_string())));
    let mut hosts: std::collections::HashMap<String, PreviewHost> =
        std::collections::HashMap::new();
    for filter in filters(whats)? {
        let query = Query { since_us: Some(since_us), filter, ..Query::default() };
        let totals = reader.totals(&query)?;
        preview.flows += totals.flows;
        preview.packets += totals.packets;
        preview.bytes += totals.bytes;
        let talkers = reader.talkers(&query, MAX_HOSTS)?;
        preview.complete &= talkers.len() < MAX_HOSTS;
        for host in talkers {
            let bytes = host.bytes_in + host.bytes_out;
            let known = hosts.entry(host.addr.clone()).or_insert_with(|| PreviewHost {
                addr: host.addr,
                name: None,
                bytes: 0,
            });
            known.bytes += bytes;
            if known.name.is_none() {
                known.name = host.name;
            }
        }
    }
    let is_blocked =
        |host: &PreviewHost| host.addr.parse().is_ok_and(|address| blocks(whats, address));
    let (blocked, mut others): (Vec<_>, Vec<_>) = hosts.into_values().partition(is_blocked);
    others.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.addr.cmp(&b.addr)));
    preview.hosts = others.len() as u64;
    others.truncate(TOP);
    preview.top = others;
    preview.names = blocked.into_iter().filter_map(|host| host.name).collect();
    preview.names.sort_unstable();
    preview.names.dedup();
    preview.names.truncate(MAX_NAMES);
    Ok(preview)
}

fn blocks(whats: &[What], address: IpAddr) -> bool {
    whats.iter().any(|what| matches!(what, What::Net(net) if net.contains(address)))
}

/// Filters that together match what the blocks would have met. A long list is asked in parts; a
/// flow between two of its hosts may then be counted twice.
fn filters(whats: &[What]) -> anyhow::Result<Vec<Filter>> {
    let mut parts: Vec<String> = Vec::new();
    for term in whats.iter().filter_map(|what| term(*what)) {
        match parts.last_mut() {
            Some(part) if part.len() + term.len() + 4 <= MAX_LENGTH => {
                part.push_str(" or ");
                part.push_str(&term);
            }
            _ => parts.push(term),
        }
    }
    Ok(parts.iter().map(|part| Filter::parse(part)).collect::<Result<_, _>>()?)
}

fn term(what: What) -> Option<String> {
    match what {
        What::Net(net) => Some(format!("host = {net}")),
        What::Port(transport, port) => {
            Some(format!("(proto = {} and dest_port = {port})", transport.name()))
        }
        // It slows a flood down; which of its flows it would have met, nobody can tell.
        What::Requests(..) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_a_question_to_history() {
        let whats: Vec<What> = ["192.0.2.1", "10.0.0.0/24", "2001:db8::/64", "tcp/23", "udp/53"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let filters = filters(&whats).unwrap();
        assert_eq!(filters.len(), 1);
        assert_eq!(
            filters[0].text(),
            "host = 192.0.2.1 or host = 10.0.0.0/24 or host = 2001:db8::/64 or \
             (proto = tcp and dest_port = 23) or (proto = udp and dest_port = 53)"
        );
    }

    #[test]
    fn a_long_list_is_asked_in_parts() {
        let whats: Vec<What> =
            (0..1_000).map(|n| format!("10.0.{}.{}", n >> 8, n & 255).parse().unwrap()).collect();
        let parts = filters(&whats).unwrap();
        assert!(parts.len() > 1 && parts.iter().all(|part| part.text().len() <= MAX_LENGTH));
    }
}
