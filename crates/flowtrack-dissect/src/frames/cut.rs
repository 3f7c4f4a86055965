//! Where the frames of each protocol begin and end.

use flowtrack_event::Direction;
use smallvec::{SmallVec, smallvec};

/// Names and places of what a frame has in it.
pub(super) type Parts = SmallVec<[(&'static str, usize, usize); 4]>;

/// Finds the place at which frames begin again.
pub(super) type Resume = fn(&[u8]) -> Option<usize>;

/// What bytes begin with.
#[derive(Debug)]
pub(super) enum Cut {
    /// A frame of so many bytes, as far as they are there; one without parts is passed over.
    Frame { len: usize, parts: Parts },
    /// More bytes tell.
    More,
    /// Nothing that is known.
    Lost,
}

/// What is known of one direction.
#[derive(Debug)]
pub(super) struct Way {
    direction: Direction,
    /// Whether its first bytes were seen: a preface, a greeting.
    begun: bool,
    /// Whether a mail is on its way.
    in_data: bool,
    /// How to find a frame again, where that can be.
    pub(super) resume: Option<Resume>,
    /// Bytes behind a hole that still belong to a frame, and its parts.
    pub(super) left: Option<(usize, Parts)>,
}

impl Way {
    pub(super) const fn new(direction: Direction) -> Self {
        Self { direction, begun: false, in_data: false, resume: None, left: None }
    }
}

/// How the frames of a protocol are found.
pub(super) fn of(app: &str, is_udp: bool) -> Option<fn(&mut Way, &[u8]) -> Cut> {
    Some(match (app, is_udp) {
        ("tls", false) => |way, b| {
            way.resume = Some(|b| matches!(b, [20..=25, 3, ..]).then_some(0));
            resumed(way, b, tls)
        },
        ("smb", false) => |way, b| {
            way.resume = Some(next_smb);
            resumed(way, b, smb)
        },
        ("ssh", false) => |way, b| resumed(way, b, ssh),
        ("smtp", false) => |way, b| {
            way.resume = Some(next_line);
            smtp(way, b)
        },
        ("telnet", false) => |way, b| {
            way.resume = Some(next_line);
            telnet(way, b)
        },
        ("http2" | "doh2", false) => |way, b| resumed(way, b, http2),
        ("dcerpc", false) => |way, b| resumed(way, b, dcerpc),
        ("enip", false) => |way, b| resumed(way, b, enip),
        ("ldap", false) => |way, b| resumed(way, b, ldap),
        ("dns", false) => |way, b| resumed(way, b, dns),
        ("dns", true) => |_, b| whole("frame.dns.pdu", b.len()),
        ("snmp", true) => |_, b| whole("frame.snmp.pdu", b.len()),
        ("ldap", true) => |_, b| whole("frame.ldap.pdu", b.len()),
        ("enip", true) => enip,
        ("sip", true) => |way, b| sip(way, b, true),
        ("sip", false) => |way, b| resumed(way, b, |way, b| sip(way, b, false)),
        _ => return None,
    })
}

fn next_line(b: &[u8]) -> Option<usize> {
    memchr::memchr(b'\n', b).map(|at| at + 1)
}

/// Gives what is left of a frame behind a hole, then goes on.
fn resumed(way: &mut Way, b: &[u8], cut: fn(&mut Way, &[u8]) -> Cut) -> Cut {
    match way.left.take() {
        None | Some((0, _)) => cut(way, b),
        Some((left, parts)) => {
            let whole = parts.first().map(|(name, ..)| (*name, 0, left));
            let last = parts.last().map(|(name, ..)| (*name, 0, left));
            if b.len() < left {
                way.left = Some((left, parts));
            }
            let mut parts: Parts = whole.into_iter().collect();
            parts.extend(last.filter(|last| whole.is_none_or(|(name, ..)| name != last.0)));
            Cut::Frame { len: left, parts }
        }
    }
}

fn whole(name: &'static str, len: usize) -> Cut {
    Cut::Frame { len, parts: smallvec![(name, 0, len)] }
}

fn be16(b: &[u8], at: usize) -> Option<usize> {
    b.get(at..)?.first_chunk().map(|bytes| usize::from(u16::from_be_bytes(*bytes)))
}

fn be32(b: &[u8], at: usize) -> Option<usize> {
    b.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes) as usize)
}

