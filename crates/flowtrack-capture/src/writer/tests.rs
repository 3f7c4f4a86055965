//! What is written, read back here and by Wireshark's tools.

#![allow(clippy::disallowed_macros, reason = "a test that is skipped says why")]

use super::{Comments, PacketWriter, PcapWriter, PcapngWriter, Precision, WriteError};
use crate::memory::PacketBuffer;
use crate::{Burst, FileOptions, FileSource, Interface, PacketSource};
use flowtrack_event::{IfaceId, LinkType, RawPacket, Timestamp};
use proptest::prelude::*;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const NANOS: i64 = 1_700_000_000_123_456_789;

fn packet(nanos: i64, iface: u16, link: LinkType, data: &[u8]) -> RawPacket<'_> {
    RawPacket {
        ts: Timestamp::from_nanos(nanos),
        iface: IfaceId(iface),
        link,
        number: 0,
        wire_len: data.len() as u32 + 10,
        vlan_tci: None,
        data,
    }
}

/// A UDP packet of an Ethernet frame, so that other programs have something to name.
fn frame() -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x08, 0x00];
    frame.extend([0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    frame.extend([0x30, 0x39, 0x30, 0x3A, 0, 12, 0, 0, b'a', b'b', b'c', b'd']);
    frame
}

fn read(bytes: &[u8]) -> (PacketBuffer, Vec<Interface>) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let mut source = FileSource::open(file.path(), FileOptions::default()).unwrap();
    let mut packets = PacketBuffer::new();
    while source
        .next_burst(Duration::ZERO, &mut |burst, _| packets.extend(burst.iter().copied()))
        .unwrap()
        != Burst::End
    {}
    (packets, source.interfaces().to_vec())
}

fn rows(packets: &PacketBuffer) -> Vec<(i64, u16, u32, u32, Vec<u8>)> {
    let row = |p: RawPacket<'_>| (p.ts.nanos(), p.iface.0, p.link.0, p.wire_len, p.data.to_vec());
    packets.iter().map(row).collect()
}

#[test]
fn pcap_comes_back() {
    for (precision, nanos) in
        [(Precision::Micros, NANOS / 1_000 * 1_000), (Precision::Nanos, NANOS)]
    {
        let mut bytes = Vec::new();
        let mut writer = PcapWriter::new(&mut bytes, precision);
        writer.write(&packet(NANOS, 3, LinkType::LINUX_SLL, b"one"), "lost").unwrap();
        assert_eq!(writer.position(), 24 + 16 + 3);
        // Before 1970 and after 2106 there is no time in this format.
        writer.write(&packet(-1, 0, LinkType::LINUX_SLL, b""), "").unwrap();
        writer.write(&packet(i64::MAX, 0, LinkType::LINUX_SLL, b"two"), "").unwrap();
        let error = writer.write(&packet(0, 0, LinkType::ETHERNET, b"x"), "").unwrap_err();
        assert!(matches!(
            error,
            WriteError::MixedLinks { first: LinkType(113), other: LinkType(1) }
        ));
        assert!(error.to_string().ends_with("write pcapng instead"), "{error}");
        writer.finish().unwrap();
        drop(writer);
        let (packets, interfaces) = read(&bytes);
        assert_eq!(
            rows(&packets),
            [
                (nanos, 0, 113, 13, b"one".to_vec()),
                (0, 0, 113, 10, Vec::new()),
                (i64::from(u32::MAX) * 1_000_000_000, 0, 113, 13, b"two".to_vec()),
            ]
        );
        assert_eq!(interfaces.len(), 1);
    }
}

