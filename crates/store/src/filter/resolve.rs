//! Names and types: what the grammar let through becomes a typed tree, or an error that says why not.

use super::{
    Column, Comparison, Error, Expression, Field, Query, Source, Value,
    literal::{self, Literal, go_quoted},
    syntax::{Clauses, IsTest, Node, Operator},
};
use crate::shelf::tokens;
use api::enums::v1::IndexedValueType;
use tradewind_core::{
    search_attributes::{self, Schema, type_name},
    time::Timestamp,
};

const DIVISION: &str = "TemporalNamespaceDivision";
const SCHEDULE_ID: &str = "ScheduleId";
/// The workflow id of a schedule is its own id behind this.
const SCHEDULE_PREFIX: &str = "temporal-sys-scheduler:";
const RESERVED_PREFIX: &str = "Temporal";

pub(super) fn resolve(clauses: Clauses, custom: &Schema) -> Result<Query, Error> {
    if clauses.ordered {
        return Err(Error::unsupported("'ORDER BY' clause"));
    }
    if clauses.limited {
        return Err(Error::unsupported("'LIMIT' clause"));
    }
    let mut resolver = Resolver { custom, names_division: false };
    let filter = clauses.filter.map(|node| resolver.expression(node)).transpose()?;
    if clauses.group_by.len() > 1 {
        return Err(Error::unsupported("'GROUP BY' clause supports only a single field"));
    }
    let group_by =
        clauses.group_by.into_iter().map(|node| resolver.grouping_field(node)).collect::<Result<Vec<_>, _>>()?;
    Ok(Query { filter, group_by, names_division: resolver.names_division })
}

struct Resolver<'a> {
    custom: &'a Schema,
    names_division: bool,
}

impl Resolver<'_> {
    fn expression(&mut self, node: Node) -> Result<Expression, Error> {
        match node {
            Node::And(nodes) => Ok(Expression::All(self.expressions(nodes)?)),
            Node::Or(nodes) => Ok(Expression::Any(self.expressions(nodes)?)),
            Node::Not(node) => Ok(Expression::Not(Box::new(self.expression(*node)?))),
            Node::Paren(node) => self.expression(*node),
            Node::Compare { left, operator, right } => self.comparison(*left, operator, *right),
            Node::Between { left, negated, from, to } => self.between(*left, negated, *from, *to),
            Node::Is { left, test } => {
                let field = self.field(*left)?;
                match test {
                    IsTest::Null => Ok(Expression::IsNull { field, negated: false }),
                    IsTest::NotNull => Ok(Expression::IsNull { field, negated: true }),
                    IsTest::Other => {
                        Err(Error::invalid("'IS' operator can only be used as 'IS NULL' or 'IS NOT NULL'"))
                    }
                }
            }
            Node::Call => Err(Error::unsupported("function expression")),
            Node::Name(_) => Err(Error::invalid("incomplete expression")),
            node @ (Node::Text(_) | Node::Number(_) | Node::Bool(_) | Node::Null | Node::Tuple(_)) => {
                Err(Error::unsupported(format_args!("expression of type {}", go_type(&node))))
            }
        }
    }

    fn expressions(&mut self, nodes: Vec<Node>) -> Result<Vec<Expression>, Error> {
        nodes.into_iter().map(|node| self.expression(node)).collect()
    }

    fn comparison(&mut self, left: Node, operator: Operator, right: Node) -> Result<Expression, Error> {
        let field = self.field(left)?;
        let many = matches!(right, Node::Tuple(_));
        let values = match right {
            Node::Tuple(nodes) => nodes.into_iter().map(|node| value(&field, node)).collect::<Result<_, _>>()?,
            node => vec![value(&field, node)?],
        };
        check_operator(&field, operator)?;
        match operator {
            Operator::In => Ok(Expression::In { field, negated: false, values: words(values)? }),
            Operator::NotIn => Ok(Expression::In { field, negated: true, values: words(values)? }),
            _ if many => Err(Error::invalid(format_args!(
                "operator '{}' takes a single value for search attribute '{}'",
                operator_name(operator),
                field.name
            ))),
            _ => Ok(single_comparison(field, operator, first(values))?),
        }
    }

    fn between(&mut self, left: Node, negated: bool, from: Node, to: Node) -> Result<Expression, Error> {
        let field = self.field(left)?;
        use IndexedValueType::{Datetime, Double, Int, Keyword};
        if !matches!(field.kind, Datetime | Double | Int | Keyword) {
            return Err(Error::invalid(format_args!(
                "cannot do range condition on search attribute '{}' of type {}",
                field.name,
                type_name(field.kind)
            )));
        }
        let from = value(&field, from)?.value;
        let to = value(&field, to)?.value;
        Ok(Expression::Between { field, negated, from, to })
    }

    fn grouping_field(&mut self, node: Node) -> Result<Field, Error> {
        let field = self.field(node)?;
        if !matches!(field.source, Source::Column(Column::ExecutionStatus | Column::Division)) {
            let what = format!("'GROUP BY' clause is not supported for search attribute {}", field.name);
            return Err(Error::unsupported(what));
        }
        Ok(field)
    }

    fn field(&mut self, node: Node) -> Result<Field, Error> {
        let Node::Name(name) = node else {
            return Err(Error::invalid(format_args!("must be a column name but was {}", go_type(&node))));
        };
        let (stored, kind) = self.stored_name(&name)?;
        self.names_division |= stored == DIVISION;
        let source = column(&stored).map_or(Source::Attribute(stored), Source::Column);
        Ok(Field { name, source, kind })
    }

    /// The name that an attribute is stored under. A `Temporal` too many or too few is forgiven.
    fn stored_name(&self, name: &str) -> Result<(String, IndexedValueType), Error> {
        let built_in = search_attributes::built_in;
        if let Some(kind) = built_in(name).or_else(|| self.custom.get(name).copied()) {
            return Ok((name.to_owned(), kind));
        }
        let bare = name.strip_prefix(RESERVED_PREFIX);
        if bare.unwrap_or(name) == SCHEDULE_ID {
            return Ok(("WorkflowId".to_owned(), IndexedValueType::Keyword));
        }
        let other = format!("{RESERVED_PREFIX}{name}");
        for candidate in [Some(other.as_str()), bare].into_iter().flatten() {
            if let Some(kind) = built_in(candidate) {
                return Ok((candidate.to_owned(), kind));
            }
        }
        Err(Error(format!("invalid search attribute: {name}")))
    }
}

