//! Numbers of transactions that rules write in a way of their own.

use super::{Words, add, by_name, numbers};
use crate::builder::{Builder, Complaint, Keyword, Needs, Value};
use crate::context::Context;
use crate::keywords::number::{Comparison, plain_number};
use crate::lang::did_you_mean;
use crate::signature::Test;
use flowtrack_event::Direction::ToClient;

/// The family.
pub(crate) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "dcerpc.iface",
        aliases: &["dce_iface"],
        doc: "The interface that is called: its identifier, and behind a comma a comparison of its \
              version.",
        example: "alert dcerpc any any -> any any (dcerpc.iface:367abb81-9844-35f1-ad32-98f038001003,>1; sid:1;)",
        parse: iface,
    },
    Keyword {
        name: "dnp3_obj",
        aliases: &["dnp3.obj"],
        doc: "Group and variation of an object.",
        example: "alert dnp3 any any -> any any (dnp3_obj:22,1; sid:1;)",
        parse: dnp3_obj,
    },
    Keyword {
        name: "cip_service",
        aliases: &["enip.cip_service"],
        doc: "Service of CIP, and behind commas the class and the attribute it is about.",
        example: "alert enip any any -> any any (cip_service:14,4,1; sid:1;)",
        parse: cip_service,
    },
    Keyword {
        name: "nfs_procedure",
        aliases: &[],
        doc: "The procedure that is called: its name, as the versions of NFS have it, or its \
              number, a comparison or a range, both ends included.",
        example: "alert nfs any any -> any any (nfs_procedure:getattr; sid:1;)",
        parse: nfs_procedure,
    },
    Keyword {
        name: "ike.chosen_sa_attribute",
        aliases: &[],
        doc: "An attribute of the security association that the responder chose: its name, and \
              what holds of its value.",
        example: "alert ike any any -> any any (ike.chosen_sa_attribute:alg_hash=2; sid:1;)",
        parse: chosen_attribute,
    },
    Keyword {
        name: "ftpdata_command",
        aliases: &[],
        doc: "The command that the data connection was opened for: `stor` or `retr`.",
        example: "alert ftp-data any any -> any any (ftpdata_command:stor; sid:1;)",
        parse: ftpdata_command,
    },
    Keyword {
        name: "http2.settings",
        aliases: &[],
        doc: "A setting by its name, and what holds of its value.",
        example: "alert http2 any any -> any any (http2.settings:SETTINGS_ENABLE_PUSH=0; sid:1;)",
        parse: settings,
    },
    Keyword {
        name: "krb5.ticket_encryption",
        aliases: &[],
        doc: "Encryption of a ticket: names or numbers with commas between them, `!` before those that must not be, or `weak`.",
        example: "alert krb5 any any -> any any (krb5.ticket_encryption:weak; sid:1;)",
        parse: encryption,
    },
    Keyword {
        name: "ssh.protoversion",
        aliases: &[],
        doc: "Version of SSH, such as `2.0`; `2_compat` for 2 and 1.99.",
        example: "alert ssh any any -> any any (ssh.protoversion:2_compat; sid:1;)",
        parse: |builder, value| ssh(builder, value, "ssh.proto"),
    },
    Keyword {
        name: "ssh.softwareversion",
        aliases: &[],
        doc: "What the name and version of the software have in them.",
        example: r#"alert ssh any any -> any any (ssh.softwareversion:"OpenSSH"; sid:1;)"#,
        parse: |builder, value| ssh(builder, value, "ssh.software"),
    },
    Keyword {
        name: "ssl_version",
        aliases: &[],
        doc: "Versions that are offered, or chosen, with commas between them: `sslv2`, `sslv3`, \
              `tls1.0` to `tls1.3`; `!` before those that must not be.",
        example: "alert tls any any -> any any (ssl_version:sslv3,tls1.0; sid:1;)",
        parse: ssl_version,
    },
    Keyword {
        name: "ssl_state",
        aliases: &[],
        doc: "What was seen of the handshake: `client_hello`, `server_hello`, `client_keyx`, \
              `server_keyx`, with `|` between them.",
        example: "alert tls any any -> any any (ssl_state:server_hello; sid:1;)",
        parse: ssl_state,
    },
    Keyword {
        name: "tls_cert_expired",
        aliases: &[],
        doc: "The certificate is no longer valid.",
        example: "alert tls any any -> any any (tls_cert_expired; sid:1;)",
        parse: |builder, value| flag(builder, value, "tls_cert_expired"),
    },
    Keyword {
        name: "tls_cert_valid",
        aliases: &[],
        doc: "The certificate is valid.",
        example: "alert tls any any -> any any (tls_cert_valid; sid:1;)",
        parse: |builder, value| flag(builder, value, "tls_cert_valid"),
    },
    Keyword {
        name: "tls_cert_notbefore",
        aliases: &[],
        doc: "Beginning of the validity of the certificate, as a date.",
        example: "alert tls any any -> any any (tls_cert_notbefore:<2020-01-01; sid:1;)",
        parse: |builder, value| date(builder, value, "tls_cert_notbefore"),
    },
    Keyword {
        name: "tls_cert_notafter",
        aliases: &[],
        doc: "End of the validity of the certificate, as a date.",
        example: "alert tls any any -> any any (tls_cert_notafter:2030-01-01<>2040-01-01; sid:1;)",
        parse: |builder, value| date(builder, value, "tls_cert_notafter"),
    },
    Keyword {
        name: "tls.store",
        aliases: &["tls_store"],
        doc: "The certificates are worth keeping: they stand in the record of the handshake.",
        example: "alert tls any any -> any any (tls.store; sid:1;)",
        parse: |builder, value| {
            value.none()?;
            builder.app("tls")?;
            builder.needs(Needs::Transaction);
            Ok(())
        },
    },
    Keyword {
        name: "tls.cert_self_signed",
        aliases: &[],
        doc: "Owner and signer of the certificate are the same. FlowTrack's own.",
        example: "alert tls any any -> any any (tls.cert_self_signed; sid:1;)",
        parse: |builder, value| {
            value.none()?;
            add(builder, TLS, None, SelfSigned)
        },
    },
];