#[test]
fn pcapng_comes_back() {
    let mut bytes = Vec::new();
    let mut writer = PcapngWriter::new(&mut bytes, Comments::default());
    let eth = Interface { name: "eth0".to_owned(), link: LinkType::ETHERNET };
    let tun = Interface { name: "tun0".to_owned(), link: LinkType::RAW };
    writer.declare(&[eth.clone(), tun.clone()]);
    // Interfaces are described in the order of their packets.
    writer.write(&packet(NANOS, 1, LinkType::RAW, b"one"), "").unwrap();
    writer.write(&packet(NANOS + 1, 0, LinkType::ETHERNET, b"four"), "seen").unwrap();
    writer.write(&packet(NANOS + 2, 1, LinkType::RAW, b""), &"x".repeat(100_000)).unwrap();
    writer.write(&packet(NANOS + 3, 1, LinkType::LINUX_SLL, b"odd"), "").unwrap();
    writer.write(&packet(-1, 9, LinkType::RAW, b"unknown"), "").unwrap();
    writer.count(IfaceId(0), 7, 3);
    writer.finish().unwrap();
    let position = writer.position();
    drop(writer);
    assert_eq!(position, bytes.len() as u64);
    let (packets, interfaces) = read(&bytes);
    assert_eq!(
        rows(&packets),
        [
            (NANOS, 0, 101, 13, b"one".to_vec()),
            (NANOS + 1, 1, 1, 14, b"four".to_vec()),
            (NANOS + 2, 0, 101, 10, Vec::new()),
            (NANOS + 3, 2, 113, 13, b"odd".to_vec()),
            (0, 3, 101, 17, b"unknown".to_vec()),
        ]
    );
    let tun_cooked = Interface { link: LinkType::LINUX_SLL, ..tun.clone() };
    let unknown = Interface { name: String::new(), link: LinkType::RAW };
    assert_eq!(interfaces, [tun, eth, tun_cooked, unknown]);
}

#[test]
fn a_file_without_packets_is_still_a_capture() {
    let mut bytes = Vec::new();
    PcapWriter::new(&mut bytes, Precision::Nanos).finish().unwrap();
    assert_eq!(read(&bytes).0.len(), 0);
    let mut bytes = Vec::new();
    PcapngWriter::new(&mut bytes, Comments::default()).finish().unwrap();
    assert_eq!(read(&bytes).0.len(), 0);
}

#[test]
fn a_tag_taken_out_is_written_at_its_place() {
    let tagged = RawPacket {
        vlan_tci: Some(0x2064),
        ..packet(0, 0, LinkType::ETHERNET, b"0123456789abXYZ")
    };
    let short = RawPacket { data: b"0123456789a", ..tagged };
    let cooked = RawPacket { link: LinkType::LINUX_SLL, ..tagged };
    let mut bytes = Vec::new();
    let mut writer = PcapngWriter::new(&mut bytes, Comments::default());
    for packet in [tagged, short, cooked] {
        writer.write(&packet, "").unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    let (packets, _) = read(&bytes);
    let got: Vec<_> = packets.iter().map(|packet| (packet.wire_len, packet.data)).collect();
    assert_eq!(
        got,
        [
            (29, &b"0123456789ab\x81\x00\x20\x64XYZ"[..]),
            (25, b"0123456789a"),
            (25, b"0123456789abXYZ"),
        ]
    );
}

#[test]
fn a_full_disk_is_an_error() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut writer = PcapngWriter::new(Full, Comments::default());
    writer.write(&packet(0, 0, LinkType::ETHERNET, b"x"), "").unwrap();
    let error = writer.finish().unwrap_err();
    assert!(error.to_string().starts_with("cannot write the capture: "), "{error}");
}

/// What a program of Wireshark's prints; none, and why is printed, where it is not installed.
fn wireshark(program: &str, arguments: &[&str], file: &Path) -> Option<String> {
    let output = match Command::new(program).args(arguments).arg(file).output() {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: {program}: {error}");
            return None;
        }
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {errors}");
    for word in ["malformed", "cut short", "corrupt", "damaged"] {
        assert!(!errors.contains(word), "{errors}");
    }
    Some(text)
}

