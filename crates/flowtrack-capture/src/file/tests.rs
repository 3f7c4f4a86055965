//! Files made here, byte by byte, and read back.

use super::{FileOptions, FileSource};
use crate::memory::PacketBuffer;
use crate::{Burst, PacketSource, SourceError};
use flate2::Compression;
use flate2::write::GzEncoder;
use flowtrack_event::{IfaceId, LinkType, Timestamp};
use proptest::prelude::*;
use std::io::Write;
use std::time::Duration;

/// A file in one order of bytes, put together.
struct Bytes {
    big_endian: bool,
    bytes: Vec<u8>,
}

impl Bytes {
    fn new(big_endian: bool) -> Self {
        Self { big_endian, bytes: Vec::new() }
    }

    fn u16(&mut self, n: u16) -> &mut Self {
        self.raw(&if self.big_endian { n.to_be_bytes() } else { n.to_le_bytes() })
    }

    fn u32(&mut self, n: u32) -> &mut Self {
        self.raw(&if self.big_endian { n.to_be_bytes() } else { n.to_le_bytes() })
    }

    fn u64(&mut self, n: u64) -> &mut Self {
        self.raw(&if self.big_endian { n.to_be_bytes() } else { n.to_le_bytes() })
    }

    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    fn pcap_header(&mut self, magic: u32, minor: u16, snaplen: u32, link: u32) -> &mut Self {
        self.u32(magic).u16(2).u16(minor).u32(0).u32(0).u32(snaplen).u32(link)
    }

    fn pcap_packet(&mut self, secs: u32, fraction: u32, data: &[u8]) -> &mut Self {
        let len = data.len() as u32;
        self.u32(secs).u32(fraction).u32(len).u32(len + 5).raw(data)
    }

    /// A block with the body that `fill` writes, padded.
    fn block(&mut self, kind: u32, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let mut body = Self::new(self.big_endian);
        fill(&mut body);
        body.pad();
        let len = body.bytes.len() as u32 + 12;
        self.u32(kind).u32(len).raw(&body.bytes).u32(len)
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn section(&mut self) -> &mut Self {
        self.block(0x0A0D_0D0A, |body| {
            body.u32(0x1A2B_3C4D).u16(1).u16(0).u64(u64::MAX);
        })
    }

    fn interface(&mut self, link: u16, snaplen: u32, options: &[(u16, &[u8])]) -> &mut Self {
        self.block(1, |body| {
            body.u16(link).u16(0).u32(snaplen);
            for (code, value) in options {
                body.u16(*code).u16(value.len() as u16).raw(value).pad();
            }
            body.u32(0);
        })
    }

    fn enhanced(&mut self, iface: u32, ticks: u64, data: &[u8]) -> &mut Self {
        self.block(6, |body| {
            body.u32(iface).u32((ticks >> 32) as u32).u32(ticks as u32);
            body.u32(data.len() as u32).u32(data.len() as u32 + 5).raw(data).pad();
            // A comment.
            body.u16(1).u16(2).raw(b"hi").pad();
            body.u32(0);
        })
    }
}

/// What came of reading a file to its end.
#[derive(Debug)]
struct Read {
    packets: PacketBuffer,
    interfaces: Vec<(String, u32)>,
    error: Option<SourceError>,
}

impl Read {
    /// Each packet as time, interface, link, wire length and bytes.
    fn rows(&self) -> Vec<(i64, u16, u32, u32, &[u8])> {
        self.packets
            .iter()
            .map(|p| (p.ts.nanos(), p.iface.0, p.link.0, p.wire_len, p.data))
            .collect()
    }

