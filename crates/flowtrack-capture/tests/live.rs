//! Live capture on real interfaces, in network namespaces that the tests make.
//!
//! `left` sends, `right` is captured. Skipped, with the reason printed, without root.
#![cfg(target_os = "linux")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use flowtrack_capture::sys::netdev;
use flowtrack_capture::sys::sender::FrameSender;
use flowtrack_capture::{Backend, Burst, LiveConfig, PacketSource, open_live};
use flowtrack_event::{CaptureStats, IfaceId, LinkType};
use flowtrack_lab::frames::{ethernet, ip, ipv4, ipv6, tagged, udp};
use flowtrack_lab::pair::Pair;

#[test]
fn every_frame_is_seen_or_counted() {
    let Some(net) = Pair::new() else { return };
    for len in [60, 1500] {
        let (sent, seen, stats) = net.inside(|| {
            let mut source = open_one("right");
            // How many frames the sender sent, once it has ended.
            let done = OnceLock::new();
            std::thread::scope(|scope| {
                let reader = scope.spawn(|| {
                    let mut seen = 0;
                    let patience = Patience::new();
                    // Until nothing comes any more although the sender is done.
                    loop {
                        let sent = done.get().copied();
                        match source.next_burst(Duration::from_millis(100), &mut |packets, _| {
                            assert!(packets.iter().all(|p| p.data.len() == len));
                            assert!(packets.iter().all(|p| p.wire_len == len as u32));
                        }) {
                            Ok(Burst::Packets(n)) => seen += n as u64,
                            Ok(Burst::Idle) => {
                                let known = seen + source.stats().kernel_drops;
                                if sent.is_some_and(|sent| known >= sent) || patience.is_over() {
                                    break;
                                }
                            }
                            other => panic!("{other:?}"),
                        }
                    }
                    (seen, source.stats())
                });
                let sent = flood("left", len, 300_000);
                done.set(sent).unwrap();
                let (seen, stats) = reader.join().unwrap();
                (sent, seen, stats)
            })
        });
        assert!(sent > 100_000, "only {sent} were sent");
        assert_eq!(stats.kernel_packets, seen);
        assert_eq!(sent, seen + stats.kernel_drops, "{len} bytes: {stats:?}");
        assert_eq!(stats.own_drops + stats.filtered + stats.duplicates + stats.errors, 0);
    }
}

#[test]
fn a_ring_too_small_counts_what_it_drops() {
    let Some(net) = Pair::new() else { return };
    let (sent, seen) = net.inside(|| {
        let config = LiveConfig { ring_mib: 1, ..config("right") };
        let mut source = open_live(&config, 1).unwrap().remove(0);
        // Nobody reads: 4 MiB cannot hold this.
        let sent = flood("left", 1500, 20_000);
        let seen =
            drain_until(&mut source, |seen, stats| seen + stats.kernel_drops >= sent, |_| {});
        let stats = source.stats();
        assert!(stats.kernel_drops > 0 && stats.ring_freezes > 0, "{stats:?}");
        (sent, seen + stats.kernel_drops)
    });
    assert_eq!(sent, seen);
}

#[test]
fn tags_and_lengths_come_from_the_ring() {
    let Some(net) = Pair::new() else { return };
    let packet = ipv4(HOST_A, HOST_B, 17, 0, &udp(1, 2, &[7; 64]));
    // Priority 3, VLAN 100.
    let tag = 0x6064;
    let one = ethernet(0x8100, &tagged(tag, 0x0800, &packet), 0);
    let two = ethernet(0x88a8, &tagged(5, 0x8100, &tagged(tag, 0x0800, &packet)), 0);
    let none = ethernet(0x0800, &packet, 0);
    net.inside(|| {
        let config = LiveConfig { snaplen: 40, ..config("right") };
        let mut source = open_live(&config, 1).unwrap().remove(0);
        let before = now_nanos();
        send("left", &[&one, &two, &none]);
        let mut seen = Vec::new();
        drain(&mut source, 3, |p| {
            assert_eq!(p.link, LinkType::ETHERNET);
            assert_eq!(p.data.len(), 40);
            assert!((before..now_nanos()).contains(&p.ts.nanos()));
            seen.push((p.number, p.vlan_tci, p.wire_len as usize, p.data[12..14].to_vec()));
        });
        let len = none.len();
        // Of two tags the card takes the outer one.
        assert_eq!(
            seen,
            [
                (1, Some(tag), len, vec![8, 0]),
                (2, Some(5), len + 4, vec![0x81, 0]),
                (3, None, len, vec![8, 0]),
            ]
        );
        assert_eq!(source.interfaces().len(), 1);
        assert_eq!(source.interfaces()[0].name, "right");
    });
}

