//! Session descriptions (SDP, RFC 8866).

use crate::Expectation;
use flowtrack_event::{AppProto, WireText};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::net::IpAddr;

/// Lines kept of one description.
const LINES_CAP: usize = 512;
/// Media whose flows are expected.
const MEDIA_CAP: usize = 16;

/// A session description: its lines by type, the media each with its own.
#[derive(Default, Debug)]
pub struct Sdp {
    session: Lines,
    media: Vec<Lines>,
}

/// Lines of the session or of one medium: type and value.
#[derive(Default, Debug)]
struct Lines(Vec<(u8, Vec<u8>)>);

impl Lines {
    fn all(&self, kind: u8) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter(move |(k, _)| *k == kind).map(|(_, value)| value.as_slice())
    }

    fn first(&self, kind: u8) -> Option<&[u8]> {
        self.all(kind).next()
    }
}

impl Sdp {
    /// Reads a description; `None` where it does not begin like one.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut it = Self::default();
        for line in bytes.split(|&b| b == b'\n').take(LINES_CAP) {
            let line = line.trim_ascii_end();
            let Some((&[kind, b'='], value)) = line.split_first_chunk::<2>() else { continue };
            if kind == b'm' {
                it.media.push(Lines::default());
            }
            let lines = it.media.last_mut().unwrap_or(&mut it.session);
            lines.0.push((kind, value.to_vec()));
        }
        it.session.first(b'v').is_some().then_some(it)
    }

    /// The flows of its media, which are RTP and, one port above, RTCP.
    pub fn media_endpoints(&self, mut expect: impl FnMut(Expectation)) {
        for media in self.media.iter().take(MEDIA_CAP) {
            let Some(line) = media.first(b'm').and_then(|m| std::str::from_utf8(m).ok()) else {
                continue;
            };
            let mut words = line.split(' ').skip(1);
            let port = words.next().and_then(|w| w.split('/').next()?.parse::<u16>().ok());
            let is_rtp = words.next().is_some_and(|profile| profile.contains("RTP/"));
            let connection = media.first(b'c').or_else(|| self.session.first(b'c'));
            let address = connection.and_then(address);
            // Port 0 refuses the medium.
            if let (Some(port @ 1024..=65_534), true, Some(ip)) = (port, is_rtp, address) {
                for (port, name) in [(port, "rtp"), (port + 1, "rtcp")] {
                    expect(Expectation {
                        responder: (ip, port),
                        originator: None,
                        udp: true,
                        protocol: AppProto(name),
                        transfer: None,
                    });
                }
            }
        }
    }

    /// Visits the values of `sdp.<name>`.
    pub fn buffer(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
        if let Some(name) = name.strip_prefix("media.") {
            let kind = match name {
                "media" => b'm',
                "media_info" => b'i',
                "connection_data" => b'c',
                "encryption_key" => b'k',
                _ => return,
            };
            self.media.iter().flat_map(|m| m.all(kind)).for_each(visit);
            return;
        }
        let kind = match name {
            "origin" => b'o',
            "session_name" => b's',
            "session_info" => b'i',
            "uri" => b'u',
            "email" => b'e',
            "phone_number" => b'p',
            "connection_data" => b'c',
            "bandwidth" => b'b',
            "time" => b't',
            "repeat_time" => b'r',
            "timezone" => b'z',
            "encryption_key" => b'k',
            "attribute" => b'a',
            _ => return,
        };
        self.session.all(kind).for_each(&mut *visit);
        if matches!(name, "bandwidth" | "attribute") {
            self.media.iter().flat_map(|m| m.all(kind)).for_each(visit);
        }
    }
}

/// The address of connection data, such as `IN IP4 192.0.2.1/127`.
fn address(connection: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(connection).ok()?;
    let ip: IpAddr = text.split(' ').nth(2)?.split('/').next()?.parse().ok()?;
    (!ip.is_unspecified()).then_some(ip)
}

impl Serialize for Sdp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let session = &self.session;
        let mut map = s.serialize_map(None)?;
        let version = session.first(b'v').and_then(|v| std::str::from_utf8(v).ok()?.parse().ok());
        map.serialize_entry("version", &version.unwrap_or(0u32))?;
        for (name, kind) in [
            ("origin", b'o'),
            ("session_name", b's'),
            ("session_info", b'i'),
            ("uri", b'u'),
            ("email", b'e'),
            ("phone_number", b'p'),
            ("connection_data", b'c'),
            ("timezone", b'z'),
            ("encryption_key", b'k'),
        ] {
            one(&mut map, name, session, kind)?;
        }
        for (name, kind) in [("bandwidths", b'b'), ("attributes", b'a')] {
            many(&mut map, name, session, kind)?;
        }
        let times = Times(session);
        if session.first(b't').is_some() {
            map.serialize_entry("time_descriptions", &times)?;
        }
        if !self.media.is_empty() {
            let media: Vec<_> = self.media.iter().map(Media).collect();
            map.serialize_entry("media_descriptions", &media)?;
        }
        map.end()
    }
}

fn one<M: SerializeMap>(
    map: &mut M,
    name: &'static str,
    lines: &Lines,
    kind: u8,
) -> Result<(), M::Error> {
    lines.first(kind).map_or(Ok(()), |value| map.serialize_entry(name, &WireText(value)))
}

fn many<M: SerializeMap>(
    map: &mut M,
    name: &'static str,
    lines: &Lines,
    kind: u8,
) -> Result<(), M::Error> {
    let values: Vec<_> = lines.all(kind).map(WireText).collect();
    if values.is_empty() { Ok(()) } else { map.serialize_entry(name, &values) }
}

/// Each time, and how it repeats if it does.
struct Times<'a>(&'a Lines);

impl Serialize for Times<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Row<'a> {
            time: WireText<'a>,
            #[serde(skip_serializing_if = "Option::is_none")]
            repeat_time: Option<WireText<'a>>,
        }
        let mut rows: Vec<Row<'_>> = Vec::new();
        for (kind, value) in &self.0.0 {
            match (kind, rows.last_mut()) {
                (b't', _) => rows.push(Row { time: WireText(value), repeat_time: None }),
                (b'r', Some(row)) => row.repeat_time = Some(WireText(value)),
                _ => {}
            }
        }
        s.collect_seq(rows)
    }
}

struct Media<'a>(&'a Lines);

impl Serialize for Media<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        for (name, kind) in [
            ("media", b'm'),
            ("media_info", b'i'),
            ("connection_data", b'c'),
            ("encryption_key", b'k'),
        ] {
            one(&mut map, name, self.0, kind)?;
        }
        for (name, kind) in [("bandwidths", b'b'), ("attributes", b'a')] {
            many(&mut map, name, self.0, kind)?;
        }
        map.end()
    }
}
