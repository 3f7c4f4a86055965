//! `/mutes`: alerts that people do not want to be told of, for a while.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Json,
    extract::{
        Path, State,
        rejection::{JsonRejection, PathRejection},
    },
    http::StatusCode,
};
use flowtrack_detect::alerts::{self, Scope, WrongMute};
use flowtrack_event::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    App, Problem,
    alerts::{Alert, Unseen},
};

/// A mute.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(crate) struct Mute {
    /// Its number.
    id: u64,
    /// Which rules: `*`, `1:2019284`, `port_scan`, `ET SCAN*`.
    rule: String,
    /// Who does it: `*`, an address or a network.
    source: String,
    /// Whom it is done to: `*`, an address or a network.
    target: String,
    /// The service: `*`, a port or a range.
    port: String,
    /// Why, in words.
    reason: String,
    /// When it was made, microseconds since the epoch.
    created_us: i64,
    /// From then on it hides nothing, microseconds since the epoch.
    until_us: i64,
    /// Reports that it hid.
    hidden: u64,
}

impl From<&alerts::Mute> for Mute {
    fn from(mute: &alerts::Mute) -> Self {
        Self {
            id: mute.id,
            rule: mute.scope.rule.to_string(),
            source: mute.scope.source.to_string(),
            target: mute.scope.target.to_string(),
            port: mute.scope.port.to_string(),
            reason: mute.reason.to_string(),
            created_us: mute.created.micros(),
            until_us: mute.until.micros(),
            hidden: mute.hidden,
        }
    }
}

/// What a new mute hides, until when, and why.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MuteRequest {
    /// Which rules: `1:2019284`, `port_scan`, `port_scan/*`, `ET SCAN*`; all where not given.
    #[serde(default)]
    rule: String,
    /// Who does it: an address, a network, `10.0.0.*`; anybody where not given.
    #[serde(default)]
    source: String,
    /// Whom it is done to; anybody where not given.
    #[serde(default)]
    target: String,
    /// The service: a port or a range; all where not given.
    #[serde(default)]
    port: String,
    /// Why, in words, at most 500 bytes.
    #[serde(default)]
    reason: String,
    /// Seconds for which it lasts; those of `alerts.mute_days` where not given.
    seconds: Option<u32>,
}

/// What a mute would have hidden of the past.
#[derive(Serialize, ToSchema)]
pub(crate) struct MutePreview {
    /// Alerts by severity.
    alerts: Unseen,
    /// Reports folded into these.
    reports: Unseen,
    /// Alerts of that time.
    examined: u64,
    /// Days that were looked at.
    days: u32,
    /// The newest of what it would have hidden, at most 20.
    examples: Vec<Alert>,
}

/// The mutes in force
#[utoipa::path(get, path = "/mutes", tag = "alerts", responses((status = OK, body = Vec<Mute>)))]
pub(super) async fn mutes(State(app): State<Arc<App>>) -> Result<Json<Vec<Mute>>, Problem> {
    let mutes = app.ask(|backend| backend.alerts().mutes()).await?;
    Ok(Json(mutes.iter().map(Into::into).collect()))
}

/// Mutes alerts for a while
#[utoipa::path(
    post, path = "/mutes", tag = "alerts", request_body = MuteRequest,
    responses((status = OK, body = Mute), (status = UNPROCESSABLE_ENTITY, body = Problem))
)]
pub(super) async fn add_mute(
    State(app): State<Arc<App>>,
    body: Result<Json<MuteRequest>, JsonRejection>,
) -> Result<Json<Mute>, Problem> {
    let Json(request) = body?;
    let scope = request.scope()?;
    if request.reason.len() > alerts::Mute::REASON {
        return Err(Problem::invalid("reason", "a reason has at most 500 bytes"));
    }
    let added = app.ask(move |backend| {
        let desk = backend.alerts();
        let created = now();
        let seconds = request.seconds.map_or_else(|| u64::from(desk.mute_days()) * DAY, u64::from);
        desk.add_mute(alerts::Mute {
            id: 0,
            scope,
            reason: request.reason.trim().into(),
            created,
            until: created.plus(Duration::from_secs(seconds)),
            hidden: 0,
        })
    });
    let added = added.await?.map_err(|wrong| match wrong {
        WrongMute::Everything => Problem::invalid("rule", wrong.to_string()),
        WrongMute::End => Problem::invalid("seconds", wrong.to_string()),
        WrongMute::TooMany => Problem::conflict(wrong.to_string()),
    })?;
    Ok(Json((&added).into()))
}

/// Takes a mute back; what it hid and still goes on is shown again
#[utoipa::path(
    delete, path = "/mutes/{id}", tag = "alerts", params(("id" = u64, description = "`Mute.id`")),
    responses((status = NO_CONTENT), (status = NOT_FOUND, body = Problem))
)]
pub(super) async fn delete_mute(
    State(app): State<Arc<App>>,
    id: Result<Path<u64>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(id) = id?;
    let found = app.ask(move |backend| backend.alerts().remove_mute(id)).await?;
    if found {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("there is no such mute; it may be over"))
    }
}

/// What a mute would have hidden of the last week, without making it
#[utoipa::path(
    post, path = "/mutes/preview", operation_id = "preview_mute", tag = "alerts",
    request_body = MuteRequest,
    responses((status = OK, body = MutePreview), (status = UNPROCESSABLE_ENTITY, body = Problem))
)]
pub(super) async fn preview(
    State(app): State<Arc<App>>,
    body: Result<Json<MuteRequest>, JsonRejection>,
) -> Result<Json<MutePreview>, Problem> {
    let Json(request) = body?;
    let scope = request.scope()?;
    let since = now().micros() - i64::from(PREVIEW_DAYS) * DAY.cast_signed() * 1_000_000;
    let preview = app.ask(move |backend| backend.alerts().preview(&scope, since)).await?;
    let preview = preview.map_err(|error| Problem::history(&error))?;
    Ok(Json(MutePreview {
        alerts: preview.alerts.into(),
        reports: preview.reports.into(),
        examined: preview.examined,
        days: PREVIEW_DAYS,
        examples: preview.examples.iter().map(Into::into).collect(),
    }))
}

impl MuteRequest {
    fn scope(&self) -> Result<Scope, Problem> {
        let wrong =
            |field| move |wrong: alerts::WrongPattern| Problem::invalid(field, wrong.to_string());
        Ok(Scope {
            rule: self.rule.parse().map_err(wrong("rule"))?,
            source: self.source.parse().map_err(wrong("source"))?,
            target: self.target.parse().map_err(wrong("target"))?,
            port: self.port.parse().map_err(wrong("port"))?,
        })
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Seconds of a day.
const DAY: u64 = 86_400;
/// Days that a preview looks back.
const PREVIEW_DAYS: u32 = 7;
