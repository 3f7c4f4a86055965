//! Filters against libpcap's own machine, and what wrong ones answer.
//!
//! Skipped, with a printed reason, where libpcap is not installed.

#![allow(clippy::disallowed_macros, reason = "a test that is skipped says why")]

use super::machine::Program;
use super::{Filter, FilterError, Filtered, Instruction};
use crate::memory::{MemorySource, PacketBuffer};
use crate::sys::libpcap::LibPcap;
use crate::{Burst, FileOptions, FileSource, PacketSource, SourceError};
use flowtrack_event::{IfaceId, LinkType, RawPacket, Timestamp, Verdict};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::time::Duration;

const EXPRESSIONS: &[&str] = &[
    "",
    "ip",
    "ip6",
    "arp",
    "rarp",
    "tcp",
    "udp",
    "icmp",
    "icmp6",
    "igmp",
    "sctp",
    "not ip",
    "not tcp and not udp",
    "tcp or udp or arp",
    "port 80",
    "port 53",
    "src port 443",
    "dst port 443",
    "tcp port 443",
    "udp port 53",
    "tcp port 80 or udp port 53",
    "portrange 1-1024",
    "tcp portrange 80-443",
    "src portrange 50000-65535",
    "host 10.0.0.1",
    "src host 192.168.0.1",
    "dst host 192.168.1.1",
    "net 10.0.0.0/8",
    "net 192.168.0.0/16 and not port 53",
    "src net 172.16.0.0/12",
    "dst net 224.0.0.0/4",
    "net 2001:db8::/32",
    "host ::1",
    "ip6 net fe80::/10",
    "ip host 127.0.0.1",
    "ether host ff:ff:ff:ff:ff:ff",
    "ether src 00:11:22:33:44:55",
    "ether broadcast",
    "ether multicast",
    "broadcast",
    "multicast",
    "ip multicast",
    "ip6 multicast",
    "ether proto 0x0800",
    "ether proto 0x86dd",
    "ip proto 6",
    "ip proto 47",
    "ip6 proto 17",
    "ip6 protochain 6",
    "less 100",
    "greater 1000",
    "len > 200 and len < 400",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "tcp[tcpflags] & tcp-syn != 0 and tcp[tcpflags] & tcp-ack == 0",
    "tcp[13] = 2",
    "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420",
    "tcp[2:2] > 1023",
    "ip[8] < 64",
    "ip[6:2] & 0x1fff != 0",
    "ip[0] & 0xf != 5",
    "(ip[2:2] - ((ip[0] & 0xf) << 2)) - ((tcp[12] & 0xf0) >> 2) != 0",
    "udp[4:2] * 2 > 200",
    "udp[4:2] % 3 = 1",
    "udp[4:2] / 4 = 10",
    "ip[10:2] ^ 0xffff > 0x8000",
    "ip[4:2] | 1 = 1",
    "icmp[icmptype] = icmp-echo",
    "icmp6[icmp6type] == icmp6-neighborsolicit",
    "ether[0] & 1 = 1",
    "ether[100] = 0",
    "link[12:2] = 0x0800",
    "vlan",
    "vlan 10",
    "vlan and tcp",
    "vlan and vlan",
    "mpls",
    "pppoes",
    "pppoes and ip",
    "stp",
    "atalk",
    "llc",
    "geneve",
    "tcp port 25 or 110 or 143",
    "host 10.0.0.1 and (port 80 or port 443) and not host 10.0.0.2",
];

/// Captures to run them over, of several link types.
const CAPTURES: &[&str] = &["zeek/traces", "tcpdump", "nDPI", "suricata-verify/pcaps"];

fn libpcap() -> Option<&'static LibPcap> {
    let library = LibPcap::get();
    if library.is_none() {
        println!("skipped: libpcap is not installed");
    }
    library
}

fn corpus() -> PathBuf {
    std::env::var_os("FLOWTRACK_CORPUS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus"),
        PathBuf::from,
    )
}

fn packet(link: LinkType, data: &[u8]) -> RawPacket<'_> {
    RawPacket {
        ts: Timestamp::ZERO,
        iface: IfaceId(0),
        link,
        number: 0,
        wire_len: data.len() as u32,
        vlan_tci: None,
        data,
    }
}

