//! Cron schedules of workflows: when the next run of a chain starts.
//!
//! Five fields as in crontab, the usual `@hourly` names, `@every DURATION`, and a `CRON_TZ=` or `TZ=` prefix.

use crate::time::Timestamp;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use std::time::Duration;

enum Schedule {
    Every(Duration),
    Fields { cron: Box<Cron>, zone: Tz },
}

/// Why the text is no schedule for runs from `now` on; an empty one means none.
pub fn check(text: &str, now: Timestamp) -> Result<(), &'static str> {
    if text.is_empty() {
        return Ok(());
    }
    parse(text).ok_or("invalid CronSchedule.")?;
    // The 31st of February never comes.
    backoff(text, now, now).ok_or("invalid CronSchedule, no time can be found to satisfy the schedule")?;
    Ok(())
}

/// How long after `now` the next run starts, in whole seconds, given when this run did.
pub fn backoff(text: &str, started: Timestamp, now: Timestamp) -> Option<Duration> {
    let wait = match parse(text)? {
        Schedule::Every(interval) => {
            let since = now.since(started).as_nanos();
            let missed = since / interval.as_nanos() + 1;
            let next = started + interval.saturating_mul(u32::try_from(missed).unwrap_or(u32::MAX));
            next.since(now)
        }
        Schedule::Fields { cron, zone } => {
            let from = DateTime::<Utc>::from_timestamp_nanos(now.as_nanos()).with_timezone(&zone);
            let next = cron.find_next_occurrence(&from, false).ok()?;
            Timestamp::from_nanos(next.timestamp_nanos_opt()?).since(now)
        }
    };
    let whole = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Some(Duration::from_secs(whole))
}

fn parse(text: &str) -> Option<Schedule> {
    let (zone, fields) = match text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) {
        Some(rest) => {
            let (zone, fields) = rest.split_once(' ')?;
            (zone.parse().ok()?, fields.trim())
        }
        None => (Tz::UTC, text.trim()),
    };
    if let Some(interval) = fields.strip_prefix("@every ") {
        let interval = go_duration(interval.trim())?;
        // Below a second it would be a busy loop.
        return (interval >= Duration::from_secs(1))
            .then_some(Schedule::Every(Duration::from_secs(interval.as_secs())));
    }
    let fields = match fields {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        fields => fields,
    };
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let cron = parser.parse(fields).ok()?;
    Some(Schedule::Fields { cron: Box::new(cron), zone })
}

/// A duration in the notation of the protocol's Go binding: `1h30m`, `1.5s`, `300ms`.
pub fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|it: char| !it.is_ascii_digit() && it != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|it: char| it.is_ascii_digit()).unwrap_or(rest.len());
        let seconds = match &rest[..unit] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
        rest = &rest[unit..];
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(text: &str, started: &str, now: &str) -> Option<u64> {
        let at = |text: &str| Timestamp::from(text.parse::<prost_types::Timestamp>().expect("a time"));
        backoff(text, at(started), at(now)).map(|it| it.as_secs())
    }

    #[test]
    fn the_next_run_starts_at_the_next_matching_minute() {
        assert_eq!(next("0 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:10:00Z"), Some(50 * 60));
        assert_eq!(next("@hourly", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"), Some(3600));
    }

    #[test]
    fn an_interval_counts_from_the_start_of_the_run_and_skips_what_was_missed() {
        assert_eq!(next("@every 5s", "2026-01-01T00:00:00Z", "2026-01-01T00:00:02Z"), Some(3));
        assert_eq!(next("@every 5s", "2026-01-01T00:00:00Z", "2026-01-01T00:00:12.5Z"), Some(3));
    }

    #[test]
    fn a_zone_moves_the_day() {
        assert_eq!(
            next("CRON_TZ=Asia/Tokyo 0 0 * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
            Some(15 * 3600)
        );
    }

    #[test]
    fn other_texts_are_no_schedules() {
        for text in ["abc", "* * *", "* * * * * *", "@every", "@every 10", "@every 1ms", "CRON_TZ=Nowhere 0 0 * * *"] {
            assert_eq!(check(text, Timestamp::ZERO), Err("invalid CronSchedule."), "{text}");
        }
        assert_eq!(check("", Timestamp::ZERO), Ok(()));
    }

    #[test]
    fn a_schedule_that_never_comes_is_refused() {
        let refused = Err("invalid CronSchedule, no time can be found to satisfy the schedule");
        assert_eq!(check("0 0 31 2 *", Timestamp::ZERO), refused);
        assert_eq!(check("0 0 29 2 *", Timestamp::ZERO), Ok(()), "once in four years is enough");
    }
}
