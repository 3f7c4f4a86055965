//! From words to a question.

use crate::MAX_DEPTH;
use crate::address::AddressRange;
use crate::error::{ParseError, Problem};
use crate::expr::{Check, Expr, Test};
use crate::field::{FIELDS, Field, FieldInfo, Kind, PROTOCOLS};
use crate::glob::Glob;
use crate::lexer::{COMMUNITY_ID, Operator, Token, TokenKind, tokens};
use crate::literal;
use flowtrack_event::IpProto;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

/// Reads a whole filter.
pub(crate) fn parse(text: &str) -> Result<Expr, ParseError> {
    if text.len() > crate::MAX_LENGTH {
        return Err(ParseError::at(text, crate::MAX_LENGTH, Problem::TooLong));
    }
    let tokens = tokens(text)?;
    let mut parser = Parser { text, tokens: &tokens, next: 0, depth: 0 };
    if tokens.is_empty() {
        return Ok(Expr::default());
    }
    let expr = parser.any()?;
    match parser.peek() {
        None => Ok(expr),
        Some(_) => Err(parser.expected("\"and\", \"or\" or the end")),
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Token<'a>],
    next: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    /// Terms joined by `or`.
    fn any(&mut self) -> Result<Expr, ParseError> {
        let mut parts = vec![self.all()?];
        while self.take(&TokenKind::Or) {
            parts.push(self.all()?);
        }
        Ok(single_or(parts, Expr::Any))
    }

    /// Terms joined by `and`, or by nothing.
    fn all(&mut self) -> Result<Expr, ParseError> {
        let mut parts = vec![self.term()?];
        loop {
            match self.peek().map(|t| &t.kind) {
                Some(TokenKind::And) => self.next += 1,
                None | Some(TokenKind::Or | TokenKind::Close) => break,
                Some(_) => {}
            }
            parts.push(self.term()?);
        }
        Ok(single_or(parts, Expr::All))
    }

    /// A test or something in parentheses, after any number of `not`.
    fn term(&mut self) -> Result<Expr, ParseError> {
        let mut negated = false;
        while self.take(&TokenKind::Not) {
            negated = !negated;
        }
        let open = self.peek().map_or(self.text.len(), |t| t.offset);
        let expr = if self.take(&TokenKind::Open) {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err(ParseError::at(self.text, open, Problem::TooDeep));
            }
            let expr = self.any()?;
            if !self.take(&TokenKind::Close) {
                return Err(match self.peek() {
                    None => ParseError::at(self.text, open, Problem::OpenParenthesis),
                    Some(_) => self.expected("\")\""),
                });
            }
            self.depth -= 1;
            expr
        } else {
            self.test()?
        };
        Ok(if negated { expr.negated() } else { expr })
    }

    /// A comparison, or a word that stands alone.
    fn test(&mut self) -> Result<Expr, ParseError> {
        let Some(token) = self.peek() else {
            return Err(self.expected("a field, an address, a port or a word"));
        };
        match &token.kind {
            TokenKind::Quoted(text) => {
                self.next += 1;
                Ok(if is_community_id(text) { community_id(text) } else { anywhere(text) })
            }
            TokenKind::Word => {
                self.next += 1;
                match (FieldInfo::named(token.text), self.operator()) {
                    (Some(field), Some((operator, negated))) => {
                        let expr = self.comparison(field, operator)?;
                        Ok(if negated { expr.negated() } else { expr })
                    }
                    (Some(field), None) if field.kind == Kind::Bool => {
                        Ok(is(field, Check::Numbers(vec![1..=1])))
                    }
                    (Some(_), None) => Err(self.expected("an operator such as = or in")),
                    (None, Some(_)) => {
                        let problem = Problem::UnknownField(token.text.to_owned());
                        Err(self.unknown_field(token, problem))
                    }
                    (None, None) => self.bare(token),
                }
            }
            _ => Err(self.expected("a field, an address, a port or a word")),
        }
    }

    /// The operator that comes next, and whether `not` stands before it.
    fn operator(&mut self) -> Option<(Operator, bool)> {
        let ahead = |n: usize| self.tokens.get(self.next + n).map(|t| &t.kind);
        match (ahead(0), ahead(1)) {
            (Some(&TokenKind::Operator(operator)), _) => {
                self.next += 1;
                Some((operator, false))
            }
            (
                Some(TokenKind::Not),
                Some(&TokenKind::Operator(op @ (Operator::In | Operator::Contains))),
            ) => {
                self.next += 2;
                Some((op, true))
            }
            _ => None,
        }
    }

    /// What stands behind the operator, as a test of the field.
    fn comparison(
        &mut self,
        field: &'static FieldInfo,
        operator: Operator,
    ) -> Result<Expr, ParseError> {
        let at = self.next.saturating_sub(1);
        match operator {
            Operator::Equal => {
                let value = self.value()?;
                self.one_of(field, &[value])
            }
            Operator::NotEqual => {
                let value = self.value()?;
                Ok(self.one_of(field, &[value])?.negated())
            }
            Operator::In => {
                let values = self.list()?;
                self.one_of(field, &values)
            }
            Operator::Like | Operator::NotLike | Operator::Contains => {
                let value = self.value()?;
                let parts = match field.kind {
                    kind if kind.is_text() => field.parts,
                    // A host is asked by name here; addresses are no text.
                    Kind::Host => NAMES,
                    _ => return Err(self.wrong_operator(at, operator, field)),
                };
                let check = if operator == Operator::Contains {
                    Check::Contains(value.text)
                } else {
                    Check::Like(Glob::new(&value.text))
                };
                let test = Expr::Test(Test { fields: parts, check });
                Ok(if operator == Operator::NotLike { test.negated() } else { test })
            }
            Operator::Less
            | Operator::LessOrEqual
            | Operator::Greater
            | Operator::GreaterOrEqual => {
                let ordered = matches!(
                    field.kind,
                    Kind::Port | Kind::Number | Kind::Size | Kind::Duration | Kind::Time
                );
                if !ordered {
                    return Err(self.wrong_operator(at, operator, field));
                }
                let value = self.value()?;
                let range = self.number(field, &value)?;
                let is_range = range.start() != range.end() && field.kind != Kind::Time;
                if is_range {
                    return Err(self.wrong_value(field, &value));
                }
                let (first, last) = range.into_inner();
                let accepted = match operator {
                    Operator::Less => vec![i64::MIN..=first.saturating_sub(1)],
                    Operator::LessOrEqual => vec![i64::MIN..=last],
                    Operator::Greater if last == i64::MAX => Vec::new(),
                    Operator::Greater => vec![last + 1..=i64::MAX],
                    _ => vec![first..=i64::MAX],
                };
                Ok(is(field, Check::Numbers(accepted)))
            }
        }
    }

    /// A test whether the field is one of the values.
    fn one_of(&self, field: &'static FieldInfo, values: &[Typed]) -> Result<Expr, ParseError> {
        let refused = |value| self.wrong_value(field, value);
        match field.kind {
            Kind::Address => {
                let ranges =
                    values.iter().map(|v| AddressRange::parse(&v.text).ok_or_else(|| refused(v)));
                Ok(is(field, Check::Addresses(ranges.collect::<Result<_, _>>()?)))
            }
            Kind::Host => {
                let (mut ranges, mut names) = (Vec::new(), Vec::new());
                for value in values {
                    match AddressRange::parse(&value.text) {
                        Some(range) => ranges.push(range),
                        None if looks_like_a_name(&value.text) => names.push(value.text.clone()),
                        None => return Err(refused(value)),
                    }
                }
                let mut parts = Vec::new();
                if !ranges.is_empty() {
                    parts.push(is(field, Check::Addresses(ranges)));
                }
                if !names.is_empty() {
                    parts.push(Expr::Test(Test { fields: NAMES, check: Check::Texts(names) }));
                }
                Ok(single_or(parts, Expr::Any))
            }
            Kind::Port | Kind::Number | Kind::Size | Kind::Duration | Kind::Time | Kind::Bool => {
                let ranges = values.iter().map(|value| self.number(field, value));
                Ok(is(field, Check::Numbers(ranges.collect::<Result<_, _>>()?)))
            }
            Kind::Text => {
                Ok(is(field, Check::Texts(values.iter().map(|v| v.text.clone()).collect())))
            }
            Kind::Word(words) => {
                for value in values {
                    if !words.iter().any(|w| w.eq_ignore_ascii_case(&value.text)) {
                        let problem =
                            Problem::UnknownWord { field: field.name, word: value.text.clone() };
                        return Err(ParseError::at(self.text, value.offset, problem)
                            .suggest(&value.text, words.iter().copied()));
                    }
                }
                Ok(is(field, Check::Texts(values.iter().map(|v| v.text.clone()).collect())))
            }
            Kind::Protocol => {
                let names = values.iter().map(|value| match protocol(&value.text) {
                    Some(name) => Ok(name),
                    None => Err(self
                        .wrong_value(field, value)
                        .suggest(&value.text, PROTOCOLS.iter().copied())),
                });
                Ok(is(field, Check::Texts(names.collect::<Result<_, _>>()?)))
            }
        }
    }

    fn number(
        &self,
        field: &'static FieldInfo,
        value: &Typed,
    ) -> Result<RangeInclusive<i64>, ParseError> {
        literal::number(field.kind, &value.text).ok_or_else(|| self.wrong_value(field, value))
    }

    /// The value behind an operator.
    fn value(&mut self) -> Result<Typed, ParseError> {
        let Some(token) = self.peek() else {
            return Err(self.expected("a value"));
        };
        let text = match &token.kind {
            TokenKind::Word => token.text.to_owned(),
            TokenKind::Quoted(text) => text.clone(),
            TokenKind::And | TokenKind::Or | TokenKind::Not | TokenKind::Operator(_) => {
                return Err(self.expected("a value (in quotes, if this is one)"));
            }
            _ => return Err(self.expected("a value")),
        };
        self.next += 1;
        Ok(Typed { text, offset: token.offset })
    }

    /// Values in parentheses.
    fn list(&mut self) -> Result<Vec<Typed>, ParseError> {
        if !self.take(&TokenKind::Open) {
            return Err(self.expected("a list such as (80, 443)"));
        }
        let mut values = vec![self.value()?];
        while self.take(&TokenKind::Comma) {
            values.push(self.value()?);
        }
        if self.take(&TokenKind::Close) { Ok(values) } else { Err(self.expected("\",\" or \")\"")) }
    }

    /// What a word means that stands alone, as in a search box.
    fn bare(&self, token: &Token<'_>) -> Result<Expr, ParseError> {
        let word = token.text;
        if let Some(range) = AddressRange::parse(word) {
            return Ok(host(range));
        }
        if let Ok(socket) = word.parse::<SocketAddr>() {
            return Ok(Expr::Any(vec![
                endpoint(socket, SRC_IP, SRC_PORT),
                endpoint(socket, DEST_IP, DEST_PORT),
            ]));
        }
        if word.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
            let port = literal::number(Kind::Port, word);
            return match (port, FieldInfo::named("port")) {
                (Some(port), Some(field)) => Ok(is(field, Check::Numbers(vec![port]))),
                _ => Err(ParseError::at(
                    self.text,
                    token.offset,
                    Problem::Value {
                        value: word.to_owned(),
                        field: "port",
                        expected: Kind::Port.expected(),
                    },
                )),
            };
        }
        if is_community_id(word) {
            return Ok(community_id(word));
        }
        if let Some(name) = protocol(word) {
            return Ok(Expr::Test(Test { fields: PROTO, check: Check::Texts(vec![name]) }));
        }
        if word.contains(['*', '?']) {
            return Ok(Expr::Test(Test { fields: TEXTS, check: Check::Like(Glob::new(word)) }));
        }
        // Only digits and the signs of addresses: a slip, not a word to search for.
        if word.bytes().all(|b| b.is_ascii_digit() || b".:/[]".contains(&b)) {
            let problem = Problem::Value {
                value: word.to_owned(),
                field: "host",
                expected: Kind::Address.expected(),
            };
            return Err(ParseError::at(self.text, token.offset, problem));
        }
        Ok(anywhere(word))
    }

    fn peek(&self) -> Option<&'a Token<'a>> {
        self.tokens.get(self.next)
    }

    /// Goes on if this comes next.
    fn take(&mut self, kind: &TokenKind) -> bool {
        let found = self.peek().is_some_and(|t| t.kind == *kind);
        self.next += usize::from(found);
        found
    }

    /// What comes next should be something else.
    fn expected(&self, expected: &'static str) -> ParseError {
        let (offset, found) = match self.peek() {
            Some(token) => (token.offset, format!("\"{}\"", shorten(token.text))),
            None => (self.text.trim_end().len(), "the end".to_owned()),
        };
        ParseError::at(self.text, offset, Problem::Expected { expected, found })
    }

    fn unknown_field(&self, token: &Token<'_>, problem: Problem) -> ParseError {
        let known = FIELDS.iter().flat_map(FieldInfo::names);
        let mut error = ParseError::at(self.text, token.offset, problem).suggest(token.text, known);
        // Aliases help to find the word, but one name for one thing is what people should learn.
        if let Some(field) = error.suggestion.as_deref().and_then(FieldInfo::named) {
            error.suggestion = Some(field.name.to_owned());
        }
        error
    }

    fn wrong_value(&self, field: &'static FieldInfo, value: &Typed) -> ParseError {
        let problem = Problem::Value {
            value: shorten(&value.text),
            field: field.name,
            expected: field.kind.expected(),
        };
        ParseError::at(self.text, value.offset, problem)
    }

    fn wrong_operator(
        &self,
        token: usize,
        operator: Operator,
        field: &'static FieldInfo,
    ) -> ParseError {
        let offset = self.tokens.get(token).map_or(0, |t| t.offset);
        let problem = Problem::Operator {
            operator: operator.name(),
            field: field.name,
            kind: field.kind.expected(),
        };
        ParseError::at(self.text, offset, problem)
    }
}

