//! RDP (MS-RDPBCGR): how a session with a remote desktop begins, up to its encryption.

mod client;

use super::tls::fingerprint::{Carrier, Ja3, ja4};
use super::tls::hello::{ClientHello, ServerHello};
use super::tls::session::message;
use crate::ber::{self, Ber};
use crate::{
    Dissector, Field, First, Malformed, Moment, Next, Outcome, Pending, Probe, Protocol, Reader,
    Take, Text, Transport, Wants,
};
use client::Client;
use flowtrack_event::{AppProto, Chunk, Confidence, Direction, Transaction, WireText};
use serde::Serialize;

const NAME: AppProto = AppProto("rdp");
/// Length of a TPKT header (RFC 1006).
const TPKT: usize = 4;
/// X.224 connection request, confirmation and data.
const CONNECTION_REQUEST: u8 = 0xe0;
const CONNECTION_CONFIRM: u8 = 0xd0;
const DATA: u8 = 0xf0;
/// Length of a TLS record's header.
const TLS_HEADER: usize = 5;
/// Longest record: lengths are of two bytes, with a TLS header before.
const RECORD_CAP: usize = TLS_HEADER + 0xffff;
/// Certificates of one chain that are looked at.
const CHAIN_CAP: usize = 16;
/// Bytes of a cookie that are kept.
const COOKIE_CAP: usize = 256;

const FIELDS: &[Field] = &[
    Field::eve("tx_id", "integer", "number of the step in the session, from 0"),
    Field::eve("event_type", "string", "which step this is"),
    Field::eve("cookie", "string", "name of the user or routing token that the client gave"),
    Field::eve("client.version", "string", "protocol version of the client"),
    Field::eve("client.desktop_width", "integer", "width of the client's screen"),
    Field::eve("client.desktop_height", "integer", "height of the client's screen"),
    Field::eve("client.color_depth", "integer", "bits of a pixel"),
    Field::eve("client.keyboard_layout", "string", "language of the keyboard"),
    Field::eve("client.build", "string", "operating system of the client"),
    Field::eve("client.client_name", "string", "name of the client's computer"),
    Field::eve("client.keyboard_type", "string", "kind of keyboard"),
    Field::eve("client.function_keys", "integer", "function keys of the keyboard"),
    Field::eve("client.product_id", "integer", "product of the client"),
    Field::eve("client.capabilities", "array", "what the client says it can do"),
    Field::eve("client.id", "string", "product number of the client's installation"),
    Field::eve("channels", "array", "virtual channels that the client asks for"),
    Field::added("protocol", "string", "security protocol that the server chose"),
    Field::added("error_code", "integer", "why the server refused"),
    Field::added("x509_serials", "array", "serial numbers of the server's certificates"),
    Field::added("sni", "string", "host that the client asked for"),
    Field::added("ja3.hash", "string", "JA3: MD5 of what the client offered"),
    Field::added("ja3.string", "string", "what the client offered"),
    Field::added("ja3s.hash", "string", "JA3S: MD5 of what the server chose"),
    Field::added("ja3s.string", "string", "what the server chose"),
    Field::added("ja4", "string", "JA4 fingerprint of the client"),
];

/// RDP.
pub struct Rdp;

impl Protocol for Rdp {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn ports(&self) -> &'static [u16] {
        &[3389]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        // TPKT, and the length of the X.224 header that fills it.
        let head = first.bytes.get(..TPKT + 2);
        let Some(&[version, reserved, hi, lo, inner, kind]) = head else {
            let n = first.bytes.len().min(2);
            let possible = first.bytes.get(..n) == [3, 0].get(..n);
            return if possible { Probe::NeedMore } else { Probe::No };
        };
        let length = usize::from(u16::from_be_bytes([hi, lo]));
        let wanted = match first.direction {
            Direction::ToServer => CONNECTION_REQUEST,
            Direction::ToClient => CONNECTION_CONFIRM,
        };
        let usual = first.has_port(self.ports());
        if usual && version == 3 && reserved == 0 && length > TPKT {
            return Probe::Match(Confidence::Content);
        }
        let fits =
            version == 3 && reserved == 0 && kind & 0xf0 == wanted && (11..=512).contains(&length);
        if !fits || usize::from(inner) + TPKT + 1 != length {
            return Probe::No;
        }
        match first.bytes.get(11..length) {
            None => Probe::NeedMore,
            Some(rest) => {
                Probe::content(Negotiation::parse(rest).is_some() || rest.starts_with(b"Cookie: "))
            }
        }
    }

    fn dissector(&self, wants: Wants) -> Option<Box<dyn Dissector>> {
        (wants.records || wants.buffers).then(|| Box::<Reading>::default() as Box<dyn Dissector>)
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }
}