#[test]
fn loopback_counts_once() {
    let Some(net) = Pair::new() else { return };
    for (name, workers) in [("lo", 1), ("lo", 2), ("any", 1), ("any", 2)] {
        net.inside(|| {
            let mut sources = open_live(&config(name), workers).unwrap();
            let a = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let b = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            for _ in 0..50 {
                a.send_to(b"there", b.local_addr().unwrap()).unwrap();
                b.send_to(b"and back", a.local_addr().unwrap()).unwrap();
            }
            let seen = drain_all(&mut sources, 100, |_, p| assert_eq!(p.link, LinkType::ETHERNET));
            let mut stats = CaptureStats::default();
            for source in &mut sources {
                stats.merge(&source.stats());
            }
            let seen: u64 = seen.iter().sum();
            assert_eq!(seen, 100, "{name}: {stats:?}");
            // The kernel itself can leave out the second sight where loopback is alone.
            assert_eq!(stats.duplicates, if name == "any" { 100 } else { 0 });
        });
    }
}

#[test]
fn any_names_the_interface_of_each_packet() {
    let Some(net) = Pair::new() else { return };
    net.ip("tuntap add name tun7 mode tun");
    let frame = ethernet(0x0800, &ipv4(HOST_A, HOST_B, 17, 0, &udp(1, 2, b"hello")), 60);
    net.inside(|| {
        let mut source = open_live(&config("any"), 1).unwrap().remove(0);
        send("left", &[&frame]);
        let mut seen = Vec::new();
        drain(&mut source, 2, |p| seen.push(usize::from(p.iface.0)));
        let names: Vec<_> = seen.iter().map(|&n| source.interfaces()[n].name.as_str()).collect();
        // It leaves one end and arrives at the other.
        assert_eq!(names, ["left", "right"]);
        assert_eq!(source.interfaces()[0].name, "any");
    });
}

#[test]
fn the_kernel_filters() {
    let Some(net) = Pair::new() else { return };
    let to = |port| ipv4(HOST_A, HOST_B, 17, 0, &udp(40_000, port, &[0; 30]));
    let frames = [
        ethernet(0x0800, &to(53), 60),
        ethernet(0x0800, &to(123), 60),
        ethernet(0x8100, &tagged(100, 0x0800, &to(53)), 60),
        ethernet(0x8100, &tagged(200, 0x0800, &to(123)), 60),
    ];
    let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    // What the expression wants, and what must be asked outside the kernel, which hides tags.
    for (expression, wanted, filtered) in [
        ("udp port 53", vec![(None, 53), (Some(100), 53)], 0),
        ("vlan 200", vec![(Some(200), 123)], 3),
        ("port 123 and not vlan", vec![(None, 123)], 3),
        ("greater 2000", vec![], 0),
    ] {
        for (interface, backend) in
            [("right", Backend::Native), ("any", Backend::Native), ("right", Backend::Libpcap)]
        {
            net.inside(|| {
                let config = LiveConfig {
                    filter: Some(expression.to_owned()),
                    backend,
                    ..config(interface)
                };
                let mut source = open_live(&config, 1).unwrap().remove(0);
                send("left", &frames);
                let mut seen = Vec::new();
                let mut right = Vec::new();
                let is_counted = interface == "right" && backend == Backend::Native;
                let patience = Patience::new();
                let mut is_all = false;
                while !is_all {
                    drain(&mut source, 0, |p| {
                        let tag_in_frame = p.data[12..14] == [0x81, 0];
                        let ip = if tag_in_frame { 18 } else { 14 };
                        let in_frame = || u16::from_be_bytes([p.data[14], p.data[15]]);
                        let tag = p.vlan_tci.or_else(|| tag_in_frame.then(in_frame));
                        seen.push((tag, u16::from_be_bytes([p.data[ip + 22], p.data[ip + 23]])));
                        right.push(p.iface);
                    });
                    let stats = source.stats();
                    let interfaces = source.interfaces();
                    // The capture of all sees every frame on both ends.
                    let is_right = |id: &IfaceId| interfaces[usize::from(id.0)].name == "right";
                    is_all = right.iter().filter(|id| is_right(id)).count() >= wanted.len()
                        && (!is_counted || stats.filtered >= filtered);
                    assert!(is_all || !patience.is_over(), "{expression}: {seen:?} {stats:?}");
                }
                let mut at_right =
                    right.iter().map(|id| source.interfaces()[usize::from(id.0)].name == "right");
                seen.retain(|_| at_right.next().unwrap());
                assert_eq!(seen, wanted, "{expression} on {interface} by {backend:?}");
                if is_counted {
                    assert_eq!(source.stats().filtered, filtered, "{expression}");
                }
            });
        }
    }
}

