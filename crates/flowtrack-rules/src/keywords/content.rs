//! `content` and what modifies it: bytes, and where they have to be.

use super::rarity::commonness;
use crate::builder::{Builder, Complaint, Keyword, Value};
use crate::signature::Step;

/// A number that is written in the rule, or one that the signature remembered before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Amount {
    /// Written in the rule.
    Fixed(i64),
    /// Remembered at this place.
    Variable(u8),
}

impl Amount {
    /// Its value.
    #[inline]
    pub fn value(self, variables: &[u64]) -> i64 {
        match self {
            Self::Fixed(value) => value,
            Self::Variable(at) => {
                let value = variables.get(usize::from(at)).copied().unwrap_or(0);
                i64::try_from(value).unwrap_or(i64::MAX)
            }
        }
    }

    /// Reads a number or the name of a value that was remembered before.
    pub(crate) fn parse(
        builder: &Builder<'_>,
        text: &str,
        expected: &str,
    ) -> Result<Self, Complaint> {
        if let Ok(value) = text.parse() {
            return Ok(Self::Fixed(value));
        }
        match builder.variable(text) {
            Some(at) => Ok(Self::Variable(at)),
            None => Err(Complaint::new(format!(
                "\"{text}\" is no number and no value remembered before: expected {expected}"
            ))),
        }
    }
}

/// Bytes that must be there, or must not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content {
    /// The bytes, in lower case where case does not matter.
    pub bytes: Box<[u8]>,
    /// Whether letters match in either case.
    pub nocase: bool,
    /// Whether they must not be there.
    pub negated: bool,
    /// First place in the buffer where they may begin.
    pub offset: Option<Amount>,
    /// Place behind `offset` where they must have ended.
    pub depth: Option<Amount>,
    /// First place behind the end of the match before where they may begin.
    pub distance: Option<Amount>,
    /// Place behind the end of the match before where they must have ended, with `distance` more.
    pub within: Option<Amount>,
    /// Whether they must begin the buffer.
    pub starts: bool,
    /// Whether they must end the buffer.
    pub ends: bool,
    /// Whether they are only looked for as fast pattern (`fast_pattern:only`).
    pub only: bool,
    /// The part of them that is the fast pattern (`fast_pattern:offset,length`).
    pub chop: Option<(u16, u16)>,
    /// Whether a later step depends on where it is.
    pub(crate) retry: bool,
    /// The rarest of the bytes, in both cases where case does not matter, and its place.
    rare: (u8, u8, usize),
}

impl Content {
    /// Bytes that may be anywhere.
    pub fn new(bytes: Vec<u8>) -> Self {
        let mut content = Self {
            bytes: bytes.into(),
            nocase: false,
            negated: false,
            offset: None,
            depth: None,
            distance: None,
            within: None,
            starts: false,
            ends: false,
            only: false,
            chop: None,
            retry: false,
            rare: (0, 0, 0),
        };
        content.find_rare();
        content
    }

    /// Lets letters match in either case.
    pub fn ignore_case(&mut self) {
        self.nocase = true;
        self.bytes.make_ascii_lowercase();
        self.find_rare();
    }

    /// Whether it depends on where the step before it matched.
    #[inline]
    pub const fn is_relative(&self) -> bool {
        self.distance.is_some() || self.within.is_some()
    }

    /// Whether it may be there or not depending on what was found before it.
    pub(crate) fn depends_on_before(&self) -> bool {
        let variable = |amount: Option<Amount>| matches!(amount, Some(Amount::Variable(_)));
        self.is_relative() || variable(self.offset) || variable(self.depth)
    }

    /// Whether it has to be at a certain place of the buffer.
    pub const fn is_placed(&self) -> bool {
        self.offset.is_some() || self.depth.is_some() || self.starts
    }

    /// The part that is the fast pattern.
    pub fn fast_bytes(&self) -> &[u8] {
        let part = self.chop.and_then(|(offset, length)| {
            self.bytes.get(usize::from(offset)..usize::from(offset) + usize::from(length))
        });
        part.unwrap_or(&self.bytes)
    }

    /// The first place in `bytes` where it begins.
    #[inline]
    pub fn find(&self, bytes: &[u8]) -> Option<usize> {
        let (lower, upper, place) = self.rare;
        let length = self.bytes.len();
        let last = bytes.len().checked_sub(length)?;
        // Where the rare byte may stand, so that the rest fits around it.
        let mut from = place;
        loop {
            let candidates = bytes.get(from..=last + place)?;
            let at = if lower == upper {
                memchr::memchr(lower, candidates)?
            } else {
                memchr::memchr2(lower, upper, candidates)?
            };
            let start = from + at - place;
            if bytes.get(start..start + length).is_some_and(|found| self.equals(found)) {
                return Some(start);
            }
            from += at + 1;
        }
    }

    /// Whether `bytes` of its length are it.
    #[inline]
    pub fn equals(&self, bytes: &[u8]) -> bool {
        if self.nocase { bytes.eq_ignore_ascii_case(&self.bytes) } else { bytes == &*self.bytes }
    }

