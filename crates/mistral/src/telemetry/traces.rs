//! Traces of executions: `GET /v1/workflows/executions/{id}/trace/…`.
//!
//! The worker says under which trace a run goes by upserting `OtelTraceId`; its spans arrive later, in batches, so
//! what is here is what has arrived.

use super::trace_events;
use super::values::{flat_attributes, hex, tagged_attributes};
use crate::Platform;
use crate::error::Error;
use crate::executions::view::{self, Execution};
use crate::extract::{Path, Query};
use api::common::v1::SearchAttributes;
use axum::extract::State;
use axum::response::Json;
use engine::message::Target;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use prost::Message;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use store::row::TraceId;
use uuid::Uuid;

const TRACE_ATTRIBUTE: &str = "OtelTraceId";
/// What is read of one trace; a larger one is shown without its latest spans.
const BYTES_MAX: usize = 32 * 1024 * 1024;
/// How deep a tree is shown; what is deeper hangs there. Readers of JSON follow it on their stacks.
const DEPTH_MAX: usize = 100;

#[derive(Serialize)]
pub struct WithTrace {
    #[serde(flatten)]
    execution: Execution,
    #[serde(flatten)]
    trace: Value,
}

pub async fn info(State(platform): State<Platform>, Path(execution): Path<String>) -> Result<Json<Value>, Error> {
    let (_, trace) = find(&platform, execution).await?;
    let has_data = match trace {
        Some(trace) => platform.read(move |store| store.has_spans(&trace)).await?,
        None => false,
    };
    Ok(Json(json!({ "otel_trace_id": trace.map(|it| hex(&it)), "has_trace_data": has_data })))
}

pub async fn otel(State(platform): State<Platform>, Path(execution): Path<String>) -> Result<Json<WithTrace>, Error> {
    let (execution, trace) = find(&platform, execution).await?;
    let spans = spans(&platform, trace).await?;
    let data = (!spans.is_empty()).then(|| json!({ "batches": spans.iter().map(batch).collect::<Vec<_>>() }));
    let trace = json!({
        "data_source": "tradewind", "otel_trace_id": trace.map(|it| hex(&it)), "otel_trace_data": data,
    });
    Ok(Json(WithTrace { execution, trace }))
}

pub async fn summary(
    State(platform): State<Platform>,
    Path(execution): Path<String>,
) -> Result<Json<WithTrace>, Error> {
    let (execution, trace) = find(&platform, execution).await?;
    let spans = all(spans(&platform, trace).await?);
    Ok(Json(WithTrace { execution, trace: json!({ "span_tree": tree(&spans) }) }))
}

pub async fn events(
    State(platform): State<Platform>,
    Path(execution): Path<String>,
    query: Query,
) -> Result<Json<WithTrace>, Error> {
    let merge = query.flag("merge_same_id_events")?.unwrap_or(false);
    let internal = query.flag("include_internal_events")?.unwrap_or(false);
    let (execution, trace) = find(&platform, execution).await?;
    let spans = all(spans(&platform, trace).await?);
    let events = trace_events::of(&spans, internal, merge);
    Ok(Json(WithTrace { execution, trace: json!({ "events": events }) }))
}

/// The execution, and the trace of its latest run, if its worker has named one.
async fn find(platform: &Platform, workflow_id: String) -> Result<(Execution, Option<TraceId>), Error> {
    let target = Target::execution(platform.namespace, workflow_id.clone(), None);
    let execution = view::of(platform, target, view::As::Execution, false).await?;
    let (namespace, run_id) = (platform.namespace, execution.facts.run_id);
    let row = platform
        .read(move |store| match store.find_run(namespace, &workflow_id, run_id)? {
            Some(run) => store.visibility(run),
            None => Ok(None),
        })
        .await?;
    Ok((execution, row.and_then(|row| trace_id(&row.search_attributes))))
}