/// A value and where it was typed.
struct Typed {
    text: String,
    offset: usize,
}

const NAMES: &[Field] = &[Field::SrcName, Field::DestName];
const SRC_IP: &[Field] = &[Field::SrcIp];
const SRC_PORT: &[Field] = &[Field::SrcPort];
const DEST_IP: &[Field] = &[Field::DestIp];
const DEST_PORT: &[Field] = &[Field::DestPort];
const HOSTS: &[Field] = &[Field::SrcIp, Field::DestIp];
const PROTO: &[Field] = &[Field::Proto];
const COMMUNITY: &[Field] = &[Field::CommunityId];
/// Where a word that stands alone is searched.
const TEXTS: &[Field] = &[Field::AppProto, Field::SrcName, Field::DestName, Field::Info];

/// The expression itself if it is alone.
fn single_or(mut parts: Vec<Expr>, join: fn(Vec<Expr>) -> Expr) -> Expr {
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            parts.extend(last);
            join(parts)
        }
    }
}

fn is(field: &'static FieldInfo, check: Check) -> Expr {
    Expr::Test(Test { fields: field.parts, check })
}

fn host(range: AddressRange) -> Expr {
    Expr::Test(Test { fields: HOSTS, check: Check::Addresses(vec![range]) })
}

fn endpoint(socket: SocketAddr, ip: &'static [Field], port: &'static [Field]) -> Expr {
    let address = AddressRange { first: socket.ip(), last: socket.ip() };
    let number = i64::from(socket.port());
    Expr::All(vec![
        Expr::Test(Test { fields: ip, check: Check::Addresses(vec![address]) }),
        Expr::Test(Test { fields: port, check: Check::Numbers(vec![number..=number]) }),
    ])
}

fn community_id(text: &str) -> Expr {
    Expr::Test(Test { fields: COMMUNITY, check: Check::Texts(vec![text.to_owned()]) })
}

fn anywhere(text: &str) -> Expr {
    Expr::Test(Test { fields: TEXTS, check: Check::Contains(text.to_owned()) })
}

fn is_community_id(text: &str) -> bool {
    text.len() == COMMUNITY_ID && text.starts_with("1:") && text.ends_with('=')
}

/// Whether it may be a host name, rather than a slip in an address.
fn looks_like_a_name(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_alphabetic() || !b.is_ascii())
        && !text.contains(['/', ':'])
        && text.parse::<IpAddr>().is_err()
}

/// The name under which a flow has a transport protocol, by name or number.
fn protocol(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    if let Ok(number) = lower.parse::<u8>() {
        return Some(IpProto(number).name().map_or_else(|| number.to_string(), str::to_owned));
    }
    match lower.as_str() {
        "icmp6" | "icmpv6" | "ipv6_icmp" => Some("ipv6-icmp".to_owned()),
        "icmp4" | "icmpv4" => Some("icmp".to_owned()),
        name => PROTOCOLS.contains(&name).then(|| name.to_owned()),
    }
}

/// At most forty characters of what was typed, for a message.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
