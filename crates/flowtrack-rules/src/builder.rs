//! How keywords add up to a signature.
//!
//! The order of options matters: a sticky buffer holds for what follows it, a modifier changes the
//! content before it. A [`Builder`] is that state; each [`Keyword`] adds its part, and
//! [`Builder::finish`] judges the whole.

mod finish;

use crate::context::Requirements;
use crate::inspect::FILE_KIND;
use crate::keywords::content::Content;
use crate::lang::{HeaderMatch, Headers, Rule, Span};
use crate::signature::{Check, Effect, FileStoring, Search, Step, Test, Transform};
use crate::state::{DatasetSpec, Limits, TagRequest, VarId};
use flowtrack_event::{Direction, RuleInfo};
use flowtrack_wire::Packet;
use std::sync::Arc;

/// Values that one signature may remember while it is searched for (`byte_extract`, `byte_math`).
pub const MAX_VARIABLES: usize = 64;

/// One word of the language.
pub struct Keyword {
    /// Its name.
    pub name: &'static str,
    /// Other names of the same thing.
    pub aliases: &'static [&'static str],
    /// What it looks at, for the reference.
    pub doc: &'static str,
    /// A whole rule that uses it, which a test loads.
    pub example: &'static str,
    /// Adds it to the signature.
    pub parse: fn(&mut Builder<'_>, &Value<'_>) -> Result<(), Complaint>,
}

/// What stands behind a keyword's colon.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    /// The keyword as written: an alias may mean something slightly different.
    pub keyword: &'a str,
    /// The text, trimmed, `None` without a colon.
    pub text: Option<&'a str>,
    /// Where it stands.
    pub at: Span,
}

impl<'a> Value<'a> {
    /// The text; a complaint that says what was expected where there is none.
    pub fn needed(&self, expected: &str) -> Result<&'a str, Complaint> {
        match self.text {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(Complaint::new(format!("{} needs a value: {expected}", self.keyword))),
        }
    }

    /// Complains where there is a value.
    pub fn none(&self) -> Result<(), Complaint> {
        match self.text {
            Some(_) => Err(Complaint::new(format!("{} takes no value", self.keyword))),
            None => Ok(()),
        }
    }
}

/// Why a keyword cannot be used so: what was expected, and how far into the value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Complaint {
    /// Bytes from the start of the value.
    pub offset: u32,
    /// What is wrong and what was expected.
    pub message: String,
    /// Whether the rule is none that can be loaded here rather than a wrong one (`lua`,
    /// `requires`): it is counted under this reason and is no error.
    pub skip: Option<&'static str>,
}

impl Complaint {
    /// About the value as a whole.
    pub fn new(message: impl Into<String>) -> Self {
        Self { offset: 0, message: message.into(), skip: None }
    }

    /// About what stands `offset` bytes into the value.
    pub fn at(offset: usize, message: impl Into<String>) -> Self {
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        Self { offset, message: message.into(), skip: None }
    }

    /// The rule is left out for `reason`, without being wrong.
    pub fn skip(reason: &'static str, message: impl Into<String>) -> Self {
        Self { offset: 0, message: message.into(), skip: Some(reason) }
    }
}

/// A named buffer that contents can be looked for in.
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    /// Its name, as [`Transaction::buffer_towards`](flowtrack_event::Transaction::buffer_towards)
    /// knows it.
    pub name: &'static str,
    /// Where its bytes come from.
    pub source: Source,
    /// Application protocols that have it; any where empty.
    pub apps: &'static [&'static str],
    /// Which way goes what it is about; `None` where it may be either.
    pub toward: Option<Direction>,
    /// Whether naming it again starts another search, over the values anew, instead of going on
    /// with the first: so it is for buffers of which a transaction has several values.
    pub multi: bool,
}

impl PartialEq for Buffer {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.toward == other.toward
    }
}

impl Eq for Buffer {}

