use super::*;
use crate::testkit::*;
use api::enums::v1::CommandType;
use expect_test::expect;

#[test]
fn memo_is_merged_and_null_removes() {
    let mut run = Run::started_with(|it| {
        it.memo = Some(api::common::v1::Memo {
            fields: [("a".to_owned(), payload("1")), ("b".to_owned(), payload("2"))].into(),
        });
    });
    run.complete_task([upsert_memo("a", payload("null")), upsert_memo("c", payload("3"))]);
    assert!(run.last.visibility);
    let keys: Vec<_> = run.state.recorded.memo.keys().cloned().collect();
    assert_eq!(keys, ["b", "c"]);
    run.crash();
    assert_eq!(run.state.recorded.memo.len(), 2);
    run.expect_history_from(
        5,
        expect![[r#"
         5 WorkflowPropertiesModified         a=null
         6 WorkflowPropertiesModified         c=3
    "#]],
    );
}

#[test]
fn a_memo_that_was_emptied_stays_empty() {
    let mut run = Run::started_with(|it| {
        it.memo = Some(api::common::v1::Memo { fields: [("a".to_owned(), payload("1"))].into() });
    });
    run.complete_task([upsert_memo("a", payload("null"))]);
    run.crash();
    assert!(run.state.recorded.memo.is_empty());
}

#[test]
fn search_attributes_are_merged_and_shown_with_the_servers_own() {
    let mut run = Run::started();
    run.complete_task([upsert_search_attribute("CustomInt", "5"), upsert_search_attribute("CustomKeyword", "\"k\"")]);
    assert!(run.last.visibility);
    let all: Vec<_> = all_search_attributes(&run.state).keys().cloned().collect();
    assert_eq!(all, ["BuildIds", "CustomInt", "CustomKeyword"]);
    run.signal("wake");
    run.complete_task([upsert_search_attribute("CustomInt", "null")]);
    assert!(!run.state.recorded.search_attributes.contains_key("CustomInt"));
}

#[test]
fn build_ids_that_users_set_stay_beside_the_servers() {
    let mut run = Run::started();
    run.complete_task([upsert_search_attribute("BuildIds", "[\"mine \\\"1\\\"\"]")]);
    let all = all_search_attributes(&run.state);
    assert_eq!(crate::search_attributes::texts(&all["BuildIds"]), ["mine \"1\"", "unversioned"]);
}

#[test]
fn bad_properties_fail_the_task() {
    let refused = |command: api::command::v1::Command| Run::started().refused([command]);
    expect!["BadRecordMarkerAttributes: RecordMarkerCommandAttributes is not set on RecordMarkerCommand."]
        .assert_eq(&refused(bare(CommandType::RecordMarker)));
    expect!["BadRecordMarkerAttributes: MarkerName is not set on RecordMarkerCommand."]
        .assert_eq(&refused(record_marker("")));
    expect!["BadSearchAttributes: UpsertWorkflowSearchAttributesCommandAttributes is not set on UpsertWorkflowSearchAttributesCommand."].assert_eq(&refused(bare(CommandType::UpsertWorkflowSearchAttributes)));
    expect!["BadSearchAttributes: Namespace default has no mapping defined for search attribute nope"]
        .assert_eq(&refused(upsert_search_attribute("nope", "1")));
    expect!["BadSearchAttributes: invalid value for search attribute CustomInt of type Int: five"]
        .assert_eq(&refused(upsert_search_attribute("CustomInt", "\"five\"")));
    expect!["BadSearchAttributes: WorkflowId attribute can't be set in SearchAttributes"]
        .assert_eq(&refused(upsert_search_attribute("WorkflowId", "\"w\"")));
    expect!["BadModifyWorkflowPropertiesAttributes: ModifyWorkflowPropertiesCommandAttributes is not set on ModifyWorkflowPropertiesCommand."].assert_eq(&refused(bare(CommandType::ModifyWorkflowProperties)));
}

#[test]
fn a_memo_that_grows_too_large_ends_the_run() {
    let mut run = Run::limited(|it| it.memo_size_bytes_max = 300);
    run.complete_task([upsert_memo("a", payload(&"x".repeat(150)))]);
    run.signal("more");
    run.refused([upsert_memo("b", payload(&"x".repeat(150)))]);
    run.expect_history_from(8, expect![[r#"
         8 WorkflowTaskStarted
         9 WorkflowTaskFailed                 BadModifyWorkflowPropertiesAttributes failure=Server(BadModifyWorkflowPropertiesAttributes: ModifyWorkflowPropertiesCommandAttributes exceeds size limit. Size=356 Limit=300)
        10 WorkflowExecutionTerminated        BadModifyWorkflowPropertiesAttributes: ModifyWorkflowPropertiesCommandAttributes exceeds size limit. Size=356 Limit=300 by=history-service
    "#]]);
}

#[test]
fn a_memo_field_that_is_replaced_counts_once() {
    let mut run = Run::limited(|it| it.memo_size_bytes_max = 300);
    run.complete_task([upsert_memo("a", payload(&"x".repeat(150)))]);
    run.signal("again");
    run.complete_task([upsert_memo("a", payload(&"y".repeat(150)))]);
}
