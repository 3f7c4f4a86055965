use crate::build::{self, UDP, ipv4, ipv6, tcp, udp, udp4, udp6};
use crate::{assert_udp, bytes, ethernet, ip, names, ports, raw, the_ip};
use flowtrack_event::{DecoderStats, IpProto, LinkType, RawPacket, Vlans};
use flowtrack_wire::{Fragment, Transport, decode, decode_reassembled, whole_header};

#[test]
fn ipv4_header() {
    let data = udp4();
    let (packet, stats) = ip(&data);
    assert_udp(&packet);
    let found = the_ip(&packet);
    assert_eq!((found.src, found.dst), ([10, 0, 0, 1].into(), [10, 0, 0, 2].into()));
    assert_eq!((found.ttl, found.tos, found.total_len), (64, 0x10, 32));
    assert_eq!((found.header.len(), found.payload.len()), (20, 12));
    assert_eq!((found.fragment, stats.raw, stats.ipv4), (None, 1, 1));
}

#[test]
fn ipv4_options() {
    let record_route = [7, 7, 4, 0, 0, 0, 0, 0];
    let options = bytes![[1, 1, 148, 4], [0, 0], record_route, [0, 0]];
    let data = build::ipv4_options(UDP, &options, &udp(1000, 2000, b"data"));
    let (packet, _) = ip(&data);
    assert_udp(&packet);
    assert_eq!(the_ip(&packet).header.len(), 36);
}

#[test]
fn ipv6_header() {
    let data = udp6();
    let (packet, stats) = ip(&data);
    assert_udp(&packet);
    let found = the_ip(&packet);
    assert_eq!(found.src.to_string(), "2001:db8::1");
    assert_eq!(found.dst.to_string(), "2001:db8::2");
    assert_eq!((found.ttl, found.tos, found.total_len), (64, 0xab, 52));
    assert_eq!((found.header.len(), found.payload.len()), (40, 12));
    assert_eq!(stats.ipv6, 1);
}

#[test]
fn ipv6_extension_headers() {
    let transport = udp(1000, 2000, b"data");
    let hop_by_hop = [43, 0, 5, 2, 0, 0, 1, 0];
    let routing = bytes![[60, 2, 4, 0, 0, 0, 0, 0], [0; 16]];
    let destination = [44, 0, 0xc9, 0, 1, 2, 0, 0];
    let atomic_fragment = [51, 0, 0, 0, 0, 0, 0, 1];
    let authentication = bytes![[135, 1, 0, 0, 0, 0, 0, 1], [0; 4]];
    let mobility = [139, 0, 0, 0, 0, 0, 0, 0];
    let host_identity = [UDP, 0, 0, 0, 0, 0, 0, 0];
    let extensions = bytes![
        hop_by_hop,
        routing,
        destination,
        atomic_fragment,
        authentication,
        mobility,
        host_identity
    ];
    let data = ipv6(0, &bytes![extensions, transport]);
    let (packet, stats) = ip(&data);
    assert_eq!(names(&packet), ["ipv6.exthdr_useless_fh"]);
    let found = the_ip(&packet);
    assert_eq!((found.proto, found.header.len()), (IpProto::UDP, 40 + extensions.len()));
    assert_eq!((ports(&packet).dst, found.fragment, stats.ah), (2000, None, 1));
}

#[test]
fn no_next_header() {
    let data = ipv6(59, &[]);
    let (packet, _) = ip(&data);
    assert_eq!((names(&packet), packet.malformed), (vec![], false));
    assert!(matches!(packet.transport, Transport::Other));
}

#[test]
fn authentication_header_in_ipv4() {
    let data = ipv4(51, &bytes![[UDP, 1, 0, 0, 0, 0, 0, 1], [0; 4], udp(1000, 2000, b"data")]);
    let (packet, stats) = ip(&data);
    assert_udp(&packet);
    assert_eq!((stats.ah, the_ip(&packet).header.len()), (1, 32));
}

#[test]
fn fragments_have_no_transport() {
    let mut data = ipv4(UDP, &[9; 24]);
    data[6..8].copy_from_slice(&[0x20, 3]);
    let (packet, stats) = ip(&data);
    let expected = Fragment { id: 0x1234, offset: 24, more: true };
    assert_eq!(the_ip(&packet).fragment, Some(expected));
    assert!(matches!(packet.transport, Transport::None));
    assert_eq!((packet.payload.len(), stats.udp, packet.malformed), (24, 0, false));

    let data = ipv6(44, &bytes![[UDP, 0, 0, 24, 0, 0, 0xab, 0xcd], [9; 10]]);
    let (packet, stats) = ip(&data);
    let expected = Fragment { id: 0xabcd, offset: 24, more: false };
    assert_eq!(the_ip(&packet).fragment, Some(expected));
    assert_eq!((the_ip(&packet).proto, the_ip(&packet).header.len()), (IpProto::UDP, 48));
    assert_eq!((packet.payload.len(), stats.udp, packet.malformed), (10, 0, false));
}

