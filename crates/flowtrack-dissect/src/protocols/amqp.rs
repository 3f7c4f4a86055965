//! AMQP 0-9-1 and 1.0: which version, which virtual host, and how a client proves itself.

use crate::brief::{Brief, Messages, Step};
use crate::{Field, First, Malformed, Probe, Reader};
use flowtrack_event::{AppProto, Direction};

const PORTS: &[u16] = &[5672];
const FIELDS: &[Field] = &[
    Field::added("version", "string", "version of the protocol"),
    Field::added("mechanisms", "string", "ways to log in that the server offers"),
    Field::added("mechanism", "string", "the one that the client takes"),
    Field::added("virtual_host", "string", "virtual host"),
];

crate::brief_protocol!(
    /// AMQP.
    Amqp, AmqpMessages, PORTS, FIELDS, probe
);

fn probe(first: &First<'_>) -> Probe {
    match Probe::prefix(first.bytes, b"AMQP") {
        Probe::Match(_) if first.bytes.len() < 8 => Probe::NeedMore,
        Probe::Match(_) => Probe::content(first.bytes.get(4).is_some_and(|id| *id <= 3)),
        other => other,
    }
}

#[derive(Default)]
struct AmqpMessages {
    modern: bool,
}

impl Messages for AmqpMessages {
    const NAME: AppProto = AppProto("amqp");
    const CAP: usize = 64 * 1024;
    const CHANGES: bool = true;

    fn read(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        brief: &mut Brief,
    ) -> Result<Step, Malformed> {
        let Some(head) = bytes.first_chunk::<8>() else { return Ok(Step::Need(8)) };
        if let [b'A', b'M', b'Q', b'P', id, major, minor, revision] = head {
            self.modern = *major == 1;
            // Versions before 1.0 write a zero first.
            let version = if self.modern {
                format!("{major}.{minor}.{revision}")
            } else {
                format!("{major}-{minor}-{revision}")
            };
            brief.text("version", version.trim_start_matches("0-0-").as_bytes());
            // TLS may be asked for within the protocol.
            if *id == 2 && direction == Direction::ToClient {
                return Ok(Step::Change(8, Some(AppProto("tls"))));
            }
            return Ok(Step::Used(8));
        }
        if self.modern {
            // Frames of 1.0 say their own length; what they hold is not read.
            let [a, b, c, d, ..] = *head;
            let total = u32::from_be_bytes([a, b, c, d]) as usize;
            if total < 8 {
                return Err(Malformed("invalid_length"));
            }
            return Ok(if bytes.len() < total { Step::Need(total) } else { Step::Used(total) });
        }
        let [kind, _, _, a, b, c, d, _] = *head;
        if !matches!(kind, 1..=4 | 8) {
            return Err(Malformed("invalid_frame_type"));
        }
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let total = length.saturating_add(8);
        let Some(payload) = bytes.get(7..total.saturating_sub(1)) else {
            return Ok(Step::Need(total));
        };
        if bytes.len() < total {
            return Ok(Step::Need(total));
        }
        if kind == 1 {
            method(&mut Reader::new(payload), brief);
        }
        Ok(Step::Used(total))
    }
}

/// Methods of the class `connection`.
fn method(r: &mut Reader<'_>, brief: &mut Brief) -> Option<()> {
    const CONNECTION: u16 = 10;
    let (class, method) = (r.u16()?, r.u16()?);
    match (class, method) {
        (CONNECTION, 10) => {
            r.skip(2)?;
            let length = r.u32()?;
            r.skip(length as usize)?;
            let length = r.u32()?;
            brief.text("mechanisms", r.take(length as usize)?);
        }
        (CONNECTION, 11) => {
            let length = r.u32()?;
            r.skip(length as usize)?;
            let length = r.u8()?;
            brief.text("mechanism", r.take(length.into())?);
        }
        (CONNECTION, 40) => {
            let length = r.u8()?;
            brief.text("virtual_host", r.take(length.into())?);
        }
        _ => {}
    }
    Some(())
}
