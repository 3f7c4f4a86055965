//! The responder: hears of attacks and of what people want, decides, and keeps the firewall and
//! the book the same.

use std::collections::{HashMap, VecDeque};
use std::fs::{File, TryLockError};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flowtrack_event::{BlockEvent, BlockPhase, Severity, Timestamp};
use serde::{Deserialize, Serialize};

use crate::blocker::{Blocker, FirewallError};
use crate::book::{Block, Book};
use crate::config::{RespondConfig, When};
use crate::control::{Command, Reply, Status};
use crate::decision::{Decision, Origin, Wish};
use crate::net::{Net, What};
use crate::safety::{Refusal, Safety, Surroundings};
use crate::trigger::{RULES, Trigger};

/// What a person wants to be blocked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Request {
    /// What.
    pub what: What,
    /// For how many seconds; `respond.first_secs` where it is not said.
    pub secs: Option<u64>,
    /// Who.
    pub who: String,
    /// Why.
    pub why: String,
    /// Whether it is undone unless it is confirmed.
    pub confirm: bool,
}

/// Why something that a person wants is not done.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BlockError {
    /// It must never be.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There are as many as there may be.
    #[error("{0} blocks are in force, more are not allowed (respond.max_blocks); unblock some")]
    Full(usize),
    /// It is blocked already, as a part of something.
    #[error("{what} is blocked as part of {by}; unblock that first")]
    Covered {
        /// What was to be blocked.
        what: What,
        /// What is.
        by: What,
    },
    /// A part of it is blocked for longer.
    #[error("{part}, a part of {what}, is blocked for longer; unblock it first")]
    Overlaps {
        /// What was to be blocked.
        what: What,
        /// What is.
        part: What,
    },
    /// There is no such block.
    #[error("{0} is not blocked; `flowtrack blocked` lists what is")]
    NotBlocked(What),
    /// Somebody has to end it.
    #[error(
        "{0} does not end blocks by itself, so a FlowTrack that runs has to: start `flowtrack run` \
         with the same --data-dir, then try again"
    )]
    NobodyEnds(&'static str),
    /// The firewall would not.
    #[error(transparent)]
    Firewall(#[from] FirewallError),
}

/// Why the book of blocks cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the blocks in {0} are in the hands of another FlowTrack")]
    InUse(PathBuf),
    /// It cannot be read or written.
    #[error("cannot keep blocks in {path}: {source}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// What the responder did since it was opened.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct RespondStats {
    /// Attacks that it heard of and that its settings describe.
    pub triggers: u64,
    /// Blocks made.
    pub blocked: u64,
    /// Blocks that would have been made, were blocking automatic.
    pub would_block: u64,
    /// Attacks whose source must not be blocked.
    pub refused: u64,
    /// Attacks whose source may be spoofed.
    pub unproved: u64,
    /// Blocks held back because there were too many at once.
    pub held_back: u64,
    /// Changes that the firewall refused.
    pub failed: u64,
    /// Refusals and advice that were not told, because much of it was told already.
    pub untold: u64,
}

/// Looks at what the host depends on.
pub type Look = Box<dyn FnMut() -> Surroundings + Send>;

/// Decides and keeps the book. Only one process has the responder of a folder.
pub struct Responder {
    config: RespondConfig,
    blocker: Box<dyn Blocker>,
    look: Look,
    around: Surroundings,
    safety: Safety,
    /// When the surroundings were looked at, and when counters were read.
    looked: Timestamp,
    counted: Timestamp,
    book: Book,
    path: PathBuf,
    /// Held as long as the responder lives; the system frees it whatever happens.
    _lock: File,
    /// Whether the firewall refused and ends no block by itself: it may hold what the book does not.
    is_astray: bool,
    unsaved: bool,
    /// What the firewall said when it last refused.
    problem: String,
    /// When blocks were made automatically, within the last minute.
    recent: VecDeque<Timestamp>,
    /// Until when what was told of whom is not told again.
    told: HashMap<String, Timestamp>,
    /// How much was told in the minute that began then.
    telling: (Timestamp, u32),
    stats: RespondStats,
    events: Vec<BlockEvent>,
}

