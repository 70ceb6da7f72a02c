//! Folding: how each event changes what is recorded. Live steps and rebuilding from history share it.
//!
//! A fold cannot fail and decides nothing. It touches [`Recorded`] only.

use crate::{
    ids::EventId,
    proto::Proto,
    state::{ActivityFacts, Child, External, ItemRef, MutableState, OpenTimer, Recorded, RecordedUpdate},
    time::{Timestamp, duration},
};
use api::{
    common::v1::Payload,
    enums::v1::WorkflowExecutionStatus as Status,
    history::v1::{HistoryEvent, history_event::Attributes as A},
};
use std::{collections::BTreeMap, sync::Arc};

/// Applies one event. Events come in the order of their ids.
pub fn fold(state: &mut MutableState, event: &HistoryEvent) {
    let recorded = &mut state.recorded;
    debug_assert_eq!(event.event_id, recorded.progress.next_event_id, "events are consecutive");
    recorded.progress.next_event_id = event.event_id + 1;
    let id = event.event_id;
    let at = Timestamp::from(event.event_time.expect("a recorded event has a time"));
    match event.attributes.as_ref().expect("a recorded event has attributes") {
        A::WorkflowExecutionStartedEventAttributes(_)
        | A::WorkflowTaskScheduledEventAttributes(_)
        | A::WorkflowTaskStartedEventAttributes(_)
        | A::WorkflowTaskTimedOutEventAttributes(_)
        | A::WorkflowTaskFailedEventAttributes(_)
        | A::ActivityTaskStartedEventAttributes(_)
        | A::MarkerRecordedEventAttributes(_)
        | A::WorkflowExecutionOptionsUpdatedEventAttributes(_) => {}
        A::WorkflowTaskCompletedEventAttributes(it) => {
            recorded.progress.last_completed_started = it.started_event_id;
            recorded.progress.last_task_completed = id;
            if recorded.progress.first_completed_task == 0 {
                recorded.progress.first_completed_task = id;
                recorded.progress.first_completed_task_at = Some(at);
            }
        }
        A::ActivityTaskScheduledEventAttributes(it) => {
            recorded.activity_ids.insert(it.activity_id.clone(), id);
            let facts = ActivityFacts {
                scheduled: id,
                scheduled_at: at,
                attributes: Proto((**it).clone()),
                cancel_requested: None,
            };
            recorded.activities.insert(id, Arc::new(facts));
        }
        A::ActivityTaskCancelRequestedEventAttributes(it) => {
            if let Some(facts) = recorded.activities.get_mut(&it.scheduled_event_id) {
                Arc::make_mut(facts).cancel_requested = Some(id);
            }
        }
        A::ActivityTaskCompletedEventAttributes(it) => close_activity(recorded, it.scheduled_event_id),
        A::ActivityTaskFailedEventAttributes(it) => close_activity(recorded, it.scheduled_event_id),
        A::ActivityTaskTimedOutEventAttributes(it) => close_activity(recorded, it.scheduled_event_id),
        A::ActivityTaskCanceledEventAttributes(it) => close_activity(recorded, it.scheduled_event_id),
        A::TimerStartedEventAttributes(it) => {
            let fires_at = at + duration(it.start_to_fire_timeout.as_ref());
            let timer = OpenTimer { timer_id: it.timer_id.clone(), started: id, fires_at };
            recorded.timers.insert(it.timer_id.clone(), timer);
        }
        A::TimerFiredEventAttributes(it) => {
            recorded.timers.remove(&it.timer_id);
        }
        A::TimerCanceledEventAttributes(it) => {
            recorded.timers.remove(&it.timer_id);
        }
        A::WorkflowExecutionSignaledEventAttributes(_) => recorded.progress.signal_count += 1,
        A::WorkflowExecutionCancelRequestedEventAttributes(_) => recorded.progress.cancel_requested = true,
        A::StartChildWorkflowExecutionInitiatedEventAttributes(it) => {
            let child = Child { initiated: id, attributes: Proto((**it).clone()), started: None };
            recorded.children.insert(id, Arc::new(child));
        }
        A::ChildWorkflowExecutionStartedEventAttributes(it) => {
            let run_id = it.workflow_execution.as_ref().and_then(|it| it.run_id.parse().ok()).unwrap_or_default();
            if let Some(child) = recorded.children.get_mut(&it.initiated_event_id) {
                Arc::make_mut(child).started = Some((id, run_id));
            }
        }
        A::StartChildWorkflowExecutionFailedEventAttributes(it) => close_child(recorded, it.initiated_event_id),
        A::ChildWorkflowExecutionCompletedEventAttributes(it) => close_child(recorded, it.initiated_event_id),
        A::ChildWorkflowExecutionFailedEventAttributes(it) => close_child(recorded, it.initiated_event_id),
        A::ChildWorkflowExecutionCanceledEventAttributes(it) => close_child(recorded, it.initiated_event_id),
        A::ChildWorkflowExecutionTimedOutEventAttributes(it) => close_child(recorded, it.initiated_event_id),
        A::ChildWorkflowExecutionTerminatedEventAttributes(it) => close_child(recorded, it.initiated_event_id),
        A::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(it) => {
            let execution = it.workflow_execution.clone().unwrap_or_default();
            let external = External {
                initiated: id,
                namespace: it.namespace.clone(),
                workflow_id: execution.workflow_id,
                run_id: execution.run_id,
                control: it.control.clone(),
                task_completed: it.workflow_task_completed_event_id,
            };
            recorded.external_cancels.insert(id, Arc::new(external));
        }
        A::RequestCancelExternalWorkflowExecutionFailedEventAttributes(it) => {
            recorded.external_cancels.remove(&it.initiated_event_id);
        }
        A::ExternalWorkflowExecutionCancelRequestedEventAttributes(it) => {
            recorded.external_cancels.remove(&it.initiated_event_id);
        }
        A::SignalExternalWorkflowExecutionInitiatedEventAttributes(it) => {
            let execution = it.workflow_execution.clone().unwrap_or_default();
            let external = External {
                initiated: id,
                namespace: it.namespace.clone(),
                workflow_id: execution.workflow_id,
                run_id: execution.run_id,
                control: it.control.clone(),
                task_completed: it.workflow_task_completed_event_id,
            };
            recorded.external_signals.insert(id, Arc::new(external));
        }
        A::SignalExternalWorkflowExecutionFailedEventAttributes(it) => {
            recorded.external_signals.remove(&it.initiated_event_id);
        }
        A::ExternalWorkflowExecutionSignaledEventAttributes(it) => {
            recorded.external_signals.remove(&it.initiated_event_id);
        }
        A::UpsertWorkflowSearchAttributesEventAttributes(it) => {
            if let Some(upserted) = &it.search_attributes {
                merge(Arc::make_mut(&mut recorded.search_attributes), &upserted.indexed_fields);
            }
        }
        A::WorkflowPropertiesModifiedEventAttributes(it) => {
            if let Some(upserted) = &it.upserted_memo {
                merge(Arc::make_mut(&mut recorded.memo), &upserted.fields);
            }
        }
        A::WorkflowExecutionUpdateAcceptedEventAttributes(it) => {
            recorded.progress.update_count += 1;
            recorded.updates.insert(it.protocol_instance_id.clone(), RecordedUpdate { accepted: id, completed: None });
        }
        A::WorkflowExecutionUpdateCompletedEventAttributes(it) => {
            let update_id = it.meta.as_ref().map_or("", |it| it.update_id.as_str());
            if let Some(update) = recorded.updates.get_mut(update_id) {
                update.completed = Some(id);
            }
        }
        A::WorkflowExecutionCompletedEventAttributes(it) => {
            close(recorded, at, Status::Completed, &it.new_execution_run_id)
        }
        A::WorkflowExecutionFailedEventAttributes(it) => close(recorded, at, Status::Failed, &it.new_execution_run_id),
        A::WorkflowExecutionTimedOutEventAttributes(it) => {
            close(recorded, at, Status::TimedOut, &it.new_execution_run_id)
        }
        A::WorkflowExecutionCanceledEventAttributes(_) => close(recorded, at, Status::Canceled, ""),
        A::WorkflowExecutionTerminatedEventAttributes(_) => close(recorded, at, Status::Terminated, ""),
        A::WorkflowExecutionContinuedAsNewEventAttributes(it) => {
            close(recorded, at, Status::ContinuedAsNew, &it.new_execution_run_id);
        }
        other => unreachable!("no decider records {other:?}"),
    }
}

