use crate::build::{self, UDP, gre, ipv4, ipv6, udp, udp4, udp6};
use crate::{assert_udp, bytes, ethernet, inner, ip, names, raw};
use flowtrack_event::{DecoderStats, LinkType, RawPacket, TunnelKind};
use flowtrack_wire::{Packet, Transport, decode, decode_inner};

/// The UDP packet that `data` carries, whose own header stays what it is.
#[track_caller]
fn assert_carries_udp(data: &[u8], tunnel: TunnelKind) -> DecoderStats {
    let (outer, outer_stats) = ip(data);
    assert_eq!(names(&outer), Vec::<&str>::new());
    assert!(!matches!(outer.transport, Transport::None));
    assert_eq!(outer.len as usize, data.len());
    let carried = outer.inner.expect("it carries a packet");
    assert_eq!((carried.tunnel, carried.wire_len as usize), (tunnel, carried.data.len()));
    let (packet, mut stats) = inner(&outer);
    assert_udp(&packet);
    assert_eq!(packet.len as usize, carried.data.len());
    assert_eq!((stats.pkts, stats.bytes, stats.raw), (0, 0, 0));
    stats.merge(&outer_stats);
    stats
}

#[test]
fn gre_with_its_options() {
    for (flags, options) in [(0, 0), (0x8000, 4), (0x2000, 4), (0x1000, 4), (0xb000, 12)] {
        let body = bytes![vec![0; options], udp4()];
        let stats = assert_carries_udp(&ipv4(47, &gre(flags, 0x0800, &body)), TunnelKind::Gre);
        assert_eq!((stats.gre, stats.ipv4), (1, 2));
    }
    let route = bytes![[0; 4], [8, 0, 0, 4, 10, 0, 0, 9], [0; 4], udp4()];
    assert_carries_udp(&ipv4(47, &gre(0x4000, 0x0800, &route)), TunnelKind::Gre);
}

#[test]
fn gre_with_everything_in_it() {
    let frame = build::ethernet(0x0800, &udp4());
    for (protocol, body) in [
        (0x86dd, udp6()),
        (0x6558, frame.clone()),
        (0x8100, bytes![[0, 5, 8, 0], udp4()]),
        (0x8847, bytes![[0, 1, 1, 64], udp4()]),
        (0x880b, bytes![[0xff, 3, 0, 0x21], udp4()]),
    ] {
        assert_carries_udp(&ipv6(47, &gre(0, protocol, &body)), TunnelKind::Gre);
    }
    let unknown = ipv4(47, &gre(0, 0x2001, &[0; 40]));
    assert!(ip(&unknown).0.inner.is_none());
}

#[test]
fn pptp() {
    let ppp = bytes![[0xff, 3, 0, 0x21], udp4()];
    let body = bytes![[0; 4], [0; 8], ppp];
    let stats = assert_carries_udp(&ipv4(47, &gre(0x3081, 0x880b, &body)), TunnelKind::Gre);
    assert_eq!((stats.gre, stats.ppp), (1, 1));
    // A bare acknowledgement carries nothing.
    let acknowledgement = ipv4(47, &gre(0x2081, 0x880b, &[0; 8]));
    let (packet, _) = ip(&acknowledgement);
    assert!(packet.inner.is_none() && !packet.malformed);
}

#[test]
fn erspan() {
    let frame = build::ethernet(0x0800, &udp4());
    let type_i = ipv4(47, &gre(0, 0x88be, &frame));
    let type_ii =
        ipv4(47, &gre(0x1000, 0x88be, &bytes![[0; 4], [0x10, 9, 0, 0, 0, 0, 0, 0], frame]));
    let type_iii = bytes![[0; 4], [0x20, 9, 0, 0], [0; 8], frame];
    let type_iii = ipv4(47, &gre(0x1000, 0x22eb, &type_iii));
    let with_subheader = bytes![[0; 4], [0x20, 9, 0, 0], [0; 7], [1], [0; 8], frame];
    let with_subheader = ipv4(47, &gre(0x1000, 0x22eb, &with_subheader));
    for (data, header, vlans) in
        [(type_i, 0, &[][..]), (type_ii, 8, &[9]), (type_iii, 12, &[9]), (with_subheader, 20, &[9])]
    {
        let stats = assert_carries_udp(&data, TunnelKind::Erspan);
        assert_eq!((stats.gre, stats.erspan), (1, 1));
        let (outer, _) = ip(&data);
        let (packet, _) = inner(&outer);
        assert_eq!(packet.vlans.as_slice(), vlans);
        assert_eq!(packet.len as usize, header + frame.len());
    }
}

#[test]
fn ip_in_ip() {
    let count = |s: &DecoderStats| [s.ipv4_in_ipv4, s.ipv6_in_ipv4, s.ipv4_in_ipv6, s.ipv6_in_ipv6];
    for (data, counted) in [
        (ipv4(4, &udp4()), [1, 0, 0, 0]),
        (ipv4(41, &udp6()), [0, 1, 0, 0]),
        (ipv6(4, &udp4()), [0, 0, 1, 0]),
        (ipv6(41, &udp6()), [0, 0, 0, 1]),
    ] {
        let stats = assert_carries_udp(&data, TunnelKind::Ip);
        assert_eq!(count(&stats), counted);
    }
    assert_carries_udp(&ipv4(137, &bytes![[0, 1, 1, 64], udp4()]), TunnelKind::Ip);
}

