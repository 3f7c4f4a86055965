use crate::builder::{Builder, Source, Value};
use crate::context::Context;
use crate::keywords::{find, understand};
use crate::lang::{Headers, Variables, parse_rules};
use crate::state::Shared;
use flowtrack_event::{DecoderStats, Direction, IfaceId, LinkType, RawPacket, Timestamp};
use flowtrack_wire::{Packet, decode};

/// An IPv4 packet: time to live 64, identification 31337, do not fragment; `options` of 4 bytes.
fn ipv4(proto: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let header = 20 + options.len();
    let mut bytes = vec![0x40 | (header / 4) as u8, 0x10];
    bytes.extend(((header + payload.len()) as u16).to_be_bytes());
    bytes.extend([0x7a, 0x69, 0x40, 0, 64, proto, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    bytes.extend(options);
    bytes.extend(payload);
    bytes
}

/// A SYN with its options.
fn syn() -> Vec<u8> {
    let mut tcp =
        vec![0x04, 0xd2, 0x00, 0x50, 0, 0, 0, 7, 0, 0, 0, 9, 0x70, 0xc2, 0x20, 0, 0, 0, 0, 0];
    tcp.extend([2, 4, 0x02, 0x00, 3, 3, 11, 1]);
    ipv4(6, &[], &tcp)
}

fn ethernet(tags: &[u16], bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    for tag in tags {
        frame.extend([0x81, 0x00]);
        frame.extend(tag.to_be_bytes());
    }
    frame.extend([0x08, 0x00]);
    frame.extend(bytes);
    frame
}

fn with_packet<T>(link: LinkType, data: &[u8], judge: impl FnOnce(&Packet<'_>) -> T) -> T {
    let raw = RawPacket {
        ts: Timestamp::default(),
        iface: IfaceId::default(),
        link,
        number: 1,
        wire_len: data.len() as u32,
        vlan_tci: None,
        data,
    };
    judge(&decode(&raw, &mut DecoderStats::default()))
}

/// Whether all conditions of a rule hold of a packet.
#[track_caller]
fn fires_on(
    link: LinkType,
    protocol: &str,
    options: &str,
    data: &[u8],
    events: &[&'static str],
) -> bool {
    let (rules, problems) =
        parse_rules("x", &format!("alert {protocol} any any -> any any ({options}; sid:1;)"));
    assert_eq!(problems, []);
    let signature = match understand(&rules[0], &mut Headers::new(Variables::default())) {
        Ok(understood) => understood.signature,
        Err(refused) => panic!("{options}: {refused:?}"),
    };
    assert!(!signature.tests.is_empty(), "{options}");
    with_packet(link, data, |packet| {
        let shared = Shared::default();
        let mut cx = Context::new(Timestamp::default(), Direction::ToServer, &shared);
        cx.packet = Some(packet);
        cx.stream_events = events;
        signature.header.protocol.base.fits(packet)
            && signature.tests.iter().all(|test| test.test(&mut cx))
    })
}

#[track_caller]
fn check(protocol: &str, data: &[u8], holds: &[&str], not: &[&str]) {
    for options in holds {
        assert!(fires_on(LinkType::IPV4, protocol, options, data, &[]), "{options}");
    }
    for options in not {
        assert!(!fires_on(LinkType::IPV4, protocol, options, data, &[]), "{options}");
    }
}

/// What a keyword's buffer holds of a packet.
fn bytes_of(keyword: &str, link: LinkType, data: &[u8]) -> Vec<Vec<u8>> {
    let (rules, _) = parse_rules("x", "alert ip any any -> any any (sid:1;)");
    let mut headers = Headers::new(Variables::default());
    let header = headers.compile(&rules[0].header).unwrap();
    let mut builder = Builder::new(&rules[0], header, &headers);
    let value = Value { keyword, text: None, at: rules[0].at };
    (find(keyword).unwrap().parse)(&mut builder, &value).unwrap();
    let Source::Packet(read) = builder.search().unwrap().buffer.source else { panic!("{keyword}") };
    let mut values = Vec::new();
    with_packet(link, data, |packet| read(packet, &mut |bytes| values.push(bytes.to_vec())));
    values
}

#[test]
fn ip_headers() {
    check(
        "ip",
        &ipv4(47, &[148, 4, 0, 0], &[0; 8]),
        &[
            "ttl:64",
            "ttl:>63",
            "tos:16",
            "tos:x10",
            "tos:!0",
            "id:31337",
            "id:\"31337\"",
            "ip_proto:47",
            "ip_proto:gre",
            "ip_proto:!tcp",
            "ip_proto:>17",
            "fragbits:D",
            "fragbits:+D",
            "fragbits:!M",
            "fragbits:*MD",
            "fragoffset:0",
            "ipopts:rtralt",
            "ipopts:any",
        ],
        &[
            "ttl:<64",
            "tos:!x10",
            "id:1",
            "ip_proto:!gre",
            "fragbits:M",
            "fragbits:MD",
            "fragbits:!D",
            "fragoffset:>0",
            "ipopts:rr",
            "sameip",
        ],
    );
    check("ip", &ipv4(1, &[], &[8, 0, 0, 0, 0, 0, 0, 0]), &[], &["ipopts:any"]);
}

#[test]
fn fragments() {
    let mut later = ipv4(17, &[], &[0; 24]);
    later[6] = 0x20;
    later[7] = 0x05;
    check("ip", &later, &["fragbits:M", "fragoffset:5"], &["fragbits:D", "fragoffset:40"]);
}

#[test]
fn tcp_headers() {
    check(
        "tcp",
        &syn(),
        &[
            "flags:S,12",
            "flags:S,CE",
            "flags:+S",
            "flags:SEC",
            "flags:*SA",
            "flags:!A",
            "tcp.flags:+S",
            "seq:7",
            "ack:9",
            "tcp.ack:>8",
            "window:8192",
            "window:!1",
            "tcp.mss:<536",
            "tcp.wscale:11",
        ],
        &["flags:S", "flags:A", "flags:+SA", "flags:0", "flags:!S", "seq:8", "tcp.mss:>600"],
    );
    assert_eq!(bytes_of("tcp.hdr", LinkType::IPV4, &syn()), [syn()[20..].to_vec()]);
    assert!(bytes_of("udp.hdr", LinkType::IPV4, &syn()).is_empty());
}

#[test]
fn icmp_headers() {
    let echo = ipv4(1, &[], &[8, 0, 0, 0, 2, 0, 0, 5, 1, 2]);
    check(
        "icmp",
        &echo,
        &["itype:8", "icode:0", "icmp_id:512", "icmp_seq:5", "itype:7<>9"],
        &["itype:0", "icmp_id:0", "icmp_seq:>5"],
    );
    let unreachable = ipv4(1, &[], &[3, 1, 0, 0, 0, 0, 0, 0, 1, 2]);
    check("icmp", &unreachable, &["itype:3", "icode:1"], &["icmp_id:0", "icmp_seq:0"]);
    assert_eq!(bytes_of("icmpv4.hdr", LinkType::IPV4, &echo), [[8, 0, 0, 0, 2, 0, 0, 5]]);
}

#[test]
fn icmpv6_headers() {
    let mut packet = vec![0x60, 0, 0, 0, 0, 12, 58, 64];
    packet.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend([2, 0, 0, 0, 0, 0, 0x04, 0xff, 1, 2, 3, 4]);
    let fires = |options| fires_on(LinkType::IPV6, "icmpv6", options, &packet, &[]);
    assert!(fires("icmpv6.mtu:<1280") && fires("icmpv6.mtu:1279") && fires("sameip"));
    assert!(!fires("icmpv6.mtu:>1280") && !fires("itype:3"));
    assert!(!fires_on(LinkType::IPV6, "icmpv4", "itype:2", &packet, &[]));
    assert_eq!(bytes_of("ipv6.hdr", LinkType::IPV6, &packet), [packet[..40].to_vec()]);
    assert_eq!(bytes_of("icmpv6.hdr", LinkType::IPV6, &packet), [packet[40..48].to_vec()]);
    assert_eq!(bytes_of("ip.src", LinkType::IPV6, &packet), [packet[8..24].to_vec()]);
    assert!(bytes_of("ipv4.hdr", LinkType::IPV6, &packet).is_empty());
}

#[test]
fn igmp_and_sctp() {
    let igmp = ipv4(2, &[], &[0x11, 0, 0xee, 0xff, 0, 0, 0, 0]);
    check(
        "igmp",
        &igmp,
        &["igmp.type:0x11", "igmp-csum:valid"],
        &["igmp.type:>0x11", "igmp-csum:invalid"],
    );
    assert_eq!(bytes_of("igmp.hdr", LinkType::IPV4, &igmp), [igmp[20..].to_vec()]);
    let mut sctp = vec![0, 7, 0, 7, 0, 0, 0, 5, 0, 0, 0, 0];
    sctp.extend([14, 0, 0, 5, 0xaa, 0, 0, 0]);
    sctp.extend([6, 0, 0, 4]);
    sctp.extend([192, 0, 0, 8, 0, 0, 0, 1]);
    for data in [b"hello", b"there"] {
        sctp.extend([0, 3, 0, 21, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        sctp.extend(data);
        sctp.extend([0; 3]);
    }
    let packet = ipv4(132, &[], &sctp);
    check(
        "sctp",
        &packet,
        &[
            "sctp.vtag:5",
            "sctp.chunk_cnt:5",
            "sctp.chunk_type:abort",
            "sctp.chunk_type:14,0",
            "sctp.chunk_type:forward_tsn",
            "sctp.chunk_type:!init",
            "dsize:5",
        ],
        &["sctp.vtag:0", "sctp.chunk_type:hb_ack", "sctp.chunk_type:abort,all"],
    );
    assert_eq!(
        bytes_of("sctp.chunk_data", LinkType::IPV4, &packet),
        [b"hello".to_vec(), b"there".to_vec()]
    );
    assert_eq!(bytes_of("sctp.hdr", LinkType::IPV4, &packet), [sctp]);
}

#[test]
fn link_headers() {
    let plain = ethernet(&[], &syn());
    assert_eq!(bytes_of("ether.hdr", LinkType::ETHERNET, &plain), [plain[..14].to_vec()]);
    let tagged = ethernet(&[200, 300], &syn());
    assert_eq!(bytes_of("ether.hdr", LinkType::ETHERNET, &tagged), [tagged[..14].to_vec()]);
    assert!(bytes_of("ether.hdr", LinkType::IPV4, &syn()).is_empty());
    let fires = |options| fires_on(LinkType::ETHERNET, "ip", options, &tagged, &[]);
    for options in
        ["vlan.id:300", "vlan.id:200,0", "vlan.id:300,-1", "vlan.layers:2", "vlan.id:!7,all"]
    {
        assert!(fires(options), "{options}");
    }
    for options in ["vlan.id:300,0", "vlan.layers:!2", "vlan.id:>200,all"] {
        assert!(!fires(options), "{options}");
    }
    assert!(fires_on(LinkType::ETHERNET, "ip", "vlan.layers:0", &plain, &[]));
}

#[test]
fn checksums() {
    let mut packet = ipv4(17, &[], &[0, 7, 0, 9, 0, 8, 0, 0]);
    check("ip", &packet, &["ipv4-csum:invalid"], &["ipv4-csum:valid"]);
    let sum: u32 =
        packet[..20].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    packet[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    check("ip", &packet, &["ipv4-csum:valid"], &["ipv4-csum:invalid"]);
    // A datagram without a checksum is neither right nor wrong.
    check("udp", &packet, &[], &["udpv4-csum:valid", "udpv4-csum:invalid", "udpv6-csum:valid"]);
    check("tcp", &syn(), &["tcpv4-csum:invalid"], &["tcpv4-csum:valid", "tcpv6-csum:invalid"]);
}

#[test]
fn events() {
    let short = &syn()[..30];
    let fires =
        |options: &str| fires_on(LinkType::IPV4, "pkthdr", options, short, &["reassembly_seq_gap"]);
    assert!(fires("decode-event:ipv4.trunc_pkt") && fires("engine-event:ipv4.trunc_pkt"));
    assert!(!fires("decode-event:tcp.opt_duplicate"));
    assert!(fires("stream-event:reassembly_seq_gap") && !fires("stream-event:est_invalid_ack"));
    assert!(fires("engine-event:stream.reassembly_seq_gap"));
    let unknown = |frame: &[u8]| {
        let options = "decode-event:ethernet.unknown_ethertype";
        fires_on(LinkType::ETHERNET, "pkthdr", options, frame, &[])
    };
    let mut frame = ethernet(&[], &syn());
    assert!(!unknown(&frame));
    frame[12..14].copy_from_slice(&[0x88, 0xcc]);
    assert!(unknown(&frame));
    // What of ARP is cut off is not unknown.
    frame[12..14].copy_from_slice(&[8, 6]);
    assert!(!unknown(&frame[..20]));
}

#[test]
fn an_event_that_is_not_noticed_is_warned_of() {
    let warnings = |name: &str| {
        let text = format!("alert tcp any any -> any any (stream-event:{name}; sid:1;)");
        let (rules, _) = parse_rules("x", &text);
        understand(&rules[0], &mut Headers::new(Variables::default())).unwrap().warnings.len()
    };
    assert_eq!((warnings("est_invalid_ack"), warnings("wrong_thread")), (0, 1));
}

#[test]
fn mistakes_name_what_was_meant() {
    let message = |options: &str| {
        let (rules, _) =
            parse_rules("x", &format!("alert ip any any -> any any ({options}; sid:1;)"));
        let refused = understand(&rules[0], &mut Headers::new(Variables::default())).unwrap_err();
        format!("{}: {}", refused.at.column, refused.message)
    };
    assert_eq!(
        message("decode-event:ipv4.trunc_pk"),
        "43: unknown event \"ipv4.trunc_pk\"; did you mean \"ipv4.trunc_pkt\"?"
    );
    assert_eq!(
        message("flags:SX"),
        "37: \"X\" is no flag: expected letters of F, S, R, P, A, U, C, E or 0"
    );
    assert_eq!(message("ttl:300"), "34: 300 is too large: expected at most 255");
    assert!(message("ip_proto:upd").ends_with("did you mean \"udp\"?"));
    assert!(message("ipopts:lsr").ends_with("did you mean \"lsrr\"?"));
    assert_eq!(message("tcp.hdr:x"), "38: tcp.hdr takes no value");
    assert_eq!(message("ttl"), "30: ttl needs a value: a number, such as 7, <7, >7, 3-9 or !7");
}
