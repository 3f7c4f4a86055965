//! The local link: forged ARP, addresses used twice, new devices, servers that should not be there.

use crate::words::keep_last;
use crate::{About, Detector, Findings, Kind, Networks, Once, Pace, Recent};
use flowtrack_event::{
    Claim, Detection, Direction, Event, Evidence, FlowEvent, FlowKey, FlowPhase, IfaceId, IpProto,
    MacAddr, Neighbour, Severity, Technique, Timestamp, TransactionEvent, Vlans,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What it is.
pub const ABOUT: About = About {
    name: "layer2",
    summary: "somebody of the same link claims an address or a role that is another's",
    text: "Learns from ARP and IPv6 neighbour discovery which Ethernet address has which IP \
           address, from flows which Ethernet address is a gateway, and from DHCP and router \
           advertisements who hands out addresses. A claim that contradicts what was learned is \
           forged if its sender has an address of its own and repeats it unasked or against the \
           owner; two that claim the same address in turn use it twice. Addresses that move once, \
           virtual addresses of router pairs and probes for free addresses are left alone. \
           Severity: forged claims high, of a gateway and another host together critical; \
           addresses used twice and second servers medium, servers that are not listed high; new \
           devices info.",
    category: "adversary in the middle",
    technique: Some(Technique { id: "T1557", name: "Adversary-in-the-Middle" }),
    kinds: &[
        Kind { name: "arp_spoofing", sid: 240, summary: "forged claims to another host's address" },
        Kind { name: "duplicate_address", sid: 241, summary: "two hosts use the same address" },
        Kind {
            name: "new_device",
            sid: 242,
            summary: "an Ethernet address that was not seen before",
        },
        Kind {
            name: "rogue_dhcp",
            sid: 243,
            summary: "a second DHCP server, or one that is not listed",
        },
        Kind {
            name: "rogue_router",
            sid: 244,
            summary: "a second IPv6 router, or one that is not listed",
        },
    ],
};

const ARP_POISONING: Technique =
    Technique { id: "T1557.002", name: "Adversary-in-the-Middle: ARP Cache Poisoning" };
const DHCP_SPOOFING: Technique =
    Technique { id: "T1557.003", name: "Adversary-in-the-Middle: DHCP Spoofing" };

/// Thresholds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Watch the local link.
    pub enabled: bool,
    /// Seconds after the first sight of a link in which every device is taken as known.
    pub learning: u32,
    /// DHCP servers that may be there; with an empty list the first one is right.
    pub dhcp_servers: Vec<IpAddr>,
    /// IPv6 routers that may be there; with an empty list the first one is right.
    pub routers: Vec<IpAddr>,
    /// Forged claims after which they are told.
    pub claims: u32,
    /// Addresses that are remembered.
    pub max_addresses: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            learning: 3_600,
            dhcp_servers: Vec::new(),
            routers: Vec::new(),
            claims: 3,
            max_addresses: 16_384,
        }
    }
}

/// A link: what hears the same broadcasts.
type Link = (IfaceId, Vlans);

/// The local link.
pub struct Layer2 {
    config: Config,
    networks: Arc<Networks>,
    /// When a link was seen first.
    links: Recent<Link, Timestamp>,
    bindings: Recent<(Link, IpAddr), Binding>,
    devices: Recent<(Link, MacAddr), Device>,
    /// Who asked for whom, and when last.
    asked: Recent<(Link, IpAddr, IpAddr), Timestamp>,
    servers: Recent<(Link, Role), Vec<IpAddr>>,
    told: Once<(u32, Link, IpAddr)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Role {
    Dhcp,
    Router,
}

/// Who has an address.
struct Binding {
    mac: MacAddr,
    since: Timestamp,
    /// Last claim of `mac`.
    last: Timestamp,
    /// Who claims it as well.
    rival: Option<Rival>,
    pace: Pace,
}

/// Another that claims an address.
#[derive(Clone, Copy)]
struct Rival {
    mac: MacAddr,
    first: Timestamp,
    last: Timestamp,
    /// Claims, and those among them that nobody asked for and that went to one host.
    claims: u32,
    unasked: u32,
    /// Times that the owner claimed it back.
    returns: u32,
}

/// What is known of an Ethernet address.
#[derive(Default)]
struct Device {
    /// The addresses it claimed last.
    ips: Vec<IpAddr>,
    /// Flows to or from elsewhere that went through it.
    routed: u32,
}

/// How long two claims of an address are a conflict.
const CONFLICT: Duration = Duration::from_mins(5);
/// How long an answer belongs to a question.
const ANSWER: Duration = Duration::from_secs(3);
/// Addresses of a device that are remembered; more are a router's or proxy's.
const IPS: usize = 8;
/// Flows through a device after which it is a gateway.
const ROUTED: u32 = 3;
/// Servers of a role that are remembered.
const SERVERS: usize = 16;
/// How long the same new device or server is not told again.
const DAY: Duration = Duration::from_hours(24);

impl Layer2 {
    /// Nothing seen.
    pub fn new(config: &Config, networks: &Arc<Networks>) -> Self {
        let most = config.max_addresses;
        Self {
            config: config.clone(),
            networks: Arc::clone(networks),
            links: Recent::new(256),
            bindings: Recent::new(most),
            devices: Recent::new(most),
            asked: Recent::new(most),
            servers: Recent::new(512),
            told: Once::new(most, DAY),
        }
    }

