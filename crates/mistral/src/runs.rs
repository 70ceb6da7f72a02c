//! Runs: every run of every execution, listed, searched and read.
//!
//! A run is shown as it is: one that continued as new says so here, where it is a run among others.

use crate::catalogue::{Index, Workflow};
use crate::error::{Error, place};
use crate::executions::history;
use crate::executions::view::{self, As, Facts};
use crate::extract::{Path, Query};
use crate::{Platform, limits, time};
use api::enums::v1::{IndexedValueType, WorkflowExecutionStatus as Status};
use axum::Router;
use axum::extract::State;
use axum::response::Json;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use engine::message::Target;
use serde_json::{Value, json};
use std::sync::Arc;
use store::filter::{Column, Comparison, Expression, Field, Query as Filter, Source, Value as Literal};
use store::row::VisibilityRow;
use store::{By, Order};
use uuid::Uuid;

const PAGE_DEFAULT: i64 = 50;
const PAGE_MAX: i64 = 1_000;
const TAGS_MAX: usize = 20;
const SEARCH_KEYS_MAX: usize = 3;

pub fn routes() -> Router<Platform> {
    Router::new()
        .route("/runs", get(list))
        .route("/runs/{run}", get(one))
        .route("/runs/{run}/history", get(run_history))
}

async fn one(State(platform): State<Platform>, Path(run): Path<Uuid>) -> Result<Json<view::Execution>, Error> {
    let target = target(&platform, run).await?;
    Ok(Json(view::of(&platform, target, As::Run, false).await?))
}

async fn run_history(
    State(platform): State<Platform>,
    Path(run): Path<Uuid>,
    query: Query,
) -> Result<Json<Value>, Error> {
    let decode = query.flag("decode_payloads")?.unwrap_or(false);
    let target = target(&platform, run).await?;
    let snapshot = view::inspect(&platform, target, false).await?;
    history::of(&platform, snapshot, decode).await
}

/// Finds a run by its id alone.
async fn target(platform: &Platform, run: Uuid) -> Result<Target, Error> {
    let filter = compare(Column::RunId, Comparison::Equal, Literal::Text(run.to_string()));
    let filter = Filter { filter: Some(filter), ..Filter::default() };
    let namespace = platform.namespace;
    let (rows, _) = platform.read(move |store| store.list(namespace, &filter, 1, None)).await?;
    let row = rows.into_iter().next().ok_or_else(|| Error::not_found(format!("run {run} is not found")))?;
    Ok(Target::execution(platform.namespace, row.workflow_id, Some(run)))
}

async fn list(State(platform): State<Platform>, query: Query) -> Result<Json<Value>, Error> {
    let index = platform.index();
    let order = order(&query)?;
    let size = query.number("page_size", 1..=PAGE_MAX)?.unwrap_or(PAGE_DEFAULT);
    let token = query.read("next_page_token", "is not a token of this list", |text| BASE64.decode(text).ok())?;
    let Some(conditions) = conditions(&index, &query)? else {
        return Ok(Json(json!({ "executions": [], "next_page_token": null })));
    };
    let filter = (!conditions.is_empty()).then_some(Expression::All(conditions));
    let filter = Filter { filter, ..Filter::default() };
    let namespace = platform.namespace;
    let read = platform.service.store.clone();
    let read =
        tokio::task::spawn_blocking(move || read.list_in(namespace, &filter, order, size as usize, token.as_deref()));
    let (rows, next) = match read.await.map_err(Error::internal)? {
        Err(store::Error::PageToken) => {
            return Err(Error::invalid(
                place(["query", "next_page_token"]),
                "next_page_token is not a token of this list",
            ));
        }
        page => page?,
    };
    let executions: Vec<_> = rows.into_iter().map(|row| facts(&index, row)).collect();
    Ok(Json(json!({ "executions": executions, "next_page_token": next.map(|token| BASE64.encode(token)) })))
}

fn order(query: &Query) -> Result<Order, Error> {
    let by = match query.one_of("sort_by", &["start_time", "end_time"])? {
        Some("start_time") => By::Start,
        _ => By::End,
    };
    let ascending = query.one_of("order", &["asc", "desc"])? == Some("asc");
    Ok(Order { by, ascending })
}

