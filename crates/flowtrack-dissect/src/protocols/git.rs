//! The native protocol of Git: which repository a client wants.

use crate::brief::{Brief, Messages, Step};
use crate::{Field, First, Malformed, Probe};
use flowtrack_event::{AppProto, Direction};

const PORTS: &[u16] = &[9418];
const FIELDS: &[Field] = &[
    Field::added("command", "string", "service asked for"),
    Field::added("path", "string", "repository"),
    Field::added("host", "string", "host as the client calls it"),
];

crate::brief_protocol!(
    /// Git.
    Git, GitMessages, PORTS, FIELDS, probe
);

fn probe(first: &First<'_>) -> Probe {
    if first.direction == Direction::ToClient {
        return Probe::No;
    }
    let (length, rest) = first.bytes.split_at_checked(4).unwrap_or((first.bytes, &[]));
    if !length.iter().all(u8::is_ascii_hexdigit) {
        return Probe::No;
    }
    match Probe::prefix(rest, b"git-") {
        Probe::NeedMore if first.bytes.first() != Some(&b'0') => Probe::No,
        other => other,
    }
}

#[derive(Default)]
struct GitMessages;

impl Messages for GitMessages {
    const NAME: AppProto = AppProto("git");
    const CAP: usize = 65_520;

    fn read(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        brief: &mut Brief,
    ) -> Result<Step, Malformed> {
        if direction == Direction::ToClient {
            return Ok(Step::Used(bytes.len()));
        }
        let Some(length) = bytes.first_chunk::<4>() else { return Ok(Step::Need(4)) };
        let length = std::str::from_utf8(length).ok();
        let length = length.and_then(|digits| usize::from_str_radix(digits, 16).ok());
        let Some(length) = length.filter(|length| *length > 4) else {
            return Err(Malformed("invalid_length"));
        };
        let Some(line) = bytes.get(4..length) else { return Ok(Step::Need(length)) };
        // `git-upload-pack /path\0host=name\0`
        let mut parts = line.split(|&b| b == 0);
        let mut words = parts.next().unwrap_or_default().splitn(2, |&b| b == b' ');
        brief.text("command", words.next().unwrap_or_default());
        brief.text("path", words.next().unwrap_or_default().trim_ascii_end());
        if let Some(host) = parts.find_map(|part| part.strip_prefix(b"host=")) {
            brief.text("host", host);
        }
        Ok(Step::Last)
    }
}
