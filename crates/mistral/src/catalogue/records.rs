//! The records of the catalogue, which are also their stored form: JSON whose members are only added.

use crate::duration;
use crate::schema::Schema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;
use tradewind_core::time::Timestamp;
use uuid::Uuid;

/// What a workflow's name stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workflow {
    pub id: Uuid,
    pub name: String,
    pub display_name: String,
    #[serde(default)]
    pub description: Option<String>,
    /// A person has changed name or description: registrations leave them alone from then on.
    #[serde(default)]
    pub edited: bool,
    /// Owned by the SDK, and no business of users.
    #[serde(default)]
    pub is_technical: bool,
    #[serde(default)]
    pub archived: bool,
    #[serde(default)]
    pub available_in_chat_assistant: bool,
    #[serde(default)]
    pub tags: Vec<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// One version of a definition in one deployment.
#[derive(Debug, Serialize, Deserialize)]
pub struct Registration {
    pub id: Uuid,
    pub workflow_id: Uuid,
    pub deployment: String,
    pub definition: Definition,
    pub created_at: Timestamp,
}

/// A workflow as its worker describes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Definition {
    pub name: String,
    pub task_queue: String,
    pub input_schema: Schema,
    #[serde(default)]
    pub output_schema: Option<Schema>,
    #[serde(default)]
    pub signals: Vec<Handler>,
    #[serde(default)]
    pub queries: Vec<Handler>,
    #[serde(default)]
    pub updates: Vec<Handler>,
    #[serde(default)]
    pub enforce_determinism: bool,
    #[serde(default)]
    pub on_behalf_of: bool,
    #[serde(default)]
    pub is_technical: bool,
    #[serde(default = "an_hour", deserialize_with = "duration::deserialize", serialize_with = "seconds")]
    pub execution_timeout: Duration,
    #[serde(default)]
    pub plugin_metadata: Option<Box<RawValue>>,
    #[serde(default)]
    pub display_name: Option<String>,
    #[serde(default)]
    pub description: Option<String>,
    /// Not built: counted, so that the worker can be told.
    #[serde(default, skip_serializing)]
    pub schedules: Option<Vec<serde::de::IgnoredAny>>,
}

/// A signal, query or update that a workflow takes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Handler {
    pub name: String,
    #[serde(default)]
    pub description: Option<String>,
    pub input_schema: Schema,
    /// Signals have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Schema>,
}

/// A task queue, and what its workers have registered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    pub id: Uuid,
    pub name: String,
    #[serde(default)]
    pub location: Option<Location>,
    /// The registration in force, by workflow.
    #[serde(default)]
    pub current: BTreeMap<Uuid, Uuid>,
    /// If there are any, only these may register.
    #[serde(default)]
    pub credentials: Vec<Credential>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Who may register in a hardened deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    pub credential_id: String,
    #[serde(default)]
    pub principal_type: Option<String>,
}

/// Where a worker runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    pub location_type: LocationType,
    #[serde(default)]
    pub k8s_cluster: Option<String>,
    #[serde(default)]
    pub k8s_namespace: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LocationType {
    Local,
    K8s,
    Managed,
}

/// One process that serves a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Worker {
    pub deployment: String,
    pub name: String,
    #[serde(default)]
    pub location: Option<Location>,
    /// The workflows that it serves.
    pub workflows: BTreeSet<Uuid>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// As it was last written down; [`super::liveness`] knows better.
    pub last_heartbeat: Timestamp,
}

/// What names a worker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkerKey {
    pub deployment: String,
    pub worker: String,
}

impl Worker {
    pub fn key(&self) -> WorkerKey {
        WorkerKey { deployment: self.deployment.clone(), worker: self.name.clone() }
    }
}

impl fmt::Display for WorkerKey {
    /// The key of its row. Deployments have no slash in their names.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.deployment, self.worker)
    }
}

impl Deployment {
    pub fn is_hardened(&self) -> bool {
        !self.credentials.is_empty()
    }
}

impl Definition {
    /// Whether the two say the same. What they are made from is compared as text, so a reordered schema differs.
    pub fn same_as(&self, other: &Definition) -> bool {
        let text = |definition: &Definition| serde_json::to_string(definition).ok();
        text(self) == text(other)
    }
}

fn an_hour() -> Duration {
    Duration::from_secs(60 * 60)
}

/// As a number, which is also how clients read it.
fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}
