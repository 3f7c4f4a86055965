//! `/health`: how each part of the program is.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::App;

/// How the program is, part by part.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, ToSchema)]
pub struct Health {
    /// The parts, in the order in which they are shown.
    pub parts: Vec<HealthPart>,
}

impl Health {
    /// The worst state of any part.
    pub fn worst(&self) -> HealthState {
        self.parts.iter().map(|part| part.state).max().unwrap_or_default()
    }
}

/// One part: a capture, the store, an output.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct HealthPart {
    /// What it is called, such as `store`.
    pub name: String,
    /// How it is.
    pub state: HealthState,
    /// What that means for the user, and what to do; empty where nothing is to be said.
    pub message: String,
}

/// How a part is, from best to worst.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// Not in use.
    #[default]
    Off,
    /// As it should be.
    Ok,
    /// It works, but something was lost or will be.
    Degraded,
    /// It does not work.
    Failed,
}

/// How each part of the program is
#[utoipa::path(get, path = "/health", tag = "system", responses((status = OK, body = Health)))]
pub(super) async fn health(State(app): State<Arc<App>>) -> Json<Health> {
    Json(app.backend.health())
}
