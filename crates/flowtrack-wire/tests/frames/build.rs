//! Frames, layer by layer.

pub const SRC_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const DST_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

pub const UDP: u8 = 17;

/// Joins parts.
#[macro_export]
macro_rules! bytes {
    ($($part:expr),* $(,)?) => {{
        let mut all: Vec<u8> = Vec::new();
        $(all.extend_from_slice(&$part[..]);)*
        all
    }};
}

pub fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    bytes![DST_MAC, SRC_MAC, kind.to_be_bytes(), payload]
}

/// 10.0.0.1 to 10.0.0.2, without options.
pub fn ipv4(proto: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_options(proto, &[], payload)
}

/// The same with options, whose length must be a multiple of 4.
pub fn ipv4_options(proto: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let words = 5 + options.len() / 4;
    let total = (words * 4 + payload.len()) as u16;
    bytes![
        [0x40 | words as u8, 0x10],
        total.to_be_bytes(),
        [0x12, 0x34, 0x40, 0, 64, proto, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2],
        options,
        payload
    ]
}

/// `2001:db8::1` to `2001:db8::2`.
pub fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    bytes![
        [0x6a, 0xb0, 0, 0],
        (payload.len() as u16).to_be_bytes(),
        [next, 64],
        [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2],
        payload
    ]
}

/// Port 40000 to 80, PSH and ACK, options padded to words.
pub fn tcp(options: &[u8], payload: &[u8]) -> Vec<u8> {
    let words = 5 + options.len().div_ceil(4);
    let padding = words * 4 - 20 - options.len();
    bytes![
        [0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, (words as u8) << 4, 0x18, 1, 2, 0, 0, 0, 3],
        options,
        vec![0; padding],
        payload
    ]
}

pub fn udp(src: u16, dst: u16, payload: &[u8]) -> Vec<u8> {
    let len = (8 + payload.len()) as u16;
    bytes![src.to_be_bytes(), dst.to_be_bytes(), len.to_be_bytes(), [0, 0], payload]
}

/// A whole small UDP packet in IPv4.
pub fn udp4() -> Vec<u8> {
    ipv4(UDP, &udp(1000, 2000, b"data"))
}

/// A whole small UDP packet in IPv6.
pub fn udp6() -> Vec<u8> {
    ipv6(UDP, &udp(1000, 2000, b"data"))
}

/// An ICMP message of eight bytes and a body.
pub fn icmp(kind: u8, code: u8, body: &[u8]) -> Vec<u8> {
    bytes![[kind, code, 0, 0, 0x11, 0x11, 0x22, 0x22], body]
}

/// A GRE header with these flags, options included in the body.
pub fn gre(flags: u16, protocol: u16, body: &[u8]) -> Vec<u8> {
    bytes![flags.to_be_bytes(), protocol.to_be_bytes(), body]
}
