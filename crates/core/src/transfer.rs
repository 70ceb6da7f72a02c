//! Work that a step owes to other runs. The engine carries it out at least once; every receiver recognises a
//! repetition by the initiating event or the request id.

use crate::{ids::EventId, proto::Proto, state::Parent};
use api::{
    common::v1::{Header, Link, Payloads, WorkflowExecution},
    history::v1::{HistoryEvent, StartChildWorkflowExecutionInitiatedEventAttributes},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One piece of such work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Transfer {
    StartChild {
        initiated: EventId,
        attributes: Box<Proto<StartChildWorkflowExecutionInitiatedEventAttributes>>,
        /// The parent's user metadata on the command, which becomes the child's.
        user_metadata: Option<Proto<api::sdk::v1::UserMetadata>>,
        /// The request id of the start, fixed so that a repetition finds the child it started.
        request_id: Uuid,
    },
    SignalExternal {
        initiated: EventId,
        target: Proto<WorkflowExecution>,
        signal_name: String,
        input: Option<Proto<Payloads>>,
        header: Option<Proto<Header>>,
        child_only: bool,
        request_id: Uuid,
    },
    CancelExternal {
        initiated: EventId,
        target: Proto<WorkflowExecution>,
        reason: String,
        child_only: bool,
        request_id: Uuid,
    },
    /// This run's chain has ended: tell the parent.
    ChildClosed {
        parent: ParentRef,
        event: Box<Proto<HistoryEvent>>,
    },
    /// The parent has closed: end or cancel a child.
    TerminateChild {
        workflow_id: String,
        first_run_id: Uuid,
    },
    CancelChild {
        workflow_id: String,
        first_run_id: Uuid,
    },
}

/// A parent as a closing child refers to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentRef {
    pub workflow_id: String,
    pub run_id: Uuid,
    pub initiated: EventId,
}

impl From<Parent> for ParentRef {
    fn from(parent: Parent) -> Self {
        ParentRef { workflow_id: parent.workflow_id, run_id: parent.run_id, initiated: parent.initiated }
    }
}

/// Links are passed on by transfers as they came.
pub type Links = Vec<Link>;
