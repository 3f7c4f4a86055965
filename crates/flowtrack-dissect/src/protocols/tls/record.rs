//! The record of a TLS or DTLS connection: its fields in logs and its buffers for rules.

use super::certificate::Certificate;
use super::hello::{ClientHello, ServerHello};
use super::session::{Chain, Session};
use super::{alert, cipher, group, time, version};
use crate::{Field, Keyword};
use flowtrack_event::{AppProto, CertificateFacts, Direction, Encryption, Transaction, WireText};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use std::net::IpAddr;

/// The fields of a record.
pub const FIELDS: &[Field] = &[
    Field::eve("from_proto", "string", "the protocol that asked for encryption (STARTTLS)"),
    Field::eve("sni", "string", "host that the client asked for"),
    Field::eve("version", "string", "version that the server chose"),
    Field::eve("subject", "string", "owner of the server's certificate"),
    Field::eve("issuerdn", "string", "signer of the server's certificate"),
    Field::eve("subjectaltname", "array", "other names in the server's certificate"),
    Field::eve("serial", "string", "serial number of the server's certificate"),
    Field::eve("fingerprint", "string", "SHA-1 of the server's certificate"),
    Field::eve("notbefore", "string", "beginning of the certificate's validity"),
    Field::eve("notafter", "string", "end of the certificate's validity"),
    Field::eve("session_resumed", "boolean", "whether an earlier session was resumed"),
    Field::eve("client_alpns", "array", "application protocols that the client offered"),
    Field::eve("server_alpns", "array", "application protocol that the server chose"),
    Field::eve("ja3.hash", "string", "JA3: MD5 of what the client offered"),
    Field::eve("ja3.string", "string", "what the client offered"),
    Field::eve("ja3s.hash", "string", "JA3S: MD5 of what the server chose"),
    Field::eve("ja3s.string", "string", "what the server chose"),
    Field::eve("ja4", "string", "JA4 fingerprint of the client"),
    Field::eve("client.subject", "string", "owner of the client's certificate"),
    Field::eve("client.issuerdn", "string", "signer of the client's certificate"),
    Field::eve("client.subjectaltname", "array", "other names in the client's certificate"),
    Field::eve("client.serial", "string", "serial number of the client's certificate"),
    Field::eve("client.fingerprint", "string", "SHA-1 of the client's certificate"),
    Field::eve("client.notbefore", "string", "beginning of its validity"),
    Field::eve("client.notafter", "string", "end of its validity"),
    Field::eve("client_handshake.version", "string", "newest version that the client offered"),
    Field::eve("client_handshake.ciphers", "array", "cipher suites that the client offered"),
    Field::eve("client_handshake.exts", "array", "extensions that the client sent"),
    Field::eve("client_handshake.sig_algs", "array", "signature algorithms that it offered"),
    Field::eve("server_handshake.version", "string", "version that the server chose"),
    Field::eve("server_handshake.cipher", "integer", "cipher suite that the server chose"),
    Field::eve("server_handshake.exts", "array", "extensions that the server sent"),
    Field::added("cipher", "string", "name of the cipher suite in use"),
    Field::added("curve", "string", "name of the group of the key exchange"),
    Field::added("established", "boolean", "whether both sides went on to encrypt"),
    Field::added("last_alert", "string", "the last alert that was not encrypted"),
    Field::added("ech", "boolean", "the client sent an encrypted hello, or feigned one"),
    Field::added("psk", "boolean", "a key of an earlier session is used (TLS 1.3)"),
    Field::added("hello_retry", "boolean", "the server asked for another hello"),
    Field::added("chain_len", "integer", "certificates that the server showed"),
    Field::added("cert_age_days", "integer", "days since the certificate became valid"),
    Field::added("cert_validity_days", "integer", "days that the certificate is valid in all"),
    Field::added("cert_valid", "boolean", "whether the certificate was valid at that time"),
    Field::added("cert_self_signed", "boolean", "whether owner and signer are the same"),
    Field::added(
        "sni_matches_cert",
        "boolean",
        "whether the certificate is for the host asked for",
    ),
];

