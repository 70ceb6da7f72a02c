//! Histories, tasks, transfers and wake-ups, read in parts.

use crate::{on_every_store, testkit::*};
use store::row::{Change, WakeRow};
use tradewind_core::{
    ids::{NamespaceKey, RunKey},
    time::Timestamp,
};
use uuid::Uuid;

on_every_store! {
    fn a_history_is_read_from_the_batch_that_contains_an_event(node: Node) {
        node.commit([batch(1, 1, "one"), batch(1, 4, "four"), batch(1, 5, "five"), batch(2, 1, "stranger")]);
        let from = |event, batches| firsts(node.store.read_history(RunKey(1), event, batches, usize::MAX).unwrap());
        assert_eq!(from(1, 9), [1, 4, 5]);
        assert_eq!(from(3, 9), [1, 4, 5]);
        assert_eq!(from(4, 9), [4, 5]);
        assert_eq!(from(99, 9), [5]);
        assert_eq!(from(0, 2), [1, 4]);
        assert_eq!(firsts(node.store.read_history(RunKey(3), 1, 9, 9).unwrap()), [0; 0]);
    }

    fn a_history_is_read_backwards_before_an_event(node: Node) {
        node.commit([batch(1, 1, "one"), batch(1, 4, "four"), batch(1, 5, "five"), batch(2, 9, "stranger")]);
        let before = |event, n| firsts(node.store.read_history_reverse(RunKey(1), event, n, usize::MAX).unwrap());
        assert_eq!(before(i64::MAX, 9), [5, 4, 1]);
        assert_eq!(before(5, 9), [4, 1]);
        assert_eq!(before(5, 1), [4]);
        assert_eq!(before(1, 9), [0; 0]);
    }

    fn a_page_of_history_has_a_batch_however_large(node: Node) {
        let large = "x".repeat(3_000_000);
        node.commit([batch(1, 1, &large), batch(1, 2, "a"), batch(1, 3, "b")]);
        let page = |from, bytes| node.store.read_history(RunKey(1), from, 9, bytes).unwrap();
        assert_eq!(firsts(page(1, 10)), [1]);
        assert_eq!(page(1, 10)[0].bytes.len(), large.len());
        assert_eq!(firsts(page(2, 1)), [2]);
        assert_eq!(firsts(page(2, 2)), [2, 3]);
    }

    fn a_history_paged_either_way_is_whole(node: Node) {
        for batch_number in 0..25 {
            node.commit([batch(1, 1 + batch_number * 3, &format!("batch {batch_number}"))]);
        }
        let (mut forwards, mut next) = (Vec::new(), 1);
        loop {
            let page = node.store.read_history(RunKey(1), next, 4, 30).unwrap();
            let Some(last) = page.last().filter(|last| last.first_event_id >= next) else { break };
            next = last.first_event_id + 3;
            forwards.extend(page);
        }
        let (mut backwards, mut before) = (Vec::new(), i64::MAX);
        loop {
            let page = node.store.read_history_reverse(RunKey(1), before, 4, 30).unwrap();
            let Some(last) = page.last() else { break };
            before = last.first_event_id;
            backwards.extend(page);
        }
        backwards.reverse();
        assert_eq!(forwards.len(), 25);
        assert_eq!(forwards, backwards);
    }

    fn tasks_wait_by_priority_and_id_in_their_queue(node: Node) {
        node.commit([task("a", 3, 1), task("a", 1, 2), task("a", 3, 3), task("b", 0, 4), task("a", -1, 5)].map(Change::PutTask));
        let after = |after, limit| -> Vec<_> {
            let tasks = node.store.pending_tasks(&queue("a"), after, limit).unwrap();
            tasks.into_iter().map(|task| (task.priority, task.id)).collect()
        };
        assert_eq!(after(None, 9), [(-1, 5), (1, 2), (3, 1), (3, 3)]);
        assert_eq!(after(Some((1, 2)), 1), [(3, 1)]);
        assert_eq!(after(Some((3, 1)), 9), [(3, 3)]);
        assert_eq!(node.store.pending_tasks(&queue("b"), None, 9).unwrap(), [task("b", 0, 4)]);
        assert_eq!(node.store.pending_tasks(&queue("never seen"), None, 9).unwrap(), []);
        assert_eq!(node.store.queues_with_tasks().unwrap(), [(queue("a"), 4), (queue("b"), 1)]);

        let delete = |name, priority, id| Change::DeleteTask { queue: queue(name), priority, id };
        node.commit([delete("a", 1, 2), delete("b", 0, 4), delete("never seen", 1, 1)]);
        assert_eq!(after(None, 9), [(-1, 5), (3, 1), (3, 3)]);
        assert_eq!(node.store.queues_with_tasks().unwrap(), [(queue("a"), 3)]);
    }

    fn wake_ups_come_by_due_time_and_each_run_has_one(node: Node) {
        let set = |run, due: Option<i64>| Change::SetWake { run: RunKey(run), slot: SLOT, due: due.map(at) };
        let row = |run, due| WakeRow { due: at(due), run: RunKey(run), slot: SLOT };
        node.commit([set(1, Some(30)), set(2, Some(10)), set(3, Some(10)), set(4, Some(20)), set(5, Some(1))]);
        node.commit([set(1, Some(5)), set(5, None), set(9, None)]);
        let due = |until, after, limit| node.store.due_wakes(at(until), after, limit).unwrap();
        assert_eq!(due(10, None, 9), [row(1, 5), row(2, 10), row(3, 10)]);
        assert_eq!(due(99, Some(row(2, 10)), 9), [row(3, 10), row(4, 20)]);
        assert_eq!(due(99, None, 1), [row(1, 5)]);
        assert_eq!(node.store.due_wakes(Timestamp::MAX, None, 9).unwrap().len(), 4);
    }

    fn transfers_come_by_id(node: Node) {
        node.commit([transfer(3, 1), transfer(1, 1), transfer(2, 2)].map(Change::PutTransfer));
        node.commit([Change::DeleteTransfer { id: 1 }, Change::DeleteTransfer { id: 7 }]);
        assert_eq!(node.store.pending_transfers(0, 9).unwrap(), [transfer(2, 2), transfer(3, 1)]);
        assert_eq!(node.store.pending_transfers(2, 9).unwrap(), [transfer(3, 1)]);
        assert_eq!(node.store.pending_transfers(0, 1).unwrap(), [transfer(2, 2)]);
    }

    fn a_run_is_found_by_its_whole_identity(node: Node) {
        node.commit([Change::InsertRun(run(1)), Change::InsertRun(run(2))]);
        let find = |namespace, id: &str, run_id| node.store.find_run(namespace, id, Uuid::from_u128(run_id)).unwrap();
        assert_eq!(find(NAMESPACE, "w-1", 1), Some(RunKey(1)));
        assert_eq!(find(NAMESPACE, "w-2", 1), None);
        assert_eq!(find(NAMESPACE, "w-1", 2), None);
        assert_eq!(find(NamespaceKey(8), "w-1", 1), None);
    }

    fn a_run_is_found_by_the_hash_of_its_token(node: Node) {
        let put = |run, hash: u8| Change::PutToken { run: RunKey(run), hash: [hash; 32] };
        node.commit([Change::InsertRun(run(1)), Change::InsertRun(run(2)), put(1, 7), put(2, 8), put(1, 9)]);
        let found = |hash: u8| node.store.run_with_token(&[hash; 32]).unwrap();
        assert_eq!((found(7), found(8), found(9)), (None, Some(RunKey(2)), Some(RunKey(1))));
        assert_eq!(node.store.token(RunKey(1)).unwrap(), Some([9; 32]));
        node.commit([put(2, 9)]);
        assert_eq!(found(9), Some(RunKey(2)), "the latest run counts");
    }

    fn search_keys_are_replaced_and_deleted_one_by_one(node: Node) {
        let long = "x".repeat(8192);
        node.commit([
            Change::InsertRun(run(1)),
            search_key(1, "b", Some("old")),
            search_key(1, "a", None),
            search_key(1, "ключ", Some(&long)),
            search_key(1, "c", Some("gone")),
        ]);
        let delete = |key: &str| Change::DeleteSearchKey { run: RunKey(1), key: key.to_owned() };
        node.commit([search_key(1, "b", Some("new\0")), delete("c"), delete("never there")]);
        let expected = [("a", None), ("b", Some("new\0")), ("ключ", Some(long.as_str()))];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.map(str::to_owned)));
        assert_eq!(node.store.search_keys(RunKey(1)).unwrap(), expected);
    }

    fn nothing_is_kept_about_a_run_that_is_gone(node: Node) {
        node.commit([Change::InsertRun(run(1)), Change::DeleteRun { run: RunKey(1) }]);
        node.commit([Change::PutToken { run: RunKey(1), hash: [1; 32] }, search_key(1, "k", Some("v"))]);
        assert_eq!(node.store.token(RunKey(1)).unwrap(), None);
        assert_eq!(node.store.search_keys(RunKey(1)).unwrap(), []);
    }

    fn runs_of_a_namespace_come_by_key(node: Node) {
        let mut stranger = run(2);
        stranger.namespace = NamespaceKey(8);
        node.commit([run(1), stranger, run(3), run(4)].map(Change::InsertRun));
        let after = |after, limit| node.store.runs_of_namespace(NAMESPACE, RunKey(after), limit).unwrap();
        assert_eq!(after(0, 2), [run(1), run(3)]);
        assert_eq!(after(3, 2), [run(4)]);
    }

    fn a_deleted_run_takes_everything_of_its_own_along(node: Node) {
        for number in [1, 2] {
            node.commit([
                Change::InsertRun(run(number)),
                Change::SetCurrent { namespace: NAMESPACE, workflow_id: format!("w-{number}"), run: RunKey(number) },
                batch(number, 1, "events"),
                Change::PutItem {
                    run: RunKey(number),
                    kind: 1,
                    key: store::row::ItemKey::Id(1),
                    bytes: bytes("item"),
                },
                Change::SetWake { run: RunKey(number), slot: SLOT, due: Some(at(1)) },
                Change::PutTransfer(transfer(number, number)),
                Change::PutVisibility(Box::new(shown(number, 1))),
                Change::PutToken { run: RunKey(number), hash: [number as u8; 32] },
                search_key(number, "k", Some("v")),
            ]);
        }
        node.commit([Change::DeleteRun { run: RunKey(1) }, Change::DeleteRun { run: RunKey(77) }]);

        assert_eq!(node.store.load_run(RunKey(1)).unwrap(), None);
        assert_eq!(node.store.current_run(NAMESPACE, "w-1").unwrap(), None);
        assert_eq!(node.store.current_run(NAMESPACE, "w-2").unwrap(), Some(RunKey(2)));
        assert_eq!(node.store.read_history(RunKey(1), 1, 9, 9).unwrap(), []);
        assert_eq!(node.store.due_wakes(at(9), None, 9).unwrap().len(), 1);
        assert_eq!(node.store.pending_transfers(0, 9).unwrap(), [transfer(2, 2)]);
        assert_eq!(node.store.visibility(RunKey(1)).unwrap(), None);
        assert_eq!(node.store.run_with_token(&[1; 32]).unwrap(), None);
        assert_eq!(node.store.run_with_token(&[2; 32]).unwrap(), Some(RunKey(2)));
        assert_eq!(node.store.search_keys(RunKey(1)).unwrap(), []);
        assert_eq!(node.store.search_keys(RunKey(2)).unwrap().len(), 1);
        let all = store::filter::Query::default();
        assert_eq!(node.store.count(NAMESPACE, &all).unwrap().total, 1);
        assert_eq!(node.store.load_run(RunKey(2)).unwrap().expect("the other run is there").items.len(), 1);
    }

    fn a_name_that_moved_on_outlives_the_run_it_named(node: Node) {
        let set = |run| Change::SetCurrent { namespace: NAMESPACE, workflow_id: "w-1".to_owned(), run: RunKey(run) };
        node.commit([Change::InsertRun(run(1)), set(1), set(2), Change::DeleteRun { run: RunKey(1) }]);
        assert_eq!(node.store.current_run(NAMESPACE, "w-1").unwrap(), Some(RunKey(2)));
    }
}

fn firsts(batches: Vec<store::row::HistoryRow>) -> Vec<i64> {
    batches.into_iter().map(|batch| batch.first_event_id).collect()
}

fn search_key(run: i64, key: &str, value: Option<&str>) -> Change {
    Change::PutSearchKey { run: RunKey(run), key: key.to_owned(), value: value.map(str::to_owned) }
}