/// The negotiation that ends a connection request or its confirmation.
#[derive(Clone, Copy, Debug)]
struct Negotiation {
    kind: u8,
    value: u32,
}

impl Negotiation {
    const RESPONSE: u8 = 2;
    const FAILURE: u8 = 3;

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        let (kind, _flags, length, value) = (r.u8()?, r.u8()?, r.u16_le()?, r.u32_le()?);
        ((1..=3).contains(&kind) && length == 8).then_some(Self { kind, value })
    }
}

/// One step of a session's beginning.
#[derive(Clone, Default, Debug, Serialize)]
struct Step {
    tx_id: u64,
    event_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cookie: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<Client>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    channels: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    x509_serials: Vec<String>,
    #[serde(flatten)]
    tls: Tls,
}

/// What both sides said when TLS began.
#[derive(Clone, Default, Debug, Serialize)]
struct Tls {
    #[serde(skip_serializing_if = "Option::is_none")]
    sni: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ja3: Option<Ja3>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ja3s: Option<Ja3>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ja4: Option<String>,
}

impl Tls {
    /// Takes the hello that a record of the handshake begins with.
    fn hello(&mut self, record: &[u8]) {
        let mut r = Reader::new(record);
        let (Some(kind), Some(length)) = (r.u8(), r.u24()) else { return };
        let Some(body) = r.take(length as usize) else { return };
        match kind {
            message::CLIENT_HELLO if self.ja3.is_none() => {
                let Some(hello) = ClientHello::read(body, false) else { return };
                self.sni = hello.server_name.as_deref().map(Text::new);
                self.ja3 = Some(Ja3::client(&hello));
                self.ja4 = Some(ja4(&hello, Carrier::Tcp));
            }
            message::SERVER_HELLO if self.ja3s.is_none() => {
                self.ja3s = ServerHello::read(body).map(|hello| Ja3::server(&hello));
            }
            _ => {}
        }
    }
}

