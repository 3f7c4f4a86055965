//! Real attackers and the real program: noticed, cut off by the real firewall, let in again; and
//! nobody else is.

mod program;

use flowtrack_lab::net::{ATTACKER, NEIGHBOUR, Net, TARGET};
use flowtrack_lab::servers::{Servers, guess, inside, words};
use program::{Program, until};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// How soon an attack has to be noticed.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn the_attacker_and_only_it_is_cut_off_and_let_in_again() {
    let Some(lab) = Lab::new(&["nft", "nmap", "hping3", "curl"]) else { return };
    let settings = [
        "respond.automatic=true",
        "respond.when=[{ severity = \"medium\", secs = 3 }]",
        "respond.repeat_factor=2",
    ];
    let program = Program::start(&lab.net, lab.path(), &settings);
    until("nginx answers", || lab.gets("a") && lab.gets("n"));

    // What anybody may send in the name of another cuts off nobody: a flood in the name of many, and
    // a scan and floods in the name of one who works here all the while.
    let (target, neighbour) = (TARGET[0], NEIGHBOUR[0]);
    let spoofed = [
        (format!("hping3 -q -S -p 80 --flood --rand-source {target}"), "syn_flood/spoofed", ""),
        (format!("hping3 -q --udp -p 9 --flood -a {neighbour} {target}"), "ddos/source", neighbour),
        (
            format!("hping3 -q -S -p ++1 -i u2000 -a {neighbour} {target}"),
            "port_scan/vertical",
            neighbour,
        ),
        (
            format!("hping3 -q -S -p 80 -i u1000 -a {neighbour} {target}"),
            "connection_flood/useless",
            neighbour,
        ),
    ];
    for (attack, kind, source) in spoofed {
        let mut attack = lab.start("a", &attack);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(2) {
            assert!(source.is_empty() || lab.gets("n"));
        }
        until("it is noticed", || told(&program, kind, source));
        end(&mut attack);
    }
    // So does a scan that only asks, although the scanner is there.
    lab.run("a", &format!("nmap -n -sS {target}"));
    until("it is noticed", || told(&program, "port_scan/vertical", ATTACKER[0]));
    assert!(lab.gets("a") && lab.gets("n"));
    let blocked = program.blocked();
    assert_eq!(blocked["blocks"].as_array().unwrap().len(), 0, "{blocked:#}");
    assert_eq!(blocked["past"].as_array().unwrap().len(), 0, "{blocked:#}");
    assert!(blocked["stats"]["unproved"].as_u64().unwrap() >= 4, "{blocked:#}");

    // Who connects, or logs on, proves to be there.
    let attacks = [words(&format!("nmap -n -sT {target}")), guess(lab.path(), "ssh", target)];
    for (attack, who) in attacks.iter().zip(["port_scan", "brute_force"]) {
        // Again where the machine is so busy that it takes long, or is over before anybody looks; each
        // block lasts twice as long as the one before.
        let is_seen = (0..5).any(|_| {
            let begun = Instant::now();
            let mut attack = inside(&lab.net.name("a"), attack);
            let mut attack = attack.current_dir(lab.path()).process_group(0).spawn().unwrap();
            until("the attacker is blocked", || {
                !program.blocked()["blocks"].as_array().unwrap().is_empty()
            });
            let took = begun.elapsed();
            let (is_cut_off, neighbour_gets) = (lab.is_cut_off("a"), lab.gets("n"));
            let sets = lab.net.on_target("nft list table inet flowtrack");
            let blocked = program.blocked();
            end(&mut attack);
            until("it is let in again", || {
                !lab.is_cut_off("a") && program.blocked()["blocks"].as_array().unwrap().is_empty()
            });
            println!("{who}: cut off after {took:.1?}, let in after {:.1?}", begun.elapsed());
            assert!(neighbour_gets && lab.gets("n"), "its neighbour is not cut off");
            let blocks = blocked["blocks"].as_array().unwrap();
            if blocks.is_empty() || took > SOON {
                return false;
            }
            assert!(is_cut_off);
            assert!(sets.contains(ATTACKER[0]) && !sets.contains(neighbour), "{sets}");
            assert_eq!(blocks.len(), 1, "{blocked:#}");
            assert_eq!((&blocks[0]["what"], &blocks[0]["who"]), (&ATTACKER[0].into(), &who.into()));
            assert!(blocks[0]["packets"].as_u64().unwrap() > 0, "{blocked:#}");
            true
        });
        assert!(is_seen, "{who} is not cut off within {SOON:?}");
    }
}

