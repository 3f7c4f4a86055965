//! What must never be blocked.

use std::fmt;
use std::net::IpAddr;

use crate::config::RespondConfig;
use crate::net::{Net, Transport, What};

/// What this host depends on, as the program found it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Surroundings {
    /// The host's own addresses, with the length of their network's prefix.
    pub own: Vec<(IpAddr, u8)>,
    /// Routers.
    pub gateways: Vec<IpAddr>,
    /// Name servers.
    pub resolvers: Vec<IpAddr>,
    /// Who gave the host its address.
    pub dhcp_servers: Vec<IpAddr>,
    /// Where people are logged in from, to the host or to the dashboard.
    pub admins: Vec<IpAddr>,
    /// TCP ports on which people log in, to the host or to the dashboard.
    pub admin_ports: Vec<u16>,
}

/// Why an address must not be blocked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// It is the host's own.
    Own,
    /// It is a broadcast address of a network that the host is in.
    Broadcast,
    /// Traffic leaves through it.
    Gateway,
    /// Names are asked of it.
    Resolver,
    /// It gave the host its address.
    DhcpServer,
    /// An administrator is logged in from it.
    Admin,
    /// A person said that it never is.
    Allowed,
    /// It stands for no single other host: loopback, link-local, multicast, unspecified.
    Special,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Own => "an address of this host",
            Self::Broadcast => "a broadcast address",
            Self::Gateway => "a gateway",
            Self::Resolver => "a name server that this host uses",
            Self::DhcpServer => "the DHCP server",
            Self::Admin => "where an administrator is logged in from",
            Self::Allowed => "in respond.allow",
            Self::Special => "loopback, link-local, multicast or unspecified",
        })
    }
}

/// Why something is not blocked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// It is, or holds, what must never be blocked.
    #[error("{what} is never blocked: {net} is {role}")]
    Forbidden {
        /// What was to be blocked.
        what: What,
        /// What of it must not.
        net: Net,
        /// Why.
        role: Role,
    },
    /// The network is larger than configured.
    #[error("{what} is never blocked: networks larger than /{widest} are not (respond.{setting})")]
    TooWide {
        /// The network.
        what: What,
        /// Length of the prefix of the largest one.
        widest: u8,
        /// The setting.
        setting: &'static str,
    },
    /// People log in on this port.
    #[error("{0} is never blocked: it is how an administrator gets in")]
    AdminPort(What),
    /// The host would lose its address.
    #[error("{0} is never blocked: the host gets its own address through it")]
    OwnAddress(What),
    /// No such port.
    #[error("there is no port 0")]
    NoPort,
    /// The sender of the attack may be somebody else.
    #[error(
        "{0} is not blocked automatically: it completed no handshake and answered nothing, so its \
         address may be spoofed"
    )]
    Unproved(What),
    /// Only single addresses are blocked without a person's word.
    #[error("{0} is not blocked automatically: only single addresses are")]
    NotSingle(What),
    /// It would not end.
    #[error("{0} is not blocked: a block needs an end")]
    Endless(What),
    /// Only services of this host are shielded.
    #[error("{0} is not limited: it is no address of this host")]
    NotOurs(What),
}

/// All that must never be blocked at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Safety {
    forbidden: Vec<(Net, Role)>,
    own: Vec<IpAddr>,
    admin_ports: Vec<u16>,
    widest: [u8; 2],
}

impl Safety {
    /// What must not be blocked in these surroundings.
    pub fn new(around: &Surroundings, config: &RespondConfig) -> Self {
        let mut forbidden: Vec<(Net, Role)> = Vec::new();
        for &(address, prefix) in &around.own {
            forbidden.push((Net::of(address), Role::Own));
            forbidden.extend(broadcast(address, prefix).map(|net| (net, Role::Broadcast)));
        }
        for (list, role) in [
            (&around.gateways, Role::Gateway),
            (&around.resolvers, Role::Resolver),
            (&around.dhcp_servers, Role::DhcpServer),
            (&around.admins, Role::Admin),
        ] {
            forbidden.extend(list.iter().map(|&address| (Net::of(address), role)));
        }
        forbidden.extend(config.allow.iter().map(|&net| (net, Role::Allowed)));
        forbidden.extend(special().map(|net| (net, Role::Special)));
        // What is not set right is as narrow as can be.
        let widest = [config.widest_v4.max(1), config.widest_v6.max(1)];
        Self {
            forbidden,
            own: around.own.iter().map(|(address, _)| address.to_canonical()).collect(),
            admin_ports: around.admin_ports.clone(),
            widest,
        }
    }

    /// Whether something may be blocked.
    pub fn check(&self, what: What) -> Result<(), Refusal> {
        match what {
            What::Net(net) => self.check_net(what, net),
            What::Port(_, 0) => Err(Refusal::NoPort),
            What::Port(Transport::Tcp, port) if self.admin_ports.contains(&port) => {
                Err(Refusal::AdminPort(what))
            }
            What::Port(Transport::Udp, 68 | 546) => Err(Refusal::OwnAddress(what)),
            What::Port(..) => Ok(()),
            What::Requests(address, port) => {
                if !self.own.contains(&address.to_canonical()) {
                    return Err(Refusal::NotOurs(what));
                }
                if port == 0 {
                    return Err(Refusal::NoPort);
                }
                // Whoever is to stop the flood must still get in.
                if self.admin_ports.contains(&port) {
                    return Err(Refusal::AdminPort(what));
                }
                Ok(())
            }
        }
    }

