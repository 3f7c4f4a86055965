//! Comparisons of numbers, as all number keywords write them.
//!
//! `7`, `=7`, `!7`, `!=7`, `<7`, `<=7`, `>7`, `>=7`, `3-9` and `3<>9` (both ends excluded), `!3-9`,
//! `&0x40=0x40`, `&0x40!=0`; numbers decimal, with `kb`, `mb` or `gb`, or hexadecimal behind `0x`.

use crate::builder::Complaint;

/// What must hold of a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Comparison {
    Equal(u64),
    NotEqual(u64),
    Less(u64),
    LessOrEqual(u64),
    More(u64),
    MoreOrEqual(u64),
    /// More than the first and less than the second.
    Between(u64, u64),
    /// The opposite.
    NotBetween(u64, u64),
    /// Of the bits of the mask, exactly those of the value are set.
    Bits {
        mask: u64,
        value: u64,
    },
    /// The opposite.
    NotBits {
        mask: u64,
        value: u64,
    },
}

impl Comparison {
    /// Reads a comparison with numbers up to `max`.
    pub(crate) fn parse(text: &str, max: u64) -> Result<Self, Complaint> {
        Self::read(text, &|number| plain_number(number, max))
    }

    /// The same, where a name stands for a number too (`type`, `code`, `operation` words).
    pub(crate) fn parse_named(
        text: &str,
        max: u64,
        by_name: &dyn Fn(&str) -> Option<u64>,
    ) -> Result<Self, Complaint> {
        Self::read(text, &|number| by_name(number).map_or_else(|| plain_number(number, max), Ok))
    }

    fn read(text: &str, number: &dyn Fn(&str) -> Result<u64, String>) -> Result<Self, Complaint> {
        let text = text.trim();
        let one = |rest: &str| {
            number(rest.trim()).map_err(|message| Complaint::at(text.len() - rest.len(), message))
        };
        if let Some(rest) = text.strip_prefix("<=") {
            return Ok(Self::LessOrEqual(one(rest)?));
        }
        if let Some(rest) = text.strip_prefix(">=") {
            return Ok(Self::MoreOrEqual(one(rest)?));
        }
        if let Some(rest) = text.strip_prefix("!=") {
            return Ok(Self::NotEqual(one(rest)?));
        }
        if let Some(rest) = text.strip_prefix('<') {
            return Ok(Self::Less(one(rest)?));
        }
        if let Some(rest) = text.strip_prefix('>') {
            return Ok(Self::More(one(rest)?));
        }
        if let Some(rest) = text.strip_prefix('=') {
            return Ok(Self::Equal(one(rest)?));
        }
        if let Some(rest) = text.strip_prefix('&') {
            return bits(rest, &one);
        }
        let (negated, rest) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        // A name may hold a hyphen; a range has a number before it.
        let range = rest.split_once("<>").or_else(|| {
            let (first, last) = rest.split_once('-')?;
            number(first.trim()).is_ok().then_some((first, last))
        });
        match (range, negated) {
            (None, false) => Ok(Self::Equal(one(rest)?)),
            (None, true) => Ok(Self::NotEqual(one(rest)?)),
            (Some((first, last)), negated) => {
                let first = number(first.trim()).map_err(Complaint::new)?;
                let last = one(last)?;
                if first >= last {
                    return Err(Complaint::new(format!(
                        "the range {first}-{last} is empty: expected smaller-larger"
                    )));
                }
                Ok(if negated { Self::NotBetween(first, last) } else { Self::Between(first, last) })
            }
        }
    }

    /// Whether it holds of `number`.
    #[inline]
    pub(crate) const fn holds(self, number: u64) -> bool {
        match self {
            Self::Equal(other) => number == other,
            Self::NotEqual(other) => number != other,
            Self::Less(other) => number < other,
            Self::LessOrEqual(other) => number <= other,
            Self::More(other) => number > other,
            Self::MoreOrEqual(other) => number >= other,
            Self::Between(first, last) => number > first && number < last,
            Self::NotBetween(first, last) => number <= first || number >= last,
            Self::Bits { mask, value } => number & mask == value,
            Self::NotBits { mask, value } => number & mask != value,
        }
    }
}

