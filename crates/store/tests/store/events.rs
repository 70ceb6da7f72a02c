//! The event log: order, one of each, reading by who it is about, forgetting.

use crate::{on_every_store, testkit::*};
use std::sync::Arc;
use store::{
    Store,
    row::{
        Change, EventFilter, EventMeaning, EventRange, EventRow, EventSource, EventSummary, FollowedRow, Follower,
        LogOrder, LogOwner, LogRange, LogRow, NewEvent, SpansRow,
    },
};
use tradewind_core::{ids::RunKey, time::Timestamp};
use uuid::Uuid;

on_every_store! {
    fn events_come_back_in_the_order_in_which_they_were_committed(node: Node) {
        node.commit([append(&root(1), [plain("a"), plain("b")])]);
        node.commit([append(&root(2), [plain("c")])]);
        node.commit([append(&root(1), [plain("d")])]);

        assert_eq!(all(&node.store), ["1 w-1 a", "2 w-1 b", "3 w-2 c", "4 w-1 d"]);
        assert_eq!(*node.store.last_event().borrow(), 4);
    }

    fn an_event_that_is_sent_again_is_kept_once(node: Node) {
        let uuid = "0196f0e0-0000-7000-8000-000000000001";
        node.commit([append(&root(1), [plain(uuid), plain("x"), plain(uuid)])]);
        node.commit([append(&root(1), [plain("x"), plain("y")])]);
        // Another run's event of that id is another event, and so is one whose id is written differently.
        node.commit([append(&root(2), [plain("x")]), append(&root(1), [plain(&uuid.to_uppercase())])]);

        let (lower, upper) = (format!("1 w-1 {uuid}"), format!("5 w-1 {}", uuid.to_uppercase()));
        assert_eq!(all(&node.store), [lower.as_str(), "2 w-1 x", "3 w-1 y", "4 w-2 x", upper.as_str()]);
    }

    fn readers_find_events_by_whom_they_are_about(node: Node) {
        // A root with two children, of which one has gone through two runs, and a root of the same id started later.
        let (child, chain) = (child(2, "child", 1), child(3, "chain", 1));
        let continued = EventSource { run: RunKey(4), run_id: Uuid::from_u128(4), ..chain.clone() };
        let again = EventSource { workflow_id: "w-1".into(), root_workflow_id: "w-1".into(), ..root(5) };
        for (run, source) in [root(1), child, chain, continued, again].iter().enumerate() {
            node.commit([Change::InsertRun(self::run(run as i64 + 1))]);
            node.commit([append(source, [plain("a"), about("b", "t", "call")])]);
        }
        let found = |change: &dyn Fn(&mut EventFilter)| {
            let mut filter = EventFilter::all(NAMESPACE);
            change(&mut filter);
            sequences(&node.store, &filter, whole(&node.store))
        };

        assert_eq!(found(&|_| {}), (1..=10).collect::<Vec<_>>());
        assert_eq!(found(&|it| it.workflow_id = Some("child".into())), [3, 4]);
        assert_eq!(found(&|it| it.workflow_id = Some("chain".into())), [5, 6, 7, 8]);
        assert_eq!(found(&|it| it.workflow_id = Some("w-1".into())), [1, 2, 9, 10]);
        let first_start = |it: &mut EventFilter| {
            it.workflow_id = Some("w-1".into());
            it.chain_run_id = Some(Uuid::from_u128(1));
        };
        assert_eq!(found(&first_start), [1, 2]);
        assert_eq!(found(&|it| it.run_id = Some(Uuid::from_u128(4))), [7, 8]);
        assert_eq!(found(&|it| it.root_workflow_id = Some("w-1".into())), (1..=10).collect::<Vec<_>>());
        assert_eq!(found(&|it| it.parent_workflow_id = Some("w-1".into())), (3..=8).collect::<Vec<_>>());
        assert_eq!(found(&|it| it.task_name = Some("call".into())), [2, 4, 6, 8, 10]);
        let both = |it: &mut EventFilter| {
            it.root_workflow_id = Some("w-1".into());
            it.workflow_id = Some("child".into());
            it.task = Some("t".into());
        };
        assert_eq!(found(&both), [4]);
        assert_eq!(found(&|it| it.kinds = Some(vec![9])), [] as [i64; 0]);
        assert_eq!(found(&|it| it.workflow_type = Some("Other".into())), [] as [i64; 0]);
        assert_eq!(found(&|it| it.workflow_id = Some("nobody".into())), [] as [i64; 0]);
    }

    fn pages_lead_through_everything_whatever_their_size(node: Node) {
        // Three starts of one workflow id, interleaved, so that three chains are merged.
        let starts: Vec<EventSource> = (1..=3).map(|run| EventSource {
            workflow_id: "w".into(), root_workflow_id: "w".into(), ..root(run)
        }).collect();
        for at in 0..30 {
            node.commit([append(&starts[at * 7 % 3], [plain(&format!("e{at}"))])]);
        }
        let filter = EventFilter { workflow_id: Some("w".into()), ..EventFilter::all(NAMESPACE) };
        for events_max in [1, 2, 7, 100] {
            for bytes_max in [1, 9, 1_000] {
                let (mut after, mut read) = (0, Vec::new());
                while after < 30 {
                    let range = EventRange { after, until: 30, events_max, bytes_max };
                    let page = node.store.events(&filter, range).unwrap();
                    assert!(page.events.len() <= events_max);
                    assert!(page.looked_until > after, "a page leads on");
                    read.extend(page.events.iter().map(|event| event.sequence));
                    after = page.looked_until;
                }
                assert_eq!(read, (1..=30).collect::<Vec<_>>(), "pages of {events_max} events, {bytes_max} bytes");
            }
        }
    }

    fn the_log_knows_which_tasks_are_open_and_how_a_run_ended(node: Node) {
        let means = |id: &str, task: &str, meaning| NewEvent { meaning, ..about(id, task, "call") };
        node.commit([append(&root(1), [
            means("1", "first", EventMeaning::OpensTask),
            means("2", "second", EventMeaning::OpensTask),
            means("3", "third", EventMeaning::OpensTask),
            means("4", "second", EventMeaning::ClosesTask),
            // Sent again: the task has not opened a second time.
            means("2", "second", EventMeaning::OpensTask),
            NewEvent { kind: 4, meaning: EventMeaning::EndsRun, ..plain("5") },
            NewEvent { kind: 5, meaning: EventMeaning::EndsRun, ..plain("6") },
        ])]);

        let open = |task: &str| (task.to_owned(), "call".to_owned());
        let expected = EventSummary { ended: Some(5), open_tasks: vec![open("first"), open("third")] };
        assert_eq!(node.store.event_summary(RunKey(1)).unwrap(), expected);
        let nothing = EventSummary { ended: None, open_tasks: vec![] };
        assert_eq!(node.store.event_summary(RunKey(2)).unwrap(), nothing);
    }

    fn old_events_go_in_slices_and_their_sequences_with_them(node: Node) {
        for second in 1..=10 {
            let event = NewEvent { received: at(second), ..plain(&second.to_string()) };
            node.commit([append(&root(1), [event])]);
        }
        let mut slices = 0;
        while let Some(until) = node.store.expired_events(at(8), 3).unwrap() {
            node.commit([Change::DeleteEvents { until }]);
            slices += 1;
        }
        assert_eq!(slices, 3);
        assert_eq!(all(&node.store), ["8 w-1 8", "9 w-1 9", "10 w-1 10"]);

        while let Some(until) = node.store.expired_events(at(100), 3).unwrap() {
            node.commit([Change::DeleteEvents { until }]);
        }
        node.commit([append(&root(1), [plain("later")])]);
        assert_eq!(all(&node.store), ["11 w-1 later"], "a sequence is never used again");
    }

    fn events_of_a_deleted_run_go_with_it(node: Node) {
        node.commit([Change::InsertRun(run(1)), Change::InsertRun(run(2))]);
        let open = NewEvent { meaning: EventMeaning::OpensTask, ..about("o", "t", "call") };
        node.commit([append(&root(1), [plain("a"), open, plain("b")]), append(&root(2), [plain("c")])]);
        assert_eq!(node.store.events_of_gone_run(2).unwrap(), None);

        node.commit([Change::DeleteRun { run: RunKey(1) }]);
        // What a worker says of a run that is gone already.
        node.commit([append(&root(1), [plain("late")])]);
        let mut slices = 0;
        while let Some((run, until)) = node.store.events_of_gone_run(2).unwrap() {
            node.commit([Change::DeleteEventsOfRun { run, until }]);
            slices += 1;
        }

        assert_eq!(slices, 2);
        assert_eq!(all(&node.store), ["4 w-2 c"]);
        assert_eq!(node.store.event_summary(RunKey(1)).unwrap().open_tasks, []);
        node.commit([append(&root(1), [plain("later still")])]);
        assert!(node.store.events_of_gone_run(2).unwrap().is_some(), "it does not stay because it came late");
    }

    fn followed_steps_wait_for_their_follower(node: Node) {
        let (one, other) = (Follower(1), Follower(2));
        let put = |follower, run, first_event_id| Change::PutFollowed { follower, run: RunKey(run), first_event_id };
        node.commit([put(one, 1, 5), put(other, 1, 5)]);
        node.commit([put(one, 2, 9)]);
        let row = |id, run, first_event_id| FollowedRow { id, run: RunKey(run), first_event_id };

        assert_eq!(node.store.followed(one, 0, 10).unwrap(), [row(1, 1, 5), row(3, 2, 9)]);
        assert_eq!(node.store.followed(one, 1, 10).unwrap(), [row(3, 2, 9)]);
        node.commit([Change::DeleteFollowed { id: 1 }, Change::DeleteFollowed { id: 3 }]);
        assert_eq!(node.store.followed(one, 0, 10).unwrap(), []);
        node.commit([put(one, 4, 1)]);
        assert_eq!(node.store.followed(one, 3, 10).unwrap(), [row(4, 4, 1)], "a place is not used again");
    }

    fn spans_are_found_by_their_trace(node: Node) {
        let (trace, other) = ([7; 16], [8; 16]);
        for (trace, text) in [(trace, "one "), (other, "else"), (trace, "two "), (trace, "three")] {
            node.commit([Change::PutSpans(SpansRow { trace, received: at(1), bytes: bytes(text) })]);
        }
        assert_eq!(node.store.spans(&trace, 1_000).unwrap(), (bytes("one two three"), false));
        assert_eq!(node.store.spans(&trace, 8).unwrap(), (bytes("one two "), true));
        assert!(node.store.has_spans(&trace).unwrap() && !node.store.has_spans(&[9; 16]).unwrap());

        let (spans_until, logs_until) = node.store.expired_telemetry(at(2), 100).unwrap().unwrap();
        node.commit([Change::DeleteTelemetry { spans_until, logs_until }]);
        assert!(!node.store.has_spans(&trace).unwrap());
        assert_eq!(node.store.expired_telemetry(at(2), 100).unwrap(), None);
    }

    fn log_records_are_paged_by_their_times(node: Node) {
        for (second, activity) in [(3, None), (1, None), (2, Some("5")), (2, None)] {
            node.commit([Change::PutLog(log(second, "w", activity))]);
        }
        node.commit([Change::PutLog(log(1, "other", None))]);
        let execution = |activity: Option<&str>| LogOwner::Execution {
            workflow_id: "w".into(), run_id: None, activity_id: activity.map(str::to_owned),
        };
        let read = |owner: &LogOwner, range: LogRange| {
            let rows = node.store.logs(owner, &range).unwrap();
            rows.iter().map(|row| (row.time.as_nanos() / 1_000_000_000, row.id)).collect::<Vec<_>>()
        };
        let range = LogRange { from: None, before: None, order: LogOrder::OldestFirst, after: None, limit: 10 };

        assert_eq!(read(&execution(None), range.clone()), [(1, 2), (2, 3), (2, 4), (3, 1)]);
        assert_eq!(read(&execution(None), LogRange { order: LogOrder::NewestFirst, limit: 2, ..range.clone() }), [(3, 1), (2, 4)]);
        assert_eq!(read(&execution(None), LogRange { after: Some((at(2), 3)), ..range.clone() }), [(2, 4), (3, 1)]);
        let back = LogRange { after: Some((at(2), 4)), order: LogOrder::NewestFirst, ..range.clone() };
        assert_eq!(read(&execution(None), back), [(2, 3), (1, 2)]);
        let arrival = LogRange { after: Some((at(0), 1)), order: LogOrder::Arrival, ..range.clone() };
        assert_eq!(read(&execution(None), arrival), [(1, 2), (2, 3), (2, 4)]);
        let window = LogRange { from: Some(at(2)), before: Some(at(3)), ..range.clone() };
        assert_eq!(read(&execution(None), window), [(2, 3), (2, 4)]);
        assert_eq!(read(&execution(Some("5")), range.clone()), [(2, 3)]);
        let deployment = LogOwner::Deployment { name: "d".into(), worker: Some("me".into()), workflow_type: None };
        assert_eq!(read(&deployment, range), [(1, 2), (1, 5), (2, 3), (2, 4), (3, 1)]);
    }
}

