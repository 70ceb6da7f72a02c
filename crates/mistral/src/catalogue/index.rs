//! The records by their names and ids, as one value that is replaced as a whole.

use super::{Deployment, LoadError, Registration, Worker, WorkerKey, Workflow};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::Store;
use store::row::RegistryKind;
use uuid::Uuid;

#[derive(Clone, Default)]
pub struct Index {
    workflows: BTreeMap<Uuid, Arc<Workflow>>,
    by_name: BTreeMap<String, Arc<Workflow>>,
    registrations: BTreeMap<Uuid, Arc<Registration>>,
    deployments: BTreeMap<String, Arc<Deployment>>,
    workers: BTreeMap<WorkerKey, Arc<Worker>>,
}

impl Index {
    pub(super) fn load(store: &Store) -> Result<Index, LoadError> {
        let mut index = Index::default();
        each(store, RegistryKind::Workflow, |workflow| drop(index.insert_workflow(workflow)))?;
        each(store, RegistryKind::Registration, |registration| drop(index.insert_registration(registration)))?;
        each(store, RegistryKind::Deployment, |deployment| drop(index.insert_deployment(deployment)))?;
        each(store, RegistryKind::Worker, |worker| drop(index.insert_worker(worker)))?;
        Ok(index)
    }

    /// All workflows, in the order of their names.
    pub fn workflows(&self) -> impl Iterator<Item = &Arc<Workflow>> {
        self.by_name.values()
    }

    /// By name or by id, as paths name it.
    pub fn workflow(&self, identifier: &str) -> Option<&Arc<Workflow>> {
        self.by_name.get(identifier).or_else(|| self.workflows.get(&Uuid::try_parse(identifier).ok()?))
    }

    pub fn workflow_with_id(&self, id: Uuid) -> Option<&Arc<Workflow>> {
        self.workflows.get(&id)
    }

    pub fn registrations(&self) -> impl Iterator<Item = &Arc<Registration>> {
        self.registrations.values()
    }

    pub fn registration(&self, id: Uuid) -> Option<&Arc<Registration>> {
        self.registrations.get(&id)
    }

    /// What a deployment says of a workflow now.
    pub fn current(&self, deployment: &str, workflow: Uuid) -> Option<&Arc<Registration>> {
        let id = self.deployments.get(deployment)?.current.get(&workflow)?;
        self.registrations.get(id)
    }

    pub fn deployments(&self) -> impl Iterator<Item = &Arc<Deployment>> {
        self.deployments.values()
    }

    pub fn deployment(&self, name: &str) -> Option<&Arc<Deployment>> {
        self.deployments.get(name)
    }

    pub fn workers(&self) -> impl Iterator<Item = &Arc<Worker>> {
        self.workers.values()
    }

    pub fn worker(&self, key: &WorkerKey) -> Option<&Arc<Worker>> {
        self.workers.get(key)
    }

    /// The workers of a deployment, in the order of their names.
    pub fn workers_of<'a>(&'a self, deployment: &'a str) -> impl Iterator<Item = &'a Arc<Worker>> {
        let first = WorkerKey { deployment: deployment.to_owned(), worker: String::new() };
        self.workers.range(first..).map(|(_, worker)| worker).take_while(move |worker| worker.deployment == deployment)
    }

    pub(super) fn insert_workflow(&mut self, workflow: Workflow) -> Arc<Workflow> {
        let workflow = Arc::new(workflow);
        self.by_name.insert(workflow.name.clone(), workflow.clone());
        self.workflows.insert(workflow.id, workflow.clone());
        workflow
    }

    pub(super) fn insert_registration(&mut self, registration: Registration) -> Arc<Registration> {
        let registration = Arc::new(registration);
        self.registrations.insert(registration.id, registration.clone());
        registration
    }

    pub(super) fn insert_deployment(&mut self, deployment: Deployment) -> Arc<Deployment> {
        let deployment = Arc::new(deployment);
        self.deployments.insert(deployment.name.clone(), deployment.clone());
        deployment
    }

    pub(super) fn insert_worker(&mut self, worker: Worker) -> Arc<Worker> {
        let worker = Arc::new(worker);
        self.workers.insert(worker.key(), worker.clone());
        worker
    }

    pub(super) fn remove_worker(&mut self, key: &WorkerKey) {
        self.workers.remove(key);
    }
}

fn each<T: DeserializeOwned>(store: &Store, kind: RegistryKind, mut take: impl FnMut(T)) -> Result<(), LoadError> {
    for (key, bytes) in store.registry(kind)? {
        let record = serde_json::from_slice(&bytes).map_err(|reason| LoadError::BadRecord { kind, key, reason })?;
        take(record);
    }
    Ok(())
}