const TLS: &[&str] = &["tls"];

/// A comparison of some of the values of a keyword.
#[derive(Debug)]
struct AnyOf {
    asked: &'static str,
    /// One of these must hold of one value.
    wanted: Vec<Comparison>,
}

impl Test for AnyOf {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        numbers(cx, self.asked).is_some_and(|numbers| {
            numbers.iter().any(|number| self.wanted.iter().any(|wanted| wanted.holds(*number)))
        })
    }
}

fn iface(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("an identifier such as 367abb81-9844-35f1-ad32-98f038001003")?;
    let mut parts = text.split(',').map(str::trim);
    let uuid = parts.next().unwrap_or_default().to_ascii_lowercase();
    let groups: Vec<usize> = uuid.split('-').map(str::len).collect();
    if groups != [8, 4, 4, 4, 12] || !uuid.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()) {
        return Err(Complaint::new(format!("\"{uuid}\" is no identifier of an interface")));
    }
    let mut version = None;
    for part in parts.filter(|part| *part != "any_frag") {
        version = Some(Comparison::parse(part, u64::from(u16::MAX))?);
    }
    add(builder, &["dcerpc", "smb"], None, Interface { uuid, version })
}

/// The interface that is called.
#[derive(Debug)]
struct Interface {
    uuid: String,
    version: Option<Comparison>,
}

impl Test for Interface {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        let Some(tx) = cx.tx else { return false };
        let mut found = false;
        tx.transaction.buffer_towards(cx.direction, "dcerpc.iface", &mut |value| {
            let text = std::str::from_utf8(value).unwrap_or_default();
            let (uuid, version) = text.split_once(' ').unwrap_or((text, ""));
            let fits = self
                .version
                .is_none_or(|wanted| version.parse().is_ok_and(|version| wanted.holds(version)));
            found |= fits && uuid.eq_ignore_ascii_case(&self.uuid);
        });
        found
    }

    fn cost(&self) -> u8 {
        3
    }
}

