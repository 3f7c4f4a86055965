//! `/export`: flows and packets as files, streamed.

use std::{io, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::{Query, State, rejection::QueryRejection},
    http::header,
    response::{IntoResponse, Response},
};
use flowtrack_detect::alerts::AlertFilter;
use flowtrack_filter::Filter;
use flowtrack_output::{TableFormat, TableWriter, table::Columns};
use flowtrack_store::live::{FlowRow, Snapshot};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use utoipa::IntoParams;

use super::{
    App, Problem,
    alerts::parse_filter,
    filter,
    flows::{FlowSort, Order, Source, select},
};
use crate::{backend::Backend, sink::BodySink};

/// What is to be written, as the backend gets it.
#[derive(Clone, PartialEq, Debug)]
pub struct ExportRequest {
    /// In which form.
    pub kind: ExportKind,
    /// Which flows, or the packets of which flows; read and found valid.
    pub filter: Filter,
    /// Which alerts; read and found valid.
    pub alerts: AlertFilter,
    /// Only what was then or later, microseconds since the epoch.
    pub since_us: Option<i64>,
    /// Only what was before, microseconds since the epoch.
    pub until_us: Option<i64>,
}

/// The forms of an export.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExportKind {
    /// Flows, one line each, with a line of names before.
    FlowsCsv,
    /// Flows as one JSON array.
    FlowsJson,
    /// Alerts, one line each, with a line of names before.
    AlertsCsv,
    /// Alerts as one JSON array.
    AlertsJson,
    /// Recorded packets.
    PacketsPcap,
    /// Recorded packets with their interfaces and comments.
    PacketsPcapng,
}

impl ExportKind {
    const fn content_type(self) -> &'static str {
        match self {
            Self::FlowsCsv | Self::AlertsCsv => "text/csv; charset=utf-8",
            Self::FlowsJson | Self::AlertsJson => "application/json",
            Self::PacketsPcap => "application/vnd.tcpdump.pcap",
            Self::PacketsPcapng => "application/x-pcapng",
        }
    }

    const fn file_name(self) -> &'static str {
        match self {
            Self::FlowsCsv => "flowtrack-flows.csv",
            Self::FlowsJson => "flowtrack-flows.json",
            Self::AlertsCsv => "flowtrack-alerts.csv",
            Self::AlertsJson => "flowtrack-alerts.json",
            Self::PacketsPcap => "flowtrack-packets.pcap",
            Self::PacketsPcapng => "flowtrack-packets.pcapng",
        }
    }
}

/// Which flows are to be written.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct FlowExportParams {
    /// Where to look.
    #[param(inline)]
    #[serde(default)]
    source: Source,
    /// Filter expression; empty for all.
    #[serde(default)]
    filter: String,
    /// Only what was then or later, microseconds since the epoch.
    since_us: Option<i64>,
    /// Only what was before, microseconds since the epoch.
    until_us: Option<i64>,
}

/// Which packets are to be written.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PacketExportParams {
    /// Filter expression over the flows that they belong to; empty for all.
    #[serde(default)]
    filter: String,
    /// Only what was then or later, microseconds since the epoch.
    since_us: Option<i64>,
    /// Only what was before, microseconds since the epoch.
    until_us: Option<i64>,
}

/// Flows as CSV
#[utoipa::path(
    get, path = "/export/flows.csv", tag = "export", params(FlowExportParams),
    responses((status = OK, body = String, content_type = "text/csv"))
)]
pub(super) async fn flows_csv(
    State(app): State<Arc<App>>,
    params: Result<Query<FlowExportParams>, QueryRejection>,
) -> Result<Response, Problem> {
    export_flows(app, ExportKind::FlowsCsv, params?.0).await
}

/// Flows as JSON
#[utoipa::path(
    get, path = "/export/flows.json", tag = "export", params(FlowExportParams),
    responses((status = OK, body = Vec<serde_json::Value>))
)]
pub(super) async fn flows_json(
    State(app): State<Arc<App>>,
    params: Result<Query<FlowExportParams>, QueryRejection>,
) -> Result<Response, Problem> {
    export_flows(app, ExportKind::FlowsJson, params?.0).await
}

/// Which alerts are to be written.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AlertExportParams {
    /// Filter over alerts, as `/alerts` takes it; empty for all.
    #[serde(default)]
    filter: String,
    /// Only what was then or later, microseconds since the epoch.
    since_us: Option<i64>,
    /// Only what was before, microseconds since the epoch.
    until_us: Option<i64>,
}

/// Alerts as CSV
#[utoipa::path(
    get, path = "/export/alerts.csv", tag = "export", params(AlertExportParams),
    responses((status = OK, body = String, content_type = "text/csv"))
)]
pub(super) async fn alerts_csv(
    State(app): State<Arc<App>>,
    params: Result<Query<AlertExportParams>, QueryRejection>,
) -> Result<Response, Problem> {
    export_alerts(app, ExportKind::AlertsCsv, params?.0).await
}

/// Alerts as JSON
#[utoipa::path(
    get, path = "/export/alerts.json", tag = "export", params(AlertExportParams),
    responses((status = OK, body = Vec<serde_json::Value>))
)]
pub(super) async fn alerts_json(
    State(app): State<Arc<App>>,
    params: Result<Query<AlertExportParams>, QueryRejection>,
) -> Result<Response, Problem> {
    export_alerts(app, ExportKind::AlertsJson, params?.0).await
}

