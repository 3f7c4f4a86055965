//! `flowtrack export`: flows, packets and events out of history.

use super::counted;
use crate::cli::{Export, Format};
use crate::config::Wrong;
use crate::export::{self, PacketForm, Span};
use crate::moment::moment;
use crate::status::Status;
use anyhow::Context as _;
use flowtrack_detect::alerts::AlertFilter;
use flowtrack_filter::Filter;
use flowtrack_output::TableFormat;
use jiff::Timestamp;
use std::fs::File;
use std::io::{BufWriter, Write, stdout};
use std::path::Path;
use std::time::Duration;

/// Time that the database may take to answer.
const PATIENCE: Duration = Duration::from_hours(1);

/// Runs the command.
pub fn run(args: &Export, data_dir: &Path) -> anyhow::Result<Status> {
    let text = args.filter.as_deref().unwrap_or_default();
    // Alerts are asked in words of their own.
    let of_flows = if args.what == "alerts" { "" } else { text };
    let filter = Filter::parse(of_flows).map_err(|e| Wrong(format!("--filter: {e}")))?;
    let now = Timestamp::now();
    let at = |option: &str, text: &Option<String>| {
        let text = text.as_deref();
        text.map(|text| moment(text, now).map_err(|e| Wrong(format!("{option} {text}: {e}"))))
            .transpose()
    };
    let span = Span {
        since_us: at("--since", &args.since)?,
        until_us: at("--until", &args.until)?,
        filter,
    };
    // Nothing is written before it is known that all this makes sense.
    let what = What::of(args, text)?;
    let path = args.db.clone().unwrap_or_else(|| data_dir.join("history.db"));
    let folder = data_dir.join("packets");
    let is_packets = matches!(what, What::Packets(_));
    if is_packets && !folder.exists() {
        return Err(Wrong(format!(
            "{}: no packets were recorded; `flowtrack run --record` keeps them",
            folder.display()
        ))
        .into());
    }
    // Packets are found without history.
    let history = if is_packets && !path.exists() {
        None
    } else {
        Some(super::history(&path)?.with_patience(PATIENCE))
    };
    let on_stdout = args.output.as_os_str() == "-";
    let mut out: Box<dyn Write> = if on_stdout {
        Box::new(BufWriter::new(stdout()))
    } else {
        let file = File::create(&args.output)
            .with_context(|| format!("cannot write {}", args.output.display()))?;
        Box::new(BufWriter::new(file))
    };
    let written = match (&what, &history) {
        (What::Packets(form), history) => {
            export::packets(&folder, history.as_ref(), &span, *form, &mut out)
        }
        (_, None) => Err(anyhow::anyhow!("there is no history")),
        (What::Flows(form), Some(history)) => export::flows(history, &span, *form, &mut out),
        (What::Alerts(filter, form), Some(history)) => {
            export::alerts(history, &span, filter, *form, &mut out)
        }
        (What::Anomalies(form), Some(history)) => {
            export::anomalies(history, &span, *form, &mut out)
        }
        (What::Transactions(protocol, form), Some(history)) => {
            export::transactions(history, &span, protocol, *form, &mut out)
        }
    };
    let written =
        written.and_then(|count| out.flush().context("cannot write the export").map(|()| count));
    let count = match written {
        // Whoever read has seen enough.
        Err(error) if on_stdout && is_closed(&error) => return Ok(Status::Ok),
        other => other?,
    };
    if !on_stdout {
        let unit = if is_packets { "packet" } else { "row" };
        eprintln!("{} written to {}", counted(count, unit), args.output.display());
    }
    Ok(Status::Ok)
}

/// What is exported, and in which form.
enum What<'a> {
    Flows(TableFormat),
    Alerts(AlertFilter, TableFormat),
    Anomalies(TableFormat),
    Transactions(&'a str, TableFormat),
    Packets(PacketForm),
}

impl<'a> What<'a> {
    fn of(args: &'a Export, filter: &str) -> Result<Self, Wrong> {
        let name = args.what.as_str();
        if name == "packets" {
            return packet_form(args.format)
                .map(Self::Packets)
                .ok_or_else(|| Wrong("packets are written as pcap or pcapng".into()));
        }
        if !["flows", "alerts", "anomalies"].contains(&name) {
            check_protocol(name)?;
        }
        let form = table_format(args.format)
            .ok_or_else(|| Wrong(format!("{name} are written as csv or json")))?;
        Ok(match name {
            "flows" => Self::Flows(form),
            "alerts" => {
                let filter =
                    AlertFilter::parse(filter).map_err(|e| Wrong(format!("--filter: {e}")))?;
                Self::Alerts(filter, form)
            }
            "anomalies" => Self::Anomalies(form),
            protocol => Self::Transactions(protocol, form),
        })
    }
}

/// Whether whoever reads what is written has gone.
fn is_closed(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

fn table_format(format: Format) -> Option<TableFormat> {
    match format {
        Format::Csv => Some(TableFormat::Csv),
        Format::Json => Some(TableFormat::Json),
        Format::Pcap | Format::Pcapng => None,
    }
}

fn packet_form(format: Format) -> Option<PacketForm> {
    match format {
        Format::Pcap => Some(PacketForm::Pcap),
        Format::Pcapng => Some(PacketForm::Pcapng),
        Format::Csv | Format::Json => None,
    }
}

/// A protocol that nobody speaks is a typing error, not an empty table.
fn check_protocol(name: &str) -> Result<(), Wrong> {
    let known: Vec<&str> =
        flowtrack_dissect::protocols::ALL.iter().map(|p| p.name().name()).collect();
    if known.contains(&name) {
        return Ok(());
    }
    let words = known.into_iter().chain(["flows", "packets", "alerts", "anomalies"]);
    let nearest = words.min_by_key(|word| strsim::damerau_levenshtein(word, name));
    Err(Wrong(format!("cannot export `{name}`; did you mean `{}`?", nearest.unwrap_or("flows"))))
}
