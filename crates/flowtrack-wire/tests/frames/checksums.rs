//! Checksums written by another program, and what one flipped bit does to them.

use crate::build::ipv4;
use crate::bytes;
use crate::{ip, raw, the_ip};
use etherparse::PacketBuilder;
use flowtrack_event::{DecoderStats, LinkType, RawPacket};
use flowtrack_wire::{checksum_ok, decode, ipv4_checksum_ok, transport_checksum_ok};

const V4: ([u8; 4], [u8; 4]) = ([10, 0, 0, 1], [10, 0, 0, 2]);
const V6: ([u8; 16], [u8; 16]) = ([0x21; 16], [0x22; 16]);

/// Whole packets of every kind that the other program writes.
fn packets() -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for payload in [&b""[..], b"odd", b"even", &[0xff; 1001]] {
        let v4 = || PacketBuilder::ipv4(V4.0, V4.1, 64);
        let v6 = || PacketBuilder::ipv6(V6.0, V6.1, 64);
        let mut out = Vec::new();
        v4().tcp(1, 2, 3, 4).ack(5).write(&mut out, payload).expect("it fits");
        packets.push(std::mem::take(&mut out));
        v4().udp(1, 2).write(&mut out, payload).expect("it fits");
        packets.push(std::mem::take(&mut out));
        v4().icmpv4_echo_request(1, 2).write(&mut out, payload).expect("it fits");
        packets.push(std::mem::take(&mut out));
        v6().tcp(1, 2, 3, 4).syn().write(&mut out, payload).expect("it fits");
        packets.push(std::mem::take(&mut out));
        v6().udp(1, 2).write(&mut out, payload).expect("it fits");
        packets.push(std::mem::take(&mut out));
        v6().icmpv6_echo_request(1, 2).write(&mut out, payload).expect("it fits");
        packets.push(out);
    }
    packets
}

#[test]
fn right_checksums_are_right_and_flipped_bits_are_found() {
    for mut data in packets() {
        let (packet, _) = ip(&data);
        let header = the_ip(&packet).header.len();
        let is_v4 = the_ip(&packet).src.is_ipv4();
        assert_eq!(transport_checksum_ok(&packet), Some(true));
        assert_eq!(ipv4_checksum_ok(the_ip(&packet)), is_v4.then_some(true));
        assert!(checksum_ok(&packet));

        data[header] ^= 1;
        let (packet, _) = ip(&data);
        assert_eq!(transport_checksum_ok(&packet), Some(false));
        assert!(!checksum_ok(&packet));
        data[header] ^= 1;

        if is_v4 {
            data[1] ^= 1;
            let (packet, _) = ip(&data);
            assert_eq!(ipv4_checksum_ok(the_ip(&packet)), Some(false));
            assert!(!checksum_ok(&packet));
        }
    }
}

/// CRC-32C bit by bit.
fn crc32c(data: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ 0x82f6_3b78 };
        }
    }
    !crc
}

#[test]
fn sctp() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283, "the check value of the algorithm");
    let chunk = [0, 3, 0, 17, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, b'x', 0, 0, 0];
    let mut segment = bytes![[0x0b, 0x59, 0x0b, 0x5a, 0, 0, 0, 7, 0, 0, 0, 0], chunk];
    let crc = crc32c(&segment);
    segment[8..12].copy_from_slice(&crc.to_le_bytes());
    let mut data = ipv4(132, &segment);
    assert_eq!(transport_checksum_ok(&ip(&data).0), Some(true));
    data[40] ^= 1;
    assert_eq!(transport_checksum_ok(&ip(&data).0), Some(false));
}

#[test]
fn what_cannot_be_verified_is_not_wrong() {
    let whole = packets().swap_remove(0);
    let longer = packets().swap_remove(6);
    let cut = RawPacket {
        wire_len: longer.len() as u32,
        ..raw(LinkType::RAW, &longer[..longer.len() - 1])
    };
    let packet = decode(&cut, &mut DecoderStats::default());
    assert_eq!(transport_checksum_ok(&packet), None);
    assert!(checksum_ok(&packet));

    // UDP without a checksum: allowed in IPv4 only.
    let no_checksum = crate::build::udp(1, 2, b"x");
    let data = ipv4(17, &no_checksum);
    assert_eq!(transport_checksum_ok(&ip(&data).0), None);
    let data = crate::build::ipv6(17, &no_checksum);
    assert_eq!(transport_checksum_ok(&ip(&data).0), Some(false));

    // The last destination stands in a routing header.
    let routed = bytes![[6, 2, 4, 1, 0, 0, 0, 0], [7; 16], whole[20..]];
    let data = crate::build::ipv6(43, &routed);
    assert_eq!(transport_checksum_ok(&ip(&data).0), None);
    // A fragment, and a protocol without a checksum of its own.
    let mut fragment = ipv4(17, &no_checksum);
    fragment[6] |= 0x20;
    assert_eq!(transport_checksum_ok(&ip(&fragment).0), None);
    assert_eq!(transport_checksum_ok(&ip(&ipv4(50, &[0; 16])).0), None);
}
