//! FTP (RFC 959, RFC 2428) with AUTH TLS (RFC 4217): every command with its replies.
//!
//! What a command makes another connection carry is announced, so that the data connection is known
//! and its file has a name.

use crate::greeting::{FTP_PORTS, Greeting, begins_with, greeting};
use crate::{
    Both, Dissector, Expectation, Field, First, Keyword, Malformed, Moment, Next, Outcome, Pending,
    Probe, Protocol, Text, Transfer, Transport, Wants,
};
use flowtrack_event::{AppProto, Chunk, Confidence, Direction, LoginOutcome, Secret, Transaction};
use serde::Serialize;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

const NAME: AppProto = AppProto("ftp");
/// Longest line looked at.
const LINE_CAP: usize = 4096;
/// Longest command line that counts as whole.
const COMMAND_CAP: usize = 2048;
/// Longest reply line that counts as whole.
const REPLY_CAP: usize = 2048;
/// Commands that wait for their reply.
const WAITING_CAP: usize = 128;
/// Reply lines kept of one command.
const REPLY_LINES_CAP: usize = 256;

/// Who opens the data connection, as a number.
const ACTIVE: u64 = 0;
const PASSIVE: u64 = 1;

const KEYWORDS: &[Keyword] = &[
    Keyword::buffer("ftp.command", "command").to_server(),
    Keyword::buffer("ftp.command_data", "what follows the command").to_server(),
    Keyword::buffer("ftp.completion_code", "codes of the reply").to_client().multi(),
    Keyword::buffer("ftp.reply", "lines of the reply without their codes").to_client().multi(),
    Keyword::number("ftp.mode", "who opens the data connection that is agreed on")
        .named(&[("active", ACTIVE), ("passive", PASSIVE)]),
    Keyword::number("ftp.dynamic_port", "port of that data connection"),
    Keyword::number("ftp.reply_received", "whether a reply came").to_client().named(&[
        ("no", 0),
        ("yes", 1),
        ("false", 0),
        ("true", 1),
        ("off", 0),
        ("on", 1),
    ]),
];

const FIELDS: &[Field] = &[
    Field::eve("command", "string", "the command"),
    Field::eve("command_data", "string", "what follows it"),
    Field::eve("command_truncated", "boolean", "whether the command was too long"),
    Field::eve("dynamic_port", "integer", "port of the data connection"),
    Field::eve("mode", "string", "who opens the data connection: `active` or `passive`"),
    Field::eve("completion_code", "array", "codes of the reply"),
    Field::eve("reply", "array", "lines of the reply"),
    Field::eve("reply_received", "string", "`yes` or `no`"),
    Field::eve("reply_truncated", "boolean", "whether a line of the reply was too long"),
];

/// Commands that make a data connection, with the name that EVE gives them.
const TRANSFERS: &[&str] = &["RETR", "STOR", "STOU", "APPE", "LIST", "NLST", "MLSD"];

/// FTP.
pub struct Ftp;

impl Protocol for Ftp {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn ports(&self) -> &'static [u16] {
        FTP_PORTS
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        if first.direction == Direction::ToClient {
            return match greeting(first) {
                Greeting::Ftp => Probe::Match(Confidence::Content),
                Greeting::Unfinished => Probe::NeedMore,
                Greeting::Smtp | Greeting::Silent | Greeting::Other => Probe::No,
            };
        }
        if first.has_port(&[110, 995]) {
            return Probe::No;
        }
        let known: &[&[u8]] =
            &[b"USER ", b"PASS ", b"FEAT", b"AUTH TLS", b"AUTH SSL", b"PORT ", b"SYST\r"];
        let known = if first.has_port(FTP_PORTS) { &[known, &[b"QUIT\r"]].concat() } else { known };
        match begins_with(first.bytes, known) {
            Some(true) => Probe::Match(Confidence::Content),
            Some(false) => Probe::NeedMore,
            None => Probe::No,
        }
    }

    fn dissector(&self, wants: Wants) -> Option<Box<dyn Dissector>> {
        Some(Box::new(Reading { wants, ..Reading::default() }))
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    fn keywords(&self) -> &'static [Keyword] {
        KEYWORDS
    }
}

