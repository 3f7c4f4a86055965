//! SSH (RFC 4253): software of both sides, the HASSH fingerprints of their key exchange, and by the
//! sizes of encrypted answers whether somebody was let in.

mod attempts;

use crate::{
    Dissector, Field, First, Keyword, Malformed, Moment, Next, Outcome, Pending, Probe, Protocol,
    Reader, Take, Transport, Wants, md5_hex,
};
use attempts::Attempts;
use flowtrack_event::{AppProto, Chunk, Direction, Encryption, Secret, Transaction, WireText};
use serde::{Serialize, Serializer};

const NAME: AppProto = AppProto("ssh");

/// Longest identification string kept; RFC 4253 section 4.2 allows 255.
const BANNER_CAP: usize = 512;
/// Longest packet before encryption; RFC 4253 section 6.1 asks for 35,000.
const PACKET_CAP: usize = 64 * 1024;
/// Lines a server may send before its identification string.
const PREAMBLE_LINES: u8 = 16;
const MSG_KEXINIT: u8 = 20;
const MSG_NEWKEYS: u8 = 21;

const FIELDS: &[Field] = &[
    Field::eve("client.proto_version", "string", "protocol version of the client"),
    Field::eve("client.software_version", "string", "software of the client"),
    Field::eve("client.hassh.hash", "string", "HASSH: MD5 of the client's algorithms"),
    Field::eve("client.hassh.string", "string", "the client's algorithms"),
    Field::eve("server.proto_version", "string", "protocol version of the server"),
    Field::eve("server.software_version", "string", "software of the server"),
    Field::eve("server.hassh.hash", "string", "HASSH of the server"),
    Field::eve("server.hassh.string", "string", "the server's algorithms"),
];

/// SSH.
pub struct Ssh;

impl Protocol for Ssh {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn ports(&self) -> &'static [u16] {
        &[22]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        Probe::prefix(first.bytes, b"SSH-")
    }

    fn dissector(&self, wants: Wants) -> Option<Box<dyn Dissector>> {
        (wants.records || wants.buffers).then(|| Box::<Reading>::default() as Box<dyn Dissector>)
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    fn keywords(&self) -> &'static [Keyword] {
        KEYWORDS
    }
}

const KEYWORDS: &[Keyword] = &[
    Keyword::buffer("ssh.proto", "version of the protocol"),
    Keyword::buffer("ssh.software", "name and version of the software"),
    Keyword::buffer("ssh.hassh", "MD5 of what the client offers").to_server(),
    Keyword::buffer("ssh.hassh.string", "what the client offers").to_server(),
    Keyword::buffer("ssh.hassh.server", "MD5 of what the server offers").to_client(),
    Keyword::buffer("ssh.hassh.server.string", "what the server offers").to_client(),
];

/// What both sides said before encryption began.
#[derive(Clone, Default, Debug, Serialize)]
struct Session {
    #[serde(skip_serializing_if = "Peer::is_silent")]
    client: Peer,
    #[serde(skip_serializing_if = "Peer::is_silent")]
    server: Peer,
}

/// What one side said.
#[derive(Clone, Default, Debug, Serialize)]
struct Peer {
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "text")]
    proto_version: Vec<u8>,
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "text")]
    software_version: Vec<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hassh: Option<Hassh>,
}

#[derive(Clone, Debug, Serialize)]
struct Hassh {
    hash: String,
    string: String,
}

fn text<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
    WireText(bytes).serialize(s)
}

impl Peer {
    fn is_silent(&self) -> bool {
        self.proto_version.is_empty()
    }
}

impl Transaction for Session {
    fn protocol(&self) -> AppProto {
        NAME
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn buffer_towards(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(&[u8])) {
        let is_client = direction == Direction::ToServer;
        let peer = if is_client { &self.client } else { &self.server };
        if peer.is_silent() {
            return;
        }
        let hassh = peer.hassh.as_ref();
        let hassh = match name {
            "ssh.proto" => return visit(&peer.proto_version),
            "ssh.software" => return visit(&peer.software_version),
            "ssh.hassh" if is_client => hassh.map(|h| &h.hash),
            "ssh.hassh.string" if is_client => hassh.map(|h| &h.string),
            "ssh.hassh.server" if !is_client => hassh.map(|h| &h.hash),
            "ssh.hassh.server.string" if !is_client => hassh.map(|h| &h.string),
            _ => None,
        };
        hassh.iter().for_each(|text| visit(text.as_bytes()));
    }

    fn encryption(&self) -> Option<Encryption<'_>> {
        let peer = if self.server.is_silent() { &self.client } else { &self.server };
        let version = String::from_utf8_lossy(&peer.proto_version);
        Some(Encryption {
            version: Some(format!("SSH {version}").into()),
            client: self.client.hassh.as_ref().map(|hassh| hassh.hash.as_str()),
            ..Encryption::default()
        })
    }

    fn summary(&self) -> String {
        let [client, server] =
            [&self.client, &self.server].map(|p| WireText(&p.software_version).to_string());
        format!("{client} -> {server}")
    }
}

#[derive(Default)]
struct Reading {
    session: Session,
    sides: [Side; 2],
    told: bool,
    attempts: Attempts,
}

/// How far one direction is read.
#[derive(Default)]
struct Side {
    pending: Pending,
    preamble: u8,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Banner,
    KeyExchange,
    /// The proposal was read; what follows up to the new keys is not encrypted.
    Keys,
    Encrypted,
}

