//! `flowtrack doctor`: what this machine lacks, and what to do about it.

use super::print;
use crate::config::Config;
use crate::status::{Status, told};
use flowtrack_capture::Filter;
use flowtrack_event::LinkType;
use serde::Serialize;
use std::path::Path;

/// One thing that was looked at.
#[derive(Serialize)]
struct Finding {
    what: &'static str,
    ok: bool,
    found: String,
}

/// Runs the command. What is missing is said, and is an error only where nothing would work.
pub fn run(json: bool, data_dir: &Path, config: anyhow::Result<Config>) -> anyhow::Result<Status> {
    let (setting, config) = configuration(config);
    let findings =
        [setting, capture(), interface(), filters(), data(data_dir), firewall(&config), offloads()];
    let status = if findings.iter().all(|f| f.ok) { Status::Ok } else { Status::Failed };
    if json {
        print(&(serde_json::to_string_pretty(&findings)? + "\n"))?;
        return Ok(status);
    }
    let mut text = String::new();
    for f in &findings {
        text +=
            &format!("{}  {:<13} {}\n", if f.ok { "ok     " } else { "MISSING" }, f.what, f.found);
    }
    print(&text)?;
    Ok(status)
}

/// Whether the configuration is right; where it is not, the rest is looked at with the defaults.
fn configuration(config: anyhow::Result<Config>) -> (Finding, Config) {
    let (ok, found, config) = match config {
        Ok(config) => (true, "it is right".into(), config),
        Err(error) => (false, told(&error), Config::default()),
    };
    (Finding { what: "configuration", ok, found }, config)
}

fn capture() -> Finding {
    match flowtrack_host::can_capture() {
        Ok(()) => Finding { what: "permission", ok: true, found: "may capture".into() },
        Err(e) => Finding { what: "permission", ok: false, found: e.to_string() },
    }
}

fn interface() -> Finding {
    match flowtrack_host::default_interface() {
        Some(name) => Finding {
            what: "interface",
            ok: true,
            found: format!("{name} carries the default route"),
        },
        None => Finding {
            what: "interface",
            ok: false,
            found: "none carries a default route; choose one with -i".into(),
        },
    }
}

fn filters() -> Finding {
    match Filter::compile("tcp port 443", LinkType::ETHERNET, 262_144) {
        Ok(_) => Finding { what: "filters", ok: true, found: "capture filters (-f) work".into() },
        Err(e) => Finding { what: "filters", ok: false, found: e.to_string() },
    }
}

fn data(data_dir: &Path) -> Finding {
    let probe = data_dir.join(".probe");
    let written = std::fs::create_dir_all(data_dir).and_then(|()| std::fs::write(&probe, b""));
    let _ = std::fs::remove_file(&probe);
    match written {
        Ok(()) => Finding {
            what: "data folder",
            ok: true,
            found: format!("{} can be written", data_dir.display()),
        },
        Err(e) => Finding {
            what: "data folder",
            ok: false,
            found: format!(
                "{}: {e}; run it with sudo, or choose another with --data-dir",
                data_dir.display()
            ),
        },
    }
}

/// A firewall is missed only where attackers are to be blocked.
fn firewall(config: &Config) -> Finding {
    let (blocker, problem) = flowtrack_respond::choose(&config.respond);
    let (ok, found) = match problem {
        None => {
            let mut found = vec![format!("{} can block", blocker.name())];
            found.extend(blocker.nature().notes());
            (true, found.join("; "))
        }
        Some(problem) if config.respond.automatic => (false, problem.to_string()),
        Some(problem) => (true, format!("nothing can be blocked: {problem}")),
    };
    Finding { what: "firewall", ok, found }
}

fn offloads() -> Finding {
    Finding {
        what: "offloads",
        ok: true,
        found: "network cards may hand over several packets as one long one; to see each as it \
                was sent: `sudo ethtool -K IFACE gro off lro off`"
            .into(),
    }
}
