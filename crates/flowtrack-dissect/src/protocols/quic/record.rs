//! The record of a packet of QUIC: its fields in logs and its buffers for rules.

use super::google::{Chlo, Cyu};
use super::{NAME, extension, version};
use crate::protocols::tls::fingerprint::Ja3;
use crate::protocols::tls::hello::{ClientHello, ServerHello, extension as kinds};
use crate::protocols::tls::record::is_host_name;
use crate::protocols::tls::{cipher, group, version as tls_version};
use crate::{Field, Keyword};
use flowtrack_event::{AppProto, Direction, Encryption, Transaction, WireText};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use std::net::IpAddr;

/// What rules may ask for.
pub const KEYWORDS: &[Keyword] = &[
    Keyword::buffer("quic.version", "version"),
    Keyword::buffer("quic.sni", "host that the client asked for").to_server(),
    Keyword::buffer("quic.ua", "software of the client, in Google's QUIC").to_server(),
    Keyword::buffer("quic.cyu.hash", "MD5 of what the client offered, in Google's QUIC")
        .to_server()
        .multi(),
    Keyword::buffer("quic.cyu.string", "what the client offered, in Google's QUIC")
        .to_server()
        .multi(),
    Keyword::buffer("ja3.hash", "MD5 of what the client offered").to_server(),
    Keyword::buffer("ja3.string", "what the client offered").to_server(),
    Keyword::buffer("ja3s.hash", "MD5 of what the server chose").to_client(),
    Keyword::buffer("ja3s.string", "what the server chose").to_client(),
    Keyword::buffer("ja4.hash", "JA4 of the client").to_server(),
];

/// The fields of a record.
pub const FIELDS: &[Field] = &[
    Field::eve("version", "string", "version of QUIC"),
    Field::eve("sni", "string", "host that the client asked for"),
    Field::eve("ua", "string", "what the client calls itself (Google's QUIC)"),
    Field::eve("cyu[].hash", "string", "CYU: MD5 of the client's tags (Google's QUIC)"),
    Field::eve("cyu[].string", "string", "version and tags of the client"),
    Field::eve("ja3.hash", "string", "JA3: MD5 of what the client offered"),
    Field::eve("ja3.string", "string", "what the client offered"),
    Field::eve("ja3s.hash", "string", "JA3S: MD5 of what the server chose"),
    Field::eve("ja3s.string", "string", "what the server chose"),
    Field::eve("ja4", "string", "JA4 fingerprint of the client"),
    Field::eve("extensions[].name", "string", "name of an extension of the hello"),
    Field::eve("extensions[].type", "integer", "number of the extension"),
    Field::eve("extensions[].values", "array", "host names, protocols or versions in it"),
    Field::added(
        "packet_type",
        "string",
        "`initial`, `0rtt`, `handshake`, `retry` or `version_negotiation`",
    ),
    Field::added("cipher", "string", "name of the cipher suite that the server chose"),
    Field::added("curve", "string", "name of the group of the key exchange"),
    Field::added("ech", "boolean", "the client sent an encrypted hello, or feigned one"),
    Field::added("psk", "boolean", "a key of an earlier session is used"),
];

/// What one packet said.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Which way it went.
    pub direction: Direction,
    /// Version; 0 where the server lists those that it knows.
    pub version: u32,
    /// What the packet was for; `None` of Google's own.
    pub packet_type: Option<&'static str>,
    /// Who was connected to.
    pub server_ip: IpAddr,
    /// The hello that it made whole.
    pub said: Said,
}

/// A hello.
#[derive(Clone, Debug)]
pub enum Said {
    /// None.
    Nothing,
    /// The client's.
    Client {
        /// What it offers.
        hello: Box<ClientHello>,
        /// Its fingerprint.
        ja3: Ja3,
        /// Its fingerprint.
        ja4: String,
    },
    /// The server's.
    Server {
        /// What it chose.
        hello: Box<ServerHello>,
        /// Its fingerprint.
        ja3s: Ja3,
    },
    /// The client's, before TLS.
    Google {
        /// What it offers.
        hello: Box<Chlo>,
        /// Its fingerprint.
        cyu: Cyu,
    },
}

impl Said {
    /// A hello of Google's QUIC.
    pub fn google(hello: Chlo, version: u16) -> Self {
        let cyu = hello.fingerprint(version);
        Self::Google { hello: Box::new(hello), cyu }
    }
}

impl Exchange {
    fn server_name(&self) -> Option<&[u8]> {
        match &self.said {
            Said::Client { hello, .. } => hello.server_name.as_deref(),
            Said::Google { hello, .. } => hello.server_name.as_deref(),
            Said::Nothing | Said::Server { .. } => None,
        }
    }
}