fn dnp3_obj(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("group,variation")?;
    let (group, variation) =
        text.split_once(',').ok_or_else(|| Complaint::new("expected group,variation"))?;
    let number = |text: &str| plain_number(text.trim(), 255).map_err(Complaint::new);
    let wanted = vec![Comparison::Equal(number(group)? * 256 + number(variation)?)];
    add(builder, &["dnp3"], None, AnyOf { asked: "dnp3_obj", wanted })
}

fn cip_service(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    const ASKED: [(&str, u64); 3] =
        [("enip.cip_service", 255), ("enip.cip_class", 65_535), ("enip.cip_attribute", 65_535)];
    let text = value.needed("service, class, attribute")?;
    let parts: Vec<&str> = text.split(',').collect();
    if parts.len() > ASKED.len() {
        return Err(Complaint::new("expected service, class, attribute at most"));
    }
    for (part, (asked, max)) in parts.into_iter().zip(ASKED) {
        let wanted = vec![Comparison::parse(part, max)?];
        add(builder, &["enip"], None, AnyOf { asked, wanted })?;
    }
    Ok(())
}

fn settings(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("a setting, such as SETTINGS_ENABLE_PUSH=0")?;
    let end = text.find(['=', '<', '>', '!', '&', ' ']).unwrap_or(text.len());
    let (name, comparison) = text.split_at(end);
    let Some(id) = by_name(SETTINGS, name) else {
        let near = did_you_mean(name, SETTINGS.iter().map(|(word, _)| *word));
        return Err(Complaint::new(format!("\"{name}\" is no setting{near}")));
    };
    let comparison = match comparison.trim() {
        "" => None,
        text => Some(Comparison::parse(text, u64::from(u32::MAX))?),
    };
    add(builder, &["http2", "doh2"], None, Setting { id, comparison })
}

/// A setting of HTTP/2.
#[derive(Debug)]
struct Setting {
    id: u64,
    comparison: Option<Comparison>,
}

impl Test for Setting {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        numbers(cx, "http2.settings").is_some_and(|numbers| {
            numbers.iter().any(|number| {
                number >> 32 == self.id
                    && self.comparison.is_none_or(|wanted| wanted.holds(number & 0xffff_ffff))
            })
        })
    }
}

fn chosen_attribute(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("an attribute, such as alg_hash=2")?;
    let end = text.find(['=', '<', '>', '!', '&', ' ']).unwrap_or(text.len());
    let (name, comparison) = text.split_at(end);
    if !SA_ATTRIBUTES.contains(&name) {
        let near = did_you_mean(name, SA_ATTRIBUTES.iter().copied());
        return Err(Complaint::new(format!("\"{name}\" is no attribute{near}")));
    }
    let wanted = Comparison::parse(comparison, u64::from(u32::MAX))
        .map_err(|complaint| Complaint { offset: complaint.offset + end as u32, ..complaint })?;
    add(builder, &["ike"], Some(ToClient), Chosen { name: name.to_owned(), wanted })
}

/// An attribute that the responder chose.
#[derive(Debug)]
struct Chosen {
    name: String,
    wanted: Comparison,
}

impl Test for Chosen {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        let Some(tx) = cx.tx else { return false };
        let mut found = false;
        tx.transaction.buffer_towards(cx.direction, "ike.chosen_sa_attribute", &mut |value| {
            let text = std::str::from_utf8(value).unwrap_or_default();
            let Some((name, number)) = text.split_once('=') else { return };
            let holds = || number.parse().is_ok_and(|number| self.wanted.holds(number));
            found |= name == self.name && holds();
        });
        found
    }

    fn cost(&self) -> u8 {
        3
    }
}

