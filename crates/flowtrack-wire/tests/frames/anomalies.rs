//! Every malformed header has its name, and every name a frame that earns it.

use crate::build::{self, UDP, gre, icmp, ipv4, ipv4_options, ipv6, tcp, udp, udp4, udp6};
use crate::{bytes, decoded, names};
use flowtrack_event::LinkType;
use flowtrack_wire::{DecodeAnomaly, decode_inner};

/// Whether the packet is still put on a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Still {
    Usable,
    Malformed,
}
use Still::{Malformed, Usable};

/// A name, what is left of the packet, its link type, its bytes.
type Case = (&'static str, Still, LinkType, Vec<u8>);

fn eth(name: &'static str, still: Still, kind: u16, payload: &[u8]) -> Case {
    (name, still, LinkType::ETHERNET, build::ethernet(kind, payload))
}

fn raw_ip(name: &'static str, still: Still, data: Vec<u8>) -> Case {
    (name, still, LinkType::RAW, data)
}

fn in_gre(name: &'static str, flags: u16, protocol: u16, body: &[u8]) -> Case {
    raw_ip(name, Malformed, ipv4(47, &gre(flags, protocol, body)))
}

fn option(name: &'static str, options: &[u8]) -> Case {
    raw_ip(name, Usable, ipv4_options(UDP, options, &udp(1, 2, &[])))
}

fn arp(name: &'static str, header: [u8; 8]) -> Case {
    eth(name, Usable, 0x0806, &bytes![header, [0; 20]])
}

fn link_layers() -> Vec<Case> {
    vec![
        arp("arp.invalid_hardware_size", [0, 1, 8, 0, 5, 4, 0, 1]),
        arp("arp.invalid_protocol_size", [0, 1, 8, 0, 6, 5, 0, 1]),
        arp("arp.unsupported_hardware", [0, 6, 8, 0, 6, 4, 0, 1]),
        arp("arp.unsupported_opcode", [0, 1, 8, 0, 6, 4, 0, 99]),
        arp("arp.unsupported_protocol", [0, 1, 8, 1, 6, 4, 0, 1]),
        eth("arp.pkt_too_small", Malformed, 0x0806, &[0, 1, 8, 0, 6, 4, 0, 1, 0, 0]),
        ("chdlc.pkt_too_small", Malformed, LinkType::C_HDLC, vec![0x0f, 0, 8]),
        eth("dce.pkt_too_small", Malformed, 0x8903, &[0]),
        eth("etag.header_too_small", Malformed, 0x893f, &[0; 7]),
        ("ethernet.pkt_too_small", Malformed, LinkType::ETHERNET, vec![0; 13]),
        eth("ieee8021ah.header_too_small", Malformed, 0x88e7, &[0; 3]),
        ("ieee80211.pkt_too_small", Malformed, LinkType::IEEE802_11, vec![8; 20]),
        ("ieee80211.pkt_too_small", Malformed, LinkType::IEEE802_11_RADIOTAP, vec![0, 0, 99, 0]),
        ("ltnull.pkt_too_small", Malformed, LinkType::NULL, vec![2, 0, 0]),
        ("ltnull.unsupported_type", Usable, LinkType::NULL, vec![99, 0, 0, 0, 1]),
        eth("mpls.bad_label_implicit_null", Usable, 0x8847, &bytes![[0, 0, 0x31, 64], udp4()]),
        eth("mpls.bad_label_reserved", Usable, 0x8847, &bytes![[0, 0, 0x51, 64], udp4()]),
        eth("mpls.bad_label_router_alert", Usable, 0x8847, &bytes![[0, 0, 0x11, 64], udp4()]),
        eth("mpls.header_too_small", Malformed, 0x8847, &[0, 1, 0, 64, 0, 1, 1]),
        eth("mpls.unknown_payload_type", Usable, 0x8847, &bytes![[0, 1, 1, 64], [0xff; 20]]),
        eth("nsh.bad_header_length", Malformed, 0x894f, &bytes![[0, 5, 1, 1], [0; 40]]),
        eth("nsh.header_too_small", Malformed, 0x894f, &[0; 7]),
        eth("nsh.reserved_type", Usable, 0x894f, &bytes![[0, 2, 0, 1, 0, 0, 0, 0], udp4()]),
        eth("nsh.unknown_payload", Usable, 0x894f, &bytes![[0, 2, 2, 99, 0, 0, 0, 0], udp4()]),
        eth("nsh.unsupported_type", Usable, 0x894f, &bytes![[0, 2, 9, 1, 0, 0, 0, 0], udp4()]),
        eth("nsh.unsupported_version", Malformed, 0x894f, &bytes![[0x40, 2, 2, 1], [0; 40]]),
        ("ppp.ip4_pkt_too_small", Malformed, LinkType::PPP, bytes![[0, 0x21], udp4()[..19]]),
        ("ppp.ip6_pkt_too_small", Malformed, LinkType::PPP, bytes![[0, 0x57], udp6()[..39]]),
        ("ppp.pkt_too_small", Malformed, LinkType::PPP, vec![0xff, 3, 0]),
        ("ppp.unsup_proto", Usable, LinkType::PPP, bytes![[0, 0x2f], udp4()]),
        ("ppp.vju_pkt_too_small", Malformed, LinkType::PPP, bytes![[0, 0x2f], udp4()[..19]]),
        ("ppp.wrong_type", Usable, LinkType::PPP, vec![0x12, 0x34, 0]),
        eth("pppoe.malformed_tags", Usable, 0x8863, &[0x11, 9, 0, 0, 0, 5, 1, 1, 0, 9, 0]),
        eth("pppoe.pkt_too_small", Malformed, 0x8864, &[0x11, 0, 0, 1, 0]),
        eth("pppoe.wrong_code", Usable, 0x8864, &[0x11, 3, 0, 1, 0, 0, 0]),
        ("sll.pkt_too_small", Malformed, LinkType::LINUX_SLL, vec![0; 15]),
        ("sll2.pkt_too_small", Malformed, LinkType::LINUX_SLL2, vec![0; 19]),
        eth("vlan.header_too_small", Malformed, 0x8100, &[0, 5, 8]),
        eth(
            "vlan.too_many_layers",
            Usable,
            0x8100,
            &bytes![[0, 5, 0x81, 0, 0, 6, 0x81, 0, 0, 7, 0x81, 0, 0, 8, 8, 0], udp4()],
        ),
        eth("vntag.header_too_small", Malformed, 0x8926, &[0; 5]),
    ]
}

/// Changes one byte.
fn with(mut data: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
    data[at] = byte;
    data
}

fn internet() -> Vec<Case> {
    let upper = udp(1, 2, &[]);
    let hop = |options: [u8; 6]| ipv6(0, &bytes![[UDP, 0], options, upper]);
    let dst = |options: [u8; 6]| ipv6(60, &bytes![[UDP, 0], options, upper]);
    let chain = |first: u8, headers: &[u8]| ipv6(first, &bytes![headers, upper]);
    vec![
        raw_ip("ipraw.invalid_ip_version", Malformed, vec![0x50; 40]),
        raw_ip("ipv4.hlen_too_small", Malformed, with(udp4(), 0, 0x44)),
        raw_ip("ipv4.icmpv6", Usable, ipv4(58, &icmp(128, 0, &[]))),
        raw_ip("ipv4.iplen_smaller_than_hlen", Malformed, with(udp4(), 3, 19)),
        option("ipv4.opt_duplicate", &[148, 4, 0, 0, 148, 4, 0, 0]),
        option("ipv4.opt_invalid_len", &[148, 3, 0, 0]),
        option("ipv4.opt_invalid_len", &[148, 9, 0, 0]),
        option("ipv4.opt_invalid_len", &[1, 1, 1, 148]),
        option("ipv4.opt_malformed", &[7, 7, 3, 0, 0, 0, 0, 0]),
        option("ipv4.opt_malformed", &[68, 8, 4, 0, 0, 0, 0, 0]),
        option("ipv4.opt_unknown", &[99, 4, 0, 0]),
        raw_ip("ipv4.pkt_too_small", Malformed, udp4()[..19].to_vec()),
        raw_ip("ipv4.trunc_pkt", Malformed, udp4()[..31].to_vec()),
        raw_ip("ipv4.unknown_protocol", Usable, ipv4(200, &[0; 8])),
        eth("ipv4.wrong_ip_version", Malformed, 0x0800, &udp6()),
        raw_ip("ipv6.data_after_none_header", Usable, ipv6(59, &[1])),
        raw_ip("ipv6.dstopts_only_padding", Usable, dst([1, 4, 0, 0, 0, 0])),
        raw_ip("ipv6.dstopts_unknown_opt", Usable, dst([0x3e, 4, 0, 0, 0, 0])),
        raw_ip(
            "ipv6.exthdr_ah_res_not_null",
            Usable,
            chain(51, &[UDP, 1, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0]),
        ),
        raw_ip(
            "ipv6.exthdr_dupl_ah",
            Usable,
            chain(51, &bytes![[51, 1], [0; 10], [UDP, 1], [0; 10]]),
        ),
        raw_ip(
            "ipv6.exthdr_dupl_dh",
            Usable,
            chain(
                60,
                &bytes![
                    [60, 0, 5, 2, 0, 0, 1, 0],
                    [60, 0, 5, 2, 0, 0, 1, 0],
                    [UDP, 0, 5, 2, 0, 0, 1, 0]
                ],
            ),
        ),
        raw_ip(
            "ipv6.exthdr_dupl_fh",
            Usable,
            chain(44, &bytes![[44, 0, 0, 0, 0, 0, 0, 1], [UDP, 0, 0, 0, 0, 0, 0, 1]]),
        ),
        raw_ip(
            "ipv6.exthdr_dupl_hh",
            Usable,
            chain(0, &bytes![[0, 0, 5, 2, 0, 0, 1, 0], [UDP, 0, 5, 2, 0, 0, 1, 0]]),
        ),
        raw_ip(
            "ipv6.exthdr_dupl_rh",
            Usable,
            chain(43, &bytes![[43, 0, 4, 0, 0, 0, 0, 0], [UDP, 0, 4, 0, 0, 0, 0, 0]]),
        ),
        raw_ip("ipv6.exthdr_invalid_optlen", Usable, hop([5, 3, 0, 0, 0, 0])),
        raw_ip("ipv6.exthdr_invalid_optlen", Usable, hop([5, 9, 0, 0, 0, 0])),
        raw_ip("ipv6.exthdr_useless_fh", Usable, chain(44, &[UDP, 0, 0, 0, 0, 0, 0, 1])),
        raw_ip("ipv6.fh_non_zero_reserved_field", Usable, chain(44, &[UDP, 7, 0, 9, 0, 0, 0, 1])),
        raw_ip(
            "ipv6.frag_invalid_length",
            Malformed,
            ipv6(44, &bytes![[UDP, 0, 0, 1, 0, 0, 0, 1], [0; 9]]),
        ),
        raw_ip("ipv6.hopopts_only_padding", Usable, hop([1, 4, 0, 0, 0, 0])),
        raw_ip("ipv6.hopopts_unknown_opt", Usable, hop([0x3e, 4, 0, 0, 0, 0])),
        raw_ip("ipv6.icmpv4", Usable, ipv6(1, &icmp(8, 0, &[]))),
        raw_ip("ipv6.ipv4_in_ipv6_too_small", Malformed, ipv6(4, &udp4()[..19])),
        raw_ip("ipv6.ipv4_in_ipv6_wrong_version", Malformed, ipv6(4, &udp6())),
        raw_ip("ipv6.ipv6_in_ipv6_too_small", Malformed, ipv6(41, &udp6()[..39])),
        raw_ip("ipv6.ipv6_in_ipv6_wrong_version", Malformed, ipv6(41, &[0x45; 60])),
        raw_ip("ipv6.pkt_too_small", Malformed, udp6()[..39].to_vec()),
        raw_ip("ipv6.rh_type_0", Usable, chain(43, &[UDP, 0, 0, 0, 0, 0, 0, 0])),
        raw_ip(
            "ipv6.too_many_exthdrs",
            Usable,
            chain(135, &[135, 0, 0, 0, 0, 0, 0, 0].repeat(300)),
        ),
        raw_ip("ipv6.trunc_exthdr", Malformed, ipv6(60, &[UDP, 1, 0, 0, 0, 0, 0, 0])),
        raw_ip("ipv6.trunc_exthdr", Malformed, ipv6(60, &[UDP, 0, 5, 2, 0, 0, 1, 0])),
        raw_ip("ipv6.trunc_pkt", Malformed, udp6()[..51].to_vec()),
        raw_ip("ipv6.unknown_next_header", Usable, ipv6(200, &[0; 8])),
        eth("ipv6.wrong_ip_version", Malformed, 0x86dd, &bytes![udp4(), [0; 20]]),
        raw_ip("ipv6.zero_len_padn", Usable, hop([1, 0, 5, 2, 0, 0])),
        raw_ip("icmpv4.ipv4_trunc_pkt", Usable, ipv4(1, &icmp(3, 3, &udp4()[..19]))),
        raw_ip("icmpv4.ipv4_unknown_ver", Usable, ipv4(1, &icmp(3, 3, &udp6()))),
        raw_ip("icmpv4.pkt_too_small", Malformed, ipv4(1, &[8, 0, 0, 0])),
        raw_ip("icmpv4.unknown_code", Usable, ipv4(1, &icmp(8, 1, &[]))),
        raw_ip("icmpv4.unknown_type", Usable, ipv4(1, &icmp(99, 0, &[]))),
        raw_ip("icmpv6.experimentation_type", Usable, ipv6(58, &icmp(200, 0, &[]))),
        raw_ip("icmpv6.ipv6_trunc_pkt", Usable, ipv6(58, &icmp(1, 0, &udp6()[..39]))),
        raw_ip("icmpv6.ipv6_unknown_version", Usable, ipv6(58, &icmp(1, 0, &[0x45; 60]))),
        raw_ip("icmpv6.mld_message_with_invalid_hl", Usable, ipv6(58, &icmp(131, 0, &[0; 16]))),
        raw_ip("icmpv6.pkt_too_small", Malformed, ipv6(58, &[128, 0, 0, 0])),
        raw_ip("icmpv6.unassigned_type", Usable, ipv6(58, &icmp(50, 0, &[]))),
        raw_ip("icmpv6.unknown_code", Usable, ipv6(58, &icmp(128, 1, &[]))),
        raw_ip("icmpv6.unknown_type", Usable, ipv6(58, &icmp(250, 0, &[]))),
        raw_ip("igmp.malformed", Usable, ipv4(2, &[0x22, 0, 0, 0, 0, 0, 0, 1])),
        raw_ip("igmp.malformed", Usable, ipv4(2, &[0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9])),
        raw_ip("igmp.pkt_too_small", Malformed, ipv4(2, &[0x16, 0, 0, 0])),
        raw_ip("igmp.v3_pkt_too_small", Usable, ipv4(2, &[0x11, 0, 0, 0, 0, 0, 0, 0, 0])),
        raw_ip("esp.pkt_too_small", Malformed, ipv4(50, &[0; 7])),
    ]
}

fn transports() -> Vec<Case> {
    let sctp =
        |tag: u8, chunks: &[u8]| ipv4(132, &bytes![[0, 1, 0, 2, 0, 0, 0, tag, 0, 0, 0, 0], chunks]);
    let init = [1, 0, 0, 4];
    vec![
        raw_ip("sctp.chunk_len_invalid", Usable, sctp(1, &[0, 0, 0, 3])),
        raw_ip("sctp.chunk_len_invalid", Usable, sctp(1, &[0, 0, 0, 9])),
        raw_ip("sctp.chunk_too_small", Usable, sctp(1, &[0, 0, 0])),
        raw_ip("sctp.data_with_zero_vtag", Usable, sctp(0, &[0, 0, 0, 4])),
        raw_ip("sctp.init_chunk_bundled", Usable, sctp(0, &bytes![init, [14, 0, 0, 4]])),
        raw_ip("sctp.init_with_non_zero_vtag", Usable, sctp(1, &init)),
        raw_ip("sctp.pkt_too_small", Malformed, ipv4(132, &[0; 11])),
        raw_ip("sctp.too_many_chunks", Usable, sctp(1, &[14, 0, 0, 4].repeat(65))),
        raw_ip("tcp.hlen_too_small", Malformed, with(ipv4(6, &tcp(&[], &[])), 32, 0x40)),
        raw_ip("tcp.invalid_optlen", Malformed, with(ipv4(6, &tcp(&[], &[])), 32, 0x60)),
        raw_ip("tcp.opt_duplicate", Usable, ipv4(6, &tcp(&[3, 3, 1, 3, 3, 1], &[]))),
        raw_ip("tcp.opt_invalid_len", Usable, ipv4(6, &tcp(&[2, 3, 1], &[]))),
        raw_ip("tcp.opt_invalid_len", Usable, ipv4(6, &tcp(&[5, 3, 1], &[]))),
        raw_ip("tcp.pkt_too_small", Malformed, ipv4(6, &tcp(&[], &[])[..19])),
        raw_ip("udp.hlen_too_small", Malformed, ipv4(UDP, &[0; 7])),
        raw_ip("udp.len_invalid", Malformed, ipv4(UDP, &[0, 1, 0, 2, 0, 7, 0, 0, 1])),
        raw_ip("udp.len_invalid", Malformed, ipv4(UDP, &[0, 1, 0, 2, 0, 0, 0, 0, 1])),
        raw_ip("udp.pkt_too_small", Malformed, ipv4(UDP, &[0, 1, 0, 2, 0, 9, 0, 0])),
    ]
}

fn tunnels() -> Vec<Case> {
    let in_udp = |name, port, body: &[u8]| raw_ip(name, Usable, ipv4(UDP, &udp(1, port, body)));
    let frame = build::ethernet(0x0800, &udp4());
    vec![
        in_gre("erspan.header_too_small", 0x1000, 0x88be, &[0; 11]),
        in_gre("erspan.header_too_small", 0x1000, 0x22eb, &[0; 15]),
        in_gre("erspan.unsupported_version", 0x1000, 0x88be, &bytes![[0; 4], [0x20; 8], frame]),
        in_gre("erspan.unsupported_version", 0x1000, 0x22eb, &bytes![[0; 4], [0x10; 12], frame]),
        in_udp("geneve.header_too_small", 6081, &[0, 0, 8]),
        in_udp("geneve.header_too_small", 6081, &[0x3f, 0, 8, 0, 0, 0, 0, 0]),
        in_udp("geneve.unsupported_version", 6081, &[0x40, 0, 8, 0, 0, 0, 0, 0]),
        in_udp("vxlan.unknown_payload_type", 4790, &[0x0c, 0, 0, 99, 0, 0, 0, 0]),
        raw_ip("gre.pkt_too_small", Malformed, ipv4(47, &[0, 0, 8])),
        in_gre("gre.version0_flags", 0x0008, 0x0800, &udp4()),
        in_gre("gre.version0_hdr_too_big", 0x3000, 0x0800, &[0; 7]),
        in_gre("gre.version0_malformed_sre_hdr", 0x4000, 0x0800, &[0, 0, 0, 0, 8, 0, 0, 9]),
        in_gre("gre.version0_recur", 0x0100, 0x0800, &udp4()),
        in_gre("gre.version1_chksum", 0xa001, 0x880b, &[0; 8]),
        in_gre("gre.version1_flags", 0x2041, 0x880b, &[0; 8]),
        in_gre("gre.version1_hdr_too_big", 0x3081, 0x880b, &[0; 8]),
        in_gre("gre.version1_no_key", 0x1001, 0x880b, &[0; 8]),
        in_gre("gre.version1_recur", 0x2201, 0x880b, &[0; 8]),
        in_gre("gre.version1_route", 0x6001, 0x880b, &[0; 8]),
        in_gre("gre.version1_ssr", 0x2801, 0x880b, &[0; 8]),
        in_gre("gre.version1_wrong_protocol", 0x2001, 0x0800, &[0; 8]),
        in_gre("gre.wrong_version", 0x0002, 0x0800, &udp4()),
    ]
}

/// Found while fragments are put together, where the bytes of the packet alone do not tell.
const OF_DEFRAGMENTATION: [&str; 8] = [
    "ipv4.frag_ignored",
    "ipv4.frag_overlap",
    "ipv4.frag_overlap_differs",
    "ipv4.frag_pkt_too_large",
    "ipv6.frag_ignored",
    "ipv6.frag_overlap",
    "ipv6.frag_overlap_differs",
    "ipv6.frag_pkt_too_large",
];

#[test]
fn every_name_is_earned() {
    let cases: Vec<Case> =
        [link_layers(), internet(), transports(), tunnels()].into_iter().flatten().collect();
    for (name, still, link, data) in &cases {
        let (outer, mut stats) = decoded(*link, data);
        // What is wrong with an ERSPAN header is wrong with the packet that it begins.
        let packet = match outer.inner {
            Some(carried) if name.starts_with("erspan") => {
                decode_inner(&carried, outer.vlans, &mut stats)
            }
            _ => outer,
        };
        let found = names(&packet);
        assert!(found.contains(name), "{name}: {found:?}");
        assert_eq!(packet.malformed, *still == Malformed, "{name}");
        assert_eq!(stats.invalid, u64::from(packet.malformed), "{name}");
        assert!(packet.malformed || found.len() == 1 || name.ends_with("_fh"), "{name}: {found:?}");
    }
    for anomaly in DecodeAnomaly::ALL {
        let name = anomaly.name();
        let is_earned = cases.iter().any(|case| case.0 == name);
        assert_eq!(is_earned, !OF_DEFRAGMENTATION.contains(&name), "{name}");
    }
}

#[test]
fn names_are_unique_and_in_order() {
    let names: Vec<&str> = DecodeAnomaly::ALL.iter().map(|anomaly| anomaly.name()).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(names.len(), sorted.len());
}

#[test]
fn a_packet_keeps_each_anomaly_once_and_seven_at_most() {
    let hop_by_hop = [0, 0, 5, 3, 0, 0, 0, 0];
    let destination = [60, 0, 1, 0, 0x3e, 2, 0, 0];
    let headers = bytes![
        hop_by_hop,
        hop_by_hop,
        [60, 0, 0x3e, 4, 0, 0, 0, 0],
        destination,
        destination,
        [43, 0, 1, 4, 0, 0, 0, 0],
        [43, 0, 0, 0, 0, 0, 0, 0],
        [44, 0, 0, 0, 0, 0, 0, 0],
        [44, 9, 0, 6, 0, 0, 0, 0],
        [44, 0, 0, 0, 0, 0, 0, 0]
    ];
    let data = ipv6(0, &bytes![headers, [UDP, 0, 0, 0, 0, 0, 0, 0], udp(1, 2, &[])]);
    let (packet, _) = decoded(LinkType::RAW, &data);
    let mut found = names(&packet);
    assert_eq!(found.len(), 7);
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), 7);
}
