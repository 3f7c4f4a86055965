//! Protocols of which only the core is told: one record for a flow, filled by its first messages.

use crate::{
    Both, Dissector, Malformed, Moment, Next, Outcome, Pending, Take, Text, TooLong, Wants,
};
use flowtrack_event::{AppProto, Chunk, Direction, Transaction};
use serde::{Serialize, Serializer};

/// Messages of a flow that are looked at.
const MESSAGE_COUNT_CAP: u32 = 512;
/// Values kept of a list.
const LIST_CAP: usize = 64;
/// Longest text kept.
const TEXT_CAP: usize = 512;

/// What a message brought for its flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// A message of so many bytes was read.
    Used(usize),
    /// So many bytes must be there first.
    Need(usize),
    /// A message of so many bytes was read, and nothing that follows is of interest.
    Last,
    /// A message of so many bytes was read, behind which another protocol begins.
    Change(usize, Option<AppProto>),
}

/// Wants the rest of a line, but not of one without end: looking again at every piece of it would
/// cost more than it is worth.
pub const fn rest_of_line(bytes: &[u8]) -> Step {
    const LINE_CAP: usize = 4096;
    if bytes.len() < LINE_CAP { Step::Need(bytes.len() + 1) } else { Step::Last }
}

/// Reads the messages of one protocol.
pub trait Messages: Default + Send {
    /// Its name.
    const NAME: AppProto;
    /// Longest message worth reading.
    const CAP: usize;
    /// Whether another protocol may follow, so that it is read though nothing is wanted of it.
    const CHANGES: bool = false;

    /// Reads the message at the beginning of `bytes`.
    ///
    /// # Errors
    /// [`Malformed`] where it is none.
    fn read(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        brief: &mut Brief,
    ) -> Result<Step, Malformed>;
}

/// The record of a flow: names and values in the order in which they came.
#[derive(Clone, Debug)]
pub struct Brief {
    protocol: AppProto,
    facts: Vec<(&'static str, Fact)>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Fact {
    Text(Text),
    Number(u64),
    Flag(bool),
    List(Vec<Text>),
}

impl Brief {
    /// Keeps the first text of this name that is not empty.
    pub fn text(&mut self, name: &'static str, text: &[u8]) {
        if !text.is_empty() {
            self.once(name, Fact::Text(Text::capped(text, TEXT_CAP)));
        }
    }

    /// Keeps the first number of this name.
    pub fn number(&mut self, name: &'static str, number: impl Into<u64>) {
        self.once(name, Fact::Number(number.into()));
    }

    /// Keeps the first answer of this name.
    pub fn flag(&mut self, name: &'static str, flag: bool) {
        self.once(name, Fact::Flag(flag));
    }

    /// Adds a text to a list in which every text stands once.
    pub fn list(&mut self, name: &'static str, text: &[u8]) {
        let text = Text::capped(text, TEXT_CAP);
        let found = self.facts.iter_mut().find_map(|(known, fact)| match fact {
            Fact::List(list) if *known == name => Some(list),
            _ => None,
        });
        match found {
            Some(list) if list.len() < LIST_CAP && !list.contains(&text) => list.push(text),
            Some(_) => {}
            None => self.facts.push((name, Fact::List(vec![text]))),
        }
    }

    fn once(&mut self, name: &'static str, fact: Fact) {
        if !self.facts.iter().any(|(known, _)| *known == name) {
            self.facts.push((name, fact));
        }
    }
}

impl Serialize for Brief {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.facts.iter().map(|(name, fact)| (name, fact)))
    }
}

impl Transaction for Brief {
    fn protocol(&self) -> AppProto {
        self.protocol
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn summary(&self) -> String {
        let facts = self.facts.iter().take(6).map(|(name, fact)| match fact {
            Fact::Text(text) => format!("{name} {text}"),
            Fact::Number(number) => format!("{name} {number}"),
            Fact::Flag(flag) => format!("{name} {flag}"),
            Fact::List(list) => {
                let list: Vec<_> = list.iter().take(4).map(ToString::to_string).collect();
                format!("{name} {}", list.join(","))
            }
        });
        facts.collect::<Vec<_>>().join(", ")
    }
}

/// The dissector of a protocol that reads [`Messages`].
pub struct BriefReading<M> {
    messages: M,
    brief: Brief,
    pending: Both<Pending>,
    /// A direction with a hole is not read any more.
    lost: Both<bool>,
    count: u32,
    told: bool,
}

impl<M: Messages + 'static> BriefReading<M> {
    /// Ready to read, if anything is asked for or may follow.
    pub fn dissector(wants: Wants) -> Option<Box<dyn Dissector>> {
        (M::CHANGES || wants.records || wants.buffers)
            .then(|| Box::new(Self::default()) as Box<dyn Dissector>)
    }

