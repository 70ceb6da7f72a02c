//! OpenTelemetry's values as texts and as JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use serde_json::{Map, Value, json};
use std::fmt::Write;

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A text as it is, anything else as its JSON.
pub fn text(value: &AnyValue) -> String {
    match plain(value) {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// As ordinary JSON.
pub fn plain(value: &AnyValue) -> Value {
    match &value.value {
        Some(Any::StringValue(text)) => json!(text),
        Some(Any::BoolValue(flag)) => json!(flag),
        Some(Any::IntValue(number)) => json!(number),
        // JSON has no infinities.
        Some(Any::DoubleValue(number)) if !number.is_finite() => json!(number.to_string()),
        Some(Any::DoubleValue(number)) => json!(number),
        Some(Any::ArrayValue(array)) => array.values.iter().map(plain).collect(),
        Some(Any::KvlistValue(list)) => Value::Object(plain_attributes(&list.values)),
        Some(Any::BytesValue(bytes)) => json!(BASE64.encode(bytes)),
        Some(_) | None => Value::Null,
    }
}

pub fn plain_attributes(attributes: &[KeyValue]) -> Map<String, Value> {
    let value = |it: &KeyValue| it.value.as_ref().map(plain).unwrap_or_default();
    attributes.iter().map(|it| (it.key.clone(), value(it))).collect()
}

/// Attributes whose values the client's span trees take: no objects.
pub fn flat_attributes(attributes: &[KeyValue]) -> Map<String, Value> {
    let flat = |value| if let Value::Object(_) = value { json!(value.to_string()) } else { value };
    plain_attributes(attributes).into_iter().map(|(key, value)| (key, flat(value))).collect()
}

/// As OTLP writes it in JSON, in the types that the client takes.
pub fn tagged_attributes(attributes: &[KeyValue]) -> Value {
    let tagged = |it: &KeyValue| json!({ "key": it.key, "value": it.value.as_ref().map_or_else(|| tag(&Value::Null), |it| tag(&plain(it))) });
    attributes.iter().map(tagged).collect()
}

fn tag(value: &Value) -> Value {
    match value {
        Value::String(text) => json!({ "stringValue": text }),
        Value::Bool(flag) => json!({ "boolValue": flag }),
        // Whole numbers are texts, because JavaScript's have 53 bits.
        Value::Number(number) if number.is_f64() => json!({ "doubleValue": number }),
        Value::Number(number) => json!({ "intValue": number.to_string() }),
        Value::Array(values) => {
            let values: Vec<Value> = values.iter().map(tag).collect();
            json!({ "arrayValue": { "values": values } })
        }
        Value::Null => json!({ "stringValue": "" }),
        Value::Object(_) => json!({ "stringValue": value.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValueList};

    #[test]
    fn values_take_the_shapes_that_the_client_parses() {
        let any = |value| AnyValue { value: Some(value) };
        let list = any(Any::ArrayValue(ArrayValue { values: vec![any(Any::IntValue(7)), any(Any::DoubleValue(0.5))] }));
        let pair = KeyValue { key: "k".into(), value: Some(any(Any::BoolValue(true))), ..KeyValue::default() };
        let nested = any(Any::KvlistValue(KeyValueList { values: vec![pair] }));
        let attribute = |key: &str, value| KeyValue { key: key.into(), value: Some(value), ..KeyValue::default() };
        let attributes =
            [attribute("list", list), attribute("nested", nested), attribute("nan", any(Any::DoubleValue(f64::NAN)))];

        let list = json!({ "arrayValue": { "values": [{ "intValue": "7" }, { "doubleValue": 0.5 }] } });
        assert_eq!(
            tagged_attributes(&attributes),
            json!([
                { "key": "list", "value": list },
                { "key": "nested", "value": { "stringValue": "{\"k\":true}" } },
                { "key": "nan", "value": { "stringValue": "NaN" } },
            ])
        );
        let flat = json!({ "list": [7, 0.5], "nested": "{\"k\":true}", "nan": "NaN" });
        assert_eq!(Value::Object(flat_attributes(&attributes)), flat);
        assert_eq!(text(&any(Any::StringValue("as it is".into()))), "as it is");
    }
}
