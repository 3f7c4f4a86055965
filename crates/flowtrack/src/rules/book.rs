//! The rules of a running program: loaded again when they change, when somebody asks, or on SIGHUP.

use super::files::{self, Places};
use crate::config::Config;
use crate::control::Control;
use crate::lock::lock;
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

/// How often rule files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// How the rules are.
#[derive(Clone, Default, Debug)]
pub struct State {
    /// Rules that are judged by.
    pub loaded: usize,
    /// Rules and lists that could not be understood.
    pub wrong: usize,
    /// When they were loaded.
    pub at: Option<SystemTime>,
    /// Why the last attempt to load them failed; those before are in force.
    pub problem: Option<String>,
}

/// Where rules come from, and what was made of them.
pub struct Rulebook {
    named: Vec<PathBuf>,
    config: Config,
    data_dir: PathBuf,
    control: Arc<Control>,
    state: Mutex<State>,
    /// Held while rules are loaded, so that two requests do not load them twice at once.
    loading: Mutex<()>,
}

impl Rulebook {
    /// Loads what is named, else what is configured, and says on standard error what is wrong. A
    /// rule file that cannot be read at all is an error here, and a reason to keep the rules
    /// before later.
    pub fn open(
        named: &[PathBuf],
        config: &Config,
        data_dir: PathBuf,
        control: Arc<Control>,
    ) -> anyhow::Result<Self> {
        let book = Self {
            named: named.to_vec(),
            config: config.clone(),
            data_dir,
            control,
            state: Mutex::default(),
            loading: Mutex::default(),
        };
        book.load()?;
        Ok(book)
    }

    /// How the rules are.
    pub fn state(&self) -> State {
        lock(&self.state).clone()
    }

    /// Loads the rules again; workers take them up between two bursts. What rules remember is
    /// kept. Where nothing can be loaded, those before stay in force and the state says why.
    pub fn reload(&self) -> State {
        match self.load() {
            Ok(()) => tracing::info!(rules = self.state().loaded, "rules are loaded again"),
            Err(error) => {
                tracing::error!("the rules before stay in force: {error:#}");
                let mut state = lock(&self.state);
                state.problem = Some(format!("{error:#}"));
            }
        }
        self.state()
    }

    fn load(&self) -> anyhow::Result<()> {
        let _one_at_a_time = lock(&self.loading);
        let places = self.places();
        let before = self.control.rules();
        if before.is_none() && places.paths.is_empty() && !places.builtin {
            return Ok(());
        }
        let (rules, problems) = super::load(&places, &self.config, before.as_ref())?;
        super::say(&problems);
        let state = State {
            loaded: rules.set.len(),
            wrong: problems.iter().filter(|problem| problem.fatal).count(),
            at: Some(SystemTime::now()),
            problem: None,
        };
        self.control.set_rules(rules);
        *lock(&self.state) = state;
        Ok(())
    }

    fn places(&self) -> Places {
        Places::named_or_configured(&self.named, &self.config, &self.data_dir)
    }

    /// A number that changes when a file changes that rules are made of: rules, what stands beside
    /// them, data sets, and what is known of addresses.
    fn mark(&self) -> u64 {
        let rules = self.control.rules();
        let of_sets = rules.iter().flat_map(|rules| rules.lists.iter());
        let config = &self.config.rules;
        let of_addresses = config.reputation_lists.iter();
        let of_addresses =
            of_addresses.chain(&config.reputation_categories).chain(&config.countries);
        files::mark(&self.places(), of_sets.chain(of_addresses))
    }

    /// Loads the rules again whenever their files change, until the watch is dropped.
    pub fn watch(self: &Arc<Self>) -> anyhow::Result<Watch> {
        let (stop, stopped) = bounded::<()>(0);
        let book = Arc::clone(self);
        // What was loaded is what stood there a moment ago: whoever changes it now is noticed.
        let mut loaded = self.mark();
        let look = move || {
            let mut before = loaded;
            while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                let now = book.mark();
                // Somebody may still be writing: what changed has to stand still once.
                if now != loaded && now == before {
                    loaded = now;
                    book.reload();
                }
                before = now;
            }
        };
        let thread = std::thread::Builder::new().name("rules".into()).spawn(look)?;
        Ok(Watch { stop: Some(stop), thread: Some(thread) })
    }
}

