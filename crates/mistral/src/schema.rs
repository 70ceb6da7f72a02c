//! JSON Schemas as workers send them, and values checked against them.
//!
//! Invariants
//! - Nothing is fetched: a reference that leads out of the document makes the schema unusable.
//! - A schema that this server cannot use checks nothing. The worker still does, so this costs an early answer and
//!   never refuses what the worker would take.

use crate::error::{Error, Problem, Step};
use jsonschema::Validator;
use jsonschema::paths::LocationSegment;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// How many problems of one value are told.
const PROBLEMS_MAX: usize = 20;
/// A problem quotes the value; longer ones are cut to this many characters.
const PROBLEM_LENGTH_MAX: usize = 500;

/// A schema: relayed as it was written, compiled when it is first needed.
#[derive(Clone)]
pub struct Schema {
    text: Arc<RawValue>,
    compiled: Arc<OnceLock<Option<Validator>>>,
}

impl Schema {
    pub fn new(text: Box<RawValue>) -> Schema {
        Schema { text: Arc::from(text), compiled: Arc::default() }
    }

    pub fn text(&self) -> &RawValue {
        &self.text
    }

    /// Refuses a value that the schema does not allow, naming where it stands below `loc`.
    pub fn check(&self, value: &Value, loc: &[Step]) -> Result<(), Error> {
        let Some(validator) = self.compiled.get_or_init(|| self.compile()) else { return Ok(()) };
        let problems: Vec<_> =
            validator.iter_errors(value).take(PROBLEMS_MAX).map(|error| problem(&error, loc)).collect();
        if problems.is_empty() { Ok(()) } else { Err(Error::problems(problems)) }
    }

    fn compile(&self) -> Option<Validator> {
        let schema: Value = serde_json::from_str(self.text.get()).ok()?;
        match jsonschema::validator_for(&schema) {
            Ok(validator) => Some(validator),
            Err(error) => {
                tracing::warn!("a schema cannot be used to check inputs: {error}");
                None
            }
        }
    }
}

fn problem(error: &jsonschema::ValidationError<'_>, loc: &[Step]) -> Problem {
    let below = error.instance_path().into_iter().map(|segment| match segment {
        LocationSegment::Property(name) => Step::Name(name.to_string()),
        LocationSegment::Index(index) => Step::Index(index),
    });
    let mut msg = error.to_string();
    if let Some((end, _)) = msg.char_indices().nth(PROBLEM_LENGTH_MAX) {
        msg.truncate(end);
        msg.push('…');
    }
    Problem { loc: loc.iter().cloned().chain(below).collect(), msg, kind: error.kind().keyword().to_owned() }
}

impl fmt::Debug for Schema {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text.get())
    }
}

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Schema {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Schema, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        if !text.get().starts_with('{') {
            return Err(serde::de::Error::custom("a JSON Schema must be an object"));
        }
        Ok(Schema::new(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Detail, place};
    use serde_json::json;

    #[test]
    fn a_problem_names_the_way_to_the_value() {
        let schema = schema(json!({
            "type": "object", "required": ["url"], "additionalProperties": false,
            "properties": {"url": {"type": "string"}, "tags": {"type": "array", "items": {"$ref": "#/$defs/Tag"}}},
            "$defs": {"Tag": {"type": "string", "maxLength": 3}},
        }));
        assert_eq!(schema.check(&json!({"url": "u", "tags": ["a"]}), &[]), Ok(()));

        let refused = schema.check(&json!({"url": 7, "tags": ["a", "long"]}), &place(["body", "input"])).unwrap_err();
        let Detail::Problems(problems) = refused.detail else { panic!("a list is needed") };
        let found = serde_json::to_value(&problems).unwrap();
        assert_eq!(found[0]["loc"], json!(["body", "input", "tags", 1]));
        assert_eq!(found[1]["loc"], json!(["body", "input", "url"]));
        assert_eq!(found[1]["msg"], json!("7 is not of type \"string\""));
    }

    #[test]
    fn a_schema_that_leads_out_of_the_document_checks_nothing() {
        let outward = schema(json!({"$ref": "https://example.invalid/schema.json"}));
        assert_eq!(outward.check(&json!(7), &[]), Ok(()));
    }

    #[test]
    fn a_long_value_is_not_told_whole() {
        let refused = schema(json!({"type": "integer"})).check(&json!("ü".repeat(10_000)), &[]).unwrap_err();
        assert!(refused.text().chars().count() < 600);
    }

    fn schema(schema: Value) -> Schema {
        serde_json::from_value(schema).unwrap()
    }
}
