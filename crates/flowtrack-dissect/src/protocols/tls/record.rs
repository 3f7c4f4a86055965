//! The record of a TLS or DTLS connection: its fields in logs and its buffers for rules.

use super::certificate::Certificate;
use super::hello::{ClientHello, ServerHello};
use super::session::{Chain, Session};
use super::{alert, cipher, group, time, version};
use crate::Field;
use flowtrack_event::{AppProto, Transaction, WireText};
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
    Field::added("sni_matches_cert", "boolean", "whether the certificate is for the host asked for"),
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

    fn buffer(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
        let chains = [&self.client_chain, &self.server_chain];
        let firsts = || chains.into_iter().filter_map(|chain| chain.first.as_deref());
        let mut each = |text: fn(&Certificate) -> &str| {
            firsts().for_each(|certificate| visit(text(certificate).as_bytes()));
        };
        match name {
            "tls.cert_subject" => return each(|c| &c.subject),
            "tls.cert_issuer" => return each(|c| &c.issuer),
            "tls.cert_serial" => return each(|c| &c.serial),
            "tls.cert_fingerprint" => return each(|c| &c.fingerprint),
            "tls.subjectaltname" => {
                firsts().flat_map(|c| &c.names).for_each(|name| visit(name.as_bytes()));
            }
            "tls.certs" => chains.iter().flat_map(|c| &c.der).for_each(|der| visit(der)),
            "tls.version" => visit(version::name(self.version()).as_bytes()),
            "ja3.hash" => self.ja3.iter().for_each(|ja3| visit(ja3.hash.as_bytes())),
            "ja3.string" => self.ja3.iter().for_each(|ja3| visit(ja3.string.as_bytes())),
            "ja3s.hash" => self.ja3s.iter().for_each(|ja3| visit(ja3.hash.as_bytes())),
            "ja3s.string" => self.ja3s.iter().for_each(|ja3| visit(ja3.string.as_bytes())),
            "ja4.hash" => self.ja4.iter().for_each(|ja4| visit(ja4.as_bytes())),
            _ => {}
        }
        if let Some(client) = &self.client {
            match name {
                "tls.sni" => client.server_name.iter().for_each(|name| visit(name)),
                "tls.alpn" => client.alpns.iter().for_each(|name| visit(name)),
                _ => visit_random(&client.random, name, visit),
            }
        }
        if let Some(server) = &self.server {
            match name {
                "tls.alpn" => server.alpns.iter().for_each(|name| visit(name)),
                _ => visit_random(&server.random, name, visit),
            }
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

fn visit_random(random: &[u8; 32], name: &str, visit: &mut dyn FnMut(&[u8])) {
    let (time, bytes) = random.split_at(4);
    match name {
        "tls.random" => visit(random),
        "tls.random_time" => visit(time),
        "tls.random_bytes" => visit(bytes),
        _ => {}
    }
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
    for (name, date) in [("notbefore", certificate.not_before), ("notafter", certificate.not_after)] {
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
