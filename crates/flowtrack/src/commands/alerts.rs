//! `flowtrack alerts`: what signatures and detectors found, in the terminal.

use super::{local, print, print_on};
use crate::cli::AlertsArgs;
use crate::config::Wrong;
use crate::moment::moment;
use crate::status::Status;
use console::{Style, Term};
use flowtrack_detect::alerts::{AlertFilter, AlertId, AlertRecord, AlertState};
use flowtrack_event::Severity;
use flowtrack_store::history::AlertQuery;
use flowtrack_store::{HistoryReader, shown};
use jiff::Timestamp;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// Alerts printed at most, the newest; more is for an export.
const MOST: usize = 1_000;
/// Time between two looks for what is new.
const LOOK: Duration = Duration::from_secs(1);
/// Alerts asked for in one look.
const PAGE: usize = 1_000;
/// Alerts that following remembers to have printed.
const REMEMBERED: usize = 100_000;

/// Runs the command.
pub fn run(args: &AlertsArgs, data_dir: &Path) -> anyhow::Result<Status> {
    let since = moment(&args.since, Timestamp::now())
        .map_err(|e| Wrong(format!("--since {}: {e}", args.since)))?;
    let filter = filter(args)?;
    let path = args.db.clone().unwrap_or_else(|| data_dir.join("history.db"));
    let history = super::history(&path)?;
    // Where following begins is asked first, so that nothing falls between.
    let from = history.alerts_now()?;
    let query = AlertQuery {
        since_us: Some(since),
        filter: filter.clone(),
        limit: MOST,
        ..AlertQuery::default()
    };
    let page = history.alerts(&query)?;
    let wanted = |alert: &AlertRecord| filter.names_state() || alert.state != AlertState::Muted;
    let rows: Vec<&AlertRecord> = page.rows.iter().rev().filter(|alert| wanted(alert)).collect();
    if args.json && !args.follow {
        print(&format!("{}\n", serde_json::to_string_pretty(&rows)?))?;
        return Ok(Status::Ok);
    }
    let look = Look::of_terminal();
    for alert in &rows {
        print(&line(alert, args.json, &look)?)?;
    }
    if !args.follow {
        say_rest(&page.rows, rows.len(), page.next.is_some());
        return Ok(Status::Ok);
    }
    let known = rows.iter().map(|alert| (alert.id, mark(alert))).collect();
    follow(&history, from, args, &filter, known, &look)
}

/// Prints what is new, for ever.
fn follow(
    history: &HistoryReader,
    mut from: i64,
    args: &AlertsArgs,
    filter: &AlertFilter,
    mut known: HashMap<AlertId, Mark>,
    look: &Look,
) -> anyhow::Result<Status> {
    loop {
        let (changed, next) = history.alerts_changed(from, PAGE)?;
        from = next;
        for alert in &changed {
            let wanted =
                filter.matches(alert) && (filter.names_state() || alert.state != AlertState::Muted);
            let mark = mark(alert);
            if !wanted || known.get(&alert.id).is_some_and(|before| *before >= mark) {
                continue;
            }
            if known.len() >= REMEMBERED {
                known.clear();
            }
            known.insert(alert.id, mark);
            if !print_on(&line(alert, args.json, look)?)? {
                return Ok(Status::Ok);
            }
        }
        if changed.len() < PAGE {
            std::thread::sleep(LOOK);
        }
    }
}

/// What makes an alert worth another line: it came back, or it got worse.
type Mark = (u32, Severity);

fn mark(alert: &AlertRecord) -> Mark {
    (alert.reopened, alert.severity)
}

fn filter(args: &AlertsArgs) -> anyhow::Result<AlertFilter> {
    let text = args.filter.as_deref().unwrap_or_default();
    let mut filter = AlertFilter::parse(text).map_err(|e| Wrong(format!("--filter: {e}")))?;
    if let Some(name) = &args.severity {
        let severity = Severity::parse(&name.to_ascii_lowercase()).ok_or_else(|| {
            let names = Severity::ALL.map(Severity::name).join(", ");
            Wrong(format!("--severity {name}: there is no such severity; it is one of {names}"))
        })?;
        filter = filter.at_least(severity);
    }
    Ok(filter)
}

/// How lines look.
struct Look {
    colour: bool,
    width: usize,
}

impl Look {
    fn of_terminal() -> Self {
        let term = Term::stdout();
        let width = if term.is_term() { usize::from(term.size().1).max(60) } else { 200 };
        Self { colour: console::colors_enabled(), width }
    }

    fn paint(&self, severity: Severity, text: &str) -> String {
        let style = match severity {
            Severity::Info => Style::new().dim(),
            Severity::Low => Style::new().cyan(),
            Severity::Medium => Style::new().yellow(),
            Severity::High => Style::new().red().bold(),
            Severity::Critical => Style::new().white().on_red().bold(),
        };
        style.force_styling(self.colour).apply_to(text).to_string()
    }
}

/// One alert as one line.
fn line(alert: &AlertRecord, json: bool, look: &Look) -> anyhow::Result<String> {
    if json {
        return Ok(format!("{}\n", serde_json::to_string(alert)?));
    }
    let at = local(alert.last_seen.micros());
    let severity = look.paint(alert.severity, &format!("{:<8}", alert.severity.name()));
    let times = if alert.count > 1 { format!("x{}", alert.count) } else { String::new() };
    let mut text = format!("{at}  {severity}  {times:<7}  ");
    let plain = at.len() + 8 + times.len().max(7) + 6;
    let mut what = shown(&alert.title, 300);
    // The title of a signature does not say between whom.
    let ends = alert.ends();
    if !ends.is_empty() && !what.contains(&ends) && alert.kind.name() == "signature" {
        let _ = write!(what, "  {ends}");
    }
    if let Some(technique) = &alert.technique {
        let _ = write!(what, "  [{}]", shown(&technique.id, 20));
    }
    if alert.state != AlertState::New {
        let _ = write!(what, "  ({})", alert.state.name());
    }
    text.push_str(&console::truncate_str(&what, look.width.saturating_sub(plain), "…"));
    text.push('\n');
    Ok(text)
}

/// Says on standard error what was left out, and what to do next.
fn say_rest(found: &[AlertRecord], printed: usize, more: bool) {
    let muted = found.len() - printed;
    if printed == 0 {
        eprintln!("no alert in this time; a longer one is asked for with --since, such as 7d");
    }
    if muted > 0 {
        eprintln!("{muted} muted; `--filter state=muted` shows them");
    }
    if more {
        eprintln!("the newest {MOST}; `flowtrack export alerts --format csv` writes all");
    }
}
