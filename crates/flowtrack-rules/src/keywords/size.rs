//! Sizes: of buffers, of payloads, of request targets; and how evenly bytes are spread.

use super::buffers;
use super::number::Comparison;
use crate::builder::{Builder, Complaint, Keyword, Value};
use crate::context::Context;
use crate::signature::{Check, Step, Test};

/// How many bytes there are.
#[derive(Clone, Copy, Debug)]
struct Size(Comparison);

impl Check for Size {
    fn check(&self, bytes: &[u8], _cx: &mut Context<'_>) -> bool {
        self.0.holds(bytes.len() as u64)
    }
}

/// How many bytes the payload of the packet has.
#[derive(Clone, Copy, Debug)]
struct PayloadSize(Comparison);

impl Test for PayloadSize {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        // An empty payload is of no other size than any.
        cx.packet.is_some_and(|packet| {
            let payload = packet.user_data();
            let is_empty = payload.is_empty();
            // Of other protocols nobody knows where headers end.
            packet.ip().is_some_and(|ip| matches!(ip.proto.0, 1 | 6 | 17 | 50 | 58 | 132))
                && self.0.holds(payload.len() as u64)
                && !(is_empty && matches!(self.0, Comparison::NotEqual(_)))
        })
    }

    fn cost(&self) -> u8 {
        0
    }

    fn largest_payload(&self) -> Option<u64> {
        match self.0 {
            Comparison::Equal(size) | Comparison::LessOrEqual(size) => Some(size),
            Comparison::Less(size) | Comparison::Between(_, size) => size.checked_sub(1),
            _ => None,
        }
    }
}

/// Compares two measures.
type Compare = fn(f64, f64) -> bool;

/// How evenly the bytes are spread, in bits per byte.
#[derive(Clone, Copy, Debug)]
struct Entropy {
    bytes: usize,
    offset: usize,
    compare: Compare,
    value: f64,
    /// The other end of a range; none where it is no number.
    high: f64,
    /// Whether it must be outside of the range.
    is_not: bool,
}

impl Check for Entropy {
    fn check(&self, bytes: &[u8], _cx: &mut Context<'_>) -> bool {
        let rest = bytes.get(self.offset..).unwrap_or_default();
        let part = if self.bytes == 0 { rest } else { rest.get(..self.bytes).unwrap_or(rest) };
        if part.is_empty() {
            return false;
        }
        let found = entropy(part);
        if self.high.is_nan() {
            return (self.compare)(found, self.value);
        }
        (found > self.value && found < self.high) != self.is_not
    }
}

/// Shannon's entropy of bytes, in bits per byte.
pub(crate) fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    for byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let all = bytes.len() as f64;
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| f64::from(*count) / all)
        .map(|share| -share * share.log2())
        .sum()
}

pub(crate) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "bsize",
        aliases: &[],
        doc: "size of the buffer in bytes",
        example: r#"alert dns any any -> any any (dns.query; content:"a"; bsize:3<>10; sid:1;)"#,
        parse: |builder, value| {
            let text = value.needed("a number of bytes, with < or > before it, or a range")?;
            let size = Comparison::parse(text, u64::MAX)?;
            if !builder.has_buffer() {
                return Err(Complaint::new("bsize is of a buffer: name one before it"));
            }
            builder.check(Size(size));
            Ok(())
        },
    },
    Keyword {
        name: "dsize",
        aliases: &[],
        doc: "size of the packet's payload in bytes",
        example: r#"alert udp any any -> any any (dsize:>100; content:"a"; sid:1;)"#,
        parse: |builder, value| {
            let text = value.needed("a number of bytes, with < or > before it, or a range")?;
            builder.packet_test(PayloadSize(Comparison::parse(text, 65_535)?));
            Ok(())
        },
    },
    Keyword {
        name: "urilen",
        aliases: &[],
        doc: "size of the target of an HTTP request, normalized, or raw behind a comma",
        example: r"alert http any any -> any any (urilen:>200,raw; sid:1;)",
        parse: urilen,
    },
    Keyword {
        name: "entropy",
        aliases: &[],
        doc: "how evenly the bytes of the buffer are spread, in bits per byte: bytes, offset, value",
        example: r"alert http any any -> any any (file.data; entropy: bytes 1000, offset 0, value >= 7.5; sid:1;)",
        parse: parse_entropy,
    },
];

