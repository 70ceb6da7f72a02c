//! Which payloads go to external storage, and how they come back.

use super::{Error, Payload, Store, kept::Kept, reference::Reference};
use futures_util::future::try_join_all;
use prost::Message;
use std::sync::Arc;

/// From this size on a payload goes to external storage, unless told otherwise: 256 KiB.
///
/// Well below what a server accepts, because a history holds many payloads, and each workflow task that starts from
/// the beginning loads them all.
pub const THRESHOLD_BYTES: usize = 256 * 1024;

/// How much of what was offloaded a process keeps in memory, unless told otherwise: 64 MiB.
const KEPT_BYTES: usize = 64 * 1024 * 1024;

/// Sends large payloads to a [`Store`], and leaves a reference in their place.
///
/// Sizes are taken after compression and encryption. References and objects are those of the external storage of the
/// official SDKs.
///
/// # Examples
///
/// ```
/// use tradewind::payload::{Converter, Offload, Store};
///
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("payloads");
/// let store = Store::directory(path)?;
/// let converter = Converter::new().offload(Offload::to(store).threshold_bytes(64 * 1024));
/// # Ok::<(), tradewind::payload::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Offload {
    /// Takes what is written.
    store: Store,
    /// Where older references may lead.
    older: Vec<Store>,
    threshold_bytes: usize,
    kept: Arc<Kept>,
}

impl Offload {
    /// Offloading to this store.
    pub fn to(store: Store) -> Self {
        Self { store, older: Vec::new(), threshold_bytes: THRESHOLD_BYTES, kept: Arc::new(Kept::new(KEPT_BYTES)) }
    }

    /// Offloads payloads of this size and above. With 0, all of them.
    pub fn threshold_bytes(mut self, bytes: usize) -> Self {
        self.threshold_bytes = bytes;
        self
    }

    /// Keeps as much of what was read or written in memory, so that replays do not fetch it again. 64 MiB if nothing is
    /// said; with 0, nothing.
    pub fn kept_bytes(mut self, bytes: usize) -> Self {
        self.kept = Arc::new(Kept::new(bytes));
        self
    }

    /// Reads from this store too: one that was written to before, or by other programs.
    pub fn also_read(mut self, store: Store) -> Self {
        self.older.push(store);
        self
    }

    pub(super) fn wants(&self, payload: &Payload) -> bool {
        payload.encoded_len() >= self.threshold_bytes
    }

    /// Stores those payloads that are large, and puts references in their places.
    pub(super) async fn store(&self, payloads: Vec<Payload>) -> Result<Vec<Payload>, Error> {
        try_join_all(payloads.into_iter().map(async |payload| {
            if !self.wants(&payload) {
                return Ok(payload);
            }
            let reference = self.store.write(&payload).await?;
            self.kept.put(&reference.sha256, &payload);
            Ok(reference.write(&payload))
        }))
        .await
    }

    /// Fetches what references among the payloads lead to.
    pub(super) async fn retrieve(offload: Option<&Self>, payloads: Vec<Payload>) -> Result<Vec<Payload>, Error> {
        try_join_all(payloads.into_iter().map(async |payload| {
            let Some(reference) = Reference::read(&payload)? else {
                return Ok(payload);
            };
            let (offload, store) = Self::find(offload, &reference)?;
            if let Some(payload) = offload.kept.get(&reference.sha256) {
                return Ok(payload);
            }
            let payload = store.read(&reference).await?;
            offload.kept.put(&reference.sha256, &payload);
            Ok(payload)
        }))
        .await
    }

