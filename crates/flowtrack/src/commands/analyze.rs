//! `flowtrack analyze`: capture files in, summary, report and events out.

mod found;
mod import;

use crate::cli::{Analyze, Checksums};
use crate::config::Config;
use crate::files;
use crate::input;
use crate::rules::{self, Rules, files::Places};
use crate::status::Status;
use crate::turns::{Seat, Turns};
use crate::worker::{self, Progress};
use anyhow::Context as _;
use crossbeam_channel::bounded;
use flowtrack_detect::{DetectorSet, Networks};
use flowtrack_engine::{Config as EngineConfig, Engine, Seed, Shard, Tell};
use flowtrack_event::{CaptureStats, DetectorStats, Event, Stats};
use flowtrack_output::report::ReportSource;
use flowtrack_output::sink::OpenMode;
use flowtrack_output::{EveFile, EveWriter, FileStore, Report, ReportInfo, Sink, Summary};
use flowtrack_store::HistoryWriter;
use found::Found;
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::File;
use std::io::{IsTerminal as _, Write as _, stdout};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Batches of events that wait between a worker and what consumes them.
const QUEUE: usize = 64;

/// Runs the command.
pub fn run(args: &Analyze, config: &Config) -> anyhow::Result<Status> {
    let engine = engine_config(args, config);
    let rules = rules::for_run(&Places::exactly(&args.rules), config)?;
    if args.each {
        return each(args, config, &engine, rules.as_ref());
    }
    let seed = worker::seed()?;
    let mut outputs = Outputs::open(args, config)?;
    // Detectors see events in the order of time, which several workers do not keep.
    let alone = args.detect || args.files.iter().any(|f| f.as_os_str() == "-");
    let workers = if alone { Some(1) } else { args.workers };
    let workers = u32::try_from(workers.unwrap_or(1)).unwrap_or(1).clamp(1, 64);
    let (status, mut stats) = if workers == 1 {
        one_worker(args, &engine, rules.as_ref(), seed, &mut outputs)?
    } else {
        several_workers(args, &engine, rules.as_ref(), seed, workers, &mut outputs)?
    };
    stats.detectors = outputs.end_detection();
    // Without anything that reports, there is no list to count.
    let reports = stats.detect.is_some() || stats.detectors.is_some();
    stats.alerts = reports.then(|| outputs.found.stats());
    stats.file_store = outputs.files.take().map(FileStore::close);
    let unstored = stats.file_store.map_or(0, |store| store.fs_errors);
    outputs.take(&mut vec![Event::Stats(Box::new(stats))]);
    outputs.finish(args)?;
    anyhow::ensure!(unstored == 0, "{unstored} files could not be stored; see above");
    Ok(status)
}

fn engine_config(args: &Analyze, config: &Config) -> EngineConfig {
    let logs = args.eve.is_some() || args.db.is_some() || args.report.is_some() || args.details;
    let mut tell = if logs { Tell::LOGS } else { Tell::FLOWS };
    tell.seconds = !args.each;
    tell.updates = args.db.is_some();
    tell.anomalies = !args.each || logs;
    tell.alert_payload = config.eve.alert_payload;
    tell.alert_packet = config.eve.alert_packet;
    tell.tagged = args.eve.is_some() && config.eve.kinds.packet;
    let dissect = files::dissect(args.store_files.as_deref(), config);
    tell.files |= dissect.contents.is_some();
    if args.detect {
        tell = tell.for_detectors();
    }
    EngineConfig {
        flow: config.flow.clone(),
        defrag: config.defrag.clone(),
        dissect,
        verify_checksums: args.checksums == Checksums::Verify,
        tell,
        shard: None,
    }
}

/// An engine that judges by the rules, where there are any.
fn engine(config: &EngineConfig, rules: Option<&Rules>, worker: u16, seed: Seed) -> Engine {
    let mut engine = Engine::new(config, worker, seed);
    if let Some(rules) = rules {
        engine.set_rules(Arc::clone(&rules.set), Arc::clone(&rules.shared));
    }
    engine
}

/// Reads all files on this thread.
fn one_worker(
    args: &Analyze,
    config: &EngineConfig,
    rules: Option<&Rules>,
    seed: Seed,
    outputs: &mut Outputs,
) -> anyhow::Result<(Status, Stats)> {
    let mut engine = engine(config, rules, 0, seed);
    let bar = progress_bar(args);
    let (status, capture) = read_files(args, &mut engine, None, &mut |events, progress| {
        show_progress(&bar, progress);
        outputs.take(events);
        outputs.may_go_on()
    })?;
    bar.finish_and_clear();
    let (mut events, stats) = worker::finish(&mut engine, &capture);
    outputs.take(&mut events);
    Ok((status, stats))
}