/// The pending item that folding this event adds, changes or removes.
pub fn touched(event: &HistoryEvent) -> Option<ItemRef> {
    match event.attributes.as_ref()? {
        A::ActivityTaskScheduledEventAttributes(_) => Some(ItemRef::Activity(event.event_id)),
        A::ActivityTaskCancelRequestedEventAttributes(it) => Some(ItemRef::Activity(it.scheduled_event_id)),
        A::ActivityTaskCompletedEventAttributes(it) => Some(ItemRef::Activity(it.scheduled_event_id)),
        A::ActivityTaskFailedEventAttributes(it) => Some(ItemRef::Activity(it.scheduled_event_id)),
        A::ActivityTaskTimedOutEventAttributes(it) => Some(ItemRef::Activity(it.scheduled_event_id)),
        A::ActivityTaskCanceledEventAttributes(it) => Some(ItemRef::Activity(it.scheduled_event_id)),
        A::TimerStartedEventAttributes(it) => Some(ItemRef::Timer(it.timer_id.clone())),
        A::TimerFiredEventAttributes(it) => Some(ItemRef::Timer(it.timer_id.clone())),
        A::TimerCanceledEventAttributes(it) => Some(ItemRef::Timer(it.timer_id.clone())),
        A::StartChildWorkflowExecutionInitiatedEventAttributes(_) => Some(ItemRef::Child(event.event_id)),
        A::StartChildWorkflowExecutionFailedEventAttributes(it) => Some(ItemRef::Child(it.initiated_event_id)),
        A::ChildWorkflowExecutionStartedEventAttributes(it) => Some(ItemRef::Child(it.initiated_event_id)),
        A::ChildWorkflowExecutionCompletedEventAttributes(it) => Some(ItemRef::Child(it.initiated_event_id)),
        A::ChildWorkflowExecutionFailedEventAttributes(it) => Some(ItemRef::Child(it.initiated_event_id)),
        A::ChildWorkflowExecutionCanceledEventAttributes(it) => Some(ItemRef::Child(it.initiated_event_id)),
        A::ChildWorkflowExecutionTimedOutEventAttributes(it) => Some(ItemRef::Child(it.initiated_event_id)),
        A::ChildWorkflowExecutionTerminatedEventAttributes(it) => Some(ItemRef::Child(it.initiated_event_id)),
        A::SignalExternalWorkflowExecutionInitiatedEventAttributes(_) => Some(ItemRef::ExternalSignal(event.event_id)),
        A::SignalExternalWorkflowExecutionFailedEventAttributes(it) => {
            Some(ItemRef::ExternalSignal(it.initiated_event_id))
        }
        A::ExternalWorkflowExecutionSignaledEventAttributes(it) => Some(ItemRef::ExternalSignal(it.initiated_event_id)),
        A::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(_) => {
            Some(ItemRef::ExternalCancel(event.event_id))
        }
        A::RequestCancelExternalWorkflowExecutionFailedEventAttributes(it) => {
            Some(ItemRef::ExternalCancel(it.initiated_event_id))
        }
        A::ExternalWorkflowExecutionCancelRequestedEventAttributes(it) => {
            Some(ItemRef::ExternalCancel(it.initiated_event_id))
        }
        A::UpsertWorkflowSearchAttributesEventAttributes(_) => Some(ItemRef::SearchAttributes),
        A::WorkflowPropertiesModifiedEventAttributes(_) => Some(ItemRef::Memo),
        A::WorkflowExecutionUpdateAcceptedEventAttributes(it) => Some(ItemRef::Update(it.protocol_instance_id.clone())),
        A::WorkflowExecutionUpdateCompletedEventAttributes(it) => {
            Some(ItemRef::Update(it.meta.as_ref()?.update_id.clone()))
        }
        _ => None,
    }
}

