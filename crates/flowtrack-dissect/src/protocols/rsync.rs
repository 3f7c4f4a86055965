//! The daemon protocol of rsync: version and module.

use crate::brief::{Brief, Messages, Step, rest_of_line};
use crate::{Field, First, Malformed, Probe};
use flowtrack_event::{AppProto, Direction};

const PORTS: &[u16] = &[873];
const FIELDS: &[Field] = &[
    Field::added("client_version", "string", "version of the client"),
    Field::added("server_version", "string", "version of the server"),
    Field::added("module", "string", "module asked for"),
];

crate::brief_protocol!(
    /// Rsync.
    Rsync, RsyncMessages, PORTS, FIELDS, probe
);

fn probe(first: &First<'_>) -> Probe {
    Probe::prefix(first.bytes, b"@RSYNCD: ")
}

#[derive(Default)]
struct RsyncMessages;

impl Messages for RsyncMessages {
    const NAME: AppProto = AppProto("rsync");
    const CAP: usize = 4096;

    fn read(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        brief: &mut Brief,
    ) -> Result<Step, Malformed> {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            return Ok(rest_of_line(bytes));
        };
        let line = bytes.get(..end).unwrap_or_default().trim_ascii();
        match (direction, line.strip_prefix(b"@RSYNCD: ")) {
            (Direction::ToServer, Some(version)) => brief.text("client_version", version),
            (Direction::ToServer, None) => {
                brief.text("module", line);
                return Ok(Step::Last);
            }
            (Direction::ToClient, Some(version)) => brief.text("server_version", version),
            (Direction::ToClient, None) => {}
        }
        Ok(Step::Used(end + 1))
    }
}
