//! Durations as the two packages write them: workers in ISO 8601, clients in seconds with a fraction.

use serde::de::{Deserializer, Error, Visitor};
use std::fmt;
use std::time::Duration;

/// The longest that is accepted: 100 years of 365 days.
pub const MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Reads `PT1H`, `P1DT2.5S`, `P2W`; years and months have no fixed length and are refused, like what is negative.
pub fn parse(text: &str) -> Option<Duration> {
    let rest = text.strip_prefix('P')?;
    let (date, time) = match rest.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None if rest.is_empty() => return None,
        None => (rest, ""),
    };
    let date = sum(date, &[('W', 604_800.0), ('D', 86_400.0)])?;
    let time = sum(time, &[('H', 3_600.0), ('M', 60.0), ('S', 1.0)])?;
    from_seconds(date + time)
}

/// Adds up `1H30M`: units in order, each at most once.
fn sum(mut text: &str, units: &[(char, f64)]) -> Option<f64> {
    let mut units = units.iter();
    let mut total = 0.0;
    while !text.is_empty() {
        let end = text.find(|char: char| !char.is_ascii_digit() && char != '.')?;
        let (number, rest) = text.split_at(end);
        let unit = rest.chars().next()?;
        let (_, seconds) = units.find(|(name, _)| *name == unit)?;
        total += number.parse::<f64>().ok()? * seconds;
        text = &rest[unit.len_utf8()..];
    }
    Some(total)
}

pub fn from_seconds(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|duration| *duration <= MAX)
}

/// For serde: an ISO 8601 duration, or a number of seconds.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_any(Either)
}

struct Either;

impl Visitor<'_> for Either {
    type Value = Duration;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an ISO 8601 duration such as \"PT1H\", or seconds, from 0 to 100 years")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        parse(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }

    fn visit_f64<E: Error>(self, seconds: f64) -> Result<Duration, E> {
        from_seconds(seconds).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Float(seconds), &self))
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<Duration, E> {
        self.visit_f64(seconds as f64)
    }

    fn visit_i64<E: Error>(self, seconds: i64) -> Result<Duration, E> {
        self.visit_f64(seconds as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_pydantic_writes_them() {
        let seconds = |text| parse(text).map(|duration| duration.as_secs_f64());
        assert_eq!(seconds("PT1H"), Some(3_600.0));
        assert_eq!(seconds("P1DT2H3M4.5S"), Some(93_784.5));
        assert_eq!(seconds("P2W"), Some(1_209_600.0));
        assert_eq!(seconds("PT0S"), Some(0.0));
        assert_eq!(seconds("PT0.000001S"), Some(0.000_001));
        for wrong in [
            "",
            "P",
            "PT",
            "1H",
            "PT1",
            "PT1H1H",
            "PT1S1H",
            "-PT1H",
            "PT-1H",
            "P1Y",
            "P1M",
            "PT1e9H",
            "PTH",
            "P99999999W",
            "PT1H\0",
            "PTٱS",
        ] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }
}
