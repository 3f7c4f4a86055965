//! `/live`: what changed, pushed once a second as server-sent events.

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderName, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use utoipa::{IntoParams, ToSchema};

use super::{
    App, Problem,
    capture::CaptureStatus,
    filter,
    flows::{Flow, FlowSort, MAX_ROWS, Order},
    health::Health,
    snapshot::{Evicted, Host, Protocol, RatePoint, Totals},
};
use crate::live::{self, FlowFeed};

/// Data of the events `state` and `tick`.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(crate) struct LiveState {
    /// Counts up by one with each snapshot; also the id of the event.
    pub revision: u64,
    /// Packet time, seconds since the epoch.
    pub at: i64,
    /// `state`: all seconds, at most five minutes, oldest first. `tick`: those that are new or
    /// have changed.
    pub seconds: Vec<RatePoint>,
    /// Protocols of those five minutes by bytes, largest first.
    pub protocols: Vec<Protocol>,
    /// Hosts by bytes, largest first, at most 100.
    pub hosts: Vec<Host>,
    /// Flows tracked now.
    pub flows_active: u64,
    pub totals: Totals,
    pub evicted: Evicted,
    pub capture: CaptureStatus,
    pub health: Health,
}

/// Data of the event `flows`.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(crate) struct LiveFlows {
    /// The snapshot they are from.
    pub revision: u64,
    /// How many flows the filter matches; `order` may name fewer.
    pub matched: usize,
    /// The flows in the order that was asked for, by `Flow.id`.
    pub order: Vec<String>,
    /// Those of them that are new to this client or have changed.
    pub rows: Vec<Flow>,
}

/// Which flows are wanted with the live state.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LiveParams {
    /// Flows at most, up to 1000; none where not given.
    #[serde(default)]
    flows: usize,
    /// Filter expression for the flows; empty for all.
    #[serde(default)]
    filter: String,
    /// By what to sort the flows.
    #[param(inline)]
    #[serde(default)]
    sort: FlowSort,
    /// Which flow comes first.
    #[param(inline)]
    #[serde(default)]
    order: Order,
}

/// Live updates as server-sent events
///
/// First `state` with everything, then about once a second `tick` with what changed, each
/// followed by `flows` if flows were asked for, and by `alerts` (`LiveAlerts`) if alerts changed. `ping` when nothing happens for five seconds. A
/// client that is too slow misses ticks and then gets a `state`.
#[utoipa::path(
    get, path = "/live", tag = "live", params(LiveParams),
    responses(
        (status = OK, body = LiveState, content_type = "text/event-stream"),
        (status = UNPROCESSABLE_ENTITY, description = "A wrong filter, with its place", body = Problem),
        (status = SERVICE_UNAVAILABLE, description = "Too many dashboards are open", body = Problem),
    )
)]
pub(super) async fn live(
    State(app): State<Arc<App>>,
    params: Result<Query<LiveParams>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(params) = params?;
    let feed = (params.flows > 0)
        .then(|| filter::parse(&params.filter))
        .transpose()?
        .map(|f| FlowFeed::new(f, params.sort, params.order, params.flows.min(MAX_ROWS)));
    let slot = Arc::clone(&app.live_slots)
        .try_acquire_owned()
        .map_err(|_| Problem::busy("too many dashboards are open; close one"))?;
    // One event waits while another is on its way; a slower client gets the next snapshot instead.
    let (out, body) = mpsc::channel::<Bytes>(1);
    tokio::spawn(async move {
        live::feed(&app, feed, out).await;
        drop(slot);
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    let events = ReceiverStream::new(body).map(Ok::<_, Infallible>);
    Ok((headers, Body::from_stream(events)).into_response())
}
