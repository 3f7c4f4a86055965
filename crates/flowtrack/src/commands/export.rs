//! `flowtrack export`: flows, packets and events out of history.

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
    let path = args.db.clone().unwrap_or_else(|| data_dir.join("history.db"));
    let packets = args.what == "packets";
    // Packets are found without it.
    let history = if packets && !path.exists() {
        None
    } else {
        Some(super::history(&path)?.with_patience(PATIENCE))
    };
    let mut out: Box<dyn Write> = if args.output.as_os_str() == "-" {
        Box::new(BufWriter::new(stdout()))
    } else {
        let file = File::create(&args.output)
            .with_context(|| format!("cannot write {}", args.output.display()))?;
        Box::new(BufWriter::new(file))
    };
    let count = match (table_format(args.format), packet_form(args.format)) {
        (_, Some(form)) if packets => {
            let folder = data_dir.join("packets");
            if !folder.exists() {
                return Err(Wrong(format!(
                    "{}: no packets were recorded; `flowtrack run --record` keeps them",
                    folder.display()
                ))
                .into());
            }
            export::packets(&folder, history.as_ref(), &span, form, &mut out)?
        }
        (Some(format), _) if !packets => {
            let history = history.as_ref().context("there is no history")?;
            match args.what.as_str() {
                "flows" => export::flows(history, &span, format, &mut out)?,
                "alerts" => {
                    let filter =
                        AlertFilter::parse(text).map_err(|e| Wrong(format!("--filter: {e}")))?;
                    export::alerts(history, &span, &filter, format, &mut out)?
                }
                "anomalies" => export::anomalies(history, &span, format, &mut out)?,
                protocol => {
                    check_protocol(protocol)?;
                    export::transactions(history, &span, protocol, format, &mut out)?
                }
            }
        }
        _ => {
            let forms = if packets { "pcap or pcapng" } else { "csv or json" };
            return Err(Wrong(format!("{} are written as {forms}", args.what)).into());
        }
    };
    out.flush().context("cannot write the export")?;
    if args.output.as_os_str() != "-" {
        eprintln!("{count} rows written to {}", args.output.display());
    }
    Ok(Status::Ok)
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
