//! Blocking in the program: the responder's thread, what it hears from the hub, and how people
//! reach it.
//!
//! ```text
//! hub --- attacks (bounded; full = dropped and counted) ---> thread --- firewall, book
//! dashboard, socket of the data folder --- commands ------->   |
//! hub <-- what happened to blocks --- (bounded) ---------------+
//! people <-- the same --- (bounded) ---------------------------'
//! ```

pub mod preview;
mod web;

use crate::control::now;
use crate::lock::lock;
use crate::notify::People;
use crate::watch::{Origin, Watcher};
use anyhow::Context as _;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use flowtrack_event::{BlockEvent, Event, Timestamp};
use flowtrack_respond::{
    Command, Door, OpenError, Reply, RespondConfig, Responder, Surroundings, Trigger, choose, shut,
};
use flowtrack_store::HistoryWriter;
use flowtrack_web::Peers;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;
use tracing::warn;

/// Bundles of attacks and commands that may wait.
const QUEUE: usize = 256;
/// What may wait for the hub to take it.
const SAID: usize = 4_096;
/// How often time passes for the responder: a block ends no later than that after its time.
const TICK: Duration = Duration::from_millis(500);
/// Attacks that are handed over at once; a flood of more says the same again a second later.
const BUNDLE: usize = 1_024;

/// What the responder's thread hears.
enum Message {
    Attacks(Vec<Trigger>),
    Ask(Command, Sender<Reply>),
    /// End, and take blocks out of the firewall unless they are to stay.
    End,
}

/// Blocking, as long as the program runs.
pub struct Respond {
    queue: Sender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
    door: Mutex<Option<(PathBuf, JoinHandle<()>)>>,
    dropped: Arc<AtomicU64>,
    health: Arc<Mutex<Health>>,
    dashboard: Arc<OnceLock<Dashboard>>,
    history: Option<Arc<HistoryWriter>>,
    config: RespondConfig,
}

/// How blocking is.
#[derive(Clone, Default)]
pub struct Health {
    /// Blocks in force.
    pub blocks: usize,
    /// Whether attackers are blocked without a person's word.
    pub automatic: bool,
    /// What is wrong with the firewall; empty where nothing is.
    pub problem: String,
    /// Attacks and events that found no room in a queue.
    pub dropped: u64,
}

/// Where people use the dashboard from, and its port.
struct Dashboard {
    peers: Peers,
    port: u16,
}

/// Tells the responder of attacks, and the hub of blocks.
struct Ears {
    queue: Sender<Message>,
    said: Receiver<BlockEvent>,
    dropped: Arc<AtomicU64>,
    /// What a file tells happened elsewhere: it blocks nobody.
    from: Origin,
}

impl Respond {
    /// Takes over the book of blocks in the data folder and begins to listen to people; gives what
    /// listens to the hub.
    pub fn start(
        config: &RespondConfig,
        data_dir: &Path,
        history: Option<Arc<HistoryWriter>>,
        people: Option<Arc<People>>,
    ) -> anyhow::Result<(Self, Box<dyn Watcher>)> {
        let (blocker, problem) = choose(config);
        if let Some(problem) = problem.as_ref().filter(|_| config.automatic) {
            warn!("attackers cannot be blocked: {problem}");
        }
        let dashboard = Arc::new(OnceLock::new());
        let look = {
            let dashboard = Arc::clone(&dashboard);
            Box::new(move || look(dashboard.get()))
        };
        let responder = Responder::open(config.clone(), blocker, look, data_dir, now())?;
        let door = Door::open(data_dir).context("cannot open the socket for `flowtrack block`")?;
        let (queue, messages) = bounded(QUEUE);
        let (said, hear) = bounded(SAID);
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&dropped);
        let problem = problem.map(|problem| problem.to_string()).unwrap_or_default();
        let health = Health { automatic: config.automatic, problem, ..Health::default() };
        let health = Arc::new(Mutex::new(health));
        let outlets = Outlets { said, dropped: counter, health: Arc::clone(&health), people };
        let thread = std::thread::Builder::new()
            .name("respond".into())
            .spawn(move || run(responder, &messages, &outlets))?;
        let path = door.path();
        let asker = queue.clone();
        let door = std::thread::Builder::new()
            .name("respond-door".into())
            .spawn(move || while door.next(|command| ask(&asker, command)) {})?;
        let ears = Ears {
            queue: queue.clone(),
            said: hear,
            dropped: Arc::clone(&dropped),
            from: Origin::File,
        };
        let respond = Self {
            queue,
            thread: Mutex::new(Some(thread)),
            door: Mutex::new(Some((path, door))),
            dropped,
            health,
            dashboard,
            history,
            config: config.clone(),
        };
        Ok((respond, Box::new(ears)))
    }

    /// Spares whoever uses the dashboard, and the port on which it listens.
    pub fn spare_dashboard(&self, peers: Peers, port: u16) {
        // It is set once, by the one who starts the dashboard.
        let _ = self.dashboard.set(Dashboard { peers, port });
    }

    /// Does what a person wants.
    pub fn ask(&self, command: Command) -> Reply {
        ask(&self.queue, command)
    }

    /// How blocking is, without waiting for it.
    pub fn health(&self) -> Health {
        let mut health = lock(&self.health).clone();
        health.dropped = self.dropped.load(Ordering::Relaxed);
        health
    }

    /// Ends it: nobody is heard any more, and blocks go or stay as configured.
    pub fn end(&self) {
        let door = lock(&self.door).take();
        if let Some((path, door)) = door {
            shut(&path);
            let _ = door.join();
        }
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            let _ = self.queue.send(Message::End);
            let _ = thread.join();
        }
    }
}