#[test]
fn libpcap_sees_the_same() {
    let Some(net) = Pair::new() else { return };
    let frame = ethernet(0x0800, &ipv4(HOST_A, HOST_B, 17, 0, &udp(1, 2, b"hello")), 60);
    net.inside(|| {
        let config = LiveConfig { backend: Backend::Libpcap, ..config("right") };
        let mut sources = open_live(&config, 4).unwrap();
        assert_eq!(sources.len(), 1, "libpcap does not share out flows");
        let mut source = sources.remove(0);
        let before = now_nanos();
        send("left", &[frame.as_slice(); 500]);
        let seen = drain(&mut source, 500, |p| {
            assert_eq!((p.link, p.wire_len, p.data), (LinkType::ETHERNET, 60, frame.as_slice()));
            assert!((before..now_nanos()).contains(&p.ts.nanos()));
        });
        assert_eq!(seen, 500);
        assert_eq!(source.stats().kernel_packets, 500);
        net.down();
        assert_eq!(drain(&mut source, 0, |_| {}), 0);
        net.up();
        // Whether libpcap speaks of the interface that was down, and has to be opened anew for it,
        // is a matter of time.
        let patience = Patience::new();
        let come = loop {
            send("left", &[frame.as_slice(); 5]);
            let come = drain(&mut source, 0, |_| {});
            if come > 0 || patience.is_over() {
                break come + drain(&mut source, 5_u64.saturating_sub(come), |_| {});
            }
        };
        assert_eq!(come, 5);
    });
}

#[test]
fn mistakes_are_explained() {
    let Some(net) = Pair::new() else { return };
    net.inside(|| {
        net.down();
        let explain = |config: &LiveConfig| open_live(config, 1).err().unwrap().to_string();
        let text = explain(&config("rihgt"));
        assert!(text.contains("there is no interface rihgt"), "{text}");
        assert!(text.contains("left, any"), "{text}");
        let text = explain(&config("right"));
        assert!(text.contains("bring it up: ip link set right up"), "{text}");
        let text = explain(&LiveConfig { filter: Some("prot 53".into()), ..config("left") });
        assert!(text.contains("prot"), "{text}");
        let text = explain(&LiveConfig { interfaces: vec![], ..config("left") });
        assert!(text.contains("no interface to capture on"), "{text}");
    });
}

#[test]
fn an_interface_may_go_down_and_come_back() {
    let Some(net) = Pair::new() else { return };
    let frame = ethernet(0x0800, &ipv4(HOST_A, HOST_B, 17, 0, &udp(1, 2, b"hello")), 60);
    net.inside(|| {
        let mut source = open_one("right");
        send("left", &[frame.as_slice(); 3]);
        assert_eq!(drain(&mut source, 3, |_| {}), 3);
        net.down();
        assert_eq!(drain(&mut source, 0, |_| {}), 0);
        assert!(source.stats().errors > 0);
        net.up();
        send("left", &[frame.as_slice(); 5]);
        assert_eq!(drain(&mut source, 5, |_| {}), 5);
    });
}

#[test]
fn an_interface_may_go_away_and_come_back() {
    let Some(net) = Pair::new() else { return };
    let frames = conversations();
    let frames: Vec<&[u8]> = frames.iter().map(|(_, frame)| frame.as_slice()).collect();
    net.inside(|| {
        let mut sources = open_live(&config("right"), 2).unwrap();
        net.remove();
        for source in &mut sources {
            assert_eq!(drain(source, 0, |_| {}), 0);
            assert!(source.stats().errors > 0);
        }
        net.make();
        // Each worker looks again at its own pace.
        let patience = Patience::new();
        loop {
            send("left", &frames);
            let seen: Vec<_> = sources.iter_mut().map(|s| drain(s, 0, |_| {})).collect();
            if seen.iter().all(|&n| n > 0) && seen.iter().sum::<u64>() == frames.len() as u64 {
                break;
            }
            assert!(!patience.is_over(), "seen by the two workers: {seen:?}");
        }
    });
}

