use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use flowtrack_event::{FlowKey, IfaceId, IpProto, LinkType, RawPacket, Timestamp};
use flowtrack_lab::frames::{ipv4, udp};

use super::*;
use crate::{Burst, FileOptions, FileSource, PacketSource};

#[test]
fn every_packet_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let packets = traffic(3000);
    record(dir.path(), &RecorderConfig::default(), &packets);
    let found = ask(dir.path(), Query::default());
    assert_eq!(found, packets.iter().map(Found::of).collect::<Vec<_>>());

    // Any other program reads the segments.
    let mut seen = 0;
    for segment in segments(dir.path()) {
        let mut source = FileSource::open(&segment, FileOptions::default()).unwrap();
        seen += drain(&mut source, |_| {});
    }
    assert_eq!(seen, packets.len());
}

#[test]
fn hosts_and_flows_are_found_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let packets = traffic(3000);
    record(dir.path(), &RecorderConfig::default(), &packets);
    let expect = |wanted: &dyn Fn(&Packet) -> bool| -> Vec<Found> {
        packets.iter().filter(|p| wanted(p)).map(Found::of).collect()
    };

    let hosts = vec![IpAddr::from([10, 0, 0, 3])];
    let wanted = expect(&|p| p.hosts.iter().any(|host| hosts.contains(host)));
    assert!(wanted.len() > 10 && wanted.len() < packets.len() / 2);
    assert_eq!(ask(dir.path(), Query { hosts, ..Query::default() }), wanted);

    let flow = flow(3);
    let wanted = expect(&|p| p.flow == Some(3));
    assert!(wanted.len() > 10);
    for flow in [flow, flow.reversed()] {
        assert_eq!(ask(dir.path(), Query { flows: vec![flow], ..Query::default() }), wanted);
    }

    let (since, until) = (packets[1000].ts, packets[1999].ts);
    let span = Query { since: Some(since), until: Some(until), ..Query::default() };
    let found = ask(dir.path(), span.clone());
    assert_eq!(found, expect(&|p| (since..=until).contains(&p.ts)));
    assert_eq!(found.len(), 1000);
    let some = ask(dir.path(), Query { limit: Some(70), ..span });
    assert_eq!(some, found[..70]);

    let nobody = Query { hosts: vec![IpAddr::from([9, 9, 9, 9])], ..Query::default() };
    assert_eq!(ask(dir.path(), nobody), []);
}

#[test]
fn a_lost_or_cut_index_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let packets = traffic(3000);
    record(dir.path(), &RecorderConfig::default(), &packets);
    let query = Query { hosts: vec![IpAddr::from([10, 0, 0, 3])], ..Query::default() };
    let found = ask(dir.path(), query.clone());
    let index = segments(dir.path()).remove(0).with_extension("index");
    let whole = fs::read(&index).unwrap();
    for len in [whole.len() - 1, whole.len() / 2, 30, 24, 10, 0] {
        fs::write(&index, &whole[..len]).unwrap();
        assert_eq!(ask(dir.path(), query.clone()), found, "index cut to {len}");
    }
    fs::remove_file(&index).unwrap();
    assert_eq!(ask(dir.path(), query), found);
}

#[test]
fn a_cut_segment_is_read_up_to_the_cut() {
    let dir = tempfile::tempdir().unwrap();
    let packets = traffic(500);
    record(dir.path(), &RecorderConfig::default(), &packets);
    let all: Vec<_> = packets.iter().map(Found::of).collect();
    let segment = segments(dir.path()).remove(0);
    let whole = fs::read(&segment).unwrap();
    let index = fs::read(segment.with_extension("index")).unwrap();
    for (len, keep_index) in
        [(whole.len() - 1, true), (whole.len() / 2, true), (whole.len() / 2, false), (50, true)]
    {
        fs::write(&segment, &whole[..len]).unwrap();
        fs::write(segment.with_extension("index"), if keep_index { &index[..] } else { &[] })
            .unwrap();
        let found = ask(dir.path(), Query::default());
        assert!(found.len() < all.len());
        assert!(len < 100 || found.len() > 100);
        assert_eq!(found, all[..found.len()]);
    }
    // And a recorder goes on beside it.
    record(dir.path(), &RecorderConfig::default(), &packets);
    assert_eq!(ask(dir.path(), Query::default()), all);
}

