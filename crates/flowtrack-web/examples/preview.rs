//! Serves the dashboard with invented traffic, for work on the front end.
//!
//! `cargo run -p flowtrack-web --example preview [ADDR:PORT]` prints a link to open. Nothing here
//! captures: flows, rates and drops are made up, and some names try to be markup.

// An example is a program: it prints, and its invented world cannot fail.
#![allow(clippy::disallowed_macros)]

#[path = "../tests/common/desk.rs"]
mod desk;

use std::{
    collections::BTreeMap,
    io::Write,
    net::SocketAddr,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use flowtrack_store::live::{FlowRow, HostRow, ProtocolRow, RatePoint, Snapshot};
use flowtrack_web::{
    AlertDesk, Backend, CaptureProblem, CaptureRequest, CaptureState, CaptureStatus, ChannelState,
    ChannelStatus, ExportKind, ExportRequest, FilterProblem, FlowQuery, Health, HealthPart,
    HealthState, Interface, InterfaceKind, Page, RulesStatus, SeriesQuery, Server, WebConfig,
};

fn main() -> Result<()> {
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let listen: SocketAddr = listen.parse().context("give an address and a port")?;
    let preview = Arc::new(Preview::new());
    let config = WebConfig {
        listen,
        api_token: std::env::var("FLOWTRACK_PREVIEW_TOKEN").ok(),
        ..WebConfig::default()
    };
    let server = Server::start(config, Arc::clone(&preview) as Arc<dyn Backend>)?;
    println!("{}", server.login_url()?);
    loop {
        thread::sleep(Duration::from_secs(1));
        preview.world.lock().unwrap().advance();
    }
}

/// The invented program.
struct Preview {
    world: Mutex<World>,
    desk: desk::Desk,
}

/// Invented hosts and flows.
struct World {
    random: Random,
    now: i64,
    next_id: u64,
    flows: Vec<FlowRow>,
    hosts: BTreeMap<String, HostRow>,
    snapshot: Arc<Snapshot>,
    capture: CaptureStatus,
}

impl Preview {
    fn new() -> Self {
        let now = unix_seconds();
        let mut world = World {
            random: Random(0x9e37_79b9_7f4a_7c15),
            now: now - 300,
            next_id: 1,
            flows: Vec::new(),
            hosts: BTreeMap::new(),
            snapshot: Arc::default(),
            capture: CaptureStatus {
                state: CaptureState::Running,
                interfaces: vec!["eth0".into()],
                since_us: Some((now - 300) * 1_000_000),
                recorder: true,
                history: true,
                ..CaptureStatus::default()
            },
        };
        for _ in 0..300 {
            world.advance();
        }
        let desk = desk::Desk::default();
        desk.detect(&desk::scan());
        Self { world: Mutex::new(world), desk }
    }
}

impl World {
    /// One second passes.
    fn advance(&mut self) {
        if self.capture.state != CaptureState::Running {
            return;
        }
        self.now += 1;
        let born = 3 + self.random.below(8);
        for _ in 0..born {
            let flow = self.invent();
            self.flows.push(flow);
        }
        let point = self.traffic(born);
        let now_us = self.now * 1_000_000;
        self.flows.retain(|f| f.end_us > now_us - 120_000_000);
        self.publish(point);
    }

    fn invent(&mut self) -> FlowRow {
        let id = self.next_id;
        self.next_id += 1;
        let (app, proto, port, info) = *self.random.pick(APPS);
        let (name, addr) = *self.random.pick(SERVERS);
        let client = 10 + self.random.below(24);
        let tcp = proto == "TCP";
        let start_us = self.now * 1_000_000 + self.random.below(1_000_000) as i64;
        let rtt = 400 + (self.random.below(400) * self.random.below(400)) as u32;
        FlowRow {
            id,
            src_ip: if client == 17 {
                "2001:db8:52::17".into()
            } else {
                format!("192.168.1.{client}")
            },
            src_name: client.is_multiple_of(5).then(|| format!("desk-{client}.office.example")),
            src_port: 32_768 + self.random.below(28_000) as u16,
            dest_ip: addr.into(),
            dest_name: (!name.is_empty()).then(|| name.to_owned()),
            dest_port: port,
            proto: proto.into(),
            app_proto: (!app.is_empty()).then(|| app.into()),
            in_iface: Some("eth0".into()),
            vlan: client.is_multiple_of(7).then_some(20),
            start_us,
            end_us: start_us,
            state: "new".into(),
            conn_state: if tcp { "S1" } else { "SF" }.into(),
            history: if tcp { "ShAdD" } else { "Dd" }.into(),
            rtt_server_us: tcp.then_some(rtt),
            rtt_client_us: tcp.then_some(60 + self.random.below(400) as u32),
            response_us: Some(rtt + self.random.below(9_000) as u32),
            community_id: format!("1:{:027x}=", u128::from(id) * 0x9e37_79b9_7f4a_7c15),
            info: (!info.is_empty()).then(|| info.to_owned()),
            alerted: self.random.below(60) == 0,
            ..FlowRow::default()
        }
    }

    /// Moves bytes on some flows and adds them up.
    fn traffic(&mut self, born: u64) -> RatePoint {
        let mut shares: BTreeMap<String, u64> = BTreeMap::new();
        let mut point = RatePoint { at: self.now, flows_new: born, ..RatePoint::default() };
        for host in self.hosts.values_mut() {
            (host.rate, host.flows) = (0, 0);
        }
        let wave =
            1.0 + 0.6 * (self.now as f64 / 37.0).sin() + 0.3 * (self.now as f64 / 11.0).cos();
        for flow in &mut self.flows {
            flow.rate = 0;
            let age = self.now - flow.start_us / 1_000_000;
            let life = 2 + (flow.id * 7_919 % 90) as i64;
            if age > life {
                if flow.reason.is_none() {
                    flow.state = if flow.proto == "TCP" { "closed" } else { "established" }.into();
                    flow.reason = Some("timeout".into());
                    if flow.proto == "TCP" {
                        (flow.conn_state, flow.history) = ("SF".into(), "ShADadFf".into());
                    }
                }
                continue;
            }
            flow.state = if age > 0 { "established" } else { "new" }.into();
            flow.end_us = self.now * 1_000_000 + self.random.below(999_999) as i64;
            let heavy = flow.id.is_multiple_of(17);
            let scale = if heavy { 90_000.0 } else { 900.0 } * wave;
            let down = (scale * self.random.unit() * self.random.unit()) as u64 + 60;
            let up = down / 12 + 60;
            let (down_pkts, up_pkts) = (down / 1_100 + 1, up / 300 + 1);
            flow.bytes_toclient += down;
            flow.bytes_toserver += up;
            flow.pkts_toclient += down_pkts;
            flow.pkts_toserver += up_pkts;
            flow.rate = down + up;
            if flow.proto == "TCP" && self.random.below(40) == 0 {
                flow.retransmissions += 1;
                point.retransmissions += 1;
                flow.lost += u32::from(self.random.below(6) == 0);
                point.lost += u64::from(self.random.below(6) == 0);
            }
            point.bytes += down + up;
            point.packets += down_pkts + up_pkts;
            point.tcp_segments += if flow.proto == "TCP" { down_pkts } else { 0 };
            let name = flow.app_proto.clone().unwrap_or_else(|| flow.proto.to_lowercase());
            *shares.entry(name).or_default() += down + up;
            let sides = [
                (&flow.src_ip, &flow.src_name, up, down),
                (&flow.dest_ip, &flow.dest_name, down, up),
            ];
            for (addr, name, out, into) in sides {
                let host = self.hosts.entry(addr.clone()).or_default();
                host.addr.clone_from(addr);
                host.name.clone_from(name);
                host.bytes_out += out;
                host.bytes_in += into;
                host.packets += down_pkts + up_pkts;
                host.rate += out + into;
                host.flows += 1;
            }
        }
        let median = 2_000.0 + 1_500.0 * wave * self.random.unit();
        point.rtt_p50_us = Some(median as u32);
        point.rtt_p95_us = Some((median * (3.0 + self.random.unit())) as u32);
        point.rtt_p99_us = Some((median * (6.0 + 8.0 * self.random.unit())) as u32);
        point.shares = shares.into_iter().collect();
        point.shares.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        point
    }

    fn publish(&mut self, point: RatePoint) {
        let mut next = Snapshot::clone(&self.snapshot);
        next.revision += 1;
        next.at = self.now;
        next.totals.packets += point.packets;
        next.totals.bytes += point.bytes;
        next.totals.flows += point.flows_new;
        next.totals.anomalies += u64::from(self.random.below(9) == 0);
        next.totals.kernel_drops += if self.random.below(50) == 0 { 12 } else { 0 };
        next.seconds.push(point);
        if next.seconds.len() > Snapshot::SECONDS {
            next.seconds.remove(0);
        }
        let mut protocols: BTreeMap<&str, ProtocolRow> = BTreeMap::new();
        for (name, bytes) in next.seconds.iter().flat_map(|s| &s.shares) {
            let row = protocols.entry(name).or_default();
            row.protocol.clone_from(name);
            row.bytes += bytes;
            row.packets += bytes / 700;
        }
        let mut protocols: Vec<_> = protocols.into_values().collect();
        protocols.sort_by_key(|row| std::cmp::Reverse(row.bytes));
        next.protocols = protocols;
        next.talkers = self.hosts.values().cloned().collect();
        next.talkers.sort_by_key(|h| std::cmp::Reverse(h.bytes_in + h.bytes_out));
        next.flows.clone_from(&self.flows);
        next.flows.sort_by_key(|f| std::cmp::Reverse(f.end_us));
        next.flows_active = self.flows.iter().filter(|f| f.reason.is_none()).count() as u64;
        self.snapshot = Arc::new(next);
    }
}

impl Backend for Preview {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.world.lock().unwrap().snapshot)
    }

    fn capture_status(&self) -> CaptureStatus {
        self.world.lock().unwrap().capture.clone()
    }

    fn alerts(&self) -> &dyn AlertDesk {
        &self.desk
    }

    fn health(&self) -> Health {
        let part = |name: &str, state, message: &str| HealthPart {
            name: name.into(),
            state,
            message: message.into(),
        };
        let drops = self.snapshot().totals.kernel_drops;
        let capture = match drops {
            0 => part("capture", HealthState::Ok, ""),
            n => part("capture", HealthState::Degraded, &format!("the kernel dropped {n} packets")),
        };
        Health {
            parts: vec![
                capture,
                part("store", HealthState::Ok, "history of the last 7 days, 1.2 GB"),
                part("recorder", HealthState::Off, ""),
            ],
        }
    }

    fn channels(&self) -> Vec<ChannelStatus> {
        let channel = |name: &str, kind: &str, destination: &str| ChannelStatus {
            name: name.into(),
            kind: kind.into(),
            destination: destination.into(),
            ..ChannelStatus::default()
        };
        vec![
            ChannelStatus {
                state: ChannelState::Ok,
                delivered: 12,
                ..channel("ops", "slack", "the webhook in env:SLACK_URL")
            },
            ChannelStatus {
                state: ChannelState::Retrying,
                problem: Some("Connection refused (os error 111)".into()),
                waiting: 3,
                ..channel("mail", "email", "ops@example.org by mail.example.org:587")
            },
        ]
    }

    fn test_channel(&self, name: &str) -> Option<Result<(), String>> {
        match name {
            "ops" => Some(Ok(())),
            "mail" => Some(Err("Connection refused (os error 111)".into())),
            _ => None,
        }
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

    fn interfaces(&self) -> Result<Vec<Interface>> {
        let interface = |name: &str, kind, addr: &str, up| Interface {
            name: name.into(),
            description: String::new(),
            kind,
            addresses: if addr.is_empty() { vec![] } else { vec![addr.into()] },
            up,
            default_route: name == "eth0",
        };
        Ok(vec![
            interface("eth0", InterfaceKind::Device, "192.168.1.2/24", true),
            interface("wlan0", InterfaceKind::Device, "", false),
            interface("docker0", InterfaceKind::Device, "172.17.0.1/16", true),
            interface("lo", InterfaceKind::Loopback, "127.0.0.1/8", true),
            interface("any", InterfaceKind::Any, "", true),
        ])
    }

    fn start_capture(&self, request: &CaptureRequest) -> Result<(), CaptureProblem> {
        self.check_filter(&request.filter).map_err(CaptureProblem::Filter)?;
        let known = self.interfaces().map_err(CaptureProblem::Failed)?;
        if let Some(name) = request.interfaces.iter().find(|n| known.iter().all(|i| i.name != **n))
        {
            return Err(CaptureProblem::Request(format!("there is no interface \"{name}\"")));
        }
        let mut world = self.world.lock().unwrap();
        world.capture.state = CaptureState::Running;
        world.capture.interfaces.clone_from(&request.interfaces);
        world.capture.filter.clone_from(&request.filter);
        world.capture.promiscuous = request.promiscuous;
        world.capture.since_us = Some(unix_seconds() * 1_000_000);
        world.now = unix_seconds();
        Ok(())
    }

    fn stop_capture(&self) -> Result<(), CaptureProblem> {
        self.world.lock().unwrap().capture.state = CaptureState::Stopped;
        Ok(())
    }

    /// Not the language of tcpdump: only enough to see how an error looks.
    fn check_filter(&self, bpf: &str) -> Result<(), FilterProblem> {
        match bpf.find(['(', '=', '?']) {
            None => Ok(()),
            Some(at) => {
                Err(FilterProblem { message: "syntax error".into(), column: Some(at as u32 + 1) })
            }
        }
    }

    fn flows(&self, query: &FlowQuery) -> Result<Page<FlowRow>> {
        let snapshot = self.snapshot();
        let mut rows = snapshot.flows.clone();
        rows.retain(|row| query.filter.matches(row));
        rows.truncate(query.limit);
        Ok(Page { rows, next: None })
    }

    fn flow(&self, _run: u64, id: u64) -> Result<Option<FlowRow>> {
        Ok(self.snapshot().flows.iter().find(|row| row.id == id).cloned())
    }

    fn series(&self, query: &SeriesQuery) -> Result<Vec<RatePoint>> {
        let span = query.since..query.until;
        let snapshot = self.snapshot();
        Ok(snapshot.seconds.iter().filter(|p| span.contains(&p.at)).cloned().collect())
    }

    fn export(&self, request: &ExportRequest, out: &mut dyn Write) -> Result<()> {
        let snapshot = self.snapshot();
        let rows = snapshot.flows.iter().filter(|row| request.filter.matches(*row));
        match request.kind {
            ExportKind::FlowsCsv => {
                writeln!(out, "id,src_ip,dest_ip,bytes")?;
                for f in rows {
                    let bytes = f.bytes_toserver + f.bytes_toclient;
                    writeln!(out, "{},{},{},{bytes}", f.id, f.src_ip, f.dest_ip)?;
                }
            }
            ExportKind::FlowsJson => {
                let ids: Vec<u64> = rows.map(|row| row.id).collect();
                writeln!(out, "{ids:?}")?;
            }
            ExportKind::AlertsCsv
            | ExportKind::AlertsJson
            | ExportKind::PacketsPcap
            | ExportKind::PacketsPcapng => {
                anyhow::bail!("the preview exports flows only");
            }
        }
        Ok(())
    }
}

