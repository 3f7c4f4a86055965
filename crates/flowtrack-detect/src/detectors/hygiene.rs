//! What is no attack but makes one easy: passwords in the clear, old encryption, bad certificates,
//! protocols where they do not belong.

use crate::{About, Detector, Findings, Kind, Networks, Once};
use flowtrack_event::encryption::is_weak_cipher;
use flowtrack_event::{
    AppProto, Confidence, Detection, Direction, Event, Evidence, FlowEvent, FlowKey, FlowState,
    IpProto, LoginEvent, LoginOutcome, Secret, Severity, Technique, Timestamp, TransactionEvent,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What it is.
pub const ABOUT: About = About {
    name: "hygiene",
    summary: "passwords in the clear, old encryption, bad certificates, protocols on wrong ports",
    text: "Told once a day for each source, target and service, at most as low. Passwords count as \
           readable in FTP, POP3, IMAP, SMTP, LDAP, PostgreSQL, basic authentication and forms of \
           HTTP, and Telnet; anonymous users do not count. Encryption counts as old up to TLS 1.1, \
           a cipher as weak with RC4, DES, no encryption, no authentication or export strength. A \
           protocol is on a wrong port where that port is another's by custom; what is usual \
           there besides, such as WebSocket on port 80, does not count. Nothing is told of traffic \
           inside this machine.",
    category: "policy",
    technique: None,
    kinds: &[
        Kind {
            name: "clear_text_login",
            sid: 250,
            summary: "a password crossed the network readable",
        },
        Kind { name: "old_tls", sid: 251, summary: "a version of SSL or TLS that is not safe" },
        Kind { name: "weak_cipher", sid: 252, summary: "a cipher suite that is not safe" },
        Kind { name: "expired_certificate", sid: 253, summary: "a certificate whose time is over" },
        Kind {
            name: "early_certificate",
            sid: 254,
            summary: "a certificate whose time has not come",
        },
        Kind {
            name: "self_signed_certificate",
            sid: 255,
            summary: "a certificate that only its owner vouches for",
        },
        Kind {
            name: "old_ssh",
            sid: 256,
            summary: "an SSH server of an old protocol or very old software",
        },
        Kind { name: "wrong_port", sid: 257, summary: "a protocol on the port of another" },
    ],
};

const SNIFFING: Technique = Technique { id: "T1040", name: "Network Sniffing" };
const NON_STANDARD_PORT: Technique = Technique { id: "T1571", name: "Non-Standard Port" };

/// What is told.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Look for what makes attacks easy.
    pub enabled: bool,
    /// Passwords that cross the network readable.
    pub clear_text: bool,
    /// Old versions and weak ciphers of TLS, and old SSH.
    pub old_encryption: bool,
    /// Certificates that are expired, not valid yet, or vouched for by their owner alone.
    pub certificates: bool,
    /// Protocols on the ports of others.
    pub wrong_ports: bool,
    /// Sources with their targets and services that are remembered.
    pub max_remembered: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            clear_text: true,
            old_encryption: true,
            certificates: true,
            wrong_ports: true,
            max_remembered: 32_768,
        }
    }
}

/// What makes attacks easy.
pub struct Hygiene {
    config: Config,
    told: Once<(u32, IpAddr, IpAddr, u16)>,
}

/// How long the same thing is not told again.
const DAY: Duration = Duration::from_hours(24);

impl Hygiene {
    /// Nothing seen.
    pub fn new(config: &Config, _networks: &Arc<Networks>) -> Self {
        Self { config: config.clone(), told: Once::new(config.max_remembered, DAY) }
    }

    /// The beginning of a detection of this kind, if it is time to tell it.
    fn begin(&mut self, kind: &str, key: &FlowKey, now: Timestamp) -> Option<Detection> {
        if key.src.is_loopback() || key.dst.is_loopback() {
            return None;
        }
        let detection = ABOUT.detection(kind, now);
        let what = (detection.sid, key.src, key.dst, key.dst_port);
        self.told.is_due(what, now).then(|| Detection {
            source: Some(key.src),
            target: Some(key.dst),
            target_port: Some(key.dst_port),
            proto: Some(key.proto),
            source_proved: key.proto == IpProto::TCP,
            ..detection
        })
    }

