//! The filter language: what it takes, and how it refuses the rest.

use crate::model::schema;
use proptest::prelude::*;
use store::filter::{self, Column, Comparison, Expression, Source, Value};

#[test]
fn refusals_read_as_clients_know_them() {
    for (query, error) in [
        ("foo", "invalid expression: incomplete expression"),
        ("Foo = 1", "invalid search attribute: Foo"),
        ("ExecutionStatus = \"Bogus\"", "invalid expression: invalid ExecutionStatus value 'Bogus'"),
        ("ExecutionStatus = 99", "invalid expression: invalid ExecutionStatus value 99"),
        ("StartTime > \"bad\"", "invalid expression: unable to parse datetime 'bad'"),
        (
            "WorkflowId LIKE \"p%\"",
            "operation is not supported: operator 'LIKE' not supported for Keyword type search attribute 'WorkflowId'",
        ),
        (
            "CustomList STARTS_WITH 'a'",
            "operation is not supported: operator 'STARTS_WITH' not supported for KeywordList type search attribute \
             'CustomList'",
        ),
        (
            "CustomText > 'a'",
            "operation is not supported: operator '>' not supported for Text type search attribute 'CustomText'",
        ),
        (
            "CustomInt not starts_with 1",
            "operation is not supported: operator 'NOT STARTS_WITH' not supported for Int type search attribute \
             'CustomInt'",
        ),
        ("order by StartTime", "operation is not supported: 'ORDER BY' clause"),
        ("WorkflowId = 'a' order by StartTime desc, Foo", "operation is not supported: 'ORDER BY' clause"),
        ("WorkflowId = \"a\" LIMIT 1", "operation is not supported: 'LIMIT' clause"),
        (
            "TaskQueue = q",
            "operation is not supported: column name on the right side of comparison expression (did you forget to \
             quote \"q\"?)",
        ),
        (
            "GROUP BY WorkflowType",
            "operation is not supported: 'GROUP BY' clause is not supported for search attribute WorkflowType",
        ),
        (
            "GROUP BY ExecutionStatus, WorkflowType",
            "operation is not supported: 'GROUP BY' clause supports only a single field",
        ),
        (
            "CustomInt = 'a'",
            "invalid expression: invalid value type for search attribute CustomInt of type Int: \"a\" (type: string)",
        ),
        (
            "CustomKeyword = 1.5",
            "invalid expression: invalid value type for search attribute CustomKeyword of type Keyword: 1.5 (type: \
             float64)",
        ),
        (
            "CustomBool BETWEEN true AND false",
            "invalid expression: cannot do range condition on search attribute 'CustomBool' of type Bool",
        ),
        (
            "ExecutionDuration > 'soon'",
            "invalid expression: invalid duration value for search attribute ExecutionDuration: soon",
        ),
        (
            "ExecutionDuration > 1.5",
            "invalid expression: unexpected value type float64 for search attribute ExecutionDuration",
        ),
        ("CustomInt IS TRUE", "invalid expression: 'IS' operator can only be used as 'IS NULL' or 'IS NOT NULL'"),
        ("1 = 1", "invalid expression: must be a column name but was *sqlparser.SQLVal"),
        ("CustomInt = NULL", "invalid expression: unexpected value type *sqlparser.NullVal"),
        ("lower('a')", "operation is not supported: function expression"),
        ("WorkflowId = lower('a')", "operation is not supported: nested func"),
        ("'a'", "operation is not supported: expression of type *sqlparser.SQLVal"),
        (
            "CustomText = '--'",
            "invalid expression: unexpected value for Text type search attribute (no tokens found in '--')",
        ),
        (
            "ExecutionStatus STARTS_WITH 'Running'",
            "invalid expression: right-hand side of \"starts_with\" operator must be a literal string (got: Running)",
        ),
        ("WorkflowId =", "malformed SQL query: syntax error at position 40"),
        ("WorkflowId = 'a' 'b'", "malformed SQL query: syntax error at position 48 near 'b'"),
        ("limit 1", "malformed SQL query: syntax error at position 33 near 'limit'"),
        ("WorkflowId = 'a", "malformed SQL query: syntax error at position 43"),
    ] {
        let refused = filter::parse(query, &schema()).expect_err(query);
        assert_eq!(refused.to_string(), format!("invalid query: {error}"), "{query}");
    }
}

