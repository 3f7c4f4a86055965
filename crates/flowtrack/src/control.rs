//! Starting and stopping captures: sources, their workers, and how they are.

use crate::hub::{Hub, HubSender};
use crate::lock::lock;
use crate::rules::Rules;
use crate::watch::Origin;
use crate::worker;
use flowtrack_capture::{
    Burst, LiveConfig, PacketSource, Recorder, RecorderHandle, SourceError, open_live,
};
use flowtrack_engine::{Config as EngineConfig, Engine, Output};
use flowtrack_event::{Event, RawPacket, Timestamp};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use tracing::{error, warn};

/// How long a worker waits for packets before it looks at the clock.
const WAIT: Duration = Duration::from_millis(100);
/// How often a worker tells its counters.
const STATS: Duration = Duration::from_millis(500);

/// What to capture.
#[derive(Clone, PartialEq, Debug)]
pub struct Live {
    /// Interfaces, filter and rings.
    pub config: LiveConfig,
    /// Worker threads.
    pub workers: usize,
}

/// How time passes in a capture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Packets come now, from an interface or as if from one; who is too slow for them loses some.
    Live,
    /// Packets carry the times of a file, which waits for whoever is slower.
    Past,
}

/// How a capture is.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum State {
    /// Nothing is captured.
    #[default]
    Stopped,
    /// Packets are captured or replayed.
    Running,
    /// A replayed file is at its end.
    Finished,
    /// It was to run, but cannot; the text says why and what to do.
    Failed(String),
}

/// What is captured, and how it goes.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Status {
    /// How it is.
    pub state: State,
    /// Where packets come from.
    pub interfaces: Vec<String>,
    /// The capture filter.
    pub filter: Option<String>,
    /// Whether packets for other machines are taken too.
    pub promiscuous: bool,
    /// Since when.
    pub since: Option<SystemTime>,
    /// What a person should know besides.
    pub note: String,
}

/// Owns the capture that runs.
pub struct Control {
    hub: Arc<Hub>,
    engine: EngineConfig,
    recorder: Option<Arc<Recorder>>,
    running: Mutex<Option<Capture>>,
    status: Arc<Mutex<Status>>,
    replay: Mutex<Option<Arc<Replay>>>,
    rules: Arc<CurrentRules>,
    /// Numbers engines, so that flows of a later capture have other identifiers.
    engines: AtomicUsize,
}

/// A capture file that is replayed.
pub struct Replay {
    /// What it is called on the screen.
    pub name: String,
    /// What a person should know besides.
    pub note: String,
    /// How its time passes.
    pub mode: Mode,
    /// Opens it from its beginning.
    pub open: Box<dyn Fn() -> anyhow::Result<Box<dyn PacketSource>> + Send + Sync>,
}

/// The rules that workers judge by, and how often they changed.
#[derive(Default)]
struct CurrentRules {
    version: AtomicU64,
    rules: Mutex<Option<Rules>>,
}

/// The threads of one capture.
struct Capture {
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
}

impl Control {
    /// Nothing is captured yet.
    pub fn new(hub: Arc<Hub>, engine: EngineConfig, recorder: Option<Arc<Recorder>>) -> Self {
        Self {
            hub,
            engine,
            recorder,
            running: Mutex::default(),
            status: Arc::default(),
            replay: Mutex::default(),
            rules: Arc::default(),
            engines: AtomicUsize::new(0),
        }
    }

    /// Judges by these rules from now on; workers take them up between two bursts.
    pub fn set_rules(&self, rules: Rules) {
        *lock(&self.rules.rules) = Some(rules);
        self.rules.version.fetch_add(1, Ordering::Release);
    }

    /// The rules that are judged by, where there are any.
    pub fn rules(&self) -> Option<Rules> {
        lock(&self.rules.rules).clone()
    }

    /// How the capture is.
    pub fn status(&self) -> Status {
        lock(&self.status).clone()
    }

    /// Captures live; a capture that runs ends first.
    pub fn start_live(&self, live: &Live) -> Result<(), SourceError> {
        let mut running = lock(&self.running);
        // The new rings are opened first, so that a request that cannot be met changes nothing.
        let sources = open_live(&live.config, live.workers)?;
        self.end(&mut running);
        let status = Status {
            state: State::Running,
            interfaces: live.config.interfaces.clone(),
            filter: live.config.filter.clone(),
            promiscuous: live.config.promiscuous,
            since: Some(SystemTime::now()),
            note: String::new(),
        };
        *running = Some(self.begin(sources, status, Mode::Live, Origin::Interfaces));
        Ok(())
    }

    /// Replays a capture file; a capture that runs ends first. It can be replayed again by
    /// [`Control::replay_again`].
    pub fn start_replay(&self, replay: Arc<Replay>) -> anyhow::Result<()> {
        let source = (replay.open)()?;
        let mut running = lock(&self.running);
        self.end(&mut running);
        let status = Status {
            state: State::Running,
            interfaces: vec![replay.name.clone()],
            since: Some(SystemTime::now()),
            note: replay.note.clone(),
            ..Status::default()
        };
        *running = Some(self.begin(vec![source], status, replay.mode, Origin::File));
        *lock(&self.replay) = Some(replay);
        Ok(())
    }

    /// Name of the file that can be replayed again.
    pub fn replayable(&self) -> Option<String> {
        lock(&self.replay).as_ref().map(|replay| replay.name.clone())
    }

    /// Replays the file again from its beginning, where there is one.
    pub fn replay_again(&self) -> anyhow::Result<()> {
        let replay = lock(&self.replay).clone();
        replay.map_or(Ok(()), |replay| self.start_replay(replay))
    }

