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

pub(super) fn as_reference(mut response: Response<Body>) -> Response<Body> {
    // An error made before the body starts travels in the headers.
    let is_out_of_range = response.headers().get(Status::GRPC_STATUS) == Some(&HeaderValue::from_static("11"));
    if is_out_of_range
        && let Some(status) = Status::from_header_map(response.headers())
        && let Some((found, limit)) = sizes(status.message())
    {
        let status =
            Status::resource_exhausted(format!("grpc: received message larger than max ({found} vs. {limit})"));
        response = status.into_http();
    }
    response
}

fn sizes(message: &str) -> Option<(&str, &str)> {
    let (before, between, after) = TOO_LARGE;
    message.strip_prefix(before)?.strip_suffix(after)?.split_once(between)
}
