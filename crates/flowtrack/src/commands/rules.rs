//! `flowtrack rules`: check, explain, choose and fetch rules.

mod check;
mod profile;
mod update;

use super::print;
use crate::cli::RulesAction;
use crate::config::{Config, Wrong};
use crate::replace::replace;
use crate::rules::files::{Places, folder, lists_of, read, texts};
use crate::status::Status;
use anyhow::Context as _;
use flowtrack_rules::lang::{
    Rule, Selection, Variables, option_text, parse_disabled_rules, parse_rules,
};
use flowtrack_rules::{Loader, RuleSet, explain, keywords};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Runs the command.
pub fn run(action: &RulesAction, config: &Config, data_dir: &Path) -> anyhow::Result<Status> {
    match action {
        RulesAction::Check { files, quiet } => check::run(files, *quiet, config, data_dir),
        RulesAction::Explain { sid, from } => explain_one(sid, &from.rules, config, data_dir),
        RulesAction::List { words, from } => list(words, &from.rules, config, data_dir),
        RulesAction::Enable { which } => {
            choose(which, "enable.conf", "disable.conf", config, data_dir)
        }
        RulesAction::Disable { which } => {
            choose(which, "disable.conf", "enable.conf", config, data_dir)
        }
        RulesAction::Update { sources } => update::run(sources, config, data_dir),
        RulesAction::Profile { file, from, top, json } => {
            let form = if *json { profile::Form::Json } else { profile::Form::Table };
            profile::run(file, &from.rules, *top, form, config, data_dir)
        }
        RulesAction::Docs => {
            print(&docs())?;
            Ok(Status::Ok)
        }
    }
}

/// Says in words what a rule looks for.
fn explain_one(
    sid: &str,
    from: &[PathBuf],
    config: &Config,
    data_dir: &Path,
) -> anyhow::Result<Status> {
    let number = |text: &str| {
        text.parse().map_err(|_| Wrong(format!("\"{sid}\" is no number of a rule: want 2019401")))
    };
    let (gid, wanted): (Option<u32>, u32) = match sid.split_once(':') {
        Some((gid, sid)) => (Some(number(gid)?), number(sid)?),
        None => (None, number(sid)?),
    };
    let read = read(&Places::named_or_configured(from, config, data_dir), config)?;
    let place_of = |gid, sid| {
        let at = read.loaded.signatures.iter().position(|s| s.info.gid == gid && s.info.sid == sid);
        at.and_then(|at| read.loaded.places.get(at)).cloned()
    };
    let refused = read.loaded.problems.iter().find(|p| p.fatal && p.sid == Some(wanted));
    let found = read
        .loaded
        .signatures
        .iter()
        .map(|s| (s.info.gid, s.info.sid))
        .find(|(g, s)| *s == wanted && gid.is_none_or(|gid| gid == *g));
    let Some((gid, _)) = found else {
        return Err(Wrong(match refused {
            Some(problem) => format!("rule {wanted} could not be loaded: {problem}"),
            None => format!("there is no rule {wanted}; `flowtrack rules list` shows all"),
        })
        .into());
    };
    let place = place_of(gid, wanted);
    let set = RuleSet::compile(read.loaded.signatures);
    let signature = set
        .signatures()
        .iter()
        .find(|s| s.info.gid == gid && s.info.sid == wanted)
        .context("a rule is lost between reading and compiling")?;
    let (rules, _) = parse_rules("", &signature.info.text);
    let rule = rules.first().context("the text of a loaded rule cannot be read")?;
    let mut text = explain(rule, signature);
    if let Some((file, at)) = place {
        let _ = writeln!(text, "\n{file}:{}:\n{}", at.line, signature.info.text);
    }
    print(&text)?;
    Ok(Status::Ok)
}

