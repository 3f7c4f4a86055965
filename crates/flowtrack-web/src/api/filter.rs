//! `/filter`: checking and completing the query language.

use axum::{
    Json,
    extract::{Query, rejection::QueryRejection},
};
use flowtrack_filter::Filter;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Problem,
    capture::{FilterCheck, FilterProblem},
};

/// Reads a filter of a request.
pub(crate) fn parse(text: &str) -> Result<Filter, Problem> {
    read(text).map_err(Problem::filter)
}

fn read(text: &str) -> Result<Filter, FilterProblem> {
    Filter::parse(text).map_err(|error| {
        let mut message = error.problem.to_string();
        if let Some(word) = &error.suggestion {
            message += &format!("; did you mean \"{word}\"?");
        }
        FilterProblem { message, column: u32::try_from(error.column).ok() }
    })
}

/// A filter to be checked.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CheckParams {
    /// The filter.
    filter: String,
}

/// A filter while it is typed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CompleteParams {
    /// What has been typed.
    text: String,
    /// Where the cursor stands, in characters from 0.
    cursor: usize,
}

/// What could stand at the cursor.
#[derive(Serialize, ToSchema)]
pub(crate) struct Completions {
    /// Where the word begins that a suggestion replaces, in characters from 0; it ends at the
    /// cursor.
    start: usize,
    /// Likeliest first.
    suggestions: Vec<Suggestion>,
}

/// One word that could stand at the cursor.
#[derive(Serialize, ToSchema)]
pub(crate) struct Suggestion {
    /// The word.
    text: String,
    /// What it means.
    doc: String,
}

/// Checks a filter expression
#[utoipa::path(
    get, path = "/filter/check", operation_id = "check_filter", tag = "filter", params(CheckParams),
    responses((status = OK, body = FilterCheck))
)]
pub(super) async fn check(
    params: Result<Query<CheckParams>, QueryRejection>,
) -> Result<Json<FilterCheck>, Problem> {
    let Query(CheckParams { filter }) = params?;
    Ok(Json(read(&filter).map(|_| ()).into()))
}

/// Suggests what could stand at the cursor of a filter expression
#[utoipa::path(
    get, path = "/filter/complete", operation_id = "complete_filter", tag = "filter", params(CompleteParams),
    responses((status = OK, body = Completions))
)]
pub(super) async fn complete(
    params: Result<Query<CompleteParams>, QueryRejection>,
) -> Result<Json<Completions>, Problem> {
    let Query(CompleteParams { text, cursor }) = params?;
    if text.len() > flowtrack_filter::MAX_LENGTH {
        return Err(Problem::invalid("text", "this is too long for a filter"));
    }
    let found = flowtrack_filter::complete(&text, cursor);
    let suggestions = (found.suggestions.into_iter().take(MAX_SUGGESTIONS))
        .map(|s| Suggestion { text: s.text.into(), doc: s.doc.into() })
        .collect();
    Ok(Json(Completions { start: found.start, suggestions }))
}

/// More than that nobody reads.
const MAX_SUGGESTIONS: usize = 50;