/// What the runs must meet; none if no run can.
fn conditions(index: &Index, query: &Query) -> Result<Option<Vec<Expression>>, Error> {
    let mut conditions = Vec::new();
    let text = |column, text: &str| compare(column, Comparison::Equal, Literal::Text(text.to_owned()));
    if let Some(identifier) = query.text("workflow_identifier") {
        let name = index.workflow(identifier).map_or(identifier, |workflow| &workflow.name);
        conditions.push(text(Column::WorkflowType, name));
    }
    if let Some(root) = query.text("root_execution_id") {
        conditions.push(text(Column::RootWorkflowId, root));
    }
    if let Some(part) = query.text("search") {
        conditions.push(search(index, part));
    }
    if let Some(deployment) = query.text("deployment_name") {
        conditions.push(text(Column::TaskQueue, deployment));
    }
    // There are no users: everything is everybody's.
    if query.text("user_id").is_some_and(|user| user != "current") {
        return Ok(None);
    }
    let statuses: Vec<_> = query.all("status").map(status).collect::<Result<_, _>>()?;
    if !statuses.is_empty() {
        let statuses: Vec<_> = statuses.into_iter().flatten().map(|status| Literal::Int(status as i64)).collect();
        match statuses.as_slice() {
            [] => return Ok(None),
            // An index knows single ones.
            [only] => conditions.push(compare(Column::ExecutionStatus, Comparison::Equal, only.clone())),
            _ => conditions.push(one_of(Column::ExecutionStatus, statuses)),
        }
    }
    for (name, column, operator) in [
        ("start_time_after", Column::StartTime, Comparison::GreaterOrEqual),
        ("start_time_before", Column::StartTime, Comparison::LessOrEqual),
        ("end_time_after", Column::CloseTime, Comparison::GreaterOrEqual),
        ("end_time_before", Column::CloseTime, Comparison::LessOrEqual),
    ] {
        if let Some(time) = query.time(name)? {
            conditions.push(compare(column, operator, Literal::Datetime(time)));
        }
    }
    let tags: Vec<_> = query.all("workflow_tags").map(str::trim).collect();
    at_most("workflow_tags", tags.len(), TAGS_MAX)?;
    if !tags.is_empty() {
        let tagged = |workflow: &&Arc<Workflow>| tags.iter().all(|tag| workflow.tags.iter().any(|has| has == tag));
        let names = names(index.workflows().filter(tagged));
        if names.is_empty() {
            return Ok(None);
        }
        conditions.push(one_of(Column::WorkflowType, names));
    }
    if query.flag("include_internal")? == Some(false) {
        let technical = names(index.workflows().filter(|workflow| workflow.is_technical));
        if !technical.is_empty() {
            conditions.push(Expression::Not(Box::new(one_of(Column::WorkflowType, technical))));
        }
    }
    let keys: Vec<_> = query.all("search_key").collect();
    at_most("search_key", keys.len(), SEARCH_KEYS_MAX)?;
    for entry in keys {
        let (key, part) = entry.split_once(':').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
            Error::invalid(place(["query", "search_key"]), format!("search_key={entry:?} must be key:value"))
        })?;
        let (length, max) = (part.chars().count(), limits::SEARCH_VALUE_LENGTH_MAX);
        if length > max {
            let msg = format!("search_key has a value of {length} characters, and no value is longer than {max}");
            return Err(Error::invalid(place(["query", "search_key"]), msg));
        }
        conditions.push(Expression::SearchKey { key: key.to_owned(), part: part.to_owned() });
    }
    Ok(Some(conditions))
}

/// Part of a workflow's name, or the beginning of an execution's id.
fn search(index: &Index, part: &str) -> Expression {
    let lower = part.to_lowercase();
    let named = |workflow: &&Arc<Workflow>| {
        workflow.name.to_lowercase().contains(&lower) || workflow.display_name.to_lowercase().contains(&lower)
    };
    let by_id = Expression::StartsWith { field: field(Column::WorkflowId), negated: false, prefix: part.to_owned() };
    match names(index.workflows().filter(named)) {
        names if names.is_empty() => by_id,
        names => Expression::Any(vec![by_id, one_of(Column::WorkflowType, names)]),
    }
}

fn names<'a>(workflows: impl Iterator<Item = &'a Arc<Workflow>>) -> Vec<Literal> {
    workflows.map(|workflow| Literal::Text(workflow.name.clone())).collect()
}

fn one_of(column: Column, values: Vec<Literal>) -> Expression {
    Expression::In { field: field(column), negated: false, values }
}

fn compare(column: Column, operator: Comparison, value: Literal) -> Expression {
    Expression::Compare { field: field(column), operator, value }
}

/// A column of the list, which no query text has named.
fn field(column: Column) -> Field {
    Field { name: String::new(), source: Source::Column(column), kind: IndexedValueType::Keyword }
}

fn at_most(name: &str, given: usize, max: usize) -> Result<(), Error> {
    if given <= max {
        return Ok(());
    }
    Err(Error::invalid(place(["query", name]), format!("{name} is given {given} times, which may be {max} at most")))
}

/// A status by its name; none for one that no run has any more.
fn status(name: &str) -> Result<Option<Status>, Error> {
    const STATUSES: [Status; 7] = [
        Status::Running,
        Status::Completed,
        Status::Failed,
        Status::Canceled,
        Status::Terminated,
        Status::ContinuedAsNew,
        Status::TimedOut,
    ];
    if name == "RETRYING_AFTER_ERROR" {
        return Ok(None);
    }
    let found = STATUSES.into_iter().find(|status| view::status_name(*status) == name);
    found.map(Some).ok_or_else(|| {
        let names = STATUSES.map(view::status_name).join(", ");
        Error::invalid(place(["query", "status"]), format!("status={name:?} must be one of {names}"))
    })
}

fn facts(index: &Index, row: VisibilityRow) -> Facts {
    let status = Status::try_from(row.status).unwrap_or(Status::Unspecified);
    Facts {
        workflow_id: index.workflow(&row.workflow_type).map(|workflow| workflow.id),
        workflow_name: row.workflow_type,
        execution_id: row.workflow_id,
        root_execution_id: row.root.0,
        status: view::status_name(status),
        start_time: time::format(row.start_time),
        end_time: row.close_time.map(time::format),
        deployment_name: Some(row.task_queue),
        parent_execution_id: row.parent.map(|(workflow_id, _)| workflow_id),
        run_id: row.run_id,
        user_id: None,
        total_duration_ms: row.close_time.map(|end| view::millis(end - row.start_time)),
    }
}
