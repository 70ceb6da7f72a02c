//! The platform's payloads, `json/wf_v1`: a bare JSON document, or its encoded bytes, with the context as metadata.
//!
//! Invariants
//! - What a client encoded is relayed as its bytes and options; nothing here can read it.
//! - JSON is relayed as the text that came, so that numbers keep their digits.

use crate::error::{Error, Step};
use api::common::v1::{Payload, Payloads};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use uuid::Uuid;

/// How the platform marks its payloads; workers read the older name too.
const ENCODING: &str = "json/wf_v1";
const OLDER_ENCODING: &str = "json/abraxas_v1";

/// What a handler of a workflow is given.
#[derive(Debug, Clone, Default)]
pub enum Input {
    #[default]
    Nothing,
    Json(Box<RawValue>),
    Encoded(Encoded),
}

/// A document that its sender encoded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Encoded {
    #[serde(rename = "b64payload", with = "base64_text")]
    pub data: Bytes,
    /// What was done to it, in this order.
    #[serde(default)]
    pub encoding_options: Vec<EncodingOption>,
    #[serde(default, skip_serializing)]
    pub empty: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EncodingOption {
    Offloaded,
    Encrypted,
    EncryptedPartial,
    Compressed,
}

/// Whose payload it is.
pub struct Context<'a> {
    pub namespace: &'a str,
    pub execution_id: &'a str,
    /// What the worker proves with that it works on the run; for starts.
    pub token: Option<Uuid>,
    pub extensions: Option<&'a RawValue>,
    pub on_behalf_of: Option<bool>,
}

impl Encoded {
    pub fn base64(&self) -> String {
        BASE64.encode(&self.data)
    }
}

impl EncodingOption {
    const ALL: [EncodingOption; 4] = [
        EncodingOption::Offloaded,
        EncodingOption::Encrypted,
        EncodingOption::EncryptedPartial,
        EncodingOption::Compressed,
    ];

    fn name(self) -> &'static str {
        match self {
            EncodingOption::Offloaded => "offloaded",
            EncodingOption::Encrypted => "encrypted",
            EncodingOption::EncryptedPartial => "encrypted-partial",
            EncodingOption::Compressed => "compressed",
        }
    }
}

impl<'de> Deserialize<'de> for Input {
    /// Null, an object, or an encoded document, which is an object with `b64payload`.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Input, D::Error> {
        use serde::de::Error;
        let text = Box::<RawValue>::deserialize(deserializer)?;
        match text.get().as_bytes().first() {
            Some(b'n') => Ok(Input::Nothing),
            Some(b'{') if is_encoded(&text) => {
                serde_json::from_str(text.get()).map(Input::Encoded).map_err(D::Error::custom)
            }
            Some(b'{') => Ok(Input::Json(text)),
            _ => Err(D::Error::custom("must be an object, or null")),
        }
    }
}

fn is_encoded(text: &RawValue) -> bool {
    let members: Result<BTreeMap<String, serde::de::IgnoredAny>, _> = serde_json::from_str(text.get());
    members.is_ok_and(|members| members.contains_key("b64payload"))
}

impl Input {
    /// The document, if it can be read: nothing counts as an object without members.
    pub fn value(&self, loc: &[Step]) -> Result<Option<Value>, Error> {
        match self {
            Input::Nothing => Ok(Some(Value::Object(serde_json::Map::new()))),
            Input::Encoded(_) => Ok(None),
            Input::Json(text) => match serde_json::from_str(text.get()) {
                Ok(value) => Ok(Some(value)),
                Err(error) => Err(Error::invalid(loc.to_vec(), error.to_string())),
            },
        }
    }

    pub fn into_payloads(self, context: &Context<'_>) -> Payloads {
        let (data, options, empty) = match self {
            Input::Nothing => (Bytes::from_static(b"null"), Vec::new(), true),
            Input::Json(text) => (Bytes::from(Box::<str>::from(text).into_boxed_bytes()), Vec::new(), false),
            Input::Encoded(encoded) => (encoded.data, encoded.encoding_options, encoded.empty),
        };
        let options = options.into_iter().map(EncodingOption::name).collect::<Vec<_>>().join(",");
        let mut metadata = BTreeMap::new();
        let mut put = |key: &str, value: String| metadata.insert(key.to_owned(), Bytes::from(value));
        put("encoding", ENCODING.into());
        put("namespace", context.namespace.into());
        put("execution_id", context.execution_id.into());
        put("encoding_options", options);
        if empty {
            put("empty_payload", "true".into());
        }
        if let Some(token) = context.token {
            put("__internal_execution_token", token.to_string());
        }
        if let Some(extensions) = context.extensions {
            put("__internal_extensions", extensions.get().to_owned());
        }
        if let Some(on_behalf_of) = context.on_behalf_of {
            put("__internal_on_behalf_of", on_behalf_of.to_string());
        }
        Payloads { payloads: vec![Payload { metadata, data, external_payloads: Vec::new() }] }
    }
}

/// A payload as it can be read here.
pub enum Decoded {
    Json(Box<RawValue>),
    /// What was done to it, only its sender can undo.
    Encoded(Encoded),
}

