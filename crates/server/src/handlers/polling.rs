//! What polls of every kind check alike.

use crate::{Error, Service, grpc::Context, handlers::support, validate};
use api::{enums::v1::TaskQueueKind, taskqueue::v1::TaskQueue};
use engine::poll::Poll;
use tradewind_core::ids::TaskKind;

#[expect(clippy::too_many_arguments, reason = "the fields that two request types share, taken apart once")]
pub fn poll(
    service: &Service,
    kind: TaskKind,
    namespace: &str,
    queue: Option<TaskQueue>,
    identity: String,
    worker_instance: String,
    max_tasks_per_second: Option<f64>,
    context: Context,
) -> Result<Poll, Error> {
    let now = service.clock.now();
    if context.deadline.is_some_and(|deadline| deadline - now < service.limits.long_poll_deadline_min) {
        return Err(Error::FailedPrecondition("Context timeout is too short.".into()));
    }
    let namespace = validate::namespace(&service.namespaces, namespace)?;
    let queue = queue.ok_or_else(|| Error::invalid("taskQueue is not set"))?;
    if queue.name.is_empty() {
        return Err(Error::invalid("taskQueue is not set"));
    }
    validate::task_queue_name(&queue.name, &service.limits)?;
    validate::identity(&identity, &service.limits)?;
    Ok(Poll {
        namespace: namespace.key,
        kind,
        sticky: queue.kind == TaskQueueKind::Sticky as i32,
        queue: queue.name,
        normal_queue: queue.normal_name,
        identity,
        worker_instance,
        max_tasks_per_second,
        until: support::wait_until(service, context.deadline, service.limits.task_long_poll),
    })
}
