//! What a person types to find alerts: `severity=high source=10.0.0.0/8 ssh`.
//!
//! Terms stand side by side and all must hold. `name=value` asks one property, a word alone looks
//! for an address, a network, or letters in title, rule, category and technique. Values with
//! blanks stand in double quotes.

use super::pattern::{AddressPattern, PortPattern, RulePattern};
use super::record::{AlertKind, AlertRecord, AlertState};
use flowtrack_event::Severity;
use std::fmt;
use std::str::FromStr;

/// Names of properties, with what they ask.
pub const FILTER_WORDS: &[(&str, &str)] = &[
    ("severity", "this severity or a higher one: info, low, medium, high, critical"),
    ("state", "one of these states, with commas: new, seen, resolved, muted"),
    ("kind", "`signature` or `behaviour`"),
    ("rule", "the rule: 1:2019284, port_scan, ET SCAN*"),
    ("category", "letters of the category"),
    ("technique", "the technique's number, such as T1046"),
    ("source", "who does it: an address or network"),
    ("target", "whom it is done to: an address or network"),
    ("host", "either of both"),
    ("port", "port of the service, or a range"),
];

/// Which alerts are wanted.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct AlertFilter {
    terms: Vec<Term>,
}

#[derive(Clone, PartialEq, Debug)]
enum Term {
    Severity(Severity),
    State(Vec<AlertState>),
    Kind(AlertKind),
    Rule(RulePattern),
    Category(String),
    Technique(String),
    Source(AddressPattern),
    Target(AddressPattern),
    Host(AddressPattern),
    Port(PortPattern),
    Text(String),
}

/// What is wrong with a filter, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WrongTerm {
    /// Where it stands, in characters from 1.
    pub column: usize,
    /// What is wrong, and the nearest right word.
    pub message: String,
}

impl fmt::Display for WrongTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at column {}", self.message, self.column)
    }
}

impl std::error::Error for WrongTerm {}

/// Longest filter, in bytes.
const MAX_LENGTH: usize = 1_000;

impl AlertFilter {
    /// Reads a filter; an empty one matches everything.
    pub fn parse(text: &str) -> Result<Self, WrongTerm> {
        if text.len() > MAX_LENGTH {
            let message = format!("the filter is longer than {MAX_LENGTH} bytes");
            return Err(WrongTerm { column: 1, message });
        }
        let mut terms = Vec::new();
        let mut letters = text.char_indices().enumerate().peekable();
        while let Some(&(at, (_, letter))) = letters.peek() {
            if letter.is_whitespace() {
                letters.next();
                continue;
            }
            let column = at + 1;
            let (mut word, mut name, mut quoted, mut was_quoted) =
                (String::new(), None, false, false);
            while let Some(&(_, (_, letter))) = letters.peek() {
                match letter {
                    '"' => {
                        quoted = !quoted;
                        was_quoted = true;
                    }
                    '=' if !quoted && name.is_none() && !word.is_empty() => {
                        name = Some(std::mem::take(&mut word));
                    }
                    letter if letter.is_whitespace() && !quoted => break,
                    letter => word.push(letter),
                }
                letters.next();
            }
            if quoted {
                return Err(WrongTerm { column, message: "the quote is not closed".to_owned() });
            }
            terms.push(
                term(name.as_deref(), &word, was_quoted)
                    .map_err(|message| WrongTerm { column, message })?,
            );
        }
        Ok(Self { terms })
    }

    /// Only alerts of this severity or a higher one.
    #[must_use]
    pub fn at_least(mut self, severity: Severity) -> Self {
        self.terms.push(Term::Severity(severity));
        self
    }

    /// Whether it matches everything because nothing was asked.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether it says which states it wants.
    pub fn names_state(&self) -> bool {
        self.terms.iter().any(|term| matches!(term, Term::State(_)))
    }

    /// Whether an alert is wanted.
    pub fn matches(&self, alert: &AlertRecord) -> bool {
        self.terms.iter().all(|term| term.matches(alert))
    }
}

impl FromStr for AlertFilter {
    type Err = WrongTerm;

