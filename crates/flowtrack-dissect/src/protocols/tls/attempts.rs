//! Whether somebody was turned away inside an encrypted session of mail or FTP, by when it is
//! answered.
//!
//! Servers let those wait whose password was wrong, and nobody else: Dovecot for 2 s, Cyrus for 3 s,
//! Courier and Exchange for 5 s. So a short question that got a short answer late,
//! behind which nothing but another try or a good-bye is said, is a refusal. Who is let in asks on
//! and is answered at once; what is slow all the time only has a slow way. And who gets much, or
//! sends much, was let in.

use crate::{Moment, Outcome};
use flowtrack_event::{AppProto, Direction, LoginOutcome, Secret, Timestamp};
use std::time::Duration;

/// Turns that are looked at: more than servers grant to those who guess.
const TURNS: usize = 24;
/// Encrypted bytes that are looked at; mail that is read or sent has more.
const BYTES: usize = 16 * 1024;
/// How late an answer is that lets wait.
const LATE: Duration = Duration::from_millis(900);
/// How much later it is than the quickest answer.
const LATER: u32 = 4;
/// Bytes of a question and of an answer that may be a try and its refusal, as encrypted.
const QUESTION: usize = 512;
const ANSWER: usize = 256;
/// The first turn in which much is said only to who was let in: in the one before a server says what
/// it can do.
const LET_IN: usize = 2;
/// Quick answers behind a late one before the next try: to a name, a password and a choice of ways.
const BETWEEN: usize = 3;
/// Quick answers behind the last try: to a good-bye.
const BEHIND: usize = 1;

/// The turns of an encrypted session, by their times and sizes.
#[derive(Debug)]
pub(super) struct Attempts {
    app: AppProto,
    bytes: usize,
    turns: usize,
    /// When the client said the last of its question, and how long that is.
    asked: Option<(Timestamp, usize)>,
    /// How late the answer began, and how long it is.
    answer: Option<(Duration, usize)>,
    quickest: Duration,
    /// Quick answers behind the last late one; `None` before the first.
    behind: Option<usize>,
    is_in: bool,
}

impl Attempts {
    /// Of a session to this port, begun inside another protocol or not; `None` where people do not
    /// log on by mail or FTP.
    pub(super) fn of(at: &Moment<'_>, from: Option<AppProto>) -> Option<Self> {
        let app = match (from.map(|from| from.0), at.key.dst_port) {
            (Some("imap"), _) | (None, 993) => "imaps",
            (Some("pop3"), _) | (None, 995) => "pop3s",
            (Some("smtp"), _) | (None, 465) => "smtps",
            (Some("ftp"), _) | (None, 990) => "ftps",
            _ => return None,
        };
        Some(Self {
            app: AppProto(app),
            bytes: 0,
            turns: 0,
            asked: None,
            answer: None,
            quickest: Duration::MAX,
            behind: None,
            is_in: false,
        })
    }

