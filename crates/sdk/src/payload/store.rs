//! A place for offloaded payloads.
//!
//! key      v0/d/sha256/<hash of the object, hexadecimal>
//! object   protobuf(payload), after compression and encryption
//!
//! Invariants
//! - `write` returns once the object is durable, as far as the storage can say.
//! - An object is written again even if it is there: rules that delete old objects count from the last use.
//! - `read` returns what was written or an error, never other bytes.

#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
mod bucket;

use std::{fmt, fs, path::Path as Directory, sync::Arc};

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt, local::LocalFileSystem, path::Path};
use prost::Message;
use sha2::{Digest, Sha256};

use super::{
    Error, Payload,
    reference::{KeyField, Reference},
};

/// A place for payloads that are too large for a history: a directory, or a bucket.
///
/// Objects are named by their content, so equal payloads share one. Nothing deletes them: let a lifecycle rule of the
/// bucket do it, later than the longest run plus the retention of the namespace.
#[derive(Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    driver: String,
    key_field: KeyField,
    bucket: Option<String>,
}

impl Store {
    /// A directory, which is created if it is not there. All workers and clients must see the same one.
    ///
    /// Objects are flushed to disk before they count as stored.
    pub fn directory(path: impl AsRef<Directory>) -> Result<Self, Error> {
        let path = path.as_ref();
        let unusable =
            |source| Error::Unusable { store: format!("directory {}", path.display()), source: Box::new(source) };
        fs::create_dir_all(path).map_err(|error| {
            unusable(object_store::Error::Generic { store: "LocalFileSystem", source: error.into() })
        })?;
        let objects = LocalFileSystem::new_with_prefix(path).map_err(unusable)?.with_fsync(true);
        Ok(Self::new("tradewind.directory", objects))
    }

    /// Any storage that `object_store` can speak to, known to other programs under this driver name.
    pub fn new(driver: impl Into<String>, objects: impl ObjectStore) -> Self {
        let driver = driver.into();
        let key_field = KeyField::of_driver(&driver);
        Self { objects: Arc::new(objects), driver, key_field, bucket: None }
    }

    /// Names the bucket that the storage is opened on. It is part of every reference, and only references to this
    /// bucket are read from here.
    pub fn bucket(mut self, bucket: impl Into<String>) -> Self {
        self.bucket = Some(bucket.into());
        self
    }

    /// The name under which references look for this storage. Needed if two storages of one kind and one bucket exist,
    /// or if programs in other languages gave theirs a name.
    pub fn driver_name(mut self, driver: impl Into<String>) -> Self {
        self.driver = driver.into();
        self
    }

    pub(super) fn holds(&self, reference: &Reference) -> bool {
        self.driver == reference.driver && self.bucket == reference.bucket
    }

    /// Stores a payload under the hash of its bytes.
    pub(super) async fn write(&self, payload: &Payload) -> Result<Reference, Error> {
        let bytes = payload.encode_to_vec();
        let sha256 = hash(&bytes);
        let key = format!("v0/d/sha256/{sha256}");
        self.objects.put(&Path::from(key.as_str()), bytes.into()).await.map_err(|source| match source {
            // What is written is not looked for.
            object_store::Error::NotFound { .. } => self.without_bucket(),
            source => self.failed("write", &key, source),
        })?;
        Ok(Reference {
            driver: self.driver.clone(),
            bucket: self.bucket.clone(),
            key_field: self.key_field,
            key,
            sha256,
        })
    }

    /// Fetches what was stored, and makes sure it is that.
    pub(super) async fn read(&self, reference: &Reference) -> Result<Payload, Error> {
        let Reference { key, sha256, .. } = reference;
        let bytes = self.fetch(key).await.map_err(|source| match source {
            object_store::Error::NotFound { source, .. } if says_bucket(&source.to_string()) => self.without_bucket(),
            object_store::Error::NotFound { .. } => Error::MissingObject { store: self.to_string(), key: key.clone() },
            source => self.failed("read", key, source),
        })?;
        let found = hash(&bytes);
        if found != *sha256 {
            return Err(Error::ChangedObject {
                store: self.to_string(),
                key: key.clone(),
                expected: sha256.clone(),
                found,
            });
        }
        Payload::decode(bytes)
            .map_err(|error| Error::Malformed { encoding: "external object", reason: format!("{key}: {error}") })
    }

    async fn fetch(&self, key: &str) -> Result<Bytes, object_store::Error> {
        // A key from a reference is taken as it is: parsing refuses what would leave the storage.
        let path = Path::parse(key)?;
        self.objects.get(&path).await?.bytes().await
    }

    fn without_bucket(&self) -> Error {
        Error::MissingBucket { store: self.to_string() }
    }

    fn failed(&self, verb: &'static str, key: &str, source: object_store::Error) -> Error {
        Error::Storage { store: self.to_string(), verb, key: key.to_owned(), source: Box::new(source) }
    }
}

/// As errors name it.
impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.driver)?;
        match &self.bucket {
            Some(bucket) => write!(f, " (bucket {bucket})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({self})")
    }
}

/// Whether it is the bucket that a service has not found, by the codes of S3 and GCS, and of Azure.
fn says_bucket(answer: &str) -> bool {
    ["NoSuchBucket", "ContainerNotFound"].iter().any(|code| answer.contains(code))
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
