//! A reader of server-sent events that takes them one by one, and as slowly as a test likes.

use crate::testkit::{PATIENCE, Platform};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::collections::VecDeque;

pub struct Stream {
    bytes: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    buffer: Vec<u8>,
    frames: VecDeque<Frame>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Frame {
    pub id: Option<String>,
    pub event: Option<String>,
    pub data: Value,
}

impl Stream {
    #[track_caller]
    pub fn open(platform: &Platform, path: &str) -> impl Future<Output = Stream> {
        Stream::resume(platform, path, None)
    }

    pub async fn resume(platform: &Platform, path: &str, last_event_id: Option<i64>) -> Stream {
        let mut request = platform.request(Method::GET, &format!("/v1/workflows{path}"));
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id.to_string());
        }
        let response = request.send().await.expect("the server answers");
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(header(response.headers(), "content-type"), "text/event-stream");
        Stream { bytes: response.bytes_stream().boxed(), buffer: Vec::new(), frames: VecDeque::new() }
    }

    /// The next frame; `None` once the server has ended the stream.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Some(frame);
            }
            let more = tokio::time::timeout(PATIENCE, self.bytes.next()).await.expect("something comes in time");
            self.buffer.extend_from_slice(&more?.expect("the connection holds"));
            while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                self.frames.extend(parse(std::str::from_utf8(&block).expect("frames are text")));
            }
        }
    }

    /// The data of the next event.
    pub async fn data(&mut self) -> Value {
        self.next().await.expect("the stream goes on").data
    }

    /// The ids of the next events.
    pub async fn event_ids(&mut self, count: usize) -> Vec<String> {
        let mut ids = Vec::with_capacity(count);
        for _ in 0..count {
            let data = self.data().await;
            ids.push(data["data"]["event_id"].as_str().unwrap_or_else(|| panic!("no event: {data}")).to_owned());
        }
        ids
    }
}

fn parse(block: &str) -> Option<Frame> {
    let mut frame = Frame::default();
    let mut said = false;
    for line in block.lines().filter(|line| !line.is_empty() && !line.starts_with(':')) {
        let (field, value) = line.split_once(": ").expect("a field and its value");
        said = true;
        match field {
            "id" => frame.id = Some(value.to_owned()),
            "event" => frame.event = Some(value.to_owned()),
            "data" => frame.data = serde_json::from_str(value).expect("data is one line of JSON"),
            other => panic!("unknown field {other}"),
        }
    }
    said.then_some(frame)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().expect("headers are text"))
}
