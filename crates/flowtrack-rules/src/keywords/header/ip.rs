//! IP headers.

use super::{BitsMode, be8, be16, bits, buffer, number, unquoted};
use crate::builder::{Builder, Complaint, Keyword, Value};
use crate::context::Context;
use crate::keywords::number::Comparison;
use crate::lang::did_you_mean;
use crate::signature::Test;
use flowtrack_wire::{Ip, Packet};
use std::net::IpAddr;

pub(crate) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "ttl",
        aliases: &[],
        doc: "Time to live of IPv4, hop limit of IPv6.",
        example: "alert ip any any -> any any (ttl:<5; sid:1;)",
        parse: |builder, value| {
            number(builder, value, 255, |packet| Some(u64::from(packet.ip()?.ttl)))
        },
    },
    Keyword {
        name: "tos",
        aliases: &[],
        doc: "Type of service of IPv4, decimal or hexadecimal behind `x`.",
        example: "alert ip any any -> any any (tos:!0; sid:1;)",
        parse: tos,
    },
    Keyword {
        name: "id",
        aliases: &[],
        doc: "Identification of IPv4.",
        example: "alert ip any any -> any any (id:31337; sid:1;)",
        parse: |builder, value| {
            number(builder, value, 65_535, |packet| be16(v4(packet)?.header, 4))
        },
    },
    Keyword {
        name: "ip_proto",
        aliases: &[],
        doc: "Protocol of the IP payload, as number or name.",
        example: "alert ip any any -> any any (ip_proto:gre; sid:1;)",
        parse: ip_proto,
    },
    Keyword {
        name: "fragbits",
        aliases: &[],
        doc: "Bits of IPv4 fragments: `M` more, `D` do not, `R` reserved; `+` and maybe others, \
              `*` any of these, `!` not these.",
        example: "alert ip any any -> any any (fragbits:+M; sid:1;)",
        parse: fragbits,
    },
    Keyword {
        name: "fragoffset",
        aliases: &[],
        doc: "Place of a fragment, in units of 8 bytes.",
        example: "alert ip any any -> any any (fragoffset:>0; sid:1;)",
        parse: |builder, value| {
            number(builder, value, 65_535, |packet| {
                let ip = packet.ip()?;
                Some(ip.fragment.map_or(0, |fragment| u64::from(fragment.offset / 8)))
            })
        },
    },
    Keyword {
        name: "ipopts",
        aliases: &[],
        doc: "An option of IPv4: `rr`, `lsrr`, `ssrr`, `ts`, `sec`, `esec`, `cipso`, `satid`, \
              `rtralt`, `nop`, `eol` or `any`.",
        example: "alert ip any any -> any any (ipopts:lsrr; sid:1;)",
        parse: ipopts,
    },
    Keyword {
        name: "sameip",
        aliases: &[],
        doc: "Source and destination are the same.",
        example: "alert ip any any -> any any (sameip; sid:1;)",
        parse: sameip,
    },
    Keyword {
        name: "geoip",
        aliases: &[],
        doc: "Country of an address, by its two letters: `src`, `dst`, `any` or `both` ends, then \
              countries, all of them excluded behind `!`. Skipped where `rules.countries` names no \
              database.",
        example: "alert ip any any -> any any (geoip:src,FR,BE; sid:1;)",
        parse: geoip,
    },
    Keyword {
        name: "l3_proto",
        aliases: &[],
        doc: "Version of IP: `ipv4` or `ipv6`.",
        example: "alert tcp any any -> any any (l3_proto:ipv6; sid:1;)",
        parse: l3_proto,
    },
    Keyword {
        name: "ipv4.hdr",
        aliases: &[],
        doc: "The header of IPv4 with its options.",
        example: "alert ip any any -> any any (ipv4.hdr; content:\"|06|\"; offset:9; depth:1; sid:1;)",
        parse: |builder, value| {
            buffer(builder, value, "ipv4.hdr", |packet, visit| {
                if let Some(ip) = v4(packet) {
                    visit(ip.header);
                }
            })
        },
    },
    Keyword {
        name: "ipv6.hdr",
        aliases: &[],
        doc: "The header of IPv6 with its extension headers.",
        example: "alert ip any any -> any any (ipv6.hdr; content:\"|06|\"; offset:6; depth:1; sid:1;)",
        parse: |builder, value| {
            buffer(builder, value, "ipv6.hdr", |packet, visit| {
                if let Some(ip) = packet.ip().filter(|ip| ip.src.is_ipv6()) {
                    visit(ip.header);
                }
            })
        },
    },
    Keyword {
        name: "ip.src",
        aliases: &[],
        doc: "The source address, 4 or 16 bytes.",
        example: "alert ip any any -> any any (ip.src; content:\"|7f|\"; startswith; sid:1;)",
        parse: |builder, value| {
            buffer(builder, value, "ip.src", |packet, visit| {
                if let Some(ip) = packet.ip() {
                    address(ip.src, visit);
                }
            })
        },
    },
    Keyword {
        name: "ip.dst",
        aliases: &[],
        doc: "The destination address, 4 or 16 bytes.",
        example: "alert ip any any -> any any (ip.dst; content:\"|7f|\"; startswith; sid:1;)",
        parse: |builder, value| {
            buffer(builder, value, "ip.dst", |packet, visit| {
                if let Some(ip) = packet.ip() {
                    address(ip.dst, visit);
                }
            })
        },
    },
];

