//! `/alerts`: what signatures and detectors found, and how far people have come with it.

use std::sync::Arc;

use axum::{
    Json,
    extract::{
        Path, Query, State,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
};
use flowtrack_detect::alerts::{AlertFilter, AlertKind, AlertRecord, AlertState};
use flowtrack_event::{Evidence, Severity};
use flowtrack_store::{
    history::{AlertQuery, AlertSort},
    proto_name,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{App, Problem, capture::FilterProblem, flows::Order};
use crate::desk::AlertNews;

/// One alert, with all its repeats.
///
/// Texts come from rules and from the wire and can hold anything.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(crate) struct Alert {
    /// Its number.
    id: u64,
    /// What raised it.
    kind: Kind,
    /// Generator of the rule; 1000 for detectors.
    gid: u32,
    /// Number of the signature, or of detector and kind.
    sid: u32,
    /// Name of the rule: its message, or detector and kind such as `port_scan/vertical`.
    name: String,
    /// The highest that it had.
    severity: Level,
    /// What kind of trouble.
    category: String,
    /// What the attacker does, where that is known.
    technique: Option<Technique>,
    /// One line for a person.
    title: String,
    /// What it means and what to do next.
    explanation: String,
    /// Who does it; `null` for many, or where nobody knows.
    src_ip: Option<String>,
    /// Whom it is done to.
    dest_ip: Option<String>,
    /// The service.
    dest_port: Option<u16>,
    /// Transport protocol, such as `TCP`.
    proto: Option<String>,
    /// When it began, microseconds since the epoch.
    first_us: i64,
    /// When it was seen last, microseconds since the epoch.
    last_us: i64,
    /// Reports folded into it, itself included.
    count: u64,
    /// What these reports stand for: packets, connections or failures as evidence says.
    occurrences: u64,
    /// Whether it stands for many hosts, because its rule reported too many to tell apart.
    many: bool,
    /// The numbers that prove it.
    evidence: Vec<Piece>,
    /// Some of its flows, as `Flow.id`, the newest last.
    flows: Vec<String>,
    /// Whether the source completed a handshake or answered, so that its address is not spoofed.
    source_proved: bool,
    /// How far a person has come with it.
    state: Progress,
    /// The mute that hides it.
    muted_by: Option<u64>,
    /// How often it came back after it was resolved.
    reopened: u32,
    /// What a person wrote about it.
    note: String,
}

/// What raised an alert.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = AlertKind)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A signature matched.
    Signature,
    /// A detector noticed behaviour.
    Behaviour,
}

/// How urgent an alert is, the least first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Severity)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// Worth knowing.
    Info,
    /// Worth a look some day.
    Low,
    /// Worth a look today.
    Medium,
    /// Worth a look now.
    High,
    /// An attack that succeeds, or stops a service.
    Critical,
}

impl From<Severity> for Level {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Info => Self::Info,
            Severity::Low => Self::Low,
            Severity::Medium => Self::Medium,
            Severity::High => Self::High,
            Severity::Critical => Self::Critical,
        }
    }
}

impl From<Level> for Severity {
    fn from(level: Level) -> Self {
        match level {
            Level::Info => Self::Info,
            Level::Low => Self::Low,
            Level::Medium => Self::Medium,
            Level::High => Self::High,
            Level::Critical => Self::Critical,
        }
    }
}

/// How far a person has come with an alert.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = AlertState)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Progress {
    /// Nobody has looked at it.
    New,
    /// Somebody knows of it.
    Seen,
    /// It is dealt with; the next repeat makes it new again.
    Resolved,
    /// A mute hides it.
    Muted,
}

impl From<AlertState> for Progress {
    fn from(state: AlertState) -> Self {
        match state {
            AlertState::New => Self::New,
            AlertState::Seen => Self::Seen,
            AlertState::Resolved => Self::Resolved,
            AlertState::Muted => Self::Muted,
        }
    }
}

impl From<Progress> for AlertState {
    fn from(state: Progress) -> Self {
        match state {
            Progress::New => Self::New,
            Progress::Seen => Self::Seen,
            Progress::Resolved => Self::Resolved,
            Progress::Muted => Self::Muted,
        }
    }
}

/// A technique of MITRE ATT&CK.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(crate) struct Technique {
    /// Identifier, such as `T1046`.
    id: String,
    /// Name; may be empty.
    name: String,
}

/// One piece of evidence.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
#[schema(as = Evidence)]
pub(crate) struct Piece {
    /// What it is.
    name: String,
    /// A number, a text, or a list of texts.
    value: PieceValue,
}

