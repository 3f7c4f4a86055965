//! SMTP (RFC 5321) with pipelining (RFC 2920), BDAT (RFC 3030), STARTTLS (RFC 3207) and the mails
//! it carries (MIME, RFC 2045 to 2049).
//!
//! A transaction is one mail: from the first command up to the reply that accepts or refuses its
//! end, a `RSET`, or the end of the flow.

pub(crate) mod decode;
mod email;
mod mime;
mod record;

use crate::greeting::{Greeting, SMTP_PORTS, begins_with, greeting};
use crate::{
    Both, Dissector, Field, First, Keyword, Malformed, Moment, Next, Outcome, Pending, Probe,
    Protocol, Text, Transport, Wants,
};
use flowtrack_event::{AppProto, Chunk, Confidence, Direction, FileState, LoginOutcome};
use mime::MailReader;
use record::{FIELDS, KEYWORDS, Mail};
use std::collections::VecDeque;

const NAME: AppProto = AppProto("smtp");
/// Longest command or reply line looked at.
const LINE_CAP: usize = 4096;
/// Longest command line that RFC 5321 section 4.5.3.1.4 allows, with room for extensions.
const COMMAND_CAP: usize = 2048;
/// Commands that wait for their reply.
const WAITING_CAP: usize = 128;
/// Recipients kept of one mail.
const RECIPIENT_CAP: usize = 256;

/// SMTP.
pub struct Smtp;

