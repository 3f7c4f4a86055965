//! `PostgreSQL` (protocol 3): every request of a client with what answers it. Passwords are not kept.

mod record;

use crate::{
    Both, Dissector, Field, First, Keyword, Malformed, Moment, Next, Outcome, Pending, Probe,
    Protocol, Reader, Take, Text, Transport, Wants,
};
use flowtrack_event::{AppProto, Chunk, Confidence, Direction, LoginOutcome, Secret};
use record::{Copied, Exchange, FIELDS, KEYWORDS, Request, Response, Startup};
use std::collections::VecDeque;

const NAME: AppProto = AppProto("pgsql");
/// Bytes of a message that are looked at; the rest is passed over.
const MESSAGE_CAP: usize = 16 * 1024;
/// Requests that wait for their answer.
const WAITING_CAP: usize = 128;
/// Parameters kept of one message or answer.
const PARAMETER_CAP: usize = 64;
const VERSION_3: u32 = 0x0003_0000;
const CANCEL: u32 = 80_877_102;
const TLS: u32 = 80_877_103;
const GSS: u32 = 80_877_104;

/// `PostgreSQL`.
pub struct Pgsql;

impl Protocol for Pgsql {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn ports(&self) -> &'static [u16] {
        &[5432]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        if first.direction == Direction::ToClient {
            return Probe::No;
        }
        let mut r = Reader::new(first.bytes);
        let Some((length, code)) = r.u32().zip(r.u32()) else {
            let short = first.bytes.iter().take(2).all(|byte| *byte == 0);
            return if short { Probe::NeedMore } else { Probe::No };
        };
        match (code, length) {
            (TLS | GSS, 8) | (CANCEL, 16) => Probe::Match(Confidence::Content),
            (VERSION_3, 9..=10_000) => match Probe::prefix(r.rest(), b"user\0") {
                Probe::No => Probe::content(first.has_port(self.ports())),
                other => other,
            },
            _ => Probe::No,
        }
    }

    fn dissector(&self, _wants: Wants) -> Option<Box<dyn Dissector>> {
        Some(Box::<Reading>::default())
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    fn keywords(&self) -> &'static [Keyword] {
        KEYWORDS
    }
}

#[derive(Default)]
struct Reading {
    sides: Both<Side>,
    /// Messages of the client have a type from here on.
    started: bool,
    /// The next byte of the server says whether TLS begins.
    tls_asked: bool,
    /// What the server wants as a proof.
    proof: Proof,
    waiting: VecDeque<Exchange>,
    count: u64,
    user: Text,
    /// How the client proves who it is; none where nobody asked.
    secret: Option<Secret>,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Proof {
    #[default]
    Password,
    /// Mechanism and first message of SASL.
    SaslFirst,
    Sasl,
}

#[derive(Default)]
struct Side {
    pending: Pending,
    /// Bytes of a long message that are passed over.
    skip: usize,
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
            // Where a message begins behind a hole cannot be known.
            return Ok(Next::Done);
        };
        let mut rest = bytes;
        if direction == Direction::ToClient
            && std::mem::take(&mut self.tls_asked)
            && let Some((answer, tail)) = bytes.split_first()
        {
            let accepted = *answer == b'S';
            if let Some(exchange) = self.waiting.front_mut() {
                exchange.response().ssl_accepted = Some(accepted);
            }
            self.finish_first(direction, out);
            if accepted {
                return Ok(Next::Change { consumed: 1, to: Some(AppProto("tls")) });
            }
            rest = tail;
        }
        let mut side = std::mem::take(self.sides.of(direction));
        let skipped = side.skip.min(rest.len());
        side.skip -= skipped;
        rest = rest.get(skipped..).unwrap_or_default();
        let Side { pending, skip } = &mut side;
        pending.records(rest, MESSAGE_CAP + 8, |b| -> Result<Take, Malformed> {
            let typed = direction == Direction::ToClient || self.started;
            let mut r = Reader::new(b);
            let kind = if typed { r.u8() } else { Some(0) };
            let Some((kind, length)) = kind.zip(r.u32()) else { return Ok(Take::Need(5)) };
            let Some(length) = (length as usize).checked_sub(4) else {
                return Err(Malformed("invalid_length"));
            };
            let (head, kept) = (r.position(), length.min(MESSAGE_CAP));
            let Some(body) = r.take(kept) else { return Ok(Take::Need(head + kept)) };
            match direction {
                Direction::ToServer if typed => self.request(kind, Reader::new(body), length, out),
                Direction::ToServer => self.startup(Reader::new(body), out),
                Direction::ToClient => self.answer(kind, Reader::new(body), length, out),
            }
            let present = b.len().saturating_sub(head);
            *skip = length.saturating_sub(present);
            Ok(Take::Used(head + length.min(present)))
        })?;
        *self.sides.of(direction) = side;
        Ok(Next::More)
    }

    fn finish(&mut self, _at: &Moment<'_>, direction: Direction, out: &mut Outcome) {
        if direction == Direction::ToClient {
            while !self.waiting.is_empty() {
                self.finish_first(direction, out);
            }
        }
    }
}

