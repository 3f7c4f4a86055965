//! The REST interface under `/api/v1`, one file per resource.
//!
//! What crosses the border is declared here and nowhere else: these types are what
//! `/api/v1/openapi.json` describes, and the front end's client is generated from that.

// The macros of utoipa write out whole paths.
#![allow(unused_qualifications)]

pub(crate) mod alerts;
pub(crate) mod blocks;
pub(crate) mod capture;
pub(crate) mod channels;
pub(crate) mod encryption;
pub(crate) mod export;
pub(crate) mod filter;
pub(crate) mod flows;
pub(crate) mod health;
pub(crate) mod live;
mod mutes;
mod problem;
pub(crate) mod rules;
pub(crate) mod series;
pub(crate) mod session;
pub(crate) mod snapshot;
mod status;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    middleware,
    routing::get,
};
use tokio::sync::{Semaphore, watch};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Components,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use problem::Problem;

use crate::{
    assets,
    auth::Auth,
    backend::Backend,
    config::WebConfig,
    guard::{self, Hosts, Rates},
    live::Frame,
};

/// What every handler can reach.
pub(crate) struct App {
    pub config: WebConfig,
    pub backend: Arc<dyn Backend>,
    pub auth: Auth,
    pub hosts: Hosts,
    pub rates: Rates,
    /// What the live clients see, published about once a second.
    pub frames: watch::Sender<Arc<Frame>>,
    pub live_slots: Arc<Semaphore>,
    pub stopped: watch::Receiver<bool>,
    queries: Arc<Semaphore>,
    exports: Arc<Semaphore>,
    openapi: utoipa::openapi::OpenApi,
}

impl App {
    pub fn new(
        config: WebConfig,
        backend: Arc<dyn Backend>,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        let frame = Arc::new(Frame::first(&*backend));
        Self {
            auth: Auth::new(config.api_token.clone(), config.listen),
            hosts: Hosts::new(&config),
            rates: Rates::new(config.requests_per_second),
            frames: watch::channel(frame).0,
            live_slots: Arc::new(Semaphore::new(config.max_live_clients)),
            stopped,
            queries: Arc::new(Semaphore::new(MAX_QUERIES)),
            exports: Arc::new(Semaphore::new(MAX_EXPORTS)),
            openapi: openapi(),
            config,
            backend,
        }
    }

    /// Asks the backend something that may wait, on a thread that may wait.
    ///
    /// The place is kept until the backend has answered, not until the client has lost patience,
    /// so impatient clients cannot pile up work.
    pub async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&dyn Backend) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let slot = Arc::clone(&self.queries).acquire_owned().await.map_err(|_| Problem::slow())?;
        let app = Arc::clone(self);
        let task = tokio::task::spawn_blocking(move || {
            let answer = question(&*app.backend);
            drop(slot);
            answer
        });
        task.await.map_err(|error| Problem::internal(&anyhow::anyhow!(error)))
    }
}

/// All routes: the API, the login link, the application.
pub(crate) fn router(app: Arc<App>) -> Router {
    let (api, _) = described().split_for_parts();
    api.route("/api/v1/openapi.json", get(openapi_json))
        .route("/api/{*rest}", axum::routing::any(no_such_resource))
        .route("/login", get(session::follow_link))
        .fallback_service(get(assets::serve))
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), guard::guard))
        .with_state(app)
}

/// The description of the API.
pub fn openapi() -> utoipa::openapi::OpenApi {
    described().into_openapi()
}

/// Handlers and their description; a new resource is one line here.
fn described() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(ApiDoc::openapi()).nest(
        "/api/v1",
        OpenApiRouter::new()
            .routes(routes!(status::status))
            .routes(routes!(status::version))
            .routes(routes!(health::health))
            .routes(routes!(session::login))
            .routes(routes!(session::logout))
            .routes(routes!(session::new_link))
            .routes(routes!(capture::interfaces))
            .routes(routes!(capture::capture, capture::set_capture))
            .routes(routes!(capture::check))
            .routes(routes!(channels::channels))
            .routes(routes!(channels::test))
            .routes(routes!(rules::rules))
            .routes(routes!(rules::reload))
            .routes(routes!(blocks::blocks, blocks::add, blocks::remove))
            .routes(routes!(blocks::confirm))
            .routes(routes!(blocks::preview))
            .routes(routes!(snapshot::snapshot))
            .routes(routes!(snapshot::hosts))
            .routes(routes!(snapshot::protocols))
            .routes(routes!(encryption::encryption))
            .routes(routes!(flows::flows))
            .routes(routes!(flows::flow))
            .routes(routes!(series::series))
            .routes(routes!(filter::check))
            .routes(routes!(filter::complete))
            .routes(routes!(export::flows_csv))
            .routes(routes!(export::flows_json))
            .routes(routes!(export::alerts_csv))
            .routes(routes!(export::alerts_json))
            .routes(routes!(export::packets_pcap))
            .routes(routes!(export::packets_pcapng))
            .routes(routes!(live::live))
            .routes(routes!(alerts::alerts, alerts::set_alerts))
            .routes(routes!(alerts::alert))
            .routes(routes!(mutes::mutes, mutes::add_mute))
            .routes(routes!(mutes::delete_mute))
            .routes(routes!(mutes::preview)),
    )
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "FlowTrack",
        description = "Every flow on the network: live, in history, as exports.",
        license(name = "MIT", identifier = "MIT")
    ),
    modifiers(&Security),
    security(("session" = []), ("token" = [])),
    components(schemas(live::LiveState, live::LiveFlows, alerts::LiveAlerts))
)]
struct ApiDoc;

struct Security;

impl Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{ApiKey, ApiKeyValue};
        let components = openapi.components.get_or_insert_with(Components::new);
        let cookie = ApiKeyValue::with_description(
            "flowtrack_<port>",
            "Set when a browser opens the one-time link.",
        );
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The token of `web.api_token`."));
        components.add_security_scheme("token", SecurityScheme::Http(bearer.build()));
    }
}

async fn openapi_json(State(app): State<Arc<App>>) -> Json<utoipa::openapi::OpenApi> {
    Json(app.openapi.clone())
}

async fn no_such_resource() -> Problem {
    Problem::not_found("the API has nothing at this address; /api/v1/openapi.json lists it")
}

async fn wrong_method() -> Problem {
    Problem::wrong_method()
}

/// Longest body of a request.
const MAX_BODY: usize = 16 * 1024;
/// Questions that the backend works on at once.
const MAX_QUERIES: usize = 6;
/// Exports that run at once.
const MAX_EXPORTS: usize = 4;
