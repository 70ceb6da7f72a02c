//! ListTaskQueuePartitions: a queue is one piece, on this node.

use crate::{Error, Service, validate};
use api::taskqueue::v1::TaskQueuePartitionMetadata;
use api::workflowservice::v1::{
    ListTaskQueuePartitionsRequest as Request, ListTaskQueuePartitionsResponse as Response,
};

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    validate::namespace(&service.namespaces, &request.namespace)?;
    let queue = request.task_queue.ok_or_else(|| Error::invalid("taskQueue is not set"))?;
    validate::task_queue_name(&queue.name, &service.limits)?;
    let partitions =
        vec![TaskQueuePartitionMetadata { key: queue.name, owner_host_name: service.cluster.address.clone() }];
    Ok(Response { activity_task_queue_partitions: partitions.clone(), workflow_task_queue_partitions: partitions })
}
