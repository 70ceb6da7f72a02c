//! `PUT /{workflow}`: what people say of a workflow, beside what its worker says. What is left out stays as it is.

use super::{find, view};
use crate::Platform;
use crate::catalogue::Workflow;
use crate::error::{Error, Step, place};
use crate::extract::{Body, Path};
use crate::limits;
use axum::extract::State;
use axum::response::Json;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

#[derive(Deserialize)]
pub struct Request {
    display_name: Option<String>,
    /// Null takes it away.
    #[serde(default, deserialize_with = "given")]
    description: Option<Option<String>>,
    available_in_chat_assistant: Option<bool>,
    tags: Option<Vec<String>>,
}

fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

pub async fn handle(
    State(platform): State<Platform>,
    Path(identifier): Path<String>,
    Body(request): Body<Request>,
) -> Result<Json<Value>, Error> {
    let display_name = request.display_name.as_deref().map(display_name).transpose()?;
    let description = request.description.map(description).transpose()?;
    let tags = request.tags.map(tags).transpose()?;
    let edited = display_name.is_some() || description.is_some();
    let now = platform.now();
    let workflow = platform
        .catalogue
        .change(|draft| {
            let known = find::named(draft.index(), &identifier)?.clone();
            let chat = request.available_in_chat_assistant;
            Ok(draft.put_workflow(Workflow {
                display_name: display_name.unwrap_or_else(|| known.display_name.clone()),
                description: description.unwrap_or_else(|| known.description.clone()),
                edited: known.edited || edited,
                available_in_chat_assistant: chat.unwrap_or(known.available_in_chat_assistant),
                tags: tags.unwrap_or_else(|| known.tags.clone()),
                updated_at: now,
                ..Workflow::clone(&known)
            }))
        })
        .await?;
    Ok(Json(json!({ "workflow": view::workflow(&platform, &workflow) })))
}

fn display_name(name: &str) -> Result<String, Error> {
    let length = name.chars().count();
    if name.trim().is_empty() || length > limits::NAME_LENGTH_MAX {
        let msg = format!(
            "display_name of {length} characters must have 1 to {}, and not only blanks",
            limits::NAME_LENGTH_MAX
        );
        return Err(Error::invalid(place(["body", "display_name"]), msg));
    }
    Ok(name.to_owned())
}

fn description(description: Option<String>) -> Result<Option<String>, Error> {
    let length = description.as_deref().unwrap_or_default().chars().count();
    if length > limits::DESCRIPTION_LENGTH_MAX {
        let msg = format!("description of {length} characters may have at most {}", limits::DESCRIPTION_LENGTH_MAX);
        return Err(Error::invalid(place(["body", "description"]), msg));
    }
    Ok(description)
}

/// Trimmed, and each once, in the order given.
fn tags(given: Vec<String>) -> Result<Vec<String>, Error> {
    if given.len() > limits::TAGS_MAX {
        let msg = format!("tags has {} items; at most {} are allowed", given.len(), limits::TAGS_MAX);
        return Err(Error::invalid(place(["body", "tags"]), msg));
    }
    let mut tags: Vec<String> = Vec::with_capacity(given.len());
    for (index, tag) in given.iter().enumerate() {
        let tag = tag.trim();
        let length = tag.chars().count();
        if length == 0 || length > limits::TAG_LENGTH_MAX {
            let loc = vec![Step::Name("body".into()), Step::Name("tags".into()), Step::Index(index)];
            let msg = format!("a tag of {length} characters must have 1 to {}", limits::TAG_LENGTH_MAX);
            return Err(Error::invalid(loc, msg));
        }
        if !tags.iter().any(|known| known == tag) {
            tags.push(tag.to_owned());
        }
    }
    Ok(tags)
}