/// What rules may ask for.
pub const KEYWORDS: &[Keyword] = &[
    Keyword::buffer("tls.sni", "host that the client asked for").to_server(),
    Keyword::buffer("tls.cert_subject", "owner of the certificate"),
    Keyword::buffer("tls.cert_issuer", "signer of the certificate"),
    Keyword::buffer("tls.cert_serial", "serial number of the certificate"),
    Keyword::buffer("tls.cert_fingerprint", "SHA-1 of the certificate"),
    Keyword::buffer("tls.certs", "each certificate of the chain as it was sent").multi(),
    Keyword::buffer("tls.subjectaltname", "other names in the certificate").multi(),
    Keyword::buffer("tls.alpn", "application protocols offered, or chosen").multi(),
    Keyword::buffer("tls.random", "random bytes of a hello"),
    Keyword::buffer("tls.random_time", "the first four of them, once a time"),
    Keyword::buffer("tls.random_bytes", "the other 28"),
    Keyword::buffer("ja3.hash", "MD5 of what the client offered").to_server(),
    Keyword::buffer("ja3.string", "what the client offered").to_server(),
    Keyword::buffer("ja3s.hash", "MD5 of what the server chose").to_client(),
    Keyword::buffer("ja3s.string", "what the server chose").to_client(),
    Keyword::buffer("ja4.hash", "JA4 of the client").to_server(),
    Keyword::number("tls.version", "version offered, or chosen: 0x0301 is TLS 1.0"),
    Keyword::number("tls.cert_chain_len", "certificates of the chain"),
    Keyword::number("tls_cert_notbefore", "beginning of validity, in seconds since 1970"),
    Keyword::number("tls_cert_notafter", "end of validity, in seconds since 1970"),
    Keyword::number("tls_cert_expired", "1 where the certificate is no longer valid, else 0"),
    Keyword::number("tls_cert_valid", "1 where the certificate is valid, else 0"),
    Keyword::number(
        "ssl_state",
        "what was seen, as bits: hello of the client 1, of the server 2, key exchange 4, end 8",
    ),
];

const SECONDS_PER_DAY: i64 = 86_400;
/// Seconds since 1970 of the years 1000 to 2999: what lies outside is no date.
const DATED: std::ops::Range<i64> = -30_610_224_000..32_503_680_000;

impl Transaction for Session {
    fn protocol(&self) -> AppProto {
        self.protocol
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn buffer_towards(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(&[u8])) {
        let is_client = self.is_client(direction);
        let chain = if is_client { &self.client_chain } else { &self.server_chain };
        let mut one = |text: Option<&str>| text.iter().for_each(|text| visit(text.as_bytes()));
        let first = chain.first.as_deref();
        match name {
            "tls.cert_subject" => return one(first.map(|c| &*c.subject)),
            "tls.cert_issuer" => return one(first.map(|c| &*c.issuer)),
            "tls.cert_serial" => return one(first.map(|c| &*c.serial)),
            "tls.cert_fingerprint" => return one(first.map(|c| &*c.fingerprint)),
            "ja3.hash" if is_client => return one(self.ja3.as_ref().map(|ja3| &*ja3.hash)),
            "ja3.string" if is_client => return one(self.ja3.as_ref().map(|ja3| &*ja3.string)),
            "ja4.hash" if is_client => return one(self.ja4.as_deref()),
            "ja3s.hash" if !is_client => return one(self.ja3s.as_ref().map(|ja3| &*ja3.hash)),
            "ja3s.string" if !is_client => return one(self.ja3s.as_ref().map(|ja3| &*ja3.string)),
            // Detectors ask for it; the rule language has no such keyword.
            "tls.cipher" if !is_client => {
                let cipher = self.server.as_ref().map(|server| cipher::name(server.cipher));
                return one(cipher.as_deref());
            }
            "tls.certs" => return chain.der.iter().for_each(|der| visit(der)),
            "tls.subjectaltname" => {
                let names = first.into_iter().flat_map(|c| &c.names);
                return names.for_each(|name| visit(name.as_bytes()));
            }
            _ => {}
        }
        let (random, alpns) = match (&self.client, &self.server) {
            (Some(client), _) if is_client => {
                if name == "tls.sni" {
                    client.server_name.iter().for_each(|name| visit(name));
                }
                (&client.random, &client.alpns)
            }
            (_, Some(server)) if !is_client => (&server.random, &server.alpns),
            _ => return,
        };
        let (time, bytes) = random.split_at(4);
        match name {
            "tls.alpn" => alpns.iter().for_each(|name| visit(name)),
            "tls.random" => visit(random),
            "tls.random_time" => visit(time),
            "tls.random_bytes" => visit(bytes),
            _ => {}
        }
    }

    fn number(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(u64)) {
        let is_client = self.is_client(direction);
        let chain = if is_client { &self.client_chain } else { &self.server_chain };
        let first = chain.first.as_deref();
        match name {
            "tls.version" if is_client => {
                self.client.iter().for_each(|client| visit(client.version().into()));
            }
            "tls.version" if self.version() != 0 => visit(self.version().into()),
            "tls.cert_chain_len" if chain.length > 0 => visit(chain.length as u64),
            "tls_cert_notbefore" => first.iter().for_each(|c| visit(since_1970(c.not_before))),
            "tls_cert_notafter" => first.iter().for_each(|c| visit(since_1970(c.not_after))),
            "tls_cert_expired" => {
                first.iter().for_each(|c| visit((c.not_after < self.at.secs()).into()));
            }
            "tls_cert_valid" => first.iter().for_each(|c| {
                visit((c.not_before..=c.not_after).contains(&self.at.secs()).into());
            }),
            "ssl_state" => {
                let reached = [
                    self.client.is_some(),
                    self.server.is_some(),
                    self.keys_exchanged,
                    self.established,
                ];
                visit(reached.iter().rev().fold(0, |bits, &is_so| bits << 1 | u64::from(is_so)));
            }
            _ => {}
        }
    }

    fn names(&self, visit: &mut dyn FnMut(IpAddr, &str)) {
        let Some(ip) = self.server_ip else { return };
        let asked = self.client.as_ref().and_then(|c| c.server_name.as_deref());
        let certified = || {
            let certificate = self.server_chain.first.as_deref()?;
            certificate.names.iter().map(String::as_str).find(|name| !name.contains('*'))
        };
        let host = asked.and_then(|name| std::str::from_utf8(name).ok()).or_else(certified);
        if let Some(host) = host.filter(|host| is_host_name(host)) {
            visit(ip, host);
        }
    }

    fn encryption(&self) -> Option<Encryption<'_>> {
        let asked = self.client.as_ref().and_then(|c| c.server_name.as_deref());
        let asked = asked.map(String::from_utf8_lossy);
        Some(Encryption {
            version: (self.version() != 0).then(|| version::name(self.version())),
            cipher: self.server.as_ref().map(|server| cipher::name(server.cipher)),
            client: self.ja4.as_deref(),
            certificate: self.server_chain.first.as_deref().map(|c| CertificateFacts {
                fingerprint: &c.fingerprint,
                subject: &c.subject,
                issuer: &c.issuer,
                not_before: c.not_before,
                not_after: c.not_after,
                is_self_signed: c.is_self_signed(),
                is_for_name: asked.as_deref().map(|host| c.is_for(host)),
            }),
            has_ech: self.client.as_ref().is_some_and(ClientHello::has_ech),
            server_name: asked,
        })
    }

