//! The part of a rule before its parenthesis, as what a packet can be asked.

use super::ast::{Arrow, Header, Span};
use super::{Addresses, Classifications, Ports, References, Variables, did_you_mean};
use crate::Complaint;
use ahash::AHashMap;
use flowtrack_event::IpProto;
use flowtrack_wire::{Network, Packet};
use std::net::IpAddr;
use std::sync::Arc;

/// A compiled header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeaderMatch {
    /// What is spoken.
    pub protocol: Protocol,
    /// Left of the arrow.
    pub src: Side,
    /// Right of the arrow.
    pub dst: Side,
    /// The arrow.
    pub arrow: Arrow,
}

impl HeaderMatch {
    /// Whether a packet that goes from `src` to `dst` is meant. Ports are 0 where there are none.
    #[inline]
    pub fn fits(&self, src: (IpAddr, u16), dst: (IpAddr, u16)) -> bool {
        let right = self.src.contains(src) && self.dst.contains(dst);
        match self.arrow {
            Arrow::Right => right,
            // A transaction rule looks at both halves of what its client began.
            Arrow::Both | Arrow::Transaction => {
                right || (self.src.contains(dst) && self.dst.contains(src))
            }
        }
    }

    /// Whether every address and port is meant.
    pub fn is_any(&self) -> bool {
        self.src.is_any() && self.dst.is_any()
    }
}

/// Who may stand on one side of an arrow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Side {
    /// Addresses; none is every address.
    pub addresses: Option<Arc<Addresses>>,
    /// Ports; none is every port, and also what has no ports.
    pub ports: Option<Arc<Ports>>,
}

impl Side {
    /// Whether an address and port stand on this side.
    #[inline]
    pub fn contains(&self, (address, port): (IpAddr, u16)) -> bool {
        self.ports.as_ref().is_none_or(|ports| ports.contains(port))
            && self.addresses.as_ref().is_none_or(|addresses| addresses.contains(address))
    }

    /// Whether everybody stands on this side.
    pub const fn is_any(&self) -> bool {
        self.addresses.is_none() && self.ports.is_none()
    }
}

/// The protocol word of a header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Protocol {
    /// The word itself, in lower case, without a hook.
    pub word: Arc<str>,
    /// Which packets carry it.
    pub base: Base,
    /// What of them is looked at.
    pub carrier: Carrier,
    /// The application protocol by its rule name (`tls`, also for `ssl`), where it is one.
    pub app: Option<&'static str>,
    /// State of the transaction that is waited for (`http1:request_complete`).
    pub hook: Option<Arc<str>>,
}

/// Which packets a rule is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Base {
    /// Every frame, also those whose headers cannot be read (`pkthdr`, `ether`).
    Frame,
    /// ARP.
    Arp,
    /// Everything on IPv4 or IPv6.
    Ip,
    /// Everything on IPv4.
    Ipv4,
    /// Everything on IPv6.
    Ipv6,
    /// One IP protocol; 1 stands for ICMP of IPv4 alone, 58 for that of IPv6.
    Proto(u8),
    /// Either of two IP protocols: TCP and UDP, ICMP of both versions.
    Protos(u8, u8),
}

impl Base {
    /// Whether a packet is one of them.
    #[inline]
    pub fn fits(self, packet: &Packet<'_>) -> bool {
        match (self, &packet.network) {
            (Self::Frame, _) | (Self::Arp, Network::Arp(_)) | (Self::Ip, Network::Ip(_)) => true,
            (Self::Ipv4, Network::Ip(ip)) => ip.src.is_ipv4(),
            (Self::Ipv6, Network::Ip(ip)) => ip.src.is_ipv6(),
            (Self::Proto(proto), Network::Ip(ip)) => ip.proto == IpProto(proto),
            (Self::Protos(a, b), Network::Ip(ip)) => {
                ip.proto == IpProto(a) || ip.proto == IpProto(b)
            }
            _ => false,
        }
    }

    /// Whether what it is about may be an IP protocol of this number.
    pub const fn carries(self, proto: u8) -> bool {
        match self {
            Self::Arp => false,
            Self::Frame | Self::Ip | Self::Ipv4 | Self::Ipv6 => true,
            Self::Proto(one) => one == proto,
            Self::Protos(one, other) => one == proto || other == proto,
        }
    }
}

/// What of its packets a rule looks at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Carrier {
    /// Packets and streams, as its keywords ask (`tcp`, and everything without a stream).
    Any,
    /// Packets alone (`tcp-pkt`).
    Packets,
    /// Streams alone (`tcp-stream`).
    Stream,
}

