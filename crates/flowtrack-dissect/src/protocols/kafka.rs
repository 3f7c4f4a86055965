//! Kafka: who a client is and what it asks for.

use crate::brief::{Brief, Messages, Step};
use crate::{Field, First, Malformed, Probe, Reader};
use flowtrack_event::{AppProto, Confidence, Direction};

const PORTS: &[u16] = &[9092];
const FIELDS: &[Field] = &[
    Field::added("client_id", "string", "name the client gives itself"),
    Field::added("requests", "array", "kinds of requests"),
];

crate::brief_protocol!(
    /// Kafka.
    Kafka, KafkaMessages, PORTS, FIELDS, probe
);

/// A request: length, kind, version, number, and the client's name; too weak for other ports.
fn probe(first: &First<'_>) -> Probe {
    if !first.has_port(PORTS) || first.direction == Direction::ToClient {
        return Probe::No;
    }
    let mut r = Reader::new(first.bytes);
    let header = (|| Some((r.u32()?, r.u16()?, r.u16()?, r.u32()?, r.u16()?)))();
    let Some((length, kind, version, _, client)) = header else { return Probe::NeedMore };
    let named = client == u16::MAX || u32::from(client) + 10 <= length;
    if kind <= 92 && version <= 20 && (10..=100_000_000).contains(&length) && named {
        Probe::Match(Confidence::Heuristic)
    } else {
        Probe::No
    }
}

#[derive(Default)]
struct KafkaMessages;

impl Messages for KafkaMessages {
    const NAME: AppProto = AppProto("kafka");
    const CAP: usize = 256 * 1024;

    fn read(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        brief: &mut Brief,
    ) -> Result<Step, Malformed> {
        let Some(length) = bytes.first_chunk::<4>() else { return Ok(Step::Need(4)) };
        let total = 4usize.saturating_add(u32::from_be_bytes(*length) as usize);
        let Some(message) = bytes.get(4..total) else { return Ok(Step::Need(total)) };
        if direction == Direction::ToServer {
            request(&mut Reader::new(message), brief);
        }
        Ok(Step::Used(total))
    }
}

fn request(r: &mut Reader<'_>, brief: &mut Brief) -> Option<()> {
    let (kind, _version, _number, length) = (r.u16()?, r.u16()?, r.u32()?, r.u16()?);
    brief.list("requests", kind_name(kind).as_bytes());
    if length != u16::MAX {
        brief.text("client_id", r.take(length.into())?);
    }
    Some(())
}

const fn kind_name(kind: u16) -> &'static str {
    match kind {
        0 => "produce",
        1 => "fetch",
        2 => "list_offsets",
        3 => "metadata",
        8 => "offset_commit",
        9 => "offset_fetch",
        10 => "find_coordinator",
        11 => "join_group",
        12 => "heartbeat",
        13 => "leave_group",
        14 => "sync_group",
        15 => "describe_groups",
        16 => "list_groups",
        17 => "sasl_handshake",
        18 => "api_versions",
        19 => "create_topics",
        20 => "delete_topics",
        22 => "init_producer_id",
        32 => "describe_configs",
        36 => "sasl_authenticate",
        _ => "other",
    }
}
