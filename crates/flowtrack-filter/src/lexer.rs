//! A filter cut into words, quoted texts, operators and parentheses.

use crate::error::{ParseError, Problem};

/// One piece of a filter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Token<'a> {
    pub kind: TokenKind,
    /// As it stands in the filter, quotes included.
    pub text: &'a str,
    /// Where it begins, in bytes.
    pub offset: usize,
}

impl Token<'_> {
    /// Where it ends, in bytes.
    pub const fn end(&self) -> usize {
        self.offset + self.text.len()
    }
}

/// What a piece is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum TokenKind {
    Word,
    /// A quoted text, without quotes and escapes.
    Quoted(String),
    Operator(Operator),
    Not,
    And,
    Or,
    Open,
    Close,
    Comma,
}

/// How a field and a value are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Like,
    NotLike,
    Contains,
    In,
}

impl Operator {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Like => "~",
            Self::NotLike => "!~",
            Self::Contains => "contains",
            Self::In => "in",
        }
    }
}

/// Cuts a whole filter.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token<'_>>, ParseError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let offset = text.len() - rest.len();
        let (kind, len) = match symbol(rest) {
            Some(found) => found,
            None if matches!(first, '"' | '\'') => quoted(rest, first)
                .ok_or_else(|| ParseError::at(text, offset, Problem::OpenQuote))?,
            None if is_word(first) => word(rest),
            None => return Err(ParseError::at(text, offset, Problem::Character(first))),
        };
        let (token, behind) = rest.split_at_checked(len).unwrap_or((rest, ""));
        tokens.push(Token { kind, text: token, offset });
        rest = behind.trim_start();
    }
    Ok(tokens)
}

/// The operator or parenthesis that `rest` begins with, and its length.
fn symbol(rest: &str) -> Option<(TokenKind, usize)> {
    SYMBOLS
        .iter()
        .find(|(symbol, _)| rest.starts_with(symbol))
        .map(|(symbol, kind)| (kind.clone(), symbol.len()))
}

/// Longer ones stand before those that begin them.
const SYMBOLS: &[(&str, TokenKind)] = &[
    ("==", TokenKind::Operator(Operator::Equal)),
    ("!=", TokenKind::Operator(Operator::NotEqual)),
    ("<>", TokenKind::Operator(Operator::NotEqual)),
    ("!~", TokenKind::Operator(Operator::NotLike)),
    ("<=", TokenKind::Operator(Operator::LessOrEqual)),
    (">=", TokenKind::Operator(Operator::GreaterOrEqual)),
    ("&&", TokenKind::And),
    ("||", TokenKind::Or),
    ("=", TokenKind::Operator(Operator::Equal)),
    ("<", TokenKind::Operator(Operator::Less)),
    (">", TokenKind::Operator(Operator::Greater)),
    ("~", TokenKind::Operator(Operator::Like)),
    ("!", TokenKind::Not),
    ("(", TokenKind::Open),
    (")", TokenKind::Close),
    (",", TokenKind::Comma),
];

/// The quoted text that `rest` begins with; a backslash takes the next character as it is.
fn quoted(rest: &str, quote: char) -> Option<(TokenKind, usize)> {
    let mut inner = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Some((TokenKind::Quoted(inner), at + c.len_utf8())),
            '\\' => inner.push(chars.next()?.1),
            c => inner.push(c),
        }
    }
    None
}

/// The word that `rest` begins with.
fn word(rest: &str) -> (TokenKind, usize) {
    let mut len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
    // A community ID ends with the padding of base64, which is an operator elsewhere.
    if len == COMMUNITY_ID - 1 && rest.starts_with("1:") && rest.as_bytes().get(len) == Some(&b'=')
    {
        len += 1;
    }
    let kind = match rest.get(..len).unwrap_or_default() {
        w if w.eq_ignore_ascii_case("and") => TokenKind::And,
        w if w.eq_ignore_ascii_case("or") => TokenKind::Or,
        w if w.eq_ignore_ascii_case("not") => TokenKind::Not,
        w if w.eq_ignore_ascii_case("in") => TokenKind::Operator(Operator::In),
        w if w.eq_ignore_ascii_case("contains") => TokenKind::Operator(Operator::Contains),
        _ => TokenKind::Word,
    };
    (kind, len)
}

/// Characters of a community ID of version 1.
pub(crate) const COMMUNITY_ID: usize = 30;

fn is_word(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !"\"'()=<>!~&|,;`{}".contains(c)
}
