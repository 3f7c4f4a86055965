//! Signatures about payloads, so that what travels is searched only for what may matter to it.
//!
//! Most are about one application protocol or a few ports. Those are searched for only in flows of
//! that protocol and between these ports, after those that are about everything. What is searched
//! for together is put together when such traffic is first seen, once for all workers.

use super::{Group, Mark, RuleSet, choose};
use crate::lang::{Arrow, Ports};
use crate::prefilter::Matcher;
use crate::signature::Signature;
use ahash::AHashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Ports that a set of them may hold to be one of its own.
const MAX_PORTS: u32 = 4096;
/// Sets of ports that are told apart; what names others is searched for everywhere.
const MAX_SETS: usize = 1024;
/// Signatures about the same ports whose patterns are cheap to search for need so many to be kept
/// apart from those about everything.
const CROWD: usize = 16;
/// Groups of ports and application protocol at once that are made; beyond, the two are searched for
/// one after the other.
const MAX_PAIRS: usize = 48;

/// Sets of ports that signatures name, and to which of them each port belongs.
#[derive(Debug, Default)]
pub(super) struct PortClasses {
    /// The class of each port; all 0 where empty.
    class: Vec<u16>,
    /// For each class the sets that hold its ports; none in class 0.
    sets: Vec<Vec<u16>>,
}

impl PortClasses {
    fn new(sets: &[&Ports]) -> Self {
        let mut cuts: Vec<u32> = vec![0];
        for (first, last) in sets.iter().flat_map(|ports| ports.ranges()) {
            cuts.extend([u32::from(*first), u32::from(*last) + 1]);
        }
        cuts.sort_unstable();
        cuts.dedup();
        let mut known = AHashMap::from([(Vec::new(), 0)]);
        let (mut class, mut all) = (vec![0u16; 1 << 16], vec![Vec::new()]);
        for (at, from) in cuts.iter().enumerate() {
            let to = cuts.get(at + 1).copied().unwrap_or(1 << 16);
            let Ok(port) = u16::try_from(*from) else { continue };
            let holds = |(_, ports): &(u16, &&Ports)| ports.contains(port);
            let members: Vec<u16> =
                (0u16..).zip(sets).filter(holds).map(|(index, _)| index).collect();
            let number = *known.entry(members).or_insert_with_key(|members| {
                all.push(members.clone());
                all.len() as u16 - 1
            });
            if let Some(ports) = class.get_mut(*from as usize..to as usize) {
                ports.fill(number);
            }
        }
        Self { class, sets: all }
    }

    fn of(&self, port: u16) -> usize {
        self.class.get(usize::from(port)).copied().unwrap_or(0).into()
    }
}

/// Sets of ports of senders and of receivers.
#[derive(Debug, Default)]
pub(super) struct Classes {
    src: PortClasses,
    dst: PortClasses,
}

/// Where signatures are put by their ports and application protocols.
pub(super) struct Planner {
    pub(super) classes: Classes,
    /// For each signature its set of ports of senders or receivers, where it has one.
    spots: Vec<Option<(End, u16)>>,
}

/// Sender or receiver.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum End {
    Src,
    Dst,
}

impl Planner {
    /// `is_cheap` says whether the pattern of a signature is cheap to search for.
    pub(super) fn new(signatures: &[Signature], is_cheap: impl Fn(&Signature) -> bool) -> Self {
        let mut counts: AHashMap<(End, &Ports), (usize, bool)> = AHashMap::new();
        let mut named = Vec::with_capacity(signatures.len());
        for signature in signatures {
            let ports = ports_of(signature).map(|key| (key, is_cheap(signature)));
            named.push(ports);
            if let Some((key, is_cheap)) = ports {
                let (count, has_dear) = counts.entry(key).or_default();
                *count += 1;
                *has_dear |= !is_cheap;
            }
        }
        let mut sets: [Vec<&Ports>; 2] = Default::default();
        let mut numbers: AHashMap<(End, &Ports), u16> = AHashMap::new();
        let mut spots = vec![None; signatures.len()];
        for (spot, named) in spots.iter_mut().zip(&named) {
            let Some((key, is_cheap)) = *named else { continue };
            let Some((count, has_dear)) = counts.get(&key) else { continue };
            if *count < CROWD && (!has_dear || is_cheap) {
                continue;
            }
            let (end, ports) = key;
            let [src, dst] = &mut sets;
            let list = if end == End::Dst { dst } else { src };
            let number = match numbers.get(&key) {
                Some(number) => *number,
                None if list.len() < MAX_SETS => {
                    list.push(ports);
                    let number = list.len() as u16 - 1;
                    numbers.insert(key, number);
                    number
                }
                None => continue,
            };
            *spot = Some((end, number));
        }
        let [src, dst] = &sets;
        let classes = Classes { src: PortClasses::new(src), dst: PortClasses::new(dst) };
        Self { classes, spots }
    }
}

