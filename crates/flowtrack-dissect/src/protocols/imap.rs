//! IMAP (RFC 9051) with STARTTLS: every command with its tagged answer. Passwords and the mails
//! themselves are not kept.

use crate::greeting::begins_with;
use crate::{
    Both, Dissector, Field, First, Keyword, Malformed, Moment, Next, Outcome, Pending, Probe,
    Protocol, Text, Transport, Wants,
};
use flowtrack_event::{AppProto, Chunk, Confidence, Direction, LoginOutcome, Secret, Transaction};
use serde::Serialize;

const NAME: AppProto = AppProto("imap");
const PORTS: &[u16] = &[143];
/// How a server begins: with a greeting, or with an answer where its greeting was not seen.
const UNTAGGED: &[&[u8]] = &[
    b"* OK ",
    b"* OK\r",
    b"* PREAUTH ",
    b"* BYE ",
    b"* NO ",
    b"* BAD ",
    b"* LIST ",
    b"* ESEARCH ",
    b"* STATUS ",
    b"* FLAGS ",
];
/// Commands that a client may begin with, behind a tag.
const COMMANDS: &[&[u8]] =
    &[b"CAPABILITY\r", b"LOGIN ", b"AUTHENTICATE ", b"STARTTLS\r", b"NAMESPACE\r", b"ID ("];
/// Those that other protocols have as well.
const MORE_COMMANDS: &[&[u8]] =
    &[b"CAPABILITY", b"STARTTLS", b"NOOP", b"LOGOUT", b"SELECT ", b"EXAMINE ", b"LIST ", b"ID "];
/// Longest line looked at.
const LINE_CAP: usize = 4096;
/// Commands that wait for their answer.
const WAITING_CAP: usize = 64;
/// Longest tag.
const TAG_CAP: usize = 64;
/// Bytes of the lines of a command, or of its answers, that rules may look at.
const LINES_CAP: usize = 16 * 1024;

const FIELDS: &[Field] = &[
    Field::added("tag", "string", "mark of the command and its answer"),
    Field::added("command", "string", "the command"),
    Field::added("arguments", "string", "what follows it, without secrets"),
    Field::added("status", "string", "`OK`, `NO`, `BAD`, `BYE` or `PREAUTH`"),
    Field::added("text", "string", "what the answer says"),
];

const KEYWORDS: &[Keyword] = &[
    Keyword::buffer("imap.request", "each line of a command").multi().to_server(),
    Keyword::buffer("imap.response", "each line of its answers").multi().to_client(),
];

/// IMAP.
pub struct Imap;

