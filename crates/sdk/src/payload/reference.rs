//! What stands in a payload's place once it is in external storage.
//!
//! payload            encoding: json/protobuf · messageType: temporal.api.sdk.v1.ExternalStorageReference
//!                    external_payloads: one entry with the size of the payload stored
//! data               {"claimData":{"bucket":…,"hash_algorithm":"sha256","hash_value":…,"key":…},"driverName":…}
//!
//! This is the form of the official SDKs. `bucket` is there if the storage has buckets. The driver for Google Cloud
//! Storage says `object_name` instead of `key`. On reading, the form from before it had a message type is understood
//! too, and the spelling `hashAlgorithm`, `hashValue`.

use std::collections::BTreeMap;

use prost::Message;
use serde::{Deserialize, Serialize};
use temporalio_common::protos::temporal::api::common::v1::payload::ExternalPayloadDetails;

use super::{ENCODING, Error, Payload, encoding};

const JSON_PROTOBUF: &str = "json/protobuf";
const OLD_ENCODING: &str = "json/external-storage-reference";
const MESSAGE_TYPE: &str = "messageType";
const REFERENCE_TYPE: &str = "temporal.api.sdk.v1.ExternalStorageReference";
const SHA_256: &str = "sha256";

/// As the official SDKs call their driver for Google Cloud Storage.
pub(super) const GCS_DRIVER: &str = "gcp.gcsdriver";

/// Where a payload is, and what its bytes hash to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) driver: String,
    pub(super) bucket: Option<String>,
    pub(super) key_field: KeyField,
    pub(super) key: String,
    /// Lower-case hexadecimal.
    pub(super) sha256: String,
}

/// Under which name a claim has the key of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyField {
    Key,
    ObjectName,
}

impl KeyField {
    /// What programs expect that know the storage under this name.
    pub(super) fn of_driver(driver: &str) -> Self {
        if driver == GCS_DRIVER { Self::ObjectName } else { Self::Key }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::ObjectName => "object_name",
        }
    }
}

/// `ExternalStorageReference` in JSON.
#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(rename = "claimData", alias = "claim_data", default)]
    claim: BTreeMap<String, String>,
    #[serde(rename = "driverName", alias = "driver_name", default)]
    driver: String,
}

#[derive(Deserialize)]
struct WrittenBefore {
    driver_name: String,
    driver_claim: ClaimBefore,
}

#[derive(Deserialize)]
struct ClaimBefore {
    claim_data: BTreeMap<String, String>,
}

impl Reference {
    /// The payload that says where `stored` is.
    pub(super) fn write(&self, stored: &Payload) -> Payload {
        let mut claim = BTreeMap::from([
            ("hash_algorithm".to_owned(), SHA_256.to_owned()),
            ("hash_value".to_owned(), self.sha256.clone()),
            (self.key_field.name().to_owned(), self.key.clone()),
        ]);
        claim.extend(self.bucket.clone().map(|bucket| ("bucket".to_owned(), bucket)));
        let written = Written { claim, driver: self.driver.clone() };
        Payload {
            metadata: [(ENCODING.to_owned(), JSON_PROTOBUF.into()), (MESSAGE_TYPE.to_owned(), REFERENCE_TYPE.into())]
                .into(),
            data: serde_json::to_vec(&written).expect("strings are JSON"),
            external_payloads: vec![ExternalPayloadDetails { size_bytes: stored.encoded_len() as i64 }],
        }
    }

    /// What the payload refers to, if it is a reference.
    pub(super) fn read(payload: &Payload) -> Result<Option<Self>, Error> {
        if payload.external_payloads.is_empty() {
            return Ok(None);
        }
        let message_type = payload.metadata.get(MESSAGE_TYPE).map(Vec::as_slice);
        let written = match encoding(payload) {
            Some(encoding)
                if encoding == JSON_PROTOBUF.as_bytes() && message_type == Some(REFERENCE_TYPE.as_bytes()) =>
            {
                serde_json::from_slice::<Written>(&payload.data)
            }
            Some(encoding) if encoding == OLD_ENCODING.as_bytes() => {
                serde_json::from_slice::<WrittenBefore>(&payload.data)
                    .map(|before| Written { claim: before.driver_claim.claim_data, driver: before.driver_name })
            }
            _ => return Ok(None),
        };
        written
            .map_err(|error| error.to_string())
            .and_then(Self::of)
            .map(Some)
            .map_err(|reason| Error::Malformed { encoding: REFERENCE_TYPE, reason })
    }

