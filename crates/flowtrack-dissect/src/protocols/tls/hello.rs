//! The two messages in which both sides of a TLS connection say what they can do: `ClientHello` and
//! `ServerHello` (RFC 8446 section 4.1, RFC 5246 section 7.4.1), as TLS, DTLS and QUIC carry them.

use super::version;
use crate::Reader;

/// Values of one list that are kept; a message of 64 KiB could hold many more.
const LIST_CAP: usize = 1024;
/// ALPN names kept.
const ALPN_CAP: usize = 64;
/// Longest ALPN name and server name kept; the first has one byte of length on the wire.
const NAME_CAP: usize = 256;

/// Numbers of extensions (IANA, TLS `ExtensionType` Values).
pub mod extension {
    /// Server name indication.
    pub const SERVER_NAME: u16 = 0;
    /// Key exchange groups, once called elliptic curves.
    pub const SUPPORTED_GROUPS: u16 = 10;
    /// Elliptic curve point formats.
    pub const EC_POINT_FORMATS: u16 = 11;
    /// Signature algorithms.
    pub const SIGNATURE_ALGORITHMS: u16 = 13;
    /// Application-layer protocol negotiation.
    pub const ALPN: u16 = 16;
    /// A session ticket.
    pub const SESSION_TICKET: u16 = 35;
    /// A key of an earlier session.
    pub const PRE_SHARED_KEY: u16 = 41;
    /// Versions beyond the legacy field.
    pub const SUPPORTED_VERSIONS: u16 = 43;
    /// Key shares of the key exchange.
    pub const KEY_SHARE: u16 = 51;
    /// Encrypted `ClientHello`.
    pub const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
    /// Encrypted `ClientHello`'s predecessor, encrypted server name.
    pub const ENCRYPTED_SERVER_NAME: u16 = 0xffce;
}

/// The `random` by which a `ServerHello` says that it is a `HelloRetryRequest` (RFC 8446 section
/// 4.1.3).
const RETRY_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// What a client offers.
#[derive(Clone, Default, Debug)]
pub struct ClientHello {
    /// The version field, which TLS 1.3 leaves at that of TLS 1.2.
    pub legacy_version: u16,
    /// 32 bytes, of old clients beginning with the time.
    pub random: [u8; 32],
    /// Session to resume.
    pub session_id: Vec<u8>,
    /// Cipher suites in the client's order, GREASE included.
    pub ciphers: Vec<u16>,
    /// Extensions by number, in the client's order, GREASE included.
    pub extensions: Vec<u16>,
    /// Host asked for.
    pub server_name: Option<Vec<u8>>,
    /// Application protocols offered.
    pub alpns: Vec<Vec<u8>>,
    /// Groups, GREASE included.
    pub groups: Vec<u16>,
    /// Elliptic curve point formats.
    pub point_formats: Vec<u8>,
    /// Signature algorithms.
    pub signature_algorithms: Vec<u16>,
    /// Versions offered in the extension, GREASE included.
    pub versions: Vec<u16>,
    /// Whether a session ticket was shown.
    pub shows_ticket: bool,
    /// What is wrong with it, though it could be read.
    pub flaw: Option<&'static str>,
}

/// What a server chose.
#[derive(Clone, Default, Debug)]
pub struct ServerHello {
    /// The version field.
    pub legacy_version: u16,
    /// 32 bytes.
    pub random: [u8; 32],
    /// Session, the client's own where it is resumed.
    pub session_id: Vec<u8>,
    /// Cipher suite chosen.
    pub cipher: u16,
    /// Extensions by number, in the server's order.
    pub extensions: Vec<u16>,
    /// Version chosen in the extension.
    pub chosen_version: Option<u16>,
    /// Application protocol chosen.
    pub alpns: Vec<Vec<u8>>,
    /// Group of the key exchange.
    pub group: Option<u16>,
    /// Whether it asks for another `ClientHello`.
    pub is_retry: bool,
}