#[test]
fn sequences_survive_a_crash_and_a_restart() {
    let node = Node::on_files();
    node.commit([append(&root(1), [plain("a"), plain("b")])]);

    let node = Node::after_crash(&node.path());
    assert_eq!(*node.store.last_event().borrow(), 2);
    node.commit([append(&root(1), [plain("c"), plain("a")])]);
    node.commit([Change::DeleteEvents { until: 3 }]);

    let node = node.reopen();
    node.commit([append(&root(1), [plain("d")])]);
    assert_eq!(all(&node.store), ["4 w-1 d"]);
}

fn source(run: i64) -> EventSource {
    EventSource {
        run: RunKey(run),
        namespace: NAMESPACE,
        workflow_id: format!("w-{run}"),
        run_id: Uuid::from_u128(run as u128),
        workflow_type: "Order".to_owned(),
        root_workflow_id: format!("w-{run}"),
        parent_workflow_id: None,
        chain_run_id: Uuid::from_u128(run as u128),
    }
}

fn root(run: i64) -> EventSource {
    source(run)
}

fn child(run: i64, workflow_id: &str, of: i64) -> EventSource {
    let root = source(of);
    EventSource {
        workflow_id: workflow_id.to_owned(),
        parent_workflow_id: Some(root.workflow_id.clone()),
        root_workflow_id: root.workflow_id,
        chain_run_id: root.chain_run_id,
        ..source(run)
    }
}

