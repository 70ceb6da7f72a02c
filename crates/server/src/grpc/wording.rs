//! Statuses that the transport makes before any handler runs, in the reference's code and words.
//!
//! SDKs look for the code and text of a message that is too large: on completing a workflow task they
//! turn it into a failed task, and with another code they would send it again for ever.

use http::{HeaderValue, Response};
use tonic::Status;
use tonic::body::Body;

/// What tonic says about a message above the limit, around the two numbers.
const TOO_LARGE: (&str, &str, &str) =
    ("Error, decoded message length too large: found ", " bytes, the limit is: ", " bytes");

/// The same of a compressed message, around the limit: unpacking stops there.
const TOO_LARGE_UNPACKED: (&str, &str) =
    ("Error decompressing: size limit, of ", " bytes, exceeded while decompressing message");

pub(super) fn as_reference(mut response: Response<Body>) -> Response<Body> {
    // An error made before the body starts travels in the headers.
    let code = response.headers().get(Status::GRPC_STATUS);
    let may_be_size =
        code.is_some_and(|it| *it == HeaderValue::from_static("11") || *it == HeaderValue::from_static("8"));
    if may_be_size
        && let Some(status) = Status::from_header_map(response.headers())
        && let Some((found, limit)) = sizes(status.message())
    {
        let status =
            Status::resource_exhausted(format!("grpc: received message larger than max ({found} vs. {limit})"));
        response = status.into_http();
    }
    response
}

/// What was found, as far as it is known, and the limit.
fn sizes(message: &str) -> Option<(String, &str)> {
    let (before, after) = TOO_LARGE_UNPACKED;
    if let Some(limit) = message.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)) {
        return Some((format!("more than {limit}"), limit));
    }
    let (before, between, after) = TOO_LARGE;
    let (found, limit) = message.strip_prefix(before)?.strip_suffix(after)?.split_once(between)?;
    Some((found.to_owned(), limit))
}
