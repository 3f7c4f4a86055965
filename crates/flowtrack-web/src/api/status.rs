//! `/status` and `/version`: what runs here.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    App,
    capture::CaptureStatus,
    health::HealthState,
    snapshot::{Evicted, Totals},
};

/// The program in a few numbers.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(crate) struct Status {
    version: Version,
    capture: CaptureStatus,
    /// The worst state of any part.
    health: HealthState,
    /// Counts up with each snapshot.
    revision: u64,
    /// Packet time of the snapshot, seconds since the epoch.
    at: i64,
    flows_active: u64,
    totals: Totals,
    evicted: Evicted,
    /// Dashboards that are open.
    live_clients: usize,
}

/// Which program this is.
#[allow(clippy::struct_field_names)] // the name that clients see
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(crate) struct Version {
    /// `FlowTrack`.
    name: &'static str,
    /// Version of the program.
    version: &'static str,
    /// Version of the API.
    api: &'static str,
}

const VERSION: Version =
    Version { name: "FlowTrack", version: env!("CARGO_PKG_VERSION"), api: "v1" };

/// What runs here, in a few numbers
#[utoipa::path(get, path = "/status", tag = "system", responses((status = OK, body = Status)))]
pub(super) async fn status(State(app): State<Arc<App>>) -> Json<Status> {
    let snapshot = app.backend.snapshot();
    Json(Status {
        version: VERSION,
        capture: app.backend.capture_status(),
        health: app.backend.health().worst(),
        revision: snapshot.revision,
        at: snapshot.at,
        flows_active: snapshot.flows_active,
        totals: (&snapshot.totals).into(),
        evicted: (&snapshot.evicted).into(),
        live_clients: app.config.max_live_clients - app.live_slots.available_permits(),
    })
}

/// Which program and API this is
#[utoipa::path(get, path = "/version", tag = "system", responses((status = OK, body = Version)))]
pub(super) async fn version() -> Json<Version> {
    Json(VERSION)
}
