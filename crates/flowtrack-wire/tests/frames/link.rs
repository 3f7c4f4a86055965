use crate::build::{self, DST_MAC, SRC_MAC, udp4, udp6};
use crate::{assert_udp, bytes, decoded, ethernet, names, raw};
use flowtrack_event::{DecoderStats, LinkType, MacAddr};
use flowtrack_wire::{Arp, Network, Packet, Transport, decode};
use std::net::Ipv4Addr;

fn vlans(packet: &Packet<'_>) -> Vec<u16> {
    packet.vlans.as_slice().to_vec()
}

#[test]
fn ethernet_with_ipv4_and_padding() {
    let frame = bytes![build::ethernet(0x0800, &udp4()), [0; 14]];
    let (packet, stats) = ethernet(&frame);
    assert_udp(&packet);
    assert_eq!(packet.macs, Some((MacAddr(SRC_MAC), MacAddr(DST_MAC))));
    assert_eq!((packet.len, packet.link_len), (60, 14));
    let expected = DecoderStats {
        pkts: 1,
        bytes: 60,
        max_pkt_size: 60,
        ethernet: 1,
        ipv4: 1,
        udp: 1,
        ..DecoderStats::default()
    };
    assert_eq!(stats, expected);
}

#[test]
fn ethernet_with_ipv6() {
    let (frame, stats) = (build::ethernet(0x86dd, &udp6()), DecoderStats::default());
    let (packet, counted) = ethernet(&frame);
    assert_udp(&packet);
    assert_eq!((counted.ipv6, counted.ipv4), (1, stats.ipv4));
}

#[test]
fn vlan_tags() {
    for (tags, ids) in [
        (bytes![[0x81, 0, 0x20, 5]], vec![5]),
        (bytes![[0x88, 0xa8, 0, 7], [0x81, 0, 0, 5]], vec![7, 5]),
        (bytes![[0x91, 0, 0, 9], [0x88, 0xa8, 0, 7], [0x81, 0, 0, 5]], vec![9, 7, 5]),
    ] {
        let frame = bytes![DST_MAC, SRC_MAC, tags, [8, 0], udp4()];
        let (packet, stats) = ethernet(&frame);
        assert_udp(&packet);
        assert_eq!(vlans(&packet), ids);
        assert_eq!(packet.link_len as usize, 14 + tags.len());
        let counted = [stats.vlan, stats.vlan_qinq, stats.vlan_qinqinq];
        assert_eq!(counted.iter().sum::<u64>() as usize, ids.len());
    }
}

#[test]
fn vlan_tag_from_the_card_is_the_outermost() {
    let frame = bytes![DST_MAC, SRC_MAC, [0x81, 0, 0, 5, 8, 0], udp4()];
    let mut stats = DecoderStats::default();
    let tagged =
        flowtrack_event::RawPacket { vlan_tci: Some(0xf00a), ..raw(LinkType::ETHERNET, &frame) };
    let packet = decode(&tagged, &mut stats);
    assert_udp(&packet);
    assert_eq!(vlans(&packet), [10, 5]);
    assert_eq!((stats.vlan, stats.vlan_qinq), (1, 1));
}

#[test]
fn other_tags() {
    let inner = build::ethernet(0x0800, &udp4());
    for (kind, rest) in [
        (0x8926, bytes![[0; 4], [8, 0], udp4()]),
        (0x893f, bytes![[0; 6], [8, 0], udp4()]),
        (0x88e7, bytes![[0; 4], inner]),
        (0x8903, bytes![[0; 2], inner]),
        (0x6558, inner.clone()),
    ] {
        let frame = build::ethernet(kind, &rest);
        assert_udp(&ethernet(&frame).0);
    }
}

#[test]
fn network_service_header() {
    for (next, rest) in [(1, udp4()), (2, udp6()), (3, build::ethernet(0x0800, &udp4()))] {
        let header = [0, 2, 2, next, 0, 0, 1, 255];
        let frame = build::ethernet(0x894f, &bytes![header, rest]);
        assert_udp(&ethernet(&frame).0);
    }
    let fixed = bytes![[0, 6, 1, 1], [0; 20], udp4()];
    assert_udp(&ethernet(&build::ethernet(0x894f, &fixed)).0);
}