fn unix_seconds() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_secs() as i64
}

/// Xorshift: the preview shall look the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn unit(&mut self) -> f64 {
        self.below(1_000) as f64 / 1_000.0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

/// Application protocol, transport, port and what was said.
const APPS: &[(&str, &str, u16, &str)] = &[
    ("tls", "TCP", 443, "TLS 1.3 www.example.org"),
    ("tls", "TCP", 443, "TLS 1.3 cdn.example.net"),
    ("tls", "TCP", 443, ""),
    ("quic", "UDP", 443, "QUIC v1 video.example.com"),
    ("quic", "UDP", 443, ""),
    ("http", "TCP", 80, "GET example.org/index.html 200"),
    ("http", "TCP", 80, "GET x/<img src=x onerror=\"document.title='XSS'\"> 404"),
    ("dns", "UDP", 53, "A www.example.org = 192.0.2.10"),
    ("dns", "UDP", 53, "AAAA cdn.example.net = 2001:db8::1"),
    ("ssh", "TCP", 22, "SSH-2.0-OpenSSH_9.2"),
    ("smb", "TCP", 445, "SMB 3.1.1"),
    ("ntp", "UDP", 123, ""),
    ("", "TCP", 5432, ""),
    ("", "ICMP", 0, ""),
];

const SERVERS: &[(&str, &str)] = &[
    ("www.example.org", "192.0.2.10"),
    ("cdn.example.net", "198.51.100.23"),
    ("video.example.com", "203.0.113.99"),
    ("files.office.example", "192.168.1.5"),
    ("<script>document.title='XSS'</script>", "192.0.2.66"),
    (
        "a-very-long-name-that-does-not-end-soon.storage.region-eu-central-1.example.com",
        "2001:db8:85a3::8a2e:370:7334",
    ),
    ("", "198.51.100.200"),
    ("", "192.168.1.1"),
];
