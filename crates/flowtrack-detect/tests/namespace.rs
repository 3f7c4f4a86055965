//! Detectors beside real servers and real clients, in a network namespace that the test makes.
//!
//! A host of its own behind a pair of virtual interfaces runs OpenSSH, vsftpd and nginx; hydra and
//! ssh come to it from the other side, where the traffic is captured. Skipped, with the reason
//! printed, without root or where a program is not installed.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "servers are programs, and write files")]
#![allow(clippy::disallowed_macros, reason = "a skipped test says why")]
#![allow(clippy::disallowed_types, reason = "who captures and who attacks are two threads")]

use flowtrack_capture::{Burst, LiveConfig, PacketSource as _, open_live};
use flowtrack_detect::{Config, DetectorSet, Networks};
use flowtrack_engine::{Config as EngineConfig, Engine, Output, Seed, Tell};
use flowtrack_event::{Detection, Event, Severity, Timestamp};
use nix::sched::{CloneFlags, setns};
use std::fs::{self, File};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

const CLIENT: &str = "10.77.0.1";
const SERVER: &str = "10.77.0.2";
/// How soon an attack must be noticed.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn guessed_passwords_are_noticed_and_work_is_left_alone() {
    let programs = ["ip", "sshd", "ssh", "ssh-keygen", "hydra", "vsftpd", "nginx", "curl"];
    let Some(lab) = Lab::new(&programs) else { return };
    lab.start_servers();

    // Work: keys that log on thirty times, a person who mistypes three times, a backup.
    let quiet = lab.watch(|_| {
        for _ in 0..30 {
            assert!(lab.ssh_with_key("true"), "the key is let in");
        }
        for _ in 0..3 {
            assert!(!lab.ssh_with_password("wrong"), "a wrong password is refused");
        }
        assert!(lab.ssh_with_key("true"), "then they get in");
        lab.backup(20 * 1024 * 1024);
        for _ in 0..100 {
            lab.client("curl", &["-s", "-o", "/dev/null", &format!("http://{SERVER}/")]);
        }
    });
    let loud: Vec<_> = quiet.iter().filter(|d| d.severity > Severity::Low).collect();
    assert!(loud.is_empty(), "{loud:#?}");

    // Attacks, each from its beginning to the first word of it.
    for (name, service, port) in [("ssh", "ssh", 22), ("ftp", "ftp", 21)] {
        let took = Mutex::new(None);
        let said = lab.watch(|noticed| {
            let began = Instant::now();
            let mut attack = lab.hydra(service);
            while began.elapsed() < SOON && took.lock().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(50));
                if noticed("brute_force", port) {
                    *took.lock().unwrap() = Some(began.elapsed());
                }
            }
            let _ = attack.kill();
            let _ = attack.wait();
        });
        let took = *took.lock().unwrap();
        println!("{name}: noticed after {took:?}");
        assert!(took.is_some(), "{name} was not noticed within {SOON:?}: {said:#?}");
        let guess = said.iter().find(|d| d.detector == "brute_force").unwrap();
        assert_eq!(guess.source, Some(CLIENT.parse::<IpAddr>().unwrap()));
        assert_eq!(guess.target, Some(SERVER.parse::<IpAddr>().unwrap()));
        assert!(guess.source_proved);
    }

    // Basic authentication of a web server, tried by a loop of a real client.
    let said = lab.watch(|_| {
        for i in 0..15 {
            let user = format!("admin:guess{i}");
            let url = format!("http://{SERVER}/private/");
            lab.client("curl", &["-s", "-o", "/dev/null", "-u", &user, &url]);
        }
    });
    assert!(
        said.iter().any(|d| d.detector == "brute_force" && d.target_port == Some(80)),
        "{said:#?}"
    );
    assert!(said.iter().any(|d| d.kind == "clear_text_login"), "{said:#?}");
}