/// The few ports that a signature is about, those of the receiver first.
fn ports_of(signature: &Signature) -> Option<(End, &Ports)> {
    let header = &signature.header;
    if header.arrow != Arrow::Right {
        return None;
    }
    let few = |ports: &&Ports| {
        let count: u32 =
            ports.ranges().iter().map(|(first, last)| u32::from(last - first) + 1).sum();
        count <= MAX_PORTS
    };
    let dst = header.dst.ports.as_deref().filter(few).map(|ports| (End::Dst, ports));
    let src = header.src.ports.as_deref().filter(few).map(|ports| (End::Src, ports));
    dst.or(src)
}

/// Signatures that are searched for together, before their patterns are.
#[derive(Clone, Debug, Default)]
pub(super) struct Shelf {
    patterns: Vec<u32>,
    always: Vec<u32>,
}

impl Shelf {
    fn add(&mut self, index: u32, has_pattern: bool) {
        if has_pattern { self.patterns.push(index) } else { self.always.push(index) }
    }

    fn take_in(&mut self, other: &Self) {
        self.patterns.extend(&other.patterns);
        self.always.extend(&other.always);
    }
}

/// Signatures about the payload of one transport and direction in the making.
#[derive(Default)]
pub(super) struct Draft {
    common: Shelf,
    ports: [AHashMap<u16, Shelf>; 2],
    apps: Vec<(&'static str, Shelf)>,
}

impl Draft {
    pub(super) fn add(
        &mut self,
        planner: &Planner,
        signature: &Signature,
        index: u32,
        has_pattern: bool,
    ) {
        if !signature.apps.is_empty() {
            for app in &signature.apps {
                let known = self.apps.iter().position(|(name, _)| name == app);
                let known = known.unwrap_or_else(|| {
                    self.apps.push((app, Shelf::default()));
                    self.apps.len() - 1
                });
                if let Some((_, shelf)) = self.apps.get_mut(known) {
                    shelf.add(index, has_pattern);
                }
            }
            return;
        }
        let [src, dst] = &mut self.ports;
        match planner.spots.get(index as usize).copied().flatten() {
            None => self.common.add(index, has_pattern),
            Some((End::Src, set)) => src.entry(set).or_default().add(index, has_pattern),
            Some((End::Dst, set)) => dst.entry(set).or_default().add(index, has_pattern),
        }
    }

    pub(super) fn finish(self, planner: &Planner) -> Grid {
        let Self { common, ports: [src, dst], mut apps } = self;
        apps.sort_by_key(|(name, _)| beginning(name));
        let names = apps.iter().map(|(name, _)| beginning(name)).collect();
        let src = Rows::new(&src, &planner.classes.src);
        let dst = Rows::new(&dst, &planner.classes.dst);
        let cells = |count: usize| (0..count).map(|_| OnceLock::new()).collect::<Vec<_>>();
        Grid {
            groups: cells((dst.shelves.len() + 1) * (apps.len() + 1)),
            src_groups: cells(src.shelves.len()),
            pairs: AtomicUsize::new(0),
            common,
            src,
            dst,
            apps,
            names,
        }
    }
}

/// Signatures by the class of a port.
#[derive(Debug)]
struct Rows {
    /// For each class the place of its shelf plus one; 0 where there is none.
    row: Vec<u16>,
    shelves: Vec<Shelf>,
}

impl Rows {
    fn new(sets: &AHashMap<u16, Shelf>, classes: &PortClasses) -> Self {
        let mut rows = Self { row: Vec::new(), shelves: Vec::new() };
        for members in &classes.sets {
            let mut shelf = Shelf::default();
            members.iter().filter_map(|set| sets.get(set)).for_each(|set| shelf.take_in(set));
            let is_empty = shelf.patterns.is_empty() && shelf.always.is_empty();
            if !is_empty {
                rows.shelves.push(shelf);
            }
            rows.row.push(if is_empty { 0 } else { rows.shelves.len() as u16 });
        }
        rows
    }

