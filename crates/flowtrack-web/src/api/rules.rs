//! `/rules`: the signatures that traffic is judged by.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::{App, Problem};
use crate::backend::Backend;

/// How the signatures are.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, ToSchema)]
pub struct RulesStatus {
    /// Rules that traffic is judged by.
    pub loaded: u64,
    /// Rules that could not be understood; `flowtrack rules check` lists them.
    pub wrong: u64,
    /// When they were loaded, in microseconds since 1970; `None` where there are none.
    pub loaded_at_us: Option<i64>,
    /// Why the last attempt to load them failed; those before are in force.
    pub problem: Option<String>,
}

/// How the signatures are
#[utoipa::path(get, path = "/rules", tag = "rules", responses((status = OK, body = RulesStatus)))]
pub(super) async fn rules(State(app): State<Arc<App>>) -> Result<Json<RulesStatus>, Problem> {
    Ok(Json(app.ask(Backend::rules).await?))
}

/// Loads the signatures again from their files; no packet is lost meanwhile
#[utoipa::path(
    post, path = "/rules/reload", operation_id = "reload_rules", tag = "rules",
    responses((status = OK, description = "How they are now", body = RulesStatus))
)]
pub(super) async fn reload(State(app): State<Arc<App>>) -> Result<Json<RulesStatus>, Problem> {
    Ok(Json(app.ask(Backend::reload_rules).await?))
}