impl Responder {
    /// Takes over the book in a folder, and has the firewall hold what is in it and still may be.
    ///
    /// Where nothing is in it the firewall is left alone until there is something to block, if it
    /// ends blocks by itself. One that refuses is told by [`Status::problem`].
    pub fn open(
        config: RespondConfig,
        blocker: Box<dyn Blocker>,
        mut look: Look,
        folder: &Path,
        now: Timestamp,
    ) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Io { path: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join("blocks.lock"))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(folder.to_owned())),
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        let path = folder.join("blocks.json");
        let book = Book::read(&path).map_err(failed)?;
        let around = look();
        let safety = Safety::new(&around, &config);
        let mut responder = Self {
            config,
            blocker,
            look,
            around,
            safety,
            looked: now,
            counted: now,
            book,
            path,
            _lock: lock,
            is_astray: false,
            unsaved: false,
            problem: String::new(),
            recent: VecDeque::new(),
            told: HashMap::new(),
            telling: (now, 0),
            stats: RespondStats::default(),
            events: Vec::new(),
        };
        if !responder.book.blocks.is_empty() {
            // What an earlier run's blocks stopped is still in the firewall.
            responder.count();
            responder.expire(now);
            responder.drop_forbidden(now);
            responder.rebuild(now);
        } else if !responder.blocker.nature().ends_blocks {
            // What a killed run left ends only so, should its book be lost.
            if let Err(error) = responder.blocker.clear() {
                tracing::warn!(%error, "blocks of an earlier run, if any, could not be taken out");
            }
        }
        Ok(responder)
    }

    /// What the book in a folder says, while nobody has it open.
    pub fn peek(
        config: &RespondConfig,
        mut blocker: Box<dyn Blocker>,
        folder: &Path,
        now: Timestamp,
    ) -> Result<Status, OpenError> {
        let failed = |source| OpenError::Io { path: folder.to_owned(), source };
        let mut book = Book::read(&folder.join("blocks.json")).map_err(failed)?;
        book.blocks.retain(|block| block.until() > now);
        let mut problem = String::new();
        if !book.blocks.is_empty() {
            match blocker.list() {
                Ok(stopped) => {
                    for stopped in stopped {
                        if let Some(block) = book.find_mut(stopped.what) {
                            block.count(stopped.packets, stopped.bytes);
                        }
                    }
                }
                Err(error) => problem = error.to_string(),
            }
        }
        Ok(status(&book, &*blocker, problem, config.automatic, RespondStats::default()))
    }

    /// Thinks about attacks. Those that settings describe lead to blocks, or to word of what would
    /// have been blocked, or of why nobody is.
    pub fn judge(&mut self, triggers: &[Trigger], now: Timestamp) {
        let mut added: Vec<(Decision, Block)> = Vec::new();
        for trigger in triggers {
            if let Some(first) = self.first_time(trigger) {
                self.stats.triggers += 1;
                if now.since(self.looked) >= FRESH {
                    self.look(now);
                }
                let block = self.judge_one(trigger, first, &added, now);
                added.extend(block);
            }
        }
        if !added.is_empty() {
            self.make(added, &[], now);
        }
    }

    /// Does what a person wants.
    pub fn answer(&mut self, command: Command, now: Timestamp) -> Reply {
        let done = match command {
            Command::Block { requests } => self.block(&requests, now),
            Command::Unblock { whats, who } => self.unblock(&whats, &who, now),
            Command::Confirm { whats } => self.confirm(&whats, now),
            Command::List => {
                self.count();
                return Reply::Blocked(Box::new(self.status()));
            }
        };
        match done {
            Ok(blocks) => Reply::Done { blocks },
            Err(error) => {
                let failed = matches!(error, BlockError::Firewall(_));
                Reply::Refused { why: error.to_string(), failed }
            }
        }
    }

    /// Does what a person wants, for a process that ends right after. Where the firewall does not
    /// end blocks by itself, nobody would: so none is made.
    pub fn answer_alone(&mut self, command: Command, now: Timestamp) -> Reply {
        let makes_blocks = matches!(command, Command::Block { .. } | Command::Confirm { .. });
        if makes_blocks && !self.blocker.nature().ends_blocks {
            let why = BlockError::NobodyEnds(self.blocker.name()).to_string();
            return Reply::Refused { why, failed: false };
        }
        let reply = self.answer(command, now);
        self.count();
        self.save();
        reply
    }

    /// Blocks what a person wants, all or nothing.
    pub fn block(
        &mut self,
        requests: &[Request],
        now: Timestamp,
    ) -> Result<Vec<Block>, BlockError> {
        self.look(now);
        let mut added: Vec<(Decision, Block)> = Vec::new();
        let mut folded = Vec::new();
        for request in requests {
            let secs = request.secs.unwrap_or(self.config.first_secs);
            let decide = |secs| {
                let lasts = Duration::from_secs(secs);
                let wish = Wish { what: request.what, origin: Origin::Person, lasts };
                Decision::new(&wish, &self.safety, &self.config, now)
            };
            let whole = decide(secs)?;
            let confirm = request.confirm && secs > self.config.confirm_secs;
            let decision = if confirm { decide(self.config.confirm_secs)? } else { whole };
            folded.extend(self.fit(whole, &added)?);
            added.retain(|(other, _)| other.what() != decision.what());
            let block = Block {
                confirmed_until_us: confirm.then(|| whole.until().micros()),
                ..Block::new(decision, request.who.clone(), request.why.clone(), now)
            };
            added.push((decision, block));
        }
        let new = added.iter().filter(|(d, _)| self.book.find(d.what()).is_none()).count();
        if self.book.blocks.len() + new > self.config.max_blocks {
            return Err(BlockError::Full(self.book.blocks.len()));
        }
        for what in &folded {
            self.finish(*what, BlockPhase::Removed, "it is part of a larger block now", now);
        }
        let whats: Vec<_> = added.iter().map(|(decision, _)| decision.what()).collect();
        self.make(added, &folded, now);
        // What the firewall refused is not in the book.
        let blocks: Vec<_> =
            whats.iter().filter_map(|what| self.book.find(*what)).cloned().collect();
        if blocks.len() < whats.len() {
            let message = self.problem.clone();
            return Err(FirewallError::Refused { program: "firewall", message }.into());
        }
        Ok(blocks)
    }

    /// Undoes blocks; all where none is named.
    pub fn unblock(
        &mut self,
        whats: &[What],
        who: &str,
        now: Timestamp,
    ) -> Result<Vec<Block>, BlockError> {
        let whats = if whats.is_empty() {
            self.book.blocks.iter().map(|block| block.what).collect()
        } else {
            whats.to_vec()
        };
        if let Some(missing) = whats.iter().find(|what| self.book.find(**what).is_none()) {
            return Err(match *missing {
                What::Net(net) => match self.book.covers(net) {
                    Some(by) => BlockError::Covered { what: *missing, by: by.what },
                    None => BlockError::NotBlocked(*missing),
                },
                _ => BlockError::NotBlocked(*missing),
            });
        }
        self.count();
        if let Err(error) = self.blocker.change(&[], &whats, now) {
            self.refused(&error);
            if error != FirewallError::Gone {
                return Err(error.into());
            }
        }
        let end = format!("{who} unblocked it");
        let ended =
            whats.iter().filter_map(|what| self.finish(*what, BlockPhase::Removed, &end, now));
        let ended = ended.collect();
        self.set_right(now);
        self.save();
        Ok(ended)
    }

    /// Keeps blocks that wait for it; all where none is named.
    pub fn confirm(&mut self, whats: &[What], now: Timestamp) -> Result<Vec<Block>, BlockError> {
        self.expire(now);
        self.look(now);
        let waiting = self.book.blocks.iter().filter(|block| block.is_to_be_confirmed());
        let wanted: Vec<_> = match whats {
            [] => waiting.cloned().collect(),
            whats => {
                let found = whats.iter().map(|what| {
                    self.book.find(*what).cloned().ok_or(BlockError::NotBlocked(*what))
                });
                found.collect::<Result<_, _>>()?
            }
        };
        let mut added = Vec::new();
        for mut block in wanted {
            let Some(until) = block.confirmed_until_us.take() else { continue };
            let lasts = Timestamp::from_micros(until).since(now);
            let wish = Wish { what: block.what, origin: Origin::Person, lasts };
            let decision = Decision::new(&wish, &self.safety, &self.config, now)?;
            block.until_us = decision.until().micros();
            added.push((decision, block));
        }
        let whats: Vec<_> = added.iter().map(|(decision, _)| decision.what()).collect();
        if !added.is_empty() {
            self.make(added, &[], now);
        }
        Ok(whats.iter().filter_map(|what| self.book.find(*what)).cloned().collect())
    }

    /// What is blocked, and how blocking is.
    pub fn status(&self) -> Status {
        let problem = self.problem.clone();
        status(&self.book, &*self.blocker, problem, self.config.automatic, self.stats)
    }

    /// Blocks in force, and what the firewall said when it last refused.
    pub fn health(&self) -> (usize, Option<&str>) {
        (self.book.blocks.len(), Some(&*self.problem).filter(|problem| !problem.is_empty()))
    }

    /// Lets time pass: ends what is over, reads counters, looks at the host, writes the book. To
    /// be called about once a second.
    pub fn tick(&mut self, now: Timestamp) {
        if now.since(self.looked) >= LOOK {
            self.look(now);
            self.drop_forbidden(now);
        }
        let is_over = |block: &Block| block.until() <= now;
        let over = self.book.blocks.iter().any(is_over);
        let due = now.since(self.counted) >= COUNT && !self.book.blocks.is_empty();
        if self.is_astray && now.since(self.counted) >= COUNT {
            self.counted = now;
            self.set_right(now);
        } else if over || due {
            self.counted = now;
            match self.count() {
                Counted::All => {}
                Counted::Gone => self.rebuild(now),
                Counted::Missing(missing) => self.lost(&missing, now),
            }
            self.expire(now);
        }
        if now.since(self.telling.0) >= MINUTE {
            self.telling = (now, 0);
            self.told.retain(|_, until| *until > now);
        }
        self.save();
    }

    /// What happened to blocks since this was asked last.
    pub fn take_events(&mut self) -> Vec<BlockEvent> {
        std::mem::take(&mut self.events)
    }

    /// Ends the run: takes everything out of the firewall, unless blocks are to stay.
    pub fn close(&mut self, now: Timestamp) {
        self.count();
        // Nobody would end what stays in a firewall that does not do so itself.
        let may_stay = self.config.keep_on_exit && self.blocker.nature().ends_blocks;
        if !may_stay && (self.is_astray || !self.book.blocks.is_empty()) {
            match self.blocker.clear() {
                Ok(()) => {
                    let whats: Vec<_> = self.book.blocks.iter().map(|block| block.what).collect();
                    for what in whats {
                        self.finish(what, BlockPhase::Removed, "the program ended", now);
                    }
                }
                Err(error) => self.failed(&error),
            }
        }
        self.save();
    }

    // Deciding.

    /// For how long the first block of such an attack is; none where settings do not describe it.
    fn first_time(&self, trigger: &Trigger) -> Option<u64> {
        let wanted = self.config.when.iter().find(|when| describes(when, trigger))?;
        Some(if wanted.secs == 0 { self.config.first_secs } else { wanted.secs })
    }

    fn judge_one(
        &mut self,
        trigger: &Trigger,
        first: u64,
        added: &[(Decision, Block)],
        now: Timestamp,
    ) -> Option<(Decision, Block)> {
        let Some(source) = trigger.source.filter(|_| trigger.source_proved) else {
            self.stats.unproved += 1;
            return self.shield(trigger, first, added, now);
        };
        let net = Net::of(source);
        let what = What::Net(net);
        let is_added = added.iter().any(|(decision, _)| decision.what() == what);
        if is_added || self.book.covers(net).is_some() {
            return None;
        }
        let lasts = Duration::from_secs(self.lasts(source, first, now));
        let origin = Origin::Automatic { source_proved: trigger.source_proved };
        match self.decide_afresh(&Wish { what, origin, lasts }, now) {
            Ok(decision) => self.admit(trigger, decision, now),
            Err(refusal) => {
                self.stats.refused += 1;
                let why = format!("{}; {refusal}", trigger.title);
                let refused = BlockPhase::Refused;
                self.tell(event(refused, what.to_string(), trigger.who(), why, now), QUIET);
                None
            }
        }
    }

    /// Decides by what the host is like now, not a moment ago: who has just logged in must not be
    /// blocked for a second. What is refused anyway costs no look.
    fn decide_afresh(&mut self, wish: &Wish, now: Timestamp) -> Result<Decision, Refusal> {
        let decided = Decision::new(wish, &self.safety, &self.config, now)?;
        if !self.config.automatic || self.looked == now {
            return Ok(decided);
        }
        self.look(now);
        Decision::new(wish, &self.safety, &self.config, now)
    }

    /// What is done where the sources may be spoofed: nobody is blocked; a flooded service of this
    /// host is shielded where that is configured.
    fn shield(
        &mut self,
        trigger: &Trigger,
        first: u64,
        added: &[(Decision, Block)],
        now: Timestamp,
    ) -> Option<(Decision, Block)> {
        let is_added = |what| added.iter().any(|(decision, _)| decision.what() == what);
        let service = trigger.target.zip(trigger.target_port).filter(|_| trigger.is_tcp);
        if let Some((target, port)) = service
            && self.config.request_rate > 0
            && trigger.category.contains("denial")
        {
            let what = What::Requests(target.to_canonical(), port);
            if self.book.find(what).is_some() || is_added(what) {
                return None;
            }
            let lasts = Duration::from_secs(first);
            let origin = Origin::Automatic { source_proved: false };
            if let Ok(decision) = self.decide_afresh(&Wish { what, origin, lasts }, now) {
                return self.admit(trigger, decision, now);
            }
        }
        let what = trigger.source.or(trigger.target).map(|a| a.to_canonical().to_string());
        let advice = if trigger.is_tcp {
            "let the target answer with SYN cookies (sysctl net.ipv4.tcp_syncookies=1) or set \
             respond.request_rate"
        } else {
            "limit the rate of such packets in front of the target"
        };
        let why = format!("{}; nobody is blocked, sources may be spoofed: {advice}", trigger.title);
        let what = what.unwrap_or_default();
        self.tell(event(BlockPhase::Refused, what, trigger.who(), why, now), QUIET);
        None
    }

    /// Lets an automatic decision pass, unless there are too many or nothing is automatic.
    fn admit(
        &mut self,
        trigger: &Trigger,
        decision: Decision,
        now: Timestamp,
    ) -> Option<(Decision, Block)> {
        let what = decision.what();
        if !self.config.automatic {
            let would = BlockEvent {
                until: Some(decision.until()),
                ..event(
                    BlockPhase::WouldAdd,
                    what.to_string(),
                    trigger.who(),
                    trigger.title.clone(),
                    now,
                )
            };
            if self.tell(would, decision.until().since(now)) {
                self.stats.would_block += 1;
            }
            return None;
        }
        while self.recent.front().is_some_and(|&at| now.since(at) >= MINUTE) {
            self.recent.pop_front();
        }
        let full = self.book.blocks.len() + self.recent_unmade(now) >= self.config.max_blocks;
        if full || self.recent.len() >= self.config.max_per_minute {
            self.stats.held_back += 1;
            let why = if full {
                format!("{} blocks are in force (respond.max_blocks)", self.book.blocks.len())
            } else {
                format!(
                    "{} addresses were blocked within a minute (respond.max_per_minute)",
                    self.recent.len()
                )
            };
            let why = format!("{}; {why}", trigger.title);
            let refused = event(BlockPhase::Refused, what.to_string(), trigger.who(), why, now);
            self.tell_about("held back".to_owned(), refused, MINUTE);
            return None;
        }
        self.recent.push_back(now);
        if let What::Net(net) = what {
            let memory = self.config.max_secs;
            self.book.note_offender(net.address(), now, decision.until(), memory);
        }
        let block = Block::new(decision, trigger.who(), trigger.title.clone(), now);
        Some((decision, Block { automatic: true, ..block }))
    }

    /// Blocks that were let pass at this moment and are not in the book yet.
    fn recent_unmade(&self, now: Timestamp) -> usize {
        self.recent.iter().rev().take_while(|&&at| at == now).count()
    }

    /// Seconds of a block: longer each time the address comes back.
    fn lasts(&self, address: IpAddr, first: u64, now: Timestamp) -> u64 {
        let times = self.book.times(address.to_canonical(), now, self.config.max_secs);
        let factor = u64::from(self.config.repeat_factor).saturating_pow(times);
        first.saturating_mul(factor).min(self.config.max_secs)
    }

    /// Whether a block fits beside the others; gives those that it makes needless. Networks of one
    /// set must not overlap.
    fn fit(&self, new: Decision, added: &[(Decision, Block)]) -> Result<Vec<What>, BlockError> {
        let What::Net(net) = new.what() else { return Ok(Vec::new()) };
        let mut needless = Vec::new();
        let booked = self.book.blocks.iter().map(|block| (block.what, block.until()));
        let added = added.iter().map(|(decision, block)| (decision.what(), block.until()));
        for (what, until) in booked.chain(added) {
            match what {
                What::Net(other) if other == net => {}
                What::Net(other) if other.covers(net) => {
                    return Err(BlockError::Covered { what: new.what(), by: what });
                }
                What::Net(other) if net.covers(other) => {
                    if until > new.until() {
                        return Err(BlockError::Overlaps { what: new.what(), part: what });
                    }
                    needless.push(what);
                }
                _ => {}
            }
        }
        Ok(needless)
    }

    // Doing.

    /// Has the firewall make blocks, and undo those that they make needless; writes them into the
    /// book if it did.
    fn make(&mut self, added: Vec<(Decision, Block)>, needless: &[What], now: Timestamp) {
        // Giving an element another end resets its counter.
        if added.iter().any(|(decision, _)| self.book.find(decision.what()).is_some()) {
            self.count();
        }
        let is_first = self.book.blocks.is_empty();
        let decisions: Vec<Decision> = added.iter().map(|(decision, _)| *decision).collect();
        let mut before = Vec::new();
        for (decision, mut block) in added {
            let what = decision.what();
            match self.book.find_mut(what) {
                Some(known) => {
                    before.push((what, Some(known.clone())));
                    block.since_us = known.since_us;
                    (block.packets, block.bytes) = (known.packets, known.bytes);
                    block.recount();
                    *known = block;
                }
                None => {
                    before.push((what, None));
                    self.book.blocks.push(block);
                }
            }
        }
        // With nothing in the book, the table may not be there; so it is made.
        let made = if is_first {
            Err(FirewallError::Gone)
        } else {
            self.blocker.change(&decisions, needless, now)
        };
        let made = match made {
            Err(_) => {
                self.book.blocks.iter_mut().for_each(Block::recount);
                let decisions = self.decisions(now);
                self.blocker.start(&decisions, now)
            }
            Ok(()) => Ok(()),
        };
        match made {
            Ok(()) => {
                self.problem.clear();
                for (what, known) in before {
                    let phase =
                        if known.is_some() { BlockPhase::Extended } else { BlockPhase::Added };
                    self.stats.blocked += u64::from(known.is_none());
                    self.say(phase, what, None, now);
                }
            }
            Err(error) => {
                self.refused(&error);
                for (what, known) in before {
                    self.say(BlockPhase::Failed, what, Some(&error.to_string()), now);
                    self.book.blocks.retain(|block| block.what != what);
                    self.book.blocks.extend(known);
                }
            }
        }
        self.unsaved = true;
        self.save();
    }

    /// Has the firewall hold exactly what is in the book.
    fn rebuild(&mut self, now: Timestamp) {
        let decisions = self.decisions(now);
        self.book.blocks.iter_mut().for_each(Block::recount);
        self.unsaved = true;
        match self.blocker.start(&decisions, now) {
            Ok(()) => {
                self.problem.clear();
                self.is_astray = false;
            }
            Err(error) => self.refused(&error),
        }
    }

    /// Where the firewall may hold what the book does not, has it hold what is there.
    fn set_right(&mut self, now: Timestamp) {
        if self.is_astray {
            self.rebuild(now);
        }
    }

    /// The book as decisions; every one passes the same checks again, and what does not pass is
    /// left out.
    fn decisions(&self, now: Timestamp) -> Vec<Decision> {
        let decide = |block: &Block| {
            let lasts = block.until().since(now);
            let wish = Wish { what: block.what, origin: Origin::Person, lasts };
            Decision::new(&wish, &self.safety, &self.config, now).ok()
        };
        self.book.blocks.iter().filter_map(decide).collect()
    }

    /// Ends what is over.
    fn expire(&mut self, now: Timestamp) {
        let end = |block: &Block| {
            if block.is_to_be_confirmed() {
                (block.what, BlockPhase::Removed, "nobody confirmed it".to_owned())
            } else {
                (block.what, BlockPhase::Expired, "its time is over".to_owned())
            }
        };
        let over = self.book.blocks.iter().filter(|block| block.until() <= now).map(end).collect();
        self.take_out(over, now);
    }

    /// Undoes what must not be blocked any more, because the surroundings changed.
    fn drop_forbidden(&mut self, now: Timestamp) {
        let forbidden: Vec<_> = (self.book.blocks.iter())
            .filter_map(|block| {
                let why = self.safety.check(block.what).err()?.to_string();
                Some((block.what, BlockPhase::Removed, why))
            })
            .collect();
        if !forbidden.is_empty() {
            self.count();
            self.take_out(forbidden, now);
        }
    }

    /// Ends blocks in the firewall and in the book, each with what became of it and why. Should the
    /// firewall refuse, it ends them itself when their time is over, or is asked until it does.
    fn take_out(&mut self, ended: Vec<(What, BlockPhase, String)>, now: Timestamp) {
        if ended.is_empty() {
            return;
        }
        let whats: Vec<What> = ended.iter().map(|(what, ..)| *what).collect();
        if let Err(error) = self.blocker.change(&[], &whats, now) {
            self.refused(&error);
        }
        for (what, phase, end) in ended {
            self.finish(what, phase, &end, now);
        }
        self.set_right(now);
    }

    /// Ends blocks that the firewall does not tell of. Where it ends none by itself it is asked to
    /// forget them all the same: it may hold them in words that are not understood.
    fn lost(&mut self, missing: &[What], now: Timestamp) {
        let end = "somebody else took it out of the firewall";
        if self.blocker.nature().ends_blocks {
            for what in missing {
                self.finish(*what, BlockPhase::Removed, end, now);
            }
        } else {
            let ended = missing.iter().map(|what| (*what, BlockPhase::Removed, end.to_owned()));
            self.take_out(ended.collect(), now);
        }
    }

    /// Takes over what the firewall counted.
    fn count(&mut self) -> Counted {
        if self.book.blocks.is_empty() {
            return Counted::All;
        }
        let stopped = match self.blocker.list() {
            Ok(stopped) => stopped,
            Err(FirewallError::Gone) => return Counted::Gone,
            Err(error) => {
                self.failed(&error);
                return Counted::All;
            }
        };
        let stopped: HashMap<What, (u64, u64)> =
            stopped.into_iter().map(|s| (s.what, (s.packets, s.bytes))).collect();
        let mut missing = Vec::new();
        for block in &mut self.book.blocks {
            match stopped.get(&block.what) {
                Some(&(packets, bytes)) => self.unsaved |= block.count(packets, bytes),
                None => missing.push(block.what),
            }
        }
        if missing.is_empty() { Counted::All } else { Counted::Missing(missing) }
    }

    fn look(&mut self, now: Timestamp) {
        self.looked = now;
        let around = (self.look)();
        if around != self.around {
            self.safety = Safety::new(&around, &self.config);
            self.around = around;
        }
    }

    /// Ends a block in the book and says so.
    fn finish(
        &mut self,
        what: What,
        phase: BlockPhase,
        end: &str,
        now: Timestamp,
    ) -> Option<Block> {
        self.say(phase, what, Some(end), now);
        self.unsaved = true;
        self.book.end(what, end, now)
    }

    /// The firewall did not do what it was asked to.
    fn refused(&mut self, error: &FirewallError) {
        self.failed(error);
        self.is_astray |= !self.blocker.nature().ends_blocks;
    }

    fn failed(&mut self, error: &FirewallError) {
        self.stats.failed += 1;
        let problem = error.to_string();
        if problem != self.problem {
            tracing::error!("the firewall refuses: {problem}");
            self.problem = problem;
        }
    }

    /// Writes the book where something changed. A disk that refuses is said, and tried again.
    fn save(&mut self) {
        if std::mem::take(&mut self.unsaved)
            && let Err(error) = self.book.write(&self.path)
        {
            self.unsaved = true;
            tracing::error!(%error, book = %self.path.display(), "cannot write the book of blocks");
        }
    }

    // Telling.

    /// Tells what happened to a block of the book.
    fn say(&mut self, phase: BlockPhase, what: What, end: Option<&str>, now: Timestamp) {
        let Some(block) = self.book.find(what) else { return };
        let why = match end {
            None => block.why.clone(),
            Some(end) => format!("{end}; it was blocked because: {}", block.why),
        };
        self.events.push(BlockEvent {
            until: Some(block.until()),
            packets: block.packets,
            bytes: block.bytes,
            ..event(phase, what.to_string(), block.who.clone(), why, now)
        });
    }

    /// Tells why something was not blocked, once in a while; false where it was told before.
    fn tell(&mut self, event: BlockEvent, quiet: Duration) -> bool {
        let about = format!("{:?} {}", event.phase, event.what);
        self.tell_about(about, event, quiet)
    }

    /// The same, where it is not the event's own phase and block that are not told again.
    fn tell_about(&mut self, about: String, event: BlockEvent, quiet: Duration) -> bool {
        let now = event.ts;
        if self.told.get(&about).is_some_and(|until| *until > now) {
            return false;
        }
        if now.since(self.telling.0) >= MINUTE {
            self.telling = (now, 0);
        }
        if self.telling.1 >= TELL_PER_MINUTE || self.told.len() >= MAX_TOLD {
            self.stats.untold += 1;
            return false;
        }
        self.telling.1 += 1;
        self.told.insert(about, now.plus(quiet));
        self.events.push(event);
        true
    }
}

