//! Telemetry of workers: sent as OTLP, read back as traces and logs.

use crate::run::*;
use crate::sse::Stream;
use crate::testkit::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, span};
use prost::Message;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::io::Write;

const TRACE: [u8; 16] = [0x4b; 16];
const TRACE_HEX: &str = "4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b";

#[tokio::test]
async fn a_trace_is_read_back_by_the_execution_that_named_it() {
    let platform = Platform::start().await;
    platform.begin("w").await;
    let untold = json!({ "otel_trace_id": null, "has_trace_data": false });
    assert_eq!(platform.get("/executions/w/trace/info").await.ok(), untold);
    platform.turn("w", [name_trace(TRACE_HEX)]).await;
    let named = json!({ "otel_trace_id": TRACE_HEX, "has_trace_data": false });
    assert_eq!(platform.get("/executions/w/trace/info").await.ok(), named);

    let happened = span::Event {
        name: "asked".into(),
        time_unix_nano: 15,
        attributes: vec![text("wf.id", "e-1"), text("wf.type", "EVENT")],
        ..span::Event::default()
    };
    let root = Span { name: "root".into(), events: vec![happened], ..span_of(TRACE, 1, 0) };
    let child = Span { attributes: vec![number("n", 7)], ..span_of(TRACE, 2, 1) };
    let spans = [root, child.clone(), span_of([9; 16], 3, 0), span_of([0; 16], 4, 0)];
    let answer: ExportTraceServiceResponse = sent(&platform, "traces", &traces(spans), true).await;
    assert_eq!(answer.partial_success.unwrap().rejected_spans, 1, "a trace of zeros is none");
    // An exporter that did not hear the answer.
    let _: ExportTraceServiceResponse = sent(&platform, "traces", &traces([child]), false).await;

    let otel = platform.get("/executions/w/trace/otel").await.ok();
    assert_eq!((&otel["execution_id"], &otel["status"]), (&json!("w"), &json!("RUNNING")));
    assert_eq!((&otel["data_source"], &otel["otel_trace_id"]), (&json!("tradewind"), &json!(TRACE_HEX)));
    let batches = otel["otel_trace_data"]["batches"].as_array().unwrap();
    let service = json!([{ "key": "service.name", "value": { "stringValue": "worker" } }]);
    assert_eq!(batches[0]["resource"]["attributes"], service);
    let scopes = batches.iter().flat_map(|batch| batch["scopeSpans"].as_array().unwrap());
    let spans: Vec<&Value> = scopes.flat_map(|scope| scope["spans"].as_array().unwrap()).collect();
    assert_eq!(spans.len(), 2, "each once");
    assert_eq!(spans[0]["parentSpanId"], Value::Null);
    assert_eq!((&spans[1]["kind"], &spans[1]["startTimeUnixNano"]), (&json!("SPAN_KIND_INTERNAL"), &json!("20")));
    assert_eq!(spans[1]["attributes"], json!([{ "key": "n", "value": { "intValue": "7" } }]));

    let summary = platform.get("/executions/w/trace/summary").await.ok();
    let tree = &summary["span_tree"];
    assert_eq!((&tree["name"], &tree["span_id"]), (&json!("root"), &json!("0000000000000001")));
    assert_eq!(tree["children"][0]["attributes"], json!({ "n": 7 }));
    let events = platform.get("/executions/w/trace/events?merge_same_id_events=true").await.ok();
    assert_eq!((&events["events"][0]["id"], &events["events"][0]["type"]), (&json!("e-1"), &json!("EVENT")));

    for path in ["info", "otel", "summary", "events"] {
        let Answer { status, .. } = platform.get(&format!("/executions/nobody/trace/{path}")).await;
        assert_eq!(status, 404, "{path}");
    }
}

