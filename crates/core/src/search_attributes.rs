//! Search attributes: which names there are, and what values a run may carry under them.
//!
//! *System* attributes are columns of their own and can only be read. *Predefined* ones are written by the
//! server and, for some of them, by SDKs. *Custom* ones are defined by users, per namespace.
//!
//! Nothing in here knows of requests or statuses: starting a run and the upsert command check alike.
//!
//! Invariants
//! - A custom name is never a system or predefined one, and never starts with `Temporal`.
//! - What [`decode`] accepts has, for every name, the type that the namespace or the list below gives it.

use crate::limits::Limits;
use crate::time::Timestamp;
use api::common::v1::{Payload, SearchAttributes};
use api::enums::v1::IndexedValueType::{self, Bool, Datetime, Double, Int, Keyword, KeywordList, Text};
use bytes::Bytes;
use prost::Message;
use serde_json::Value;
use std::collections::BTreeMap;

/// A search attribute's value.
#[derive(Debug, Clone, PartialEq)]
pub enum AttributeValue {
    Keyword(String),
    KeywordList(Vec<String>),
    Text(String),
    Int(i64),
    Double(f64),
    Bool(bool),
    Datetime(Timestamp),
}

/// The custom attributes of one namespace.
pub type Schema = BTreeMap<String, IndexedValueType>;

/// Attributes that are columns of their own. Users query them and never write them.
pub const SYSTEM: &[(&str, IndexedValueType)] = &[
    ("WorkflowId", Keyword),
    ("RunId", Keyword),
    ("WorkflowType", Keyword),
    ("StartTime", Datetime),
    ("ExecutionTime", Datetime),
    ("CloseTime", Datetime),
    ("ExecutionStatus", Keyword),
    ("TaskQueue", Keyword),
    ("HistoryLength", Int),
    ("ExecutionDuration", Int),
    ("StateTransitionCount", Int),
    ("HistorySizeBytes", Int),
    ("ParentWorkflowId", Keyword),
    ("ParentRunId", Keyword),
    ("RootWorkflowId", Keyword),
    ("RootRunId", Keyword),
];

/// Attributes that exist in every namespace and that callers may write, because SDKs and tools do.
pub const PREDEFINED: &[(&str, IndexedValueType)] = &[
    ("TemporalChangeVersion", KeywordList),
    ("BinaryChecksums", KeywordList),
    ("BuildIds", KeywordList),
    ("BatcherNamespace", Keyword),
    ("BatcherUser", Keyword),
    ("TemporalScheduledStartTime", Datetime),
    ("TemporalScheduledById", Keyword),
    ("TemporalSchedulePaused", Bool),
    ("TemporalNamespaceDivision", Keyword),
    ("TemporalPauseInfo", KeywordList),
    ("TemporalReportedProblems", KeywordList),
];

/// Attributes that exist in every namespace and that only the server writes.
pub const PREDEFINED_READ_ONLY: &[(&str, IndexedValueType)] = &[
    ("TemporalWorkerDeploymentVersion", Keyword),
    ("TemporalWorkflowVersioningBehavior", Keyword),
    ("TemporalWorkerDeployment", Keyword),
    ("TemporalUsedWorkerDeploymentVersions", KeywordList),
    ("TemporalExternalPayloadCount", Int),
    ("TemporalExternalPayloadSizeBytes", Int),
];

/// Names that would collide with fields of a visibility record.
const RESERVED: &[&str] = &["NamespaceId", "MemoEncoding", "Memo", "VisibilityTaskKey"];
const RESERVED_PREFIX: &str = "Temporal";

/// Why attributes are not accepted. The texts are the reference server's; SDK tests compare them.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error("Namespace {namespace} has no mapping defined for search attribute {name}")]
    Unknown { namespace: String, name: String },
    #[error("{name} attribute can't be set in SearchAttributes")]
    ReadOnly { name: String },
    #[error("invalid value for search attribute {name} of type {}: {value}", type_name(*kind))]
    Value { name: String, kind: IndexedValueType, value: String },
    #[error("number of search attributes {count} exceeds limit {max}")]
    TooMany { count: usize, max: usize },
    #[error("search attribute {name} value size {bytes} exceeds size limit {max}")]
    ValueTooLong { name: String, bytes: usize, max: usize },
    #[error("total size of search attributes {bytes} exceeds size limit {max}")]
    TooLong { bytes: usize, max: usize },
}

/// Whether users may not define an attribute of this name.
pub fn is_reserved(name: &str) -> bool {
    built_in(name).is_some() || RESERVED.contains(&name) || name.starts_with(RESERVED_PREFIX)
}

