//! Whatever the bytes: decoding ends, never panics, and points only into what it was given.

use flowtrack_event::{DecoderStats, IfaceId, LinkType, RawPacket, Timestamp};
use flowtrack_wire::{
    Packet, TcpOption, Transport, checksum_ok, decode, decode_inner, decode_into,
    decode_reassembled, preload, quoted_key, whole_header,
};
use proptest::prelude::*;

const LINKS: [u32; 18] =
    [0, 1, 9, 12, 14, 50, 51, 101, 104, 105, 108, 113, 127, 228, 229, 276, 195, 0xffff_0800];

/// Beginnings that lead deep: without them random bytes end at the first header.
const BEGINNINGS: [&[u8]; 12] = [
    &[],
    &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45],
    &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd, 0x60],
    &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, 5],
    &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0x47],
    &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0x64, 0x11, 0],
    &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x89, 0x4f, 0],
    &[0x45, 0, 0, 0, 0, 0, 0, 0, 64, 47, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8],
    &[0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8],
    &[0x4f, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8],
    &[0x60, 0, 0, 0, 0, 200, 0, 64],
    &[0x88, 3, 0, 0],
];

/// All levels of a frame, with the bytes that each may point into.
fn check_levels(outer: Packet<'_>, data: &[u8], stats: &mut DecoderStats) {
    let mut packet = outer;
    let mut within = data;
    for _ in 0..64 {
        check(&packet, within);
        let Some(inner) = packet.inner else { return };
        assert!(inner.wire_len as usize >= inner.data.len());
        assert!(inner.data.len() <= within.len() && !inner.data.is_empty());
        within = inner.data;
        packet = decode_inner(&inner, packet.vlans, stats);
    }
}

/// Every slice of a packet lies inside `data`.
fn check(packet: &Packet<'_>, data: &[u8]) {
    let bounds = data.as_ptr_range();
    let inside = |part: &[u8]| {
        let part = part.as_ptr_range();
        assert!(part.is_empty() || (bounds.start <= part.start && part.end <= bounds.end));
    };
    inside(packet.payload);
    assert!(packet.payload_wire_len as usize >= packet.payload.len());
    assert!(packet.link_len <= packet.len);
    if let Some(ip) = packet.ip() {
        inside(ip.header);
        inside(ip.payload);
        assert!(ip.header.len() + ip.payload.len() <= data.len());
        let mut out = Vec::new();
        assert_eq!(whole_header(ip.header, 8, &mut out), !out.is_empty());
    }
    if let Some(inner) = packet.inner {
        inside(inner.data);
    }
    match packet.transport {
        Transport::Tcp(tcp) => {
            inside(tcp.options);
            for option in tcp.options() {
                if let TcpOption::Sack(blocks) = option {
                    assert!(blocks.iter().count() <= 4);
                }
            }
        }
        Transport::Icmp(icmp) => {
            if let Some(quoted) = icmp.quoted {
                inside(quoted);
                quoted_key(quoted);
            }
        }
        _ => {}
    }
    checksum_ok(packet);
    assert!(packet.anomalies.len() <= 7);
    assert!(!packet.malformed || matches!(packet.transport, Transport::None));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn any_bytes(
        link in prop::sample::select(LINKS.to_vec()),
        beginning in prop::sample::select(BEGINNINGS.to_vec()),
        rest in prop::collection::vec(any::<u8>(), 0..200),
        cut in prop_oneof![Just(0_u32), 0..100_u32, Just(u32::MAX)],
        vlan_tci in prop::option::of(any::<u16>()),
    ) {
        let data: Vec<u8> = beginning.iter().copied().chain(rest).collect();
        let raw = RawPacket {
            ts: Timestamp::default(),
            iface: IfaceId(0),
            link: LinkType(link),
            number: 1,
            wire_len: (data.len() as u32).saturating_add(cut),
            vlan_tci,
            data: &data,
        };
        let mut stats = DecoderStats::default();
        std::hint::black_box(preload(&[raw]));
        let packet = decode(&raw, &mut stats);
        prop_assert_eq!((stats.pkts, stats.bytes), (1, data.len() as u64));

        // A packet used again is as good as new.
        let mut again = packet.clone();
        decode_into(&raw, &mut stats, &mut again);
        prop_assert_eq!(format!("{packet:?}"), format!("{again:?}"));

        check_levels(packet, &data, &mut stats);
        let whole = decode_reassembled(&data, 14, None, raw_vlans(vlan_tci), &mut stats);
        prop_assert_eq!(whole.len as usize, data.len() + 14);
        quoted_key(&data);
    }
}

fn raw_vlans(tci: Option<u16>) -> flowtrack_event::Vlans {
    let mut vlans = flowtrack_event::Vlans::default();
    if let Some(tci) = tci {
        vlans.push(tci);
    }
    vlans
}
