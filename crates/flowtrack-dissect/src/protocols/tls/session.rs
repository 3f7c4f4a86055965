//! What both sides of a TLS or DTLS connection said before encryption began.

use super::certificate::Certificate;
use super::fingerprint::{Carrier, Ja3, ja4};
use super::hello::{ClientHello, ServerHello};
use crate::{Malformed, Moment, Outcome, Reader, Wants};
use flowtrack_event::{AppProto, Direction, Timestamp};
use std::net::IpAddr;

/// Certificates of one chain that are looked at.
const CHAIN_CAP: usize = 32;

/// Numbers of handshake messages (RFC 8446 section 4, RFC 5246 section 7.4).
pub mod message {
    /// The server asks for another handshake.
    pub const HELLO_REQUEST: u8 = 0;
    /// What the client offers.
    pub const CLIENT_HELLO: u8 = 1;
    /// What the server chose.
    pub const SERVER_HELLO: u8 = 2;
    /// DTLS: the client shall prove its address.
    pub const HELLO_VERIFY_REQUEST: u8 = 3;
    /// A ticket to resume the session with.
    pub const NEW_SESSION_TICKET: u8 = 4;
    /// A chain of certificates.
    pub const CERTIFICATE: u8 = 11;
    /// The server's part of the key exchange.
    pub const SERVER_KEY_EXCHANGE: u8 = 12;
    /// The client shall show a certificate.
    pub const CERTIFICATE_REQUEST: u8 = 13;
    /// The server has said all.
    pub const SERVER_HELLO_DONE: u8 = 14;
    /// Proof that the certificate is the client's own.
    pub const CERTIFICATE_VERIFY: u8 = 15;
    /// The client's part of the key exchange.
    pub const CLIENT_KEY_EXCHANGE: u8 = 16;
    /// End of the handshake, encrypted.
    pub const FINISHED: u8 = 20;
    /// Status of the certificate.
    pub const CERTIFICATE_STATUS: u8 = 22;
    /// Next protocol, the predecessor of ALPN.
    pub const NEXT_PROTOCOL: u8 = 67;
}

/// Whether a handshake message of this number is known to come before encryption.
pub const fn is_plain_message(kind: u8) -> bool {
    use message::{
        CERTIFICATE, CERTIFICATE_REQUEST, CERTIFICATE_STATUS, CERTIFICATE_VERIFY, CLIENT_HELLO,
        CLIENT_KEY_EXCHANGE, FINISHED, HELLO_REQUEST, HELLO_VERIFY_REQUEST, NEW_SESSION_TICKET,
        NEXT_PROTOCOL, SERVER_HELLO, SERVER_HELLO_DONE, SERVER_KEY_EXCHANGE,
    };
    matches!(
        kind,
        // 5, 6, 8, 21 and 23: end of early data, retry, extensions, URL and supplemental data.
        HELLO_REQUEST
            | CLIENT_HELLO
            | SERVER_HELLO
            | HELLO_VERIFY_REQUEST
            | NEW_SESSION_TICKET
            | 5
            | 6
            | 8
            | CERTIFICATE
            | SERVER_KEY_EXCHANGE
            | CERTIFICATE_REQUEST
            | SERVER_HELLO_DONE
            | CERTIFICATE_VERIFY
            | CLIENT_KEY_EXCHANGE
            | FINISHED
            | 21
            | CERTIFICATE_STATUS
            | 23
            | NEXT_PROTOCOL
    )
}

