//! Redis: the commands of a client, and the errors it gets.

use crate::brief::{Brief, Messages, Step, rest_of_line};
use crate::{Field, First, Malformed, Probe};
use flowtrack_event::{AppProto, Confidence, Direction};

const PORTS: &[u16] = &[6379];
const FIELDS: &[Field] = &[
    Field::added("commands", "array", "commands used"),
    Field::added("user", "string", "user who logged in"),
    Field::added("errors", "array", "errors of the server"),
];
/// Arguments of one command that are looked at.
const ARGUMENT_CAP: usize = 4;

crate::brief_protocol!(
    /// Redis.
    Redis, RedisMessages, PORTS, FIELDS, probe
);

/// A client sends arrays of strings; the first is a word.
fn probe(first: &First<'_>) -> Probe {
    if first.direction == Direction::ToClient {
        return Probe::No;
    }
    let begins = match first.bytes {
        [] | [b'*'] => return Probe::NeedMore,
        [b'*', digit, ..] => digit.is_ascii_digit(),
        _ => false,
    };
    if !begins {
        return Probe::No;
    }
    match array(first.bytes) {
        Array::Words { words, .. } => match words.first() {
            Some(word) if word.iter().all(u8::is_ascii_alphabetic) => {
                Probe::Match(Confidence::Content)
            }
            _ => Probe::No,
        },
        Array::Need(_) if first.bytes.len() < 256 => Probe::NeedMore,
        Array::Need(_) | Array::Other => Probe::No,
    }
}

#[derive(Default)]
struct RedisMessages;

impl Messages for RedisMessages {
    const NAME: AppProto = AppProto("redis");
    const CAP: usize = 64 * 1024;

    fn read(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        brief: &mut Brief,
    ) -> Result<Step, Malformed> {
        if direction == Direction::ToClient {
            // Answers are not followed; the errors among them stand at the beginning of a line.
            let Some(end) = memchr::memchr(b'\n', bytes) else {
                return Ok(rest_of_line(bytes));
            };
            let line = bytes.get(..end).unwrap_or_default().trim_ascii_end();
            if let Some(error) = line.strip_prefix(b"-") {
                brief.list("errors", error);
            }
            return Ok(Step::Used(end + 1));
        }
        match array(bytes) {
            Array::Need(n) => Ok(Step::Need(n)),
            Array::Words { words, used } => {
                command(&words, brief);
                Ok(Step::Used(used))
            }
            Array::Other => {
                // An inline command is a line.
                let Some(end) = memchr::memchr(b'\n', bytes) else {
                    return Ok(rest_of_line(bytes));
                };
                let line = bytes.get(..end).unwrap_or_default().trim_ascii();
                let words: Vec<&[u8]> = line.split(|&b| b == b' ').take(ARGUMENT_CAP).collect();
                command(&words, brief);
                Ok(Step::Used(end + 1))
            }
        }
    }
}

fn command(words: &[&[u8]], brief: &mut Brief) {
    let Some(name) = words.first().filter(|name| !name.is_empty()) else { return };
    let name = name.get(..32).unwrap_or(name).to_ascii_uppercase();
    // With one argument it is the password of the default user.
    if name == b"AUTH"
        && let [_, user, _] = words
    {
        brief.text("user", user);
    }
    brief.list("commands", &name);
}

enum Array<'a> {
    /// The first words, and how many bytes the array takes.
    Words {
        words: Vec<&'a [u8]>,
        used: usize,
    },
    Need(usize),
    Other,
}

/// An array of strings: `*2\r\n$3\r\nGET\r\n$1\r\nx\r\n`.
fn array(bytes: &[u8]) -> Array<'_> {
    let (count, mut used) = match number(bytes, b'*') {
        Ok((count, used)) => (count, used),
        Err(other) => return other,
    };
    if count > 1024 * 1024 {
        return Array::Other;
    }
    let mut words = Vec::new();
    for _ in 0..count {
        let rest = bytes.get(used..).unwrap_or_default();
        let (length, head) = match number(rest, b'$') {
            Ok(found) => found,
            Err(Array::Need(n)) => return Array::Need(used + n),
            Err(other) => return other,
        };
        let end = head.saturating_add(length);
        let Some(word) = rest.get(head..end) else {
            return Array::Need(used.saturating_add(end).saturating_add(2));
        };
        if words.len() < ARGUMENT_CAP {
            words.push(word);
        }
        used += end + 2;
        if bytes.len() < used {
            return Array::Need(used);
        }
    }
    Array::Words { words, used }
}

/// `*2\r\n` or `$3\r\n`: the number, and the bytes it takes.
fn number(bytes: &[u8], mark: u8) -> Result<(usize, usize), Array<'_>> {
    const DIGITS_CAP: usize = 12;
    let head = bytes.get(..DIGITS_CAP).unwrap_or(bytes);
    if head.first().is_some_and(|b| *b != mark) {
        return Err(Array::Other);
    }
    let Some(end) = memchr::memchr(b'\n', head) else {
        return Err(if bytes.len() < DIGITS_CAP {
            Array::Need(bytes.len() + 1)
        } else {
            Array::Other
        });
    };
    let digits = head.get(1..end).unwrap_or_default().trim_ascii_end();
    let value = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    value.map(|value| (value, end + 1)).ok_or(Array::Other)
}
