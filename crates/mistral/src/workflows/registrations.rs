//! `GET /registrations` and `GET /registrations/{id}`: the versions of definitions, in every deployment.

use super::find::matches_search;
use super::view::{self, RegistrationView, WithStatus};
use crate::Platform;
use crate::catalogue::{Index, Registration, Workflow};
use crate::error::Error;
use crate::extract::{Path, Query};
use crate::paging::{Order, Paging};
use axum::extract::State;
use axum::response::Json;
use serde_json::{Value, json};
use std::sync::Arc;
use tradewind_core::time::Timestamp;
use uuid::Uuid;

pub async fn one(State(platform): State<Platform>, Path(id): Path<Uuid>, query: Query) -> Result<Json<Value>, Error> {
    let with_workflow = query.flag("with_workflow")?.unwrap_or(false);
    let index = platform.index();
    let absent = || Error::not_found(format!("workflow registration {id} is not found"));
    let registration = index.registration(id).ok_or_else(absent)?;
    let workflow = index.workflow_with_id(registration.workflow_id).ok_or_else(absent)?;
    let view = || WithStatus {
        what: shown(&platform, &index, registration, with_workflow.then_some(workflow)),
        active: is_active(&platform, &index, registration, workflow, platform.now()),
    };
    // The second is what the first was called before; clients want both.
    Ok(Json(json!({ "workflow_registration": view(), "workflow_version": view() })))
}

/// Latest first.
pub async fn list(State(platform): State<Platform>, query: Query) -> Result<Json<Value>, Error> {
    let paging = Paging::of(&query, 50, 1_000, Order::Descending)?;
    let filter = Filter::of(&query)?;
    let with_workflow = query.flag("with_workflow")?.unwrap_or(false);
    let index = platform.index();
    let now = platform.now();
    let found = index.registrations().filter_map(|registration| {
        let workflow = index.workflow_with_id(registration.workflow_id)?;
        let taken = filter.takes(registration, workflow)
            && (!filter.active_only || is_active(&platform, &index, registration, workflow, now));
        let place = format!("{:020}{}", registration.created_at.as_nanos(), registration.id);
        taken.then_some((place, (registration, workflow)))
    });
    let page = paging.page(found);
    let shown = page
        .items
        .iter()
        .map(|(registration, workflow)| shown(&platform, &index, registration, with_workflow.then_some(workflow)));
    let registrations = json!(shown.collect::<Vec<_>>());
    Ok(Json(json!({
        "workflow_versions": registrations,
        "workflow_registrations": registrations,
        "next_cursor": page.next_cursor,
    })))
}

fn shown<'a>(
    platform: &Platform,
    index: &Index,
    registration: &'a Registration,
    workflow: Option<&Arc<Workflow>>,
) -> RegistrationView<'a> {
    let deployment = index.deployment(&registration.deployment).map(|deployment| deployment.id);
    view::registration(platform, registration, deployment, workflow.map(|workflow| &**workflow))
}

/// Whether it is the one in force in its deployment, and somebody serves it.
fn is_active(
    platform: &Platform,
    index: &Index,
    registration: &Registration,
    workflow: &Workflow,
    now: Timestamp,
) -> bool {
    let deployment = &registration.deployment;
    index.current(deployment, workflow.id).is_some_and(|current| current.id == registration.id)
        && platform.liveness.serves(index, deployment, workflow, now)
}

struct Filter {
    /// A name will do as well.
    workflow: Option<String>,
    task_queue: Option<String>,
    active_only: bool,
    search: Option<String>,
    archived: Option<bool>,
    available_in_chat_assistant: Option<bool>,
}

impl Filter {
    fn of(query: &Query) -> Result<Filter, Error> {
        query.flag("include_shared")?;
        Ok(Filter {
            workflow: query.text("workflow_id").map(str::to_owned),
            task_queue: query.text("task_queue").map(str::to_owned),
            active_only: query.flag("active_only")?.unwrap_or(false),
            search: query.text("workflow_search").map(str::to_lowercase),
            archived: query.flag("archived")?,
            available_in_chat_assistant: query.flag("available_in_chat_assistant")?,
        })
    }

    fn takes(&self, registration: &Registration, workflow: &Workflow) -> bool {
        let chat = workflow.available_in_chat_assistant;
        self.workflow.as_ref().is_none_or(|it| *it == workflow.name || *it == workflow.id.to_string())
            && self.task_queue.as_ref().is_none_or(|queue| *queue == registration.definition.task_queue)
            && self.search.as_ref().is_none_or(|text| matches_search(workflow, text))
            && self.archived.is_none_or(|archived| archived == workflow.archived)
            && self.available_in_chat_assistant.is_none_or(|available| available == chat)
    }
}