#[test]
fn a_second_dhcp_server_is_noticed() {
    let Some(lab) = Lab::new(&["ip", "dnsmasq", "busybox"]) else { return };
    let serve = |address: &str| {
        lab.server(
            "dnsmasq",
            &[
                "--keep-in-foreground",
                "--port=0",
                "--bind-interfaces",
                "--interface=eth0",
                "--dhcp-range=10.77.0.100,10.77.0.200,1h",
                "--leasefile-ro",
                "--user=root",
                &format!("--listen-address={address}"),
                "--pid-file=",
                "--dhcp-authoritative",
                "--no-ping",
            ],
        )
    };
    let ask = || {
        // One question; what is offered is not taken.
        lab.client(
            "busybox",
            &["udhcpc", "-i", "veth", "-n", "-q", "-t", "2", "-T", "1", "-s", "/bin/true"],
        );
    };
    let mut first = serve(SERVER);
    std::thread::sleep(Duration::from_millis(500));
    let said = lab.watch(|_| {
        ask();
        let _ = first.kill();
        let _ = first.wait();
        lab.ip_of_server(&format!("addr del {SERVER}/24 dev eth0"));
        lab.ip_of_server("addr add 10.77.0.66/24 dev eth0");
        let mut second = serve("10.77.0.66");
        std::thread::sleep(Duration::from_millis(500));
        ask();
        let _ = second.kill();
        let _ = second.wait();
    });
    assert!(said.iter().any(|d| d.kind == "rogue_dhcp"), "{said:#?}");
}

/// Two hosts: the client, on whose interface is captured, and the server.
struct Lab {
    client: String,
    server: String,
    folder: tempfile::TempDir,
    running: Mutex<Vec<Child>>,
}