/// `mask=value` or `mask!=value`.
fn bits(text: &str, one: &dyn Fn(&str) -> Result<u64, Complaint>) -> Result<Comparison, Complaint> {
    let Some((mask, value)) = text.split_once('=') else {
        return Err(Complaint::new("expected &mask=value or &mask!=value"));
    };
    Ok(match mask.strip_suffix('!') {
        Some(mask) => Comparison::NotBits { mask: one(mask)?, value: one(value)? },
        None => Comparison::Bits { mask: one(mask)?, value: one(value)? },
    })
}

/// A number of at most `max`.
pub(crate) fn plain_number(text: &str, max: u64) -> Result<u64, String> {
    const UNITS: [(&str, u64); 6] = [
        ("kib", 1 << 10),
        ("kb", 1 << 10),
        ("mib", 1 << 20),
        ("mb", 1 << 20),
        ("gib", 1 << 30),
        ("gb", 1 << 30),
    ];
    let lower = text.to_ascii_lowercase();
    let number = match lower.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => {
            let (digits, unit) = UNITS
                .iter()
                .find_map(|(unit, factor)| Some((lower.strip_suffix(unit)?.trim_end(), *factor)))
                .unwrap_or((&lower, 1));
            // `parse` would take a sign.
            let digits = digits.bytes().all(|b| b.is_ascii_digit()).then_some(digits);
            digits.and_then(|digits| digits.parse::<u64>().ok()?.checked_mul(unit))
        }
    };
    match number {
        Some(number) if number <= max => Ok(number),
        Some(_) => Err(format!("{text} is too large: expected at most {max}")),
        None => Err(format!("\"{text}\" is no number: expected 7, <7, >7, 3-9, !7 or 0x1f")),
    }
}

/// What must hold of a list of numbers: `comparison`, `comparison,which`, `comparison,which,a:b`,
/// or `count comparison`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ListComparison {
    comparison: Comparison,
    which: Which,
    /// Only what lies between these places; 0 for the end, negative from there.
    part: (i32, i32),
}

/// Of which numbers of a list a comparison must hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Which {
    Any,
    All,
    AllOrAbsent,
    AnyOrAbsent,
    /// The one at this place, from the end where negative; or there is none there.
    At {
        place: i32,
        or_absent: bool,
    },
    /// Of as many as this.
    Matches(Comparison),
    /// The list has as many.
    Count(Comparison),
}

impl ListComparison {
    /// Reads one with numbers up to `max`, names for numbers being looked up in `by_name`.
    pub(crate) fn parse(
        text: &str,
        max: u64,
        by_name: &dyn Fn(&str) -> Option<u64>,
    ) -> Result<Self, Complaint> {
        let mut parts = text.split(',').map(str::trim);
        let first = parts.next().unwrap_or_default();
        let which = parts.next();
        let part = parts.next();
        if parts.next().is_some() {
            return Err(Complaint::new("expected number, which of them, and from:to at most"));
        }
        if let (None, Some(count)) = (which, first.strip_prefix("count")) {
            let which = Which::Count(Comparison::parse(count, u64::from(u32::MAX))?);
            return Ok(Self { comparison: Comparison::Equal(0), which, part: (0, 0) });
        }
        Ok(Self {
            comparison: Comparison::parse_named(first, max, by_name)?,
            which: which.map_or(Ok(Which::Any), Which::parse)?,
            part: part.map_or(Ok((0, 0)), part_of)?,
        })
    }

    /// Whether it holds of the list.
    pub(crate) fn holds(&self, numbers: &[u64]) -> bool {
        let place = |at: i32, end: bool| match at {
            0 if end => numbers.len(),
            at if at >= 0 => at.unsigned_abs() as usize,
            at => numbers.len().saturating_sub(at.unsigned_abs() as usize),
        };
        let numbers =
            numbers.get(place(self.part.0, false)..place(self.part.1, true)).unwrap_or_default();
        let holds = |number: &u64| self.comparison.holds(*number);
        match self.which {
            Which::Any => numbers.iter().any(holds),
            Which::AnyOrAbsent => numbers.is_empty() || numbers.iter().any(holds),
            Which::All => !numbers.is_empty() && numbers.iter().all(holds),
            Which::AllOrAbsent => numbers.iter().all(holds),
            Which::At { place, or_absent } => {
                let at = if place < 0 {
                    numbers.len().checked_sub(place.unsigned_abs() as usize)
                } else {
                    Some(place.unsigned_abs() as usize)
                };
                at.and_then(|at| numbers.get(at)).map_or(or_absent, holds)
            }
            Which::Matches(many) => {
                many.holds(numbers.iter().filter(|number| holds(number)).count() as u64)
            }
            Which::Count(many) => many.holds(numbers.len() as u64),
        }
    }
}

