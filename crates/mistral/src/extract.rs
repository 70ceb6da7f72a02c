//! Requests taken apart: bodies, query parameters and paths that name what is wrong with them.

use crate::Platform;
use crate::error::{Error, Problem, Step, code, place};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path as AxumPath, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use std::ops::RangeInclusive;
use tradewind_core::time::Timestamp;

/// A body of JSON.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Platform> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, platform: &Platform) -> Result<Body<T>, Error> {
        parse(&bytes(request, platform).await?).map(Body)
    }
}

/// A body of JSON that may be left out.
pub struct OptionalBody<T>(pub T);

impl<T: DeserializeOwned + Default> FromRequest<Platform> for OptionalBody<T> {
    type Rejection = Error;

    async fn from_request(request: Request, platform: &Platform) -> Result<OptionalBody<T>, Error> {
        let bytes = bytes(request, platform).await?;
        if bytes.trim_ascii().is_empty() { Ok(OptionalBody(T::default())) } else { parse(&bytes).map(OptionalBody) }
    }
}

/// A whole body, as it came.
pub async fn bytes(request: Request, platform: &Platform) -> Result<Bytes, Error> {
    Bytes::from_request(request, platform).await.map_err(|rejection| match rejection {
        BytesRejection::FailedToBufferBody(reason) if reason.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let max = platform.service.limits.message_bytes_max;
            let detail = format!("the request body is larger than the {max} bytes that this server takes");
            Error::new(StatusCode::PAYLOAD_TOO_LARGE, code::TOO_LARGE, detail)
        }
        // The client went away, or sent something that is no body.
        other => Error::new(StatusCode::BAD_REQUEST, code::INVALID, other.body_text()),
    })
}

/// Reads an object of JSON; an error says where in the document it is.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    // A list of its members would pass for an object.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Error::invalid(place(["body"]), "the body must be an object of JSON"));
    }
    parse_at(bytes, &place(["body"]))
}

/// Reads JSON that stands at a place in the request.
pub fn parse_at<T: DeserializeOwned>(bytes: &[u8], at: &[Step]) -> Result<T, Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let mut loc = at.to_vec();
        loc.extend(error.path().iter().filter_map(|segment| match segment {
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Map { key } => Some(Step::Name(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => None,
        }));
        bad_json(loc, error.inner())
    })?;
    deserializer.end().map_err(|error| bad_json(at.to_vec(), &error))?;
    Ok(value)
}

fn bad_json(loc: Vec<Step>, error: &serde_json::Error) -> Error {
    let kind = if error.is_data() { "value_error" } else { "json_invalid" };
    Error::problems(vec![Problem { loc, msg: error.to_string(), kind: kind.into() }])
}

/// A path's parameters.
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Path<T>, Error> {
        match AxumPath::<T>::from_request_parts(parts, state).await {
            Ok(AxumPath(path)) => Ok(Path(path)),
            Err(rejection) => Err(Error::invalid(place(["path"]), rejection.body_text())),
        }
    }
}

/// The parameters behind the question mark. A list repeats its name. What nobody asks for is ignored.
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Query, Error> {
        Ok(Query::parse(parts.uri.query().unwrap_or_default()))
    }
}

impl Query {
    pub fn parse(text: &str) -> Query {
        Query { pairs: form_urlencoded::parse(text.as_bytes()).into_owned().collect() }
    }

    /// The value; an empty one counts as none.
    pub fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.pairs.iter().find(|(key, value)| key == name && !value.is_empty())?;
        Some(value)
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    pub fn flag(&self, name: &str) -> Result<Option<bool>, Error> {
        self.read(name, "must be true or false", |text| match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        })
    }

    pub fn number(&self, name: &str, range: RangeInclusive<i64>) -> Result<Option<i64>, Error> {
        let problem = format!("must be a whole number from {} to {}", range.start(), range.end());
        self.read(name, &problem, |text| text.parse().ok().filter(|number| range.contains(number)))
    }

    pub fn time(&self, name: &str) -> Result<Option<Timestamp>, Error> {
        self.read(name, "must be a time in ISO 8601, such as 2025-01-31T12:00:00Z", crate::time::parse)
    }

    pub fn one_of(&self, name: &str, choices: &[&'static str]) -> Result<Option<&'static str>, Error> {
        let problem = format!("must be one of {}", choices.join(", "));
        self.read(name, &problem, |text| choices.iter().copied().find(|choice| *choice == text))
    }

    /// A parameter read by `read`; what it cannot read is refused with the value and `problem`.
    pub fn read<T>(&self, name: &str, problem: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Error> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let value =
            read(text).ok_or_else(|| Error::invalid(place(["query", name]), format!("{name}={text:?} {problem}")))?;
        Ok(Some(value))
    }
}