    /// So many encrypted bytes went this way; answers whether more are worth a look.
    pub(super) fn add(
        &mut self,
        now: Timestamp,
        direction: Direction,
        bytes: usize,
        out: &mut Outcome,
    ) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        match direction {
            Direction::ToServer => {
                self.end_of_turn(out);
                let before = self.asked.map_or(0, |(_, before)| before);
                self.asked = Some((now, before + bytes));
            }
            Direction::ToClient => match (&mut self.answer, self.asked) {
                (Some((_, length)), _) => *length += bytes,
                (None, Some((asked, _))) => self.answer = Some((now.since(asked), bytes)),
                // The greeting.
                (None, None) => {}
            },
        }
        !self.is_in && self.turns < TURNS && self.bytes < BYTES
    }

    /// Nothing more is said.
    pub(super) fn finish(mut self, out: &mut Outcome) {
        self.end_of_turn(out);
        if !self.is_in && self.behind.is_some_and(|quick| quick <= BEHIND) {
            self.tell(LoginOutcome::Refused, out);
        }
    }

    fn end_of_turn(&mut self, out: &mut Outcome) {
        let (Some((_, question)), Some((waited, answer))) = (self.asked, self.answer.take()) else {
            return;
        };
        self.asked = None;
        self.turns += 1;
        let is_late = waited >= LATE && waited >= self.quickest.saturating_mul(LATER);
        let is_short = question <= QUESTION && answer <= ANSWER;
        self.quickest = self.quickest.min(waited);
        // What there is to compare the others with.
        if self.turns == 1 {
            return;
        }
        if !is_short && self.turns >= LET_IN {
            self.is_in = true;
            self.tell(LoginOutcome::Granted, out);
        } else if is_late && is_short {
            if self.behind.is_some_and(|quick| quick <= BETWEEN) {
                self.tell(LoginOutcome::Refused, out);
            }
            self.behind = Some(0);
        } else if let Some(quick) = &mut self.behind {
            *quick += 1;
        }
    }

    fn tell(&self, outcome: LoginOutcome, out: &mut Outcome) {
        out.login_of(self.app, b"", outcome, Secret::Hidden);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a session with these turns: seconds until the answer, bytes of both.
    fn outcomes(turns: &[(f64, usize, usize)]) -> Vec<LoginOutcome> {
        let ip = std::net::IpAddr::from([10, 0, 0, 1]);
        let proto = flowtrack_event::IpProto::TCP;
        let key =
            flowtrack_event::FlowKey { src: ip, dst: ip, src_port: 40_000, dst_port: 993, proto };
        let at = Moment { ts: Timestamp::ZERO, packet: 1, key: &key, midstream: false };
        let mut attempts = Attempts::of(&at, None).expect("a port of mail");
        let mut out = Outcome { wants_logins: true, ..Outcome::default() };
        let mut now = 1_000.0;
        let time = |seconds: f64| Timestamp::from_nanos((seconds * 1e9) as i64);
        attempts.add(time(now), Direction::ToClient, 120, &mut out);
        let goes_on = turns.iter().all(|&(waits, question, answer)| {
            now += 0.1;
            // However it is cut.
            let mut goes_on = attempts.add(time(now), Direction::ToServer, question / 2, &mut out);
            if goes_on {
                let rest = question - question / 2;
                goes_on = attempts.add(time(now), Direction::ToServer, rest, &mut out);
            }
            now += waits;
            goes_on
                && attempts.add(time(now), Direction::ToClient, answer / 2, &mut out)
                && attempts.add(time(now), Direction::ToClient, answer - answer / 2, &mut out)
        });
        if goes_on {
            attempts.finish(&mut out);
        }
        assert!(out.logins.iter().all(|login| login.app == Some(AppProto("imaps"))));
        out.logins.iter().map(|login| login.outcome).collect()
    }

    const CAPABILITY: (f64, usize, usize) = (0.001, 40, 230);

    #[test]
    fn late_answers_are_refusals() {
        use LoginOutcome::Refused;
        let (asked, refused) = ((0.001, 50, 30), (2.0, 60, 80));
        assert_eq!(outcomes(&[CAPABILITY, refused, (0.001, 40, 80)]), [Refused]);
        assert_eq!(outcomes(&[CAPABILITY, refused, refused, refused]), [Refused; 3]);
        // A name and a password, one after the other.
        assert_eq!(outcomes(&[CAPABILITY, asked, refused, asked, asked, refused]), [Refused; 2]);
    }

    #[test]
    fn who_is_let_in_asks_on() {
        use LoginOutcome::{Granted, Refused};
        let (quick, listed) = ((0.001, 50, 80), (0.001, 50, 900));
        assert_eq!(outcomes(&[CAPABILITY, quick, quick, quick]), [], "nobody can tell");
        assert_eq!(outcomes(&[CAPABILITY, quick, listed, quick]), [Granted]);
        assert_eq!(outcomes(&[CAPABILITY, quick, (0.3, 4_000, 60), quick]), [Granted]);
        // Mistyped once or twice, then in.
        let wrong = (2.0, 60, 80);
        assert_eq!(outcomes(&[CAPABILITY, wrong, listed, quick]), [Granted]);
        assert_eq!(outcomes(&[CAPABILITY, wrong, wrong, listed]), [Refused, Granted]);
        // A server that takes its time for those who are right, too.
        assert_eq!(outcomes(&[CAPABILITY, (1.5, 60, 60), quick, quick]), []);
        assert_eq!(outcomes(&[CAPABILITY, (1.5, 60, 60), listed]), [Granted]);
        // A slow way: behind a satellite all answers are late.
        let slow = (1.2, 60, 80);
        assert_eq!(outcomes(&[slow, slow, slow, slow, slow, slow]), []);
    }

    #[test]
    fn what_a_server_can_do_lets_nobody_in() {
        let much = (0.001, 40, 700);
        assert_eq!(outcomes(&[much, (0.001, 60, 80)]), []);
    }
}