    fn find_rare(&mut self) {
        let cost = |byte: u8| {
            let both = u16::from(commonness(byte.to_ascii_uppercase()));
            u16::from(commonness(byte)) + if self.nocase { both } else { 0 }
        };
        let rarest = self.bytes.iter().enumerate().min_by_key(|(_, byte)| cost(**byte));
        if let Some((at, &byte)) = rarest {
            let other = if self.nocase { byte.to_ascii_uppercase() } else { byte };
            self.rare = (byte, other, at);
        }
    }
}

/// Reads `"text|de ad|"`, with `!` before it where it must not be there: whether it is negated,
/// and the bytes.
pub(crate) fn parse_quoted(text: &str) -> Result<(bool, Vec<u8>), Complaint> {
    let (negated, rest) = match text.strip_prefix('!') {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text),
    };
    let inner =
        rest.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).ok_or_else(|| {
            Complaint::new("expected text in double quotes, with ! before it to negate it")
        })?;
    let start = text.len() - rest.len() + 1;
    let bytes =
        parse_bytes(inner).map_err(|(offset, message)| Complaint::at(start + offset, message))?;
    if bytes.is_empty() {
        return Err(Complaint::at(start, "expected at least one byte"));
    }
    Ok((negated, bytes))
}

/// Bytes of `text|de ad|`, with `\` before `"`, `;`, `:` and itself.
pub(crate) fn parse_bytes(text: &str) -> Result<Vec<u8>, (usize, String)> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes().enumerate();
    while let Some((at, byte)) = rest.next() {
        match byte {
            b'|' => {
                let mut high = None;
                loop {
                    let Some((at, byte)) = rest.next() else {
                        return Err((at, "a second | must end the hexadecimal bytes".to_owned()));
                    };
                    match (char::from(byte).to_digit(16), high) {
                        (Some(digit), None) => high = Some(digit as u8),
                        (Some(digit), Some(first)) => {
                            bytes.push(first << 4 | digit as u8);
                            high = None;
                        }
                        (None, None) if byte == b'|' => break,
                        (None, _) if byte == b' ' => {}
                        _ => return Err((at, "expected pairs of hexadecimal digits".to_owned())),
                    }
                }
            }
            b'\\' => match rest.next() {
                Some((_, escaped @ (b'"' | b';' | b':' | b'\\' | b'|'))) => bytes.push(escaped),
                _ => {
                    return Err((
                        at,
                        "expected \\\\, \\\", \\; or \\: after a backslash".to_owned(),
                    ));
                }
            },
            byte => bytes.push(byte),
        }
    }
    Ok(bytes)
}

pub(crate) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "content",
        aliases: &[],
        doc: "bytes that must be in the buffer, or must not with ! before them",
        example: r#"alert tcp any any -> any any (content:"GET|20 2f|"; content:!"x"; sid:1;)"#,
        parse: content,
    },
    Keyword {
        name: "nocase",
        aliases: &[],
        doc: "lets letters of the content before it match in either case",
        example: r#"alert tcp any any -> any any (content:"cmd.exe"; nocase; sid:1;)"#,
        parse: |builder, value| {
            value.none()?;
            builder.last_content()?.ignore_case();
            Ok(())
        },
    },
    Keyword {
        name: "offset",
        aliases: &[],
        doc: "first place in the buffer where the content before it may begin",
        example: r#"alert tcp any any -> any any (content:"|00 01|"; offset:4; sid:1;)"#,
        parse: |builder, value| {
            let amount = amount(builder, value, false)?;
            let content = builder.last_content()?;
            absolute(content, value)?;
            content.offset = Some(amount);
            Ok(())
        },
    },
    Keyword {
        name: "depth",
        aliases: &[],
        doc: "bytes from the start of the buffer, or from offset, in which the content before it must be",
        example: r#"alert tcp any any -> any any (content:"SSH-"; depth:4; sid:1;)"#,
        parse: |builder, value| {
            let amount = amount(builder, value, false)?;
            let content = builder.last_content()?;
            absolute(content, value)?;
            content.depth = Some(at_least(amount, content.bytes.len()));
            Ok(())
        },
    },
    Keyword {
        name: "distance",
        aliases: &[],
        doc: "bytes between the end of the match before and the content before it, at least",
        example: r#"alert tcp any any -> any any (content:"a"; content:"b"; distance:1; sid:1;)"#,
        parse: |builder, value| {
            let amount = amount(builder, value, true)?;
            let content = builder.last_content()?;
            relative(content, value)?;
            content.distance = Some(amount);
            Ok(())
        },
    },
    Keyword {
        name: "within",
        aliases: &[],
        doc: "bytes from the end of the match before in which the content before it must be",
        example: r#"alert tcp any any -> any any (content:"a"; content:"b"; within:5; sid:1;)"#,
        parse: |builder, value| {
            let amount = amount(builder, value, true)?;
            let content = builder.last_content()?;
            relative(content, value)?;
            if let Amount::Fixed(within) = amount
                && within < content.bytes.len() as i64
            {
                return Err(Complaint::new(format!(
                    "the content of {} bytes cannot be within {within}",
                    content.bytes.len()
                )));
            }
            content.within = Some(amount);
            Ok(())
        },
    },
    Keyword {
        name: "startswith",
        aliases: &[],
        doc: "the content before it must begin the buffer",
        example: r#"alert http any any -> any any (http.uri; content:"/a"; startswith; sid:1;)"#,
        parse: |builder, value| {
            value.none()?;
            let content = builder.last_content()?;
            if content.is_relative() || content.offset.is_some() || content.depth.is_some() {
                return Err(Complaint::new(
                    "startswith does not go with offset, depth, distance or within",
                ));
            }
            content.starts = true;
            Ok(())
        },
    },
    Keyword {
        name: "endswith",
        aliases: &[],
        doc: "the content before it must end the buffer",
        example: r#"alert dns any any -> any any (dns.query; content:".zip"; endswith; sid:1;)"#,
        parse: |builder, value| {
            value.none()?;
            builder.last_content()?.ends = true;
            Ok(())
        },
    },
    Keyword {
        name: "fast_pattern",
        aliases: &[],
        doc: "makes the content before it, or a part of it, the one that is searched for first",
        example: r#"alert tcp any any -> any any (content:"abcdef"; fast_pattern:2,3; sid:1;)"#,
        parse: fast_pattern,
    },
    Keyword {
        name: "rawbytes",
        aliases: &[],
        doc: "accepted and without effect: the payload is always searched as it is",
        example: r#"alert tcp any any -> any any (content:"a"; rawbytes; sid:1;)"#,
        parse: |builder, value| {
            value.none()?;
            builder.last_content().map(|_| ())
        },
    },
    Keyword {
        name: "replace",
        aliases: &[],
        doc: "accepted and without effect: traffic is never changed",
        example: r#"alert tcp any any -> any any (content:"ab"; replace:"cd"; sid:1;)"#,
        parse: |builder, value| {
            let (_, bytes) = parse_quoted(value.needed("as many bytes as the content has")?)?;
            if bytes.len() != builder.last_content()?.bytes.len() {
                return Err(Complaint::new("expected as many bytes as the content has"));
            }
            Ok(())
        },
    },
];

