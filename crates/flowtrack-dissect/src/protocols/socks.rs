//! SOCKS 4, 4a and 5 (RFC 1928, RFC 1929): what a proxy is asked for. Behind the handshake the flow
//! speaks what it was opened for.

use crate::brief::{Brief, Messages, Step};
use crate::{Field, First, Malformed, Probe, Reader};
use flowtrack_event::{AppProto, Confidence, Direction};
use std::net::{Ipv4Addr, Ipv6Addr};

const PORTS: &[u16] = &[1080];
const FIELDS: &[Field] = &[
    Field::added("version", "integer", "4 or 5"),
    Field::added("command", "string", "`connect`, `bind` or `udp_associate`"),
    Field::added("host", "string", "name or address asked for"),
    Field::added("port", "integer", "port asked for"),
    Field::added("user", "string", "user"),
    Field::added("status", "integer", "answer of the proxy; 0 (in version 4: 90) grants it"),
];

crate::brief_protocol!(
    /// SOCKS.
    Socks, SocksMessages, PORTS, FIELDS, probe
);

/// The handshake is short: the client's first bytes must be exactly one, and elsewhere than on its
/// port they are believed only weakly.
fn probe(first: &First<'_>) -> Probe {
    if first.direction == Direction::ToClient {
        return Probe::No;
    }
    let usual = first.has_port(PORTS);
    let sure = Probe::Match(if usual { Confidence::Content } else { Confidence::Heuristic });
    match first.bytes {
        [4 | 5] if usual => Probe::NeedMore,
        [5, count @ 1..=8, methods @ ..] => {
            let all_known = methods.iter().all(|m| matches!(m, 0..=9 | 0x80 | 0x82 | 0xfe));
            let distinct = methods
                .iter()
                .enumerate()
                .all(|(at, m)| !methods.iter().take(at).any(|earlier| earlier == m));
            match methods.len().cmp(&usize::from(*count)) {
                _ if !all_known || !distinct => Probe::No,
                std::cmp::Ordering::Less if usual => Probe::NeedMore,
                // Without the port nothing but the offer of no authentication first is believed.
                std::cmp::Ordering::Equal if usual || methods.first() == Some(&0) => sure,
                _ => Probe::No,
            }
        }
        [4, 1 | 2, ..] if usual => match request_4(first.bytes) {
            Some(_) => sure,
            None if first.bytes.len() < 512 => Probe::NeedMore,
            None => Probe::No,
        },
        _ => Probe::No,
    }
}

#[derive(Default)]
struct SocksMessages {
    stage: Stage,
    connects: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    /// Neither side has said which version.
    #[default]
    Hello,
    /// Version 4: the answer is awaited.
    Answer4,
    /// The server chooses a method.
    Method,
    /// User and password, then the server's word on them.
    Login,
    LoginAnswer,
    /// The request, then its answer.
    Request,
    Answer,
}

impl Messages for SocksMessages {
    const NAME: AppProto = AppProto("socks");
    const CAP: usize = 1024;
    const CHANGES: bool = true;

