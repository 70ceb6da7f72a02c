//! Bytes that are no protocol, or only the beginning of one.

use super::{server::Server, wire_format::Random};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[tokio::test]
async fn noise_on_a_port_ends_its_own_connection_only() {
    let server = Server::start().await;
    let mut random = Random(1);
    for port in [server.grpc, server.http] {
        for length in [1, 10, 100, 10_000, 300_000] {
            let noise = random.bytes(length);
            send(port, &noise).await;
        }
        send(port, b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n").await;
        send(port, b"GET /%ff%00../../etc/passwd HTTP/1.1\r\nHost: \xff\r\n\r\n").await;
        send(port, b"POST /temporal.api.workflowservice.v1.WorkflowService/GetSystemInfo HTTP/1.1\r\n\r\n").await;
        let long_header = [b"GET / HTTP/1.1\r\nX: ".as_slice(), &vec![b'a'; 2_000_000], b"\r\n\r\n"].concat();
        send(port, &long_header).await;
        server.assert_answers().await;
    }
    server.assert_unharmed().await;
}

#[tokio::test]
async fn broken_frames_end_their_own_connection_only() {
    let server = Server::start().await;
    let mut random = Random(2);
    let settings = frame(4, 0, 0, &[]);
    for port in [server.grpc, server.http] {
        // A preface and nothing, half a frame header, a frame that promises more than comes.
        send(port, PREFACE).await;
        send(port, &[PREFACE, &settings, &[0, 0]].concat()).await;
        send(port, &[PREFACE, &settings, &[0, 0xff, 0xff, 1, 4, 0, 0, 0, 1, 0x82]].concat()).await;
        // Data and a window for streams that do not exist, a window that overflows, a settings frame of a wrong size.
        send(port, &[PREFACE, &settings, &frame(0, 1, 99, b"data")].concat()).await;
        send(port, &[PREFACE, &settings, &frame(8, 0, 0, &[0x7f, 0xff, 0xff, 0xff])].concat()).await;
        send(port, &[PREFACE, &frame(4, 0, 0, &[0, 1, 2])].concat()).await;
        // Headers that are no HPACK, headers that never end, and many streams that are reset at once.
        send(port, &[PREFACE, &settings, &frame(1, 4, 1, &[0xff; 64])].concat()).await;
        let endless: Vec<u8> = (0..200).flat_map(|_| frame(9, 0, 1, &[0; 16_000])).collect();
        send(port, &[PREFACE, &settings, &frame(1, 0, 1, &[0x82]), &endless].concat()).await;
        let resets: Vec<u8> = (0..5_000)
            .flat_map(|n| [frame(1, 4, 2 * n + 1, &[0x82, 0x86, 0x84]), frame(3, 0, 2 * n + 1, &[0; 4])].concat())
            .collect();
        send(port, &[PREFACE, &settings, &resets].concat()).await;
        for _ in 0..100 {
            let (kind, flags, stream) = (random.next() as u8 % 12, random.next() as u8, random.next() as u32 % 4);
            let length = random.below(200);
            let body = random.bytes(length);
            send_and_leave(port, &[PREFACE, &settings, &frame(kind, flags, stream, &body)].concat()).await;
        }
        server.assert_answers().await;
    }
    server.assert_unharmed().await;
}

#[tokio::test]
async fn connections_that_say_nothing_stop_nobody() {
    let server = Server::start().await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(TcpStream::connect(("127.0.0.1", server.grpc)).await.expect("it listens"));
        silent.push(TcpStream::connect(("127.0.0.1", server.http)).await.expect("it listens"));
    }
    server.assert_answers().await;
    drop(silent);
    server.assert_unharmed().await;
}

fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), body].concat()
}

/// Sends, and listens until the server is done with the connection or has nothing to say.
async fn send(port: u16, bytes: &[u8]) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    // The server may hang up in the middle.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_millis(100), stream.read_to_end(&mut answer)).await;
}

async fn send_and_leave(port: u16, bytes: &[u8]) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    let _ = stream.write_all(bytes).await;
}
