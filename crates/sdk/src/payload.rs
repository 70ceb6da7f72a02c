//! How values travel: from a Rust value to the bytes that the server keeps, and back.
//!
//! A value goes out through these stages, each of them optional but the first and the last, and comes back through the
//! same ones in reverse:
//!
//! ```text
//! value ─► conversion ─► your codecs ─► compression ─► encryption ─► offloading ─► limit ─► wire
//!          json/plain,                  binary/zlib    binary/       external      2 MiB
//!          binary/plain, …                             encrypted     reference
//! ```
//!
//! [`Converter`] puts them together. The order is fixed: compressing what is encrypted would gain nothing, encrypting
//! a reference would hide it from the storage of other SDKs. What each stage writes is what the official SDKs and
//! their samples write, so that workers in other languages read it.
//!
//! Invariants
//! - Every stage passes through what it does not recognise. Histories from before a stage was switched on stay readable.
//! - A payload that has left a stage carries all that is needed to undo it but the secret: the encoding, the key's id,
//!   the object's name and hash.
//! - Nothing larger than the limit reaches the wire. Nothing is cut.

mod codec;
mod compress;
mod converter;
mod encrypt;
mod error;
mod kept;
mod key;
mod limit;
mod offload;
mod proto;
mod reference;
mod store;

pub use codec::Codec;
pub(crate) use codec::Pipeline;
pub use compress::Zlib;
pub use converter::Converter;
pub use encrypt::Encryption;
pub use error::Error;
pub use key::{Key, KeyError, Keyring};
pub use limit::PAYLOAD_BYTES_MAX;
pub use offload::{Offload, THRESHOLD_BYTES};
pub use proto::{Proto, ProtoJson};
pub use store::Store;

pub use temporalio_common::data_converters::{
    DataConverter, PayloadConversionError, PayloadConverter, RawValue, SerializationContextData,
};
pub use temporalio_common::protos::temporal::api::common::v1::Payload;

/// Metadata key that says how the data of a payload is written.
pub(crate) const ENCODING: &str = "encoding";

/// The encoding of a payload, if it says one.
pub(crate) fn encoding(payload: &Payload) -> Option<&[u8]> {
    payload.metadata.get(ENCODING).map(Vec::as_slice)
}

/// The failure of an activity whose result does not get onto the wire.
pub(crate) fn unsendable(error: PayloadConversionError) -> crate::Error {
    match error {
        PayloadConversionError::EncodingError(error) => match error.downcast::<Error>() {
            // Doing the work again would make the same result.
            Ok(error) if matches!(*error, Error::TooLarge { .. }) => {
                crate::Error::non_retryable(error.to_string()).with_type("PayloadTooLarge")
            }
            Ok(error) => crate::Error::from(*error),
            Err(error) => crate::Error::from(PayloadConversionError::EncodingError(error)),
        },
        other => crate::Error::from(other),
    }
}
