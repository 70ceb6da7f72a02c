//! GetWorkflowExecutionHistory, and its reverse.

use crate::{
    Error, Service,
    grpc::{Client, Context},
    handlers::support,
};
use api::{
    enums::v1::HistoryEventFilterType as Filter,
    history::v1::{History, HistoryEvent},
    workflowservice::v1::{
        GetWorkflowExecutionHistoryRequest as Request, GetWorkflowExecutionHistoryResponse as Response,
        GetWorkflowExecutionHistoryReverseRequest as ReverseRequest,
        GetWorkflowExecutionHistoryReverseResponse as ReverseResponse,
    },
};
use bytes::Bytes;
use engine::{message::Target, poll::HistoryToken, snapshot::Snapshot};
use prost::Message;
use tradewind_core::{
    ids::{RunKey, Slot},
    workflow_task::unrecorded_events,
};

pub async fn handle(service: &Service, request: Request, context: Context) -> Result<Response, Error> {
    let (_, named) = support::target(service, &request.namespace, request.execution.clone())?;
    let token = parse_token(&request.next_page_token, request.execution.as_ref().map_or("", |it| &it.run_id))?;
    let target = match &token {
        Some(token) => pinned(token),
        None => named,
    };
    let page = page_size(service, request.maximum_page_size);
    let until = support::wait_until(service, context.deadline, service.limits.history_long_poll);
    let mut snapshot = service.engine.inspect(target, request.wait_new_event).await?;
    let from = token.as_ref().map_or(1, |it| it.from);

    if request.history_event_filter_type() == Filter::CloseEvent {
        if request.wait_new_event && !wait(service, &mut snapshot, until, |seen| seen.closed).await? {
            return Ok(empty(&snapshot, from));
        }
        if snapshot.state.is_running() {
            return Ok(Response { history: Some(History::default()), ..Response::default() });
        }
        service.engine.settled(&snapshot).await?;
        let last = snapshot.state.next_event_id() - 1;
        let events = service.engine.events(snapshot.run, &snapshot.recent, last, last + 1, 1)?;
        return Ok(Response { history: Some(History { events }), ..Response::default() });
    }

    if let Some(token) = token.as_ref().filter(|it| it.of_task) {
        return rest_of_task(service, &snapshot, token, page).await;
    }
    if request.wait_new_event
        && !wait(service, &mut snapshot, until, move |seen| seen.closed || seen.next_event_id > from).await?
    {
        return Ok(empty(&snapshot, from));
    }
    service.engine.settled(&snapshot).await?;
    let until = token.as_ref().filter(|it| !it.follows).map_or(snapshot.state.next_event_id(), |it| it.until);
    let mut events = service.engine.events(snapshot.run, &snapshot.recent, from, until, page)?;
    let next = events.last().map_or(from, |it| it.event_id + 1);
    let closed = !snapshot.state.is_running();
    let at_end = next >= until;
    if at_end && !closed && context.client == Client::Sdk && until == snapshot.state.next_event_id() {
        events.extend(not_recorded(&snapshot));
    }
    let goes_on = !at_end || (request.wait_new_event && !closed);
    let next_page_token =
        if goes_on { page_token(&snapshot, next, until, request.wait_new_event) } else { Bytes::new() };
    Ok(Response { history: Some(History { events }), next_page_token, ..Response::default() })
}

/// Waits until the run has come as far as `enough` says; `false` if the time was over first.
async fn wait(
    service: &Service,
    snapshot: &mut Snapshot,
    until: tradewind_core::time::Timestamp,
    enough: impl Fn(&engine::snapshot::Seen) -> bool + Copy + Send + 'static,
) -> Result<bool, Error> {
    let now =
        engine::snapshot::Seen { next_event_id: snapshot.state.next_event_id(), closed: !snapshot.state.is_running() };
    if enough(&now) {
        return Ok(true);
    }
    let mut progress = snapshot.progress.take().expect("a waiting read asks for progress");
    let left = until - service.clock.now();
    let seen = progress.clone();
    let _waiting = service.clock.wait(move || enough(&seen.borrow()));
    let reached = tokio::select! {
        reached = tokio::time::timeout(left, progress.wait_for(|seen| enough(seen))) => matches!(reached, Ok(Ok(_))),
        () = service.shutdown.cancelled() => false,
    };
    if reached {
        let target = Target::Run { slot: snapshot.slot, run: snapshot.run };
        *snapshot = service.engine.inspect(target, false).await?;
    }
    Ok(reached)
}

