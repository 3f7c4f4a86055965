use super::*;
use flowtrack_event::{FlowKey, IpProto};

fn probe(direction: Direction, bytes: &[u8], midstream: bool) -> Probe {
    let key = FlowKey {
        src: [192, 0, 2, 1].into(),
        dst: [192, 0, 2, 2].into(),
        src_port: 40_000,
        dst_port: 443,
        proto: IpProto::TCP,
    };
    Http2.probe(&First { udp: false, direction, bytes, key: &key, midstream, expected: None })
}

const FOUND: Probe = Probe::Match(Confidence::Content);
const EMPTY_SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

#[test]
fn a_client_is_known_by_its_preface() {
    for n in 0..PREFACE.len() {
        assert_eq!(probe(Direction::ToServer, &PREFACE[..n], false), Probe::NeedMore);
    }
    assert_eq!(probe(Direction::ToServer, PREFACE, false), FOUND);
    assert_eq!(probe(Direction::ToServer, b"PRI * HTTP/1.1\r\n", false), Probe::No);
    // Frames alone begin no connection.
    assert_eq!(probe(Direction::ToServer, EMPTY_SETTINGS, false), Probe::No);
}

#[test]
fn a_server_is_known_by_its_settings() {
    for n in 0..EMPTY_SETTINGS.len() {
        assert_eq!(probe(Direction::ToClient, &EMPTY_SETTINGS[..n], false), Probe::NeedMore);
    }
    assert_eq!(probe(Direction::ToClient, EMPTY_SETTINGS, false), FOUND);
    let more = [EMPTY_SETTINGS, &[0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 1, 0, 0]].concat();
    assert_eq!(probe(Direction::ToClient, &more, false), FOUND);
    for other in [
        // Behind the settings comes what is no frame; settings that no server has; zeros; TLS.
        &[EMPTY_SETTINGS, b"HTTP/1.1 200"].concat()[..],
        &[0, 0, 5, 4, 0, 0, 0, 0, 0],
        &[0; 20],
        b"\x16\x03\x03\0\x7a\x02\0\0\x76",
    ] {
        assert_eq!(probe(Direction::ToClient, other, false), Probe::No, "{other:x?}");
    }
}

#[test]
fn in_the_middle_frames_in_a_row_are_asked_for() {
    let window = [0, 0, 4, 8, 0, 0, 0, 0, 7, 0, 0, 1, 0];
    let ping = [0, 0, 8, 6, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    let both = [&window[..], &ping].concat();
    for direction in [Direction::ToServer, Direction::ToClient] {
        assert_eq!(probe(direction, &both, true), Probe::Match(Confidence::Heuristic));
        assert_eq!(probe(direction, &window, true), Probe::NeedMore);
        assert_eq!(probe(direction, &[&window[..], b"no frame at all"].concat(), true), Probe::No);
        assert_eq!(probe(direction, &[0; 64], true), Probe::No);
        assert_eq!(probe(direction, b"\0\0\0\x2d\xffSMB", true), Probe::NeedMore);
        assert_eq!(probe(direction, b"\0\0\0\x2d\xffSMBr\0\0\0", true), Probe::No);
    }
}
