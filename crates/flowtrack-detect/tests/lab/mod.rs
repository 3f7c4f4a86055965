//! Three hosts in network namespaces, captured live where the servers are, through the packet path,
//! by the detectors: as in the program, without its threads. Runs rows of attacks and of what looks
//! like them. Needs root and the tools; says what it lacks where it skips.

#![allow(dead_code, reason = "not every test uses all of it")]

use flowtrack_capture::{Burst, LiveConfig, open_live};
use flowtrack_detect::{Config, DetectorSet, Networks};
use flowtrack_engine::{Config as EngineConfig, Engine, Output, Seed, Tell};
use flowtrack_event::{Detection, Event, Severity, Timestamp};
use flowtrack_lab::net::{ATTACKER, NEIGHBOUR, Net, TARGET};
use flowtrack_lab::servers::accounts::{self, Accounts};
use flowtrack_lab::servers::{Servers, guess, inside, words};
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// How soon an attack has to be noticed.
const SOON: Duration = Duration::from_secs(10);
/// How long one waits for it, on a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often an attack is tried that was not noticed soon: a machine that is busy holds up attackers,
/// and whoever watches them, and of several times only the shortest says how long it takes.
const ROUNDS: usize = 3;
/// How long one waits for word of what is harmless, after its end.
const QUIET: Duration = Duration::from_millis(2_500);
/// Waits until somebody listens: `up t 22 $T` by TCP, `up u 53 $T` by UDP.
const UP: &str = "kind=$1 port=$2; shift 2; for i in $(seq 600); do \
                  \"$@\" ss -Hln$kind \"sport = :$port\" | grep -q . && exit; sleep 0.05; done";
/// How a script ends that could not do what it is there for.
const FAILED: i32 = 9;
/// Address of the target that is no private one, for what goes out of the house.
const OUTSIDE: &str = "198.51.100.1";

/// An attack and what looks like it. Both are given to `sh`: `$A`, `$N` and `$T` run a command on
/// the attacker, its neighbour and the target, `$a`, `$n`, `$t` and `$out` are addresses, `$D` is
/// a folder, where `up` waits for a server, `$S` is `ssh` without questions, `$H` is `hydra` with a
/// list of passwords for `me`.
pub struct Row {
    /// Detector and kind; any kind where it ends with `/`.
    pub says: &'static str,
    pub source: Source,
    pub device: &'static str,
    pub attack: &'static str,
    pub harmless: &'static str,
}

/// Whom the detection names.
#[derive(Clone, Copy)]
pub enum Source {
    Attacker,
    Loopback,
    /// Nobody, and nobody is proved.
    Nobody,
    /// Whoever owns what was found, or nobody at all.
    Any,
}

pub const fn row(
    says: &'static str,
    source: Source,
    attack: &'static str,
    harmless: &'static str,
) -> Row {
    Row { says, source, device: "br0", attack, harmless }
}