/// The type of an attribute that exists in every namespace.
pub fn built_in(name: &str) -> Option<IndexedValueType> {
    [SYSTEM, PREDEFINED, PREDEFINED_READ_ONLY].into_iter().find_map(|list| find(list, name))
}

/// The type of any attribute that queries in a namespace of this schema may name.
pub fn type_of(name: &str, schema: &Schema) -> Option<IndexedValueType> {
    built_in(name).or_else(|| schema.get(name).copied())
}

/// Everything that exists in every namespace, as the reference lists it.
pub fn built_in_all() -> BTreeMap<String, IndexedValueType> {
    [SYSTEM, PREDEFINED, PREDEFINED_READ_ONLY]
        .into_iter()
        .flatten()
        .map(|(name, kind)| ((*name).to_owned(), *kind))
        .collect()
}

/// The name of a type as the protocol's Go binding prints it, which is also what payload metadata says.
pub fn type_name(kind: IndexedValueType) -> &'static str {
    match kind {
        IndexedValueType::Unspecified => "Unspecified",
        Text => "Text",
        Keyword => "Keyword",
        Int => "Int",
        Double => "Double",
        Bool => "Bool",
        Datetime => "Datetime",
        KeywordList => "KeywordList",
    }
}

/// The type that text names: `Keyword`, or the protocol's long form.
pub fn type_named(text: &str) -> Option<IndexedValueType> {
    [Text, Keyword, Int, Double, Bool, Datetime, KeywordList]
        .into_iter()
        .find(|kind| type_name(*kind).eq_ignore_ascii_case(text) || kind.as_str_name() == text)
}

/// Checks attributes that a caller wants to set, and decodes them to search by.
///
/// `None` stands for a null value: the attribute is to be removed.
pub fn decode(
    attributes: &SearchAttributes,
    namespace: &str,
    schema: &Schema,
    limits: &Limits,
) -> Result<Vec<(String, Option<AttributeValue>)>, Refused> {
    let fields = &attributes.indexed_fields;
    if let Some(name) = fields.keys().find(|name| type_of(name, schema).is_none()) {
        return Err(Refused::Unknown { namespace: namespace.into(), name: name.clone() });
    }
    if fields.len() > limits.search_attribute_keys_max {
        return Err(Refused::TooMany { count: fields.len(), max: limits.search_attribute_keys_max });
    }
    let mut decoded = Vec::with_capacity(fields.len());
    for (name, payload) in fields {
        let Some(kind) = find(PREDEFINED, name).or_else(|| schema.get(name).copied()) else {
            return Err(Refused::ReadOnly { name: name.clone() });
        };
        let value = decode_value(payload, kind).map_err(|value| Refused::Value { name: name.clone(), kind, value })?;
        decoded.push((name.clone(), value));
    }
    check_sizes(attributes, limits)?;
    Ok(decoded)
}

/// Writes each value's type into its payload's metadata, which is how SDKs know how to decode it.
pub fn apply_types(attributes: &mut SearchAttributes, schema: &Schema) {
    for (name, payload) in &mut attributes.indexed_fields {
        if let Some(kind) = type_of(name, schema) {
            payload.metadata.insert("type".into(), Bytes::from_static(type_name(kind).as_bytes()));
        }
    }
}

/// A value as the payload that SDKs expect: JSON with its type beside it.
pub fn encode(value: &AttributeValue) -> Payload {
    let (kind, json) = match value {
        AttributeValue::Keyword(text) => (Keyword, Value::from(text.as_str())),
        AttributeValue::KeywordList(items) => (KeywordList, Value::from(items.as_slice())),
        AttributeValue::Text(text) => (Text, Value::from(text.as_str())),
        AttributeValue::Int(number) => (Int, Value::from(*number)),
        AttributeValue::Double(number) => (Double, Value::from(*number)),
        AttributeValue::Bool(flag) => (Bool, Value::from(*flag)),
        AttributeValue::Datetime(at) => (Datetime, Value::from(prost_types::Timestamp::from(*at).to_string())),
    };
    Payload {
        metadata: BTreeMap::from([
            ("encoding".to_owned(), Bytes::from_static(b"json/plain")),
            ("type".to_owned(), Bytes::from_static(type_name(kind).as_bytes())),
        ]),
        data: Bytes::from(json.to_string()),
        ..Payload::default()
    }
}

/// The items of a list of keywords; none if it is something else.
pub fn texts(payload: &Payload) -> Vec<String> {
    match decode_value(payload, KeywordList) {
        Ok(Some(AttributeValue::KeywordList(items))) => items,
        _ => Vec::new(),
    }
}

