//! `flowtrack run`: capture or replay, track, keep, and serve the dashboard.

use crate::alerts::Alerts;
use crate::backend::Program;
use crate::cli::Run;
use crate::config::Config;
use crate::control::{Control, Live, Mode, Replay, State};
use crate::detect;
use crate::files;
use crate::hub::{Hub, Outlets};
use crate::input;
use crate::notify::{Files, People};
use crate::respond::Respond;
use crate::rules::book::Rulebook;
use crate::status::Status;
use anyhow::Context as _;
use flowtrack_capture::{
    ANY, FileOptions, FileSource, LiveConfig, Pace, PaceOptions, Paced, PacketSource, Recorder,
    Stamps,
};
use flowtrack_detect::DetectorSet;
use flowtrack_engine::{Config as EngineConfig, Tell};
use flowtrack_notify::Keeper;
use flowtrack_output::sink::OpenMode;
use flowtrack_output::{EveFile, Sink};
use flowtrack_store::{HistoryWriter, LiveConfig as ViewConfig, LiveView};
use flowtrack_web::{Server, WebConfig};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The demo capture, for machines on which capturing is not permitted.
const DEMO: &[u8] = include_bytes!("../../../../demo/office.pcap.zst");
/// Most workers that are started without being asked for.
const MAX_WORKERS: usize = 8;

/// Runs the command until it is told to stop.
pub fn run(
    args: &Run,
    config: &Config,
    data_dir: &Path,
    keeper: &Keeper,
) -> anyhow::Result<Status> {
    let live = live_config(args, config);
    let workers = workers(args);
    if let Some(filter) = &live.filter {
        // A wrong filter is told before anything is started.
        flowtrack_capture::Filter::compile(
            filter,
            flowtrack_event::LinkType::ETHERNET,
            live.snaplen,
        )?;
    }
    std::fs::create_dir_all(data_dir).with_context(|| {
        format!(
            "cannot make the data folder {} (run it with sudo, or choose another with \
                 --data-dir)",
            data_dir.display()
        )
    })?;
    let history = open_history(config, data_dir)?;
    let recorder = open_recorder(args, config, data_dir)?;
    let replays = if args.notify { Files::Told } else { Files::Kept };
    let people = People::open(config, keeper, data_dir, replays)?.map(Arc::new);
    let alerts = Arc::new(Alerts::open(&config.alerts, history.as_ref(), people.clone())?);
    let (respond, ears) =
        Respond::start(&config.respond, data_dir, history.clone(), people.clone())?;
    let respond = Arc::new(respond);
    let mut detectors = DetectorSet::new(&config.detect, detect::networks(config));
    if args.read.is_none() {
        detect::recall(&mut detectors, data_dir);
    }
    let hub = Arc::new(Hub::start(Outlets {
        detectors,
        watchers: vec![alerts.watcher(), ears],
        live: LiveView::new(&ViewConfig::default()),
        history: history.clone(),
        recorder: recorder.as_ref().map(|(recorder, _)| Arc::clone(recorder)),
        files: files::open(args.store_files.as_deref(), config)?,
        sinks: open_sinks(args, config)?,
    })?);
    let engine = EngineConfig {
        flow: config.flow.clone(),
        defrag: config.defrag.clone(),
        dissect: files::dissect(args.store_files.as_deref(), config),
        verify_checksums: false,
        tell: tell(args, config),
        shard: None,
    };
    let recording = recorder.as_ref().map(|(recorder, _)| Arc::clone(recorder));
    let control = Arc::new(Control::new(Arc::clone(&hub), engine, recording.clone()));
    // Before a packet is captured: wrong rules are told, and the first packets are judged too.
    let rules = Rulebook::open(&args.rules, config, data_dir.to_owned(), Arc::clone(&control))?;
    let rules = Arc::new(rules);
    let program = Arc::new(Program {
        live: hub.reader(),
        alerts,
        control: Arc::clone(&control),
        capture: live.clone(),
        workers,
        history: history.as_ref().map(|writer| (Arc::clone(writer), writer.reader())),
        recorder,
        rules: Arc::clone(&rules),
        people,
        respond: Arc::clone(&respond),
    });
    let web = WebConfig { listen: args.listen.unwrap_or(config.web.listen), ..config.web.clone() };
    let listen = web.listen;
    let server = Server::start(web, program)
        .with_context(|| format!("cannot serve the dashboard on {listen}"))?;
    respond.spare_dashboard(server.peers(), server.addr().port());
    let status = start(args, &live, workers, &control, data_dir)?;
    println!("dashboard  {}", server.url());
    println!("sign in    {}  (works once)", server.login_url()?);
    println!("stop       Ctrl-C");
    let watch = rules.watch()?;
    let memory = detect::Memory::start(&hub, data_dir)?;
    wait_for_signal(&hub, &rules)?;
    drop(watch);
    control.stop();
    memory.end();
    server.shutdown();
    // What becomes of blocks now is told like everything else.
    respond.end();
    if let Some(recorder) = &recording {
        // What it still holds is written before it is counted.
        recorder.flush();
    }
    hub.flush();
    let failed = matches!(control.status().state, State::Failed(_));
    Ok(if failed { status.max(Status::Broken) } else { status })
}