#[test]
fn segmentation_offload_leaves_the_length_out() {
    let mut data = ipv4(6, &tcp(&[], &[7; 3000]));
    data[2..4].copy_from_slice(&[0, 0]);
    let (packet, _) = ip(&data);
    assert_eq!((packet.payload.len(), names(&packet)), (3000, vec![]));
    assert_eq!(the_ip(&packet).total_len, 3040);

    let mut data = ipv6(6, &tcp(&[], &[7; 3000]));
    data[4..6].copy_from_slice(&[0, 0]);
    let (packet, _) = ip(&data);
    assert_eq!((packet.payload.len(), names(&packet)), (3000, vec![]));
}

#[test]
fn jumbo_payload() {
    let body = bytes![[6, 0, 0xc2, 4], 70_028_u32.to_be_bytes(), tcp(&[], &vec![7; 70_000])];
    let mut data = ipv6(0, &[]);
    data.extend(body);
    let (packet, _) = ip(&data);
    assert_eq!((packet.payload.len(), names(&packet)), (70_000, vec![]));
}

#[test]
fn frames_cut_by_the_capture_keep_what_is_there() {
    for whole in [
        build::ethernet(0x0800, &ipv4(6, &tcp(&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2], &[7; 500]))),
        build::ethernet(0x86dd, &ipv6(6, &tcp(&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2], &[7; 500]))),
    ] {
        let headers = whole.len() - 500;
        for kept in 0..=whole.len() {
            let cut = RawPacket {
                wire_len: whole.len() as u32,
                ..raw(LinkType::ETHERNET, &whole[..kept])
            };
            let mut stats = DecoderStats::default();
            let packet = decode(&cut, &mut stats);
            assert_eq!((names(&packet), stats.invalid), (vec![], 0), "{kept}");
            if kept >= headers - 12 {
                let Transport::Tcp(tcp) = packet.transport else { panic!("no TCP at {kept}") };
                assert_eq!((tcp.src, tcp.dst), (40_000, 80));
                assert_eq!(packet.payload_wire_len, 500);
                assert_eq!(packet.payload.len(), kept.saturating_sub(headers));
                assert_eq!(the_ip(&packet).total_len as usize, whole.len() - 14);
            }
        }
    }
}

#[test]
fn frames_cut_by_their_sender_belong_to_no_flow() {
    let whole = build::ethernet(0x0800, &udp4());
    for kept in 14..whole.len() {
        let (packet, stats) = ethernet(&whole[..kept]);
        assert!(packet.malformed && matches!(packet.transport, Transport::None), "{kept}");
        assert_eq!((packet.anomalies.len(), stats.invalid), (1, 1), "{kept}");
    }
}

#[test]
fn reassembled_packets_are_decoded_from_a_buffer_of_their_own() {
    let first = {
        let mut data = build::ipv4_options(UDP, &[1, 1, 1, 1], &[0; 8]);
        data[6] |= 0x20;
        data
    };
    let (packet, _) = ip(&first);
    let payload = udp(1000, 2000, b"data");
    let mut whole = Vec::new();
    assert!(whole_header(the_ip(&packet).header, payload.len(), &mut whole));
    whole.extend(&payload);
    let mut stats = DecoderStats::default();
    let mut vlans = Vlans::default();
    vlans.push(9);
    let packet = decode_reassembled(&whole, 18, None, vlans, &mut stats);
    assert_udp(&packet);
    assert_eq!(flowtrack_wire::ipv4_checksum_ok(the_ip(&packet)), Some(true));
    assert_eq!((packet.len, packet.link_len), (18 + 24 + 12, 18));
    assert_eq!(packet.vlans, vlans);
    assert_eq!((stats.pkts, stats.raw, stats.ipv4, stats.udp), (0, 0, 0, 1));
}

#[test]
fn header_of_a_whole_packet_is_refused_where_it_cannot_be() {
    let mut out = vec![1, 2, 3];
    let (v4, v6) = (ipv4(UDP, &[]), bytes![ipv6(44, &[]), [UDP, 0, 0, 1, 0, 0, 0, 1]]);
    assert!(!whole_header(&v4, 65_516, &mut out));
    assert!(!whole_header(&v6, 65_536, &mut out));
    assert!(!whole_header(&v6[..44], 8, &mut out));
    assert!(!whole_header(&v4[..11], 8, &mut out));
    assert!(!whole_header(&[], 8, &mut out));
    assert_eq!(out, [1, 2, 3]);
    assert!(whole_header(&v4, 65_515, &mut out));
    assert!(whole_header(&v6, 65_535, &mut out));
}