fn ftpdata_command(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("stor or retr")?;
    let command = match text.to_ascii_lowercase().as_str() {
        "stor" => "stor",
        "retr" => "retr",
        _ => return Err(Complaint::new(format!("\"{text}\" is neither stor nor retr"))),
    };
    add(builder, &["ftp-data"], None, OpenedFor(command))
}

/// The command that a data connection of FTP was opened for.
#[derive(Debug)]
struct OpenedFor(&'static str);

impl Test for OpenedFor {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        let Some(tx) = cx.tx else { return false };
        let mut found = false;
        tx.transaction.buffer_towards(cx.direction, "ftpdata_command", &mut |value| {
            found |= value == self.0.as_bytes();
        });
        found
    }
}

fn encryption(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("the name of an encryption, or weak")?;
    if text == "weak" {
        let test =
            AnyOf { asked: "krb5.ticket_weak_encryption", wanted: vec![Comparison::Equal(1)] };
        return add(builder, &["krb5"], None, test);
    }
    let test = Listed::parse("krb5.ticket_encryption", text, |word| {
        let known = ENCRYPTIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word));
        let number = word.parse().ok().or(known.map(|(_, number)| *number)).ok_or_else(|| {
            let near = did_you_mean(word, ENCRYPTIONS.iter().map(|(word, _)| *word));
            Complaint::new(format!("\"{word}\" is no encryption of Kerberos{near}"))
        })?;
        // Numbers below zero are compared as two's complement.
        Ok(i64::from(number).cast_unsigned())
    })?;
    add(builder, &["krb5"], None, test)
}

/// A number that must be one of some, and none of others.
#[derive(Debug)]
struct Listed {
    asked: &'static str,
    /// One of these, where there are any.
    wanted: Vec<u64>,
    /// None of these.
    unwanted: Vec<u64>,
}

impl Listed {
    /// Words with commas between them, `!` before those that must not be.
    fn parse(
        asked: &'static str,
        text: &str,
        number: impl Fn(&str) -> Result<u64, Complaint>,
    ) -> Result<Self, Complaint> {
        let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
        for word in text.split(',').map(str::trim) {
            match word.strip_prefix('!') {
                Some(word) => unwanted.push(number(word.trim_start())?),
                None => wanted.push(number(word)?),
            }
        }
        Ok(Self { asked, wanted, unwanted })
    }
}

impl Test for Listed {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        let Some(numbers) = numbers(cx, self.asked) else { return false };
        numbers.iter().any(|number| {
            (self.wanted.is_empty() || self.wanted.contains(number))
                && !self.unwanted.contains(number)
        })
    }
}

fn nfs_procedure(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("a number, a range such as 1<>3, or the name of a procedure")?;
    let (is_not, name) = match text.strip_prefix('!') {
        Some(rest) => (true, rest.trim_start_matches('=').trim()),
        None => (false, text.trim_start_matches('=').trim()),
    };
    let of = |names: Words| by_name(names, name);
    let named = [of(NFS2_PROCEDURES), of(NFS3_PROCEDURES), of(NFS4_PROCEDURES)];
    let called = if named.iter().any(Option::is_some) {
        Called::Named(named, is_not)
    } else {
        // Both ends count, which they do nowhere else.
        match Comparison::parse(text, u64::from(u32::MAX)) {
            Ok(Comparison::Between(first, last)) => Called::Within(first, last, false),
            Ok(Comparison::NotBetween(first, last)) => Called::Within(first, last, true),
            Ok(comparison) => Called::Number(comparison),
            Err(complaint) => {
                let words = [NFS2_PROCEDURES, NFS3_PROCEDURES, NFS4_PROCEDURES].into_iter();
                let near = did_you_mean(name, words.flatten().map(|(word, _)| *word));
                let message = format!("{}{near}", complaint.message);
                return Err(Complaint { message, ..complaint });
            }
        }
    };
    add(builder, &["nfs"], None, called)
}

/// What must hold of the procedure that is called.
#[derive(Debug)]
enum Called {
    /// Its number in versions 2, 3 and 4, and whether it must be another.
    Named([Option<u64>; 3], bool),
    /// The first and the last number, and whether it must be outside.
    Within(u64, u64, bool),
    Number(Comparison),
}

