//! QUIC 1 and 2, their drafts, and Google's QUIC (RFC 9000, RFC 9001, RFC 9369).
//!
//! The hellos stand in Initial packets, which are decrypted with keys that everybody can make from
//! the first of them. Every packet with a long header gives a record until the sender's hello is
//! read; what follows is encrypted and only counted.

mod extension;
mod frame;
mod google;
mod keys;
mod packet;
mod record;
mod version;

use super::tls::fingerprint::{Carrier, Ja3, ja4};
use super::tls::hello::{ClientHello, ServerHello};
use super::tls::pieces::Pieces;
use super::tls::session::message;
use crate::{
    Dissector, Field, First, Keyword, Malformed, Moment, Next, Outcome, Probe, Protocol, Reader,
    Transport, Wants,
};
use flowtrack_event::{AppProto, Chunk, Confidence, Direction};
use frame::Invalid;
use keys::{Keys, Sender};
use packet::{Kind, Long, Packet};
use record::{Exchange, Said};
use std::net::IpAddr;

const NAME: AppProto = AppProto("quic");

/// Datagrams of a flow that are looked at for hellos.
const DATAGRAMS_CAP: u32 = 256;
/// Packets of a datagram that are looked at; a handshake sends three together.
const PACKETS_CAP: usize = 8;
/// Records of a flow.
const RECORDS_CAP: u64 = 64;
/// Times that keys are made for a flow: that is work which packets of a few bytes could ask for.
const KEYS_CAP: u8 = 16;
/// Shortest packet with a short header: its byte, an empty connection ID, and a sample to protect
/// the header with (RFC 9001 section 5.4.2).
const SHORT_MIN: usize = 21;
/// Shortest datagram that a client may begin with (RFC 9000 section 14.1), with some tolerance for
/// drafts.
const FIRST_MIN: usize = 1000;

/// QUIC.
pub struct Quic;

impl Protocol for Quic {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Udp
    }

    fn ports(&self) -> &'static [u16] {
        &[443, 80, 8443, 853, 784]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        const LONG: u8 = 0x80;
        const FIXED: u8 = 0x40;
        let usual = first.has_port(&[443, 80]);
        let Some(&flags) = first.bytes.first() else { return Probe::No };
        let Some((packet, _)) = packet::read(first.bytes) else { return Probe::No };
        match packet {
            Packet::Google(_) => Probe::Match(Confidence::Content),
            Packet::Long(long) if version::is_known(long.version) => {
                // A version is four bytes that hardly stand there by chance; one that is reserved
                // for trials has fewer that are fixed.
                let is_sure = !version::is_reserved(long.version)
                    || (flags & FIXED != 0 && first.bytes.len() >= FIRST_MIN);
                Probe::content(is_sure)
            }
            Packet::Long(long) if usual && flags & FIXED != 0 && !long.dcid.is_empty() => {
                Probe::Match(Confidence::Heuristic)
            }
            Packet::Versions if usual => Probe::Match(Confidence::Heuristic),
            Packet::Short
                if usual && flags & (LONG | FIXED) == FIXED && first.bytes.len() >= SHORT_MIN =>
            {
                Probe::Match(Confidence::Port)
            }
            // Google's QUIC with a connection ID, its version agreed on before.
            Packet::Short if usual && matches!(flags, 0x08 | 0x0c | 0x18 | 0x1c) => {
                Probe::Match(Confidence::Port)
            }
            _ => Probe::No,
        }
    }

    fn dissector(&self, wants: Wants) -> Option<Box<dyn Dissector>> {
        (wants.records || wants.buffers).then(|| Box::<Reading>::default() as Box<dyn Dissector>)
    }

    fn fields(&self) -> &'static [Field] {
        record::FIELDS
    }

    fn keywords(&self) -> &'static [Keyword] {
        record::KEYWORDS
    }
}

/// Reads the hellos of one connection.
#[derive(Default)]
struct Reading {
    keys: Option<Keys>,
    /// Version and connection ID that the keys are made from.
    origin: (u32, Vec<u8>),
    /// How often keys were made.
    keys_made: u8,
    client: Side,
    server: Side,
    /// Whether the client is whom the flow takes for the server.
    is_reversed: bool,
    datagrams: u32,
    transactions: u64,
}

/// One sender.
#[derive(Default)]
struct Side {
    stream: Pieces,
    /// Whether its hello was read.
    has_hello: bool,
    /// Whether it has gone over to short headers.
    is_short: bool,
}

