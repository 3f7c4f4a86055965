use crate::build::{self, UDP, icmp, ipv4, ipv6, udp, udp4, udp6};
use crate::bytes;
use flowtrack_event::{FlowKey, IpProto};
use flowtrack_wire::quoted_key;

fn v4_key(proto: IpProto, src_port: u16, dst_port: u16) -> FlowKey {
    let (src, dst) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    FlowKey { src, dst, src_port, dst_port, proto }
}

#[test]
fn eight_bytes_of_payload_are_enough() {
    assert_eq!(quoted_key(&udp4()[..28]), Some(v4_key(IpProto::UDP, 1000, 2000)));
    assert_eq!(quoted_key(&udp4()[..24]), Some(v4_key(IpProto::UDP, 1000, 2000)));
    assert_eq!(quoted_key(&udp4()[..23]), None);
    let options = build::ipv4_options(UDP, &[1; 8], &udp(3, 4, &[]));
    assert_eq!(quoted_key(&options), Some(v4_key(IpProto::UDP, 3, 4)));
}

#[test]
fn ipv6_with_extension_headers() {
    let key = quoted_key(&udp6()).expect("a whole packet is quoted");
    assert_eq!(
        (key.src.to_string(), key.dst.to_string()),
        ("2001:db8::1".into(), "2001:db8::2".into())
    );
    assert_eq!((key.src_port, key.dst_port, key.proto), (1000, 2000, IpProto::UDP));
    let extended =
        ipv6(0, &bytes![[44, 0, 1, 4, 0, 0, 0, 0], [UDP, 0, 0, 1, 0, 0, 0, 1], udp(3, 4, &[])]);
    assert_eq!(quoted_key(&extended).map(|key| key.dst_port), Some(4));
    let later_fragment = ipv6(44, &bytes![[UDP, 0, 0, 9, 0, 0, 0, 1], udp(3, 4, &[])]);
    assert_eq!(quoted_key(&later_fragment), None);
}

#[test]
fn echo_and_protocols_without_ports() {
    let echo = ipv4(1, &icmp(8, 0, &[]));
    assert_eq!(quoted_key(&echo), Some(v4_key(IpProto::ICMP, 0x0800, 0x1111)));
    let unreachable = ipv4(1, &icmp(3, 1, &[]));
    assert_eq!(quoted_key(&unreachable), Some(v4_key(IpProto::ICMP, 0x0301, 0)));
    assert_eq!(quoted_key(&ipv4(50, &[0; 8])), Some(v4_key(IpProto::ESP, 0, 0)));
}

#[test]
fn what_is_no_packet_has_no_key() {
    let mut later_fragment = udp4();
    later_fragment[7] = 1;
    let mut short_header = udp4();
    short_header[0] = 0x44;
    for quoted in [&[][..], &[0x45], &udp4()[..19], &udp6()[..39], &[0x75; 60]] {
        assert_eq!(quoted_key(quoted), None);
    }
    assert_eq!(quoted_key(&later_fragment), None);
    assert_eq!(quoted_key(&short_header), None);
}
