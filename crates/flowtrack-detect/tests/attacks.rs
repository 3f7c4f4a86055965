//! Real attacks with real tools, and what looks like them, in network namespaces of their own.
//!
//! Captured live, through the packet path, by the detectors: as in the program, without its
//! threads. Needs root, `ip`, `nmap`, `hping3` and `curl`; says what it lacks where it skips.

#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "captures live, starts tools and serves them")]
#![allow(clippy::disallowed_types, reason = "threads of a test share what they found")]
#![allow(clippy::disallowed_macros, reason = "a skipped test says why, and what it found")]

use flowtrack_capture::{Burst, LiveConfig, open_live};
use flowtrack_detect::{Config, DetectorSet, Networks};
use flowtrack_engine::{Config as EngineConfig, Engine, Output, Seed, Tell};
use flowtrack_event::{Detection, Event, Timestamp};
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

const ATTACKER: &str = "10.77.0.1";
const VICTIM: &str = "10.77.0.2";
/// How soon an attack has to be noticed.
const SOON: Duration = Duration::from_secs(10);
/// Detectors of this test; others are tested elsewhere.
const RATES: [&str; 5] = ["connection_flood", "ddos", "port_scan", "spikes", "syn_flood"];

/// Two hosts on a link; removed on drop.
struct Lab {
    attacker: String,
    victim: String,
}

impl Lab {
    fn new() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: network namespaces need root");
            return None;
        }
        for tool in ["ip", "nmap", "hping3", "curl"] {
            if Command::new(tool).arg("--version").output().is_err() {
                println!("skipped: `{tool}` is not installed (tools/setup.sh test)");
                return None;
            }
        }
        let name = |who: &str| format!("ft-{who}-{}", std::process::id());
        let lab = Self { attacker: name("att"), victim: name("vic") };
        for space in [&lab.attacker, &lab.victim] {
            let made = Command::new("ip").args(["netns", "add", space]).output().unwrap();
            if !made.status.success() {
                println!("skipped: cannot make a network namespace: {made:?}");
                return None;
            }
            ip(&format!("-n {space} link set lo up"));
        }
        let (attacker, victim) = (&lab.attacker, &lab.victim);
        ip(&format!("-n {attacker} link add wire type veth peer name wire netns {victim}"));
        for (space, addr) in [(attacker, ATTACKER), (victim, VICTIM)] {
            ip(&format!("-n {space} addr add {addr}/24 dev wire"));
            ip(&format!("-n {space} link set wire up"));
        }
        Some(lab)
    }

    fn inside<T: Send>(space: &str, f: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/run/netns/{space}")).unwrap();
        std::thread::scope(|scope| {
            let run = || {
                setns(&namespace, CloneFlags::CLONE_NEWNET).unwrap();
                f()
            };
            match scope.spawn(run).join() {
                Ok(answer) => answer,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// What detectors say while `traffic` is made, and up to ten seconds after it began where it
    /// is an attack, with the time since.
    fn watch(
        &self,
        device: &str,
        expects: Expects,
        traffic: &Traffic,
    ) -> Vec<(Duration, Detection)> {
        let space = match traffic {
            Traffic::Across(_) => &self.attacker,
            Traffic::Within(_) => &self.victim,
        };
        let (stop, told) = (AtomicBool::new(false), Mutex::new(Vec::new()));
        let ready = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (stop, told, ready) = (&stop, &told, &ready);
            let victim = self.victim.clone();
            let capture = scope.spawn(move || {
                Self::inside(&victim, || capture(device, stop, ready, told));
            });
            let victim = self.victim.clone();
            let serve = scope.spawn(move || Self::inside(&victim, || serve(stop)));
            while !ready.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(10));
            }
            let begin = Instant::now();
            match traffic {
                Traffic::Across(words) | Traffic::Within(words) => {
                    let mut words = words.split_whitespace();
                    let done = Command::new("ip")
                        .args(["netns", "exec", space])
                        .args(&mut words)
                        .stdout(Stdio::null())
                        .stderr(Stdio::piped())
                        .output()
                        .unwrap();
                    // What is bounded by `timeout` fails on purpose.
                    assert!(
                        done.status.success() || matches!(done.status.code(), Some(1 | 124)),
                        "{done:?}"
                    );
                }
            }
            let is_told = || match expects {
                Expects::Attack(detector, kind) => {
                    told.lock().unwrap().iter().any(|(_, d): &(_, Detection)| {
                        d.detector == detector && (kind.is_empty() || d.kind == kind)
                    })
                }
                Expects::Nothing => false,
            };
            let wait = match expects {
                Expects::Attack(..) => SOON,
                Expects::Nothing => begin.elapsed() + Duration::from_secs(4),
            };
            while begin.elapsed() < wait && !is_told() {
                std::thread::sleep(Duration::from_millis(50));
            }
            stop.store(true, Ordering::Relaxed);
            capture.join().unwrap();
            serve.join().unwrap();
            let mut told = told.lock().unwrap();
            told.drain(..)
                .map(|(at, d): (Instant, Detection)| (at.saturating_duration_since(begin), d))
                .filter(|(_, d)| RATES.contains(&d.detector))
                .collect()
        })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for space in [&self.attacker, &self.victim] {
            let _ = Command::new("ip").args(["netns", "del", space]).output();
        }
    }
}