impl Transaction for Exchange {
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
        let version = || version::name(self.version);
        match (name, &self.said) {
            ("quic.version", _) => visit(version().as_bytes()),
            ("quic.sni", _) => self.server_name().into_iter().for_each(visit),
            ("ja3.hash", Said::Client { ja3, .. }) => visit(ja3.hash.as_bytes()),
            ("ja3.string", Said::Client { ja3, .. }) => visit(ja3.string.as_bytes()),
            ("ja4.hash", Said::Client { ja4, .. }) => visit(ja4.as_bytes()),
            ("ja3s.hash", Said::Server { ja3s, .. }) => visit(ja3s.hash.as_bytes()),
            ("ja3s.string", Said::Server { ja3s, .. }) => visit(ja3s.string.as_bytes()),
            ("quic.ua", Said::Google { hello, .. }) => {
                hello.user_agent.iter().for_each(|ua| visit(ua));
            }
            ("quic.cyu.hash", Said::Google { cyu, .. }) => visit(cyu.hash.as_bytes()),
            ("quic.cyu.string", Said::Google { cyu, .. }) => visit(cyu.string.as_bytes()),
            _ => {}
        }
    }

    fn names(&self, visit: &mut dyn FnMut(IpAddr, &str)) {
        let host = self.server_name().and_then(|name| std::str::from_utf8(name).ok());
        if let Some(host) = host.filter(|host| is_host_name(host)) {
            visit(self.server_ip, host);
        }
    }

    fn encryption(&self) -> Option<Encryption<'_>> {
        let mut said = Encryption::default();
        match &self.said {
            Said::Nothing => return None,
            Said::Client { hello, ja4, .. } => {
                said.client = Some(ja4);
                said.has_ech = hello.has_ech();
            }
            Said::Server { hello, .. } => said.cipher = Some(cipher::name(hello.cipher)),
            Said::Google { .. } => {}
        }
        said.version = Some(format!("QUIC {}", version::title(self.version)).into());
        said.server_name = self.server_name().map(String::from_utf8_lossy);
        Some(said)
    }

    fn summary(&self) -> String {
        let mut text = format!("QUIC {}", version::title(self.version));
        if let Some(name) = self.server_name() {
            text.push(' ');
            text.push_str(&WireText(name).to_string());
        } else if let Some(packet_type) = self.packet_type.filter(|_| self.version != 0) {
            text.push(' ');
            text.push_str(packet_type);
        }
        text
    }
}

impl Serialize for Exchange {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("version", &version::name(self.version))?;
        if let Some(name) = self.server_name() {
            map.serialize_entry("sni", &WireText(name))?;
        }
        match &self.said {
            Said::Nothing => {}
            Said::Google { hello, cyu } => {
                if let Some(ua) = &hello.user_agent {
                    map.serialize_entry("ua", &WireText(ua))?;
                }
                map.serialize_entry("cyu", &[cyu])?;
            }
            Said::Client { hello, ja3, ja4 } => {
                map.serialize_entry("ja3", ja3)?;
                map.serialize_entry("ja4", ja4)?;
                if !hello.extensions.is_empty() {
                    map.serialize_entry("extensions", &ClientExtensions(hello))?;
                }
                if hello.has_ech() {
                    map.serialize_entry("ech", &true)?;
                }
            }
            Said::Server { hello, ja3s } => {
                map.serialize_entry("ja3s", ja3s)?;
                if !hello.extensions.is_empty() {
                    map.serialize_entry("extensions", &ServerExtensions(hello))?;
                }
                map.serialize_entry("cipher", &cipher::name(hello.cipher))?;
                if let Some(group) = hello.group {
                    map.serialize_entry("curve", &group::name(group))?;
                }
                if hello.uses_psk() {
                    map.serialize_entry("psk", &true)?;
                }
            }
        }
        if let Some(packet_type) = self.packet_type {
            map.serialize_entry("packet_type", packet_type)?;
        }
        map.end()
    }
}

/// One extension of a hello.
#[derive(serde::Serialize)]
struct Extension {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    #[serde(rename = "type")]
    kind: u16,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    values: Vec<String>,
}

fn text(bytes: &[u8]) -> String {
    WireText(bytes).to_string()
}

struct ClientExtensions<'a>(&'a ClientHello);

impl Serialize for ClientExtensions<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let hello = self.0;
        s.collect_seq(hello.extensions.iter().map(|&kind| Extension {
            name: extension::name(kind),
            kind,
            values: match kind {
                kinds::SERVER_NAME => hello.server_name.iter().map(|name| text(name)).collect(),
                kinds::ALPN => hello.alpns.iter().map(|name| text(name)).collect(),
                kinds::SUPPORTED_VERSIONS => {
                    let plain = hello.versions.iter().filter(|&&v| !tls_version::is_grease(v));
                    plain.map(|&v| tls_version::name(v).into_owned()).collect()
                }
                _ => Vec::new(),
            },
        }))
    }
}

struct ServerExtensions<'a>(&'a ServerHello);

impl Serialize for ServerExtensions<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let hello = self.0;
        s.collect_seq(hello.extensions.iter().map(|&kind| Extension {
            name: extension::name(kind),
            kind,
            values: match kind {
                kinds::ALPN => hello.alpns.iter().map(|name| text(name)).collect(),
                kinds::SUPPORTED_VERSIONS => {
                    let chosen = hello.chosen_version.iter();
                    chosen.map(|&v| tls_version::name(v).into_owned()).collect()
                }
                _ => Vec::new(),
            },
        }))
    }
}
