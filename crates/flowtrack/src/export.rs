//! Writing flows, packets and events out of history and the recorder, for the command line and
//! the dashboard alike.

use anyhow::{Context as _, bail};
use flowtrack_capture::{
    Burst, Comments, PacketBuffer, PacketSource as _, PacketWriter, PcapWriter, PcapngWriter,
    Precision, Query as PacketQuery, Selection,
};
use flowtrack_detect::alerts::AlertFilter;
use flowtrack_event::{FlowKey, IpProto, Timestamp};
use flowtrack_filter::Filter;
use flowtrack_output::table::Columns;
use flowtrack_output::{TableFormat, TableWriter};
use flowtrack_store::history::AlertQuery;
use flowtrack_store::{FlowRow, HistoryReader, Query};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// Flows whose packets one export may ask for by a filter.
const MAX_FLOWS: usize = 10_000;
/// Rows asked for at a time.
const PAGE: usize = 5_000;
/// Columns of alerts; evidence, whose names differ, stands together in one more.
const ALERT_COLUMNS: &[&str] = &[
    "id",
    "first_us",
    "last_us",
    "severity",
    "state",
    "kind",
    "gid",
    "sid",
    "name",
    "category",
    "technique.id",
    "technique.name",
    "title",
    "src_ip",
    "dest_ip",
    "dest_port",
    "proto",
    "count",
    "occurrences",
    "many",
    "source_proved",
    "muted_by",
    "reopened",
    "note",
    "explanation",
    "flows",
];

/// Which part of history.
#[derive(Clone, Default, Debug)]
pub struct Span {
    /// From then on, microseconds since the epoch.
    pub since_us: Option<i64>,
    /// Up to then.
    pub until_us: Option<i64>,
    /// Only what this matches.
    pub filter: Filter,
}

impl Span {
    fn query(&self) -> Query {
        Query {
            since_us: self.since_us,
            until_us: self.until_us,
            filter: self.filter.clone(),
            limit: PAGE,
            ..Query::default()
        }
    }
}

/// Form of packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PacketForm {
    /// Classic pcap.
    Pcap,
    /// pcapng, with interfaces.
    Pcapng,
}

/// Calls `each` for every flow of the span.
fn flows_of(
    history: &HistoryReader,
    span: &Span,
    mut each: impl FnMut(&FlowRow) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let mut query = span.query();
    loop {
        let page = history.query(&query)?;
        for row in &page.rows {
            if !each(row)? {
                return Ok(());
            }
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(()),
        }
    }
}

/// Writes flows; answers how many.
pub fn flows(
    history: &HistoryReader,
    span: &Span,
    format: TableFormat,
    out: &mut dyn Write,
) -> anyhow::Result<u64> {
    let mut table = TableWriter::new(out, format, Columns::named(FlowRow::COLUMNS));
    flows_of(history, span, |row| {
        table.write(row)?;
        Ok(true)
    })?;
    let rows = table.rows();
    table.finish()?.flush()?;
    Ok(rows)
}

/// Writes anomalies; answers how many.
pub fn anomalies(
    history: &HistoryReader,
    span: &Span,
    format: TableFormat,
    out: &mut dyn Write,
) -> anyhow::Result<u64> {
    let rows = history.anomalies(
        span.since_us.unwrap_or(i64::MIN),
        span.until_us.unwrap_or(i64::MAX),
        usize::MAX >> 1,
    )?;
    let mut table = TableWriter::new(out, format, Columns::Discovered);
    for row in &rows {
        table.write(row)?;
    }
    table.finish()?.flush()?;
    Ok(rows.len() as u64)
}