async fn export_alerts(
    app: Arc<App>,
    kind: ExportKind,
    params: AlertExportParams,
) -> Result<Response, Problem> {
    let request = ExportRequest {
        kind,
        filter: Filter::default(),
        alerts: parse_filter(&params.filter)?,
        since_us: params.since_us,
        until_us: params.until_us,
    };
    stream(app, kind, move |backend, out| backend.export(&request, out)).await
}

/// Recorded packets as pcap
#[utoipa::path(
    get, path = "/export/packets.pcap", tag = "export", params(PacketExportParams),
    responses((status = OK, body = [u8], content_type = "application/vnd.tcpdump.pcap"),
        (status = CONFLICT, description = "Packets are not recorded", body = Problem))
)]
pub(super) async fn packets_pcap(
    State(app): State<Arc<App>>,
    params: Result<Query<PacketExportParams>, QueryRejection>,
) -> Result<Response, Problem> {
    export_packets(app, ExportKind::PacketsPcap, params?.0).await
}

/// Recorded packets as pcapng
#[utoipa::path(
    get, path = "/export/packets.pcapng", tag = "export", params(PacketExportParams),
    responses((status = OK, body = [u8], content_type = "application/x-pcapng"),
        (status = CONFLICT, description = "Packets are not recorded", body = Problem))
)]
pub(super) async fn packets_pcapng(
    State(app): State<Arc<App>>,
    params: Result<Query<PacketExportParams>, QueryRejection>,
) -> Result<Response, Problem> {
    export_packets(app, ExportKind::PacketsPcapng, params?.0).await
}

async fn export_flows(
    app: Arc<App>,
    kind: ExportKind,
    params: FlowExportParams,
) -> Result<Response, Problem> {
    let request = ExportRequest {
        kind,
        filter: filter::parse(&params.filter)?,
        alerts: AlertFilter::default(),
        since_us: params.since_us,
        until_us: params.until_us,
    };
    match params.source {
        Source::Live => {
            stream(app, kind, move |backend, out| write_live(&backend.snapshot(), &request, out))
                .await
        }
        Source::History => {
            stream(app, kind, move |backend, out| backend.export(&request, out)).await
        }
    }
}

async fn export_packets(
    app: Arc<App>,
    kind: ExportKind,
    params: PacketExportParams,
) -> Result<Response, Problem> {
    if !app.backend.capture_status().recorder {
        return Err(Problem::conflict(
            "packets are not recorded; turn the recorder on to export them",
        ));
    }
    let request = ExportRequest {
        kind,
        filter: filter::parse(&params.filter)?,
        alerts: AlertFilter::default(),
        since_us: params.since_us,
        until_us: params.until_us,
    };
    stream(app, kind, move |backend, out| backend.export(&request, out)).await
}

/// Writes the flows of the live view, most recently active first.
fn write_live(
    snapshot: &Snapshot,
    request: &ExportRequest,
    out: &mut dyn io::Write,
) -> anyhow::Result<()> {
    let format = match request.kind {
        ExportKind::FlowsJson => TableFormat::Json,
        _ => TableFormat::Csv,
    };
    let mut table = TableWriter::new(out, format, Columns::named(FlowRow::COLUMNS));
    for row in select(snapshot, &request.filter, FlowSort::End, Order::Desc) {
        if request.since_us.is_none_or(|since| row.end_us >= since)
            && request.until_us.is_none_or(|until| row.start_us < until)
        {
            table.write(row)?;
        }
    }
    table.finish()?;
    Ok(())
}

/// Answers with what `write` writes, as it is written.
async fn stream(
    app: Arc<App>,
    kind: ExportKind,
    write: impl FnOnce(&dyn Backend, &mut dyn io::Write) -> anyhow::Result<()> + Send + 'static,
) -> Result<Response, Problem> {
    let slot = Arc::clone(&app.exports)
        .try_acquire_owned()
        .map_err(|_| Problem::busy("other exports are running; try again when they are done"))?;

    let (out, mut body) = mpsc::channel(2);
    let task = tokio::task::spawn_blocking(move || {
        let mut sink = BodySink::new(out);
        let result = write(&*app.backend, &mut sink);
        drop(slot);
        match &result {
            Ok(()) => sink.finish()?,
            Err(error) => tracing::debug!(error = format!("{error:#}"), "an export ended early"),
        }
        result
    });
    // Waits for the first bytes, so that an export that fails at once fails with a status.
    let first = match body.recv().await {
        Some(Ok(first)) => first,
        _ => match task.await {
            Ok(Ok(())) => Bytes::new(),
            Ok(Err(error)) => return Err(Problem::internal(&error)),
            Err(error) => return Err(Problem::internal(&anyhow::anyhow!(error))),
        },
    };
    let chunks = tokio_stream::once(io::Result::Ok(first)).chain(ReceiverStream::new(body));
    let disposition = format!("attachment; filename=\"{}\"", kind.file_name());
    let headers = [
        (header::CONTENT_TYPE, kind.content_type().to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    Ok((headers, Body::from_stream(chunks)).into_response())
}
