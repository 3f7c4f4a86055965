//! POP3 (RFC 1939, RFC 2449) with STLS (RFC 2595): every command with its answer.

use crate::greeting::begins_with;
use crate::{
    Both, Dissector, Field, First, Malformed, Moment, Next, Outcome, Pending, Probe, Protocol,
    Text, Transport, Wants,
};
use flowtrack_event::{AppProto, Chunk, Confidence, Direction, LoginOutcome, Secret, Transaction};
use serde::Serialize;
use std::collections::VecDeque;

const NAME: AppProto = AppProto("pop3");
const PORTS: &[u16] = &[110];
/// Longest line looked at.
const LINE_CAP: usize = 2048;
/// Commands that wait for their answer.
const WAITING_CAP: usize = 64;
/// Lines kept of one answer, and their bytes.
const DATA_LINES_CAP: usize = 256;
const DATA_CAP: usize = 16 * 1024;

const FIELDS: &[Field] = &[
    Field::eve("request.command", "string", "the command"),
    Field::eve("request.args", "array", "its arguments"),
    Field::eve("response.success", "boolean", "whether it succeeded"),
    Field::eve("response.status", "string", "`OK` or `ERR`"),
    Field::eve("response.header", "string", "what the answer says"),
    Field::eve("response.data", "array", "lines of the answer"),
];

/// POP3.
pub struct Pop3;

impl Protocol for Pop3 {
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
        let usual = first.has_port(PORTS);
        let known: &[&[u8]] = match (first.direction, usual) {
            (Direction::ToClient, false) => &[b"+OK "],
            (Direction::ToClient, true) => &[b"+OK ", b"+OK\r", b"-ERR"],
            (Direction::ToServer, false) => &[b"APOP ", b"CAPA\r"],
            (Direction::ToServer, true) => {
                &[b"APOP ", b"CAPA\r", b"USER ", b"AUTH", b"STLS\r", b"QUIT\r"]
            }
        };
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
}

/// A command and its answer; a greeting is an answer alone.
#[derive(Clone, Default, Debug, Serialize)]
struct Exchange {
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Request>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<Response>,
    #[serde(skip)]
    tx_id: u64,
    #[serde(skip)]
    many_lines: bool,
}

#[derive(Clone, Default, Debug, Serialize)]
struct Request {
    command: Text,
    args: Vec<Text>,
}

#[derive(Clone, Default, Debug, Serialize)]
struct Response {
    success: bool,
    status: &'static str,
    header: Text,
    data: Vec<Text>,
    #[serde(skip)]
    bytes: usize,
}

impl Transaction for Exchange {
    fn protocol(&self) -> AppProto {
        NAME
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn summary(&self) -> String {
        let mut line = String::new();
        if let Some(request) = &self.request {
            line = request.command.to_string();
            // A password is nobody's business in a list.
            if let Some(arg) = request.args.first().filter(|_| *request.command != *b"PASS") {
                line = format!("{line} {arg}");
            }
        }
        if let Some(response) = &self.response {
            line = format!("{line} {} {}", response.status, response.header);
        }
        line.trim().to_owned()
    }
}

#[derive(Default)]
struct Reading {
    wants: Wants,
    lines: Both<Pending>,
    waiting: VecDeque<Exchange>,
    /// An answer of several lines on its way.
    open: Option<Exchange>,
    /// The client's next line answers a challenge.
    challenged: bool,
    tx_id: u64,
    /// Who was named last.
    user: Text,
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
            self.lines.of(direction).take();
            return Ok(Next::More);
        };
        let mut pending = std::mem::take(self.lines.of(direction));
        let mut change = false;
        let used = pending.lines(bytes, LINE_CAP, |line| {
            match direction {
                Direction::ToServer => self.command(line),
                Direction::ToClient => change = self.answer(line, out),
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
        if direction == Direction::ToClient {
            while let Some(exchange) = self.open.take().or_else(|| self.waiting.pop_front()) {
                self.tell(direction, exchange, out);
            }
        }
    }
}

impl Reading {
    fn command(&mut self, line: &[u8]) {
        if std::mem::take(&mut self.challenged) || self.waiting.len() >= WAITING_CAP {
            return;
        }
        let mut words = line.split(|&b| b == b' ').filter(|word| !word.is_empty());
        let command = words.next().unwrap_or_default().to_ascii_uppercase();
        let args: Vec<Text> = words.take(16).map(Text::new).collect();
        if command.is_empty() {
            return;
        }
        let many_lines = match &command[..] {
            b"LIST" | b"UIDL" => args.is_empty(),
            b"RETR" | b"TOP" | b"CAPA" => true,
            _ => false,
        };
        let request = Some(Request { command: Text::capped(&command, 64), args });
        self.waiting.push_back(Exchange { request, response: None, tx_id: self.tx_id, many_lines });
        self.tx_id += 1;
    }

    /// One line of an answer; says whether encryption begins behind it.
    fn answer(&mut self, line: &[u8], out: &mut Outcome) -> bool {
        if let Some(open) = &mut self.open {
            if line == b"." {
                if let Some(exchange) = self.open.take() {
                    self.tell(Direction::ToClient, exchange, out);
                }
            } else if let Some(response) = &mut open.response
                && response.data.len() < DATA_LINES_CAP
                && response.bytes < DATA_CAP
            {
                let line = line.strip_prefix(b".").unwrap_or(line);
                response.bytes += line.len();
                response.data.push(Text::new(line));
            }
            return false;
        }
        let (success, rest) = match (line.strip_prefix(b"+OK"), line.strip_prefix(b"-ERR")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => {
                self.challenged = line.first() == Some(&b'+');
                return false;
            }
        };
        let greeting = || Exchange { tx_id: self.tx_id, ..Exchange::default() };
        let mut exchange = self.waiting.pop_front().unwrap_or_else(greeting);
        if exchange.request.is_none() {
            self.tx_id += 1;
        }
        exchange.response = Some(Response {
            success,
            status: if success { "OK" } else { "ERR" },
            header: Text::new(rest.trim_ascii()),
            ..Response::default()
        });
        self.login(&exchange, success, out);
        if success && exchange.many_lines {
            self.open = Some(exchange);
            return false;
        }
        let upgrades = success && exchange.request.as_ref().is_some_and(|r| *r.command == *b"STLS");
        self.tell(Direction::ToClient, exchange, out);
        upgrades
    }

    /// Tells what an answer means for who logs on.
    fn login(&mut self, exchange: &Exchange, success: bool, out: &mut Outcome) {
        let Some(Request { command, args }) = &exchange.request else { return };
        let outcome = if success { LoginOutcome::Granted } else { LoginOutcome::Refused };
        match (&command[..], args.first()) {
            (b"USER", Some(user)) => self.user = user.clone(),
            (b"PASS", _) => out.login(&self.user, outcome, Secret::Readable),
            (b"APOP", Some(user)) => out.login(user, outcome, Secret::Hidden),
            // Without an argument it asks for what there is (RFC 5034 section 4).
            (b"AUTH", Some(mechanism)) => out.login(b"", outcome, crate::login::secret(mechanism)),
            _ => {}
        }
    }

    fn tell(&self, direction: Direction, exchange: Exchange, out: &mut Outcome) {
        if self.wants.records || self.wants.buffers {
            out.transaction(direction, exchange.tx_id, exchange);
        }
    }
}
