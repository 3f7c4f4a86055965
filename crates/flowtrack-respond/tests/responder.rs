//! The responder with a firewall that only remembers, in a time that the test makes.

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowtrack_event::{BlockPhase, Severity, Timestamp};
use flowtrack_respond::{
    Blocker, Command, Decision, FirewallError, Nature, OpenError, Reply, Request, RespondConfig,
    Responder, Stopped, Surroundings, Trigger, What, When,
};

/// What the firewall holds, and what it is to say.
#[derive(Default)]
struct Shared {
    held: Vec<What>,
    stopped: u64,
    is_broken: bool,
    /// It never ends a block by itself.
    lets_stay: bool,
    /// It lists nothing of what it holds.
    is_silent: bool,
    is_gone: bool,
}

#[derive(Clone, Default)]
struct Remembers {
    shared: Arc<Mutex<Shared>>,
}

impl Remembers {
    fn held(&self) -> Vec<String> {
        self.shared.lock().unwrap().held.iter().map(ToString::to_string).collect()
    }
}

impl Blocker for Remembers {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn nature(&self) -> Nature {
        let ends_blocks = !self.shared.lock().unwrap().lets_stay;
        Nature { ends_blocks, ..Nature::default() }
    }

    fn start(&mut self, blocks: &[Decision], _now: Timestamp) -> Result<(), FirewallError> {
        let mut shared = self.shared.lock().unwrap();
        if shared.is_broken {
            return Err(FirewallError::Missing("memory"));
        }
        shared.is_gone = false;
        shared.held = blocks.iter().map(Decision::what).collect();
        Ok(())
    }

    fn change(
        &mut self,
        added: &[Decision],
        removed: &[What],
        _now: Timestamp,
    ) -> Result<(), FirewallError> {
        let mut shared = self.shared.lock().unwrap();
        if shared.is_broken {
            return Err(FirewallError::Missing("memory"));
        }
        if shared.is_gone {
            return Err(FirewallError::Gone);
        }
        let added: Vec<What> = added.iter().map(Decision::what).collect();
        shared.held.retain(|held| !removed.contains(held) && !added.contains(held));
        shared.held.extend(added);
        Ok(())
    }

    fn list(&mut self) -> Result<Vec<Stopped>, FirewallError> {
        let shared = self.shared.lock().unwrap();
        if shared.is_gone {
            return Err(FirewallError::Gone);
        }
        let stopped = |&what| Stopped { what, packets: shared.stopped, bytes: 60 * shared.stopped };
        let listed = shared.held.iter().filter(|_| !shared.is_silent);
        Ok(listed.map(stopped).collect())
    }

    fn clear(&mut self) -> Result<(), FirewallError> {
        self.shared.lock().unwrap().held.clear();
        Ok(())
    }
}

struct Bench {
    folder: tempfile::TempDir,
    firewall: Remembers,
    around: Arc<Mutex<Surroundings>>,
    config: RespondConfig,
    responder: Option<Responder>,
    now: Timestamp,
}

impl Bench {
    fn new(config: RespondConfig) -> Self {
        let around = Surroundings {
            own: vec![(address("192.0.2.10"), 24)],
            admin_ports: vec![22],
            ..Surroundings::default()
        };
        let mut bench = Self {
            folder: tempfile::tempdir().unwrap(),
            firewall: Remembers::default(),
            around: Arc::new(Mutex::new(around)),
            config,
            responder: None,
            now: Timestamp::from_secs(1_800_000_000),
        };
        bench.open();
        bench
    }

    fn automatic() -> Self {
        Self::new(RespondConfig { automatic: true, ..RespondConfig::default() })
    }

    fn open(&mut self) {
        self.responder = None;
        self.responder = Some(open(self, self.folder.path()).unwrap());
    }

    fn responder(&mut self) -> &mut Responder {
        self.responder.as_mut().unwrap()
    }

    /// Passes this many seconds, ticking each.
    fn pass(&mut self, secs: u64) {
        for _ in 0..secs {
            self.now = self.now.plus(Duration::from_secs(1));
            let now = self.now;
            self.responder().tick(now);
        }
    }

    fn judge(&mut self, triggers: &[Trigger]) {
        let now = self.now;
        self.responder().judge(triggers, now);
    }

