//! Speed and memory of the release binary beside Debian's tools, on the same capture.
//!
//! Runs are interleaved, so that whatever else the machine does hits all alike, and what counts is
//! user plus system CPU time and peak memory as the kernel accounts them to the child, not the
//! clock. One warm-up run of each is thrown away.

use anyhow::{Context, Result, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};
use wait4::Wait4;

/// What to measure, and on what.
#[derive(clap::Args)]
pub struct Options {
    /// Capture to measure on; made from the corpus unless given
    #[arg(long)]
    capture: Option<PathBuf>,
    /// Folder of the capture corpus; `FLOWTRACK_CORPUS` or `../shared/corpus` unless given
    #[arg(long)]
    corpus: Option<PathBuf>,
    /// The program to measure
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Runs of each program; the median counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Only programs whose name contains this; the ratios need ndpiReader and tcpdump
    #[arg(long)]
    only: Option<String>,
    /// Measure tshark too, which takes minutes
    #[arg(long)]
    tshark: bool,
}

impl Options {
    fn corpus(&self, root: &Path) -> PathBuf {
        let named = self.corpus.clone();
        named
            .or_else(|| std::env::var_os("FLOWTRACK_CORPUS").map(PathBuf::from))
            .unwrap_or_else(|| root.join("../shared/corpus"))
    }
}

/// Measures everything and prints a table in Markdown.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let scratch = target_dir(root).join("bench");
    fs::create_dir_all(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
    let capture = match &options.capture {
        Some(capture) => capture.clone(),
        None => mixed_capture(&options.corpus(root), &scratch)?,
    };
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => target_dir(root).join("release/flowtrack"),
    };
    ensure!(binary.is_file(), "{} is not there; run: make build", binary.display());

    let mut contenders = contenders(&binary, &capture, &scratch, options.tshark);
    if let Some(part) = &options.only {
        contenders.retain(|contender| contender.name.contains(part.as_str()));
    }
    contenders.retain(|contender| {
        let there = is_installed(&contender.command[0]);
        if !there {
            eprintln!("skipped: {} is not installed", contender.command[0]);
        }
        there
    });

    eprintln!("measuring {} programs, {} runs each", contenders.len(), options.runs);
    for round in 0..=options.runs {
        for contender in &mut contenders {
            let usage = contender.measure()?;
            if round > 0 {
                contender.runs.push(usage);
            }
        }
    }
    print_table(&capture, &contenders, options.runs)
}

/// A program with its arguments, and what its runs took.
struct Contender {
    name: &'static str,
    command: Vec<String>,
    runs: Vec<Usage>,
}

#[derive(Clone, Copy)]
struct Usage {
    cpu: Duration,
    peak_bytes: u64,
}

impl Contender {
    fn new(name: &'static str, command: &[&str]) -> Self {
        let command = command.iter().map(|&word| word.to_owned()).collect();
        Self { name, command, runs: Vec::new() }
    }

    fn measure(&self) -> Result<Usage> {
        let (program, arguments) =
            self.command.split_first().context("a contender without a command")?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let done = child.wait4().with_context(|| format!("cannot wait for {program}"))?;
        ensure!(done.status.success(), "{} failed: {}", self.command.join(" "), done.status);
        let usage = done.rusage;
        Ok(Usage { cpu: usage.utime + usage.stime, peak_bytes: usage.maxrss })
    }

    fn median_cpu(&self) -> f64 {
        median(self.runs.iter().map(|usage| usage.cpu.as_secs_f64()).collect())
    }

    fn spread(&self) -> (f64, f64) {
        let cpu = || self.runs.iter().map(|usage| usage.cpu.as_secs_f64());
        (cpu().fold(f64::INFINITY, f64::min), cpu().fold(0.0, f64::max))
    }

    fn median_peak_mb(&self) -> f64 {
        median(self.runs.iter().map(|usage| usage.peak_bytes as f64 / 1e6).collect())
    }
}

const NDPI: &str = "ndpiReader";
const TCPDUMP: &str = "tcpdump -w /dev/null";