fn trace_id(search_attributes: &[u8]) -> Option<TraceId> {
    let attributes = SearchAttributes::decode(search_attributes).ok()?;
    let payload = attributes.indexed_fields.get(TRACE_ATTRIBUTE)?;
    let text: String = serde_json::from_slice(&payload.data).ok()?;
    // Both are 16 bytes in hexadecimal digits.
    Some(*Uuid::try_parse(&text).ok()?.as_bytes())
}

/// What has arrived of a trace. Exporters repeat themselves; the last word on a span counts.
async fn spans(platform: &Platform, trace: Option<TraceId>) -> Result<Vec<ResourceSpans>, Error> {
    let Some(trace) = trace else { return Ok(Vec::new()) };
    let (bytes, cut) = platform.read(move |store| store.spans(&trace, BYTES_MAX)).await?;
    if cut {
        tracing::warn!(
            trace = hex(&trace),
            "a trace has more than {BYTES_MAX} bytes of spans; the latest are not shown"
        );
    }
    let mut resources = TracesData::decode(bytes).map_err(Error::internal)?.resource_spans;
    let mut seen = BTreeSet::new();
    for resource in resources.iter_mut().rev() {
        for scope in resource.scope_spans.iter_mut().rev() {
            scope.spans.retain(|span| seen.insert(span.span_id.clone()));
        }
        resource.scope_spans.retain(|scope| !scope.spans.is_empty());
    }
    resources.retain(|resource| !resource.scope_spans.is_empty());
    Ok(resources)
}

fn all(resources: Vec<ResourceSpans>) -> Vec<Span> {
    let scopes = resources.into_iter().flat_map(|resource| resource.scope_spans);
    let mut spans: Vec<Span> = scopes.flat_map(|scope| scope.spans).collect();
    spans.sort_by_key(|span| span.start_time_unix_nano);
    spans
}

/// A batch as OTLP writes it in JSON.
fn batch(spans: &ResourceSpans) -> Value {
    let resource = spans.resource.as_ref().map(|resource| tagged_attributes(&resource.attributes));
    json!({
        "resource": { "attributes": resource.unwrap_or_else(|| json!([])) },
        "scopeSpans": spans.scope_spans.iter().map(scope).collect::<Vec<_>>(),
    })
}

fn scope(scope: &ScopeSpans) -> Value {
    json!({
        "scope": { "name": scope.scope.as_ref().map(|it| it.name.as_str()).unwrap_or_default() },
        "spans": scope.spans.iter().map(span).collect::<Vec<_>>(),
    })
}

fn span(span: &Span) -> Value {
    let kind = SpanKind::try_from(span.kind).unwrap_or(SpanKind::Unspecified);
    let event = |event: &Event| {
        let time = event.time_unix_nano.to_string();
        json!({ "name": event.name, "timeUnixNano": time, "attributes": tagged_attributes(&event.attributes) })
    };
    json!({
        "traceId": hex(&span.trace_id), "spanId": hex(&span.span_id),
        "parentSpanId": parent(span).map(hex),
        "name": span.name, "kind": kind.as_str_name(),
        "startTimeUnixNano": span.start_time_unix_nano.to_string(),
        "endTimeUnixNano": span.end_time_unix_nano.to_string(),
        "attributes": tagged_attributes(&span.attributes),
        "events": span.events.iter().map(event).collect::<Vec<_>>(),
    })
}

fn parent(span: &Span) -> Option<&[u8]> {
    Some(span.parent_span_id.as_slice()).filter(|id| id.iter().any(|byte| *byte != 0))
}