pub fn decode(payload: &Payload) -> Decoded {
    let metadata = |key: &str| payload.metadata.get(key).map_or(&b""[..], |value| &value[..]);
    let encoding = metadata("encoding");
    let options: Vec<_> = metadata("encoding_options").split(|byte| *byte == b',').filter_map(option).collect();
    let ours = encoding == ENCODING.as_bytes() || encoding == OLDER_ENCODING.as_bytes();
    let is_json = encoding.starts_with(b"json/") && (!ours || options.is_empty());
    if encoding == b"binary/null" {
        return Decoded::Json(null());
    }
    if is_json
        && let Ok(text) = std::str::from_utf8(&payload.data)
        && let Ok(value) = RawValue::from_string(text.to_owned())
    {
        return Decoded::Json(value);
    }
    Decoded::Encoded(Encoded { data: payload.data.clone(), encoding_options: options, empty: false })
}

/// A payload as clients are answered: JSON as it is, anything else as its bytes for the client to decode.
pub fn read(payload: &Payload) -> Box<RawValue> {
    match decode(payload) {
        Decoded::Json(value) => value,
        Decoded::Encoded(encoded) => serde_json::value::to_raw_value(&encoded).expect("text and names are JSON"),
    }
}

/// The one payload that results and answers have; null if there is none.
pub fn read_first(payloads: Option<&Payloads>) -> Box<RawValue> {
    payloads.and_then(|payloads| payloads.payloads.first()).map_or_else(null, read)
}

pub fn null() -> Box<RawValue> {
    RawValue::from_string("null".into()).expect("null is JSON")
}

/// An ordinary JSON payload.
pub fn json(value: &impl Serialize) -> Payload {
    let data = serde_json::to_vec(value).expect("the value is JSON");
    Payload {
        metadata: [("encoding".to_owned(), Bytes::from_static(b"json/plain"))].into(),
        data: data.into(),
        external_payloads: Vec::new(),
    }
}

/// A payload inside a payload, as protobuf's JSON writes it.
pub fn nested(inner: &Payload) -> Payload {
    let metadata: BTreeMap<_, _> =
        inner.metadata.iter().map(|(key, value)| (key.as_str(), BASE64.encode(value))).collect();
    let mut outer = json(&serde_json::json!({ "metadata": metadata, "data": BASE64.encode(&inner.data) }));
    outer.metadata.insert("encoding".into(), Bytes::from_static(b"json/protobuf"));
    outer.metadata.insert("messageType".into(), Bytes::from_static(b"temporal.api.common.v1.Payload"));
    outer
}

fn option(name: &[u8]) -> Option<EncodingOption> {
    EncodingOption::ALL.into_iter().find(|option| option.name().as_bytes() == name)
}

mod base64_text {
    use super::{BASE64, Bytes};
    use base64::Engine;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(data: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(data))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64.decode(text).map(Bytes::from).map_err(|error| serde::de::Error::custom(format!("not base64: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const CONTEXT: Context<'static> =
        Context { namespace: "n", execution_id: "e", token: None, extensions: None, on_behalf_of: None };

    #[test]
    fn json_keeps_its_text_and_says_whose_it_is() {
        let input: Input = serde_json::from_str(r#"{"n": 1.10, "big": 123456789012345678901234567890}"#).unwrap();
        let payload = input.into_payloads(&CONTEXT).payloads.remove(0);
        assert_eq!(&payload.data[..], br#"{"n": 1.10, "big": 123456789012345678901234567890}"#);
        let metadata: Vec<_> = payload.metadata.iter().map(|(key, value)| (key.as_str(), &value[..])).collect();
        let expected: [(&str, &[u8]); 4] =
            [("encoding", b"json/wf_v1"), ("encoding_options", b""), ("execution_id", b"e"), ("namespace", b"n")];
        assert_eq!(metadata, expected);
        assert_eq!(read(&payload).get(), r#"{"n": 1.10, "big": 123456789012345678901234567890}"#);
    }

    #[test]
    fn what_is_encoded_goes_through_untouched() {
        let sent =
            json!({"b64payload": "AP8=", "encoding_options": ["compressed", "encrypted-partial"], "empty": false});
        let input: Input = serde_json::from_value(sent).unwrap();
        assert!(matches!(input.value(&[]), Ok(None)), "nobody can look into it");
        let payload = input.into_payloads(&CONTEXT).payloads.remove(0);
        assert_eq!(
            (&payload.data[..], &payload.metadata["encoding_options"][..]),
            (&[0, 255][..], &b"compressed,encrypted-partial"[..])
        );
        let back: Value = serde_json::from_str(read(&payload).get()).unwrap();
        assert_eq!(back, json!({"b64payload": "AP8=", "encoding_options": ["compressed", "encrypted-partial"]}));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in [
            "7",
            "[1]",
            "\"x\"",
            "true",
            r#"{"b64payload": "?"}"#,
            r#"{"b64payload": "", "encoding_options": ["rot13"]}"#,
        ] {
            assert!(serde_json::from_str::<Input>(text).is_err(), "{text}");
        }
        assert!(matches!(serde_json::from_str("null"), Ok(Input::Nothing)));
    }

    #[test]
    fn a_result_that_claims_to_be_json_and_is_not_comes_back_as_bytes() {
        let mut payload = json(&json!(1));
        payload.data = Bytes::from_static(b"\xff{");
        assert_eq!(read(&payload).get(), r#"{"b64payload":"/3s=","encoding_options":[]}"#);
        payload.metadata.insert("encoding".into(), Bytes::from_static(b"binary/null"));
        assert_eq!(read(&payload).get(), "null");
    }
}
