//! E-mail: SMTP, plain or with TLS, as text and HTML.

use super::{Channel, colour, escape, reveal};
use crate::error::SendError;
use crate::message::Message;
use crate::secret::{Secret, Vault};
use crate::{http, tls};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{SmtpTransport, Transport as _};
use serde::Deserialize;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// Mail boxes, by a mail server.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Email {
    /// The mail server.
    server: String,
    /// Its port; 587 with STARTTLS, 465 with TLS, 25 without.
    port: Option<u16>,
    /// How the connection is encrypted.
    #[serde(default)]
    tls: Encryption,
    /// Name to log in with.
    user: Option<String>,
    /// Password to log in with.
    password: Option<Secret>,
    /// The sender, such as `FlowTrack <flowtrack@example.org>`.
    from: String,
    /// The receivers.
    to: Vec<String>,
    /// Certificates that are trusted instead of the system's, as PEM.
    ca_file: Option<PathBuf>,
}

/// How the connection to a mail server is encrypted.
#[derive(Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encryption {
    /// Plain until both sides agree to encrypt; not without.
    #[default]
    Starttls,
    /// From the first byte on.
    Tls,
    /// Not at all.
    None,
}

impl Channel for Email {
    fn check(&self) -> Result<(), String> {
        self.from.parse::<Mailbox>().map_err(|e| format!("from: {e}"))?;
        for to in &self.to {
            to.parse::<Mailbox>().map_err(|e| format!("to: `{to}`: {e}"))?;
        }
        if self.to.is_empty() || self.to.len() > MAX_RECEIVERS {
            return Err(format!("to: want 1 to {MAX_RECEIVERS} addresses"));
        }
        if self.user.is_some() != self.password.is_some() {
            return Err("want both `user` and `password`, or neither".into());
        }
        if self.user.is_some() && self.tls == Encryption::None && !http::is_own(&self.server) {
            return Err("tls: `none` would send the password for everybody to read; want \
                        `starttls` or `tls`"
                .into());
        }
        Ok(())
    }

    fn destination(&self) -> String {
        format!("{} by {}:{}", self.to.join(", "), self.server, self.port())
    }

    fn secrets(&self) -> Vec<&Secret> {
        self.password.iter().collect()
    }

    fn send(&self, message: &Message, vault: &Vault<'_>) -> Result<(), SendError> {
        let mail = self.mail(message)?;
        let mut transport = SmtpTransport::builder_dangerous(&self.server)
            .port(self.port())
            .timeout(Some(TIMEOUT))
            .hello_name(hello(&message.sensor))
            .tls(self.tls()?);
        if let (Some(user), Some(password)) = (&self.user, &self.password) {
            let password = reveal(vault, password)?;
            transport = transport.credentials(Credentials::new(user.clone(), password));
        }
        match transport.build().send(&mail) {
            Ok(_) => Ok(()),
            Err(e) if e.is_permanent() => Err(SendError::never(explain(&e))),
            Err(e) => Err(SendError::later(explain(&e))),
        }
    }
}

impl Email {
    fn port(&self) -> u16 {
        self.port.unwrap_or(match self.tls {
            Encryption::Starttls => 587,
            Encryption::Tls => 465,
            Encryption::None => 25,
        })
    }

    fn tls(&self) -> Result<Tls, SendError> {
        if self.tls == Encryption::None {
            return Ok(Tls::None);
        }
        let wrong = |e: lettre::transport::smtp::Error| SendError::later(explain(&e));
        let mut parameters =
            TlsParameters::builder(self.server.clone()).certificate_store(CertificateStore::None);
        for root in tls::roots(self.ca_file.as_deref())? {
            let certificate = Certificate::from_der(root.to_vec()).map_err(wrong)?;
            parameters = parameters.add_root_certificate(certificate);
        }
        let parameters = parameters.build_rustls().map_err(wrong)?;
        Ok(match self.tls {
            Encryption::Tls => Tls::Wrapper(parameters),
            _ => Tls::Required(parameters),
        })
    }