/// Lists rules.
fn list(
    words: &[String],
    from: &[PathBuf],
    config: &Config,
    data_dir: &Path,
) -> anyhow::Result<Status> {
    let places = Places::named_or_configured(from, config, data_dir);
    let mut loader = Loader::new(Variables::default());
    if let Some(lists) = &places.lists {
        lists_of(lists, &mut loader)?;
    }
    let words: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    let mut text = String::new();
    for (file, content) in texts(&places)? {
        let (rules, _) = parse_rules(&file, &content);
        let in_comments = parse_disabled_rules(&content);
        let mut all: Vec<(&Rule, bool)> = rules
            .iter()
            .map(|rule| (rule, false))
            .chain(in_comments.iter().map(|rule| (rule, true)))
            .collect();
        all.sort_by_key(|(rule, _)| rule.at.line);
        for (rule, in_comment) in all {
            let value = |name| rule.option(name).and_then(|option| option.value.as_deref());
            let line = format!(
                "{:<10} {:<3} {}  [{}] {file}:{}\n",
                value("sid").unwrap_or("-"),
                if loader.selection.wants(&file, rule, in_comment) { "on" } else { "off" },
                option_text(value("msg").unwrap_or_default()),
                value("classtype").unwrap_or("-"),
                rule.at.line
            );
            let lower = line.to_lowercase();
            if words.iter().all(|word| lower.contains(word)) {
                text += &line;
            }
        }
    }
    if text.is_empty() {
        text = match &words[..] {
            [] => "there are no rules; `flowtrack rules update` fetches some\n".to_owned(),
            words => format!("no rule has {}\n", words.join(" and ")),
        };
    }
    print(&text)?;
    Ok(Status::Ok)
}

/// Adds lines to one list and takes them out of the other.
fn choose(
    which: &[String],
    into: &str,
    from: &str,
    config: &Config,
    data_dir: &Path,
) -> anyhow::Result<Status> {
    let mut selection = Selection::default();
    if let Some(problem) = selection.enable("", &which.join("\n")).first() {
        return Err(Wrong(problem.message.clone()).into());
    }
    let folder = folder(data_dir);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    edit(&folder.join(from), |lines| lines.retain(|line| !which.iter().any(|w| w == line.trim())))?;
    edit(&folder.join(into), |lines| {
        for line in which {
            if !lines.iter().any(|known| known.trim() == line) {
                lines.push(line.clone());
            }
        }
    })?;
    let mut text = String::from("done; a flowtrack that runs takes it up in a few seconds\n");
    // It may be one that is yet to come; but more likely a digit is wrong.
    for number in missing(which, config, data_dir) {
        let _ =
            writeln!(text, "note: there is no rule {number} now; `flowtrack rules list` shows all");
    }
    print(&text)?;
    Ok(Status::Ok)
}

/// Those of these numbers that no rule has.
fn missing<'a>(which: &'a [String], config: &Config, data_dir: &Path) -> Vec<&'a str> {
    let places = Places::named_or_configured(&[], config, data_dir);
    let Ok(texts) = texts(&places) else { return Vec::new() };
    let mut known = std::collections::HashSet::new();
    for (file, content) in texts {
        let rules = parse_rules(&file, &content).0;
        for rule in rules.iter().chain(&parse_disabled_rules(&content)) {
            known.extend(rule.option("sid").and_then(|sid| sid.value.clone()));
        }
    }
    let numbers = which.iter().map(|line| line.rsplit_once(':').map_or(&**line, |(_, sid)| sid));
    numbers
        .filter(|sid| sid.bytes().all(|byte| byte.is_ascii_digit()) && !known.contains(*sid))
        .collect()
}

/// Changes the lines of a list; the file is replaced as a whole.
fn edit(path: &Path, change: impl FnOnce(&mut Vec<String>)) -> anyhow::Result<()> {
    let old = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
    };
    let mut lines: Vec<String> = old.lines().map(str::to_owned).collect();
    change(&mut lines);
    let mut new = lines.join("\n");
    if !new.is_empty() {
        new.push('\n');
    }
    if new == old {
        return Ok(());
    }
    replace(path, new.as_bytes())
}

/// Every keyword with its meaning and a rule that uses it, as Markdown.
pub fn docs() -> String {
    let mut all: Vec<_> = keywords::all().collect();
    all.sort_by_key(|keyword| keyword.name);
    let mut text = String::from(
        "# Keywords of rules\n\n\
         Every keyword that rules may use, with a rule that uses it.\n\
         `flowtrack rules explain SID` says of a rule in words what it looks for.\n",
    );
    for keyword in all {
        let _ = write!(text, "\n## {}\n\n", keyword.name);
        if !keyword.aliases.is_empty() {
            let aliases: Vec<String> =
                keyword.aliases.iter().map(|alias| format!("`{alias}`")).collect();
            let _ = writeln!(text, "Also {}.", aliases.join(", "));
        }
        let _ = write!(text, "{}\n\n```\n{}\n```\n", sentence(keyword.doc), keyword.example);
    }
    text
}

/// A description with a capital letter at its beginning and a full stop at its end.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    let end = if text.ends_with('.') { "" } else { "." };
    format!("{}{}{end}", first.map(String::from).unwrap_or_default(), chars.as_str())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_reference_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rule-keywords.md");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(path, super::docs()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == super::docs(), "run the tests with UPDATE_EXPECT=1");
    }
}