impl ClientHello {
    /// Reads the body of the message; `cookie` where DTLS has one behind the session.
    pub fn read(body: &[u8], cookie: bool) -> Option<Self> {
        let mut r = Reader::new(body);
        let mut hello = Self { legacy_version: r.u16()?, random: r.array()?, ..Self::default() };
        hello.session_id = short(&mut r)?.to_vec();
        if cookie {
            short(&mut r)?;
        }
        let length = usize::from(r.u16()?);
        hello.ciphers = numbers(r.take(length)?);
        short(&mut r)?;
        // Before TLS 1.2 the message could end here.
        if let Some(length) = r.u16() {
            let mut r = r.sub(usize::from(length))?;
            while !r.is_empty() {
                let kind = r.u16()?;
                let length = usize::from(r.u16()?);
                let data = r.take(length)?;
                if hello.extensions.len() < LIST_CAP {
                    hello.extensions.push(kind);
                }
                hello.extension(kind, Reader::new(data));
            }
        }
        Some(hello)
    }

    /// Takes what is known of one extension; one that cannot be read counts as present alone.
    fn extension(&mut self, kind: u16, mut r: Reader<'_>) -> Option<()> {
        match kind {
            extension::SERVER_NAME => self.read_server_name(r)?,
            extension::SUPPORTED_GROUPS => {
                let length = r.u16()?;
                self.groups = numbers(r.take(usize::from(length))?);
            }
            extension::EC_POINT_FORMATS => self.point_formats = short(&mut r)?.to_vec(),
            extension::SIGNATURE_ALGORITHMS => {
                let length = r.u16()?;
                self.signature_algorithms = numbers(r.take(usize::from(length))?);
            }
            extension::ALPN => self.alpns = alpns(r)?,
            extension::SESSION_TICKET => self.shows_ticket = !r.is_empty(),
            extension::SUPPORTED_VERSIONS => self.versions = numbers(short(&mut r)?),
            _ => {}
        }
        Some(())
    }

    fn read_server_name(&mut self, mut r: Reader<'_>) -> Option<()> {
        const HOST_NAME: u8 = 0;
        if r.is_empty() {
            return Some(());
        }
        if self.server_name.is_some() {
            self.flaw = Some("MULTIPLE_SNI_EXTENSIONS");
            return None;
        }
        r.skip(2)?;
        if r.u8()? != HOST_NAME {
            self.flaw = Some("INVALID_SNI_TYPE");
            return None;
        }
        let length = usize::from(r.u16()?);
        match r.take(length).filter(|name| !name.is_empty()) {
            Some(name) => self.server_name = Some(name.get(..NAME_CAP).unwrap_or(name).to_vec()),
            None => self.flaw = Some("INVALID_SNI_LENGTH"),
        }
        Some(())
    }

    /// The newest version offered; of the legacy field where the extension is absent.
    pub fn version(&self) -> u16 {
        let offered = self.versions.iter().copied().filter(|&v| version::age(v) > 0);
        offered.max_by_key(|&v| version::age(v)).unwrap_or(self.legacy_version)
    }

    /// Whether an encrypted `ClientHello` or server name was sent, or feigned by GREASE: from outside
    /// nobody can tell.
    pub fn has_ech(&self) -> bool {
        [extension::ENCRYPTED_CLIENT_HELLO, extension::ENCRYPTED_SERVER_NAME]
            .iter()
            .any(|kind| self.extensions.contains(kind))
    }
}

impl ServerHello {
    /// Reads the body of the message.
    pub fn read(body: &[u8]) -> Option<Self> {
        let mut r = Reader::new(body);
        let mut hello = Self { legacy_version: r.u16()?, random: r.array()?, ..Self::default() };
        // Drafts of TLS 1.3 before the 22nd had neither session nor compression here.
        let is_old_draft = version::is_old_draft(hello.legacy_version);
        if !is_old_draft {
            hello.session_id = short(&mut r)?.to_vec();
        }
        hello.cipher = r.u16()?;
        if !is_old_draft {
            r.skip(1)?;
        }
        hello.is_retry = hello.random == RETRY_RANDOM;
        if let Some(length) = r.u16() {
            let mut r = r.sub(usize::from(length))?;
            while !r.is_empty() {
                let kind = r.u16()?;
                let length = usize::from(r.u16()?);
                let data = r.take(length)?;
                if hello.extensions.len() < LIST_CAP {
                    hello.extensions.push(kind);
                }
                hello.extension(kind, Reader::new(data));
            }
        }
        Some(hello)
    }

    fn extension(&mut self, kind: u16, mut r: Reader<'_>) -> Option<()> {
        match kind {
            extension::SUPPORTED_VERSIONS => self.chosen_version = Some(r.u16()?),
            extension::ALPN => self.alpns = alpns(r)?,
            extension::KEY_SHARE => self.group = Some(r.u16()?),
            _ => {}
        }
        Some(())
    }