impl Protocol for Imap {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn ports(&self) -> &'static [u16] {
        PORTS
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        if first.direction == Direction::ToClient {
            return match begins_with(first.bytes, UNTAGGED) {
                Some(true) => Probe::Match(Confidence::Content),
                Some(false) => Probe::NeedMore,
                None => Probe::No,
            };
        }
        probe_command(first)
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

/// Whether a tag may have this byte: all that is no list, string, wildcard or "+" (RFC 9051).
fn is_of_tag(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"(){%*\"\\+".contains(&byte)
}

/// A client's line is a tag and a command that only IMAP has.
fn probe_command(first: &First<'_>) -> Probe {
    let tag = first.bytes.iter().take_while(|&&b| is_of_tag(b)).count();
    if tag == 0 || tag > 16 {
        return Probe::No;
    }
    let Some(rest) = first.bytes.get(tag..).filter(|rest| !rest.is_empty()) else {
        return if first.has_port(PORTS) { Probe::NeedMore } else { Probe::No };
    };
    let Some(rest) = rest.strip_prefix(b" ") else { return Probe::No };
    let known = if first.has_port(PORTS) { &[COMMANDS, MORE_COMMANDS].concat() } else { COMMANDS };
    match begins_with(rest, known) {
        Some(true) => Probe::Match(Confidence::Content),
        Some(false) if first.has_port(PORTS) || !rest.is_empty() => Probe::NeedMore,
        _ => Probe::No,
    }
}

/// A command and its answer; a greeting is an answer alone.
#[derive(Clone, Default, Debug, Serialize)]
struct Exchange {
    #[serde(skip_serializing_if = "is_empty")]
    tag: Text,
    #[serde(skip_serializing_if = "is_empty")]
    command: Text,
    #[serde(skip_serializing_if = "is_empty")]
    arguments: Text,
    #[serde(skip_serializing_if = "is_empty")]
    status: Text,
    #[serde(skip_serializing_if = "is_empty")]
    text: Text,
    /// What each side said of it, for rules alone.
    #[serde(skip)]
    lines: Both<Lines>,
    #[serde(skip)]
    tx_id: u64,
}

/// Lines without their ends; bounded.
#[derive(Clone, Default, Debug)]
struct Lines {
    lines: Vec<Text>,
    bytes: usize,
}

impl Lines {
    fn push(&mut self, line: &[u8]) {
        let room = LINES_CAP.saturating_sub(self.bytes);
        if room > 0 && !line.is_empty() {
            // A line costs something even if it is short.
            self.bytes += line.len().max(64);
            self.lines.push(Text::capped(line, room.min(LINE_CAP)));
        }
    }
}

impl Exchange {
    /// Keeps a line of one side, where rules may look at it.
    fn note(&mut self, wants: Wants, direction: Direction, line: &[u8]) {
        if wants.buffers {
            self.lines.of(direction).push(line);
        }
    }
}

fn is_empty(text: &Text) -> bool {
    text.is_empty()
}

impl Transaction for Exchange {
    fn protocol(&self) -> AppProto {
        NAME
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn buffer_towards(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(&[u8])) {
        let said = match (direction, name) {
            (Direction::ToServer, "imap.request") => &self.lines.to_server,
            (Direction::ToClient, "imap.response") => &self.lines.to_client,
            _ => return,
        };
        said.lines.iter().for_each(|line| visit(line));
    }

    fn summary(&self) -> String {
        let parts = [&self.command, &self.arguments, &self.status];
        let parts = parts.iter().filter(|part| !part.is_empty());
        parts.map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }
}

#[derive(Default)]
struct Reading {
    wants: Wants,
    sides: Both<Side>,
    waiting: Vec<Exchange>,
    greeted: bool,
    tx_id: u64,
}

#[derive(Default)]
struct Side {
    pending: Pending,
    /// Bytes of a literal that still come; they are passed over.
    literal: u64,
    /// The next line goes on with the one before.
    continued: bool,
}

impl Dissector for Reading {
    fn feed(
        &mut self,
        _at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) -> Result<Next, Malformed> {
        let mut side = std::mem::take(self.sides.of(direction));
        let mut change = false;
        let mut used = 0;
        match chunk {
            Chunk::Gap(bytes) => {
                side.pending.take();
                side.literal = side.literal.saturating_sub(bytes);
            }
            Chunk::Bytes(bytes) => {
                while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty() && !change)
                {
                    if side.literal > 0 {
                        let n = usize::try_from(side.literal).unwrap_or(usize::MAX).min(rest.len());
                        side.literal -= n as u64;
                        used += n;
                        continue;
                    }
                    let Side { pending, literal, continued } = &mut side;
                    used += pending.lines(rest, LINE_CAP, |line| {
                        let goes_on = std::mem::take(continued);
                        if let Some(bytes) = literal_of(line) {
                            *literal = bytes;
                            *continued = true;
                        }
                        if !goes_on {
                            change = self.line(direction, line, out);
                        }
                        *literal == 0 && !change
                    });
                }
            }
        }
        *self.sides.of(direction) = side;
        if change {
            return Ok(Next::Change { consumed: used, to: Some(AppProto("tls")) });
        }
        Ok(Next::More)
    }

    fn finish(&mut self, _at: &Moment<'_>, direction: Direction, out: &mut Outcome) {
        if direction == Direction::ToClient {
            for exchange in std::mem::take(&mut self.waiting) {
                self.tell(direction, exchange, out);
            }
        }
    }
}

impl Reading {
    fn line(&mut self, direction: Direction, line: &[u8], out: &mut Outcome) -> bool {
        match direction {
            Direction::ToServer => {
                self.command(line);
                false
            }
            Direction::ToClient => self.answer(line, out),
        }
    }

