//! What a mute names: rules, addresses and ports, each by value, range or wildcard.

use super::record::RuleId;
use crate::Net;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::sync::Arc;

/// Why a pattern cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WrongPattern {
    /// What was written.
    pub text: String,
    /// What is wanted instead.
    pub expected: &'static str,
}

impl fmt::Display for WrongPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not {}", self.text, self.expected)
    }
}

impl std::error::Error for WrongPattern {}

/// Rules: `*`, `1:2019284`, `port_scan`, `port_scan/*`, `ET SCAN*`.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum RulePattern {
    /// Every rule.
    #[default]
    Any,
    /// One, by its numbers.
    Id(RuleId),
    /// Those of a name, in any case; `*` stands for any letters. A detector without kind stands
    /// for all its kinds.
    Name(Arc<str>),
}

impl RulePattern {
    /// Longest name.
    pub const MAX: usize = 200;

    /// Whether a rule is meant.
    pub fn matches(&self, rule: RuleId, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Id(id) => *id == rule,
            Self::Name(pattern) => {
                glob(pattern.as_bytes(), name.as_bytes())
                    || name.split_once('/').is_some_and(|(detector, _)| {
                        rule.gid == flowtrack_event::Detection::GID
                            && detector.eq_ignore_ascii_case(pattern)
                    })
            }
        }
    }
}

impl FromStr for RulePattern {
    type Err = WrongPattern;

    fn from_str(text: &str) -> Result<Self, WrongPattern> {
        let text = text.trim();
        if text.is_empty() || text == "*" {
            return Ok(Self::Any);
        }
        if let Some((gid, sid)) = text.split_once(':')
            && let (Ok(gid), Ok(sid)) = (gid.parse(), sid.parse())
        {
            return Ok(Self::Id(RuleId { gid, sid }));
        }
        if text.len() > Self::MAX {
            let expected = "a rule of at most 200 bytes";
            return Err(WrongPattern { text: text.chars().take(40).collect(), expected });
        }
        Ok(Self::Name(text.into()))
    }
}

impl fmt::Display for RulePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Id(id) => write!(f, "{id}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Addresses: `*`, `10.0.0.7`, `10.0.0.0/8`, `10.0.0.*`, `2001:db8::/32`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum AddressPattern {
    /// Every address, and none.
    #[default]
    Any,
    /// Those whose first bits are these; the others are zero.
    Net(Net),
}

const ADDRESS: &str = "an address, a network such as 10.0.0.0/8 or 10.0.0.*, or `*`";

impl AddressPattern {
    /// Whether an address is meant; an alert without address is meant by `*` only.
    pub fn matches(&self, address: Option<IpAddr>) -> bool {
        match self {
            Self::Any => true,
            Self::Net(net) => address.is_some_and(|address| net.contains(address)),
        }
    }

    /// One address.
    pub fn one(address: IpAddr) -> Self {
        Self::Net(Net::one(address))
    }
}

impl FromStr for AddressPattern {
    type Err = WrongPattern;

    fn from_str(text: &str) -> Result<Self, WrongPattern> {
        let text = text.trim();
        let wrong = || WrongPattern { text: text.chars().take(60).collect(), expected: ADDRESS };
        if text.is_empty() || text == "*" {
            return Ok(Self::Any);
        }
        if let Ok(net) = text.parse() {
            return Ok(Self::Net(net));
        }
        // `10.0.*` and `10.0.0.*`: whole bytes, and only stars after the first.
        let (mut bits, mut length, mut stars) = (0_u32, 0_u8, false);
        let parts: Vec<&str> = text.split('.').collect();
        if parts.len() > 4 || !text.contains('*') {
            return Err(wrong());
        }
        for part in parts {
            if part == "*" {
                stars = true;
                continue;
            }
            let byte: u8 = part.parse().map_err(|_| wrong())?;
            if stars {
                return Err(wrong());
            }
            length += 8;
            bits |= u32::from(byte) << (32 - u32::from(length));
        }
        Ok(Self::Net(Net::new(Ipv4Addr::from_bits(bits).into(), length)))
    }
}

impl fmt::Display for AddressPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Net(net) if net.is_one() => write!(f, "{}", net.addr()),
            Self::Net(net) => write!(f, "{net}"),
        }
    }
}

/// Ports: `*`, `443`, `8000-8100`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum PortPattern {
    /// Every port, and none.
    #[default]
    Any,
    /// From the first to the last.
    Range(u16, u16),
}

impl PortPattern {
    /// Whether a port is meant; an alert without port is meant by `*` only.
    pub fn matches(&self, port: Option<u16>) -> bool {
        match (self, port) {
            (Self::Any, _) => true,
            (Self::Range(first, last), Some(port)) => (*first..=*last).contains(&port),
            (Self::Range(..), None) => false,
        }
    }
}

impl FromStr for PortPattern {
    type Err = WrongPattern;

    fn from_str(text: &str) -> Result<Self, WrongPattern> {
        let text = text.trim();
        if text.is_empty() || text == "*" {
            return Ok(Self::Any);
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (first.trim().parse(), last.trim().parse()) {
            (Ok(first), Ok(last)) if first <= last => Ok(Self::Range(first, last)),
            _ => Err(WrongPattern {
                text: text.chars().take(60).collect(),
                expected: "a port from 0 to 65535, a range such as 8000-8100, or `*`",
            }),
        }
    }
}

impl fmt::Display for PortPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Range(first, last) if first == last => write!(f, "{first}"),
            Self::Range(first, last) => write!(f, "{first}-{last}"),
        }
    }
}

/// Rule x source x target x port: all four must hold.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Scope {
    /// Which rules.
    pub rule: RulePattern,
    /// Who does it.
    pub source: AddressPattern,
    /// Whom it is done to.
    pub target: AddressPattern,
    /// The service.
    pub port: PortPattern,
}

impl Scope {
    /// Whether an alert of these ends lies inside.
    pub fn matches(
        &self,
        rule: RuleId,
        name: &str,
        source: Option<IpAddr>,
        target: Option<IpAddr>,
        port: Option<u16>,
    ) -> bool {
        self.source.matches(source)
            && self.target.matches(target)
            && self.port.matches(port)
            && self.rule.matches(rule, name)
    }

    /// Whether it names nothing, so that everything lies inside.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {} to {} port {}", self.rule, self.source, self.target, self.port)
    }
}

/// Whether a text is of a pattern in which `*` stands for any letters; case does not count.
///
/// Linear in pattern times text: on a mismatch only the last star takes one letter more.
pub(super) fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(letter) = text.get(t) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(wanted) if wanted.eq_ignore_ascii_case(letter) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|&byte| byte == b'*')
}
