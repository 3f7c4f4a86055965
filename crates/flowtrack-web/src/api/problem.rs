//! What went wrong, as the API tells it.

use axum::{
    Json,
    extract::rejection::{JsonRejection, PathRejection, QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use flowtrack_store::history::QueryError;
use serde::Serialize;
use utoipa::ToSchema;

use super::capture::FilterProblem;

/// Why a request was not answered as asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    #[serde(skip)]
    #[schema(ignore)]
    status: StatusCode,
    /// What is wrong and what to do, for people.
    message: String,
    /// The part of the request that is wrong, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
    /// Where in that part, in characters from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
}

impl Problem {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), field: None, column: None }
    }

    /// The client is not signed in.
    pub fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "not signed in; open the link that FlowTrack printed when it started",
        )
    }

    /// The client may not ask this.
    pub fn forbidden(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// There is no such thing.
    pub fn not_found(message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// The address exists, the method does not.
    pub fn wrong_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "this address does not take this method")
    }

    /// A part of the request cannot be understood.
    pub fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self { field: Some(field), ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, message) }
    }

    /// A filter of the request is wrong, with the place.
    pub fn filter(problem: FilterProblem) -> Self {
        Self { column: problem.column, ..Self::invalid("filter", problem.message) }
    }

    /// The state of the program does not allow it now.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    /// The client asks too often.
    pub fn too_fast() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too many requests; wait a moment")
    }

    /// All places are taken.
    pub fn busy(message: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// No answer in time.
    pub fn slow() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "this took too long; ask for less at once")
    }

    /// History did not answer.
    pub fn history(error: &anyhow::Error) -> Self {
        match error.downcast_ref::<QueryError>() {
            Some(QueryError::Cursor) => Self::invalid("cursor", error.to_string()),
            Some(QueryError::TooSlow) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
            }
            _ => Self::internal(error),
        }
    }

    /// The world failed; the cause is told, because whoever may ask also runs FlowTrack.
    pub fn internal(error: &anyhow::Error) -> Self {
        tracing::warn!(error = format!("{error:#}"), "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, Json(self)).into_response()
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, rejection.body_text())
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}
