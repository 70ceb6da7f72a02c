//! The filter of ListWorkers: conditions on a heartbeat's fields, joined by AND, OR and NOT.
//!
//! Smaller than the filter of executions, and over other fields, so it has a parser of its own: text
//! fields know `= != STARTS_WITH`, times also order and `BETWEEN`, both `IS [NOT] NULL`.

use crate::Error;
use api::enums::v1::WorkerStatus;
use api::worker::v1::WorkerHeartbeat;
use prost_types::Timestamp;
use std::cmp::Ordering;

/// A parsed filter.
#[derive(Debug)]
pub(super) enum Query {
    And(Box<Query>, Box<Query>),
    Or(Box<Query>, Box<Query>),
    Not(Box<Query>),
    Text(TextField, TextTest),
    Time(TimeField, TimeTest),
}

type TextField = fn(&WorkerHeartbeat) -> &str;
type TimeField = fn(&WorkerHeartbeat) -> Option<&Timestamp>;

#[derive(Debug)]
pub(super) enum TextTest {
    Is(String),
    StartsWith(String),
    Null,
}

#[derive(Debug)]
pub(super) enum TimeTest {
    Compares(&'static [Ordering], Timestamp),
    Null,
}

impl Query {
    pub(super) fn matches(&self, worker: &WorkerHeartbeat) -> bool {
        match self {
            Query::And(left, right) => left.matches(worker) && right.matches(worker),
            Query::Or(left, right) => left.matches(worker) || right.matches(worker),
            Query::Not(inner) => !inner.matches(worker),
            Query::Text(field, TextTest::Is(text)) => field(worker) == text,
            Query::Text(field, TextTest::StartsWith(text)) => field(worker).starts_with(text),
            Query::Text(field, TextTest::Null) => field(worker).is_empty(),
            Query::Time(field, TimeTest::Compares(orders, than)) => field(worker)
                .is_some_and(|at| orders.contains(&(at.seconds, at.nanos).cmp(&(than.seconds, than.nanos)))),
            Query::Time(field, TimeTest::Null) => field(worker).is_none(),
        }
    }
}

/// Parses a filter; blank text is no filter.
pub(super) fn parse(text: &str) -> Result<Option<Query>, Error> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    if text.len() > TEXT_BYTES_MAX {
        return Err(malformed(format!("{} bytes exceed the limit of {TEXT_BYTES_MAX}", text.len())));
    }
    let mut parser = Parser { rest: text, depth: 0 };
    let query = parser.any()?;
    match parser.peek()? {
        None => Ok(Some(query)),
        Some(token) => Err(malformed(format!("unexpected {token:?}"))),
    }
}

/// Bounds the tree, whose evaluation recurses, whatever the text.
const TEXT_BYTES_MAX: usize = 10_000;
/// Deep enough for any filter that a person writes, shallow enough for any stack.
const DEPTH_MAX: usize = 64;

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    Quoted(&'a str),
    Symbol(&'static str),
}

impl<'a> Parser<'a> {
    fn any(&mut self) -> Result<Query, Error> {
        let mut left = self.all()?;
        while self.eat_word("OR")? {
            left = Query::Or(Box::new(left), Box::new(self.all()?));
        }
        Ok(left)
    }

    fn all(&mut self) -> Result<Query, Error> {
        let mut left = self.one()?;
        while self.eat_word("AND")? {
            left = Query::And(Box::new(left), Box::new(self.one()?));
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Query, Error> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(malformed("nested too deeply"));
        }
        let query = if self.eat_word("NOT")? {
            Query::Not(Box::new(self.one()?))
        } else if self.eat(Token::Symbol("("))? {
            let inner = self.any()?;
            self.expect(Token::Symbol(")"))?;
            inner
        } else {
            self.condition()?
        };
        self.depth -= 1;
        Ok(query)
    }

    fn condition(&mut self) -> Result<Query, Error> {
        let Some(Token::Word(name)) = self.next()? else { return Err(malformed("incomplete expression")) };
        if let Some(field) = text_field(name) {
            return self.text_condition(name, field);
        }
        let field = time_field(name)
            .ok_or_else(|| malformed(format!("unknown or unsupported worker heartbeat search field: {name}")))?;
        self.time_condition(name, field)
    }

    fn text_condition(&mut self, name: &str, field: TextField) -> Result<Query, Error> {
        if self.eat_word("IS")? {
            return self.null(Query::Text(field, TextTest::Null));
        }
        let negated = self.eat_word("NOT")?;
        let query = match self.next()? {
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("STARTS_WITH") => {
                Query::Text(field, TextTest::StartsWith(self.quoted()?.into()))
            }
            Some(Token::Symbol("=")) if !negated => Query::Text(field, TextTest::Is(self.quoted()?.into())),
            Some(Token::Symbol("!=")) if !negated => {
                return Ok(not(Query::Text(field, TextTest::Is(self.quoted()?.into()))));
            }
            other => return Err(unsupported(name, other)),
        };
        Ok(if negated { not(query) } else { query })
    }

    fn time_condition(&mut self, name: &str, field: TimeField) -> Result<Query, Error> {
        use Ordering::{Equal, Greater, Less};
        if self.eat_word("IS")? {
            return self.null(Query::Time(field, TimeTest::Null));
        }
        if self.eat_word("BETWEEN")? {
            let from = Query::Time(field, TimeTest::Compares(&[Greater, Equal], self.time()?));
            self.expect_word("AND")?;
            let to = Query::Time(field, TimeTest::Compares(&[Less, Equal], self.time()?));
            return Ok(Query::And(Box::new(from), Box::new(to)));
        }
        let orders: &[Ordering] = match self.next()? {
            Some(Token::Symbol("=")) => &[Equal],
            Some(Token::Symbol("!=")) => &[Less, Greater],
            Some(Token::Symbol("<")) => &[Less],
            Some(Token::Symbol("<=")) => &[Less, Equal],
            Some(Token::Symbol(">")) => &[Greater],
            Some(Token::Symbol(">=")) => &[Greater, Equal],
            other => return Err(unsupported(name, other)),
        };
        Ok(Query::Time(field, TimeTest::Compares(orders, self.time()?)))
    }

    fn null(&mut self, is_null: Query) -> Result<Query, Error> {
        let negated = self.eat_word("NOT")?;
        self.expect_word("NULL")?;
        Ok(if negated { not(is_null) } else { is_null })
    }

    fn quoted(&mut self) -> Result<&'a str, Error> {
        match self.next()? {
            Some(Token::Quoted(text)) => Ok(text),
            other => Err(malformed(format!("expected a quoted value, found {}", shown(other)))),
        }
    }

    fn time(&mut self) -> Result<Timestamp, Error> {
        let text = self.quoted()?;
        text.parse().map_err(|_| malformed(format!("unable to parse datetime '{text}'")))
    }

    fn eat_word(&mut self, word: &str) -> Result<bool, Error> {
        let matches = matches!(self.peek()?, Some(Token::Word(found)) if found.eq_ignore_ascii_case(word));
        if matches {
            self.next()?;
        }
        Ok(matches)
    }

    fn eat(&mut self, token: Token<'_>) -> Result<bool, Error> {
        let matches = self.peek()? == Some(token);
        if matches {
            self.next()?;
        }
        Ok(matches)
    }

    fn expect_word(&mut self, word: &str) -> Result<(), Error> {
        if self.eat_word(word)? { Ok(()) } else { Err(malformed(format!("expected {word}"))) }
    }

    fn expect(&mut self, token: Token<'_>) -> Result<(), Error> {
        if self.eat(token)? { Ok(()) } else { Err(malformed(format!("expected {}", shown(Some(token))))) }
    }

    fn peek(&self) -> Result<Option<Token<'a>>, Error> {
        Ok(token(self.rest)?.map(|(token, _)| token))
    }

    fn next(&mut self) -> Result<Option<Token<'a>>, Error> {
        let Some((token, rest)) = token(self.rest)? else { return Ok(None) };
        self.rest = rest;
        Ok(Some(token))
    }
}

