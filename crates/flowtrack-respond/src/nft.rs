//! nftables: a table of our own, spoken to by `nft -j -f -`.
//!
//! `table inet flowtrack` holds a set for each kind of block, whose elements end by themselves and
//! count what they stop, and two chains that ask them: `arriving` at hook prerouting, for what
//! comes to this host and what is forwarded, and `leaving` at hook output, for what this host sends
//! itself. Both stand 10 before `raw`, so what is dropped costs neither connection tracking nor a
//! look at any other table; loopback is let through. Each change is one transaction of the kernel.

use std::net::IpAddr;

use flowtrack_event::Timestamp;
use serde_json::{Value, json};

use crate::blocker::{Blocker, FirewallError, Stopped, undone};
use crate::decision::Decision;
use crate::net::{Net, Transport, What};
use crate::tool;

/// Blocks by nftables.
#[derive(Debug)]
pub struct Nftables {
    /// Requests per second that a shielded service still gets; 0 where none is shielded.
    request_rate: u32,
}

impl Nftables {
    /// For a table that shields services down to `request_rate` requests per second; 0 for none.
    pub const fn new(request_rate: u32) -> Self {
        Self { request_rate }
    }

    /// Whether nftables can be used here: asks for all that [`Blocker::start`] does, and does
    /// nothing.
    pub fn check(&self) -> Result<(), FirewallError> {
        nft(&["-c"], &self.table()).map(drop)
    }

    /// Makes the table anew, empty.
    fn table(&self) -> Vec<Value> {
        let table = json!({ "family": FAMILY, "name": TABLE });
        let mut commands = vec![
            // Adding what exists is no error, and deleting needs something to delete.
            json!({ "add": { "table": table } }),
            json!({ "delete": { "table": table } }),
            json!({ "add": { "table": table } }),
        ];
        for set in SETS {
            commands.extend(self.set(set));
        }
        for (chain, hook, lo) in
            [("arriving", "prerouting", "iifname"), ("leaving", "output", "oifname")]
        {
            commands.push(json!({ "add": { "chain": {
                "family": FAMILY, "table": TABLE, "name": chain,
                "type": "filter", "hook": hook, "prio": PRIORITY, "policy": "accept",
            }}}));
            let loopback = json!({ "meta": { "key": lo } });
            commands.push(rule(chain, &[compare(&loopback, &json!("lo"))], "accept"));
        }
        for set in SETS {
            commands.extend(self.rules(set));
        }
        commands
    }

    fn set(&self, set: Set) -> Option<Value> {
        if set.shields() && self.request_rate == 0 {
            return None;
        }
        let statement = match set {
            Set::Requests4 | Set::Requests6 => {
                json!({ "limit": { "rate": self.request_rate, "per": "second", "inv": true } })
            }
            _ => json!({ "counter": null }),
        };
        let flags = if set.is_of_networks() { &["timeout", "interval"][..] } else { &["timeout"] };
        Some(json!({ "add": { "set": {
            "family": FAMILY, "table": TABLE, "name": set.name(),
            "type": set.types(), "flags": flags, "stmt": [statement],
        }}}))
    }

    fn rules(&self, set: Set) -> Vec<Value> {
        let named = json!(format!("@{}", set.name()));
        let field =
            |protocol, field| json!({ "payload": { "protocol": protocol, "field": field } });
        match set {
            Set::Addr4 | Set::Net4 | Set::Addr6 | Set::Net6 => {
                let protocol = set.ip();
                let (src, dst) = (field(protocol, "saddr"), field(protocol, "daddr"));
                vec![
                    rule("arriving", &[compare(&src, &named)], "drop"),
                    rule("arriving", &[compare(&dst, &named)], "drop"),
                    rule("leaving", &[compare(&dst, &named)], "drop"),
                ]
            }
            Set::Tcp | Set::Udp => {
                vec![rule("arriving", &[compare(&field(set.name(), "dport"), &named)], "drop")]
            }
            Set::Requests4 | Set::Requests6 => Vec::new(),
            Set::Shed4 | Set::Shed6 if self.request_rate == 0 => Vec::new(),
            Set::Shed4 | Set::Shed6 => {
                // The limit is asked first, so that only what goes beyond it is counted.
                let limit = if set == Set::Shed4 { "@requests4" } else { "@requests6" };
                let flags = json!({ "&": [
                    field("tcp", "flags"),
                    { "|": [{ "|": [{ "|": ["fin", "syn"] }, "rst"] }, "ack"] },
                ]});
                let service =
                    json!({ "concat": [field(set.ip(), "daddr"), field("tcp", "dport")] });
                vec![rule(
                    "arriving",
                    &[
                        compare(&flags, &json!("syn")),
                        compare(&service, &json!(limit)),
                        compare(&service, &named),
                    ],
                    "drop",
                )]
            }
        }
    }
}