/// A literal with the words it consists of, where it is compared with a text.
struct Typed {
    value: Value,
    is_text: bool,
}

/// What the literal means for this field.
fn value(field: &Field, node: Node) -> Result<Typed, Error> {
    let literal = literal_of(node)?;
    let is_text = field.kind == IndexedValueType::Text;
    let value = match &field.source {
        Source::Column(Column::ExecutionStatus) => status_value(&literal)?,
        Source::Column(Column::ExecutionDuration) => duration_value(&literal)?,
        Source::Column(Column::WorkflowId) if field.name.ends_with(SCHEDULE_ID) => match literal {
            Literal::Text(id) => Value::Text(format!("{SCHEDULE_PREFIX}{id}")),
            other => plain_value(field, other)?,
        },
        _ => plain_value(field, literal)?,
    };
    Ok(Typed { value, is_text })
}

fn literal_of(node: Node) -> Result<Literal, Error> {
    match node {
        Node::Text(text) => Ok(Literal::Text(text)),
        Node::Bool(flag) => Ok(Literal::Bool(flag)),
        Node::Number(text) => match text.parse() {
            Ok(number) => Ok(Literal::Int(number)),
            Err(_) => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Literal::Double(number)),
                _ => Err(Error::invalid(format_args!("unable to parse value {}", go_quoted(&text)))),
            },
        },
        Node::Call => Err(Error::unsupported("nested func")),
        Node::Name(name) => Err(Error::unsupported(format_args!(
            "column name on the right side of comparison expression (did you forget to quote {}?)",
            go_quoted(&name)
        ))),
        other => Err(Error::invalid(format_args!("unexpected value type {}", go_type(&other)))),
    }
}