#[test]
fn vxlan_on_its_ports() {
    let frame = build::ethernet(0x0800, &udp4());
    for port in [4789, 8472, 4790] {
        let body = bytes![[8, 0, 0, 0, 0, 0, 5, 0], frame];
        let stats = assert_carries_udp(&ipv4(UDP, &udp(999, port, &body)), TunnelKind::Vxlan);
        assert_eq!((stats.vxlan, stats.ethernet, stats.udp), (1, 1, 2));
    }
    // The generic extension names its payload, group policy sets further flags.
    for (header, body) in [
        ([0x0c, 0, 0, 1, 0, 0, 5, 0], udp4()),
        ([0x0c, 0, 0, 2, 0, 0, 5, 0], udp6()),
        ([0x0c, 0, 0, 3, 0, 0, 5, 0], frame.clone()),
        ([0x0c, 0, 0, 4, 0, 0, 5, 0], bytes![[0, 2, 2, 1, 0, 0, 0, 0], udp4()]),
        ([0x88, 0x48, 0, 7, 0, 0, 5, 0], frame),
    ] {
        let data = ipv4(UDP, &udp(999, 4789, &bytes![header, body]));
        assert_carries_udp(&data, TunnelKind::Vxlan);
    }
}

#[test]
fn geneve() {
    let frame = build::ethernet(0x0800, &udp4());
    for (header, body) in [
        (bytes![[0, 0, 0x65, 0x58, 0, 0, 5, 0]], frame),
        (bytes![[2, 0x40, 8, 0, 0, 0, 5, 0], [0; 8]], udp4()),
        (bytes![[0, 0, 0x86, 0xdd, 0, 0, 5, 0]], udp6()),
    ] {
        let data = ipv4(UDP, &udp(999, 6081, &bytes![header, body]));
        assert_eq!(assert_carries_udp(&data, TunnelKind::Geneve).geneve, 1);
    }
}

/// An IPv6 packet from a Teredo address.
fn teredo_packet() -> Vec<u8> {
    let mut data = udp6();
    data[8..16].copy_from_slice(&[0x20, 1, 0, 0, 1, 2, 3, 4]);
    data
}

#[test]
fn teredo() {
    let authentication = [0, 1, 1, 2, 9, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let origin = [0, 0, 1, 2, 3, 4, 5, 6];
    for body in [
        teredo_packet(),
        bytes![origin, teredo_packet()],
        bytes![authentication, teredo_packet()],
        bytes![authentication, origin, teredo_packet()],
    ] {
        for (src, dst) in [(50_000, 3544), (3544, 50_000)] {
            let data = ipv4(UDP, &udp(src, dst, &body));
            assert_eq!(assert_carries_udp(&data, TunnelKind::Teredo).teredo, 1);
        }
    }
}

#[test]
fn ordinary_udp_on_tunnel_ports_is_no_tunnel() {
    let too_long = bytes![teredo_packet(), [0]];
    for (port, body) in [
        (3544, udp6()),
        (3544, too_long),
        (3544, udp4()),
        (3544, vec![]),
        (3544, vec![0, 1, 200, 200]),
        (4789, vec![0; 40]),
        (4789, bytes![[8, 0, 0, 0, 0, 0, 5, 1], [0; 40]]),
        (4789, vec![8]),
        (9999, teredo_packet()),
    ] {
        let data = ipv4(UDP, &udp(50_000, port, &body));
        let (packet, _) = ip(&data);
        assert!(packet.inner.is_none() && !packet.malformed, "{port} {body:?}");
        assert_eq!(names(&packet), Vec::<&str>::new(), "{port} {body:?}");
    }
}

#[test]
fn inner_packets_keep_the_tags_around_them() {
    let tunnel = ipv4(47, &gre(0, 0x6558, &bytes![[0; 12], [0x81, 0, 0, 7, 8, 0], udp4()]));
    let frame = build::ethernet(0x8100, &bytes![[0, 5, 8, 0], tunnel]);
    let (outer, _) = ethernet(&frame);
    let (packet, _) = inner(&outer);
    assert_eq!(packet.vlans.as_slice(), [5, 7]);
}

#[test]
fn what_the_capture_cut_is_known_inside_too() {
    let data = ipv4(47, &gre(0, 0x0800, &ipv4(UDP, &udp(1000, 2000, &[7; 100]))));
    let cut = RawPacket { wire_len: data.len() as u32, ..raw(LinkType::RAW, &data[..80]) };
    let mut stats = DecoderStats::default();
    let outer = decode(&cut, &mut stats);
    let carried = outer.inner.expect("it carries a packet");
    assert_eq!((carried.data.len(), carried.wire_len), (56, 128));
    let packet = decode_inner(&carried, outer.vlans, &mut stats);
    assert_eq!((packet.payload.len(), packet.payload_wire_len), (28, 100));
    assert_eq!((names(&packet), stats.invalid), (vec![], 0));
}

#[test]
fn nesting_ends() {
    let mut data = udp4();
    for _ in 0..50 {
        data = ipv4(4, &data);
    }
    let (mut packet, mut stats): (Packet<'_>, _) = ip(&data);
    let mut depth = 0;
    while let Some(carried) = packet.inner {
        packet = decode_inner(&carried, packet.vlans, &mut stats);
        depth += 1;
    }
    assert_eq!((depth, stats.ipv4_in_ipv4), (50, 50));
    assert_udp(&packet);
}
