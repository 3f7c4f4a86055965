//! Syslog: RFC 5424, by UDP (RFC 5426), TCP with octet counting (RFC 6587) or TLS (RFC 5425).

use super::Channel;
use crate::error::SendError;
use crate::message::Message;
use crate::notice::Notice;
use crate::secret::{Secret, Vault};
use crate::tls;
use flowtrack_event::Severity;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde::Deserialize;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

/// A syslog daemon.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Syslog {
    /// Host and port, such as `logs.example.org:6514`.
    address: String,
    /// How messages travel.
    #[serde(default)]
    transport: Transport,
    /// What kind of program speaks.
    #[serde(default = "default_facility")]
    facility: String,
    /// Certificates that are trusted instead of the system's, as PEM.
    ca_file: Option<PathBuf>,
    /// Number of the enterprise in the name of structured data; 32473 is the one for examples.
    #[serde(default = "default_enterprise")]
    enterprise_id: u32,
}

/// How messages travel.
#[derive(Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Transport {
    /// One datagram each; what is lost is lost.
    #[default]
    Udp,
    /// A stream with the length before each.
    Tcp,
    /// The same, encrypted.
    Tls,
}

fn default_facility() -> String {
    "local0".into()
}

fn default_enterprise() -> u32 {
    32473
}

/// Facilities by their number.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

impl Channel for Syslog {
    fn check(&self) -> Result<(), String> {
        if self.host_and_port().is_none() {
            return Err("address: want host and port, such as \"logs.example.org:514\"".into());
        }
        if self.facility().is_none() {
            return Err(format!("facility: want one of {}", FACILITIES.join(", ")));
        }
        Ok(())
    }

    fn destination(&self) -> String {
        let transport = match self.transport {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
        };
        format!("{} by {transport}", self.address)
    }

    fn secrets(&self) -> Vec<&Secret> {
        Vec::new()
    }

    fn send(&self, message: &Message, _vault: &Vault<'_>) -> Result<(), SendError> {
        let lines = self.lines(message);
        let sent = match self.transport {
            Transport::Udp => self.by_udp(&lines),
            Transport::Tcp => self.by_tcp(&lines),
            Transport::Tls => return self.by_tls(&lines),
        };
        sent.map_err(|e| SendError::later(e.to_string()))
    }
}

impl Syslog {
    fn host_and_port(&self) -> Option<(&str, u16)> {
        let (host, port) = self.address.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (!host.is_empty()).then_some((host, port.parse().ok()?))
    }

    fn facility(&self) -> Option<usize> {
        FACILITIES.iter().position(|name| *name == self.facility)
    }

    /// One record for each notice, so that programs can count and search them.
    fn lines(&self, message: &Message) -> Vec<String> {
        let mut lines: Vec<String> =
            message.notices.iter().map(|notice| self.line(message, notice)).collect();
        if let Some(rest) = message.rest() {
            let head = self.head(message, message.severity(), message.at.micros());
            lines.push(format!("{head} - {rest}"));
        }
        lines
    }

    fn head(&self, message: &Message, severity: Severity, micros: i64) -> String {
        // RFC 5424: 2 critical, 3 error, 4 warning, 5 notice, 6 informational.
        let level = match severity {
            Severity::Critical => 2,
            Severity::High => 3,
            Severity::Medium => 4,
            Severity::Low => 5,
            Severity::Info => 6,
        };
        let priority = self.facility().unwrap_or_default() * 8 + level;
        let time = jiff::Timestamp::from_microsecond(micros).unwrap_or_default();
        let host: String =
            message.sensor.chars().filter(char::is_ascii_graphic).take(255).collect();
        let host = if host.is_empty() { "-" } else { &host };
        let reason = message.reason.name();
        format!("<{priority}>1 {time:.6} {host} flowtrack {} {reason}", std::process::id())
    }

    fn line(&self, message: &Message, notice: &Notice) -> String {
        let mut line = self.head(message, notice.severity, notice.last_seen_us);
        let _ = write!(line, " [flowtrack@{}", self.enterprise_id);
        let mut add = |name: &str, value: &str| {
            if !value.is_empty() {
                let _ = write!(line, " {name}=\"{}\"", quote(value));
            }
        };
        add("severity", notice.severity.name());
        add("detector", &notice.detector);
        add("category", &notice.category);
        add("technique", notice.technique.as_ref().map_or("", |(id, _)| id));
        add("src", &notice.source.map(|ip| ip.to_string()).unwrap_or_default());
        add("dst", &notice.target.map(|ip| ip.to_string()).unwrap_or_default());
        add("dpt", &notice.target_port.map(|port| port.to_string()).unwrap_or_default());
        add("count", &notice.count.to_string());
        line.push_str("] ");
        if !notice.title.is_ascii() {
            // What follows is UTF-8.
            line.push('\u{feff}');
        }
        line.push_str(&notice.title);
        line
    }

    fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "no host and port");
        let (host, port) = self.host_and_port().ok_or_else(wrong)?;
        let found: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
        if found.is_empty() { Err(wrong()) } else { Ok(found) }
    }

    fn by_udp(&self, lines: &[String]) -> io::Result<()> {
        let to = self.addresses()?[0];
        let any: SocketAddr = if to.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
        let socket = UdpSocket::bind(any)?;
        socket.set_write_timeout(Some(TIMEOUT))?;
        // Connected, a closed port of a near machine is told with the next datagram.
        socket.connect(to)?;
        for line in lines {
            socket.send(&line.as_bytes()[..line.floor_char_boundary(MAX_DATAGRAM)])?;
        }
        Ok(())
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "no address");
        for address in self.addresses()? {
            match TcpStream::connect_timeout(&address, TIMEOUT) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(TIMEOUT))?;
                    stream.set_write_timeout(Some(TIMEOUT))?;
                    return Ok(stream);
                }
                Err(e) => last = e,
            }
        }
        Err(last)
    }

    fn by_tcp(&self, lines: &[String]) -> io::Result<()> {
        let mut stream = self.connect()?;
        write_counted(&mut stream, lines)?;
        stream.shutdown(Shutdown::Write)?;
        wait_for_end(&mut stream)
    }

    fn by_tls(&self, lines: &[String]) -> Result<(), SendError> {
        let later = |e: io::Error| SendError::later(e.to_string());
        let host = self.host_and_port().map(|(host, _)| host.to_owned()).unwrap_or_default();
        let name = ServerName::try_from(host)
            .map_err(|_| SendError::never("address: the host is no name for TLS"))?;
        let config = tls::client(self.ca_file.as_deref())?;
        let session = ClientConnection::new(config, name)
            .map_err(|e| SendError::never(format!("TLS: {e}")))?;
        let mut stream = StreamOwned::new(session, self.connect().map_err(later)?);
        write_counted(&mut stream, lines).map_err(later)?;
        stream.conn.send_close_notify();
        stream.flush().map_err(later)?;
        stream.sock.shutdown(Shutdown::Write).map_err(later)?;
        wait_for_end(&mut stream.sock).map_err(later)
    }
}

fn write_counted(to: &mut dyn Write, lines: &[String]) -> io::Result<()> {
    for line in lines {
        write!(to, "{} {line}", line.len())?;
    }
    to.flush()
}

/// Waits until the other side has closed too: then it has read everything.
///
/// A daemon that keeps the connection open, as few do, has it too; a reset says that it has not.
fn wait_for_end(stream: &mut TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(CLOSING))?;
    let mut rest = [0; 1024];
    for _ in 0..64 {
        match stream.read(&mut rest) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Ok(());
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// A value of structured data: `"`, `\` and `]` have a `\` before them.
fn quote(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace(']', "\\]")
}

/// For connecting, and for each write.
const TIMEOUT: Duration = Duration::from_secs(8);
/// For the other side to close.
const CLOSING: Duration = Duration::from_secs(2);
/// Bytes that receivers of datagrams should take, by RFC 5424.
const MAX_DATAGRAM: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::sample;
    use serde_json::json;

    #[test]
    fn records_are_those_of_rfc_5424() {
        let channel: Syslog = serde_json::from_value(json!({ "address": "[::1]:514" })).unwrap();
        assert_eq!(channel.host_and_port(), Some(("::1", 514)));
        let mut message = sample(1, 37);
        message.notices[0].category = "a\"b]c\\".into();
        let pid = std::process::id();
        assert_eq!(
            channel.lines(&message),
            [
                format!(
                    "<131>1 2026-11-18T11:06:40.000000Z gate flowtrack {pid} alert \
                     [flowtrack@32473 severity=\"high\" detector=\"port_scan\" \
                     category=\"a\\\"b\\]c\\\\\" technique=\"T1046\" src=\"192.0.2.7\" \
                     dst=\"10.0.0.1\" dpt=\"22\" count=\"320\"] \
                     192.0.2.7 scans ports of 10.0.0.1 <b>&"
                ),
                format!(
                    "<131>1 2026-11-18T11:06:40.000000Z gate flowtrack {pid} alert - and 37 more"
                ),
            ]
        );
    }

    #[test]
    fn wrong_settings_are_told() {
        let check = |address: &str, facility: &str| {
            let settings = json!({ "address": address, "facility": facility });
            serde_json::from_value::<Syslog>(settings).unwrap().check()
        };
        assert_eq!(check("h:514", "local7"), Ok(()));
        assert!(check("h", "local7").unwrap_err().starts_with("address: "));
        assert!(check("h:514", "local9").unwrap_err().starts_with("facility: "));
    }
}