fn le16(b: &[u8], at: usize) -> Option<usize> {
    b.get(at..)?.first_chunk().map(|bytes| usize::from(u16::from_le_bytes(*bytes)))
}

/// Header, data and both of a frame.
fn three(names: [&'static str; 3], header: usize, len: usize) -> Parts {
    let [pdu, hdr, data] = names;
    smallvec![(pdu, 0, len), (hdr, 0, header), (data, header, len)]
}

/// Records of TLS (RFC 8446 section 5.1).
fn tls(_: &mut Way, b: &[u8]) -> Cut {
    let Some(&[kind, major, _, high, low]) = b.first_chunk() else { return Cut::More };
    if !matches!(kind, 20..=25) || major != 3 {
        return Cut::Lost;
    }
    let len = 5 + usize::from(u16::from_be_bytes([high, low]));
    let mut parts = three(["frame.tls.pdu", "frame.tls.hdr", "frame.tls.data"], 5, len);
    match kind {
        21 => parts.push(("frame.tls.alert", 5, len)),
        24 => parts.push(("frame.tls.heartbeat", 5, len)),
        _ => {}
    }
    Cut::Frame { len, parts }
}

/// Messages of SMB behind a header of NetBIOS, several in one where they are compounded.
fn smb(_: &mut Way, b: &[u8]) -> Cut {
    let Some(&[kind, _, high, low]) = b.first_chunk() else { return Cut::More };
    let long = usize::from(b.get(1).copied().unwrap_or_default()) << 16;
    let len = 4 + (long | usize::from(u16::from_be_bytes([high, low])));
    let mut parts = three(["frame.nbss.pdu", "frame.nbss.hdr", "frame.nbss.data"], 4, len);
    if kind != 0 {
        return match kind {
            0x81..=0x85 => Cut::Frame { len, parts },
            _ => Cut::Lost,
        };
    }
    let Some(magic) = b.get(4..8) else {
        return if len < 8 { Cut::Frame { len, parts } } else { Cut::More };
    };
    match magic {
        b"\xffSMB" => {
            parts.extend(at(["frame.smb1.pdu", "frame.smb1.hdr", "frame.smb1.data"], 4, 32, len));
        }
        b"\xfdSMB" => {
            parts.extend(at(["frame.smb3.pdu", "frame.smb3.hdr", "frame.smb3.data"], 4, 52, len));
        }
        b"\xfeSMB" => {
            let mut from = 4;
            loop {
                // Each says where the next one begins, 0 in the last.
                let next = le32(b, from + 20).unwrap_or(0);
                let to = if next < 64 { len } else { len.min(from + next) };
                let names = ["frame.smb2.pdu", "frame.smb2.hdr", "frame.smb2.data"];
                parts.extend(at(names, from, 64, to));
                if next < 64 || to >= len || parts.len() > 64 {
                    break;
                }
                from = to;
            }
        }
        _ => {}
    }
    Cut::Frame { len, parts }
}

fn le32(b: &[u8], at: usize) -> Option<usize> {
    b.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes) as usize)
}

