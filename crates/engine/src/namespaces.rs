//! The namespaces of this server: read from memory, written through the store.
//!
//! Every request looks a namespace up, so lookups touch only memory and hand out an `Arc` of an
//! immutable record. Changes go one at a time: make the new record, wait until it is durable, then show
//! it. So what a lookup finds has been promised to survive, and a change is visible in the very next call. A change
//! that has been submitted is shown whether or not its caller is still there.
//!
//! Nothing in here knows of requests or statuses; the engine uses it as it is.
//!
//! Invariants
//! - A name, an id and a key each name at most one namespace, and all three lead to the same record.
//! - Keys are never reused, not even after a namespace and everything in it is gone.
//! - A deleted namespace keeps its key and id, under another name, until [`Namespaces::forget`]: its runs
//!   still have to be swept.

use api::enums::v1::{IndexedValueType, NamespaceState};
use bytes::Bytes;
use parking_lot::RwLock;
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use store::row::{Change, Durability, Epoch, RegistryKind, Write};
use tokio::sync::OwnedMutexGuard;
use tradewind_core::ids::{NamespaceKey, Slot};
use uuid::Uuid;

/// One namespace as it was last committed.
#[derive(Debug, Clone, PartialEq)]
pub struct Namespace {
    pub key: NamespaceKey,
    pub id: Uuid,
    pub name: String,
    pub state: NamespaceState,
    pub description: String,
    pub owner_email: String,
    pub data: BTreeMap<String, String>,
    /// How long a closed run is kept.
    pub retention: Duration,
    /// Search attributes that users defined, by name.
    pub search_attributes: BTreeMap<String, IndexedValueType>,
}

/// What a namespace is made from; the rest is given by the registry.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NewNamespace {
    pub name: String,
    pub description: String,
    pub owner_email: String,
    pub data: BTreeMap<String, String>,
    pub retention: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("namespace {namespace} does not exist")]
    Absent { namespace: String },
    #[error("namespace {namespace} exists")]
    Exists { namespace: String },
    #[error("the record of namespace {key} does not decode: {reason}")]
    BadRecord { key: String, reason: String },
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// The registry. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Namespaces {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    epoch: Epoch,
    index: RwLock<Arc<Index>>,
    /// Held across a whole change, so that two changes of one namespace do not undo each other.
    writing: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Clone, Default)]
struct Index {
    by_key: BTreeMap<NamespaceKey, Arc<Namespace>>,
    by_name: BTreeMap<String, Arc<Namespace>>,
    by_id: BTreeMap<Uuid, Arc<Namespace>>,
}

impl Index {
    fn insert(&mut self, namespace: Arc<Namespace>) {
        self.remove(namespace.key);
        self.by_key.insert(namespace.key, namespace.clone());
        self.by_name.insert(namespace.name.clone(), namespace.clone());
        self.by_id.insert(namespace.id, namespace);
    }

    fn remove(&mut self, key: NamespaceKey) {
        if let Some(old) = self.by_key.remove(&key) {
            self.by_name.remove(&old.name);
            self.by_id.remove(&old.id);
        }
    }
}

impl Namespaces {
    /// Reads the registry. Writes later carry `epoch`.
    pub fn load(store: Store, epoch: Epoch) -> Result<Namespaces, Error> {
        let mut index = Index::default();
        for (key, bytes) in store.registry(RegistryKind::Namespace)? {
            index.insert(Arc::new(decode(&key, &bytes)?));
        }
        let inner = Inner { store, epoch, index: RwLock::new(Arc::new(index)), writing: Arc::default() };
        Ok(Namespaces { inner: Arc::new(inner) })
    }

    pub fn named(&self, name: &str) -> Option<Arc<Namespace>> {
        self.index().by_name.get(name).cloned()
    }

    pub fn with_id(&self, id: Uuid) -> Option<Arc<Namespace>> {
        self.index().by_id.get(&id).cloned()
    }

    pub fn with_key(&self, key: NamespaceKey) -> Option<Arc<Namespace>> {
        self.index().by_key.get(&key).cloned()
    }

    /// All namespaces in the order they were registered, deleted ones included.
    pub fn all(&self) -> Vec<Arc<Namespace>> {
        self.index().by_key.values().cloned().collect()
    }

    /// Adds a namespace under an id that nobody else has.
    pub async fn register(&self, id: Uuid, new: NewNamespace) -> Result<Arc<Namespace>, Error> {
        let writing = self.inner.writing.clone().lock_owned().await;
        if self.named(&new.name).is_some() {
            return Err(Error::Exists { namespace: new.name });
        }
        let key = self.unused_key()?;
        let namespace = Namespace {
            key,
            id,
            name: new.name,
            state: NamespaceState::Registered,
            description: new.description,
            owner_email: new.owner_email,
            data: new.data,
            retention: new.retention,
            search_attributes: BTreeMap::new(),
        };
        let high_water = Change::PutRegistry {
            kind: RegistryKind::Cluster,
            key: KEY_HIGH_WATER.into(),
            bytes: Bytes::copy_from_slice(&key.0.to_be_bytes()),
        };
        let namespace = Arc::new(namespace);
        let shown = namespace.clone();
        self.commit(writing, vec![high_water, put(&namespace)], |index| index.insert(shown)).await?;
        Ok(namespace)
    }

