//! The desktop, against a real bus: dbus-daemon.

#![allow(clippy::disallowed_macros, reason = "a skipped test says why")]

mod common;

use common::{Secrets, Server, has, message, python_with, send};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

#[test]
fn the_desktop_shows_title_and_escaped_text() {
    let Some(python) = python_with("dbus, dbus.service, dbus.mainloop.glib, gi") else {
        println!("skipped: no desktop; apt-get install python3-dbus python3-gi");
        return;
    };
    if !has("dbus-daemon") {
        println!("skipped: no bus; apt-get install dbus-daemon");
        return;
    }
    let mut bus = Command::new("dbus-daemon")
        .args(["--session", "--nofork", "--nopidfile", "--print-address=1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(bus.stdout.take().unwrap()).lines();
    let _bus = Server(bus);
    let address = lines.next().unwrap().unwrap();
    let settings = format!("type = \"desktop\"\naddress = \"{address}\"");
    // Nobody shows anything yet.
    let error = send(&settings, &Secrets::new(&[]), &message()).unwrap_err();
    assert!(error.text.contains("no desktop took it"), "{error}");
    let mut desktop = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/desktop_service.py"))
        .env("DBUS_SESSION_BUS_ADDRESS", &address)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut shown = BufReader::new(desktop.stdout.take().unwrap()).lines();
    let _desktop = Server(desktop);
    assert_eq!(shown.next().unwrap().unwrap(), "ready");
    let mut message = message();
    message.notices[0].explanation = "a <b> & c".into();
    assert_eq!(send(&settings, &Secrets::new(&[]), &message), Ok(()));
    let shown: serde_json::Value = serde_json::from_str(&shown.next().unwrap().unwrap()).unwrap();
    assert_eq!(
        shown,
        serde_json::json!({
            "app": "FlowTrack",
            "summary": "[high] 192.0.2.7 scans ports of 10.0.0.5 <script>",
            "body": "a &lt;b&gt; &amp; c",
            "urgency": 2,
        })
    );
}