impl Dissector for Reading {
    fn feed(
        &mut self,
        at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) -> Result<Next, Malformed> {
        let Chunk::Bytes(datagram) = chunk else { return Ok(Next::More) };
        self.datagrams += 1;
        let mut rest = datagram;
        for _ in 0..PACKETS_CAP {
            if rest.is_empty() {
                break;
            }
            let Some((packet, after)) = packet::read(rest) else {
                // Bytes behind a packet of this protocol may be padding.
                if rest.len() == datagram.len() {
                    out.anomaly("error_on_header", None);
                    return Ok(self.next(true));
                }
                break;
            };
            rest = after;
            match packet {
                Packet::Short => {
                    let sender = self.sender(direction);
                    self.side(sender).is_short = true;
                }
                Packet::Versions => {
                    self.begin_again();
                    let exchange = self.exchange(at, direction, 0, Some("version_negotiation"));
                    self.tell(direction, exchange, out);
                }
                Packet::Google(google) => {
                    let mut exchange = self.exchange(at, direction, google.version, None);
                    if let Some(number) = version::google(google.version)
                        && let Some(hello) = google::hello(google.frames, number)
                    {
                        exchange.said = Said::google(hello, number);
                    }
                    self.tell(direction, exchange, out);
                }
                Packet::Long(long) => {
                    let sender = self.sender(direction);
                    if self.side(sender).has_hello && long.kind != Kind::Retry {
                        break;
                    }
                    self.long(at, direction, &long, out)?;
                }
            }
        }
        Ok(self.next(false))
    }
}

impl Reading {
    /// Nothing more can be learned once both hellos are read, or both sides use short headers.
    fn next(&self, is_damaged: bool) -> Next {
        let sides = [&self.client, &self.server];
        let is_over = sides.iter().all(|side| side.has_hello)
            || sides.iter().all(|side| side.is_short)
            || self.datagrams >= DATAGRAMS_CAP
            || self.transactions >= RECORDS_CAP
            || is_damaged;
        if is_over { Next::Done } else { Next::More }
    }

    fn sender(&self, direction: Direction) -> Sender {
        if (direction == Direction::ToServer) == self.is_reversed {
            Sender::Server
        } else {
            Sender::Client
        }
    }

    fn side(&mut self, sender: Sender) -> &mut Side {
        match sender {
            Sender::Client => &mut self.client,
            Sender::Server => &mut self.server,
        }
    }

    /// The server wants another hello, to which other keys belong.
    fn begin_again(&mut self) {
        self.keys = None;
        self.client.stream.clear();
        self.client.has_hello = false;
    }

    fn exchange(
        &self,
        at: &Moment<'_>,
        direction: Direction,
        version: u32,
        packet_type: Option<&'static str>,
    ) -> Exchange {
        let server_ip: IpAddr = if self.is_reversed { at.key.src } else { at.key.dst };
        Exchange { direction, version, packet_type, server_ip, said: Said::Nothing }
    }

    fn tell(&mut self, direction: Direction, exchange: Exchange, out: &mut Outcome) {
        out.transaction(direction, self.transactions, exchange);
        self.transactions += 1;
    }

    /// Takes a packet with a long header.
    fn long(
        &mut self,
        at: &Moment<'_>,
        direction: Direction,
        packet: &Long<'_>,
        out: &mut Outcome,
    ) -> Result<(), Malformed> {
        if self.datagrams == 1 && self.sender(direction) == Sender::Server {
            // The flow may be the wrong way round, its beginning missed.
            let keys = Keys::initial(packet.version, packet.dcid);
            self.is_reversed ^= keys.is_some_and(|k| k.open(Sender::Client, packet).is_some());
        }
        let sender = self.sender(direction);
        let mut exchange = self.exchange(at, direction, packet.version, Some(packet.kind.name()));
        match packet.kind {
            Kind::Initial => match self.open(sender, packet) {
                Opened::Frames(frames) => {
                    let said = self.hello(sender, packet.version, &frames);
                    match said {
                        Ok(said) => exchange.said = said,
                        Err(Invalid) => {
                            self.tell(direction, exchange, out);
                            return Err(Malformed("error_on_data"));
                        }
                    }
                }
                Opened::Damaged => {
                    self.tell(direction, exchange, out);
                    return Err(Malformed("failed_decrypt"));
                }
                Opened::Unknown => {}
            },
            Kind::Retry => self.begin_again(),
            Kind::ZeroRtt | Kind::Handshake => {}
        }
        self.tell(direction, exchange, out);
        Ok(())
    }

    fn make_keys(&mut self, version: u32, dcid: &[u8]) -> Option<Keys> {
        self.keys_made = self.keys_made.checked_add(1).filter(|&made| made <= KEYS_CAP)?;
        Keys::initial(version, dcid)
    }

