//! The application side of one flow: recognise, read, follow changes.

use crate::frames::Framer;
use crate::odd::Odd;
use crate::random;
use crate::{
    Dissector, Expectation, First, Malformed, Moment, Next, Outcome, Probe, Protocol, Raised,
    Transport, Wants,
};
use flowtrack_event::{AppProto, AppRecord, Chunk, Confidence, Direction};

/// What the application layer shall do.
#[derive(Clone, Copy, Debug)]
pub struct AppConfig {
    /// What is asked of every dissector.
    pub wants: Wants,
    /// Whether frames are cut out, for rules that ask for them.
    pub frames: bool,
    /// Whether the side that was not recognised is looked at too, for rules that tell sides apart.
    pub both_ways: bool,
    /// Whether a session whose beginning was not seen is turned, where its first bytes can only be
    /// an answer.
    pub turns: bool,
    /// Bytes of one direction after which recognition gives up.
    pub probe_bytes: usize,
    /// Datagrams of one direction after which recognition gives up.
    pub probe_datagrams: u32,
    /// Changes of protocol that one flow may make.
    pub max_changes: u8,
}

impl Default for AppConfig {
    fn default() -> Self {
        Self {
            wants: Wants::default(),
            frames: false,
            both_ways: false,
            turns: false,
            probe_bytes: 4096,
            probe_datagrams: 8,
            max_changes: 4,
        }
    }
}

/// All protocols, ready to probe with; shared by the flows of a worker.
pub struct AppLayer {
    config: AppConfig,
    tcp: Vec<&'static dyn Protocol>,
    udp: Vec<&'static dyn Protocol>,
}

impl AppLayer {
    /// With every protocol of [`crate::protocols::ALL`].
    pub fn new(config: AppConfig) -> Self {
        let over = |not: Transport| {
            crate::protocols::ALL.iter().copied().filter(move |p| p.transport() != not).collect()
        };
        Self { config, tcp: over(Transport::Udp), udp: over(Transport::Tcp) }
    }

    fn protocols(&self, udp: bool) -> &[&'static dyn Protocol] {
        if udp { &self.udp } else { &self.tcp }
    }

    fn by_name(&self, udp: bool, name: AppProto) -> Option<&'static dyn Protocol> {
        self.protocols(udp).iter().copied().find(|p| p.name() == name)
    }
}

/// The two sides of a flow speak different protocols, as rules call it.
const MISMATCH: &str = "applayer_mismatch_protocol_both_directions";

/// The application layer of one flow.
#[derive(Default)]
pub struct AppFlow {
    state: State,
    record: Option<AppRecord>,
    /// First bytes of each direction while no protocol is recognised.
    held: [Held; 2],
    /// Directions that ended.
    finished: [bool; 2],
    changes: u8,
    transactions: u64,
    odd: Odd,
    /// The direction that is still to be looked at, once the other one was recognised.
    unseen: Option<Direction>,
    /// Cuts frames out of what is read, where rules ask for them.
    framer: Option<Box<Framer>>,
    /// What the protocol before has to tell the one that follows.
    left: Vec<(Vec<u8>, Vec<u8>)>,
}

#[derive(Default)]
enum State {
    /// No protocol is recognised yet.
    #[default]
    Probing,
    /// Bytes go to a dissector.
    Reading(Box<dyn Dissector>),
    /// Nothing more is of interest.
    Done,
}

/// What one direction said before its protocol was recognised.
#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    datagrams: u32,
    given_up: bool,
    /// Of what was seen when it was given up, where that was enough to tell.
    is_random: Option<bool>,
}

impl std::fmt::Debug for AppFlow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppFlow").field("record", &self.record).finish_non_exhaustive()
    }
}

