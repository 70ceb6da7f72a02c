//! Schedules: workflows that start by the calendar.

use super::{Client, ClientError, wire};
use crate::ambient;
use crate::value::{Encode, Value};
use crate::workflow;
use futures_util::stream::{BoxStream, Stream, StreamExt};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use temporalio_client::grpc::WorkflowService;
use temporalio_client::schedules::{
    BackfillScheduleOptions, DeleteScheduleOptions, ListSchedulesOptions, PauseScheduleOptions, ScheduleError,
    ScheduleSpec, TriggerScheduleOptions, UnpauseScheduleOptions,
};
use temporalio_client::tonic::IntoRequest;
use temporalio_client::{NamespacedClient, RpcOptions};
use temporalio_common::MemoValues;
use temporalio_common::data_converters::{RawValue, SerializationContextData, WorkflowSerializationContext};
use temporalio_common::protos::temporal::api::common::v1::WorkflowType;
use temporalio_common::protos::temporal::api::enums::v1::ScheduleOverlapPolicy;
use temporalio_common::protos::temporal::api::schedule::v1 as proto;
use temporalio_common::protos::temporal::api::taskqueue::v1::TaskQueue;
use temporalio_common::protos::temporal::api::workflow::v1::NewWorkflowExecutionInfo;
use temporalio_common::protos::temporal::api::workflowservice::v1::CreateScheduleRequest;

pub use temporalio_client::schedules::{
    ScheduleBackfill as Backfill, ScheduleCalendarSpec as Calendar, ScheduleDescription,
    ScheduleOverlapPolicy as Overlap, ScheduleSummary, ScheduleUpdate,
};

/// A schedule that is being described. Await it to create it.
///
/// ```no_run
/// # use tradewind::prelude::*;
/// # use std::time::Duration;
/// # #[workflow] async fn report(which: String) -> Result<()> { Ok(()) }
/// # async fn create(client: Client) -> Result<(), tradewind::ClientError> {
/// let nightly = client
///     .schedule("nightly-report", report("all".into()))
///     .task_queue("reports")
///     .cron("0 3 * * *")
///     .time_zone("Europe/Paris")
///     .await?;
/// nightly.pause("the source is down").await?;
/// # Ok(()) }
/// ```
#[must_use = "nothing is created until this is awaited"]
pub struct Schedule {
    client: Client,
    id: String,
    workflow: &'static str,
    args: Box<dyn Encode>,
    options: workflow::Options,
    spec: ScheduleSpec,
    overlap: Overlap,
    catch_up: Option<Duration>,
    pause_on_failure: bool,
    paused: bool,
    note: String,
    actions_max: Option<u32>,
    trigger: bool,
    memo: Option<MemoValues>,
}

impl Client {
    /// Describes a schedule that starts this workflow.
    pub fn schedule<W: workflow::Definition>(&self, id: impl Into<String>, call: workflow::Call<W>) -> Schedule {
        let (args, options) = call.into_parts();
        Schedule {
            client: self.clone(),
            id: id.into(),
            workflow: W::NAME,
            args,
            options,
            spec: ScheduleSpec::default(),
            overlap: Overlap::default(),
            catch_up: None,
            pause_on_failure: false,
            paused: false,
            note: String::new(),
            actions_max: None,
            trigger: false,
            memo: None,
        }
    }

    /// The schedule with this id. Whether there is one shows when it is asked something.
    pub fn schedule_handle(&self, id: impl Into<String>) -> ScheduleHandle {
        ScheduleHandle { inner: self.inner().get_schedule_handle(id) }
    }

    /// Lists schedules. An empty filter lists all.
    pub fn schedules(&self, filter: impl Into<String>) -> Schedules {
        let options = ListSchedulesOptions::builder().query(filter.into()).build();
        let pages = self.inner().list_schedules(options);
        Schedules { inner: pages.map(|line| line.map_err(ClientError::from)).boxed() }
    }
}

