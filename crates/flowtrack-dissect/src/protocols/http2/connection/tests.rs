//! Floods: what grows, and what is told of it.

use super::*;
use flowtrack_event::{FlowKey, IpProto};

/// A frame with its header.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// `GET /`, as one byte each.
const GET: &[u8] = &[0x82, 0x84];

fn request(stream: u32, ends: bool) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_HEADERS | u8::from(ends), stream, GET)
}

/// Feeds what a client sends behind its preface; every frame at a time.
struct Client {
    connection: Connection,
    key: FlowKey,
    secs: u64,
}

impl Client {
    fn new() -> Self {
        let wants =
            Wants { records: true, buffers: true, files: true, hashes: false, contents: None };
        let key = FlowKey {
            src: [192, 0, 2, 1].into(),
            dst: [192, 0, 2, 2].into(),
            src_port: 40_000,
            dst_port: 8443,
            proto: IpProto::TCP,
        };
        let mut it = Self { connection: Connection::new(wants), key, secs: 1_700_000_000 };
        it.says(PREFACE);
        it
    }

    fn turn(&mut self, direction: Direction, bytes: &[u8]) -> Outcome {
        let ts = Timestamp::from_secs(self.secs as i64);
        let at = Moment { ts, packet: 1, key: &self.key, midstream: false };
        let mut out = Outcome::default();
        self.connection.feed(&at, direction, Chunk::Bytes(bytes), &mut out).unwrap();
        out
    }

    fn says(&mut self, bytes: &[u8]) -> Outcome {
        self.turn(Direction::ToServer, bytes)
    }
}

fn names(out: &Outcome) -> Vec<&str> {
    out.anomalies.iter().map(|raised| raised.name).collect()
}

#[test]
fn streams_taken_back_at_once_are_a_flood() {
    let mut client = Client::new();
    let mut found = Vec::new();
    let mut transactions = 0;
    for id in (1..=2 * RESETS_USUAL + 1).step_by(2) {
        client.says(&request(id, true));
        let out = client.says(&frame(kind::RST_STREAM, 0, id, &8_u32.to_be_bytes()));
        transactions += out.transactions.len();
        found.extend(names(&out).into_iter().map(str::to_owned));
        assert!(client.connection.streams.len() <= LINGERING_CAP);
    }
    assert_eq!(found, ["rapid_reset"]);
    // Besides the streams, one transaction tells of the flood itself.
    assert_eq!(transactions, RESETS_USUAL as usize + 1 - LINGERING_CAP + 1);
}

#[test]
fn an_answer_that_was_on_its_way_is_still_read() {
    let mut client = Client::new();
    client.says(&request(1, true));
    let out = client.says(&frame(kind::RST_STREAM, 0, 1, &8_u32.to_be_bytes()));
    assert!(out.transactions.is_empty());
    let mut answer = frame(kind::HEADERS, flag::END_HEADERS, 1, &[0x88]);
    answer.extend(frame(kind::DATA, flag::END_STREAM, 1, b"late"));
    let out = client.turn(Direction::ToClient, &answer);
    assert_eq!(out.transactions[0].transaction.summary(), "GET / 200 CANCEL");
    assert!(out.anomalies.is_empty());
    // Nobody waits for ever.
    client.says(&request(3, true));
    client.says(&frame(kind::RST_STREAM, 0, 3, &8_u32.to_be_bytes()));
    client.secs += 2;
    let out = client.says(&frame(kind::PING, 0, 0, b"12345678"));
    assert_eq!(out.transactions.len(), 2);
}

#[test]
fn streams_taken_back_now_and_then_are_none() {
    let mut client = Client::new();
    for id in (1..=6 * RESETS_USUAL).step_by(2) {
        client.secs += u64::from(id % 20 == 1);
        client.says(&request(id, true));
        let out = client.says(&frame(kind::RST_STREAM, 0, id, &8_u32.to_be_bytes()));
        assert_eq!(names(&out), [""; 0]);
    }
}

#[test]
fn open_streams_are_capped() {
    let mut client = Client::new();
    let mut told = 0;
    let mut given_up = 0;
    for id in (1..=2 * STREAMS_CAP as u32 + 99).step_by(2) {
        let out = client.says(&request(id, true));
        told += names(&out).iter().filter(|name| **name == "too_many_streams").count();
        given_up += out.transactions.len();
    }
    assert_eq!((client.connection.streams.len(), told), (STREAMS_CAP, 1));
    // One transaction tells of the flood itself.
    assert_eq!(given_up, 50 + 1);
}

#[test]
fn what_streams_keep_is_capped() {
    let mut client = Client::new();
    let body = vec![b'x'; 16_000];
    for id in (1..=400).step_by(2) {
        client.says(&request(id, false));
        for _ in 0..8 {
            client.says(&frame(kind::DATA, 0, id, &body));
            assert!(client.connection.weight <= WEIGHT_CAP);
        }
    }
    let weight: usize = client.connection.streams.values().map(Stream::weight).sum();
    assert_eq!(client.connection.weight, weight);
    assert!(client.connection.streams.len() > 10);
}

#[test]
fn frames_about_the_connection_are_capped() {
    let mut client = Client::new();
    let ping = frame(kind::PING, 0, 0, b"12345678");
    let mut transactions = 0;
    let mut told = 0;
    for _ in 0..CONTROL_CAP + 1000 {
        let out = client.says(&ping);
        transactions += out.transactions.len();
        told += names(&out).len();
    }
    assert_eq!((transactions, told), (CONTROL_CAP as usize + 1, 1));
}

#[test]
fn pieces_of_a_block_are_capped() {
    for piece in [&[][..], &[0; 4096]] {
        let mut client = Client::new();
        client.says(&frame(kind::HEADERS, 0, 1, GET));
        let mut told = Vec::new();
        for _ in 0..2 * PIECES_CAP {
            let out = client.says(&frame(kind::CONTINUATION, 0, 1, piece));
            told.extend(names(&out).into_iter().map(str::to_owned));
            let block = client.connection.ways.to_server.block.as_ref();
            assert!(block.is_none_or(|block| block.bytes.len() <= HELD_CAP));
        }
        assert_eq!(told, ["reassembly_limit_reached"]);
    }
}

#[test]
fn bodies_that_are_decoded_at_a_time_are_capped() {
    let mut client = Client::new();
    // `content-encoding: br`, by the table's name.
    let head = [GET, &[0x0f, 0x0b, 2], b"br"].concat();
    let mut told = 0;
    for id in (1..=100).step_by(2) {
        client.says(&frame(kind::HEADERS, flag::END_HEADERS, id, &head));
        let out = client.says(&frame(kind::DATA, 0, id, b"\x0b\x02\x80"));
        told += names(&out).len();
    }
    assert_eq!((client.connection.decoding, told), (16, 50 - 16));
}

#[test]
fn nothing_stays_of_streams_that_are_over() {
    let mut client = Client::new();
    for id in (1..=4001).step_by(2) {
        let mut bytes = request(id, false);
        bytes.extend(frame(kind::DATA, flag::END_STREAM, id, &[b'x'; 100]));
        for piece in bytes.chunks(7) {
            client.says(piece);
            assert!(client.connection.ways.to_server.pending.len() < HEADER + GET.len());
        }
        let ends = flag::END_HEADERS | flag::END_STREAM;
        let out = client.turn(Direction::ToClient, &frame(kind::HEADERS, ends, id, &[0x88]));
        assert_eq!(out.transactions[0].transaction.summary(), "GET / 200");
        assert_eq!((client.connection.streams.len(), client.connection.weight), (0, 0));
    }
    assert!(client.connection.lingering.is_empty());
}