#[test]
fn damage_of_any_kind_is_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    let packets = traffic(60);
    record(dir.path(), &RecorderConfig::default(), &packets);
    let segment = segments(dir.path()).remove(0);
    for path in [segment.clone(), segment.with_extension("index")] {
        let whole = fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(7) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            fs::write(&path, damaged).unwrap();
            let found =
                ask(dir.path(), Query { hosts: vec![[10, 0, 0, 3].into()], ..Query::default() });
            assert!(found.len() <= packets.len());
        }
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn the_oldest_is_deleted_at_the_cap() {
    let dir = tempfile::tempdir().unwrap();
    let config = RecorderConfig { max_mib: 4, segment_mib: 1, max_age_secs: None };
    let packets = traffic(40_000);
    let stats = record(dir.path(), &config, &packets);
    assert_eq!(stats.packets, packets.len() as u64, "{stats:?}");
    assert!(bytes_in(dir.path()) <= 4 << 20, "{} bytes", bytes_in(dir.path()));
    assert!(segments(dir.path()).len() >= 3);
    // What is left is the end, without a hole.
    let found = ask(dir.path(), Query::default());
    let all: Vec<_> = packets.iter().map(Found::of).collect();
    assert!(found.len() > 5000 && found.len() < all.len());
    assert_eq!(found, all[all.len() - found.len()..]);
    // A span in the middle touches few segments, and finds the same.
    let (since, until) = (found[2000].ts, found[2999].ts);
    let span = Query { since: Some(since), until: Some(until), ..Query::default() };
    assert_eq!(ask(dir.path(), span), found[2000..3000]);
}

#[test]
fn what_is_too_old_is_deleted() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), &RecorderConfig::default(), &traffic(100));
    assert_eq!(segments(dir.path()).len(), 1);
    std::thread::sleep(Duration::from_millis(1100));
    let config = RecorderConfig { max_age_secs: Some(1), ..RecorderConfig::default() };
    drop(Recorder::open(dir.path(), &config).unwrap());
    assert_eq!(segments(dir.path()).len(), 0);
    assert_eq!(bytes_in(dir.path()), 0);
}

#[test]
fn a_capture_played_again_is_found_twice() {
    let dir = tempfile::tempdir().unwrap();
    let packets = traffic(100);
    let twice = [&packets[..], &packets[..]].concat();
    record(dir.path(), &RecorderConfig::default(), &twice);
    assert_eq!(ask(dir.path(), Query::default()).len(), 200);
    let (since, until) = (Some(packets[10].ts), Some(packets[19].ts));
    let found = ask(dir.path(), Query { since, until, ..Query::default() });
    assert_eq!(found.len(), 20);
}

#[test]
fn a_worker_never_waits_and_every_drop_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(dir.path(), &RecorderConfig::default()).unwrap();
    let mut handle = recorder.handle();
    let data = vec![0; 1400];
    let mut offered = 0;
    // Its thread waits for what we hold, as it would for a disk that hangs.
    let hangs = recorder.shared.interfaces.lock().unwrap();
    while recorder.stats().dropped_busy == 0 {
        for _ in 0..1000 {
            handle.record(&raw(Timestamp::from_secs(1_700_000_000), &data, None));
            offered += 1;
        }
        assert!(offered < 1_000_000, "the queue never filled");
    }
    drop(hangs);
    drop(handle);
    let shared = Arc::clone(&recorder.shared);
    drop(recorder);
    let dropped = shared.counters.dropped_busy.load(Relaxed);
    let kept = shared.counters.packets.load(Relaxed);
    assert_eq!(offered, kept + dropped);
    assert_eq!(ask(dir.path(), Query::default()).len() as u64, kept);
}

