//! TFTP (RFC 1350): files read and written without asking who it is.

use crate::{
    Datagram, Datagrams, Dissector, Expectation, Field, First, Moment, Outcome, Probe, Protocol,
    Reader, Transport, Wants,
};
use flowtrack_event::{AppProto, Direction, Transaction, WireText};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

const NAME: AppProto = AppProto("tftp");
/// Longest file name or mode kept.
const TEXT_CAP: usize = 512;

const FIELDS: &[Field] = &[
    Field::eve("packet", "string", "`read` or `write`"),
    Field::eve("file", "string", "name of the file"),
    Field::eve("mode", "string", "how it is carried: octet, netascii, mail"),
];

/// TFTP.
pub struct Tftp;

impl Protocol for Tftp {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Udp
    }

    fn ports(&self) -> &'static [u16] {
        &[69]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        if first.has_port(self.ports()) {
            // Whatever it asks for, and however it wants it.
            return Probe::content(matches!(first.bytes, [0, 1..=6, _, _, ..]));
        }
        Probe::content(Message::parse(first.bytes).is_some_and(|m| match m {
            Message::Request { file, mode, .. } => !file.is_empty() && is_mode(&mode),
            Message::Other => false,
        }))
    }

    fn dissector(&self, _wants: Wants) -> Option<Box<dyn Dissector>> {
        // Without it the flow that carries the file would have no name.
        Some(Datagrams::<Message>::boxed())
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }
}

fn is_mode(mode: &[u8]) -> bool {
    [&b"octet"[..], b"netascii", b"mail"].iter().any(|known| mode.eq_ignore_ascii_case(known))
}

/// One packet.
#[derive(Debug)]
enum Message {
    /// A file is asked for, or offered.
    Request { write: bool, file: Vec<u8>, mode: Vec<u8> },
    /// Data, acknowledgement, error or options.
    Other,
}

impl Message {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        let operation = r.u16()?;
        let mut text = || r.until(0).filter(|t| t.len() <= TEXT_CAP).map(<[u8]>::to_vec);
        match operation {
            1 | 2 => Some(Self::Request { write: operation == 2, file: text()?, mode: text()? }),
            3..=6 => Some(Self::Other),
            _ => None,
        }
    }
}

impl Datagram for Message {
    fn read(_: &Moment<'_>, _: Direction, bytes: &[u8]) -> Option<Self> {
        Self::parse(bytes)
    }

    fn is_logged(&self) -> bool {
        matches!(self, Self::Request { .. })
    }

    fn notice(&self, at: &Moment<'_>, direction: Direction, _: u64, out: &mut Outcome) {
        // The server answers from a port of its own (section 4).
        if self.is_logged() && direction == Direction::ToServer {
            out.expect(Expectation {
                responder: (at.key.src, at.key.src_port),
                originator: Some(at.key.dst),
                udp: true,
                protocol: NAME,
                transfer: None,
            });
        }
    }
}

impl Transaction for Message {
    fn protocol(&self) -> AppProto {
        NAME
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn summary(&self) -> String {
        match self {
            Self::Request { write, file, .. } => {
                format!("{} {}", if *write { "write" } else { "read" }, WireText(file))
            }
            Self::Other => String::new(),
        }
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        if let Self::Request { write, file, mode } = self {
            map.serialize_entry("packet", if *write { "write" } else { "read" })?;
            map.serialize_entry("file", &WireText(file))?;
            map.serialize_entry("mode", &WireText(mode))?;
        }
        map.end()
    }
}
