//! NTP (RFC 5905): which clock a host follows.

use super::dhcp::Colons;
use crate::{
    Datagram, Datagrams, Dissector, Field, First, Keyword, Moment, Probe, Protocol, Reader,
};
use crate::{Transport, Wants};
use flowtrack_event::{AppProto, Direction, Transaction};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

const NAME: AppProto = AppProto("ntp");
/// Bytes of a message without extensions.
const HEADER: usize = 48;
/// Control messages (RFC 9327) begin with so many bytes.
const CONTROL_HEADER: usize = 12;
/// Private messages of ntpd begin with so many bytes.
const PRIVATE_HEADER: usize = 8;

const KEYWORDS: &[Keyword] = &[
    Keyword::number("ntp.version", "version"),
    Keyword::number("ntp.mode", "who says it: 3 is a client, 4 a server"),
    Keyword::number("ntp.stratum", "steps to a reference clock"),
    Keyword::buffer("ntp.reference_id", "four bytes that name the reference"),
];

const FIELDS: &[Field] = &[
    Field::eve("version", "integer", "version of the protocol"),
    Field::eve("mode", "integer", "3 for a client, 4 for a server, 6 for control"),
    Field::eve("stratum", "integer", "distance from the reference clock"),
    Field::eve("reference_id", "string", "which server or clock is followed, four bytes"),
];

/// NTP.
pub struct Ntp;

impl Protocol for Ntp {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Udp
    }

    fn ports(&self) -> &'static [u16] {
        &[123]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        let Some(&flags) = first.bytes.first() else { return Probe::No };
        let (version, mode) = (flags >> 3 & 7, flags & 7);
        let enough = match mode {
            1..=5 => HEADER,
            6 => CONTROL_HEADER,
            7 => PRIVATE_HEADER,
            _ => return Probe::No,
        };
        let is_mine = (1..=4).contains(&version) && first.bytes.len() >= enough;
        Probe::content(is_mine && first.has_port(self.ports()))
    }

    fn dissector(&self, wants: Wants) -> Option<Box<dyn Dissector>> {
        (wants.records || wants.buffers).then(Datagrams::<Message>::boxed)
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    fn keywords(&self) -> &'static [Keyword] {
        KEYWORDS
    }
}

/// One message.
#[derive(Debug)]
struct Message {
    direction: Direction,
    version: u8,
    mode: u8,
    /// Stratum and reference, of messages that tell the time.
    clock: Option<(u8, [u8; 4])>,
}

impl Datagram for Message {
    fn read(_: &Moment<'_>, direction: Direction, bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        let flags = r.u8()?;
        let (version, mode) = (flags >> 3 & 7, flags & 7);
        let clock = if (1..=5).contains(&mode) && bytes.len() >= HEADER {
            let stratum = r.u8()?;
            r.skip(10)?;
            Some((stratum, r.array()?))
        } else {
            None
        };
        Some(Self { direction, version, mode, clock })
    }
}

impl Transaction for Message {
    fn protocol(&self) -> AppProto {
        NAME
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn one_way(&self) -> Option<Direction> {
        Some(self.direction)
    }

    fn buffer(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
        if name == "ntp.reference_id"
            && let Some((_, id)) = &self.clock
        {
            visit(id);
        }
    }

    fn number(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(u64)) {
        match name {
            _ if direction != self.direction => {}
            "ntp.version" => visit(self.version.into()),
            "ntp.mode" => visit(self.mode.into()),
            "ntp.stratum" => self.clock.iter().for_each(|(stratum, _)| visit((*stratum).into())),
            _ => {}
        }
    }

    fn summary(&self) -> String {
        let mode = match self.mode {
            1 | 2 => "peer",
            3 => "client",
            4 => "server",
            5 => "broadcast",
            6 => "control",
            _ => "private",
        };
        match self.clock {
            Some((stratum, _)) if self.mode != 3 => format!("{mode}, stratum {stratum}"),
            _ => mode.into(),
        }
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("version", &self.version)?;
        map.serialize_entry("mode", &self.mode)?;
        if let Some((stratum, reference)) = &self.clock {
            map.serialize_entry("stratum", stratum)?;
            map.serialize_entry("reference_id", &Colons(reference))?;
        }
        map.end()
    }
}