impl Protocol for Smtp {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn ports(&self) -> &'static [u16] {
        SMTP_PORTS
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        match first.direction {
            Direction::ToServer => probe_command(first),
            Direction::ToClient => probe_greeting(first),
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

/// A client begins with its own name, or on the port of mail with another command.
fn probe_command(first: &First<'_>) -> Probe {
    let mut known: Vec<&[u8]> =
        vec![b"EHLO ", b"HELO ", b"LHLO ", b"EHLO\r", b"HELO\r", b"EHLO\n", b"HELO\n"];
    if first.has_port(SMTP_PORTS) {
        let more: [&[u8]; 6] =
            [b"MAIL FROM:", b"RCPT TO:", b"RSET\r", b"NOOP\r", b"STARTTLS\r", b"QUIT\r"];
        known.extend(more);
    }
    match begins_with(first.bytes, &known) {
        Some(true) => Probe::Match(Confidence::Content),
        Some(false) => Probe::NeedMore,
        None => Probe::No,
    }
}

fn probe_greeting(first: &First<'_>) -> Probe {
    match greeting(first) {
        Greeting::Smtp => Probe::Match(Confidence::Content),
        Greeting::Unfinished => Probe::NeedMore,
        Greeting::Ftp | Greeting::Silent | Greeting::Other => Probe::No,
    }
}

#[derive(Default)]
struct Reading {
    wants: Wants,
    lines: Both<Pending>,
    stage: Stage,
    /// Commands that wait for their reply.
    waiting: VecDeque<Command>,
    /// Last greeting of the client.
    helo: Text,
    mail: Option<Mail>,
    body: Option<MailReader>,
    /// The mail in hand has ended: the next command begins another.
    done: bool,
    tx_id: u64,
    greeted: bool,
    /// Whether the reply being read began with an earlier line.
    continued: bool,
    attempt: Attempt,
}

/// An attempt to log on (RFC 4954).
#[derive(Default)]
struct Attempt {
    mechanism: Vec<u8>,
    user: Text,
    /// Whether the client said anything behind the mechanism.
    begun: bool,
}

/// What the client's next bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Commands,
    /// `DATA` was said; what follows is the mail once the server agrees.
    DataAsked,
    /// The mail, up to a line with a dot alone.
    Data,
    /// So many bytes of the mail.
    Chunk { left: u64, last: bool },
    /// The answer to `STARTTLS` decides.
    TlsAsked,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Command {
    Hello,
    Data,
    /// The end of a mail.
    End,
    StartTls,
    Quit,
    Auth,
    Other,
}

impl Dissector for Reading {
    fn feed(
        &mut self,
        _at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) -> Result<Next, Malformed> {
        Ok(match (chunk, direction) {
            (Chunk::Bytes(bytes), Direction::ToServer) => self.requests(bytes, out),
            (Chunk::Bytes(bytes), Direction::ToClient) => self.replies(bytes, out),
            (Chunk::Gap(bytes), Direction::ToServer) => {
                self.hole(bytes);
                Next::More
            }
            (Chunk::Gap(_), Direction::ToClient) => {
                // Replies can no longer be told to their commands one by one.
                self.lines.to_client.take();
                self.waiting.clear();
                Next::More
            }
        })
    }

    fn finish(&mut self, _at: &Moment<'_>, direction: Direction, out: &mut Outcome) {
        // Replies may still follow the client's end.
        let silent = self.waiting.is_empty() && direction == Direction::ToServer;
        if silent || direction == Direction::ToClient {
            self.end_of_body(FileState::Truncated, out);
            self.tell(direction, out);
        }
    }
}

impl Reading {
    /// Reads what the client sends.
    fn requests(&mut self, bytes: &[u8], out: &mut Outcome) -> Next {
        let mut rest = bytes;
        while !rest.is_empty() {
            let used = match self.stage {
                Stage::Commands => {
                    let mut pending = std::mem::take(&mut self.lines.to_server);
                    let used = pending.lines(rest, LINE_CAP, |line| {
                        self.command(line, out);
                        self.stage == Stage::Commands
                    });
                    self.lines.to_server = pending;
                    used
                }
                // The client did not wait, or the server is not heard.
                Stage::DataAsked => {
                    self.begin_body();
                    self.stage = Stage::Data;
                    0
                }
                Stage::Data => self.data(rest, out),
                Stage::Chunk { left, last } => self.chunk(rest, left, last, out),
                Stage::TlsAsked => {
                    // Said before the server agreed: it is encrypted already where it looks so.
                    if rest.first() == Some(&0x16) {
                        self.tell(Direction::ToServer, out);
                        let consumed = bytes.len() - rest.len();
                        return Next::Change { consumed, to: Some(AppProto("tls")) };
                    }
                    self.stage = Stage::Commands;
                    0
                }
            };
            rest = rest.get(used..).unwrap_or_default();
        }
        Next::More
    }

    fn command(&mut self, line: &[u8], out: &mut Outcome) {
        if line.len() > COMMAND_CAP {
            out.anomaly("max_command_line_len_exceeded", Some(self.tx_id));
        }
        if self.waiting.back() == Some(&Command::Auth) {
            // What answers a challenge is no command, and a secret.
            if !is_word(line) {
                self.attempt.said(line);
                return;
            }
        }
        let (verb, rest) = split_verb(line);
        let verb = verb.to_ascii_uppercase();
        if self.done && !matches!(&verb[..], b"RSET" | b"QUIT") {
            self.tell(Direction::ToServer, out);
        }
        let command = match &verb[..] {
            b"EHLO" | b"HELO" | b"LHLO" => {
                // Accepted, it forgets a mail begun (RFC 5321 section 4.1.4); see the reply.
                let name = Text::new(rest.trim_ascii());
                self.helo.clone_from(&name);
                let mail = self.mail();
                if mail.mail_from.is_none() {
                    mail.helo = name;
                }
                Command::Hello
            }
            b"MAIL" => {
                let path = argument(rest, b"FROM:");
                self.mail().mail_from.get_or_insert(path);
                Command::Other
            }
            b"RCPT" => {
                let path = argument(rest, b"TO:");
                let mail = self.mail();
                if mail.rcpt_to.len() < RECIPIENT_CAP {
                    mail.rcpt_to.push(path);
                }
                Command::Other
            }
            b"DATA" => {
                self.mail();
                self.stage = Stage::DataAsked;
                Command::Data
            }
            b"BDAT" => return self.bdat(rest, out),
            b"RSET" => {
                // It ends the mail in hand, whether that was complete or not.
                self.mail_unless_told();
                self.tell(Direction::ToServer, out);
                Command::Other
            }
            b"STARTTLS" => {
                self.mail();
                self.stage = Stage::TlsAsked;
                Command::StartTls
            }
            b"QUIT" => {
                self.mail_unless_told();
                Command::Quit
            }
            b"AUTH" => {
                self.mail();
                self.attempt = Attempt::of(rest);
                Command::Auth
            }
            _ => {
                self.mail();
                Command::Other
            }
        };
        self.wait(command);
    }

    /// `BDAT size [LAST]` (RFC 3030 section 2).
    fn bdat(&mut self, rest: &[u8], out: &mut Outcome) {
        let mut words = rest.split(|&b| b == b' ').filter(|w| !w.is_empty());
        let size = words.next().and_then(|w| std::str::from_utf8(w).ok()?.parse::<u64>().ok());
        let last = words.next().is_some_and(|w| w.eq_ignore_ascii_case(b"LAST"));
        self.mail();
        let Some(left) = size else {
            out.anomaly("invalid_bdat", Some(self.tx_id));
            self.wait(Command::Other);
            return;
        };
        self.begin_body();
        self.wait(if last { Command::End } else { Command::Other });
        if left > 0 {
            self.stage = Stage::Chunk { left, last };
        } else if last {
            self.end_of_body(FileState::Closed, out);
        }
    }

    /// Bytes of the mail up to its dot; says how many it used.
    fn data(&mut self, bytes: &[u8], out: &mut Outcome) -> usize {
        let Some(body) = &mut self.body else {
            self.stage = Stage::Commands;
            return 0;
        };
        let (used, ended) = body.dotted(bytes, out);
        if ended {
            self.end_of_body(FileState::Closed, out);
            self.stage = Stage::Commands;
            self.wait(Command::End);
        }
        used
    }

    fn chunk(&mut self, bytes: &[u8], left: u64, last: bool, out: &mut Outcome) -> usize {
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        if let Some(body) = &mut self.body {
            body.plain(bytes.get(..n).unwrap_or_default(), out);
        }
        let left = left.saturating_sub(n as u64);
        self.stage = if left > 0 { Stage::Chunk { left, last } } else { Stage::Commands };
        if left == 0 && last {
            self.end_of_body(FileState::Closed, out);
        }
        n
    }

    /// Bytes of the client are missing.
    fn hole(&mut self, bytes: u64) {
        self.lines.to_server.take();
        match self.stage {
            Stage::Chunk { left, last } if left > bytes => {
                self.stage = Stage::Chunk { left: left - bytes, last };
            }
            Stage::Chunk { .. } => self.stage = Stage::Commands,
            Stage::DataAsked => {
                self.begin_body();
                self.stage = Stage::Data;
            }
            Stage::Commands | Stage::Data | Stage::TlsAsked => {}
        }
        if let Some(body) = &mut self.body {
            body.gap(bytes);
        }
    }

    /// Reads what the server answers.
    fn replies(&mut self, bytes: &[u8], out: &mut Outcome) -> Next {
        let mut pending = std::mem::take(&mut self.lines.to_client);
        let mut change = false;
        let used = pending.lines(bytes, LINE_CAP, |line| {
            change = self.reply(line, out);
            !change
        });
        self.lines.to_client = pending;
        if change {
            self.tell(Direction::ToClient, out);
            return Next::Change { consumed: used, to: Some(AppProto("tls")) };
        }
        Next::More
    }

    /// One line of a reply; says whether encryption begins behind it.
    fn reply(&mut self, line: &[u8], out: &mut Outcome) -> bool {
        let Some([a, b, c]) = line.first_chunk::<3>() else {
            return false;
        };
        if ![a, b, c].iter().all(|d| d.is_ascii_digit()) {
            if !self.continued {
                out.anomaly("invalid_reply", Some(self.tx_id));
            }
            return false;
        }
        self.continued = line.get(3) == Some(&b'-');
        if self.continued {
            return false;
        }
        if !self.greeted && self.waiting.is_empty() {
            self.greeted = true;
            return false;
        }
        self.greeted = true;
        // A challenge is not yet the answer to its command.
        if *a == b'3' && self.waiting.front() == Some(&Command::Auth) {
            return false;
        }
        let accepted = *a == b'2' || *a == b'3';
        let first = self.waiting.pop_front();
        match first {
            Some(Command::Data) if accepted => {
                if self.stage == Stage::DataAsked {
                    self.begin_body();
                    self.stage = Stage::Data;
                }
            }
            Some(Command::Data) => {
                out.anomaly("data_command_rejected", Some(self.tx_id));
                if self.stage == Stage::DataAsked {
                    self.stage = Stage::Commands;
                }
                self.done = true;
            }
            // With pipelining the next mail may have begun already.
            Some(Command::End) if !self.done => {}
            Some(Command::End | Command::Quit) => self.tell(Direction::ToClient, out),
            Some(Command::StartTls) if accepted => return true,
            Some(Command::StartTls) => {
                out.anomaly("tls_rejected", Some(self.tx_id));
                if self.stage == Stage::TlsAsked {
                    self.stage = Stage::Commands;
                }
            }
            Some(Command::Hello) => {
                let begun = self.mail.as_ref().is_some_and(|m| m.mail_from.is_some());
                if accepted && begun {
                    self.tell(Direction::ToClient, out);
                }
            }
            Some(Command::Auth) => {
                let outcome = match line.first_chunk::<3>() {
                    Some(b"235") => LoginOutcome::Granted,
                    Some(b"535") => LoginOutcome::Refused,
                    // It was not tried, such as by a way that the server does not offer.
                    _ => return false,
                };
                let Attempt { mechanism, user, .. } = std::mem::take(&mut self.attempt);
                out.login(&user, outcome, crate::login::secret(&mechanism));
            }
            // Without a command the client is not heard, or the server says good-bye.
            Some(Command::Other) | None => {}
        }
        false
    }

    fn wait(&mut self, command: Command) {
        if self.waiting.len() < WAITING_CAP {
            self.waiting.push_back(command);
        }
    }

    /// The mail in hand.
    fn mail(&mut self) -> &mut Mail {
        let Self { mail, helo, .. } = self;
        mail.get_or_insert_with(|| Mail { helo: helo.clone(), ..Mail::default() })
    }

    /// The end of a session that carried a mail is no transaction of its own.
    fn mail_unless_told(&mut self) {
        if self.tx_id == 0 {
            self.mail();
        }
    }

    fn begin_body(&mut self) {
        let Self { body, wants, tx_id, .. } = self;
        body.get_or_insert_with(|| MailReader::new(*wants, *tx_id));
    }

    fn end_of_body(&mut self, state: FileState, out: &mut Outcome) {
        if let Some(body) = self.body.take() {
            let email = body.finish(state, out);
            self.mail().email = Some(email);
            self.done = state == FileState::Closed;
        }
    }

    /// Reports the mail in hand, whatever there is of it.
    fn tell(&mut self, direction: Direction, out: &mut Outcome) {
        self.end_of_body(FileState::Truncated, out);
        self.done = false;
        if let Some(mail) = self.mail.take() {
            if self.wants.records || self.wants.buffers {
                out.transaction(direction, self.tx_id, mail);
            }
            self.tx_id += 1;
        }
    }
}

impl Attempt {
    /// By what follows `AUTH`.
    fn of(rest: &[u8]) -> Self {
        let (mechanism, first) = split_verb(rest);
        let mut attempt = Self { mechanism: mechanism.to_ascii_uppercase(), ..Self::default() };
        let first = first.trim_ascii();
        if !first.is_empty() {
            attempt.said(first);
        }
        attempt
    }

    /// The client answers: first of all it says who it is.
    fn said(&mut self, line: &[u8]) {
        if std::mem::replace(&mut self.begun, true) || line.len() > COMMAND_CAP {
            return;
        }
        let told = decode::base64(line.trim_ascii());
        match &self.mechanism[..] {
            // Whom to act for, who it is, and the password (RFC 4616).
            b"PLAIN" => {
                let user = told.split(|&b| b == 0).nth(1).unwrap_or_default();
                self.user = Text::capped(user, 256);
            }
            b"LOGIN" => self.user = Text::capped(&told, 256),
            _ => {}
        }
    }
}

/// Whether a line looks like a command and not like base64.
fn is_word(line: &[u8]) -> bool {
    let (verb, _) = split_verb(line);
    [&b"MAIL"[..], b"QUIT", b"RSET", b"EHLO", b"HELO", b"RCPT", b"DATA", b"NOOP", b"AUTH"]
        .iter()
        .any(|known| verb.eq_ignore_ascii_case(known))
}

fn split_verb(line: &[u8]) -> (&[u8], &[u8]) {
    let line = line.trim_ascii_start();
    let end = line.iter().position(|b| *b == b' ' || *b == b'\t').unwrap_or(line.len());
    line.split_at_checked(end).unwrap_or((line, &[]))
}

/// The path of `MAIL FROM:<path> KEY=VALUE`, with its angle brackets as EVE has it.
fn argument(rest: &[u8], keyword: &[u8]) -> Text {
    let rest = rest.trim_ascii();
    let n = keyword.len();
    let path = match rest.get(..n) {
        Some(head) if head.eq_ignore_ascii_case(keyword) => rest.get(n..).unwrap_or_default(),
        _ => rest,
    };
    let path = path.trim_ascii_start();
    let end = match path.first() {
        Some(b'<') => path.iter().position(|&b| b == b'>').map(|at| at + 1),
        _ => path.iter().position(|&b| b == b' '),
    };
    Text::new(path.get(..end.unwrap_or(path.len())).unwrap_or(path))
}
