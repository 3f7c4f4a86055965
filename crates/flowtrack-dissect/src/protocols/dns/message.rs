//! DNS messages (RFC 1035 section 4): header, questions and resource records.

use crate::Reader;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of a message header.
pub const HEADER: usize = 12;
/// Longest name as text; RFC 1035 section 2.3.4 allows 255 bytes on the wire.
const NAME_CAP: usize = 1025;
/// Labels and pointers followed in one name.
const NAME_STEPS: usize = 255;
/// Questions or records kept of one section.
const SECTION_CAP: usize = 64;
/// Bytes of a TXT string or unknown record that are kept.
const DATA_CAP: usize = 4096;

/// Header bit: this is an answer.
pub const QR: u16 = 0x8000;
/// Header bit: reserved, to be zero.
pub const Z: u16 = 0x0040;
/// Header bit: truncated.
pub const TC: u16 = 0x0200;

/// A message with everything that is logged of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Message {
    /// Identifier.
    pub id: u16,
    /// Flags, operation code and response code.
    pub flags: u16,
    /// Questions.
    pub questions: Vec<Question>,
    /// Answers.
    pub answers: Vec<Record>,
    /// Name servers that would know.
    pub authorities: Vec<Record>,
    /// What else the asker may need.
    pub additionals: Vec<Record>,
    /// Whether the sections are shorter than the header says.
    pub cut: bool,
}

/// One question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// Name asked for.
    pub name: Name,
    /// Type asked for.
    pub kind: u16,
    /// Class asked for.
    pub class: u16,
}

/// One resource record.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    /// Whose it is.
    pub name: Name,
    /// Its type.
    pub kind: u16,
    /// Its class; for OPT the payload size.
    pub class: u16,
    /// Seconds it may be kept.
    pub ttl: u32,
    /// What it says.
    pub data: Data,
}

/// A name as text, without the root's dot.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Name {
    /// Labels with dots between them, as the wire had them.
    pub text: Vec<u8>,
    /// Whether it was longer than is kept.
    pub cut: bool,
}

/// What a record says, by its type.
#[derive(Clone, PartialEq, Debug)]
pub enum Data {
    /// A or AAAA.
    Address(IpAddr),
    /// NS, CNAME, PTR and the name of MX.
    Name(Name),
    /// TXT: its strings.
    Text(Vec<Vec<u8>>),
    /// SOA.
    Soa(Box<Soa>),
    /// SRV (RFC 2782).
    Srv {
        /// Lower is tried first.
        priority: u16,
        /// Share among equals.
        weight: u16,
        /// Port of the service.
        port: u16,
        /// Host of the service.
        target: Name,
    },
    /// SSHFP (RFC 4255).
    Sshfp {
        /// Algorithm of the key.
        algorithm: u8,
        /// Type of the fingerprint.
        kind: u8,
        /// The fingerprint.
        fingerprint: Vec<u8>,
    },
    /// NULL: whatever it carries.
    Null(Vec<u8>),
    /// OPT (RFC 6891): code and data of each option.
    Opt(Vec<(u16, Vec<u8>)>),
    /// Any other, as it is.
    Other(Vec<u8>),
}

/// Start of a zone of authority.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Soa {
    /// Primary name server.
    pub mname: Name,
    /// Mailbox of the person in charge, as a name.
    pub rname: Name,
    /// Serial, refresh, retry, expire and minimum.
    pub numbers: [u32; 5],
}

impl Message {
    /// Reads a message; `None` where not even the header and its first question fit.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        let (id, flags) = (r.u16()?, r.u16()?);
        let counts = [r.u16()?, r.u16()?, r.u16()?, r.u16()?];
        let [asked, answered, authorities, additionals] = counts.map(usize::from);
        let mut message = Self {
            id,
            flags,
            questions: Vec::new(),
            answers: Vec::new(),
            authorities: Vec::new(),
            additionals: Vec::new(),
            cut: false,
        };
        for _ in 0..asked.min(SECTION_CAP) {
            match question(bytes, &mut r) {
                Some(q) => message.questions.push(q),
                None if message.questions.is_empty() => return None,
                None => {
                    message.cut = true;
                    return Some(message);
                }
            }
        }
        message.cut = counts.iter().any(|&n| usize::from(n) > SECTION_CAP);
        let sections = [
            (answered, &mut message.answers),
            (authorities, &mut message.authorities),
            (additionals, &mut message.additionals),
        ];
        'sections: for (count, section) in sections {
            for _ in 0..count.min(SECTION_CAP) {
                let Some(record) = record(bytes, &mut r) else {
                    message.cut = true;
                    break 'sections;
                };
                section.push(record);
            }
        }
        Some(message)
    }

    /// Whether it is an answer.
    pub fn is_response(&self) -> bool {
        self.flags & QR != 0
    }

    /// Operation code.
    pub fn opcode(&self) -> u16 {
        self.flags >> 11 & 0x0f
    }

    /// Response code, the upper bits of EDNS included.
    pub fn rcode(&self) -> u16 {
        let edns = self.additionals.iter().find(|r| r.kind == OPT);
        self.flags & 0x0f | edns.map_or(0, |opt| (opt.ttl >> 20) as u16 & 0x0ff0)
    }
}