impl Transaction for Step {
    fn protocol(&self) -> AppProto {
        NAME
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn summary(&self) -> String {
        let mut text = self.event_type.replace('_', " ");
        let client = self.client.as_ref().map(Client::name);
        let told = [self.cookie.as_deref(), self.protocol, client];
        for detail in told.into_iter().flatten().filter(|detail| !detail.is_empty()) {
            text.push(' ');
            text.push_str(detail);
        }
        text
    }
}

#[derive(Default)]
struct Reading {
    sides: [Pending; 2],
    steps: u64,
    /// The client began TLS.
    secured: bool,
    tls: Tls,
}

impl Dissector for Reading {
    fn feed(
        &mut self,
        _at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) -> Result<Next, Malformed> {
        let Chunk::Bytes(bytes) = chunk else { return Ok(Next::Done) };
        let pending = direction.of_mut(&mut self.sides);
        let (steps, secured, tls) = (&mut self.steps, &mut self.secured, &mut self.tls);
        let mut over = false;
        let mut tell = |step: Step| {
            out.transaction(direction, *steps, Step { tx_id: *steps, ..step });
            *steps += 1;
        };
        pending.records::<Malformed>(bytes, RECORD_CAP, |b| {
            if over {
                return Ok(Take::Used(b.len()));
            }
            let mut r = Reader::new(b);
            match b.first() {
                Some(0x14..=0x17) => {
                    let (Some(kind), Some(_version), Some(length)) = (r.u8(), r.u16(), r.u16())
                    else {
                        return Ok(Take::Need(TLS_HEADER));
                    };
                    let whole = TLS_HEADER + usize::from(length);
                    let Some(record) = r.take(usize::from(length)) else {
                        return Ok(Take::Need(whole));
                    };
                    *secured = true;
                    if kind == 0x16 {
                        tls.hello(record);
                    }
                    if direction == Direction::ToClient && kind == 0x16 {
                        let serials = serials(record);
                        if !serials.is_empty() {
                            tell(Step {
                                event_type: "tls_handshake",
                                x509_serials: serials,
                                tls: std::mem::take(tls),
                                ..Step::default()
                            });
                            over = true;
                        }
                    }
                    // What comes behind the handshake is unreadable.
                    over |= kind == 0x17;
                    Ok(Take::Used(whole))
                }
                Some(3) => {
                    let (Some(_version), Some(length)) = (r.u16(), r.u16()) else {
                        return Ok(Take::Need(TPKT));
                    };
                    let length = usize::from(length);
                    let body = length.checked_sub(TPKT).ok_or(Malformed("invalid_length"))?;
                    let Some(body) = r.take(body) else { return Ok(Take::Need(length)) };
                    if let Some(step) = read_x224(body) {
                        over |= step.event_type == "connect_response";
                        tell(step);
                    }
                    Ok(Take::Used(length))
                }
                // Fast-path packets, which are all that follows.
                _ => {
                    over = true;
                    Ok(Take::Used(b.len()))
                }
            }
        })?;
        Ok(if over && (*secured || *steps >= 4) { Next::Done } else { Next::More })
    }
}

/// Reads one X.224 packet of the beginning.
fn read_x224(body: &[u8]) -> Option<Step> {
    let mut r = Reader::new(body);
    let length = usize::from(r.u8()?);
    let kind = r.u8()? & 0xf0;
    if kind == DATA {
        return read_mcs(body.get(1 + length..)?);
    }
    r.skip(5)?;
    let rest = r.rest();
    let negotiation = rest.len().checked_sub(8).and_then(|at| Negotiation::parse(rest.get(at..)?));
    match kind {
        CONNECTION_REQUEST => {
            Some(Step { event_type: "initial_request", cookie: cookie(rest), ..Step::default() })
        }
        CONNECTION_CONFIRM => {
            let chosen = negotiation.filter(|n| n.kind == Negotiation::RESPONSE);
            let refused = negotiation.filter(|n| n.kind == Negotiation::FAILURE);
            Some(Step {
                event_type: "initial_response",
                protocol: chosen.map(|n| security(n.value)),
                error_code: refused.map(|n| n.value),
                ..Step::default()
            })
        }
        _ => None,
    }
}

/// The user's name of `Cookie: mstshash=NAME`, or a routing token as it stands.
fn cookie(rest: &[u8]) -> Option<String> {
    let end = memchr::memchr(b'\r', rest)?;
    let line = rest.get(..end.min(COOKIE_CAP))?;
    let line = line.strip_prefix(b"Cookie: ").unwrap_or(line);
    let value = line.strip_prefix(b"mstshash=").unwrap_or(line);
    Some(WireText(value).to_string())
}

const fn security(protocol: u32) -> &'static str {
    match protocol {
        0 => "rdp",
        1 => "ssl",
        2 => "hybrid",
        4 => "rds_tls",
        8 => "hybrid_ex",
        _ => "unknown",
    }
}

/// Reads one packet of T.125.
fn read_mcs(data: &[u8]) -> Option<Step> {
    match data.first_chunk()? {
        [0x7f, 0x65] => {
            let (client, channels) = client::parse(data)?;
            Some(Step {
                event_type: "connect_request",
                client: Some(client),
                channels,
                ..Step::default()
            })
        }
        [0x7f, 0x66] => Some(Step { event_type: "connect_response", ..Step::default() }),
        _ => None,
    }
}

/// Serial numbers of the certificates in a handshake record of the server.
fn serials(record: &[u8]) -> Vec<String> {
    const CERTIFICATE: u8 = 11;
    let mut found = Vec::new();
    let mut r = Reader::new(record);
    while let (Some(kind), Some(length)) = (r.u8(), r.u24()) {
        let Some(mut message) = r.sub((length as usize).min(r.rest().len())) else { break };
        if kind != CERTIFICATE || message.skip(3).is_none() {
            continue;
        }
        while let Some(length) = message.u24() {
            let Some(certificate) = message.take(length as usize) else { break };
            found.extend(serial(certificate));
            if found.len() >= CHAIN_CAP {
                return found;
            }
        }
    }
    found
}

fn serial(certificate: &[u8]) -> Option<String> {
    let mut signed = Ber::new(certificate).inside(ber::SEQUENCE)?.inside(ber::SEQUENCE)?;
    // The version, which stands first, may be left out.
    let _version = signed.value(0xa0);
    let digits = signed.value(ber::INTEGER)?;
    let hex: Vec<String> = digits.iter().take(32).map(|b| format!("{b:02X}")).collect();
    Some(hex.join(":"))
}