#[tokio::test]
async fn logs_of_an_execution_are_paged_and_streamed() {
    let platform = Platform::start().await;
    let run = platform.begin("w").await;
    let path = "/executions/w/logs";
    let mut stream = Stream::open(&platform, &format!("{path}/stream?activity_id=5")).await;
    let about = |second: u64, body: &str, activity: Option<&str>| {
        let mut attributes =
            vec![text("workflowExecutionID", "w"), text("workflowRunID", &run.run_id), number("line", 3)];
        attributes.extend(activity.map(|id| text("temporalActivityID", id)));
        record(second, body, attributes)
    };
    let records = [
        about(3, "third", None),
        about(1, "first", Some("5")),
        about(2, "second\u{2028}", None),
        record(1, "lost", vec![]),
    ];
    let answer: ExportLogsServiceResponse = sent(&platform, "logs", &logs(records), true).await;
    assert_eq!(answer.partial_success.unwrap().rejected_log_records, 1, "nobody could find it");

    let bodies = async |query: &str| -> (Vec<String>, Option<String>) {
        let Answer { status, body: page } = platform.get(&format!("{path}?{query}")).await;
        assert_eq!(status, 200, "{page}");
        let bodies = page["results"].as_array().unwrap().iter().map(|it| it["body"].as_str().unwrap().to_owned());
        (bodies.collect(), page["next_cursor"].as_str().map(str::to_owned))
    };
    let (page, cursor) = bodies("limit=2").await;
    assert_eq!(page, ["first", "second\u{2028}"]);
    assert_eq!(bodies(&format!("limit=2&cursor={}", cursor.unwrap())).await, (vec!["third".to_owned()], None));
    assert_eq!(bodies("order=desc&limit=1").await.0, ["third"]);
    assert_eq!(bodies("after=1970-01-01T00:00:02Z&before=1970-01-01T00:00:03Z").await.0, ["second\u{2028}"]);
    assert_eq!(bodies("activity_id=5").await.0, ["first"]);
    assert_eq!(bodies("run_id=another").await.0, [] as [&str; 0]);
    let page = platform.get(&format!("{path}?limit=1")).await.ok();
    let record = &page["results"][0];
    assert_eq!(
        (&record["timestamp"], &record["severity_text"]),
        (&json!("1970-01-01T00:00:01.000000Z"), &json!("INFO"))
    );
    assert_eq!(record["log_attributes"]["line"], json!("3"), "attributes are texts");

    let frame = stream.next().await.unwrap();
    assert_eq!((frame.event.as_deref(), &frame.data["body"]), (Some("log"), &json!("first")));
    let id = frame.id.unwrap().parse().unwrap();
    let mut resumed = Stream::resume(&platform, &format!("{path}/stream"), Some(id)).await;
    assert_eq!(resumed.data().await["body"], json!("second\u{2028}"), "in the order of arrival");

    for wrong in ["limit=0", "limit=101", "activity_id=x", "cursor=x", "order=up", "after=yesterday"] {
        let Answer { status, body } = platform.get(&format!("{path}?{wrong}")).await;
        assert_eq!(status, 422, "{wrong}: {body}");
    }
    for nobody in ["/executions/nobody/logs", "/deployments/nobody/logs/stream"] {
        assert_eq!(platform.get(nobody).await.status, 404, "{nobody}");
    }
}

#[tokio::test]
async fn logs_of_a_deployment_are_found_by_worker_and_workflow() {
    let platform = Platform::start().await;
    platform.register("demo", "me", [definition("report", "demo")]).await.ok();
    let about = |second: u64, worker: &str, workflow: &str| {
        let attributes =
            vec![text("deploymentName", "demo"), text("workerName", worker), text("workflowName", workflow)];
        record(second, &format!("{worker} {workflow}"), attributes)
    };
    let records = [about(1, "me", "report"), about(2, "you", "report"), about(3, "me", "other")];
    let answer: ExportLogsServiceResponse = sent(&platform, "logs", &logs(records), false).await;
    assert_eq!(answer.partial_success, None);

    let page = platform.get("/deployments/demo/logs?worker_name=me").await.ok();
    let bodies: Vec<_> = page["results"].as_array().unwrap().iter().map(|record| record["body"].clone()).collect();
    assert_eq!(bodies, [json!("me report"), json!("me other")]);
    let mut stream =
        Stream::open(&platform, "/deployments/demo/logs/stream?workflow_name=report&after=1970-01-01T00:00:02Z").await;
    assert_eq!(stream.data().await["body"], json!("you report"));
}

