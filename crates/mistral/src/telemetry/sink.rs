//! Where workers send telemetry: `POST /telemetry/v1/traces`, `/metrics` and `/logs`, OTLP as protobuf.

use super::values::{hex, text};
use crate::error::{Error, code};
use crate::events::incoming::on_one_line;
use crate::{Platform, extract};
use axum::extract::{Request, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use prost::Message;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Read;
use store::row::{Change, LogRow, SpansRow, TraceId};
use tradewind_core::time::Timestamp;

/// What a request may have once it is unpacked.
const UNPACKED_BYTES_MAX: u64 = 32 * 1024 * 1024;
const PROTOBUF: &str = "application/x-protobuf";

/// A log record as clients read it.
#[derive(Serialize)]
struct Record {
    timestamp: String,
    trace_id: String,
    span_id: String,
    severity_text: String,
    body: String,
    log_attributes: BTreeMap<String, String>,
}

pub async fn traces(State(platform): State<Platform>, request: Request) -> Result<Response, Error> {
    let request: ExportTraceServiceRequest = read(request, &platform).await?;
    let received = platform.now();
    let (by_trace, rejected) = by_trace(request.resource_spans);
    let row = |(trace, resource_spans)| {
        let bytes = TracesData { resource_spans }.encode_to_vec().into();
        Change::PutSpans(SpansRow { trace, received, bytes })
    };
    platform.write(by_trace.into_iter().map(row).collect()).await?;
    let partial_success = (rejected > 0).then(|| ExportTracePartialSuccess {
        rejected_spans: rejected,
        error_message: "a trace id has 16 bytes, not all of them zero".into(),
    });
    Ok(protobuf(&ExportTraceServiceResponse { partial_success }))
}

pub async fn logs(State(platform): State<Platform>, request: Request) -> Result<Response, Error> {
    let request: ExportLogsServiceRequest = read(request, &platform).await?;
    let received = platform.now();
    let scopes = request.resource_logs.into_iter().flat_map(|logs| logs.scope_logs);
    let records: Vec<LogRecord> = scopes.flat_map(|scope| scope.log_records).collect();
    let all = records.len();
    let rows: Vec<Change> = records.into_iter().filter_map(|it| row(it, received)).map(Change::PutLog).collect();
    let rejected = all - rows.len();
    platform.write(rows).await?;
    platform.telemetry.logs_arrived.send_modify(|times| *times += 1);
    let partial_success = (rejected > 0).then(|| ExportLogsPartialSuccess {
        rejected_log_records: rejected as i64,
        error_message: "a log record is found by its deploymentName or workflowExecutionID; it needs one of them"
            .into(),
    });
    Ok(protobuf(&ExportLogsServiceResponse { partial_success }))
}

/// Says how many were not kept.
pub async fn metrics(State(platform): State<Platform>, request: Request) -> Result<Response, Error> {
    let request: ExportMetricsServiceRequest = read(request, &platform).await?;
    let scopes = request.resource_metrics.into_iter().flat_map(|metrics| metrics.scope_metrics);
    let rejected: usize = scopes.flat_map(|scope| scope.metrics).map(|metric| data_points(&metric)).sum();
    let partial_success = (rejected > 0).then(|| ExportMetricsPartialSuccess {
        rejected_data_points: rejected as i64,
        error_message: "metrics of workers are not kept here".into(),
    });
    Ok(protobuf(&ExportMetricsServiceResponse { partial_success }))
}

fn data_points(metric: &Metric) -> usize {
    match &metric.data {
        Some(Data::Gauge(it)) => it.data_points.len(),
        Some(Data::Sum(it)) => it.data_points.len(),
        Some(Data::Histogram(it)) => it.data_points.len(),
        Some(Data::ExponentialHistogram(it)) => it.data_points.len(),
        Some(Data::Summary(it)) => it.data_points.len(),
        None => 0,
    }
}

/// Spans of many traces arrive together and are asked for trace by trace.
fn by_trace(resources: Vec<ResourceSpans>) -> (BTreeMap<TraceId, Vec<ResourceSpans>>, i64) {
    let mut traces: BTreeMap<TraceId, Vec<ResourceSpans>> = BTreeMap::new();
    let mut rejected = 0;
    for ResourceSpans { resource, scope_spans, schema_url } in resources {
        for ScopeSpans { scope, spans, schema_url: scope_schema_url } in scope_spans {
            let mut of_scope: BTreeMap<TraceId, Vec<Span>> = BTreeMap::new();
            for span in spans {
                match <TraceId>::try_from(span.trace_id.as_slice()) {
                    Ok(trace) if trace != [0; 16] => of_scope.entry(trace).or_default().push(span),
                    _ => rejected += 1,
                }
            }
            for (trace, spans) in of_scope {
                let scope = ScopeSpans { scope: scope.clone(), spans, schema_url: scope_schema_url.clone() };
                traces.entry(trace).or_default().push(ResourceSpans {
                    resource: resource.clone(),
                    scope_spans: vec![scope],
                    schema_url: schema_url.clone(),
                });
            }
        }
    }
    (traces, rejected)
}

/// What is kept of a log record; nothing if nobody could find it.
fn row(record: LogRecord, received: Timestamp) -> Option<LogRow> {
    let nanos = [record.time_unix_nano, record.observed_time_unix_nano].into_iter().find(|nanos| *nanos != 0);
    let time = nanos.and_then(|nanos| i64::try_from(nanos).ok()).map_or(received, Timestamp::from_nanos);
    let attributes: BTreeMap<String, String> =
        record.attributes.into_iter().map(|it| (it.key, it.value.as_ref().map(text).unwrap_or_default())).collect();
    let attribute = |name: &str| attributes.get(name).cloned();
    let (workflow_id, deployment) = (attribute("workflowExecutionID"), attribute("deploymentName"));
    if workflow_id.is_none() && deployment.is_none() {
        return None;
    }
    let (run_id, activity_id) = (attribute("workflowRunID"), attribute("temporalActivityID"));
    let (workflow_type, worker) = (attribute("workflowName"), attribute("workerName"));
    let record = Record {
        timestamp: crate::time::format(time),
        trace_id: hex(&record.trace_id),
        span_id: hex(&record.span_id),
        severity_text: record.severity_text,
        body: record.body.as_ref().map(text).unwrap_or_default(),
        log_attributes: attributes,
    };
    let bytes = on_one_line(serde_json::to_vec(&record).expect("texts are JSON")).into();
    Some(LogRow { id: 0, time, received, workflow_id, run_id, activity_id, workflow_type, deployment, worker, bytes })
}

/// Takes a request apart: its type, its packing, its message.
async fn read<M: Message + Default>(request: Request, platform: &Platform) -> Result<M, Error> {
    let (content_type, packing) = (value(&request, header::CONTENT_TYPE), value(&request, header::CONTENT_ENCODING));
    let content_type = content_type.split(';').next().unwrap_or_default().trim();
    if content_type != PROTOBUF {
        let detail = format!("telemetry is taken as {PROTOBUF}, not as {content_type:?}");
        return Err(Error::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, code::INVALID, detail));
    }
    let bytes = extract::bytes(request, platform).await?;
    let bytes = match packing.as_str() {
        "" | "identity" => bytes,
        "gzip" => unpacked(&bytes)?,
        other => {
            let detail = format!("bodies are taken plain or packed with gzip, not with {other:?}");
            return Err(Error::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, code::INVALID, detail));
        }
    };
    M::decode(bytes).map_err(|error| bad_request(format!("the body is not the message it should be: {error}")))
}

fn value(request: &Request, name: HeaderName) -> String {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

fn unpacked(bytes: &[u8]) -> Result<Bytes, Error> {
    let mut unpacked = Vec::new();
    let read = GzDecoder::new(bytes).take(UNPACKED_BYTES_MAX + 1).read_to_end(&mut unpacked);
    read.map_err(|error| bad_request(format!("the body is not packed with gzip: {error}")))?;
    if unpacked.len() as u64 > UNPACKED_BYTES_MAX {
        let detail = format!("the body unpacks to more than {UNPACKED_BYTES_MAX} bytes");
        return Err(Error::new(StatusCode::PAYLOAD_TOO_LARGE, code::TOO_LARGE, detail));
    }
    Ok(unpacked.into())
}

fn bad_request(detail: String) -> Error {
    Error::new(StatusCode::BAD_REQUEST, code::INVALID, detail)
}

fn protobuf(message: &impl Message) -> Response {
    ([(header::CONTENT_TYPE, PROTOBUF)], message.encode_to_vec()).into_response()
}
