//! Many signatures, arranged so that few of them have to be judged.
//!
//! Signatures that look into payloads stand in groups by transport, direction, port and application
//! protocol, those about transactions in groups by buffer and direction. A group searches for one
//! pattern of each of its signatures at once; only those whose pattern is there are judged.
//! Signatures without a pattern are judged always.

mod choose;
mod grid;
mod parts;

use crate::builder::{Buffer, Memory, Source, Usage};
use crate::context::Requirements;
use crate::lang::{Action, ActionOrder, Arrow, Base, HeaderMatch, Side};
use crate::prefilter::{Matcher, Wanted};
use crate::signature::{Kind, Signature, Transform};
use crate::state::{FlowVars, VarId};
use ahash::AHashMap;
use flowtrack_event::{Direction, Remembered};
pub(crate) use grid::Grid;
use grid::{Classes, Draft, Planner};
use parts::Parts;
use std::cmp::Reverse;
use std::sync::{Arc, OnceLock};

/// Signatures that workers share; it never changes.
#[derive(Debug, Default)]
pub struct RuleSet {
    signatures: Vec<Signature>,
    /// For each signature what is known of it beyond its own.
    pub(crate) plans: Vec<Plan>,
    /// For each signature the ports it may be about at most.
    pub(crate) gates: Vec<Gate>,
    /// Judged on every payload of packets, by transport and direction.
    pub(crate) packets: Vec<[Grid; 2]>,
    /// Judged on every piece of a TCP stream, and on its packets that are part of none.
    pub(crate) streams: Option<[Grid; 2]>,
    /// Ports that signatures are about.
    classes: Classes,
    /// Judged on the first packet of a flow each way.
    pub(crate) addresses: Vec<u32>,
    /// Judged when the application protocol was recognised.
    pub(crate) recognition: Vec<u32>,
    /// Judged on every packet of flows of an application protocol.
    pub(crate) apps: Vec<(&'static str, Vec<u32>)>,
    /// Buffers of transactions.
    pub(crate) buffers: Vec<Prepared>,
    /// Judged on transactions, by buffer and direction.
    pub(crate) transactions: Vec<TxGroup>,
    /// For each signature the mark on the flow that decides whether it is worth judging.
    pub(crate) marks: Vec<Mark>,
    /// What of it concerns each application protocol.
    routes: AHashMap<&'static str, Route>,
    /// What concerns those that no signature names.
    other: Route,
    /// What marks and numbers of flows are called.
    names: AHashMap<VarId, Arc<str>>,
}

/// Cost of a test up to which it is asked before addresses are looked at.
const CHEAP: u8 = 2;

/// Transports that packets are told apart by.
pub(crate) const CLASSES: usize = 5;

/// The class of an IP protocol; none for what has no IP header.
pub(crate) const fn class(proto: Option<u8>) -> usize {
    match proto {
        Some(6) => 0,
        Some(17) => 1,
        Some(1 | 58) => 2,
        Some(_) => 3,
        None => 4,
    }
}

/// The class of TCP.
pub(crate) const TCP_CLASS: usize = 0;

/// Protocols that stand for their class.
const REPRESENTATIVES: [&[u8]; CLASSES - 1] = [&[6], &[17], &[1, 58], &[]];

/// What is known of a signature beyond its own.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// How many of its tests, which are in order of cost, are cheaper than looking at addresses.
    pub(crate) cheap_tests: usize,
    /// For each search the place of its buffer among those of transactions.
    pub(crate) buffers: Vec<Option<u32>>,
    /// What a flow remembers when the part about the payload held, where another part is about
    /// transactions.
    pub(crate) partial: Option<VarId>,
    /// Whether it is about frames.
    pub(crate) has_frames: bool,
}

/// Ports between which a signature's may lie: asked before anything else of it is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gate {
    src: (u16, u16),
    dst: (u16, u16),
}

impl Gate {
    fn of(header: &HeaderMatch) -> Self {
        let any = (0, u16::MAX);
        if header.arrow != Arrow::Right {
            return Self { src: any, dst: any };
        }
        let around = |side: &Side| match side.ports.as_ref().map(|ports| ports.ranges()) {
            Some([(first, _), .., (_, last)] | [(first, last)]) => (*first, *last),
            _ => any,
        };
        Self { src: around(&header.src), dst: around(&header.dst) }
    }

    /// Whether what goes between these ports may be meant.
    #[inline]
    pub(crate) fn is_open(self, (src, dst): (u16, u16)) -> bool {
        (self.dst.0..=self.dst.1).contains(&dst) && (self.src.0..=self.src.1).contains(&src)
    }
}