#[tokio::test]
async fn a_graph_is_kept_and_summaries_need_what_is_not_here() {
    let platform = Platform::start().await;
    let registered = platform.register("demo", "me", [definition("report", "demo")]).await.ok();
    let registration = registered["workflow_registration_ids"][0].as_str().expect("an id for each");
    let graph = json!({ "workflow_registration_id": registration, "version": 3, "graph_data": { "nodes": [1.50] }, "error": null });
    let Answer { status, body } = platform.post("/report/graphs", &graph).await;
    assert!((200..300).contains(&status), "{body}");
    let path = format!("/report/graphs/{registration}");
    assert_eq!(platform.get(&path).await.ok(), graph);

    let Answer { status, .. } = platform.post(&format!("{path}/summaries"), &json!({})).await;
    assert_eq!(status, 404, "which is how workers learn to do without");
    let mut stray = graph;
    stray["workflow_registration_id"] = json!(uuid::Uuid::from_u128(1));
    let Answer { status, body } = platform.post("/report/graphs", &stray).await;
    assert_eq!((status, &body["code"]), (404, &json!("WF_1100")));
}

#[tokio::test]
async fn metrics_are_not_kept_and_the_answer_says_so() {
    let platform = Platform::start().await;
    let gauge = Gauge { data_points: vec![NumberDataPoint::default(); 3] };
    let metric = Metric { name: "m".into(), data: Some(Data::Gauge(gauge)), ..Metric::default() };
    let scope = ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() };
    let resource = ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() };
    let request = ExportMetricsServiceRequest { resource_metrics: vec![resource] };
    let answer: ExportMetricsServiceResponse = sent(&platform, "metrics", &request, true).await;
    assert_eq!(answer.partial_success.unwrap().rejected_data_points, 3);
}

#[tokio::test]
async fn what_is_no_telemetry_is_refused() {
    let platform = Platform::start().await;
    let post = async |content_type: &str, packing: &str, body: Vec<u8>| {
        let request = platform.request(Method::POST, "/telemetry/v1/logs");
        let request = request.header("content-type", content_type).header("content-encoding", packing).body(body);
        answered(request).await.status
    };
    let protobuf = "application/x-protobuf";
    assert_eq!(post("application/json", "identity", b"{}".to_vec()).await, 415);
    assert_eq!(post(protobuf, "br", vec![]).await, 415);
    assert_eq!(post(protobuf, "gzip", b"no gzip".to_vec()).await, 400);
    assert_eq!(post(protobuf, "identity", vec![0xff; 7]).await, 400);
    assert_eq!(
        post(protobuf, "gzip", packed(&vec![0; 64 * 1024 * 1024])).await,
        413,
        "a small body that is a large one"
    );
    assert_eq!(post(protobuf, "identity", vec![]).await, 200);
}

async fn sent<M: Message + Default>(platform: &Platform, path: &str, message: &impl Message, pack: bool) -> M {
    let mut request = platform.request(Method::POST, &format!("/telemetry/v1/{path}"));
    request = request.header("content-type", "application/x-protobuf");
    let body = message.encode_to_vec();
    request = if pack { request.header("content-encoding", "gzip").body(packed(&body)) } else { request.body(body) };
    let response = request.send().await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()["content-type"]),
        (StatusCode::OK, &"application/x-protobuf".parse().unwrap())
    );
    M::decode(response.bytes().await.unwrap()).unwrap()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn traces(spans: impl Into<Vec<Span>>) -> ExportTraceServiceRequest {
    let scope = ScopeSpans { spans: spans.into(), ..ScopeSpans::default() };
    let resource = Resource { attributes: vec![text("service.name", "worker")], ..Resource::default() };
    let resource = ResourceSpans { resource: Some(resource), scope_spans: vec![scope], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource] }
}

fn span_of(trace: [u8; 16], id: u8, parent: u8) -> Span {
    let id_of = |id: u8| vec![0, 0, 0, 0, 0, 0, 0, id];
    Span {
        trace_id: trace.to_vec(),
        span_id: id_of(id),
        parent_span_id: id_of(parent),
        kind: span::SpanKind::Internal as i32,
        start_time_unix_nano: u64::from(id) * 10,
        end_time_unix_nano: 100,
        ..Span::default()
    }
}

fn logs(records: impl Into<Vec<LogRecord>>) -> ExportLogsServiceRequest {
    let scope = ScopeLogs { log_records: records.into(), ..ScopeLogs::default() };
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { scope_logs: vec![scope], ..ResourceLogs::default() }],
    }
}

fn record(second: u64, body: &str, attributes: Vec<KeyValue>) -> LogRecord {
    LogRecord {
        time_unix_nano: second * 1_000_000_000,
        severity_text: "INFO".into(),
        body: Some(AnyValue { value: Some(Any::StringValue(body.into())) }),
        attributes,
        ..LogRecord::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Any::StringValue(value.into()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, Any::IntValue(value))
}

fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
