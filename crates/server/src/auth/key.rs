//! One API key as somebody wrote it down: `KEY`, or `NAME KEY`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::fmt;

/// The longest key. A token from elsewhere that is used as a key, say a signed one, has some hundreds of bytes.
const KEY_LENGTH_MAX: usize = 4_096;
const NAME_LENGTH_MAX: usize = 128;

/// A key and its name. Made from any text; [`ApiKey::check`] says whether it will do, without repeating it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

/// What is wrong with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    #[error("the API key is empty")]
    Empty,
    #[error("the API key has {0} characters; at most {KEY_LENGTH_MAX} are allowed")]
    TooLong(usize),
    #[error("an API key consists of visible ASCII characters; the one at position {0} is something else")]
    Character(usize),
    #[error("the name of an API key has 1 to {NAME_LENGTH_MAX} letters, digits, '-', '_' and '.'")]
    Name,
}

impl ApiKey {
    pub fn check(&self) -> Result<(), BadKey> {
        let secret = self.secret();
        if secret.is_empty() {
            return Err(BadKey::Empty);
        }
        if secret.len() > KEY_LENGTH_MAX {
            return Err(BadKey::TooLong(secret.chars().count()));
        }
        if let Some(position) = secret.chars().position(|char| !char.is_ascii_graphic()) {
            return Err(BadKey::Character(position + 1));
        }
        let of_a_name = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.');
        match self.parts().0 {
            Some(name) if name.len() > NAME_LENGTH_MAX || !name.chars().all(of_a_name) => Err(BadKey::Name),
            _ => Ok(()),
        }
    }

    /// What callers have to send.
    pub(super) fn secret(&self) -> &str {
        self.parts().1
    }

    /// The name given, or one that follows from the key, so that it is the same after a restart.
    pub(super) fn name(&self) -> String {
        match self.parts() {
            (Some(name), _) => name.to_owned(),
            (None, secret) => {
                let digest = Sha256::new().chain_update("name of ").chain_update(secret).finalize();
                let short = u64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 bytes"));
                format!("key-{short:016x}")
            }
        }
    }

    fn parts(&self) -> (Option<&str>, &str) {
        match self.0.trim().split_once(char::is_whitespace) {
            Some((name, secret)) => (Some(name), secret.trim_start()),
            None => (None, self.0.trim()),
        }
    }
}

impl From<&str> for ApiKey {
    fn from(text: &str) -> ApiKey {
        ApiKey(text.to_owned())
    }
}

impl From<String> for ApiKey {
    fn from(text: String) -> ApiKey {
        ApiKey(text)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ApiKey(…)")
    }
}

impl Serialize for ApiKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("…")
    }
}

impl<'de> Deserialize<'de> for ApiKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ApiKey, D::Error> {
        // The error of a plain `String` would quote what it found.
        let text = String::deserialize(deserializer).map_err(|_| serde::de::Error::custom("an API key is a text"))?;
        Ok(ApiKey(text))
    }
}