    /// Place and words of the damage.
    fn broken(&self) -> Option<(u64, &str)> {
        match &self.error {
            Some(SourceError::Broken { offset, what, .. }) => Some((*offset, what)),
            _ => None,
        }
    }
}

fn read(bytes: &[u8]) -> Read {
    read_with(bytes, FileOptions::default())
}

fn read_with(bytes: &[u8], options: FileOptions) -> Read {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let mut read = Read { packets: PacketBuffer::new(), interfaces: Vec::new(), error: None };
    let mut source = match FileSource::open(file.path(), options) {
        Ok(source) => source,
        Err(error) => return Read { error: Some(error), ..read },
    };
    loop {
        let burst = source.next_burst(Duration::ZERO, &mut |packets, verdicts| {
            assert_eq!(packets.len(), verdicts.len());
            read.packets.extend(packets.iter().copied());
        });
        match burst {
            Ok(Burst::Packets(n)) => assert!(n > 0, "a burst of none"),
            Ok(Burst::End) => break,
            Ok(Burst::Idle | Burst::Again) => panic!("a file is never idle"),
            Err(error) => {
                read.error = Some(error);
                break;
            }
        }
    }
    assert_eq!(source.next_burst(Duration::ZERO, &mut |_, _| {}).unwrap(), Burst::End);
    for (i, packet) in read.packets.iter().enumerate() {
        assert_eq!(packet.number, i as u64 + 1);
    }
    assert_eq!(source.stats().kernel_packets, read.packets.len() as u64);
    if read.error.is_none() {
        assert_eq!(source.progress(), (bytes.len() as u64, Some(bytes.len() as u64)));
    }
    read.interfaces = source.interfaces().iter().map(|i| (i.name.clone(), i.link.0)).collect();
    read
}

/// Three packets, the second empty.
fn pcap(big_endian: bool, magic: u32) -> Vec<u8> {
    let mut file = Bytes::new(big_endian);
    file.pcap_header(magic, 4, 65535, 1)
        .pcap_packet(1_000, 999_999, b"first")
        .pcap_packet(1_001, 0, b"")
        .pcap_packet(0xFFFF_FFFF, 1, b"third packet");
    file.bytes
}

fn pcapng(big_endian: bool) -> Vec<u8> {
    let mut file = Bytes::new(big_endian);
    file.section()
        .interface(1, 0, &[(2, b"eth0"), (9, &[9])])
        .enhanced(0, 1_000_000_000_123, b"first")
        .block(5, |body| {
            body.u32(0).u64(0);
        })
        .enhanced(0, 1_000_000_000_456, b"second")
        .block(3, |body| {
            body.u32(4).raw(b"abcd");
        });
    file.bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn pcap_in_both_orders_and_resolutions() {
    for big_endian in [false, true] {
        for (magic, tick) in [(0xA1B2_C3D4, 1_000), (0xA1B2_3C4D, 1)] {
            let read = read(&pcap(big_endian, magic));
            assert_eq!(
                read.rows(),
                [
                    (1_000_000_000_000 + 999_999 * tick, 0, 1, 10, &b"first"[..]),
                    (1_001_000_000_000, 0, 1, 5, b""),
                    (4_294_967_295_000_000_000 + tick, 0, 1, 17, b"third packet"),
                ],
                "{magic:x}, big endian: {big_endian}"
            );
            assert!(read.error.is_none());
            assert_eq!(read.interfaces, [(String::new(), 1)]);
        }
    }
}

#[test]
fn modified_pcap_has_longer_packet_headers() {
    let mut file = Bytes::new(true);
    file.pcap_header(0xA1B2_CD34, 4, 65535, 113);
    for data in [&b"one"[..], b"three"] {
        let len = data.len() as u32;
        file.u32(7).u32(1).u32(len).u32(len).u32(3).u16(0x0800).raw(&[0, 0]).raw(data);
    }
    let read = read(&file.bytes);
    assert_eq!(
        read.rows(),
        [(7_000_001_000, 0, 113, 3, &b"one"[..]), (7_000_001_000, 0, 113, 5, b"three")]
    );
    assert!(read.error.is_none());
}

#[test]
fn old_pcap_has_its_lengths_the_other_way_round() {
    for minor in [2, 3] {
        let mut file = Bytes::new(false);
        file.pcap_header(0xA1B2_C3D4, minor, 65535, 1);
        file.u32(7).u32(1).u32(60).u32(4).raw(b"four");
        assert_eq!(read(&file.bytes).rows(), [(7_000_001_000, 0, 1, 60, &b"four"[..])]);
    }
}

#[test]
fn frame_check_bits_are_no_link_type() {
    let mut file = Bytes::new(false);
    file.pcap_header(0xA1B2_C3D4, 4, 0, 0x2400_0001).pcap_packet(0, 0, b"x");
    assert_eq!(read(&file.bytes).rows(), [(0, 0, 1, 6, &b"x"[..])]);
}

#[test]
fn pcapng_in_both_orders() {
    for big_endian in [false, true] {
        let read = read(&pcapng(big_endian));
        assert_eq!(
            read.rows(),
            [
                (1_000_000_000_123, 0, 1, 10, &b"first"[..]),
                (1_000_000_000_456, 0, 1, 11, b"second"),
                // Without a time of its own.
                (1_000_000_000_456, 0, 1, 4, b"abcd"),
            ]
        );
        assert!(read.error.is_none());
        assert_eq!(read.interfaces, [("eth0".to_owned(), 1)]);
    }
}

#[test]
fn pcapng_clocks() {
    let check = |resolution: &[u8], offset: i64, ticks: u64, nanos: i64| {
        let mut file = Bytes::new(false);
        let offset = offset.to_le_bytes();
        let mut options: Vec<(u16, &[u8])> = vec![(14, &offset)];
        if !resolution.is_empty() {
            options.push((9, resolution));
        }
        file.section().interface(1, 0, &options).enhanced(0, ticks, b"x");
        let read = read(&file.bytes);
        assert_eq!(read.rows()[0].0, nanos, "{resolution:?} {offset:?} {ticks}");
    };
    check(&[], 0, 1_500_000, 1_500_000_000);
    check(&[0], 0, 3, 3_000_000_000);
    check(&[3], 0, 1_500, 1_500_000_000);
    check(&[9], 0, 1_500_000_000, 1_500_000_000);
    check(&[12], 0, 1_500_000_000_999, 1_500_000_000);
    check(&[29], 0, u64::MAX, 0);
    check(&[127], 0, u64::MAX, 0);
    check(&[0x80], 0, 3, 3_000_000_000);
    check(&[0x8A], 0, 1_536, 1_500_000_000);
    check(&[0xBF], 0, 3 << 62, 1_500_000_000);
    check(&[0xC0], 0, 1 << 63, 500_000_000);
    check(&[0xFF], 0, u64::MAX, 0);
    check(&[6], 100, 1_500_000, 101_500_000_000);
    check(&[6], -1, 1_500_000, 500_000_000);
    check(&[0], 0, u64::MAX, i64::MAX);
    check(&[0], i64::MIN, 0, i64::MIN);
}

#[test]
fn sections_have_interfaces_of_their_own() {
    let mut little = Bytes::new(false);
    little
        .section()
        .interface(1, 0, &[(2, b"eth0")])
        .interface(113, 0, &[(2, b"any\0")])
        .enhanced(1, 1, b"a");
    let mut big = Bytes::new(true);
    big.section().interface(101, 0, &[(2, b"tun0")]).enhanced(0, 2, b"b");
    little.raw(&big.bytes);
    let read = read(&little.bytes);
    assert_eq!(read.rows(), [(1_000, 1, 113, 6, &b"a"[..]), (2_000, 2, 101, 6, b"b")]);
    let names = [("eth0", 1), ("any", 113), ("tun0", 101)];
    assert_eq!(read.interfaces, names.map(|(name, link)| (name.to_owned(), link)));
    assert!(read.error.is_none());
}

#[test]
fn simple_and_old_packets() {
    let mut file = Bytes::new(false);
    file.section()
        .interface(1, 3, &[])
        .block(2, |body| {
            // Interface and drops, time, lengths.
            body.u16(0).u16(9).u32(0).u32(7).u32(2).u32(60).raw(b"ab");
        })
        .block(3, |body| {
            // Cut to three bytes by the interface, then padded.
            body.u32(10).raw(b"abc");
        })
        .block(3, |body| {
            body.u32(1).raw(b"a");
        });
    assert_eq!(
        read(&file.bytes).rows(),
        [(7_000, 0, 1, 60, &b"ab"[..]), (7_000, 0, 1, 10, b"abc"), (7_000, 0, 1, 1, b"a")]
    );
}

#[test]
fn unknown_blocks_are_stepped_over() {
    let mut file = Bytes::new(false);
    file.section().block(0x8000_0BAD, |body| {
        body.raw(&vec![0xAA; 1 << 20]);
    });
    file.interface(1, 0, &[]).block(4, |body| {
        body.u16(1).u16(8).raw(&[10, 0, 0, 1]).raw(b"one\0").u32(0);
    });
    file.enhanced(0, 1, b"x");
    let read = read(&file.bytes);
    assert_eq!(read.rows(), [(1_000, 0, 1, 6, &b"x"[..])]);
    assert!(read.error.is_none());
}

#[test]
fn packed_files_of_several_parts() {
    let file = pcap(false, 0xA1B2_C3D4);
    let plain = read(&file);
    let (one, other) = file.split_at(33);
    let mut skippable = vec![0x53, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 1, 2, 3];
    skippable.extend(zstd(&file));
    let mut zeros = gzip(&file);
    zeros.extend([0; 700]);
    let variants = [
        gzip(&file),
        [gzip(one), gzip(b""), gzip(other)].concat(),
        zeros,
        zstd(&file),
        [zstd(one), zstd(b""), zstd(other)].concat(),
        skippable,
    ];
    for variant in variants {
        let read = read(&variant);
        assert!(read.error.is_none(), "{:?}", read.error);
        assert_eq!(read.rows(), plain.rows());
    }
    // Every field of a member's header.
    let packed = gzip(&file);
    let mut header = packed[..10].to_vec();
    header[3] = 0b1_1110;
    header.extend([2, 0, b'x', b'x']);
    header.extend(b"name\0comment\0");
    header.extend([1, 2]);
    assert_eq!(read(&[&header, &packed[10..]].concat()).rows(), plain.rows());
}

#[test]
fn packets_across_the_end_of_the_buffer() {
    let mut file = Bytes::new(false);
    file.pcap_header(0xA1B2_C3D4, 4, 65535, 1);
    let data: Vec<u8> = (0..=255).cycle().take(20_000).collect();
    let lens: Vec<usize> = (0..500).map(|i| i * 7919 % 9_000).chain([20_000, 3]).collect();
    for &len in &lens {
        file.pcap_packet(1, 1, &data[..len]);
    }
    for buffer_bytes in [0, 4096, 10_000, 512 * 1024] {
        for bytes in [file.bytes.clone(), gzip(&file.bytes), zstd(&file.bytes)] {
            let read = read_with(&bytes, FileOptions { buffer_bytes });
            assert!(read.error.is_none(), "{:?}", read.error);
            let got: Vec<_> = read.packets.iter().map(|packet| packet.data.len()).collect();
            assert_eq!(got, lens);
            assert!(read.packets.iter().all(|packet| data.starts_with(packet.data)));
        }
    }
}

#[test]
fn cut_anywhere_all_before_the_cut_is_read() {
    for (file, ends, begin) in [
        // Where the packets end, and where the first part ends that may stand alone.
        (pcap(false, 0xA1B2_C3D4), vec![45, 61, 89], 24),
        (pcapng(true), Vec::new(), 28),
    ] {
        let whole = read(&file);
        for cut in 0..file.len() {
            let read = read(&file[..cut]);
            let rows = read.rows();
            assert_eq!(rows, whole.rows()[..rows.len()]);
            if !ends.is_empty() {
                assert_eq!(rows.len(), ends.iter().filter(|&&end| end <= cut).count());
            }
            match read.broken() {
                Some((offset, what)) => {
                    assert_eq!(offset, cut as u64, "{what}");
                    assert!(!what.is_empty());
                }
                // Between two packets or blocks nobody can tell.
                None => assert!(cut >= begin && cut % 4 == 0 || ends.contains(&cut), "{cut}"),
            }
        }
    }
}

#[test]
fn a_cut_packed_file_gives_what_it_holds() {
    let mut file = Bytes::new(false);
    file.pcap_header(0xA1B2_C3D4, 4, 65535, 1);
    // Does not pack well, so that the parts of the file stand in the packed one in order.
    let mut noise = 1_u32;
    for _ in 0..2_000 {
        let data: Vec<u8> = (0..300)
            .map(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (noise >> 24) as u8
            })
            .collect();
        file.pcap_packet(1, 1, &data);
    }
    for packed in [gzip(&file.bytes), zstd(&file.bytes)] {
        for part in [2, 3, 5] {
            let cut = packed.len() / part;
            let read = read(&packed[..cut]);
            let (_, what) = read.broken().unwrap();
            assert!(what.contains("cut off"), "{what}");
            // The decoders hold back at most a block.
            let least = (cut.saturating_sub(140_000)) / 316;
            assert!(read.packets.len() >= least, "{} of {least}", read.packets.len());
        }
        let mut damaged = packed.clone();
        let middle = packed.len() / 2;
        damaged[middle..middle + 64].fill(0xFF);
        let read = read(&damaged);
        assert!(read.broken().is_some());
        assert!(read.packets.len() >= (middle - 200_000) / 316, "{}", read.packets.len());
    }
}

#[test]
fn a_wrong_checksum_is_told_after_the_packets() {
    let mut packed = gzip(&pcap(false, 0xA1B2_C3D4));
    let crc = packed.len() - 8;
    packed[crc] ^= 1;
    let read = read(&packed);
    assert_eq!(read.packets.len(), 3);
    assert_eq!(read.broken(), Some((89, "gzip: checksum is wrong")));
    // Nor is something behind the last member silently left out.
    let mut packed = gzip(&pcap(false, 0xA1B2_C3D4));
    packed.extend(b"garbage");
    let read = self::read(&packed);
    assert_eq!(read.packets.len(), 3);
    assert_eq!(read.broken(), Some((89, "gzip: something else follows")));
}

#[test]
fn damage_is_named_with_its_place() {
    let check = |bytes: &[u8], packets: usize, offset: u64, words: &str| {
        let read = read(bytes);
        let (at, what) = read.broken().unwrap_or_else(|| panic!("{words}: {:?}", read.error));
        assert!(what.contains(words), "{what}");
        assert_eq!((read.packets.len(), at), (packets, offset), "{what}");
    };
    check(b"", 0, 0, "the file is empty");
    check(&gzip(b""), 0, 0, "the file is empty");
    check(b"ab", 0, 2, "only a few bytes");
    check(b"<html>", 0, 0, "text");
    check(b"snoop\0\0\0", 0, 0, "editcap");
    check(b"\x7FELF and so on", 0, 0, "7f 45 4c 46");
    check(&gzip(&gzip(b"xxxx")), 0, 0, "packed twice");

    let mut file = Bytes::new(false);
    file.pcap_header(0xA1B2_C3D4, 4, 65535, 1).pcap_packet(0, 0, b"good");
    let at = file.bytes.len() as u64;
    file.u32(0).u32(0).u32(262_145).u32(262_145).raw(&[0; 400]);
    check(&file.bytes, 1, at, "packet of 262145 bytes");
    let mut file = Bytes::new(false);
    file.u32(0xA1B2_C3D4).u16(3).u16(0).raw(&[0; 16]);
    check(&file.bytes, 0, 4, "version 3.0");

    let ng = pcapng(false);
    let at = ng.len() as u64;
    let check_block = |offset: u64, words: &str, fill: &dyn Fn(&mut Bytes)| {
        let mut file = Bytes::new(false);
        file.raw(&ng);
        fill(&mut file);
        file.raw(&[0; 64]);
        check(&file.bytes, 3, at + offset, words);
    };
    check_block(4, "block of 8 bytes", &|file| {
        file.u32(6).u32(8);
    });
    check_block(4, "not a multiple of 4", &|file| {
        file.u32(6).u32(33);
    });
    check_block(4, "block of 4294967292 bytes", &|file| {
        file.u32(6).u32(0xFFFF_FFFC);
    });
    check_block(16, "begins with a length of 20 and ends with 0", &|file| {
        file.u32(6).u32(20);
    });
    check_block(8, "interface 1, never described", &|file| {
        file.enhanced(1, 0, b"");
    });
    check_block(20, "packet of 99 bytes in a block with room for 4", &|file| {
        file.block(6, |body| {
            body.u32(0).u64(0).u32(99).u32(99).u32(0);
        });
    });
    check_block(8, "magic number", &|file| {
        file.block(0x0A0D_0D0A, |body| {
            body.u32(0).u32(1).u64(0);
        });
    });
}

#[test]
fn a_lying_length_costs_no_memory() {
    let mut file = Bytes::new(false);
    file.pcap_header(0xA1B2_C3D4, 4, u32::MAX, 1);
    file.u32(0).u32(0).u32(60_000_000).u32(60_000_000).raw(&[0; 5_000]);
    let mut on_disk = tempfile::NamedTempFile::new().unwrap();
    on_disk.write_all(&file.bytes).unwrap();
    let options = FileOptions { buffer_bytes: 4096 };
    let mut source = FileSource::open(on_disk.path(), options).unwrap();
    let error = source.next_burst(Duration::ZERO, &mut |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("byte 5040: the file is cut off"), "{error}");
    assert!(source.window.capacity() <= 16_384, "{}", source.window.capacity());
}

#[test]
fn a_missing_file_is_named() {
    let error = FileSource::open("/no/such/file", FileOptions::default()).map(|_| ()).unwrap_err();
    assert!(error.to_string().starts_with("cannot open /no/such/file: "), "{error}");
    let error = FileSource::open("/", FileOptions::default()).map(|_| ()).unwrap_err();
    assert!(error.to_string().starts_with("cannot read /: "), "{error}");
}

#[cfg(unix)]
#[test]
fn a_pipe_is_idle_until_something_comes() {
    let dir = tempfile::tempdir().unwrap();
    for pack in [<[u8]>::to_vec, gzip, zstd] {
        let path = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        // Opened for both, so that neither end waits for the other.
        let mut pipe = std::fs::File::options().read(true).write(true).open(&path).unwrap();
        let mut source = FileSource::open(&path, FileOptions::default()).unwrap();
        let mut times = Vec::new();
        let mut next = |source: &mut FileSource| {
            source.next_burst(Duration::from_millis(1), &mut |packets, _| {
                times.extend(packets.iter().map(|packet| packet.ts));
            })
        };
        let bytes = pack(&pcap(false, 0xA1B2_C3D4));
        let (one, other) = bytes.split_at(bytes.len() / 2);
        for _ in 0..40 {
            assert_eq!(next(&mut source).unwrap(), Burst::Idle);
        }
        pipe.write_all(one).unwrap();
        while next(&mut source).unwrap() != Burst::Idle {}
        for _ in 0..40 {
            assert_eq!(next(&mut source).unwrap(), Burst::Idle);
        }
        pipe.write_all(other).unwrap();
        while next(&mut source).unwrap() != Burst::Idle {}
        drop(pipe);
        assert_eq!(next(&mut source).unwrap(), Burst::End);
        assert_eq!(times.len(), 3);
        assert_eq!(times[0], Timestamp::from_micros(1_000_999_999));
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn names_and_interfaces_are_bounded() {
    let mut file = Bytes::new(false);
    file.section();
    let name = vec![b'n'; 60_000];
    file.interface(1, 0, &[(2, &name)]);
    for _ in 0..65_535 {
        file.interface(1, 0, &[]);
    }
    file.enhanced(65_535, 1, b"x");
    let whole = read(&file.bytes);
    assert!(whole.error.is_none(), "{:?}", whole.error);
    assert_eq!(whole.packets.get(0).unwrap().iface, IfaceId(65_535));
    assert_eq!(whole.packets.get(0).unwrap().link, LinkType::ETHERNET);
    assert_eq!(whole.interfaces[0].0.len(), 256);
    file.interface(1, 0, &[]);
    let (_, what) = read(&file.bytes).broken().map(|(at, what)| (at, what.to_owned())).unwrap();
    assert_eq!(what, "more than 65536 interfaces");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever bytes come, reading ends, within its memory, with a place inside the file.
    #[test]
    fn any_bytes(
        begin in 0_usize..8,
        noise in prop::collection::vec(any::<u8>(), 0..2_000),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
    ) {
        let mut bytes = match begin {
            0 => Vec::new(),
            1 => pcap(false, 0xA1B2_C3D4),
            2 => pcap(true, 0xA1B2_3C4D),
            3 => pcapng(false),
            4 => pcapng(true),
            5 => gzip(&pcapng(false)),
            6 => zstd(&pcap(false, 0xA1B2_CD34)),
            _ => Bytes::new(true).section().interface(1, 0, &[]).bytes.clone(),
        };
        for (place, value) in changes {
            if !bytes.is_empty() {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
        }
        let packed = bytes.starts_with(&[0x1F, 0x8B]) || bytes.starts_with(&[0x28, 0xB5]);
        bytes.extend(noise);
        let read = read_with(&bytes, FileOptions { buffer_bytes: 4096 });
        if !packed {
            let captured: usize = read.packets.iter().map(|packet| packet.data.len()).sum();
            prop_assert!(captured <= bytes.len());
            if let Some((offset, _)) = read.broken() {
                prop_assert!(offset <= bytes.len() as u64);
            }
        }
        for packet in read.packets.iter() {
            prop_assert!(packet.wire_len as usize >= packet.data.len());
        }
    }
}
