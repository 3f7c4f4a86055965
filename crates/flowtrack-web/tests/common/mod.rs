//! A program that does as it is told, and a client that speaks raw HTTP.

#![allow(dead_code)] // Each test binary uses its part.

mod desk;

#[allow(unused_imports)] // Each test binary uses its part.
pub use desk::{Desk, scan};

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use flowtrack_store::live::{FlowRow, HostRow, RatePoint, Snapshot};
use flowtrack_web::{
    AlertDesk, Backend, CaptureProblem, CaptureRequest, CaptureState, CaptureStatus, ChannelState,
    ChannelStatus, ExportKind, ExportRequest, FilterProblem, FlowQuery, Health, HealthPart,
    HealthState, Interface, InterfaceKind, Page, RulesStatus, SeriesQuery, Server, ServerHandle,
    WebConfig,
};

pub const TOKEN: &str = "token-for-programs-0123456789";

/// Remembers what it was asked, answers what it was given.
#[derive(Default)]
pub struct Fake {
    pub snapshot: Mutex<Arc<Snapshot>>,
    pub capture: Mutex<CaptureStatus>,
    pub queries: Mutex<Vec<FlowQuery>>,
    pub series: Mutex<Vec<SeriesQuery>>,
    /// Makes an export fail after this many bytes.
    pub export_fails_after: Mutex<Option<usize>>,
    pub export_was_cut: AtomicBool,
    pub desk: Desk,
}

impl Fake {
    pub fn publish(&self, snapshot: Snapshot) {
        *self.snapshot.lock().unwrap() = Arc::new(snapshot);
    }
}

impl Backend for Fake {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.lock().unwrap())
    }

    fn capture_status(&self) -> CaptureStatus {
        self.capture.lock().unwrap().clone()
    }

    fn health(&self) -> Health {
        let part = HealthPart {
            name: "store".into(),
            state: HealthState::Degraded,
            message: "the disk is full".into(),
        };
        Health { parts: vec![part] }
    }

    fn rules(&self) -> RulesStatus {
        RulesStatus {
            loaded: 29,
            wrong: 1,
            loaded_at_us: Some(1_796_083_200_000_000),
            problem: None,
        }
    }

    fn reload_rules(&self) -> RulesStatus {
        RulesStatus { problem: Some("rules/a.rules is gone".into()), ..self.rules() }
    }

    fn alerts(&self) -> &dyn AlertDesk {
        &self.desk
    }

    fn interfaces(&self) -> anyhow::Result<Vec<Interface>> {
        Ok(vec![Interface {
            name: "eth0".into(),
            description: String::new(),
            kind: InterfaceKind::Device,
            addresses: vec![],
            up: true,
            default_route: true,
        }])
    }

    fn start_capture(&self, request: &CaptureRequest) -> Result<(), CaptureProblem> {
        self.check_filter(&request.filter).map_err(CaptureProblem::Filter)?;
        if request.interfaces == ["forbidden0"] {
            return Err(CaptureProblem::Permission("not permitted; run it with sudo".into()));
        }
        let mut capture = self.capture.lock().unwrap();
        capture.state = CaptureState::Running;
        capture.interfaces.clone_from(&request.interfaces);
        capture.filter.clone_from(&request.filter);
        capture.promiscuous = request.promiscuous;
        Ok(())
    }

    fn stop_capture(&self) -> Result<(), CaptureProblem> {
        self.capture.lock().unwrap().state = CaptureState::Stopped;
        Ok(())
    }

    fn check_filter(&self, bpf: &str) -> Result<(), FilterProblem> {
        match bpf.find("wrong") {
            None => Ok(()),
            Some(at) => {
                Err(FilterProblem { message: "syntax error".into(), column: Some(at as u32 + 1) })
            }
        }
    }

    fn flows(&self, query: &FlowQuery) -> anyhow::Result<Page<FlowRow>> {
        self.queries.lock().unwrap().push(query.clone());
        Ok(Page { rows: vec![flow(7, 70)], next: Some("7:i70".into()) })
    }

    fn flow(&self, run: u64, id: u64) -> anyhow::Result<Option<FlowRow>> {
        Ok((run == 3).then(|| FlowRow { run, ..flow(id, 1) }))
    }

    fn series(&self, query: &SeriesQuery) -> anyhow::Result<Vec<RatePoint>> {
        self.series.lock().unwrap().push(*query);
        Ok(vec![RatePoint { at: query.since, bytes: 9, ..RatePoint::default() }])
    }

    fn channels(&self) -> Vec<ChannelStatus> {
        vec![ChannelStatus {
            name: "ops".into(),
            kind: "slack".into(),
            destination: "the webhook in env:SLACK_URL".into(),
            state: ChannelState::Retrying,
            problem: Some("connection refused".into()),
            retry_at_us: Some(5),
            delivered: 3,
            waiting: 2,
            ..ChannelStatus::default()
        }]
    }

    fn test_channel(&self, name: &str) -> Option<Result<(), String>> {
        match name {
            "ops" => Some(Ok(())),
            "broken" => Some(Err("the service answered 404".into())),
            _ => None,
        }
    }

    fn export(&self, request: &ExportRequest, out: &mut dyn Write) -> anyhow::Result<()> {
        assert!(matches!(request.kind, ExportKind::FlowsCsv | ExportKind::FlowsJson));
        let fails_after = *self.export_fails_after.lock().unwrap();
        let mut written = 0;
        for _ in 0..20_000 {
            if fails_after.is_some_and(|limit| written >= limit) {
                anyhow::bail!("the disk went away");
            }
            if let Err(error) = out.write_all(&[b'x'; 1_000]) {
                self.export_was_cut.store(true, Ordering::SeqCst);
                return Err(error.into());
            }
            written += 1_000;
        }
        Ok(())
    }
}