enum Traffic {
    /// From the attacker to the victim.
    Across(String),
    /// On the victim itself.
    Within(String),
}

#[derive(Clone, Copy)]
enum Expects {
    Attack(&'static str, &'static str),
    Nothing,
}

fn ip(words: &str) {
    let output = Command::new("ip").args(words.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {words}: {output:?}");
}

/// Captures until told to stop.
fn capture(
    device: &str,
    stop: &AtomicBool,
    ready: &AtomicBool,
    told: &Mutex<Vec<(Instant, Detection)>>,
) {
    let config = LiveConfig { interfaces: vec![device.to_owned()], ..LiveConfig::default() };
    let mut source = open_live(&config, 1).unwrap().remove(0);
    let tell = Tell { updates: true, ..Tell::FLOWS.for_detectors() };
    let config = EngineConfig { tell, ..EngineConfig::default() };
    let mut engine = Engine::new(&config, 0, Seed([1, 2, 3, 4]));
    let mut set = DetectorSet::new(&Config::default(), Networks::default());
    let mut out = Output::default();
    let mut said = Vec::new();
    ready.store(true, Ordering::Relaxed);
    while !stop.load(Ordering::Relaxed) {
        let burst = source
            .next_burst(Duration::from_millis(100), &mut |b, _| engine.process(b, &mut out))
            .unwrap();
        if burst == Burst::Idle {
            engine.tick(now(), &mut out);
        }
        set.ingest(&out.events, &mut said);
        out.events.clear();
        set.tick(now(), &mut said);
        for event in said.drain(..) {
            if let Event::Detection(detection) = event {
                told.lock().unwrap().push((Instant::now(), *detection));
            }
        }
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_nanos(since.as_nanos() as i64)
}

/// A web server on port 80: `/big` is 200 MB, everything else 2 kB; one request a connection.
fn serve(stop: &AtomicBool) {
    let server = TcpListener::bind("0.0.0.0:80").unwrap();
    server.set_nonblocking(true).unwrap();
    std::thread::scope(|scope| {
        while !stop.load(Ordering::Relaxed) {
            match server.accept() {
                Ok((stream, _)) => {
                    scope.spawn(move || {
                        let _ = answer(stream);
                    });
                }
                Err(_) => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    });
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.set_write_timeout(Some(Duration::from_secs(2)))?;
    let mut request = [0; 1024];
    let len = stream.read(&mut request)?;
    if len == 0 {
        return Ok(());
    }
    let is_big = request.starts_with(b"GET /big");
    let len = if is_big { 200_000_000 } else { 2_000 };
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n")?;
    let chunk = [b'x'; 16_000];
    let mut left = len;
    while left > 0 {
        let part = left.min(chunk.len());
        stream.write_all(&chunk[..part])?;
        left -= part;
    }
    Ok(())
}

#[test]
fn attacks_are_noticed_within_ten_seconds_and_what_looks_like_them_is_not() {
    let Some(lab) = Lab::new() else { return };
    let across = |words: &str| ("wire", Traffic::Across(words.replace("VICTIM", VICTIM)));
    let within = |words: &str| ("lo", Traffic::Within(words.to_owned()));
    let attack = Expects::Attack;
    let cases = [
        (across("nmap -n -sS VICTIM"), attack("port_scan", "vertical")),
        (across("nmap -n -sT VICTIM"), attack("port_scan", "vertical")),
        (
            across("timeout 8 nmap -n -Pn -sU --top-ports 60 --max-retries 0 VICTIM"),
            attack("port_scan", "vertical"),
        ),
        (across("nmap -n -Pn -sF VICTIM"), attack("port_scan", "odd_flags")),
        (across("nmap -n -Pn -sN VICTIM"), attack("port_scan", "odd_flags")),
        (across("nmap -n -Pn -sX VICTIM"), attack("port_scan", "odd_flags")),
        (across("nmap -n -Pn -sA VICTIM"), attack("port_scan", "vertical")),
        (across("timeout 8 nmap -n -sn 10.77.0.0/24"), attack("port_scan", "arp")),
        (across("timeout 3 hping3 -q -S -p 80 --flood VICTIM"), attack("syn_flood", "one_source")),
        (
            across("timeout 3 hping3 -q -S -p 80 --flood --rand-source VICTIM"),
            attack("syn_flood", "spoofed"),
        ),
        (across("timeout 3 hping3 -q --udp -p 9 --flood VICTIM"), attack("ddos", "source")),
        (across("timeout 3 hping3 -q --icmp --flood VICTIM"), attack("ddos", "")),
        (
            across("timeout 4 hping3 -q -S -p 81 -i u5000 VICTIM"),
            attack("connection_flood", "useless"),
        ),
        (within("nmap -n -sS localhost"), attack("port_scan", "vertical")),
        (
            within("timeout 3 hping3 -q -S -p 80 --flood 127.0.0.1"),
            attack("syn_flood", "one_source"),
        ),
        (across("curl -s http://VICTIM/page/[1-101]"), Expects::Nothing),
        (across("curl -s http://VICTIM/big"), Expects::Nothing),
        (
            across("curl -s --parallel --parallel-max 20 http://VICTIM/busy/[1-600]"),
            Expects::Nothing,
        ),
        (within("curl -s http://127.0.0.1/big"), Expects::Nothing),
        (across("ping -q -c 3 VICTIM"), Expects::Nothing),
    ];
    let mut wrong = Vec::new();
    for ((device, traffic), expects) in &cases {
        let told = lab.watch(device, *expects, traffic);
        let (Traffic::Across(words) | Traffic::Within(words)) = traffic;
        let shown: Vec<_> = told
            .iter()
            .map(|(at, d)| format!("{:.1} s {}/{}", at.as_secs_f64(), d.detector, d.kind))
            .collect();
        println!("{words}: {}", shown.join(", "));
        match expects {
            Expects::Attack(detector, kind) => {
                let is_it =
                    |d: &Detection| d.detector == *detector && (kind.is_empty() || d.kind == *kind);
                match told.iter().find(|(_, d)| is_it(d)) {
                    None => {
                        wrong.push(format!("{words}: not noticed as {detector} {kind}: {shown:?}"));
                    }
                    Some((at, _)) if *at > SOON => wrong.push(format!("{words}: late, {at:?}")),
                    Some((_, found)) => {
                        let attacker: IpAddr = match traffic {
                            Traffic::Across(_) => ATTACKER.parse().unwrap(),
                            Traffic::Within(_) => "127.0.0.1".parse().unwrap(),
                        };
                        let is_right = match (found.kind, found.source) {
                            ("spoofed", source) => source.is_none() && !found.source_proved,
                            (_, source) => source == Some(attacker),
                        };
                        if !is_right {
                            wrong.push(format!("{words}: wrong source: {found:?}"));
                        }
                    }
                }
            }
            Expects::Nothing => {
                for (_, d) in &told {
                    wrong.push(format!("{words}: {}", d.title));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