#[test]
fn workers_share_out_whole_conversations() {
    let Some(net) = Pair::new() else { return };
    let frames = conversations();
    let all: Vec<&[u8]> = frames.iter().map(|(_, frame)| frame.as_slice()).collect();
    // Each end sees what it receives and what it sends; all interfaces together see it all twice.
    for (interface, workers, sights) in [("right", 2, 2), ("right", 3, 2), ("any", 2, 4)] {
        net.inside(|| {
            let mut sources = open_live(&config(interface), workers).unwrap();
            send("left", &all);
            send("right", &all);
            let mut workers_of = vec![Vec::new(); CONVERSATIONS];
            let all = sights * frames.len() as u64;
            let seen = drain_all(&mut sources, all, |worker, p| {
                // The last byte tells which conversation it belongs to, the one before it which
                // frame of that.
                let [.., which, of] = p.data else { panic!("empty") };
                workers_of[usize::from(*of)].push((worker, *which));
            });
            assert_eq!(seen.iter().sum::<u64>(), all);
            assert!(seen.iter().all(|&n| n > 0), "one worker has nothing: {seen:?}");
            for (of, workers) in workers_of.iter().enumerate() {
                let all_at_one = workers.iter().all(|(worker, _)| *worker == workers[0].0);
                assert!(all_at_one, "conversation {of} on {interface} is parted: {workers:?}");
            }
        });
    }
}

/// What two hosts say to each other, for many pairs of hosts: both directions, fragments, tags,
/// tunnels whose outer ports differ, and errors from a router in between.
fn conversations() -> Vec<(usize, Vec<u8>)> {
    let mut all = Vec::new();
    for of in 0..CONVERSATIONS {
        let n = of as u8;
        let (a, b): (IpAddr, IpAddr) = if of % 2 == 0 {
            (Ipv4Addr::new(10, 0, 0, n).into(), Ipv4Addr::new(192, 168, n, 1).into())
        } else {
            let host = |net: u16| Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, 0, of as u16);
            (host(1).into(), host(2).into())
        };
        let router = match a {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(203, 0, 113, n)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1 + u16::from(n))),
        };
        let there = ip(a, b, 17, &udp(40_000, 53, &[0; 40]));
        let back = ip(b, a, 17, &udp(53, 40_000, &[0; 40]));
        let vxlan = |port, src: IpAddr, dst: IpAddr| {
            let inner = ethernet(0x0800, &ipv4(HOST_A, HOST_B, 17, 0, &udp(port, 9, &[])), 0);
            let header = [&[8, 0, 0, 0, 0, 0, 1, 0][..], &inner].concat();
            ip(src, dst, 17, &udp(port, 4789, &header))
        };
        // Time exceeded, quoting a packet of the conversation.
        let (error_proto, error_type) = if a.is_ipv4() { (1, 11) } else { (58, 3) };
        let quote = [&[error_type, 0, 0, 0, 0, 0, 0, 0][..], &there.1].concat();
        let error = ip(router, a, error_proto, &quote);

        let mut packets: Vec<(u16, Vec<u8>)> = vec![
            there.clone(),
            back.clone(),
            (0x8100, tagged(7, back.0, &back.1)),
            (0x88a8, tagged(8, 0x8100, &tagged(7, there.0, &there.1))),
            // One label, bottom of the stack; then two.
            (0x8847, [&[0, 1, 1, 64][..], &back.1].concat()),
            (0x8847, [&[0, 1, 0, 64, 0, 2, 1, 64][..], &there.1].concat()),
            (
                0x8864,
                [
                    &[0x11, 0, 0, 1, 0, there.1.len() as u8 + 2][..],
                    if a.is_ipv4() { &[0, 0x21] } else { &[0, 0x57] },
                    &there.1,
                ]
                .concat(),
            ),
            vxlan(1111, a, b),
            vxlan(2222, b, a),
            error,
        ];
        if let (IpAddr::V4(a), IpAddr::V4(b)) = (a, b) {
            packets.push((0x0800, ipv4(a, b, 17, 0x2000, &udp(40_000, 53, &[0; 40]))));
            packets.push((0x0800, ipv4(a, b, 17, 6, &[0; 40])));
            packets.push((0x0800, ipv4(b, a, 1, 6, &[11; 60])));
        }
        if let (IpAddr::V6(a), IpAddr::V6(b)) = (a, b) {
            // A fragment header: next header, reserved, offset and more, identification.
            packets.push((
                0x86dd,
                ipv6(b, a, 44, &[&[17, 0, 0, 49, 0, 0, 0, 1][..], &[0; 40]].concat()),
            ));
        }
        for (which, (ethertype, packet)) in packets.into_iter().enumerate() {
            let mut frame = ethernet(ethertype, &packet, 58);
            frame.extend([which as u8, n]);
            all.push((of, frame));
        }
    }
    all
}