/// A flow with a name that would like to be markup.
pub fn flow(id: u64, bytes: u64) -> FlowRow {
    FlowRow {
        id,
        src_ip: "192.0.2.1".into(),
        src_name: Some("<script>alert(1)</script>".into()),
        src_port: 40_000,
        dest_ip: "192.0.2.2".into(),
        dest_port: 443,
        proto: "TCP".into(),
        app_proto: Some("tls".into()),
        bytes_toserver: bytes,
        state: "established".into(),
        ..FlowRow::default()
    }
}

pub fn snapshot(revision: u64, flows: Vec<FlowRow>) -> Snapshot {
    let at = revision as i64;
    Snapshot {
        revision,
        at,
        seconds: vec![RatePoint { at, bytes: 5, ..RatePoint::default() }],
        talkers: vec![HostRow { addr: "192.0.2.1".into(), ..HostRow::default() }],
        flows,
        ..Snapshot::default()
    }
}

/// A server on a port of its own.
pub struct Site {
    pub fake: Arc<Fake>,
    pub server: ServerHandle,
}

pub fn site() -> Site {
    site_with(WebConfig::default())
}

pub fn site_with(config: WebConfig) -> Site {
    let fake = Arc::new(Fake::default());
    fake.publish(snapshot(1, vec![flow(1, 10), flow(2, 30), flow(3, 20)]));
    let config =
        WebConfig { listen: ([127, 0, 0, 1], 0).into(), api_token: Some(TOKEN.into()), ..config };
    let server = Server::start(config, Arc::clone(&fake) as Arc<dyn Backend>).unwrap();
    Site { fake, server }
}

impl Site {
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// `http://127.0.0.1:PORT`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// Sends a request as it stands, adding `Host` and `Connection`.
    pub fn ask(&self, head: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let host = self.addr().to_string();
        let mut all = vec![("Host", host.as_str())];
        all.extend(headers);
        self.ask_raw(head, &all, body)
    }

    /// Sends a request that brings its own `Host`.
    pub fn ask_raw(&self, head: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut stream = self.open(head, headers, body);
        let mut bytes = Vec::new();
        // A cut transfer ends with an error; what came before it counts.
        let _ = stream.read_to_end(&mut bytes);
        Answer::parse(&bytes)
    }