fn v4<'a, 'p>(packet: &'a Packet<'p>) -> Option<&'a Ip<'p>> {
    packet.ip().filter(|ip| ip.src.is_ipv4())
}

fn address(address: IpAddr, visit: &mut dyn FnMut(&[u8])) {
    match address {
        IpAddr::V4(address) => visit(&address.octets()),
        IpAddr::V6(address) => visit(&address.octets()),
    }
}

fn tos(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = unquoted(value.needed("a number up to 255")?);
    let (mark, digits) = match text.strip_prefix('!') {
        Some(digits) => ("!", digits.trim()),
        None => ("", text),
    };
    let text = match digits.strip_prefix(['x', 'X']) {
        Some(digits) => format!("{mark}0x{digits}"),
        None => text.to_owned(),
    };
    let comparison = Comparison::parse(&text, 255)?;
    let read = |packet: &Packet<'_>| Some(u64::from(v4(packet)?.tos));
    builder.packet_test(super::Number { read, comparison });
    Ok(())
}

fn ip_proto(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = unquoted(value.needed("a number or name")?);
    let by_name = |name: &str| {
        let found = PROTOCOLS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, number)| u64::from(*number))
    };
    let comparison = Comparison::parse_named(text, 255, &by_name).map_err(|complaint| {
        let word = text.trim_start_matches(['!', '<', '>', '=']).trim();
        let near = did_you_mean(word, PROTOCOLS.iter().map(|(name, _)| *name));
        Complaint { message: format!("{}{near}", complaint.message), ..complaint }
    })?;
    builder.packet_test(Carried(comparison));
    Ok(())
}

/// The protocol that IP carries.
#[derive(Debug)]
struct Carried(Comparison);

impl Test for Carried {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        let ip = cx.packet.and_then(|packet| packet.ip());
        ip.is_some_and(|ip| self.0.holds(u64::from(ip.proto.0)))
    }

    fn cost(&self) -> u8 {
        0
    }

    fn ip_proto(&self) -> Option<u8> {
        match self.0 {
            Comparison::Equal(proto) => u8::try_from(proto).ok(),
            _ => None,
        }
    }
}

fn fragbits(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    const EXPECTED: &str = "M, D or R, and +, * or ! before them";
    let (mode, these) = bits(unquoted(value.needed(EXPECTED)?), EXPECTED, |c| match c {
        'M' => Some(0x20),
        'D' => Some(0x40),
        'R' => Some(0x80),
        _ => None,
    })?;
    builder.packet_test(FragBits { mode, these });
    Ok(())
}

#[derive(Debug)]
struct FragBits {
    mode: BitsMode,
    these: u8,
}

impl Test for FragBits {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        let byte = cx.packet.and_then(v4).and_then(|ip| ip.header.get(6).copied());
        byte.is_some_and(|byte| match self.mode {
            // Here the exclamation mark means none of these.
            BitsMode::NotThese => byte & self.these == 0,
            mode => mode.holds(byte & 0xe0, self.these),
        })
    }

    fn cost(&self) -> u8 {
        0
    }
}

fn ipopts(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let name = unquoted(value.needed("the name of an option")?);
    let Some((_, kind)) = OPTIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) else {
        let near = did_you_mean(name, OPTIONS.iter().map(|(name, _)| *name));
        return Err(Complaint::new(format!("\"{name}\" is no option of IPv4{near}")));
    };
    builder.packet_test(HasOption(*kind));
    Ok(())
}

/// Whether IPv4 has an option of this kind; of any where none is named.
#[derive(Debug)]
struct HasOption(Option<u8>);

impl Test for HasOption {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        let Some(mut rest) = cx.packet.and_then(v4).and_then(|ip| ip.header.get(20..)) else {
            return false;
        };
        while let Some(&kind) = rest.first() {
            if self.0.is_none_or(|wanted| wanted == kind) {
                return true;
            }
            let len = match kind {
                END => return false,
                NO_OPERATION => 1,
                _ => be8(rest, 1).map_or(0, |len| len as usize),
            };
            match rest.get(len..) {
                Some(behind) if len > 0 => rest = behind,
                _ => return false,
            }
        }
        false
    }
}

const END: u8 = 0;
const NO_OPERATION: u8 = 1;

fn l3_proto(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let is_v6 = match value.needed("ipv4 or ipv6")?.to_ascii_lowercase().as_str() {
        "ip4" | "ipv4" => false,
        "ip6" | "ipv6" => true,
        other => return Err(Complaint::new(format!("\"{other}\" is neither ipv4 nor ipv6"))),
    };
    builder.packet_test(IsV6(is_v6));
    Ok(())
}

#[derive(Debug)]
struct IsV6(bool);