    /// Ends the capture; its flows end with it.
    pub fn stop(&self) {
        self.end(&mut lock(&self.running));
    }

    fn end(&self, running: &mut Option<Capture>) {
        let Some(capture) = running.take() else { return };
        capture.stop.store(true, Ordering::Relaxed);
        for worker in capture.workers {
            if worker.join().is_err() {
                error!("a worker ended by a panic");
            }
        }
        let mut status = lock(&self.status);
        if status.state == State::Running {
            status.state = State::Stopped;
        }
    }

    fn begin(
        &self,
        sources: Vec<Box<dyn PacketSource>>,
        status: Status,
        mode: Mode,
        from: Origin,
    ) -> Capture {
        let names = sources.first().map(|s| interface_names(&**s)).unwrap_or_default();
        self.hub.reset(names, sources.len(), from);
        *lock(&self.status) = status;
        let stop = Arc::new(AtomicBool::new(false));
        let workers = sources
            .into_iter()
            .enumerate()
            .filter_map(|(number, source)| {
                let engine = self.engines.fetch_add(1, Ordering::Relaxed) as u16;
                let worker = Worker {
                    number,
                    source,
                    engine: Engine::new(&self.engine, engine, worker::seed().ok()?),
                    is_now: mode != Mode::Past,
                    hub: self.hub.sender(mode == Mode::Past),
                    recorder: self.recorder.as_ref().map(|recorder| recorder.handle()),
                    rules: Arc::clone(&self.rules),
                    rules_version: 0,
                    stop: Arc::clone(&stop),
                    status: Arc::clone(&self.status),
                    dropped: 0,
                    panics: 0,
                };
                let name = format!("worker-{number}");
                std::thread::Builder::new().name(name).spawn(move || worker.run()).ok()
            })
            .collect();
        Capture { stop, workers }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.stop();
    }
}

fn interface_names(source: &dyn PacketSource) -> Vec<String> {
    source.interfaces().iter().map(|i| i.name.clone()).collect()
}

/// One thread: a source, an engine, and nothing shared.
struct Worker {
    number: usize,
    source: Box<dyn PacketSource>,
    engine: Engine,
    /// Whether packets carry the present time, which then passes without them too.
    is_now: bool,
    hub: HubSender,
    recorder: Option<RecorderHandle>,
    rules: Arc<CurrentRules>,
    /// The version of the rules that the engine judges by.
    rules_version: u64,
    stop: Arc<AtomicBool>,
    status: Arc<Mutex<Status>>,
    /// Events that the hub's queue had no room for.
    dropped: u64,
    /// Bursts that a panic cut short.
    panics: u64,
}

impl Worker {
    fn run(mut self) {
        let mut out = Output::default();
        let mut told = Instant::now();
        let mut interfaces = 0;
        let end = loop {
            if self.stop.load(Ordering::Relaxed) {
                break None;
            }
            self.take_rules();
            if self.source.interfaces().len() != interfaces {
                interfaces = self.source.interfaces().len();
                if let Some(recorder) = &self.recorder {
                    recorder.declare(self.source.interfaces());
                }
            }
            let Self { source, engine, recorder, panics, .. } = &mut self;
            let burst = source.next_burst(WAIT, &mut |packets, _| {
                *panics += u64::from(!take_burst(engine, recorder.as_mut(), packets, &mut out));
            });
            match burst {
                Ok(Burst::Idle) if self.is_now => self.engine.tick(now(), &mut out),
                Ok(Burst::Packets(_) | Burst::Idle) => {}
                Ok(Burst::Again) => self.engine.end_flows(&mut out),
                Ok(Burst::End) => break Some(State::Finished),
                Err(e) => {
                    warn!("{e}");
                    break Some(State::Failed(e.to_string()));
                }
            }
            if told.elapsed() >= STATS {
                told = Instant::now();
                if let Some(recorder) = &mut self.recorder {
                    recorder.flush();
                }
                self.tell(&mut out.events, true);
            } else {
                self.tell(&mut out.events, false);
            }
        };
        self.engine.finish(&mut out);
        // The counters are told apart, with what only the worker knows.
        out.events.retain(|event| !matches!(event, Event::Stats(_)));
        self.tell(&mut out.events, true);
        if let Some(end) = end {
            lock(&self.status).state = end;
        }
    }

    /// Takes up rules that were loaded since the last burst.
    fn take_rules(&mut self) {
        let version = self.rules.version.load(Ordering::Acquire);
        if version != self.rules_version {
            self.rules_version = version;
            if let Some(rules) = &*lock(&self.rules.rules) {
                self.engine.set_rules(Arc::clone(&rules.set), Arc::clone(&rules.shared));
            }
        }
    }

    fn tell(&mut self, events: &mut Vec<Event>, counters: bool) {
        let stats = counters.then(|| {
            let mut stats = self.engine.stats();
            stats.capture = self.source.stats();
            stats.flow.events_dropped = self.dropped;
            stats.flow.panics = self.panics;
            Box::new(stats)
        });
        self.dropped += self.hub.send(self.number, events, stats).events;
    }
}

/// Records and processes a burst; false where a panic cut it short. No traffic is known to cause
/// one; if some does, its burst is lost and the capture goes on.
fn take_burst(
    engine: &mut Engine,
    recorder: Option<&mut RecorderHandle>,
    packets: &[RawPacket<'_>],
    out: &mut Output,
) -> bool {
    if let Some(recorder) = recorder {
        packets.iter().for_each(|packet| recorder.record(packet));
    }
    std::panic::catch_unwind(AssertUnwindSafe(|| engine.process(packets, out))).is_ok()
}

/// The time that it is.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