impl Schedule {
    /// Starts it at this interval, counted from the epoch.
    pub fn every(mut self, interval: Duration) -> Self {
        self.spec.intervals.push(interval.into());
        self
    }

    /// Starts it at the times that this cron expression names.
    pub fn cron(mut self, expression: impl Into<String>) -> Self {
        self.spec.cron_strings.push(expression.into());
        self
    }

    /// Starts it at the times that this calendar names.
    pub fn calendar(mut self, calendar: Calendar) -> Self {
        self.spec.calendars.push(calendar);
        self
    }

    /// Leaves out the times that this calendar names.
    pub fn except(mut self, calendar: Calendar) -> Self {
        self.spec.exclude_calendars.push(calendar);
        self
    }

    /// The time zone that cron expressions and calendars mean, such as `Europe/Paris`; UTC if nothing is said.
    pub fn time_zone(mut self, name: impl Into<String>) -> Self {
        self.spec.timezone_name = name.into();
        self
    }

    /// Starts nothing before this time.
    pub fn not_before(mut self, time: SystemTime) -> Self {
        self.spec.start_time = Some(time);
        self
    }

    /// Starts nothing after this time.
    pub fn not_after(mut self, time: SystemTime) -> Self {
        self.spec.end_time = Some(time);
        self
    }

    /// Spreads starts over this long after their time, so that not all schedules start at once.
    pub fn jitter(mut self, limit: Duration) -> Self {
        self.spec.jitter = Some(limit);
        self
    }

    /// What happens when the last run is still running. It is skipped, if nothing is said.
    pub fn overlap(mut self, policy: Overlap) -> Self {
        self.overlap = policy;
        self
    }

    /// How late it may start what it could not start in time, because the server was down. A year, if nothing is said.
    pub fn catch_up(mut self, limit: Duration) -> Self {
        self.catch_up = Some(limit);
        self
    }

    /// Pauses it once a run has failed or timed out.
    pub fn pause_on_failure(mut self) -> Self {
        self.pause_on_failure = true;
        self
    }

    /// Starts no more than so many runs. Those that somebody [asks for](ScheduleHandle::trigger) do not count.
    pub fn at_most(mut self, runs: u32) -> Self {
        self.actions_max = Some(runs);
        self
    }

    /// Creates it paused.
    pub fn paused(mut self, why: impl Into<String>) -> Self {
        self.paused = true;
        self.note = why.into();
        self
    }

    /// A line about it for whoever looks.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Starts it once at creation too.
    pub fn and_now(mut self) -> Self {
        self.trigger = true;
        self
    }

    /// The workflow id of its runs, to which the server appends the time. The schedule's own, if nothing is said.
    pub fn workflow_id(mut self, id: impl Into<String>) -> Self {
        self.options = self.options.id(id);
        self
    }

    /// The queue whose workers run it: see [`Start::task_queue`](super::Start::task_queue).
    pub fn task_queue(mut self, queue: impl Into<String>) -> Self {
        self.options = self.options.task_queue(queue);
        self
    }

    /// Changes any option that a workflow has wherever it is started from: timeouts, retries, search attributes, …
    pub fn with(mut self, change: impl FnOnce(workflow::Options) -> workflow::Options) -> Self {
        self.options = change(self.options);
        self
    }

    /// Attaches a value to each of its runs: see [`Start::memo`](super::Start::memo).
    pub fn memo(mut self, name: impl Into<String>, value: impl Value + Sync) -> Self {
        self.memo.get_or_insert_default().insert(name.into(), value);
        self
    }

    /// The official client has no place for the options of the runs.
    async fn create(self) -> Result<ScheduleHandle, ClientError> {
        let (client, id) = (self.client.clone(), self.id.clone());
        let request = self.request().await?;
        let mut service = client.inner().clone();
        WorkflowService::create_schedule(&mut service, request.into_request()).await.map_err(ScheduleError::from)?;
        Ok(client.schedule_handle(id))
    }

