//! Schedules: workflows that start by the calendar.

use super::{Client, ClientError};
use crate::value::Encode;
use crate::workflow;
use futures_util::stream::{BoxStream, Stream, StreamExt};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use temporalio_client::RpcOptions;
use temporalio_client::schedules::{
    BackfillScheduleOptions, CreateScheduleOptions, DeleteScheduleOptions, ListSchedulesOptions, PauseScheduleOptions,
    ScheduleAction, ScheduleSpec, TriggerScheduleOptions, UnpauseScheduleOptions,
};
use temporalio_common::UntypedWorkflow;
use temporalio_common::data_converters::{SerializationContextData, WorkflowSerializationContext};

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
    paused: bool,
    note: String,
    trigger: bool,
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
            paused: false,
            note: String::new(),
            trigger: false,
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

    async fn create(self) -> Result<ScheduleHandle, ClientError> {
        let queue = self.client.queue_for(self.workflow, &self.options)?;
        let converter = self.client.inner().options().data_converter.payload_converter();
        let context = SerializationContextData::Workflow(WorkflowSerializationContext::new());
        let args = self.args.payloads(converter, &context)?;
        let workflow_id = self.options.id.unwrap_or_else(|| self.id.clone());
        let action = ScheduleAction::start_workflow(UntypedWorkflow::new(self.workflow), args, queue, workflow_id);
        let options = CreateScheduleOptions::builder()
            .action(action)
            .spec(self.spec)
            .overlap_policy(self.overlap)
            .paused(self.paused)
            .note(self.note)
            .trigger_immediately(self.trigger)
            .build();
        let inner = self.client.inner().create_schedule(self.id, options).await?;
        Ok(ScheduleHandle { inner })
    }
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