/// The same as [`three`], from another place on.
fn at(
    [pdu, hdr, data]: [&'static str; 3],
    from: usize,
    header: usize,
    to: usize,
) -> [(&'static str, usize, usize); 3] {
    let middle = (from + header).min(to);
    [(pdu, from, to), (hdr, from, middle), (data, middle, to)]
}

/// Where a message of SMB begins again behind a hole.
fn next_smb(b: &[u8]) -> Option<usize> {
    memchr::memmem::find_iter(b, b"SMB").find_map(|found| {
        let begin = found.checked_sub(5)?;
        let is_header = b.get(begin) == Some(&0) && b.get(begin + 4).is_some_and(|m| *m >= 0xfd);
        is_header.then_some(begin)
    })
}

/// Packets of SSH behind the greeting, until they are encrypted (RFC 4253).
fn ssh(way: &mut Way, b: &[u8]) -> Cut {
    const NEW_KEYS: u8 = 21;
    if !way.begun {
        let Some(end) = memchr::memchr(b'\n', b) else { return Cut::More };
        // Other lines may stand before the greeting.
        way.begun = b.starts_with(b"SSH-");
        return Cut::Frame { len: end + 1, parts: Parts::new() };
    }
    if way.in_data {
        return Cut::Lost;
    }
    let (Some(len), Some(kind)) = (be32(b, 0), b.get(5)) else { return Cut::More };
    if len > 0x1_0000 {
        return Cut::Lost;
    }
    let len = len + 4;
    if *kind == NEW_KEYS && b.len() >= len {
        way.in_data = true;
    }
    let names = ["frame.ssh.record.pdu", "frame.ssh.record.hdr", "frame.ssh.record.data"];
    Cut::Frame { len, parts: three(names, 6.min(len), len) }
}

/// Lines of SMTP, and mails.
fn smtp(way: &mut Way, b: &[u8]) -> Cut {
    if way.in_data {
        let end = if b.starts_with(b".\r\n") {
            Some(3)
        } else {
            memchr::memmem::find(b, b"\r\n.\r\n").map(|at| at + 5)
        };
        let Some(end) = end else {
            // As far as it came, should nothing follow.
            return Cut::Frame {
                len: usize::MAX,
                parts: smallvec![("frame.smtp.data", 0, b.len())],
            };
        };
        way.in_data = false;
        return whole("frame.smtp.data", end);
    }
    let Some(end) = memchr::memchr(b'\n', b) else { return Cut::More };
    let line = b.get(..end).unwrap_or_default().trim_ascii();
    if way.direction == Direction::ToClient {
        return whole("frame.smtp.response_line", end + 1);
    }
    way.in_data = line.eq_ignore_ascii_case(b"DATA");
    whole("frame.smtp.command_line", end + 1)
}

/// Commands of Telnet, and the text between them (RFC 854).
fn telnet(_: &mut Way, b: &[u8]) -> Cut {
    const IAC: u8 = 255;
    const SE: u8 = 240;
    const SB: u8 = 250;
    match b {
        [IAC, SB, rest @ ..] => match memchr::memmem::find(rest, &[IAC, SE]) {
            Some(at) => whole("frame.telnet.ctl", at + 4),
            None => Cut::More,
        },
        [IAC, 251..=254, _, ..] => whole("frame.telnet.ctl", 3),
        [IAC] | [IAC, 251..=254] => Cut::More,
        [IAC, _, ..] => whole("frame.telnet.ctl", 2),
        text => match memchr::memchr2(b'\n', IAC, text) {
            Some(at) if text.get(at) == Some(&IAC) => whole("frame.telnet.data", at),
            Some(at) => whole("frame.telnet.data", at + 1),
            None => Cut::Frame {
                len: usize::MAX,
                parts: smallvec![("frame.telnet.data", 0, text.len())],
            },
        },
    }
}

/// Frames of HTTP/2 behind the preface (RFC 9113 section 4.1).
fn http2(way: &mut Way, b: &[u8]) -> Cut {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    if !way.begun {
        let compared = PREFACE.len().min(b.len());
        if b.get(..compared) == PREFACE.get(..compared) {
            if compared < PREFACE.len() {
                return Cut::More;
            }
            way.begun = true;
            return Cut::Frame { len: PREFACE.len(), parts: Parts::new() };
        }
        way.begun = true;
    }
    let Some(&[a, high, low]) = b.first_chunk() else { return Cut::More };
    let len = 9 + (usize::from(a) << 16 | usize::from(u16::from_be_bytes([high, low])));
    let names = ["frame.http2.pdu", "frame.http2.hdr", "frame.http2.data"];
    Cut::Frame { len, parts: three(names, 9, len) }
}

/// Fragments of DCE/RPC, in the order of bytes that they name.
fn dcerpc(_: &mut Way, b: &[u8]) -> Cut {
    let Some(order) = b.get(4) else { return Cut::More };
    let len = if order & 0x10 != 0 { le16(b, 8) } else { be16(b, 8) };
    let Some(len) = len else { return Cut::More };
    if b.first() != Some(&5) || len < 16 {
        return Cut::Lost;
    }
    let names = ["frame.dcerpc.pdu", "frame.dcerpc.hdr", "frame.dcerpc.data"];
    Cut::Frame { len, parts: three(names, 16, len) }
}

/// Messages of EtherNet/IP.
fn enip(_: &mut Way, b: &[u8]) -> Cut {
    let Some(len) = le16(b, 2) else { return Cut::More };
    let names = ["frame.enip.pdu", "frame.enip.hdr", "frame.enip.data"];
    Cut::Frame { len: 24 + len, parts: three(names, 24, 24 + len) }
}

/// Messages of LDAP by their BER length.
fn ldap(_: &mut Way, b: &[u8]) -> Cut {
    let (Some(tag), Some(first)) = (b.first(), b.get(1)) else { return Cut::More };
    if *tag != 0x30 {
        return Cut::Lost;
    }
    let more = usize::from(first & 0x7f);
    let len = match (first & 0x80, more) {
        (0, len) => 2 + len,
        (_, 1..=4) => {
            let Some(bytes) = b.get(2..2 + more) else { return Cut::More };
            2 + more + bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte))
        }
        _ => return Cut::Lost,
    };
    whole("frame.ldap.pdu", len)
}

