//! Failures: what they stop, and what they leave.

use crate::{on_every_store, testkit::*};
use std::{fs, time::Duration};
use store::{
    Error, Failure, Flush, Options,
    row::{Change, Durability, Epoch, Sequence, Write},
};
use tempfile::TempDir;
use tradewind_core::ids::RunKey;

on_every_store! {
    fn a_stale_epoch_changes_nothing_and_ends_the_store(node: Node) {
        let stale = node.epoch;
        let current = node.store.claim().unwrap();
        assert!(current > stale);
        let write = |epoch, row| Write { slot: SLOT, epoch, changes: vec![Change::InsertRun(run(row))] };
        let before = node.store.submit(write(current, 1), Durability::Ordered);
        let refused = node.store.submit(write(stale, 2), Durability::Ordered);
        let after = node.store.submit(write(current, 3), Durability::Durable);

        let error = node.durable(after).unwrap_err();
        let Error::Failed(failure) = &error else { panic!("{error:?}") };
        assert_eq!(**failure, Failure::StaleEpoch { sequence: refused, held: stale, current });
        node.durable(before).expect("what came before the stale write is innocent");
        assert!(node.store.load_run(RunKey(1)).unwrap().is_some());
        assert_eq!(node.store.load_run(RunKey(2)).unwrap(), None);
        assert_eq!(node.store.load_run(RunKey(3)).unwrap(), None);

        let later = node.store.submit(write(current, 4), Durability::Durable);
        assert!(matches!(node.durable(later), Err(Error::Failed(_))));
        assert!(matches!(node.store.claim(), Err(Error::Failed(_))));
    }

    fn an_epoch_from_the_future_is_no_better(node: Node) {
        let epoch = Epoch(node.epoch.0 + 1);
        let sequence = node.store.submit(Write { slot: SLOT, epoch, changes: Vec::new() }, Durability::Durable);
        assert!(matches!(node.durable(sequence), Err(Error::Failed(_))));
    }

    fn a_write_that_contradicts_the_rows_changes_nothing_and_ends_the_store(node: Node) {
        node.commit([Change::InsertRun(run(1))]);
        let wrong = node.submit(
            [Change::UpdateRun { run: RunKey(1), state: bytes("half") }, Change::InsertRun(run(1))],
            Durability::Durable,
        );
        let error = node.durable(wrong).unwrap_err();
        let Error::Failed(failure) = &error else { panic!("{error:?}") };
        assert!(matches!(&**failure, Failure::Conflict { sequence, .. } if *sequence == wrong), "{failure:?}");
        assert_eq!(node.store.load_run(RunKey(1)).unwrap().unwrap().row.state, bytes("fresh"));
        assert_eq!(node.store.progress().borrow().durable, Sequence(1));
    }

    fn state_of_a_run_that_does_not_exist_cannot_be_written(node: Node) {
        let wrong = node.submit([Change::UpdateRun { run: RunKey(1), state: bytes("") }], Durability::Durable);
        let error = node.durable(wrong).unwrap_err();
        assert_eq!(error.to_string(), "write 1 cannot be applied: run 1 does not exist");
    }

    fn a_closed_store_says_so(node: Node) {
        node.store.close();
        node.store.close();
        let late = node.submit([Change::InsertRun(run(1))], Durability::Durable);
        assert!(matches!(node.durable(late), Err(Error::Closed)));
        assert!(matches!(node.store.load_run(RunKey(1)), Err(Error::Closed)));
        assert!(matches!(node.store.claim(), Err(Error::Closed)));
        assert_eq!(node.store.progress().borrow().failed.as_deref(), Some(&Failure::Closed));
    }
}

/// Every write that was acknowledged is in a copy of the files taken at that moment, and no write is there in part.
#[test]
fn a_crash_at_any_write_loses_nothing_and_leaves_nothing_half_done() {
    let node = Node::on_files();
    for number in 1..=40 {
        node.commit([
            Change::InsertRun(run(number)),
            batch(number, 1, &"x".repeat(200 * number as usize)),
            Change::PutTask(task(&format!("q-{}", number % 3), 1, number)),
            Change::PutVisibility(Box::new(shown(number, number))),
        ]);
        let unfinished =
            node.submit([Change::InsertRun(run(1_000 + number)), batch(1_000 + number, 1, "y")], Durability::Ordered);
        let crashed = Node::after_crash(&node.path());
        for seen in 1..=number {
            let loaded = crashed.store.load_run(RunKey(seen)).unwrap();
            assert!(loaded.is_some(), "run {seen} of {number} is there");
            assert_eq!(crashed.store.read_history(RunKey(seen), 1, 9, 9).unwrap().len(), 1);
        }
        let half = crashed.store.load_run(RunKey(1_000 + number)).unwrap().is_some();
        let other_half = !crashed.store.read_history(RunKey(1_000 + number), 1, 9, 9).unwrap().is_empty();
        assert_eq!(half, other_half, "write {} is there whole or not at all", unfinished.0);
        let waiting: u64 = crashed.store.queues_with_tasks().unwrap().iter().map(|(_, n)| n).sum();
        assert_eq!(waiting, number as u64);
        let all = store::filter::Query::default();
        assert_eq!(crashed.store.count(NAMESPACE, &all).unwrap().total, number as u64);
    }
}

#[test]
fn a_log_cut_short_loses_the_end_and_no_more() {
    let node = Node::on_files();
    for number in 1..=10 {
        node.commit([Change::InsertRun(run(number)), batch(number, 1, "x")]);
    }
    let directory = copy(&node.path());
    let log = directory.path().join("tradewind.db-wal");
    let length = fs::metadata(&log).unwrap().len();
    for part in (1..=8).rev() {
        fs::File::options().write(true).open(&log).unwrap().set_len(length * part / 8).unwrap();
        let crashed = Node::after_crash(directory.path());
        let there = |number| crashed.store.load_run(RunKey(number)).unwrap().is_some();
        let survivors = (1..=10).take_while(|number| there(*number)).count() as i64;
        for number in 1..=10 {
            let batches = crashed.store.read_history(RunKey(number), 1, 9, 9).unwrap().len();
            assert_eq!((there(number), batches), (number <= survivors, usize::from(number <= survivors)));
        }
    }
}

#[test]
fn ids_are_not_reused_after_a_crash() {
    let node = Node::on_files();
    node.commit([
        Change::InsertRun(run(7)),
        Change::PutTask(task("q", 1, 10_000)),
        Change::PutTransfer(transfer(5, 7)),
    ]);
    node.commit([
        Change::DeleteRun { run: RunKey(7) },
        Change::DeleteTask { queue: queue("q"), priority: 1, id: 10_000 },
    ]);
    let crashed = Node::after_crash(&node.path());
    let used = crashed.store.high_water().unwrap();
    assert!(used.run >= RunKey(7) && used.task >= 10_000 && used.transfer >= 5, "{used:?}");
}

#[test]
fn epochs_grow_across_crashes() {
    let node = Node::on_files();
    let crashed = Node::after_crash(&node.path());
    assert!(crashed.epoch > node.epoch);
}

#[test]
fn the_relaxed_mode_acknowledges_and_keeps_what_a_process_leaves() {
    let directory = TempDir::new().unwrap();
    let flush = Flush::Relaxed { every: Duration::from_millis(1) };
    let node = Node::open(Options { flush, ..Options::directory(directory.path()) });
    node.commit([Change::InsertRun(run(1))]);
    let crashed = Node::after_crash(directory.path());
    assert!(crashed.store.load_run(RunKey(1)).unwrap().is_some());
}
