//! A history that has grown past its limits ends the run, so that it cannot grow for ever.

use crate::{draft::Draft, terminate};

/// Which limit the history has passed, in the words that end the run.
pub(crate) fn exceeded(draft: &Draft<'_>) -> Option<String> {
    let limits = draft.env.limits;
    let progress = &draft.state.recorded.progress;
    let (events, events_max) = (progress.next_event_id - 1, limits.history_events_max);
    if events > events_max {
        return Some(format!("Workflow history count exceeds limit: {events} events, limit {events_max}."));
    }
    let (bytes, bytes_max) = (progress.history_bytes, limits.history_size_bytes_max);
    if bytes > bytes_max as u64 {
        return Some(format!("Workflow history size exceeds limit: {bytes} bytes, limit {bytes_max}."));
    }
    None
}

/// Ends a run whose history was made too large from outside, by signals for one, while no worker looked.
pub(crate) fn enforce(draft: &mut Draft<'_>) {
    if draft.state.is_running()
        && let Some(reason) = exceeded(draft)
    {
        terminate::by_server(draft, reason);
    }
}