/// Gives the bytes of a packet's buffer to whoever visits; nothing where there are none.
pub type PacketBytes = fn(&Packet<'_>, &mut dyn FnMut(&[u8]));

/// Where the bytes of a buffer come from.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// The payload of packets and the bytes of streams.
    Payload,
    /// A part of the packet's headers.
    Packet(PacketBytes),
    /// A part of a transaction.
    Transaction,
}

impl Buffer {
    /// The payload: what contents are looked for in while no buffer is named.
    pub const PAYLOAD: Self =
        Self { name: "payload", source: Source::Payload, apps: &[], toward: None, multi: false };

    /// A part of the packet's headers.
    pub const fn of_packet(name: &'static str, bytes: PacketBytes) -> Self {
        Self { name, source: Source::Packet(bytes), apps: &[], toward: None, multi: false }
    }

    /// A part of a transaction of these application protocols.
    pub const fn of_transaction(name: &'static str, apps: &'static [&'static str]) -> Self {
        Self { name, source: Source::Transaction, apps, toward: None, multi: false }
    }

    /// Only what goes this way has it.
    #[must_use]
    pub const fn toward(mut self, direction: Direction) -> Self {
        self.toward = Some(direction);
        self
    }

    /// There may be several values.
    #[must_use]
    pub const fn multi(mut self) -> Self {
        self.multi = true;
        self
    }
}

/// What a keyword has to be judged on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Needs {
    /// A packet: its headers, its length (`ttl`, `flags`, `dsize`).
    Packet,
    /// The reassembled stream (`flow:only_stream`).
    Stream,
    /// A transaction of the application protocol (`dns.opcode`, `app-layer-event`).
    Transaction,
    /// Nothing but what recognition of the application protocol said (`app-layer-protocol`).
    Recognition,
}

/// What rules remember, in the order in which signatures that use it are judged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Memory {
    /// `flowbits`.
    FlowBits,
    /// `flowint`.
    FlowInt,
    /// `flowvar`.
    FlowVar,
    /// `pktvar`.
    PktVar,
    /// `hostbits`.
    HostBits,
    /// `xbits`.
    XBits,
}

/// How a signature uses a memory: those that write are judged before those that read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Usage {
    /// Changes it.
    Write,
    /// Asks for it and changes it.
    Both,
    /// Asks for it.
    Read,
}

/// A signature in the making.
///
/// Keyword families use its methods; the public fields are those that one family owns.
#[derive(Debug)]
pub struct Builder<'a> {
    /// The rule it comes from.
    pub rule: &'a Rule,
    /// Variables, classes and references.
    pub headers: &'a Headers,
    /// What alerts will say; the metadata family fills it.
    pub info: RuleInfo,
    /// Protocol, addresses and ports.
    pub header: HeaderMatch,
    /// Whether a match is silent.
    pub noalert: bool,
    /// Whether nothing more of the flow is judged behind a match.
    pub bypass: bool,
    /// What is odd about the rule, with the place.
    pub warnings: Vec<(Span, String)>,
    pub(crate) at: Span,
    apps: Vec<&'static str>,
    tests: Vec<Box<dyn Test>>,
    /// How many of them are about the protocol and the flow as a whole.
    flow_tests: usize,
    effects: Vec<Box<dyn Effect>>,
    searches: Vec<Search>,
    /// The search that what follows belongs to; none while it is the payload that nobody named.
    current: Option<usize>,
    /// Where the last content went: its search and place.
    last: Option<(usize, usize)>,
    /// The search that the last step went to.
    recent: Option<usize>,
    variables: Vec<Box<str>>,
    direction: Option<Direction>,
    toward: Vec<Direction>,
    needs: Wanted,
    usage: Vec<(Memory, Usage)>,
    names: Vec<(VarId, Arc<str>)>,
    fast_pattern: Option<(usize, usize)>,
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

/// What keywords need to be judged on.
#[derive(Clone, Copy, Default, Debug)]
struct Wanted {
    packet: bool,
    stream: bool,
    transaction: bool,
    recognition: bool,
    payload: bool,
}