    fn neighbour(&mut self, told: &Neighbour, findings: &mut Findings) {
        let link = (told.iface, told.vlans);
        let now = told.ts;
        let began = *self.links.entry(link, || now);
        if told.claim == Claim::ArpRequest && !told.ip.is_unspecified() {
            *self.asked.entry((link, told.ip, told.target), || now) = now;
        }
        let is_claim = Networks::is_host(told.ip) && is_unicast(told.mac);
        if !is_claim {
            return;
        }
        self.device(link, began, told, findings);
        if told.claim == Claim::Router {
            self.router(link, told, findings);
        }
        if !is_shared(told.mac) {
            self.claim(link, told, findings);
        }
    }

    /// An Ethernet address says that it is there.
    fn device(&mut self, link: Link, began: Timestamp, told: &Neighbour, findings: &mut Findings) {
        let key = (link, told.mac);
        let is_known = self.devices.get(&key).is_some();
        let device = self.devices.entry(key, Device::default);
        keep_last(&mut device.ips, told.ip, IPS);
        let learns = told.ts.since(began).as_secs() < u64::from(self.config.learning);
        if is_known || learns || is_shared(told.mac) {
            return;
        }
        findings.tell(Detection {
            title: format!("new device {} has {}", told.mac, told.ip),
            explanation:
                "It was not seen on this link before. If nobody plugged it in, find it by \
                          the port of the switch."
                    .into(),
            severity: Severity::Info,
            category: "inventory",
            technique: None,
            source: Some(told.ip),
            evidence: vec![
                ("Ethernet address".into(), Evidence::Text(told.mac.to_string())),
                ("address".into(), Evidence::Text(told.ip.to_string())),
            ],
            ..ABOUT.detection("new_device", told.ts)
        });
    }

