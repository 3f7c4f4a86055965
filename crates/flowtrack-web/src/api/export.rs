//! `/export`: flows and packets as files, streamed.

use std::{io, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::{Query, State, rejection::QueryRejection},
    http::header,
    response::{IntoResponse, Response},
};
use flowtrack_filter::Filter;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use utoipa::IntoParams;

use super::{App, Problem, filter};
use crate::sink::BodySink;

/// What is to be written, as the backend gets it.
#[derive(Clone, PartialEq, Debug)]
pub struct ExportRequest {
    /// In which form.
    pub kind: ExportKind,
    /// Which flows, or the packets of which flows; read and found valid.
    pub filter: Filter,
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
    /// Recorded packets.
    PacketsPcap,
    /// Recorded packets with their interfaces and comments.
    PacketsPcapng,
}

impl ExportKind {
    const fn content_type(self) -> &'static str {
        match self {
            Self::FlowsCsv => "text/csv; charset=utf-8",
            Self::FlowsJson => "application/json",
            Self::PacketsPcap => "application/vnd.tcpdump.pcap",
            Self::PacketsPcapng => "application/x-pcapng",
        }
    }

    const fn file_name(self) -> &'static str {
        match self {
            Self::FlowsCsv => "flowtrack-flows.csv",
            Self::FlowsJson => "flowtrack-flows.json",
            Self::PacketsPcap => "flowtrack-packets.pcap",
            Self::PacketsPcapng => "flowtrack-packets.pcapng",
        }
    }
}

/// What is to be written.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportParams {
    /// Filter expression; empty for all.
    #[serde(default)]
    filter: String,
    /// Only what was then or later, microseconds since the epoch.
    since_us: Option<i64>,
    /// Only what was before, microseconds since the epoch.
    until_us: Option<i64>,
}

/// Flows as CSV
#[utoipa::path(
    get, path = "/export/flows.csv", tag = "export", params(ExportParams),
    responses((status = OK, body = String, content_type = "text/csv"))
)]
pub(super) async fn flows_csv(
    State(app): State<Arc<App>>,
    params: Result<Query<ExportParams>, QueryRejection>,
) -> Result<Response, Problem> {
    export(app, ExportKind::FlowsCsv, params?.0).await
}

/// Flows as JSON
#[utoipa::path(
    get, path = "/export/flows.json", tag = "export", params(ExportParams),
    responses((status = OK, body = Vec<serde_json::Value>))
)]
pub(super) async fn flows_json(
    State(app): State<Arc<App>>,
    params: Result<Query<ExportParams>, QueryRejection>,
) -> Result<Response, Problem> {
    export(app, ExportKind::FlowsJson, params?.0).await
}

/// Recorded packets as pcap
#[utoipa::path(
    get, path = "/export/packets.pcap", tag = "export", params(ExportParams),
    responses((status = OK, body = [u8], content_type = "application/vnd.tcpdump.pcap"),
        (status = CONFLICT, description = "Packets are not recorded", body = Problem))
)]
pub(super) async fn packets_pcap(
    State(app): State<Arc<App>>,
    params: Result<Query<ExportParams>, QueryRejection>,
) -> Result<Response, Problem> {
    export(app, ExportKind::PacketsPcap, params?.0).await
}

/// Recorded packets as pcapng
#[utoipa::path(
    get, path = "/export/packets.pcapng", tag = "export", params(ExportParams),
    responses((status = OK, body = [u8], content_type = "application/x-pcapng"),
        (status = CONFLICT, description = "Packets are not recorded", body = Problem))
)]
pub(super) async fn packets_pcapng(
    State(app): State<Arc<App>>,
    params: Result<Query<ExportParams>, QueryRejection>,
) -> Result<Response, Problem> {
    export(app, ExportKind::PacketsPcapng, params?.0).await
}

async fn export(
    app: Arc<App>,
    kind: ExportKind,
    params: ExportParams,
) -> Result<Response, Problem> {
    let wants_packets = matches!(kind, ExportKind::PacketsPcap | ExportKind::PacketsPcapng);
    if wants_packets && !app.backend.capture_status().recorder {
        return Err(Problem::conflict(
            "packets are not recorded; turn the recorder on to export them",
        ));
    }
    let request = ExportRequest {
        kind,
        filter: filter::parse(&params.filter)?,
        since_us: params.since_us,
        until_us: params.until_us,
    };
    let slot = Arc::clone(&app.exports)
        .try_acquire_owned()
        .map_err(|_| Problem::busy("other exports are running; try again when they are done"))?;

    let (out, mut body) = mpsc::channel(2);
    let task = tokio::task::spawn_blocking(move || {
        let mut sink = BodySink::new(out);
        let result = app.backend.export(&request, &mut sink);
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