fn plain_value(field: &Field, literal: Literal) -> Result<Value, Error> {
    use IndexedValueType::{Bool, Datetime, Double, Int, Keyword, KeywordList, Text};
    match (field.kind, literal) {
        (Int | Double, Literal::Int(number)) => Ok(Value::Int(number)),
        (Int | Double, Literal::Double(number)) => Ok(Value::Double(number)),
        (Bool, Literal::Bool(flag)) => Ok(Value::Bool(flag)),
        (Datetime, Literal::Int(nanos)) => Ok(Value::Datetime(Timestamp::from_nanos(nanos))),
        (Datetime, Literal::Text(text)) => match literal::datetime(&text) {
            Some(instant) => Ok(Value::Datetime(instant)),
            None => Err(Error::invalid(format_args!("unable to parse datetime '{text}'"))),
        },
        (Keyword | KeywordList | Text, Literal::Text(text)) => Ok(Value::Text(text)),
        (kind, literal) => Err(Error::invalid(format_args!(
            "invalid value type for search attribute {} of type {}: {} (type: {})",
            field.name,
            type_name(kind),
            literal.quoted(),
            literal.go_type()
        ))),
    }
}

fn status_value(literal: &Literal) -> Result<Value, Error> {
    let refuse = |shown: String| Err(Error::invalid(format_args!("invalid ExecutionStatus value {shown}")));
    match literal {
        Literal::Int(number) if literal::status_name(*number).is_some() => Ok(Value::Int(*number)),
        Literal::Int(number) => refuse(number.to_string()),
        Literal::Text(text) => match literal::status(text) {
            Some(number) => Ok(Value::Int(number)),
            None => refuse(format!("'{text}'")),
        },
        other => Err(unexpected_type(other, "ExecutionStatus")),
    }
}

fn duration_value(literal: &Literal) -> Result<Value, Error> {
    match literal {
        Literal::Int(nanos) => Ok(Value::Int(*nanos)),
        Literal::Text(text) => match literal::duration(text) {
            Some(nanos) => Ok(Value::Int(nanos)),
            None => Err(Error::invalid(format_args!(
                "invalid duration value for search attribute ExecutionDuration: {text}"
            ))),
        },
        other => Err(unexpected_type(other, "ExecutionDuration")),
    }
}

fn unexpected_type(literal: &Literal, name: &str) -> Error {
    Error::invalid(format_args!("unexpected value type {} for search attribute {name}", literal.go_type()))
}

fn check_operator(field: &Field, operator: Operator) -> Result<(), Error> {
    use Operator::{Equal, Greater, GreaterOrEqual, In, Less, LessOrEqual, NotEqual, NotIn, NotStartsWith, StartsWith};
    let allowed = match field.kind {
        IndexedValueType::Text => matches!(operator, Equal | NotEqual),
        IndexedValueType::KeywordList => matches!(operator, Equal | NotEqual | In | NotIn),
        kind => match operator {
            Equal | NotEqual | Less | LessOrEqual | Greater | GreaterOrEqual | In | NotIn => true,
            StartsWith | NotStartsWith => kind == IndexedValueType::Keyword,
            _ => false,
        },
    };
    if allowed {
        return Ok(());
    }
    Err(Error::unsupported(format_args!(
        "operator '{}' not supported for {} type search attribute '{}'",
        operator_name(operator),
        type_name(field.kind),
        field.name
    )))
}

fn single_comparison(field: Field, operator: Operator, typed: Typed) -> Result<Expression, Error> {
    let negated = matches!(operator, Operator::NotEqual | Operator::NotStartsWith);
    if matches!(operator, Operator::StartsWith | Operator::NotStartsWith) {
        return match typed.value {
            Value::Text(prefix) => Ok(Expression::StartsWith { field, negated, prefix }),
            other => Err(Error::invalid(format_args!(
                "right-hand side of {} operator must be a literal string (got: {})",
                go_quoted(&operator_name(operator).to_ascii_lowercase()),
                shown(&field, &other)
            ))),
        };
    }
    if matches!(field.kind, IndexedValueType::KeywordList | IndexedValueType::Text) {
        return Ok(Expression::In { field, negated, values: words(vec![typed])? });
    }
    let operator = match operator {
        Operator::Equal => Comparison::Equal,
        Operator::NotEqual => Comparison::NotEqual,
        Operator::Less => Comparison::Less,
        Operator::LessOrEqual => Comparison::LessOrEqual,
        Operator::Greater => Comparison::Greater,
        Operator::GreaterOrEqual => Comparison::GreaterOrEqual,
        other => unreachable!("{} was refused for every type", operator_name(other)),
    };
    Ok(Expression::Compare { field, operator, value: typed.value })
}