/// Writes alerts, the oldest first; answers how many.
pub fn alerts(
    history: &HistoryReader,
    span: &Span,
    filter: &AlertFilter,
    format: TableFormat,
    out: &mut dyn Write,
) -> anyhow::Result<u64> {
    let mut table = TableWriter::new(out, format, Columns::named(ALERT_COLUMNS));
    let mut query = AlertQuery {
        since_us: span.since_us,
        until_us: span.until_us,
        filter: filter.clone(),
        descending: false,
        limit: PAGE,
        ..AlertQuery::default()
    };
    loop {
        let page = history.alerts(&query)?;
        for row in &page.rows {
            table.write(row)?;
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    let rows = table.rows();
    table.finish()?.flush()?;
    Ok(rows)
}

/// Writes transactions of one EVE event type; answers how many.
pub fn transactions(
    history: &HistoryReader,
    span: &Span,
    event_type: &str,
    format: TableFormat,
    out: &mut dyn Write,
) -> anyhow::Result<u64> {
    let mut table = TableWriter::new(out, format, Columns::Discovered);
    let (since, until) = (span.since_us.unwrap_or(i64::MIN), span.until_us.unwrap_or(i64::MAX));
    let mut after = None;
    loop {
        let (rows, next) =
            history.transactions(since, until, Some(event_type), after.as_ref(), PAGE)?;
        for row in &rows {
            table.write(row)?;
        }
        if next.is_none() {
            break;
        }
        after = next;
    }
    let rows = table.rows();
    table.finish()?.flush()?;
    Ok(rows)
}

/// Writes recorded packets; answers how many.
///
/// With a filter, those of the flows that it matches, among the flows that history knows.
pub fn packets(
    folder: &Path,
    history: Option<&HistoryReader>,
    span: &Span,
    form: PacketForm,
    out: &mut dyn Write,
) -> anyhow::Result<u64> {
    let time = |us: Option<i64>| us.map(Timestamp::from_micros);
    let mut query = PacketQuery {
        since: time(span.since_us),
        until: time(span.until_us),
        ..PacketQuery::default()
    };
    if !span.filter.is_empty() {
        let history = history.context("a filter over packets needs history, which is off")?;
        flows_of(history, span, |row| {
            if query.flows.len() >= MAX_FLOWS {
                bail!("the filter matches more than {MAX_FLOWS} flows; narrow it, or the time");
            }
            query.flows.extend(key_of(row));
            Ok(true)
        })?;
        if query.flows.is_empty() {
            bail!("the filter matches no flow");
        }
    }
    let mut selection = Selection::open(folder, query)?;
    let mut writer: Box<dyn PacketWriter + '_> = match form {
        PacketForm::Pcap => Box::new(PcapWriter::new(out, Precision::Nanos)),
        PacketForm::Pcapng => Box::new(PcapngWriter::new(out, Comments::default())),
    };
    let mut count = 0;
    let mut held = PacketBuffer::new();
    loop {
        held.clear();
        let burst = selection.next_burst(Duration::ZERO, &mut |packets, _| {
            packets.iter().for_each(|packet| held.push(packet));
        })?;
        // Interfaces turn up with the packets that name them.
        writer.declare(selection.interfaces());
        for packet in held.iter() {
            writer.write(&packet, "")?;
            count += 1;
        }
        if burst == Burst::End {
            writer.finish()?;
            return Ok(count);
        }
    }
}

/// The five-tuple of a row, where the recorder can look for it.
fn key_of(row: &FlowRow) -> Option<FlowKey> {
    let proto = match row.proto.as_str() {
        "TCP" => IpProto::TCP,
        "UDP" => IpProto::UDP,
        "ICMP" => IpProto::ICMP,
        "IPv6-ICMP" => IpProto::ICMPV6,
        "SCTP" => IpProto::SCTP,
        "GRE" => IpProto::GRE,
        "ESP" => IpProto::ESP,
        other => IpProto(other.parse().ok()?),
    };
    Some(FlowKey {
        src: row.src_ip.parse().ok()?,
        dst: row.dest_ip.parse().ok()?,
        src_port: row.src_port,
        dst_port: row.dest_port,
        proto,
    })
}
