//! A place for offloaded payloads.
//!
//! key      v0/d/sha256/<hash of the object, hexadecimal>
//! object   protobuf(payload), after compression and encryption
//!
//! Invariants
//! - `write` returns once the object is durable, as far as the storage can say.
//! - An object is written again even if it is there: rules that delete old objects count from the last use.
//! - `read` returns what was written or an error, never other bytes.

use std::{fmt, fs, path::Path as Directory, sync::Arc};

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt, local::LocalFileSystem, path::Path};
use prost::Message;
use sha2::{Digest, Sha256};

use super::{Error, Payload, reference::Reference};

/// A place for payloads that are too large for a history: a directory, or a bucket.
///
/// Objects are named by their content, so equal payloads share one. Nothing deletes them: let a lifecycle rule of the
/// bucket do it, later than the longest run plus the retention of the namespace.
#[derive(Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    driver: String,
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
        Self { objects: Arc::new(objects), driver: driver.into(), bucket: None }
    }

    /// An S3 bucket, configured by the usual variables (`AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT`, …).
    ///
    /// Objects and references are those of the S3 drivers of the official SDKs.
    #[cfg(feature = "s3")]
    pub fn s3(bucket: impl Into<String>) -> Result<Self, Error> {
        let bucket = bucket.into();
        cloud::install_tls();
        let objects = object_store::aws::AmazonS3Builder::from_env()
            .with_bucket_name(&bucket)
            .build()
            .map_err(|source| cloud::unusable("S3 bucket", &bucket, source))?;
        Ok(Self::new("aws.s3driver", objects).bucket(bucket))
    }

    /// A Google Cloud Storage bucket, configured by the usual variables (`GOOGLE_SERVICE_ACCOUNT`, …).
    ///
    /// Objects and references are those of the GCS drivers of the official SDKs.
    #[cfg(feature = "gcs")]
    pub fn gcs(bucket: impl Into<String>) -> Result<Self, Error> {
        let bucket = bucket.into();
        cloud::install_tls();
        let objects = object_store::gcp::GoogleCloudStorageBuilder::from_env()
            .with_bucket_name(&bucket)
            .build()
            .map_err(|source| cloud::unusable("GCS bucket", &bucket, source))?;
        Ok(Self::new("gcp.gcsdriver", objects).bucket(bucket))
    }

    /// An Azure Blob Storage container, configured by the usual variables (`AZURE_STORAGE_ACCOUNT_NAME`, …).
    #[cfg(feature = "azure")]
    pub fn azure(container: impl Into<String>) -> Result<Self, Error> {
        let container = container.into();
        cloud::install_tls();
        let objects = object_store::azure::MicrosoftAzureBuilder::from_env()
            .with_container_name(&container)
            .build()
            .map_err(|source| cloud::unusable("Azure container", &container, source))?;
        Ok(Self::new("tradewind.azure", objects).bucket(container))
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
        self.objects
            .put(&Path::from(key.as_str()), bytes.into())
            .await
            .map_err(|source| self.failed("write", &key, source))?;
        Ok(Reference { driver: self.driver.clone(), bucket: self.bucket.clone(), key, sha256 })
    }

    /// Fetches what was stored, and makes sure it is that.
    pub(super) async fn read(&self, reference: &Reference) -> Result<Payload, Error> {
        let Reference { key, sha256, .. } = reference;
        let bytes = self.fetch(key).await.map_err(|source| match source {
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

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
mod cloud {
    use super::Error;

    pub(super) fn unusable(kind: &str, name: &str, source: object_store::Error) -> Error {
        Error::Unusable { store: format!("{kind} {name}"), source: Box::new(source) }
    }

    /// The HTTP client takes the process's TLS provider; one that is already there is fine.
    pub(super) fn install_tls() {
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}