    fn answer(&mut self, command: Command) -> Reply {
        let now = self.now;
        self.responder().answer(command, now)
    }

    fn answer_alone(&mut self, command: Command) -> Reply {
        let now = self.now;
        self.responder().answer_alone(command, now)
    }

    fn block(&mut self, what: &str, secs: u64, confirm: bool) -> Reply {
        let request = Request {
            what: what.parse().unwrap(),
            secs: Some(secs),
            who: "admin".into(),
            why: "test".into(),
            confirm,
        };
        self.answer(Command::Block { requests: vec![request] })
    }

    /// What happened, as `PHASE WHAT`.
    fn happened(&mut self) -> Vec<String> {
        let events = self.responder().take_events();
        let phase = |phase| serde_json::to_value::<BlockPhase>(phase).unwrap();
        events.iter().map(|e| format!("{} {}", phase(e.phase).as_str().unwrap(), e.what)).collect()
    }
}

fn open(bench: &Bench, folder: &Path) -> Result<Responder, OpenError> {
    let around = Arc::clone(&bench.around);
    let look = Box::new(move || around.lock().unwrap().clone());
    let firewall = Box::new(bench.firewall.clone());
    Responder::open(bench.config.clone(), firewall, look, folder, bench.now)
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn attack(source: &str) -> Trigger {
    Trigger {
        source: Some(address(source)),
        target: Some(address("192.0.2.10")),
        target_port: Some(22),
        is_tcp: true,
        source_proved: true,
        detector: "brute_force",
        sid: 7,
        category: "credential access".into(),
        severity: Severity::High,
        title: format!("{source} guesses passwords"),
    }
}

fn refused(reply: &Reply) -> &str {
    match reply {
        Reply::Refused { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_attacker_is_blocked_until_the_time_is_over_and_longer_when_it_comes_back() {
    let mut bench = Bench::automatic();
    bench.judge(&[attack("203.0.113.5"), attack("::ffff:203.0.113.5")]);
    assert_eq!(bench.happened(), ["added 203.0.113.5"]);
    assert_eq!(bench.firewall.held(), ["203.0.113.5"]);
    bench.judge(&[attack("203.0.113.5")]);
    assert!(bench.happened().is_empty(), "it is blocked already");
    bench.firewall.shared.lock().unwrap().stopped = 9;
    bench.pass(3_599);
    assert_eq!(bench.firewall.held(), ["203.0.113.5"]);
    bench.pass(1);
    assert!(bench.firewall.held().is_empty());
    let events = bench.responder().take_events();
    assert_eq!(
        (events[0].phase, events[0].packets, events[0].bytes),
        (BlockPhase::Expired, 9, 540)
    );
    assert!(events[0].why.contains("guesses passwords"), "{}", events[0].why);
    for secs in [4 * 3_600, 16 * 3_600, 64 * 3_600, 7 * 86_400, 7 * 86_400] {
        bench.judge(&[attack("203.0.113.5")]);
        let event = &bench.responder().take_events()[0];
        assert_eq!(event.until.unwrap().since(event.ts).as_secs(), secs);
        let whats = vec!["203.0.113.5".parse().unwrap()];
        bench.answer(Command::Unblock { whats, who: "admin".into() });
        bench.happened();
    }
}

#[test]
fn without_automatic_blocking_it_is_only_said() {
    let mut bench = Bench::new(RespondConfig::default());
    for _ in 0..5 {
        bench.judge(&[attack("203.0.113.5")]);
    }
    assert_eq!(bench.happened(), ["would_add 203.0.113.5"]);
    assert!(bench.firewall.held().is_empty());
    bench.pass(3_601);
    bench.judge(&[attack("203.0.113.5")]);
    assert_eq!(bench.happened(), ["would_add 203.0.113.5"], "an hour later it is said again");
}

#[test]
fn what_may_be_spoofed_blocks_nobody() {
    let mut bench = Bench::automatic();
    for n in 0..100_000_u32 {
        let spoofed = Trigger {
            source: Some(IpAddr::from((0x0b00_0000 + n).to_be_bytes())),
            source_proved: false,
            is_tcp: n % 2 == 0,
            category: "denial of service".into(),
            ..attack("203.0.113.5")
        };
        bench.judge(&[spoofed]);
        if n % 1_000 == 0 {
            bench.pass(1);
        }
    }
    assert!(bench.firewall.held().is_empty());
    let events = bench.responder().take_events();
    assert!(events.iter().all(|e| e.phase == BlockPhase::Refused) && events.len() < 300);
    assert!(events[0].why.contains("SYN cookies"), "{}", events[0].why);
    let status = bench.responder().status();
    assert_eq!((status.blocks.len(), status.stats.unproved), (0, 100_000));
    assert!(status.stats.untold > 99_000);
}

#[test]
fn a_flooded_service_is_shielded_where_that_is_configured() {
    let config = RespondConfig { automatic: true, request_rate: 100, ..RespondConfig::default() };
    let mut bench = Bench::new(config);
    let flood = |target: &str, port| Trigger {
        source: None,
        target: Some(address(target)),
        target_port: Some(port),
        source_proved: false,
        category: "denial of service".into(),
        ..attack("203.0.113.5")
    };
    bench.judge(&[flood("192.0.2.10", 80), flood("192.0.2.10", 22), flood("192.0.2.99", 80)]);
    assert_eq!(bench.firewall.held(), ["requests/192.0.2.10/80"], "not SSH, and not other hosts");
}

#[test]
fn only_what_settings_describe_is_blocked() {
    let when = |detector: &str, category: &str, severity: &str, secs| When {
        detector: detector.into(),
        category: category.into(),
        severity: severity.into(),
        secs,
    };
    let config = RespondConfig {
        automatic: true,
        when: vec![
            when("port_scan", "", "medium", 60),
            when("sid:2024897", "", "", 0),
            when("", "Denial of Service", "critical", 0),
        ],
        ..RespondConfig::default()
    };
    let mut bench = Bench::new(config);
    let of = |source: &str, detector, sid, category: &str, severity| Trigger {
        detector,
        sid,
        category: category.into(),
        severity,
        ..attack(source)
    };
    bench.judge(&[
        of("203.0.113.1", "port_scan", 1, "reconnaissance", Severity::Medium),
        of("203.0.113.2", "port_scan", 1, "reconnaissance", Severity::Low),
        of("203.0.113.3", "rules", 2_024_897, "", Severity::Info),
        of("203.0.113.4", "rules", 2_024_898, "", Severity::High),
        of("203.0.113.5", "ddos", 3, "denial of service", Severity::Critical),
        of("203.0.113.6", "ddos", 3, "denial of service", Severity::High),
    ]);
    assert_eq!(bench.firewall.held(), ["203.0.113.1", "203.0.113.3", "203.0.113.5"]);
    let status = bench.responder().status();
    let scan = status.blocks.iter().find(|b| b.who == "port_scan").unwrap();
    assert_eq!(scan.until_us - scan.since_us, 60_000_000);
    assert!(status.blocks.iter().any(|b| b.who == "sid:2024897"));
}

#[test]
fn there_are_never_too_many() {
    let config = RespondConfig { max_blocks: 100, ..RespondConfig::default() };
    let mut bench = Bench::new(RespondConfig { automatic: true, ..config });
    let from = |n: u32| attack(&IpAddr::from((0x0b00_0000 + n).to_be_bytes()).to_string());
    let storm: Vec<_> = (0..1_000).map(from).collect();
    bench.judge(&storm);
    assert_eq!(bench.firewall.held().len(), 60, "a minute's worth");
    bench.pass(61);
    bench.judge(&storm);
    assert_eq!(bench.firewall.held().len(), 100, "all there may be");
    assert!(bench.responder().status().stats.held_back > 1_800);
    let why = bench.block("198.51.100.1", 60, false);
    assert!(refused(&why).contains("respond.max_blocks"), "{why:?}");
    let told = bench.happened();
    assert_eq!(told.iter().filter(|what| what.starts_with("refused")).count(), 2, "{told:?}");
}

#[test]
fn what_nobody_confirms_is_undone() {
    let mut bench = Bench::new(RespondConfig::default());
    bench.block("198.51.100.0/24", 3_600, true);
    bench.block("198.51.100.0/25", 60, false);
    assert_eq!(bench.firewall.held(), ["198.51.100.0/24"], "a part of it is refused");
    bench.pass(59);
    assert_eq!(bench.firewall.held(), ["198.51.100.0/24"]);
    bench.pass(1);
    assert!(bench.firewall.held().is_empty());
    assert_eq!(bench.happened(), ["added 198.51.100.0/24", "removed 198.51.100.0/24"]);
    let why = bench.answer(Command::Confirm { whats: vec!["198.51.100.0/24".parse().unwrap()] });
    assert!(refused(&why).contains("is not blocked"));

    bench.block("198.51.100.0/24", 3_600, true);
    bench.pass(30);
    assert!(
        matches!(bench.answer(Command::Confirm { whats: vec![] }), Reply::Done { blocks } if blocks.len() == 1)
    );
    bench.pass(3_600 - 31);
    assert_eq!(bench.firewall.held(), ["198.51.100.0/24"], "as long as it was to last at first");
    bench.pass(1);
    assert!(bench.firewall.held().is_empty());
}

#[test]
fn who_logs_in_is_never_blocked_any_more() {
    let mut bench = Bench::automatic();
    bench.judge(&[attack("203.0.113.5"), attack("203.0.113.6")]);
    bench.happened();
    bench.around.lock().unwrap().admins = vec![address("203.0.113.5")];
    bench.pass(10);
    assert_eq!(bench.firewall.held(), ["203.0.113.6"]);
    bench.judge(&[attack("203.0.113.5")]);
    assert_eq!(bench.happened(), ["removed 203.0.113.5", "refused 203.0.113.5"]);
    assert_eq!(bench.firewall.held(), ["203.0.113.6"]);
    // Who logged in a moment ago is known at the next attack.
    bench.judge(&[attack("203.0.113.9")]);
    bench.now = bench.now.plus(Duration::from_millis(1));
    bench.around.lock().unwrap().admins = vec![address("203.0.113.7")];
    bench.judge(&[attack("203.0.113.7")]);
    assert_eq!(bench.firewall.held(), ["203.0.113.6", "203.0.113.9"]);
}

#[test]
fn blocks_outlive_a_program_that_was_killed() {
    let mut bench = Bench::automatic();
    bench.judge(&[attack("203.0.113.5")]);
    bench.firewall.shared.lock().unwrap().stopped = 5;
    bench.pass(10);
    bench.block("2001:db8::/64", 3_600, false);
    assert!(matches!(open(&bench, bench.folder.path()), Err(OpenError::InUse(_))));
    // Killed: nothing is closed, and the host got another address meanwhile.
    bench.responder = None;
    bench.around.lock().unwrap().own = vec![(address("2001:db8::9"), 64)];
    bench.open();
    assert_eq!(bench.firewall.held(), ["203.0.113.5"]);
    assert_eq!(bench.happened(), ["removed 2001:db8::/64"]);
    let status = bench.responder().status();
    assert_eq!((status.blocks[0].packets, &*status.blocks[0].who), (5, "brute_force"));
    bench.firewall.shared.lock().unwrap().stopped = 2;
    bench.pass(10);
    assert_eq!(bench.responder().status().blocks[0].packets, 7, "the firewall counts anew");
    let now = bench.now;
    bench.responder().close(now);
    assert!(bench.firewall.held().is_empty());
}

#[test]
fn the_book_is_written_where_something_changed_and_only_there() {
    let mut bench = Bench::automatic();
    bench.judge(&[attack("203.0.113.5")]);
    let path = bench.folder.path().join("blocks.json");
    // A book that is written anew is there again.
    std::fs::remove_file(&path).unwrap();
    bench.pass(60);
    assert!(!path.exists(), "nothing was stopped");
    bench.firewall.shared.lock().unwrap().stopped = 1;
    bench.pass(20);
    assert!(std::fs::read_to_string(&path).unwrap().contains("\"packets\":1"));
    std::fs::remove_file(&path).unwrap();
    bench.pass(60);
    assert!(!path.exists(), "nothing more was stopped");
    bench.firewall.shared.lock().unwrap().is_gone = true;
    bench.pass(20);
    assert!(path.exists(), "the firewall counts anew");
}

#[test]
fn blocks_stay_behind_where_they_are_to() {
    let mut bench = Bench::new(RespondConfig { keep_on_exit: true, ..RespondConfig::default() });
    bench.block("203.0.113.5", 60, false);
    let now = bench.now;
    bench.responder().close(now);
    assert_eq!(bench.firewall.held(), ["203.0.113.5"]);
    bench.open();
    assert_eq!(bench.responder().status().blocks.len(), 1);
}

#[test]
fn where_the_firewall_ends_nothing_the_program_does() {
    let mut bench = Bench::new(RespondConfig { keep_on_exit: true, ..RespondConfig::default() });
    bench.firewall.shared.lock().unwrap().lets_stay = true;
    assert!(bench.responder().status().notes[0].contains("does not end blocks by itself"));
    for (what, secs) in [("203.0.113.5", 60), ("203.0.113.6", 600)] {
        bench.block(what, secs, false);
    }
    // Killed, and started again when one of them is over.
    bench.responder = None;
    bench.now = bench.now.plus(Duration::from_secs(61));
    assert_eq!(bench.firewall.held(), ["203.0.113.5", "203.0.113.6"]);
    bench.open();
    assert_eq!(bench.firewall.held(), ["203.0.113.6"]);
    bench.pass(600);
    assert!(bench.firewall.held().is_empty());
    // Nothing stays when it ends, whatever the settings say.
    bench.block("203.0.113.7", 600, false);
    let now = bench.now;
    bench.responder().close(now);
    assert!(bench.firewall.held().is_empty());
    // What no book knows goes too.
    bench.firewall.shared.lock().unwrap().held = vec!["203.0.113.8".parse().unwrap()];
    bench.open();
    assert!(bench.firewall.held().is_empty());
}

#[test]
fn a_firewall_that_ends_nothing_is_asked_until_it_does() {
    let mut bench = Bench::new(RespondConfig::default());
    bench.firewall.shared.lock().unwrap().lets_stay = true;
    bench.block("203.0.113.5", 60, false);
    bench.firewall.shared.lock().unwrap().is_broken = true;
    bench.pass(100);
    assert!(bench.responder().status().blocks.is_empty());
    assert_eq!(bench.firewall.held(), ["203.0.113.5"]);
    bench.firewall.shared.lock().unwrap().is_broken = false;
    bench.pass(10);
    assert!(bench.firewall.held().is_empty());
    assert_eq!(bench.responder().status().problem, "");
    // Nor is a person told of an end that is none.
    bench.block("203.0.113.6", 600, false);
    bench.firewall.shared.lock().unwrap().is_gone = true;
    let unblock = Command::Unblock { whats: Vec::new(), who: "admin".into() };
    assert!(matches!(bench.answer(unblock), Reply::Done { .. }));
    assert!(bench.firewall.held().is_empty());
}

#[test]
fn what_a_firewall_that_ends_nothing_does_not_list_is_taken_out_all_the_same() {
    let mut bench = Bench::new(RespondConfig::default());
    bench.firewall.shared.lock().unwrap().lets_stay = true;
    bench.block("203.0.113.5", 600, false);
    bench.firewall.shared.lock().unwrap().is_silent = true;
    bench.pass(11);
    assert!(bench.responder().status().blocks.is_empty());
    assert!(bench.firewall.held().is_empty());
}

#[test]
fn who_ends_right_after_makes_no_block_that_nobody_ends() {
    let mut bench = Bench::new(RespondConfig::default());
    let request = || Request {
        what: "203.0.113.5".parse().unwrap(),
        secs: Some(60),
        who: "admin".into(),
        why: "test".into(),
        confirm: true,
    };
    let block = || Command::Block { requests: vec![request()] };
    assert!(matches!(bench.answer_alone(block()), Reply::Done { .. }));
    bench.firewall.shared.lock().unwrap().lets_stay = true;
    for command in [block(), Command::Confirm { whats: Vec::new() }] {
        let reply = bench.answer_alone(command);
        assert!(refused(&reply).contains("start `flowtrack run`"), "{reply:?}");
    }
    let unblock = Command::Unblock { whats: Vec::new(), who: "admin".into() };
    assert!(matches!(bench.answer_alone(unblock), Reply::Done { .. }));
    assert!(bench.firewall.held().is_empty());
}

#[test]
fn a_firewall_that_refuses_is_told_and_forgotten_when_it_works() {
    let mut bench = Bench::automatic();
    bench.firewall.shared.lock().unwrap().is_broken = true;
    bench.judge(&[attack("203.0.113.5")]);
    assert_eq!(bench.happened(), ["failed 203.0.113.5"]);
    assert!(bench.responder().status().problem.contains("is not installed"));
    let reply = bench.block("203.0.113.6", 60, false);
    assert!(refused(&reply).contains("is not installed"));
    assert!(matches!(reply, Reply::Refused { failed: true, .. }), "the wish was right");
    let reply = bench.block("192.0.2.10", 60, false);
    assert!(matches!(reply, Reply::Refused { failed: false, .. }), "{reply:?}");
    assert!(bench.responder().status().blocks.is_empty());
    bench.firewall.shared.lock().unwrap().is_broken = false;
    bench.block("203.0.113.6", 60, false);
    assert_eq!(bench.firewall.held(), ["203.0.113.6"]);
    assert_eq!(bench.responder().status().problem, "");
}

#[test]
fn what_somebody_else_took_away_is_noticed() {
    let mut bench = Bench::automatic();
    bench.block("203.0.113.5", 600, false);
    bench.block("203.0.113.6", 600, false);
    // The whole table: it comes back. One element: a person wanted that.
    bench.firewall.shared.lock().unwrap().is_gone = true;
    bench.firewall.shared.lock().unwrap().held.clear();
    bench.pass(10);
    assert_eq!(bench.firewall.held(), ["203.0.113.5", "203.0.113.6"]);
    bench.firewall.shared.lock().unwrap().held.remove(0);
    bench.happened();
    bench.pass(10);
    assert_eq!(bench.happened(), ["removed 203.0.113.5"]);
}

#[test]
fn networks_never_overlap_in_the_firewall() {
    let mut bench = Bench::new(RespondConfig::default());
    bench.block("198.51.100.0/26", 60, false);
    bench.block("198.51.100.7", 60, false);
    bench.block("198.51.100.64/26", 6_000, false);
    let why = bench.block("198.51.100.0/24", 600, false);
    assert!(refused(&why).contains("is blocked for longer"), "{why:?}");
    bench.block("198.51.100.0/24", 7_000, false);
    assert_eq!(bench.firewall.held(), ["198.51.100.0/24"]);
    let why = bench.block("198.51.100.7", 60, false);
    assert!(refused(&why).contains("as part of 198.51.100.0/24"), "{why:?}");
    let whats = vec!["198.51.100.7".parse().unwrap()];
    let why = bench.answer(Command::Unblock { whats, who: "admin".into() });
    assert!(refused(&why).contains("as part of 198.51.100.0/24"), "{why:?}");
    let now = bench.now;
    bench.judge(&[attack("198.51.100.8")]);
    assert_eq!(bench.responder().status().blocks.len(), 1, "{now:?}");
}

#[test]
fn a_person_may_change_the_end_of_a_block() {
    let mut bench = Bench::automatic();
    bench.judge(&[attack("203.0.113.5")]);
    bench.firewall.shared.lock().unwrap().stopped = 4;
    bench.block("203.0.113.5", 60, false);
    bench.firewall.shared.lock().unwrap().stopped = 3;
    assert_eq!(bench.happened(), ["added 203.0.113.5", "extended 203.0.113.5"]);
    bench.pass(60);
    let event = &bench.responder().take_events()[0];
    assert_eq!((event.phase, event.packets, &*event.who), (BlockPhase::Expired, 7, "admin"));
}

#[test]
fn all_or_nothing() {
    let mut bench = Bench::new(RespondConfig::default());
    let request = |what: &str| Request {
        what: what.parse().unwrap(),
        secs: None,
        who: "admin".into(),
        why: String::new(),
        confirm: false,
    };
    let requests = ["203.0.113.5", "192.0.2.10"].map(request).to_vec();
    let why = bench.answer(Command::Block { requests });
    assert!(refused(&why).contains("192.0.2.10 is an address of this host"), "{why:?}");
    assert!(bench.firewall.held().is_empty());
    for what in ["22", "0.0.0.0/0", "10.0.0.0/8", "::/0", "224.0.0.1", "127.0.0.1"] {
        let requests = vec![request(what)];
        refused(&bench.answer(Command::Block { requests }));
    }
    assert!(bench.happened().is_empty());
}