const CONVERSATIONS: usize = 40;
const HOST_A: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
const HOST_B: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);

fn config(interface: &str) -> LiveConfig {
    LiveConfig { interfaces: vec![interface.to_owned()], ..LiveConfig::default() }
}

fn open_one(interface: &str) -> Box<dyn PacketSource> {
    open_live(&config(interface), 1).unwrap().remove(0)
}

/// What a machine that is busy may take for what takes no time at all.
struct Patience(Instant);

impl Patience {
    fn new() -> Self {
        Self(Instant::now() + Duration::from_secs(30))
    }

    fn is_over(&self) -> bool {
        Instant::now() > self.0
    }
}

/// Reads until so many packets came and no more come for a while; answers how many came.
fn drain(
    source: &mut Box<dyn PacketSource>,
    expected: u64,
    f: impl FnMut(&flowtrack_event::RawPacket<'_>),
) -> u64 {
    drain_until(source, |seen, _| seen >= expected, f)
}

/// Reads until all that is expected came and no more comes for a while; answers how many came.
fn drain_until(
    source: &mut Box<dyn PacketSource>,
    mut is_all: impl FnMut(u64, CaptureStats) -> bool,
    mut f: impl FnMut(&flowtrack_event::RawPacket<'_>),
) -> u64 {
    let patience = Patience::new();
    let mut seen = 0;
    let mut quiet = 0;
    while quiet < 3 || !is_all(seen, source.stats()) {
        assert!(!patience.is_over(), "{seen} came, and not all: {:?}", source.stats());
        match read(source, &mut f) {
            0 => quiet += 1,
            n => seen += n,
        }
    }
    seen
}

/// The same of several sources, which get so many together; answers how many came from each.
fn drain_all(
    sources: &mut [Box<dyn PacketSource>],
    expected: u64,
    mut f: impl FnMut(usize, &flowtrack_event::RawPacket<'_>),
) -> Vec<u64> {
    let patience = Patience::new();
    let mut seen = vec![0; sources.len()];
    let mut quiet = 0;
    while quiet < 3 || seen.iter().sum::<u64>() < expected {
        assert!(!patience.is_over(), "{seen:?} of {expected} came");
        let before = seen.iter().sum::<u64>();
        for (n, source) in sources.iter_mut().enumerate() {
            seen[n] += read(source, |packet| f(n, packet));
        }
        quiet += usize::from(before == seen.iter().sum::<u64>());
    }
    seen
}

/// Reads what comes within a moment; answers how many packets came.
fn read(
    source: &mut Box<dyn PacketSource>,
    mut f: impl FnMut(&flowtrack_event::RawPacket<'_>),
) -> u64 {
    let each = &mut |packets: &[flowtrack_event::RawPacket<'_>], _: &mut [_]| {
        packets.iter().for_each(&mut f);
    };
    match source.next_burst(Duration::from_millis(50), each).unwrap() {
        Burst::Packets(n) => n as u64,
        Burst::Idle => 0,
        Burst::End | Burst::Again => panic!("a live source does not end"),
    }
}

/// Sends each frame once.
fn send(interface: &str, frames: &[&[u8]]) {
    let mut sender = FrameSender::open(netdev::index_of(interface).unwrap(), false).unwrap();
    let mut left = frames;
    while !left.is_empty() {
        left = &left[sender.send(left).unwrap()..];
    }
}

/// Sends as fast as it can; answers how many frames the interface took.
fn flood(interface: &str, len: usize, count: usize) -> u64 {
    let frame = ethernet(0x0800, &ipv4(HOST_A, HOST_B, 17, 0, &udp(1, 2, &[])), len);
    let mut sender = FrameSender::open(netdev::index_of(interface).unwrap(), true).unwrap();
    let batch = [frame.as_slice(); 64];
    let mut sent = 0;
    for _ in 0..count / batch.len() {
        // An error tells that the first frame was not taken; then it counts as not sent.
        sent += sender.send(&batch).unwrap_or(0) as u64;
    }
    sent
}

fn now_nanos() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_nanos() as i64
}