/// A command and its replies; a greeting is replies alone.
#[derive(Clone, Default, Debug, Serialize)]
struct Exchange {
    #[serde(skip_serializing_if = "is_empty")]
    command: Text,
    #[serde(skip_serializing_if = "is_empty")]
    command_data: Text,
    command_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    dynamic_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    completion_code: Vec<Text>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reply: Vec<Text>,
    #[serde(serialize_with = "yes_or_no")]
    reply_received: bool,
    reply_truncated: bool,
    #[serde(skip)]
    tx_id: u64,
}

fn is_empty(text: &Text) -> bool {
    text.is_empty()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn yes_or_no<S: serde::Serializer>(yes: &bool, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(if *yes { "yes" } else { "no" })
}

impl Transaction for Exchange {
    fn protocol(&self) -> AppProto {
        NAME
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn buffer_towards(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(&[u8])) {
        match (direction, name) {
            (Direction::ToServer, "ftp.command") if !self.command.is_empty() => {
                visit(&self.command);
            }
            (Direction::ToServer, "ftp.command_data") if !self.command_data.is_empty() => {
                visit(&self.command_data);
            }
            (Direction::ToClient, "ftp.completion_code") => {
                self.completion_code.iter().for_each(|code| visit(code));
            }
            (Direction::ToClient, "ftp.reply") => self.reply.iter().for_each(|line| visit(line)),
            _ => {}
        }
    }

    fn number(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(u64)) {
        match name {
            "ftp.dynamic_port" => self.dynamic_port.iter().for_each(|&port| visit(port.into())),
            "ftp.mode" => self.mode.iter().for_each(|&mode| {
                visit(if mode == "active" { ACTIVE } else { PASSIVE });
            }),
            _ if direction == Direction::ToServer => {}
            "ftp.reply_received" => visit(self.reply_received.into()),
            _ => {}
        }
    }

    fn summary(&self) -> String {
        let mut line = self.command.to_string();
        // A password is nobody's business in a list.
        if !self.command_data.is_empty() && *self.command != *b"PASS" {
            line = format!("{line} {}", self.command_data);
        }
        if let Some(code) = self.completion_code.last() {
            line = format!("{line} {code}");
        }
        line.trim_start().to_owned()
    }
}

#[derive(Default)]
struct Reading {
    wants: Wants,
    lines: Both<Pending>,
    waiting: VecDeque<Exchange>,
    /// A greeting on its way.
    greeting: Option<Exchange>,
    /// Code of a reply of several lines that is not over (RFC 959 section 4.2).
    open: Option<[u8; 3]>,
    tx_id: u64,
    data: Option<DataPort>,
    /// Who was named last.
    user: Text,
}

/// Where the next data connection goes.
#[derive(Clone, Copy)]
struct DataPort {
    responder: (IpAddr, u16),
    originator: IpAddr,
}

impl Dissector for Reading {
    fn feed(
        &mut self,
        at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) -> Result<Next, Malformed> {
        let Chunk::Bytes(bytes) = chunk else {
            self.lines.of(direction).take();
            return Ok(Next::More);
        };
        let mut pending = std::mem::take(self.lines.of(direction));
        let mut change = false;
        let used = pending.lines(bytes, LINE_CAP, |line| {
            match direction {
                Direction::ToServer => self.command(at, line, out),
                Direction::ToClient => change = self.reply(at, line, out),
            }
            !change
        });
        *self.lines.of(direction) = pending;
        if change {
            return Ok(Next::Change { consumed: used, to: Some(AppProto("tls")) });
        }
        Ok(Next::More)
    }

    fn finish(&mut self, _at: &Moment<'_>, direction: Direction, out: &mut Outcome) {
        if direction == Direction::ToServer && !self.waiting.is_empty() {
            // Replies may still come.
            return;
        }
        while let Some(exchange) = self.greeting.take().or_else(|| self.waiting.pop_front()) {
            self.tell(direction, exchange, out);
        }
    }
}

impl Reading {
    fn command(&mut self, at: &Moment<'_>, line: &[u8], out: &mut Outcome) {
        let truncated = line.len() > COMMAND_CAP;
        let whole = line.get(..COMMAND_CAP).unwrap_or(line).trim_ascii_start();
        if whole.is_empty() {
            return;
        }
        let end = memchr::memchr(b' ', whole).unwrap_or(whole.len());
        let (verb, data) = whole.split_at_checked(end).unwrap_or((whole, &[]));
        let data = data.get(1..).unwrap_or_default();
        let verb = verb.to_ascii_uppercase();
        let mut exchange = Exchange {
            command: Text::capped(&verb, 64),
            command_data: Text::new(data),
            command_truncated: truncated,
            tx_id: self.tx_id,
            ..Exchange::default()
        };
        if truncated {
            out.anomaly("request_command_too_long", Some(self.tx_id));
        }
        self.tx_id += 1;
        match &verb[..] {
            b"PORT" | b"EPRT" => {
                let port =
                    if verb == b"PORT" { six_numbers(data).map(|(_, p)| p) } else { eprt(data) };
                exchange.mode = Some("active");
                exchange.dynamic_port = port;
                // Whatever address it names: data goes to the client, or it is an attack.
                self.data = port
                    .map(|port| DataPort { responder: (at.key.src, port), originator: at.key.dst });
            }
            b"PASV" | b"EPSV" => exchange.mode = Some("passive"),
            _ => self.announce(&verb, data, exchange.tx_id, out),
        }
        if self.waiting.len() >= WAITING_CAP
            && let Some(oldest) = self.waiting.pop_front()
        {
            self.tell(Direction::ToServer, oldest, out);
        }
        self.waiting.push_back(exchange);
    }

    /// Announces the data connection that a command makes.
    fn announce(&mut self, verb: &[u8], data: &[u8], tx_id: u64, out: &mut Outcome) {
        let Some(command) = TRANSFERS.iter().copied().find(|c| c.as_bytes() == verb) else {
            return;
        };
        let is_file = matches!(command, "RETR" | "STOR" | "STOU" | "APPE");
        let Some(DataPort { responder, originator }) = self.data.take() else {
            if matches!(command, "RETR" | "STOR") {
                out.anomaly("file_before_port", Some(tx_id));
            }
            return;
        };
        let filename = if is_file { data.trim_ascii().to_vec() } else { Vec::new() };
        out.expect(Expectation {
            responder,
            originator: Some(originator),
            udp: false,
            protocol: AppProto("ftp-data"),
            transfer: Some(Arc::new(Transfer { command, filename })),
        });
    }

    /// One line of a reply; says whether encryption begins behind it.
    fn reply(&mut self, at: &Moment<'_>, line: &[u8], out: &mut Outcome) -> bool {
        let code = line.first_chunk::<3>().filter(|c| c.iter().all(u8::is_ascii_digit)).copied();
        let ends = code.is_some() && line.get(3) != Some(&b'-');
        let exchange = match self.waiting.front_mut() {
            Some(exchange) => exchange,
            None => {
                let tx_id = self.tx_id;
                self.greeting.get_or_insert_with(|| {
                    self.tx_id += 1;
                    Exchange { tx_id, ..Exchange::default() }
                })
            }
        };
        let text = match (self.open, code) {
            // Inside a reply of several lines only its own code has a meaning.
            (Some(open), Some(code)) if open != code => line,
            (_, Some(_)) => line.get(4..).unwrap_or_default(),
            (_, None) => line,
        };
        if line.len() > REPLY_CAP && !std::mem::replace(&mut exchange.reply_truncated, true) {
            out.anomaly("response_command_too_long", Some(exchange.tx_id));
        }
        exchange.reply_received = true;
        if exchange.reply.len() < REPLY_LINES_CAP {
            exchange.reply.push(Text::capped(text, REPLY_CAP));
            if let Some(code) = code.filter(|code| self.open.is_none_or(|open| open == *code)) {
                exchange.completion_code.push(Text::new(&code));
            }
        }
        match (self.open, code) {
            (None, Some(code)) if !ends => {
                self.open = Some(code);
                return false;
            }
            (Some(open), Some(code)) if ends && open == code => self.open = None,
            (Some(_), _) => return false,
            _ => {}
        }
        let Some(code) = code else {
            return false;
        };
        if code[0] == b'1' && !exchange.command.is_empty() {
            return false;
        }
        if exchange.mode == Some("passive") && code[0] == b'2' {
            let port = match &exchange.command[..] {
                b"PASV" => six_numbers(after_digits(text)).map(|(_, port)| port),
                _ => epsv(text),
            };
            exchange.dynamic_port = port;
            self.data =
                port.map(|port| DataPort { responder: (at.key.dst, port), originator: at.key.src });
        }
        let upgrades = *exchange.command == *b"AUTH" && code == *b"234";
        let finished = self.waiting.pop_front().or_else(|| self.greeting.take());
        if let Some(finished) = finished {
            self.login(&finished, code, out);
            self.tell(Direction::ToClient, finished, out);
        }
        upgrades
    }

    /// Tells what a reply means for who logs on (RFC 959 section 5.4).
    fn login(&mut self, exchange: &Exchange, [kind, ..]: [u8; 3], out: &mut Outcome) {
        let outcome = match (&exchange.command[..], kind) {
            (b"USER", _) => {
                self.user = exchange.command_data.clone();
                return;
            }
            (b"PASS", b'2') => LoginOutcome::Granted,
            (b"PASS", b'5') => LoginOutcome::Refused,
            _ => return,
        };
        let is_anonymous = [&b"anonymous"[..], b"ftp"].contains(&&*self.user);
        let secret = if is_anonymous { Secret::None } else { Secret::Readable };
        out.login(&self.user, outcome, secret);
    }

    fn tell(&self, direction: Direction, exchange: Exchange, out: &mut Outcome) {
        if self.wants.records || self.wants.buffers {
            out.transaction(direction, exchange.tx_id, exchange);
        }
    }
}

/// What follows the words before `h1,h2,h3,h4,p1,p2`, which may stand in brackets or not.
fn after_digits(text: &[u8]) -> &[u8] {
    let from = match memchr::memchr(b'(', text) {
        Some(at) => at + 1,
        None => text.iter().position(u8::is_ascii_digit).unwrap_or(text.len()),
    };
    text.get(from..).unwrap_or_default()
}

/// Address and port as `h1,h2,h3,h4,p1,p2`.
fn six_numbers(text: &[u8]) -> Option<(Ipv4Addr, u16)> {
    let mut numbers = [0u8; 6];
    let mut parts = text.split(|&b| b == b',');
    for number in &mut numbers {
        let part = parts.next()?.trim_ascii();
        let digits = part.iter().take_while(|b| b.is_ascii_digit()).count();
        *number = std::str::from_utf8(part.get(..digits)?).ok()?.parse().ok()?;
    }
    let [a, b, c, d, high, low] = numbers;
    Some((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])))
}

/// Port of `EPRT |2|address|port|` (RFC 2428 section 2).
fn eprt(text: &[u8]) -> Option<u16> {
    let (&delimiter, rest) = text.trim_ascii().split_first()?;
    std::str::from_utf8(rest.split(|&b| b == delimiter).nth(2)?).ok()?.parse().ok()
}

/// Port of `229 ... (|||port|)` (RFC 2428 section 3).
fn epsv(text: &[u8]) -> Option<u16> {
    let from = memchr::memmem::find(text, b"|||")? + 3;
    let rest = text.get(from..)?;
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    std::str::from_utf8(rest.get(..digits)?).ok()?.parse().ok()
}
