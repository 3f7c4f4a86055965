//! S7comm, the protocol of Siemens controllers, over TPKT and COTP (RFC 1006).

use crate::brief::{Brief, Messages, Step};
use crate::{Field, First, Malformed, Probe, Reader};
use flowtrack_event::{AppProto, Confidence, Direction};

const PORTS: &[u16] = &[102];
const FIELDS: &[Field] = &[
    Field::added("source_tsap", "integer", "who the client says it is"),
    Field::added("destination_tsap", "integer", "which rack and slot it wants"),
    Field::added("pdu_length", "integer", "length of messages agreed on"),
    Field::added("functions", "array", "functions used"),
    Field::added("errors", "array", "class and code of the errors"),
];

crate::brief_protocol!(
    /// S7comm.
    S7comm, S7Messages, PORTS, FIELDS, probe
);

/// Content decides, not the port: the first data unit must be of S7.
fn probe(first: &First<'_>) -> Probe {
    let mut rest = first.bytes;
    for _ in 0..2 {
        let Some([version, reserved, high, low]) = rest.first_chunk::<4>() else {
            let begins = rest.first().is_none_or(|b| *b == 3) && first.has_port(PORTS);
            return if begins { Probe::NeedMore } else { Probe::No };
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if (*version, *reserved) != (3, 0) || !(7..=4096).contains(&length) {
            return Probe::No;
        }
        let Some([_, kind, ..]) = rest.get(4..).and_then(|r| r.first_chunk::<4>()) else {
            return Probe::NeedMore;
        };
        match kind & 0xf0 {
            0xf0 => {
                return match rest.get(5..8) {
                    Some([0xf0, _, 0x32]) => Probe::Match(Confidence::Content),
                    Some(_) => Probe::No,
                    None => Probe::NeedMore,
                };
            }
            // A connection is asked for or granted, of whatever protocol.
            0xe0 | 0xd0 if first.has_port(PORTS) => match rest.get(length..) {
                Some(next) => rest = next,
                None => return Probe::NeedMore,
            },
            _ => return Probe::No,
        }
    }
    Probe::No
}

#[derive(Default)]
struct S7Messages;

impl Messages for S7Messages {
    const NAME: AppProto = AppProto("s7comm");
    const CAP: usize = 8192;

    fn read(
        &mut self,
        _direction: Direction,
        bytes: &[u8],
        brief: &mut Brief,
    ) -> Result<Step, Malformed> {
        let Some([3, _, high, low]) = bytes.first_chunk::<4>() else {
            return if bytes.len() < 4 {
                Ok(Step::Need(4))
            } else {
                Err(Malformed("invalid_tpkt"))
            };
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if length < 7 {
            return Err(Malformed("invalid_length"));
        }
        let Some(unit) = bytes.get(4..length) else { return Ok(Step::Need(length)) };
        let mut r = Reader::new(unit);
        let (header, kind) = (r.u8().unwrap_or(0), r.u8().unwrap_or(0));
        if kind & 0xf0 == 0xe0 {
            connection(&mut r, brief);
        } else if kind == 0xf0 {
            r.skip(usize::from(header).saturating_sub(1));
            message(&mut r, brief);
        }
        Ok(Step::Used(length))
    }
}

/// Parameters of a connection request: who calls whom.
fn connection(r: &mut Reader<'_>, brief: &mut Brief) -> Option<()> {
    r.skip(5)?;
    while let Some(code) = r.u8() {
        let length = r.u8()?;
        let value = r.take(length.into())?;
        let number = value.iter().take(4).fold(0u64, |n, byte| n << 8 | u64::from(*byte));
        match code {
            0xc1 => brief.number("source_tsap", number),
            0xc2 => brief.number("destination_tsap", number),
            _ => {}
        }
    }
    Some(())
}

fn message(r: &mut Reader<'_>, brief: &mut Brief) -> Option<()> {
    let (protocol, kind) = (r.u8()?, r.u8()?);
    if protocol != 0x32 {
        return None;
    }
    r.skip(4)?;
    let (parameters, _data) = (r.u16()?, r.u16()?);
    if matches!(kind, 2 | 3) {
        let (class, code) = (r.u8()?, r.u8()?);
        if (class, code) != (0, 0) {
            brief.list("errors", format!("{class:02x}{code:02x}").as_bytes());
        }
    }
    let mut r = r.sub(parameters.into())?;
    let function = r.u8()?;
    brief.list("functions", function_name(kind, function).as_bytes());
    if function == 0xf0 && kind == 3 {
        r.skip(5)?;
        brief.number("pdu_length", r.u16()?);
    }
    Some(())
}

const fn function_name(kind: u8, function: u8) -> &'static str {
    match (kind, function) {
        (7, _) => "user_data",
        (_, 0x00) => "cpu_services",
        (_, 0x04) => "read_variable",
        (_, 0x05) => "write_variable",
        (_, 0x1a) => "request_download",
        (_, 0x1b) => "download_block",
        (_, 0x1c) => "end_download",
        (_, 0x1d) => "start_upload",
        (_, 0x1e) => "upload",
        (_, 0x1f) => "end_upload",
        (_, 0x28) => "plc_control",
        (_, 0x29) => "plc_stop",
        (_, 0xf0) => "setup_communication",
        _ => "unknown",
    }
}