fn question<'a>(message: &'a [u8], r: &mut Reader<'a>) -> Option<Question> {
    Some(Question { name: name(message, r)?, kind: r.u16()?, class: r.u16()? })
}

fn record<'a>(message: &'a [u8], r: &mut Reader<'a>) -> Option<Record> {
    let name = name(message, r)?;
    let (kind, class, ttl) = (r.u16()?, r.u16()?, r.u32()?);
    let length = r.u16()? as usize;
    let start = r.position();
    let bytes = r.take(length)?;
    let data = data(message, start, kind, bytes).unwrap_or_else(|| Data::Other(kept(bytes)));
    Some(Record { name, kind, class, ttl, data })
}

fn kept(bytes: &[u8]) -> Vec<u8> {
    bytes.get(..DATA_CAP).unwrap_or(bytes).to_vec()
}

/// What a record says; `None` where its data does not have the form of its type.
fn data(message: &[u8], start: usize, kind: u16, bytes: &[u8]) -> Option<Data> {
    let mut r = Reader::new(bytes);
    // Names may point back into the whole message, so they are read at their place in it.
    let name_at = |skipped: usize| {
        let mut at = Reader::new(message);
        at.skip(start + skipped)?;
        let name = name(message, &mut at)?;
        Some((name, at.position() - start))
    };
    Some(match kind {
        A => Data::Address(IpAddr::V4(Ipv4Addr::from(r.array::<4>()?))),
        AAAA => Data::Address(IpAddr::V6(Ipv6Addr::from(r.array::<16>()?))),
        NS | CNAME | PTR | DNAME => Data::Name(name_at(0)?.0),
        MX => Data::Name(name_at(2)?.0),
        NULL => Data::Null(kept(bytes)),
        TXT => {
            let mut strings = Vec::new();
            while let Some(length) = r.u8() {
                let length = usize::from(length);
                let text = r.take(length).unwrap_or(r.rest());
                strings.push(text.to_vec());
                if text.len() < length || strings.len() >= SECTION_CAP {
                    break;
                }
            }
            Data::Text(strings)
        }
        SOA => {
            let (mname, after) = name_at(0)?;
            let (rname, after) = name_at(after)?;
            let mut r = Reader::new(bytes.get(after..)?);
            let numbers = [r.u32()?, r.u32()?, r.u32()?, r.u32()?, r.u32()?];
            Data::Soa(Box::new(Soa { mname, rname, numbers }))
        }
        SRV => Data::Srv {
            priority: r.u16()?,
            weight: r.u16()?,
            port: r.u16()?,
            target: name_at(6)?.0,
        },
        SSHFP => Data::Sshfp { algorithm: r.u8()?, kind: r.u8()?, fingerprint: kept(r.rest()) },
        OPT => {
            let mut options = Vec::new();
            while options.len() < SECTION_CAP
                && let (Some(code), Some(length)) = (r.u16(), r.u16())
            {
                options.push((code, kept(r.take(usize::from(length))?)));
            }
            Data::Opt(options)
        }
        _ => return None,
    })
}

/// Reads a name and moves behind it.
///
/// Pointers should go backwards (RFC 1035 section 4.1.4). Some servers' do not, which harms nobody,
/// so only the steps of one name are counted. Of a name that never ends what came is kept, where
/// it is known what follows it.
pub fn name<'a>(message: &'a [u8], r: &mut Reader<'a>) -> Option<Name> {
    let mut name = Name::default();
    let mut at = *r;
    let mut behind: Option<Reader<'_>> = None;
    for _ in 0..NAME_STEPS {
        let place = at.position();
        let length = at.u8()?;
        match length >> 6 {
            0 if length == 0 => {
                *r = behind.unwrap_or(at);
                return Some(name);
            }
            0 => {
                let label = at.take(usize::from(length))?;
                if !name.cut {
                    if !name.text.is_empty() {
                        name.text.push(b'.');
                    }
                    name.text.extend_from_slice(label);
                    name.cut = name.text.len() > NAME_CAP;
                    name.text.truncate(NAME_CAP);
                }
                if name.cut && behind.is_some() {
                    break;
                }
            }
            3 => {
                let target = usize::from(length & 0x3f) << 8 | usize::from(at.u8()?);
                if target == place {
                    break;
                }
                behind = behind.or(Some(at));
                at = Reader::new(message);
                at.skip(target)?;
            }
            _ => return None,
        }
    }
    *r = behind?;
    name.cut = true;
    Some(name)
}

const A: u16 = 1;
/// NS record.
pub const NS: u16 = 2;
/// CNAME record.
pub const CNAME: u16 = 5;
const SOA: u16 = 6;
/// PTR record.
pub const PTR: u16 = 12;
const MX: u16 = 15;
const NULL: u16 = 10;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const SRV: u16 = 33;
const DNAME: u16 = 39;
const OPT: u16 = 41;
const SSHFP: u16 = 44;

