//! `GET /{workflow}/metrics`: how often a workflow ran, what came of it and how long it took.
//!
//! Read from the list of executions, so it knows what retention has left of them. A run that continued as new is no
//! end, and is not counted: the run after it is.

use super::find;
use crate::Platform;
use crate::error::{Error, place};
use crate::extract::{Path, Query};
use crate::time;
use api::enums::v1::WorkflowExecutionStatus as Status;
use axum::extract::State;
use axum::response::Json;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use store::Lifetimes;

/// What is read at once from the list, and so the finest step in time.
const STRETCH: Duration = Duration::from_secs(60);
/// At most this many points; where there are more, neighbours are put together.
const POINTS_MAX: u64 = 100;

pub async fn handle(
    State(platform): State<Platform>,
    Path(identifier): Path<String>,
    query: Query,
) -> Result<Json<Value>, Error> {
    let (from, to) = (query.time("start_time")?, query.time("end_time")?);
    if from.zip(to).is_some_and(|(from, to)| from > to) {
        return Err(Error::invalid(place(["query", "start_time"]), "start_time must not be after end_time"));
    }
    // Names of workflows have no quotes in them.
    let mut text = format!("WorkflowType = '{}'", find::named(&platform.index(), &identifier)?.name);
    for (bound, comparison) in [(from, ">="), (to, "<=")] {
        if let Some(bound) = bound {
            text.push_str(&format!(" AND StartTime {comparison} '{}'", time::format(bound)));
        }
    }
    let filter = store::filter::parse(&text, &Default::default()).map_err(Error::internal)?;
    let namespace = platform.namespace;
    let lifetimes = platform.read(move |store| store.lifetimes(namespace, &filter, STRETCH)).await?;
    Ok(Json(figures(&lifetimes)))
}

fn figures(lifetimes: &[Lifetimes]) -> Value {
    let is = |it: &Lifetimes, status: Status| it.status == status as i32;
    let counted = || lifetimes.iter().filter(|it| !is(it, Status::ContinuedAsNew));
    let sum = |among: &[Status]| {
        counted().filter(|it| among.iter().any(|status| is(it, *status))).map(|it| it.executions).sum::<u64>()
    };
    let closed: Vec<_> = counted().filter(|it| it.closed_from.is_some()).collect();
    let total: Duration = closed.iter().map(|it| it.total).sum();
    json!({
        "execution_count": { "value": counted().map(|it| it.executions).sum::<u64>() },
        "success_count": { "value": sum(&[Status::Completed]) },
        "error_count": { "value": sum(&[Status::Failed, Status::Terminated, Status::TimedOut]) },
        "average_latency_ms": { "value": mean_ms(total, closed.iter().map(|it| it.executions).sum()) },
        "latency_over_time": { "value": over_time(&closed) },
        // What clients document for it: it is deprecated and was never measured.
        "retry_rate": { "value": -1 },
    })
}

/// Points of seconds since 1970 and the mean latency, in milliseconds, of the executions that closed from then on.
fn over_time(closed: &[&Lifetimes]) -> Vec<(i64, f64)> {
    let minute = |it: &Lifetimes| it.closed_from.map_or(0, |at| at.as_nanos().unsigned_abs()) / 60_000_000_000;
    let (first, last) = match (closed.first(), closed.last()) {
        (Some(first), Some(last)) => (minute(first), minute(last)),
        _ => return Vec::new(),
    };
    let minutes_per_point = ((last - first) / POINTS_MAX) + 1;
    let mut points: BTreeMap<u64, (Duration, u64)> = BTreeMap::new();
    for it in closed {
        let (total, executions) = points.entry(minute(it) / minutes_per_point).or_default();
        *total += it.total;
        *executions += it.executions;
    }
    let start = |point: u64| (point * minutes_per_point * 60) as i64;
    points.into_iter().map(|(point, (total, executions))| (start(point), mean_ms(total, executions))).collect()
}

fn mean_ms(total: Duration, executions: u64) -> f64 {
    if executions == 0 { 0.0 } else { total.as_secs_f64() * 1_000.0 / executions as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tradewind_core::time::Timestamp;

    #[test]
    fn figures_leave_out_what_went_on_as_another_run() {
        let figures = figures(&[
            lifetimes(Status::Running, None, 2, 0),
            lifetimes(Status::Completed, Some(0), 3, 30),
            lifetimes(Status::ContinuedAsNew, Some(0), 5, 500),
            lifetimes(Status::Failed, Some(60), 1, 2),
            lifetimes(Status::Canceled, Some(60), 1, 3),
            lifetimes(Status::TimedOut, Some(120), 1, 5),
        ]);

        let value = |name: &str| figures[name]["value"].clone();
        assert_eq!(
            (value("execution_count"), value("success_count"), value("error_count")),
            (8.into(), 3.into(), 2.into())
        );
        assert_eq!(value("average_latency_ms"), json!(40.0 * 1_000.0 / 6.0));
        assert_eq!(value("latency_over_time"), json!([[0, 10_000.0], [60, 2_500.0], [120, 5_000.0]]));
    }

    #[test]
    fn a_long_time_is_told_in_few_points() {
        let closed: Vec<_> = (0..10_000).map(|minute| lifetimes(Status::Completed, Some(minute * 60), 1, 7)).collect();
        let points = over_time(&closed.iter().collect::<Vec<_>>());

        assert!((50..=101).contains(&points.len()), "{}", points.len());
        assert!(points.iter().all(|(_, mean)| *mean == 7_000.0));
    }

    #[test]
    fn nothing_that_closed_has_no_latency() {
        assert_eq!(figures(&[])["average_latency_ms"]["value"], json!(0.0));
        assert_eq!(over_time(&[]), []);
    }

    fn lifetimes(status: Status, closed_from_s: Option<i64>, executions: u64, total_s: u64) -> Lifetimes {
        Lifetimes {
            status: status as i32,
            closed_from: closed_from_s.map(|seconds| Timestamp::from_nanos(seconds * 1_000_000_000)),
            executions,
            total: Duration::from_secs(total_s),
        }
    }
}
