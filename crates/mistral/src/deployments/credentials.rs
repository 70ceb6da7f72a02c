//! Hardened deployments: as soon as one credential is authorised for a deployment, only workers that show it may
//! register there.
//!
//! A credential is an API key, named by its name. Where the server asks for no keys, no worker shows one, and a
//! hardened deployment takes nobody.

use crate::Platform;
use crate::catalogue::{Credential, Deployment, Index};
use crate::error::{Error, code, place};
use crate::extract::{Body, Query};
use crate::limits;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use serde::Deserialize;
use serde_json::{Value, json};
use server::auth::Caller;
use uuid::Uuid;

#[derive(Deserialize)]
pub struct Request {
    deployment_id: Uuid,
    credential_id: String,
    principal_type: Option<PrincipalType>,
    workspace_id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PrincipalType {
    ApiKey,
    ServiceAccount,
    User,
}

impl PrincipalType {
    fn name(self) -> &'static str {
        match self {
            PrincipalType::ApiKey => API_KEY,
            PrincipalType::ServiceAccount => "service_account",
            PrincipalType::User => "user",
        }
    }
}

/// The only kind of caller that this server knows.
const API_KEY: &str = "api_key";

/// Why this caller may not register in the deployment, if so.
pub fn refuse_stranger(deployment: &Deployment, caller: Option<&Caller>) -> Result<(), Error> {
    let is_caller = |credential: &Credential| {
        caller.is_some_and(|caller| *caller.name == *credential.credential_id)
            && credential.principal_type.as_deref().is_none_or(|kind| kind == API_KEY)
    };
    if !deployment.is_hardened() || deployment.credentials.iter().any(is_caller) {
        return Ok(());
    }
    let who = match caller {
        Some(caller) => format!("API key {}", caller.name),
        None => "a worker without an API key".into(),
    };
    let detail = format!("deployment {} is hardened, and {who} is not authorized for it", deployment.name);
    Err(Error::new(StatusCode::FORBIDDEN, code::REGISTRATION, detail))
}

pub async fn list(State(platform): State<Platform>, query: Query) -> Result<Json<Value>, Error> {
    let elsewhere = query.text("workspace_id").is_some_and(|id| id != platform.workspace_id().to_string());
    let only = query.read("deployment_id", "must be a UUID", |text| Uuid::try_parse(text).ok())?;
    let index = platform.index();
    let listed: Vec<_> = index
        .deployments()
        .filter(|deployment| !elsewhere && only.is_none_or(|id| id == deployment.id))
        .flat_map(|deployment| deployment.credentials.iter().map(|credential| shown(deployment, credential)))
        .collect();
    Ok(Json(json!({ "authorized_credentials": listed })))
}

pub async fn add(
    State(platform): State<Platform>,
    Body(request): Body<Request>,
) -> Result<(StatusCode, Json<Value>), Error> {
    let credential = check(&platform, &request)?;
    let now = platform.now();
    let added = platform
        .catalogue
        .change(|draft| {
            let mut deployment = with_id(draft.index(), request.deployment_id)?;
            if deployment.credentials.iter().any(|known| known.credential_id == credential.credential_id) {
                let (id, name) = (&credential.credential_id, &deployment.name);
                let detail = format!("credential {id} is authorized for deployment {name} already");
                return Err(Error::conflict(code::REGISTRATION, detail));
            }
            deployment.credentials.push(credential.clone());
            deployment.updated_at = now;
            Ok(shown(&draft.put_deployment(deployment), &credential))
        })
        .await?;
    Ok((StatusCode::CREATED, Json(added)))
}

pub async fn remove(State(platform): State<Platform>, Body(request): Body<Request>) -> Result<StatusCode, Error> {
    let credential = check(&platform, &request)?;
    let now = platform.now();
    platform
        .catalogue
        .change(|draft| {
            let mut deployment = with_id(draft.index(), request.deployment_id)?;
            let before = deployment.credentials.len();
            deployment.credentials.retain(|known| known.credential_id != credential.credential_id);
            if deployment.credentials.len() == before {
                let (id, name) = (&credential.credential_id, &deployment.name);
                return Err(Error::not_found(format!("credential {id} is not authorized for deployment {name}")));
            }
            draft.put_deployment(Deployment { updated_at: now, ..deployment });
            Ok(())
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn check(platform: &Platform, request: &Request) -> Result<Credential, Error> {
    if request.workspace_id.as_ref().is_some_and(|id| *id != platform.workspace_id().to_string()) {
        return Err(Error::not_found("there is no such workspace"));
    }
    let length = request.credential_id.len();
    if length == 0 || length > limits::NAME_LENGTH_MAX {
        let msg = format!("credential_id of {length} bytes must have 1 to {}", limits::NAME_LENGTH_MAX);
        return Err(Error::invalid(place(["body", "credential_id"]), msg));
    }
    let kind = request.principal_type.unwrap_or(PrincipalType::ApiKey);
    Ok(Credential { credential_id: request.credential_id.clone(), principal_type: Some(kind.name().into()) })
}

fn with_id(index: &Index, id: Uuid) -> Result<Deployment, Error> {
    let found = index.deployments().find(|deployment| deployment.id == id);
    found.map(|found| Deployment::clone(found)).ok_or_else(|| Error::not_found(format!("deployment {id} is not found")))
}

fn shown(deployment: &Deployment, credential: &Credential) -> Value {
    json!({
        "deployment_id": deployment.id,
        "deployment_name": deployment.name,
        "credential_id": credential.credential_id,
        "principal_type": credential.principal_type.as_deref().unwrap_or(API_KEY),
    })
}
