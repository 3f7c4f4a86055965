//! Syslog, against a real daemon: rsyslog, by UDP, TCP and TLS.

#![allow(clippy::disallowed_macros, reason = "a skipped test says why")]

mod common;

use common::{Certificates, Secrets, Server, has, message, send, wait_for};
use flowtrack_lab::free_port;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A syslog daemon that writes each record's parts into a file.
struct Daemon {
    _server: Server,
    folder: TempDir,
    port: u16,
}

impl Daemon {
    fn start(input: impl Fn(u16) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (path, port) = (|name: &str| folder.path().join(name), free_port());
        let config = format!(
            "global(workDirectory=\"{folder}\")\n{input}\n\
             template(name=\"parts\" type=\"string\" string=\"%pri%|%timegenerated:::date-unixtimestamp%|\
             %timestamp:::date-rfc3339%|%hostname%|%app-name%|%msgid%|%structured-data%|%msg%\\n\")\n\
             action(type=\"omfile\" file=\"{out}\" template=\"parts\")\n",
            folder = folder.path().display(),
            input = input(port),
            out = path("out").display(),
        );
        std::fs::write(path("rsyslog.conf"), config).unwrap();
        let child = Command::new("rsyslogd")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .args(["-n", "-f"])
            .arg(path("rsyslog.conf"))
            .arg("-i")
            .arg(path("pid"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { _server: Server(child), folder, port }
    }

    /// Sends until a record arrives, because nobody says when the daemon listens.
    fn record(&self, rest: &str) -> String {
        let settings = format!("type = \"syslog\"\naddress = \"localhost:{}\"\n{rest}", self.port);
        let out = self.folder.path().join("out");
        wait_for("record", || {
            let _ = send(&settings, &Secrets::new(&[]), &message());
            let text = std::fs::read_to_string(&out).ok()?;
            text.split_once('\n').map(|(first, _)| first.to_owned())
        })
    }
}

fn check(record: &str) {
    let parts: Vec<&str> = record.splitn(8, '|').collect();
    let [pri, _, at, host, app, id, data, text] = parts[..] else { panic!("{record}") };
    // local1 is facility 17; an error has severity 3.
    assert_eq!(pri, "139", "{record}");
    assert_eq!(at, "2026-11-18T11:06:40.000000Z");
    assert_eq!((host, app, id), ("gate", "flowtrack", "alert"));
    assert_eq!(
        data,
        "[flowtrack@32473 severity=\"high\" detector=\"port_scan\" category=\"reconnaissance\" \
         technique=\"T1046\" src=\"192.0.2.7\" dst=\"10.0.0.5\" dpt=\"22\" count=\"320\"]"
    );
    assert_eq!(text.trim_start(), "192.0.2.7 scans ports of 10.0.0.5 <script>");
}

fn is_missing() -> bool {
    let missing = !has("rsyslogd");
    if missing {
        println!("skipped: no syslog daemon; apt-get install rsyslog");
    }
    missing
}

#[test]
fn records_go_by_udp() {
    if is_missing() {
        return;
    }
    let daemon = Daemon::start(|port| {
        format!(
            "module(load=\"imudp\")\ninput(type=\"imudp\" port=\"{port}\" address=\"127.0.0.1\")"
        )
    });
    let settings = format!(
        "type = \"syslog\"\naddress = \"127.0.0.1:{}\"\nfacility = \"local1\"",
        daemon.port
    );
    let record = wait_for("record", || {
        let _ = send(&settings, &Secrets::new(&[]), &message());
        let text = std::fs::read_to_string(daemon.folder.path().join("out")).ok()?;
        text.split_once('\n').map(|(first, _)| first.to_owned())
    });
    check(&record);
}

#[test]
fn records_go_by_tcp() {
    if is_missing() {
        return;
    }
    let daemon = Daemon::start(|port| {
        format!(
            "module(load=\"imtcp\")\ninput(type=\"imtcp\" port=\"{port}\" address=\"127.0.0.1\")"
        )
    });
    check(&daemon.record("transport = \"tcp\"\nfacility = \"local1\""));
}

#[test]
fn records_go_by_tls_to_whom_is_trusted() {
    if is_missing() {
        return;
    }
    let Some(certificates) = Certificates::make() else {
        println!("skipped: no certificates; apt-get install openssl");
        return;
    };
    if !Path::new("/usr/lib/x86_64-linux-gnu/rsyslog/lmnsd_gtls.so").exists()
        && !Path::new("/usr/lib/aarch64-linux-gnu/rsyslog/lmnsd_gtls.so").exists()
    {
        println!("skipped: no syslog daemon with TLS; apt-get install rsyslog-gnutls");
        return;
    }
    let daemon = Daemon::start(|port| {
        format!(
            "global(defaultNetstreamDriverCAFile=\"{}\" defaultNetstreamDriverCertFile=\"{}\" \
             defaultNetstreamDriverKeyFile=\"{}\")\n\
             module(load=\"imtcp\" StreamDriver.Name=\"gtls\" StreamDriver.Mode=\"1\" \
             StreamDriver.Authmode=\"anon\")\n\
             input(type=\"imtcp\" port=\"{port}\" address=\"127.0.0.1\")",
            certificates.ca().display(),
            certificates.path("cert.pem").display(),
            certificates.path("key.pem").display(),
        )
    });
    let ca = certificates.ca().display().to_string();
    let tls = "transport = \"tls\"\nfacility = \"local1\"";
    check(&daemon.record(&format!("{tls}\nca_file = \"{ca}\"")));
    let settings = format!("type = \"syslog\"\naddress = \"localhost:{}\"\n{tls}", daemon.port);
    let error = send(&settings, &Secrets::new(&[]), &message()).unwrap_err();
    assert!(error.text.contains("certificate"), "{error}");
}

#[test]
fn a_daemon_that_is_not_there_is_tried_again() {
    let settings =
        format!("type = \"syslog\"\naddress = \"127.0.0.1:{}\"\ntransport = \"tcp\"", free_port());
    let error = send(&settings, &Secrets::new(&[]), &message()).unwrap_err();
    assert_eq!(error.again, flowtrack_notify::Again::Later(None));
}
