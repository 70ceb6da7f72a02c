//! `GET /` and `GET /{workflow}`.

use super::view::{self, WithStatus};
use crate::Platform;
use crate::catalogue::{Index, Workflow};
use crate::error::{Error, place};
use crate::extract::{Path, Query};
use crate::paging::{Order, Paging};
use axum::extract::State;
use axum::response::Json;
use serde_json::{Value, json};
use std::sync::Arc;
use tradewind_core::time::Timestamp;

pub async fn one(State(platform): State<Platform>, Path(identifier): Path<String>) -> Result<Json<Value>, Error> {
    let index = platform.index();
    let workflow = named(&index, &identifier)?;
    let active = !platform.liveness.active_registrations(&index, workflow, platform.now()).is_empty();
    Ok(Json(json!({ "workflow": WithStatus { what: view::workflow(&platform, workflow), active } })))
}

/// The workflow that a path names, by name or by id.
pub fn named<'a>(index: &'a Index, identifier: &str) -> Result<&'a Arc<Workflow>, Error> {
    index.workflow(identifier).ok_or_else(|| Error::not_found(format!("workflow {identifier} is not found")))
}

/// Workflows of users, by display name. Those that the SDK brings along are found by name alone.
pub async fn list(State(platform): State<Platform>, query: Query) -> Result<Json<Value>, Error> {
    let paging = Paging::of(&query, 50, 1_000, Order::Ascending)?;
    query.one_of("sort_by", &["display_name"])?;
    let filter = Filter::of(&query)?;
    let index = platform.index();
    let now = platform.now();
    let mut found: Vec<_> = index
        .workflows()
        .filter(|workflow| !workflow.is_technical && filter.takes(&platform, &index, workflow, now))
        .cloned()
        .collect();
    if !filter.statuses.is_empty() {
        found = with_execution(&platform, found, &filter.statuses).await?;
    }
    let page = paging.page(found.into_iter().map(|workflow| (sort_key(&workflow), workflow)));
    let workflows: Vec<_> = page
        .items
        .iter()
        .map(|workflow| {
            json!({
                "id": workflow.id,
                "name": workflow.name,
                "display_name": workflow.display_name,
                "archived": workflow.archived,
                "description": workflow.description,
                "metadata": { "shared_namespace": null },
                "tags": workflow.tags,
            })
        })
        .collect();
    Ok(Json(json!({ "workflows": workflows, "next_cursor": page.next_cursor })))
}

/// By display name, whatever its case; names make it distinct.
fn sort_key(workflow: &Workflow) -> String {
    format!("{}\0{}", workflow.display_name.to_lowercase(), workflow.name)
}

struct Filter {
    /// As the filter language of lists spells them.
    statuses: Vec<&'static str>,
    archived: Option<bool>,
    available_in_chat_assistant: Option<bool>,
    deployments: Vec<String>,
    active: Option<bool>,
    tags: Vec<String>,
    search: Option<String>,
}

/// How clients spell the states of executions, and how lists do.
const STATUSES: &[(&str, &str)] = &[
    ("RUNNING", "Running"),
    ("COMPLETED", "Completed"),
    ("FAILED", "Failed"),
    ("CANCELED", "Canceled"),
    ("TERMINATED", "Terminated"),
    ("CONTINUED_AS_NEW", "ContinuedAsNew"),
    ("TIMED_OUT", "TimedOut"),
    ("RETRYING_AFTER_ERROR", "Running"),
];

impl Filter {
    fn of(query: &Query) -> Result<Filter, Error> {
        let status = |name: &str| {
            let found = STATUSES.iter().find(|(status, _)| *status == name);
            let (_, status) = found.ok_or_else(|| {
                let known: Vec<_> = STATUSES.iter().map(|(status, _)| *status).collect();
                let msg = format!("status={name:?} must be one of {}", known.join(", "));
                Error::invalid(place(["query", "status"]), msg)
            })?;
            Ok(*status)
        };
        let active = match query.one_of("deployment_status", &["active", "inactive"])? {
            Some(status) => Some(status == "active"),
            None => query.flag("active_only")?.filter(|only| *only),
        };
        query.flag("include_shared")?;
        Ok(Filter {
            statuses: query.all("status").map(status).collect::<Result<_, Error>>()?,
            archived: query.flag("archived")?,
            available_in_chat_assistant: query.flag("available_in_chat_assistant")?,
            deployments: query.all("deployment_name").map(str::to_owned).collect(),
            active,
            tags: query.all("tags").map(|tag| tag.trim().to_owned()).collect(),
            search: query.text("search").map(str::to_lowercase),
        })
    }

    fn takes(&self, platform: &Platform, index: &Index, workflow: &Workflow, now: Timestamp) -> bool {
        let served = |name: &String| index.current(name, workflow.id).is_some();
        let is_active = || !platform.liveness.active_registrations(index, workflow, now).is_empty();
        let chat = workflow.available_in_chat_assistant;
        self.archived.is_none_or(|archived| archived == workflow.archived)
            && self.available_in_chat_assistant.is_none_or(|available| available == chat)
            && self.tags.iter().all(|tag| workflow.tags.contains(tag))
            && self.search.as_ref().is_none_or(|text| matches_search(workflow, text))
            && (self.deployments.is_empty() || self.deployments.iter().any(served))
            && self.active.is_none_or(|active| active == is_active())
    }
}

/// Whether the text, in lower case, is somewhere in what a person reads, or begins the id.
pub fn matches_search(workflow: &Workflow, text: &str) -> bool {
    let has = |value: &str| value.to_lowercase().contains(text);
    has(&workflow.name)
        || has(&workflow.display_name)
        || workflow.description.as_deref().is_some_and(has)
        || workflow.id.to_string().starts_with(text)
}

/// Those that have an execution in one of the states.
async fn with_execution(
    platform: &Platform,
    workflows: Vec<Arc<Workflow>>,
    statuses: &[&str],
) -> Result<Vec<Arc<Workflow>>, Error> {
    let namespace = platform.namespace;
    let quoted: Vec<_> = statuses.iter().map(|status| format!("'{status}'")).collect();
    let quoted = quoted.join(", ");
    platform
        .read(move |store| {
            let mut found = Vec::new();
            for workflow in workflows {
                // Names of workflows have no quotes in them.
                let text = format!("WorkflowType = '{}' AND ExecutionStatus IN ({quoted})", workflow.name);
                let query = store::filter::parse(&text, &Default::default()).expect("the text is a filter");
                if !store.list(namespace, &query, 1, None)?.0.is_empty() {
                    found.push(workflow);
                }
            }
            Ok(found)
        })
        .await
}