    async fn request(self) -> Result<CreateScheduleRequest, ClientError> {
        let Schedule { client, workflow, options, memo, .. } = self;
        let context = SerializationContextData::Workflow(WorkflowSerializationContext::new());
        let args = self.args.payloads(client.converter().payload_converter(), &context)?;
        let workflow_id = options.id.clone().unwrap_or_else(|| self.id.clone());
        let action = Action { workflow, workflow_id, args, options, memo }.start(&client).await?;
        let schedule = proto::Schedule {
            spec: Some(spec(self.spec)?),
            action: Some(action),
            policies: Some(proto::SchedulePolicies {
                overlap_policy: overlap(self.overlap)?.into(),
                catchup_window: self.catch_up.map(wire::duration).transpose()?,
                pause_on_failure: self.pause_on_failure,
                ..proto::SchedulePolicies::default()
            }),
            state: Some(proto::ScheduleState {
                paused: self.paused,
                notes: self.note,
                limited_actions: self.actions_max.is_some(),
                remaining_actions: self.actions_max.unwrap_or_default().into(),
            }),
        };
        let initial_patch = self.trigger.then(|| proto::SchedulePatch {
            trigger_immediately: Some(proto::TriggerImmediatelyRequest {
                overlap_policy: ScheduleOverlapPolicy::AllowAll.into(),
                ..proto::TriggerImmediatelyRequest::default()
            }),
            ..proto::SchedulePatch::default()
        });
        Ok(CreateScheduleRequest {
            namespace: client.inner().namespace(),
            identity: client.inner().identity(),
            request_id: ambient::unique(),
            schedule_id: self.id,
            schedule: Some(schedule),
            initial_patch,
            ..CreateScheduleRequest::default()
        })
    }
}

/// What a schedule does each time.
struct Action {
    workflow: &'static str,
    workflow_id: String,
    args: RawValue,
    options: workflow::Options,
    memo: Option<MemoValues>,
}

impl Action {
    async fn start(self, client: &Client) -> Result<proto::ScheduleAction, ClientError> {
        let Action { workflow, workflow_id, args, options, memo } = self;
        if let Some(cron) = &options.cron_schedule {
            let message = format!("a schedule starts the workflow, so it has no cron_schedule of its own: {cron:?}");
            return Err(ClientError::Invalid(message));
        }
        let start = NewWorkflowExecutionInfo {
            workflow_id,
            workflow_type: Some(WorkflowType { name: workflow.to_owned() }),
            task_queue: Some(TaskQueue { name: client.queue_for(workflow, &options)?, ..TaskQueue::default() }),
            input: Some(wire::input(client, args).await?),
            workflow_execution_timeout: options.execution_timeout.map(wire::duration).transpose()?,
            workflow_run_timeout: options.run_timeout.map(wire::duration).transpose()?,
            workflow_task_timeout: options.task_timeout.map(wire::duration).transpose()?,
            retry_policy: options.retry_policy.map(Into::into),
            memo: wire::memo(client, memo.as_ref()).await?,
            search_attributes: options.search_attributes.map(|attributes| attributes.into_proto()),
            user_metadata: wire::summary(options.summary.as_ref()).await?,
            priority: options.priority.map(|priority| priority.into_official().into()),
            ..NewWorkflowExecutionInfo::default()
        };
        Ok(proto::ScheduleAction { action: Some(proto::schedule_action::Action::StartWorkflow(start)) })
    }
}

fn spec(spec: ScheduleSpec) -> Result<proto::ScheduleSpec, ClientError> {
    let mut interval = Vec::new();
    for one in spec.intervals {
        let phase = one.offset.map(wire::duration).transpose()?;
        interval.push(proto::IntervalSpec { interval: Some(wire::duration(one.every)?), phase });
    }
    #[expect(deprecated, reason = "no other field takes calendars as the text that they are here")]
    Ok(proto::ScheduleSpec {
        interval,
        calendar: spec.calendars.into_iter().map(Into::into).collect(),
        exclude_calendar: spec.exclude_calendars.into_iter().map(Into::into).collect(),
        cron_string: spec.cron_strings,
        timezone_name: spec.timezone_name,
        start_time: spec.start_time.map(Into::into),
        end_time: spec.end_time.map(Into::into),
        jitter: spec.jitter.map(wire::duration).transpose()?,
        ..proto::ScheduleSpec::default()
    })
}