    fn of(mut written: Written) -> Result<Self, String> {
        let mut take = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| written.claim.remove(*name))
                .ok_or_else(|| format!("claim data has no {}", names[0]))
        };
        let algorithm = take(&["hash_algorithm", "hashAlgorithm"])?;
        if algorithm != SHA_256 {
            return Err(format!("hash algorithm is {algorithm:?}, not {SHA_256:?}"));
        }
        let (key_field, key) = match take(&["object_name"]) {
            Ok(name) => (KeyField::ObjectName, name),
            Err(_) => (KeyField::Key, take(&["key"])?),
        };
        Ok(Self {
            sha256: take(&["hash_value", "hashValue"])?,
            key_field,
            key,
            bucket: take(&["bucket"]).ok(),
            driver: written.driver,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(bucket: Option<&str>) -> Reference {
        Reference {
            driver: "aws.s3driver".into(),
            bucket: bucket.map(Into::into),
            key_field: KeyField::Key,
            key: "v0/d/sha256/abc".into(),
            sha256: "abc".into(),
        }
    }

    #[test]
    fn is_written_as_the_official_sdks_write_it() {
        let stored = Payload { data: vec![1, 2, 3], ..Payload::default() };
        let payload = reference(Some("b")).write(&stored);
        assert_eq!(
            String::from_utf8(payload.data).unwrap(),
            r#"{"claimData":{"bucket":"b","hash_algorithm":"sha256","hash_value":"abc","key":"v0/d/sha256/abc"},"driverName":"aws.s3driver"}"#
        );
        assert_eq!(payload.metadata["encoding"], b"json/protobuf");
        assert_eq!(payload.metadata["messageType"], b"temporal.api.sdk.v1.ExternalStorageReference");
        assert_eq!(payload.external_payloads[0].size_bytes, 5);
    }

    #[test]
    fn names_the_object_as_the_driver_of_the_cloud_does() {
        let reference = Reference { key_field: KeyField::of_driver(GCS_DRIVER), ..reference(Some("b")) };
        let payload = reference.write(&Payload::default());
        let written = String::from_utf8(payload.data.clone()).unwrap();
        assert!(written.contains(r#""object_name":"v0/d/sha256/abc""#) && !written.contains(r#""key""#), "{written}");
        assert_eq!(Reference::read(&payload).unwrap(), Some(reference));
    }

    #[test]
    fn comes_back() {
        for bucket in [None, Some("b")] {
            let payload = reference(bucket).write(&Payload::default());
            assert_eq!(Reference::read(&payload).unwrap(), Some(reference(bucket)));
        }
    }

    #[test]
    fn the_form_before_is_read_too() {
        let mut payload = reference(Some("b")).write(&Payload::default());
        payload.metadata = [("encoding".into(), OLD_ENCODING.into())].into();
        payload.data = br#"{"driver_name":"aws.s3driver","driver_claim":{"claim_data":
            {"bucket":"b","hashAlgorithm":"sha256","hashValue":"abc","key":"v0/d/sha256/abc"}}}"#
            .to_vec();
        assert_eq!(Reference::read(&payload).unwrap(), Some(reference(Some("b"))));
    }

    #[test]
    fn a_payload_that_only_looks_like_one_is_left_alone() {
        let mut payload = reference(None).write(&Payload::default());
        payload.external_payloads.clear();
        assert_eq!(Reference::read(&payload).unwrap(), None);
    }

    #[test]
    fn a_claim_without_a_hash_is_refused() {
        let mut payload = reference(None).write(&Payload::default());
        payload.data = br#"{"claimData":{"key":"k"},"driverName":"d"}"#.to_vec();
        let refused = Reference::read(&payload).unwrap_err().to_string();
        assert!(refused.contains("claim data has no hash_algorithm"), "{refused}");
    }
}
