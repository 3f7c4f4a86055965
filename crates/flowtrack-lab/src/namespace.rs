//! One network namespace.

use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A network namespace whose loopback is up; removed on drop.
pub(crate) struct Namespace {
    pub(crate) name: String,
}

impl Namespace {
    /// Makes one; none, with the reason printed, where that is not permitted.
    pub(crate) fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: network namespaces need root");
            return None;
        }
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ft-test-{}-{count}", std::process::id());
        let made = Command::new("ip").args(["netns", "add", &name]).output();
        if !made.as_ref().is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: cannot make a network namespace: {made:?}");
            return None;
        }
        let namespace = Self { name };
        namespace.ip("link set lo up");
        Some(namespace)
    }

    /// Runs `ip` on it with these words, to a good end.
    pub(crate) fn ip(&self, words: &str) -> Output {
        let output = Command::new("ip")
            .args(["-n", &self.name])
            .args(words.split_whitespace())
            .output()
            .expect("ip runs");
        assert!(output.status.success(), "ip {words}: {output:?}");
        output
    }

    /// Waits until these interfaces carry frames.
    ///
    /// After `link set up` the kernel starts the queues of both ends of a pair in its own time, and
    /// until then it drops what is sent without a word.
    pub(crate) fn await_carrier(&self, interfaces: &[&str]) {
        let deadline = Instant::now() + Duration::from_secs(30);
        for interface in interfaces {
            let up = || {
                let shown = self.ip(&format!("-o link show {interface}"));
                String::from_utf8_lossy(&shown.stdout).contains(" state UP ")
            };
            while !up() {
                assert!(Instant::now() < deadline, "{interface} does not come up");
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }

    /// A program that will run inside; what it reads of interfaces below `/sys` is of there too.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs a program inside to its end, which must be a good one.
    pub(crate) fn run(&self, words: &str) -> Output {
        let mut words = words.split_whitespace();
        let program = words.next().expect("a program is named");
        let output = self.command(program).args(words).output().expect("ip runs");
        assert!(output.status.success(), "{program}: {output:?}");
        output
    }

    /// Runs `f` on a thread of its own inside; threads and programs that it starts are there too.
    pub(crate) fn inside<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/run/netns/{}", self.name)).expect("it was made");
        std::thread::scope(|scope| {
            let run = || {
                setns(&namespace, CloneFlags::CLONE_NEWNET).expect("it was made");
                f()
            };
            match scope.spawn(run).join() {
                Ok(answer) => answer,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}
