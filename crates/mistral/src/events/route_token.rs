//! Route tokens: who may tell events of which run.
//!
//! token    base64url( claims · HMAC-SHA-256 of the claims )
//! claims   0x01 · expires at, seconds i64 · run id, 16 bytes · workflow id
//!
//! The key is made once for a data directory, so tokens outlive a restart of the server.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::time::Duration;
use tradewind_core::time::Timestamp;
use uuid::Uuid;

pub const KEY_BYTES: usize = 32;
pub const LIFETIME: Duration = Duration::from_secs(60 * 60);

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 1 + 8 + 16;
const MAC_BYTES: usize = 32;
const NANOS: i64 = 1_000_000_000;

/// What a token allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    pub workflow_id: String,
    pub run_id: Uuid,
}

/// Why a token allows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Not one of ours.
    Invalid,
    /// Once it was good; a fresh one helps.
    Expired,
}

/// Makes tokens and checks them.
pub struct Signer {
    mac: Hmac<Sha256>,
}

impl Signer {
    pub fn new(key: &[u8; KEY_BYTES]) -> Signer {
        Signer { mac: Hmac::new_from_slice(key).expect("any length of key will do") }
    }

    pub fn issue(&self, claims: &Claims, now: Timestamp) -> String {
        let expires = (now + LIFETIME).as_nanos() / NANOS;
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&expires.to_be_bytes());
        bytes.extend_from_slice(claims.run_id.as_bytes());
        bytes.extend_from_slice(claims.workflow_id.as_bytes());
        let mac = self.mac.clone().chain_update(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(&mac);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    pub fn check(&self, token: &str, now: Timestamp) -> Result<Claims, Refused> {
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| Refused::Invalid)?;
        let (claims, mac) = bytes.split_at_checked(bytes.len().wrapping_sub(MAC_BYTES)).ok_or(Refused::Invalid)?;
        // In constant time, and before anything in it is believed.
        self.mac.clone().chain_update(claims).verify_slice(mac).map_err(|_| Refused::Invalid)?;
        let (head, workflow_id) = claims.split_at_checked(HEAD_BYTES).ok_or(Refused::Invalid)?;
        let (version, expires, run_id) = (head[0], &head[1..9], &head[9..]);
        let expires = i64::from_be_bytes(expires.try_into().expect("eight bytes were taken"));
        if version != VERSION {
            return Err(Refused::Invalid);
        }
        if now.as_nanos() / NANOS >= expires {
            return Err(Refused::Expired);
        }
        Ok(Claims {
            workflow_id: String::from_utf8(workflow_id.to_vec()).map_err(|_| Refused::Invalid)?,
            run_id: Uuid::from_slice(run_id).map_err(|_| Refused::Invalid)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_allows_what_it_was_made_for_until_it_expires() {
        let (signer, now) = (Signer::new(&[7; 32]), Timestamp::from_secs(1_000));
        let token = signer.issue(&claims(), now);
        assert_eq!(signer.check(&token, now), Ok(claims()));
        assert_eq!(signer.check(&token, now + (LIFETIME - Duration::from_secs(1))), Ok(claims()));
        assert_eq!(signer.check(&token, now + LIFETIME), Err(Refused::Expired));
    }

    #[test]
    fn a_token_that_was_changed_or_made_elsewhere_allows_nothing() {
        let (signer, now) = (Signer::new(&[7; 32]), Timestamp::from_secs(1_000));
        let token = signer.issue(&claims(), now);
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(signer.check(&changed, now), Err(Refused::Invalid), "byte {at}");
        }
        for wrong in ["", "A", "-", "ü", &token[1..], &token[..token.len() - 1], &format!("{token}A")] {
            assert_eq!(signer.check(wrong, now), Err(Refused::Invalid), "{wrong:?}");
        }
        assert_eq!(Signer::new(&[8; 32]).check(&token, now), Err(Refused::Invalid));
    }

    fn claims() -> Claims {
        Claims { workflow_id: "wörk".into(), run_id: Uuid::from_u128(42) }
    }
}
