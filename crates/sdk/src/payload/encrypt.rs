//! Encryption with AES-256-GCM, as the encryption samples of the official SDKs write it.
//!
//! payload    encoding: binary/encrypted · encryption-key-id: the key's id
//! data       nonce (12 bytes) · ciphertext of protobuf(inner payload) · tag (16 bytes)
//!
//! The key's id is not authenticated beyond this: a payload that names another key fails to decrypt.
//!
//! Invariants
//! - Every payload has a nonce of its own, from the operating system.
//! - Metadata of the inner payload is encrypted too; what is left readable is that it is encrypted, and with which key.

use aes_gcm::{AeadInOut, Nonce, aead::Aead};
use futures_util::future::BoxFuture;
use prost::Message;
use temporalio_common::data_converters::{PayloadCodec, PayloadConversionError, SerializationContextData};
use zeroize::Zeroizing;

use super::{ENCODING, Error, Keyring, Payload, codec::each, encoding};

const ENCRYPTED: &str = "binary/encrypted";
const KEY_ID: &str = "encryption-key-id";
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// Encrypts payloads with the current key of a [`Keyring`], and decrypts them with whatever key they name.
///
/// What it does not encrypt: nulls, workflow ids, names, search attributes and the messages of failures, which servers and
/// people need to read.
#[derive(Debug, Clone)]
pub struct Encryption {
    keys: Keyring,
}

impl Encryption {
    /// Encryption with these keys.
    pub fn new(keys: Keyring) -> Self {
        Self { keys }
    }

    fn seal(&self, payload: &Payload) -> Result<Payload, Error> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce)?;

        // Encrypted where it lies, so no copy of the plain bytes is left behind.
        let mut sealed = Vec::with_capacity(NONCE_BYTES + payload.encoded_len() + TAG_BYTES);
        sealed.extend_from_slice(&nonce);
        payload.encode(&mut sealed).expect("a vector grows");

        let id = self.keys.with_current(|id, cipher| {
            let tag = cipher
                .encrypt_inout_detached(&Nonce::from(nonce), b"", (&mut sealed[NONCE_BYTES..]).into())
                .expect("a payload is shorter than 64 GiB");
            sealed.extend_from_slice(&tag);
            id.to_owned()
        });
        Ok(Payload {
            metadata: [(ENCODING.to_owned(), ENCRYPTED.into()), (KEY_ID.to_owned(), id.into_bytes())].into(),
            data: sealed,
            external_payloads: Vec::new(),
        })
    }

    fn open(&self, payload: Payload) -> Result<Payload, Error> {
        if encoding(&payload) != Some(ENCRYPTED.as_bytes()) {
            return Ok(payload);
        }
        let malformed = |reason: &str| Error::Malformed { encoding: ENCRYPTED, reason: reason.to_owned() };
        let id = payload.metadata.get(KEY_ID).ok_or_else(|| malformed("metadata has no encryption-key-id"))?;
        let id = String::from_utf8_lossy(id).into_owned();
        let Some((nonce, sealed)) = payload.data.split_first_chunk::<NONCE_BYTES>() else {
            return Err(malformed("it is shorter than a nonce"));
        };
        let opened = self.keys.with_key(&id, |cipher| cipher.decrypt(&Nonce::from(*nonce), sealed));
        match opened {
            None => Err(Error::UnknownKey { id, known: self.keys.ids() }),
            Some(Err(_)) => Err(Error::Undecryptable { id }),
            Some(Ok(plain)) => {
                let plain = Zeroizing::new(plain);
                Payload::decode(plain.as_slice()).map_err(|error| malformed(&error.to_string()))
            }
        }
    }
}

impl PayloadCodec for Encryption {
    fn encode(
        &self,
        _: &SerializationContextData,
        payloads: Vec<Payload>,
    ) -> BoxFuture<'static, Result<Vec<Payload>, PayloadConversionError>> {
        let encryption = self.clone();
        each(payloads, move |payload| encryption.seal(&payload))
    }

    fn decode(
        &self,
        _: &SerializationContextData,
        payloads: Vec<Payload>,
    ) -> BoxFuture<'static, Result<Vec<Payload>, PayloadConversionError>> {
        let encryption = self.clone();
        each(payloads, move |payload| encryption.open(payload))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::payload::Key;

    fn keyring(id: &str, byte: u8) -> Keyring {
        Keyring::new(id, Key::new(&[byte; 32]).unwrap())
    }

    fn payload() -> impl Strategy<Value = Payload> {
        let metadata = prop::collection::hash_map("[a-z-]{0,12}", prop::collection::vec(any::<u8>(), 0..20), 0..4);
        (metadata, prop::collection::vec(any::<u8>(), 0..2000)).prop_map(|(metadata, data)| Payload {
            metadata,
            data,
            external_payloads: Vec::new(),
        })
    }

    proptest! {
        #[test]
        fn comes_back_as_it_was(payload in payload()) {
            let encryption = Encryption::new(keyring("k", 1));
            let sealed = encryption.seal(&payload).unwrap();
            prop_assert_eq!(encryption.open(sealed).unwrap(), payload);
        }

        #[test]
        fn another_key_of_the_same_id_opens_nothing(payload in payload()) {
            let sealed = Encryption::new(keyring("k", 1)).seal(&payload).unwrap();
            let refused = Encryption::new(keyring("k", 2)).open(sealed).unwrap_err();
            prop_assert!(matches!(refused, Error::Undecryptable { .. }), "{}", refused);
        }

        #[test]
        fn one_changed_or_missing_byte_is_noticed(payload in payload(), at in any::<prop::sample::Index>(), cut in any::<bool>()) {
            let encryption = Encryption::new(keyring("k", 1));
            let mut sealed = encryption.seal(&payload).unwrap();
            let at = at.index(sealed.data.len());
            if cut {
                sealed.data.truncate(at);
            } else {
                sealed.data[at] ^= 1;
            }
            let refused = encryption.open(sealed).unwrap_err();
            prop_assert!(matches!(refused, Error::Undecryptable { .. } | Error::Malformed { .. }), "{}", refused);
        }
    }

    #[test]
    fn the_old_key_reads_and_the_new_one_writes() {
        let keys = keyring("2025", 1);
        let encryption = Encryption::new(keys.clone());
        let plain = Payload { data: b"data".to_vec(), ..Payload::default() };
        let old = encryption.seal(&plain).unwrap();

        keys.rotate("2026", Key::new(&[2; 32]).unwrap()).unwrap();
        let new = encryption.seal(&plain).unwrap();
        assert_eq!(old.metadata[KEY_ID], b"2025");
        assert_eq!(new.metadata[KEY_ID], b"2026");
        assert_eq!(encryption.open(old.clone()).unwrap(), plain);
        assert_eq!(encryption.open(new).unwrap(), plain);

        keys.forget("2025").unwrap();
        let refused = encryption.open(old).unwrap_err().to_string();
        assert_eq!(refused, r#"payload is encrypted with key "2025", and the keyring has only ["2026"]"#);
    }

    #[test]
    fn equal_payloads_look_different() {
        let encryption = Encryption::new(keyring("k", 1));
        let plain = Payload { data: b"data".to_vec(), ..Payload::default() };
        assert_ne!(encryption.seal(&plain).unwrap().data, encryption.seal(&plain).unwrap().data);
    }
}