impl Lab {
    /// None, with the reason printed, where it cannot be.
    fn new(programs: &[&str]) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: network namespaces need root");
            return None;
        }
        for program in programs {
            let found = Command::new("sh")
                .args(["-c", &format!("PATH=$PATH:/usr/sbin:/sbin command -v {program}")])
                .output();
            if !found.is_ok_and(|found| found.status.success()) {
                println!("skipped: {program} is not installed");
                return None;
            }
        }
        let id = std::process::id();
        let count = programs.len();
        let (client, server) = (format!("ft-c-{id}-{count}"), format!("ft-s-{id}-{count}"));
        for name in [&client, &server] {
            let made = Command::new("ip").args(["netns", "add", name]).output();
            if !made.as_ref().is_ok_and(|made| made.status.success()) {
                println!("skipped: cannot make a network namespace: {made:?}");
                return None;
            }
        }
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let lab = Self { client, server, folder, running: Mutex::default() };
        let run = |words: &str| {
            let words: Vec<&str> = words.split(' ').collect();
            let done = Command::new("ip").args(&words).output().unwrap();
            assert!(done.status.success(), "ip {words:?}: {done:?}");
        };
        let (c, s) = (&lab.client, &lab.server);
        run(&format!("-n {c} link add veth type veth peer name eth0 netns {s}"));
        for (name, device, address) in [(c, "veth", CLIENT), (s, "eth0", SERVER)] {
            run(&format!("-n {name} link set lo up"));
            run(&format!("-n {name} addr add {address}/24 dev {device}"));
            run(&format!("-n {name} link set {device} up"));
        }
        Some(lab)
    }

    fn ip_of_server(&self, words: &str) {
        let done = Command::new("ip").args(["-n", &self.server]).args(words.split(' ')).output();
        assert!(done.as_ref().is_ok_and(|done| done.status.success()), "{words}: {done:?}");
    }

    fn in_namespace(name: &str, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", name, program]).args(arguments);
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs a client to its end; whether it succeeded.
    fn client(&self, program: &str, arguments: &[&str]) -> bool {
        Self::in_namespace(&self.client, program, arguments).status().unwrap().success()
    }

    fn server(&self, program: &str, arguments: &[&str]) -> Child {
        Self::in_namespace(&self.server, program, arguments).spawn().unwrap()
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// OpenSSH, vsftpd and nginx; a key of the test is right, every password is wrong.
    fn start_servers(&self) {
        for key in ["host", "user"] {
            let path = self.path(key);
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f", &path])
                .status();
            assert!(made.unwrap().success());
        }
        fs::copy(self.path("user.pub"), self.path("authorized")).unwrap();
        let sshd = self.write(
            "sshd_config",
            &format!(
                "HostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\n\
                 PasswordAuthentication yes\nPermitRootLogin yes\nMaxStartups 100\n\
                 PerSourcePenalties no\n",
                self.path("host"),
                self.path("authorized")
            ),
        );
        // Older ones do not know penalties.
        let known = Command::new("/usr/sbin/sshd").args(["-t", "-f", &sshd]).output();
        if !known.is_ok_and(|known| known.status.success()) {
            let text = fs::read_to_string(&sshd).unwrap().replace("PerSourcePenalties no\n", "");
            fs::write(&sshd, text).unwrap();
        }
        let _ = fs::create_dir("/run/sshd");
        let empty = self.path("empty");
        fs::create_dir(&empty).unwrap();
        let vsftpd = self.write(
            "vsftpd.conf",
            &format!(
                "listen=YES\nlocal_enable=YES\nanonymous_enable=NO\nsecure_chroot_dir={empty}\n\
                 background=NO\nseccomp_sandbox=NO\ndelay_failed_login=0\n"
            ),
        );
        let nginx = self.write(
            "nginx.conf",
            &format!(
                "daemon off; pid {0}/nginx.pid; error_log {0}/error.log; events {{}}\n\
                 http {{ access_log off; client_body_temp_path {0}/b; proxy_temp_path {0}/p;\n\
                 fastcgi_temp_path {0}/f; uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;\n\
                 server {{ listen 80; location / {{ return 200 hello; }}\n\
                 location /private/ {{ auth_basic x; auth_basic_user_file {0}/users; }} }} }}\n",
                self.folder.path().display()
            ),
        );
        self.write("users", "admin:{PLAIN}unguessable\n");
        let mut running = self.running.lock().unwrap();
        running.push(self.server("/usr/sbin/sshd", &["-D", "-f", &sshd]));
        running.push(self.server("vsftpd", &[&vsftpd]));
        running.push(self.server("nginx", &["-c", &nginx]));
        drop(running);
        for port in [21, 22, 80] {
            self.wait_for(port);
        }
    }

    fn wait_for(&self, port: u16) {
        let began = Instant::now();
        let open = || {
            let test = format!("exec 3<>/dev/tcp/{SERVER}/{port}");
            self.client("bash", &["-c", &test])
        };
        while !open() {
            assert!(began.elapsed() < Duration::from_secs(20), "nobody listens on port {port}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn ssh(&self, more: &[&str], command: &str) -> bool {
        let target = format!("root@{SERVER}");
        let mut arguments = vec![
            "-F",
            "/dev/null",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "ConnectTimeout=10",
            "-o",
            "IdentitiesOnly=yes",
        ];
        arguments.extend(more);
        arguments.extend([&target[..], command]);
        self.client("ssh", &arguments)
    }

    fn ssh_with_key(&self, command: &str) -> bool {
        let key = self.path("user");
        self.ssh(&["-i", &key, "-o", "BatchMode=yes"], command)
    }

    /// By a password that is wrong: the test knows no right one.
    fn ssh_with_password(&self, password: &str) -> bool {
        let asking = self.write("ask", &format!("#!/bin/sh\necho {password}\n"));
        fs::set_permissions(Path::new(&asking), fs::Permissions::from_mode(0o755)).unwrap();
        let target = format!("root@{SERVER}");
        Self::in_namespace(
            &self.client,
            "ssh",
            &[
                "-F",
                "/dev/null",
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
                "-o",
                "PubkeyAuthentication=no",
                "-o",
                "NumberOfPasswordPrompts=1",
                &target,
                "true",
            ],
        )
        .env("SSH_ASKPASS", &asking)
        .env("SSH_ASKPASS_REQUIRE", "force")
        .status()
        .unwrap()
        .success()
    }

    /// Sends so many bytes over one session.
    fn backup(&self, bytes: usize) {
        let target = format!("root@{SERVER}");
        let command = format!(
            "head -c {bytes} /dev/zero | ssh -F /dev/null -i {} -o StrictHostKeyChecking=no \
             -o UserKnownHostsFile=/dev/null -o BatchMode=yes {target} 'cat > /dev/null'",
            self.path("user")
        );
        assert!(self.client("sh", &["-c", &command]));
    }

    fn hydra(&self, service: &str) -> Child {
        // OpenSSH turns more away at once than it takes; PAM lets each guess wait.
        let tasks = if service == "ssh" { "4" } else { "16" };
        let words: Vec<String> = (0..200).map(|i| format!("guess{i}")).collect();
        let list = self.write("words", &words.join("\n"));
        let restore = self.folder.path().to_owned();
        let mut hydra = Self::in_namespace(
            &self.client,
            "hydra",
            &["-I", "-t", tasks, "-l", "nobody", "-P", &list, SERVER, service],
        );
        hydra.current_dir(restore).spawn().unwrap()
    }

    /// Captures at the client while `work` runs, which may ask whether a detector said something
    /// of a port; everything that was said.
    fn watch(&self, work: impl FnOnce(&dyn Fn(&str, u16) -> bool)) -> Vec<Detection> {
        let said: Mutex<Vec<Detection>> = Mutex::default();
        let (ready, over) = (AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let capture = scope.spawn(|| {
                let namespace = File::open(format!("/run/netns/{}", self.client)).unwrap();
                setns(&namespace, CloneFlags::CLONE_NEWNET).unwrap();
                Self::capture(&said, &ready, &over);
            });
            while !ready.load(Ordering::Acquire) && !capture.is_finished() {
                std::thread::sleep(Duration::from_millis(10));
            }
            work(&|detector, port| {
                let said = said.lock().unwrap();
                said.iter().any(|d| d.detector == detector && d.target_port == Some(port))
            });
            std::thread::sleep(Duration::from_millis(300));
            over.store(true, Ordering::Release);
        });
        said.into_inner().unwrap()
    }

    fn capture(said: &Mutex<Vec<Detection>>, ready: &AtomicBool, over: &AtomicBool) {
        let config =
            LiveConfig { interfaces: vec!["veth".into()], ring_mib: 16, ..LiveConfig::default() };
        let mut source = open_live(&config, 1).unwrap().remove(0);
        let tell = Tell::LIVE.for_detectors();
        let mut engine =
            Engine::new(&EngineConfig { tell, ..EngineConfig::default() }, 0, Seed([1, 2, 3, 4]));
        let mut set = DetectorSet::new(&Config::default(), Networks::default());
        let (mut out, mut found) = (Output::default(), Vec::new());
        let mut keep = |set: &mut DetectorSet, events: &mut Vec<Event>| {
            set.ingest(events, &mut found);
            events.clear();
            said.lock().unwrap().extend(found.drain(..).filter_map(|event| match event {
                Event::Detection(detection) => Some(*detection),
                _ => None,
            }));
        };
        ready.store(true, Ordering::Release);
        while !over.load(Ordering::Acquire) {
            let burst = source
                .next_burst(Duration::from_millis(50), &mut |b, _| engine.process(b, &mut out));
            if matches!(burst, Ok(Burst::Idle)) {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
                engine.tick(Timestamp::from_nanos(now.as_nanos() as i64), &mut out);
            }
            keep(&mut set, &mut out.events);
        }
        engine.finish(&mut out);
        keep(&mut set, &mut out.events);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for child in self.running.lock().unwrap().iter_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
        for name in [&self.client, &self.server] {
            // Whatever a server left behind inside ends with its namespace.
            let left = Command::new("ip").args(["netns", "pids", name]).output();
            for pid in String::from_utf8_lossy(&left.map(|l| l.stdout).unwrap_or_default()).lines()
            {
                let _ = Command::new("kill").arg(pid).status();
            }
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}