fn overlap(policy: Overlap) -> Result<ScheduleOverlapPolicy, ClientError> {
    Ok(match policy {
        Overlap::Unspecified => ScheduleOverlapPolicy::Unspecified,
        Overlap::Skip => ScheduleOverlapPolicy::Skip,
        Overlap::BufferOne => ScheduleOverlapPolicy::BufferOne,
        Overlap::BufferAll => ScheduleOverlapPolicy::BufferAll,
        Overlap::CancelOther => ScheduleOverlapPolicy::CancelOther,
        Overlap::TerminateOther => ScheduleOverlapPolicy::TerminateOther,
        Overlap::AllowAll => ScheduleOverlapPolicy::AllowAll,
        unknown => return Err(ClientError::Invalid(format!("the overlap policy {unknown:?} is not known here"))),
    })
}

impl IntoFuture for Schedule {
    type Output = Result<ScheduleHandle, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.create())
    }
}

/// A schedule that exists.
#[derive(Clone, Debug)]
pub struct ScheduleHandle {
    inner: temporalio_client::schedules::ScheduleHandle<temporalio_client::Client>,
}

impl ScheduleHandle {
    /// Its id.
    pub fn id(&self) -> &str {
        self.inner.schedule_id()
    }

    /// What it does, what it did and what it will do.
    pub async fn describe(&self) -> Result<ScheduleDescription, ClientError> {
        Ok(self.inner.describe(RpcOptions::default()).await?)
    }

    /// Changes it.
    pub async fn update(&self, change: impl FnOnce(&mut ScheduleUpdate) + Send + 'static) -> Result<(), ClientError> {
        Ok(self.inner.update(change, RpcOptions::default()).await?)
    }

    /// Stops starting runs.
    pub async fn pause(&self, why: impl Into<String>) -> Result<(), ClientError> {
        Ok(self.inner.pause(Some(why), PauseScheduleOptions::default()).await?)
    }

    /// Starts runs again.
    ///
    /// The reference server carries this out a moment after it has answered, and of two calls that change a schedule
    /// within that moment ([`pause`](Self::pause), this, [`trigger`](Self::trigger), [`backfill`](Self::backfill)) it
    /// forgets the first: wait for [`describe`](Self::describe) to show it before the next.
    pub async fn unpause(&self, why: impl Into<String>) -> Result<(), ClientError> {
        Ok(self.inner.unpause(Some(why), UnpauseScheduleOptions::default()).await?)
    }

    /// Starts a run at once.
    pub async fn trigger(&self) -> Result<(), ClientError> {
        Ok(self.inner.trigger(Overlap::default(), TriggerScheduleOptions::default()).await?)
    }

    /// Starts the runs that it would have started between two times.
    pub async fn backfill(&self, periods: impl IntoIterator<Item = Backfill>) -> Result<(), ClientError> {
        Ok(self.inner.backfill(periods, BackfillScheduleOptions::default()).await?)
    }

    /// Deletes it. Runs that it started go on.
    pub async fn delete(&self) -> Result<(), ClientError> {
        Ok(self.inner.delete(DeleteScheduleOptions::default()).await?)
    }
}

/// Schedules, fetched page by page as they are asked for. A stream.
#[must_use = "a list is fetched as it is read"]
pub struct Schedules {
    inner: BoxStream<'static, Result<ScheduleSummary, ClientError>>,
}

impl Stream for Schedules {
    type Item = Result<ScheduleSummary, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inner.poll_next_unpin(cx)
    }
}