fn content(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let (negated, bytes) = parse_quoted(value.needed("text in double quotes")?)?;
    builder.step(Step::Content(Content { negated, ..Content::new(bytes) }));
    Ok(())
}

fn fast_pattern(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let expected = "expected nothing, only, or offset,length within the content";
    let content = builder.last_content()?;
    if content.negated && (content.is_relative() || content.is_placed()) {
        return Err(Complaint::new(
            "a negated content that has to be at a certain place cannot be the fast pattern",
        ));
    }
    match value.text.map(str::trim) {
        None => {}
        Some("only") => {
            if content.is_relative() || content.is_placed() || content.negated {
                return Err(Complaint::new(
                    "fast_pattern:only does not go with negation or a certain place",
                ));
            }
            content.only = true;
        }
        Some(chop) => {
            let numbers = chop.split_once(',').and_then(|(a, b)| {
                Some((a.trim().parse::<u16>().ok()?, b.trim().parse::<u16>().ok()?))
            });
            match numbers {
                Some((offset, length))
                    if length > 0
                        && usize::from(offset) + usize::from(length) <= content.bytes.len() =>
                {
                    content.chop = Some((offset, length));
                }
                _ => return Err(Complaint::new(expected)),
            }
        }
    }
    builder.choose_fast_pattern()
}

fn amount(builder: &Builder<'_>, value: &Value<'_>, signed: bool) -> Result<Amount, Complaint> {
    const LIMIT: i64 = 1_048_576;
    let amount = Amount::parse(builder, value.needed("a number")?, "a number of bytes")?;
    match amount {
        Amount::Fixed(number) if number.abs() > LIMIT => {
            Err(Complaint::new(format!("expected at most {LIMIT}")))
        }
        Amount::Fixed(number) if number < 0 && !signed => {
            Err(Complaint::new("expected no negative number"))
        }
        amount => Ok(amount),
    }
}

/// A depth that the content does not fit into is widened, as rules in use rely on it.
fn at_least(depth: Amount, length: usize) -> Amount {
    match depth {
        Amount::Fixed(depth) => Amount::Fixed(depth.max(length as i64)),
        variable @ Amount::Variable(_) => variable,
    }
}

fn absolute(content: &Content, value: &Value<'_>) -> Result<(), Complaint> {
    if content.is_relative() || content.starts {
        return Err(Complaint::new(format!(
            "{} does not go with distance, within or startswith of the same content",
            value.keyword
        )));
    }
    Ok(())
}

fn relative(content: &Content, value: &Value<'_>) -> Result<(), Complaint> {
    if content.is_placed() {
        return Err(Complaint::new(format!(
            "{} does not go with offset, depth or startswith of the same content",
            value.keyword
        )));
    }
    Ok(())
}
