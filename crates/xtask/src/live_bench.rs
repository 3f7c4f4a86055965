//! Live capture at the sender's top speed, over a pair of virtual interfaces in network namespaces
//! made for it.
//!
//! A bare ring reader, which does nothing with a packet, and the release binary take turns, so that
//! whatever else the machine does hits both alike. Of every run it is said where each frame went:
//! sent = seen + what each counter says was dropped. Traffic leaves no namespace.

use anyhow::{Context, Result, bail, ensure};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};
use wait4::Wait4;

use crate::bench::{median, target_dir};

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Frames sent in each run
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    frames: u64,
    /// Bytes of a frame
    #[arg(long, value_delimiter = ',', default_values_t = [60, 1500])]
    sizes: Vec<u32>,
    /// Runs of each program and size
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Worker threads of FlowTrack
    #[arg(long, default_value_t = 1)]
    workers: u32,
    /// Let FlowTrack record the packets as well
    #[arg(long)]
    record: bool,
    /// The program to measure
    #[arg(long)]
    binary: Option<PathBuf>,
}

/// Measures every size, and prints a table in Markdown.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let target = target_dir(root);
    let binary = options.binary.clone().unwrap_or_else(|| target.join("release/flowtrack"));
    ensure!(binary.is_file(), "{} is not there; run: make build", binary.display());
    build_examples(root)?;
    let scratch = target.join("live-bench");
    let bench = Bench {
        wire: Wire::new()?,
        sender: target.join("release/examples/frame_sender"),
        reader: target.join("release/examples/ring_reader"),
        binary,
        scratch: scratch.clone(),
        options,
    };
    println!(
        "{} frames a run; sent = seen + dropped by kernel, interface and FlowTrack\n\n\
         | bytes | program | sent | sent/s | seen | kernel | interface | own | missing | CPU s |{}\n\
         |---:|---|---:|---:|---:|---:|---:|---:|---:|---:|{}",
        options.frames,
        if options.record { " recorded | busy | disk |" } else { "" },
        if options.record { "---:|---:|---:|" } else { "" },
    );
    let mut summary = Vec::new();
    for &size in &options.sizes {
        let (mut reader, mut flowtrack) = (Vec::new(), Vec::new());
        for _ in 0..options.runs {
            reader.push(bench.reader(size)?);
            flowtrack.push(bench.flowtrack(size)?);
        }
        let missing: i64 = flowtrack.iter().map(Run::missing).sum();
        let seen = |runs: &[Run]| median(runs.iter().map(Run::seen_per_second).collect());
        summary.push(format!(
            "{size} bytes: {:.0} frames/s seen by FlowTrack, {:.0} by the bare reader ({:.2}x); \
             {missing} unaccounted for",
            seen(&flowtrack),
            seen(&reader),
            seen(&flowtrack) / seen(&reader),
        ));
    }
    println!("\n{}", summary.join("\n"));
    fs::remove_dir_all(&scratch).ok();
    Ok(())
}

fn build_examples(root: &Path) -> Result<()> {
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "--locked", "--package", "flowtrack-capture", "--examples"])
        .current_dir(root)
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "the sender and the reader cannot be built: {status}");
    Ok(())
}

struct Bench<'a> {
    wire: Wire,
    sender: PathBuf,
    reader: PathBuf,
    binary: PathBuf,
    scratch: PathBuf,
    options: &'a Options,
}

/// Where the frames of one run went.
#[derive(Default)]
struct Run {
    sent: u64,
    seconds: f64,
    seen: u64,
    kernel: u64,
    interface: u64,
    own: u64,
    cpu: Duration,
    recorded: Option<[u64; 3]>,
}

impl Run {
    fn seen_per_second(&self) -> f64 {
        self.seen as f64 / self.seconds.max(1e-9)
    }

    /// Frames that no counter tells of; never to be anything but 0.
    fn missing(&self) -> i64 {
        self.sent as i64 - (self.seen + self.kernel + self.interface + self.own) as i64
    }