    pub fn open(&self, head: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.addr()).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let mut text = format!("{head} HTTP/1.1\r\nConnection: close\r\n");
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            text +=
                &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        }
        // A server that has heard enough may close before it has heard all.
        let _ = stream.write_all(format!("{text}\r\n{body}").as_bytes());
        stream
    }

    /// A `GET` with the API token.
    pub fn get(&self, path: &str) -> Answer {
        let bearer = format!("Bearer {TOKEN}");
        self.ask(&format!("GET {path}"), &[("Authorization", &bearer)], "")
    }

    /// A `PUT` with the API token.
    pub fn put(&self, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {TOKEN}");
        self.ask(&format!("PUT {path}"), &[("Authorization", &bearer)], body)
    }

    /// A `POST` with the API token.
    pub fn post(&self, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {TOKEN}");
        self.ask(&format!("POST {path}"), &[("Authorization", &bearer)], body)
    }

    /// A `DELETE` with the API token.
    pub fn delete(&self, path: &str) -> Answer {
        let bearer = format!("Bearer {TOKEN}");
        self.ask(&format!("DELETE {path}"), &[("Authorization", &bearer)], "")
    }

    /// Follows a new one-time link; gives the cookie.
    pub fn sign_in(&self) -> String {
        let url = self.server.login_url().unwrap();
        let path = url.strip_prefix(&self.origin()).unwrap();
        let answer = self.ask(&format!("GET {path}"), &[], "");
        assert_eq!(answer.status, 303);
        answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
    }
}

pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether a chunked body had its end.
    pub complete: bool,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {}", String::from_utf8_lossy(bytes)));
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let raw = &bytes[end + 4..];
        let chunked = headers.iter().any(|(n, v)| n == "transfer-encoding" && v == "chunked");
        let (body, complete) = if chunked { dechunk(raw) } else { (raw.to_vec(), true) };
        Self { status, headers, body, complete }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

fn dechunk(mut raw: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = raw.windows(2).position(|w| w == b"\r\n") else { return (body, false) };
        let size = std::str::from_utf8(&raw[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        raw = &raw[end + 2..];
        if size == 0 {
            return (body, true);
        }
        if raw.len() < size + 2 {
            return (body, false);
        }
        body.extend_from_slice(&raw[..size]);
        raw = &raw[size + 2..];
    }
}

/// A live stream that is read event by event.
pub struct Live {
    reader: BufReader<TcpStream>,
}

#[derive(Debug)]
pub struct Event {
    pub name: String,
    pub id: String,
    pub data: serde_json::Value,
}

impl Live {
    pub fn open(site: &Site, query: &str) -> Self {
        let host = site.addr().to_string();
        let bearer = format!("Bearer {TOKEN}");
        let headers = [("Host", host.as_str()), ("Authorization", bearer.as_str())];
        let stream = site.open(&format!("GET /api/v1/live{query}"), &headers, "");
        let mut live = Self { reader: BufReader::new(stream) };
        assert!(live.line().starts_with("HTTP/1.1 200"));
        while !live.line().is_empty() {}
        live
    }

    /// The next event of flows and numbers.
    pub fn next(&mut self) -> Event {
        loop {
            let event = self.next_of_all();
            if event.name != "alerts" {
                return event;
            }
        }
    }

    /// The next event of alerts.
    pub fn next_alerts(&mut self) -> Event {
        loop {
            let event = self.next_of_all();
            if event.name == "alerts" {
                return event;
            }
        }
    }

    /// The next event that is no ping.
    fn next_of_all(&mut self) -> Event {
        let mut event = Event { name: String::new(), id: String::new(), data: ().into() };
        loop {
            // Sizes of chunks are lines too; they have no colon.
            let line = self.line();
            if let Some(name) = line.strip_prefix("event: ") {
                event.name = name.into();
            } else if let Some(id) = line.strip_prefix("id: ") {
                event.id = id.into();
            } else if let Some(data) = line.strip_prefix("data: ") {
                event.data = serde_json::from_str(data).unwrap();
                return event;
            }
        }
    }

    /// Whether the server ends the stream.
    pub fn ends(&mut self) -> bool {
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest).is_ok()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.reader.read_line(&mut line).unwrap();
        assert!(read > 0, "the stream ended");
        line.trim_end().into()
    }
}