/// Compiles headers; the sets of addresses and ports that many rules share are kept once.
///
/// It is also where keywords find what stands beside rules.
#[derive(Debug)]
pub struct Headers {
    /// What `classtype` may name.
    pub classes: Classifications,
    /// What `reference` may name.
    pub references: References,
    /// Whether a database of countries is at hand.
    pub knows_countries: bool,
    variables: Variables,
    addresses: AHashMap<Arc<str>, Option<Arc<Addresses>>>,
    ports: AHashMap<Arc<str>, Option<Arc<Ports>>>,
}

impl Headers {
    /// With these variables.
    pub fn new(variables: Variables) -> Self {
        Self {
            classes: Classifications::default(),
            references: References::default(),
            knows_countries: false,
            variables,
            addresses: AHashMap::new(),
            ports: AHashMap::new(),
        }
    }

    /// The variables.
    pub const fn variables(&self) -> &Variables {
        &self.variables
    }

    /// Compiles one, or says what is wrong with it and where.
    pub fn compile(&mut self, header: &Header) -> Result<HeaderMatch, (Span, String)> {
        let at = &header.at;
        let protocol =
            Protocol::by_word(&header.protocol).map_err(|message| (at.protocol, message))?;
        Ok(HeaderMatch {
            protocol,
            src: Side {
                addresses: self.addresses(&header.src).map_err(|c| placed(at.src, c))?,
                ports: self.ports(&header.src_ports).map_err(|c| placed(at.src_ports, c))?,
            },
            dst: Side {
                addresses: self.addresses(&header.dst).map_err(|c| placed(at.dst, c))?,
                ports: self.ports(&header.dst_ports).map_err(|c| placed(at.dst_ports, c))?,
            },
            arrow: header.arrow,
        })
    }

    /// The set of addresses that `text` means; none for every address.
    pub fn addresses(&mut self, text: &Arc<str>) -> Result<Option<Arc<Addresses>>, Complaint> {
        if let Some(known) = self.addresses.get(text) {
            return Ok(known.clone());
        }
        let set = self.variables.addresses(text)?;
        let set = (!set.is_any()).then(|| Arc::new(set));
        self.addresses.insert(text.clone(), set.clone());
        Ok(set)
    }

    /// The set of ports that `text` means; none for every port.
    pub fn ports(&mut self, text: &Arc<str>) -> Result<Option<Arc<Ports>>, Complaint> {
        if let Some(known) = self.ports.get(text) {
            return Ok(known.clone());
        }
        let set = self.variables.ports(text)?;
        let set = (!set.is_any()).then(|| Arc::new(set));
        self.ports.insert(text.clone(), set.clone());
        Ok(set)
    }
}

fn placed(at: Span, complaint: Complaint) -> (Span, String) {
    (Span { column: at.column.saturating_add(complaint.offset), ..at }, complaint.message)
}

const TCP: u8 = 6;
const UDP: u8 = 17;

impl Protocol {
    /// The protocol that a header's word names.
    pub fn by_word(word: &str) -> Result<Self, String> {
        let (word, hook) = match word.split_once(':') {
            Some((word, hook)) => (word, Some(hook.into())),
            None => (word, None),
        };
        let made = |base, carrier, app| Self { word: word.into(), base, carrier, app, hook };
        if let Some((_, base, carrier)) = PACKETS.iter().find(|(known, ..)| *known == word) {
            return Ok(made(*base, *carrier, None));
        }
        if let Some((known, _, base)) =
            APPS.iter().find(|(known, alias, _)| *known == word || *alias == word)
        {
            return Ok(made(*base, Carrier::Any, Some(known)));
        }
        Err(format!("unknown protocol \"{word}\"{}", did_you_mean(word, Self::words())))
    }

    /// Every word there is.
    pub fn words() -> impl Iterator<Item = &'static str> {
        let apps = APPS.iter().flat_map(|(word, alias, _)| [*word, *alias]);
        PACKETS.iter().map(|(word, ..)| *word).chain(apps).filter(|word| !word.is_empty())
    }
}

/// Words for packets.
const PACKETS: &[(&str, Base, Carrier)] = &[
    ("pkthdr", Base::Frame, Carrier::Packets),
    ("ether", Base::Frame, Carrier::Packets),
    ("arp", Base::Arp, Carrier::Packets),
    ("ip", Base::Ip, Carrier::Any),
    ("ipv4", Base::Ipv4, Carrier::Any),
    ("ip4", Base::Ipv4, Carrier::Any),
    ("ipv6", Base::Ipv6, Carrier::Any),
    ("ip6", Base::Ipv6, Carrier::Any),
    ("tcp", Base::Proto(TCP), Carrier::Any),
    ("tcp-pkt", Base::Proto(TCP), Carrier::Packets),
    ("tcp-stream", Base::Proto(TCP), Carrier::Stream),
    ("udp", Base::Proto(UDP), Carrier::Any),
    ("icmp", Base::Protos(1, 58), Carrier::Any),
    ("icmpv4", Base::Proto(1), Carrier::Any),
    ("icmpv6", Base::Proto(58), Carrier::Any),
    ("igmp", Base::Proto(2), Carrier::Any),
    ("sctp", Base::Proto(132), Carrier::Any),
    ("esp", Base::Proto(50), Carrier::Any),
    ("gre", Base::Proto(47), Carrier::Any),
];

