//! iptables with ipset, where nftables is absent.
//!
//! Sets `flowtrack-*`, whose elements end by themselves and count, are asked by two chains of table
//! `raw`, which prerouting and output of IPv4 and IPv6 jump to for all but loopback. A change is one run of
//! `ipset restore`: fast, but not one transaction; what went wrong half-way is made good by
//! [`Blocker::start`].

use std::fmt::Write as _;
use std::net::IpAddr;

use flowtrack_event::Timestamp;

use crate::blocker::{Blocker, FirewallError, Stopped};
use crate::decision::Decision;
use crate::net::{Net, Transport, What};
use crate::tool;

/// Blocks by iptables and ipset.
#[derive(Clone, Copy, Default, Debug)]
pub struct Ipset;

impl Ipset {
    /// Whether both can be used here.
    pub fn check() -> Result<(), FirewallError> {
        for family in FAMILIES {
            tool::run(family.iptables, &["-w", "5", "-t", "raw", "-S"], b"")?;
        }
        tool::run("ipset", &["list", "-n"], b"").map(drop)
    }

    /// Sets that exist and rules that ask them, in whatever state both were.
    fn prepare() -> Result<(), FirewallError> {
        let sets = SETS.iter().fold(String::new(), |mut text, (name, make)| {
            let _ = writeln!(text, "create {name} {make} timeout 3600 counters\nflush {name}");
            text
        });
        restore(&sets)?;
        for family in &FAMILIES {
            tool::run(family.restore, &["-w", "5", "--noflush"], family.chains().as_bytes())?;
            for hook in &HOOKS {
                if tool::run(family.iptables, &hook.jump("-C"), b"").is_err() {
                    tool::run(family.iptables, &hook.jump("-I"), b"")?;
                }
            }
        }
        Ok(())
    }
}

impl Blocker for Ipset {
    fn name(&self) -> &'static str {
        "ipset"
    }

    fn start(&mut self, blocks: &[Decision], now: Timestamp) -> Result<(), FirewallError> {
        Self::prepare()?;
        self.change(blocks, &[], now)
    }

    fn change(
        &mut self,
        added: &[Decision],
        removed: &[What],
        now: Timestamp,
    ) -> Result<(), FirewallError> {
        let named = |what| element(what).ok_or(FirewallError::Cannot { firewall: "ipset", what });
        let mut text = String::new();
        for &what in removed {
            let (set, element) = named(what)?;
            let _ = writeln!(text, "del {set} {element}");
        }
        for block in added {
            let (set, element) = named(block.what())?;
            let secs = block.kernel_secs(now).min(MAX_SECS);
            // With -exist, an element that is there gets this end.
            let _ = writeln!(text, "add {set} {element} timeout {secs}");
        }
        if text.is_empty() { Ok(()) } else { restore(&text) }
    }

    fn list(&mut self) -> Result<Vec<Stopped>, FirewallError> {
        let saved = tool::run("ipset", &["save"], b"")?;
        let text = String::from_utf8_lossy(&saved);
        if !SETS.iter().all(|(name, _)| text.contains(&format!("create {name} "))) {
            return Err(FirewallError::Gone);
        }
        Ok(text.lines().filter_map(stopped).collect())
    }

    fn clear(&mut self) -> Result<(), FirewallError> {
        for family in &FAMILIES {
            let mut text = String::from("*raw\n");
            for hook in &HOOKS {
                // What is not there need not be taken away.
                let _ = tool::run(family.iptables, &hook.jump("-D"), b"");
                let _ = writeln!(text, ":{} - [0:0]\n-X {}", hook.chain, hook.chain);
            }
            tool::run(family.restore, &["-w", "5", "--noflush"], (text + "COMMIT\n").as_bytes())?;
        }
        for (name, _) in SETS {
            let _ = tool::run("ipset", &["destroy", name], b"");
        }
        Ok(())
    }
}