    fn print(&self, size: u32, program: &str) {
        let Self { sent, seen, kernel, interface, own, .. } = self;
        // Markdown fills the columns that a row lacks.
        let recorded = self.recorded.map_or(String::new(), |[packets, busy, disk]| {
            format!(" {packets} | {busy} | {disk} |")
        });
        println!(
            "| {size} | {program} | {sent} | {:.0} | {seen} | {kernel} | {interface} | {own} | {} | \
             {:.2} |{recorded}",
            *sent as f64 / self.seconds,
            self.missing(),
            self.cpu.as_secs_f64(),
        );
    }
}

impl Bench<'_> {
    /// One run of the bare reader.
    fn reader(&self, size: u32) -> Result<Run> {
        let lost = self.wire.dropped()?;
        let mut child = self.wire.there(&self.reader, &["right", "0.5"]).spawn()?;
        let out = child.stdout.take().context("no output of the reader")?;
        sleep(SETTLE);
        let mut run = self.send(size)?;
        let line = BufReader::new(out).lines().next().context("the reader said nothing")??;
        run.cpu = cpu_of(child)?;
        run.seen = word_after(&line, "frames")?;
        run.kernel = word_after(&line, "drops")?;
        run.interface = self.wire.dropped()? - lost;
        run.print(size, "ring reader");
        Ok(run)
    }

    /// One run of the program.
    fn flowtrack(&self, size: u32) -> Result<Run> {
        fs::remove_dir_all(&self.scratch).ok();
        fs::create_dir_all(&self.scratch)
            .with_context(|| format!("cannot create {}", self.scratch.display()))?;
        let (data, eve) = (self.scratch.join("data"), self.scratch.join("eve.json"));
        let workers = self.options.workers.to_string();
        let mut command = self.wire.there(&self.binary, &["run", "-i", "right"]);
        command.args(["--listen", "127.0.0.1:0", "--workers", &workers]);
        command.arg("--data-dir").arg(data).arg("--eve").arg(&eve);
        if self.options.record {
            command.arg("--record");
        }
        let lost = self.wire.dropped()?;
        let mut child = command.spawn().context("cannot start flowtrack")?;
        let out = child.stdout.take().context("no output of flowtrack")?;
        // The last line that it says once everything runs.
        let ready =
            BufReader::new(out).lines().map_while(Result::ok).any(|l| l.starts_with("stop"));
        ensure!(ready, "flowtrack did not start; see above");
        sleep(SETTLE);
        let mut run = self.send(size)?;
        sleep(SETTLE);
        let pid = child.id().to_string();
        ensure!(Command::new("kill").args(["-INT", &pid]).status()?.success(), "cannot stop it");
        run.cpu = cpu_of(child)?;

        let text = fs::read_to_string(&eve).with_context(|| format!("no {}", eve.display()))?;
        let stats = text.lines().rfind(|line| line.contains(r#""event_type":"stats""#));
        let stats: serde_json::Value = serde_json::from_str(stats.context("no counters")?)?;
        let stats = &stats["stats"];
        let count = |path: &str| stats.pointer(path).and_then(serde_json::Value::as_u64);
        run.seen = count("/ledger/seen/packets").context("no frames in the counters")?;
        run.kernel = count("/capture/kernel_drops").unwrap_or(0);
        run.own = count("/capture/own_drops").unwrap_or(0);
        run.interface = self.wire.dropped()? - lost;
        if self.options.record {
            let rows = ["packets", "dropped_busy", "dropped_disk"];
            run.recorded = Some(rows.map(|row| count(&format!("/recorder/{row}")).unwrap_or(0)));
        }
        run.print(size, "flowtrack");
        Ok(run)
    }

    fn send(&self, size: u32) -> Result<Run> {
        let (frames, size) = (self.options.frames.to_string(), size.to_string());
        let out = self.wire.here(&self.sender, &["left", &frames, &size]).output()?;
        ensure!(out.status.success(), "the sender failed: {}", out.status);
        let line = String::from_utf8_lossy(&out.stdout);
        let seconds = word_after(&line, "seconds")?;
        Ok(Run { sent: word_after(&line, "sent")?, seconds, ..Run::default() })
    }
}

/// Two namespaces with a pair of interfaces between them; they go with the value.
struct Wire {
    left: String,
    right: String,
}

impl Wire {
    fn new() -> Result<Self> {
        let name = |end| format!("flowtrack-bench-{}-{end}", std::process::id());
        let wire = Self { left: name("left"), right: name("right") };
        for namespace in [&wire.left, &wire.right] {
            ip(&["netns", "add", namespace])
                .context("cannot make a network namespace; this needs root and iproute2")?;
            // Or the interfaces would send router solicitations among the frames.
            let sysctl = ["net.ipv6.conf.all", "net.ipv6.conf.default"]
                .map(|prefix| format!("{prefix}.disable_ipv6=1"));
            let mut command = Command::new("ip");
            command.args(["netns", "exec", namespace, "sysctl", "-qw"]).args(sysctl);
            ensure!(command.status()?.success(), "cannot turn IPv6 off in the namespace");
            ip(&["-n", namespace, "link", "set", "lo", "up"])?;
        }
        ip(&["-n", &wire.left, "link", "add", "left", "type", "veth", "peer", "name", "right"])?;
        ip(&["-n", &wire.left, "link", "set", "right", "netns", &wire.right])?;
        ip(&["-n", &wire.left, "link", "set", "left", "up"])?;
        ip(&["-n", &wire.right, "link", "set", "right", "up"])?;
        Ok(wire)
    }

    /// A program at the sending end.
    fn here(&self, program: &Path, args: &[&str]) -> Command {
        within(&self.left, program, args)
    }

    /// A program at the receiving end.
    fn there(&self, program: &Path, args: &[&str]) -> Command {
        within(&self.right, program, args)
    }

    /// Frames that the interfaces themselves dropped so far.
    fn dropped(&self) -> Result<u64> {
        let mut sum = 0;
        for (namespace, name, counter) in
            [(&self.left, "left", "tx_dropped"), (&self.right, "right", "rx_dropped")]
        {
            let file = format!("/sys/class/net/{name}/statistics/{counter}");
            let out =
                Command::new("ip").args(["netns", "exec", namespace, "cat", &file]).output()?;
            let text = String::from_utf8_lossy(&out.stdout);
            sum += text.trim().parse::<u64>().with_context(|| format!("no {file}"))?;
        }
        Ok(sum)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for namespace in [&self.left, &self.right] {
            let _ = ip(&["netns", "delete", namespace]);
        }
    }
}

fn within(namespace: &str, program: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

fn ip(args: &[&str]) -> Result<()> {
    let status = Command::new("ip").args(args).status().context("cannot run ip")?;
    ensure!(status.success(), "ip {} failed", args.join(" "));
    Ok(())
}

fn cpu_of(child: Child) -> Result<Duration> {
    let done = child.wait4().context("cannot wait for a program")?;
    ensure!(done.status.success(), "a program failed: {}", done.status);
    Ok(done.rusage.utime + done.rusage.stime)
}

/// The number behind a word, as the examples print them.
fn word_after<T: std::str::FromStr>(line: &str, name: &str) -> Result<T> {
    let mut words = line.split_whitespace();
    match words.by_ref().find(|word| *word == name).and(words.next()).map(str::parse) {
        Some(Ok(number)) => Ok(number),
        _ => bail!("no `{name}` in: {line}"),
    }
}

/// What programs need to open their sockets, and to read what is left in them.
const SETTLE: Duration = Duration::from_millis(700);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_their_names() {
        let line = "sent 12 refused 0 size 60 seconds 1.500 rate 8";
        assert_eq!(word_after::<u64>(line, "sent").unwrap(), 12);
        assert!((word_after::<f64>(line, "seconds").unwrap() - 1.5).abs() < 1e-9);
        assert!(word_after::<u64>(line, "drops").is_err());
        assert!(word_after::<u64>("sent", "sent").is_err());
    }

    #[test]
    fn a_frame_that_no_counter_tells_of_is_missing() {
        let run = Run { sent: 10, seen: 6, kernel: 1, interface: 1, own: 1, ..Run::default() };
        assert_eq!(run.missing(), 1);
    }
}
