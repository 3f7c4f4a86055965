//! Help while a filter is typed.

use crate::field::{FIELDS, FieldInfo, Kind, PROTOCOLS};
use crate::lexer::{Operator, Token, TokenKind, tokens};

/// What could stand at the cursor.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Completion {
    /// Where the word begins that a suggestion replaces, in characters from 0; it ends at the
    /// cursor.
    pub start: usize,
    /// What could stand there, likeliest first.
    pub suggestions: Vec<Suggestion>,
}

/// One word that could stand at the cursor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Suggestion {
    /// The word.
    pub text: &'static str,
    /// What it means.
    pub doc: &'static str,
}

/// Suggests what could stand at `cursor`, in characters from 0.
pub fn complete(text: &str, cursor: usize) -> Completion {
    let end = text.char_indices().nth(cursor).map_or(text.len(), |(at, _)| at);
    let before = text.get(..end).unwrap_or(text);
    // Nothing can be said inside an open quote or behind a character that no filter has.
    let Ok(mut tokens) = tokens(before) else {
        return Completion { start: before.chars().count(), suggestions: Vec::new() };
    };
    let partial = match tokens.last() {
        Some(last) if last.end() == end && is_word(last) => tokens.pop(),
        _ => None,
    };
    let typed = partial.as_ref().map_or("", |t| t.text);
    let start = partial.as_ref().map_or(end, |t| t.offset);
    let mut suggestions = wanted(&tokens);
    suggestions.retain(|s| starts_with(s.text, typed));
    Completion { start: before.get(..start).unwrap_or(before).chars().count(), suggestions }
}

/// Whether the token is letters that may still grow, keywords included.
fn is_word(token: &Token<'_>) -> bool {
    matches!(token.kind, TokenKind::Word)
        || token.text.starts_with(|c: char| c.is_ascii_alphabetic())
}

fn starts_with(word: &str, typed: &str) -> bool {
    word.get(..typed.len()).is_some_and(|head| head.eq_ignore_ascii_case(typed))
}

/// What a filter can go on with.
enum Next {
    Term,
    Operator(&'static FieldInfo),
    List(&'static FieldInfo),
    Value(&'static FieldInfo),
    InList(&'static FieldInfo),
    BehindListed(&'static FieldInfo),
    Connective,
}

fn wanted(tokens: &[Token<'_>]) -> Vec<Suggestion> {
    let mut next = Next::Term;
    for token in tokens {
        next = match (next, &token.kind) {
            (Next::Operator(f), TokenKind::Operator(Operator::In)) => Next::List(f),
            (Next::Operator(f), TokenKind::Operator(_)) => Next::Value(f),
            (Next::Operator(f), TokenKind::Not) => Next::Operator(f),
            (Next::InList(f), TokenKind::Word | TokenKind::Quoted(_)) => Next::BehindListed(f),
            (Next::List(f), TokenKind::Open) | (Next::BehindListed(f), TokenKind::Comma) => {
                Next::InList(f)
            }
            (Next::Value(_), TokenKind::Word) | (_, TokenKind::Close | TokenKind::Quoted(_)) => {
                Next::Connective
            }
            (_, TokenKind::Word) => match FieldInfo::named(token.text) {
                Some(f) if f.kind != Kind::Bool => Next::Operator(f),
                _ => Next::Connective,
            },
            _ => Next::Term,
        };
    }
    match next {
        Next::Term => terms(),
        Next::Operator(field) => operators(field.kind),
        Next::List(_) => vec![Suggestion { text: "(", doc: "begins the list" }],
        Next::Value(field) | Next::InList(field) => values(field),
        Next::BehindListed(_) => vec![
            Suggestion { text: ",", doc: "another value" },
            Suggestion { text: ")", doc: "ends the list" },
        ],
        Next::Connective => {
            let mut all = vec![
                Suggestion { text: "and", doc: "both must hold" },
                Suggestion { text: "or", doc: "one must hold" },
            ];
            all.extend(terms());
            all
        }
    }
}

fn terms() -> Vec<Suggestion> {
    let fields = FIELDS.iter().map(|f| Suggestion { text: f.name, doc: f.doc });
    fields.chain([Suggestion { text: "not", doc: "must not hold" }]).collect()
}

fn operators(kind: Kind) -> Vec<Suggestion> {
    let equal = &[("=", "is"), ("!=", "is not"), ("in", "is one of")][..];
    let order = &[(">", "more than"), (">=", "at least"), ("<", "less than"), ("<=", "at most")];
    let text = &[("contains", "has it inside"), ("~", "is of the pattern with * and ?")];
    let more = match kind {
        Kind::Address | Kind::Bool => &[][..],
        Kind::Host | Kind::Text | Kind::Word(_) | Kind::Protocol => text,
        Kind::Port | Kind::Number | Kind::Size | Kind::Duration | Kind::Time => order,
    };
    equal.iter().chain(more).map(|&(text, doc)| Suggestion { text, doc }).collect()
}

fn values(field: &FieldInfo) -> Vec<Suggestion> {
    let words = match field.kind {
        Kind::Word(words) => words,
        Kind::Protocol => PROTOCOLS,
        Kind::Bool => &["true", "false"],
        Kind::Text if field.name == "app_proto" => APP_PROTOCOLS,
        _ => &[],
    };
    words.iter().map(|&text| Suggestion { text, doc: field.doc }).collect()
}

/// Application protocols that people ask for most; any other name can be asked as well.
const APP_PROTOCOLS: &[&str] = &[
    "http", "http2", "tls", "quic", "dns", "mdns", "ssh", "smtp", "imap", "pop3", "ftp",
    "ftp-data", "smb", "nfs", "dhcp", "ntp", "snmp", "sip", "rdp", "rfb", "ldap", "krb5", "mqtt",
    "mysql", "pgsql", "tftp", "telnet",
];