    fn check_net(&self, what: What, net: Net) -> Result<(), Refusal> {
        let [v4, v6] = self.widest;
        let (widest, setting) = match net.address() {
            IpAddr::V4(_) => (v4, "widest_v4"),
            IpAddr::V6(_) => (v6, "widest_v6"),
        };
        match self.forbidden.iter().find(|(forbidden, _)| forbidden.meets(net)) {
            Some(&(met, role)) => Err(Refusal::Forbidden { what, net: met, role }),
            None if net.prefix() < widest => Err(Refusal::TooWide { what, widest, setting }),
            None => Ok(()),
        }
    }
}

/// The last address of an IPv4 network; networks of two or one address have none.
fn broadcast(address: IpAddr, prefix: u8) -> Option<Net> {
    let IpAddr::V4(v4) = address.to_canonical() else { return None };
    let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    (prefix < 31).then(|| Net::of(IpAddr::from((u32::from(v4) | host).to_be_bytes())))
}

/// Networks of RFC 6890 that are no single other host.
fn special() -> impl Iterator<Item = Net> {
    SPECIAL.iter().filter_map(|text| text.parse().ok())
}

const SPECIAL: [&str; 9] = [
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    // Multicast; reserved, with the broadcast of the own link.
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::",
    "::1",
    "fe80::/10",
    "ff00::/8",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn safety() -> Safety {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let around = Surroundings {
            own: vec![(address("192.0.2.10"), 24), (address("2001:db8::10"), 64)],
            gateways: vec![address("192.0.2.1"), address("fe80::1")],
            resolvers: vec![address("198.51.100.53")],
            dhcp_servers: vec![address("192.0.2.2")],
            admins: vec![address("::ffff:203.0.113.9"), address("2001:db8:5::9")],
            admin_ports: vec![22, 8080],
        };
        let config = RespondConfig {
            allow: vec!["203.0.113.128/25".parse().unwrap(), "2001:db8:a::/48".parse().unwrap()],
            ..RespondConfig::default()
        };
        Safety::new(&around, &config)
    }

    fn verdict(text: &str) -> String {
        match safety().check(text.parse().unwrap()) {
            Ok(()) => "yes".to_owned(),
            Err(refusal) => refusal.to_string(),
        }
    }

    #[test]
    fn everything_that_must_not_be_blocked_is_refused_by_name() {
        for (what, why) in [
            ("192.0.2.10", "192.0.2.10 is an address of this host"),
            ("::ffff:192.0.2.10", "192.0.2.10 is an address of this host"),
            ("192.0.2.255", "192.0.2.255 is a broadcast address"),
            ("192.0.2.1", "192.0.2.1 is a gateway"),
            ("192.0.2.0/28", "192.0.2.10 is an address of this host"),
            ("198.51.100.0/24", "198.51.100.53 is a name server that this host uses"),
            ("192.0.2.2", "192.0.2.2 is the DHCP server"),
            ("203.0.113.9", "203.0.113.9 is where an administrator is logged in from"),
            ("2001:db8:5::/64", "2001:db8:5::9 is where an administrator is logged in from"),
            ("203.0.113.200", "203.0.113.128/25 is in respond.allow"),
            ("2001:db8:a:1::/64", "2001:db8:a::/48 is in respond.allow"),
            ("127.0.0.1", "127.0.0.0/8 is loopback, link-local, multicast or unspecified"),
            ("239.1.2.3", "224.0.0.0/4 is loopback, link-local, multicast or unspecified"),
            ("255.255.255.255", "240.0.0.0/4 is loopback, link-local, multicast or unspecified"),
            ("fe80::7", "fe80::/10 is loopback, link-local, multicast or unspecified"),
            ("ff02::1", "ff00::/8 is loopback, link-local, multicast or unspecified"),
            ("::1", "::1 is loopback, link-local, multicast or unspecified"),
            ("0.0.0.0/0", "192.0.2.10 is an address of this host"),
            ("::/0", "192.0.2.10 is an address of this host"),
        ] {
            assert!(verdict(what).contains(why), "{what}: {}", verdict(what));
        }
        for wide in ["172.16.0.0/23", "2001:db9::/63"] {
            assert!(verdict(wide).contains("larger than /"), "{wide}: {}", verdict(wide));
        }
        for port in ["22", "tcp/8080", "udp/68", "tcp/0"] {
            assert_ne!(verdict(port), "yes", "{port}");
        }
        for fine in ["192.0.2.77", "203.0.113.10", "10.0.0.0/24", "2001:db8::11", "23", "udp/53"] {
            assert_eq!(verdict(fine), "yes", "{fine}");
        }
    }
}