impl Reading {
    fn ask(&mut self, request: Request, out: &mut Outcome) {
        if self.waiting.len() >= WAITING_CAP {
            self.finish_first(Direction::ToServer, out);
        }
        self.count += 1;
        self.waiting.push_back(Exchange {
            tx_id: self.count,
            request: Some(request),
            response: None,
        });
    }

    /// The exchange in front is complete.
    fn finish_first(&mut self, direction: Direction, out: &mut Outcome) {
        if let Some(exchange) = self.waiting.pop_front() {
            out.transaction(direction, exchange.tx_id.saturating_sub(1), exchange);
        }
    }

    /// A message before the session: it has no type.
    fn startup(&mut self, mut r: Reader<'_>, out: &mut Outcome) {
        let mut request = Request::default();
        match r.u32() {
            Some(code @ (TLS | GSS)) => {
                self.tls_asked = true;
                request.message =
                    Some(if code == TLS { "SSL Request" } else { "GSS Encryption Request" });
            }
            Some(CANCEL) => {
                request.message = Some("cancel_request");
                (request.process_id, request.secret_key) = (r.u32(), r.u32());
                self.ask(request, out);
                self.finish_first(Direction::ToServer, out);
                return;
            }
            Some(version) => {
                self.started = true;
                request.protocol_version = Some(format!("{}.{}", version >> 16, version & 0xffff));
                let mut startup = Startup::default();
                while let Some(name) = r.until(0).filter(|name| !name.is_empty()) {
                    let Some(value) = r.until(0) else { break };
                    if name == b"user" {
                        startup.user = Text::new(value);
                        self.user = startup.user.clone();
                    } else if startup.optional_parameters.len() < PARAMETER_CAP {
                        startup.optional_parameters.push((Text::new(name), Text::new(value)));
                    }
                }
                request.startup_parameters = Some(startup);
            }
            None => return,
        }
        self.ask(request, out);
    }

    fn request(&mut self, kind: u8, mut r: Reader<'_>, length: usize, out: &mut Outcome) {
        let mut request = Request::default();
        match kind {
            b'Q' => request.simple_query = Some(Text::new(until_zero(r.rest()))),
            b'p' => match self.proof {
                Proof::Password => request.password_redacted = Some(true),
                Proof::SaslFirst => {
                    let mechanism = r.until(0).unwrap_or_default();
                    let name: &[u8] = match mechanism {
                        b"SCRAM-SHA-256" => b"scram_SHA256",
                        b"SCRAM-SHA-256-PLUS" => b"scram_SHA256_plus",
                        other => other,
                    };
                    request.sasl_authentication_mechanism = Some(Text::new(name));
                    r.u32();
                    request.sasl_param = Some(Text::new(r.rest()));
                }
                Proof::Sasl => request.sasl_response = Some(Text::new(r.rest())),
            },
            b'X' => {
                request.message = Some("termination_message");
                self.ask(request, out);
                while !self.waiting.is_empty() {
                    self.finish_first(Direction::ToServer, out);
                }
                return;
            }
            // Of the extended protocol `Parse` has the query; what follows belongs to it.
            b'P' => {
                r.until(0);
                request.query = Some(Text::new(until_zero(r.rest())));
            }
            b'd' => {
                if let Some(exchange) = self.waiting.front_mut()
                    && let Some(request) = &mut exchange.request
                {
                    let copied = request.copy_data_in.get_or_insert_default();
                    copied.add(length);
                }
                return;
            }
            _ => return,
        }
        self.ask(request, out);
    }