/// One connection.
#[derive(Clone, Debug)]
pub struct Session {
    /// `tls` or `dtls`.
    pub protocol: AppProto,
    /// The protocol that asked for encryption, as SMTP does by STARTTLS.
    pub from: Option<AppProto>,
    /// When it was told.
    pub at: Timestamp,
    /// Who was connected to.
    pub server_ip: Option<IpAddr>,
    /// What the client offered; of two hellos the first.
    pub client: Option<ClientHello>,
    /// What the server chose.
    pub server: Option<ServerHello>,
    /// Certificates of the server.
    pub server_chain: Chain,
    /// Certificates of the client.
    pub client_chain: Chain,
    /// Fingerprint of the client.
    pub ja3: Option<Ja3>,
    /// Fingerprint of the server.
    pub ja3s: Option<Ja3>,
    /// Fingerprint of the client.
    pub ja4: Option<String>,
    /// Group of the key exchange.
    pub group: Option<u16>,
    /// The last alert that was not encrypted.
    pub alert: Option<u8>,
    /// Whether the server asked for another hello.
    pub retried: bool,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// Whether both sides went on to encrypt.
    pub established: bool,
    /// Whether the client took part in the key exchange.
    pub keys_exchanged: bool,
    /// Where the client is, once a hello told.
    client_side: Option<Direction>,
    /// What a server's hello of SSL 2.0 chose.
    old_version: u16,
}

/// The certificates that one side showed.
#[derive(Clone, Default, Debug)]
pub struct Chain {
    /// The owner's own.
    pub first: Option<Box<Certificate>>,
    /// How many there were.
    pub length: usize,
    /// All of them as they came, where rules ask for them.
    pub der: Vec<Vec<u8>>,
}

impl Session {
    /// Before anything was said.
    pub fn new(protocol: AppProto) -> Self {
        Self {
            protocol,
            from: None,
            at: Timestamp::ZERO,
            server_ip: None,
            client: None,
            server: None,
            server_chain: Chain::default(),
            client_chain: Chain::default(),
            ja3: None,
            ja3s: None,
            ja4: None,
            group: None,
            alert: None,
            retried: false,
            resumed: false,
            established: false,
            keys_exchanged: false,
            client_side: None,
            old_version: 0,
        }
    }

    /// Whether nothing worth a log was said.
    pub fn is_silent(&self) -> bool {
        self.client.is_none()
            && self.server.is_none()
            && self.server_chain.length == 0
            && self.client_chain.length == 0
            && self.old_version == 0
    }

    /// Whether the bytes of this direction come from the client.
    pub fn is_client(&self, direction: Direction) -> bool {
        self.client_side.unwrap_or(Direction::ToServer) == direction
    }

    /// A hello shows who is who: where the beginning was missed, the flow may be the wrong way
    /// round.
    fn place(&mut self, client_side: Direction, at: &Moment<'_>) {
        self.client_side.get_or_insert(client_side);
        self.server_ip.get_or_insert(match client_side {
            Direction::ToServer => at.key.dst,
            Direction::ToClient => at.key.src,
        });
    }

    /// A side says that all it sends from here on is encrypted; tells whether that is so. In TLS 1.3
    /// it means nothing and is sent for the sake of middleboxes.
    pub fn begins_to_encrypt(&mut self, direction: Direction) -> bool {
        let is_client = self.is_client(direction);
        let is_so = match &self.server {
            Some(server) => !server.hides_certificate(),
            None if self.retried => false,
            // The client may be ahead of the server with early data.
            None => !is_client || self.client.is_none() || self.keys_exchanged,
        };
        if is_so && !is_client && self.server.is_some() {
            self.resumed = self.server_chain.length == 0
                && !self.keys_exchanged
                && self.resumption_was_offered();
        }
        is_so
    }

    fn resumption_was_offered(&self) -> bool {
        let (Some(client), Some(server)) = (&self.client, &self.server) else { return false };
        client.shows_ticket
            || (!client.session_id.is_empty() && client.session_id == server.session_id)
    }