    /// Compares a claim with what was learned.
    fn claim(&mut self, link: Link, told: &Neighbour, findings: &mut Findings) {
        let now = told.ts;
        let unasked = told.claim == Claim::ArpReply
            && told.target != told.ip
            && self
                .asked
                .get(&(link, told.target, told.ip))
                .is_none_or(|&asked| now.since(asked) > ANSWER);
        let binding = self.bindings.entry((link, told.ip), || Binding {
            mac: told.mac,
            since: now,
            last: now,
            rival: None,
            pace: Pace::default(),
        });
        if binding.mac == told.mac {
            binding.last = now;
            match &mut binding.rival {
                Some(rival) if now.since(rival.last) <= CONFLICT => rival.returns += 1,
                _ => binding.rival = None,
            }
        } else {
            match &mut binding.rival {
                Some(rival) if rival.mac == told.mac && now.since(rival.last) <= CONFLICT => {
                    rival.claims += 1;
                    rival.unasked += u32::from(unasked);
                    rival.last = now;
                }
                _ => {
                    binding.rival = Some(Rival {
                        mac: told.mac,
                        first: now,
                        last: now,
                        claims: 1,
                        unasked: u32::from(unasked),
                        returns: 0,
                    });
                }
            }
        }
        let (Some(rival), owner) = (binding.rival, binding.mac) else { return };
        let owner_since = binding.since;
        // The owner was gone for long, and the new one stays: it has moved.
        if rival.first.since(binding.last) > CONFLICT && rival.returns == 0 && rival.unasked == 0 {
            if rival.claims >= 2 {
                *binding = Binding {
                    mac: rival.mac,
                    since: rival.first,
                    last: now,
                    rival: None,
                    pace: Pace::default(),
                };
            }
            return;
        }
        let has_own = self.devices.get(&(link, rival.mac)).is_some_and(|device| {
            device.ips.iter().any(|&ip| ip != told.ip && same_family(ip, told.ip))
        });
        let owns_many =
            self.devices.get(&(link, rival.mac)).is_some_and(|device| device.ips.len() >= IPS);
        let victims: Vec<IpAddr> = self
            .devices
            .get(&(link, rival.mac))
            .map(|device| device.ips.clone())
            .unwrap_or_default()
            .into_iter()
            .filter(|&ip| {
                ip != told.ip && self.bindings.get(&(link, ip)).is_some_and(|b| b.mac != rival.mac)
            })
            .collect();
        let is_gateway = |mac: MacAddr| {
            self.devices.get(&(link, mac)).is_some_and(|device| device.routed >= ROUTED)
        };
        let of_gateway = is_gateway(owner);
        let is_forged = has_own
            && rival.claims >= self.config.claims
            // A host with two cards in the link answers with both, but only when asked.
            && (rival.unasked >= self.config.claims || rival.returns >= 2 && rival.unasked > 0)
            // A router that answers for others (proxy ARP) does so when asked.
            && !(owns_many && rival.unasked == 0);
        let is_twice = !is_forged && rival.returns >= 2 && rival.claims >= 2;
        if !is_forged && !is_twice {
            return;
        }
        let severity = match (is_forged, of_gateway, victims.is_empty()) {
            (true, true, false) => Severity::Critical,
            (true, _, _) => Severity::High,
            (false, _, _) => Severity::Medium,
        };
        let Some(binding) = self.bindings.get_mut(&(link, told.ip)) else { return };
        binding.pace.add(1);
        let Some(count) = binding.pace.due(now, severity) else { return };
        let mut evidence = vec![
            ("owner".into(), Evidence::Text(owner.to_string())),
            ("owner since".into(), Evidence::Text(seconds(owner_since))),
            ("other".into(), Evidence::Text(rival.mac.to_string())),
            ("claims of the other".into(), Evidence::Count(rival.claims.into())),
            ("unasked among them".into(), Evidence::Count(rival.unasked.into())),
            ("claimed back".into(), Evidence::Count(rival.returns.into())),
        ];
        let own = self.devices.get(&(link, rival.mac)).and_then(|device| {
            device.ips.iter().copied().find(|ip| *ip != told.ip && !victims.contains(ip))
        });
        if !victims.is_empty() {
            let list = victims.iter().map(ToString::to_string).collect();
            evidence.push(("other addresses it forges".into(), Evidence::List(list)));
        }
        let what = if of_gateway { "the gateway " } else { "" };
        findings.tell(if is_forged {
            Detection {
                title: format!("{} pretends to be {what}{}", rival.mac, told.ip),
                explanation: format!(
                    "Traffic for {} goes to {} and can be read and changed there. Find it by the \
                     port of the switch and unplug it.",
                    told.ip, rival.mac
                ),
                severity,
                technique: Some(ARP_POISONING),
                source: own,
                target: Some(told.ip),
                first_seen: rival.first,
                count,
                evidence,
                ..ABOUT.detection("arp_spoofing", now)
            }
        } else {
            Detection {
                title: format!("{owner} and {} both use {}", rival.mac, told.ip),
                explanation: "Connections of both break again and again. Give one of them another \
                              address."
                    .into(),
                severity,
                category: "misconfiguration",
                technique: None,
                target: Some(told.ip),
                first_seen: rival.first,
                count,
                evidence,
                ..ABOUT.detection("duplicate_address", now)
            }
        });
    }

    fn router(&mut self, link: Link, told: &Neighbour, findings: &mut Findings) {
        let known = self.known(link, Role::Router, told.ip);
        if known.is_right || !self.told.is_due((244, link, told.ip), told.ts) {
            return;
        }
        findings.tell(Detection {
            title: format!("{} ({}) says it is an IPv6 router", told.ip, told.mac),
            explanation:
                "Every host of the link sends it what goes elsewhere. If it is not yours, \
                          find it by the port of the switch; if it is, list it under `routers`."
                    .into(),
            severity: known.severity,
            source: Some(told.ip),
            proto: Some(IpProto::ICMPV6),
            evidence: vec![
                ("Ethernet address".into(), Evidence::Text(told.mac.to_string())),
                ("known routers".into(), Evidence::List(known.others)),
            ],
            ..ABOUT.detection("rogue_router", told.ts)
        });
    }