/// Messages of DNS behind their length.
fn dns(_: &mut Way, b: &[u8]) -> Cut {
    let Some(len) = be16(b, 0) else { return Cut::More };
    Cut::Frame { len: 2 + len, parts: smallvec![("frame.dns.pdu", 2, 2 + len)] }
}

/// Messages of SIP: first line, fields and body.
fn sip(way: &mut Way, b: &[u8], is_udp: bool) -> Cut {
    if b.starts_with(b"\r\n") {
        return Cut::Frame { len: 2, parts: Parts::new() };
    }
    let Some(empty) = memchr::memmem::find(b, b"\r\n\r\n") else {
        return if is_udp { whole("frame.sip.pdu", b.len()) } else { Cut::More };
    };
    let head = b.get(..empty + 2).unwrap_or(b);
    let line = memchr::memchr(b'\n', head).map_or(head.len(), |at| at + 1);
    let from = empty + 4;
    let len = if is_udp { b.len() } else { from.saturating_add(content_length(head)) };
    let (first, headers, body) = match way.direction {
        Direction::ToServer => {
            ("frame.sip.request.line", "frame.sip.request.headers", "frame.sip.request.body")
        }
        Direction::ToClient => {
            ("frame.sip.response.line", "frame.sip.response.headers", "frame.sip.response.body")
        }
    };
    let parts = smallvec![
        ("frame.sip.pdu", 0, len),
        (first, 0, line),
        (headers, line, head.len()),
        (body, from, len),
    ];
    Cut::Frame { len, parts }
}

/// Bytes of the body (RFC 3261 section 20.14).
fn content_length(head: &[u8]) -> usize {
    let value = head.split(|b| *b == b'\n').find_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        let (name, value) = line.split_at_checked(colon)?;
        let name = name.trim_ascii();
        let is_it = name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"l");
        is_it.then(|| value.get(1..).unwrap_or_default().trim_ascii())
    });
    value.and_then(|value| std::str::from_utf8(value).ok()?.parse().ok()).unwrap_or(0)
}
