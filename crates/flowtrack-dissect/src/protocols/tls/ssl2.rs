//! The hellos of SSL 2.0, which older clients also begin a TLS connection with (RFC 5246 appendix
//! E.2).

use super::hello::ClientHello;
use super::session::Session;
use super::version;
use crate::{Moment, Outcome, Probe, Reader, Wants};
use flowtrack_event::Direction;

/// Two bytes, of which the highest bit says that there is no padding.
const HEADER: usize = 2;
/// Beginning of a client's hello up to its lists.
const CLIENT_HEADER: usize = 9;
/// Beginning of a server's hello up to its lists.
const SERVER_HEADER: usize = 11;

const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 4;

/// What a record held.
pub enum Found {
    /// A client's hello.
    ClientHello,
    /// A server's hello.
    ServerHello,
}

/// Whether bytes begin with a hello of SSL 2.0 whose lengths add up.
pub fn probe(bytes: &[u8]) -> Probe {
    let Some((&[high, low, kind], rest)) = bytes.split_first_chunk::<3>() else {
        let is_ours = bytes.first().is_none_or(|high| high & 0x80 != 0);
        return if is_ours { Probe::NeedMore } else { Probe::No };
    };
    if high & 0x80 == 0 {
        return Probe::No;
    }
    let length = record_length(high, low);
    match kind {
        CLIENT_HELLO => {
            let Some(&[major, minor, c0, c1, s0, s1, r0, r1]) = rest.first_chunk::<8>() else {
                return Probe::NeedMore;
            };
            let [ciphers, session, challenge] =
                [[c0, c1], [s0, s1], [r0, r1]].map(|pair| usize::from(u16::from_be_bytes(pair)));
            Probe::content(
                is_version(u16::from_be_bytes([major, minor]))
                    && ciphers > 0
                    && ciphers % 3 == 0
                    && matches!(session, 0 | 16)
                    && (16..=32).contains(&challenge)
                    && length == CLIENT_HEADER + ciphers + session + challenge,
            )
        }
        SERVER_HELLO => {
            let Some(&[hit, kind, major, minor, c0, c1, s0, s1, i0, i1]) = rest.first_chunk::<10>()
            else {
                return Probe::NeedMore;
            };
            let [certificate, ciphers, connection] =
                [[c0, c1], [s0, s1], [i0, i1]].map(|pair| usize::from(u16::from_be_bytes(pair)));
            Probe::content(
                hit <= 1
                    && kind <= 1
                    && u16::from_be_bytes([major, minor]) == version::SSL_2
                    && ciphers % 3 == 0
                    && (16..=32).contains(&connection)
                    && length == SERVER_HEADER + certificate + ciphers + connection,
            )
        }
        _ => Probe::No,
    }
}

fn is_version(version: u16) -> bool {
    matches!(version, version::SSL_2 | version::SSL_3..=version::TLS_1_2)
}

const fn record_length(high: u8, low: u8) -> usize {
    u16::from_be_bytes([high & 0x7f, low]) as usize
}

/// Whether a connection's first record is of SSL 2.0.
pub fn is_record(b: &[u8]) -> bool {
    matches!(b, [high, _, CLIENT_HELLO | SERVER_HELLO, ..] if high & 0x80 != 0)
}

/// The length of a whole record and its content, or how many bytes are needed.
pub fn record(b: &[u8]) -> Result<(usize, &[u8]), usize> {
    let (&[high, low], rest) = b.split_first_chunk::<HEADER>().ok_or(HEADER)?;
    let length = record_length(high, low);
    let body = rest.get(..length).ok_or(HEADER + length)?;
    Ok((HEADER + length, body))
}

/// Reads a hello into the session.
pub fn read(
    session: &mut Session,
    body: &[u8],
    direction: Direction,
    at: &Moment<'_>,
    wants: Wants,
    out: &mut Outcome,
) -> Option<Found> {
    let mut r = Reader::new(body);
    match r.u8()? {
        CLIENT_HELLO => {
            let legacy_version = r.u16()?;
            let [ciphers, id, challenge] = [r.u16()?, r.u16()?, r.u16()?].map(usize::from);
            let (specs, _) = r.take(ciphers)?.as_chunks::<3>();
            let session_id = r.take(id)?.to_vec();
            let challenge = r.take(challenge)?;
            // Those of SSL 2.0 itself have three bytes; those of later versions begin with zero.
            let ciphers = specs
                .iter()
                .filter(|&&[kind, _, _]| kind == 0)
                .map(|&[_, high, low]| u16::from_be_bytes([high, low]))
                .collect();
            let mut random = [0; 32];
            // RFC 5246 appendix E.2: a shorter challenge is filled up with zeros in front.
            for (to, &from) in random.iter_mut().rev().zip(challenge.iter().rev()) {
                *to = from;
            }
            session.old_client_hello(
                ClientHello {
                    legacy_version,
                    random,
                    session_id,
                    ciphers,
                    ..ClientHello::default()
                },
                direction,
                at,
            );
            Some(Found::ClientHello)
        }
        SERVER_HELLO => {
            r.skip(2)?;
            let version = r.u16()?;
            let [certificate, ciphers, _] = [r.u16()?, r.u16()?, r.u16()?].map(usize::from);
            let certificate = r.take(certificate)?;
            r.skip(ciphers)?;
            session.old_server_hello(version, certificate, direction, at, wants, out);
            Some(Found::ServerHello)
        }
        _ => None,
    }
}