    /// The version chosen.
    pub fn version(&self) -> u16 {
        self.chosen_version.unwrap_or(self.legacy_version)
    }

    /// Whether all that follows is encrypted, the certificate included.
    pub fn hides_certificate(&self) -> bool {
        version::is_1_3(self.version())
    }

    /// Whether a key of an earlier session is used, as only TLS 1.3 says here.
    pub fn uses_psk(&self) -> bool {
        self.hides_certificate() && self.extensions.contains(&extension::PRE_SHARED_KEY)
    }
}

/// Bytes behind a length of one byte.
fn short<'a>(r: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = r.u8()?;
    r.take(usize::from(length))
}

/// Numbers of two bytes each.
fn numbers(bytes: &[u8]) -> Vec<u16> {
    let (pairs, _) = bytes.as_chunks::<2>();
    pairs.iter().take(LIST_CAP).map(|&pair| u16::from_be_bytes(pair)).collect()
}

/// The names of an ALPN extension (RFC 7301).
fn alpns(mut r: Reader<'_>) -> Option<Vec<Vec<u8>>> {
    let length = r.u16()?;
    let mut r = r.sub(usize::from(length))?;
    let mut names = Vec::new();
    while !r.is_empty() && names.len() < ALPN_CAP {
        names.push(short(&mut r)?.to_vec());
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with_extensions(extensions: &[(u16, &[u8])]) -> Vec<u8> {
        let mut list = Vec::new();
        for (kind, data) in extensions {
            list.extend(kind.to_be_bytes());
            list.extend((data.len() as u16).to_be_bytes());
            list.extend(*data);
        }
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 4, 0x13, 0x01, 0x0a, 0x0a, 1, 0]);
        body.extend((list.len() as u16).to_be_bytes());
        body.extend(list);
        body
    }

    #[test]
    fn a_hello_is_read() {
        let hello = ClientHello::read(
            &with_extensions(&[
                (0, b"\0\x06\0\0\x03a.b"),
                (10, &[0, 4, 0x1a, 0x1a, 0, 29]),
                (11, &[1, 0]),
                (13, &[0, 2, 4, 3]),
                (16, b"\0\x06\x02h2\x02h3"),
                (35, &[1]),
                (43, &[4, 3, 4, 3, 3]),
                (0xfe0d, &[]),
            ]),
            false,
        )
        .unwrap();
        assert_eq!(hello.ciphers, [0x1301, 0x0a0a]);
        assert_eq!(hello.server_name.as_deref(), Some(&b"a.b"[..]));
        assert_eq!((&hello.groups[..], &hello.point_formats[..]), (&[0x1a1a, 29][..], &[0][..]));
        assert_eq!(hello.alpns, [b"h2", b"h3"]);
        assert!(hello.shows_ticket && hello.has_ech() && hello.flaw.is_none());
        assert_eq!(hello.version(), version::TLS_1_3);
    }

    #[test]
    fn flaws_of_the_server_name_are_told() {
        let flaw = |extensions: &[(u16, &[u8])]| {
            ClientHello::read(&with_extensions(extensions), false).unwrap().flaw
        };
        let name = &b"\0\x06\0\0\x03a.b"[..];
        assert_eq!(flaw(&[(0, name), (0, name)]), Some("MULTIPLE_SNI_EXTENSIONS"));
        assert_eq!(flaw(&[(0, b"\0\x06\x01\0\x03a.b")]), Some("INVALID_SNI_TYPE"));
        assert_eq!(flaw(&[(0, b"\0\x06\0\0\x09a.b")]), Some("INVALID_SNI_LENGTH"));
        assert_eq!(flaw(&[(0, b"")]), None);
    }

    #[test]
    fn lists_have_caps() {
        let many: Vec<(u16, &[u8])> = (0..2000).map(|n| (n + 100, &b""[..])).collect();
        let hello = ClientHello::read(&with_extensions(&many), false).unwrap();
        assert_eq!(hello.extensions.len(), LIST_CAP);
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let whole = with_extensions(&[(0, &bytes), (10, &bytes), (16, &bytes), (43, &bytes)]);
            prop_assert!(ClientHello::read(&whole, false).is_some());
            for end in 0..whole.len() {
                ClientHello::read(&whole[..end], true);
                ServerHello::read(&whole[..end]);
            }
            ClientHello::read(&bytes, true);
            ServerHello::read(&bytes);
        }
    }
}
