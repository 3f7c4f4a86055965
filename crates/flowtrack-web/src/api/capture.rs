//! `/interfaces` and `/capture`: what to capture, starting, stopping.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State, rejection::JsonRejection, rejection::QueryRejection},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{App, Problem};
use crate::backend::{Backend, CaptureProblem};

/// Something that can be captured from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Interface {
    /// What to ask for, such as `eth0`.
    pub name: String,
    /// What it is, for people; may be empty.
    pub description: String,
    /// Device, all devices, or a file.
    pub kind: InterfaceKind,
    /// Its addresses, with prefix lengths where known.
    pub addresses: Vec<String>,
    /// Whether it can carry packets now.
    pub up: bool,
    /// Whether it is where this machine reaches the internet.
    pub default_route: bool,
}

/// What an interface is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InterfaceKind {
    /// A network device.
    Device,
    /// The loopback device.
    Loopback,
    /// All devices together.
    Any,
    /// A capture file that is replayed.
    File,
}

/// Whether packets are being captured, and from where.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, ToSchema)]
pub struct CaptureStatus {
    /// How it is.
    pub state: CaptureState,
    /// Where packets come from, or came from last.
    pub interfaces: Vec<String>,
    /// The capture filter; empty where everything is captured.
    pub filter: String,
    /// Whether packets for other machines are taken too.
    pub promiscuous: bool,
    /// When it was started, microseconds since the epoch.
    pub since_us: Option<i64>,
    /// What is wrong or not permitted and what to do about it; empty where all is well.
    pub message: String,
    /// Whether packets are recorded, so that they can be exported.
    pub recorder: bool,
    /// Whether history is kept.
    pub history: bool,
}

/// How the capture is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CaptureState {
    /// Nothing is captured.
    #[default]
    Stopped,
    /// Packets are captured or replayed.
    Running,
    /// A replayed file is at its end.
    Finished,
    /// It was to run, but cannot.
    Failed,
}

/// What to capture.
#[derive(Clone, PartialEq, Eq, Default, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CaptureRequest {
    /// Names of interfaces.
    pub interfaces: Vec<String>,
    /// Capture filter in the language of tcpdump; empty for everything.
    #[serde(default)]
    pub filter: String,
    /// Whether to take packets for other machines too.
    #[serde(default)]
    pub promiscuous: bool,
}

/// Start with these settings, or stop.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, ToSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub(crate) enum CaptureCommand {
    /// Start, or change what is captured.
    Start(CaptureRequest),
    /// Stop.
    Stop,
}

/// What is wrong with a filter, and where.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, ToSchema)]
pub struct FilterProblem {
    /// What is wrong.
    pub message: String,
    /// Where, in characters from 1; `None` where it is not known.
    pub column: Option<u32>,
}

/// The answer to a check of a filter.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, ToSchema)]
pub(crate) struct FilterCheck {
    /// Whether it can be used.
    pub ok: bool,
    /// What is wrong with it.
    pub problem: Option<FilterProblem>,
}

impl From<Result<(), FilterProblem>> for FilterCheck {
    fn from(result: Result<(), FilterProblem>) -> Self {
        Self { ok: result.is_ok(), problem: result.err() }
    }
}

/// A capture filter.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CheckParams {
    /// The filter, in the language of tcpdump.
    filter: String,
}

/// What can be captured from
#[utoipa::path(
    get, path = "/interfaces", tag = "capture", responses((status = OK, body = Vec<Interface>))
)]
pub(super) async fn interfaces(
    State(app): State<Arc<App>>,
) -> Result<Json<Vec<Interface>>, Problem> {
    let found = app.ask(Backend::interfaces).await?;
    found.map(Json).map_err(|error| Problem::internal(&error))
}

/// Whether packets are being captured, and from where
#[utoipa::path(get, path = "/capture", tag = "capture", responses((status = OK, body = CaptureStatus)))]
pub(super) async fn capture(State(app): State<Arc<App>>) -> Json<CaptureStatus> {
    Json(app.backend.capture_status())
}

/// Starts, changes or stops the capture
#[utoipa::path(
    put, path = "/capture", tag = "capture", request_body = CaptureCommand,
    responses(
        (status = OK, body = CaptureStatus),
        (status = UNPROCESSABLE_ENTITY, description = "A wrong filter, with its place", body = Problem),
        (status = CONFLICT, description = "Not permitted here", body = Problem),
    )
)]
pub(super) async fn set_capture(
    State(app): State<Arc<App>>,
    body: Result<Json<CaptureCommand>, JsonRejection>,
) -> Result<Json<CaptureStatus>, Problem> {
    let Json(command) = body?;
    if let CaptureCommand::Start(request) = &command {
        if request.interfaces.is_empty() {
            return Err(Problem::invalid("interfaces", "choose at least one interface"));
        }
        if request.interfaces.len() > MAX_INTERFACES {
            return Err(Problem::invalid(
                "interfaces",
                format!("choose at most {MAX_INTERFACES} interfaces, or `any`"),
            ));
        }
        check_length(&request.filter).map_err(Problem::filter)?;
    }
    let done = app.ask(move |backend| match &command {
        CaptureCommand::Start(request) => backend.start_capture(request),
        CaptureCommand::Stop => backend.stop_capture(),
    });
    done.await?.map_err(|problem| match problem {
        CaptureProblem::Filter(problem) => Problem::filter(problem),
        CaptureProblem::Request(message) => Problem::invalid("interfaces", message),
        CaptureProblem::Permission(message) => Problem::conflict(message),
        CaptureProblem::Failed(error) => Problem::internal(&error),
    })?;
    Ok(Json(app.backend.capture_status()))
}

/// Checks a capture filter without using it
#[utoipa::path(
    get, path = "/capture/check", operation_id = "check_capture_filter", tag = "capture",
    params(CheckParams),
    responses((status = OK, body = FilterCheck))
)]
pub(super) async fn check(
    State(app): State<Arc<App>>,
    params: Result<Query<CheckParams>, QueryRejection>,
) -> Result<Json<FilterCheck>, Problem> {
    let Query(CheckParams { filter }) = params?;
    if let Err(problem) = check_length(&filter) {
        return Ok(Json(Err(problem).into()));
    }
    let result = app.ask(move |backend| backend.check_filter(&filter)).await?;
    Ok(Json(result.into()))
}

fn check_length(filter: &str) -> Result<(), FilterProblem> {
    if filter.len() <= MAX_CAPTURE_FILTER {
        return Ok(());
    }
    let message = format!("the capture filter is longer than {MAX_CAPTURE_FILTER} bytes");
    Err(FilterProblem { message, column: None })
}

/// Longest capture filter: the compiler of the language recurses.
const MAX_CAPTURE_FILTER: usize = 4_096;
/// Interfaces that can be captured from at once.
const MAX_INTERFACES: usize = 32;
