//! `flowtrack block`, `unblock`, `confirm` and `blocked`.

use super::{counted, local, print};
use crate::cli::{Block, Blocked, Confirm, Unblock};
use crate::config::{Config, Wrong};
use crate::respond::{ask_or_do, preview::preview, surroundings};
use crate::status::Status;
use anyhow::Context as _;
use flowtrack_respond::{Block as Row, Command, Reply, Request, Status as Blocks, What};
use flowtrack_web::BlockPreview;
use std::path::Path;
use std::time::Duration;

/// Blocks, or says what blocking would have cut.
pub fn block(args: &Block, config: &Config, data_dir: &Path) -> anyhow::Result<Status> {
    let mut named = whats(&args.whats)?;
    if let Some(path) = &args.list {
        named.extend(listed(path)?);
    }
    if args.preview {
        return say_preview(args, &named, config, data_dir);
    }
    let is_remote = flowtrack_host::is_remote_session();
    let why = args.why.clone().unwrap_or_else(|| "blocked by hand".into());
    let request = |what: What| Request {
        what,
        secs: args.lasts.map(|lasts| lasts.as_secs().unsigned_abs()),
        who: "admin".into(),
        why: why.clone(),
        confirm: !args.no_confirm && (args.confirm || is_remote || what.is_network()),
    };
    let requests = named.into_iter().map(request).collect();
    let done = done(ask_or_do(&config.respond, data_dir, &Command::Block { requests })?)?;
    if args.json {
        print(&(serde_json::to_string_pretty(&done)? + "\n"))?;
        return Ok(Status::Ok);
    }
    let mut text = done.iter().fold(String::new(), |text, row| {
        text + &format!("blocked  {}  until {}\n", row.what, local(row.until_us))
    });
    if done.iter().any(Row::is_to_be_confirmed) {
        text += &format!(
            "confirm  it is undone in {} s unless you run `flowtrack confirm`\n",
            config.respond.confirm_secs
        );
    }
    print(&text)?;
    Ok(Status::Ok)
}

/// Undoes blocks.
pub fn unblock(args: &Unblock, config: &Config, data_dir: &Path) -> anyhow::Result<Status> {
    let command = Command::Unblock { whats: whats(&args.whats)?, who: "admin".into() };
    let done = done(ask_or_do(&config.respond, data_dir, &command)?)?;
    let line = |row: &Row| {
        format!("unblocked  {}  stopped {}\n", row.what, counted(row.packets, "packet"))
    };
    let text: String = done.iter().map(line).collect();
    print(if text.is_empty() { "nothing is blocked\n" } else { &text })?;
    Ok(Status::Ok)
}

/// Keeps blocks that wait for it.
pub fn confirm(args: &Confirm, config: &Config, data_dir: &Path) -> anyhow::Result<Status> {
    let command = Command::Confirm { whats: whats(&args.whats)? };
    let done = done(ask_or_do(&config.respond, data_dir, &command)?)?;
    let line = |row: &Row| format!("confirmed  {}  until {}\n", row.what, local(row.until_us));
    let text: String = done.iter().map(line).collect();
    print(if text.is_empty() { "nothing waits to be confirmed\n" } else { &text })?;
    Ok(Status::Ok)
}

/// Lists blocks.
pub fn blocked(args: Blocked, config: &Config, data_dir: &Path) -> anyhow::Result<Status> {
    let reply = ask_or_do(&config.respond, data_dir, &Command::List)?;
    let Reply::Blocked(mut blocks) = reply else {
        done(reply)?;
        return Ok(Status::Ok);
    };
    if !args.past {
        blocks.past.clear();
    }
    if args.json {
        print(&(serde_json::to_string_pretty(&blocks)? + "\n"))?;
        return Ok(Status::Ok);
    }
    print(&table(&blocks))?;
    Ok(Status::Ok)
}

