//! `MongoDB`: the commands of a client and the databases they go to.

use crate::brief::{Brief, Messages, Step};
use crate::{Field, First, Malformed, Probe, Reader};
use flowtrack_event::{AppProto, Direction};

const PORTS: &[u16] = &[27017];
const FIELDS: &[Field] = &[
    Field::added("operations", "array", "kinds of messages"),
    Field::added("commands", "array", "commands used"),
    Field::added("databases", "array", "databases used"),
    Field::added("collections", "array", "collections used"),
];
/// Bytes of the header of a message.
const HEADER: usize = 16;

crate::brief_protocol!(
    /// `MongoDB`.
    Mongodb, MongodbMessages, PORTS, FIELDS, probe
);

/// A client's message: its length, an identifier, no answer to another, and an operation.
fn probe(first: &First<'_>) -> Probe {
    let mut r = Reader::new(first.bytes);
    let header = (|| Some((r.u32_le()?, r.u32_le()?, r.u32_le()?, r.u32_le()?)))();
    let Some((length, _, answers, operation)) = header else {
        return if first.has_port(PORTS) { Probe::NeedMore } else { Probe::No };
    };
    let asked = first.direction == Direction::ToServer;
    let known = match operation {
        1 => !asked,
        2001 | 2002 | 2004..=2007 | 2010 | 2012 | 2013 => true,
        _ => false,
    };
    let plausible = (26..=48_000_000).contains(&length);
    Probe::content(known && plausible && (!asked || answers == 0))
}

#[derive(Default)]
struct MongodbMessages;

impl Messages for MongodbMessages {
    const NAME: AppProto = AppProto("mongodb");
    const CAP: usize = 64 * 1024;

    fn read(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        brief: &mut Brief,
    ) -> Result<Step, Malformed> {
        let mut r = Reader::new(bytes);
        let header = (|| Some((r.u32_le()?, r.u64_le()?, r.u32_le()?)))();
        let Some((length, _, operation)) = header else { return Ok(Step::Need(HEADER)) };
        let length = length as usize;
        if length < HEADER {
            return Err(Malformed("invalid_length"));
        }
        let Some(body) = bytes.get(HEADER..length) else { return Ok(Step::Need(length)) };
        brief.list("operations", operation_name(operation).as_bytes());
        if direction == Direction::ToServer {
            let mut r = Reader::new(body);
            match operation {
                2013 => {
                    command_message(&mut r, brief);
                }
                2001 | 2002 | 2004 | 2005 | 2006 => {
                    query(&mut r, operation, brief);
                }
                _ => {}
            }
        }
        Ok(Step::Used(length))
    }
}

/// `OP_MSG`: its first section holds the command.
fn command_message(r: &mut Reader<'_>, brief: &mut Brief) -> Option<()> {
    r.skip(4)?;
    if r.u8()? == 0 {
        document(r, brief)?;
    }
    Some(())
}

/// Operations of before: a flag, `database.collection`, and for a query a document.
fn query(r: &mut Reader<'_>, operation: u32, brief: &mut Brief) -> Option<()> {
    r.skip(4)?;
    let name = r.until(0)?;
    let dot = memchr::memchr(b'.', name)?;
    brief.list("databases", name.get(..dot)?);
    let collection = name.get(dot + 1..)?;
    if operation == 2004 && collection == b"$cmd" {
        r.skip(8)?;
        document(r, brief)?;
    } else {
        brief.list("collections", collection);
    }
    Some(())
}

/// The first name of a command's document is the command, its value often the collection; `$db` is
/// the database.
fn document(r: &mut Reader<'_>, brief: &mut Brief) -> Option<()> {
    const ELEMENT_CAP: usize = 64;
    let length = r.u32_le()?;
    let mut r = r.sub((length as usize).checked_sub(4)?)?;
    for at in 0..ELEMENT_CAP {
        let kind = r.u8()?;
        if kind == 0 {
            break;
        }
        let name = r.until(0)?;
        let mut text = None;
        match kind {
            0x02 | 0x0d | 0x0e => {
                let length = r.u32_le()?;
                text = r.take(length as usize)?.split_last().map(|(_, text)| text);
            }
            0x01 | 0x09 | 0x11 | 0x12 => r.skip(8)?,
            0x03 | 0x04 => {
                let length = r.u32_le()?;
                r.skip((length as usize).checked_sub(4)?)?;
            }
            0x05 => {
                let length = r.u32_le()?;
                r.skip((length as usize).checked_add(1)?)?;
            }
            0x07 => r.skip(12)?,
            0x08 => r.skip(1)?,
            0x10 => r.skip(4)?,
            0x13 => r.skip(16)?,
            0x06 | 0x0a | 0xff | 0x7f => {}
            _ => return None,
        }
        if at == 0 {
            brief.list("commands", name);
            if let Some(collection) = text {
                brief.list("collections", collection);
            }
        } else if let Some(database) = text.filter(|_| name == b"$db") {
            brief.list("databases", database);
        }
    }
    Some(())
}

const fn operation_name(operation: u32) -> &'static str {
    match operation {
        1 => "reply",
        2001 => "update",
        2002 => "insert",
        2004 => "query",
        2005 => "get_more",
        2006 => "delete",
        2007 => "kill_cursors",
        2012 => "compressed",
        2013 => "msg",
        _ => "other",
    }
}