fn check_sizes(attributes: &SearchAttributes, limits: &Limits) -> Result<(), Refused> {
    let max = limits.search_attribute_value_bytes_max;
    if let Some((name, payload)) = attributes.indexed_fields.iter().find(|(_, payload)| payload.data.len() > max) {
        return Err(Refused::ValueTooLong { name: name.clone(), bytes: payload.data.len(), max });
    }
    let (bytes, max) = (attributes.encoded_len(), limits.search_attributes_total_bytes_max);
    if bytes > max {
        return Err(Refused::TooLong { bytes, max });
    }
    Ok(())
}

/// The value, or what was there instead, as text for the error.
fn decode_value(payload: &Payload, kind: IndexedValueType) -> Result<Option<AttributeValue>, String> {
    let json = match payload.metadata.get("encoding").map_or(&b""[..], |encoding| encoding) {
        b"binary/null" => Value::Null,
        b"json/plain" => serde_json::from_slice(&payload.data).map_err(|_| unreadable(payload))?,
        _ => return Err(unreadable(payload)),
    };
    let bad = || as_go_prints(&json);
    if kind == KeywordList {
        return decode_list(&json).ok_or_else(bad);
    }
    let single = match &json {
        // SDKs of the first generation wrap every value in a list; an empty one means null.
        Value::Array(items) => match &items[..] {
            [] => &Value::Null,
            [item] => item,
            _ => return Err(bad()),
        },
        other => other,
    };
    if single.is_null() {
        return Ok(None);
    }
    let value = match kind {
        Keyword => single.as_str().map(|text| AttributeValue::Keyword(text.into())),
        Text => single.as_str().map(|text| AttributeValue::Text(text.into())),
        Int => single.as_i64().map(AttributeValue::Int),
        Double => single.as_f64().map(AttributeValue::Double),
        Bool => single.as_bool().map(AttributeValue::Bool),
        Datetime => single.as_str().and_then(parse_datetime).map(AttributeValue::Datetime),
        KeywordList | IndexedValueType::Unspecified => None,
    };
    value.map(Some).ok_or_else(bad)
}

fn decode_list(json: &Value) -> Option<Option<AttributeValue>> {
    let items = match json {
        Value::Null => return Some(None),
        Value::Array(items) => items,
        _ => return None,
    };
    // A null item counts as an empty string, as the reference decodes it.
    let texts: Option<Vec<String>> = items
        .iter()
        .map(|item| if item.is_null() { Some(String::new()) } else { item.as_str().map(str::to_owned) })
        .collect();
    Some((!items.is_empty()).then_some(AttributeValue::KeywordList(texts?)))
}

/// RFC 3339, with a time and a zone.
fn parse_datetime(text: &str) -> Option<Timestamp> {
    let has_time = text.as_bytes().get(10).is_some_and(|byte| byte.eq_ignore_ascii_case(&b't'));
    has_time.then(|| text.parse::<prost_types::Timestamp>().ok())?.map(Timestamp::from)
}

fn unreadable(payload: &Payload) -> String {
    format!("value from <{} bytes>", payload.data.len())
}

/// A JSON value in the notation of the reference's error texts.
fn as_go_prints(json: &Value) -> String {
    match json {
        Value::Null => "<nil>".into(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(as_go_prints).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}:{}", as_go_prints(value))).collect();
            format!("map[{}]", fields.join(" "))
        }
    }
}