fn table(blocks: &Blocks) -> String {
    let mut text = String::new();
    if !blocks.problem.is_empty() {
        text += &format!("problem: {}\n", blocks.problem);
    }
    let automatic = if blocks.automatic { "on" } else { "off (respond.automatic)" };
    text += &format!("firewall {}, automatic blocking {automatic}\n", blocks.firewall);
    for note in &blocks.notes {
        text += &format!("note: {note}\n");
    }
    if blocks.blocks.is_empty() {
        text += "nothing is blocked\n";
    } else {
        text += &format!("{:<40} {:<20} {:>12}  {:<16} why\n", "what", "until", "packets", "who");
    }
    for row in &blocks.blocks {
        let until = if row.is_to_be_confirmed() {
            format!("{}?", local(row.until_us))
        } else {
            local(row.until_us)
        };
        let what = row.what.to_string();
        text +=
            &format!("{what:<40} {until:<20} {:>12}  {:<16} {}\n", row.packets, row.who, row.why);
    }
    if blocks.blocks.iter().any(Row::is_to_be_confirmed) {
        text += "? is undone then unless `flowtrack confirm` follows\n";
    }
    if !blocks.past.is_empty() {
        text += &format!("{:<40} {:<20} {:>12}  {:<16} why\n", "was", "ended", "packets", "who");
    }
    for past in &blocks.past {
        let (what, row) = (past.block.what.to_string(), &past.block);
        let ended = local(past.ended_us);
        text += &format!(
            "{what:<40} {ended:<20} {:>12}  {:<16} {}; {}\n",
            row.packets, row.who, past.end, row.why
        );
    }
    text
}

fn say_preview(
    args: &Block,
    named: &[What],
    config: &Config,
    data_dir: &Path,
) -> anyhow::Result<Status> {
    let reader = super::history(&data_dir.join("history.db"))?.with_patience(PATIENCE);
    let hours = u32::try_from((args.last.as_secs() + 3_599) / 3_600)?;
    let found = preview(&reader, named, hours, &surroundings(), &config.respond)?;
    if args.json {
        print(&(serde_json::to_string_pretty(&found)? + "\n"))?;
    } else {
        print(&preview_text(&found))?;
    }
    Ok(Status::Ok)
}

fn preview_text(found: &BlockPreview) -> String {
    let hours = u64::from(found.hours);
    let last =
        if hours.is_multiple_of(24) { counted(hours / 24, "day") } else { counted(hours, "hour") };
    let mut text = format!(
        "in the last {last} it would have cut {} of {}: {}, {}\n",
        counted(found.flows, "flow"),
        counted(found.hosts, "host"),
        counted(found.packets, "packet"),
        counted(found.bytes, "byte")
    );
    if !found.names.is_empty() {
        text += &format!("blocked are {}\n", found.names.join(", "));
    }
    for host in &found.top {
        let name = host.name.as_deref().unwrap_or_default();
        text += &format!("{:<40} {:>16} bytes  {name}\n", host.addr, host.bytes);
    }
    for refused in &found.refused {
        text += &format!("refused: {refused}\n");
    }
    text
}

fn done(reply: Reply) -> anyhow::Result<Vec<Row>> {
    match reply {
        Reply::Done { blocks } => Ok(blocks),
        Reply::Blocked(_) => anyhow::bail!("the program that runs is of another version"),
        Reply::Refused { why, failed: true } => Err(anyhow::anyhow!(why)),
        Reply::Refused { why, failed: false } => Err(Wrong(why).into()),
    }
}

fn whats(texts: &[String]) -> Result<Vec<What>, Wrong> {
    texts.iter().map(|text| text.parse().map_err(|e| Wrong(format!("{e}")))).collect()
}

/// What a list names: one on each line, remarks and what follows the first word left out.
fn listed(path: &Path) -> anyhow::Result<Vec<What>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let Some(word) = line.split('#').next().and_then(|line| line.split_whitespace().next())
        else {
            continue;
        };
        let what =
            word.parse().map_err(|e| Wrong(format!("{}:{}: {e}", path.display(), number + 1)))?;
        found.push(what);
    }
    Ok(found)
}

/// Time that a preview may take.
const PATIENCE: Duration = Duration::from_mins(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_told_in_words() {
        let found =
            BlockPreview { hours: 48, flows: 1, hosts: 1, packets: 2, ..Default::default() };
        assert_eq!(
            preview_text(&found),
            "in the last 2 days it would have cut 1 flow of 1 host: 2 packets, 0 bytes\n"
        );
        let found = BlockPreview { hours: 25, ..found };
        assert!(preview_text(&found).starts_with("in the last 25 hours it "));
    }

    #[test]
    fn lists_are_read_with_remarks_and_wrong_lines_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        std::fs::write(&path, "# bad ones\n192.0.2.1 ; SBL1\n\n2001:db8::/64 # x\n").unwrap();
        let found: Vec<_> = listed(&path).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.1", "2001:db8::/64"]);
        std::fs::write(&path, "192.0.2.1\nnonsense\n").unwrap();
        let error = listed(&path).unwrap_err().to_string();
        assert!(error.contains("list:2: `nonsense` is no address"), "{error}");
    }
}