fn urilen(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("a number of bytes, with < or > before it, or a range")?;
    let (size, form) = match text.split_once(',') {
        Some((size, form)) => (size, form.trim()),
        None => (text, "norm"),
    };
    let name = match form {
        "norm" => "http.uri",
        "raw" => "http.uri.raw",
        _ => return Err(Complaint::new("expected norm or raw behind the comma")),
    };
    let step = Step::Check(Box::new(Size(Comparison::parse(size, 65_535)?)));
    match buffers::find(name) {
        Some(buffer) => builder.step_in(buffer, step),
        None => Ok(()),
    }
}

fn parse_entropy(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    const EXPECTED: &str = "expected bytes N, offset N, value >= N";
    let mut entropy = Entropy {
        bytes: 0,
        offset: 0,
        compare: |a, b| a >= b,
        value: f64::NAN,
        high: f64::NAN,
        is_not: false,
    };
    for option in value.needed(EXPECTED)?.split(',').map(str::trim) {
        // A bare value needs no name.
        let (key, text) = match option.split_once(' ') {
            Some((key, text)) if key.starts_with(|c: char| c.is_ascii_alphabetic()) => (key, text),
            _ => ("value", option),
        };
        let text = text.trim();
        let wrong = || Complaint::new(format!("\"{text}\" is no number: {EXPECTED}"));
        match key {
            "bytes" => entropy.bytes = text.parse().map_err(|_| wrong())?,
            "offset" => entropy.offset = text.parse().map_err(|_| wrong())?,
            "value"
                if text
                    .trim_start_matches('!')
                    .split_once('-')
                    .is_some_and(|(low, _)| !low.is_empty()) =>
            {
                let (is_not, range) = match text.strip_prefix('!') {
                    Some(range) => (true, range),
                    None => (false, text),
                };
                let (low, high) = range.split_once('-').ok_or_else(wrong)?;
                entropy.value = low.trim().parse().map_err(|_| wrong())?;
                entropy.high = high.trim().parse().map_err(|_| wrong())?;
                entropy.is_not = is_not;
            }
            "value" => {
                let operators: [(&str, Compare); 7] = [
                    (">=", |a, b| a >= b),
                    ("<=", |a, b| a <= b),
                    ("!=", |a, b| (a - b).abs() > f64::EPSILON),
                    ("=", |a, b| (a - b).abs() <= f64::EPSILON),
                    (">", |a, b| a > b),
                    ("<", |a, b| a < b),
                    ("", |a, b| (a - b).abs() <= f64::EPSILON),
                ];
                let (rest, compare) = operators
                    .iter()
                    .find_map(|(sign, compare)| Some((text.strip_prefix(sign)?, *compare)))
                    .ok_or_else(wrong)?;
                entropy.compare = compare;
                entropy.value = rest.trim().parse().map_err(|_| wrong())?;
            }
            _ => return Err(Complaint::new(EXPECTED)),
        }
    }
    if entropy.value.is_nan() {
        return Err(Complaint::new(EXPECTED));
    }
    builder.check(entropy);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::entropy;
    use crate::keywords::understand;
    use crate::lang::{Headers, Variables, parse_rules};
    use crate::signature::Step;
    use crate::{Context, Shared};
    use flowtrack_event::{Direction, Timestamp};

    #[test]
    fn entropy_is_between_none_and_eight_bits() {
        let all: Vec<u8> = (0..=255).collect();
        assert!((entropy(&all) - 8.0).abs() < 1e-9);
        assert!(entropy(&[7; 100]).abs() < 1e-9);
        assert!((entropy(b"abab") - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_bare_value_of_entropy_is_compared() {
        let holds = |options: &str| {
            let text =
                format!("alert http any any -> any any (file.data; entropy:{options}; sid:1;)");
            let (rules, _) = parse_rules("test", &text);
            let understood = understand(&rules[0], &mut Headers::new(Variables::default()));
            let signature = understood.unwrap().signature;
            let Step::Check(check) = &signature.searches[0].steps[0] else { panic!("{text}") };
            let shared = Shared::default();
            let mut cx = Context::new(Timestamp::from_secs(1), Direction::ToServer, &shared);
            check.check(b"abab", &mut cx)
        };
        for options in ["1.0", "<1.1", "value >= 1", "bytes 2, offset 1, value 1", "0.9-1.1"] {
            assert!(holds(options), "{options}");
        }
        assert!(!holds(">1") && !holds("bytes 1, <1, offset 0, 2.5"));
    }
}
