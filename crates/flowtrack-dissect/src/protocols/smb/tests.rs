//! Messages too long for a conversation file.

use super::*;
use crate::FileDone;
use flowtrack_event::{FileState, FlowKey, IpProto, Timestamp};

/// A message of SMB 2 in its session packet.
fn message(command: u16, id: u64, response: bool, body: &[u8]) -> Vec<u8> {
    let mut header = b"\xfeSMB\x40\0\x01\0\0\0\0\0".to_vec();
    header.extend(command.to_le_bytes());
    header.extend([1, 0, u8::from(response), 0, 0, 0, 0, 0, 0, 0]);
    header.extend(id.to_le_bytes());
    header.extend([0; 32]);
    let length = (header.len() + body.len()) as u32;
    let mut packet = length.to_be_bytes().to_vec();
    packet.extend(header);
    packet.extend(body);
    packet
}

fn write(offset: u64, data: &[u8]) -> Vec<u8> {
    let mut body = vec![49, 0, 112, 0];
    body.extend((data.len() as u32).to_le_bytes());
    body.extend(offset.to_le_bytes());
    body.extend([7; 16]);
    body.extend([0; 16]);
    body.extend(data);
    body
}

/// Feeds pieces of `size` bytes, with one piece lost.
fn run(stream: &[u8], size: usize, lost: Option<usize>) -> FileDone {
    let wants = Wants { records: true, files: true, hashes: true, ..Wants::default() };
    let mut reading = Smb.dissector(wants).unwrap();
    let key = FlowKey {
        src: [192, 0, 2, 1].into(),
        dst: [198, 51, 100, 2].into(),
        src_port: 40_000,
        dst_port: 445,
        proto: IpProto::TCP,
    };
    let ts = Timestamp::from_secs(1_700_000_000);
    let at = Moment { ts, packet: 1, key: &key, midstream: false };
    let mut out = Outcome::default();
    for (number, piece) in stream.chunks(size).enumerate() {
        let chunk =
            if lost == Some(number) { Chunk::Gap(piece.len() as u64) } else { Chunk::Bytes(piece) };
        reading.feed(&at, Direction::ToServer, chunk, &mut out).unwrap();
    }
    let answer = message(6, 3, true, &[60, 0]);
    reading.feed(&at, Direction::ToClient, Chunk::Bytes(&answer), &mut out).unwrap();
    assert_eq!(out.files.len(), 1);
    out.files.remove(0)
}

fn upload(contents: &[u8]) -> Vec<u8> {
    let mut close = vec![24, 0, 0, 0, 0, 0, 0, 0];
    close.extend([7; 16]);
    let (first, second) = contents.split_at(300_000);
    let mut stream = message(9, 1, false, &write(0, first));
    stream.extend(message(9, 2, false, &write(300_000, second)));
    stream.extend(message(6, 3, false, &close));
    stream
}

#[test]
fn contents_of_long_messages_are_followed_without_being_held() {
    let contents: Vec<u8> = (0..700_000_u32).map(|n| (n % 251) as u8).collect();
    let stream = upload(&contents);
    for size in [1460, 65_536, usize::MAX] {
        let file = run(&stream, size, None);
        assert_eq!((file.size, file.state), (700_000, FileState::Closed));
        let sha256 = crate::hex(&file.hashes.unwrap().sha256);
        assert_eq!(sha256, crate::sha256_hex(&contents));
    }
}

#[test]
fn a_hole_in_a_long_message_is_a_hole_in_its_file() {
    let stream = upload(&vec![1; 700_000]);
    for lost in [1, 60, 150, 300] {
        let file = run(&stream, 1460, Some(lost));
        assert_eq!((file.gaps, file.state), (true, FileState::Truncated), "piece {lost}");
        assert_eq!(file.size, 700_000, "piece {lost}");
    }
}