impl Blocker for Nftables {
    fn name(&self) -> &'static str {
        "nftables"
    }

    fn start(&mut self, blocks: &[Decision], now: Timestamp) -> Result<(), FirewallError> {
        let mut commands = self.table();
        commands
            .extend(elements("add", blocks.iter().map(|b| (b.what(), Some(b.kernel_secs(now))))));
        nft(&[], &commands).map(drop)
    }

    fn change(
        &mut self,
        added: &[Decision],
        removed: &[What],
        now: Timestamp,
    ) -> Result<(), FirewallError> {
        if let Some(block) = added.iter().find(|block| matches!(block.what(), What::Requests(..)))
            && self.request_rate == 0
        {
            return Err(FirewallError::Cannot { firewall: "nftables", what: block.what() });
        }
        let undone: Vec<What> = undone(added, removed).collect();
        let whats = || added.iter().map(Decision::what).chain(undone.iter().copied());
        // The kernel keeps the end of an element that exists, and deleting one that has ended is an
        // error: so each is there, then gone, then there with the right end.
        let mut commands = elements("add", whats().map(|what| (what, Some(BRIEF))));
        commands.extend(elements("delete", whats().map(|what| (what, None))));
        let new = added.iter().map(|block| (block.what(), Some(block.kernel_secs(now))));
        commands.extend(elements("add", new));
        if commands.is_empty() { Ok(()) } else { nft(&[], &commands).map(drop) }
    }

    fn list(&mut self) -> Result<Vec<Stopped>, FirewallError> {
        let printed = run(&["-j", "list", "table", FAMILY, TABLE], b"")?;
        let printed: Value = serde_json::from_slice(&printed).map_err(|e| unreadable(&e))?;
        let sets = printed["nftables"].as_array().into_iter().flatten().map(|entry| &entry["set"]);
        let elements = sets.flat_map(|set| {
            set["elem"].as_array().into_iter().flatten().map(|e| (&set["name"], e))
        });
        Ok(elements.filter_map(|(set, element)| stopped(set.as_str()?, element)).collect())
    }

    fn clear(&mut self) -> Result<(), FirewallError> {
        let table = json!({ "family": FAMILY, "name": TABLE });
        nft(&[], &[json!({ "add": { "table": table } }), json!({ "delete": { "table": table } })])
            .map(drop)
    }
}

/// A set of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Set {
    Addr4,
    Addr6,
    Net4,
    Net6,
    Tcp,
    Udp,
    /// Services that are shielded, each with its limit.
    Requests4,
    Requests6,
    /// The same services, each with the count of what its limit stopped: of several statements of
    /// an element, nft prints one.
    Shed4,
    Shed6,
}

const SETS: [Set; 10] = [
    Set::Addr4,
    Set::Addr6,
    Set::Net4,
    Set::Net6,
    Set::Tcp,
    Set::Udp,
    Set::Requests4,
    Set::Requests6,
    Set::Shed4,
    Set::Shed6,
];

impl Set {
    /// The sets that a block belongs into. Single addresses stand apart from networks: a look into
    /// their set is one hash, and networks may hold them.
    const fn of(what: What) -> &'static [Self] {
        match what {
            What::Net(net) => match (net.address(), net.is_single()) {
                (IpAddr::V4(_), true) => &[Self::Addr4],
                (IpAddr::V4(_), false) => &[Self::Net4],
                (IpAddr::V6(_), true) => &[Self::Addr6],
                (IpAddr::V6(_), false) => &[Self::Net6],
            },
            What::Port(Transport::Tcp, _) => &[Self::Tcp],
            What::Port(Transport::Udp, _) => &[Self::Udp],
            What::Requests(IpAddr::V4(_), _) => &[Self::Requests4, Self::Shed4],
            What::Requests(IpAddr::V6(_), _) => &[Self::Requests6, Self::Shed6],
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Addr4 => "addr4",
            Self::Addr6 => "addr6",
            Self::Net4 => "net4",
            Self::Net6 => "net6",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Requests4 => "requests4",
            Self::Requests6 => "requests6",
            Self::Shed4 => "shed4",
            Self::Shed6 => "shed6",
        }
    }

    fn types(self) -> Value {
        match self {
            Self::Addr4 | Self::Net4 => json!("ipv4_addr"),
            Self::Addr6 | Self::Net6 => json!("ipv6_addr"),
            Self::Tcp | Self::Udp => json!("inet_service"),
            Self::Requests4 | Self::Shed4 => json!(["ipv4_addr", "inet_service"]),
            Self::Requests6 | Self::Shed6 => json!(["ipv6_addr", "inet_service"]),
        }
    }

    const fn ip(self) -> &'static str {
        match self {
            Self::Addr6 | Self::Net6 | Self::Requests6 | Self::Shed6 => "ip6",
            _ => "ip",
        }
    }

    const fn is_of_networks(self) -> bool {
        matches!(self, Self::Net4 | Self::Net6)
    }

    const fn shields(self) -> bool {
        matches!(self, Self::Requests4 | Self::Requests6 | Self::Shed4 | Self::Shed6)
    }
}

