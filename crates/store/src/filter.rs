//! The list filter: what a query for executions says, as a typed tree.
//!
//! Text is read in two passes. [`syntax`] knows the grammar and no names; [`resolve`] knows names and types
//! and gives every literal the type of the attribute it is compared with. A [`Query`] is therefore right by
//! construction, and compiling it to SQL (in `list`) cannot fail.
//!
//! The language and the error texts are those of the reference server, whose clients match on them.
//!
//! Invariants
//! - No text, however malformed, makes [`parse`] panic or recurse without bound.
//! - A literal in the tree has the type of its field.

mod lexer;
mod literal;
mod resolve;
mod syntax;

pub use literal::status_name;

use api::enums::v1::IndexedValueType;
use tradewind_core::{search_attributes::Schema, time::Timestamp};

/// Why a query is refused, complete as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid query: {0}")]
pub struct Error(pub(crate) String);

impl Error {
    fn invalid(what: impl std::fmt::Display) -> Error {
        Error(format!("invalid expression: {what}"))
    }

    fn unsupported(what: impl std::fmt::Display) -> Error {
        Error(format!("operation is not supported: {what}"))
    }
}

/// A query, parsed and checked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Query {
    pub filter: Option<Expression>,
    /// What to count by; at most one field. A list takes no notice of it, as the reference server's does not.
    pub group_by: Vec<Field>,
    /// Whether it names `TemporalNamespaceDivision` anywhere. One that does not sees only executions outside
    /// any division.
    pub names_division: bool,
}

/// A condition. Like SQL's, it is true, false or, where an attribute is missing, neither; only true matches.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// At least two.
    All(Vec<Expression>),
    /// At least two.
    Any(Vec<Expression>),
    Not(Box<Expression>),
    Compare {
        field: Field,
        operator: Comparison,
        value: Value,
    },
    /// Of a list, any item; of a text, any word.
    In {
        field: Field,
        negated: bool,
        values: Vec<Value>,
    },
    Between {
        field: Field,
        negated: bool,
        from: Value,
        to: Value,
    },
    StartsWith {
        field: Field,
        negated: bool,
        prefix: String,
    },
    IsNull {
        field: Field,
        negated: bool,
    },
    /// A search key whose value contains `part`, whatever the case of ASCII letters. No text of the language
    /// says this: search keys are no attributes.
    SearchKey {
        key: String,
        part: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Something that executions are searched by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// As the query names it.
    pub name: String,
    pub source: Source,
    pub kind: IndexedValueType,
}

/// Where a field's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Column(Column),
    /// A custom or predefined attribute, by its stored name.
    Attribute(String),
}

/// Attributes that every row of the list has a place for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    WorkflowId,
    RunId,
    WorkflowType,
    ExecutionStatus,
    TaskQueue,
    StartTime,
    ExecutionTime,
    CloseTime,
    ExecutionDuration,
    HistoryLength,
    HistorySizeBytes,
    StateTransitionCount,
    ParentWorkflowId,
    ParentRunId,
    RootWorkflowId,
    RootRunId,
    Division,
}

/// A literal. A status is the number of its enum value, a duration its nanoseconds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(String),
    Int(i64),
    Double(f64),
    Bool(bool),
    Datetime(Timestamp),
}

/// Reads a query in a namespace whose custom attributes are `custom`. An empty text matches everything.
pub fn parse(text: &str, custom: &Schema) -> Result<Query, Error> {
    resolve::resolve(syntax::parse(text)?, custom)
}