impl AppFlow {
    /// Told beforehand what it will speak, as the data connection of FTP is.
    pub fn expecting(layer: &AppLayer, expectation: &Expectation) -> Self {
        let mut flow = Self::default();
        let protocol = expectation.protocol;
        if let Some(known) = layer.by_name(expectation.udp, protocol) {
            flow.become_protocol(layer, known, Direction::ToServer, Confidence::Heuristic);
        } else {
            flow.record = Some(record_of(protocol, Confidence::Heuristic));
            flow.state = State::Done;
        }
        if let (State::Reading(dissector), Some(transfer)) =
            (&mut flow.state, &expectation.transfer)
        {
            dissector.announced(transfer);
        }
        flow
    }

    /// What is known about the protocol.
    pub fn record(&self) -> Option<AppRecord> {
        self.record
    }

    /// The protocol alone, [`AppProto::FAILED`] where recognition gave up.
    pub fn protocol(&self) -> Option<AppProto> {
        self.record.as_ref().map(|record| record.proto)
    }

    /// Transactions finished so far.
    pub fn transactions(&self) -> u64 {
        self.transactions
    }

    /// Whether it still wants bytes; if not, the stream need not be reassembled.
    pub fn wants_bytes(&self) -> bool {
        !matches!(self.state, State::Done) || self.framer.is_some() || self.unseen.is_some()
    }

    /// Takes the next chunk of one direction.
    pub fn feed(
        &mut self,
        layer: &AppLayer,
        at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) {
        let before = Before::of(out);
        self.advance(layer, at, direction, chunk, out);
        self.account(before, out);
    }

    fn advance(
        &mut self,
        layer: &AppLayer,
        at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) {
        let mut chunk = chunk;
        // Each turn either uses up the chunk or changes the protocol, which is capped.
        if self.unseen == Some(direction) {
            self.compare(layer, at, direction, chunk, out);
        }
        loop {
            if let Some(framer) = &mut self.framer {
                framer.feed(direction, chunk, &mut |frame| out.frame(frame));
            }
            match &mut self.state {
                State::Done => break,
                State::Probing => {
                    self.probe(layer, at, direction, chunk, out);
                    break;
                }
                State::Reading(dissector) => {
                    let next = dissector.feed(at, direction, chunk, out);
                    match self.after(layer, chunk, next, out) {
                        Some(rest) => chunk = rest,
                        None => break,
                    }
                }
            }
        }
    }

    /// One direction ended.
    pub fn finish(&mut self, at: &Moment<'_>, direction: Direction, out: &mut Outcome) {
        let before = Before::of(out);
        let ended = self.finished.get_mut(side(direction));
        if ended.is_some_and(|ended| !std::mem::replace(ended, true))
            && let State::Reading(dissector) = &mut self.state
        {
            dissector.finish(at, direction, out);
        }
        if let Some(framer) = &mut self.framer {
            framer.finish(direction, &mut |frame| out.frame(frame));
        }
        self.account(before, out);
    }

    /// The flow is over: both directions are.
    pub fn close(&mut self, layer: &AppLayer, at: &Moment<'_>, out: &mut Outcome) {
        let before = Before::of(out);
        self.settle(layer, at, Direction::ToServer, out);
        self.settle(layer, at, Direction::ToClient, out);
        self.account(before, out);
        self.finish(at, Direction::ToServer, out);
        self.finish(at, Direction::ToClient, out);
        (self.framer, self.unseen) = (None, None);
        self.state = State::Done;
    }

    /// Counts what a call brought, and names its protocol.
    fn account(&mut self, before: Before, out: &mut Outcome) {
        self.transactions += (out.transactions.len() - before.transactions) as u64;
        if let (Some(name), Some(record)) = (out.renamed.take(), &mut self.record)
            && record.proto != name
        {
            record.original = record.original.or(Some(record.proto));
            record.proto = name;
        }
        self.odd.settle(out, before.anomalies, before.transactions);
        let app = self.record.map(|r| r.proto);
        for raised in out.anomalies.iter_mut().skip(before.anomalies) {
            raised.app = raised.app.or(app);
        }
        for file in out.files.iter_mut().skip(before.files) {
            file.app = file.app.or(app);
        }
        for login in out.logins.iter_mut().skip(before.logins) {
            login.app = login.app.or(app);
        }
    }

