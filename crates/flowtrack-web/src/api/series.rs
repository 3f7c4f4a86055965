//! `/series`: numbers over time, from history.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{App, Problem, snapshot::RatePoint};

/// Which span of history is wanted, as the backend gets it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeriesQuery {
    /// Beginning, seconds since the epoch.
    pub since: i64,
    /// End, not included, seconds since the epoch.
    pub until: i64,
    /// Seconds that one point covers: 1, or a multiple of 60.
    pub step: u32,
}

/// Which span is wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SeriesParams {
    /// Beginning, seconds since the epoch.
    since: i64,
    /// End, not included, seconds since the epoch.
    until: i64,
}

/// Numbers over time.
#[derive(Serialize, ToSchema)]
pub(crate) struct Series {
    /// Seconds that one point covers.
    step: u32,
    /// Oldest first; points without traffic are left out.
    points: Vec<RatePoint>,
}

/// Numbers over time, from history, in steps that fit the span
#[utoipa::path(
    get, path = "/series", tag = "history", params(SeriesParams),
    responses((status = OK, body = Series), (status = UNPROCESSABLE_ENTITY, body = Problem))
)]
pub(super) async fn series(
    State(app): State<Arc<App>>,
    params: Result<Query<SeriesParams>, QueryRejection>,
) -> Result<Json<Series>, Problem> {
    let Query(SeriesParams { since, until }) = params?;
    let span = until.checked_sub(since).filter(|&span| span > 0);
    let Some(span) = span else {
        return Err(Problem::invalid("until", "the end must be after the beginning"));
    };
    let step = step_for(span)
        .ok_or_else(|| Problem::invalid("until", "the span is longer than ten years"))?;
    let query = SeriesQuery { since, until, step };
    let points = app.ask(move |backend| backend.series(&query)).await?;
    let points = points.map_err(|error| Problem::history(&error))?;
    Ok(Json(Series { step, points: points.iter().take(MAX_POINTS).map(Into::into).collect() }))
}

/// The smallest step with which a span has at most [`MAX_POINTS`] points.
fn step_for(span: i64) -> Option<u32> {
    STEPS.into_iter().find(|&step| span / i64::from(step) < MAX_POINTS as i64)
}

/// More than a screen has pixels.
const MAX_POINTS: usize = 3_700;
/// Steps that divide an hour or a day.
const STEPS: [u32; 9] = [1, 60, 300, 900, 3_600, 10_800, 21_600, 43_200, 86_400];

#[cfg(test)]
mod tests {
    use super::step_for;

    #[test]
    fn steps_grow_with_the_span() {
        assert_eq!(step_for(3_600), Some(1));
        assert_eq!(step_for(86_400), Some(60));
        assert_eq!(step_for(30 * 86_400), Some(900));
        assert_eq!(step_for(3_600 * 86_400), Some(86_400));
        assert_eq!(step_for(i64::MAX), None);
    }
}
