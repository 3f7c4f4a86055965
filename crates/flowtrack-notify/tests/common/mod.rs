//! Servers for tests, and what to send them.

#![allow(dead_code)] // Each test binary uses its part.

use flowtrack_event::{Severity, Timestamp};
use flowtrack_notify::{Keeper, Message, Notice, NotifyConfig, Reason, SendError};
use jiff::tz::TimeZone;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A folder with `.env`, and who reads it.
pub struct Secrets {
    folder: TempDir,
}

impl Secrets {
    pub fn new(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lines: Vec<String> =
            variables.iter().map(|(name, value)| format!("{name}='{value}'")).collect();
        let text = lines.join("\n");
        std::fs::write(folder.path().join(".env"), text).unwrap();
        Self { folder }
    }

    pub fn keeper(&self) -> Keeper {
        Keeper::new([self.folder.path()])
    }
}

/// The configuration of one channel named `c`.
pub fn config(settings: &str) -> NotifyConfig {
    let config: NotifyConfig =
        toml::from_str(&format!("[[channels]]\nname = \"c\"\n{settings}")).unwrap();
    config.check().unwrap();
    config
}

/// Sends a message by channel `c`, as the program does.
pub fn send(settings: &str, secrets: &Secrets, message: &Message) -> Result<(), SendError> {
    let channel = config(settings).channels[0].open();
    let keeper = secrets.keeper();
    let vault = keeper.vault();
    channel.send(message, &vault).map_err(|e| SendError { text: vault.blot(&e.text), ..e })
}

/// A port scan, with a title that would like to be markup.
pub fn notice() -> Notice {
    let at = 1_795_000_000_000_000;
    Notice {
        key: "port_scan|192.0.2.7".into(),
        severity: Severity::High,
        title: "192.0.2.7 scans ports of 10.0.0.5 <script>".into(),
        explanation: "It looks for services.".into(),
        category: "reconnaissance".into(),
        detector: "port_scan".into(),
        source: Some("192.0.2.7".parse().unwrap()),
        target: Some("10.0.0.5".parse().unwrap()),
        target_port: Some(22),
        technique: Some(("T1046".into(), "Network Service Discovery".into())),
        first_seen_us: at - 5_000_000,
        last_seen_us: at,
        count: 320,
        evidence: vec![("ports".into(), "22, 80, 443".into())],
    }
}

/// A message with that.
pub fn message() -> Message {
    Message {
        id: "5f-1-1".into(),
        reason: Reason::Alert,
        notices: vec![notice()],
        more: 0,
        sensor: "gate".into(),
        at: Timestamp::from_secs(1_795_000_000),
        zone: TimeZone::UTC,
    }
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// An HTTP server that writes down what it is asked, and answers as it is told.
pub struct HttpServer {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl HttpServer {
    /// Answers `status line\r\nheaders\r\n\r\nbody`, in turn; the last again and again.
    pub fn start(answers: &[&str]) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), answers)
    }

    pub fn on(listener: TcpListener, answers: &[&str]) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let answers: Vec<String> = answers.iter().map(ToString::to_string).collect();
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for (at, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { break };
                let answer = &answers[at.min(answers.len() - 1)];
                // A client that hangs up before it asked is none.
                if let Some(request) = read_request(&stream) {
                    seen.lock().unwrap().push(request);
                    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
                    let head = format!(
                        "HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                        body.len()
                    );
                    let _ = (&stream).write_all((head + body).as_bytes());
                }
            }
        });
        Self { url, requests }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub fn one(&self) -> Request {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests[0].clone()
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut request = Request { method, path, headers, body: String::new() };
    let length: usize = request.header("content-length").parse().unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).ok()?;
    Some(request)
}

/// A program that ends with its owner.
pub struct Server(pub Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for something that another program does; panics after a minute.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "no {what} within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A certificate authority of one's own, and a certificate of it for `localhost`.
pub struct Certificates {
    folder: TempDir,
}

impl Certificates {
    /// `None` where there is no openssl.
    pub fn make() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let openssl = |arguments: &str| {
            Command::new("openssl")
                .args(arguments.split(' '))
                .current_dir(folder.path())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        };
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30";
        let made = openssl(&format!(
            "req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=FlowTrack-test-CA"
        )) && openssl(&format!(
            "req -x509 {key} -keyout key.pem -out cert.pem -subj /CN=localhost -CA ca.pem -CAkey \
             ca.key -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE"
        ));
        made.then_some(Self { folder })
    }

    pub fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A Python that has this module; Debian's goes before what else is in the path.
pub fn python_with(module: &str) -> Option<&'static str> {
    ["/usr/bin/python3", "python3"].into_iter().find(|python| {
        Command::new(python)
            .args(["-c", &format!("import {module}")])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    })
}

/// Whether a program is there.
pub fn has(program: &str) -> bool {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().any(|d| Path::new(d).join(program).exists())
}