    fn tell(&mut self, direction: Direction, out: &mut Outcome) {
        if !std::mem::replace(&mut self.told, true) && !self.brief.facts.is_empty() {
            out.transaction(direction, 0, self.brief.clone());
        }
    }
}

impl<M: Messages> Default for BriefReading<M> {
    fn default() -> Self {
        Self {
            messages: M::default(),
            brief: Brief { protocol: M::NAME, facts: Vec::new() },
            pending: Both::default(),
            lost: Both::default(),
            count: 0,
            told: false,
        }
    }
}

/// Why reading stops.
enum Stop {
    Malformed(Malformed),
    Done,
    /// Behind so many bytes of what was shown.
    Change(usize, Option<AppProto>),
}

impl From<TooLong> for Stop {
    fn from(_: TooLong) -> Self {
        Self::Done
    }
}

impl<M: Messages + 'static> Dissector for BriefReading<M> {
    fn feed(
        &mut self,
        _at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) -> Result<Next, Malformed> {
        let Chunk::Bytes(bytes) = chunk else {
            *self.lost.of(direction) = true;
            if self.lost.to_server && self.lost.to_client {
                self.tell(direction, out);
                return Ok(Next::Done);
            }
            return Ok(Next::More);
        };
        if *self.lost.of(direction) {
            return Ok(Next::More);
        }
        let mut pending = std::mem::take(self.pending.of(direction));
        let held = pending.len();
        let mut read = 0;
        let result = pending.records(bytes, M::CAP, |b| {
            self.count += 1;
            if self.count > MESSAGE_COUNT_CAP {
                return Err(Stop::Done);
            }
            match self.messages.read(direction, b, &mut self.brief).map_err(Stop::Malformed)? {
                Step::Used(n) => {
                    read += n;
                    Ok(Take::Used(n))
                }
                Step::Need(n) => {
                    // It was looked at in vain and comes again.
                    self.count -= 1;
                    Ok(Take::Need(n))
                }
                Step::Last => Err(Stop::Done),
                Step::Change(n, to) => Err(Stop::Change(read + n, to)),
            }
        });
        *self.pending.of(direction) = pending;
        match result {
            Ok(()) => Ok(Next::More),
            Err(stop) => {
                self.tell(direction, out);
                match stop {
                    Stop::Malformed(malformed) => Err(malformed),
                    Stop::Done => Ok(Next::Done),
                    Stop::Change(read, to) => {
                        Ok(Next::Change { consumed: read.saturating_sub(held), to })
                    }
                }
            }
        }
    }

    fn finish(&mut self, _at: &Moment<'_>, direction: Direction, out: &mut Outcome) {
        if direction == Direction::ToClient {
            self.tell(direction, out);
        }
    }
}

/// Declares a protocol over TCP whose flows have one `Brief` record.
#[macro_export]
macro_rules! brief_protocol {
    ($(#[$doc:meta])* $name:ident, $messages:ty, $ports:expr, $fields:expr, $probe:path) => {
        $(#[$doc])*
        pub struct $name;

        impl $crate::Protocol for $name {
            fn name(&self) -> flowtrack_event::AppProto {
                <$messages as $crate::brief::Messages>::NAME
            }

            fn transport(&self) -> $crate::Transport {
                $crate::Transport::Tcp
            }

            fn ports(&self) -> &'static [u16] {
                $ports
            }

            fn probe(&self, first: &$crate::First<'_>) -> $crate::Probe {
                $probe(first)
            }

            fn dissector(&self, wants: $crate::Wants) -> Option<Box<dyn $crate::Dissector>> {
                $crate::brief::BriefReading::<$messages>::dissector(wants)
            }

            fn fields(&self) -> &'static [$crate::Field] {
                $fields
            }
        }
    };
}
