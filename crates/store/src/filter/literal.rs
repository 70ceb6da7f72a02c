//! Literals: dates, durations, states; and how values are written in error texts.

use tradewind_core::time::Timestamp;

/// The states of an execution, by number.
const STATUSES: [&str; 9] =
    ["Unspecified", "Running", "Completed", "Failed", "Canceled", "Terminated", "ContinuedAsNew", "TimedOut", "Paused"];
const STATUS_PREFIX: &str = "WORKFLOW_EXECUTION_STATUS_";

/// The number of a state by its short name or the protocol's long one.
pub(super) fn status(text: &str) -> Option<i64> {
    let number = STATUSES.iter().position(|name| match text.strip_prefix(STATUS_PREFIX) {
        Some(long) => long == screaming(name),
        None => text == *name,
    })?;
    Some(number as i64)
}

/// The short name of a state.
pub fn status_name(number: i64) -> Option<&'static str> {
    STATUSES.get(usize::try_from(number).ok()?).copied()
}

/// `TimedOut` as `TIMED_OUT`.
fn screaming(name: &str) -> String {
    let mut long = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !long.is_empty() {
            long.push('_');
        }
        long.push(c.to_ascii_uppercase());
    }
    long
}

/// RFC 3339, with a time and a zone.
pub(super) fn datetime(text: &str) -> Option<Timestamp> {
    if text.as_bytes().get(10) != Some(&b'T') {
        return None;
    }
    let parsed = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    // Years that nanoseconds cannot reach are as good as the ends of time.
    let wire = prost_types::Timestamp { seconds: parsed.timestamp(), nanos: parsed.timestamp_subsec_nanos() as i32 };
    Some(Timestamp::from(wire))
}

/// Nanoseconds of a duration: an integer, Go's notation with days, or `hh:mm:ss`.
pub(super) fn duration(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| go_duration(text)).or_else(|| clock_duration(text))
}

fn go_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0_i128;
    while !rest.is_empty() || total == 0 {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        total = total.checked_add(decimal(number, unit_nanos(unit)?)?)?;
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

/// `number` (digits, at most one point) times `unit`, rounded down.
fn decimal(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<i128>().ok() };
    // More digits than this cannot change a nanosecond of a day.
    let fraction = fraction.get(..18).unwrap_or(fraction);
    let part = digits(fraction)?.checked_mul(unit)? / 10_i128.pow(fraction.len() as u32);
    digits(whole)?.checked_mul(unit)?.checked_add(part)
}

fn unit_nanos(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return None,
    })
}

fn clock_duration(text: &str) -> Option<i64> {
    let mut parts = text.split(':').map(|part| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse::<i64>().ok()).flatten()
    });
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || minutes > 59 || seconds > 59 {
        return None;
    }
    hours.checked_mul(3600)?.checked_add(minutes * 60 + seconds)?.checked_mul(1_000_000_000)
}

/// A literal as it stands in the query, before its type is known.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Text(String),
    Int(i64),
    Double(f64),
    Bool(bool),
}

impl Literal {
    /// As Go prints it for `%v`.
    pub(super) fn plain(&self) -> String {
        match self {
            Literal::Text(text) => text.clone(),
            Literal::Int(number) => number.to_string(),
            Literal::Double(number) => go_float(*number),
            Literal::Bool(flag) => flag.to_string(),
        }
    }

    /// As Go prints it for `%#v`.
    pub(super) fn quoted(&self) -> String {
        match self {
            Literal::Text(text) => go_quoted(text),
            other => other.plain(),
        }
    }

    /// Its type in Go.
    pub(super) fn go_type(&self) -> &'static str {
        match self {
            Literal::Text(_) => "string",
            Literal::Int(_) => "int64",
            Literal::Double(_) => "float64",
            Literal::Bool(_) => "bool",
        }
    }
}

/// A text in Go's double quotes.
pub(super) fn go_quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Go switches to an exponent at 1e21 and below 1e-4.
fn go_float(number: f64) -> String {
    let magnitude = number.abs();
    if magnitude != 0.0 && !(1e-4..1e21).contains(&magnitude) {
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        return format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
    }
    format!("{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_integers_go_notation_or_a_clock() {
        for (text, nanos) in [
            ("0", Some(0)),
            ("-5", Some(-5)),
            ("1h", Some(3_600_000_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("-1.5h", Some(-5_400_000_000_000)),
            ("2d", Some(172_800_000_000_000)),
            ("300ms", Some(300_000_000)),
            ("1.000000001s", Some(1_000_000_001)),
            ("10µs", Some(10_000)),
            ("01:02:03", Some(3_723_000_000_000)),
            ("100:00:00", Some(360_000_000_000_000)),
            ("01:60:00", None),
            ("1:2", None),
            ("", None),
            ("h", None),
            (".s", None),
            ("1x", None),
            ("1", Some(1)),
            ("1h1", None),
            ("999999999999999d", None),
        ] {
            assert_eq!(duration(text), nanos, "{text}");
        }
    }

    #[test]
    fn states_have_a_short_and_a_long_name() {
        assert_eq!(status("TimedOut"), Some(7));
        assert_eq!(status("WORKFLOW_EXECUTION_STATUS_TIMED_OUT"), Some(7));
        assert_eq!(status("timedout"), None);
        assert_eq!(status_name(6), Some("ContinuedAsNew"));
        assert_eq!(status_name(-1), None);
    }

    #[test]
    fn dates_carry_a_zone() {
        assert_eq!(datetime("1970-01-01T00:00:01.5Z").map(Timestamp::as_nanos), Some(1_500_000_000));
        assert_eq!(datetime("1970-01-01T01:00:00+01:00").map(Timestamp::as_nanos), Some(0));
        for text in ["bad", "1970-01-01", "1970-01-01 00:00:00Z", "1970-01-01T00:00:00"] {
            assert_eq!(datetime(text), None, "{text}");
        }
    }
}