    /// Changes one namespace. If `change` refuses, nothing has happened.
    pub async fn change<T, E: From<Error>>(
        &self,
        key: NamespaceKey,
        change: impl FnOnce(&mut Namespace) -> Result<T, E>,
    ) -> Result<T, E> {
        let writing = self.inner.writing.clone().lock_owned().await;
        let before = self.with_key(key).ok_or_else(|| Error::Absent { namespace: key.0.to_string() })?;
        let mut after = Namespace::clone(&before);
        let answer = change(&mut after)?;
        assert_eq!((after.key, after.id), (before.key, before.id), "a namespace keeps its key and id");
        if after != *before {
            if after.name != before.name && self.named(&after.name).is_some() {
                return Err(Error::Exists { namespace: after.name }.into());
            }
            let put = put(&after);
            self.commit(writing, vec![put], |index| index.insert(Arc::new(after))).await?;
        }
        Ok(answer)
    }

    /// Removes the record of a deleted namespace, once nothing of it is left.
    pub async fn forget(&self, key: NamespaceKey) -> Result<(), Error> {
        let writing = self.inner.writing.clone().lock_owned().await;
        let Some(namespace) = self.with_key(key) else { return Ok(()) };
        let delete = Change::DeleteRegistry { kind: RegistryKind::Namespace, key: namespace.id.to_string() };
        self.commit(writing, vec![delete], move |index| index.remove(key)).await
    }

    fn index(&self) -> Arc<Index> {
        self.inner.index.read().clone()
    }

    fn unused_key(&self) -> Result<NamespaceKey, Error> {
        let stored = self.inner.store.registry(RegistryKind::Cluster)?;
        let highest = match stored.iter().find(|(key, _)| key == KEY_HIGH_WATER) {
            None => 0,
            Some((key, bytes)) => i64::from_be_bytes(bytes.as_ref().try_into().map_err(|_| Error::BadRecord {
                key: key.clone(),
                reason: format!("{} bytes where 8 were expected", bytes.len()),
            })?),
        };
        Ok(NamespaceKey(highest + 1))
    }

    /// Writes, then shows. A caller that leaves while the disk is at work does not take the second half along: memory
    /// would be behind the disk until the next start.
    async fn commit(
        &self,
        writing: OwnedMutexGuard<()>,
        changes: Vec<Change>,
        show: impl FnOnce(&mut Index) + Send + 'static,
    ) -> Result<(), Error> {
        // A registry row belongs to no execution, so any slot serves.
        let write = Write { slot: Slot(0), epoch: self.inner.epoch, changes };
        let sequence = self.inner.store.submit(write, Durability::Durable);
        let namespaces = self.clone();
        let shown = tokio::spawn(async move {
            let _writing = writing;
            namespaces.inner.store.durable(sequence).await?;
            let mut index = Index::clone(&namespaces.index());
            show(&mut index);
            *namespaces.inner.index.write() = Arc::new(index);
            Ok(())
        });
        shown.await.expect("showing a namespace does not panic, and the runtime outlives its callers")
    }
}

/// Key in the cluster registry: the greatest namespace key ever given, 8 bytes big-endian.
const KEY_HIGH_WATER: &str = "namespace-key-high-water";

/// A namespace on disk. Tags are never reused; unknown ones are from a newer version and ignored.
#[derive(Clone, PartialEq, prost::Message)]
struct Record {
    #[prost(int64, tag = "1")]
    key: i64,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(enumeration = "NamespaceState", tag = "3")]
    state: i32,
    #[prost(string, tag = "4")]
    description: String,
    #[prost(string, tag = "5")]
    owner_email: String,
    #[prost(btree_map = "string, string", tag = "6")]
    data: BTreeMap<String, String>,
    #[prost(uint64, tag = "7")]
    retention_nanos: u64,
    #[prost(btree_map = "string, enumeration(IndexedValueType)", tag = "8")]
    search_attributes: BTreeMap<String, i32>,
}

fn put(namespace: &Namespace) -> Change {
    let record = Record {
        key: namespace.key.0,
        name: namespace.name.clone(),
        state: namespace.state as i32,
        description: namespace.description.clone(),
        owner_email: namespace.owner_email.clone(),
        data: namespace.data.clone(),
        retention_nanos: u64::try_from(namespace.retention.as_nanos()).unwrap_or(u64::MAX),
        search_attributes: namespace
            .search_attributes
            .iter()
            .map(|(name, kind)| (name.clone(), *kind as i32))
            .collect(),
    };
    Change::PutRegistry {
        kind: RegistryKind::Namespace,
        key: namespace.id.to_string(),
        bytes: record.encode_to_vec().into(),
    }
}