    fn answer(&mut self, kind: u8, mut r: Reader<'_>, length: usize, out: &mut Outcome) {
        let Some(exchange) = self.waiting.front_mut() else { return };
        let response = exchange.response();
        match kind {
            b'R' => {
                let challenge = r.u32().unwrap_or(0);
                match challenge {
                    0 => {
                        if let Some(secret) = self.secret.take() {
                            out.login(&self.user, LoginOutcome::Granted, secret);
                        }
                    }
                    3 => self.secret = Some(Secret::Readable),
                    _ => self.secret = Some(Secret::Hidden),
                }
                (self.proof, response.message) = match challenge {
                    0 => (Proof::Password, Some("authentication_ok".into())),
                    3 => (Proof::Password, Some("authentication_cleartext_password".into())),
                    5 => (Proof::Password, Some("authentication_md5_password".into())),
                    10 => (Proof::SaslFirst, Some("authentication_sasl".into())),
                    11 => (Proof::Sasl, Some("authentication_sasl_continue".into())),
                    12 => {
                        response.authentication_sasl_final = Some(Text::new(r.rest()));
                        return;
                    }
                    _ => (Proof::Password, Some("authentication_other".into())),
                };
                if challenge != 0 {
                    self.finish_first(Direction::ToClient, out);
                }
            }
            b'S' => {
                if let (Some(name), Some(value)) = (r.until(0), r.until(0))
                    && response.parameter_status.len() < PARAMETER_CAP
                {
                    let name = parameter_name(name);
                    response.parameter_status.push((name, Text::new(value)));
                }
            }
            b'K' => (response.process_id, response.secret_key) = (r.u32(), r.u32()),
            b'T' => response.field_count = r.u16(),
            b'D' => {
                *response.data_rows.get_or_insert(0) += 1;
                let size = response.data_size.get_or_insert(0);
                *size = size.saturating_add(length as u64);
            }
            b'C' => response.command_completed = Some(Text::new(until_zero(r.rest()))),
            b'E' => {
                error(response, r);
                // Wrong password, and no such user (appendix A of PostgreSQL's manual).
                let is_refused =
                    response.code.as_ref().is_some_and(|c| matches!(&c[..], b"28P01" | b"28000"));
                if let Some(secret) = self.secret.take().filter(|_| is_refused) {
                    out.login(&self.user, LoginOutcome::Refused, secret);
                }
            }
            b'G' | b'H' => {
                r.u8();
                let columns = r.u16();
                if kind == b'G' {
                    response.copy_in_response = columns.map(Copied::columns);
                } else {
                    response.copy_out_response = columns.map(Copied::columns);
                }
            }
            b'd' => response.copy_data_out.get_or_insert_default().add(length),
            b'Z' => self.finish_first(Direction::ToClient, out),
            _ => {}
        }
    }
}

/// Fields of an error, each with a letter and a text.
fn error(response: &mut Response, mut r: Reader<'_>) {
    while let Some(field) = r.u8().filter(|field| *field != 0) {
        let Some(value) = r.until(0) else { break };
        let text = Some(Text::new(value));
        match field {
            b'S' => response.severity_localizable = text,
            b'V' => response.severity_non_localizable = text,
            b'C' => response.code = text,
            b'M' => response.message = Some(String::from_utf8_lossy(value).into_owned()),
            b'F' => response.file = text,
            b'L' => response.line = text,
            b'R' => response.routine = text,
            _ => {}
        }
    }
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|&b| b == 0).next().unwrap_or_default()
}

/// EVE writes `TimeZone` as `time_zone`.
fn parameter_name(name: &[u8]) -> Text {
    let mut snake = Vec::with_capacity(name.len() + 4);
    let mut after_small = false;
    for byte in name.iter().take(64) {
        if byte.is_ascii_uppercase() && after_small {
            snake.push(b'_');
        }
        after_small = byte.is_ascii_lowercase();
        snake.push(byte.to_ascii_lowercase());
    }
    Text::new(&snake)
}
