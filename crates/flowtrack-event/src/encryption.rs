//! Encryption described from outside: what handshakes said, and what became of all bytes.

mod book;

pub use book::EncryptionBook;

use crate::{AppProto, FlowRecord, IpProto};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;

/// What one exchange tells of the encryption that follows it.
#[derive(Clone, Default, Debug)]
pub struct Encryption<'a> {
    /// Version in use, with the name of its protocol (`TLS 1.3`, `QUIC 1`, `SSH 2.0`).
    pub version: Option<Cow<'a, str>>,
    /// Cipher suite in use.
    pub cipher: Option<Cow<'a, str>>,
    /// Fingerprint of the client: JA4, or HASSH for SSH.
    pub client: Option<&'a str>,
    /// Name of the server that the client asked for.
    pub server_name: Option<Cow<'a, str>>,
    /// The server's own certificate.
    pub certificate: Option<CertificateFacts<'a>>,
    /// Whether the client sent an encrypted hello, or feigned one.
    pub has_ech: bool,
}

/// What a certificate says; nobody checked its signature.
#[derive(Clone, Copy, Debug)]
pub struct CertificateFacts<'a> {
    /// SHA-1 of the whole, bytes with colons.
    pub fingerprint: &'a str,
    /// Whom it names.
    pub subject: &'a str,
    /// Who signed it.
    pub issuer: &'a str,
    /// Seconds since 1970 from which it is valid.
    pub not_before: i64,
    /// Seconds since 1970 up to which it is valid.
    pub not_after: i64,
    /// Whether owner and signer are the same.
    pub is_self_signed: bool,
    /// Whether it is for the name that the client asked for; `None` where it asked for none.
    pub is_for_name: Option<bool>,
}

/// What can be told of the bytes of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clarity {
    /// Their protocol encrypts.
    Encrypted,
    /// Their protocol is known and readable.
    Clear,
    /// They carry something, and nobody knows what.
    Unnamed {
        /// They look encrypted or compressed.
        random: bool,
    },
    /// There is no application to name: empty connections, ICMP, routing.
    Control,
}

impl Clarity {
    /// Of a flow as it is now.
    pub fn of(flow: &FlowRecord) -> Self {
        match flow.recognised() {
            Some(app) if app.is_encrypted() => Self::Encrypted,
            Some(_) => Self::Clear,
            None if flow.key.proto == IpProto::ESP => Self::Encrypted,
            None => {
                let payload = flow.to_server.payload_bytes | flow.to_client.payload_bytes;
                if flow.key.has_ports() && payload > 0 {
                    Self::Unnamed { random: flow.app.is_some_and(|app| app.looks_random) }
                } else {
                    Self::Control
                }
            }
        }
    }
}

impl AppProto {
    /// Whether what it carries is encrypted once its handshake is over.
    pub fn is_encrypted(self) -> bool {
        ENCRYPTED.contains(&self.name())
    }
}

/// Protocols that encrypt what they carry.
pub const ENCRYPTED: &[&str] = &["tls", "quic", "ssh", "dtls", "wireguard", "openvpn", "ike"];

/// Flows and bytes of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Volume {
    /// Flows.
    pub flows: u64,
    /// Captured bytes, both ways.
    pub bytes: u64,
}

/// All flows by what can be told of their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Shares {
    /// Of protocols that encrypt.
    pub encrypted: Volume,
    /// Of protocols that can be read.
    pub clear: Volume,
    /// With content that nobody could name.
    pub unnamed: Volume,
    /// The part of `unnamed` that looks encrypted or compressed.
    pub random: Volume,
    /// Without content to name: empty connections, ICMP, routing.
    pub control: Volume,
}

/// Encrypted traffic described.
#[derive(Clone, PartialEq, Default, Debug, Serialize)]
pub struct EncryptionView {
    /// All flows by what can be told of their bytes.
    pub shares: Shares,
    /// Encrypted flows by protocol.
    pub protocols: Vec<NamedVolume>,
    /// Flows whose handshake was seen, by version.
    pub versions: Vec<GradedVolume>,
    /// The same by cipher suite.
    pub ciphers: Vec<GradedVolume>,
    /// Clients by fingerprint.
    pub clients: Vec<ClientRow>,
    /// Certificates of servers.
    pub certificates: Vec<CertificateRow>,
    /// All certificates kept apart, of which `certificates` may show fewer.
    pub certificates_seen: u64,
    /// Of those, how many had expired when they were last shown.
    pub certificates_expired: u64,
    /// Of those, how many name themselves as their signer.
    pub certificates_self_signed: u64,
    /// Flows whose client sent an encrypted hello, or feigned one.
    pub ech_flows: u64,
    /// Whether rows were let go for want of room; if so, all are lower bounds.
    pub partial: bool,
}