/// Reads all files on several threads, each of which works on its share of the addresses.
fn several_workers(
    args: &Analyze,
    config: &EngineConfig,
    rules: Option<&Rules>,
    seed: Seed,
    workers: u32,
    outputs: &mut Outputs,
) -> anyhow::Result<(Status, Stats)> {
    let bar = progress_bar(args);
    std::thread::scope(|scope| {
        let (send, receive) = bounded::<Vec<Event>>(QUEUE);
        let threads: Vec<_> = (0..workers)
            .zip(Turns::seats(workers as usize))
            .map(|(index, seat)| {
                let send = send.clone();
                let bar = if index == 0 { bar.clone() } else { ProgressBar::hidden() };
                let shard = Some(Shard { index, count: workers });
                let config = EngineConfig { shard, ..config.clone() };
                scope.spawn(move || {
                    let rules = rules.map(|rules| rules.in_turn(seat.turn()));
                    let mut engine = engine(&config, rules.as_ref(), index as u16, seed);
                    // A file is the same for all workers; one of them says what is wrong with it.
                    let (status, capture) =
                        read_files(args, &mut engine, Some(&seat), &mut |events, progress| {
                            show_progress(&bar, progress);
                            events.is_empty() || send.send(std::mem::take(events)).is_ok()
                        })?;
                    seat.ending();
                    let (events, stats) = worker::finish(&mut engine, &capture);
                    drop(seat);
                    let _ = send.send(events);
                    anyhow::Ok((status, stats))
                })
            })
            .collect();
        drop(send);
        for mut events in receive {
            outputs.take(&mut events);
        }
        bar.finish_and_clear();
        let mut status = Status::Ok;
        let mut all: Option<Stats> = None;
        for thread in threads {
            let (one, stats) = thread.join().expect("a worker's panic is this program's")?;
            status = status.max(one);
            match &mut all {
                None => all = Some(stats),
                Some(all) => {
                    // Every worker reads all packets; they were captured once.
                    let capture = all.capture;
                    all.merge(&stats);
                    all.capture = capture;
                }
            }
        }
        Ok((status, all.unwrap_or_default()))
    })
}

/// Reads the files one after another through one engine.
fn read_files(
    args: &Analyze,
    engine: &mut Engine,
    seat: Option<&Seat>,
    emit: &mut dyn FnMut(&mut Vec<Event>, &dyn Progress) -> bool,
) -> anyhow::Result<(Status, CaptureStats)> {
    let mut status = Status::Ok;
    let mut capture = CaptureStats::default();
    for (index, path) in args.files.iter().enumerate() {
        if let Some(seat) = seat {
            seat.file(index);
        }
        match input::open(path, args.filter.as_deref()) {
            Ok(mut source) => {
                status = status.max(worker::read(&mut *source, engine, seat, emit));
                capture.merge(&source.stats());
            }
            Err(e) if Status::of(&e) == Status::Broken && args.files.len() > 1 => {
                eprintln!("flowtrack: {e:#}");
                status = status.max(Status::Broken);
            }
            Err(e) => return Err(e),
        }
    }
    Ok((status, capture))
}

/// Every file is a run of its own, whose events go to a file of its own.
fn each(
    args: &Analyze,
    config: &Config,
    engine: &EngineConfig,
    rules: Option<&Rules>,
) -> anyhow::Result<Status> {
    let folder = args.eve.as_deref().expect("--each asks for --eve");
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let files = files::open(args.store_files.as_deref(), config)?;
    let seed = worker::seed()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = args.workers.unwrap_or(cores).clamp(1, args.files.len());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers)
            .map(|_| {
                scope.spawn(|| {
                    let mut status = Status::Ok;
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        let Some(path) = args.files.get(n) else { return anyhow::Ok(status) };
                        let events = folder.join(format!("{n:06}.eve.json"));
                        let run = || {
                            let rules = rules.map(Rules::again);
                            self::engine(engine, rules.as_ref(), 0, seed)
                        };
                        status = status.max(one_run(
                            path,
                            &events,
                            args,
                            config,
                            files.as_ref(),
                            run(),
                        )?);
                    }
                })
            })
            .collect();
        let mut status = Status::Ok;
        for thread in threads {
            status = status.max(thread.join().expect("a worker's panic is this program's")?);
        }
        Ok(status)
    })
}

