//! A million idle TCP flows with all their metrics fit into 600 MB.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "the test asks the system what the process occupies, and says so"
)]

mod support;

use flowtrack_event::IpProto;
use flowtrack_flow::{Config, FlowTable, Seed};
use flowtrack_wire::{Tcp, Transport};
use std::net::Ipv4Addr;
use support::{SERVER, at, packet_between};

const FLOWS: u32 = 1_000_000;

#[test]
fn a_million_flows_fit() {
    let Some(before) = resident() else {
        println!("skipped: this system has no /proc/self/statm");
        return;
    };
    let server = SERVER.parse().unwrap();
    let mut table: FlowTable<Option<Box<u64>>> =
        FlowTable::new(Config { max_flows: FLOWS, ..Config::default() }, 0, Seed([1, 2, 3, 4]));
    let mut most = 0;
    for client in 0..FLOWS {
        let src = Ipv4Addr::from(0x0b00_0000 | client).into();
        // What a flow occupies does not depend on what it saw, so one segment will do.
        let tcp = Tcp {
            src: 40_000,
            dst: 443,
            seq: client,
            ack: 0,
            flags: Tcp::SYN,
            window: 1000,
            urgent: 0,
            options: &[],
        };
        let packet = packet_between(src, server, IpProto::TCP, Transport::Tcp(tcp), 0);
        let key = table.key(&packet, &at(0)).unwrap();
        table.update(&key, &packet, &at(0), &mut |_, _, _| panic!("a flow ended")).unwrap();
        if client > 100_000 && client % 1_000 == 0 {
            most = most.max(table.stats().memuse / u64::from(client));
        }
    }
    assert_eq!(table.len(), FLOWS as usize);
    let used = resident().unwrap() - before;
    println!("{used} bytes resident, {} by the table's own count", table.stats().memuse);
    assert!(used < 600_000_000, "{used}");
    assert!((100..=512).contains(&most), "{most}");
}

/// Bytes of memory that the process occupies.
fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}
