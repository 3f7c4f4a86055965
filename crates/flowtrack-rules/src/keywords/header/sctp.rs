//! Headers of SCTP (RFC 9260).

use super::{be8, be16, be32, buffer, carrier, number, numbers};
use crate::builder::{Buffer, Keyword};
use flowtrack_event::IpProto;
use flowtrack_wire::Packet;

/// Length of the common header.
const HEADER: usize = 12;

/// Length of a chunk's header.
const CHUNK_HEADER: usize = 4;

/// The chunk that carries what programs sent, and the length of its header.
const DATA: u8 = 0;
const DATA_HEADER: usize = 16;

/// Chunks that are looked at in one packet.
const MAX_CHUNKS: usize = 64;

pub(crate) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "sctp.hdr",
        aliases: &[],
        doc: "The common header of SCTP and all chunks behind it.",
        example: "alert sctp any any -> any any (sctp.hdr; content:\"|00 07|\"; startswith; sid:1;)",
        parse: |builder, value| {
            buffer(builder, value, "sctp.hdr", |packet, visit| {
                let ip = carrier(packet, IpProto::SCTP);
                if let Some(ip) = ip.filter(|ip| ip.payload.len() >= HEADER) {
                    visit(ip.payload);
                }
            })
        },
    },
    Keyword {
        name: "sctp.vtag",
        aliases: &[],
        doc: "Verification tag of SCTP.",
        example: "alert sctp any any -> any any (sctp.vtag:0; sid:1;)",
        parse: |builder, value| {
            number(builder, value, u64::from(u32::MAX), |packet| {
                be32(carrier(packet, IpProto::SCTP)?.payload, 4)
            })
        },
    },
    Keyword {
        name: "sctp.chunk_cnt",
        aliases: &[],
        doc: "How many chunks a packet of SCTP has.",
        example: "alert sctp any any -> any any (sctp.chunk_cnt:>1; sid:1;)",
        parse: |builder, value| {
            number(builder, value, 65_535, |packet| {
                carrier(packet, IpProto::SCTP)?;
                Some(chunks(packet).count() as u64)
            })
        },
    },
    Keyword {
        name: "sctp.chunk_type",
        aliases: &[],
        doc: "Types of the chunks of SCTP, as number or name (`data`, `init`, `abort`, ...).",
        example: "alert sctp any any -> any any (sctp.chunk_type:init; sid:1;)",
        parse: |builder, value| {
            numbers(builder, value, 255, &by_name, |packet, out| {
                out.extend(chunks(packet).filter_map(|chunk| be8(chunk, 0)));
            })
        },
    },
    Keyword {
        name: "sctp.chunk_data",
        aliases: &[],
        doc: "The data of each chunk of SCTP that carries what programs sent.",
        example: "alert sctp any any -> any any (sctp.chunk_data; content:\"hello\"; sid:1;)",
        parse: |builder, value| {
            value.none()?;
            let buffer = Buffer::of_packet("sctp.chunk_data", |packet, visit| {
                let carries = |chunk: &&[u8]| chunk.first() == Some(&DATA);
                for chunk in chunks(packet).filter(carries) {
                    visit(chunk.get(DATA_HEADER..).unwrap_or_default());
                }
            });
            builder.set_buffer(&buffer.multi())
        },
    },
];

/// The chunks of a packet, each with its header, without padding.
fn chunks<'p>(packet: &Packet<'p>) -> impl Iterator<Item = &'p [u8]> + use<'p> {
    let mut rest = carrier(packet, IpProto::SCTP).and_then(|ip| ip.payload.get(HEADER..));
    std::iter::from_fn(move || {
        let bytes = rest?;
        let len = be16(bytes, 2)? as usize;
        let chunk = bytes.get(..len).filter(|_| len >= CHUNK_HEADER)?;
        rest = bytes.get(len.next_multiple_of(4)..);
        Some(chunk)
    })
    .take(MAX_CHUNKS)
}

fn by_name(name: &str) -> Option<u64> {
    let at = TYPES.iter().position(|known| known.eq_ignore_ascii_case(name));
    let other = || OTHER_TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    at.map(|at| at as u64).or_else(|| other().map(|(_, kind)| *kind))
}

/// Other names, and types that do not stand in a row.
const OTHER_TYPES: &[(&str, u64)] = &[("hb_ack", 5), ("forward_tsn", 192)];

/// Names of the types from 0 on.
const TYPES: &[&str] = &[
    "data",
    "init",
    "init_ack",
    "sack",
    "heartbeat",
    "heartbeat_ack",
    "abort",
    "shutdown",
    "shutdown_ack",
    "error",
    "cookie_echo",
    "cookie_ack",
    "ecne",
    "cwr",
    "shutdown_complete",
];