fn one_run(
    path: &Path,
    events: &Path,
    args: &Analyze,
    config: &Config,
    files: Option<&FileStore>,
    mut engine: Engine,
) -> anyhow::Result<Status> {
    let mut eve = EveFile::open(events, OpenMode::Replace, config.eve.clone())
        .with_context(|| format!("cannot write {}", events.display()))?;
    let mut detectors = detectors(args, config);
    let (status, capture) = match input::open(path, args.filter.as_deref()) {
        Ok(mut source) => {
            let status = worker::read(&mut *source, &mut engine, None, &mut |batch, _| {
                if let Some(files) = files {
                    files.take(batch, true);
                }
                detect(detectors.as_mut(), batch);
                eve.write(batch);
                true
            });
            (status, source.stats())
        }
        Err(e) => {
            let status = Status::of(&e);
            if status == Status::Usage {
                return Err(e);
            }
            eprintln!("flowtrack: {e:#}");
            (status, CaptureStats::default())
        }
    };
    let (mut batch, mut stats) = worker::finish(&mut engine, &capture);
    if let Some(files) = files {
        files.take(&mut batch, true);
    }
    detect(detectors.as_mut(), &mut batch);
    if let Some(mut detectors) = detectors {
        detectors.finish(&mut batch);
        stats.detectors = Some(detectors.stats());
    }
    batch.push(Event::Stats(Box::new(stats)));
    eve.write(&batch);
    eve.flush();
    match eve.health().error {
        Some(error) => anyhow::bail!("cannot write {}: {error}", events.display()),
        None => Ok(status),
    }
}

/// What looks for attacks in a run, where that is asked for.
fn detectors(args: &Analyze, config: &Config) -> Option<DetectorSet> {
    args.detect.then(|| {
        // Whatever machine reads a capture, its own addresses are not what it is about.
        DetectorSet::new(&config.detect, Networks::new(config.detect.home.clone()))
    })
}

/// Asks the detectors; what they say joins the events.
fn detect(detectors: Option<&mut DetectorSet>, events: &mut Vec<Event>) {
    if let Some(detectors) = detectors {
        let mut found = Vec::new();
        detectors.ingest(events, &mut found);
        events.append(&mut found);
        // Nobody else reads it, and it is not small.
        events.retain(|event| !matches!(event, Event::Activity(_)));
    }
}

/// Where the events of a run go.
struct Outputs {
    detectors: Option<DetectorSet>,
    found: Found,
    summary: Option<Summary>,
    eve: Option<Box<dyn Sink>>,
    history: Option<HistoryWriter>,
    files: Option<FileStore>,
    /// Whether reading ended before the files did.
    is_cut: bool,
}

impl Outputs {
    fn open(args: &Analyze, config: &Config) -> anyhow::Result<Self> {
        // It may refuse the files, before an earlier file of events is written over.
        let history =
            args.db.as_deref().map(|path| import::begin(path, args, config)).transpose()?;
        let on_stdout = args.eve.as_deref().is_some_and(|path| path.as_os_str() == "-");
        let eve: Option<Box<dyn Sink>> = match args.eve.as_deref() {
            None => None,
            Some(_) if on_stdout => Some(Box::new(EveWriter::new(stdout(), config.eve.clone()))),
            Some(path) => Some(Box::new(
                EveFile::open(path, OpenMode::Replace, config.eve.clone())
                    .with_context(|| format!("cannot write {}", path.display()))?,
            )),
        };
        let wanted = !on_stdout || args.report.is_some();
        let summary =
            wanted.then(|| if args.details { Summary::with_details() } else { Summary::new() });
        let files = files::open(args.store_files.as_deref(), config)?;
        let detectors = detectors(args, config);
        let found = Found::open(config, history.as_ref())?;
        Ok(Self { detectors, found, summary, eve, history, files, is_cut: false })
    }

    fn take(&mut self, events: &mut Vec<Event>) {
        if let Some(files) = &self.files {
            files.take(events, true);
        }
        detect(self.detectors.as_mut(), events);
        self.found.take(events, self.summary.as_mut(), self.history.as_ref());
        if let Some(summary) = &mut self.summary {
            events.iter().for_each(|event| summary.ingest(event));
        }
        if let Some(eve) = &mut self.eve
            && !events.is_empty()
        {
            eve.write(events);
        }
        if let Some(history) = &self.history
            && !events.is_empty()
        {
            history.append(Arc::new(std::mem::take(events)));
        }
        events.clear();
    }

    /// What detectors still have to say, and what they did.
    fn end_detection(&mut self) -> Option<DetectorStats> {
        let mut detectors = self.detectors.take()?;
        let mut found = Vec::new();
        detectors.finish(&mut found);
        self.take(&mut found);
        Some(detectors.stats())
    }

