//! E-mail, against a real mail server: aiosmtpd.

#![allow(clippy::disallowed_macros, reason = "a skipped test says why")]

mod common;

use common::{Certificates, Secrets, Server, message, python_with, send};
use flowtrack_notify::{Again, SendError};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Lines};
use std::process::{ChildStdout, Command, Stdio};

/// A mail server that writes down what it gets.
struct MailServer {
    _server: Server,
    lines: Lines<BufReader<ChildStdout>>,
    port: u16,
}

impl MailServer {
    fn start(python: &str, mode: &str, certificates: &Certificates) -> Self {
        let mut child = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mail_server.py"))
            .arg(mode)
            .args([certificates.path("cert.pem"), certificates.path("key.pem")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next().unwrap().unwrap().parse().unwrap();
        Self { _server: Server(child), lines, port }
    }

    fn mail(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap()
    }

    fn send(&self, rest: &str, password: &str) -> Result<(), SendError> {
        let settings = format!(
            "type = \"email\"\nport = {}\nfrom = \"FlowTrack <ft@example.org>\"\n{rest}",
            self.port
        );
        send(&settings, &Secrets::new(&[("PASSWORD", password)]), &message())
    }
}

fn setting() -> Option<(&'static str, Certificates)> {
    let Some(python) = python_with("aiosmtpd") else {
        println!("skipped: no mail server; apt-get install python3-aiosmtpd");
        return None;
    };
    let Some(certificates) = Certificates::make() else {
        println!("skipped: no certificates; apt-get install openssl");
        return None;
    };
    Some((python, certificates))
}

const TO: &str = "to = [\"ops@example.org\", \"Boss <boss@example.org>\"]";
const LOGIN: &str = "user = \"ft\"\npassword = \"env:PASSWORD\"";

#[test]
fn mail_goes_by_starttls_with_login_as_text_and_html() {
    let Some((python, certificates)) = setting() else { return };
    let mut server = MailServer::start(python, "starttls+login", &certificates);
    let ca = certificates.ca().display().to_string();
    let rest = format!("server = \"localhost\"\n{TO}\n{LOGIN}\nca_file = \"{ca}\"");
    assert_eq!(server.send(&rest, "pass word"), Ok(()));
    let mail = server.mail();
    assert_eq!(mail["tls"], true);
    assert_eq!(mail["user"], "ft");
    assert_eq!(mail["from"], "ft@example.org");
    assert_eq!(mail["to"], serde_json::json!(["ops@example.org", "boss@example.org"]));
    let data = mail["data"].as_str().unwrap();
    let (head, body) = data.split_once("\r\n\r\n").unwrap();
    // Long lines of quoted-printable go on behind `=`.
    let body = body.replace("=\r\n", "");
    for line in [
        "From: FlowTrack <ft@example.org>",
        "Message-ID: <5f-1-1@example.org>",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
    ] {
        assert!(head.contains(line), "{line} is not in {head}");
    }
    assert!(
        head.contains("Subject: [FlowTrack] [high] 192.0.2.7 scans ports of 10.0.0.5"),
        "{head}"
    );
    assert!(head.contains("multipart/alternative"), "{head}");
    assert!(body.contains("text/plain") && body.contains("text/html"), "{body}");
    assert!(body.contains("&lt;script&gt;"), "{body}");
    // A wrong password is told once, and not said.
    let error = server.send(&rest, "hunter2hunter2").unwrap_err();
    assert_eq!(error.again, Again::Never, "{error}");
    assert!(error.text.contains("535") && !error.text.contains("hunter2"), "{error}");
}

#[test]
fn mail_goes_by_tls_from_the_first_byte() {
    let Some((python, certificates)) = setting() else { return };
    let mut server = MailServer::start(python, "tls+login", &certificates);
    let ca = certificates.ca().display().to_string();
    let rest = format!("server = \"localhost\"\ntls = \"tls\"\n{TO}\n{LOGIN}\nca_file = \"{ca}\"");
    assert_eq!(server.send(&rest, "pass word"), Ok(()));
    let mail = server.mail();
    assert_eq!((&mail["tls"], &mail["user"]), (&true.into(), &"ft".into()));
}

#[test]
fn nobody_gets_the_password_whose_certificate_is_not_trusted() {
    let Some((python, certificates)) = setting() else { return };
    for (mode, tls) in [("starttls+login", "starttls"), ("tls+login", "tls")] {
        let server = MailServer::start(python, mode, &certificates);
        let rest = format!("server = \"localhost\"\ntls = \"{tls}\"\n{TO}\n{LOGIN}");
        let error = server.send(&rest, "pass word").unwrap_err();
        assert_eq!(error.again, Again::Later(None));
        assert!(error.text.to_lowercase().contains("certificate"), "{error}");
    }
}

#[test]
fn a_server_without_encryption_gets_no_password() {
    let Some((python, certificates)) = setting() else { return };
    let mut server = MailServer::start(python, "none", &certificates);
    let rest = format!("server = \"localhost\"\n{TO}\n{LOGIN}");
    let error = server.send(&rest, "pass word").unwrap_err();
    assert!(error.text.to_uppercase().contains("STARTTLS"), "{error}");
    // Without login, on purpose, mail goes.
    let plain = format!("server = \"127.0.0.1\"\ntls = \"none\"\n{TO}");
    assert_eq!(server.send(&plain, ""), Ok(()));
    let mail = server.mail();
    assert_eq!((&mail["tls"], &mail["user"]), (&false.into(), &Value::Null));
}

#[test]
fn the_server_decides_whether_it_is_worth_trying_again() {
    let Some((python, certificates)) = setting() else { return };
    let server = MailServer::start(python, "none", &certificates);
    let to =
        |who: &str| format!("server = \"127.0.0.1\"\ntls = \"none\"\nto = [\"{who}@example.org\"]");
    let error = server.send(&to("nobody"), "").unwrap_err();
    assert_eq!(error.again, Again::Never);
    assert!(error.text.contains("no such mail box"), "{error}");
    assert_eq!(server.send(&to("later"), "").unwrap_err().again, Again::Later(None));
}
