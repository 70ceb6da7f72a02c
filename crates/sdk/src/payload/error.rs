//! What goes wrong between a value and the wire.

/// Why a payload could not be written or read.
///
/// Inside a worker it ends up in the message of the failed task; a client gets it as the source of its error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The value has to become smaller, or go elsewhere; sending it again does not help.
    #[error(
        "{count} payload(s) of {bytes} bytes exceed the limit of {limit} bytes: switch on offloading \
         (payload::Converter::offload), or pass a reference to the data instead of the data"
    )]
    TooLarge {
        /// How many payloads the field has.
        count: usize,
        /// Their size together, as the server counts it.
        bytes: usize,
        /// What the server accepts.
        limit: usize,
    },
    /// The keyring lacks the key the payload was encrypted with.
    #[error("payload is encrypted with key {id:?}, and the keyring has only {known:?}")]
    UnknownKey {
        /// The id that the payload names.
        id: String,
        /// The ids that the keyring has.
        known: Vec<String>,
    },
    /// Another key under the same id, or somebody changed the bytes.
    #[error("payload does not decrypt with key {id:?}: another key has this id, or the bytes were changed")]
    Undecryptable {
        /// The id that the payload names.
        id: String,
    },
    /// The bytes are not what the encoding says.
    #[error("payload with encoding {encoding} is malformed: {reason}")]
    Malformed {
        /// What the payload says it is.
        encoding: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The payload was offloaded, and nobody here knows where to.
    #[error(
        "payload is in external storage {driver:?}{place}, and this converter has only {known:?} (payload::Converter::offload)"
    )]
    UnknownStore {
        /// The storage that the reference names.
        driver: String,
        /// The bucket, if the reference names one.
        place: String,
        /// The storages of this converter.
        known: Vec<String>,
    },
    /// The object is gone. A lifecycle rule shorter than the retention of the namespace does this.
    #[error("object {key:?} of external storage {store} does not exist")]
    MissingObject {
        /// The storage.
        store: String,
        /// The name of the object in it.
        key: String,
    },
    /// The bucket was misspelled, or is in another account or region.
    #[error("external storage {store} does not exist at the endpoint that is configured")]
    MissingBucket {
        /// The storage.
        store: String,
    },
    /// Somebody changed the object, or the disk did.
    #[error("object {key:?} of external storage {store} has sha-256 {found}, not {expected}")]
    ChangedObject {
        /// The storage.
        store: String,
        /// The name of the object in it.
        key: String,
        /// The hash in the reference.
        expected: String,
        /// The hash of what is there.
        found: String,
    },
    /// The storage did not do what it was asked; worth another try.
    #[error("external storage {store} could not {verb} object {key:?}: {}", with_reasons(source))]
    Storage {
        /// The storage.
        store: String,
        /// `read` or `write`.
        verb: &'static str,
        /// The name of the object in it.
        key: String,
        /// What the storage said.
        #[source]
        source: Box<object_store::Error>,
    },
    /// The storage cannot be opened as configured.
    #[error("external storage {store} cannot be opened: {}", with_reasons(source))]
    Unusable {
        /// The storage.
        store: String,
        /// What the storage said.
        #[source]
        source: Box<object_store::Error>,
    },
    /// The operating system gave no randomness for a nonce.
    #[error("no randomness for a nonce: {0}")]
    Randomness(#[from] getrandom::Error),
}

/// What an error says, and the reasons below it that it does not repeat. An HTTP client says that it could not send,
/// and only underneath that the connection was refused or the certificate is not known.
fn with_reasons(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(reason) = source {
        let reason_said = reason.to_string();
        if !said.contains(&reason_said) {
            said = format!("{said}: {reason_said}");
        }
        source = reason.source();
    }
    said
}

impl From<Error> for super::PayloadConversionError {
    fn from(error: Error) -> Self {
        Self::EncodingError(Box::new(error))
    }
}
