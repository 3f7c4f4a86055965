//! `/login`, `/logout` and new one-time links.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State, rejection::JsonRejection, rejection::QueryRejection},
    http::{HeaderMap, Method, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{App, Problem};

/// What signs a browser in.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Login {
    /// The token of a one-time link, or the API token.
    token: String,
}

/// A link that signs one browser in, once.
#[derive(Serialize, ToSchema)]
pub(crate) struct Link {
    /// To be appended to the dashboard's address.
    path: String,
}

/// `/login?token=…`, the address that FlowTrack prints: signs in and shows the dashboard.
pub(super) async fn follow_link(
    State(app): State<Arc<App>>,
    method: Method,
    query: Result<Query<Login>, QueryRejection>,
) -> Result<Response, Problem> {
    // Link checkers ask with HEAD; that must not use the link up.
    if method != Method::GET {
        return Err(Problem::wrong_method());
    }
    let Ok(Query(Login { token })) = query else {
        return Ok(Redirect::to("/").into_response());
    };
    Ok(match app.auth.login(&token).map_err(|e| Problem::internal(&e))? {
        Some(cookie) => {
            (AppendHeaders([(header::SET_COOKIE, cookie)]), Redirect::to("/")).into_response()
        }
        // The application tells the user; it may even be signed in already.
        None => Redirect::to("/?link=used").into_response(),
    })
}

/// Signs a browser in with a one-time token or the API token
#[utoipa::path(
    post, path = "/login", tag = "session", request_body = Login, security(()),
    responses((status = NO_CONTENT), (status = UNAUTHORIZED, body = Problem))
)]
pub(super) async fn login(
    State(app): State<Arc<App>>,
    body: Result<Json<Login>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(Login { token }) = body?;
    match app.auth.login(token.trim()).map_err(|e| Problem::internal(&e))? {
        Some(cookie) => {
            Ok((StatusCode::NO_CONTENT, AppendHeaders([(header::SET_COOKIE, cookie)]))
                .into_response())
        }
        None => Err(Problem::unauthorized()),
    }
}

/// Signs the asking browser out
#[utoipa::path(post, path = "/logout", tag = "session", responses((status = NO_CONTENT)))]
pub(super) async fn logout(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let cookie = app.auth.logout(&headers);
    (StatusCode::NO_CONTENT, AppendHeaders([(header::SET_COOKIE, cookie)])).into_response()
}

/// Makes a link that signs another browser in, once
#[utoipa::path(post, path = "/links", tag = "session", responses((status = OK, body = Link)))]
pub(super) async fn new_link(State(app): State<Arc<App>>) -> Result<Json<Link>, Problem> {
    let token = app.auth.new_link().map_err(|e| Problem::internal(&e))?;
    Ok(Json(Link { path: format!("/login?token={token}") }))
}