fn find(list: &[(&str, IndexedValueType)], name: &str) -> Option<IndexedValueType> {
    list.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_decodes_from_its_json() {
        let decoded = accepted(&[
            ("K", r#""a""#),
            ("L", r#"["a","b"]"#),
            ("T", r#""some words""#),
            ("I", "42"),
            ("D", "1.5"),
            ("B", "true"),
            ("At", r#""2024-01-02T03:04:05.5Z""#),
        ]);
        assert_eq!(
            decoded,
            [
                ("At", Some(AttributeValue::Datetime(Timestamp::from_nanos(1_704_164_645_500_000_000)))),
                ("B", Some(AttributeValue::Bool(true))),
                ("D", Some(AttributeValue::Double(1.5))),
                ("I", Some(AttributeValue::Int(42))),
                ("K", Some(AttributeValue::Keyword("a".into()))),
                ("L", Some(AttributeValue::KeywordList(vec!["a".into(), "b".into()]))),
                ("T", Some(AttributeValue::Text("some words".into()))),
            ]
            .map(|(name, value)| (name.to_owned(), value))
        );
    }

    #[test]
    fn null_and_the_empty_list_remove() {
        for json in ["null", "[]"] {
            for name in ["K", "L", "I"] {
                assert_eq!(accepted(&[(name, json)]), [(name.to_owned(), None)], "{name} = {json}");
            }
        }
    }

    #[test]
    fn a_list_of_one_is_the_one() {
        assert_eq!(accepted(&[("I", "[7]")]), [("I".to_owned(), Some(AttributeValue::Int(7)))]);
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_namespace() {
        assert_eq!(refused(&[("nope", "1")]), "Namespace default has no mapping defined for search attribute nope");
    }

    #[test]
    fn system_attributes_cannot_be_set() {
        assert_eq!(refused(&[("WorkflowId", r#""x""#)]), "WorkflowId attribute can't be set in SearchAttributes");
        assert_eq!(
            refused(&[("TemporalWorkerDeployment", r#""x""#)]),
            "TemporalWorkerDeployment attribute can't be set in SearchAttributes"
        );
    }

    #[test]
    fn predefined_attributes_that_sdks_write_can_be_set() {
        assert_eq!(accepted(&[("TemporalChangeVersion", r#"["patch-1"]"#)]).len(), 1);
    }

    #[test]
    fn a_value_of_another_type_is_refused_with_type_and_value() {
        assert_eq!(refused(&[("I", r#""seven""#)]), "invalid value for search attribute I of type Int: seven");
        assert_eq!(refused(&[("I", "1.5")]), "invalid value for search attribute I of type Int: 1.5");
        assert_eq!(refused(&[("L", r#""a""#)]), "invalid value for search attribute L of type KeywordList: a");
        assert_eq!(refused(&[("K", r#"["a","b"]"#)]), "invalid value for search attribute K of type Keyword: [a b]");
        assert_eq!(
            refused(&[("At", r#""2024-01-02""#)]),
            "invalid value for search attribute At of type Datetime: 2024-01-02"
        );
    }

    #[test]
    fn sizes_are_refused_with_the_number_and_the_limit() {
        let long = format!("{:?}", "x".repeat(2_100));
        assert_eq!(refused(&[("K", &long)]), "search attribute K value size 2102 exceeds size limit 2048");

        let limits = Limits { search_attribute_keys_max: 1, ..Limits::default() };
        let error = decode(&attributes(&[("K", "null"), ("I", "1")]), "default", &schema(), &limits).unwrap_err();
        assert_eq!(error.to_string(), "number of search attributes 2 exceeds limit 1");

        let limits = Limits { search_attributes_total_bytes_max: 10, ..Limits::default() };
        let error = decode(&attributes(&[("I", "1")]), "default", &schema(), &limits).unwrap_err();
        assert_eq!(error.to_string(), "total size of search attributes 34 exceeds size limit 10");
    }

    #[test]
    fn names_of_the_system_are_reserved() {
        for name in ["WorkflowId", "BuildIds", "TemporalAnything", "NamespaceId"] {
            assert!(is_reserved(name), "{name}");
        }
        assert!(!is_reserved("CustomerId"));
        assert_eq!(built_in_all().len(), 33);
    }

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        let values = accepted(&[("K", r#""a""#), ("L", r#"["a"]"#), ("D", "1.5"), ("At", r#""2024-01-02T03:04:05Z""#)]);
        for (name, value) in values {
            let value = value.expect("none is null");
            let encoded = encode(&value);
            assert_eq!(decode_value(&encoded, schema()[&name]), Ok(Some(value)), "{name}");
            assert_eq!(encoded.metadata["type"], type_name(schema()[&name]).as_bytes());
        }
    }

    fn schema() -> Schema {
        [("K", Keyword), ("L", KeywordList), ("T", Text), ("I", Int), ("D", Double), ("B", Bool), ("At", Datetime)]
            .map(|(name, kind)| (name.to_owned(), kind))
            .into()
    }

    fn attributes(fields: &[(&str, &str)]) -> SearchAttributes {
        let payload = |json: &str| Payload {
            metadata: BTreeMap::from([("encoding".to_owned(), Bytes::from_static(b"json/plain"))]),
            data: Bytes::copy_from_slice(json.as_bytes()),
            ..Payload::default()
        };
        SearchAttributes {
            indexed_fields: fields.iter().map(|(name, json)| ((*name).to_owned(), payload(json))).collect(),
        }
    }

    #[track_caller]
    fn accepted(fields: &[(&str, &str)]) -> Vec<(String, Option<AttributeValue>)> {
        decode(&attributes(fields), "default", &schema(), &Limits::default()).expect("the attributes are fine")
    }

    #[track_caller]
    fn refused(fields: &[(&str, &str)]) -> String {
        decode(&attributes(fields), "default", &schema(), &Limits::default()).expect_err("one is not").to_string()
    }
}