/// A thread that looks at rule files; it ends when this is dropped.
pub struct Watch {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Hub, Outlets};
    use flowtrack_detect::{DetectorSet, Networks};
    use flowtrack_store::{LiveConfig, LiveView};
    use std::path::Path;
    use std::time::Instant;

    fn book(rules: &Path) -> anyhow::Result<Arc<Rulebook>> {
        book_with(rules, &Config::default())
    }

    fn book_with(rules: &Path, config: &Config) -> anyhow::Result<Arc<Rulebook>> {
        let hub = Arc::new(Hub::start(Outlets {
            detectors: DetectorSet::new(&config.detect, Networks::default()),
            watchers: Vec::new(),
            live: LiveView::new(&LiveConfig::default()),
            history: None,
            recorder: None,
            files: None,
            sinks: Vec::new(),
        })?);
        let control = Arc::new(Control::new(hub, flowtrack_engine::Config::default(), None));
        let named = [rules.to_owned()];
        Ok(Arc::new(Rulebook::open(&named, config, PathBuf::new(), control)?))
    }

    #[test]
    fn rules_that_cannot_be_loaded_keep_those_before() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.rules");
        std::fs::write(&file, "alert tcp any any -> any any (sid:1;)\nalert bad\n").unwrap();
        let book = book(&file).unwrap();
        assert_eq!((book.state().loaded, book.state().wrong), (1, 1));
        std::fs::write(&file, "alert bad\n").unwrap();
        let state = book.reload();
        assert!(state.problem.is_some());
        assert_eq!((state.loaded, book.control.rules().unwrap().set.len()), (1, 1));
        std::fs::remove_file(&file).unwrap();
        assert!(book.reload().problem.unwrap().contains("own.rules"));
        let two = "alert tcp any any -> any any (sid:1;)\nalert tcp any any -> any any (sid:2;)\n";
        std::fs::write(&file, two).unwrap();
        let state = book.reload();
        assert_eq!((state.loaded, state.wrong, state.problem), (2, 0, None));
        assert_eq!(book.control.rules().unwrap().set.len(), 2);
    }

    #[test]
    fn lists_are_read_again_and_stay_where_they_cannot_be() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.rules");
        let (names, scores) = (folder.path().join("names.lst"), folder.path().join("scores.list"));
        let rule = "alert dns any any -> any any (dns.query; \
                    dataset:isset,names,type string,load names.lst; sid:1;)\n";
        std::fs::write(&file, rule).unwrap();
        std::fs::write(&names, "b25l\n").unwrap();
        std::fs::write(&scores, "192.0.2.1,1,100\n").unwrap();
        let mut config = Config::default();
        config.rules.reputation_lists = vec![scores.clone()];
        let book = book_with(&file, &config).unwrap();
        let id = flowtrack_rules::state::VarId::of("set names");
        let has = |name: &[u8]| {
            let rules = book.control.rules().unwrap();
            rules.shared.dataset(id, |set| set.get(name).is_some()).unwrap()
        };
        let score = || {
            let rules = book.control.rules().unwrap();
            rules.shared.reputation.score([192, 0, 2, 1].into(), 1)
        };
        assert_eq!((has(b"one"), has(b"two"), score()), (true, false, Some(100)));
        let rules = book.control.rules().unwrap();
        rules.shared.dataset(id, |set| set.add(b"seen")).unwrap();
        let before = book.mark();

        std::fs::write(&names, "dHdv\n").unwrap();
        std::fs::write(&scores, "192.0.2.1,1,7\n").unwrap();
        assert_ne!(book.mark(), before, "their files are watched");
        assert_eq!(book.reload().problem, None);
        assert_eq!((has(b"one"), has(b"two"), has(b"seen")), (false, true, true));
        assert_eq!(score(), Some(7));

        std::fs::write(&names, "not in base64!\n").unwrap();
        assert_eq!(book.reload().problem, None);
        assert_eq!((has(b"two"), book.state().loaded), (true, 1));
        std::fs::write(&scores, "nonsense\n").unwrap();
        assert!(book.reload().problem.unwrap().contains("scores.list"));
        assert_eq!((has(b"two"), score()), (true, Some(7)));

        // A set that no rule names any more is forgotten.
        std::fs::write(&scores, "").unwrap();
        std::fs::write(&file, "alert dns any any -> any any (sid:1;)\n").unwrap();
        assert_eq!(book.reload().problem, None);
        assert!(book.control.rules().unwrap().shared.dataset(id, |_| ()).is_none());
        assert_eq!(score(), None);
    }

    #[test]
    fn a_file_that_changes_is_loaded_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.rules");
        std::fs::write(&file, "alert tcp any any -> any any (sid:1;)\n").unwrap();
        let book = book(folder.path()).unwrap();
        let watch = book.watch().unwrap();
        let more = folder.path().join("more.rules");
        std::fs::write(more, "alert tcp any any -> any any (sid:2;)\n").unwrap();
        let began = Instant::now();
        while book.state().loaded != 2 && began.elapsed() < Duration::from_mins(1) {
            std::thread::sleep(Duration::from_millis(50));
        }
        drop(watch);
        assert_eq!(book.state().loaded, 2);
    }
}
