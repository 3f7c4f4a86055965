//! Many signatures, arranged so that few of them have to be judged.
//!
//! Signatures that look into payloads stand in groups by transport and direction, those about
//! transactions in groups by buffer and direction. A group searches for one pattern of each of its
//! signatures at once; only those whose pattern is there are judged. Signatures without a pattern
//! are judged always.

mod choose;

use crate::builder::{Buffer, Memory, Source, Usage};
use crate::context::Requirements;
use crate::lang::{Action, Arrow, Base, HeaderMatch, Side};
use crate::prefilter::{Matcher, Wanted};
use crate::signature::{Kind, Signature, Transform};
use crate::state::VarId;
use ahash::AHashMap;
use flowtrack_event::Direction;
use std::cmp::Reverse;
use std::sync::Arc;

/// Signatures that workers share; it never changes.
#[derive(Debug, Default)]
pub struct RuleSet {
    signatures: Vec<Signature>,
    /// For each signature what is known of it beyond its own.
    pub(crate) plans: Vec<Plan>,
    /// For each signature the ports it may be about at most.
    pub(crate) gates: Vec<Gate>,
    /// Judged on every payload of packets, by transport and direction.
    pub(crate) packets: [[Group; 2]; CLASSES],
    /// Judged on every piece of a stream, and on packets that are part of none.
    pub(crate) streams: [[Group; 2]; CLASSES],
    /// Judged on the first packet of a flow each way.
    pub(crate) addresses: Vec<u32>,
    /// Judged when the application protocol was recognised.
    pub(crate) recognition: Vec<u32>,
    /// Judged on every packet of flows whose application protocol is known.
    pub(crate) apps: Vec<u32>,
    /// Buffers of transactions.
    pub(crate) buffers: Vec<Prepared>,
    /// Judged on transactions, by buffer and direction.
    pub(crate) transactions: Vec<TxGroup>,
    /// What of it concerns each application protocol.
    routes: AHashMap<&'static str, Route>,
    /// What concerns those that no signature names.
    other: Route,
}

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

/// Protocols that stand for their class.
const REPRESENTATIVES: [&[u8]; CLASSES - 1] = [&[6], &[17], &[1, 58], &[]];

/// What is known of a signature beyond its own.
#[derive(Debug, Default)]
pub(crate) struct Plan {
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

/// Signatures judged on the same bytes.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) matcher: Matcher,
    /// Those without a pattern.
    pub(crate) always: Vec<u32>,
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
    pub(crate) matcher: Matcher,
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

/// Patterns and values by buffer and direction.
type TxDrafts = AHashMap<(u32, usize), Vec<Wanted>>;

/// Patterns and values of a group in the making.
#[derive(Default)]
struct Draft {
    patterns: Vec<Wanted>,
    always: Vec<u32>,
}

impl Draft {
    fn add(&mut self, pattern: Option<&Wanted>, index: u32) {
        match pattern {
            Some(pattern) => self.patterns.push(pattern.clone()),
            None => self.always.push(index),
        }
    }

    fn finish(self) -> Group {
        Group { matcher: Matcher::new(self.patterns), always: self.always }
    }
}

impl RuleSet {
    /// Arranges signatures. Their place in the set is the order in which they are judged.
    pub fn compile(mut signatures: Vec<Signature>) -> Self {
        signatures.sort_by_cached_key(order);
        let mut set = Self::default();
        let mut packets: [[Draft; 2]; CLASSES] = Default::default();
        let mut streams: [[Draft; 2]; CLASSES] = Default::default();
        let mut transactions = TxDrafts::new();
        let mut always: [Vec<u32>; 2] = Default::default();
        let mut known = AHashMap::new();
        for (index, signature) in (0u32..).zip(&mut signatures) {
            choose::fast_pattern(signature);
            let signature = &*signature;
            let mut plan = set.plan(signature, &mut known);
            let directions = directions(signature);
            match signature.kind {
                Kind::Addresses => set.addresses.push(index),
                Kind::Recognition => set.recognition.push(index),
                Kind::App => set.apps.push(index),
                Kind::Packet | Kind::Stream | Kind::PacketAndStream => {
                    let pattern = choose::pattern_of(signature, index);
                    if signature.kind != Kind::Stream {
                        place(&mut packets, signature, directions, pattern.as_ref(), index);
                    }
                    if signature.kind != Kind::Packet {
                        place(&mut streams, signature, directions, pattern.as_ref(), index);
                    }
                }
                Kind::Transaction => {
                    let fast = signature.fast_pattern.and_then(|(search, _)| {
                        Some(((*plan.buffers.get(search)?)?, choose::pattern_of(signature, index)?))
                    });
                    for direction in directions.iter().copied() {
                        match (&fast, always.get_mut(direction)) {
                            (Some((buffer, pattern)), _) => transactions
                                .entry((*buffer, direction))
                                .or_default()
                                .push(pattern.clone()),
                            (None, Some(always)) => always.push(index),
                            (None, None) => {}
                        }
                    }
                    if choose::has_payload(signature) {
                        let pattern = choose::payload_pattern(signature, index);
                        let name = format!("payload of {}:{}", signature.info.gid, signature.sid());
                        plan.partial = Some(VarId::of(&name));
                        place(&mut streams, signature, directions, pattern.as_ref(), index);
                    }
                }
            }
            set.plans.push(plan);
            set.gates.push(Gate::of(&signature.header));
        }
        set.packets = packets.map(|pair| pair.map(Draft::finish));
        set.streams = streams.map(|pair| pair.map(Draft::finish));
        set.signatures = signatures;
        set.route(transactions, &always);
        set
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
        Plan { buffers, partial: None, has_frames: signature.requirements.frames }
    }

    /// Sorts the groups of transactions by application protocol.
    fn route(&mut self, transactions: TxDrafts, always: &[Vec<u32>; 2]) {
        let mut groups: Vec<_> = transactions.into_iter().collect();
        groups.sort_by_key(|((buffer, direction), _)| (*buffer, *direction));
        let mut directions = Vec::with_capacity(groups.len());
        for ((buffer, direction), patterns) in groups {
            self.transactions.push(TxGroup { buffer, matcher: Matcher::new(patterns) });
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

/// Puts a signature into every group whose packets it may be about.
fn place(
    drafts: &mut [[Draft; 2]; CLASSES],
    signature: &Signature,
    directions: &[usize],
    pattern: Option<&Wanted>,
    index: u32,
) {
    let base = signature.header.protocol.base;
    for (class, pair) in drafts.iter_mut().enumerate() {
        let is_about = match REPRESENTATIVES.get(class) {
            Some([]) => carries_other(base),
            Some(protos) => protos.iter().any(|proto| base.carries(*proto)),
            None => matches!(base, Base::Frame | Base::Arp),
        };
        if is_about {
            for direction in directions {
                if let Some(draft) = pair.get_mut(*direction) {
                    draft.add(pattern, index);
                }
            }
        }
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
fn order(signature: &Signature) -> impl Ord + use<> {
    let action = match signature.action {
        Action::Pass => 0,
        Action::Drop => 1,
        Action::Reject | Action::RejectBoth | Action::RejectDst => 2,
        Action::Alert | Action::Config => 3,
    };
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