const T: Base = Base::Proto(TCP);
const U: Base = Base::Proto(UDP);
const TU: Base = Base::Protos(TCP, UDP);

/// Words for application protocols: name, other name, transport.
const APPS: &[(&str, &str, Base)] = &[
    ("amqp", "", T),
    ("bacnet", "", U),
    ("bgp", "", T),
    ("bittorrent", "", TU),
    ("bittorrent-dht", "", U),
    ("dcerpc", "", TU),
    ("dhcp", "", U),
    ("dhcpv6", "", U),
    ("dnp3", "", T),
    ("dns", "", TU),
    ("doh2", "", T),
    ("dtls", "", U),
    ("enip", "", TU),
    ("ftp", "", T),
    ("ftp-data", "", T),
    ("git", "", T),
    ("http", "", T),
    ("http1", "", T),
    ("http2", "", T),
    ("iec104", "", T),
    ("ike", "ikev2", U),
    ("imap", "", T),
    ("irc", "", T),
    ("jabber", "xmpp", T),
    ("kafka", "", T),
    ("krb5", "", TU),
    ("ldap", "", TU),
    ("llmnr", "", TU),
    ("mdns", "", U),
    ("memcached", "", TU),
    ("modbus", "", T),
    ("mongodb", "", T),
    ("mqtt", "", T),
    ("mysql", "", T),
    ("netbios-dgm", "", U),
    ("netbios-ns", "", U),
    ("nfs", "", TU),
    ("ntp", "", U),
    ("openvpn", "", TU),
    ("pgsql", "", T),
    ("pop3", "", T),
    ("quic", "", U),
    ("radius", "", U),
    ("rdp", "", T),
    ("redis", "", T),
    ("rfb", "", T),
    ("rsync", "", T),
    ("rtcp", "", U),
    ("rtp", "", U),
    ("s7comm", "", T),
    ("sip", "", TU),
    ("smb", "", TU),
    ("smtp", "", T),
    ("snmp", "", U),
    ("socks", "", T),
    ("ssdp", "", U),
    ("ssh", "", T),
    ("stun", "", TU),
    ("syslog", "", TU),
    ("telnet", "", T),
    ("tftp", "", U),
    ("tls", "ssl", T),
    ("websocket", "", T),
    ("wireguard", "", U),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::parse_rules;

    fn compiled(header: &str) -> Result<HeaderMatch, (Span, String)> {
        let (rules, problems) = parse_rules("x", &format!("{header} (sid:1;)"));
        assert_eq!(problems, []);
        Headers::new(Variables::default()).compile(&rules[0].header)
    }

    fn host(address: &str, port: u16) -> (IpAddr, u16) {
        (address.parse().unwrap(), port)
    }

    #[test]
    fn sides_and_arrows() {
        let inside = host("10.0.0.1", 5000);
        let outside = host("192.0.2.1", 80);
        let right = compiled("alert tcp $HOME_NET any -> $EXTERNAL_NET $HTTP_PORTS").unwrap();
        assert!(right.fits(inside, outside));
        assert!(!right.fits(outside, inside));
        let both = compiled("alert tcp $HOME_NET any <> $EXTERNAL_NET 80").unwrap();
        assert!(both.fits(inside, outside) && both.fits(outside, inside));
        assert!(!both.fits(inside, inside));
        assert!(compiled("alert tcp any any -> any any").unwrap().is_any());
    }

    #[test]
    fn protocol_words() {
        assert_eq!(compiled("alert SSL any any -> any any").unwrap().protocol.app, Some("tls"));
        let stream = compiled("alert tcp-stream any any -> any any").unwrap().protocol;
        assert_eq!((stream.base, stream.carrier), (Base::Proto(6), Carrier::Stream));
        let hooked = compiled("alert http1:request_complete any any -> any any").unwrap().protocol;
        assert_eq!(hooked.hook.as_deref(), Some("request_complete"));
        let (at, message) = compiled("alert htp any any -> any any").unwrap_err();
        assert_eq!((at.column, &*message), (7, "unknown protocol \"htp\"; did you mean \"http\"?"));
    }

    #[test]
    fn mistakes_in_lists_have_their_column() {
        let (at, _) = compiled("alert tcp [1.1.1.1,1.1.1.1111] any -> any any").unwrap_err();
        assert_eq!(at.column, 20);
    }
}
