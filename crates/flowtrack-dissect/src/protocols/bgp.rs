//! BGP (RFC 4271): who peers with whom, and why a session ends.

use crate::brief::{Brief, Messages, Step};
use crate::{Field, First, Malformed, Probe, Reader};
use flowtrack_event::{AppProto, Direction};
use std::net::Ipv4Addr;

const PORTS: &[u16] = &[179];
const FIELDS: &[Field] = &[
    Field::added("client_as", "integer", "autonomous system of the client"),
    Field::added("client_id", "string", "identifier of the client"),
    Field::added("client_hold_time", "integer", "seconds without a message it bears"),
    Field::added("server_as", "integer", "autonomous system of the server"),
    Field::added("server_id", "string", "identifier of the server"),
    Field::added("server_hold_time", "integer", "seconds without a message it bears"),
    Field::added("messages", "array", "kinds of messages"),
    Field::added("notifications", "array", "code and subcode of errors"),
];
/// Bytes of the header of a message.
const HEADER: usize = 19;

crate::brief_protocol!(
    /// BGP.
    Bgp, BgpMessages, PORTS, FIELDS, probe
);

fn probe(first: &First<'_>) -> Probe {
    let n = first.bytes.len().min(16);
    if first.bytes.iter().take(n).any(|byte| *byte != 0xff) {
        return Probe::No;
    }
    let Some([high, low, kind]) = first.bytes.get(16..HEADER) else { return Probe::NeedMore };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    Probe::content((HEADER..=4096).contains(&length) && (1..=5).contains(kind))
}

#[derive(Default)]
struct BgpMessages;

impl Messages for BgpMessages {
    const NAME: AppProto = AppProto("bgp");
    const CAP: usize = 4096;

    fn read(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        brief: &mut Brief,
    ) -> Result<Step, Malformed> {
        let Some([high, low, kind]) = bytes.get(16..HEADER) else { return Ok(Step::Need(HEADER)) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if length < HEADER {
            return Err(Malformed("invalid_length"));
        }
        let Some(body) = bytes.get(HEADER..length) else { return Ok(Step::Need(length)) };
        let name = match kind {
            1 => "open",
            2 => "update",
            3 => "notification",
            4 => "keepalive",
            5 => "route_refresh",
            _ => "other",
        };
        brief.list("messages", name.as_bytes());
        let mut r = Reader::new(body);
        match kind {
            1 => {
                open(&mut r, direction, brief);
            }
            3 => {
                if let (Some(code), Some(subcode)) = (r.u8(), r.u8()) {
                    brief.list("notifications", format!("{code}/{subcode}").as_bytes());
                }
            }
            _ => {}
        }
        Ok(Step::Used(length))
    }
}

fn open(r: &mut Reader<'_>, direction: Direction, brief: &mut Brief) -> Option<()> {
    let (_version, short, hold, id) = (r.u8()?, r.u16()?, r.u16()?, r.array::<4>()?);
    let length = r.u8()?;
    let parameters = r.take(length.into()).unwrap_or(r.rest());
    let system = long_as(parameters).unwrap_or_else(|| short.into());
    let id = Ipv4Addr::from(id).to_string();
    let [as_name, id_name, hold_name] = match direction {
        Direction::ToServer => ["client_as", "client_id", "client_hold_time"],
        Direction::ToClient => ["server_as", "server_id", "server_hold_time"],
    };
    brief.number(as_name, system);
    brief.text(id_name, id.as_bytes());
    brief.number(hold_name, hold);
    Some(())
}

/// The number of a system with four bytes is a capability (RFC 6793 section 3).
fn long_as(parameters: &[u8]) -> Option<u32> {
    const CAPABILITIES: u8 = 2;
    const FOUR_OCTET_AS: u8 = 65;
    let mut r = Reader::new(parameters);
    while !r.is_empty() {
        let (kind, length) = (r.u8()?, r.u8()?);
        let mut inner = r.sub(length.into())?;
        while kind == CAPABILITIES && !inner.is_empty() {
            let (code, length) = (inner.u8()?, inner.u8()?);
            let mut value = inner.sub(length.into())?;
            if code == FOUR_OCTET_AS {
                return value.u32();
            }
        }
    }
    None
}