impl Dissector for Reading {
    fn feed(
        &mut self,
        _at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) -> Result<Next, Malformed> {
        let Chunk::Bytes(bytes) = chunk else {
            // A hole before encryption cannot be read over, and sizes are wrong behind it.
            self.tell(direction, out);
            return Ok(Next::Done);
        };
        let [client, server] = &mut self.sides;
        let (side, peer) = match direction {
            Direction::ToServer => (client, &mut self.session.client),
            Direction::ToClient => (server, &mut self.session.server),
        };
        let mut rest = bytes;
        if side.stage == Stage::Banner {
            let used = side.read_banner(rest, peer)?;
            rest = rest.get(used..).unwrap_or_default();
        }
        let encrypted = match side.stage {
            Stage::Encrypted => rest.len(),
            Stage::KeyExchange | Stage::Keys => match side.read_packets(rest, peer, direction) {
                Ok(encrypted) => encrypted,
                // All that is logged is known by then.
                Err(_) if self.told => return Ok(Next::Done),
                Err(malformed) => return Err(malformed),
            },
            Stage::Banner => 0,
        };
        if self.sides.iter().all(|side| matches!(side.stage, Stage::Keys | Stage::Encrypted)) {
            self.tell(direction, out);
            if !out.wants_logins {
                return Ok(Next::Done);
            }
        }
        if encrypted > 0 && !self.attempts.add(direction, encrypted) {
            self.log_in(out);
            return Ok(Next::Done);
        }
        Ok(Next::More)
    }

    fn finish(&mut self, _at: &Moment<'_>, direction: Direction, out: &mut Outcome) {
        self.tell(direction, out);
        if direction == Direction::ToClient {
            self.log_in(out);
        }
    }
}

impl Reading {
    /// Reports the session once, with what is known.
    fn tell(&mut self, direction: Direction, out: &mut Outcome) {
        let silent = self.session.client.is_silent() && self.session.server.is_silent();
        if !std::mem::replace(&mut self.told, true) && !silent {
            out.transaction(direction, 0, std::mem::take(&mut self.session));
        }
    }
}

impl Reading {
    /// Says how the attempts to log on ended, once.
    fn log_in(&mut self, out: &mut Outcome) {
        for outcome in std::mem::take(&mut self.attempts).outcomes() {
            out.login(b"", outcome, Secret::Hidden);
        }
    }
}

impl Side {
    /// Reads lines up to the identification string; returns how many bytes it used.
    fn read_banner(&mut self, bytes: &[u8], peer: &mut Peer) -> Result<usize, Malformed> {
        let Self { pending, preamble, stage } = self;
        let used = pending.lines(bytes, BANNER_CAP, |line| {
            if let Some(banner) = line.strip_prefix(b"SSH-") {
                let mut parts = banner.splitn(2, |&b| b == b'-');
                peer.proto_version = parts.next().unwrap_or_default().to_vec();
                let software = parts.next().unwrap_or_default();
                let software = software.split(|&b| b == b' ').next().unwrap_or_default();
                peer.software_version = software.to_vec();
                *stage = Stage::KeyExchange;
                return false;
            }
            *preamble += 1;
            *preamble < PREAMBLE_LINES
        });
        if *preamble >= PREAMBLE_LINES {
            return Err(Malformed("banner_missing"));
        }
        Ok(used)
    }

    /// Reads binary packets up to `SSH_MSG_NEWKEYS` (RFC 4253 section 7.3); returns how many bytes
    /// stood behind it.
    fn read_packets(
        &mut self,
        bytes: &[u8],
        peer: &mut Peer,
        direction: Direction,
    ) -> Result<usize, Malformed> {
        let Self { pending, stage, .. } = self;
        let mut encrypted = 0;
        pending.records(bytes, PACKET_CAP, |b| {
            if *stage == Stage::Encrypted {
                encrypted = b.len();
                return Ok(Take::Used(b.len()));
            }
            let mut r = Reader::new(b);
            let Some(length) = r.u32() else { return Ok(Take::Need(4)) };
            let length = length as usize;
            if !(2..=PACKET_CAP).contains(&length) {
                return Err(Malformed("invalid_packet_length"));
            }
            let Some(packet) = r.take(length) else { return Ok(Take::Need(4 + length)) };
            let mut r = Reader::new(packet);
            r.skip(1);
            match r.u8() {
                Some(MSG_KEXINIT) if *stage == Stage::KeyExchange => {
                    peer.hassh = hassh(r, direction);
                    *stage = Stage::Keys;
                }
                Some(MSG_NEWKEYS) if *stage == Stage::Keys => *stage = Stage::Encrypted,
                _ => {}
            }
            Ok(Take::Used(4 + length))
        })?;
        Ok(encrypted)
    }
}

/// HASSH of a key exchange proposal: key exchange, encryption, MAC and compression algorithms of
/// the direction that its sender sends in.
fn hassh(mut r: Reader<'_>, direction: Direction) -> Option<Hassh> {
    const COOKIE: usize = 16;
    r.skip(COOKIE)?;
    // Key exchange, host key, then encryption, MAC and compression, each to server and to client.
    let mut lists: [&[u8]; 8] = Default::default();
    for list in &mut lists {
        let length = r.u32()? as usize;
        *list = r.take(length)?;
    }
    let [kex, _, enc_ts, enc_tc, mac_ts, mac_tc, comp_ts, comp_tc] = lists;
    let chosen = match direction {
        Direction::ToServer => [kex, enc_ts, mac_ts, comp_ts],
        Direction::ToClient => [kex, enc_tc, mac_tc, comp_tc],
    };
    let string = String::from_utf8(chosen.join(&b';')).ok()?;
    Some(Hassh { hash: md5_hex(string.as_bytes()), string })
}