impl Which {
    fn parse(text: &str) -> Result<Self, Complaint> {
        const EXPECTED: &str =
            "expected any, all, all_or_absent, or_absent, a place such as 0 or -1, or nb>1";
        Ok(match text {
            "any" => Self::Any,
            "all" => Self::All,
            "all_or_absent" => Self::AllOrAbsent,
            "or_absent" => Self::AnyOrAbsent,
            text => match text.strip_prefix("nb") {
                Some(many) => Self::Matches(Comparison::parse(many, u64::from(u32::MAX))?),
                None => {
                    let (or_absent, place) = match text.strip_prefix("oob_or") {
                        Some(place) => (true, place.trim()),
                        None => (false, text),
                    };
                    let place = place.parse().map_err(|_| Complaint::new(EXPECTED))?;
                    Self::At { place, or_absent }
                }
            },
        })
    }
}

/// `from:to`.
fn part_of(text: &str) -> Result<(i32, i32), Complaint> {
    let parsed = text.split_once(':').and_then(|(from, to)| {
        let (from, to) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
        let same_side = (from > 0 && to > 0) || (from < 0 && to < 0);
        (!same_side || from < to).then_some((from, to))
    });
    parsed.ok_or_else(|| Complaint::new("expected from:to as the part of the list, such as 1:-1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons() {
        let holds = |text: &str, number| Comparison::parse(text, 65_535).expect(text).holds(number);
        assert!(holds("7", 7) && holds("=7", 7) && holds("= 7", 7) && !holds("7", 8));
        assert!(holds("!7", 8) && holds("!=7", 8) && !holds("!7", 7));
        assert!(holds(">7", 8) && !holds(">7", 7) && holds(">=7", 7));
        assert!(holds("<7", 6) && !holds("<7", 7) && holds("<=7", 7));
        assert!(holds("3-9", 4) && !holds("3-9", 3) && !holds("3<>9", 9));
        assert!(holds("!3-9", 3) && !holds("!3-9", 5));
        assert!(holds("0x1F", 31) && holds("2kb", 2048));
        assert!(holds("&0x40=0x40", 0x41) && holds("&0x40!=0x40", 0x01));
    }

    #[test]
    fn what_is_no_comparison() {
        let wrong = |text: &str| Comparison::parse(text, 255).expect_err(text);
        assert_eq!(wrong(">256").message, "256 is too large: expected at most 255");
        assert_eq!(wrong(">256").offset, 1);
        assert!(wrong("x").message.starts_with("\"x\" is no number"));
        assert!(wrong("9-3").message.contains("is empty"));
        for text in ["", ">", "1-", "-1", "+1", "&1", "1kk"] {
            wrong(text);
        }
    }

    #[test]
    fn names_stand_for_numbers() {
        let by_name = |name: &str| (name == "port-unreachable").then_some(3);
        let parse = |text| Comparison::parse_named(text, 255, &by_name);
        assert_eq!(parse("port-unreachable"), Ok(Comparison::Equal(3)));
        assert_eq!(parse("!port-unreachable"), Ok(Comparison::NotEqual(3)));
        assert_eq!(parse("1-9"), Ok(Comparison::Between(1, 9)));
    }

    #[test]
    fn lists_of_numbers() {
        let holds = |text: &str, numbers: &[u64]| {
            ListComparison::parse(text, 4095, &|_| None).expect(text).holds(numbers)
        };
        let vlans = [200, 300, 400];
        assert!(holds("300", &vlans) && !holds("301", &vlans));
        assert!(holds("200,0", &vlans) && holds("400,-1", &vlans) && holds("0x12C,1", &vlans));
        assert!(!holds("200,3", &vlans) && holds("200,oob_or 3", &vlans));
        assert!(holds("!500,all", &vlans) && !holds("!500,all", &[]));
        assert!(holds("!500,all_or_absent", &[]) && holds("7,or_absent", &[]));
        assert!(holds(">200,nb2", &vlans) && holds("count 3", &vlans));
        assert!(!holds("200,any,1:0", &vlans) && holds("300,any,1:-1", &vlans));
        assert!(ListComparison::parse("1,some", 4095, &|_| None).is_err());
    }
}
