//! Instants as the clients write and read them: ISO 8601 with a zone.

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};
use tradewind_core::time::Timestamp;

/// With microseconds, which is as fine as the clients keep them.
pub fn format(time: Timestamp) -> String {
    DateTime::from_timestamp_nanos(time.as_nanos()).to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// An instant; one without a zone is taken as UTC.
pub fn parse(text: &str) -> Option<Timestamp> {
    let time = match DateTime::parse_from_rfc3339(text) {
        Ok(time) => time.to_utc(),
        Err(_) => NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()?.and_utc(),
    };
    Some(Timestamp::from_nanos(DateTime::<Utc>::timestamp_nanos_opt(&time)?))
}
