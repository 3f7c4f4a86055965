//! SSDP (`UPnP` device architecture): devices that look for each other; named only.

use crate::{First, Probe, Protocol, Transport};
use flowtrack_event::AppProto;

const NAME: AppProto = AppProto("ssdp");

/// SSDP.
pub struct Ssdp;

impl Protocol for Ssdp {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Udp
    }

    fn ports(&self) -> &'static [u16] {
        &[1900]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        let is_mine = [&b"M-SEARCH * HTTP/1.1\r\n"[..], b"NOTIFY * HTTP/1.1\r\n"]
            .iter()
            .any(|line| first.bytes.starts_with(line));
        // Answers go to the port that searched.
        let is_answer = first.bytes.starts_with(b"HTTP/1.1 200 OK\r\n");
        Probe::content(is_mine || is_answer)
    }
}