/// What the packet path tells: all that screens show, and what detectors look at.
fn tell(args: &Run, config: &Config) -> Tell {
    let tell = if config.detect.enabled { Tell::LIVE.for_detectors() } else { Tell::LIVE };
    Tell {
        alert_payload: config.eve.alert_payload,
        alert_packet: config.eve.alert_packet,
        tagged: args.eve.is_some() && config.eve.kinds.packet,
        ..tell
    }
}

/// Starts what the command line asks for, and says what that is.
fn start(
    args: &Run,
    live: &LiveConfig,
    workers: usize,
    control: &Control,
    data_dir: &Path,
) -> anyhow::Result<Status> {
    if let Some(path) = &args.read {
        replay(path, args, live.filter.as_deref(), control)?;
        println!("replaying  {}", path.display());
        return Ok(Status::Ok);
    }
    if let Err(e) = flowtrack_host::can_capture() {
        eprintln!("flowtrack: cannot capture: {e}");
        return demo(control, data_dir, format!("cannot capture: {e}; this is the demo capture"));
    }
    if live.interfaces.is_empty() {
        let why = "no interface carries a default route; choose one with -i, \
                   `flowtrack interfaces` lists them";
        eprintln!("flowtrack: {why}");
        return demo(control, data_dir, format!("{why}; this is the demo capture"));
    }
    let known = flowtrack_host::interfaces();
    for name in &live.interfaces {
        if name != ANY && !known.iter().any(|i| i.name == *name) {
            return Err(crate::config::Wrong(unknown_interface(name, &known)).into());
        }
    }
    match control.start_live(&Live { config: live.clone(), workers }) {
        Ok(()) => {
            let filter = live.filter.as_ref().map_or(String::new(), |f| format!(", only {f}"));
            println!("capturing  {}{filter}", live.interfaces.join(", "));
            Ok(Status::Ok)
        }
        Err(flowtrack_capture::SourceError::System { what, source })
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            // Some containers refuse although the process has the capability.
            eprintln!("flowtrack: {what}: {source}");
            demo(control, data_dir, format!("{what}: {source}; this is the demo capture"))
        }
        Err(e) => Err(e.into()),
    }
}

fn unknown_interface(name: &str, known: &[flowtrack_host::HostInterface]) -> String {
    let nearest = known.iter().min_by_key(|i| strsim::levenshtein(&i.name, name));
    let hint = nearest.map_or(String::new(), |i| format!("; did you mean `{}`?", i.name));
    format!("there is no interface `{name}`{hint} (`flowtrack interfaces` lists all)")
}