    /// No more comes: takes what the first bytes of one way look like, though not for sure.
    fn settle(
        &mut self,
        layer: &AppLayer,
        at: &Moment<'_>,
        direction: Direction,
        out: &mut Outcome,
    ) {
        if !matches!(self.state, State::Probing) || at.is_udp() {
            return;
        }
        let Some(held) = self.held.get_mut(side(direction)) else { return };
        let seen = std::mem::take(&mut held.bytes);
        if seen.is_empty() {
            return;
        }
        let first = self.first(layer, at, direction, &seen);
        if let Recognised::Undecided(Some((protocol, confidence))) =
            recognise(layer.protocols(false), &first)
        {
            // It is yet to learn which directions ended.
            self.finished = Default::default();
            self.adopt(layer, at, direction, (protocol, confidence), &seen, out);
        } else if let Some(held) = self.held.get_mut(side(direction)) {
            held.bytes = seen;
        }
    }

    /// What a probe is shown of the first bytes of a direction.
    fn first<'a>(
        &self,
        layer: &AppLayer,
        at: &Moment<'a>,
        direction: Direction,
        seen: &'a [u8],
    ) -> First<'a> {
        First {
            udp: at.is_udp(),
            direction,
            bytes: seen.get(..layer.config.probe_bytes).unwrap_or(seen),
            key: at.key,
            midstream: at.midstream,
            expected: self.record.filter(|_| self.changes > 0).and_then(|r| r.expected),
        }
    }

    /// Shows the first bytes to all protocols that may still be it.
    fn probe(
        &mut self,
        layer: &AppLayer,
        at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) {
        let Chunk::Bytes(bytes) = chunk else {
            // With a hole at the front nothing can be recognised in this direction any more.
            self.give_up(direction, &[]);
            return;
        };
        let Some(held) = self.held.get_mut(side(direction)) else { return };
        if held.given_up {
            return;
        }
        let together;
        let seen = if at.is_udp() || held.bytes.is_empty() {
            bytes
        } else {
            held.bytes.extend_from_slice(bytes);
            together = std::mem::take(&mut held.bytes);
            &together
        };
        let first = self.first(layer, at, direction, seen);
        let mut recognised = recognise(layer.protocols(at.is_udp()), &first);
        let is_enough = seen.len() >= layer.config.probe_bytes;
        if let Recognised::Undecided(Some((protocol, confidence))) = recognised
            && is_enough
        {
            recognised = Recognised::As(protocol, confidence);
        }
        let mut direction = direction;
        if layer.config.turns
            && self.may_turn(at, direction)
            && !matches!(recognised, Recognised::As(_, Confidence::Content))
        {
            let (key, opposite) = (at.key.reversed(), direction.opposite());
            let turned = First { direction: opposite, key: &key, ..first };
            let answer = recognise(layer.protocols(false), &turned);
            if matches!(answer, Recognised::As(_, Confidence::Content)) {
                (recognised, direction) = (answer, opposite);
                out.reversed = true;
            }
        }
        match recognised {
            Recognised::As(protocol, confidence) => {
                self.adopt(layer, at, direction, (protocol, confidence), seen, out);
            }
            Recognised::Undecided(_) if !at.is_udp() && !is_enough => {
                let seen = seen.to_vec();
                if let Some(held) = self.held.get_mut(side(direction)) {
                    held.bytes = seen;
                }
            }
            Recognised::Undecided(_) | Recognised::No => {
                let Some(held) = self.held.get_mut(side(direction)) else { return };
                held.datagrams += 1;
                if !at.is_udp() || held.datagrams >= layer.config.probe_datagrams {
                    self.give_up(direction, seen);
                }
            }
        }
    }

    /// Goes on as a protocol that was recognised by what is seen of one direction.
    fn adopt(
        &mut self,
        layer: &AppLayer,
        at: &Moment<'_>,
        direction: Direction,
        (protocol, confidence): Match,
        seen: &[u8],
        out: &mut Outcome,
    ) {
        self.become_protocol(layer, protocol, direction, confidence);
        self.unseen = (layer.config.both_ways && !at.is_udp() && self.changes == 0)
            .then(|| direction.opposite());
        if layer.config.frames {
            self.framer = Framer::of(protocol.name(), at.is_udp()).map(Box::new);
        }
        let left = std::mem::take(&mut self.left);
        if let State::Reading(dissector) = &mut self.state {
            dissector.inherits(at, &left, out);
        }
        self.replay(layer, at, direction, seen, out);
    }

    /// Whether the first bytes of a session may turn out to be an answer: nothing was said before.
    fn may_turn(&self, at: &Moment<'_>, direction: Direction) -> bool {
        let other = self.held.get(side(direction.opposite()));
        let is_silent = other.is_some_and(|held| held.bytes.is_empty() && !held.given_up);
        at.midstream && !at.is_udp() && self.changes == 0 && is_silent
    }

    /// Looks at the first bytes of the side that was not recognised: do both speak the same?
    fn compare(
        &mut self,
        layer: &AppLayer,
        at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) {
        self.unseen = None;
        let (Chunk::Bytes(bytes), Some(record)) = (chunk, &mut self.record) else { return };
        let first = First {
            udp: false,
            direction,
            bytes: bytes.get(..layer.config.probe_bytes).unwrap_or(bytes),
            key: at.key,
            midstream: at.midstream,
            expected: None,
        };
        let Recognised::As(other, Confidence::Content) = recognise(layer.protocols(false), &first)
        else {
            return;
        };
        // What deserves a closer name began as what the other side looks like.
        if other.name() == record.proto || Some(other.name()) == record.original {
            return;
        }
        let (own, theirs) = (Some(record.proto), Some(other.name()));
        (record.to_server, record.to_client) = match direction {
            Direction::ToServer => (theirs, own),
            Direction::ToClient => (own, theirs),
        };
        out.flow_events.push(MISMATCH);
    }

    /// Hands the bytes held back to the dissector: first those of the other direction if that
    /// spoke first, then those just shown.
    fn replay(
        &mut self,
        layer: &AppLayer,
        at: &Moment<'_>,
        direction: Direction,
        seen: &[u8],
        out: &mut Outcome,
    ) {
        let other = self.held.get_mut(side(direction.opposite()));
        let earlier = other.map(|held| std::mem::take(&mut held.bytes)).unwrap_or_default();
        if !earlier.is_empty() {
            let chunk = Chunk::Bytes(&earlier);
            self.advance(layer, at, direction.opposite(), chunk, out);
        }
        self.advance(layer, at, direction, Chunk::Bytes(seen), out);
    }

    fn become_protocol(
        &mut self,
        layer: &AppLayer,
        protocol: &'static dyn Protocol,
        direction: Direction,
        confidence: Confidence,
    ) {
        let name = protocol.name();
        let mut record = record_of(name, confidence);
        if let Some(before) = self.record.filter(|_| self.changes > 0) {
            record.original = before.original.or(Some(before.proto));
            record.expected = before.expected;
        } else if self.held.get(side(direction.opposite())).is_some_and(|h| h.given_up) {
            match direction {
                Direction::ToServer => record.to_client = Some(AppProto::FAILED),
                Direction::ToClient => record.to_server = Some(AppProto::FAILED),
            }
        }
        self.record = Some(record);
        self.state = match protocol.dissector(layer.config.wants) {
            Some(mut dissector) => {
                if let Some(original) = record.original {
                    dissector.changed_from(original);
                }
                State::Reading(dissector)
            }
            None => State::Done,
        };
    }

    /// One direction cannot be recognised; when both cannot, the flow is `failed`, unless it has
    /// changed before, when it keeps the name it had.
    fn give_up(&mut self, direction: Direction, seen: &[u8]) {
        if let Some(held) = self.held.get_mut(side(direction)) {
            held.given_up = true;
            held.bytes = Vec::new();
            held.is_random = random::looks_random(seen);
        }
        if self.held.iter().all(|held| held.given_up) {
            self.state = State::Done;
            if self.record.is_none() {
                // One side that says something plain is enough.
                let mut told = self.held.iter().filter_map(|held| held.is_random).peekable();
                let looks_random = told.peek().is_some() && told.all(|is_random| is_random);
                let record = record_of(AppProto::FAILED, Confidence::Content);
                self.record = Some(AppRecord { looks_random, ..record });
            }
        }
    }

    /// Acts on what a dissector said; returns the bytes that the next protocol begins with.
    fn after<'a>(
        &mut self,
        layer: &AppLayer,
        chunk: Chunk<'a>,
        next: Result<Next, Malformed>,
        out: &mut Outcome,
    ) -> Option<Chunk<'a>> {
        match next {
            Ok(Next::More) => None,
            Ok(Next::Done) => {
                self.state = State::Done;
                None
            }
            Err(Malformed(name)) => {
                out.anomalies.push(Raised { app: None, name, tx_id: None, is_fatal: true });
                self.state = State::Done;
                None
            }
            Ok(Next::Change { consumed, to }) => {
                if self.changes >= layer.config.max_changes {
                    self.state = State::Done;
                    return None;
                }
                self.changes += 1;
                if let Some(record) = &mut self.record {
                    record.expected = to;
                }
                self.held = Default::default();
                self.finished = Default::default();
                self.framer = None;
                if let State::Reading(dissector) = &mut self.state {
                    self.left = dissector.leaves();
                }
                self.state = State::Probing;
                match chunk {
                    Chunk::Bytes(bytes) => {
                        bytes.get(consumed..).filter(|rest| !rest.is_empty()).map(Chunk::Bytes)
                    }
                    Chunk::Gap(_) => None,
                }
            }
        }
    }
}