    /// Takes a whole handshake message.
    pub fn message(
        &mut self,
        kind: u8,
        body: &[u8],
        direction: Direction,
        at: &Moment<'_>,
        wants: Wants,
        out: &mut Outcome,
    ) -> Result<(), Malformed> {
        const INVALID: Malformed = Malformed("INVALID_HANDSHAKE_MESSAGE");
        match kind {
            message::CLIENT_HELLO => {
                let is_dtls = self.carrier() == Carrier::Dtls;
                let hello = ClientHello::read(body, is_dtls).ok_or(INVALID)?;
                self.place(direction, at);
                self.client_hello(hello, out);
            }
            message::SERVER_HELLO => {
                let hello = ServerHello::read(body).ok_or(INVALID)?;
                self.place(direction.opposite(), at);
                self.server_hello(hello);
            }
            message::CERTIFICATE => {
                self.server_ip.get_or_insert(at.key.dst);
                self.certificates(body, direction, wants, out)?;
            }
            message::SERVER_KEY_EXCHANGE => {
                const NAMED_CURVE: u8 = 3;
                let mut r = Reader::new(body);
                if r.u8() == Some(NAMED_CURVE) {
                    self.group = r.u16();
                }
            }
            message::CLIENT_KEY_EXCHANGE => self.keys_exchanged = true,
            kind if is_plain_message(kind) => {}
            _ => return Err(INVALID),
        }
        Ok(())
    }

    /// Takes a client's hello; the second, which a server asked for, repeats the first.
    pub fn client_hello(&mut self, hello: ClientHello, out: &mut Outcome) {
        if self.client.is_some() {
            return;
        }
        if let Some(flaw) = hello.flaw {
            out.anomaly(flaw, Some(0));
        }
        self.ja3 = Some(Ja3::client(&hello));
        self.ja4 = Some(ja4(&hello, self.carrier()));
        self.client = Some(hello);
    }

    fn server_hello(&mut self, hello: ServerHello) {
        if hello.is_retry {
            self.retried = true;
            return;
        }
        if self.server.is_none() {
            self.ja3s = Some(Ja3::server(&hello));
            self.group = hello.group;
            self.server = Some(hello);
        }
    }

    /// Takes a chain of certificates as TLS up to 1.2 sends it (RFC 5246 section 7.4.2).
    fn certificates(
        &mut self,
        body: &[u8],
        direction: Direction,
        wants: Wants,
        out: &mut Outcome,
    ) -> Result<(), Malformed> {
        const INVALID: Malformed = Malformed("CERTIFICATE_INVALID_LENGTH");
        let is_client = self.is_client(direction);
        let chain = if is_client { &mut self.client_chain } else { &mut self.server_chain };
        // Datagrams may be sent again.
        *chain = Chain::default();
        let mut r = Reader::new(body);
        let length = r.u24().ok_or(INVALID)?;
        let mut r = r.sub(length as usize).ok_or(INVALID)?;
        while !r.is_empty() && chain.length < CHAIN_CAP {
            let length = r.u24().ok_or(INVALID)?;
            let der = r.take(length as usize).ok_or(INVALID)?;
            chain.add(der, wants, out);
        }
        Ok(())
    }

    /// Takes a client's hello of SSL 2.0, which has no fingerprint.
    pub fn old_client_hello(&mut self, hello: ClientHello, direction: Direction, at: &Moment<'_>) {
        self.place(direction, at);
        self.client.get_or_insert(hello);
    }

    /// Takes a server's hello of SSL 2.0, which holds its certificate.
    pub fn old_server_hello(
        &mut self,
        version: u16,
        certificate: &[u8],
        direction: Direction,
        at: &Moment<'_>,
        wants: Wants,
        out: &mut Outcome,
    ) {
        self.place(direction.opposite(), at);
        self.old_version = version;
        if !certificate.is_empty() {
            self.server_chain.add(certificate, wants, out);
        }
    }

    /// The version that the server chose; 0 where it said nothing.
    pub fn version(&self) -> u16 {
        self.server.as_ref().map_or(self.old_version, ServerHello::version)
    }

    fn carrier(&self) -> Carrier {
        if self.protocol == super::NAME { Carrier::Tcp } else { Carrier::Dtls }
    }
}

impl Chain {
    fn add(&mut self, der: &[u8], wants: Wants, out: &mut Outcome) {
        self.length += 1;
        if self.length == 1 {
            match Certificate::read(der) {
                Ok(certificate) => self.first = Some(Box::new(certificate)),
                Err(flaw) => out.anomaly(flaw, Some(0)),
            }
        }
        if wants.buffers {
            self.der.push(der.to_vec());
        }
    }
}
