//! What handlers of several RPCs convert alike.

use crate::{Error, Service, validate};
use api::{
    common::v1::{Link, Payload, SearchAttributes, WorkflowExecution, link},
    enums::v1::EventType,
};
use engine::{
    message::Target,
    namespaces::Namespace,
    token::{self, Token},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tradewind_core::{fold::is_null, search_attributes, time::Timestamp};

/// The namespace and the execution that a request names.
pub fn target(
    service: &Service,
    namespace: &str,
    execution: Option<WorkflowExecution>,
) -> Result<(Arc<Namespace>, Target), Error> {
    let namespace = validate::namespace(&service.namespaces, namespace)?;
    let name = validate::execution(execution)?;
    let target = Target::execution(namespace.key, name.workflow_id, name.run_id);
    Ok((namespace, target))
}

/// A task token of one kind, which must belong to the namespace that the request names, if it names one.
pub fn token(service: &Service, kind: i32, bytes: &[u8], namespace: &str) -> Result<Token, Error> {
    if bytes.is_empty() {
        return Err(Error::invalid("Task token not set on request."));
    }
    let token = Token::decode_as(kind, bytes).ok_or_else(|| Error::invalid("Error deserializing task token."))?;
    if !namespace.is_empty() {
        let namespace = validate::namespace(&service.namespaces, namespace)?;
        if namespace.key != token.namespace() {
            return Err(Error::invalid("Operation requested with a token from a different namespace."));
        }
    }
    Ok(token)
}

pub fn workflow_token(service: &Service, bytes: &[u8], namespace: &str) -> Result<Token, Error> {
    token(service, token::WORKFLOW, bytes, namespace)
}

pub fn activity_token(service: &Service, bytes: &[u8], namespace: &str) -> Result<Token, Error> {
    token(service, token::ACTIVITY, bytes, namespace)
}

/// The run that a token is about.
pub fn target_of(token: &Token) -> Target {
    Target::Run { slot: token.slot(), run: token.run() }
}

/// When a wait must end: the server's own limit, or a margin before the caller stops waiting.
pub fn wait_until(service: &Service, deadline: Option<Timestamp>, longest: Duration) -> Timestamp {
    let now = service.clock.now();
    let own = now + longest;
    match deadline {
        None => own,
        Some(deadline) => own.min(now + (deadline - now).saturating_sub(service.limits.long_poll_margin)),
    }
}

/// A run's search attributes as clients read them: each value with its type, none that is null, and none that
/// the namespace has no more.
pub fn search_attributes(mut fields: BTreeMap<String, Payload>, namespace: &Namespace) -> SearchAttributes {
    let schema = &namespace.search_attributes;
    fields.retain(|name, payload| !is_null(payload) && search_attributes::type_of(name, schema).is_some());
    let mut attributes = SearchAttributes { indexed_fields: fields };
    search_attributes::apply_types(&mut attributes, schema);
    attributes
}

/// A link to the event that started a run.
pub fn link_to_start(namespace: &str, workflow_id: &str, run_id: &str) -> Link {
    let reference = link::workflow_event::Reference::EventRef(link::workflow_event::EventReference {
        event_id: 1,
        event_type: EventType::WorkflowExecutionStarted as i32,
    });
    event_link(namespace, workflow_id, run_id, reference)
}

/// A link to an event that is known by the request that made it.
pub fn link_to_request(namespace: &str, workflow_id: &str, run_id: &str, request_id: &str, kind: EventType) -> Link {
    let reference = link::workflow_event::Reference::RequestIdRef(link::workflow_event::RequestIdReference {
        request_id: request_id.to_owned(),
        event_type: kind as i32,
    });
    event_link(namespace, workflow_id, run_id, reference)
}

fn event_link(namespace: &str, workflow_id: &str, run_id: &str, reference: link::workflow_event::Reference) -> Link {
    Link {
        variant: Some(link::Variant::WorkflowEvent(link::WorkflowEvent {
            namespace: namespace.to_owned(),
            workflow_id: workflow_id.to_owned(),
            run_id: run_id.to_owned(),
            reference: Some(reference),
        })),
    }
}