    fn login(&mut self, login: &LoginEvent, findings: &mut Findings) {
        if login.secret != Secret::Readable || !self.config.clear_text {
            return;
        }
        // A form that is refused or not may still be no log-on.
        let is_sure = login.outcome != LoginOutcome::Unknown;
        let key = &login.flow.key;
        let Some(detection) = self.begin("clear_text_login", key, login.ts) else { return };
        let mut evidence = vec![("protocol".into(), Evidence::Text(login.app.0.into()))];
        if !login.user.is_empty() {
            evidence.push(("user".into(), Evidence::Text(login.user.clone())));
        }
        findings.tell(Detection {
            title: format!("{} logs on to {} of {} in the clear", key.src, login.app.0, key.dst),
            explanation:
                "Anybody on the way can read the password. Use the same service over TLS, \
                          and change the password."
                    .into(),
            severity: if is_sure { Severity::Low } else { Severity::Info },
            technique: Some(SNIFFING),
            evidence,
            flows: vec![login.flow.id],
            ..detection
        });
    }

    fn transaction(&mut self, tx: &TransactionEvent, findings: &mut Findings) {
        match tx.transaction.protocol().0 {
            "tls" => {
                if self.config.old_encryption {
                    self.tls_version(tx, findings);
                    self.tls_cipher(tx, findings);
                }
                if self.config.certificates {
                    self.certificate(tx, findings);
                }
            }
            "ssh" if self.config.old_encryption => self.ssh(tx, findings),
            _ => {}
        }
    }

    fn tls_version(&mut self, tx: &TransactionEvent, findings: &mut Findings) {
        let mut version = None;
        tx.transaction.number(Direction::ToClient, "tls.version", &mut |v| version = Some(v));
        let name = match version {
            Some(0x0002) => "SSL 2.0",
            Some(0x0300) => "SSL 3.0",
            Some(0x0301) => "TLS 1.0",
            Some(0x0302) => "TLS 1.1",
            _ => return,
        };
        let key = &tx.flow.key;
        let Some(detection) = self.begin("old_tls", key, tx.ts) else { return };
        let is_ssl = matches!(version, Some(0x0002 | 0x0300));
        findings.tell(Detection {
            title: format!("{} and {} agree on {name}", key.src, key.dst),
            explanation: "It can be broken, and no browser accepts it any more (RFC 8996). Update \
                          the older of both sides, or let the server refuse it."
                .into(),
            severity: if is_ssl { Severity::Low } else { Severity::Info },
            evidence: with_name(tx, vec![("version".into(), Evidence::Text(name.into()))]),
            flows: vec![tx.flow.id],
            ..detection
        });
    }

    fn tls_cipher(&mut self, tx: &TransactionEvent, findings: &mut Findings) {
        let cipher = text(tx, Direction::ToClient, "tls.cipher");
        let Some(cipher) = cipher.filter(|name| is_weak_cipher(name)) else { return };
        let key = &tx.flow.key;
        let Some(detection) = self.begin("weak_cipher", key, tx.ts) else { return };
        findings.tell(Detection {
            title: format!("{} and {} agree on a weak cipher", key.src, key.dst),
            explanation: format!("{cipher} can be broken. Take it from the list of the server."),
            severity: Severity::Low,
            evidence: with_name(tx, vec![("cipher".into(), Evidence::Text(cipher))]),
            flows: vec![tx.flow.id],
            ..detection
        });
    }