#[test]
fn llc_and_snap() {
    for header in [
        bytes![[0xaa, 0xaa, 3, 0, 0, 0, 8, 0]],
        bytes![[0xaa, 0xaa, 3, 0, 0, 0xf8, 8, 0]],
        bytes![[6, 6, 3]],
    ] {
        let payload = bytes![header, udp4()];
        let frame = build::ethernet(payload.len() as u16, &payload);
        assert_udp(&ethernet(&frame).0);
    }
    let spanning_tree = bytes![[0x42, 0x42, 3], [0; 35]];
    let frame = build::ethernet(38, &spanning_tree);
    let (packet, stats) = ethernet(&frame);
    assert!(matches!(packet.network, Network::None(None)));
    assert_eq!((stats.unknown_ethertype, packet.malformed), (1, false));
}

#[test]
fn unknown_ethertype_is_counted_and_kept() {
    let frame = build::ethernet(0x88cc, &[2, 7]);
    let (packet, stats) = ethernet(&frame);
    assert!(matches!(packet.network, Network::None(Some(0x88cc))));
    assert_eq!((stats.unknown_ethertype, stats.invalid, packet.malformed), (1, 0, false));
}

#[test]
fn arp_request() {
    let message =
        bytes![[0, 1, 8, 0, 6, 4, 0, 1], SRC_MAC, [10, 0, 0, 1], [0; 6], [10, 0, 0, 2], [0; 18]];
    let frame = build::ethernet(0x0806, &message);
    let (packet, stats) = ethernet(&frame);
    let Network::Arp(arp) = packet.network else { panic!("no ARP: {packet:?}") };
    let expected = Arp {
        operation: 1,
        sender_mac: MacAddr(SRC_MAC),
        sender_ip: Ipv4Addr::new(10, 0, 0, 1),
        target_mac: MacAddr([0; 6]),
        target_ip: Ipv4Addr::new(10, 0, 0, 2),
    };
    assert_eq!(arp, expected);
    assert_eq!((stats.arp, packet.link_len), (1, 14));
}

#[test]
fn mpls_payload_by_its_first_nibble() {
    let labels = [0, 1, 0, 64, 0, 2, 1, 64];
    let control_word = [0, 0, 0, 1];
    let wire = build::ethernet(0x0800, &udp4());
    let mut zero_mac = wire.clone();
    zero_mac[0] = 0;
    for (kind, rest) in [
        (0x8847, bytes![labels, udp4()]),
        (0x8848, bytes![labels, udp6()]),
        (0x8847, bytes![labels, control_word, wire]),
        (0x8847, bytes![labels, control_word, zero_mac]),
        (0x8847, bytes![labels, zero_mac]),
        (0x8847, bytes![labels, [0x1a], wire[1..]]),
        // Explicit null labels say it themselves.
        (0x8847, bytes![[0, 0, 1, 64], udp4()]),
        (0x8847, bytes![[0, 0, 0x21, 64], udp6()]),
    ] {
        let frame = build::ethernet(kind, &rest);
        let (packet, stats) = ethernet(&frame);
        assert_udp(&packet);
        assert_eq!(stats.mpls, 1);
    }
}

#[test]
fn ppp_with_all_its_framings() {
    for (link, data) in [
        (LinkType::PPP, bytes![[0xff, 3, 0, 0x21], udp4()]),
        (LinkType::PPP, bytes![[0, 0x57], udp6()]),
        (LinkType::PPP, bytes![[0x21], udp4()]),
        (LinkType::PPP_HDLC, bytes![[0xff, 3, 0, 0x21], udp4()]),
        (LinkType::PPP_HDLC, bytes![[0x0f, 0, 8, 0], udp4()]),
        (LinkType::PPP, bytes![[0xff, 3, 2, 0x81, 0, 1, 1, 64], udp4()]),
        (LinkType::C_HDLC, bytes![[0x0f, 0, 0x86, 0xdd], udp6()]),
        (LinkType::PPP_ETHER, bytes![[0x11, 0, 0, 1, 0, 34, 0, 0x21], udp4()]),
    ] {
        assert_udp(&decoded(link, &data).0);
    }
    let control = [0xff, 3, 0xc0, 0x21, 1, 1, 0, 4];
    let (packet, stats) = decoded(LinkType::PPP, &control);
    assert_eq!((names(&packet), stats.ppp), (vec![], 1));
}

