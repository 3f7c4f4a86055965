//! `MySQL` and `MariaDB`: who logs in where, and what is asked first.

use crate::brief::{Brief, Messages, Step};
use crate::{Field, First, Malformed, Probe, Reader};
use flowtrack_event::{AppProto, Confidence, Direction};

const PORTS: &[u16] = &[3306];
const FIELDS: &[Field] = &[
    Field::added("version", "string", "version of the server"),
    Field::added("authentication", "string", "how the server wants users to prove themselves"),
    Field::added("tls", "boolean", "whether the client went over to TLS"),
    Field::added("user", "string", "user"),
    Field::added("database", "string", "database"),
    Field::added("commands", "array", "commands used"),
    Field::added("queries", "array", "first queries"),
    Field::added("errors", "array", "errors of the server"),
];
/// Bytes of the header of a packet.
const HEADER: usize = 4;
const CLIENT_SSL: u32 = 0x800;
const CLIENT_CONNECT_WITH_DB: u32 = 8;
const CLIENT_SECURE: u32 = 0x8000;
const CLIENT_LENENC: u32 = 0x0020_0000;

crate::brief_protocol!(
    /// `MySQL`.
    Mysql, MysqlMessages, PORTS, FIELDS, probe
);

/// The server speaks first: its version 10 greeting, or an error on its port.
fn probe(first: &First<'_>) -> Probe {
    if first.direction == Direction::ToServer {
        return Probe::No;
    }
    let Some([l0, l1, l2, sequence, kind, digit]) = first.bytes.first_chunk::<6>() else {
        let mut head = first.bytes.iter().skip(2).take(2);
        return if head.all(|b| *b == 0) { Probe::NeedMore } else { Probe::No };
    };
    let length = u32::from_le_bytes([*l0, *l1, *l2, 0]);
    if *sequence != 0 || !(8..=1024).contains(&length) {
        return Probe::No;
    }
    match kind {
        10 if digit.is_ascii_digit() => {
            let version = first.bytes.get(5..).unwrap_or_default();
            let Some(end) = memchr::memchr(0, version) else {
                return if version.len() < 128 { Probe::NeedMore } else { Probe::No };
            };
            let version = version.get(..end).unwrap_or_default();
            let printable = version.iter().all(u8::is_ascii_graphic);
            Probe::content(printable && version.contains(&b'.'))
        }
        0xff if first.has_port(PORTS) => Probe::Match(Confidence::Heuristic),
        _ => Probe::No,
    }
}

#[derive(Default)]
struct MysqlMessages {
    logged_in: bool,
    greeted: bool,
}

impl Messages for MysqlMessages {
    const NAME: AppProto = AppProto("mysql");
    const CAP: usize = 64 * 1024;
    const CHANGES: bool = true;

    fn read(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        brief: &mut Brief,
    ) -> Result<Step, Malformed> {
        let Some([l0, l1, l2, sequence]) = bytes.first_chunk::<HEADER>() else {
            return Ok(Step::Need(HEADER));
        };
        let total = HEADER + u32::from_le_bytes([*l0, *l1, *l2, 0]) as usize;
        let Some(packet) = bytes.get(HEADER..total) else { return Ok(Step::Need(total)) };
        let mut r = Reader::new(packet);
        if direction == Direction::ToClient {
            if packet.first() == Some(&0xff) {
                error(&mut r, brief);
            } else if !std::mem::replace(&mut self.greeted, true) {
                greeting(&mut r, brief);
            }
        } else if !self.logged_in && *sequence > 0 {
            let flags = r.u32_le().unwrap_or(0);
            let tls = flags & CLIENT_SSL != 0 && packet.len() == 32;
            if tls {
                brief.flag("tls", true);
                return Ok(Step::Change(total, Some(AppProto("tls"))));
            }
            self.logged_in = true;
            login(&mut r, flags, brief);
        } else if *sequence == 0 {
            command(&mut r, brief);
        }
        Ok(Step::Used(total))
    }
}

fn greeting(r: &mut Reader<'_>, brief: &mut Brief) -> Option<()> {
    r.skip(1)?;
    brief.text("version", r.until(0)?);
    // Thread, first part of the salt, filler, capabilities, character set, status, capabilities,
    // length of the salt, reserved.
    r.skip(4 + 8 + 1 + 2 + 1 + 2 + 2 + 1 + 10)?;
    r.until(0)?;
    brief.text("authentication", r.until(0).unwrap_or(r.rest()));
    Some(())
}

fn login(r: &mut Reader<'_>, flags: u32, brief: &mut Brief) -> Option<()> {
    r.skip(4 + 1 + 23)?;
    brief.text("user", r.until(0)?);
    if flags & (CLIENT_LENENC | CLIENT_SECURE) != 0 {
        let length = r.u8()?;
        r.skip(length.into())?;
    } else {
        r.until(0)?;
    }
    if flags & CLIENT_CONNECT_WITH_DB != 0 {
        brief.text("database", r.until(0)?);
    }
    Some(())
}

fn command(r: &mut Reader<'_>, brief: &mut Brief) -> Option<()> {
    let code = r.u8()?;
    brief.list("commands", command_name(code).as_bytes());
    match code {
        2 => brief.text("database", r.rest()),
        3 | 22 => brief.list("queries", r.rest()),
        _ => {}
    }
    Some(())
}

fn error(r: &mut Reader<'_>, brief: &mut Brief) -> Option<()> {
    r.skip(1)?;
    let code = r.u16_le()?;
    let text = String::from_utf8_lossy(r.rest());
    brief.list("errors", format!("{code} {text}").as_bytes());
    Some(())
}

const fn command_name(code: u8) -> &'static str {
    match code {
        1 => "quit",
        2 => "init_db",
        3 => "query",
        4 => "field_list",
        5 => "create_db",
        6 => "drop_db",
        7 => "refresh",
        8 => "shutdown",
        9 => "statistics",
        10 => "process_info",
        12 => "process_kill",
        14 => "ping",
        17 => "change_user",
        18 => "binlog_dump",
        22 => "prepare",
        23 => "execute",
        25 => "close",
        _ => "other",
    }
}
