//! Time passes: everything whose deadline has come is dealt with, earliest first.

use crate::{
    activity, close,
    draft::Draft,
    state::Deadline,
    step::{Rejection, Reply},
    timer, workflow_task,
};

pub(crate) fn on_wake(draft: &mut Draft<'_>) -> Result<Reply, Rejection> {
    while draft.state.is_running() {
        let Some((due, what)) = draft.state.deadlines.get_min().cloned() else { break };
        if due > draft.now() {
            break;
        }
        match what {
            Deadline::Run => close::time_out(draft),
            Deadline::FirstWorkflowTask => workflow_task::schedule(draft),
            Deadline::WorkflowTask => workflow_task::on_timeout(draft),
            Deadline::Activity(scheduled) => activity::on_deadline(draft, scheduled),
            Deadline::Timer(id) => timer::on_deadline(draft, id),
        }
        debug_assert!(
            !draft.state.is_running() || draft.state.deadlines.get_min().is_none_or(|(next, _)| *next >= due),
            "a deadline that was dealt with is gone"
        );
    }
    draft.step.durable |= draft.step.changed;
    Ok(Reply::Done)
}
