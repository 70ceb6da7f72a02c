//! Keys for encryption, and which of them is the current one.
//!
//! Invariants
//! - Key material is overwritten when the last holder drops it, and no `Debug` shows it.
//! - A keyring always has a current key.

use std::{collections::BTreeMap, fmt, sync::Arc};

use aes_gcm::{Aes256Gcm, KeyInit};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use parking_lot::RwLock;
use zeroize::Zeroizing;

/// Why something is not a key, or a keyring cannot do without one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// AES-256 takes 32 bytes.
    #[error("a key has 32 bytes, this one has {0}")]
    Length(usize),
    /// Not base64, standard alphabet.
    #[error("key is not base64")]
    Base64,
    /// New payloads are encrypted with it.
    #[error("key {0:?} is the current one: rotate to another one first")]
    Current(String),
    /// Payloads that were encrypted with the key of this id would not decrypt any more.
    #[error("another key has the id {0:?}")]
    Taken(String),
}

/// A key for AES-256.
///
/// # Examples
///
/// ```
/// use tradewind::payload::Key;
///
/// let key = Key::from_base64("dGVzdC1rZXktdGVzdC1rZXktdGVzdC1rZXktdGVzdCE=")?;
/// assert_eq!(format!("{key:?}"), "Key(..)");
/// # Ok::<(), tradewind::payload::KeyError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Zeroizing<[u8; 32]>);

impl Key {
    /// The key of these 32 bytes. Whoever passes them overwrites their own copy.
    pub fn new(bytes: &[u8]) -> Result<Self, KeyError> {
        let mut key = Zeroizing::new([0; 32]);
        if bytes.len() != key.len() {
            return Err(KeyError::Length(bytes.len()));
        }
        key.copy_from_slice(bytes);
        Ok(Self(key))
    }

    /// The key that this text says, as a secret manager may keep it.
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(BASE64_STANDARD.decode(text.trim()).map_err(|_| KeyError::Base64)?);
        Self::new(&bytes)
    }

    pub(super) fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new_from_slice(self.0.as_slice()).expect("a key has 32 bytes")
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Keys by id: one that encrypts, and older ones that still decrypt.
///
/// Clones share the keys, so a worker that runs for months can take a new key without a restart: keep a clone, and
/// [`rotate`](Self::rotate) it. Give the new key to every process that reads before the first process writes with it:
/// [`add`](Self::add) does that.
///
/// Nonces are random, so a key should encrypt no more than about four billion payloads.
///
/// # Examples
///
/// ```
/// use tradewind::payload::{Converter, Key, Keyring};
///
/// let keys = Keyring::new("2025", Key::new(&[1; 32])?);
/// let converter = Converter::new().encrypt(keys.clone());
///
/// // A year later: what was written in 2025 stays readable.
/// keys.rotate("2026", Key::new(&[2; 32])?)?;
/// # Ok::<(), tradewind::payload::KeyError>(())
/// ```
#[derive(Clone)]
pub struct Keyring(Arc<RwLock<Keys>>);

struct Keys {
    /// A key of `ciphers`.
    current: String,
    ciphers: BTreeMap<String, Entry>,
}

struct Entry {
    key: Key,
    cipher: Aes256Gcm,
}

impl Keyring {
    /// A keyring whose only key is the current one.
    pub fn new(id: impl Into<String>, key: Key) -> Self {
        let current = id.into();
        let ciphers = BTreeMap::from([(current.clone(), Entry::of(key))]);
        Self(Arc::new(RwLock::new(Keys { current, ciphers })))
    }

    /// Adds a key that decrypts: an old one, or the next one before [`rotate`](Self::rotate).
    pub fn add(&self, id: impl Into<String>, key: Key) -> Result<(), KeyError> {
        self.0.write().insert(id.into(), key).map(drop)
    }

    /// Adds a key, as [`add`](Self::add) does, to a keyring that is being built.
    pub fn with(self, id: impl Into<String>, key: Key) -> Result<Self, KeyError> {
        self.add(id, key)?;
        Ok(self)
    }

    /// Makes this key the one that encrypts. The others still decrypt.
    pub fn rotate(&self, id: impl Into<String>, key: Key) -> Result<(), KeyError> {
        let mut keys = self.0.write();
        keys.current = keys.insert(id.into(), key)?;
        Ok(())
    }

    /// Forgets a key, once no history that was encrypted with it is left. Forgetting one it does not have is fine.
    pub fn forget(&self, id: &str) -> Result<(), KeyError> {
        let mut keys = self.0.write();
        if keys.current == id {
            return Err(KeyError::Current(id.to_owned()));
        }
        keys.ciphers.remove(id);
        Ok(())
    }

    /// The ids of all keys.
    pub fn ids(&self) -> Vec<String> {
        self.0.read().ciphers.keys().cloned().collect()
    }

    /// Calls `work` with the id and the cipher of the current key.
    pub(super) fn with_current<R>(&self, work: impl FnOnce(&str, &Aes256Gcm) -> R) -> R {
        let keys = self.0.read();
        work(&keys.current, &keys.ciphers[&keys.current].cipher)
    }

    /// Calls `work` with the cipher of this key, if there is one.
    pub(super) fn with_key<R>(&self, id: &str, work: impl FnOnce(&Aes256Gcm) -> R) -> Option<R> {
        self.0.read().ciphers.get(id).map(|entry| work(&entry.cipher))
    }
}

impl Keys {
    fn insert(&mut self, id: String, key: Key) -> Result<String, KeyError> {
        match self.ciphers.get(&id) {
            Some(entry) if entry.key != key => return Err(KeyError::Taken(id)),
            Some(_) => {}
            None => {
                self.ciphers.insert(id.clone(), Entry::of(key));
            }
        }
        Ok(id)
    }
}

impl Entry {
    fn of(key: Key) -> Self {
        Self { cipher: key.cipher(), key }
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.0.read();
        f.debug_struct("Keyring").field("current", &keys.current).field("ids", &keys.ciphers.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> Key {
        Key::new(&[byte; 32]).unwrap()
    }

    #[test]
    fn a_key_has_32_bytes() {
        assert_eq!(Key::new(&[0; 16]), Err(KeyError::Length(16)));
        assert_eq!(Key::from_base64("AAAA"), Err(KeyError::Length(3)));
        assert_eq!(Key::from_base64("not base64"), Err(KeyError::Base64));
    }

    #[test]
    fn the_current_key_stays() {
        let keys = Keyring::new("a", key(1));
        assert_eq!(keys.forget("a"), Err(KeyError::Current("a".into())));
        keys.rotate("b", key(2)).unwrap();
        keys.forget("a").unwrap();
        assert_eq!(keys.ids(), ["b"]);
    }

    #[test]
    fn an_id_names_one_key() {
        let keys = Keyring::new("a", key(1));
        assert_eq!(keys.add("a", key(2)), Err(KeyError::Taken("a".into())));
        assert_eq!(keys.rotate("a", key(2)), Err(KeyError::Taken("a".into())));
        keys.rotate("a", key(1)).unwrap();
    }

    #[test]
    fn debug_shows_ids_and_no_keys() {
        let shown = format!("{:?} {:?}", Keyring::new("a", key(65)), key(65));
        assert_eq!(shown, r#"Keyring { current: "a", ids: ["a"] } Key(..)"#);
    }
}
