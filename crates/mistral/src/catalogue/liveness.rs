//! Which workers are alive: the one place that knows the rule.
//!
//! A worker is alive while it has sent a heartbeat within the window; a deployment is active while one of its
//! workers is alive, and serves the workflows of those. Beats are kept in memory and written down now and then.
//! After a restart of the server, who was alive when beats were last written down counts as alive for one window
//! more: they could not reach us while we were away.

use super::{Index, Registration, Worker, WorkerKey, Workflow};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tradewind_core::time::Timestamp;

pub struct Liveness {
    window: Duration,
    beats: RwLock<BTreeMap<WorkerKey, Beat>>,
}

#[derive(Debug, Clone, Copy)]
struct Beat {
    last: Timestamp,
    written: Timestamp,
}

impl Liveness {
    pub fn load(window: Duration, index: &Index, now: Timestamp) -> Liveness {
        let latest = index.workers().map(|worker| worker.last_heartbeat).max().unwrap_or_default();
        let beats = index.workers().map(|worker| {
            let written = worker.last_heartbeat;
            let was_alive = latest.since(written) <= window;
            (worker.key(), Beat { last: if was_alive { now } else { written }, written })
        });
        Liveness { window, beats: RwLock::new(beats.collect()) }
    }

    /// Notes a beat. Says whether it is time to write it down.
    pub fn beat(&self, key: WorkerKey, now: Timestamp) -> bool {
        let mut beats = self.beats.write();
        let beat = beats.entry(key).or_insert(Beat { last: now, written: Timestamp::ZERO });
        beat.last = now;
        let due = now.since(beat.written) >= self.window / 2;
        if due {
            beat.written = now;
        }
        due
    }

    pub fn forget(&self, key: &WorkerKey) {
        self.beats.write().remove(key);
    }

    pub fn last_beat(&self, worker: &Worker) -> Timestamp {
        self.beats.read().get(&worker.key()).map_or(worker.last_heartbeat, |beat| beat.last)
    }

    pub fn is_alive(&self, worker: &Worker, now: Timestamp) -> bool {
        now.since(self.last_beat(worker)) <= self.window
    }

    pub fn is_active(&self, index: &Index, deployment: &str, now: Timestamp) -> bool {
        index.workers_of(deployment).any(|worker| self.is_alive(worker, now))
    }

    /// Whether a live worker of the deployment serves the workflow.
    pub fn serves(&self, index: &Index, deployment: &str, workflow: &Workflow, now: Timestamp) -> bool {
        index.workers_of(deployment).any(|worker| worker.workflows.contains(&workflow.id) && self.is_alive(worker, now))
    }

    /// The registrations under which a workflow can be started now, in the order of the deployments' names.
    pub fn active_registrations(&self, index: &Index, workflow: &Workflow, now: Timestamp) -> Vec<Arc<Registration>> {
        let serving = index.deployments().filter(|deployment| self.serves(index, &deployment.name, workflow, now));
        serving.filter_map(|deployment| index.current(&deployment.name, workflow.id).cloned()).collect()
    }
}
