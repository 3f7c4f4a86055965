//! A network of its own for a test: a namespace with a pair of virtual Ethernet interfaces, and
//! frames to send through it.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sched::{CloneFlags, setns};

/// A network namespace with the pair `left` and `right`, both up; removed on drop.
pub struct Net {
    name: String,
}

impl Net {
    /// Makes the network; none, with the reason printed, where that is not permitted.
    #[allow(clippy::disallowed_macros, reason = "a skipped test says so")]
    pub fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: network namespaces need root");
            return None;
        }
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ft-test-{}-{count}", std::process::id());
        let made = Command::new("ip").args(["netns", "add", &name]).output();
        if !made.as_ref().is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: cannot make a network namespace: {made:?}");
            return None;
        }
        let net = Self { name };
        // Nothing but the test shall speak: no IPv6 neighbour discovery.
        net.inside(|| {
            std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
        });
        net.ip("link set lo up");
        net.make_pair();
        Some(net)
    }

    /// Adds `left` and `right`, as after [`Net::remove_pair`].
    pub fn make_pair(&self) {
        self.ip("link add left type veth peer name right");
        self.ip("link set left up");
        self.ip("link set right up");
    }

    /// Takes both interfaces away.
    pub fn remove_pair(&self) {
        self.ip("link del left");
    }

    /// Runs `ip` inside with these words.
    pub fn ip(&self, words: &str) {
        let output = Command::new("ip")
            .args(["-n", &self.name])
            .args(words.split_whitespace())
            .output()
            .expect("ip runs");
        assert!(output.status.success(), "ip {words}: {output:?}");
    }

    /// A program that will run inside; what it reads of interfaces below `/sys` is of there too.
    #[allow(dead_code, reason = "for the tests of the whole program")]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs `f` on a thread of its own inside the namespace; threads that it starts are inside too.
    pub fn inside<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/run/netns/{}", self.name)).unwrap();
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
}

impl Drop for Net {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// Ethernet around `payload`, filled up to `len` bytes.
pub fn ethernet(ethertype: u16, payload: &[u8], len: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame.resize(frame.len().max(len), 0);
    frame
}

/// A tag in front of `payload`, as what follows the `EtherType` of the tag.
pub fn tagged(tci: u16, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&tci.to_be_bytes()[..], &ethertype.to_be_bytes(), payload].concat()
}

/// An IP header in front of `payload`, with the `EtherType` that announces it.
pub fn ip(src: IpAddr, dst: IpAddr, proto: u8, payload: &[u8]) -> (u16, Vec<u8>) {
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => (0x0800, ipv4(src, dst, proto, 0, payload)),
        (IpAddr::V6(src), IpAddr::V6(dst)) => (0x86dd, ipv6(src, dst, proto, payload)),
        _ => panic!("one address family, please"),
    }
}

/// An IPv4 header in front of `payload`; `fragment` is flags and offset.
pub fn ipv4(src: Ipv4Addr, dst: Ipv4Addr, proto: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((20 + payload.len() as u16).to_be_bytes());
    packet.extend([0, 1]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, proto, 0, 0]);
    packet.extend(src.octets());
    packet.extend(dst.octets());
    packet.extend(payload);
    packet
}

/// An IPv6 header in front of `payload`.
pub fn ipv6(src: Ipv6Addr, dst: Ipv6Addr, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next, 64]);
    packet.extend(src.octets());
    packet.extend(dst.octets());
    packet.extend(payload);
    packet
}

/// A UDP header in front of `payload`.
pub fn udp(src: u16, dst: u16, payload: &[u8]) -> Vec<u8> {
    let len = 8 + payload.len() as u16;
    let words = [src, dst, len, 0].map(u16::to_be_bytes);
    [words.as_flattened(), payload].concat()
}