#[test]
fn two_recorders_do_not_share_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let first = Recorder::open(dir.path(), &RecorderConfig::default()).unwrap();
    let error = Recorder::open(dir.path(), &RecorderConfig::default()).err().unwrap();
    assert!(error.to_string().contains("another recorder uses the folder"), "{error}");
    drop(first);
    Recorder::open(dir.path(), &RecorderConfig::default()).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_counted_and_left_behind() {
    let Some(disk) = SmallDisk::new() else { return };
    let packets = traffic(6000);
    let recorder = Recorder::open(&disk.0, &RecorderConfig::default()).unwrap();
    let mut handle = recorder.handle();
    handle.declare(&interfaces());
    // In the way of the recorder, as another program's files would be.
    let ballast = disk.0.join("ballast");
    fs::write(&ballast, vec![0; 1 << 20]).unwrap();
    for packet in &packets {
        handle.record(&packet.raw());
    }
    handle.flush();
    wait_until(|| {
        let stats = recorder.stats();
        stats.packets + stats.dropped_disk + stats.dropped_busy == packets.len() as u64
    });
    let full = recorder.stats();
    assert!(full.dropped_disk > 0 && full.errors > 0, "{full:?}");
    assert_eq!(ask(&disk.0, Query::default()).len() as u64, full.packets);
    // Room again: it goes on by itself.
    fs::remove_file(ballast).unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while recorder.stats().packets == full.packets {
        handle.record(&packets[0].raw());
        handle.flush();
        std::thread::sleep(Duration::from_millis(50));
        assert!(Instant::now() < deadline, "{:?}", recorder.stats());
    }
}

/// A packet of the test's traffic, and what a query should find it by.
#[derive(Clone)]
struct Packet {
    ts: Timestamp,
    data: Vec<u8>,
    vlan_tci: Option<u16>,
    iface: u16,
    hosts: Vec<IpAddr>,
    flow: Option<u8>,
}

/// What is found of it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Found {
    ts: Timestamp,
    data: Vec<u8>,
    wire_len: u32,
    iface: String,
}

impl Packet {
    fn raw(&self) -> RawPacket<'_> {
        RawPacket { iface: IfaceId(self.iface), ..raw(self.ts, &self.data, self.vlan_tci) }
    }
}

impl Found {
    fn of(packet: &Packet) -> Self {
        let mut data = packet.data.clone();
        if let Some(tci) = packet.vlan_tci {
            let [high, low] = tci.to_be_bytes();
            data.splice(12..12, [0x81, 0, high, low]);
        }
        let wire_len = data.len() as u32 + 100;
        let iface = interfaces()[usize::from(packet.iface)].name.clone();
        Self { ts: packet.ts, data, wire_len, iface }
    }
}

fn raw(ts: Timestamp, data: &[u8], vlan_tci: Option<u16>) -> RawPacket<'_> {
    RawPacket {
        ts,
        iface: IfaceId(0),
        link: LinkType::ETHERNET,
        number: 1,
        wire_len: data.len() as u32 + 100,
        vlan_tci,
        data,
    }
}

fn interfaces() -> Vec<Interface> {
    ["eth0", "eth1"]
        .map(|name| Interface { name: name.to_owned(), link: LinkType::ETHERNET })
        .into()
}

/// The n-th flow, between hosts 10.0.0.n and 10.0.1.n.
fn flow(n: u8) -> FlowKey {
    FlowKey {
        src: [10, 0, 0, n].into(),
        dst: [10, 0, 1, n].into(),
        src_port: 40_000 + u16::from(n),
        dst_port: 53,
        proto: IpProto::UDP,
    }
}

