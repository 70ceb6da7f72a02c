//! What happens around every handler.

use crate::Error;
use crate::ambient::Counted;
use crate::metrics::code_name;
use crate::service::Service;
use futures_util::FutureExt;
use http::HeaderMap;
use prost::Message;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Request, Response, Status};
use tradewind_core::time::Timestamp;

/// What a handler may want to know of its caller beyond the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// When the caller stops waiting.
    pub deadline: Option<Timestamp>,
    pub client: Client,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// An SDK, or anything that does not say otherwise.
    Sdk,
    /// The official command line or web page: history reads then leave out workflow task events that are
    /// not recorded yet.
    Tool,
}

/// The answer leaves this much before the caller's deadline: else the transport's own timeout, which
/// answers CANCELLED, or the caller's would come first.
const DEADLINE_MARGIN: Duration = Duration::from_millis(2);

/// Smaller answers travel as they are even to callers that understand gzip: packing them costs more than
/// the bytes it saves.
const COMPRESS_FROM_BYTES: usize = 16 * 1024;

/// One request on its way through. Dropped before it was answered, it counts as cancelled.
pub(super) struct Call {
    service: Arc<Service>,
    method: &'static str,
    started: Timestamp,
    timeout: Option<Duration>,
    client: Client,
    reads_gzip: bool,
    answered: Option<Code>,
    _counted: Option<Counted>,
}

impl Call {
    /// `request_type` is the name of the request's type: the method's name with `Request` behind it.
    pub(super) fn begin<T>(service: &Arc<Service>, request_type: &'static str, request: &Request<T>) -> Call {
        service.metrics.call_started();
        let headers = request.metadata().as_ref();
        Call {
            service: service.clone(),
            method: request_type.strip_suffix("Request").unwrap_or(request_type),
            started: service.clock.now(),
            timeout: text(headers, "grpc-timeout").and_then(parse_timeout),
            client: match text(headers, "client-name") {
                Some("temporal-cli" | "temporal-ui") => Client::Tool,
                _ => Client::Sdk,
            },
            reads_gzip: text(headers, "grpc-accept-encoding").is_some_and(|accepted| accepted.contains("gzip")),
            answered: None,
            _counted: service.clock.request(),
        }
    }

    pub(super) fn context(&self) -> Context {
        Context { deadline: self.timeout.map(|timeout| self.started + timeout), client: self.client }
    }

    pub(super) async fn answer<T: Message>(
        mut self,
        handler: impl Future<Output = Result<T, Error>>,
    ) -> Result<Response<T>, Status> {
        let outcome = self.run(handler).await;
        match outcome {
            Ok(message) => {
                self.answered = Some(Code::Ok);
                let small = self.reads_gzip && message.encoded_len() < COMPRESS_FROM_BYTES;
                let mut response = Response::new(message);
                if small {
                    response.disable_compression();
                }
                Ok(response)
            }
            Err(error) => {
                let status = Status::from(error);
                self.answered = Some(status.code());
                self.log(&status);
                Err(status)
            }
        }
    }

    async fn run<T>(&self, handler: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        // Unwind safety: what a handler shares is the service, whose locks do not poison and whose state
        // changes only by whole commits.
        let handler = AssertUnwindSafe(handler).catch_unwind();
        let outcome = match self.timeout {
            None => handler.await,
            Some(timeout) => match tokio::time::timeout(timeout.saturating_sub(DEADLINE_MARGIN), handler).await {
                Ok(outcome) => outcome,
                Err(_) => return Err(Error::DeadlineExceeded),
            },
        };
        outcome.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            Err(Error::Internal(format!("{} panicked: {text}", self.method)))
        })
    }

    fn log(&self, status: &Status) {
        let (method, code, message) = (self.method, code_name(status.code()), status.message());
        match status.code() {
            Code::Internal | Code::DataLoss | Code::Unknown => tracing::error!(method, code, "{message}"),
            Code::Unavailable => tracing::warn!(method, code, "{message}"),
            _ => tracing::debug!(method, code, "{message}"),
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let took = self.service.clock.now().since(self.started);
        self.service.metrics.call_ended(self.method, self.answered.unwrap_or(Code::Cancelled), took);
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// At most eight digits and a unit, as the gRPC specification has it.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let amount: u64 = (digits.len() <= 8).then(|| digits.parse().ok())??;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3_600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_of_a_grpc_timeout_is_understood() {
        assert_eq!(parse_timeout("2H"), Some(Duration::from_secs(7_200)));
        assert_eq!(parse_timeout("3M"), Some(Duration::from_secs(180)));
        assert_eq!(parse_timeout("99999999S"), Some(Duration::from_secs(99_999_999)));
        assert_eq!(parse_timeout("1500m"), Some(Duration::from_millis(1_500)));
        assert_eq!(parse_timeout("7u"), Some(Duration::from_micros(7)));
        assert_eq!(parse_timeout("7n"), Some(Duration::from_nanos(7)));
    }

    #[test]
    fn a_grpc_timeout_that_makes_no_sense_is_none() {
        for text in ["", "S", "1", "1x", "-1S", "123456789S", "1é"] {
            assert_eq!(parse_timeout(text), None, "{text}");
        }
    }
}
