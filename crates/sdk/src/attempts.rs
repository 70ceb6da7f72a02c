//! What is known of an activity's earlier attempts.
//!
//! Servers tell a workflow how the last attempt failed, and an attempt nothing of the others. Two things do travel: the
//! details of the last heartbeat, from attempt to attempt, whatever worker runs the next one; and from the last attempt
//! to the workflow the details of its failure or, if it timed out, of its last heartbeat. So the list is kept there:
//! as metadata of the first payload, which SDKs of all languages leave alone. Where there is no payload a null one
//! carries it. Attempts of a local activity follow each other in one worker, where nothing has to travel between them: see
//! `activity::left_behind`.
//!
//! metadata  `tradewind-attempts`           JSON: those that have ended, oldest first
//!           `tradewind-attempts-carrier`   the payload is there for this alone, and not what somebody said
//!
//! Invariants
//! - A first attempt that succeeds, or that fails for good, sends what it would send without all this.
//! - A record has at most [`KEPT`] attempts, the latest, with at most [`MESSAGE_BYTES_MAX`] bytes of each message.
//! - What it adds is taken away again before anybody decodes the details.

use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};
use temporalio_common::protos::temporal::api::common::v1::Payload;

const RECORD: &str = "tradewind-attempts";
const CARRIER: &str = "tradewind-attempts-carrier";

/// Attempts that are remembered.
pub(crate) const KEPT: usize = 20;

/// Bytes of a message that are remembered.
const MESSAGE_BYTES_MAX: usize = 1000;

/// An attempt of an activity before the one that somebody asks about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EarlierAttempt {
    /// Counted from 1.
    #[serde(rename = "attempt")]
    pub number: u32,
    /// How it failed, or `None` if its worker did not say: it timed out, the worker died, or is not one of this SDK.
    #[serde(flatten)]
    pub failure: Option<EarlierFailure>,
}

/// How an earlier attempt of an activity failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EarlierFailure {
    /// The name of the failure, as [`Error::failure_type`](crate::Error::failure_type) gives it.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub failure_type: Option<String>,
    /// What it said, as far as the first 1,000 bytes.
    pub message: String,
    /// When it failed, by the clock of its worker.
    #[serde(with = "unix_millis")]
    pub at: SystemTime,
}

/// What an attempt knows of those before it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Earlier {
    /// This attempt's number.
    number: u32,
    before: Vec<EarlierAttempt>,
    /// As it travels; empty if there is nothing to tell.
    encoded: Vec<u8>,
}

impl Earlier {
    /// What the attempt with this number finds in the last heartbeat.
    pub(crate) fn found(number: u32, details: &[Payload]) -> Earlier {
        Earlier::known(number, || told(details))
    }

    /// What the attempt with this number learns from a list of those before it.
    pub(crate) fn known(number: u32, known: impl FnOnce() -> Vec<EarlierAttempt>) -> Earlier {
        if number <= 1 {
            return Earlier { number, ..Earlier::default() };
        }
        let known = known();
        let first = number.saturating_sub(KEPT as u32).max(1);
        let before = (first..number)
            .map(|number| {
                let failure = known.iter().find(|attempt| attempt.number == number).and_then(|it| it.failure.clone());
                EarlierAttempt { number, failure }
            })
            .collect();
        Earlier::new(number, before)
    }

    fn new(number: u32, before: Vec<EarlierAttempt>) -> Earlier {
        let encoded = match before.is_empty() {
            true => Vec::new(),
            false => serde_json::to_vec(&before).expect("a list of texts and numbers is JSON"),
        };
        Earlier { number, before, encoded }
    }

    /// Those before this attempt, oldest first.
    pub(crate) fn attempts(&self) -> &[EarlierAttempt] {
        &self.before
    }

    /// What the next attempt is to know, now that this one has failed.
    pub(crate) fn and_this(&self, failure_type: Option<&str>, message: &str, at: SystemTime) -> Earlier {
        let failure = EarlierFailure {
            failure_type: failure_type.map(str::to_owned),
            message: shortened(message).to_owned(),
            at,
        };
        let skipped = (self.before.len() + 1).saturating_sub(KEPT);
        let mut ended = self.before[skipped..].to_vec();
        ended.push(EarlierAttempt { number: self.number, failure: Some(failure) });
        Earlier::new(self.number, ended)
    }

    /// Writes this into details on their way out, instead of whatever an attempt before wrote there.
    pub(crate) fn write(&self, details: &mut Vec<Payload>) {
        erase(details);
        if self.encoded.is_empty() {
            return;
        }
        if details.is_empty() {
            let null = ("encoding".to_owned(), b"binary/null".to_vec());
            let metadata = [null, (CARRIER.to_owned(), Vec::new())].into_iter().collect();
            details.push(Payload { metadata, ..Payload::default() });
        }
        details[0].metadata.insert(RECORD.to_owned(), self.encoded.clone());
    }
}