impl Test for Called {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        let Some(called) = numbers(cx, "nfs_procedure") else { return false };
        match self {
            Self::Named(wanted, is_not) => {
                let version = numbers(cx, "nfs.version").and_then(|all| all.first().copied());
                let [of_2, of_3, of_4] = *wanted;
                let wanted = match version {
                    Some(..=2) => of_2,
                    Some(3) => of_3,
                    Some(_) => of_4,
                    None => None,
                };
                called.iter().any(|number| (Some(*number) == wanted) != *is_not)
            }
            Self::Within(first, last, is_not) => {
                called.iter().any(|number| (first..=last).contains(&number) != *is_not)
            }
            Self::Number(comparison) => called.iter().any(|number| comparison.holds(*number)),
        }
    }

    fn cost(&self) -> u8 {
        2
    }
}

/// Procedures of NFS version 2 (RFC 1094).
const NFS2_PROCEDURES: Words = &[
    ("null", 0),
    ("getattr", 1),
    ("setattr", 2),
    ("root", 3),
    ("lookup", 4),
    ("readlink", 5),
    ("read", 6),
    ("writecache", 7),
    ("write", 8),
    ("create", 9),
    ("remove", 10),
    ("rename", 11),
    ("link", 12),
    ("symlink", 13),
    ("mkdir", 14),
    ("rmdir", 15),
    ("readdir", 16),
    ("statfs", 17),
];

/// Procedures of NFS version 3 (RFC 1813).
const NFS3_PROCEDURES: Words = &[
    ("null", 0),
    ("getattr", 1),
    ("setattr", 2),
    ("lookup", 3),
    ("access", 4),
    ("readlink", 5),
    ("read", 6),
    ("write", 7),
    ("create", 8),
    ("mkdir", 9),
    ("symlink", 10),
    ("mknod", 11),
    ("remove", 12),
    ("rmdir", 13),
    ("rename", 14),
    ("link", 15),
    ("readdir", 16),
    ("readdirplus", 17),
    ("fsstat", 18),
    ("fsinfo", 19),
    ("pathconf", 20),
    ("commit", 21),
];

/// Procedures of NFS version 4, and the operations that are put together in one (RFC 7862).
const NFS4_PROCEDURES: Words = &[
    ("null", 0),
    ("compound", 1),
    ("access", 3),
    ("close", 4),
    ("commit", 5),
    ("create", 6),
    ("delegpurge", 7),
    ("delegreturn", 8),
    ("getattr", 9),
    ("getfh", 10),
    ("link", 11),
    ("lock", 12),
    ("lockt", 13),
    ("locku", 14),
    ("lookup", 15),
    ("lookupp", 16),
    ("nverify", 17),
    ("open", 18),
    ("openattr", 19),
    ("open_confirm", 20),
    ("open_downgrade", 21),
    ("putfh", 22),
    ("putpubfh", 23),
    ("putrootfh", 24),
    ("read", 25),
    ("readdir", 26),
    ("readlink", 27),
    ("remove", 28),
    ("rename", 29),
    ("renew", 30),
    ("restorefh", 31),
    ("savefh", 32),
    ("secinfo", 33),
    ("setattr", 34),
    ("setclientid", 35),
    ("setclientid_confirm", 36),
    ("verify", 37),
    ("write", 38),
    ("release_lockowner", 39),
    ("backchannel_ctl", 40),
    ("bind_conn_to_session", 41),
    ("exchange_id", 42),
    ("create_session", 43),
    ("destroy_session", 44),
    ("free_stateid", 45),
    ("get_dir_delegation", 46),
    ("getdeviceinfo", 47),
    ("getdevicelist", 48),
    ("layoutcommit", 49),
    ("layoutget", 50),
    ("layoutreturn", 51),
    ("secinfo_no_name", 52),
    ("sequence", 53),
    ("set_ssv", 54),
    ("test_stateid", 55),
    ("want_delegation", 56),
    ("destroy_clientid", 57),
    ("reclaim_complete", 58),
    ("allocate", 59),
    ("copy", 60),
    ("copy_notify", 61),
    ("deallocate", 62),
    ("io_advise", 63),
    ("layouterror", 64),
    ("layoutstats", 65),
    ("offload_cancel", 66),
    ("offload_status", 67),
    ("read_plus", 68),
    ("seek", 69),
    ("write_same", 70),
    ("clone", 71),
];