    fn open(&mut self, sender: Sender, packet: &Long<'_>) -> Opened {
        if let Some(keys) = &self.keys
            && let Some(frames) = keys.open(sender, packet)
        {
            return Opened::Frames(frames);
        }
        let (version, dcid) = &self.origin;
        let origin = match sender {
            Sender::Client => packet.dcid.to_vec(),
            // It may choose another version, but keeps the connection ID (RFC 9368 section 2.3).
            // Without the client's first packet its keys cannot be known.
            Sender::Server if self.keys.is_none() || *version == packet.version => {
                return Opened::Unknown;
            }
            Sender::Server => dcid.clone(),
        };
        for &version in version::keyed_as(&packet.version) {
            let Some(keys) = self.make_keys(version, &origin) else { return Opened::Unknown };
            if let Some(frames) = keys.open(sender, packet) {
                self.origin = (packet.version, origin);
                self.keys = Some(keys);
                return Opened::Frames(frames);
            }
        }
        if sender == Sender::Server {
            return Opened::Unknown;
        }
        if version::is_reserved(packet.version) { Opened::Unknown } else { Opened::Damaged }
    }

    /// Adds the frames of a packet to what its sender said, and reads its hello once it is whole.
    fn hello(&mut self, sender: Sender, version: u32, frames: &[u8]) -> Result<Said, Invalid> {
        let google = version::google(version);
        let side = self.side(sender);
        let mut chlo = None;
        let read = frame::read(frames, |piece| {
            if google.is_some() && chlo.is_none() {
                chlo = google::Chlo::read(piece.data);
            }
            side.stream.add(piece.offset, piece.data);
        });
        if let Some(number) = google {
            if let Some(hello) = chlo {
                return Ok(Said::google(hello, number));
            }
        } else {
            // Google had other frames beside.
            read?;
        }
        let mut r = Reader::new(side.stream.ready());
        let (Some(kind), Some(length)) = (r.u8(), r.u24()) else { return Ok(Said::Nothing) };
        let Some(body) = r.take(length as usize) else { return Ok(Said::Nothing) };
        side.has_hello = true;
        match kind {
            message::CLIENT_HELLO => {
                let hello = ClientHello::read(body, false).ok_or(Invalid)?;
                let (ja3, ja4) = (Ja3::quic_client(&hello), ja4(&hello, Carrier::Quic));
                Ok(Said::Client { hello: Box::new(hello), ja3, ja4 })
            }
            message::SERVER_HELLO => {
                let hello = ServerHello::read(body).ok_or(Invalid)?;
                let ja3s = Ja3::server(&hello);
                if hello.is_retry {
                    side.has_hello = false;
                    side.stream.clear();
                    self.client.stream.clear();
                    self.client.has_hello = false;
                }
                Ok(Said::Server { hello: Box::new(hello), ja3s })
            }
            _ if google.is_some() => Ok(Said::Nothing),
            _ => Err(Invalid),
        }
    }
}

/// What became of an Initial packet.
enum Opened {
    /// Its frames.
    Frames(Vec<u8>),
    /// It cannot be what it says it is.
    Damaged,
    /// Its keys are not known.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_reserved_version_has_the_keys_of_one_that_is_spoken() {
        const RESERVED: u32 = 0x1a2a_3a4a;
        let frames = [1; 40];
        for (version, is_opened) in
            [(version::V1, true), (0xff00_001d, true), (0xff00_001b, true), (version::V2, false)]
        {
            let datagram = keys::seal(version, RESERVED, &[7; 8], &frames);
            let Some((Packet::Long(long), [])) = packet::read(&datagram) else { panic!() };
            match Reading::default().open(Sender::Client, &long) {
                Opened::Frames(read) => assert!(is_opened && read == frames, "{version:x}"),
                Opened::Damaged | Opened::Unknown => assert!(!is_opened, "{version:x}"),
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(first in any::<u8>(), bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for version in [0, version::V1, version::V2, 0x5130_3233, 0x5130_3436, 0xff00_0011] {
                let mut datagram = vec![first];
                datagram.extend(version.to_be_bytes());
                datagram.extend(&bytes);
                if let Some((Packet::Long(long), _)) = packet::read(&datagram) {
                    let keys = Keys::initial(long.version, long.dcid);
                    keys.and_then(|keys| keys.open(Sender::Client, &long));
                }
                if let Some((Packet::Google(google), _)) = packet::read(&datagram) {
                    google::hello(google.frames, 43);
                }
            }
            let mut pieces = Pieces::default();
            let _ = frame::read(&bytes, |piece| pieces.add(piece.offset, piece.data));
            google::hello(&bytes, 43);
            google::Chlo::read(&[b"CHLO", &bytes[..]].concat());
        }
    }
}
