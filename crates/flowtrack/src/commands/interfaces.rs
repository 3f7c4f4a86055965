//! `flowtrack interfaces`: what can be captured on.

use super::print;
use crate::status::Status;

/// Runs the command.
pub fn run(json: bool) -> anyhow::Result<Status> {
    let list = flowtrack_host::interfaces();
    if json {
        print(&(serde_json::to_string_pretty(&list)? + "\n"))?;
        return Ok(Status::Ok);
    }
    let mut text =
        format!("{:<16} {:<10} {:<6} {:<18} {}\n", "NAME", "KIND", "STATE", "MAC", "ADDRESSES");
    for i in &list {
        let kind = format!("{:?}", i.kind).to_lowercase();
        let state = if i.up { "up" } else { "down" };
        let mac = i.mac.as_deref().unwrap_or("-");
        let addresses: Vec<String> = i.addresses.iter().map(ToString::to_string).collect();
        let mark = if i.default_route { "  (default route)" } else { "" };
        text += &format!(
            "{:<16} {kind:<10} {state:<6} {mac:<18} {}{mark}\n",
            i.name,
            addresses.join(" ")
        );
    }
    text += "any              all of them together\n";
    print(&text)?;
    Ok(Status::Ok)
}