#[test]
fn what_a_newcomer_tries_on_loopback_is_noticed() {
    let Some(lab) = Lab::new(&["nmap", "hping3", "curl"]) else { return };
    let tried = [
        ("nmap -sS localhost", "port_scan/vertical"),
        ("timeout 2 hping3 -q -S -p 80 --flood 127.0.0.1", "syn_flood/one_source"),
        (
            "curl -s -o /dev/null http://localhost -A cmd.exe",
            "FLOWTRACK cmd.exe in the head of a request",
        ),
    ];
    let source = "127.0.0.1";
    let try_all = || {
        // What it remembers of another time would be told at once.
        let folder = tempfile::tempdir_in(lab.path()).unwrap();
        let program = Program::start_with(&["-i", "lo"], &lab.net, folder.path(), &[]);
        until("nginx answers", || lab.run("t", "curl -s -o /dev/null http://localhost"));
        let times = tried.map(|(command, kind)| {
            let begun = Instant::now();
            lab.run("t", command);
            until(command, || told(&program, kind, source));
            println!("{command}: told {:.1?} after it began", begun.elapsed());
            begun.elapsed()
        });
        times.into_iter().max().unwrap()
    };
    // A machine that is busy may take longer, but not each time.
    assert!((0..3).any(|_| try_all() < SOON));
}

#[test]
fn what_was_learned_outlives_the_program() {
    let Some(lab) = Lab::new(&["curl"]) else { return };
    let path = lab.path().join("learned.json");
    std::fs::write(&path, "{ \"version\": 99").unwrap();
    let learned = |kept: &serde_json::Value| kept["network"]["bytes"]["all"]["samples"].as_u64();
    let run_for = |secs| {
        let mut program = Program::start_with(&["-i", "br0"], &lab.net, lab.path(), &[]);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(secs) {
            assert!(lab.gets("a"));
            std::thread::sleep(Duration::from_millis(200));
        }
        program.signal("-TERM");
        let kept: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).expect("it is whole");
        kept
    };
    // Traffic is learned in steps of five seconds, once they are over; a machine that is busy may
    // need more of them.
    let kept = [8, 16, 32].into_iter().map(run_for).find(|kept| learned(kept) > Some(0));
    let kept = kept.expect("something is learned");
    assert_eq!(kept["version"], 1);
    assert!(kept["network"].get("bytes").is_some(), "{kept}");
    let still = run_for(0);
    assert!(learned(&still) >= learned(&kept), "{kept} {still}");
}

/// Three hosts, one of which has servers and the program.
struct Lab {
    _servers: Servers,
    folder: tempfile::TempDir,
    net: Net,
}

impl Lab {
    fn new(programs: &[&str]) -> Option<Self> {
        let programs: Vec<_> =
            programs.iter().chain(&flowtrack_lab::servers::PROGRAMS).copied().collect();
        let net = Net::new(&programs)?;
        let folder = tempfile::tempdir().unwrap();
        let servers = Servers::start(&net.name("t"), folder.path());
        Some(Self { _servers: servers, folder, net })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn start(&self, host: &str, command: &str) -> Child {
        inside(&self.net.name(host), &words(command)).process_group(0).spawn().unwrap()
    }

    /// Whether a command succeeds.
    fn run(&self, host: &str, command: &str) -> bool {
        self.start(host, command).wait().unwrap().success()
    }

    /// Whether a host gets the page of the target; a machine that is busy gets half a minute for it.
    fn gets(&self, host: &str) -> bool {
        (0..5).any(|round| self.gets_within(host, 1 << round))
    }

    /// Whether a host does not get it at once.
    fn is_cut_off(&self, host: &str) -> bool {
        !self.gets_within(host, 1)
    }

    fn gets_within(&self, host: &str, secs: u32) -> bool {
        self.run(host, &format!("curl -s -o /dev/null --max-time {secs} http://{}/", TARGET[0]))
    }
}

/// Ends a program with those that it started.
fn end(program: &mut Child) {
    let group = format!("-{}", program.id());
    let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
    let _ = program.wait();
}

/// Whether there is an alert of this name, from this source.
fn told(program: &Program, name: &str, source: &str) -> bool {
    program.alerts().iter().any(|alert| {
        alert["name"] == name && alert["src_ip"].as_str().unwrap_or_default() == source
    })
}