/// The values, a text among them taken apart into its words.
fn words(values: Vec<Typed>) -> Result<Vec<Value>, Error> {
    let mut all = Vec::with_capacity(values.len());
    for typed in values {
        match typed {
            Typed { value: Value::Text(text), is_text: true } => {
                let before = all.len();
                all.extend(tokens(&text).map(Value::Text));
                if all.len() == before {
                    return Err(Error::invalid(format_args!(
                        "unexpected value for Text type search attribute (no tokens found in '{text}')"
                    )));
                }
            }
            Typed { value, .. } => all.push(value),
        }
    }
    Ok(all)
}

fn first(mut values: Vec<Typed>) -> Typed {
    values.swap_remove(0)
}

fn shown(field: &Field, value: &Value) -> String {
    match (&field.source, value) {
        (Source::Column(Column::ExecutionStatus), Value::Int(number)) => {
            literal::status_name(*number).unwrap_or_default().to_owned()
        }
        (_, Value::Text(text)) => text.clone(),
        (_, Value::Int(number)) => Literal::Int(*number).plain(),
        (_, Value::Double(number)) => Literal::Double(*number).plain(),
        (_, Value::Bool(flag)) => Literal::Bool(*flag).plain(),
        (_, Value::Datetime(instant)) => instant.as_nanos().to_string(),
    }
}

fn column(name: &str) -> Option<Column> {
    Some(match name {
        "WorkflowId" => Column::WorkflowId,
        "RunId" => Column::RunId,
        "WorkflowType" => Column::WorkflowType,
        "ExecutionStatus" => Column::ExecutionStatus,
        "TaskQueue" => Column::TaskQueue,
        "StartTime" => Column::StartTime,
        "ExecutionTime" => Column::ExecutionTime,
        "CloseTime" => Column::CloseTime,
        "ExecutionDuration" => Column::ExecutionDuration,
        "HistoryLength" => Column::HistoryLength,
        "HistorySizeBytes" => Column::HistorySizeBytes,
        "StateTransitionCount" => Column::StateTransitionCount,
        "ParentWorkflowId" => Column::ParentWorkflowId,
        "ParentRunId" => Column::ParentRunId,
        "RootWorkflowId" => Column::RootWorkflowId,
        "RootRunId" => Column::RootRunId,
        DIVISION => Column::Division,
        _ => return None,
    })
}

fn operator_name(operator: Operator) -> &'static str {
    match operator {
        Operator::Equal => "=",
        Operator::NotEqual => "!=",
        Operator::Less => "<",
        Operator::LessOrEqual => "<=",
        Operator::Greater => ">",
        Operator::GreaterOrEqual => ">=",
        Operator::NullSafeEqual => "<=>",
        Operator::In => "IN",
        Operator::NotIn => "NOT IN",
        Operator::Like => "LIKE",
        Operator::NotLike => "NOT LIKE",
        Operator::Regexp => "REGEXP",
        Operator::NotRegexp => "NOT REGEXP",
        Operator::StartsWith => "STARTS_WITH",
        Operator::NotStartsWith => "NOT STARTS_WITH",
    }
}

/// What the reference calls such a node.
fn go_type(node: &Node) -> &'static str {
    match node {
        Node::And(_) => "*sqlparser.AndExpr",
        Node::Or(_) => "*sqlparser.OrExpr",
        Node::Not(_) => "*sqlparser.NotExpr",
        Node::Paren(_) => "*sqlparser.ParenExpr",
        Node::Compare { .. } => "*sqlparser.ComparisonExpr",
        Node::Between { .. } => "*sqlparser.RangeCond",
        Node::Is { .. } => "*sqlparser.IsExpr",
        Node::Name(_) => "*sqlparser.ColName",
        Node::Text(_) | Node::Number(_) => "*sqlparser.SQLVal",
        Node::Bool(_) => "sqlparser.BoolVal",
        Node::Null => "*sqlparser.NullVal",
        Node::Tuple(_) => "sqlparser.ValTuple",
        Node::Call => "*sqlparser.FuncExpr",
    }
}
