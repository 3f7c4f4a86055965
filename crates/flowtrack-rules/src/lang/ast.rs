//! A rule as it is written.

use super::did_you_mean;
use std::sync::Arc;

/// A place in a rule file.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Span {
    /// Line, from 1.
    pub line: u32,
    /// Column in bytes, from 1.
    pub column: u32,
}

/// What a rule asks to be done with what it matches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Action {
    /// Let it through and look no further.
    Pass,
    /// Throw it away.
    Drop,
    /// Throw it away and tell the sender.
    Reject,
    /// The same, telling both sides.
    RejectBoth,
    /// The same, telling the receiver.
    RejectDst,
    /// Tell a person.
    Alert,
    /// Change how what it matches is recorded (`config:logging disable`); never an alert.
    Config,
    /// Let it through a firewall that lets nothing else through.
    Accept,
}

/// To what an action applies, where the rule says so (`drop:flow`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ActionScope {
    /// The packet in hand.
    Packet,
    /// The packet in hand and all of its flow that comes behind it.
    Flow,
}

/// The order in which signatures are judged by what they do; one that passes silences those behind
/// it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ActionOrder([Action; 4]);

impl Default for ActionOrder {
    fn default() -> Self {
        Self([Action::Pass, Action::Drop, Action::Reject, Action::Alert])
    }
}

impl ActionOrder {
    /// The order of these words: `pass`, `drop`, `reject` and `alert`, each once.
    pub fn of<T: AsRef<str>>(words: &[T]) -> Option<Self> {
        let mut order = Self::default().0;
        let known = order;
        let actions: Vec<Action> =
            words.iter().map(|word| Action::by_name(word.as_ref())).collect::<Option<_>>()?;
        if actions.len() != known.len() || !known.iter().all(|action| actions.contains(action)) {
            return None;
        }
        order.copy_from_slice(&actions);
        Some(Self(order))
    }

    /// The place of an action.
    pub(crate) fn place(self, action: Action) -> usize {
        let action = match action {
            Action::RejectBoth | Action::RejectDst => Action::Reject,
            Action::Config => Action::Alert,
            Action::Accept => Action::Pass,
            other => other,
        };
        self.0.iter().position(|known| *known == action).unwrap_or(self.0.len())
    }
}

impl Action {
    /// Every action with the words for it, the first being its name.
    pub const WORDS: &'static [(Self, &'static [&'static str])] = &[
        (Self::Alert, &["alert"]),
        (Self::Pass, &["pass"]),
        (Self::Drop, &["drop", "sdrop"]),
        (Self::Reject, &["reject", "rejectsrc"]),
        (Self::RejectDst, &["rejectdst"]),
        (Self::RejectBoth, &["rejectboth"]),
        (Self::Config, &["config"]),
        (Self::Accept, &["accept"]),
    ];

    /// The action that a word names, in either case.
    pub fn by_name(word: &str) -> Option<Self> {
        Self::WORDS
            .iter()
            .find(|(_, words)| words.iter().any(|known| known.eq_ignore_ascii_case(word)))
            .map(|(action, _)| *action)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Drop => "drop",
            Self::Reject => "reject",
            Self::RejectBoth => "rejectboth",
            Self::RejectDst => "rejectdst",
            Self::Alert => "alert",
            Self::Config => "config",
            Self::Accept => "accept",
        }
    }

    /// The action of a header, and to what it applies: `drop`, `pass:flow`, or `drop:flow,alert`,
    /// of which the first counts.
    ///
    /// # Errors
    /// What is wrong with the word.
    pub(crate) fn parse(word: &str) -> Result<(Self, Option<ActionScope>), String> {
        let (action, more) = word.split_once(',').map_or((word, None), |(a, more)| (a, Some(more)));
        let (action, scope) =
            action.split_once(':').map_or((action, None), |(action, scope)| (action, Some(scope)));
        let Some(known) = Self::by_name(action) else {
            let words = Self::WORDS.iter().flat_map(|(_, words)| words.iter().copied());
            let near = did_you_mean(&action.to_ascii_lowercase(), words);
            return Err(format!("unknown action \"{action}\"{near}"));
        };
        if let Some(wrong) = more.and_then(|more| more.split(',').find(|w| Self::parse(w).is_err()))
        {
            return Err(format!("unknown action \"{wrong}\""));
        }
        // Hooks and transactions are what rules of a firewall let through.
        let scope = match (known, scope) {
            (_, None) | (Self::Accept, Some("hook" | "tx")) => None,
            (Self::Alert | Self::Config, Some(scope)) => {
                return Err(format!("{action} applies to what it matches: leave out :{scope}"));
            }
            (_, Some("packet")) => Some(ActionScope::Packet),
            (_, Some("flow")) => Some(ActionScope::Flow),
            (_, Some(scope)) => {
                return Err(format!("{action} applies to packet or flow, not to \"{scope}\""));
            }
        };
        Ok((known, scope))
    }
}

/// Which way the arrow of a header points.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrow {
    /// `->`: from source to destination.
    Right,
    /// `<>`: either way.
    Both,
    /// `=>`: one transaction's both directions.
    Transaction,
}

/// Where the words of a header stand.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct HeaderSpans {
    /// The protocol.
    pub protocol: Span,
    /// Source addresses.
    pub src: Span,
    /// Source ports.
    pub src_ports: Span,
    /// Destination addresses.
    pub dst: Span,
    /// Destination ports.
    pub dst_ports: Span,
}

/// What stands before the parenthesis.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// First word.
    pub action: Action,
    /// What stands behind it and a colon.
    pub scope: Option<ActionScope>,
    /// Protocol word, in lower case.
    pub protocol: Arc<str>,
    /// Source addresses, as written.
    pub src: Arc<str>,
    /// Source ports, as written.
    pub src_ports: Arc<str>,
    /// Arrow.
    pub arrow: Arrow,
    /// Destination addresses, as written.
    pub dst: Arc<str>,
    /// Destination ports, as written.
    pub dst_ports: Arc<str>,
    /// Where these words stand.
    pub at: HeaderSpans,
}

/// One option: a keyword and, behind a colon, its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opt {
    /// Keyword, as written.
    pub name: Arc<str>,
    /// What follows the colon, trimmed; escapes are still in it.
    pub value: Option<Arc<str>>,
    /// Where the keyword stands.
    pub at: Span,
    /// Where the value stands.
    pub value_at: Span,
}

/// A rule: header and options.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Where it begins.
    pub at: Span,
    /// The whole text, lines joined.
    pub text: Arc<str>,
    /// Before the parenthesis.
    pub header: Header,
    /// Inside it, in order.
    pub options: Vec<Opt>,
}

impl Rule {
    /// The first option of this name.
    pub fn option(&self, name: &str) -> Option<&Opt> {
        self.options.iter().find(|option| &*option.name == name)
    }

    /// Signature identifier, where it is written and a number.
    pub fn sid(&self) -> Option<u32> {
        self.option("sid")?.value.as_deref()?.parse().ok()
    }
}

/// Why a rule could not be loaded, or what is odd about it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{file}:{}:{}: {message}", at.line, at.column)]
pub struct Problem {
    /// Name of the file.
    pub file: Arc<str>,
    /// Where in it.
    pub at: Span,
    /// Signature identifier, where it could be read.
    pub sid: Option<u32>,
    /// Keyword it is about, where there is one.
    pub keyword: Option<Arc<str>>,
    /// What is wrong, what was expected, and the nearest known word.
    pub message: String,
    /// Whether the rule was left out because it is wrong; else it is loaded and odd, or left out
    /// for a reason that is not its fault.
    pub fatal: bool,
}
