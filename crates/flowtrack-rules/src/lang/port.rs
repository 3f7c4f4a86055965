//! Sets of ports.

use super::list;
use super::range::RangeSet;
use crate::Complaint;

/// A set of ports.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct Ports(RangeSet<u16>);

impl Ports {
    /// Every port.
    pub fn any() -> Self {
        Self(RangeSet::full())
    }

    /// Reads `any`, a port, a range (`1024:`, `:1023`, `1:9`) or a list of them, with `variable` to
    /// say what stands behind a `$`.
    pub fn parse<'v>(
        text: &str,
        variable: &dyn Fn(&str) -> Result<&'v str, String>,
    ) -> Result<Self, Complaint> {
        let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
        list::walk(text, "ports", variable, &mut |item, negated| {
            let side = if negated { &mut unwanted } else { &mut wanted };
            side.push(range(item)?);
            Ok(())
        })?;
        let wanted = if wanted.is_empty() { RangeSet::full() } else { RangeSet::new(wanted) };
        let ports = wanted.without(&RangeSet::new(unwanted));
        if ports.is_empty() {
            return Err(Complaint::new(format!("no port is left of {text}")));
        }
        Ok(Self(ports))
    }

    /// Whether `port` is in it.
    #[inline]
    pub fn contains(&self, port: u16) -> bool {
        self.0.contains(port)
    }

    /// Whether every port is in it.
    pub fn is_any(&self) -> bool {
        self.0.is_full()
    }

    /// The ranges in order, first and last of each.
    pub fn ranges(&self) -> &[(u16, u16)] {
        self.0.ranges()
    }
}

fn range(item: &str) -> Result<(u16, u16), String> {
    if item.eq_ignore_ascii_case("any") {
        return Ok((0, u16::MAX));
    }
    let port = |text: &str, open: u16| {
        match text.trim() {
        "" => Ok(open),
        text => text.parse::<u16>().map_err(|_| {
            format!("\"{text}\" is no port: expected any, 0 to 65535, a range 1024:65535, a list in brackets or a $VARIABLE")
        }),
    }
    };
    let Some((first, last)) = item.split_once(':') else {
        let number = port(item, 0)?;
        return Ok((number, number));
    };
    match (port(first, 0)?, port(last, u16::MAX)?) {
        (first, last) if first <= last => Ok((first, last)),
        (first, last) => Err(format!("the range {first}:{last} is empty: expected smaller:larger")),
    }
}