    fn mail(&self, message: &Message) -> Result<lettre::Message, SendError> {
        let wrong =
            |e: &dyn std::fmt::Display| SendError::never(format!("cannot write the mail: {e}"));
        let mailbox = |text: &str| text.parse::<Mailbox>().map_err(|e| wrong(&e));
        let from = mailbox(&self.from)?;
        let domain = from.email.domain().to_owned();
        let mut mail = lettre::Message::builder()
            .from(from)
            .subject(format!("[FlowTrack] {}", message.subject()))
            .message_id(Some(format!("<{}@{domain}>", message.id)));
        for to in &self.to {
            mail = mail.to(mailbox(to)?);
        }
        // Nobody's holiday notice is to answer.
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        mail = mail.raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()));
        mail.multipart(MultiPart::alternative_plain_html(message.text(), html(message)))
            .map_err(|e| wrong(&e))
    }
}

/// The message as HTML, without anything that is loaded from elsewhere.
fn html(message: &Message) -> String {
    let mut html = String::from(
        "<!doctype html><html><head><meta charset=\"utf-8\"></head>\
         <body style=\"font-family:sans-serif;font-size:15px\">",
    );
    let _ = write!(
        html,
        "<p style=\"border-left:4px solid #{:06x};padding-left:8px\"><b>{}</b></p>",
        colour(message.severity()),
        escape(&message.subject())
    );
    if let Some(notice) = message.single() {
        if !notice.explanation.is_empty() {
            let _ = write!(html, "<p>{}</p>", escape(&notice.explanation));
        }
        html += "<table>";
        for (name, value) in message.facts(notice) {
            let _ = write!(
                html,
                "<tr><td style=\"padding-right:12px;color:#555\">{}</td><td>{}</td></tr>",
                escape(&name),
                escape(&value)
            );
        }
        html += "</table>";
    } else {
        html += "<ul>";
        for notice in &message.notices {
            let _ = write!(html, "<li>{}</li>", escape(&message.line(notice)));
        }
        html += "</ul>";
        if let Some(rest) = message.rest() {
            let _ = write!(html, "<p>{rest}</p>");
        }
    }
    let _ = write!(html, "<p style=\"color:#555\">{}</p></body></html>", escape(&message.footer()));
    html
}

/// The name to say hello with: a server refuses what is none.
fn hello(sensor: &str) -> ClientId {
    let is_name = !sensor.is_empty()
        && sensor.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    if is_name { ClientId::Domain(sensor.to_owned()) } else { ClientId::default() }
}

/// What the server or the system says, with its cause.
fn explain(error: &lettre::transport::smtp::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            let _ = write!(text, ": {more}");
        }
        cause = error.source();
    }
    text
}

/// For connecting, and for each answer of the server.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Most receivers of one channel.
const MAX_RECEIVERS: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::sample;
    use serde_json::json;

    fn channel(settings: serde_json::Value) -> Email {
        serde_json::from_value(settings).unwrap()
    }

    #[test]
    fn a_password_is_not_sent_in_the_clear() {
        let settings = |server: &str| {
            json!({ "server": server, "tls": "none", "user": "u", "password": "env:P",
                    "from": "a@example.org", "to": ["b@example.org"] })
        };
        assert_eq!(channel(settings("127.0.0.1")).check(), Ok(()));
        assert!(channel(settings("mail.example.org")).check().unwrap_err().starts_with("tls: "));
    }

    #[test]
    fn words_of_strangers_stay_words() {
        let mut message = sample(1, 0);
        message.notices[0].title = "x\r\nBcc: victim@example.org\r\n\r\n<script>".into();
        let settings =
            json!({ "server": "s", "from": "FlowTrack <a@example.org>", "to": ["b@example.org"] });
        let mail =
            String::from_utf8(channel(settings).mail(&message).unwrap().formatted()).unwrap();
        let (head, body) = mail.split_once("\r\n\r\n").unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
        assert!(head.contains("Message-ID: <17-3@example.org>"), "{head}");
        assert!(head.contains("Auto-Submitted: auto-generated"), "{head}");
        assert!(!html(&message).contains("<script>") && !body.is_empty());
    }
}
