//! Headers of TCP and UDP.

use super::{BitsMode, bits, buffer, carrier, number, unquoted};
use crate::builder::{Builder, Complaint, Keyword, Value};
use crate::context::Context;
use crate::signature::Test;
use flowtrack_event::IpProto;
use flowtrack_wire::{Packet, Tcp, TcpOption, Transport};

pub(crate) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "tcp.flags",
        aliases: &["flags"],
        doc: "Flags: `F`, `S`, `R`, `P`, `A`, `U`, `C` (also `1`), `E` (also `2`), `0` for none; \
              `+` and maybe others, `*` any of these, `!` not these; behind a comma, flags that \
              do not count.",
        example: "alert tcp any any -> any any (flags:S,CE; sid:1;)",
        parse: flags,
    },
    Keyword {
        name: "tcp.seq",
        aliases: &["seq"],
        doc: "Sequence number.",
        example: "alert tcp any any -> any any (tcp.seq:0; sid:1;)",
        parse: |builder, value| {
            number(builder, value, MAX_32, |packet| Some(u64::from(tcp(packet)?.seq)))
        },
    },
    Keyword {
        name: "tcp.ack",
        aliases: &["ack"],
        doc: "Acknowledgement number.",
        example: "alert tcp any any -> any any (tcp.ack:0; flags:A; sid:1;)",
        parse: |builder, value| {
            number(builder, value, MAX_32, |packet| Some(u64::from(tcp(packet)?.ack)))
        },
    },
    Keyword {
        name: "tcp.window",
        aliases: &["window"],
        doc: "Window, not scaled.",
        example: "alert tcp any any -> any any (window:0; sid:1;)",
        parse: |builder, value| {
            number(builder, value, 65_535, |packet| Some(u64::from(tcp(packet)?.window)))
        },
    },
    Keyword {
        name: "tcp.mss",
        aliases: &[],
        doc: "Maximum segment size that the options offer.",
        example: "alert tcp any any -> any any (flags:S; tcp.mss:<536; sid:1;)",
        parse: |builder, value| {
            number(builder, value, 65_535, |packet| {
                tcp(packet)?.options().find_map(|option| match option {
                    TcpOption::Mss(size) => Some(u64::from(size)),
                    _ => None,
                })
            })
        },
    },
    Keyword {
        name: "tcp.wscale",
        aliases: &[],
        doc: "Shift of the window that the options offer.",
        example: "alert tcp any any -> any any (flags:S; tcp.wscale:>10; sid:1;)",
        parse: |builder, value| {
            number(builder, value, 255, |packet| {
                tcp(packet)?.options().find_map(|option| match option {
                    TcpOption::WindowScale(shift) => Some(u64::from(shift)),
                    _ => None,
                })
            })
        },
    },
    Keyword {
        name: "tcp.hdr",
        aliases: &[],
        doc: "The header of TCP with its options.",
        example: "alert tcp any any -> any any (tcp.hdr; content:\"|02 04|\"; offset:20; sid:1;)",
        parse: |builder, value| {
            buffer(builder, value, "tcp.hdr", |packet, visit| {
                if let Some(tcp) = tcp(packet)
                    && let Some(ip) = packet.ip()
                    && let Some(header) = ip.payload.get(..20 + tcp.options.len())
                {
                    visit(header);
                }
            })
        },
    },
    Keyword {
        name: "udp.hdr",
        aliases: &[],
        doc: "The header of UDP.",
        example: "alert udp any any -> any any (udp.hdr; content:\"|00 08|\"; offset:4; depth:2; sid:1;)",
        parse: |builder, value| {
            buffer(builder, value, "udp.hdr", |packet, visit| {
                if let Some(ip) = carrier(packet, IpProto::UDP)
                    && let Some(header) = ip.payload.get(..8)
                {
                    visit(header);
                }
            })
        },
    },
];

const MAX_32: u64 = u32::MAX as u64;

fn tcp<'a, 'p>(packet: &'a Packet<'p>) -> Option<&'a Tcp<'p>> {
    match &packet.transport {
        Transport::Tcp(tcp) => Some(tcp),
        _ => None,
    }
}

fn flags(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    const EXPECTED: &str = "letters of F, S, R, P, A, U, C, E or 0";
    let text = unquoted(value.needed(EXPECTED)?);
    let (flags, ignored) = text.split_once(',').unwrap_or((text, ""));
    let (mode, these) = bits(flags, EXPECTED, letter)?;
    let (_, ignored) = bits(ignored, EXPECTED, letter).map_err(|complaint| Complaint {
        offset: complaint.offset + flags.len() as u32 + 1,
        ..complaint
    })?;
    builder.packet_test(Flags { mode, these, counted: !ignored });
    Ok(())
}

const fn letter(c: char) -> Option<u8> {
    Some(match c.to_ascii_uppercase() {
        'F' => Tcp::FIN,
        'S' => Tcp::SYN,
        'R' => Tcp::RST,
        'P' => Tcp::PSH,
        'A' => Tcp::ACK,
        'U' => Tcp::URG,
        'E' | '2' => Tcp::ECE,
        'C' | '1' => Tcp::CWR,
        '0' => 0,
        _ => return None,
    })
}

#[derive(Debug)]
struct Flags {
    mode: BitsMode,
    these: u8,
    counted: u8,
}

impl Test for Flags {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        cx.packet
            .and_then(tcp)
            .is_some_and(|tcp| self.mode.holds(tcp.flags & self.counted, self.these))
    }

    fn cost(&self) -> u8 {
        0
    }
}