fn ssh(builder: &mut Builder<'_>, value: &Value<'_>, asked: &'static str) -> Result<(), Complaint> {
    let text = value.needed("a text")?.trim_matches('"').to_owned();
    add(builder, &["ssh"], None, Named { asked, text })
}

/// A text in the greeting of SSH.
#[derive(Debug)]
struct Named {
    asked: &'static str,
    text: String,
}

impl Test for Named {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        let Some(tx) = cx.tx else { return false };
        let mut found = false;
        tx.transaction.buffer_towards(cx.direction, self.asked, &mut |value| {
            found |= match self.text.as_str() {
                "2_compat" => value == b"2.0" || value == b"2" || value == b"1.99",
                text if self.asked == "ssh.proto" => value == text.as_bytes(),
                text => memchr::memmem::find(value, text.as_bytes()).is_some(),
            };
        });
        found
    }

    fn cost(&self) -> u8 {
        3
    }
}

fn ssl_version(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("versions, such as sslv3,tls1.0")?;
    let test = Listed::parse("tls.version", text.trim_matches('"'), |word| {
        by_name(VERSIONS, word).ok_or_else(|| {
            let near = did_you_mean(word, VERSIONS.iter().map(|(word, _)| *word));
            Complaint::new(format!("\"{word}\" is no version{near}"))
        })
    })?;
    add(builder, TLS, None, test)
}

fn ssl_state(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("what was seen, such as client_hello")?;
    let mut bits = 0;
    let (negated, words) = match text.strip_prefix('!') {
        Some(words) => (true, words),
        None => (false, text),
    };
    for word in words.split(['|', ',']).map(str::trim) {
        let Some(bit) = by_name(STATES, word) else {
            let near = did_you_mean(word, STATES.iter().map(|(word, _)| *word));
            return Err(Complaint::new(format!("\"{word}\" is no state{near}")));
        };
        bits |= bit;
    }
    let wanted = if negated {
        Comparison::Bits { mask: bits, value: 0 }
    } else {
        Comparison::NotBits { mask: bits, value: 0 }
    };
    add(builder, TLS, None, AnyOf { asked: "ssl_state", wanted: vec![wanted] })
}

fn flag(
    builder: &mut Builder<'_>,
    value: &Value<'_>,
    asked: &'static str,
) -> Result<(), Complaint> {
    value.none()?;
    add(builder, TLS, None, AnyOf { asked, wanted: vec![Comparison::Equal(1)] })
}

fn date(
    builder: &mut Builder<'_>,
    value: &Value<'_>,
    asked: &'static str,
) -> Result<(), Complaint> {
    let text = value.needed("a date, such as <2020-01-01")?.trim_matches('"');
    let seconds = |text: &str| {
        seconds_of(text.trim()).ok_or_else(|| {
            Complaint::new(format!(
                "\"{text}\" is no date: expected 2020, 2020-01-31 or 2020-01-31T12:00:00"
            ))
        })
    };
    let comparison = if let Some((from, to)) = text.split_once("<>") {
        Comparison::Between(seconds(from)?, seconds(to)?)
    } else if let Some(before) = text.strip_prefix('<') {
        Comparison::Less(seconds(before)?)
    } else if let Some(after) = text.strip_prefix('>') {
        Comparison::More(seconds(after)?)
    } else {
        Comparison::Equal(seconds(text)?)
    };
    add(builder, TLS, None, AnyOf { asked, wanted: vec![comparison] })
}

