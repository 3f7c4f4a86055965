//! The built single-page application, embedded in the program.
//!
//! An asset is looked up in a table that was made at build time, never on disk, so there is no
//! path to traverse.

use axum::{
    http::{StatusCode, Uri, header},
    response::{Html, IntoResponse, Response},
};
use rust_embed::RustEmbed;

use crate::api::Problem;

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Dist;

/// Serves a file of the application; addresses of its pages get the application itself.
pub(crate) async fn serve(uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    if let Some(file) = Dist::get(path) {
        return ([(header::CONTENT_TYPE, content_type(path))], file.data).into_response();
    }
    // Pages have plain names; anything with a dot, a percent sign or a deeper path was meant to
    // be a file.
    let is_page = path.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    if !is_page {
        return Problem::not_found("there is nothing at this address").into_response();
    }
    match Dist::get("index.html") {
        Some(file) => {
            ([(header::CONTENT_TYPE, content_type("index.html"))], file.data).into_response()
        }
        None => (StatusCode::SERVICE_UNAVAILABLE, Html(NOT_BUILT)).into_response(),
    }
}

/// The kinds of files that the build makes; nothing is guessed.
fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("webmanifest") => "application/manifest+json",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

const NOT_BUILT: &str = "<!doctype html><meta charset=utf-8><title>FlowTrack</title>\
<h1>The dashboard is not in this program</h1>\
<p>It was built without the web application. Run <code>make web</code>, then build FlowTrack \
again. The API under <code>/api/v1</code> works.";
