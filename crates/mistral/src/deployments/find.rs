//! `GET /deployments`, `GET /deployments/{name}` and its workers.

use super::view;
use crate::Platform;
use crate::catalogue::{Deployment, Index, LocationType};
use crate::error::{Error, place};
use crate::extract::{Path, Query};
use crate::paging::{Order, Paging};
use axum::extract::State;
use axum::response::Json;
use serde_json::{Value, json};
use std::sync::Arc;
use tradewind_core::time::Timestamp;

/// By what is asked for; else active ones first, in each group by creation. Latest first, unless asked otherwise.
pub async fn list(State(platform): State<Platform>, query: Query) -> Result<Json<Value>, Error> {
    let paging = Paging::of(&query, 100, 100, Order::Descending)?;
    let order_by = query.one_of("order_by", &["created_at", "updated_at"])?;
    let filter = Filter::of(&platform, &query)?;
    let index = platform.index();
    let now = platform.now();
    let found = index.deployments().filter(|deployment| filter.takes(&platform, &index, deployment, now));
    let page = paging.page(found.map(|deployment| {
        let active = platform.liveness.is_active(&index, &deployment.name, now);
        let (group, time) = match order_by {
            Some("updated_at") => (0, deployment.updated_at),
            Some(_) => (0, deployment.created_at),
            // Active ones come first in either direction.
            None => (u8::from(active == (paging.order() == Order::Descending)), deployment.created_at),
        };
        (format!("{group}{:020}{}", time.as_nanos(), deployment.name), deployment)
    }));
    let shown: Vec<_> = page.items.iter().map(|it| view::deployment(&platform, &index, it, now)).collect();
    Ok(Json(json!({
        "deployments": shown,
        "next_cursor": page.next_cursor,
        "workspace_id": platform.workspace_id(),
    })))
}

pub async fn one(
    State(platform): State<Platform>,
    Path(name): Path<String>,
    query: Query,
) -> Result<Json<Value>, Error> {
    let index = platform.index();
    let now = platform.now();
    let deployment = named(&index, &name)?;
    let serving = query.text("workflow_name").map(|name| index.workflow(name).map(|workflow| workflow.id));
    let workers: Vec<_> = index
        .workers_of(&deployment.name)
        .filter(|worker| serving.is_none_or(|id| id.is_some_and(|id| worker.workflows.contains(&id))))
        .map(|worker| view::worker(&platform, worker, now))
        .collect();
    let mut shown = json!(view::deployment(&platform, &index, deployment, now));
    shown["workers"] = json!(workers);
    Ok(Json(shown))
}

pub async fn workers(
    State(platform): State<Platform>,
    Path(name): Path<String>,
    query: Query,
) -> Result<Json<Value>, Error> {
    let paging = Paging::of(&query, 50, 100, Order::Ascending)?;
    let active = query.one_of("worker_status", &["active", "inactive"])?.map(|status| status == "active");
    let index = platform.index();
    let now = platform.now();
    let deployment = named(&index, &name)?;
    let found = index
        .workers_of(&deployment.name)
        .filter(|worker| active.is_none_or(|active| active == platform.liveness.is_alive(worker, now)));
    let page = paging.page(found.map(|worker| (worker.name.clone(), view::worker(&platform, worker, now))));
    Ok(Json(json!({ "workers": page.items, "next_cursor": page.next_cursor })))
}

fn named<'a>(index: &'a Index, name: &str) -> Result<&'a Arc<Deployment>, Error> {
    index.deployment(name).ok_or_else(|| Error::not_found(format!("deployment {name} is not found")))
}

struct Filter {
    active_only: bool,
    is_hardened: Option<bool>,
    workflow: Option<String>,
    /// Deployments come into being by their workers; no user has created one.
    created_by_somebody: bool,
    locations: Vec<LocationType>,
    search: Option<String>,
    elsewhere: bool,
}

impl Filter {
    fn of(platform: &Platform, query: &Query) -> Result<Filter, Error> {
        let location = |text: &str| match text {
            "local" => Ok(LocationType::Local),
            "k8s" => Ok(LocationType::K8s),
            "managed" => Ok(LocationType::Managed),
            _ => {
                let msg = format!("location_types={text:?} must be one of local, k8s, managed");
                Err(Error::invalid(place(["query", "location_types"]), msg))
            }
        };
        let own = platform.workspace_id().to_string();
        Ok(Filter {
            active_only: query.flag("active_only")?.unwrap_or(true),
            is_hardened: query.flag("is_hardened")?,
            workflow: query.text("workflow_name").map(str::to_owned),
            created_by_somebody: query.text("created_by").is_some(),
            locations: query.all("location_types").map(location).collect::<Result<_, Error>>()?,
            search: query.text("search").map(str::to_lowercase),
            elsewhere: query.text("workspace_id").is_some_and(|id| id != own),
        })
    }

    fn takes(&self, platform: &Platform, index: &Index, deployment: &Deployment, now: Timestamp) -> bool {
        let name = &deployment.name;
        let serves = |workflow: &String| {
            index.workflow(workflow).is_some_and(|workflow| deployment.current.contains_key(&workflow.id))
        };
        let begins = |text: &String| {
            name.to_lowercase().starts_with(text) || deployment.id.to_string().starts_with(text.as_str())
        };
        let is_there = || {
            let types = index.workers_of(name).filter_map(|worker| Some(worker.location.as_ref()?.location_type));
            types.into_iter().any(|one| self.locations.contains(&one))
        };
        !self.elsewhere
            && !self.created_by_somebody
            && self.is_hardened.is_none_or(|hardened| hardened == deployment.is_hardened())
            && self.workflow.as_ref().is_none_or(serves)
            && self.search.as_ref().is_none_or(begins)
            && (self.locations.is_empty() || is_there())
            && (!self.active_only || platform.liveness.is_active(index, name, now))
    }
}