/// What a piece of evidence says.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
#[schema(as = EvidenceValue)]
#[serde(untagged)]
pub(crate) enum PieceValue {
    /// How much or how many.
    Number(f64),
    /// What.
    Text(String),
    /// Which ones.
    List(Vec<String>),
}

impl From<&AlertRecord> for Alert {
    fn from(a: &AlertRecord) -> Self {
        let piece = |(name, value): &(std::borrow::Cow<'static, str>, Evidence)| Piece {
            name: name.to_string(),
            value: match value {
                Evidence::Count(count) => PieceValue::Number(*count as f64),
                Evidence::Number(number) => PieceValue::Number(*number),
                Evidence::Text(text) => PieceValue::Text(text.clone()),
                Evidence::List(list) => PieceValue::List(list.clone()),
            },
        };
        Self {
            id: a.id,
            kind: match a.kind {
                AlertKind::Signature => Kind::Signature,
                AlertKind::Behaviour => Kind::Behaviour,
            },
            gid: a.rule.gid,
            sid: a.rule.sid,
            name: a.name.to_string(),
            severity: a.severity.into(),
            category: a.category.to_string(),
            technique: a.technique.as_ref().map(|technique| Technique {
                id: technique.id.to_string(),
                name: technique.name.to_string(),
            }),
            title: a.title.to_string(),
            explanation: a.explanation.to_string(),
            src_ip: a.source.map(|address| address.to_string()),
            dest_ip: a.target.map(|address| address.to_string()),
            dest_port: a.port,
            proto: a.proto.map(|proto| proto_name(proto).into_owned()),
            first_us: a.first_seen.micros(),
            last_us: a.last_seen.micros(),
            count: a.count,
            occurrences: a.occurrences,
            many: a.many,
            evidence: a.evidence.iter().map(piece).collect(),
            flows: a.flows.iter().map(ToString::to_string).collect(),
            source_proved: a.source_proved,
            state: a.state.into(),
            muted_by: a.muted_by,
            reopened: a.reopened,
            note: a.note.to_string(),
        }
    }
}

/// By what alerts are sorted.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Sort {
    /// When it was seen last.
    #[default]
    Last,
    /// When it began.
    First,
    /// Severity, and when it was seen last.
    Severity,
    /// Reports folded into it.
    Count,
}

/// Which alerts are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AlertParams {
    /// Terms side by side, all of which must hold: `severity=high`, `state=new,seen`,
    /// `kind=behaviour`, `rule=port_scan`, `category=…`, `technique=T1046`, `source=10.0.0.0/8`,
    /// `target=…`, `host=…`, `port=22`, an address, or letters of the title; empty for all.
    #[serde(default)]
    filter: String,
    /// By what to sort.
    #[param(inline)]
    #[serde(default)]
    sort: Sort,
    /// Which comes first.
    #[param(inline)]
    #[serde(default)]
    order: Order,
    /// How many at most, up to 1000; 100 where not given.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Only alerts seen then or later, microseconds since the epoch.
    since_us: Option<i64>,
    /// Only alerts that began before, microseconds since the epoch.
    until_us: Option<i64>,
}

/// A part of the alerts that were asked for.
#[derive(Serialize, ToSchema)]
pub(crate) struct AlertPage {
    /// The alerts.
    rows: Vec<Alert>,
    /// What to give as `cursor` for those that follow; `null` on the last page.
    next: Option<String>,
}

/// What a person says of alerts.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AlertUpdate {
    /// Which.
    ids: Vec<u64>,
    /// How far a person has come with them: `new`, `seen` or `resolved`; `muted` comes of a mute.
    state: Option<Progress>,
    /// What a person writes about them, at most 2000 bytes.
    note: Option<String>,
}

/// What became of an update.
#[derive(Serialize, ToSchema)]
pub(crate) struct AlertsUpdated {
    /// Alerts that there are of those named.
    found: usize,
}

/// Data of the event `alerts` of the live stream.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(crate) struct LiveAlerts {
    /// Counts up with each change.
    revision: u64,
    /// Open alerts that nobody has looked at.
    unseen: Unseen,
    /// Alerts that are new to this client or have changed, oldest change first; none at first.
    rows: Vec<Alert>,
}

/// Numbers of alerts by severity.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, ToSchema)]
#[schema(as = BySeverity)]
pub(crate) struct Unseen {
    info: u64,
    low: u64,
    medium: u64,
    high: u64,
    critical: u64,
}