/// Something that happens now to what is no block yet, or none any more.
fn event(phase: BlockPhase, what: String, who: String, why: String, now: Timestamp) -> BlockEvent {
    BlockEvent { ts: now, phase, what, who, why, until: None, packets: 0, bytes: 0 }
}

/// What reading the counters found.
enum Counted {
    /// Everything that is in the book.
    All,
    /// No table at all.
    Gone,
    /// These are not in the firewall.
    Missing(Vec<What>),
}

fn status(
    book: &Book,
    blocker: &dyn Blocker,
    problem: String,
    automatic: bool,
    stats: RespondStats,
) -> Status {
    let mut blocks = book.blocks.clone();
    blocks.sort_by_key(|block| std::cmp::Reverse(block.since_us));
    let past = book.past.iter().rev().cloned().collect();
    let firewall = blocker.name().to_owned();
    let notes = blocker.nature().notes();
    Status { firewall, notes, problem, automatic, blocks, past, stats }
}

/// Whether a description fits an attack.
fn describes(when: &When, trigger: &Trigger) -> bool {
    let by_sid = when.detector.strip_prefix("sid:").and_then(|sid| sid.parse::<u32>().ok());
    let detector = match by_sid {
        Some(sid) => trigger.detector == RULES && trigger.sid == sid,
        None => when.detector.is_empty() || when.detector == trigger.detector,
    };
    let severity = Severity::parse(&when.severity).is_none_or(|least| trigger.severity >= least);
    let category =
        when.category.is_empty() || when.category.eq_ignore_ascii_case(&trigger.category);
    detector && severity && category
}

const MINUTE: Duration = Duration::from_mins(1);
/// How old the look at the host may be when an attack is refused, or only told of.
const FRESH: Duration = Duration::from_secs(2);
/// How often the host is looked at while nothing happens.
const LOOK: Duration = Duration::from_secs(10);
/// How often counters are read.
const COUNT: Duration = Duration::from_secs(10);
/// For how long why somebody is not blocked is not told again.
const QUIET: Duration = Duration::from_mins(10);
/// What is told per minute of attacks that lead to no block.
const TELL_PER_MINUTE: u32 = 60;
/// Of how many it is remembered that they were told.
const MAX_TOLD: usize = 4_096;
