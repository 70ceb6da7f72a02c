//! Passes: bearers for a few minutes, under which somebody comes in by the name of another caller.
//!
//! A worker that acts for the user who started a run asks for one. They are JWTs (HS256), because workers read in them when
//! they end.
//!
//! The secret follows from all keys: passes outlive a restart of the server, and end with an exchange of any key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::time::Duration;
use tradewind_core::time::Timestamp;

pub const LIFETIME: Duration = Duration::from_secs(5 * 60);

/// `{"alg":"HS256","typ":"JWT"}`. Nothing else is taken, so nobody chooses how a pass is checked.
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
const NANOS: i64 = 1_000_000_000;

pub(super) struct Signer(Hmac<Sha256>);

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    iat: i64,
    exp: i64,
}

impl Signer {
    pub(super) fn new<'a>(digests: impl Iterator<Item = &'a [u8; 32]>) -> Signer {
        let mut digests: Vec<_> = digests.collect();
        digests.sort();
        let mut secret = Sha256::new().chain_update("passes of ");
        for digest in digests {
            secret.update(digest);
        }
        Signer(Hmac::new_from_slice(&secret.finalize()).expect("any length of key will do"))
    }

    pub(super) fn issue(&self, name: &str, now: Timestamp) -> String {
        let seconds = |at: Timestamp| at.as_nanos() / NANOS;
        let claims = Claims { sub: name.to_owned(), iat: seconds(now), exp: seconds(now + LIFETIME) };
        let claims = serde_json::to_vec(&claims).expect("claims are plain");
        let signed = format!("{HEADER}.{}", BASE64.encode(claims));
        let mac = self.0.clone().chain_update(&signed).finalize().into_bytes();
        format!("{signed}.{}", BASE64.encode(mac))
    }

    /// Whose pass it is, if it is one and good now.
    pub(super) fn check(&self, pass: &[u8], now: Timestamp) -> Option<String> {
        let (signed, mac) = std::str::from_utf8(pass).ok()?.rsplit_once('.')?;
        // In constant time, and before anything in it is believed.
        self.0.clone().chain_update(signed).verify_slice(&BASE64.decode(mac).ok()?).ok()?;
        let (header, claims) = signed.split_once('.')?;
        let claims: Claims = serde_json::from_slice(&BASE64.decode(claims).ok()?).ok()?;
        (header == HEADER && now.as_nanos() / NANOS < claims.exp).then_some(claims.sub)
    }
}
