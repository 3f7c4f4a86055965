//! Filters in the language of tcpdump (`pcap-filter(7)`).
//!
//! libpcap translates them to classic BPF; that runs here for files and in the kernel for live
//! capture.

mod diagnose;
mod filtered;
mod machine;
#[cfg(test)]
mod tests;

pub use crate::sys::instruction::Instruction;
pub use filtered::Filtered;

use crate::SourceError;
use crate::sys::libpcap::{self, LibPcap};
use flowtrack_event::{LinkType, RawPacket};
use machine::Program;
use std::fmt;

/// A compiled filter expression for one link type.
#[derive(Clone, Debug)]
pub struct Filter {
    program: Program,
    mentions_vlan: bool,
}

/// Why an expression is no filter.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FilterError {
    /// libpcap is not there to translate it.
    #[error(
        "filters need libpcap, which is not installed; install it \
         (`apt install libpcap0.8`, `dnf install libpcap`, `apk add libpcap`) and start again"
    )]
    NoLibpcap,
    /// It cannot be understood, or not for this link type.
    #[error("{0}")]
    Wrong(Box<WrongExpression>),
    /// It is longer than any that a person writes.
    #[error("expression of {0} bytes, {max} is the most", max = Filter::MAX_EXPRESSION)]
    TooLong(usize),
}

/// What is wrong with an expression, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WrongExpression {
    /// The whole expression.
    pub expression: String,
    /// What libpcap says, without the place.
    pub message: String,
    /// The offending part: where it begins and ends, in bytes. Empty at the end of the expression
    /// where something is missing there; none where the expression as a whole is wrong.
    pub span: Option<(usize, usize)>,
    /// What may have been meant.
    pub hint: Option<String>,
    /// Whether the words do not even form an expression; otherwise another link type may take it.
    pub syntax: bool,
}

impl Filter {
    /// Longer expressions are refused: libpcap takes more than linear time and stack for them.
    pub const MAX_EXPRESSION: usize = 8 * 1024;

    /// Translates `expression` for frames of `link` of which at most `snaplen` bytes are captured.
    ///
    /// Looks up host names that are in it, and waits for the answer.
    ///
    /// # Errors
    /// [`FilterError`], with the place where that is known.
    pub fn compile(expression: &str, link: LinkType, snaplen: u32) -> Result<Self, FilterError> {
        if expression.len() > Self::MAX_EXPRESSION {
            return Err(FilterError::TooLong(expression.len()));
        }
        let library = LibPcap::get().ok_or(FilterError::NoLibpcap)?;
        let wrong = |wrong| FilterError::Wrong(Box::new(wrong));
        let Some(text) = libpcap::expression(expression) else {
            let at = expression.find('\0').unwrap_or_default();
            return Err(wrong(WrongExpression {
                expression: expression.to_owned(),
                message: "zero byte".to_owned(),
                span: Some((at, at + 1)),
                hint: None,
                syntax: true,
            }));
        };
        let try_compile = |text: &std::ffi::CStr| {
            with_deep_stack(|| library.compile(text, link, snaplen))
                .unwrap_or_else(|| Err("no thread to translate it on".to_owned()))
        };
        let instructions = try_compile(&text).map_err(|message| {
            wrong(diagnose::diagnose(expression, &message, |prefix| {
                let prefix = libpcap::expression(prefix)?;
                try_compile(&prefix).err()
            }))
        })?;
        let program = Program::new(instructions).ok_or_else(|| {
            wrong(WrongExpression {
                expression: expression.to_owned(),
                message: "libpcap made a program that cannot run".to_owned(),
                span: None,
                hint: None,
                syntax: false,
            })
        })?;
        Ok(Self { program, mentions_vlan: diagnose::has_word(expression, "vlan") })
    }

    /// Whether the filter wants `packet`, which must be of the link type it was made for.
    ///
    /// A VLAN tag that the network card took out is seen at its place.
    #[inline]
    pub fn matches(&self, packet: &RawPacket<'_>) -> bool {
        self.program.run(packet)
    }

    /// The program, as the kernel takes it (`SO_ATTACH_FILTER`).
    pub fn program(&self) -> &[Instruction] {
        self.program.instructions()
    }

    /// Whether the expression asks for VLAN tags.
    ///
    /// The kernel shows a socket filter the frame without the tag, so that such a program must
    /// run by [`Self::matches`] when live.
    pub fn mentions_vlan(&self) -> bool {
        self.mentions_vlan
    }
}

impl WrongExpression {
    /// The column of the offending part, in characters from 1.
    pub fn column(&self) -> Option<usize> {
        let (start, _) = self.span?;
        Some(self.expression[..start].chars().count() + 1)
    }
}

/// The message with its place, and carets under the expression.
impl fmt::Display for WrongExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(((start, end), column)) = self.span.zip(self.column()) else {
            return write!(f, "{} in \"{}\"", self.message, self.expression);
        };
        write!(f, "{} at column {column}", self.message)?;
        match &self.expression[start..end] {
            "" => write!(f, ", where something is missing")?,
            near => write!(f, " near \"{near}\"")?,
        }
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        // Blanks of all kinds as one column each, so that the carets stand right.
        let blank = |c: char| if c.is_whitespace() || c.is_control() { ' ' } else { c };
        let line: String = self.expression.chars().map(blank).collect();
        let carets = self.expression[start..end].chars().count().max(1);
        write!(f, "\n  {line}\n  {:indent$}{:^>carets$}", "", "", indent = column - 1)
    }
}

impl From<FilterError> for SourceError {
    fn from(error: FilterError) -> Self {
        Self::Filter(error.to_string())
    }
}

/// Runs `work` on a stack on which the longest expression has room; none where the system gives no
/// thread.
///
/// libpcap's optimiser calls itself once for each step of a filter.
fn with_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    const STACK: usize = 64 * 1024 * 1024;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("filter".to_owned()).stack_size(STACK);
        thread.spawn_scoped(scope, work).ok()?.join().ok()
    })
}
