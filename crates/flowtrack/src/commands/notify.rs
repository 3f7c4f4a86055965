//! `flowtrack notify`: list the ways to people, and test them.

use super::print;
use crate::cli::NotifyAction;
use crate::config::{Config, Wrong};
use crate::status::Status;
use flowtrack_notify::{Keeper, NotifyConfig, NotifyError, Route, test_channel, warnings};
use serde_json::json;
use std::fmt::Write as _;

/// Runs the command.
pub fn run(action: &NotifyAction, config: &Config, keeper: &Keeper) -> anyhow::Result<Status> {
    match action {
        NotifyAction::Test { channels } => test(channels, &config.notify, keeper),
        NotifyAction::List { json: true } => {
            print(&(serde_json::to_string_pretty(&as_json(&config.notify, keeper))? + "\n"))?;
            Ok(Status::Ok)
        }
        NotifyAction::List { json: false } => {
            print(&as_text(&config.notify, keeper))?;
            Ok(Status::Ok)
        }
    }
}

fn test(names: &[String], config: &NotifyConfig, keeper: &Keeper) -> anyhow::Result<Status> {
    if config.channels.is_empty() {
        return Err(Wrong(NONE.to_owned()).into());
    }
    let names: Vec<&str> = match names {
        [all] if all == "all" => config.channels.iter().map(|c| c.name.as_str()).collect(),
        names => names.iter().map(String::as_str).collect(),
    };
    let mut status = Status::Ok;
    for name in names {
        match test_channel(config, keeper, name) {
            Ok(()) => print(&format!("{name}  delivered\n"))?,
            Err(e @ NotifyError::Unknown(..)) => return Err(Wrong(e.to_string()).into()),
            Err(e) => {
                let channel = config.channels.iter().find(|channel| channel.name == name);
                let to = channel.map(|channel| channel.open().destination()).unwrap_or_default();
                print(&format!("{name}  FAILED: {to}: {e}\n"))?;
                status = Status::Failed;
            }
        }
    }
    Ok(status)
}

fn as_json(config: &NotifyConfig, keeper: &Keeper) -> serde_json::Value {
    let channels: Vec<serde_json::Value> = config
        .channels
        .iter()
        .map(|channel| {
            json!({
                "name": channel.name,
                "type": channel.kind(),
                "destination": channel.open().destination(),
                "per_hour": channel.per_hour,
                "burst": channel.burst,
            })
        })
        .collect();
    json!({
        "channels": channels,
        "routes": config.routes(),
        "warnings": warnings(config, keeper),
    })
}

fn as_text(config: &NotifyConfig, keeper: &Keeper) -> String {
    if config.channels.is_empty() {
        return format!("{NONE}\n");
    }
    let width = config.channels.iter().map(|c| c.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for channel in &config.channels {
        let to = channel.open().destination();
        let _ = writeln!(text, "{:width$}  {:<8}  {to}", channel.name, channel.kind());
    }
    text.push('\n');
    for route in config.routes() {
        let _ = writeln!(text, "{}", sentence(&route));
    }
    for warning in warnings(config, keeper) {
        let _ = writeln!(text, "warning: {warning}");
    }
    text
}

/// A route in words.
fn sentence(route: &Route) -> String {
    let mut text = format!("{} and above", route.min_severity.name());
    if !route.categories.is_empty() {
        let _ = write!(text, ", of category {}", route.categories.join(" or "));
    }
    if !route.detectors.is_empty() {
        let _ = write!(text, ", by {}", route.detectors.join(" or "));
    }
    let _ = write!(text, " -> {}", route.channels.join(", "));
    if route.digest_minutes > 0 {
        let _ = write!(text, ", every {} minutes", route.digest_minutes);
    }
    let quiet = Vec::<String>::from(route.quiet_hours.clone());
    if !quiet.is_empty() {
        let critical = if route.quiet_critical { "" } else { " but for the critical" };
        let _ = write!(text, ", not in {}{critical}", quiet.join(", "));
    }
    text
}

/// What is said where nobody is told.
const NONE: &str = "no channel is configured; add [[notify.channels]] to the configuration, as \
                    docs/notifications.md shows";