/// A few packets from each of many captures.
fn sample() -> PacketBuffer {
    let mut sample = PacketBuffer::new();
    for folder in CAPTURES {
        let Ok(entries) = std::fs::read_dir(corpus().join(folder)) else {
            continue;
        };
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths.iter().step_by(3) {
            let Ok(mut source) = FileSource::open(path, FileOptions::default()) else {
                continue;
            };
            let _ = source.next_burst(Duration::ZERO, &mut |packets, _| {
                sample.extend(packets.iter().take(12).copied());
            });
        }
    }
    sample
}

#[test]
fn same_answer_as_libpcap() {
    let Some(library) = libpcap() else { return };
    let sample = sample();
    if sample.is_empty() {
        println!("skipped: no corpus at {}", corpus().display());
        return;
    }
    let mut filters: Vec<(LinkType, &str, Option<Filter>, usize)> = Vec::new();
    let mut asked = 0;
    for packet in sample.iter() {
        if !filters.iter().any(|(link, ..)| *link == packet.link) {
            filters.extend(EXPRESSIONS.iter().map(|&expression| {
                let filter = Filter::compile(expression, packet.link, 65_535).ok();
                (packet.link, expression, filter, 0)
            }));
        }
        for (link, expression, filter, hits) in &mut filters {
            let Some(filter) = filter.as_ref().filter(|_| *link == packet.link) else {
                continue;
            };
            let expected = library.run(filter.program(), packet.data, packet.wire_len);
            assert_eq!(filter.matches(&packet), expected, "{expression} on {packet:?}");
            *hits += usize::from(expected);
            asked += 1;
        }
    }
    let links: std::collections::BTreeSet<_> = filters.iter().map(|(link, ..)| link.0).collect();
    assert!(links.len() > 5, "{links:?}");
    assert!(asked > 100_000, "{asked}");
    let of_ethernet = |(link, _, filter, hits): &&(LinkType, _, Option<Filter>, usize)| {
        *link == LinkType::ETHERNET && filter.is_some() && *hits > 0
    };
    let useful = filters.iter().filter(of_ethernet).count();
    assert!(useful > 60, "only {useful} expressions want anything");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any program that is let in ends, and says what libpcap's machine says.
    #[test]
    fn any_program(
        parts in prop::collection::vec((any::<u16>(), 0_u8..4, 0_u8..4, 0_u32..40), 1..30),
        data in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        // Codes that libpcap's machine has; it aborts the process at any other.
        const CODES: &[u16] = &[
            0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x0C, 0x14, 0x15, 0x16, 0x1C, 0x1D,
            0x20, 0x24, 0x25, 0x28, 0x2C, 0x2D, 0x30, 0x34, 0x35, 0x3C, 0x3D, 0x40, 0x44, 0x45,
            0x48, 0x4C, 0x4D, 0x50, 0x54, 0x5C, 0x60, 0x61, 0x64, 0x6C, 0x74, 0x7C, 0x80, 0x81,
            0x84, 0x87, 0x94, 0x9C, 0xA4, 0xAC, 0xB1,
        ];
        // libpcap's machine begins with whatever is in its memory cells.
        let clear = (0..16).map(|k| Instruction { code: 0x02, jt: 0, jf: 0, k });
        let rest = parts.into_iter().map(|(code, jt, jf, k)| {
            let code = CODES[usize::from(code) % CODES.len()];
            // C leaves open what a shift by 32 or more gives.
            let k = if matches!(code, 0x64 | 0x74) { k % 32 } else { k };
            Instruction { code, jt, jf, k }
        });
        let mut program: Vec<_> = clear.chain(rest).collect();
        program.push(Instruction { code: 0x16, jt: 0, jf: 0, k: 0 });
        if let Some(checked) = Program::new(program.clone()) {
            let packet = packet(LinkType::RAW, &data);
            let got = checked.run(&packet);
            if let Some(library) = LibPcap::get() {
                prop_assert_eq!(got, library.run(&program, &data, packet.wire_len));
            }
        }
    }
}

#[test]
fn programs_that_could_fail_are_refused() {
    let ret = Instruction::ret(1);
    let with = |code, jt, jf, k| Program::new(vec![Instruction { code, jt, jf, k }, ret]);
    assert!(Program::new(Vec::new()).is_none());
    assert!(with(0x15, 0, 0, 7).is_some());
    assert!(with(0x15, 1, 0, 7).is_none());
    assert!(with(0x15, 0, 1, 7).is_none());
    assert!(with(0x05, 0, 0, 0).is_some());
    assert!(with(0x05, 0, 0, 1).is_none());
    assert!(with(0x05, 0, 0, u32::MAX).is_none());
    assert!(with(0x02, 0, 0, 16).is_none());
    assert!(with(0x60, 0, 0, 16).is_none());
    assert!(with(0x34, 0, 0, 0).is_none());
    assert!(Program::new(vec![ret, Instruction { code: 0x04, jt: 0, jf: 0, k: 1 }]).is_none());
}