/// The first token of the text, and what follows it.
fn token(text: &str) -> Result<Option<(Token<'_>, &str)>, Error> {
    let text = text.trim_start();
    let Some(first) = text.chars().next() else { return Ok(None) };
    if matches!(first, '\'' | '"' | '`') {
        let (inside, rest) = text[1..].split_once(first).ok_or_else(|| malformed(format!("unclosed quote {first}")))?;
        let token = if first == '`' { Token::Word(inside) } else { Token::Quoted(inside) };
        return Ok(Some((token, rest)));
    }
    for symbol in ["!=", "<=", ">=", "=", "<", ">", "(", ")"] {
        if let Some(rest) = text.strip_prefix(symbol) {
            return Ok(Some((Token::Symbol(symbol), rest)));
        }
    }
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len());
    match text.split_at(end) {
        ("", _) => Err(malformed(format!("unexpected character {first:?}"))),
        (word, rest) => Ok(Some((Token::Word(word), rest))),
    }
}

fn text_field(name: &str) -> Option<TextField> {
    Some(match name {
        "WorkerInstanceKey" => |worker| &worker.worker_instance_key,
        "WorkerIdentity" => |worker| &worker.worker_identity,
        "HostName" => |worker| worker.host_info.as_ref().map_or("", |host| &host.host_name),
        "TaskQueue" => |worker| &worker.task_queue,
        "DeploymentName" => |worker| worker.deployment_version.as_ref().map_or("", |version| &version.deployment_name),
        "BuildId" => |worker| worker.deployment_version.as_ref().map_or("", |version| &version.build_id),
        "SdkName" => |worker| &worker.sdk_name,
        "SdkVersion" => |worker| &worker.sdk_version,
        "WorkerStatus" | "Status" | "status" => |worker| status_name(worker.status()),
        _ => return None,
    })
}

fn time_field(name: &str) -> Option<TimeField> {
    Some(match name {
        "StartTime" => |worker| worker.start_time.as_ref(),
        "HeartbeatTime" => |worker| worker.heartbeat_time.as_ref(),
        _ => return None,
    })
}

fn status_name(status: WorkerStatus) -> &'static str {
    match status {
        WorkerStatus::Unspecified => "Unspecified",
        WorkerStatus::Running => "Running",
        WorkerStatus::ShuttingDown => "ShuttingDown",
        WorkerStatus::Shutdown => "Shutdown",
    }
}

fn not(query: Query) -> Query {
    Query::Not(Box::new(query))
}

fn malformed(reason: impl std::fmt::Display) -> Error {
    Error::invalid(format!("malformed query: {reason}"))
}

fn unsupported(name: &str, found: Option<Token<'_>>) -> Error {
    Error::invalid(format!("operation is not supported: {} on {name}", shown(found)))
}

fn shown(token: Option<Token<'_>>) -> String {
    match token {
        None => "the end".into(),
        Some(Token::Word(text)) => text.into(),
        Some(Token::Quoted(text)) => format!("'{text}'"),
        Some(Token::Symbol(symbol)) => symbol.into(),
    }
}