    fn certificate(&mut self, tx: &TransactionEvent, findings: &mut Findings) {
        let said = tx.transaction.encryption().and_then(|said| said.certificate);
        let Some(certificate) = said else { return };
        let (from, to) = (certificate.not_before, certificate.not_after);
        let key = &tx.flow.key;
        let now = tx.ts.secs();
        let days = |seconds: i64| u64::try_from(seconds / 86_400).unwrap_or(0);
        let (kind, title, explanation, severity) = if to < now {
            (
                "expired_certificate",
                format!("the certificate of {} expired {} days ago", key.dst, days(now - to)),
                "Browsers warn of it, and people learn to pass over warnings. Renew it.",
                Severity::Low,
            )
        } else if from > now {
            (
                "early_certificate",
                format!(
                    "the certificate of {} is valid in {} days only",
                    key.dst,
                    days(from - now)
                ),
                "The clock of one of both sides is wrong, or the certificate was made for later.",
                Severity::Low,
            )
        } else if !certificate.subject.is_empty() && certificate.is_self_signed {
            (
                "self_signed_certificate",
                format!("nobody vouches for the certificate of {}", key.dst),
                "Nobody can tell it from one that somebody on the way made up. Have it signed, by \
                 an authority of your own if need be.",
                Severity::Info,
            )
        } else {
            return;
        };
        let Some(detection) = self.begin(kind, key, tx.ts) else { return };
        let evidence = vec![
            ("subject".into(), Evidence::Text(certificate.subject.to_owned())),
            ("issuer".into(), Evidence::Text(certificate.issuer.to_owned())),
            ("days until it ends".into(), Evidence::Number((to - now).div_euclid(86_400) as f64)),
        ];
        findings.tell(Detection {
            title,
            explanation: explanation.into(),
            severity,
            evidence: with_name(tx, evidence),
            flows: vec![tx.flow.id],
            ..detection
        });
    }

    fn ssh(&mut self, tx: &TransactionEvent, findings: &mut Findings) {
        let protocol = text(tx, Direction::ToClient, "ssh.proto").unwrap_or_default();
        let software = text(tx, Direction::ToClient, "ssh.software").unwrap_or_default();
        let is_one = protocol.starts_with("1.") && protocol != "1.99";
        if !is_one && !is_very_old(&software) {
            return;
        }
        let key = &tx.flow.key;
        let Some(detection) = self.begin("old_ssh", key, tx.ts) else { return };
        findings.tell(Detection {
            title: if is_one {
                format!("{} speaks SSH {protocol}", key.dst)
            } else {
                format!("{} runs {software}", key.dst)
            },
            explanation: "It has known holes, and nobody mends them any more. Update it, or reach \
                          it over a VPN only."
                .into(),
            severity: Severity::Low,
            evidence: vec![
                ("protocol".into(), Evidence::Text(protocol)),
                ("software".into(), Evidence::Text(software)),
            ],
            flows: vec![tx.flow.id],
            ..detection
        });
    }

    fn flow(&mut self, flow: &FlowEvent, findings: &mut Findings) {
        let record = &flow.record;
        let key = &record.key;
        let Some(app) = record.app else { return };
        let spoke = record.state != FlowState::New
            && record.to_server.payload_bytes > 0
            && record.to_client.payload_bytes > 0;
        if !spoke || app.confidence != Confidence::Content {
            return;
        }
        if app.proto.0 == "telnet"
            && self.config.clear_text
            && let Some(detection) = self.begin("clear_text_login", key, flow.ts)
        {
            findings.tell(Detection {
                title: format!("{} opens a terminal on {} in the clear", key.src, key.dst),
                explanation: "Anybody on the way can read what is typed, passwords too. Use SSH."
                    .into(),
                severity: Severity::Low,
                technique: Some(SNIFFING),
                evidence: vec![("protocol".into(), Evidence::Text("telnet".into()))],
                flows: vec![record.id],
                ..detection
            });
        }
        let first = app.original.unwrap_or(app.proto);
        if !self.config.wrong_ports || record.tunnel.is_some() || first == AppProto::FAILED {
            return;
        }
        let Some(usual) = usual(key.proto, key.dst_port) else { return };
        if usual.contains(&first.0) || usual.contains(&app.proto.0) {
            return;
        }
        let Some(detection) = self.begin("wrong_port", key, flow.ts) else { return };
        let is_remote = matches!(first.0, "ssh" | "rdp" | "telnet" | "rfb" | "socks" | "smb");
        findings.tell(Detection {
            title: format!("{} speaks {} on port {}", key.dst, first.0, key.dst_port),
            explanation: format!(
                "The port is that of {}. Programs do this to get through a firewall; find out \
                 which one, and whether it may.",
                usual.first().copied().unwrap_or_default()
            ),
            severity: if is_remote { Severity::Low } else { Severity::Info },
            technique: Some(NON_STANDARD_PORT),
            evidence: vec![
                ("protocol".into(), Evidence::Text(first.0.into())),
                (
                    "usual on this port".into(),
                    Evidence::List(usual.iter().map(ToString::to_string).collect()),
                ),
            ],
            flows: vec![record.id],
            ..detection
        });
    }
}