/// Seconds since 1970 of `2020`, `2020-01`, `2020-01-31`, `2020-01-31 12:00` and so on; what is not
/// said is the first there is.
fn seconds_of(text: &str) -> Option<u64> {
    let mut parts = text.split(['-', 'T', ' ', ':']);
    let mut part = |least: u64, most: u64| match parts.next() {
        None => Some(least),
        Some(text) => text.parse().ok().filter(|number| (least..=most).contains(number)),
    };
    let (year, month, day) = (part(1970, 9999)?, part(1, 12)?, part(1, 31)?);
    let (hour, minute, second) = (part(0, 23)?, part(0, 59)?, part(0, 60)?);
    // Days since 1970, years beginning in March (Howard Hinnant, "chrono-Compatible Low-Level Date
    // Algorithms").
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// Whether a certificate is signed by its owner.
#[derive(Debug)]
struct SelfSigned;

impl Test for SelfSigned {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        let Some(tx) = cx.tx else { return false };
        let direction = cx.direction;
        let mut subject = Vec::new();
        tx.transaction.buffer_towards(direction, "tls.cert_subject", &mut |value| {
            subject.extend_from_slice(value);
        });
        let mut same = false;
        tx.transaction.buffer_towards(direction, "tls.cert_issuer", &mut |value| {
            same |= !value.is_empty() && *value == *subject;
        });
        same
    }

    fn cost(&self) -> u8 {
        3
    }
}

/// Attributes of a security association, as the reader of IKE names them.
const SA_ATTRIBUTES: &[&str] = &[
    "alg_enc",
    "alg_hash",
    "alg_auth",
    "alg_dh",
    "alg_prf",
    "alg_esn",
    "sa_group_type",
    "sa_life_type",
    "sa_life_duration",
    "sa_key_length",
    "sa_field_size",
];

const STATES: Words = &[
    ("client_hello", 1),
    ("server_hello", 2),
    ("client_keyx", 4),
    ("server_keyx", 4),
    ("unknown", 8),
];

const VERSIONS: Words = &[
    ("sslv2", 0x0002),
    ("sslv3", 0x0300),
    ("tls1.0", 0x0301),
    ("tls1.1", 0x0302),
    ("tls1.2", 0x0303),
    ("tls1.3", 0x0304),
];

/// Settings of HTTP/2 (RFC 9113).
const SETTINGS: Words = &[
    ("SETTINGS_HEADER_TABLE_SIZE", 1),
    ("SETTINGS_ENABLE_PUSH", 2),
    ("SETTINGS_MAX_CONCURRENT_STREAMS", 3),
    ("SETTINGS_INITIAL_WINDOW_SIZE", 4),
    ("SETTINGS_MAX_FRAME_SIZE", 5),
    ("SETTINGS_MAX_HEADER_LIST_SIZE", 6),
];

/// Kinds of encryption (IANA, Kerberos Encryption Type Numbers).
const ENCRYPTIONS: &[(&str, i32)] = &[
    ("null", 0),
    ("des-cbc-crc", 1),
    ("des-cbc-md4", 2),
    ("des-cbc-md5", 3),
    ("des3-cbc-md5", 5),
    ("des3-cbc-sha1", 7),
    ("dsaWithSHA1-CmsOID", 9),
    ("md5WithRSAEncryption-CmsOID", 10),
    ("sha1WithRSAEncryption-CmsOID", 11),
    ("rc2CBC-EnvOID", 12),
    ("rsaEncryption-EnvOID", 13),
    ("rsaES-OAEP-ENV-OID", 14),
    ("des-ede3-cbc-Env-OID", 15),
    ("des3-cbc-sha1-kd", 16),
    ("aes128-cts-hmac-sha1-96", 17),
    ("aes256-cts-hmac-sha1-96", 18),
    ("aes128-cts-hmac-sha256-128", 19),
    ("aes256-cts-hmac-sha384-192", 20),
    ("rc4-hmac", 23),
    ("rc4-hmac-exp", 24),
    ("camellia128-cts-cmac", 25),
    ("camellia256-cts-cmac", 26),
    ("subkey-keymaterial", 65),
    ("rc4-md4", -128),
    ("rc4-hmac-old", -133),
    ("rc4-hmac-old-exp", -135),
];