    fn from_str(text: &str) -> Result<Self, WrongTerm> {
        Self::parse(text)
    }
}

impl Term {
    fn matches(&self, alert: &AlertRecord) -> bool {
        match self {
            Self::Severity(least) => alert.severity >= *least,
            Self::State(states) => states.contains(&alert.state),
            Self::Kind(kind) => alert.kind == *kind,
            Self::Rule(rule) => rule.matches(alert.rule, &alert.name),
            Self::Category(letters) => contains(&alert.category, letters),
            Self::Technique(id) => alert.technique.as_ref().is_some_and(|technique| {
                // A technique stands for its parts too: T1110 for T1110.003.
                let (own, wanted) = (technique.id.to_ascii_lowercase(), id);
                own.strip_prefix(wanted.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            }),
            Self::Source(net) => alert.source.is_some() && net.matches(alert.source),
            Self::Target(net) => alert.target.is_some() && net.matches(alert.target),
            Self::Host(net) => [alert.source, alert.target]
                .into_iter()
                .any(|host| host.is_some() && net.matches(host)),
            Self::Port(port) => port.matches(alert.port),
            Self::Text(letters) => {
                [&alert.title, &alert.name, &alert.category].iter().any(|t| contains(t, letters))
                    || alert.technique.as_ref().is_some_and(|technique| {
                        contains(&technique.id, letters) || contains(&technique.name, letters)
                    })
            }
        }
    }
}

fn term(name: Option<&str>, value: &str, quoted: bool) -> Result<Term, String> {
    let Some(name) = name else {
        return Ok(match value.parse() {
            Ok(net @ AddressPattern::Net(..)) if !quoted => Term::Host(net),
            _ => Term::Text(value.to_lowercase()),
        });
    };
    let address = || value.parse::<AddressPattern>().map_err(|wrong| wrong.to_string());
    Ok(match name.to_ascii_lowercase().as_str() {
        "severity" => Term::Severity(one_of("severity", value, Severity::parse, || {
            Severity::ALL.map(Severity::name).to_vec()
        })?),
        "state" => Term::State(
            value
                .split(',')
                .map(|state| {
                    one_of("state", state, AlertState::parse, || {
                        AlertState::ALL.map(AlertState::name).to_vec()
                    })
                })
                .collect::<Result<_, _>>()?,
        ),
        "kind" => {
            Term::Kind(one_of("kind", value, AlertKind::parse, || vec!["signature", "behaviour"])?)
        }
        "rule" | "detector" | "sid" => {
            let numbered = value.parse::<u32>().is_ok();
            let value = if numbered { format!("1:{value}") } else { value.to_owned() };
            Term::Rule(value.parse().map_err(|wrong| format!("{wrong}"))?)
        }
        "category" => Term::Category(value.to_lowercase()),
        "technique" => Term::Technique(value.to_ascii_lowercase()),
        "source" | "src" | "src_ip" => Term::Source(address()?),
        "target" | "dest" | "dest_ip" | "destination" => Term::Target(address()?),
        "host" | "ip" => Term::Host(address()?),
        "port" | "dest_port" => Term::Port(value.parse().map_err(|wrong| format!("{wrong}"))?),
        unknown => {
            let words = FILTER_WORDS.iter().map(|(word, _)| *word);
            let nearest = words.min_by_key(|word| strsim::damerau_levenshtein(word, unknown));
            return Err(format!(
                "alerts have no `{unknown}`; did you mean `{}`?",
                nearest.unwrap_or("severity")
            ));
        }
    })
}

fn one_of<T>(
    what: &str,
    value: &str,
    parse: impl Fn(&str) -> Option<T>,
    words: impl Fn() -> Vec<&'static str>,
) -> Result<T, String> {
    let value = value.trim().to_ascii_lowercase();
    parse(&value)
        .ok_or_else(|| format!("`{value}` is no {what}; it is one of {}", words().join(", ")))
}

/// Whether a text has these letters, which are in lower case.
fn contains(text: &str, letters: &str) -> bool {
    text.to_lowercase().contains(letters)
}