/// The name of a record type (IANA "Resource Record (RR) TYPEs").
pub fn kind_name(kind: u16) -> Option<&'static str> {
    Some(match kind {
        A => "A",
        NS => "NS",
        3 => "MD",
        4 => "MF",
        CNAME => "CNAME",
        SOA => "SOA",
        7 => "MB",
        8 => "MG",
        9 => "MR",
        NULL => "NULL",
        11 => "WKS",
        PTR => "PTR",
        13 => "HINFO",
        14 => "MINFO",
        MX => "MX",
        TXT => "TXT",
        17 => "RP",
        18 => "AFSDB",
        19 => "X25",
        20 => "ISDN",
        21 => "RT",
        22 => "NSAP",
        23 => "NSAPPTR",
        24 => "SIG",
        25 => "KEY",
        26 => "PX",
        27 => "GPOS",
        AAAA => "AAAA",
        29 => "LOC",
        30 => "NXT",
        SRV => "SRV",
        34 => "ATMA",
        35 => "NAPTR",
        36 => "KX",
        37 => "CERT",
        38 => "A6",
        DNAME => "DNAME",
        OPT => "OPT",
        42 => "APL",
        43 => "DS",
        SSHFP => "SSHFP",
        45 => "IPSECKEY",
        46 => "RRSIG",
        47 => "NSEC",
        48 => "DNSKEY",
        49 => "DHCID",
        50 => "NSEC3",
        51 => "NSEC3PARAM",
        52 => "TLSA",
        53 => "SMIMEA",
        55 => "HIP",
        59 => "CDS",
        60 => "CDNSKEY",
        61 => "OPENPGPKEY",
        62 => "CSYNC",
        63 => "ZONEMD",
        64 => "SVCB",
        65 => "HTTPS",
        99 => "SPF",
        108 => "EUI48",
        109 => "EUI64",
        249 => "TKEY",
        250 => "TSIG",
        251 => "IXFR",
        252 => "AXFR",
        253 => "MAILB",
        254 => "MAILA",
        255 => "ANY",
        256 => "URI",
        257 => "CAA",
        _ => return None,
    })
}

/// The name of a record type, or `TYPE` and its number (RFC 3597).
pub fn kind_text(kind: u16) -> String {
    kind_name(kind).map_or_else(|| format!("TYPE{kind}"), str::to_owned)
}

/// The name of a response code (IANA "DNS RCODEs").
pub fn rcode_name(rcode: u16) -> Option<&'static str> {
    Some(match rcode {
        0 => "NOERROR",
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        6 => "YXDOMAIN",
        7 => "YXRRSET",
        8 => "NXRRSET",
        9 => "NOTAUTH",
        10 => "NOTZONE",
        16 => "BADVERS",
        17 => "BADKEY",
        18 => "BADTIME",
        19 => "BADMODE",
        20 => "BADNAME",
        21 => "BADALG",
        22 => "BADTRUNC",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_point_anywhere_but_end() {
        let mut message = vec![0; HEADER];
        message.extend(b"\x03www\x07example\x03org\0");
        message.extend(b"\x04mail\xc0\x10");
        // Forward, to itself, to what points to itself, and round in a circle.
        message.extend(b"\xc0\x26\x03net\0\xc0\x2b\x02no\xc0\x2b\x02on\xc0\x32");
        let read = |at: usize| {
            let mut r = Reader::new(&message);
            r.skip(at).unwrap();
            let name = name(&message, &mut r)?;
            Some((String::from_utf8(name.text).unwrap(), name.cut, r.position()))
        };
        let whole = |text: &str, behind| Some((text.to_owned(), false, behind));
        assert_eq!(read(12), whole("www.example.org", 29));
        assert_eq!(read(29), whole("mail.example.org", 36));
        assert_eq!(read(36), whole("net", 38));
        assert_eq!(read(43), None);
        assert_eq!(read(45), Some(("no".to_owned(), true, 50)));
        let (text, is_cut, behind) = read(50).unwrap();
        assert!(text.starts_with("on.on.on") && is_cut && behind == 55, "{text} {behind}");
    }

    #[test]
    fn names_are_kept_up_to_a_length() {
        let label = [&[63][..], &[b'a'; 63]].concat();
        let message = [&label.repeat(20)[..], b"\0"].concat();
        let mut r = Reader::new(&message);
        let name = name(&message, &mut r).unwrap();
        assert_eq!((name.text.len(), name.cut, r.position()), (NAME_CAP, true, message.len()));
    }

    #[test]
    fn a_message_cut_short_keeps_what_was_read() {
        let mut bytes = vec![0, 1, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0];
        bytes.extend(b"\x01a\0\0\x01\0\x01");
        bytes.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01");
        let message = Message::read(&bytes).unwrap();
        assert!(message.cut && message.is_response());
        assert_eq!(message.answers[0].data, Data::Address([192, 0, 2, 1].into()));
    }
}
