//! What rules may ask a transaction for.

use flowtrack_event::Direction;

/// One keyword of the rule language that a protocol answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keyword {
    /// As rules write it, such as `http.uri`; older spellings are the rule compiler's matter.
    pub name: &'static str,
    /// Whether it is asked for as bytes or as a number.
    pub kind: KeywordKind,
    /// Whether one transaction may have several values, of which one is enough.
    pub multi: bool,
    /// Which way goes what it is about; `None` where it may be either.
    pub toward: Option<Direction>,
    /// Words that rules may write for its numbers; of flags each word is one bit.
    pub names: &'static [(&'static str, u64)],
    /// What it is.
    pub doc: &'static str,
}

/// How a keyword is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeywordKind {
    /// By bytes: [`Transaction::buffer_towards`](flowtrack_event::Transaction::buffer_towards).
    Buffer,
    /// By numbers: [`Transaction::number`](flowtrack_event::Transaction::number).
    Number,
}

impl Keyword {
    /// Bytes that either side may have sent.
    pub const fn buffer(name: &'static str, doc: &'static str) -> Self {
        Self { name, kind: KeywordKind::Buffer, multi: false, toward: None, names: &[], doc }
    }

    /// A number that either side may have sent.
    pub const fn number(name: &'static str, doc: &'static str) -> Self {
        Self { name, kind: KeywordKind::Number, multi: false, toward: None, names: &[], doc }
    }

    /// Only what goes to the server has it.
    #[must_use]
    pub const fn to_server(mut self) -> Self {
        self.toward = Some(Direction::ToServer);
        self
    }

    /// Only what goes to the client has it.
    #[must_use]
    pub const fn to_client(mut self) -> Self {
        self.toward = Some(Direction::ToClient);
        self
    }

    /// Rules may write words for its numbers.
    #[must_use]
    pub const fn named(mut self, names: &'static [(&'static str, u64)]) -> Self {
        self.names = names;
        self
    }

    /// There may be several.
    #[must_use]
    pub const fn multi(mut self) -> Self {
        self.multi = true;
        self
    }
}