fn empty(snapshot: &Snapshot, from: i64) -> Response {
    Response {
        history: Some(History::default()),
        next_page_token: page_token(snapshot, from, snapshot.state.next_event_id(), true),
        ..Response::default()
    }
}

/// The pages of a workflow task's history that did not fit into the task.
async fn rest_of_task(
    service: &Service,
    snapshot: &Snapshot,
    token: &HistoryToken,
    page: usize,
) -> Result<Response, Error> {
    service.engine.settled(snapshot).await?;
    let mut events = service.engine.events(snapshot.run, &snapshot.recent, token.from, token.until, page)?;
    let next = events.last().map_or(token.from, |it| it.event_id + 1);
    let next_page_token = if next < token.until {
        HistoryToken { from: next, ..token.clone() }.encode_to_vec().into()
    } else {
        events.extend(not_recorded(snapshot));
        Bytes::new()
    };
    Ok(Response { history: Some(History { events }), next_page_token, ..Response::default() })
}

/// The events of a workflow task that history does not hold yet.
fn not_recorded(snapshot: &Snapshot) -> Vec<HistoryEvent> {
    unrecorded_events(snapshot.state.workflow_task(), snapshot.state.start.task_queue())
}

fn page_token(snapshot: &Snapshot, from: i64, until: i64, follows: bool) -> Bytes {
    let token = HistoryToken {
        run: snapshot.run.0,
        slot: u32::from(snapshot.slot.0),
        from,
        until,
        run_id: snapshot.state.start.run_id.to_string(),
        follows,
        of_task: false,
    };
    token.encode_to_vec().into()
}

fn parse_token(bytes: &[u8], run_id: &str) -> Result<Option<HistoryToken>, Error> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let invalid = || Error::invalid("Invalid NextPageToken.");
    let token = HistoryToken::decode(bytes).map_err(|_| invalid())?;
    if token.run <= 0 || token.from < 1 || u16::try_from(token.slot).is_err() {
        return Err(invalid());
    }
    if !run_id.is_empty() && run_id != token.run_id {
        return Err(Error::invalid("NextPageToken and RunId do not match."));
    }
    Ok(Some(token))
}

fn pinned(token: &HistoryToken) -> Target {
    Target::Run { slot: Slot(token.slot as u16), run: RunKey(token.run) }
}

fn page_size(service: &Service, asked: i32) -> usize {
    let max = service.limits.history_page_events_max;
    usize::try_from(asked).ok().filter(|asked| *asked > 0).map_or(max, |asked| asked.min(max))
}

/// Newest first. No waiting, no events that are not recorded.
pub async fn handle_reverse(service: &Service, request: ReverseRequest) -> Result<ReverseResponse, Error> {
    let (_, named) = support::target(service, &request.namespace, request.execution.clone())?;
    let token = parse_token(&request.next_page_token, request.execution.as_ref().map_or("", |it| &it.run_id))?;
    let target = match &token {
        Some(token) => pinned(token),
        None => named,
    };
    let snapshot = service.engine.inspect(target, false).await?;
    service.engine.settled(&snapshot).await?;
    let before = token.map_or(snapshot.state.next_event_id(), |it| it.from);
    let page = page_size(service, request.maximum_page_size);
    let events = service.engine.events_reverse(snapshot.run, before, page)?;
    let next_page_token = match events.last() {
        Some(last) if last.event_id > 1 => page_token(&snapshot, last.event_id, 0, false),
        _ => Bytes::new(),
    };
    Ok(ReverseResponse { history: Some(History { events }), next_page_token })
}