impl Detector for Hygiene {
    fn on_event(&mut self, event: &Event, findings: &mut Findings) {
        match event {
            Event::Login(login) => self.login(login, findings),
            Event::Transaction(tx) => self.transaction(tx, findings),
            Event::Flow(flow) => self.flow(flow, findings),
            _ => {}
        }
    }

    fn forgotten(&self) -> u64 {
        self.told.evicted()
    }
}

/// The first value of a buffer, at most 200 characters of it.
fn text(tx: &TransactionEvent, direction: Direction, name: &str) -> Option<String> {
    const CAP: usize = 200;
    let mut found = None;
    tx.transaction.buffer_towards(direction, name, &mut |bytes| {
        found.get_or_insert_with(|| String::from_utf8_lossy(bytes).chars().take(CAP).collect());
    });
    found
}

/// Adds the host that a client asked for.
fn with_name(
    tx: &TransactionEvent,
    mut evidence: Vec<(std::borrow::Cow<'static, str>, Evidence)>,
) -> Vec<(std::borrow::Cow<'static, str>, Evidence)> {
    if let Some(name) = text(tx, Direction::ToServer, "tls.sni") {
        evidence.push(("host".into(), Evidence::Text(name)));
    }
    evidence
}

/// Software that was given up about ten years ago: OpenSSH before 7.0, Dropbear before 2016.
fn is_very_old(software: &str) -> bool {
    let major = |rest: &str| rest.split(['.', '_', 'p']).next().and_then(|n| n.parse::<u32>().ok());
    if let Some(rest) = software.strip_prefix("OpenSSH_") {
        return !rest.starts_with("for_") && major(rest).is_some_and(|major| major < 7);
    }
    if let Some(rest) = software.strip_prefix("dropbear_") {
        return major(rest).is_some_and(|year| year < 2016);
    }
    false
}

/// What a port is for by custom, the first the owner of its name, and what else is usual there;
/// `None` for ports that carry anything.
fn usual(proto: IpProto, port: u16) -> Option<&'static [&'static str]> {
    Some(match (proto, port) {
        (IpProto::TCP, 21) => &["ftp", "tls"],
        (IpProto::TCP, 22) => &["ssh"],
        (IpProto::TCP, 23) => &["telnet"],
        (IpProto::TCP, 25 | 587) => &["smtp", "tls"],
        (_, 53) => &["dns", "mdns", "llmnr"],
        (IpProto::TCP, 80) => &["http", "http2", "websocket", "doh2"],
        (_, 88) => &["krb5"],
        (IpProto::TCP, 110) => &["pop3", "tls"],
        (IpProto::UDP, 123) => &["ntp"],
        (IpProto::TCP, 143) => &["imap", "tls"],
        (IpProto::UDP, 161) => &["snmp"],
        (IpProto::TCP, 443) => &["tls", "http2", "websocket", "doh2", "openvpn"],
        (IpProto::UDP, 443) => &["quic", "dtls", "stun", "openvpn", "wireguard", "rtp", "rtcp"],
        (IpProto::TCP, 445) => &["smb"],
        (IpProto::TCP, 465 | 993 | 995) => &["tls"],
        (IpProto::TCP, 3306) => &["mysql", "tls"],
        (IpProto::TCP, 3389) => &["rdp", "tls"],
        (IpProto::TCP, 5432) => &["pgsql", "tls"],
        _ => return None,
    })
}