impl<'a> Builder<'a> {
    /// An empty signature of a rule whose header is understood.
    pub fn new(rule: &'a Rule, header: HeaderMatch, headers: &'a Headers) -> Self {
        Self {
            rule,
            headers,
            info: RuleInfo { gid: 1, severity: 3, text: rule.text.clone(), ..RuleInfo::default() },
            header,
            noalert: false,
            bypass: false,
            warnings: Vec::new(),
            at: rule.at,
            apps: Vec::new(),
            tests: Vec::new(),
            flow_tests: 0,
            effects: Vec::new(),
            searches: Vec::new(),
            current: None,
            last: None,
            recent: None,
            variables: Vec::new(),
            direction: None,
            toward: Vec::new(),
            needs: Wanted::default(),
            usage: Vec::new(),
            names: Vec::new(),
            fast_pattern: None,
            requirements: Requirements::default(),
            limits: Limits::default(),
            datasets: Vec::new(),
            tags: Vec::new(),
            store: None,
            of_files: false,
        }
    }

    /// Adds a condition on packet, flow or transaction.
    pub fn test(&mut self, test: impl Test + 'static) {
        self.tests.push(Box::new(test));
    }

    /// Adds a condition that only a packet can answer.
    pub fn packet_test(&mut self, test: impl Test + 'static) {
        self.needs(Needs::Packet);
        self.test(test);
    }

    /// Adds a condition on transactions of an application protocol.
    pub fn transaction_test(
        &mut self,
        app: &'static str,
        test: impl Test + 'static,
    ) -> Result<(), Complaint> {
        self.app(app)?;
        self.needs(Needs::Transaction);
        self.test(test);
        Ok(())
    }

    /// Adds what changes when all of the signature matched.
    pub fn effect(&mut self, effect: impl Effect + 'static) {
        self.effects.push(Box::new(effect));
    }

    /// Adds a condition that recognition of the application protocol answers as well as a packet.
    pub(crate) fn flow_test(&mut self, test: impl Test + 'static) {
        self.flow_tests += 1;
        self.test(test);
    }

    /// Says what the signature has to be judged on.
    pub fn needs(&mut self, needs: Needs) {
        match needs {
            Needs::Packet => self.needs.packet = true,
            Needs::Stream => self.needs.stream = true,
            Needs::Transaction => self.needs.transaction = true,
            Needs::Recognition => self.needs.recognition = true,
        }
    }

    /// Says that it is about an application protocol; complains where it is already about another
    /// one.
    pub fn app(&mut self, app: &'static str) -> Result<(), Complaint> {
        self.apps(&[app])
    }

