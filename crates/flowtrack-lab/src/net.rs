//! A network of its own for a test: a target, an attacker and a neighbour, each in a namespace.

use crate::namespace::Namespace;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Addresses of the target, towards both others.
pub const TARGET: [&str; 2] = ["10.77.0.1", "2001:db8:77::1"];
/// Addresses of the attacker.
pub const ATTACKER: [&str; 2] = ["10.77.0.2", "2001:db8:77::2"];
/// Addresses of the neighbour, in the same networks.
pub const NEIGHBOUR: [&str; 2] = ["10.77.0.3", "2001:db8:77::3"];
/// Ports that the target serves.
pub const PORTS: [u16; 2] = [8023, 8080];

/// What an answer takes at most on a machine that is not busy.
const AT_ONCE: Duration = Duration::from_millis(400);

/// The three hosts; removed on drop.
pub struct Net {
    target: Namespace,
    attacker: Namespace,
    neighbour: Namespace,
    stop: Arc<AtomicBool>,
    servers: Vec<JoinHandle<()>>,
}

impl Net {
    /// Makes the network, with a service on both ports of the target; none, with the reason
    /// printed, where that is not permitted or a program is missing.
    pub fn new(programs: &[&str]) -> Option<Self> {
        for program in ["ip"].iter().chain(programs) {
            let search = format!("PATH=$PATH:/usr/sbin:/sbin command -v {program}");
            if !Command::new("sh").args(["-c", &search]).output().is_ok_and(|o| o.status.success())
            {
                eprintln!("skipped: `{program}` is not installed");
                return None;
            }
        }
        let mut net = Self {
            target: Namespace::new()?,
            attacker: Namespace::new()?,
            neighbour: Namespace::new()?,
            stop: Arc::default(),
            servers: Vec::new(),
        };
        net.ip("t", "link add br0 type bridge");
        net.ip("t", "link set br0 up");
        for (host, addresses) in [("a", ATTACKER), ("n", NEIGHBOUR)] {
            let other = net.name(host);
            net.ip("t", &format!("link add {host}0 type veth peer name eth0 netns {other}"));
            net.ip("t", &format!("link set {host}0 master br0 up"));
            net.ip(host, "link set eth0 up");
            net.host(host).await_carrier(&["eth0"]);
            net.host("t").await_carrier(&[&format!("{host}0")]);
            net.address(host, "eth0", addresses);
        }
        net.host("t").await_carrier(&["br0"]);
        net.address("t", "br0", TARGET);
        for address in TARGET {
            for port in PORTS {
                let server = net.serve(SocketAddr::new(address.parse().unwrap(), port));
                net.servers.push(server);
            }
        }
        Some(net)
    }

    fn host(&self, host: &str) -> &Namespace {
        match host {
            "t" => &self.target,
            "a" => &self.attacker,
            "n" => &self.neighbour,
            other => panic!("no such host: {other}"),
        }
    }

    /// The namespace of a host: `t`, `a` or `n`.
    pub fn name(&self, host: &str) -> String {
        self.host(host).name.clone()
    }

    fn address(&self, host: &str, iface: &str, [v4, v6]: [&str; 2]) {
        self.ip(host, &format!("addr add {v4}/24 dev {iface}"));
        self.ip(host, &format!("addr add {v6}/64 dev {iface} nodad"));
    }

    /// Runs `ip` on a host with these words.
    pub fn ip(&self, host: &str, words: &str) {
        self.host(host).ip(words);
    }

    /// Runs a program on the target; gives what it prints.
    pub fn on_target(&self, words: &str) -> String {
        String::from_utf8(self.target.run(words).stdout).expect("programs print text")
    }

    /// Runs `f` on a thread of its own on a host; programs that it starts run there too.
    pub fn inside<T: Send>(&self, host: &str, f: impl FnOnce() -> T + Send) -> T {
        self.host(host).inside(f)
    }

    /// Whether a host reaches the target over this family (0 for IPv4, 1 for IPv6) and port.
    ///
    /// A machine that is busy gets half a minute for it, so where a host should *not* reach it, ask
    /// [`Net::is_cut_off`].
    pub fn reaches(&self, host: &str, family: usize, port: u16) -> bool {
        (0..6).any(|round| self.is_greeted(host, family, port, AT_ONCE * (1 << round)))
    }

    /// Whether a host does not reach the target at once: to be asked where it is known to be blocked,
    /// or again and again until it is or is not.
    pub fn is_cut_off(&self, host: &str, family: usize, port: u16) -> bool {
        !self.is_greeted(host, family, port, AT_ONCE)
    }

    fn is_greeted(&self, host: &str, family: usize, port: u16, patience: Duration) -> bool {
        let to = SocketAddr::new(TARGET[family].parse::<IpAddr>().unwrap(), port);
        self.inside(host, || {
            let Ok(mut stream) = TcpStream::connect_timeout(&to, patience) else {
                return false;
            };
            stream.set_read_timeout(Some(2 * patience)).unwrap();
            let mut hello = String::new();
            stream.read_to_string(&mut hello).is_ok_and(|_| hello == "hello")
        })
    }

    /// Greets everybody who connects.
    fn serve(&self, at: SocketAddr) -> JoinHandle<()> {
        let listener = self.inside("t", || TcpListener::bind(at).unwrap());
        let stop = Arc::clone(&self.stop);
        std::thread::spawn(move || {
            listener.set_nonblocking(true).unwrap();
            while !stop.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => drop(std::thread::spawn(|| greet(stream))),
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        })
    }
}

/// Does what lasts for a while, such as a block, and looks at it while it lasts; again with more
/// seconds where the machine was so busy that it was over by then. `act` answers whether it was seen.
pub fn while_it_lasts(mut act: impl FnMut(u64) -> bool) {
    for secs in [1, 4, 16, 60] {
        let begun = Instant::now();
        if act(secs) {
            return;
        }
        let took = begun.elapsed();
        assert!(took.as_secs() >= secs, "it lasts {secs} s, and is not seen after {took:?}");
    }
    panic!("a minute is not enough to look at it");
}

/// Says hello, and listens to what is said until the other side has enough.
fn greet(mut stream: TcpStream) {
    let _ = stream.write_all(b"hello");
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let _ = stream.read_to_end(&mut Vec::new());
}

impl Drop for Net {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for server in self.servers.drain(..) {
            let _ = server.join();
        }
    }
}
