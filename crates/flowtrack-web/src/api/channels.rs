//! `/channels`: the ways to people, and whether they work.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{App, Problem};

/// One way to a person, such as a mail box or a chat. Never has what is secret of it.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, ToSchema)]
pub struct ChannelStatus {
    /// Its name.
    pub name: String,
    /// What it is, such as `email` or `slack`.
    pub kind: String,
    /// Where messages go.
    pub destination: String,
    /// Whether the last message arrived.
    pub state: ChannelState,
    /// Why the last message did not arrive.
    pub problem: Option<String>,
    /// When the last message arrived, in microseconds since 1970.
    pub delivered_at_us: Option<i64>,
    /// When it is tried again, in microseconds since 1970.
    pub retry_at_us: Option<i64>,
    /// Alerts that arrived, since the start.
    pub delivered: u64,
    /// Alerts that were refused for good.
    pub failed: u64,
    /// Alerts that were given up, for want of room or because they got too old.
    pub dropped: u64,
    /// Repetitions that were not told.
    pub suppressed: u64,
    /// Alerts that wait.
    pub waiting: u64,
}

/// Whether a channel works.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChannelState {
    /// Nothing was sent yet.
    #[default]
    Unused,
    /// The last message arrived.
    Ok,
    /// The last message did not arrive; it is sent again.
    Retrying,
    /// The last message was refused for good.
    Failed,
}

/// What became of a test.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(crate) struct ChannelTest {
    /// Whether it arrived.
    delivered: bool,
    /// Why not.
    problem: Option<String>,
}

/// The ways to people, and whether they work
#[utoipa::path(
    get, path = "/channels", tag = "channels", responses((status = OK, body = Vec<ChannelStatus>))
)]
pub(super) async fn channels(State(app): State<Arc<App>>) -> Json<Vec<ChannelStatus>> {
    Json(app.backend.channels())
}

/// Sends a test message and waits for what becomes of it
#[utoipa::path(
    post, path = "/channels/{name}/test", operation_id = "test_channel", tag = "channels",
    params(("name" = String, Path, description = "Name of the channel")),
    responses(
        (status = OK, body = ChannelTest),
        (status = NOT_FOUND, description = "There is no such channel", body = Problem),
    )
)]
pub(super) async fn test(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<ChannelTest>, Problem> {
    let Path(name) = name?;
    match app.ask(move |backend| backend.test_channel(&name)).await? {
        None => Err(Problem::not_found("there is no channel of this name")),
        Some(Ok(())) => Ok(Json(ChannelTest { delivered: true, problem: None })),
        Some(Err(problem)) => Ok(Json(ChannelTest { delivered: false, problem: Some(problem) })),
    }
}