#[test]
fn a_tag_taken_out_is_seen_at_its_place() {
    if libpcap().is_none() {
        return;
    }
    let mut plain = vec![0xAA; 12];
    plain.extend([0x08, 0x00, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    plain.extend([0, 80, 1, 0]);
    plain.extend([0; 16]);
    let mut tagged = plain.clone();
    tagged.splice(12..12, [0x81, 0x00, 0x00, 0x0A]);
    let stripped = RawPacket { vlan_tci: Some(10), ..packet(LinkType::ETHERNET, &plain) };
    let mut wanted = 0;
    for expression in EXPRESSIONS {
        let Ok(filter) = Filter::compile(expression, LinkType::ETHERNET, 65_535) else {
            continue;
        };
        let whole = filter.matches(&packet(LinkType::ETHERNET, &tagged));
        assert_eq!(filter.matches(&stripped), whole, "{expression}");
        wanted += usize::from(whole);
    }
    assert!(wanted > 5, "{wanted}");
    let filter = Filter::compile("vlan 10 and tcp port 80", LinkType::ETHERNET, 65_535).unwrap();
    assert!(filter.matches(&stripped));
    assert!(filter.mentions_vlan());
    assert!(!Filter::compile("tcp", LinkType::ETHERNET, 65_535).unwrap().mentions_vlan());
}

#[test]
fn wrong_expressions_answer_with_the_place() {
    if libpcap().is_none() {
        return;
    }
    let check = |expression: &str, expected: &str| {
        let error = Filter::compile(expression, LinkType::ETHERNET, 65_535).unwrap_err();
        assert_eq!(error.to_string(), expected, "{expression}");
    };
    check(
        "tcp prt 80",
        "syntax error at column 5 near \"prt\"; did you mean \"port\"?\n  tcp prt 80\n      ^^^",
    );
    check(
        "udp and hots 10.0.0.1",
        "syntax error at column 9 near \"hots\"; did you mean \"host\"?\n  udp and hots 10.0.0.1\n          ^^^^",
    );
    check(
        "tcp and and udp",
        "syntax error at column 9 near \"and\"\n  tcp and and udp\n          ^^^",
    );
    check(
        "tcp port",
        "syntax error at column 9, where something is missing\n  tcp port\n          ^",
    );
    check(
        "(tcp or udp",
        "syntax error at column 12, where something is missing\n  (tcp or udp\n             ^",
    );
    check("tcp) or udp", "syntax error at column 4 near \")\"\n  tcp) or udp\n     ^");
    check("tcp[13 = 2", "syntax error at column 8 near \"=\"\n  tcp[13 = 2\n         ^");
    check("tcp\t@ 3", "syntax error at column 5 near \"@\"\n  tcp @ 3\n      ^");
    check(
        "ip und süß",
        "syntax error at column 4 near \"und\"; did you mean \"and\"?\n  ip und süß\n     ^^^",
    );
    check("süß", "syntax error at column 1 near \"süß\"\n  süß\n  ^^^");
    check(
        "port 80 or port htpp",
        "unknown port 'htpp' at column 17 near \"htpp\"\n  port 80 or port htpp\n                  ^^^^",
    );
    check(
        "tcp port 99999",
        "illegal port number 99999 > 65535 at column 10 near \"99999\"\n  tcp port 99999\n           ^^^^^",
    );
    check(
        "ip and net 10.0.0.1/8",
        "non-network bits set in \"10.0.0.1/8\" at column 12 near \"10.0.0.1/8\"\n  ip and net 10.0.0.1/8\n             ^^^^^^^^^^",
    );
    check("tcp and udp", "expression rejects all packets in \"tcp and udp\"");
    check("tcp\0", "zero byte at column 4 near \"\0\"\n  tcp \n     ^");
    let error = Filter::compile(&"x".repeat(20_000), LinkType::ETHERNET, 65_535).unwrap_err();
    assert_eq!(error, FilterError::TooLong(20_000));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever somebody types, the answer names a place inside it.
    #[test]
    fn any_expression(
        // No word that a name server would be asked for.
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "tcp", "udp", "port", "80", "and", "or", "not", "(", ")", "[", "]", "=", "!=", "&",
                "<<", "ip", "ip6", "net", "10.0.0.0/8", "::1", "vlan", "len", "0x", "\"", "'", "\\",
                "ü", "世界", "\t", "\n", "@", "%", "less", "greater", "1:2", "prt", "portrange", "1-2",
                "ether", "mpls", "-", ":", "/", "99999999999", "ff:ff:ff:ff:ff:ff",
            ]),
            0..12,
        ),
        space in prop::sample::select(vec![" ", "", "\u{a0}"]),
    ) {
        let expression = parts.join(space);
        match Filter::compile(&expression, LinkType::ETHERNET, 65_535) {
            Ok(filter) => prop_assert!(!filter.program().is_empty()),
            Err(FilterError::Wrong(wrong)) => {
                let text = wrong.to_string();
                prop_assert!(!wrong.message.is_empty());
                if let Some((start, end)) = wrong.span {
                    prop_assert!(expression.get(start..end).is_some());
                    prop_assert!(text.ends_with('^'), "{}", text);
                }
            }
            Err(FilterError::NoLibpcap) => {}
            Err(error) => prop_assert!(false, "{}", error),
        }
    }
}

