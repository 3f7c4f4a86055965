//! A rule that is understood: what must hold, and where to look.

use crate::builder::{Buffer, Memory, Usage};
use crate::context::{Context, Requirements};
use crate::keywords::base64::Base64;
use crate::keywords::bytes::{ByteExtract, ByteJump, ByteMath, ByteTest, IsDataAt};
use crate::keywords::content::{Amount, Content};
use crate::keywords::pcre::Pcre;
use crate::lang::{Action, ActionScope, HeaderMatch};
use crate::state::{DatasetSpec, Limits, TagRequest, VarId};
use flowtrack_event::{Direction, FileRecord, RuleInfo};
use std::sync::Arc;

/// A condition on a packet, its flow or its transaction.
pub trait Test: Send + Sync + std::fmt::Debug {
    /// Whether it holds. A condition on something that is not there (a TTL where no packet is at
    /// hand) does not hold.
    fn test(&self, cx: &mut Context<'_>) -> bool;

    /// Rough cost; cheap ones are asked first. 0 is a comparison, 9 a look into shared memory.
    fn cost(&self) -> u8 {
        1
    }

    /// The mark on the flow without which it does not hold, where it is about one. Few flows have
    /// it, so it is asked before anything else.
    fn mark(&self) -> Option<VarId> {
        None
    }

    /// Bytes of payload beyond which it does not hold, where it is about their number: a packet
    /// need not be searched behind them.
    fn largest_payload(&self) -> Option<u64> {
        None
    }

    /// Whether a file is what it asks for, where it asks for one.
    fn fits_file(&self, _file: &FileRecord, _cx: &Context<'_>) -> bool {
        true
    }

    /// The IP protocol without which it does not hold, where it is about one.
    fn ip_proto(&self) -> Option<u8> {
        None
    }
}

/// What a signature changes once all of it matched (`flowbits:set`, `xbits`, `dataset:set`).
pub trait Effect: Send + Sync + std::fmt::Debug {
    /// Changes it.
    fn apply(&self, cx: &mut Context<'_>);
}

/// A condition on one value of a buffer (`bsize`, `dataset:isset`), whatever was found in it.
pub trait Check: Send + Sync + std::fmt::Debug {
    /// Whether it holds.
    fn check(&self, bytes: &[u8], cx: &mut Context<'_>) -> bool;
}

/// Turns the bytes of a buffer into others before they are searched.
pub trait Transform: Send + Sync + std::fmt::Debug {
    /// Replaces the content of `bytes`.
    fn apply(&self, bytes: &mut Vec<u8>);

    /// Equal transforms of the same buffer are done once: keyword and value.
    fn id(&self) -> String;
}

/// One step of the search through a buffer, in the order of the rule.
#[derive(Debug)]
pub enum Step {
    /// Bytes.
    Content(Content),
    /// A regular expression.
    Pcre(Box<Pcre>),
    /// `byte_test`.
    ByteTest(Box<ByteTest>),
    /// `byte_jump`.
    ByteJump(Box<ByteJump>),
    /// `byte_extract`.
    ByteExtract(Box<ByteExtract>),
    /// `byte_math`.
    ByteMath(Box<ByteMath>),
    /// `isdataat`.
    IsDataAt(IsDataAt),
    /// `base64_decode`, with what is looked for in the decoded bytes (`base64_data`).
    Base64(Box<Base64>),
    /// Whatever asks for the whole value.
    Check(Box<dyn Check>),
}

impl Step {
    /// Whether it begins where the step before it ended.
    pub(crate) fn is_relative(&self) -> bool {
        match self {
            Self::Content(content) => content.is_relative(),
            Self::Pcre(pcre) => pcre.relative,
            Self::ByteTest(test) => test.number.relative,
            Self::ByteJump(jump) => jump.number.relative,
            Self::ByteExtract(extract) => extract.number.relative,
            Self::ByteMath(math) => math.number.relative,
            Self::IsDataAt(at) => at.relative,
            Self::Base64(decode) => decode.relative,
            Self::Check(_) => false,
        }
    }

    /// Whether it leads to a new place, so that what follows is not relative to what was before it.
    fn leads_on(&self) -> bool {
        match self {
            Self::Content(content) => !content.negated,
            Self::Pcre(pcre) => !pcre.negated,
            Self::ByteJump(_) | Self::ByteExtract(_) | Self::ByteMath(_) => true,
            Self::ByteTest(_) | Self::IsDataAt(_) | Self::Base64(_) | Self::Check(_) => false,
        }
    }

