//! Deployments and workers in the shapes of the clients.

use crate::Platform;
use crate::catalogue::{Deployment, Index, Location, LocationType, Worker};
use crate::time;
use serde::Serialize;
use std::collections::BTreeSet;
use tradewind_core::time::Timestamp;
use uuid::Uuid;

#[derive(Serialize)]
pub struct DeploymentView {
    id: Uuid,
    name: String,
    pub is_active: bool,
    is_hardened: bool,
    created_at: String,
    updated_at: String,
    last_heartbeat: String,
    owner: Option<String>,
    location: Option<Location>,
    worker_count: usize,
    active_worker_count: usize,
    locations: BTreeSet<LocationType>,
    managed: Option<()>,
}

pub fn deployment(platform: &Platform, index: &Index, deployment: &Deployment, now: Timestamp) -> DeploymentView {
    let workers: Vec<_> = index.workers_of(&deployment.name).collect();
    let active = workers.iter().filter(|worker| platform.liveness.is_alive(worker, now)).count();
    let last_beat = workers.iter().map(|worker| platform.liveness.last_beat(worker)).max();
    DeploymentView {
        id: deployment.id,
        name: deployment.name.clone(),
        is_active: active > 0,
        is_hardened: deployment.is_hardened(),
        created_at: time::format(deployment.created_at),
        updated_at: time::format(deployment.updated_at),
        // Clients want one even of a deployment that no worker was let into.
        last_heartbeat: time::format(last_beat.unwrap_or(deployment.created_at)),
        owner: None,
        location: deployment.location.clone(),
        worker_count: workers.len(),
        active_worker_count: active,
        locations: locations(&workers),
        managed: None,
    }
}

fn locations(workers: &[&std::sync::Arc<Worker>]) -> BTreeSet<LocationType> {
    workers.iter().filter_map(|worker| Some(worker.location.as_ref()?.location_type)).collect()
}

#[derive(Serialize)]
pub struct WorkerView {
    name: String,
    created_at: String,
    updated_at: String,
    last_heartbeat: String,
    is_active: bool,
    location: Option<Location>,
}

pub fn worker(platform: &Platform, worker: &Worker, now: Timestamp) -> WorkerView {
    WorkerView {
        name: worker.name.clone(),
        created_at: time::format(worker.created_at),
        updated_at: time::format(worker.updated_at),
        last_heartbeat: time::format(platform.liveness.last_beat(worker)),
        is_active: platform.liveness.is_alive(worker, now),
        location: worker.location.clone(),
    }
}