fn append(source: &EventSource, events: impl IntoIterator<Item = NewEvent>) -> Change {
    Change::AppendEvents { source: Arc::new(source.clone()), events: events.into_iter().collect() }
}

/// An event whose bytes are its id.
fn plain(id: &str) -> NewEvent {
    NewEvent {
        event_id: id.to_owned(),
        kind: 1,
        task: None,
        task_name: None,
        meaning: EventMeaning::Plain,
        received: Timestamp::from_secs(1),
        bytes: bytes(id),
    }
}

fn about(id: &str, task: &str, name: &str) -> NewEvent {
    NewEvent { task: Some(task.to_owned()), task_name: Some(name.to_owned()), ..plain(id) }
}

fn log(second: i64, workflow_id: &str, activity: Option<&str>) -> LogRow {
    LogRow {
        id: 0,
        time: at(second),
        received: at(9),
        workflow_id: Some(workflow_id.to_owned()),
        run_id: None,
        activity_id: activity.map(str::to_owned),
        workflow_type: None,
        deployment: Some("d".to_owned()),
        worker: Some("me".to_owned()),
        bytes: bytes("record"),
    }
}

fn whole(store: &Store) -> EventRange {
    EventRange { after: 0, until: *store.last_event().borrow(), events_max: 1_000, bytes_max: 1 << 20 }
}

#[track_caller]
fn sequences(store: &Store, filter: &EventFilter, range: EventRange) -> Vec<i64> {
    let page = store.events(filter, range).unwrap();
    assert_eq!(page.looked_until, range.until, "one page is enough");
    assert!(page.events.iter().all(|event| filter.matches(event)));
    page.events.iter().map(|event| event.sequence).collect()
}

#[track_caller]
fn all(store: &Store) -> Vec<String> {
    let text = |event: &EventRow| {
        let bytes = std::str::from_utf8(&event.bytes).unwrap();
        format!("{} {} {bytes}", event.sequence, event.source.workflow_id)
    };
    store.events(&EventFilter::all(NAMESPACE), whole(store)).unwrap().events.iter().map(text).collect()
}
