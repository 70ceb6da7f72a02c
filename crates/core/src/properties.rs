//! What workflow code attaches to its run: markers, memo, search attributes; and the attributes that the
//! server sets by itself.

use crate::{
    completion::Commands,
    draft::Draft,
    fold,
    search_attributes::{self, AttributeValue},
    state::{ItemRef, MutableState},
    step::BadCommand,
};
use api::{
    command::v1::{
        ModifyWorkflowPropertiesCommandAttributes, RecordMarkerCommandAttributes,
        UpsertWorkflowSearchAttributesCommandAttributes,
    },
    common::v1::Payload,
    enums::v1::WorkflowTaskFailedCause as Cause,
    history::v1::{
        MarkerRecordedEventAttributes, UpsertWorkflowSearchAttributesEventAttributes,
        WorkflowPropertiesModifiedEventAttributes, history_event::Attributes,
    },
};
use prost::Message;
use std::collections::BTreeMap;

/// The search attribute of runs whose workflow tasks keep failing.
pub const REPORTED_PROBLEMS: &str = "TemporalReportedProblems";
/// The search attribute that lists the builds which completed workflow tasks.
pub const BUILD_IDS: &str = "BuildIds";
/// What stands there for a worker that takes no part in versioning.
const UNVERSIONED: &str = "unversioned";

pub(crate) fn on_marker(
    draft: &mut Draft<'_>,
    commands: &Commands,
    command: RecordMarkerCommandAttributes,
) -> Result<(), BadCommand> {
    let limits = draft.env.limits;
    let name = &command.marker_name;
    if name.is_empty() {
        return Err(BadCommand::new(Cause::BadRecordMarkerAttributes, "MarkerName is not set on RecordMarkerCommand."));
    }
    if name.len() > limits.id_length_max {
        return Err(BadCommand::new(
            Cause::BadRecordMarkerAttributes,
            format!(
                "MarkerName on RecordMarkerCommand exceeds length limit. MarkerName={name} Length={} Limit={}",
                name.len(),
                limits.id_length_max
            ),
        ));
    }
    let bytes: usize = command.details.iter().map(|(key, value)| key.len() + value.encoded_len()).sum();
    if bytes > limits.blob_size_bytes_max {
        return Err(BadCommand::fatal(
            Cause::BadRecordMarkerAttributes,
            format!(
                "RecordMarkerCommandAttributes.Details exceeds size limit. Size={bytes} Limit={}",
                limits.blob_size_bytes_max
            ),
        ));
    }
    draft.record(Attributes::MarkerRecordedEventAttributes(Box::new(MarkerRecordedEventAttributes {
        marker_name: command.marker_name,
        details: command.details,
        workflow_task_completed_event_id: commands.completed,
        header: command.header,
        failure: command.failure,
    })));
    Ok(())
}

pub(crate) fn on_search_attributes(
    draft: &mut Draft<'_>,
    commands: &Commands,
    command: UpsertWorkflowSearchAttributesCommandAttributes,
) -> Result<(), BadCommand> {
    let bad = |text: String| BadCommand::new(Cause::BadSearchAttributes, text);
    let Some(upserted) = command.search_attributes else {
        return Err(bad("SearchAttributes is not set on UpsertWorkflowSearchAttributesCommand.".into()));
    };
    if upserted.indexed_fields.is_empty() {
        return Err(bad("IndexedFields is not set on UpsertWorkflowSearchAttributesCommand.".into()));
    }
    let namespace = draft.env.namespace;
    search_attributes::decode(&upserted, &namespace.name, &namespace.search_attributes, draft.env.limits)
        .map_err(|refused| bad(refused.to_string()))?;
    draft.record(Attributes::UpsertWorkflowSearchAttributesEventAttributes(Box::new(
        UpsertWorkflowSearchAttributesEventAttributes {
            workflow_task_completed_event_id: commands.completed,
            search_attributes: Some(upserted),
        },
    )));
    draft.touch(ItemRef::SearchAttributes);
    draft.step.visibility = true;
    Ok(())
}

pub(crate) fn on_memo(
    draft: &mut Draft<'_>,
    commands: &Commands,
    command: ModifyWorkflowPropertiesCommandAttributes,
) -> Result<(), BadCommand> {
    let bad = |text: String| BadCommand::new(Cause::BadModifyWorkflowPropertiesAttributes, text);
    let Some(memo) = command.upserted_memo else {
        return Err(bad("UpsertedMemo is not set on ModifyWorkflowPropertiesCommand.".into()));
    };
    if memo.fields.is_empty() {
        return Err(bad("UpsertedMemo.Fields is not set on ModifyWorkflowPropertiesCommand.".into()));
    }
    let limit = draft.env.limits.memo_size_bytes_max;
    let mut merged = (*draft.state.recorded.memo).clone();
    fold::merge(&mut merged, &memo.fields);
    let bytes: usize = merged.iter().map(|(key, it)| key.len() + it.encoded_len()).sum();
    if bytes > limit {
        return Err(BadCommand::fatal(
            Cause::BadModifyWorkflowPropertiesAttributes,
            format!("ModifyWorkflowPropertiesCommandAttributes exceeds size limit. Size={bytes} Limit={limit}"),
        ));
    }
    draft.record(Attributes::WorkflowPropertiesModifiedEventAttributes(Box::new(
        WorkflowPropertiesModifiedEventAttributes {
            workflow_task_completed_event_id: commands.completed,
            upserted_memo: Some(memo),
        },
    )));
    draft.touch(ItemRef::Memo);
    draft.step.visibility = true;
    Ok(())
}

/// Workflow tasks keep failing: say so where operators look.
pub(crate) fn report_problem(draft: &mut Draft<'_>, category: &str, cause: &str) {
    let problems = vec![format!("category={category}"), format!("cause={cause}")];
    if draft.state.unrecorded.task.reported_problems != problems {
        draft.task().reported_problems = problems;
        draft.step.visibility = true;
    }
}

/// A workflow task succeeded.
pub(crate) fn clear_problem(draft: &mut Draft<'_>) {
    if !draft.state.unrecorded.task.reported_problems.is_empty() {
        draft.task().reported_problems.clear();
        draft.step.visibility = true;
    }
}

/// All search attributes of a run: what users set, and what the server adds.
pub fn all_search_attributes(state: &MutableState) -> BTreeMap<String, Payload> {
    let mut all = (*state.recorded.search_attributes).clone();
    if state.recorded.progress.first_completed_task != 0 {
        // Beside what users put there.
        let mut ids = all.get(BUILD_IDS).map(search_attributes::texts).unwrap_or_default();
        if !ids.iter().any(|id| id == UNVERSIONED) {
            ids.push(UNVERSIONED.to_owned());
        }
        all.insert(BUILD_IDS.to_owned(), keyword_list(ids));
    }
    if !state.unrecorded.task.reported_problems.is_empty() {
        all.insert(REPORTED_PROBLEMS.to_owned(), keyword_list(state.unrecorded.task.reported_problems.clone()));
    }
    all
}

fn keyword_list(values: Vec<String>) -> Payload {
    search_attributes::encode(&AttributeValue::KeywordList(values))
}

#[cfg(test)]
mod tests;