    fn of(&self, class: usize) -> usize {
        self.row.get(class).copied().unwrap_or(0).into()
    }
}

/// Signatures about the payload of one transport and direction, by what they are about.
#[derive(Debug)]
pub(crate) struct Grid {
    common: Shelf,
    src: Rows,
    dst: Rows,
    apps: Vec<(&'static str, Shelf)>,
    /// The beginnings of their names, in order.
    names: Vec<u64>,
    /// Made when first needed: what is about ports of the receiver (none in the first row) and
    /// about an application protocol (none in the first column); in the corner what is about
    /// everything. That is most of it, and stays in the caches because it is the same for all.
    groups: Vec<OnceLock<Group>>,
    /// About ports of the sender alone.
    src_groups: Vec<OnceLock<Group>>,
    /// How many were made of both ports and application protocol.
    pairs: AtomicUsize,
}

impl Grid {
    /// The groups of all that may be about what goes between two ports in a flow of an application
    /// protocol.
    #[inline(never)]
    pub(crate) fn groups<'a>(
        &'a self,
        set: &'a RuleSet,
        (src, dst): (u16, u16),
        app: Option<&str>,
    ) -> [Option<&'a Group>; 4] {
        let row = self.dst.of(set.classes.dst.of(dst));
        let column = app.and_then(|app| self.app(app)).map_or(0, |app| app + 1);
        let (one, other) = match (row, column) {
            (0, 0) => (None, None),
            (0, _) | (_, 0) => (self.group(set, row, column), None),
            _ => match self.pair(set, row, column) {
                Some(pair) => (Some(pair), None),
                None => (self.group(set, row, 0), self.group(set, 0, column)),
            },
        };
        let src = match self.src.of(set.classes.src.of(src)) {
            0 => None,
            row => self.src_groups.get(row - 1).zip(self.src.shelves.get(row - 1)),
        };
        let src = src.map(|(cell, shelf)| cell.get_or_init(|| set.group_of(&[shelf])));
        [self.group(set, 0, 0), one, other, src]
    }

    /// The place of an application protocol.
    fn app(&self, app: &str) -> Option<usize> {
        let beginning = beginning(app);
        let first = self.names.partition_point(|known| *known < beginning);
        let alike = self.names.get(first..)?.iter().take_while(|known| **known == beginning);
        (first..)
            .zip(alike)
            .map(|(at, _)| at)
            .find(|at| self.apps.get(*at).is_some_and(|(name, _)| *name == app))
    }

    /// The group of a row and a column, neither the first; none where too many were made.
    fn pair<'a>(&'a self, set: &RuleSet, row: usize, column: usize) -> Option<&'a Group> {
        let is_made = self.cell(row, column)?.get().is_some();
        if !is_made && self.pairs.fetch_add(1, Ordering::Relaxed) >= MAX_PAIRS {
            self.pairs.store(MAX_PAIRS, Ordering::Relaxed);
            return None;
        }
        self.group(set, row, column)
    }

    /// The group of a row and column.
    fn group<'a>(&'a self, set: &RuleSet, row: usize, column: usize) -> Option<&'a Group> {
        let make = || {
            let ports = row.checked_sub(1).and_then(|row| self.dst.shelves.get(row));
            let app = column.checked_sub(1).and_then(|app| self.apps.get(app));
            let all = (row == 0 && column == 0).then_some(&self.common);
            let shelves: Vec<_> =
                [all, ports, app.map(|(_, shelf)| shelf)].into_iter().flatten().collect();
            set.group_of(&shelves)
        };
        Some(self.cell(row, column)?.get_or_init(make))
    }

    fn cell(&self, row: usize, column: usize) -> Option<&OnceLock<Group>> {
        self.groups.get(row * (self.apps.len() + 1) + column)
    }
}

/// The first eight bytes of a name as a number.
fn beginning(name: &str) -> u64 {
    name.bytes().take(8).fold(0, |number, byte| number << 8 | u64::from(byte))
}

impl RuleSet {
    /// What is searched for together of some shelves.
    fn group_of(&self, shelves: &[&Shelf]) -> Group {
        let patterns = shelves.iter().flat_map(|shelf| &shelf.patterns);
        let patterns = patterns.filter_map(|index| self.payload_pattern(*index)).collect();
        let (mut always, mut marked, mut bare) = (Vec::new(), Vec::new(), Vec::new());
        for index in shelves.iter().flat_map(|shelf| &shelf.always).copied() {
            match (self.marks.get(index as usize), self.gates.get(index as usize)) {
                (Some(Mark::With(mark)), _) => marked.push((*mark, index)),
                (_, Some(gate)) => always.push((*gate, index)),
                _ => {}
            }
            if self.get(index).is_some_and(|found| !choose::has_payload(found)) {
                bare.push(index);
            }
        }
        marked.sort_unstable();
        Group { matcher: Matcher::new(patterns), always, marked, bare }
    }
}