    fn dhcp(&mut self, tx: &TransactionEvent, findings: &mut Findings) {
        let FlowKey { src, dst, src_port, dst_port, .. } = tx.flow.key;
        let (server, from, to) = match tx.direction {
            Direction::ToServer => (src, src_port, dst_port),
            Direction::ToClient => (dst, dst_port, src_port),
        };
        // Between servers and relays both ports are 67.
        if (from, to) != (67, 68) || !Networks::is_host(server) {
            return;
        }
        let mut gives_lease = false;
        tx.transaction.number(tx.direction, "dhcp.leasetime", &mut |_| gives_lease = true);
        if !gives_lease {
            return;
        }
        let link = (tx.flow.iface, tx.flow.vlans);
        let known = self.known(link, Role::Dhcp, server);
        if known.is_right || !self.told.is_due((243, link, server), tx.ts) {
            return;
        }
        findings.tell(Detection {
            title: format!("{server} hands out addresses by DHCP"),
            explanation:
                "It can name itself as gateway and name server of every host. If it is not \
                          yours, find it and unplug it; if it is, list it under `dhcp_servers`."
                    .into(),
            severity: known.severity,
            technique: Some(DHCP_SPOOFING),
            source: Some(server),
            target_port: Some(67),
            proto: Some(IpProto::UDP),
            evidence: vec![
                ("lease".into(), Evidence::Text(tx.transaction.summary())),
                ("known servers".into(), Evidence::List(known.others)),
            ],
            flows: vec![tx.flow.id],
            ..ABOUT.detection("rogue_dhcp", tx.ts)
        });
    }

    /// Whether one that has a role may have it; it is known from now on.
    fn known(&mut self, link: Link, role: Role, ip: IpAddr) -> Known {
        let listed = match role {
            Role::Dhcp => &self.config.dhcp_servers,
            Role::Router => &self.config.routers,
        };
        let servers = self.servers.entry((link, role), Vec::new);
        let is_first = servers.first().is_none_or(|&first| first == ip);
        let others =
            if listed.is_empty() { servers.iter().take(1) } else { listed.iter().take(SERVERS) };
        let others = others.map(ToString::to_string).collect();
        if !servers.contains(&ip) && servers.len() < SERVERS {
            servers.push(ip);
        }
        if listed.is_empty() {
            Known { is_right: is_first, severity: Severity::Medium, others }
        } else {
            Known { is_right: listed.contains(&ip), severity: Severity::High, others }
        }
    }

    /// Learns which Ethernet addresses are gateways: those that carry what comes from elsewhere.
    fn flow(&mut self, flow: &FlowEvent) {
        let record = &flow.record;
        let Some((from, to)) = record.macs else { return };
        if record.parent.is_some() {
            return;
        }
        let key = &record.key;
        let gateway = match (self.networks.is_home(key.src), self.networks.is_home(key.dst)) {
            (true, false) if Networks::is_host(key.dst) => to,
            (false, true) if Networks::is_host(key.src) => from,
            _ => return,
        };
        if is_unicast(gateway) {
            let link = (record.iface, record.vlans);
            if let Some(device) = self.devices.get_mut(&(link, gateway)) {
                device.routed = device.routed.saturating_add(1);
            }
        }
    }
}

/// What is known of one that has a role.
struct Known {
    is_right: bool,
    severity: Severity,
    others: Vec<String>,
}

impl Detector for Layer2 {
    fn on_event(&mut self, event: &Event, findings: &mut Findings) {
        match event {
            Event::Neighbour(told) => self.neighbour(told, findings),
            Event::Transaction(tx) if tx.transaction.protocol().0 == "dhcp" => {
                self.dhcp(tx, findings);
            }
            Event::Flow(flow) if matches!(flow.phase, FlowPhase::End(_)) => self.flow(flow),
            _ => {}
        }
    }

    fn forgotten(&self) -> u64 {
        self.bindings.evicted() + self.devices.evicted() + self.asked.evicted()
    }
}

fn is_unicast(mac: MacAddr) -> bool {
    mac.0 != [0; 6] && mac.0.first().is_some_and(|first| first & 1 == 0)
}

/// Whether an Ethernet address is shared on purpose, by routers that stand in for each other (VRRP
/// and CARP, HSRP, GLBP).
fn is_shared(mac: MacAddr) -> bool {
    matches!(
        mac.0,
        [0, 0, 0x5e, 0, 1 | 2, _]
            | [0, 0, 0x0c, 0x07, 0xac, _]
            | [0, 0, 0x0c, 0x9f, 0xf0..=0xff, _]
            | [0, 0x05, 0x73, 0xa0, 0..=0x0f, _]
            | [0, 0x07, 0xb4, _, _, _]
    )
}

fn same_family(a: IpAddr, b: IpAddr) -> bool {
    a.is_ipv4() == b.is_ipv4()
}

fn seconds(at: Timestamp) -> String {
    format!("{} s since 1970", at.secs())
}