    fn read(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        brief: &mut Brief,
    ) -> Result<Step, Malformed> {
        let ready = match direction {
            Direction::ToServer => {
                matches!(self.stage, Stage::Hello | Stage::Login | Stage::Request)
            }
            Direction::ToClient => {
                matches!(
                    self.stage,
                    Stage::Answer4 | Stage::Method | Stage::LoginAnswer | Stage::Answer
                )
            }
        };
        if !ready {
            // One side does not wait for the other, or is not heard: no more can be told.
            return Ok(Step::Last);
        }
        match self.stage {
            Stage::Hello => self.hello(bytes, brief),
            Stage::Answer4 => {
                let Some([_, status, ..]) = bytes.first_chunk::<8>() else {
                    return Ok(Step::Need(8));
                };
                brief.number("status", *status);
                Ok(self.end(8, *status == 90))
            }
            Stage::Method => {
                let Some([5, method]) = bytes.first_chunk::<2>() else { return short(bytes, 2) };
                self.stage = match method {
                    0 => Stage::Request,
                    2 => Stage::Login,
                    _ => return Ok(Step::Last),
                };
                Ok(Step::Used(2))
            }
            Stage::Login => {
                let mut r = Reader::new(bytes);
                let read = |r: &mut Reader<'_>| {
                    r.skip(1)?;
                    let length = r.u8()?;
                    let user = r.take(length.into())?.to_vec();
                    let length = r.u8()?;
                    r.skip(length.into())?;
                    Some(user)
                };
                let Some(user) = read(&mut r) else { return Ok(Step::Need(bytes.len() + 1)) };
                brief.text("user", &user);
                self.stage = Stage::LoginAnswer;
                Ok(Step::Used(r.position()))
            }
            Stage::LoginAnswer => {
                let Some([_, status]) = bytes.first_chunk::<2>() else { return Ok(Step::Need(2)) };
                if *status != 0 {
                    brief.number("status", *status);
                    return Ok(Step::Last);
                }
                self.stage = Stage::Request;
                Ok(Step::Used(2))
            }
            Stage::Request => {
                let mut r = Reader::new(bytes);
                let (Some(version), Some(command)) = (r.u8(), r.u8()) else {
                    return Ok(Step::Need(2));
                };
                if version != 5 {
                    return Err(Malformed("invalid_version"));
                }
                let Some((host, port)) = address(&mut r) else {
                    return Ok(Step::Need(bytes.len() + 1));
                };
                self.connects = command == 1;
                brief.text("command", command_name(command).as_bytes());
                brief.text("host", &host);
                brief.number("port", port);
                self.stage = Stage::Answer;
                Ok(Step::Used(r.position()))
            }
            Stage::Answer => {
                let mut r = Reader::new(bytes);
                let (Some(version), Some(status)) = (r.u8(), r.u8()) else {
                    return Ok(Step::Need(2));
                };
                if version != 5 {
                    return Err(Malformed("invalid_version"));
                }
                if address(&mut r).is_none() {
                    return Ok(Step::Need(bytes.len() + 1));
                }
                brief.number("status", status);
                Ok(self.end(r.position(), status == 0))
            }
        }
    }
}

impl SocksMessages {
    fn hello(&mut self, bytes: &[u8], brief: &mut Brief) -> Result<Step, Malformed> {
        match bytes {
            [5, count, ..] => {
                brief.number("version", 5u8);
                let total = 2 + usize::from(*count);
                if bytes.len() < total {
                    return Ok(Step::Need(total));
                }
                self.stage = Stage::Method;
                Ok(Step::Used(total))
            }
            [4, command, ..] => {
                let Some(request) = request_4(bytes) else {
                    return Ok(Step::Need(bytes.len() + 1));
                };
                brief.number("version", 4u8);
                brief.text("command", command_name(*command).as_bytes());
                brief.text("host", &request.host);
                brief.number("port", request.port);
                brief.text("user", &request.user);
                self.connects = *command == 1;
                self.stage = Stage::Answer4;
                Ok(Step::Used(request.used))
            }
            [4 | 5] => Ok(Step::Need(2)),
            _ => Err(Malformed("invalid_version")),
        }
    }

    /// The handshake is over.
    const fn end(&self, used: usize, granted: bool) -> Step {
        if granted && self.connects { Step::Change(used, None) } else { Step::Last }
    }
}

fn short(bytes: &[u8], need: usize) -> Result<Step, Malformed> {
    if bytes.len() < need { Ok(Step::Need(need)) } else { Err(Malformed("invalid_version")) }
}

struct Request4 {
    host: Vec<u8>,
    port: u16,
    user: Vec<u8>,
    used: usize,
}

/// A request of version 4; of 4a where the address is 0.0.0.x and a name follows.
fn request_4(bytes: &[u8]) -> Option<Request4> {
    let mut r = Reader::new(bytes);
    r.skip(2)?;
    let (port, ip) = (r.u16()?, r.array::<4>()?);
    let user = r.until(0)?.to_vec();
    let host = match ip {
        [0, 0, 0, last] if last > 0 => r.until(0)?.to_vec(),
        _ => Ipv4Addr::from(ip).to_string().into_bytes(),
    };
    Some(Request4 { host, port, user, used: r.position() })
}

/// The address of a request or answer of version 5, behind its reserved byte.
fn address(r: &mut Reader<'_>) -> Option<(Vec<u8>, u16)> {
    r.skip(1)?;
    let host = match r.u8()? {
        1 => Ipv4Addr::from(r.array::<4>()?).to_string().into_bytes(),
        4 => Ipv6Addr::from(r.array::<16>()?).to_string().into_bytes(),
        _ => {
            let length = r.u8()?;
            r.take(length.into())?.to_vec()
        }
    };
    Some((host, r.u16()?))
}

const fn command_name(command: u8) -> &'static str {
    match command {
        1 => "connect",
        2 => "bind",
        3 => "udp_associate",
        _ => "unknown",
    }
}
