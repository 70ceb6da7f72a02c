//! Which deployment a new execution goes to.

use crate::Platform;
use crate::catalogue::{Registration, Workflow};
use crate::error::{Error, code};
use std::sync::Arc;
use uuid::Uuid;

/// The registration to start a workflow under: of the deployment that is asked for, else of the only one that serves it.
pub fn registration(
    platform: &Platform,
    identifier: &str,
    deployment: Option<&str>,
) -> Result<(Arc<Workflow>, Arc<Registration>), Error> {
    let index = platform.index();
    let workflow =
        index.workflow(identifier).ok_or_else(|| Error::not_found(format!("workflow {identifier} is not found")))?;
    let active = platform.liveness.active_registrations(&index, workflow, platform.now());
    let name = &workflow.name;
    let found = match deployment {
        Some(deployment) => {
            let asked = active.iter().find(|it| it.deployment == deployment);
            asked.ok_or_else(|| {
                Error::not_found(format!(
                    "workflow {name} is not served by an active worker of deployment {deployment}"
                ))
            })?
        }
        None => match active.as_slice() {
            [] => return Err(Error::not_found(format!("workflow {name} is not served by any active worker"))),
            [only] => only,
            several => {
                let names: Vec<_> = several.iter().map(|it| it.deployment.clone()).collect();
                let detail = format!(
                    "workflow {name} is served by several deployments ({}): say deployment_name",
                    names.join(", ")
                );
                return Err(Error::conflict(code::AMBIGUOUS_WORKFLOW, detail).with("deployments", names));
            }
        },
    };
    Ok((workflow.clone(), found.clone()))
}

/// A registration that is named by its id, whose deployment must be served.
pub fn registration_with_id(platform: &Platform, id: Uuid) -> Result<(Arc<Workflow>, Arc<Registration>), Error> {
    let index = platform.index();
    let absent = || Error::not_found(format!("workflow registration {id} is not found"));
    let registration = index.registration(id).ok_or_else(absent)?;
    let workflow = index.workflow_with_id(registration.workflow_id).ok_or_else(absent)?;
    if !platform.liveness.serves(&index, &registration.deployment, workflow, platform.now()) {
        let (name, deployment) = (&workflow.name, &registration.deployment);
        let detail = format!("workflow {name} is not served by an active worker of deployment {deployment}");
        return Err(Error::not_found(detail));
    }
    Ok((workflow.clone(), registration.clone()))
}