#[test]
fn negation_binds_closer_than_and_which_binds_closer_than_or() {
    let parsed = |text| filter::parse(text, &schema()).unwrap().filter;
    let (a, b, c) = ("CustomInt = 1", "CustomInt = 2", "CustomInt = 3");
    assert_eq!(parsed(&format!("{a} or not {b} and {c}")), parsed(&format!("({a}) OR ((NOT ({b})) AND ({c}))")));
}

#[test]
fn names_may_be_quoted_and_a_reserved_prefix_may_be_missing_or_too_much() {
    for (name, source) in [
        ("`CustomInt`", Source::Attribute("CustomInt".to_owned())),
        ("TemporalHistoryLength", Source::Column(Column::HistoryLength)),
        ("HistoryLength", Source::Column(Column::HistoryLength)),
        ("ExternalPayloadCount", Source::Attribute("TemporalExternalPayloadCount".to_owned())),
    ] {
        let parsed = filter::parse(&format!("{name} >= 5"), &schema()).unwrap().filter;
        let Some(Expression::Compare { field, operator: Comparison::GreaterOrEqual, value: Value::Int(5) }) = parsed
        else {
            panic!("{name}: {parsed:?}")
        };
        assert_eq!(field.source, source);
    }
}

#[test]
fn a_schedule_is_found_by_its_own_id() {
    let parsed = |text| filter::parse(text, &schema()).unwrap().filter;
    let Some(Expression::Compare { value: by_schedule, .. }) = parsed("ScheduleId = 's'") else { panic!() };
    assert_eq!(by_schedule, Value::Text("temporal-sys-scheduler:s".to_owned()));
}

#[test]
fn strings_end_at_their_own_quote_and_may_contain_it() {
    for (text, value) in [
        (r#"'it''s'"#, "it's"),
        (r#""say ""hi""""#, "say \"hi\""),
        (r#"'a\'b'"#, "a'b"),
        (r#"'a"b'"#, "a\"b"),
        ("'ä%_'", "ä%_"),
    ] {
        let parsed = filter::parse(&format!("WorkflowId = {text}"), &schema()).unwrap().filter;
        let Some(Expression::Compare { value: found, .. }) = parsed else { panic!("{text}") };
        assert_eq!(found, Value::Text(value.to_owned()));
    }
}

#[test]
fn nesting_without_end_is_refused_and_long_chains_are_not() {
    for text in ["(".repeat(100_000), "NOT ".repeat(100_000), "f(".repeat(100_000)] {
        assert!(filter::parse(&text, &schema()).is_err());
    }
    let chain = vec!["CustomInt = 1"; 2_000].join(" OR ");
    assert!(filter::parse(&chain, &schema()).is_ok());
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,60}") {
        let _ = filter::parse(&text, &schema());
    }

    #[test]
    fn no_row_of_words_makes_the_parser_panic(words in proptest::collection::vec(word(), 0..14)) {
        let _ = filter::parse(&words.join(" "), &schema());
    }
}

fn word() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "WorkflowId",
        "StartTime",
        "ExecutionStatus",
        "CustomInt",
        "CustomText",
        "Foo",
        "`a",
        "and",
        "or",
        "not",
        "(",
        ")",
        "=",
        "!=",
        "<=",
        "in",
        "between",
        "is",
        "null",
        "true",
        "starts_with",
        "like",
        "'x'",
        "\"",
        "'",
        "1",
        "-",
        "1e5",
        "1e999",
        "99999999999999999999",
        ".",
        ",",
        "group",
        "by",
        "order",
        "limit",
        "f(",
        "\\",
        "é",
        ";",
    ])
}