#[test]
fn pppoe_session_and_discovery() {
    let session = bytes![[0x11, 0, 0, 1, 0, 34, 0, 0x21], udp4()];
    let frame = build::ethernet(0x8864, &session);
    let (packet, stats) = ethernet(&frame);
    assert_udp(&packet);
    assert_eq!((stats.pppoe, stats.ppp, packet.link_len), (1, 1, 22));

    // Padding behind the payload is no part of it.
    let padded = build::ethernet(0x8864, &bytes![session, [0xee; 20]]);
    assert_udp(&ethernet(&padded).0);

    // An IP packet that tells six bytes more than the payload has takes none from the padding.
    let mut long = udp4();
    long[3] += 6;
    let frame = build::ethernet(0x8864, &bytes![[0x11, 0, 0, 1, 0, 34, 0, 0x21], long, [0xee; 6]]);
    let (packet, stats) = ethernet(&frame);
    assert_eq!((names(&packet), stats.invalid), (vec!["ipv4.trunc_pkt"], 0));
    assert_eq!((packet.ip().unwrap().total_len, packet.payload), (38, &b"data"[..]));

    // A payload that is too short for its headers is the sender's fault, whatever pads it.
    let frame = build::ethernet(0x8864, &bytes![[0x11, 0, 0, 1, 0, 1, 0, 0x21], [0; 40]]);
    let (packet, stats) = ethernet(&frame);
    assert_eq!((names(&packet), stats.invalid), (vec!["ppp.pkt_too_small"], 1));

    // Service name, host identifier, then padding of the frame.
    let discovery = bytes![[0x11, 9, 0, 0, 0, 12], [1, 1, 0, 0], [1, 3, 0, 4, 1, 2, 3, 4], [0; 28]];
    let frame = build::ethernet(0x8863, &discovery);
    let (packet, stats) = ethernet(&frame);
    assert_eq!((names(&packet), stats.pppoe), (vec![], 1));
    assert!(matches!(packet.network, Network::None(Some(0x8863))));
}

#[test]
fn raw_ip_and_loopback() {
    for link in [12, 14, 101, 228, 229] {
        assert_udp(&decoded(LinkType(link), &udp4()).0);
        assert_udp(&decoded(LinkType(link), &udp6()).0);
    }
    for family in [[2, 0, 0, 0], [0, 0, 0, 2]] {
        for link in [LinkType::NULL, LinkType::LOOP] {
            let (frame, stats) = (bytes![family, udp4()], 1);
            let (packet, counted) = decoded(link, &frame);
            assert_udp(&packet);
            assert_eq!((counted.null, packet.link_len), (stats, 4));
        }
    }
    for family in [10, 24, 28, 30] {
        assert_udp(&decoded(LinkType::NULL, &bytes![[family, 0, 0, 0], udp6()]).0);
        assert_udp(&decoded(LinkType::NULL, &bytes![[0, 0, 0, family], udp6()]).0);
    }
}

#[test]
fn linux_cooked() {
    let sll = bytes![[0, 0, 0, 1, 0, 6], SRC_MAC, [0, 0, 8, 0], udp4()];
    let (packet, stats) = decoded(LinkType::LINUX_SLL, &sll);
    assert_udp(&packet);
    assert_eq!(packet.macs, Some((MacAddr(SRC_MAC), MacAddr::default())));
    assert_eq!((stats.sll, packet.link_len), (1, 16));

    let sll2 = bytes![[0x86, 0xdd, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6], SRC_MAC, [0, 0], udp6()];
    let (packet, stats) = decoded(LinkType::LINUX_SLL2, &sll2);
    assert_udp(&packet);
    assert_eq!(packet.macs, Some((MacAddr(SRC_MAC), MacAddr::default())));
    assert_eq!((stats.sll2, packet.link_len), (1, 20));

    let tagged = bytes![[0, 0, 0, 1, 0, 6], SRC_MAC, [0, 0, 0x81, 0, 0, 5, 8, 0], udp4()];
    let (packet, _) = decoded(LinkType::LINUX_SLL, &tagged);
    assert_udp(&packet);
    assert_eq!(vlans(&packet), [5]);
}

