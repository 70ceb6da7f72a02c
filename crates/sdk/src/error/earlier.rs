//! The attempts before the one that an error is about: how they get into it, and out again.

use super::{Error, Repr};
use crate::attempts::{self, Earlier, EarlierAttempt};
use temporalio_common::data_converters::{DecodablePayloads, PayloadConverter, SerializationContextData};
use temporalio_common::error::{ActivityExecutionError, FailurePayloads, IncomingError};
use temporalio_common::protos::temporal::api::common::v1::Payload;

impl Error {
    /// The attempts of the activity before the one that this error is about, oldest first, the latest twenty of them
    /// at most.
    ///
    /// Empty if the first attempt failed for good, or if the last one ran in another SDK, which keeps no such list. What
    /// timed out tells of those before the last heartbeat, and so a local activity, which has none, of nothing.
    ///
    /// ```
    /// # use tradewind::prelude::*;
    /// # #[activity(max_attempts = 3)] async fn charge() -> Result<()> { Ok(()) }
    /// # #[workflow] async fn order() -> Result<()> {
    /// if let Err(error) = charge().await {
    ///     for attempt in error.earlier_attempts() {
    ///         let how = attempt.failure.map_or("no answer".into(), |failure| failure.message);
    ///         tracing::info!(attempt = attempt.number, how, "an attempt to charge");
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn earlier_attempts(&self) -> Vec<EarlierAttempt> {
        let details = match &*self.repr {
            Repr::Activity(ActivityExecutionError::Cancelled(cancelled)) => cancelled.raw_details(),
            other => match other.root() {
                Some(IncomingError::Application(failure)) => failure.raw_details(),
                Some(IncomingError::Cancelled(cancelled)) => cancelled.raw_details(),
                Some(IncomingError::Timeout(timeout)) => timeout.raw_last_heartbeat_details(),
                _ => None,
            },
        };
        attempts::told(details.unwrap_or_default())
    }

    /// Whether it says how an attempt ended, for the next one to know.
    pub(crate) fn is_failure(&self) -> bool {
        !matches!(*self.repr, Repr::Cancelled(_) | Repr::CompletesLater)
    }

    /// Whether the result is to come from elsewhere.
    pub(crate) fn completes_later(&self) -> bool {
        matches!(*self.repr, Repr::CompletesLater)
    }

    /// With the attempts before the one that ends like this, for whoever called the activity.
    pub(crate) fn telling_of(mut self, earlier: &Earlier) -> Error {
        if earlier.attempts().is_empty() || self.completes_later() {
            return self;
        }
        let non_retryable = self.is_non_retryable();
        let details = match &mut *self.repr {
            Repr::Cancelled(details) => details,
            _ => {
                let application = self.as_application();
                application.non_retryable = non_retryable;
                &mut application.details
            }
        };
        let mut payloads = match details.as_ref().map(FailurePayloads::raw) {
            None => Vec::new(),
            Some(Some(payloads)) => payloads.to_vec(),
            // What could not be encoded says so later, and better.
            Some(None) => return self,
        };
        earlier.write(&mut payloads);
        let none = SerializationContextData::None;
        *details = Some(DecodablePayloads::new(payloads, PayloadConverter::default(), none).into());
        self
    }
}

/// Details without what the SDK put there, or `None` if that is all.
pub(super) fn given(details: Option<&[Payload]>) -> Option<&[Payload]> {
    details.map(attempts::said).filter(|said| !said.is_empty())
}
