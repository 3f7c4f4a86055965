//! Syslog (RFC 5424, RFC 3164); named only.

use crate::{First, Probe, Protocol, Transport};
use flowtrack_event::AppProto;

const NAME: AppProto = AppProto("syslog");

/// Syslog.
pub struct Syslog;

impl Protocol for Syslog {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Both
    }

    fn ports(&self) -> &'static [u16] {
        &[514, 601]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        if !first.has_port(self.ports()) {
            return Probe::No;
        }
        // A priority of at most 191 in angle brackets; a stream may count bytes before it (RFC 6587).
        let counted = first.bytes.iter().take_while(|b| b.is_ascii_digit()).count();
        let framed = first.bytes.get(counted..).and_then(|rest| rest.strip_prefix(b" "));
        let message = framed.filter(|_| !first.udp && counted > 0).unwrap_or(first.bytes);
        let Some(rest) = message.strip_prefix(b"<") else { return Probe::No };
        let digits: Vec<u8> = rest.iter().copied().take(4).take_while(u8::is_ascii_digit).collect();
        let priority = digits.iter().fold(0u32, |n, d| n * 10 + u32::from(d - b'0'));
        let closed = rest.get(digits.len()) == Some(&b'>');
        Probe::content(closed && (1..=3).contains(&digits.len()) && priority <= 191)
    }
}