    fn find<'a>(offload: Option<&'a Self>, reference: &Reference) -> Result<(&'a Self, &'a Store), Error> {
        let found = offload.and_then(|offload| {
            let store = offload.stores().find(|store| store.holds(reference))?;
            Some((offload, store))
        });
        found.ok_or_else(|| Error::UnknownStore {
            driver: reference.driver.clone(),
            place: match &reference.bucket {
                Some(bucket) => format!(" (bucket {bucket})"),
                None => String::new(),
            },
            known: offload.into_iter().flat_map(Self::stores).map(Store::to_string).collect(),
        })
    }

    fn stores(&self) -> impl Iterator<Item = &Store> {
        std::iter::once(&self.store).chain(&self.older)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::payload::reference::KeyField;

    fn offload(path: &Path) -> Offload {
        Offload::to(Store::directory(path).unwrap()).threshold_bytes(100).kept_bytes(0)
    }

    fn of(bytes: usize) -> Payload {
        Payload { data: vec![7; bytes], ..Payload::default() }
    }

    /// The one object below a directory.
    fn object(path: &Path) -> std::path::PathBuf {
        let all = path.join("v0/d/sha256");
        let mut files = std::fs::read_dir(all).unwrap();
        let file = files.next().unwrap().unwrap().path();
        assert!(files.next().is_none());
        file
    }

    #[tokio::test]
    async fn the_large_ones_go_and_come_back() {
        let directory = tempfile::tempdir().unwrap();
        let offload = offload(directory.path());
        let sent = vec![of(10), of(1000), of(1000)];

        let left = offload.store(sent.clone()).await.unwrap();
        assert_eq!(left[0], sent[0]);
        assert_eq!(left[1], left[2]);
        assert!(left[1].data.len() < 300, "a reference is small");
        object(directory.path());

        assert_eq!(Offload::retrieve(Some(&offload), left).await.unwrap(), sent);
    }

    #[tokio::test]
    async fn what_was_just_written_is_not_fetched() {
        let directory = tempfile::tempdir().unwrap();
        let offload = offload(directory.path()).kept_bytes(10_000);
        let left = offload.store(vec![of(1000)]).await.unwrap();
        std::fs::remove_file(object(directory.path())).unwrap();
        assert_eq!(Offload::retrieve(Some(&offload), left).await.unwrap(), [of(1000)]);
    }

    #[tokio::test]
    async fn a_missing_object_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let offload = offload(directory.path());
        let left = offload.store(vec![of(1000)]).await.unwrap();
        let object = object(directory.path());
        std::fs::remove_file(&object).unwrap();

        let refused = Offload::retrieve(Some(&offload), left).await.unwrap_err().to_string();
        let name = object.file_name().unwrap().to_str().unwrap();
        assert_eq!(
            refused,
            format!("object \"v0/d/sha256/{name}\" of external storage tradewind.directory does not exist")
        );
    }

    #[tokio::test]
    async fn a_changed_object_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let offload = offload(directory.path());
        let left = offload.store(vec![of(1000)]).await.unwrap();
        std::fs::write(object(directory.path()), b"other bytes").unwrap();

        let refused = Offload::retrieve(Some(&offload), left).await.unwrap_err();
        assert!(matches!(refused, Error::ChangedObject { .. }), "{refused}");
    }

    #[tokio::test]
    async fn without_the_store_a_reference_says_what_is_missing() {
        let directory = tempfile::tempdir().unwrap();
        let left = offload(directory.path()).store(vec![of(1000)]).await.unwrap();

        let refused = Offload::retrieve(None, left.clone()).await.unwrap_err().to_string();
        assert!(refused.contains("external storage \"tradewind.directory\""), "{refused}");

        let other = tempfile::tempdir().unwrap();
        let other = Offload::to(Store::directory(other.path()).unwrap().driver_name("other"));
        let refused = Offload::retrieve(Some(&other), left.clone()).await.unwrap_err();
        assert!(matches!(refused, Error::UnknownStore { .. }), "{refused}");

        let both = other.also_read(Store::directory(directory.path()).unwrap());
        assert_eq!(Offload::retrieve(Some(&both), left).await.unwrap(), [of(1000)]);
    }

    #[tokio::test]
    async fn a_reference_cannot_leave_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("secret"), b"secret").unwrap();
        let offload = offload(&directory.path().join("store"));
        let reference = Reference {
            driver: "tradewind.directory".into(),
            bucket: None,
            key_field: KeyField::Key,
            key: "../secret".into(),
            sha256: "0".into(),
        };
        let left = vec![reference.write(&of(1))];
        let refused = Offload::retrieve(Some(&offload), left).await.unwrap_err();
        assert!(matches!(refused, Error::Storage { verb: "read", .. }), "{refused}");
    }
}