fn contenders(binary: &Path, capture: &Path, scratch: &Path, tshark: bool) -> Vec<Contender> {
    let text = |path: &Path| path.display().to_string();
    let (binary, capture) = (text(binary), text(capture));
    let eve = text(&scratch.join("bench.eve.json"));
    let analyze = ["analyze", &capture, "--workers", "1", "--json"];
    let flows = [&[&binary[..], "--set", "dissect.enabled=false"][..], &analyze].concat();
    let protocols = [&[&binary[..]][..], &analyze].concat();
    let log = ["--eve", &eve];
    let mut all = vec![
        Contender::new("flowtrack: flows", &flows),
        Contender::new("flowtrack: flows as EVE", &[&flows[..], &log].concat()),
        Contender::new("flowtrack: protocols", &protocols),
        Contender::new("flowtrack: everything as EVE", &[&protocols[..], &log].concat()),
        Contender::new(NDPI, &["ndpiReader", "-q", "-v", "0", "-i", &capture]),
        Contender::new(TCPDUMP, &["tcpdump", "-r", &capture, "-w", "/dev/null"]),
    ];
    if tshark {
        let command = ["tshark", "-q", "-r", &capture, "-z", "conv,tcp"];
        all.push(Contender::new("tshark: conversations", &command));
    }
    all
}

fn print_table(capture: &Path, contenders: &[Contender], runs: u32) -> Result<()> {
    let median_of = |name| {
        contenders.iter().find(|contender| contender.name == name).map(Contender::median_cpu)
    };
    let ratio =
        |of: Option<f64>, to: f64| of.map_or("-".to_owned(), |of| format!("{:.2}x", of / to));
    let (ndpi, tcpdump) = (median_of(NDPI), median_of(TCPDUMP));
    let size =
        fs::metadata(capture).with_context(|| format!("cannot read {}", capture.display()))?.len();

    println!("{} ({} MB), median of {runs}, interleaved\n", capture.display(), size / 1_000_000);
    println!(
        "| program | CPU s | least to most | ndpiReader / it | tcpdump / it | peak MB |\n\
         |---|---:|---:|---:|---:|---:|"
    );
    for contender in contenders {
        let cpu = contender.median_cpu();
        let (least, most) = contender.spread();
        println!(
            "| {} | {cpu:.2} | {least:.2} to {most:.2} | {} | {} | {:.1} |",
            contender.name,
            ratio(ndpi, cpu),
            ratio(tcpdump, cpu),
            contender.median_peak_mb(),
        );
    }
    println!();
    for contender in contenders {
        println!("- {}: `{}`", contender.name, contender.command.join(" "));
    }
    Ok(())
}

/// The benchmark capture, built from the corpus once.
fn mixed_capture(corpus: &Path, scratch: &Path) -> Result<PathBuf> {
    let capture = scratch.join("mix.pcap");
    if capture.is_file() {
        return Ok(capture);
    }
    let script = corpus.join("bench/mkmix.py");
    ensure!(
        script.is_file(),
        "no corpus at {}; name one by --corpus, or a capture by --capture",
        corpus.display()
    );
    eprintln!("building {} (once)", capture.display());
    // Under another name until it is whole, so that a broken build is not taken for the capture.
    let unfinished = scratch.join("mix.pcap.part");
    let status = Command::new("python3")
        .arg(script)
        .arg(corpus)
        .arg(corpus.join("bench/pool.tsv"))
        .arg(&unfinished)
        .status()
        .context("cannot run python3")?;
    ensure!(status.success(), "mkmix.py failed: {status}");
    fs::rename(&unfinished, &capture).context("cannot keep the capture")?;
    Ok(capture)
}

/// The folder that cargo builds into.
pub fn target_dir(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

fn is_installed(program: &str) -> bool {
    if program.contains('/') {
        return Path::new(program).is_file();
    }
    let Some(path) = std::env::var_os("PATH") else { return false };
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The value in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_odd_and_even() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median(vec![]).is_nan());
    }

    #[test]
    fn a_run_is_accounted_to_its_child() {
        let work = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let usage = Contender::new("busy", &["sh", "-c", work]).measure().expect("sh runs");
        assert!(usage.cpu > Duration::from_millis(20), "{:?}", usage.cpu);
        assert!(
            usage.peak_bytes > 200_000 && usage.peak_bytes < 100_000_000,
            "{}",
            usage.peak_bytes
        );
    }

    #[test]
    fn a_run_that_fails_is_no_measurement() {
        assert!(Contender::new("no", &["sh", "-c", "exit 3"]).measure().is_err());
    }
}