/// Runs rows; each attack is to be noticed within ten seconds, and what looks like it is not.
pub fn run(lab: &Lab, rows: &[Row]) {
    let only = std::env::var("FLOWTRACK_ROW").unwrap_or_default();
    let mut wrong = Vec::new();
    let is_asked = |row: &&Row| row.says.contains(&only) || row.attack.contains(&only);
    for row in rows.iter().filter(is_asked) {
        for round in 1..=ROUNDS {
            let found = lab.watch(row.device, row.attack, Some(row.says));
            let shown: Vec<_> = found
                .iter()
                .map(|(at, d)| format!("{:.1} s {}/{}", at.as_secs_f64(), d.detector, d.kind))
                .collect();
            println!("{}: {}", row.says, shown.join(", "));
            let late = match found.iter().find(|(_, d)| is_it(d, row.says)) {
                None => format!("{}: not noticed: {}: {shown:?}", row.says, row.attack),
                Some((at, _)) if *at > SOON => format!("{}: late: {shown:?}", row.says),
                Some((_, found)) => {
                    if !is_from(found, row.source) {
                        wrong.push(format!("{}: wrong source: {found:#?}", row.says));
                    }
                    break;
                }
            };
            if round == ROUNDS {
                wrong.push(late);
            }
        }
        if row.harmless.is_empty() {
            continue;
        }
        for (_, d) in lab.watch(row.device, row.harmless, None) {
            println!("    {} {}/{}: {}", d.severity.name(), d.detector, d.kind, d.title);
            if is_it(&d, row.says) || d.severity > Severity::Low {
                wrong.push(format!("{}: harmless: {}", row.says, d.title));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn is_it(said: &Detection, says: &str) -> bool {
    let (detector, kind) = says.split_once('/').unwrap();
    said.detector == detector && (kind.is_empty() || said.kind == kind)
}

fn is_from(said: &Detection, source: Source) -> bool {
    let expected = match source {
        Source::Attacker => ATTACKER[0],
        Source::Loopback => "127.0.0.1",
        Source::Nobody => return said.source.is_none() && !said.source_proved,
        Source::Any => return true,
    };
    said.source == Some(expected.parse::<IpAddr>().unwrap())
}

/// What is learned and awaited is so little that a test has time for it; the thresholds of attacks
/// are those of everybody.
fn config() -> Config {
    let mut config = Config::default();
    config.beacon.min_interval = 0.2;
    config.exfiltration.interval = 1;
    config.exfiltration.min_bytes = 20_000_000;
    config.exfiltration.warm_up = 4;
    config.layer2.learning = 2;
    config
}

/// Three hosts, one of which has servers.
pub struct Lab {
    _servers: Servers,
    accounts: Option<Accounts>,
    _resolver: Resolver,
    folder: tempfile::TempDir,
    net: Net,
}

/// A name server that knows `good.test`, and that nothing else exists; stopped on drop.
struct Resolver(Child);

impl Drop for Resolver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Lab {
    /// With the servers that every test of attacks needs.
    pub fn new() -> Option<Self> {
        Self::with(&[])
    }

    /// With servers that know users, too.
    pub fn with_accounts() -> Option<Self> {
        Self::with(&accounts::PROGRAMS)
    }

    /// With the servers that need these programs, too.
    fn with(more: &[&str]) -> Option<Self> {
        let tools =
            ["sh", "nmap", "nping", "hping3", "curl", "dig", "dnsmasq", "busybox", "ncat", "ssh"];
        let programs: Vec<_> =
            tools.iter().chain(&flowtrack_lab::servers::PROGRAMS).chain(more).copied().collect();
        let net = Net::new(&programs)?;
        net.ip("t", &format!("addr add {OUTSIDE}/32 dev br0"));
        for host in ["a", "n"] {
            net.ip(host, &format!("route add 198.51.100.0/24 via {}", TARGET[0]));
        }
        let folder = tempfile::tempdir().unwrap();
        let servers = Servers::start(&net.name("t"), folder.path());
        let accounts = (!more.is_empty()).then(|| Accounts::start(&net.name("t"), folder.path()));
        let resolver = format!(
            "dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts \
             --bind-interfaces --listen-address={} --user=root --pid-file= --local=/com/ \
             --local=/test/ --address=/good.test/10.77.0.1",
            TARGET[0]
        );
        let resolver = Resolver(inside(&net.name("t"), &words(&resolver)).spawn().unwrap());
        for (host, device) in [("a", "eth0"), ("n", "eth0"), ("t", "br0")] {
            let path = format!("/sys/class/net/{device}/address");
            let read = Command::new("ip")
                .args(["netns", "exec", &net.name(host), "cat", &path])
                .output()
                .unwrap();
            fs::write(folder.path().join(format!("mac.{host}")), read.stdout.trim_ascii()).unwrap();
        }
        let ask = folder.path().join("ask");
        let up = folder.path().join("up");
        for (path, script) in [(&ask, "echo wrong"), (&up, UP)] {
            fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let lab = Self { _servers: servers, accounts, _resolver: resolver, folder, net };
        lab.wait_for_servers();
        Some(lab)
    }

    fn wait_for_servers(&self) {
        let begun = Instant::now();
        let open = |port: u16| {
            let test = format!("exec 3<>/dev/tcp/{}/{port}", TARGET[0]);
            let words = ["bash", "-c", &test].map(str::to_owned);
            inside(&self.net.name("a"), &words).status().unwrap().success()
        };
        let more: &[u16] = if self.accounts.is_some() { &accounts::PORTS } else { &[] };
        let mut closed: Vec<u16> =
            [21, 22, 53, 80, 443, 3306].iter().chain(more).copied().collect();
        loop {
            closed.retain(|&port| !open(port));
            if closed.is_empty() {
                return;
            }
            assert!(begun.elapsed() < Duration::from_mins(2), "nobody listens on {closed:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Starts a script, as the head of a process group.
    fn start(&self, script: &str) -> Child {
        let on = |host: &str| format!("ip netns exec {}", self.net.name(host));
        let folder = self.folder.path();
        let ssh = "ssh -F /dev/null -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
                   -o ConnectTimeout=10 -o IdentitiesOnly=yes -o NumberOfPasswordPrompts=1";
        let dhcp = "dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --bind-interfaces \
                    --dhcp-range=10.77.0.100,10.77.0.200,1h --leasefile-ro --user=root --pid-file= \
                    --dhcp-authoritative --no-ping";
        let ask = "busybox udhcpc -i eth0 -n -q -t 2 -T 1 -s /bin/true";
        Command::new("sh")
            .args(["-c", script])
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin")
            .envs([("A", on("a")), ("N", on("n")), ("T", on("t"))])
            .envs([("a", ATTACKER[0]), ("n", NEIGHBOUR[0]), ("t", TARGET[0]), ("out", OUTSIDE)])
            .envs([("S", ssh), ("DHCP", dhcp), ("ASK", ask), ("SSH_ASKPASS_REQUIRE", "force")])
            .envs([("D", folder.as_os_str()), ("SSH_ASKPASS", folder.join("ask").as_os_str())])
            .envs(accounts::kerberos(folder))
            .env("H", format!("hydra -I -l me -P {}/words", folder.display()))
            .env("HYDRA_SSH", guess(folder, "ssh", TARGET[0]).join(" "))
            .env("HYDRA_FTP", guess(folder, "ftp", TARGET[0]).join(" "))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap()
    }

    /// What detectors say of a script with the time since it began: until they said `awaited`, at
    /// most for a minute; or until a while after its end.
    fn watch(
        &self,
        device: &str,
        script: &str,
        awaited: Option<&str>,
    ) -> Vec<(Duration, Detection)> {
        let told: Mutex<Vec<(Instant, Detection)>> = Mutex::default();
        let (stop, ready) = (AtomicBool::new(false), AtomicBool::new(false));
        let mut begin = Instant::now();
        std::thread::scope(|scope| {
            let capture = scope.spawn(|| {
                self.net.inside("t", || capture(device, &stop, &ready, &told));
            });
            while !ready.load(Ordering::Relaxed) && !capture.is_finished() {
                std::thread::sleep(Duration::from_millis(10));
            }
            begin = Instant::now();
            let mut child = self.start(script);
            let mut ended = None;
            loop {
                std::thread::sleep(Duration::from_millis(50));
                if ended.is_none()
                    && let Some(status) = child.try_wait().unwrap()
                {
                    assert_ne!(status.code(), Some(FAILED), "{script}");
                    ended = Some(Instant::now());
                }
                let is_over = match awaited {
                    Some(says) => {
                        let is_told = told.lock().unwrap().iter().any(|(_, d)| is_it(d, says));
                        let is_past = ended.is_some_and(|at| at.elapsed() > 2 * SOON);
                        is_told || is_past || begin.elapsed() > PATIENCE
                    }
                    None => ended.is_some_and(|at| at.elapsed() > QUIET),
                };
                if is_over {
                    break;
                }
            }
            let group = format!("-{}", child.id());
            let _ = Command::new("kill").args(["--", &group]).stderr(Stdio::null()).status();
            let _ = child.wait();
            stop.store(true, Ordering::Relaxed);
        });
        let told = told.into_inner().unwrap();
        told.into_iter().map(|(at, d)| (at.saturating_duration_since(begin), d)).collect()
    }
}

/// Captures until told to stop.
fn capture(
    device: &str,
    stop: &AtomicBool,
    ready: &AtomicBool,
    told: &Mutex<Vec<(Instant, Detection)>>,
) {
    let interfaces = vec![device.to_owned()];
    let live = LiveConfig { interfaces, promiscuous: true, ..LiveConfig::default() };
    let mut source = open_live(&live, 1).unwrap().remove(0);
    let tell = Tell::LIVE.for_detectors();
    let mut engine =
        Engine::new(&EngineConfig { tell, ..EngineConfig::default() }, 0, Seed([1, 2, 3, 4]));
    let mut set = DetectorSet::new(&config(), Networks::default());
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