    /// Whether it may hold or not depending on what was found before it.
    pub(crate) fn depends_on_before(&self) -> bool {
        let variable = |amount: Amount| matches!(amount, Amount::Variable(_));
        self.is_relative()
            || match self {
                Self::Content(content) => content.depends_on_before(),
                Self::ByteTest(_)
                | Self::ByteJump(_)
                | Self::ByteExtract(_)
                | Self::ByteMath(_)
                | Self::Base64(_) => true,
                Self::IsDataAt(at) => variable(at.amount),
                Self::Pcre(_) | Self::Check(_) => false,
            }
    }
}

/// Marks the steps behind whose occurrences a later step goes on.
pub(crate) fn mark_retries(steps: &mut [Step]) {
    // Whether what follows is relative to the place in hand, or takes a value from there.
    let mut wanted = false;
    for step in steps.iter_mut().rev() {
        match step {
            Step::Content(content) if !content.negated => content.retry = wanted,
            Step::Pcre(pcre) if !pcre.negated => pcre.retry = wanted,
            Step::Base64(decode) => mark_retries(&mut decode.steps),
            _ => {}
        }
        if step.leads_on() {
            wanted = false;
        }
        wanted |= step.is_relative();
    }
}

/// What is looked for in one buffer: all steps must hold, over one and the same value of it.
#[derive(Debug)]
pub struct Search {
    /// The buffer.
    pub buffer: Buffer,
    /// What is done with its bytes first.
    pub transforms: Vec<Arc<dyn Transform>>,
    /// What must be found, in order.
    pub steps: Vec<Step>,
    /// `absent`: it holds where there is no such buffer.
    pub absent: Option<Absent>,
}

/// How `absent` was meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Absent {
    /// There must be no such buffer.
    Only,
    /// There must be none, or the steps hold (`absent: or_else`).
    OrElse,
}

/// What a signature is judged on, and how often.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// Only addresses: once per direction of a flow.
    Addresses,
    /// Every packet.
    Packet,
    /// The stream, or packets that are no part of one.
    Stream,
    /// The stream and every packet.
    PacketAndStream,
    /// What recognition of the application protocol says: once per direction.
    Recognition,
    /// Every packet of a flow of its application protocol.
    App,
    /// Every transaction, each direction once.
    Transaction,
}

/// A compiled rule.
#[derive(Debug)]
pub struct Signature {
    /// What alerts say of it.
    pub info: Arc<RuleInfo>,
    /// What to do.
    pub action: Action,
    /// To what that applies, where the rule says so.
    pub scope: Option<ActionScope>,
    /// Protocol, addresses and ports.
    pub header: HeaderMatch,
    /// On what it is judged.
    pub kind: Kind,
    /// The way it is about, where it is only one.
    pub direction: Option<Direction>,
    /// Application protocols of which it is about one; any where empty.
    pub apps: Vec<&'static str>,
    /// Conditions on packet, flow and transaction, cheap ones first.
    pub tests: Vec<Box<dyn Test>>,
    /// Conditions on buffers, in order.
    pub searches: Vec<Search>,
    /// What changes when it matched.
    pub effects: Vec<Box<dyn Effect>>,
    /// What it remembers and asks for.
    pub usage: Vec<(Memory, Usage)>,
    /// What the marks and numbers of the flow are called that it sets.
    pub names: Vec<(VarId, Arc<str>)>,
    /// Whether a match is silent.
    pub noalert: bool,
    /// Whether nothing more of the flow is judged behind a match.
    pub bypass: bool,
    /// The content that packets are searched for first: its search and step.
    pub fast_pattern: Option<(usize, usize)>,
    /// What else has to be done for it.
    pub requirements: Requirements,
    /// How often it may speak.
    pub limits: Limits,
    /// Data sets that it asks or changes.
    pub datasets: Vec<DatasetSpec>,
    /// What is recorded behind its alerts.
    pub tags: Vec<TagRequest>,
    /// The files that are to be stored when it matched.
    pub store: Option<FileStoring>,
    /// Whether it asks for single files, each of which it tells by itself.
    pub of_files: bool,
}

/// The files that a signature chooses (`filestore`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileStoring {
    /// The ways they go, to the server and to the client; that of what matched if `None`.
    pub ways: Option<[bool; 2]>,
    /// Which of them.
    pub scope: FileScope,
}

/// How far the choice of files reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileScope {
    /// The file that matched.
    File,
    /// All of the transaction.
    Transaction,
    /// All of the flow that are not over.
    Flow,
}

impl Signature {
    /// Whether it asks for nothing but protocol, addresses and ports.
    pub fn is_about_ends(&self) -> bool {
        self.tests.is_empty() && self.searches.is_empty()
    }

    /// Whether a file is what all its conditions on files ask for.
    pub fn fits_file(&self, file: &FileRecord, cx: &Context<'_>) -> bool {
        self.tests.iter().all(|test| test.fits_file(file, cx))
    }

    /// A mark that flows must have.
    pub(crate) fn mark(&self) -> Option<VarId> {
        self.tests.iter().find_map(|test| test.mark())
    }

    /// Bytes that the payload of a packet may have at most.
    pub(crate) fn largest_payload(&self) -> Option<u64> {
        self.tests.iter().filter_map(|test| test.largest_payload()).min()
    }

    /// Whether packets of an IP protocol may be meant, as far as its conditions say.
    pub(crate) fn may_carry(&self, is_meant: impl Fn(u8) -> bool) -> bool {
        self.tests.iter().filter_map(|test| test.ip_proto()).all(is_meant)
    }

    /// Its identifier.
    pub fn sid(&self) -> u32 {
        self.info.sid
    }
}