impl Test for IsV6 {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        cx.packet.and_then(|packet| packet.ip()).is_some_and(|ip| ip.src.is_ipv6() == self.0)
    }

    fn cost(&self) -> u8 {
        0
    }
}

#[derive(Clone, Copy, Debug)]
enum Ends {
    Source,
    Destination,
    Any,
    Both,
}

#[derive(Debug)]
struct Country {
    ends: Ends,
    negated: bool,
    /// In capital letters.
    codes: Vec<[u8; 2]>,
}

impl Test for Country {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        let (Some(key), Some(countries)) = (cx.key, cx.shared.countries()) else { return false };
        // Of an address that the database does not know nothing is said either way.
        let holds = |address| {
            countries.of(address).is_some_and(|code| self.codes.contains(&code) != self.negated)
        };
        match self.ends {
            Ends::Source => holds(key.src),
            Ends::Destination => holds(key.dst),
            Ends::Any => holds(key.src) || holds(key.dst),
            Ends::Both => holds(key.src) && holds(key.dst),
        }
    }

    fn cost(&self) -> u8 {
        8
    }
}

fn geoip(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("such as src,FR,BE")?;
    let mut words: Vec<&str> = text.split(',').map(str::trim).collect();
    let ends = match words.first().copied() {
        Some("src") => Some(Ends::Source),
        Some("dst" | "dest") => Some(Ends::Destination),
        Some("any") => Some(Ends::Any),
        Some("both") => Some(Ends::Both),
        _ => None,
    };
    if ends.is_some() {
        words.remove(0);
    }
    let (mut codes, mut negated) = (Vec::new(), false);
    for word in words {
        let bare = word.trim_start_matches('!');
        negated |= bare.len() < word.len();
        match bare.to_ascii_uppercase().as_bytes() {
            [a @ b'A'..=b'Z', b @ b'A'..=b'Z'] => codes.push([*a, *b]),
            _ => {
                return Err(Complaint::new(format!(
                    "\"{bare}\" is no country; expected src, dst, any or both, then two letters \
                     of each, such as src,FR,BE"
                )));
            }
        }
    }
    if codes.is_empty() {
        return Err(Complaint::new("expected the two letters of a country, such as src,FR"));
    }
    if !builder.headers.knows_countries {
        return Err(Complaint::skip(
            "needs a database of countries",
            "geoip needs a database of countries: set rules.countries to one in the form of MaxMind",
        ));
    }
    builder.packet_test(Country { ends: ends.unwrap_or(Ends::Both), negated, codes });
    Ok(())
}

fn sameip(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    value.none()?;
    builder.packet_test(SameIp);
    Ok(())
}

#[derive(Debug)]
struct SameIp;

impl Test for SameIp {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        cx.packet.and_then(|packet| packet.ip()).is_some_and(|ip| ip.src == ip.dst)
    }

    fn cost(&self) -> u8 {
        0
    }
}

/// Options of IPv4 by the names that rules use (IANA "IP Option Numbers").
const OPTIONS: &[(&str, Option<u8>)] = &[
    ("any", None),
    ("eol", Some(END)),
    ("nop", Some(NO_OPERATION)),
    ("rr", Some(7)),
    ("ts", Some(68)),
    ("sec", Some(130)),
    ("lsrr", Some(131)),
    ("esec", Some(133)),
    ("cipso", Some(134)),
    ("satid", Some(136)),
    ("ssrr", Some(137)),
    ("rtralt", Some(148)),
];

/// IP protocols by name (IANA "Assigned Internet Protocol Numbers").
const PROTOCOLS: &[(&str, u8)] = &[
    ("ip", 0),
    ("hopopt", 0),
    ("icmp", 1),
    ("igmp", 2),
    ("ggp", 3),
    ("ipencap", 4),
    ("ipip", 4),
    ("st", 5),
    ("tcp", 6),
    ("egp", 8),
    ("igp", 9),
    ("pup", 12),
    ("udp", 17),
    ("hmp", 20),
    ("xns-idp", 22),
    ("rdp", 27),
    ("iso-tp4", 29),
    ("dccp", 33),
    ("xtp", 36),
    ("ddp", 37),
    ("ipv6", 41),
    ("ipv6-route", 43),
    ("ipv6-frag", 44),
    ("idrp", 45),
    ("rsvp", 46),
    ("gre", 47),
    ("esp", 50),
    ("ipsec-esp", 50),
    ("ah", 51),
    ("ipsec-ah", 51),
    ("skip", 57),
    ("ipv6-icmp", 58),
    ("icmpv6", 58),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("rspf", 73),
    ("vmtp", 81),
    ("eigrp", 88),
    ("ospf", 89),
    ("ax.25", 93),
    ("etherip", 97),
    ("encap", 98),
    ("pim", 103),
    ("ipcomp", 108),
    ("vrrp", 112),
    ("l2tp", 115),
    ("isis", 124),
    ("sctp", 132),
    ("fc", 133),
    ("mobility-header", 135),
    ("udplite", 136),
    ("mpls-in-ip", 137),
    ("manet", 138),
    ("hip", 139),
    ("shim6", 140),
    ("wesp", 141),
    ("rohc", 142),
];