const SNAP: [u8; 8] = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];

/// An 802.11 header: frame control, then three addresses and the sequence control.
fn wlan(control: [u8; 2], third: u8) -> Vec<u8> {
    bytes![control, [0, 0], DST_MAC, SRC_MAC, [third; 6], [0, 0]]
}

#[test]
fn wlan_data_frames() {
    let third = MacAddr([3; 6]);
    let (src, dst) = (MacAddr(SRC_MAC), MacAddr(DST_MAC));
    for (frame, macs) in [
        (bytes![wlan([0x08, 0x00], 3), SNAP, udp4()], (src, dst)),
        (bytes![wlan([0x08, 0x01], 3), SNAP, udp4()], (src, third)),
        (bytes![wlan([0x08, 0x02], 3), SNAP, udp4()], (third, dst)),
        (bytes![wlan([0x08, 0x03], 3), [4; 6], SNAP, udp4()], (MacAddr([4; 6]), third)),
        (bytes![wlan([0x88, 0x02], 3), [0, 0], SNAP, udp4()], (third, dst)),
        (bytes![wlan([0x88, 0x82], 3), [0; 6], SNAP, udp4()], (third, dst)),
        // An aggregate: another Ethernet-like header before the first packet.
        (
            bytes![wlan([0x88, 0x02], 3), [0x80, 0], DST_MAC, SRC_MAC, [0, 40], SNAP, udp4()],
            (third, dst),
        ),
    ] {
        let (packet, stats) = decoded(LinkType::IEEE802_11, &frame);
        assert_udp(&packet);
        assert_eq!((packet.macs, stats.ieee80211), (Some(macs), 1));
    }
}

#[test]
fn wlan_frames_without_anything_to_read() {
    for (control, is_data) in [
        ([0x80, 0x00], false),
        ([0x48, 0x01], false),
        ([0xc8, 0x01], false),
        ([0xb4, 0x00], false),
        // Encrypted, and a fragment.
        ([0x08, 0x41], true),
        ([0x08, 0x05], true),
    ] {
        let frame = bytes![wlan(control, 3), SNAP, udp4()];
        let (packet, stats) = decoded(LinkType::IEEE802_11, &frame);
        assert!(packet.ip().is_none() && !packet.malformed);
        assert_eq!((stats.ieee80211 == 1, stats.ieee80211_other == 1), (is_data, !is_data));
    }
}

#[test]
fn radiotap() {
    let frame = bytes![wlan([0x88, 0x02], 3), [0, 0], SNAP, udp4()];
    let padded = bytes![wlan([0x88, 0x02], 3), [0, 0], [0, 0], SNAP, udp4()];
    for data in [
        bytes![[0, 0, 8, 0, 0, 0, 0, 0], frame],
        // Flags without and with the padding bit, alone, behind a clock, behind more words.
        bytes![[0, 0, 9, 0, 2, 0, 0, 0, 0x10], frame, [0; 4]],
        bytes![[0, 0, 9, 0, 2, 0, 0, 0, 0x20], padded],
        bytes![[0, 0, 17, 0, 3, 0, 0, 0], [0x20; 8], [0x20], padded],
        bytes![[0, 0, 21, 0, 2, 0, 0, 0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0x20], [0; 4], padded],
    ] {
        let (packet, stats) = decoded(LinkType::IEEE802_11_RADIOTAP, &data);
        assert_udp(&packet);
        assert_eq!(stats.ieee80211, 1);
    }
}

#[test]
fn unknown_link_type() {
    let (packet, stats) = decoded(LinkType(195), &[1, 2, 3]);
    assert!(matches!(packet.transport, Transport::None) && !packet.malformed);
    assert_eq!((stats.unknown_link, stats.pkts, stats.invalid), (1, 1, 0));
}

#[test]
fn layers_are_capped() {
    let mut frame = udp4();
    for _ in 0..100 {
        frame = bytes![[0, 5], if frame.len() == 32 { [8, 0] } else { [0x81, 0] }, frame];
    }
    let frame = build::ethernet(0x8100, &frame);
    let (packet, stats) = ethernet(&frame);
    assert!(packet.ip().is_none());
    assert_eq!((stats.too_many_layers, names(&packet)), (1, vec!["vlan.too_many_layers"]));
}
