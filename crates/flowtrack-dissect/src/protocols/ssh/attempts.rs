//! Whether somebody was let in, by the sizes of encrypted answers.
//!
//! Before a session both sides take turns (RFC 4252): the server accepts the service, then answers
//! each attempt. Success is a message of one byte and acceptance one of 17, so that whatever is
//! added to a message, success is 16 bytes shorter; a refusal lists the ways to go on and is as
//! long every time. What counts are the bytes of a turn, however a stream is cut.

use flowtrack_event::{Direction, LoginOutcome};
use smallvec::SmallVec;

/// Turns that are looked at; who is let in by then takes more, who is not is thrown out before.
const TURNS: usize = 24;
/// Encrypted bytes that are looked at.
const BYTES: usize = 64 * 1024;
/// By how much success is shorter than the acceptance of the service.
const SHORTER: usize = 16;
/// By how much a refusal may be longer than the acceptance of the service: with all the ways to
/// prove oneself that are in use, and a farewell.
const REFUSAL: usize = 160;
/// Refusals that are told of one session.
const TOLD: usize = 8;

/// The answers of a server, by their sizes.
#[derive(Default, Debug)]
pub(super) struct Attempts {
    answers: SmallVec<[usize; TURNS]>,
    /// Bytes of the answer that is on its way.
    open: usize,
    /// Whether the client said anything encrypted.
    asked: bool,
    bytes: usize,
}

impl Attempts {
    /// So many encrypted bytes went this way; answers whether more are worth a look.
    pub(super) fn add(&mut self, direction: Direction, bytes: usize) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        match direction {
            Direction::ToServer => {
                self.asked = true;
                self.end_of_answer();
            }
            // What the server says unasked is not an answer, such as its extensions (RFC 8308).
            Direction::ToClient if self.asked => self.open += bytes,
            Direction::ToClient => {}
        }
        self.answers.len() < TURNS && self.bytes < BYTES
    }

    fn end_of_answer(&mut self) {
        if self.open > 0 {
            self.answers.push(std::mem::take(&mut self.open));
        }
    }

    /// How the attempts ended, in order; nothing where nobody tried or nobody can tell.
    pub(super) fn outcomes(mut self) -> SmallVec<[LoginOutcome; TOLD]> {
        self.end_of_answer();
        let mut told = SmallVec::new();
        let Some((&accepted, answers)) = self.answers.split_first() else { return told };
        let Some((&last, before)) = answers.split_last() else { return told };
        let refusals = answers.iter().filter(|&&answer| answer == last).count();
        let is_refusal = last >= accepted && last <= accepted + REFUSAL;
        // Thrown out: one refusal after another, and with the last one a farewell.
        let thrown_out = before.len() >= 2
            && before.iter().rev().take(2).all(|&answer| Some(&answer) == before.last())
            && last > accepted;
        let is_short = accepted >= SHORTER && answers.contains(&(accepted - SHORTER));
        if is_short || self.answers.len() >= TURNS || self.bytes >= BYTES {
            told.push(LoginOutcome::Granted);
        } else if is_refusal && refusals * 2 >= answers.len() {
            // Most clients first ask without any proof what is wanted.
            let tries = if refusals > 1 { refusals - 1 } else { 1 };
            told.extend(std::iter::repeat_n(LoginOutcome::Refused, tries.min(TOLD)));
        } else if thrown_out {
            let tries = before.iter().filter(|&answer| Some(answer) == before.last()).count();
            told.extend(std::iter::repeat_n(LoginOutcome::Refused, tries.min(TOLD)));
        } else if answers.len() >= 2 {
            told.push(LoginOutcome::Granted);
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of answers of these sizes.
    fn outcomes(answers: &[usize]) -> Vec<LoginOutcome> {
        let mut attempts = Attempts::default();
        assert!(attempts.add(Direction::ToClient, 300), "what is said unasked");
        for &answer in answers {
            attempts.add(Direction::ToServer, 64);
            // However it is cut.
            attempts.add(Direction::ToClient, answer / 2);
            attempts.add(Direction::ToClient, answer - answer / 2);
        }
        attempts.outcomes().to_vec()
    }

    #[test]
    fn sizes_tell_refusal_from_success() {
        use LoginOutcome::{Granted, Refused};
        // OpenSSH with chacha20-poly1305: accepted 44, refused 60, key known 508.
        assert_eq!(outcomes(&[44, 60, 60, 60, 60]), [Refused; 3]);
        assert_eq!(outcomes(&[44, 60, 60]), [Refused]);
        assert_eq!(outcomes(&[44, 60]), [Refused]);
        assert_eq!(outcomes(&[44, 60, 60, 60, 60, 60, 60, 140]), [Refused; 6]);
        // A key, and a command: success comes with the keys of the host.
        assert_eq!(outcomes(&[44, 60, 508, 700, 44, 150, 180]), [Granted]);
        // Mistyped twice, then in.
        assert_eq!(outcomes(&[44, 60, 60, 60, 700, 44, 120, 90, 1000]), [Granted]);
        // Dropbear says nothing with success.
        assert_eq!(outcomes(&[44, 60, 28]), [Granted]);
        // A scanner that only looks at the keys of the host.
        assert_eq!(outcomes(&[]), []);
        assert_eq!(outcomes(&[44]), []);
        // With a long banner before the first refusal.
        assert_eq!(outcomes(&[44, 900, 60, 60]), [Refused]);
    }

    #[test]
    fn long_sessions_are_not_followed() {
        let mut attempts = Attempts::default();
        let mut turns = 0;
        while attempts.add(Direction::ToServer, 50) && attempts.add(Direction::ToClient, 50) {
            turns += 1;
        }
        assert!(turns <= TURNS, "{turns}");
        assert_eq!(attempts.outcomes().to_vec(), [LoginOutcome::Granted]);
    }
}