/// A mark on the flow that decides whether a signature is worth judging.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mark {
    /// None does.
    None,
    /// Only with this one.
    With(VarId),
    /// Not on payloads of a flow that has this one: what was looked for there was found.
    Until(VarId),
}

impl Mark {
    fn of(signature: &Signature, plan: &Plan) -> Self {
        match (plan.partial, signature.mark()) {
            (Some(found), _) => Self::Until(found),
            (None, Some(mark)) => Self::With(mark),
            (None, None) => Self::None,
        }
    }
}

/// Signatures judged on the same bytes.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) matcher: Matcher,
    /// Those without a pattern, and between which ports.
    pub(crate) always: Vec<(Gate, u32)>,
    /// Those without a pattern that a flow must have a mark for, in the order of the marks.
    pub(crate) marked: Vec<(VarId, u32)>,
    /// Those of both that look for nothing in the payload.
    pub(crate) bare: Vec<u32>,
}

/// A buffer of transactions, as it is searched.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) buffer: Buffer,
    pub(crate) transforms: Vec<Arc<dyn Transform>>,
}

/// Signatures whose pattern is looked for in the same buffer.
#[derive(Debug)]
pub(crate) struct TxGroup {
    /// Its place among the buffers.
    pub(crate) buffer: u32,
    signatures: Vec<u32>,
    /// Made when first needed.
    matcher: OnceLock<Matcher>,
}

/// What of the set concerns one application protocol, to the server and to the client.
#[derive(Debug, Default)]
pub(crate) struct Route {
    /// Places of groups.
    pub(crate) groups: [Vec<u32>; 2],
    /// Signatures without a pattern.
    pub(crate) always: [Vec<u32>; 2],
}

