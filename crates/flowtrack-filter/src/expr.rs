//! A filter as it is asked: tests joined by all, any and not.

use crate::address::AddressRange;
use crate::field::{Field, Fields, Value};
use crate::glob::Glob;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// A question that a flow answers with yes or no.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Expr {
    /// All of them; none is yes.
    All(Vec<Self>),
    /// At least one of them; none is no.
    Any(Vec<Self>),
    /// The opposite.
    Not(Box<Self>),
    /// Asks the flow.
    Test(Test),
}

impl Default for Expr {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

impl Expr {
    /// The opposite.
    pub fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// Addresses one of which every flow that answers yes has; `None` if others may answer yes.
    pub fn addresses(&self) -> Option<Vec<AddressNeed>> {
        match self {
            Self::All(parts) => parts.iter().filter_map(Self::addresses).min_by_key(Vec::len),
            Self::Any(parts) => {
                let parts: Option<Vec<_>> = parts.iter().map(Self::addresses).collect();
                parts.map(|parts| parts.concat())
            }
            Self::Test(Test { fields, check: Check::Addresses(ranges) }) => {
                let need = |r: &AddressRange| AddressNeed { fields, first: r.first, last: r.last };
                Some(ranges.iter().map(need).collect())
            }
            Self::Not(_) | Self::Test(_) => None,
        }
    }

    /// Whether the flow answers yes; as deep as the parser let it become.
    pub fn matches(&self, flow: &dyn Fields) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(flow)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(flow)),
            Self::Not(part) => !part.matches(flow),
            Self::Test(test) => test.matches(flow),
        }
    }
}

/// Addresses of one family, one of which a flow must have on one of some sides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressNeed {
    /// The sides: [`Field::SrcIp`], [`Field::DestIp`] or both.
    pub fields: &'static [Field],
    /// The first address.
    pub first: IpAddr,
    /// The last address.
    pub last: IpAddr,
}

/// Whether one of some fields has one of some values.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Test {
    pub fields: &'static [Field],
    pub check: Check,
}

impl Test {
    fn matches(&self, flow: &dyn Fields) -> bool {
        self.fields.iter().any(|&field| self.check.accepts(&flow.get(field)))
    }
}

/// Values that are accepted.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Check {
    /// Addresses in one of these ranges.
    Addresses(Vec<AddressRange>),
    /// Numbers in one of these ranges.
    Numbers(Vec<RangeInclusive<i64>>),
    /// One of these texts; ASCII case does not count.
    Texts(Vec<String>),
    /// Texts that contain this one; ASCII case does not count.
    Contains(String),
    /// Texts of this pattern.
    Like(Glob),
}

impl Check {
    fn accepts(&self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Self::Addresses(ranges), Value::Address(a)) => ranges.iter().any(|r| r.contains(*a)),
            (Self::Numbers(ranges), Value::Number(n)) => ranges.iter().any(|r| r.contains(n)),
            (Self::Texts(texts), Value::Text(t)) => texts.iter().any(|x| x.eq_ignore_ascii_case(t)),
            (Self::Contains(part), Value::Text(t)) => contains(t, part),
            (Self::Like(glob), Value::Text(t)) => glob.matches(t),
            _ => false,
        }
    }
}

/// Whether `part` stands somewhere in `text`, without regard to ASCII case.
fn contains(text: &str, part: &str) -> bool {
    part.is_empty()
        || text.as_bytes().windows(part.len()).any(|w| w.eq_ignore_ascii_case(part.as_bytes()))
}