impl Drop for Respond {
    fn drop(&mut self) {
        self.end();
    }
}

impl Watcher for Ears {
    fn watch(&mut self, events: &[Event], out: &mut Vec<Event>) {
        self.pass_on(out);
        if self.from == Origin::File {
            return;
        }
        let mut attacks: Vec<_> = events.iter().filter_map(Trigger::of).collect();
        if attacks.len() > BUNDLE {
            self.dropped.fetch_add((attacks.len() - BUNDLE) as u64, Ordering::Relaxed);
            // The most urgent are kept.
            attacks.sort_by_key(|attack| std::cmp::Reverse(attack.severity));
            attacks.truncate(BUNDLE);
        }
        let count = attacks.len() as u64;
        if count > 0
            && let Err(TrySendError::Full(_)) = self.queue.try_send(Message::Attacks(attacks))
        {
            self.dropped.fetch_add(count, Ordering::Relaxed);
        }
    }

    fn tick(&mut self, _now: Timestamp, out: &mut Vec<Event>) {
        self.pass_on(out);
    }

    fn begin(&mut self, from: Origin) {
        self.from = from;
    }
}

impl Ears {
    fn pass_on(&self, out: &mut Vec<Event>) {
        out.extend(self.said.try_iter().map(|event| Event::Block(Box::new(event))));
    }
}

/// What no block may touch, as it is now.
pub fn surroundings() -> Surroundings {
    look(None)
}

fn look(dashboard: Option<&Dashboard>) -> Surroundings {
    let host = flowtrack_host::surroundings();
    let mut around = Surroundings {
        own: host.own.iter().map(|network| (network.address, network.prefix)).collect(),
        gateways: host.gateways,
        resolvers: host.resolvers,
        dhcp_servers: host.dhcp_servers,
        admins: host.admins,
        admin_ports: host.admin_ports,
    };
    if let Some(dashboard) = dashboard {
        around.admins.extend(dashboard.peers.list());
        around.admin_ports.push(dashboard.port);
    }
    around
}

fn ask(queue: &Sender<Message>, command: Command) -> Reply {
    let (answer, wait) = bounded(1);
    let sent = queue.send(Message::Ask(command, answer)).ok();
    sent.and_then(|()| wait.recv().ok())
        .unwrap_or_else(|| Reply::Refused { why: "the program is ending".into(), failed: true })
}

/// Whom the responder's thread tells.
struct Outlets {
    said: Sender<BlockEvent>,
    dropped: Arc<AtomicU64>,
    health: Arc<Mutex<Health>>,
    people: Option<Arc<People>>,
}

/// The responder's thread.
fn run(mut responder: Responder, messages: &Receiver<Message>, outlets: &Outlets) {
    let mut ticked = std::time::Instant::now();
    loop {
        let message = messages.recv_timeout(TICK.saturating_sub(ticked.elapsed()));
        let is_end = match message {
            Ok(Message::Attacks(attacks)) => {
                responder.judge(&attacks, now());
                false
            }
            Ok(Message::Ask(command, answer)) => {
                let _ = answer.send(responder.answer(command, now()));
                false
            }
            Err(RecvTimeoutError::Timeout) => false,
            Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => true,
        };
        if is_end {
            responder.close(now());
        } else if ticked.elapsed() >= TICK {
            ticked = std::time::Instant::now();
            responder.tick(now());
            let (blocks, problem) = responder.health();
            let mut health = lock(&outlets.health);
            health.blocks = blocks;
            // What was missing at the start is missing until something was blocked.
            if blocks > 0 || problem.is_some() {
                problem.unwrap_or_default().clone_into(&mut health.problem);
            }
        }
        for event in responder.take_events() {
            tracing::info!(phase = ?event.phase, what = event.what, who = event.who, why = event.why, "block");
            // That blocks end with the program is no news to whoever ends it.
            if let Some(people) = outlets.people.as_ref().filter(|_| !is_end) {
                people.hear_block(&event);
            }
            if outlets.said.try_send(event).is_err() {
                outlets.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        if is_end {
            return;
        }
    }
}

/// Does what a person at a shell wants: by the program that runs on this data folder, else here.
pub fn ask_or_do(
    config: &RespondConfig,
    data_dir: &Path,
    command: &Command,
) -> anyhow::Result<Reply> {
    let asked = |command| {
        flowtrack_respond::ask(data_dir, command)
            .with_context(|| format!("cannot ask the program that uses {}", data_dir.display()))
    };
    if let Some(reply) = asked(command)? {
        return Ok(reply);
    }
    let (blocker, _) = choose(config);
    if *command == Command::List {
        // Who only asks needs no permission and changes nothing.
        return Ok(Reply::Blocked(Box::new(Responder::peek(config, blocker, data_dir, now())?)));
    }
    let opened = Responder::open(config.clone(), blocker, Box::new(surroundings), data_dir, now());
    let mut responder = match opened {
        Ok(responder) => responder,
        // It started, or opened its door, between the two questions.
        Err(OpenError::InUse(_)) => {
            return asked(command)?.context("another flowtrack uses the blocks; try again");
        }
        Err(error) => return Err(error.into()),
    };
    Ok(responder.answer_alone(command.clone(), now()))
}
