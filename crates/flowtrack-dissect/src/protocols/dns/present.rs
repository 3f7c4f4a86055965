//! Record data in the form that zone files have (RFC 1035 section 5 and the RFC of each type).

use super::message::{kind_text, name};
use crate::{Reader, hex};
use flowtrack_event::WireText;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Parameters read of a service binding.
const PARAMETERS_CAP: usize = 32;

/// The data of a record of a type that a message does not take apart; `None` where its type has
/// no usual form, or it does not have the form of its type.
pub fn present(kind: u16, data: &[u8]) -> Option<String> {
    let mut r = Reader::new(data);
    Some(match kind {
        13 => format!("\"{}\" \"{}\"", text(&mut r)?, text(&mut r)?),
        35 => {
            let (order, preference) = (r.u16()?, r.u16()?);
            let (flags, service, pattern) = (text(&mut r)?, text(&mut r)?, text(&mut r)?);
            let target = domain(data, &mut r)?;
            format!("{order} {preference} \"{flags}\" \"{service}\" \"{pattern}\" {target}")
        }
        43 | 59 => format!("{} {} {} {}", r.u16()?, r.u8()?, r.u8()?, hex(r.rest())),
        46 => {
            let covered = kind_text(r.u16()?);
            let (algorithm, labels, ttl) = (r.u8()?, r.u8()?, r.u32()?);
            let (expires, begins, tag) = (r.u32()?, r.u32()?, r.u16()?);
            let signer = domain(data, &mut r)?;
            format!("{covered} {algorithm} {labels} {ttl} {expires} {begins} {tag} {signer}")
        }
        47 => domain(data, &mut r)?,
        48 | 60 => {
            let (flags, protocol, algorithm) = (r.u16()?, r.u8()?, r.u8()?);
            format!("{flags} {protocol} {algorithm} {}", hex(r.rest()))
        }
        52 | 53 => format!("{} {} {} {}", r.u8()?, r.u8()?, r.u8()?, hex(r.rest())),
        64 | 65 => service(data, &mut r)?,
        256 => format!("{} {} \"{}\"", r.u16()?, r.u16()?, WireText(r.rest())),
        257 => {
            let (flags, tag) = (r.u8()?, text(&mut r)?);
            format!("{flags} {tag} \"{}\"", WireText(r.rest()))
        }
        _ => return None,
    })
}

/// SVCB and HTTPS (RFC 9460).
fn service<'a>(data: &'a [u8], r: &mut Reader<'a>) -> Option<String> {
    let mut shown = format!("{} {}", r.u16()?, domain(data, r)?);
    for _ in 0..PARAMETERS_CAP {
        if r.is_empty() {
            break;
        }
        let (key, length) = (r.u16()?, r.u16()?);
        let value = r.take(usize::from(length))?;
        let _ = match key {
            1 => write!(shown, " alpn={}", list(protocols(value))),
            2 => write!(shown, " no-default-alpn"),
            3 => write!(shown, " port={}", Reader::new(value).u16()?),
            4 => {
                let all = value.chunks_exact(4).filter_map(|ip| ip.first_chunk::<4>());
                write!(shown, " ipv4hint={}", list(all.map(|ip| Ipv4Addr::from(*ip).to_string())))
            }
            5 => write!(shown, " ech={}", hex(value)),
            6 => {
                let all = value.chunks_exact(16).filter_map(|ip| ip.first_chunk::<16>());
                write!(shown, " ipv6hint={}", list(all.map(|ip| Ipv6Addr::from(*ip).to_string())))
            }
            key => write!(shown, " key{key}={}", hex(value)),
        };
    }
    Some(shown)
}

fn protocols(value: &[u8]) -> impl Iterator<Item = String> {
    let mut r = Reader::new(value);
    std::iter::from_fn(move || text(&mut r))
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(",")
}

/// A string behind its length.
fn text(r: &mut Reader<'_>) -> Option<String> {
    let length = usize::from(r.u8()?);
    Some(WireText(r.take(length)?).to_string())
}

/// A name, which in these types is never compressed; the root is a dot.
fn domain<'a>(data: &'a [u8], r: &mut Reader<'a>) -> Option<String> {
    let name = name(data, r)?;
    Some(if name.text.is_empty() { ".".into() } else { WireText(&name.text).to_string() })
}
