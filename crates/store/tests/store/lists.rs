//! Lists and counts of executions.

use crate::{
    model::{self, schema},
    on_every_store,
    testkit::*,
};
use proptest::prelude::*;
use std::time::Duration;
use store::{
    By, Order,
    filter::{self, Expression, Query, Value},
    row::{AttributeValue, Change, VisibilityRow},
};
use tradewind_core::ids::{NamespaceKey, RunKey};
use tradewind_core::time::Timestamp;
use uuid::Uuid;

on_every_store! {
    fn open_runs_come_first_by_start_then_closed_ones_by_close(node: Node) {
        node.commit([
            show(shown(1, 10)),
            show(closed(2, 5, 40)),
            show(shown(3, 20)),
            show(closed(4, 6, 50)),
            show(shown(5, 20)),
        ]);
        assert_eq!(runs(&node, ""), [5, 3, 1, 4, 2]);
    }

    fn a_list_is_read_from_either_end_of_either_order(node: Node) {
        node.commit([
            show(shown(1, 10)),
            show(closed(2, 11, 40)),
            show(shown(3, 20)),
            show(closed(4, 21, 50)),
            show(shown(5, 22)),
        ]);
        let all = |by, ascending, query: &str| {
            let query = filter::parse(query, &schema()).unwrap();
            let (mut found, mut token) = (Vec::new(), None::<bytes::Bytes>);
            loop {
                let order = Order { by, ascending };
                let (rows, next) = node.store.list_in(NAMESPACE, &query, order, 2, token.as_deref()).unwrap();
                found.extend(rows.into_iter().map(|row| row.run.0));
                token = next;
                if token.is_none() {
                    return found;
                }
            }
        };
        assert_eq!(all(By::End, false, ""), [5, 3, 1, 4, 2]);
        assert_eq!(all(By::End, true, ""), [2, 4, 1, 3, 5]);
        assert_eq!(all(By::Start, false, ""), [5, 4, 3, 2, 1]);
        assert_eq!(all(By::Start, true, ""), [1, 2, 3, 4, 5]);
        assert_eq!(all(By::Start, true, "ExecutionStatus = 'Running' AND WorkflowType = 'Order'"), [1, 3, 5]);
    }

    fn runs_are_found_by_search_keys(node: Node) {
        let put = |run, key: &str, value: Option<&str>| {
            let value = value.map(str::to_owned);
            Change::PutSearchKey { run: RunKey(run), key: key.to_owned(), value }
        };
        for number in 1..=4 {
            node.commit([Change::InsertRun(run(number)), show(shown(number, number))]);
        }
        node.commit([
            put(1, "customer.id", Some("ACME-7_a%")),
            put(2, "customer.id", Some("acme-70")),
            put(3, "customer.id", None),
            put(4, "customer", Some("acme-7")),
            put(1, "region", Some("eu")),
        ]);
        let find = |conditions: &[(&str, &str)]| {
            let one = |(key, part): &(&str, &str)| {
                Expression::SearchKey { key: (*key).to_owned(), part: (*part).to_owned() }
            };
            let filter = Some(Expression::All(conditions.iter().map(one).collect()));
            let query = Query { filter, ..Query::default() };
            let (rows, _) = node.store.list(NAMESPACE, &query, 10, None).unwrap();
            rows.into_iter().map(|row| row.run.0).collect::<Vec<_>>()
        };
        assert_eq!(find(&[("customer.id", "acme-7")]), [2, 1]);
        assert_eq!(find(&[("customer.id", "7_A%")]), [1], "nothing in a value is a wildcard");
        assert_eq!(find(&[("customer.id", "")]), [2, 1], "a key without a value contains nothing");
        assert_eq!(find(&[("customer.id", "acme"), ("region", "eu")]), [1]);
        assert_eq!(find(&[("customer.id", "acme"), ("region", "us")]), [0; 0]);
        assert_eq!(find(&[("nobody", "x\0'")]), [0; 0]);
    }

    fn a_list_shows_a_change_as_soon_as_it_is_durable(node: Node) {
        node.commit([show(shown(1, 10))]);
        let mut row = closed(1, 10, 20);
        row.status = 3;
        row.memo = bytes("memo");
        row.search_attributes = bytes("attributes");
        row.history_length = Some(11);
        row.history_size_bytes = Some(2_000);
        row.state_transitions = Some(5);
        row.parent = Some(("parent".to_owned(), Uuid::from_u128(8)));
        row.root = ("root".to_owned(), Uuid::from_u128(9));
        row.first_run_id = Uuid::from_u128(10);
        node.commit([show(shown(2, 10)), Change::DeleteRun { run: RunKey(1) }]);
        node.commit([show(row.clone())]);

        assert_eq!(list(&node, "ExecutionStatus = 'Failed'"), [row.clone()]);
        assert_eq!(node.store.visibility(RunKey(1)).unwrap(), Some(row));
        assert_eq!(node.store.visibility(RunKey(3)).unwrap(), None);
    }

    fn a_closing_run_moves_within_the_list_and_the_counts(node: Node) {
        node.commit([show(shown(1, 10)), show(shown(2, 11))]);
        let mut row = closed(2, 11, 12);
        row.status = 5;
        node.commit([show(row)]);
        assert_eq!(runs(&node, ""), [1, 2]);
        assert_eq!(runs(&node, "ExecutionStatus = 'Running'"), [1]);
        assert_eq!(runs(&node, "ExecutionStatus = 'Terminated'"), [2]);
        assert_eq!(groups(&node, "GROUP BY ExecutionStatus"), [("Running".to_owned(), 1), ("Terminated".to_owned(), 1)]);
    }

    fn lifetimes_are_added_up_by_state_and_by_the_stretch_of_the_close(node: Node) {
        let mut failed = closed(4, 20, 23);
        failed.status = 3;
        node.commit([
            show(shown(1, 10)),
            show(closed(2, 5, 11)),
            show(closed(3, 5, 15)),
            show(failed),
            show(VisibilityRow { workflow_type: "Other".to_owned(), ..closed(5, 0, 100) }),
        ]);
        let query = filter::parse("WorkflowType = 'Order'", &schema()).expect("the query is fine");
        let read = node.store.lifetimes(NAMESPACE, &query, Duration::from_secs(10)).unwrap();

        let seconds = |at: Option<Timestamp>| at.map(|at| at.as_nanos() / 1_000_000_000);
        let read: Vec<_> = read
            .iter()
            .map(|it| (it.status, seconds(it.closed_from), it.executions, it.total.as_secs()))
            .collect();
        assert_eq!(read, [(1, None, 1, 0), (2, Some(10), 2, 16), (3, Some(20), 1, 3)]);
    }

    fn pages_neither_repeat_nor_skip_while_runs_are_added(node: Node) {
        for run in 1..=20 {
            node.commit([show(if run % 2 == 0 { shown(run, run / 4) } else { closed(run, 0, run / 4) })]);
        }
        let expected = runs(&node, "");
        let mut seen = Vec::new();
        let mut token = None;
        loop {
            let (rows, next) = node.store.list(NAMESPACE, &Query::default(), 3, token.as_deref()).unwrap();
            seen.extend(rows.iter().map(|row| row.run.0));
            // A newcomer belongs on a page that has been seen.
            node.commit([show(shown(100 + seen.len() as i64, 1_000))]);
            token = next;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected);
    }

    fn the_last_page_has_no_token(node: Node) {
        node.commit([show(shown(1, 1)), show(shown(2, 2))]);
        let (rows, next) = node.store.list(NAMESPACE, &Query::default(), 2, None).unwrap();
        assert_eq!((rows.len(), next), (2, None));
    }

    fn a_token_of_somebody_else_is_refused(node: Node) {
        for token in [&b""[..], b"abc", &[9; 25]] {
            let refused = node.store.list(NAMESPACE, &Query::default(), 2, Some(token)).unwrap_err();
            assert_eq!(refused.to_string(), "invalid page token");
        }
    }

    fn namespaces_do_not_see_each_other(node: Node) {
        let mut stranger = shown(1, 1);
        stranger.namespace = NamespaceKey(8);
        node.commit([show(stranger), show(shown(2, 2))]);
        assert_eq!(runs(&node, ""), [2]);
        assert_eq!(runs(&node, "WorkflowId = 'w-1'"), [0; 0]);
        assert_eq!(count(&node, ""), 1);
    }

    fn divisions_are_hidden_from_queries_that_do_not_name_one(node: Node) {
        let mut schedule = shown(1, 1);
        schedule.division = Some("TemporalScheduler".to_owned());
        node.commit([show(schedule), show(shown(2, 2))]);
        assert_eq!(runs(&node, ""), [2]);
        assert_eq!(count(&node, ""), 1);
        assert_eq!(runs(&node, "TemporalNamespaceDivision = 'TemporalScheduler'"), [1]);
        assert_eq!(runs(&node, "TemporalNamespaceDivision IS NULL OR TemporalNamespaceDivision IS NOT NULL"), [2, 1]);
        assert_eq!(groups(&node, "GROUP BY TemporalNamespaceDivision").len(), 2);
    }

    fn custom_attributes_follow_the_row(node: Node) {
        let with = |value| {
            let mut row = shown(1, 1);
            row.attributes = vec![("CustomList".to_owned(), AttributeValue::KeywordList(value))];
            show(row)
        };
        node.commit([with(vec!["a".to_owned(), "b".to_owned()])]);
        assert_eq!(runs(&node, "CustomList = 'b'"), [1]);
        node.commit([with(vec!["c".to_owned()])]);
        assert_eq!(runs(&node, "CustomList = 'b'"), [0; 0]);
        assert_eq!(runs(&node, "CustomList IN ('x', 'c')"), [1]);
        node.commit([show(shown(1, 1))]);
        assert_eq!(runs(&node, "CustomList IS NULL"), [1]);
    }

    fn a_value_of_an_attribute_that_changed_its_type_is_not_found(node: Node) {
        let mut row = shown(1, 1);
        row.attributes = vec![("CustomInt".to_owned(), AttributeValue::Keyword("9".to_owned()))];
        node.commit([show(row)]);
        assert_eq!(runs(&node, "CustomInt > 1"), [0; 0]);
        assert_eq!(runs(&node, "CustomInt IS NULL"), [1]);
    }

    fn a_row_put_elsewhere_leaves_nothing_behind(node: Node) {
        node.commit([show(shown(1, 1))]);
        let mut row = shown(1, 2);
        row.workflow_type = "Other".to_owned();
        row.division = Some("d".to_owned());
        node.commit([show(row)]);
        assert_eq!(count(&node, ""), 0);
        assert_eq!(runs(&node, "WorkflowType = 'Order'"), [0; 0]);
        assert_eq!(runs(&node, "TemporalNamespaceDivision = 'd' AND WorkflowType = 'Other'"), [1]);
    }

    fn a_long_chain_of_conditions_is_answered(node: Node) {
        node.commit([show(shown(1, 1))]);
        let chain = (0..1_500).map(|n| format!("CustomInt = {n}")).collect::<Vec<_>>().join(" OR ");
        assert_eq!(runs(&node, &format!("{chain} OR WorkflowId = 'w-1'")), [1]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn lists_and_counts_are_what_the_filter_means(
        rows in rows(),
        queries in proptest::collection::vec(model::query(), 24),
    ) {
        let node = Node::in_memory();
        // Written twice, first in another shape, so that replacing is tried as well.
        node.commit(rows.iter().map(|row| show(VisibilityRow { status: 8, ..shown(row.run.0, 7) })));
        let inserts = rows.iter().map(|row| {
            Change::InsertRun(store::row::RunRow { workflow_id: row.workflow_id.clone(), ..run(row.run.0) })
        });
        node.commit(rows.iter().map(|row| Change::DeleteRun { run: row.run }));
        node.commit(inserts.chain(rows.iter().cloned().map(show)));
        for text in queries {
            let query = filter::parse(&text, &schema()).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
            let mut expected: Vec<_> = rows.iter().filter(|row| model::finds(&query, row)).cloned().collect();
            model::in_order(&mut expected);
            let expected: Vec<_> = expected.iter().map(|row| row.run.0).collect();
            prop_assert_eq!(paged(&node, &query), &expected[..], "{}", &text);
            prop_assert_eq!(count(&node, &text), expected.len() as u64, "{}", &text);
        }
    }
}

fn rows() -> impl Strategy<Value = Vec<VisibilityRow>> {
    (1..12_i64).prop_flat_map(|count| (1..=count).map(model::row).collect::<Vec<_>>())
}

fn show(row: VisibilityRow) -> Change {
    Change::PutVisibility(Box::new(row))
}

fn closed(run: i64, start: i64, close: i64) -> VisibilityRow {
    VisibilityRow { status: 2, close_time: Some(at(close)), ..shown(run, start) }
}

#[track_caller]
fn list(node: &Node, query: &str) -> Vec<VisibilityRow> {
    let query = filter::parse(query, &schema()).expect("the query is fine");
    node.store.list(NAMESPACE, &query, 1_000, None).expect("the list can be read").0
}

#[track_caller]
fn runs(node: &Node, query: &str) -> Vec<i64> {
    list(node, query).iter().map(|row| row.run.0).collect()
}

/// All pages of two.
#[track_caller]
fn paged(node: &Node, query: &Query) -> Vec<i64> {
    let mut runs = Vec::new();
    let mut token = None;
    loop {
        let (rows, next) = node.store.list(NAMESPACE, query, 2, token.as_deref()).expect("the list can be read");
        runs.extend(rows.iter().map(|row| row.run.0));
        token = next;
        if token.is_none() {
            return runs;
        }
    }
}

#[track_caller]
fn count(node: &Node, query: &str) -> u64 {
    let query = filter::parse(query, &schema()).expect("the query is fine");
    node.store.count(NAMESPACE, &query).expect("matches can be counted").total
}

#[track_caller]
fn groups(node: &Node, query: &str) -> Vec<(String, u64)> {
    let query = filter::parse(query, &schema()).expect("the query is fine");
    let counted = node.store.count(NAMESPACE, &query).expect("matches can be counted");
    assert_eq!(counted.total, counted.groups.iter().map(|(_, n)| n).sum::<u64>());
    let name = |values: Vec<Option<Value>>| match &values[..] {
        [Some(Value::Text(name))] => name.clone(),
        [None] => "-".to_owned(),
        other => panic!("{other:?}"),
    };
    counted.groups.into_iter().map(|(values, n)| (name(values), n)).collect()
}