#[cfg(test)]
mod tests {
    use super::seconds_of;
    use crate::keywords::understand;
    use crate::lang::{Headers, Variables, parse_rules};
    use crate::{Context, Shared, TxScope};
    use flowtrack_event::{AppProto, Direction, Timestamp, Transaction};

    /// A transaction that has numbers.
    #[derive(Debug)]
    struct Numbers(&'static str, &'static [(&'static str, u64)]);

    impl Transaction for Numbers {
        fn protocol(&self) -> AppProto {
            AppProto(self.0)
        }

        fn record(&self) -> &dyn erased_serde::Serialize {
            &()
        }

        fn number(&self, _: Direction, name: &str, visit: &mut dyn FnMut(u64)) {
            self.1
                .iter()
                .filter(|(known, _)| *known == name)
                .for_each(|(_, number)| visit(*number));
        }
    }

    /// Whether the conditions of a rule hold of a transaction.
    fn holds(transaction: &Numbers, options: &str) -> bool {
        let text = format!("alert {} any any -> any any ({options}; sid:1;)", transaction.0);
        let (rules, problems) = parse_rules("test", &text);
        assert_eq!(problems, []);
        let understood = understand(&rules[0], &mut Headers::new(Variables::default()));
        let signature = understood.unwrap_or_else(|error| panic!("{text}: {error:?}")).signature;
        let shared = Shared::default();
        let mut cx = Context::new(Timestamp::from_secs(1), Direction::ToServer, &shared);
        cx.tx = Some(TxScope { id: 0, transaction, files: &[], was_partial: false });
        signature.tests.iter().all(|test| test.test(&mut cx))
    }

    #[test]
    fn procedures_of_nfs_have_names_and_ranges_with_both_ends() {
        let read = Numbers("nfs", &[("nfs_procedure", 6), ("nfs.version", 3)]);
        for options in ["read", "6", "!write", "6<>9", "3-6", "!7-9", ">5", "!=7"] {
            assert!(holds(&read, &format!("nfs_procedure:{options}")), "{options}");
        }
        for options in ["getattr", "!READ", "7<>9", "!3-6", "root", ">6"] {
            assert!(!holds(&read, &format!("nfs_procedure:{options}")), "{options}");
        }
        // Elsewhere the same number is another one.
        let lookup = Numbers("nfs", &[("nfs_procedure", 9), ("nfs.version", 4)]);
        assert!(holds(&lookup, "nfs_procedure:getattr; nfs.version:>=4"));
    }

    #[test]
    fn encryptions_of_kerberos_may_be_unwanted() {
        let ticket = Numbers("krb5", &[("krb5.ticket_encryption", 23)]);
        for (options, expected) in [
            ("rc4-hmac", true),
            ("23,18", true),
            ("18", false),
            ("!18", true),
            ("!rc4-hmac", false),
            ("!18,!23", false),
        ] {
            let found = holds(&ticket, &format!("krb5.ticket_encryption:{options}"));
            assert_eq!(found, expected, "{options}");
        }
        assert!(holds(&Numbers("ntp", &[("ntp.mode", 3)]), "ntp.mode:client; ntp.mode:!server"));
        assert!(holds(&Numbers("dns", &[("dns.rrtype", 43)]), "dns.rrtype:ds; dns.rrtype:!IXFR"));
    }

    #[test]
    fn dates() {
        assert_eq!(seconds_of("1970"), Some(0));
        assert_eq!(seconds_of("2000-03-01"), Some(951_868_800));
        assert_eq!(seconds_of("2024-02-29T12:30:59"), Some(1_709_209_859));
        assert_eq!(seconds_of("2024-13-01"), None);
        assert_eq!(seconds_of("tomorrow"), None);
    }
}
