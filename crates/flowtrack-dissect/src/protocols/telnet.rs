//! Telnet (RFC 854): terminals in the clear. Only named: what passes is a person's typing.

use crate::{First, Probe, Protocol, Transport};
use flowtrack_event::{AppProto, Confidence};

const NAME: AppProto = AppProto("telnet");
const IAC: u8 = 255;
const SB: u8 = 250;
/// WILL, WONT, DO and DONT, each with an option.
const NEGOTIATION: std::ops::RangeInclusive<u8> = 251..=254;
/// Options beyond this one are not in use, but for the extended list (255).
const LAST_OPTION: u8 = 49;

/// Telnet.
pub struct Telnet;

impl Protocol for Telnet {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn ports(&self) -> &'static [u16] {
        &[23, 2323]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        let usual = first.has_port(self.ports());
        match negotiations(first.bytes) {
            Some(_) if usual && first.bytes.len() >= 3 => Probe::Match(Confidence::Content),
            Some(2..) => Probe::Match(Confidence::Content),
            Some(_) if first.bytes.len() <= 6 => Probe::NeedMore,
            // Who does not negotiate says whatever it likes; what begins otherwise is told so.
            None if first.has_port(&[23]) && first.bytes.len() > 1 => {
                Probe::Match(Confidence::Port)
            }
            _ => Probe::No,
        }
    }
}

/// How many negotiations these bytes begin with; `None` where they begin with something else.
fn negotiations(bytes: &[u8]) -> Option<usize> {
    let mut count = 0;
    let mut rest = bytes;
    loop {
        rest = match rest {
            [IAC, command, option, more @ ..] if NEGOTIATION.contains(command) => {
                if *option > LAST_OPTION && !(128..=148).contains(option) && *option != 255 {
                    return None;
                }
                more
            }
            // A subnegotiation is of no fixed length; what stands before it must do.
            [IAC, SB, ..] if count > 0 => return Some(count),
            [] | [IAC] => return Some(count),
            [IAC, command] if NEGOTIATION.contains(command) => return Some(count),
            _ if count > 0 => return Some(count),
            _ => return None,
        };
        count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::negotiations;

    #[test]
    fn only_negotiations_at_the_front_count() {
        assert_eq!(negotiations(b"\xff\xfd\x03\xff\xfb\x1flogin: "), Some(2));
        assert_eq!(negotiations(b"\xff\xfb\x18\xff\xfa\x18\x01\xff\xf0"), Some(1));
        assert_eq!(negotiations(b"\xff\xfb"), Some(0));
        assert_eq!(negotiations(b"\xff\xd8\xff\xe0"), None);
        assert_eq!(negotiations(b"\xff\xfb\x70\x00"), None);
    }
}