/// Name, direction and transforms of a buffer.
type BufferKey = (&'static str, Option<usize>, String);

/// Signatures by buffer and direction.
type TxDrafts = AHashMap<(u32, usize), Vec<u32>>;

impl RuleSet {
    /// Arranges signatures. Their place in the set is the order in which they are judged.
    pub fn compile(signatures: Vec<Signature>) -> Self {
        Self::compile_in(ActionOrder::default(), signatures)
    }

    /// The same, judged in another order of actions.
    pub fn compile_in(actions: ActionOrder, mut signatures: Vec<Signature>) -> Self {
        signatures.sort_by_cached_key(|signature| order(actions, signature));
        signatures.iter_mut().for_each(choose::fast_pattern);
        let planner = Planner::new(&signatures, choose::is_cheap);
        let mut set = Self::default();
        let mut packets: [[Draft; 2]; CLASSES] = Default::default();
        let mut streams: [Draft; 2] = Default::default();
        let mut transactions = TxDrafts::new();
        let mut always: [Vec<u32>; 2] = Default::default();
        let mut known = AHashMap::new();
        let mut parts = Parts::default();
        for (id, name) in signatures.iter().flat_map(|signature| &signature.names) {
            set.names.entry(*id).or_insert_with(|| Arc::clone(name));
        }
        for (index, signature) in (0u32..).zip(&signatures) {
            let mut plan = set.plan(signature, &mut known);
            let directions = directions(signature);
            let mut place = |on: Placed| {
                let has_pattern = choose::is_searched_for(signature);
                let base = signature.header.protocol.base;
                for direction in directions.iter().copied() {
                    let is_tcp = base.carries(6);
                    if on != Placed::Packets
                        && is_tcp
                        && let Some(draft) = streams.get_mut(direction)
                    {
                        draft.add(&planner, signature, index, has_pattern);
                    }
                    for (class, pair) in packets.iter_mut().enumerate() {
                        // Only TCP has streams; what goes without is judged by packets.
                        if is_about(base, class)
                            && signature.may_carry(|proto| self::class(Some(proto)) == class)
                            && (on != Placed::Streams || class != TCP_CLASS)
                            && let Some(draft) = pair.get_mut(direction)
                        {
                            draft.add(&planner, signature, index, has_pattern);
                        }
                    }
                }
            };
            match signature.kind {
                Kind::Addresses => set.addresses.push(index),
                Kind::Recognition => set.recognition.push(index),
                Kind::App => {
                    for app in &signature.apps {
                        match set.apps.iter_mut().find(|(name, _)| name == app) {
                            Some((_, of_it)) => of_it.push(index),
                            None => set.apps.push((*app, vec![index])),
                        }
                    }
                }
                Kind::Packet => place(Placed::Packets),
                Kind::Stream => place(Placed::Streams),
                Kind::PacketAndStream => place(Placed::Both),
                Kind::Transaction => {
                    let fast = signature.fast_pattern.and_then(|(search, _)| {
                        choose::pattern_of(signature, index)?;
                        *plan.buffers.get(search)?
                    });
                    for direction in directions.iter().copied() {
                        match (fast, always.get_mut(direction)) {
                            (Some(buffer), _) => {
                                transactions.entry((buffer, direction)).or_default().push(index);
                            }
                            (None, Some(always)) => always.push(index),
                            (None, None) => {}
                        }
                    }
                    if choose::has_payload(signature)
                        && let Some((mark, is_new)) = parts.add(&signatures, index)
                    {
                        plan.partial = Some(mark);
                        if is_new {
                            place(Placed::Streams);
                        }
                    }
                }
            }
            set.marks.push(Mark::of(signature, &plan));
            set.plans.push(plan);
            set.gates.push(Gate::of(&signature.header));
        }
        let finish = |draft: Draft| draft.finish(&planner);
        set.packets = packets.into_iter().map(|pair| pair.map(finish)).collect();
        set.streams = Some(streams.map(finish));
        set.classes = planner.classes;
        set.signatures = signatures;
        set.route(transactions, &always);
        set
    }

    /// What is searched for first in payloads of a signature.
    fn payload_pattern(&self, index: u32) -> Option<Wanted> {
        choose::first_in_payload(self.get(index)?, index)
    }

    /// The search of a group of transactions.
    pub(crate) fn matcher_of<'a>(&self, group: &'a TxGroup) -> &'a Matcher {
        group.matcher.get_or_init(|| {
            let patterns = group
                .signatures
                .iter()
                .filter_map(|index| choose::pattern_of(self.get(*index)?, *index));
            Matcher::new(patterns.collect())
        })
    }

    /// Gives every buffer of transactions a place.
    fn plan(&mut self, signature: &Signature, known: &mut AHashMap<BufferKey, u32>) -> Plan {
        let buffers = signature
            .searches
            .iter()
            .map(|search| {
                if !matches!(search.buffer.source, Source::Transaction) {
                    return None;
                }
                let transforms: Vec<_> = search.transforms.iter().map(|t| t.id()).collect();
                let at = *known
                    .entry((
                        search.buffer.name,
                        search.buffer.toward.map(way),
                        transforms.join("; "),
                    ))
                    .or_insert_with(|| {
                        self.buffers.push(Prepared {
                            buffer: search.buffer,
                            transforms: search.transforms.clone(),
                        });
                        self.buffers.len() as u32 - 1
                    });
                Some(at)
            })
            .collect();
        let cheap_tests = signature.tests.iter().take_while(|test| test.cost() <= CHEAP).count();
        let has_frames = signature.requirements.frames;
        Plan { cheap_tests, buffers, partial: None, has_frames }
    }

    /// Sorts the groups of transactions by application protocol.
    fn route(&mut self, transactions: TxDrafts, always: &[Vec<u32>; 2]) {
        let mut groups: Vec<_> = transactions.into_iter().collect();
        groups.sort_by_key(|((buffer, direction), _)| (*buffer, *direction));
        let mut directions = Vec::with_capacity(groups.len());
        for ((buffer, direction), signatures) in groups {
            let matcher = OnceLock::new();
            self.transactions.push(TxGroup { buffer, signatures, matcher });
            directions.push(direction);
        }
        let mut names: Vec<&'static str> =
            self.signatures.iter().flat_map(|signature| signature.apps.iter().copied()).collect();
        names.extend(self.buffers.iter().flat_map(|prepared| prepared.buffer.apps));
        names.sort_unstable();
        names.dedup();
        let route = |name: Option<&'static str>| {
            let concerns = |apps: &[&'static str]| {
                apps.is_empty() || name.is_some_and(|name| apps.contains(&name))
            };
            let mut route = Route::default();
            for ((at, group), direction) in (0u32..).zip(&self.transactions).zip(&directions) {
                let buffer = self.buffers.get(group.buffer as usize);
                if buffer.is_some_and(|prepared| concerns(prepared.buffer.apps))
                    && let Some(groups) = route.groups.get_mut(*direction)
                {
                    groups.push(at);
                }
            }
            for (wanted, all) in route.always.iter_mut().zip(always) {
                let concerned = |index: &&u32| {
                    self.get(**index).is_some_and(|signature| concerns(&signature.apps))
                };
                wanted.extend(all.iter().filter(concerned));
            }
            route
        };
        let routes = names.into_iter().map(|name| (name, route(Some(name)))).collect();
        self.other = route(None);
        self.routes = routes;
    }

    /// What concerns an application protocol.
    pub(crate) fn route_of(&self, app: &str) -> &Route {
        self.routes.get(app).unwrap_or(&self.other)
    }

    /// The signatures, in the order in which they are judged.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The signature of a [`Hit`](crate::Hit).
    #[inline]
    pub fn get(&self, index: u32) -> Option<&Signature> {
        self.signatures.get(index as usize)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.signatures.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.signatures.is_empty()
    }

    /// What rules remember of a flow, by the names that they gave it; nothing where there is
    /// nothing. `signature` is the one of an alert.
    pub fn remembered(&self, vars: &FlowVars, signature: Option<u32>) -> Option<Box<Remembered>> {
        let named = |id: &VarId| self.names.get(id).map(Arc::clone);
        let mut remembered = Remembered {
            flowbits: vars.bits().iter().filter_map(named).collect(),
            flowints: vars
                .numbers()
                .iter()
                .filter_map(|(id, number)| Some((named(id)?, *number)))
                .collect(),
            ..Remembered::default()
        };
        if let Some(texts) = vars.texts() {
            remembered.flowvars = texts.of_flow().to_vec();
            if let Some(signature) = signature {
                remembered.pktvars = texts.of_packet().to_vec();
                remembered.context = texts.of_alert(signature).cloned().collect();
            }
        }
        (remembered != Remembered::default()).then(|| Box::new(remembered))
    }

    /// What has to be done for them.
    pub fn requirements(&self) -> Requirements {
        let mut needed = Requirements::default();
        for (signature, plan) in self.signatures.iter().zip(&self.plans) {
            match signature.kind {
                Kind::Transaction => needed.transactions = true,
                // Packets that are no part of a stream are judged like one.
                Kind::Stream | Kind::PacketAndStream => {
                    (needed.packets, needed.streams) = (true, true);
                }
                Kind::Addresses | Kind::Packet | Kind::Recognition | Kind::App => {
                    needed.packets = true;
                }
            }
            if plan.partial.is_some() {
                (needed.packets, needed.streams) = (true, true);
            }
            needed = needed.or(signature.requirements);
            // What passes or drops does so before anything else comes.
            needed.halves |= !matches!(signature.action, Action::Alert | Action::Config);
        }
        needed
    }
}

