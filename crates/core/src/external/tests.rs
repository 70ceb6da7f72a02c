use super::*;
use crate::{step::Input, testkit::*};
use api::enums::v1::CommandType;
use expect_test::expect;

#[test]
fn a_signal_to_another_run_is_answered_once() {
    let mut run = Run::started();
    run.complete_task([signal_external("other")]);
    run.expect_transfers(expect![[r#"
        signal other hello of 5
    "#]]);
    for _ in 0..2 {
        run.done(Input::ExternalSignaled { initiated: 5, failed: None });
    }
    run.expect_history_from(
        5,
        expect![[r#"
         5 SignalExternalWorkflowExecutionInitiated other hello
         6 ExternalWorkflowExecutionSignaled  initiated=5
         7 WorkflowTaskScheduled
    "#]],
    );
}

#[test]
fn a_cancel_request_to_another_run_is_answered_once() {
    let mut run = Run::started();
    run.complete_task([cancel_external("other")]);
    run.expect_transfers(expect![[r#"
        cancel other of 5
    "#]]);
    for _ in 0..2 {
        run.done(Input::ExternalCanceled { initiated: 5, failed: None });
    }
    run.expect_history_from(
        5,
        expect![[r#"
         5 RequestCancelExternalWorkflowExecutionInitiated other
         6 ExternalWorkflowExecutionCancelRequested initiated=5
         7 WorkflowTaskScheduled
    "#]],
    );
}

#[test]
fn refusals_are_told_and_wait_behind_a_running_task() {
    let mut run = Run::started();
    run.complete_task([signal_external("other"), cancel_external("other")]);
    run.signal("wake");
    run.poll();
    let failed = Some(SignalExternalWorkflowExecutionFailedCause::ExternalWorkflowExecutionNotFound);
    for _ in 0..2 {
        run.done(Input::ExternalSignaled { initiated: 5, failed });
    }
    let failed = Some(CancelExternalWorkflowExecutionFailedCause::ExternalWorkflowExecutionNotFound);
    for _ in 0..2 {
        run.done(Input::ExternalCanceled { initiated: 6, failed });
    }
    run.complete_task([]);
    run.expect_history_from(
        9,
        expect![[r#"
         9 WorkflowTaskStarted
        10 WorkflowTaskCompleted
        11 SignalExternalWorkflowExecutionFailed initiated=5 ExternalWorkflowExecutionNotFound
        12 RequestCancelExternalWorkflowExecutionFailed initiated=6 ExternalWorkflowExecutionNotFound
        13 WorkflowTaskScheduled
    "#]],
    );
}

#[test]
fn bad_external_commands_fail_the_task() {
    let refused = |command: api::command::v1::Command| Run::started().refused([command]);
    expect!["BadSignalWorkflowExecutionAttributes: SignalExternalWorkflowExecutionCommandAttributes is not set on SignalExternalWorkflowExecutionCommand."].assert_eq(&refused(bare(CommandType::SignalExternalWorkflowExecution)));
    expect!["BadRequestCancelExternalWorkflowExecutionAttributes: RequestCancelExternalWorkflowExecutionCommandAttributes is not set on RequestCancelExternalWorkflowExecutionCommand."].assert_eq(&refused(bare(CommandType::RequestCancelExternalWorkflowExecution)));
    expect!["BadSignalWorkflowExecutionAttributes: WorkflowId is not set on SignalExternalWorkflowExecutionCommand. Namespace= RunId= SignalName=hello"].assert_eq(&refused(signal_external("")));
    expect!["BadRequestCancelExternalWorkflowExecutionAttributes: WorkflowId is not set on RequestCancelExternalWorkflowExecutionCommand. Namespace= RunId="].assert_eq(&refused(cancel_external("")));
    expect!["BadRequestCancelExternalWorkflowExecutionAttributes: Start and RequestCancel for child workflow is not allowed in same workflow task. WorkflowId=c RunId= Namespace="].assert_eq(&Run::started().refused([start_child("c"), cancel_external("c")]));
    let mut run = Run::limited(|it| it.pending_signals_max = 1);
    expect!["PendingSignalsLimitExceeded: the number of pending signals to external workflows, 1, has reached the per-workflow limit of 1"].assert_eq(&run.refused([signal_external("a"), signal_external("b")]));
    let mut run = Run::limited(|it| it.pending_cancels_max = 1);
    expect!["PendingRequestCancelLimitExceeded: the number of pending requests to cancel external workflows, 1, has reached the per-workflow limit of 1"].assert_eq(&run.refused([cancel_external("a"), cancel_external("b")]));
}
