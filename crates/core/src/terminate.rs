//! Termination: ends a run at once, whatever it was doing.

use crate::{
    close,
    draft::Draft,
    step::{Rejection, Reply},
};
use api::common::v1::{Link, Payloads};

/// Who ends runs that have passed a limit.
pub const SERVER_IDENTITY: &str = "history-service";

pub(crate) fn on_terminate(
    draft: &mut Draft<'_>,
    reason: String,
    details: Option<Payloads>,
    identity: String,
    links: Vec<Link>,
) -> Result<Reply, Rejection> {
    close::terminate(draft, reason, details, identity, links);
    Ok(Reply::Done)
}

/// For a run that has passed a limit.
pub(crate) fn by_server(draft: &mut Draft<'_>, reason: String) {
    close::terminate(draft, reason, None, SERVER_IDENTITY.to_owned(), Vec::new());
}
