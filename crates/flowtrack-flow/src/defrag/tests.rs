use super::*;
use flowtrack_event::{DecoderStats, LinkType, RawPacket};
use flowtrack_wire::{Transport, decode, decode_reassembled};
use proptest::prelude::*;

const UDP: u8 = 17;

/// A fragment on the wire.
#[derive(Clone, Debug)]
struct Frag {
    id: u16,
    offset: usize,
    more: bool,
    data: Vec<u8>,
}

fn frag(offset: usize, more: bool, data: &[u8]) -> Frag {
    Frag { id: 7, offset, more, data: data.to_vec() }
}

fn ipv4(frag: &Frag) -> Vec<u8> {
    let field = (frag.offset / 8) as u16 | if frag.more { 0x2000 } else { 0 };
    let total = (20 + frag.data.len()) as u16;
    let mut packet = vec![0x45, 0];
    packet.extend(total.to_be_bytes());
    packet.extend(frag.id.to_be_bytes());
    packet.extend(field.to_be_bytes());
    packet.extend([64, UDP, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend(&frag.data);
    packet
}

/// With a hop-by-hop header before the fragment header.
fn ipv6(frag: &Frag) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((16 + frag.data.len() as u16).to_be_bytes());
    packet.extend([0, 64]);
    packet.extend([0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend([0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    packet.extend([44, 0, 5, 2, 0, 0, 1, 0]);
    packet.extend([UDP, 0]);
    packet.extend((frag.offset as u16 | u16::from(frag.more)).to_be_bytes());
    packet.extend(u32::from(frag.id).to_be_bytes());
    packet.extend(&frag.data);
    packet
}

struct Bench {
    defrag: Defrag,
    stats: DefragStats,
    now: i64,
}

impl Bench {
    fn new(config: DefragConfig) -> Self {
        let defrag = Defrag::new(config, Seed([1, 2, 3, 4]));
        Self { defrag, stats: DefragStats::default(), now: 0 }
    }

    fn raw(&mut self, data: &[u8]) -> Option<Reassembled> {
        let raw = RawPacket {
            ts: Timestamp::from_secs(self.now),
            iface: IfaceId(0),
            link: LinkType::RAW,
            number: 1,
            wire_len: data.len() as u32,
            vlan_tci: None,
            data,
        };
        let packet = decode(&raw, &mut DecoderStats::default());
        self.defrag.insert(raw.ts, raw.iface, &packet, &mut self.stats)
    }

    fn v4(&mut self, frag: &Frag) -> Option<Vec<u8>> {
        self.raw(&ipv4(frag)).map(|whole| whole.data().to_vec())
    }

    fn v6(&mut self, frag: &Frag) -> Option<Vec<u8>> {
        self.raw(&ipv6(frag)).map(|whole| whole.data().to_vec())
    }

    fn names(&self) -> Vec<&'static str> {
        self.defrag.noticed().iter().map(|anomaly| anomaly.name()).collect()
    }
}

/// 24 units of 8 bytes: a UDP header, then letters.
fn datagram() -> Vec<u8> {
    let mut data = vec![0x30, 0x39, 0, 53, 0, 192, 0, 0];
    data.extend((0..184_u8).map(|i| b'a' + i % 26));
    data
}

#[test]
fn puts_ipv4_together_in_any_order() {
    let data = datagram();
    let frags = [
        frag(0, true, &data[..64]),
        frag(64, true, &data[64..128]),
        frag(128, false, &data[128..]),
    ];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut bench = Bench::new(DefragConfig::default());
        assert_eq!(bench.v4(&frags[order[0]]), None);
        assert_eq!(bench.v4(&frags[order[1]]), None);
        let whole = bench.v4(&frags[order[2]]).expect("all fragments are there");
        let mut expected = ipv4(&Frag { id: 7, offset: 0, more: false, data: data.clone() });
        let checksum = [whole[10], whole[11]];
        expected[10..12].copy_from_slice(&checksum);
        assert_eq!(whole, expected);
        let packet =
            decode_reassembled(&whole, 14, None, Vlans::default(), &mut DecoderStats::default());
        assert!(flowtrack_wire::checksum_ok(&packet) && !packet.malformed);
        assert_eq!(packet.len as usize, 14 + 20 + data.len());
        assert!(matches!(packet.transport, Transport::Udp(ports) if ports.dst == 53));
        assert_eq!((bench.stats.ipv4_fragments, bench.stats.ipv4_reassembled), (3, 1));
        assert!(bench.defrag.is_empty());
        assert_eq!((bench.stats.memuse, bench.stats.overlaps), (0, 0));
    }
}

#[test]
fn takes_the_ipv6_fragment_header_out() {
    let data = datagram();
    let mut bench = Bench::new(DefragConfig::default());
    assert_eq!(bench.v6(&frag(96, false, &data[96..])), None);
    let whole = bench.v6(&frag(0, true, &data[..96])).expect("all fragments are there");
    assert_eq!(whole.len(), 40 + 8 + data.len());
    assert_eq!(whole[4..6], ((8 + data.len()) as u16).to_be_bytes());
    assert_eq!((whole[6], whole[40]), (0, UDP));
    assert_eq!(whole[48..], data);
    let packet =
        decode_reassembled(&whole, 0, None, Vlans::default(), &mut DecoderStats::default());
    assert!(matches!(packet.transport, Transport::Udp(ports) if ports.src == 12345));
    assert_eq!((bench.stats.ipv6_fragments, bench.stats.ipv6_reassembled), (2, 1));
}

/// The fragments that show how policies differ, in units of 8 bytes: where, how long, which
/// letter. The first nine leave holes; the others overlap them in every way there is.
const MODEL: [(usize, usize, u8); 17] = [
    (0, 3, b'A'),
    (4, 2, b'B'),
    (6, 3, b'C'),
    (10, 1, b'D'),
    (13, 2, b'E'),
    (15, 3, b'F'),
    (18, 2, b'G'),
    (20, 2, b'H'),
    (22, 1, b'I'),
    (1, 4, b'J'),
    (6, 3, b'K'),
    (9, 3, b'L'),
    (12, 3, b'M'),
    (16, 1, b'N'),
    (19, 1, b'O'),
    (20, 1, b'P'),
    (22, 2, b'Q'),
];

fn model(policy: FragmentPolicy, v6: bool) -> String {
    let mut bench = Bench::new(DefragConfig { policy, ..DefragConfig::default() });
    let mut whole = None;
    for (begin, units, letter) in MODEL {
        let frag = frag(begin * 8, letter != b'Q', &vec![letter; units * 8]);
        whole = if v6 { bench.v6(&frag) } else { bench.v4(&frag) };
    }
    let whole = whole.expect("the last one closes the packet");
    let header = if v6 { 48 } else { 20 };
    whole[header..].chunks(8).map(|unit| char::from(unit[0])).collect()
}

#[test]
fn overlaps_go_by_the_policy() {
    for v6 in [false, true] {
        for (policy, expected) in [
            (FragmentPolicy::First, "AAAJBBCCCLDLMEEFFFGGHHIQ"),
            (FragmentPolicy::Last, "AJJJJBKKKLLLMMMFNFGOPHQQ"),
            (FragmentPolicy::Bsd, "AAAJJBCCCLLLMMMFFFGGHHIQ"),
            (FragmentPolicy::BsdRight, "AJJJBBKKKLDLMEEFNFGOPHQQ"),
            (FragmentPolicy::Linux, "AAAJJBKKKLLLMMMFFFGGPHQQ"),
            (FragmentPolicy::Windows, "AAAJBBCCCLLLMEEFFFGGHHIQ"),
            (FragmentPolicy::Solaris, "AAAJBBCCCLLLMMMFFFGGHHIQ"),
        ] {
            assert_eq!(model(policy, v6), expected, "{policy:?}");
        }
    }
}

#[test]
fn tells_overlaps_that_differ_from_those_that_do_not() {
    let mut bench = Bench::new(DefragConfig::default());
    bench.v4(&frag(0, true, &[1; 16]));
    assert!(bench.names().is_empty());
    bench.v4(&frag(0, true, &[1; 16]));
    assert_eq!(bench.names(), ["ipv4.frag_overlap"]);
    bench.v4(&frag(8, true, &[2; 16]));
    assert_eq!(bench.names(), ["ipv4.frag_overlap", "ipv4.frag_overlap_differs"]);
    bench.v6(&frag(0, true, &[1; 16]));
    bench.v6(&frag(8, true, &[2; 16]));
    assert_eq!(bench.names(), ["ipv6.frag_overlap", "ipv6.frag_overlap_differs"]);
    assert_eq!(bench.stats.overlaps, 3);
}

#[test]
fn destination_chooses_the_policy() {
    let host = |network: &str, policy| HostPolicy { network: network.parse().unwrap(), policy };
    let config = DefragConfig {
        policy: FragmentPolicy::First,
        hosts: vec![
            host("10.0.0.0/8", FragmentPolicy::Linux),
            host("10.0.0.2", FragmentPolicy::Last),
            host("2001::/16", FragmentPolicy::Solaris),
            host("0.0.0.0/0", FragmentPolicy::Windows),
        ],
        ..DefragConfig::default()
    };
    let policy = |address: &str| config.policy_for(address.parse().unwrap());
    assert_eq!(policy("10.0.0.2"), FragmentPolicy::Last);
    assert_eq!(policy("10.0.0.3"), FragmentPolicy::Linux);
    assert_eq!(policy("11.0.0.3"), FragmentPolicy::Windows);
    assert_eq!(policy("2001::3"), FragmentPolicy::Solaris);
    assert_eq!(policy("2002::3"), FragmentPolicy::First);
    assert_eq!("10.0.0.0/8".parse::<Prefix>().unwrap().to_string(), "10.0.0.0/8");
    for wrong in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/x", "x"] {
        assert!(wrong.parse::<Prefix>().is_err(), "{wrong}");
    }
}

#[test]
fn different_packets_do_not_mix() {
    let mut bench = Bench::new(DefragConfig::default());
    let data = [0; 16];
    assert!(bench.v4(&frag(0, true, &data)).is_none());
    let mut other = frag(16, false, &data);
    other.id = 8;
    assert!(bench.v4(&other).is_none());
    assert!(bench.v6(&frag(16, false, &data)).is_none());
    let mut other_proto = ipv4(&frag(16, false, &data));
    other_proto[9] = 6;
    assert!(bench.raw(&other_proto).is_none());
    assert_eq!(bench.defrag.len(), 4);
    assert!(bench.v4(&frag(16, false, &data)).is_some());
}

#[test]
fn gives_up_in_time() {
    let mut bench = Bench::new(DefragConfig { timeout: 30, ..DefragConfig::default() });
    let data = [0; 16];
    bench.v4(&frag(0, true, &data));
    bench.now = 30;
    bench.defrag.expire(Timestamp::from_secs(30), &mut bench.stats);
    assert_eq!((bench.defrag.len(), bench.stats.timeouts), (1, 0));
    bench.defrag.expire(Timestamp::from_secs(31), &mut bench.stats);
    assert_eq!((bench.defrag.len(), bench.stats.timeouts, bench.stats.memuse), (0, 1, 0));

    // An identification used again belongs to a new packet, whether or not somebody expired it.
    bench.v4(&frag(0, true, &data));
    bench.now = 61;
    assert!(bench.v4(&frag(16, false, &data)).is_none());
    assert_eq!(bench.stats.timeouts, 2);
    assert!(bench.v4(&frag(0, true, &data)).is_some());
}

#[test]
fn fragments_that_cannot_be_are_left_out() {
    let mut bench = Bench::new(DefragConfig::default());
    bench.v4(&frag(65_528, false, &[0; 16]));
    assert_eq!(bench.names(), ["ipv4.frag_pkt_too_large"]);
    bench.v6(&frag(65_528, false, &[0; 16]));
    assert_eq!(bench.names(), ["ipv6.frag_pkt_too_large"]);
    bench.v4(&frag(8, false, &[]));
    assert_eq!(bench.names(), ["ipv4.frag_ignored"]);
    // Not the last, and no multiple of 8.
    bench.v6(&frag(0, true, &[0; 9]));
    assert!(bench.defrag.is_empty());
    assert_eq!((bench.stats.ipv4_fragments, bench.stats.ipv6_fragments), (2, 2));
}

#[test]
fn fragments_cut_by_the_capture_are_left_out() {
    let mut defrag = Defrag::new(DefragConfig::default(), Seed([1, 2, 3, 4]));
    let whole = ipv4(&frag(0, true, &[0; 64]));
    let raw = RawPacket {
        ts: Timestamp::from_secs(0),
        iface: IfaceId(0),
        link: LinkType::RAW,
        number: 1,
        wire_len: whole.len() as u32,
        vlan_tci: None,
        data: &whole[..40],
    };
    let packet = decode(&raw, &mut DecoderStats::default());
    let mut stats = DefragStats::default();
    assert!(defrag.insert(raw.ts, raw.iface, &packet, &mut stats).is_none());
    assert!(defrag.is_empty());
    assert_eq!(stats.ipv4_fragments, 1);
}

#[test]
fn the_longest_packet_fits_and_no_longer_one() {
    let mut bench = Bench::new(DefragConfig::default());
    let step = 1480;
    let longest = 65_535 - 20;
    let mut at = 0;
    let mut whole = None;
    while at < longest {
        let len = step.min(longest - at);
        whole = bench.v4(&frag(at, at + len < longest, &vec![3; len]));
        at += len;
    }
    assert_eq!(whole.map(|whole| whole.len()), Some(65_535));
    // The last fits behind its own header, and not behind that of the first, which has options.
    let mut first = ipv4(&frag(0, true, &vec![0; 65_496]));
    first[0] = 0x4f;
    assert!(bench.raw(&first).is_none());
    assert!(bench.v4(&frag(65_456, false, &[0; 56])).is_none());
    assert_eq!(bench.names(), ["ipv4.frag_pkt_too_large"]);
    assert!(bench.defrag.is_empty());
}

#[test]
fn packets_at_once_are_capped() {
    let mut bench = Bench::new(DefragConfig { max_packets: 10, ..DefragConfig::default() });
    for id in 0..100 {
        bench.v4(&Frag { id, ..frag(0, true, &[0; 16]) });
        assert!(bench.defrag.len() <= 10);
    }
    assert_eq!(bench.stats.max_trackers_reached, 90);
    assert!(bench.v4(&Frag { id: 99, ..frag(16, false, &[0; 16]) }).is_some());
}

#[test]
fn fragments_of_one_packet_are_capped() {
    let mut bench = Bench::new(DefragConfig { max_fragments: 5, ..DefragConfig::default() });
    for i in 0..5 {
        bench.v4(&frag(i * 16, true, &[0; 8]));
        assert!(bench.names().is_empty());
    }
    for _ in 0..3 {
        assert!(bench.v4(&frag(8, true, &[0; 8])).is_none());
        assert_eq!(bench.names(), ["ipv4.frag_ignored"]);
    }
    assert_eq!(bench.stats.max_frags_reached, 1);
}

#[test]
fn memory_is_capped() {
    let config = DefragConfig { memory: 100_000, ..DefragConfig::default() };
    let mut bench = Bench::new(config);
    for id in 0..1000 {
        bench.v4(&Frag { id, ..frag(0, true, &[0; 1480]) });
        assert!(bench.stats.memuse <= 100_000);
    }
    assert!(bench.stats.max_frags_reached > 900);
    assert!(bench.v4(&Frag { id: 999, ..frag(1480, false, &[0; 8]) }).is_some());
    // One packet sent over and over again does not grow without end either.
    let mut bench = Bench::new(DefragConfig::default());
    for _ in 0..1000 {
        bench.v4(&frag(0, true, &[0; 1480]));
    }
    assert_eq!(bench.names(), ["ipv4.frag_ignored"]);
    assert!(bench.stats.memuse < 10_000);
}

#[test]
fn buffers_come_back() {
    let mut bench = Bench::new(DefragConfig::default());
    bench.v4(&frag(0, true, &[0; 16]));
    let whole = bench.raw(&ipv4(&frag(16, false, &[0; 16]))).expect("both fragments are there");
    let at = whole.data.as_ptr();
    bench.defrag.recycle(whole);
    bench.v4(&frag(0, true, &[0; 16]));
    assert!(bench.defrag.packets.iter().all(|packet| packet.cost > 0));
    assert!(!bench.defrag.spares.iter().any(|spare| spare.as_ptr() == at));
}

/// What a list of fragments makes, byte by byte: the slow and plain way.
fn plainly(frags: &[Frag], policy: FragmentPolicy) -> Vec<Option<u8>> {
    let mut bytes: Vec<Option<(u8, (u32, u32))>> = Vec::new();
    for frag in frags {
        let new = (frag.offset as u32, (frag.offset + frag.data.len()) as u32);
        for (at, byte) in (frag.offset..).zip(&frag.data) {
            if bytes.len() <= at {
                bytes.resize(at + 1, None);
            }
            if bytes[at].is_none_or(|(_, old)| policy.newer_wins(old, new)) {
                bytes[at] = Some((*byte, new));
            }
        }
    }
    bytes.into_iter().map(|byte| byte.map(|(byte, _)| byte)).collect()
}

fn any_policy() -> impl Strategy<Value = FragmentPolicy> {
    use FragmentPolicy::{Bsd, BsdRight, First, Last, Linux, Solaris, Windows};
    prop::sample::select(vec![First, Last, Bsd, BsdRight, Linux, Windows, Solaris])
}

fn any_frag() -> impl Strategy<Value = Frag> {
    (0..20_usize, 1..8_usize, any::<u8>(), any::<bool>()).prop_map(|(at, units, byte, more)| Frag {
        id: 7,
        offset: at * 8,
        more,
        data: vec![byte; units * 8],
    })
}

proptest! {
    #[test]
    fn pieces_are_what_the_policy_says(
        frags in prop::collection::vec(any_frag(), 1..40),
        policy in any_policy(),
    ) {
        let mut pieces = Pieces::default();
        for (n, frag) in frags.iter().enumerate() {
            pieces.add(frag.offset as u32, &frag.data, policy);
            let expected = plainly(&frags[..=n], policy);
            prop_assert_eq!(pieces.end(), expected.len());
            let whole: Option<Vec<u8>> = expected.into_iter().collect();
            prop_assert_eq!(pieces.has_no_hole(), whole.is_some());
            if let Some(whole) = whole {
                let mut written = Vec::new();
                pieces.write(&mut written);
                prop_assert_eq!(written, whole);
            }
        }
    }

    #[test]
    fn whatever_comes_is_counted_and_bounded(
        frags in prop::collection::vec((any_frag(), 0..6_u16, any::<bool>(), 0..40_i64), 1..200),
        policy in any_policy(),
    ) {
        let config =
            DefragConfig { max_packets: 4, max_fragments: 12, memory: 4000, policy, ..Default::default() };
        let mut bench = Bench::new(config);
        for (frag, id, v6, pause) in frags {
            bench.now += pause;
            let frag = Frag { id, ..frag };
            let whole = if v6 { bench.v6(&frag) } else { bench.v4(&frag) };
            if let Some(whole) = whole {
                let link = if v6 { 6 } else { 4 };
                prop_assert_eq!(whole[0] >> 4, link);
            }
            bench.defrag.expire(Timestamp::from_secs(bench.now), &mut bench.stats);
            prop_assert!(bench.defrag.len() <= 4 && bench.stats.memuse <= 4000);
            let costs: usize = bench.defrag.packets.iter().map(|packet| packet.cost).sum();
            prop_assert_eq!(costs, bench.defrag.memory);
        }
        bench.defrag.expire(Timestamp::from_secs(bench.now + 1000), &mut bench.stats);
        prop_assert!(bench.defrag.is_empty());
        prop_assert_eq!(bench.stats.memuse, 0);
    }
}

#[test]
fn work_grows_no_faster_than_the_fragments() {
    // Every second unit first, then the units between: the most pieces that a packet can have.
    let mut pieces = Pieces::default();
    let units: Vec<u32> = (0..8190).step_by(2).chain((1..8190).step_by(2)).collect();
    for unit in units {
        pieces.add(unit * 8, &[0; 8], FragmentPolicy::First);
    }
    assert!(pieces.has_no_hole());
    assert_eq!(pieces.end(), 8190 * 8);
    // A fragment over all of them changes nothing but the list, whose length stays bounded.
    let overlap = pieces.add(0, &vec![1; 65_520], FragmentPolicy::Last);
    assert!(overlap.any && overlap.differs);
    assert_eq!(pieces.list.len(), 1);
}
