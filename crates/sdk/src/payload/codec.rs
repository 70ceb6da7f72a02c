//! The stages after conversion, as one codec.
//!
//! Invariants
//! - A field with nothing to do costs a look at its size: no copy, no allocation per payload.
//! - Work on many bytes does not run on the thread that polls workflows.
//! - A payload that has gone through [`Pipeline::finish`] goes through no stage again.
//! - A field that is null goes through none: there is nothing in it to hide, and servers read it as the wish to remove.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt, ready};
use temporalio_common::data_converters::{PayloadCodec, PayloadConversionError, SerializationContextData};

use super::{Error, Offload, Payload, limit};

/// Something that changes payloads on their way out, and changes them back on their way in.
///
/// Payloads of one field come together, and as many must come back. A codec must pass through what it did not write.
pub use temporalio_common::data_converters::PayloadCodec as Codec;

/// From this size on, compressing or encrypting goes to a thread where it may take its time.
const HEAVY_BYTES: usize = 256 * 1024;

/// Metadata of a payload that is ready for the wire, though whoever has it would send it through the codec again.
const FINISHED: &str = "tradewind-finished";

type Payloads = Result<Vec<Payload>, PayloadConversionError>;

/// All stages between conversion and wire.
#[derive(Clone, Default)]
pub(crate) struct Pipeline {
    /// In the order in which they encode.
    pub(super) codecs: Vec<Arc<dyn PayloadCodec + Send + Sync>>,
    pub(super) offload: Option<Offload>,
    pub(super) bytes_max: Option<usize>,
}

impl PayloadCodec for Pipeline {
    fn encode(&self, context: &SerializationContextData, payloads: Vec<Payload>) -> BoxFuture<'static, Payloads> {
        let mut payloads = payloads;
        if take_mark(&mut payloads) || payloads.iter().all(is_null) {
            return ready(Ok(payloads)).boxed();
        }
        if self.codecs.is_empty() && !self.would_offload(&payloads) {
            return ready(self.limited(payloads)).boxed();
        }
        let (pipeline, context) = (self.clone(), context.clone());
        async move {
            for codec in &pipeline.codecs {
                payloads = codec.encode(&context, payloads).await?;
            }
            if let Some(offload) = &pipeline.offload {
                payloads = offload.store(payloads).await?;
            }
            pipeline.limited(payloads)
        }
        .boxed()
    }

    fn decode(&self, context: &SerializationContextData, payloads: Vec<Payload>) -> BoxFuture<'static, Payloads> {
        let stored = payloads.iter().any(|payload| !payload.external_payloads.is_empty());
        if self.codecs.is_empty() && !stored {
            return ready(Ok(payloads)).boxed();
        }
        let (pipeline, context) = (self.clone(), context.clone());
        async move {
            let mut payloads = payloads;
            if stored {
                payloads = Offload::retrieve(pipeline.offload.as_ref(), payloads).await?;
            }
            for codec in pipeline.codecs.iter().rev() {
                payloads = codec.decode(&context, payloads).await?;
            }
            Ok(payloads)
        }
        .boxed()
    }
}

impl Pipeline {
    /// Makes a value ready for the wire ahead of time, for a caller who wants to know how that goes.
    pub(crate) async fn finish(
        &self,
        context: &SerializationContextData,
        payloads: Vec<Payload>,
    ) -> Result<Vec<Payload>, PayloadConversionError> {
        let mut payloads = self.encode(context, payloads).await?;
        for payload in &mut payloads {
            payload.metadata.insert(FINISHED.to_owned(), Vec::new());
        }
        Ok(payloads)
    }

    fn would_offload(&self, payloads: &[Payload]) -> bool {
        self.offload.as_ref().is_some_and(|offload| payloads.iter().any(|payload| offload.wants(payload)))
    }

    fn limited(&self, payloads: Vec<Payload>) -> Payloads {
        if let Some(bytes_max) = self.bytes_max {
            limit::check(&payloads, bytes_max)?;
        }
        Ok(payloads)
    }
}

fn is_null(payload: &Payload) -> bool {
    payload.data.is_empty() && payload.metadata.get("encoding").is_some_and(|encoding| encoding == b"binary/null")
}

/// Whether the payloads were marked as finished. They are not any more.
fn take_mark(payloads: &mut [Payload]) -> bool {
    let mut marked = false;
    for payload in payloads {
        marked |= payload.metadata.remove(FINISHED).is_some();
    }
    marked
}

/// Applies `work` to each payload, elsewhere if there is much of it.
pub(super) fn each(
    payloads: Vec<Payload>,
    work: impl Fn(Payload) -> Result<Payload, Error> + Send + 'static,
) -> BoxFuture<'static, Payloads> {
    let all = move |payloads: Vec<Payload>| payloads.into_iter().map(work).collect::<Result<_, _>>();
    let bytes: usize = payloads.iter().map(|payload| payload.data.len()).sum();
    if bytes < HEAVY_BYTES {
        return ready(all(payloads).map_err(PayloadConversionError::from)).boxed();
    }
    async move {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return Ok(all(payloads)?);
        };
        let done = runtime.spawn_blocking(move || all(payloads)).await;
        Ok(done.map_err(|stopped| PayloadConversionError::EncodingError(Box::new(stopped)))??)
    }
    .boxed()
}