fn decode(key: &str, bytes: &[u8]) -> Result<Namespace, Error> {
    let bad = |reason: String| Error::BadRecord { key: key.to_owned(), reason };
    let id = Uuid::parse_str(key).map_err(|error| bad(error.to_string()))?;
    let record = Record::decode(bytes).map_err(|error| bad(error.to_string()))?;
    let mut search_attributes = BTreeMap::new();
    for (name, kind) in record.search_attributes {
        let kind = IndexedValueType::try_from(kind).map_err(|error| bad(error.to_string()))?;
        search_attributes.insert(name, kind);
    }
    Ok(Namespace {
        key: NamespaceKey(record.key),
        id,
        name: record.name,
        state: NamespaceState::try_from(record.state).map_err(|error| bad(error.to_string()))?,
        description: record.description,
        owner_email: record.owner_email,
        data: record.data,
        retention: Duration::from_nanos(record.retention_nanos),
        search_attributes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::{Location, Options};

    const A: Uuid = Uuid::from_u128(0xa);
    const B: Uuid = Uuid::from_u128(0xb);

    #[tokio::test]
    async fn a_registered_namespace_is_found_by_name_id_and_key() {
        let namespaces = registry();
        let registered = namespaces.register(A, named("orders")).await.unwrap();

        assert_eq!(namespaces.named("orders"), Some(registered.clone()));
        assert_eq!(namespaces.with_id(A), Some(registered.clone()));
        assert_eq!(namespaces.with_key(registered.key), Some(registered));
        assert_eq!(namespaces.named("other"), None);
    }

    #[tokio::test]
    async fn a_change_is_shown_even_if_its_caller_leaves() {
        let namespaces = registry();
        let key = namespaces.register(A, named("orders")).await.unwrap().key;
        let change = namespaces.change(key, |namespace| {
            namespace.description = "changed".into();
            Ok::<_, Error>(())
        });
        // Polled once, the change is on its way to the disk.
        tokio::select! {
            biased;
            _ = change => panic!("nothing is durable so soon"),
            () = std::future::ready(()) => {}
        }

        // The next change waits for its turn, and builds on what the one before has written.
        namespaces.change(key, |_| Ok::<_, Error>(())).await.unwrap();
        assert_eq!(namespaces.with_key(key).unwrap().description, "changed");
    }

    #[tokio::test]
    async fn a_name_is_given_once() {
        let namespaces = registry();
        namespaces.register(A, named("orders")).await.unwrap();

        let refused = namespaces.register(B, named("orders")).await;
        assert!(matches!(refused, Err(Error::Exists { namespace }) if namespace == "orders"));
    }

    #[tokio::test]
    async fn everything_survives_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let namespaces = registry_in(Location::Directory(directory.path().to_owned()));
        let key = namespaces.register(A, named("orders")).await.unwrap().key;
        namespaces
            .change(key, |namespace| {
                namespace.search_attributes.insert("CustomerId".into(), IndexedValueType::Keyword);
                namespace.data.insert("team".into(), "red".into());
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        let before = namespaces.all();
        namespaces.inner.store.close();
        drop(namespaces);

        let namespaces = registry_in(Location::Directory(directory.path().to_owned()));
        assert_eq!(namespaces.all(), before);
    }

    #[tokio::test]
    async fn a_forgotten_namespace_leaves_its_key_unused() {
        let namespaces = registry();
        let first = namespaces.register(A, named("orders")).await.unwrap().key;
        namespaces.forget(first).await.unwrap();

        assert_eq!(namespaces.named("orders"), None);
        let second = namespaces.register(B, named("orders")).await.unwrap().key;
        assert!(second > first, "{second:?} was given before");
    }

    #[tokio::test]
    async fn a_renamed_namespace_frees_its_name() {
        let namespaces = registry();
        let key = namespaces.register(A, named("orders")).await.unwrap().key;
        namespaces
            .change(key, |namespace| {
                namespace.name = "orders-deleted".into();
                Ok::<_, Error>(())
            })
            .await
            .unwrap();

        assert_eq!(namespaces.named("orders"), None);
        assert_eq!(namespaces.with_id(A).unwrap().name, "orders-deleted");
        namespaces.register(B, named("orders")).await.unwrap();
    }

    fn named(name: &str) -> NewNamespace {
        NewNamespace { name: name.into(), retention: Duration::from_secs(3_600), ..NewNamespace::default() }
    }

    fn registry() -> Namespaces {
        registry_in(Location::Memory)
    }

    #[track_caller]
    fn registry_in(location: Location) -> Namespaces {
        let store = Store::open(Options { path: location, ..Options::memory() }).expect("the store opens");
        let epoch = store.claim().expect("nobody else claims");
        Namespaces::load(store, epoch).expect("the registry loads")
    }
}