    fn command(&mut self, line: &[u8]) {
        let mut words = line.splitn(3, |&b| b == b' ');
        let tag = words.next().unwrap_or_default();
        let Some(command) = words.next().filter(|c| c.iter().all(u8::is_ascii_alphabetic)) else {
            // The answer to a challenge, or `DONE`.
            if let Some(exchange) = self.waiting.last_mut() {
                exchange.note(self.wants, Direction::ToServer, line);
            }
            return;
        };
        if tag.is_empty() || tag.len() > TAG_CAP || self.waiting.len() >= WAITING_CAP {
            return;
        }
        let command = command.to_ascii_uppercase();
        let arguments = words.next().unwrap_or_default();
        let arguments = match &command[..] {
            b"LOGIN" | b"AUTHENTICATE" => {
                arguments.split(|&b| b == b' ').next().unwrap_or_default()
            }
            _ => arguments,
        };
        let mut exchange = Exchange {
            tag: Text::new(tag),
            command: Text::capped(&command, TAG_CAP),
            arguments: Text::capped(arguments, 1024),
            tx_id: self.tx_id,
            ..Exchange::default()
        };
        exchange.note(self.wants, Direction::ToServer, line);
        self.waiting.push(exchange);
        self.tx_id += 1;
    }

    /// One line of the server; says whether encryption begins behind it.
    fn answer(&mut self, line: &[u8], out: &mut Outcome) -> bool {
        let mut words = line.splitn(3, |&b| b == b' ');
        let (tag, status) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let text = Text::capped(words.next().unwrap_or_default(), 1024);
        let status = Text::capped(&status.to_ascii_uppercase(), 16);
        let greets = tag == b"*" && !std::mem::replace(&mut self.greeted, true);
        if greets && self.waiting.is_empty() {
            let mut exchange = Exchange { status, text, tx_id: self.tx_id, ..Exchange::default() };
            exchange.note(self.wants, Direction::ToClient, line);
            self.tx_id += 1;
            self.tell(Direction::ToClient, exchange, out);
            return false;
        }
        let found = self.waiting.iter().position(|e| *e.tag == *tag);
        let Some(at) = found.filter(|_| tag != b"*" && tag != b"+") else {
            // Of what is asked first, as far as anybody can tell.
            if let Some(exchange) = self.waiting.first_mut() {
                exchange.note(self.wants, Direction::ToClient, line);
            }
            return false;
        };
        let mut exchange = self.waiting.remove(at);
        exchange.note(self.wants, Direction::ToClient, line);
        let upgrades = *exchange.command == *b"STARTTLS" && *status == *b"OK";
        (exchange.status, exchange.text) = (status, text);
        login(&exchange, out);
        self.tell(Direction::ToClient, exchange, out);
        upgrades
    }

    fn tell(&self, direction: Direction, exchange: Exchange, out: &mut Outcome) {
        if self.wants.records || self.wants.buffers {
            out.transaction(direction, exchange.tx_id, exchange);
        }
    }
}

/// Tells what an answer means for who logs on.
fn login(exchange: &Exchange, out: &mut Outcome) {
    let outcome = match &exchange.status[..] {
        b"OK" => LoginOutcome::Granted,
        b"NO" => LoginOutcome::Refused,
        _ => return,
    };
    let argument = &exchange.arguments[..];
    match &exchange.command[..] {
        b"LOGIN" => {
            let user = argument.strip_prefix(b"\"").unwrap_or(argument);
            let user = user.strip_suffix(b"\"").unwrap_or(user);
            // What is sent as a literal is not kept.
            let user = if user.starts_with(b"{") { b"" } else { user };
            out.login(user, outcome, Secret::Readable);
        }
        b"AUTHENTICATE" => out.login(b"", outcome, crate::login::secret(argument)),
        _ => {}
    }
}

/// The size of the literal that a line announces at its end: `{12}` or `{12+}`.
fn literal_of(line: &[u8]) -> Option<u64> {
    let inner = line.strip_suffix(b"}")?;
    let from = memchr::memrchr(b'{', inner)? + 1;
    let digits = inner.get(from..)?;
    let digits = digits.strip_suffix(b"+").unwrap_or(digits);
    std::str::from_utf8(digits).ok()?.parse().ok()
}
