//! The real program on the target of a network of namespaces.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use flowtrack_lab::net::Net;

/// Key of its API.
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// Its only rule.
pub const RULE: &str = "alert tcp any any -> any 8080 (msg:\"shell in a request\"; \
                    flow:established,to_server; content:\"cmd.exe\"; sid:9000001; priority:1;)\n";

/// The program on the target; killed on drop.
pub struct Program<'a> {
    net: &'a Net,
    folder: &'a Path,
    child: Child,
}

impl<'a> Program<'a> {
    /// Starts it with these settings; returns once it captures.
    pub fn start(net: &'a Net, folder: &'a Path, settings: &[&str]) -> Self {
        std::fs::write(folder.join("test.rules"), RULE).unwrap();
        let rules = folder.join("test.rules").display().to_string();
        Self::start_with(&["-i", "br0", "-S", &rules], net, folder, settings)
    }

    /// Starts it with these arguments too, and with its own rules where they name none.
    pub fn start_with(
        arguments: &[&str],
        net: &'a Net,
        folder: &'a Path,
        settings: &[&str],
    ) -> Self {
        let mut command = on_target(net, folder);
        command.args(["run", "--workers", "1", "--listen", "10.77.0.1:9999"]).args(arguments);
        command.arg("--eve").arg(folder.join("eve.json"));
        command.args(["--set", &format!("web.api_token={TOKEN}")]);
        for setting in settings {
            command.args(["--set", setting]);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        // It says how to stop it once it captures.
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.starts_with("stop")), "it runs");
        Self { net, folder, child }
    }

    /// One that was started already.
    pub fn of(net: &'a Net, folder: &'a Path, child: Child) -> Self {
        Self { net, folder, child }
    }

    /// Runs a command of it on the target.
    pub fn cli(&self, args: &[&str]) -> Output {
        on_target(self.net, self.folder).args(args).output().unwrap()
    }

    /// What `flowtrack blocked` tells, with what is past.
    pub fn blocked(&self) -> Value {
        let output = self.cli(&["blocked", "--past", "--json"]);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The alerts that its API tells the target itself.
    pub fn alerts(&self) -> Vec<Value> {
        let output = Command::new("ip")
            .args(["netns", "exec", &self.net.name("t"), "curl", "-s", "-H"])
            .arg(format!("Authorization: Bearer {TOKEN}"))
            .arg("http://10.77.0.1:9999/api/v1/alerts")
            .output()
            .unwrap();
        let page: Value = serde_json::from_slice(&output.stdout).unwrap();
        page["rows"].as_array().unwrap().clone()
    }

    /// Sends it a signal, and waits until it has ended.
    pub fn signal(&mut self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
        self.child.wait().unwrap();
    }
}

impl Drop for Program<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program on the target, to be given a command.
pub fn on_target(net: &Net, folder: &Path) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &net.name("t"), env!("CARGO_BIN_EXE_flowtrack"), "--data-dir"]);
    command.arg(folder).env_remove("SSH_CONNECTION");
    command
}

/// Waits until something is so; how long that took.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_mins(3), "not within three minutes: {what}");
    }
    begun.elapsed()
}