/// Packets a millisecond apart: of twenty flows in both directions, other flows of the same hosts,
/// fragments, tagged ones, ones inside a tunnel, errors about them, ARP, and no IP at all.
fn traffic(count: u32) -> Vec<Packet> {
    let base = Timestamp::from_secs(1_700_000_000);
    let packet = |n: u32| {
        let of = (n % 20) as u8;
        let key = if n.is_multiple_of(3) { flow(of).reversed() } else { flow(of) };
        let [src, dst] = [key.src, key.dst].map(|addr| match addr {
            IpAddr::V4(addr) => addr,
            IpAddr::V6(_) => panic!("the test speaks IPv4"),
        });
        let payload = vec![n as u8; 20 + (n % 400) as usize];
        let whole = ipv4(src, dst, 17, 0, &udp(key.src_port, key.dst_port, &payload));
        let mut hosts = vec![key.src, key.dst];
        let (ends, router) = ([[172, 16, 0, 1], [172, 16, 0, 2]], [203, 0, 113, 9]);
        let (ethertype, packet, flow) = match n / 20 % 8 {
            0 => (0x0800, ipv4(src, dst, 17, 0, &udp(key.src_port, 9999, &payload)), None),
            1 => (0x0800, ipv4(src, dst, 17, 100, &payload), Some(of)),
            2 => {
                hosts.extend(ends.map(IpAddr::from));
                (0x0800, ipv4(ends[0].into(), ends[1].into(), 4, 0, &whole), Some(of))
            }
            3 => {
                let error = [&[11, 0, 0, 0, 0, 0, 0, 0][..], &whole].concat();
                hosts.push(router.into());
                (0x0800, ipv4(router.into(), src, 1, 0, &error), Some(of))
            }
            4 => {
                let head = [0, 1, 8, 0, 6, 4, 0, 1];
                let arp = [&head[..], &[2; 6], &src.octets(), &[0; 6], &dst.octets()].concat();
                (0x0806, arp, None)
            }
            5 => {
                hosts.clear();
                (0x88cc, payload, None)
            }
            _ => (0x0800, whole, Some(of)),
        };
        let mut data = vec![2; 12];
        data.extend(u16::to_be_bytes(ethertype));
        data.extend(packet);
        Packet {
            ts: base.plus(Duration::from_millis(u64::from(n))),
            data,
            vlan_tci: n.is_multiple_of(5).then_some(100),
            iface: (n % 2) as u16,
            hosts,
            flow,
        }
    };
    (0..count).map(packet).collect()
}

/// Records so slowly that nothing is dropped.
fn record(dir: &Path, config: &RecorderConfig, packets: &[Packet]) -> RecorderStats {
    let recorder = Recorder::open(dir, config).unwrap();
    let mut handle = recorder.handle();
    handle.declare(&interfaces());
    for (n, packet) in packets.iter().enumerate() {
        handle.record(&packet.raw());
        if n % 4096 == 4095 {
            handle.flush();
            wait_until(|| recorder.stats().packets == n as u64 + 1);
        }
    }
    drop(handle);
    let shared = Arc::clone(&recorder.shared);
    drop(recorder);
    let counters = &shared.counters;
    let written = counters.packets.load(Relaxed);
    assert_eq!(written, packets.len() as u64);
    RecorderStats { packets: written, ..RecorderStats::default() }
}

fn ask(dir: &Path, query: Query) -> Vec<Found> {
    let mut selection = Selection::open(dir, query).unwrap();
    let mut found: Vec<(Found, IfaceId)> = Vec::new();
    drain(&mut selection, |packet| {
        assert_eq!(packet.number, found.len() as u64 + 1);
        let (ts, wire_len) = (packet.ts, packet.wire_len);
        let data = packet.data.to_vec();
        found.push((Found { ts, data, wire_len, iface: String::new() }, packet.iface));
    });
    let names: BTreeMap<_, _> =
        selection.interfaces().iter().enumerate().map(|(n, i)| (n, i.name.clone())).collect();
    let name = |(mut found, iface): (Found, IfaceId)| {
        found.iface = names[&usize::from(iface.0)].clone();
        found
    };
    found.into_iter().map(name).collect()
}

fn drain(source: &mut dyn PacketSource, mut f: impl FnMut(&RawPacket<'_>)) -> usize {
    let mut seen = 0;
    while let Burst::Packets(n) = source
        .next_burst(Duration::ZERO, &mut |packets, _| packets.iter().for_each(&mut f))
        .unwrap()
    {
        seen += n;
    }
    seen
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    segment::Paths::all(dir).unwrap().into_iter().map(|paths| paths.segment).collect()
}

fn bytes_in(dir: &Path) -> u64 {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

fn wait_until(done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A file system of 2 MiB; unmounted on drop.
#[cfg(target_os = "linux")]
struct SmallDisk(PathBuf);

#[cfg(target_os = "linux")]
impl SmallDisk {
    #[expect(clippy::disallowed_macros, reason = "a skipped test says so")]
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap().keep();
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "ft-test"])
            .arg(&dir)
            .output();
        if !mount.as_ref().is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: cannot mount a small disk: {mount:?}");
            let _ = fs::remove_dir(&dir);
            return None;
        }
        Some(Self(dir))
    }
}

#[cfg(target_os = "linux")]
impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = fs::remove_dir(&self.0);
    }
}