/// Replays a file as the command line says.
fn replay(path: &Path, args: &Run, filter: Option<&str>, control: &Control) -> anyhow::Result<()> {
    let pace = args.pace;
    let mode = if pace == Pace::Max { Mode::Past } else { Mode::Live };
    let stamps = if pace == Pace::Max { Stamps::Capture } else { Stamps::Now };
    let options = PaceOptions { pace, stamps, ..PaceOptions::default() };
    let (repeat, path, filter) = (args.repeat, path.to_owned(), filter.map(str::to_owned));
    let name = path.display().to_string();
    let open = move || {
        let source = Paced::new(input::open(&path, filter.as_deref())?, options);
        if !repeat {
            return Ok(Box::new(source) as Box<dyn PacketSource>);
        }
        let (path, filter) = (path.clone(), filter.clone());
        let again = move || input::reopen(&path, filter.as_deref());
        Ok(Box::new(source.looped(Box::new(again))) as _)
    };
    let note = String::new();
    control.start_replay(Arc::new(Replay { name, note, mode, open: Box::new(open) }))
}

/// Replays the demo capture in a loop, because nothing can be captured.
fn demo(control: &Control, data_dir: &Path, note: String) -> anyhow::Result<Status> {
    let path = data_dir.join("demo.pcap.zst");
    std::fs::write(&path, DEMO).with_context(|| format!("cannot write {}", path.display()))?;
    let options =
        PaceOptions { pace: Pace::Times(1.0), stamps: Stamps::Now, ..PaceOptions::default() };
    let open = move || {
        let path = path.clone();
        let open = move || FileSource::open(&path, FileOptions::default());
        let source = Paced::new(open()?, options).looped(Box::new(open));
        Ok(Box::new(source) as Box<dyn PacketSource>)
    };
    let (name, mode) = ("demo".into(), Mode::Live);
    control.start_replay(Arc::new(Replay { name, note, mode, open: Box::new(open) }))?;
    println!("replaying  the demo capture, in a loop");
    Ok(Status::Ok)
}

fn live_config(args: &Run, config: &Config) -> LiveConfig {
    let mut live = config.capture.clone();
    if !args.interfaces.is_empty() {
        live.interfaces.clone_from(&args.interfaces);
    } else if live.interfaces.is_empty() {
        live.interfaces.extend(flowtrack_host::default_interface());
    }
    if let Some(filter) = &args.filter {
        live.filter = Some(filter.clone());
    }
    live.filter = live.filter.filter(|filter| !filter.trim().is_empty());
    live.promiscuous |= args.promiscuous;
    live
}

fn workers(args: &Run) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    args.workers.unwrap_or(cores.min(MAX_WORKERS)).clamp(1, 64)
}

fn open_history(config: &Config, data_dir: &Path) -> anyhow::Result<Option<Arc<HistoryWriter>>> {
    let path = data_dir.join("history.db");
    let writer = HistoryWriter::spawn(&path, config.history.clone())
        .with_context(|| format!("cannot keep history in {}", path.display()))?;
    Ok(Some(Arc::new(writer)))
}

fn open_recorder(
    args: &Run,
    config: &Config,
    data_dir: &Path,
) -> anyhow::Result<Option<(Arc<Recorder>, PathBuf)>> {
    if !args.record {
        return Ok(None);
    }
    let folder = data_dir.join("packets");
    let recorder = Recorder::open(&folder, &config.recorder)?;
    Ok(Some((Arc::new(recorder), folder)))
}

fn open_sinks(args: &Run, config: &Config) -> anyhow::Result<Vec<Box<dyn Sink>>> {
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    if let Some(path) = &args.eve {
        let eve = EveFile::open(path, OpenMode::Append, config.eve.clone())
            .with_context(|| format!("cannot write {}", path.display()))?;
        sinks.push(Box::new(eve));
    }
    Ok(sinks)
}

/// Waits for the end; SIGHUP opens log files anew and loads rules again.
fn wait_for_signal(hub: &Hub, rules: &Rulebook) -> anyhow::Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])
        .context("cannot wait for signals")?;
    for signal in signals.forever() {
        match signal {
            SIGHUP => {
                hub.reopen();
                rules.reload();
            }
            _ => break,
        }
    }
    // A second signal ends the program at once, whatever it is waiting for.
    std::thread::spawn(move || {
        if signals.forever().any(|signal| signal != SIGHUP) {
            std::process::exit(i32::from(Status::Failed as u8));
        }
    });
    Ok(())
}