    /// Whether there is still somebody to read for: not once the reader of standard output has gone.
    fn may_go_on(&mut self) -> bool {
        self.is_cut = self.eve.as_ref().is_some_and(|eve| eve.health().closed);
        !self.is_cut
    }

    fn finish(mut self, args: &Analyze) -> anyhow::Result<()> {
        if let Some(eve) = &mut self.eve {
            eve.flush();
            if let Some(error) = eve.health().error {
                anyhow::bail!("cannot write events: {error}");
            }
        }
        self.found.finish(self.summary.as_mut(), self.history.as_ref());
        if let Some(history) = &self.history {
            anyhow::ensure!(
                !self.is_cut,
                "whoever read the events left before their end, so nothing is kept in history"
            );
            history.flush();
            let health = history.health();
            if health.rows_dropped > 0 {
                anyhow::bail!(
                    "history lacks {} rows, so nothing of it is kept: {}",
                    health.rows_dropped,
                    health.message.unwrap_or_default()
                );
            }
            history
                .end_import()
                .map_err(|why| anyhow::anyhow!("nothing is kept in history: {why}"))?;
        }
        let Some(summary) = &self.summary else { return Ok(()) };
        if let Some(path) = &args.report {
            write_report(summary, args, path)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        let on_stdout = args.eve.as_deref().is_some_and(|path| path.as_os_str() == "-");
        if on_stdout {
            return Ok(());
        }
        let mut out = stdout().lock();
        let written = if args.json {
            serde_json::to_writer(&mut out, summary)
                .map_err(std::io::Error::from)
                .and_then(|()| writeln!(out))
        } else {
            let color = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            let hint = hint(summary, args).map(|hint| format!("\n{hint}\n"));
            let text = summary.to_text(width(), color) + &hint.unwrap_or_default();
            out.write_all(text.as_bytes())
        };
        match written {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(e).context("cannot write to standard output")
            }
            _ => Ok(()),
        }
    }
}

fn write_report(summary: &Summary, args: &Analyze, path: &Path) -> anyhow::Result<()> {
    let info = ReportInfo {
        title: "Capture report".into(),
        sources: args
            .files
            .iter()
            .map(|file| ReportSource { name: file.display().to_string(), note: None })
            .collect(),
        filter: args.filter.clone(),
        generated: crate::control::now(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    let mut file = std::io::BufWriter::new(File::create(path)?);
    Report::new(summary, info).write_to(&mut file)?;
    file.flush()?;
    Ok(())
}

/// Where more is said of alerts, if there were some.
fn hint(summary: &Summary, args: &Analyze) -> Option<String> {
    if summary.alerts() == 0 {
        return None;
    }
    Some(match (&args.db, &args.report) {
        (Some(db), _) => {
            let since = summary.begin().unwrap_or(flowtrack_event::Timestamp::ZERO);
            let since = jiff::Timestamp::from_microsecond(since.micros()).unwrap_or_default();
            format!(
                "All alerts with their evidence: flowtrack alerts --db {} --since {} --json",
                shell_word(&db.display().to_string()),
                since.strftime("%Y-%m-%d"),
            )
        }
        (None, Some(report)) => {
            format!("All alerts with their evidence: {}", report.display())
        }
        (None, None) => "The evidence of alerts: --report FILE.html writes it down, --db FILE \
                         keeps it for `flowtrack alerts --db FILE`"
            .to_owned(),
    })
}

/// A path as a shell takes it.
fn shell_word(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    if !path.is_empty() && path.chars().all(plain) {
        return path.to_owned();
    }
    format!("'{}'", path.replace('\'', r"'\''"))
}

/// Columns of the terminal, or 80.
fn width() -> usize {
    console::Term::stdout()
        .size_checked()
        .map_or(80, |(_, columns)| usize::from(columns))
        .clamp(60, 120)
}

fn progress_bar(args: &Analyze) -> ProgressBar {
    let quiet = args.eve.as_deref().is_some_and(|path| path.as_os_str() == "-");
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(
        "{bar:40.cyan/blue} {percent:>3}%  {decimal_bytes} of {decimal_total_bytes}  \
         {decimal_bytes_per_sec}  {eta} left",
    )
    .expect("the template is right");
    ProgressBar::new(0).with_style(style)
}

fn show_progress(bar: &ProgressBar, progress: &dyn Progress) {
    if bar.is_hidden() {
        return;
    }
    let (read, total) = progress.bytes();
    if let Some(total) = total {
        bar.set_length(total);
    }
    bar.set_position(read);
}
