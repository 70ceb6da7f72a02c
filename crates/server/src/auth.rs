//! API keys: who may come in at either door.
//!
//! A caller sends its key as `authorization: Bearer KEY`, in the headers of HTTP and in the metadata of gRPC alike. The
//! doors ask [`Keys::admit`] before they look at anything else of a request, and open without a key only what says
//! whether the server is alive. Which key it was matters to those who hand out rights by it: a key has a name, and
//! several keys may share one while they are exchanged.
//!
//! Invariants
//! - Keys are compared by digest, all of them, in constant time: neither a prefix nor a length can be found by measuring.
//! - No key is written anywhere: not to a log, not by `Debug`, not into an error, not when settings are serialised.
//! - Without keys a server listens on loopback only, unless it is told by name to do otherwise.

mod key;
pub mod pass;

pub use key::{ApiKey, BadKey};

use crate::ambient::Clock;
use crate::config;
use crate::metrics::Metrics;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use pass::Signer;
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use tradewind_core::time::Timestamp;

/// Everybody who may come in.
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    known: Vec<Known>,
    signer: Signer,
}

/// A key as it is remembered: not the key.
struct Known {
    digest: [u8; 32],
    name: Arc<str>,
}

/// Whose key a request came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name of the key.
    pub name: Arc<str>,
}

/// Why a request is not let in. Nothing of what the caller sent is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("an API key is needed: send it as \"authorization: Bearer KEY\"")]
    Missing,
    #[error("the authorization header is not of the form \"Bearer KEY\"")]
    Malformed,
    #[error("the API key is not valid here")]
    Unknown,
}

/// Why a server does not start with these keys, or without any.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("auth.api_keys[{index}]: {reason}")]
    Key { index: usize, reason: BadKey },
    #[error("cannot read the file of API keys {}: {reason}", path.display())]
    Read { path: PathBuf, reason: std::io::Error },
    #[error("{}, line {line}: {reason}", path.display())]
    Line { path: PathBuf, line: usize, reason: BadKey },
    #[error("{}: there is no API key in it", path.display())]
    Empty { path: PathBuf },
    #[error(
        "{ip} is not a loopback address, and whoever reaches it could read and end every workflow: set an API key \
         (--api-key, TRADEWIND_API_KEY, or [auth] in the configuration), or allow it with --insecure-no-auth"
    )]
    Open { ip: IpAddr },
}

impl Keys {
    /// The keys that the settings name, if it is safe to listen on `ip` with them.
    pub fn load(settings: &config::Auth, ip: IpAddr) -> Result<Keys, Error> {
        let mut keys = Vec::new();
        for (index, key) in settings.api_keys.iter().enumerate() {
            key.check().map_err(|reason| Error::Key { index, reason })?;
            keys.push(known(key));
        }
        if let Some(path) = &settings.api_keys_file {
            let text = std::fs::read_to_string(path).map_err(|reason| Error::Read { path: path.clone(), reason })?;
            keys.extend(in_file(&text, path)?);
        }
        if keys.is_empty() && !ip.is_loopback() && !settings.insecure_no_auth {
            return Err(Error::Open { ip });
        }
        let signer = Signer::new(keys.iter().map(|known| &known.digest));
        Ok(Keys(Arc::new(Inner { known: keys, signer })))
    }

    /// Nobody has to show a key.
    pub fn are_off(&self) -> bool {
        self.0.known.is_empty()
    }

    pub fn count(&self) -> usize {
        self.0.known.len()
    }

    /// A bearer that lets its holder in under this name, for [`pass::LIFETIME`].
    pub fn issue_pass(&self, name: &str, now: Timestamp) -> String {
        self.0.signer.issue(name, now)
    }

    /// Who sends these headers: nobody in particular if keys are off.
    pub fn admit(&self, headers: &HeaderMap, now: Timestamp) -> Result<Option<Caller>, Refusal> {
        if self.are_off() {
            return Ok(None);
        }
        let mut sent = headers.get_all(AUTHORIZATION).iter();
        let header = sent.next().ok_or(Refusal::Missing)?;
        if sent.next().is_some() {
            return Err(Refusal::Malformed);
        }
        let key = bearer(header.as_bytes()).ok_or(Refusal::Malformed)?;
        let name = self.find(key).map(|known| known.name.clone());
        let name = name.or_else(|| Some(self.0.signer.check(key, now)?.into()));
        Ok(Some(Caller { name: name.ok_or(Refusal::Unknown)? }))
    }

    /// Looks at every key, found or not.
    fn find(&self, key: &[u8]) -> Option<&Known> {
        let digest: [u8; 32] = Sha256::digest(key).into();
        let mut found = Choice::from(0);
        let mut at = 0u64;
        for (index, known) in self.0.known.iter().enumerate() {
            let same = known.digest.ct_eq(&digest);
            at.conditional_assign(&(index as u64), same);
            found |= same;
        }
        bool::from(found).then(|| &self.0.known[at as usize])
    }
}

/// Where a request comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrontDoor {
    Grpc,
    Http,
}

/// The keys at one door. Callers in this process, who pass no door, need none.
#[derive(Clone)]
pub(crate) struct Guard {
    keys: Keys,
    door: FrontDoor,
    metrics: Metrics,
    clock: Clock,
}

impl Guard {
    pub(crate) fn new(keys: Keys, door: FrontDoor, metrics: Metrics, clock: Clock) -> Guard {
        Guard { keys, door, metrics, clock }
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Who asks for `path` with these headers. Those who are turned away are counted.
    pub(crate) fn admit(&self, path: &str, headers: &HeaderMap) -> Result<Option<Caller>, Refusal> {
        self.keys.admit(headers, self.clock.now()).inspect_err(|refusal| {
            self.metrics.refused(self.door);
            tracing::debug!(path, "{refusal}");
        })
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Keys({})", self.count())
    }
}

fn known(key: &ApiKey) -> Known {
    Known { digest: Sha256::digest(key.secret()).into(), name: key.name().into() }
}

/// One key a line; blank lines and those that begin with `#` say nothing.
fn in_file(text: &str, path: &std::path::Path) -> Result<Vec<Known>, Error> {
    let mut keys = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = ApiKey::from(line);
        key.check().map_err(|reason| Error::Line { path: path.to_owned(), line: index + 1, reason })?;
        keys.push(known(&key));
    }
    if keys.is_empty() { Err(Error::Empty { path: path.to_owned() }) } else { Ok(keys) }
}

/// The key in `Bearer KEY`. The scheme's case does not matter, as in all of HTTP.
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = header.split_at_checked(b"bearer".len())?;
    let key = rest.strip_prefix(b" ")?.trim_ascii();
    let whole = !key.is_empty() && !key.contains(&b' ');
    (scheme.eq_ignore_ascii_case(b"bearer") && whole).then_some(key)
}

#[cfg(test)]
mod tests;
