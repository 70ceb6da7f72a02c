//! User timers: started by a command, ended by firing or by a cancel command.
//!
//! Only timers that workflow code asked for; timeouts of tasks live with those concepts.
//!
//! Invariants
//! - A timer id names at most one open timer. Starting a second one fails the workflow task, not the run.
//! - Every open timer has exactly one deadline, until its firing is recorded or buffered.
//! - A firing still buffered behind a workflow task can be cancelled; it then never reaches history.

use crate::{
    completion::Commands,
    draft::Draft,
    state::{Deadline, ItemRef},
    step::BadCommand,
    workflow_task,
};
use api::{
    command::v1::{CancelTimerCommandAttributes, StartTimerCommandAttributes},
    enums::v1::WorkflowTaskFailedCause as Cause,
    history::v1::{
        HistoryEvent, TimerCanceledEventAttributes, TimerFiredEventAttributes, TimerStartedEventAttributes,
        history_event::Attributes,
    },
};

pub(crate) fn on_start(
    draft: &mut Draft<'_>,
    commands: &Commands,
    command: StartTimerCommandAttributes,
) -> Result<(), BadCommand> {
    let id = command.timer_id;
    check_id(draft, Cause::BadStartTimerAttributes, "StartTimerCommand", &id)?;
    if command.start_to_fire_timeout.as_ref().is_some_and(|it| it.seconds < 0 || it.nanos < 0) {
        return Err(BadCommand::new(
            Cause::BadStartTimerAttributes,
            format!("An invalid StartToFireTimeout is set on StartTimerCommand: negative duration. TimerId={id}"),
        ));
    }
    if draft.state.recorded.timers.contains_key(&id) {
        return Err(BadCommand::new(
            Cause::StartTimerDuplicateId,
            format!("invalid history builder state for action: add-timer-started-event, TimerID: {id}"),
        ));
    }
    draft.record(Attributes::TimerStartedEventAttributes(Box::new(TimerStartedEventAttributes {
        timer_id: id.clone(),
        start_to_fire_timeout: command.start_to_fire_timeout,
        workflow_task_completed_event_id: commands.completed,
    })));
    let fires_at = draft.state.recorded.timers[&id].fires_at;
    draft.move_deadline(None, Some(fires_at), Deadline::Timer(id.clone()));
    draft.touch(ItemRef::Timer(id));
    Ok(())
}

pub(crate) fn on_cancel(
    draft: &mut Draft<'_>,
    commands: &mut Commands,
    command: CancelTimerCommandAttributes,
) -> Result<(), BadCommand> {
    let id = command.timer_id;
    check_id(draft, Cause::BadCancelTimerAttributes, "CancelTimerCommand", &id)?;
    let Some(timer) = draft.state.recorded.timers.get(&id).cloned() else {
        return Err(BadCommand::new(
            Cause::BadCancelTimerAttributes,
            format!("invalid history builder state for action: add-timer-canceled-event, TimerID: {id}"),
        ));
    };
    let fired = draft.unbuffer(|it| matches!(it, Attributes::TimerFiredEventAttributes(fired) if fired.timer_id == id));
    match fired {
        // What kept the run from closing may have been this firing alone.
        Some(_) => commands.waiting = draft.has_buffered(),
        None => draft.move_deadline(Some(timer.fires_at), None, Deadline::Timer(id.clone())),
    }
    draft.record(Attributes::TimerCanceledEventAttributes(Box::new(TimerCanceledEventAttributes {
        timer_id: id.clone(),
        started_event_id: timer.started,
        workflow_task_completed_event_id: commands.completed,
        identity: commands.identity.clone(),
    })));
    draft.touch(ItemRef::Timer(id));
    Ok(())
}

fn check_id(draft: &Draft<'_>, cause: Cause, command: &str, id: &str) -> Result<(), BadCommand> {
    let limit = draft.env.limits.id_length_max;
    if id.is_empty() {
        return Err(BadCommand::new(cause, format!("TimerId is not set on {command}.")));
    }
    if id.len() > limit {
        let text = format!("TimerId on {command} exceeds length limit. TimerId={id} Length={} Limit={limit}", id.len());
        return Err(BadCommand::new(cause, text));
    }
    Ok(())
}

/// Its time has come.
pub(crate) fn on_deadline(draft: &mut Draft<'_>, id: String) {
    let timer = draft.state.recorded.timers.get(&id).cloned().expect("an open timer has a deadline");
    draft.move_deadline(Some(timer.fires_at), None, Deadline::Timer(id.clone()));
    draft.touch(ItemRef::Timer(id.clone()));
    let fired = Attributes::TimerFiredEventAttributes(Box::new(TimerFiredEventAttributes {
        timer_id: id,
        started_event_id: timer.started,
    }));
    draft.record_external(HistoryEvent { attributes: Some(fired), ..HistoryEvent::default() });
    workflow_task::schedule(draft);
}

#[cfg(test)]
mod tests;
