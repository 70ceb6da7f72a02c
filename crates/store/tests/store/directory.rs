//! A data directory belongs to one process and one format.

use crate::testkit::*;
use std::{fs, path::Path};
use store::{OpenError, Options, Store, row::Change};
use tradewind_core::ids::RunKey;

#[test]
fn what_was_durable_is_there_after_reopening() {
    let node = Node::on_files();
    node.commit([Change::InsertRun(run(1)), Change::PutTask(task("q", 1, 5))]);
    let node = node.reopen();
    assert!(node.store.load_run(RunKey(1)).unwrap().is_some());
    assert_eq!(node.store.queues_with_tasks().unwrap(), [(queue("q"), 1)]);
    node.commit([Change::DeleteTask { queue: queue("q"), priority: 1, id: 5 }]);
    assert_eq!(node.reopen().store.queues_with_tasks().unwrap(), []);
}

#[test]
fn closing_flushes_what_nobody_waited_for() {
    let node = Node::on_files();
    node.submit([Change::InsertRun(run(1))], store::row::Durability::Ordered);
    let node = node.reopen();
    assert!(node.store.load_run(RunKey(1)).unwrap().is_some());
}

#[test]
fn a_directory_in_use_is_refused_with_the_process_that_uses_it() {
    let node = Node::on_files();
    let path = node.path();
    let refused = refusal(&path);
    assert!(
        matches!(&refused, OpenError::Locked { path: named, pid: Some(pid) }
        if *named == path && *pid == std::process::id()),
        "{refused:?}"
    );
    let text = format!("data directory {} is in use by process {}", path.display(), std::process::id());
    assert_eq!(refused.to_string(), text);

    node.store.close();
    Store::open(Options::directory(&path)).expect("a closed store gives its directory back");
}

#[test]
fn a_dropped_store_gives_its_directory_back() {
    let node = Node::on_files();
    let other_handle = node.store.clone();
    let path = node.path();
    let Node { store, .. } = &node;
    drop(store.clone());
    assert!(matches!(refusal(&path), OpenError::Locked { .. }));
    drop(other_handle);
    let directory = node.into_directory();
    Store::open(Options::directory(directory.path())).expect("the last handle closes the store");
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let node = Node::on_files();
    node.commit([Change::InsertRun(run(1))]);
    let path = node.path();
    node.store.close();
    let file = path.join("tradewind.db");
    let mut content = fs::read(&file).unwrap();
    content[60..64].copy_from_slice(&9_999_u32.to_be_bytes());
    fs::write(&file, &content).unwrap();

    let refused = refusal(&path);
    assert!(matches!(refused, OpenError::Newer { found: 9_999, supported: 2, .. }), "{refused:?}");
    assert!(refused.to_string().contains("has format version 9999, this release reads up to version 2"));
    assert_eq!(fs::read(&file).unwrap(), content);
    let mut names: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["tradewind.db", "tradewind.lock"]);
}

#[test]
fn somebody_elses_database_is_refused() {
    let directory = tempfile::TempDir::new().unwrap();
    let connection = rusqlite::Connection::open(directory.path().join("tradewind.db")).unwrap();
    connection.execute_batch("CREATE TABLE guest (x)").unwrap();
    drop(connection);
    assert!(matches!(refusal(directory.path()), OpenError::Foreign { .. }));
}

#[test]
fn what_is_no_database_is_refused() {
    let directory = tempfile::TempDir::new().unwrap();
    fs::write(directory.path().join("tradewind.db"), "a letter to my aunt").unwrap();
    assert!(matches!(refusal(directory.path()), OpenError::Corrupt { .. }));
    let file = directory.path().join("tradewind.db");
    assert!(matches!(refusal(&file), OpenError::NotADirectory { .. }));
}

#[test]
fn ids_are_not_reused_after_their_rows_are_gone() {
    let node = Node::on_files();
    node.commit([Change::InsertRun(run(70)), Change::PutTask(task("q", 1, 80)), Change::PutTransfer(transfer(90, 70))]);
    node.commit([Change::DeleteRun { run: RunKey(70) }, Change::DeleteTask { queue: queue("q"), priority: 1, id: 80 }]);
    let used = node.store.high_water().unwrap();
    assert_eq!((used.run.0, used.task, used.transfer), (70, 80, 90));
    let node = node.reopen();
    assert_eq!(node.store.high_water().unwrap(), used, "a clean end wastes none");
}

#[track_caller]
fn refusal(path: &Path) -> OpenError {
    match Store::open(Options::directory(path)) {
        Ok(_) => panic!("the directory was opened"),
        Err(error) => error,
    }
}