    /// The application protocol that it is about, where it is one.
    pub fn only_app(&self) -> Option<&'static str> {
        match *self.apps.as_slice() {
            [app] => Some(app),
            _ => self.header.protocol.app,
        }
    }

    /// Says that it is about one of these application protocols; complains where none of those it
    /// is already about is among them.
    pub fn apps(&mut self, apps: &[&'static str]) -> Result<(), Complaint> {
        if apps.is_empty() {
            return Ok(());
        }
        if self.apps.is_empty() {
            self.apps.extend_from_slice(apps);
            return Ok(());
        }
        let both: Vec<_> = self.apps.iter().copied().filter(|known| apps.contains(known)).collect();
        if both.is_empty() {
            let message = format!(
                "this is of {}, but the rule is about {}",
                apps.join(" or "),
                self.apps.join(" or ")
            );
            return Err(Complaint::new(message));
        }
        self.apps = both;
        Ok(())
    }

    /// Says which way the signature is about (`flow:to_server`).
    pub fn direction(&mut self, direction: Direction) -> Result<(), Complaint> {
        match self.direction {
            Some(other) if other != direction => {
                Err(Complaint::new("to_server and to_client exclude each other"))
            }
            _ => {
                self.direction = Some(direction);
                Ok(())
            }
        }
    }

    /// Says that a keyword is only about what goes this way: the signature is judged on that,
    /// without `flow` having to say so.
    pub fn toward(&mut self, direction: Direction) {
        if !self.toward.contains(&direction) {
            self.toward.push(direction);
        }
    }

    /// Says how the signature uses what rules remember.
    pub fn usage(&mut self, memory: Memory, usage: Usage) {
        self.usage.push((memory, usage));
    }

    /// Says what a mark or a number of the flow is called, for what is told of it.
    pub fn name(&mut self, id: VarId, name: &str) {
        self.names.push((id, name.into()));
    }

    /// Makes a buffer the one that what follows is looked for in.
    pub fn set_buffer(&mut self, buffer: &Buffer) -> Result<(), Complaint> {
        self.use_buffer(buffer)?;
        let known = self
            .searches
            .iter()
            .position(|search| search.buffer == *buffer && search.transforms.is_empty());
        let at = match known {
            Some(at) if !buffer.multi || self.is_empty(at) => at,
            _ => self.add_search(buffer),
        };
        self.current = Some(at);
        self.last = None;
        Ok(())
    }

    /// Makes the payload, which needs no name, what follows is looked for in (`pkt_data`).
    pub fn reset_buffer(&mut self) {
        self.current = None;
        self.last = None;
    }

    /// Says that the current buffer is changed before it is searched.
    pub fn transform(&mut self, transform: Arc<dyn Transform>) -> Result<(), Complaint> {
        let Some(search) = self.current.and_then(|at| self.searches.get_mut(at)) else {
            return Err(Complaint::new("a transform changes the buffer named before it: name one"));
        };
        if search.steps.is_empty() {
            search.transforms.push(transform);
            return Ok(());
        }
        // The plain buffer was used before; what follows is about the changed one.
        let buffer = search.buffer;
        let at = self.add_search(&buffer);
        self.current = Some(at);
        if let Some(search) = self.searches.get_mut(at) {
            search.transforms.push(transform);
        }
        Ok(())
    }

    /// Adds a condition on the value of the current buffer.
    pub fn check(&mut self, check: impl Check + 'static) {
        self.step(Step::Check(Box::new(check)));
    }

    /// Adds a step to the search in the current buffer. Where none was named, what is relative goes
    /// to where the step before it went, which an old modifier may have moved.
    pub fn step(&mut self, step: Step) {
        let follows = step.is_relative() && !matches!(step, Step::Content(_) | Step::Pcre(_));
        let recent = self.recent.filter(|_| follows);
        let at = self.current.or(recent).unwrap_or_else(|| self.payload());
        self.push(at, step);
    }

    /// Adds a step to the search in another buffer than the current one.
    pub fn step_in(&mut self, buffer: &Buffer, step: Step) -> Result<(), Complaint> {
        self.use_buffer(buffer)?;
        let at = self.plain_search(buffer);
        self.push(at, step);
        Ok(())
    }

    /// The search in the current buffer; that in the payload where none was named.
    pub fn search(&mut self) -> Option<&mut Search> {
        let at = self.current.unwrap_or_else(|| self.payload());
        self.searches.get_mut(at)
    }

    /// Whether a buffer was named; else what follows is about the payload.
    pub fn has_buffer(&self) -> bool {
        self.current.is_some()
    }

    /// The content that a modifier is about.
    pub fn last_content(&mut self) -> Result<&mut Content, Complaint> {
        let step =
            self.last.and_then(|(search, at)| self.searches.get_mut(search)?.steps.get_mut(at));
        match step {
            Some(Step::Content(content)) => Ok(content),
            _ => Err(Complaint::new("this modifies the content before it, and there is none")),
        }
    }

    /// Whether something is decoded from base64.
    pub(crate) fn has_base64(&self) -> bool {
        let mut steps = self.searches.iter().flat_map(|search| &search.steps);
        steps.any(|step| matches!(step, Step::Base64(_)))
    }

    /// Makes the last content the one that is searched for first.
    pub fn choose_fast_pattern(&mut self) -> Result<(), Complaint> {
        if self.fast_pattern.is_some() {
            return Err(Complaint::new("a rule can have one fast_pattern"));
        }
        self.last_content()?;
        self.fast_pattern = self.last;
        Ok(())
    }

    /// Moves the last content from the payload into a buffer: what the old modifiers do
    /// (`http_uri`).
    pub fn move_last(&mut self, buffer: &Buffer) -> Result<(), Complaint> {
        self.last_content()?;
        if self.current.is_some() {
            let message =
                format!("{} was named before; name {} the same way", "a buffer", buffer.name);
            return Err(Complaint::new(message));
        }
        self.use_buffer(buffer)?;
        let Some((from, at)) = self.last else { return Ok(()) };
        let to = self.plain_search(buffer);
        let Some(step) = self.searches.get_mut(from).map(|search| search.steps.remove(at)) else {
            return Ok(());
        };
        let was_fast = self.fast_pattern == Some((from, at));
        self.push(to, step);
        if was_fast {
            self.fast_pattern = self.last;
        }
        Ok(())
    }

    /// The place of a value that the signature remembers while it searches; a new place for a new
    /// name.
    pub fn define(&mut self, name: &str) -> Result<u8, Complaint> {
        if let Some(at) = self.variables.iter().position(|known| **known == *name) {
            return Ok(at as u8);
        }
        if self.variables.len() >= MAX_VARIABLES {
            return Err(Complaint::new(format!("a rule can remember {MAX_VARIABLES} values")));
        }
        self.variables.push(name.into());
        Ok((self.variables.len() - 1) as u8)
    }

    /// The place of a value that was remembered before.
    pub fn variable(&self, name: &str) -> Option<u8> {
        self.variables.iter().position(|known| **known == *name).map(|at| at as u8)
    }

    /// Notes what is odd about the keyword in hand.
    pub fn warn(&mut self, message: impl Into<String>) {
        self.warnings.push((self.at, message.into()));
    }

    fn use_buffer(&mut self, buffer: &Buffer) -> Result<(), Complaint> {
        self.apps(buffer.apps)?;
        match buffer.source {
            Source::Payload => self.needs.payload = true,
            Source::Packet(_) => self.needs.packet = true,
            Source::Transaction => self.needs.transaction = true,
        }
        self.requirements.files |= buffer.name == FILE_KIND;
        self.requirements.hashes |= buffer.name == "email.body_md5";
        if let Some(direction) = buffer.toward {
            self.toward(direction);
        }
        Ok(())
    }

    fn is_empty(&self, search: usize) -> bool {
        self.searches.get(search).is_none_or(|search| search.steps.is_empty())
    }

    fn payload(&mut self) -> usize {
        self.needs.payload = true;
        self.plain_search(&Buffer::PAYLOAD)
    }

    /// The search in a buffer as it is; a new one where there is none.
    fn plain_search(&mut self, buffer: &Buffer) -> usize {
        let known = self
            .searches
            .iter()
            .position(|search| search.buffer == *buffer && search.transforms.is_empty());
        known.unwrap_or_else(|| self.add_search(buffer))
    }

    fn add_search(&mut self, buffer: &Buffer) -> usize {
        self.searches.push(Search {
            buffer: *buffer,
            transforms: Vec::new(),
            steps: Vec::new(),
            absent: None,
        });
        self.searches.len() - 1
    }

    fn push(&mut self, search: usize, step: Step) {
        if let Some(found) = self.searches.get_mut(search) {
            let is_content = matches!(step, Step::Content(_));
            if !matches!(step, Step::Check(_)) {
                self.recent = Some(search);
            }
            found.steps.push(step);
            if is_content {
                self.last = Some((search, found.steps.len() - 1));
            }
        }
    }
}