    fn summary(&self) -> String {
        let version = match self.version() {
            0 => self.client.as_ref().map_or(0, ClientHello::version),
            version => version,
        };
        let mut text = version::name(version).into_owned();
        if let Some(name) = self.client.as_ref().and_then(|c| c.server_name.as_deref()) {
            text.push(' ');
            text.push_str(&WireText(name).to_string());
        } else if let Some(certificate) = self.server_chain.first.as_deref() {
            text.push(' ');
            text.push_str(&certificate.subject);
        }
        if let Some(alert) = self.alert {
            text.push_str(", ");
            text.push_str(&alert::name(alert));
        }
        text
    }
}

/// Seconds since 1970, of earlier dates none.
fn since_1970(seconds: i64) -> u64 {
    seconds.try_into().unwrap_or(0)
}

/// Whether a text may be shown as the name of a host.
pub fn is_host_name(text: &str) -> bool {
    text.contains('.')
        && text.len() <= 253
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b))
        && text.parse::<IpAddr>().is_err()
}

impl Serialize for Session {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        if let Some(from) = self.from {
            map.serialize_entry("from_proto", &from)?;
        }
        let server_certificate = self.server_chain.first.as_deref();
        if let Some(certificate) = server_certificate {
            put_certificate(&mut map, certificate)?;
        }
        if self.resumed {
            map.serialize_entry("session_resumed", &true)?;
        }
        let sni = self.client.as_ref().and_then(|c| c.server_name.as_deref());
        if let Some(sni) = sni {
            map.serialize_entry("sni", &WireText(sni))?;
        }
        map.serialize_entry("version", &version::name(self.version()))?;
        if let Some(ja3) = &self.ja3 {
            map.serialize_entry("ja3", ja3)?;
        }
        if let Some(ja3s) = &self.ja3s {
            map.serialize_entry("ja3s", ja3s)?;
        }
        if let Some(ja4) = &self.ja4 {
            map.serialize_entry("ja4", ja4)?;
        }
        if self.client_chain.first.is_some() {
            map.serialize_entry("client", &ClientCertificate(&self.client_chain))?;
        }
        if let Some(client) = &self.client {
            if !client.alpns.is_empty() {
                map.serialize_entry("client_alpns", &Texts(&client.alpns))?;
            }
            map.serialize_entry("client_handshake", &Offer(client))?;
        }
        if let Some(server) = &self.server {
            if !server.alpns.is_empty() {
                map.serialize_entry("server_alpns", &Texts(&server.alpns))?;
            }
            map.serialize_entry("server_handshake", &Choice(self))?;
            map.serialize_entry("cipher", &cipher::name(server.cipher))?;
        }
        if let Some(group) = self.group {
            map.serialize_entry("curve", &group::name(group))?;
        }
        map.serialize_entry("established", &self.established)?;
        if let Some(alert) = self.alert {
            map.serialize_entry("last_alert", &alert::name(alert))?;
        }
        for (name, is_so) in [
            ("ech", self.client.as_ref().is_some_and(ClientHello::has_ech)),
            ("psk", self.server.as_ref().is_some_and(ServerHello::uses_psk)),
            ("hello_retry", self.retried),
        ] {
            if is_so {
                map.serialize_entry(name, &true)?;
            }
        }
        if self.server_chain.length > 0 {
            map.serialize_entry("chain_len", &self.server_chain.length)?;
        }
        if let Some(c) = server_certificate {
            let now = self.at.secs();
            let days = |seconds: i64| seconds.div_euclid(SECONDS_PER_DAY);
            map.serialize_entry("cert_age_days", &days(now - c.not_before))?;
            map.serialize_entry("cert_validity_days", &days(c.not_after - c.not_before))?;
            map.serialize_entry("cert_valid", &(c.not_before..=c.not_after).contains(&now))?;
            map.serialize_entry("cert_self_signed", &c.is_self_signed())?;
            if let Some(host) = sni.and_then(|sni| std::str::from_utf8(sni).ok()) {
                map.serialize_entry("sni_matches_cert", &c.is_for(host))?;
            }
        }
        map.end()
    }
}

