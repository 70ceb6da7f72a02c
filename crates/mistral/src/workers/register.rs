//! `POST /register`: a worker says what it serves.
//!
//! The same definition again is no change, so a worker may register as often as it likes. Invariant: the answer has
//! one reference for each definition, in the order in which they came; workers stop at anything else.

use crate::catalogue::{Definition, Deployment, Draft, Location, Registration, Worker, WorkerKey, Workflow};
use crate::error::{Error, Step, code, place};
use crate::extract::Body;
use crate::{Platform, deployments, limits};
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use serde::{Deserialize, Serialize};
use server::auth::Caller;
use std::collections::BTreeSet;
use std::time::Duration;
use tradewind_core::time::Timestamp;
use uuid::Uuid;

/// A worker not heard of for this long is forgotten when another one of its deployment registers.
const WORKER_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Deserialize)]
pub struct Request {
    definitions: Vec<Definition>,
    deployment_name: String,
    worker_name: String,
    deployment_location: Option<Location>,
}

#[derive(Serialize)]
pub struct Response {
    has_conflicts: bool,
    workflow_registration_ids: Vec<Uuid>,
    workflow_registration_refs: Vec<Ref>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Ref {
    workflow_id: Uuid,
    workflow_registration_id: Uuid,
    /// What the registration was called before. Workers cannot read a reference without it.
    workflow_version_id: Uuid,
}

pub async fn handle(
    State(platform): State<Platform>,
    caller: Option<Extension<Caller>>,
    Body(request): Body<Request>,
) -> Result<Json<Response>, Error> {
    check(&request)?;
    let now = platform.now();
    if let Some(deployment) = platform.index().deployment(&request.deployment_name) {
        deployments::refuse_stranger(deployment, caller.as_deref())?;
    }
    let refused = refused(&platform, &request);
    let forgotten: Vec<_> = {
        let index = platform.index();
        let old = |worker: &Worker| now.since(platform.liveness.last_beat(worker)) > WORKER_KEPT;
        index.workers_of(&request.deployment_name).filter(|worker| old(worker)).map(|worker| worker.key()).collect()
    };
    let new_id = || platform.service.entropy.uuid();
    let mut warnings = Vec::new();
    for definition in &request.definitions {
        if let Some(ignored) = definition.schedules.as_ref().filter(|schedules| !schedules.is_empty()) {
            let (name, count) = (&definition.name, ignored.len());
            warnings.push(format!("schedules are not available here: {count} of workflow {name} are ignored"));
        }
    }
    let Request { definitions, deployment_name, worker_name, deployment_location } = request;

    let refs = platform
        .catalogue
        .change(|draft| {
            let deployment = deployment(draft, &deployment_name, deployment_location.as_ref(), now, new_id);
            if refused.is_some() {
                return Ok(Vec::new());
            }
            let mut current = deployment.current.clone();
            let mut refs = Vec::with_capacity(definitions.len());
            for definition in definitions {
                let workflow = workflow(draft, &definition, now, new_id);
                let registration = registration(draft, &deployment_name, workflow, definition, now, new_id);
                current.insert(workflow, registration);
                refs.push((workflow, registration));
            }
            if current != deployment.current {
                draft.put_deployment(Deployment { current, updated_at: now, ..deployment });
            }
            for key in &forgotten {
                draft.delete_worker(key);
            }
            let workflows = refs.iter().map(|(workflow, _)| *workflow).collect();
            worker(draft, &deployment_name, &worker_name, deployment_location, workflows, now);
            Ok(refs)
        })
        .await?;
    if let Some(refused) = refused {
        return Err(refused);
    }
    for key in &forgotten {
        platform.liveness.forget(key);
    }
    let key = WorkerKey { deployment: deployment_name.clone(), worker: worker_name.clone() };
    platform.liveness.beat(key, now);
    Ok(Json(response(&platform, refs, &deployment_name, &worker_name, warnings, now)))
}

fn response(
    platform: &Platform,
    refs: Vec<(Uuid, Uuid)>,
    deployment: &str,
    worker: &str,
    mut warnings: Vec<String>,
    now: Timestamp,
) -> Response {
    let index = platform.index();
    let ids: BTreeSet<_> = refs.iter().map(|(workflow, _)| *workflow).collect();
    let has_conflicts = index.workers_of(deployment).any(|other| {
        other.name != worker && !other.workflows.is_disjoint(&ids) && platform.liveness.is_alive(other, now)
    });
    for workflow in ids.iter().filter_map(|id| index.workflow_with_id(*id)).filter(|it| !it.is_technical) {
        let active = platform.liveness.active_registrations(&index, workflow, now);
        let others: Vec<_> = active.iter().map(|it| it.deployment.as_str()).filter(|it| *it != deployment).collect();
        if !others.is_empty() {
            let (name, others) = (&workflow.name, others.join(", "));
            warnings.push(format!(
                "workflow {name} is also served by {others}: executions must say deployment_name, or are refused"
            ));
        }
    }
    Response {
        has_conflicts,
        workflow_registration_ids: refs.iter().map(|(_, registration)| *registration).collect(),
        workflow_registration_refs: refs
            .into_iter()
            .map(|(workflow_id, id)| Ref { workflow_id, workflow_registration_id: id, workflow_version_id: id })
            .collect(),
        warnings,
    }
}

fn check(request: &Request) -> Result<(), Error> {
    let deployment = &request.deployment_name;
    if !is_name(deployment, |char| matches!(char, '_' | '-' | '.')) {
        let limit = limits::NAME_LENGTH_MAX;
        let msg = format!("deployment_name {deployment:?} must be 1 to {limit} letters, digits, '_', '-' or '.'");
        return Err(Error::invalid(place(["body", "deployment_name"]), msg));
    }
    let worker = &request.worker_name;
    if worker.is_empty() || worker.len() > limits::EXECUTION_ID_LENGTH_MAX {
        let msg = format!("worker_name must have 1 to {} bytes, not {}", limits::EXECUTION_ID_LENGTH_MAX, worker.len());
        return Err(Error::invalid(place(["body", "worker_name"]), msg));
    }
    if request.definitions.is_empty() {
        return Err(Error::invalid(place(["body", "definitions"]), "at least one definition is needed"));
    }
    for (index, definition) in request.definitions.iter().enumerate() {
        let at = |field: &str| {
            vec![
                Step::Name("body".into()),
                Step::Name("definitions".into()),
                Step::Index(index),
                Step::Name(field.into()),
            ]
        };
        let name = &definition.name;
        if !is_name(name, |char| matches!(char, '_' | '-')) {
            let limit = limits::NAME_LENGTH_MAX;
            let msg = format!("name {name:?} must be 1 to {limit} letters, digits, '_' or '-'");
            return Err(Error::invalid(at("name"), msg));
        }
        if limits::RESERVED_NAMES.contains(&name.as_str()) {
            return Err(Error::invalid(at("name"), format!("name {name:?} is reserved")));
        }
        if definition.task_queue.is_empty() {
            return Err(Error::invalid(at("task_queue"), "task_queue must not be empty"));
        }
    }
    Ok(())
}

fn is_name(name: &str, also: impl Fn(char) -> bool) -> bool {
    (1..=limits::NAME_LENGTH_MAX).contains(&name.len())
        && name.chars().all(|char| char.is_ascii_alphanumeric() || also(char))
}

/// Workflows that act for a user may only be served where somebody has said who may serve.
fn refused(platform: &Platform, request: &Request) -> Option<Error> {
    let hardened = platform.index().deployment(&request.deployment_name).is_some_and(|it| it.is_hardened());
    let definition = request.definitions.iter().find(|it| it.on_behalf_of)?;
    (!hardened).then(|| {
        let detail = format!(
            "workflow {} runs on behalf of users, which only hardened deployments may do: authorize a credential for \
             deployment {} first",
            definition.name, request.deployment_name
        );
        Error::new(StatusCode::FORBIDDEN, code::REGISTRATION, detail)
    })
}

fn deployment(
    draft: &mut Draft,
    name: &str,
    location: Option<&Location>,
    now: Timestamp,
    new_id: impl Fn() -> Uuid,
) -> Deployment {
    let known = draft.index().deployment(name).map(|known| Deployment::clone(known));
    match known {
        Some(known) if location.is_none() || known.location.as_ref() == location => known,
        known => {
            let new = || Deployment {
                id: new_id(),
                name: name.to_owned(),
                location: None,
                current: Default::default(),
                credentials: Vec::new(),
                created_at: now,
                updated_at: now,
            };
            let deployment = Deployment { location: location.cloned(), updated_at: now, ..known.unwrap_or_else(new) };
            draft.put_deployment(deployment.clone());
            deployment
        }
    }
}

fn workflow(draft: &mut Draft, definition: &Definition, now: Timestamp, new_id: impl Fn() -> Uuid) -> Uuid {
    let display_name = definition.display_name.clone().unwrap_or_else(|| definition.name.clone());
    let known = draft.index().workflow(&definition.name).filter(|known| known.name == definition.name).cloned();
    let changed = match &known {
        None => Workflow {
            id: new_id(),
            name: definition.name.clone(),
            display_name,
            description: definition.description.clone(),
            edited: false,
            is_technical: definition.is_technical,
            archived: false,
            available_in_chat_assistant: false,
            tags: Vec::new(),
            created_at: now,
            updated_at: now,
        },
        Some(known) if known.edited => Workflow { is_technical: definition.is_technical, ..Workflow::clone(known) },
        Some(known) => Workflow {
            display_name,
            description: definition.description.clone(),
            is_technical: definition.is_technical,
            ..Workflow::clone(known)
        },
    };
    let id = changed.id;
    if known.is_none_or(|known| *known != changed) {
        draft.put_workflow(Workflow { updated_at: now, ..changed });
    }
    id
}

/// The registration of this definition in the deployment: one that is there, be it in force or not, or a new one.
fn registration(
    draft: &mut Draft,
    deployment: &str,
    workflow: Uuid,
    definition: Definition,
    now: Timestamp,
    new_id: impl Fn() -> Uuid,
) -> Uuid {
    let same = |known: &Registration| {
        known.workflow_id == workflow && known.deployment == deployment && known.definition.same_as(&definition)
    };
    if let Some(current) = draft.index().current(deployment, workflow).filter(|current| same(current)) {
        return current.id;
    }
    if let Some(older) = draft.index().registrations().find(|older| same(older)) {
        return older.id;
    }
    let new = Registration {
        id: new_id(),
        workflow_id: workflow,
        deployment: deployment.to_owned(),
        definition,
        created_at: now,
    };
    draft.put_registration(new).id
}

fn worker(
    draft: &mut Draft,
    deployment: &str,
    name: &str,
    location: Option<Location>,
    workflows: BTreeSet<Uuid>,
    now: Timestamp,
) {
    let key = WorkerKey { deployment: deployment.to_owned(), worker: name.to_owned() };
    let created_at = draft.index().worker(&key).map_or(now, |known| known.created_at);
    draft.put_worker(Worker {
        deployment: deployment.to_owned(),
        name: name.to_owned(),
        location,
        workflows,
        created_at,
        updated_at: now,
        last_heartbeat: now,
    });
}
