//! Durations as people write them: `"90s"`, `"5m"`, `"1h30m"`.

use std::time::Duration;

/// What a duration may be made of, largest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

pub fn parse(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    let mut total_ms: u64 = 0;
    if rest.is_empty() {
        return Err(expected(text));
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, tail) = tail.split_at(letters);
        let number: u64 = number.parse().map_err(|_| expected(text))?;
        let (_, unit_ms) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(|| expected(text))?;
        let part = number.checked_mul(*unit_ms).ok_or_else(|| format!("{text:?} is too long"))?;
        total_ms = total_ms.checked_add(part).ok_or_else(|| format!("{text:?} is too long"))?;
        rest = tail.trim_start();
    }
    if total_ms == 0 {
        return Err(format!("{text:?} is no time at all: leave the option out for no limit"));
    }
    Ok(Duration::from_millis(total_ms))
}

fn expected(text: &str) -> String {
    format!("{text:?} is not a duration: write numbers with d, h, m, s or ms, such as \"90s\" or \"1h30m\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_add_up() {
        assert_eq!(parse("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse("1h30m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(parse("1s 500ms"), Ok(Duration::from_millis(1_500)));
        assert_eq!(parse("30d"), Ok(Duration::from_secs(2_592_000)));
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in ["", "5", "m", "5 minutes", "-5m", "1.5h", "5mm", "0s", "99999999999999999999d"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
