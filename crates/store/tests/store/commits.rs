//! Writes: whole, in order, durable.

use crate::{on_every_store, testkit::*};
use store::row::{Change, Durability, Item, ItemKey, LoadedRun, RegistryKind};
use tradewind_core::ids::RunKey;

on_every_store! {
    fn a_run_comes_back_as_it_was_last_written(node: Node) {
        let (one, named) = (ItemKey::Id(5), ItemKey::Name("t".to_owned()));
        let put = |kind, key: &ItemKey, text| Change::PutItem { run: RunKey(1), kind, key: key.clone(), bytes: bytes(text) };
        node.commit([Change::InsertRun(run(1)), put(1, &one, "a"), put(2, &named, "b"), put(3, &one, "c")]);
        node.commit([
            Change::UpdateRun { run: RunKey(1), state: bytes("later") },
            put(1, &one, "changed"),
            Change::DeleteItem { run: RunKey(1), kind: 2, key: named },
            Change::DeleteItems { run: RunKey(1), kinds: vec![3, 4] },
            Change::SetWake { run: RunKey(1), slot: SLOT, due: Some(at(9)) },
        ]);

        let mut row = run(1);
        row.state = bytes("later");
        let items = vec![Item { kind: 1, key: one, bytes: bytes("changed") }];
        assert_eq!(node.store.load_run(RunKey(1)).unwrap(), Some(LoadedRun { row, items, wake: Some(at(9)) }));
        assert_eq!(node.store.load_run(RunKey(2)).unwrap(), None);
    }

    fn a_name_points_at_the_run_set_last(node: Node) {
        let set = |run| Change::SetCurrent { namespace: NAMESPACE, workflow_id: "w".to_owned(), run: RunKey(run) };
        let unset = |run| Change::UnsetCurrent { namespace: NAMESPACE, workflow_id: "w".to_owned(), run: RunKey(run) };
        let current = || node.store.current_run(NAMESPACE, "w").unwrap();
        node.commit([set(1)]);
        node.commit([set(2)]);
        assert_eq!(current(), Some(RunKey(2)));
        node.commit([unset(1)]);
        assert_eq!(current(), Some(RunKey(2)), "a name that moved on is left alone");
        node.commit([unset(2)]);
        assert_eq!(current(), None);
    }

    fn registry_rows_are_replaced_and_deleted_by_kind_and_key(node: Node) {
        let put = |kind, key: &str, text| Change::PutRegistry { kind, key: key.to_owned(), bytes: bytes(text) };
        node.commit([
            put(RegistryKind::Namespace, "b", "1"),
            put(RegistryKind::Namespace, "a", "2"),
            put(RegistryKind::Namespace, "a", "3"),
            put(RegistryKind::Cluster, "b", "4"),
            put(RegistryKind::Cluster, "c", "5"),
            Change::DeleteRegistry { kind: RegistryKind::Cluster, key: "c".to_owned() },
        ]);
        let expected = vec![("a".to_owned(), bytes("3")), ("b".to_owned(), bytes("1"))];
        assert_eq!(node.store.registry(RegistryKind::Namespace).unwrap(), expected);
        assert_eq!(node.store.registry(RegistryKind::Cluster).unwrap(), vec![("b".to_owned(), bytes("4"))]);
    }

    fn progress_covers_every_write_before_a_durable_one(node: Node) {
        let ordered = node.submit([Change::InsertRun(run(1))], Durability::Ordered);
        let durable = node.submit([Change::InsertRun(run(2))], Durability::Durable);
        node.durable(durable).unwrap();
        assert!(ordered < durable);
        assert!(node.store.load_run(RunKey(1)).unwrap().is_some());
    }

    fn waiting_for_an_ordered_write_flushes_it(node: Node) {
        let ordered = node.submit([Change::InsertRun(run(1))], Durability::Ordered);
        node.durable(ordered).unwrap();
        assert!(node.store.load_run(RunKey(1)).unwrap().is_some());
    }
}