/// A direction as a place in a pair.
pub(crate) const fn way(direction: Direction) -> usize {
    match direction {
        Direction::ToServer => 0,
        Direction::ToClient => 1,
    }
}

/// The directions in which a signature is judged: 0 to the server, 1 to the client.
fn directions(signature: &Signature) -> &'static [usize] {
    // Both halves of a transaction are there once its response is.
    if signature.header.arrow == Arrow::Transaction {
        return &[1];
    }
    match signature.direction {
        Some(Direction::ToServer) => &[0],
        Some(Direction::ToClient) => &[1],
        None => &[0, 1],
    }
}

/// On what a signature about payloads is judged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Placed {
    Packets,
    Streams,
    Both,
}

/// Whether packets of a class may be meant.
fn is_about(base: Base, class: usize) -> bool {
    match REPRESENTATIVES.get(class) {
        Some([]) => carries_other(base),
        Some(protos) => protos.iter().any(|proto| base.carries(*proto)),
        None => matches!(base, Base::Frame | Base::Arp),
    }
}

/// Whether packets of other protocols than TCP, UDP and ICMP may be meant.
const fn carries_other(base: Base) -> bool {
    match base {
        Base::Frame | Base::Ip | Base::Ipv4 | Base::Ipv6 => true,
        Base::Arp => false,
        Base::Proto(proto) | Base::Protos(proto, _) => !matches!(proto, 1 | 6 | 17 | 58),
    }
}

/// What is judged first: passes, then whatever writes what others read, then the urgent.
fn order(actions: ActionOrder, signature: &Signature) -> impl Ord + use<> {
    let action = actions.place(signature.action);
    let usage = |memory| {
        let of_it = signature.usage.iter().filter(|(known, _)| *known == memory);
        let (mut writes, mut reads) = (false, false);
        for (_, usage) in of_it {
            writes |= *usage != Usage::Read;
            reads |= *usage != Usage::Write;
        }
        Reverse(match (writes, reads) {
            (true, false) => 3,
            (true, true) => 2,
            (false, true) => 1,
            (false, false) => 0,
        })
    };
    let memories = [Memory::FlowBits, Memory::FlowInt, Memory::HostBits, Memory::XBits].map(usage);
    (action, memories, signature.info.severity)
}
