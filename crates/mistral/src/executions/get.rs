//! `GET /executions/{id}`.

use super::view::{self, As, Execution};
use crate::Platform;
use crate::error::Error;
use crate::extract::{Path, Query};
use axum::extract::State;
use axum::response::Json;
use engine::message::Target;

pub async fn handle(
    State(platform): State<Platform>,
    Path(execution): Path<String>,
    query: Query,
) -> Result<Json<Execution>, Error> {
    let with_search_keys = query.flag("include_search_keys")?.unwrap_or(false);
    let target = Target::execution(platform.namespace, execution, None);
    Ok(Json(view::of(&platform, target, As::Execution, with_search_keys).await?))
}