fn close_activity(recorded: &mut Recorded, scheduled: EventId) {
    if let Some(facts) = recorded.activities.remove(&scheduled) {
        recorded.activity_ids.remove(&facts.attributes.activity_id);
    }
}

fn close_child(recorded: &mut Recorded, initiated: EventId) {
    recorded.children.remove(&initiated);
}

fn close(recorded: &mut Recorded, at: Timestamp, status: Status, successor: &str) {
    recorded.progress.status = status as i32;
    recorded.progress.closed_at = Some(at);
    recorded.progress.successor = successor.parse().ok();
}

/// Upserts fields; one whose payload says null removes the field.
pub(crate) fn merge(into: &mut BTreeMap<String, Payload>, upserted: &BTreeMap<String, Payload>) {
    for (name, payload) in upserted {
        if is_null(payload) {
            into.remove(name);
        } else {
            into.insert(name.clone(), payload.clone());
        }
    }
}

/// Whether a payload removes what it is upserted to: null in either encoding, or an empty list.
pub fn is_null(payload: &Payload) -> bool {
    match payload.metadata.get("encoding").map(|it| it.as_ref()) {
        Some(b"binary/null") => true,
        Some(b"json/plain") => matches!(payload.data.as_ref(), b"null" | b"[]"),
        _ => payload.data.is_empty() && payload.metadata.is_empty(),
    }
}