fn put_certificate<M: serde::ser::SerializeMap>(
    map: &mut M,
    certificate: &Certificate,
) -> Result<(), M::Error> {
    map.serialize_entry("subject", &certificate.subject)?;
    map.serialize_entry("issuerdn", &certificate.issuer)?;
    if !certificate.names.is_empty() {
        map.serialize_entry("subjectaltname", &certificate.names)?;
    }
    map.serialize_entry("serial", &certificate.serial)?;
    map.serialize_entry("fingerprint", &certificate.fingerprint)?;
    for (name, date) in [("notbefore", certificate.not_before), ("notafter", certificate.not_after)]
    {
        // RFC 5280 section 4.1.2.5: the year 9999 means that there is no end.
        if DATED.contains(&date) {
            map.serialize_entry(name, &time::text(date))?;
        }
    }
    Ok(())
}

struct ClientCertificate<'a>(&'a Chain);

impl Serialize for ClientCertificate<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        if let Some(certificate) = &self.0.first {
            put_certificate(&mut map, certificate)?;
        }
        map.end()
    }
}

/// Texts from the wire.
pub struct Texts<'a>(pub &'a [Vec<u8>]);

impl Serialize for Texts<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().map(|text| WireText(text)))
    }
}

/// Numbers without those that stand for none.
struct Plain<'a>(&'a [u16]);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().filter(|&&n| !version::is_grease(n)))
    }
}

fn put_list<M: serde::ser::SerializeMap>(
    map: &mut M,
    name: &str,
    list: &[u16],
) -> Result<(), M::Error> {
    if list.iter().any(|&n| !version::is_grease(n)) {
        map.serialize_entry(name, &Plain(list))?;
    }
    Ok(())
}

/// What a client offered.
struct Offer<'a>(&'a ClientHello);

impl Serialize for Offer<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("version", &version::name(self.0.version()))?;
        put_list(&mut map, "ciphers", &self.0.ciphers)?;
        put_list(&mut map, "exts", &self.0.extensions)?;
        put_list(&mut map, "sig_algs", &self.0.signature_algorithms)?;
        map.end()
    }
}

/// What a server chose.
struct Choice<'a>(&'a Session);

impl Serialize for Choice<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        if let Some(server) = &self.0.server {
            map.serialize_entry("version", &version::name(server.version()))?;
            map.serialize_entry("cipher", &server.cipher)?;
            put_list(&mut map, "exts", &server.extensions)?;
        }
        map.end()
    }
}