/// Flows and bytes under a name.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct NamedVolume {
    /// Name.
    pub name: String,
    /// Flows.
    pub flows: u64,
    /// Captured bytes, both ways.
    pub bytes: u64,
}

/// Flows and bytes under a name that is good or bad.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct GradedVolume {
    /// Name.
    pub name: String,
    /// Whether it is broken or deprecated.
    pub weak: bool,
    /// Flows.
    pub flows: u64,
    /// Captured bytes, both ways.
    pub bytes: u64,
}

/// Clients that offer the same.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct ClientRow {
    /// JA4, or HASSH for SSH.
    pub fingerprint: String,
    /// `ja4` or `hassh`.
    pub kind: &'static str,
    /// Address of the first that was seen.
    pub client: String,
    /// Names of servers that they asked for, a few.
    pub server_names: Vec<String>,
    /// Flows.
    pub flows: u64,
    /// Captured bytes, both ways.
    pub bytes: u64,
}

/// One certificate.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct CertificateRow {
    /// SHA-1 of the whole, bytes with colons.
    pub fingerprint: String,
    /// Whom it names.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Address of the server that showed it last.
    pub server: String,
    /// Name that it was last asked for by.
    pub server_name: Option<String>,
    /// Seconds since 1970 from which it is valid.
    pub not_before: i64,
    /// Seconds since 1970 up to which it is valid.
    pub not_after: i64,
    /// Days for which it has been valid; negative where it is not yet.
    pub age_days: i64,
    /// Days for which it is still valid; negative where it has expired.
    pub days_left: i64,
    /// What is wrong with its dates.
    pub validity: Validity,
    /// Whether owner and signer are the same.
    pub self_signed: bool,
    /// Flows in which it was shown to a client that had asked for another name.
    pub wrong_name_flows: u64,
    /// Flows.
    pub flows: u64,
    /// Captured bytes, both ways.
    pub bytes: u64,
}

/// Whether a certificate was valid when it was last shown.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Validity {
    /// It was.
    #[default]
    Valid,
    /// Its time is over.
    Expired,
    /// Its time had not come.
    NotYet,
}

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Valid => "valid",
            Self::Expired => "expired",
            Self::NotYet => "not yet valid",
        })
    }
}

/// Whether a version is deprecated (RFC 6176, RFC 7568, RFC 8996; SSH 1 is broken).
pub fn is_weak_version(name: &str) -> bool {
    const WEAK: &[&str] = &["SSLv2", "SSLv3", "TLSv1", "TLS 1.1", "DTLS 0.9", "DTLS 1.0"];
    WEAK.contains(&name) || (name.starts_with("SSH 1.") && name != "SSH 1.99")
}

/// Whether a cipher suite is without encryption, without authentication, or broken (RFC 7465,
/// RFC 9155, SWEET32).
pub fn is_weak_cipher(name: &str) -> bool {
    const WEAK: &[&str] = &["_NULL", "_EXPORT", "_RC4", "_RC2", "_DES", "_3DES", "_anon_", "_MD5"];
    WEAK.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::{is_weak_cipher, is_weak_version};

    #[test]
    fn only_what_is_broken_is_weak() {
        for weak in [
            "TLS_RSA_WITH_RC4_128_SHA",
            "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
            "TLS_RSA_WITH_DES_CBC_SHA",
            "TLS_RSA_EXPORT1024_WITH_RC4_56_SHA",
            "TLS_DH_anon_WITH_AES_128_GCM_SHA256",
            "TLS_ECDHE_RSA_WITH_NULL_SHA",
            "TLS_NULL_WITH_NULL_NULL",
        ] {
            assert!(is_weak_cipher(weak), "{weak}");
        }
        for strong in [
            "TLS_AES_128_GCM_SHA256",
            "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        ] {
            assert!(!is_weak_cipher(strong), "{strong}");
        }
        assert!(is_weak_version("TLSv1") && is_weak_version("SSH 1.5"));
        assert!(!is_weak_version("TLS 1.2") && !is_weak_version("SSH 1.99"));
    }
}