/// The attempts that details tell of: those before the one that wrote them, and that one too if it wrote them as it
/// failed and was to be tried again.
pub(crate) fn told(details: &[Payload]) -> Vec<EarlierAttempt> {
    let record = details.first().and_then(|first| first.metadata.get(RECORD));
    // What does not read as a record is none of ours.
    record.and_then(|record| serde_json::from_slice(record).ok()).unwrap_or_default()
}

/// The details that somebody gave, which is all of them but a payload that carries a record alone.
pub(crate) fn said(details: &[Payload]) -> &[Payload] {
    match details {
        [first, rest @ ..] if first.metadata.contains_key(CARRIER) => rest,
        all => all,
    }
}

fn erase(details: &mut Vec<Payload>) {
    if said(details).len() < details.len() {
        details.remove(0);
    }
    if let Some(first) = details.first_mut() {
        first.metadata.remove(RECORD);
    }
}

fn shortened(message: &str) -> &str {
    &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)]
}

/// A time as milliseconds since 1970.
mod unix_millis {
    use super::{Duration, SystemTime};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        let millis = u64::deserialize(deserializer)?;
        let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
        time.ok_or_else(|| serde::de::Error::custom(format!("{millis} ms after 1970 is no time")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_attempt_adds_nothing() {
        let mut details = vec![text("checkpoint")];
        Earlier::found(1, &[]).write(&mut details);
        assert_eq!(details, [text("checkpoint")]);
    }

    #[test]
    fn the_next_attempt_knows_and_what_was_said_stays_as_it_was() {
        for mut details in [vec![], vec![text("checkpoint")], vec![text("a"), text("b")]] {
            let given = details.clone();
            failed(1, &[], "503").write(&mut details);
            assert_eq!(clean(&details), given);

            let second = Earlier::found(2, &details);
            assert_eq!(messages(second.attempts()), [Some("503")]);
            second.and_this(None, "504", at(2)).write(&mut details);
            assert_eq!(clean(&details), given);
            assert_eq!(messages(Earlier::found(3, &details).attempts()), [Some("503"), Some("504")]);
        }
    }

    #[test]
    fn attempts_that_said_nothing_are_gaps() {
        let mut details = vec![];
        failed(1, &[], "503").write(&mut details);
        let fourth = Earlier::found(4, &details);
        assert_eq!(messages(fourth.attempts()), [Some("503"), None, None]);
        assert_eq!(fourth.attempts().iter().map(|attempt| attempt.number).collect::<Vec<_>>(), [1, 2, 3]);
        // Nor does anybody have to have said anything at all.
        assert_eq!(messages(Earlier::found(2, &[text("checkpoint")]).attempts()), [None]);
    }

    #[test]
    fn what_is_kept_stays_small() {
        let mut details = vec![];
        for number in 1..=100 {
            Earlier::found(number, &details).and_this(Some("T"), &"é".repeat(5000), at(1)).write(&mut details);
        }
        let last = Earlier::found(101, &details);
        assert_eq!(last.attempts().len(), KEPT);
        assert_eq!(last.attempts()[0].number, 81);
        assert!(details[0].metadata[RECORD].len() < KEPT * 1100);
    }

    #[test]
    fn facts_come_back_as_they_were() {
        let mut details = vec![];
        Earlier::found(1, &[]).and_this(Some("HttpError"), "503", at(1_234)).write(&mut details);
        let failure = EarlierFailure { failure_type: Some("HttpError".into()), message: "503".into(), at: at(1_234) };
        assert_eq!(told(&details), [EarlierAttempt { number: 1, failure: Some(failure) }]);
    }

    #[test]
    fn what_is_no_record_is_left_alone() {
        let mut details = vec![text("checkpoint")];
        details[0].metadata.insert(RECORD.to_owned(), b"{\"attempt\":".to_vec());
        assert_eq!(told(&details), []);
        assert_eq!(said(&details).len(), 1);
    }

    fn failed(number: u32, details: &[Payload], message: &str) -> Earlier {
        Earlier::found(number, details).and_this(None, message, at(1))
    }

    fn at(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
    }

    fn text(text: &str) -> Payload {
        let metadata = [("encoding".to_owned(), b"json/plain".to_vec())].into_iter().collect();
        Payload { metadata, data: format!("\"{text}\"").into_bytes(), ..Payload::default() }
    }

    fn clean(details: &[Payload]) -> Vec<Payload> {
        let mut details = details.to_vec();
        erase(&mut details);
        details
    }

    fn messages(attempts: &[EarlierAttempt]) -> Vec<Option<&str>> {
        attempts.iter().map(|attempt| attempt.failure.as_ref().map(|failure| failure.message.as_str())).collect()
    }
}