struct Family {
    iptables: &'static str,
    restore: &'static str,
    sets: [&'static str; 2],
}

const FAMILIES: [Family; 2] = [
    Family {
        iptables: "iptables",
        restore: "iptables-restore",
        sets: ["flowtrack-addr4", "flowtrack-net4"],
    },
    Family {
        iptables: "ip6tables",
        restore: "ip6tables-restore",
        sets: ["flowtrack-addr6", "flowtrack-net6"],
    },
];

impl Family {
    /// The chains as `iptables-restore` reads them: emptied and filled in one go.
    fn chains(&self) -> String {
        let [arriving, leaving] = &HOOKS;
        let mut text = format!("*raw\n:{} - [0:0]\n:{} - [0:0]\n", arriving.chain, leaving.chain);
        let asks = [(arriving, "src"), (arriving, "dst"), (leaving, "dst")];
        for (hook, side) in asks {
            for set in self.sets {
                let chain = hook.chain;
                let _ = writeln!(text, "-A {chain} -m set --match-set {set} {side} -j DROP");
            }
        }
        for name in [Transport::Tcp, Transport::Udp].map(Transport::name) {
            let ask = format!("-p {name} -m set --match-set flowtrack-{name} dst");
            let _ = writeln!(text, "-A {} {ask} -j DROP", arriving.chain);
        }
        text + "COMMIT\n"
    }
}

/// A place of table `raw` at which a chain of ours is asked.
struct Hook {
    place: &'static str,
    /// How an interface is named there.
    way: &'static str,
    /// The chain, which nobody else uses.
    chain: &'static str,
}

const HOOKS: [Hook; 2] = [
    Hook { place: "PREROUTING", way: "-i", chain: "FLOWTRACK-ARRIVING" },
    Hook { place: "OUTPUT", way: "-o", chain: "FLOWTRACK-LEAVING" },
];

impl Hook {
    /// The words that check, insert or delete the jump; loopback passes.
    const fn jump(&self, verb: &'static str) -> [&'static str; 11] {
        ["-w", "5", "-t", "raw", verb, self.place, "!", self.way, "lo", "-j", self.chain]
    }
}

/// Names and kinds of the sets.
const SETS: [(&str, &str); 6] = [
    ("flowtrack-addr4", "hash:ip family inet maxelem 65536"),
    ("flowtrack-addr6", "hash:ip family inet6 maxelem 65536"),
    ("flowtrack-net4", "hash:net family inet maxelem 65536"),
    ("flowtrack-net6", "hash:net family inet6 maxelem 65536"),
    ("flowtrack-tcp", "bitmap:port range 0-65535"),
    ("flowtrack-udp", "bitmap:port range 0-65535"),
];

/// The set and the element of a block; none for what ipset cannot do.
fn element(what: What) -> Option<(&'static str, String)> {
    match what {
        What::Net(net) => {
            let set = match (net.address(), net.is_single()) {
                (IpAddr::V4(_), true) => "flowtrack-addr4",
                (IpAddr::V4(_), false) => "flowtrack-net4",
                (IpAddr::V6(_), true) => "flowtrack-addr6",
                (IpAddr::V6(_), false) => "flowtrack-net6",
            };
            Some((set, net.to_string()))
        }
        What::Port(Transport::Tcp, port) => Some(("flowtrack-tcp", port.to_string())),
        What::Port(Transport::Udp, port) => Some(("flowtrack-udp", port.to_string())),
        What::Requests(..) => None,
    }
}

/// `add flowtrack-addr4 192.0.2.1 timeout 59 packets 0 bytes 0`
fn stopped(line: &str) -> Option<Stopped> {
    let mut words = line.split_whitespace();
    if words.next()? != "add" {
        return None;
    }
    let set = words.next()?.strip_prefix("flowtrack-")?;
    let element = words.next()?;
    let what = match set {
        "tcp" => What::Port(Transport::Tcp, element.parse().ok()?),
        "udp" => What::Port(Transport::Udp, element.parse().ok()?),
        _ => What::Net(element.parse::<Net>().ok()?),
    };
    let rest: Vec<_> = words.collect();
    let number = |name: &str| {
        let at = rest.iter().position(|word| *word == name)?;
        rest.get(at + 1)?.parse().ok()
    };
    Some(Stopped {
        what,
        packets: number("packets").unwrap_or(0),
        bytes: number("bytes").unwrap_or(0),
    })
}

fn restore(text: &str) -> Result<(), FirewallError> {
    let Err(error) = tool::run("ipset", &["restore", "-exist"], text.as_bytes()) else {
        return Ok(());
    };
    Err(match error {
        FirewallError::Refused { message, .. } if message.contains("does not exist") => {
            FirewallError::Gone
        }
        other => other,
    })
}

/// Longest time-out that ipset knows, in seconds.
const MAX_SECS: u64 = 2_147_483;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_as_they_are_saved() {
        let read = |line: &str| stopped(line).map(|s| (s.what.to_string(), s.packets, s.bytes));
        assert_eq!(
            read("add flowtrack-net4 192.0.2.0/24 timeout 59 packets 3 bytes 120"),
            Some(("192.0.2.0/24".into(), 3, 120))
        );
        assert_eq!(read("add flowtrack-udp 53 timeout 59"), Some(("udp/53".into(), 0, 0)));
        assert_eq!(read("add other 192.0.2.1 timeout 59"), None);
        assert_eq!(read("create flowtrack-addr4 hash:ip family inet"), None);
    }
}