impl From<[u64; 5]> for Unseen {
    fn from([info, low, medium, high, critical]: [u64; 5]) -> Self {
        Self { info, low, medium, high, critical }
    }
}

impl LiveAlerts {
    /// What a client that has `since` must be told; at first, only numbers.
    pub fn after(news: &AlertNews, since: Option<u64>) -> Self {
        let rows = news.changed.iter().filter(|(revision, _)| since.is_some_and(|s| *revision > s));
        Self {
            revision: news.revision,
            unseen: news.unseen.into(),
            rows: rows.map(|(_, alert)| Alert::from(&**alert)).collect(),
        }
    }
}

/// Alerts, the newest first unless asked otherwise
#[utoipa::path(
    get, path = "/alerts", tag = "alerts", params(AlertParams),
    responses(
        (status = OK, body = AlertPage),
        (status = UNPROCESSABLE_ENTITY, description = "A wrong filter, with its place", body = Problem),
    )
)]
pub(super) async fn alerts(
    State(app): State<Arc<App>>,
    params: Result<Query<AlertParams>, QueryRejection>,
) -> Result<Json<AlertPage>, Problem> {
    let Query(params) = params?;
    let cursor = params.cursor.as_deref().map(str::parse).transpose();
    let query = AlertQuery {
        since_us: params.since_us,
        until_us: params.until_us,
        filter: parse_filter(&params.filter)?,
        sort: match params.sort {
            Sort::Last => AlertSort::Last,
            Sort::First => AlertSort::First,
            Sort::Severity => AlertSort::Severity,
            Sort::Count => AlertSort::Count,
        },
        descending: params.order == Order::Desc,
        limit: params.limit.unwrap_or(100).clamp(1, super::flows::MAX_ROWS),
        after: cursor.map_err(|_| Problem::invalid("cursor", "this is no cursor of ours"))?,
    };
    let page = app.ask(move |backend| backend.alerts().page(&query)).await?;
    let page = page.map_err(|error| Problem::history(&error))?;
    Ok(Json(AlertPage {
        rows: page.rows.iter().map(Into::into).collect(),
        next: page.next.map(|cursor| cursor.to_string()),
    }))
}

/// One alert
#[utoipa::path(
    get, path = "/alerts/{id}", tag = "alerts", params(("id" = u64, description = "`Alert.id`")),
    responses((status = OK, body = Alert), (status = NOT_FOUND, body = Problem))
)]
pub(super) async fn alert(
    State(app): State<Arc<App>>,
    id: Result<Path<u64>, PathRejection>,
) -> Result<Json<Alert>, Problem> {
    let Path(id) = id?;
    let found = app.ask(move |backend| backend.alerts().get(id)).await?;
    let found = found.map_err(|error| Problem::history(&error))?;
    found
        .as_ref()
        .map(|alert| Json(alert.into()))
        .ok_or_else(|| Problem::not_found("there is no such alert; it may be too old to be kept"))
}

/// Says how far a person has come with alerts, or what there is to know of them
#[utoipa::path(
    put, path = "/alerts", tag = "alerts", request_body = AlertUpdate,
    responses((status = OK, body = AlertsUpdated), (status = UNPROCESSABLE_ENTITY, body = Problem))
)]
pub(super) async fn set_alerts(
    State(app): State<Arc<App>>,
    body: Result<Json<AlertUpdate>, JsonRejection>,
) -> Result<Json<AlertsUpdated>, Problem> {
    let Json(AlertUpdate { ids, state, note }) = body?;
    if state == Some(Progress::Muted) {
        return Err(Problem::invalid("state", "alerts are muted by a mute, which has an end"));
    }
    if note.as_ref().is_some_and(|note| note.len() > AlertRecord::NOTE) {
        return Err(Problem::invalid("note", "a note has at most 2000 bytes"));
    }
    if ids.len() > MAX_UPDATE {
        return Err(Problem::invalid("ids", format!("name at most {MAX_UPDATE} alerts at once")));
    }
    let done =
        app.ask(move |backend| backend.alerts().set(&ids, state.map(Into::into), note.as_deref()));
    let found = done.await?.map_err(|error| Problem::history(&error))?;
    Ok(Json(AlertsUpdated { found }))
}

/// A filter over alerts, or what is wrong with it and where.
pub(super) fn parse_filter(text: &str) -> Result<AlertFilter, Problem> {
    AlertFilter::parse(text).map_err(|wrong| {
        let column = u32::try_from(wrong.column).ok();
        Problem::filter(FilterProblem { message: wrong.message, column })
    })
}

/// Alerts that are changed at once.
const MAX_UPDATE: usize = 1_000;