#[test]
fn the_longest_expression_harms_nobody() {
    if libpcap().is_none() {
        return;
    }
    for part in ["port 1 or ", "(", "not ", "tcp[0]=1 and ", "net 1.2.3.4/32 or "] {
        let count = Filter::MAX_EXPRESSION / part.len() - 1;
        let mut expression = part.repeat(count);
        expression.push_str("tcp");
        // Either answer is good, if it comes and the process lives.
        let _ = Filter::compile(&expression, LinkType::ETHERNET, 65_535);
    }
}

#[test]
fn filtered_hands_on_what_is_wanted_and_counts_the_rest() {
    if libpcap().is_none() {
        return;
    }
    let ethernet = |kind: u8| [vec![0xAA; 12], vec![0x08, kind, 0x45], vec![0; 40]].concat();
    let (arp, ip) = (ethernet(6), ethernet(0));
    let mut packets = PacketBuffer::new();
    for i in 0..1_000 {
        packets.push(&packet(LinkType::ETHERNET, if i % 3 == 0 { &arp } else { &ip }));
    }
    // Nothing here that an Ethernet address could be in.
    packets.push(&packet(LinkType::RAW, &ip[14..]));
    let mut source =
        Filtered::new(MemorySource::new(packets), "ether[13] = 6 and not ether broadcast").unwrap();
    let mut numbers = Vec::new();
    let mut counted = 0;
    loop {
        let burst = source
            .next_burst(Duration::ZERO, &mut |packets, verdicts| {
                numbers.extend(packets.iter().map(|packet| packet.number));
                verdicts.fill(Verdict::Drop);
            })
            .unwrap();
        match burst {
            Burst::Packets(n) => counted += n,
            Burst::End => break,
            Burst::Idle | Burst::Again => panic!("memory is never idle"),
        }
    }
    assert_eq!(numbers, (0..334).map(|i| i * 3 + 1).collect::<Vec<u64>>());
    assert_eq!(counted, 334);
    let stats = source.stats();
    assert_eq!((stats.kernel_packets, stats.filtered), (1_001, 667));
}

#[test]
fn a_filter_that_fits_no_link_type_is_reported() {
    if libpcap().is_none() {
        return;
    }
    let source = |link| {
        let packets: PacketBuffer = [packet(link, &[0x80; 60])].into_iter().collect();
        Filtered::new(MemorySource::new(packets), "wlan type mgt subtype beacon")
    };
    let error = source(LinkType::ETHERNET).unwrap().next_burst(Duration::ZERO, &mut |_, _| {});
    assert!(
        matches!(&error, Err(SourceError::Filter(text)) if text.contains("802.11")),
        "{error:?}"
    );
    let mut good = source(LinkType::IEEE802_11).unwrap();
    assert_eq!(good.next_burst(Duration::ZERO, &mut |_, _| {}).unwrap(), Burst::Packets(1));
    let packets: PacketBuffer = [packet(LinkType::RAW, &[0x80; 60])].into_iter().collect();
    assert!(Filtered::new(MemorySource::new(packets), "tcp prt").is_err());
}
