//! Which activities the worker of this thread can run: those that a workflow may call as local ones.
//!
//! The official worker takes a local activity that it does not know for a failed attempt, and tries it for ever. Here
//! the workflow task fails, with a word on what is missing.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

thread_local! {
    static REGISTERED: RefCell<Option<Registered>> = const { RefCell::new(None) };
}

/// Names of activities.
pub(crate) type Registered = Arc<BTreeSet<&'static str>>;

/// Says what the worker runs whose workflows this thread polls.
pub(crate) fn set(registered: Registered) {
    REGISTERED.set(Some(registered));
}

/// Why the activity cannot run here, if it cannot. Where no worker is, as in a replay, nothing runs and nothing is missing.
pub(crate) fn missing(activity: &str) -> Option<String> {
    let known = REGISTERED.with_borrow(|registered| registered.as_ref().is_none_or(|names| names.contains(activity)));
    (!known).then(|| {
        format!(
            "{activity} is called as a local activity, and this worker does not run it: add `.activity({activity})` or the \
             type that has it to the worker, or leave out `local`"
        )
    })
}