#[test]
fn wireshark_opens_it() {
    let dir = tempfile::tempdir().unwrap();
    let frame = frame();
    let interfaces = [
        Interface { name: "eth0".to_owned(), link: LinkType::ETHERNET },
        Interface { name: "tun0".to_owned(), link: LinkType::RAW },
    ];
    let write = |writer: &mut dyn PacketWriter, mixed: bool| {
        writer.declare(&interfaces);
        writer.write(&packet(NANOS, 0, LinkType::ETHERNET, &frame), "first of all").unwrap();
        if mixed {
            writer.write(&packet(NANOS + 1_000, 1, LinkType::RAW, &frame[14..]), "").unwrap();
        }
        writer.finish().unwrap();
    };
    let create = |name: &str| {
        let path = dir.path().join(name);
        (std::fs::File::create(&path).unwrap(), path)
    };
    let (micros, micros_path) = create("micros");
    write(&mut PcapWriter::new(micros, Precision::Micros), false);
    let (nanos, nanos_path) = create("nanos");
    write(&mut PcapWriter::new(nanos, Precision::Nanos), false);
    let (ng, ng_path) = create("ng");
    let mut writer = PcapngWriter::new(
        ng,
        Comments {
            application: "FlowTrack".to_owned(),
            hardware: "a machine".to_owned(),
            os: "a system".to_owned(),
            comment: "a note".to_owned(),
        },
    );
    writer.declare(&interfaces);
    writer.write(&packet(NANOS, 0, LinkType::ETHERNET, &frame), "").unwrap();
    writer.count(IfaceId(0), 12, 5);
    write(&mut writer, true);
    drop(writer);

    let fields = [
        "-T",
        "fields",
        "-E",
        "separator=;",
        "-e",
        "frame.time_epoch",
        "-e",
        "frame.cap_len",
        "-e",
        "frame.len",
        "-e",
        "frame.interface_name",
        "-e",
        "ip.src",
        "-e",
        "udp.dstport",
        "-e",
        "frame.comment",
        "-r",
    ];
    if let Some(text) = wireshark("tshark", &fields, &micros_path) {
        assert_eq!(text.trim_end(), "1700000000.123456000;46;56;;192.0.2.1;12346;");
    }
    if let Some(text) = wireshark("tshark", &fields, &nanos_path) {
        assert_eq!(text.trim_end(), "1700000000.123456789;46;56;;192.0.2.1;12346;");
    }
    if let Some(text) = wireshark("tshark", &fields, &ng_path) {
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "1700000000.123456789;46;56;eth0;192.0.2.1;12346;",
                "1700000000.123456789;46;56;eth0;192.0.2.1;12346;first of all",
                "1700000000.123457789;32;42;tun0;192.0.2.1;12346;",
            ]
        );
    }
    if let Some(text) = wireshark("capinfos", &["-M"], &ng_path) {
        for part in [
            "Number of packets:   3",
            "Capture application: FlowTrack",
            "Capture hardware:    a machine",
            "Capture oper-sys:    a system",
            "a note",
            "Name = tun0",
            "Time precision = nanoseconds (9)",
            "Number of stat entries = 1",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is written in any format comes back.
    #[test]
    fn round_trip(
        contents in prop::collection::vec(
            (0_i64..4_000_000_000_000_000_000, 0_u16..3, prop::collection::vec(any::<u8>(), 0..300)),
            1..100,
        ),
    ) {
        let written: PacketBuffer = contents
            .iter()
            .map(|(nanos, iface, data)| packet(*nanos, *iface, LinkType::ETHERNET, data))
            .collect();
        let mut formats = [Vec::new(), Vec::new(), Vec::new()];
        let [micros, nanos, ng] = &mut formats;
        let mut writers: [Box<dyn PacketWriter + '_>; 3] = [
            Box::new(PcapWriter::new(micros, Precision::Micros)),
            Box::new(PcapWriter::new(nanos, Precision::Nanos)),
            Box::new(PcapngWriter::new(ng, Comments::default())),
        ];
        for writer in &mut writers {
            for packet in written.iter() {
                writer.write(&packet, "").unwrap();
            }
            writer.finish().unwrap();
        }
        drop(writers);
        for (bytes, precision) in formats.iter().zip([1_000, 1, 1]) {
            let (packets, _) = read(bytes);
            prop_assert_eq!(packets.len(), written.len());
            for (got, sent) in packets.iter().zip(written.iter()) {
                prop_assert_eq!(got.ts.nanos(), sent.ts.nanos() / precision * precision);
                prop_assert_eq!((got.wire_len, got.data), (sent.wire_len, sent.data));
            }
        }
    }
}
