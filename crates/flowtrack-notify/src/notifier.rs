//! The threads: one that decides, and one for each channel that sends.

use crate::channels::Channel;
use crate::config::{ChannelConfig, NotifyConfig};
use crate::desk::{ChannelHealth, Desk, Job};
use crate::error::SendError;
use crate::message::Message;
use crate::notice::{Notice, clean};
use crate::queue::Queue;
use crate::secret::Keeper;
use crossbeam_channel::{Receiver, Sender, bounded, select};
use flowtrack_event::Timestamp;
use jiff::tz::TimeZone;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Why notifications could not be started, or a test failed.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The folder of the queue cannot be used.
    #[error("cannot keep notifications in {path}: {source}")]
    Queue {
        /// The file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// There is no such channel.
    #[error("there is no channel `{0}`{1}")]
    Unknown(String, String),
    /// A message did not arrive.
    #[error("{0}")]
    Send(String),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// Tells people, from threads of its own.
pub struct Notifier {
    inbox: Option<Sender<Told>>,
    /// What did not fit into the inbox.
    lost: Arc<AtomicU64>,
    health: Arc<Mutex<Vec<ChannelHealth>>>,
    config: NotifyConfig,
    keeper: Keeper,
    sensor: String,
    zone: TimeZone,
    thread: Option<JoinHandle<()>>,
}

/// What the deciding thread hears of the program.
enum Told {
    Notice(Box<Notice>),
    /// A channel was tested.
    Tested(usize, Result<(), String>),
}

/// How sending by a channel went.
type Sent = (usize, Result<(), SendError>);

impl Notifier {
    /// Starts the threads; what could not be told in an earlier run is told now.
    ///
    /// `folder` is where the queue is kept; without one, nothing outlives the program.
    pub fn start(
        config: &NotifyConfig,
        keeper: Keeper,
        folder: Option<&Path>,
    ) -> Result<Self, NotifyError> {
        let path = folder.map(|folder| folder.join("queue.jsonl"));
        let wrong = |source| NotifyError::Queue {
            path: path.as_deref().unwrap_or(Path::new("")).display().to_string(),
            source,
        };
        if let Some(folder) = folder {
            std::fs::create_dir_all(folder).map_err(wrong)?;
        }
        let queue = Queue::open(path.as_deref(), config.queue_entries).map_err(wrong)?;
        let (sensor, zone) = (sensor(config), TimeZone::system());
        let desk = Desk::new(config, sensor.clone(), zone.clone(), queue);
        let health = Arc::new(Mutex::new(desk.health()));
        let lost = Arc::new(AtomicU64::new(0));
        let (inbox, told) = bounded(INBOX);
        let (results, sent) = bounded(config.channels.len().max(1));
        let teller = Teller {
            desk,
            senders: senders(config, &keeper, &results).map_err(NotifyError::Thread)?,
            sent,
            lost: Arc::clone(&lost),
            health: Arc::clone(&health),
        };
        let thread = std::thread::Builder::new()
            .name("notify".into())
            .spawn(move || teller.run(&told))
            .map_err(NotifyError::Thread)?;
        Ok(Self {
            inbox: Some(inbox),
            lost,
            health,
            config: config.clone(),
            keeper,
            sensor,
            zone,
            thread: Some(thread),
        })
    }

    /// Takes a notice, and never waits: what does not fit is counted.
    pub fn tell(&self, notice: Notice) {
        let told = Told::Notice(Box::new(notice));
        if self.inbox.as_ref().is_none_or(|inbox| inbox.try_send(told).is_err()) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How the channels were a moment ago.
    pub fn health(&self) -> Vec<ChannelHealth> {
        lock(&self.health).clone()
    }

    /// Sends a test by this channel, past queue and rate, and waits for what becomes of it.
    pub fn test(&self, name: &str) -> Result<(), NotifyError> {
        let result = test(&self.config, &self.keeper, name, &self.sensor, &self.zone);
        let at = self.config.channels.iter().position(|channel| channel.name == name);
        if let (Some(at), Some(inbox)) = (at, &self.inbox) {
            let told = result.as_ref().map(|&()| ()).map_err(ToString::to_string);
            let _ = inbox.try_send(Told::Tested(at, told));
        }
        result
    }
}

impl Drop for Notifier {
    /// Tells what is due, for a few seconds; what is left waits in the queue for the next start.
    fn drop(&mut self) {
        self.inbox = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Sends a test by one channel, without a running [`Notifier`].
pub fn test_channel(config: &NotifyConfig, keeper: &Keeper, name: &str) -> Result<(), NotifyError> {
    test(config, keeper, name, &sensor(config), &TimeZone::system())
}

fn test(
    config: &NotifyConfig,
    keeper: &Keeper,
    name: &str,
    sensor: &str,
    zone: &TimeZone,
) -> Result<(), NotifyError> {
    let Some(channel) = config.channels.iter().find(|channel| channel.name == name) else {
        let known = config.channels.iter().map(|channel| channel.name.as_str());
        return Err(NotifyError::Unknown(name.to_owned(), crate::config::suggest(name, known)));
    };
    let message = Message::test(sensor, now(), zone.clone());
    send(&*channel.open(), keeper, &message).map_err(|e| NotifyError::Send(e.text))
}

/// Sends, and keeps secrets out of what is said about it.
fn send(channel: &dyn Channel, keeper: &Keeper, message: &Message) -> Result<(), SendError> {
    let vault = keeper.vault();
    channel.send(message, &vault).map_err(|e| SendError { text: vault.blot(&e.text), ..e })
}

/// What of the configuration is unwise or will not work.
pub fn warnings(config: &NotifyConfig, keeper: &Keeper) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut all = Vec::new();
    for channel in &config.channels {
        let secrets = channel.secrets();
        for secret in &secrets {
            if let Err(missing) = keeper.check(secret) {
                warnings.push(format!("channel `{}`: {missing}", channel.name));
            }
        }
        all.extend(secrets);
    }
    for path in keeper.exposed(&all) {
        warnings.push(format!(
            "everybody on this machine can read the secrets in {path}; chmod 600 {path}",
            path = path.display()
        ));
    }
    for name in config.unreached() {
        warnings.push(format!("no route leads to channel `{name}`; it is only tested"));
    }
    warnings
}

/// One thread for each channel, so that a slow one holds up none of the others.
///
/// They are not waited for at the end: each may hang in a time-out of its own.
fn senders(
    config: &NotifyConfig,
    keeper: &Keeper,
    results: &Sender<Sent>,
) -> std::io::Result<Vec<Sender<Message>>> {
    let start = |(at, channel): (usize, &ChannelConfig)| {
        let (jobs, work) = bounded::<Message>(1);
        let (way, keeper, results) = (channel.open(), keeper.clone(), results.clone());
        std::thread::Builder::new().name("notify-send".into()).spawn(move || {
            for message in work {
                let result = send(&*way, &keeper, &message);
                // There is room for one result of each channel.
                let _ = results.send((at, result));
            }
        })?;
        Ok(jobs)
    };
    config.channels.iter().enumerate().map(start).collect()
}

/// The deciding thread.
struct Teller {
    desk: Desk,
    /// One for each channel; a channel gets its next message when the one before is done.
    senders: Vec<Sender<Message>>,
    sent: Receiver<Sent>,
    lost: Arc<AtomicU64>,
    health: Arc<Mutex<Vec<ChannelHealth>>>,
}

impl Teller {
    fn run(mut self, told: &Receiver<Told>) {
        loop {
            self.send_due();
            let wait = self.desk.wake_at(now()).map_or(IDLE, |at| at.since(now()).min(IDLE));
            select! {
                recv(told) -> first => match first {
                    Ok(first) => {
                        self.take(first);
                        // What comes together is told together.
                        for told in told.try_iter().take(INBOX) {
                            self.take(told);
                        }
                    }
                    Err(_) => break,
                },
                recv(self.sent) -> sent => self.note(sent.ok()),
                default(wait.max(SHORTEST)) => {}
            }
        }
        self.finish();
    }

    fn take(&mut self, told: Told) {
        match told {
            Told::Notice(notice) => self.desk.accept(now(), *notice),
            Told::Tested(channel, result) => self.desk.tested(now(), channel, result),
        }
    }

    fn note(&mut self, sent: Option<Sent>) {
        let Some((channel, result)) = sent else { return };
        if let Err(e) = &result {
            tracing::warn!(channel = self.desk.name(channel), "a notification did not arrive: {e}");
        }
        self.desk.done(now(), channel, result);
    }

    fn send_due(&mut self) {
        match self.lost.swap(0, Ordering::Relaxed) {
            0 => {}
            lost => self.desk.lose_everywhere(lost),
        }
        for Job { channel, message } in self.desk.next(now()) {
            if self.senders[channel].try_send(message).is_err() {
                let gone = SendError::later("the thread that sends has ended");
                self.desk.done(now(), channel, Err(gone));
            }
        }
        *lock(&self.health) = self.desk.health();
    }

    /// Sends what is due once more, and waits a little for what is on its way.
    fn finish(&mut self) {
        self.send_due();
        let end = Instant::now() + LAST_WAIT;
        while self.desk.is_sending() {
            match self.sent.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(sent) => self.note(Some(sent)),
                Err(_) => break,
            }
        }
    }
}

/// The name of this machine in messages.
fn sensor(config: &NotifyConfig) -> String {
    if !config.sensor.is_empty() {
        return clean(&config.sensor, 100);
    }
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::fs::read_to_string("/etc/hostname"))
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok());
    let name = name.map(|name| clean(name.trim(), 100)).unwrap_or_default();
    if name.is_empty() { "this machine".into() } else { name }
}

fn now() -> Timestamp {
    Timestamp::from_micros(jiff::Timestamp::now().as_microsecond())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notices that may wait for the deciding thread.
const INBOX: usize = 1024;
/// How often it looks even if nothing happens.
const IDLE: Duration = Duration::from_secs(10);
/// How often it looks at most.
const SHORTEST: Duration = Duration::from_millis(20);
/// How long the end of the program waits for messages on their way.
const LAST_WAIT: Duration = Duration::from_secs(5);