/// The earliest span without a parent, with all others below it. Spans whose parent has not arrived hang on the root.
fn tree(spans: &[Span]) -> Option<Value> {
    let known: BTreeSet<&[u8]> = spans.iter().map(|span| span.span_id.as_slice()).collect();
    let of = |span| parent(span).filter(|parent| known.contains(parent));
    let root = spans.iter().find(|span| of(span).is_none()).or(spans.first())?;
    let mut children: BTreeMap<&[u8], Vec<&Span>> = BTreeMap::new();
    for span in spans.iter().filter(|span| span.span_id != root.span_id) {
        children.entry(of(span).unwrap_or(&root.span_id)).or_default().push(span);
    }
    // Each with the place of its parent and its depth.
    let mut order = vec![(root, 0, 0)];
    let mut at = 0;
    while let Some(&(span, parent, depth)) = order.get(at) {
        let place = if depth < DEPTH_MAX { (at, depth + 1) } else { (parent, depth) };
        let below = children.get(span.span_id.as_slice());
        order.extend(below.into_iter().flatten().map(|child| (*child, place.0, place.1)));
        at += 1;
    }
    // From the leaves up.
    let mut below: Vec<Vec<Value>> = vec![Vec::new(); order.len()];
    for (at, (span, parent, _)) in order.into_iter().enumerate().skip(1).rev() {
        let mut children = std::mem::take(&mut below[at]);
        children.reverse();
        below[parent].push(node(span, children));
    }
    let mut children = std::mem::take(&mut below[0]);
    children.reverse();
    Some(node(root, children))
}

fn node(span: &Span, children: Vec<Value>) -> Value {
    let end = (span.end_time_unix_nano != 0).then_some(span.end_time_unix_nano);
    json!({
        "span_id": hex(&span.span_id), "name": span.name,
        "start_time_unix_nano": span.start_time_unix_nano, "end_time_unix_nano": end,
        "attributes": flat_attributes(&span.attributes),
        "events": trace_events::in_span(span),
        "children": children,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_hang_below_their_parents_and_orphans_below_the_root() {
        let spans = [span(1, 0, 10), span(2, 1, 20), span(3, 2, 30), span(4, 9, 40), span(5, 1, 50)];
        assert_eq!(shape(&tree(&spans).unwrap()), "1(2(3)4 5)");
        assert_eq!(tree(&[]), None);
        let circle = [span(1, 2, 10), span(2, 1, 20)];
        assert_eq!(shape(&tree(&circle).unwrap()), "1(2)", "nonsense ends too");
    }

    #[test]
    fn a_deep_tree_is_cut_and_loses_nothing() {
        let spans: Vec<Span> = (1..=200).map(|id| span(id, id - 1, u64::from(id))).collect();
        let mut depth = 0;
        let mut node = tree(&spans).unwrap();
        while let Some(child) = node["children"].get(0).cloned() {
            node = child;
            depth += 1;
        }
        assert_eq!(depth, DEPTH_MAX);
        assert_eq!(shape(&tree(&spans).unwrap()).matches(char::is_numeric).count(), 492, "all digits of 1 to 200");
    }

    #[test]
    fn a_run_names_its_trace() {
        let payload = crate::payload::json(&"4bf92f3577b34da6a3ce929d0e0e4736");
        let attributes = SearchAttributes { indexed_fields: [(TRACE_ATTRIBUTE.to_owned(), payload)].into() };
        assert_eq!(hex(&trace_id(&attributes.encode_to_vec()).unwrap()), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(trace_id(b""), None);
    }

    fn span(id: u8, parent: u8, start: u64) -> Span {
        let parent_span_id = if parent == 0 { Vec::new() } else { vec![0, 0, 0, 0, 0, 0, 0, parent] };
        let span_id = vec![0, 0, 0, 0, 0, 0, 0, id];
        Span { span_id, parent_span_id, start_time_unix_nano: start, name: id.to_string(), ..Span::default() }
    }

    fn shape(node: &Value) -> String {
        let children: Vec<String> = node["children"].as_array().unwrap().iter().map(shape).collect();
        let below =
            if children.is_empty() { String::new() } else { format!("({})", children.join(" ").replace(") ", ")")) };
        format!("{}{below}", node["name"].as_str().unwrap())
    }
}