/// What an outcome held before a call.
#[derive(Clone, Copy)]
struct Before {
    transactions: usize,
    anomalies: usize,
    files: usize,
    logins: usize,
}

impl Before {
    fn of(out: &Outcome) -> Self {
        Self {
            transactions: out.transactions.len(),
            anomalies: out.anomalies.len(),
            files: out.files.len(),
            logins: out.logins.len(),
        }
    }
}

/// A protocol, and how sure it is.
type Match = (&'static dyn Protocol, Confidence);

#[derive(Clone, Copy)]
enum Recognised {
    As(&'static dyn Protocol, Confidence),
    /// One may still ask for more; with what it is unless that happens.
    Undecided(Option<Match>),
    No,
}

/// The protocol that is surest of these bytes; among equals the first of the list, but one on its
/// usual port before one that is not.
fn recognise(protocols: &[&'static dyn Protocol], first: &First<'_>) -> Recognised {
    let mut best: Option<(Confidence, bool, &'static dyn Protocol)> = None;
    let mut undecided = false;
    for &protocol in protocols {
        match protocol.probe(first) {
            Probe::No => {}
            Probe::NeedMore => undecided = true,
            Probe::Match(confidence) => {
                let usual = first.has_port(protocol.ports());
                if best.is_none_or(|(c, u, _)| (confidence, usual) > (c, u)) {
                    best = Some((confidence, usual, protocol));
                }
            }
        }
    }
    match best {
        // A weak match waits while a stronger one may still come.
        Some((Confidence::Content, _, protocol)) => Recognised::As(protocol, Confidence::Content),
        Some((confidence, _, protocol)) if !undecided || first.udp => {
            Recognised::As(protocol, confidence)
        }
        best if undecided => Recognised::Undecided(best.map(|(c, _, protocol)| (protocol, c))),
        _ => Recognised::No,
    }
}

const fn record_of(proto: AppProto, confidence: Confidence) -> AppRecord {
    AppRecord {
        proto,
        to_server: None,
        to_client: None,
        original: None,
        expected: None,
        confidence,
        looks_random: false,
    }
}

const fn side(direction: Direction) -> usize {
    match direction {
        Direction::ToServer => 0,
        Direction::ToClient => 1,
    }
}