/// One command for each set that has elements here.
fn elements(verb: &str, whats: impl Iterator<Item = (What, Option<u64>)>) -> Vec<Value> {
    let mut lists: [Vec<Value>; SETS.len()] = Default::default();
    for (what, secs) in whats {
        let value = value_of(what);
        let element = match secs {
            Some(secs) => json!({ "elem": { "val": value, "timeout": secs } }),
            None => value,
        };
        for (set, list) in SETS.iter().zip(&mut lists) {
            if Set::of(what).contains(set) {
                list.push(element.clone());
            }
        }
    }
    SETS.iter()
        .zip(lists)
        .filter(|(_, list)| !list.is_empty())
        .map(|(set, list)| {
            json!({ verb: { "element": {
                "family": FAMILY, "table": TABLE, "name": set.name(), "elem": list,
            }}})
        })
        .collect()
}

/// An element as nft writes it.
fn value_of(what: What) -> Value {
    match what {
        What::Net(net) if net.is_single() => json!(net.address().to_string()),
        What::Net(net) => {
            json!({ "prefix": { "addr": net.address().to_string(), "len": net.prefix() } })
        }
        What::Port(_, port) => json!(port),
        What::Requests(address, port) => json!({ "concat": [address.to_string(), port] }),
    }
}

/// An element as nft prints it.
fn stopped(set: &str, element: &Value) -> Option<Stopped> {
    let set = SETS.into_iter().find(|known| known.name() == set)?;
    let (value, counter) = match element.get("elem") {
        Some(inner) => (&inner["val"], &inner["counter"]),
        None => (element, &Value::Null),
    };
    let address = |value: &Value| value.as_str()?.parse::<IpAddr>().ok();
    let port = |value: &Value| u16::try_from(value.as_u64()?).ok();
    let what = match set {
        Set::Tcp => What::Port(Transport::Tcp, port(value)?),
        Set::Udp => What::Port(Transport::Udp, port(value)?),
        // Their counts stand in the sets beside them.
        Set::Requests4 | Set::Requests6 => return None,
        Set::Shed4 | Set::Shed6 => {
            What::Requests(address(&value["concat"][0])?, port(&value["concat"][1])?)
        }
        _ => What::Net(match value.get("prefix") {
            None => Net::of(address(value)?),
            Some(prefix) => {
                let len = u8::try_from(prefix["len"].as_u64()?).ok()?;
                Net::new(address(&prefix["addr"])?, len)?
            }
        }),
    };
    let number = |name: &str| counter[name].as_u64().unwrap_or(0);
    Some(Stopped { what, packets: number("packets"), bytes: number("bytes") })
}

fn compare(left: &Value, right: &Value) -> Value {
    json!({ "match": { "op": "==", "left": left, "right": right } })
}

fn rule(chain: &str, matches: &[Value], verdict: &str) -> Value {
    let mut expressions = matches.to_vec();
    expressions.push(json!({ verdict: null }));
    json!({ "add": { "rule": {
        "family": FAMILY, "table": TABLE, "chain": chain, "expr": expressions,
    }}})
}

/// Runs commands as one transaction.
fn nft(options: &[&str], commands: &[Value]) -> Result<Vec<u8>, FirewallError> {
    let text = json!({ "nftables": commands }).to_string();
    run(&[options, &["-j", "-f", "-"]].concat(), text.as_bytes())
}

fn run(args: &[&str], input: &[u8]) -> Result<Vec<u8>, FirewallError> {
    tool::run("nft", args, input).map_err(|error| match error {
        FirewallError::Refused { message, .. } if message.contains("No such file or directory") => {
            FirewallError::Gone
        }
        other => other,
    })
}

fn unreadable(error: &serde_json::Error) -> FirewallError {
    FirewallError::Refused { program: "nft", message: format!("cannot read its answer: {error}") }
}

/// The table is one of both address families.
const FAMILY: &str = "inet";
/// The table, which nobody else uses.
const TABLE: &str = "flowtrack";
/// Before `raw` (-300), and so before connection tracking (-200).
const PRIORITY: i32 = -310;
/// Seconds of an element that is deleted in the same transaction.
const BRIEF: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_as_they_are_printed() {
        let read =
            |set: &str, json: Value| stopped(set, &json).map(|s| (s.what.to_string(), s.packets));
        let counted = |value: Value| {
            json!({ "elem": { "val": value, "timeout": 60, "expires": 59,
                              "counter": { "packets": 7, "bytes": 420 } } })
        };
        assert_eq!(read("addr4", counted(json!("192.0.2.1"))), Some(("192.0.2.1".into(), 7)));
        let net = json!({ "prefix": { "addr": "2001:db8::", "len": 64 } });
        assert_eq!(read("net6", counted(net)), Some(("2001:db8::/64".into(), 7)));
        assert_eq!(read("udp", json!(53)), Some(("udp/53".into(), 0)));
        let service = json!({ "concat": ["192.0.2.1", 80] });
        assert_eq!(read("shed4", counted(service)), Some(("requests/192.0.2.1/80".into(), 7)));
        assert_eq!(read("other", json!("192.0.2.1")), None);
        assert_eq!(read("addr4", json!({ "elem": {} })), None);
    }

    #[test]
    fn a_service_is_shielded_only_with_a_rate() {
        let text = |rate| Value::Array(Nftables::new(rate).table()).to_string();
        assert!(!text(0).contains("requests4") && text(100).contains("requests4"));
    }
}
