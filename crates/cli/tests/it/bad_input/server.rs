//! A server to be mistreated, and calls whose messages are any bytes.

use api::workflowservice::v1::GetSystemInfoRequest;
use bench::{
    client::{Client, ClientOptions},
    server_process::{ServerCommand, ServerProcess},
};
use bytes::{Buf, BufMut, Bytes};
use std::{net::TcpListener, path::PathBuf, time::Duration};
use tempfile::TempDir;
use tonic::{
    Code, Request, Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};

pub(crate) const WORKFLOW: &str = "temporal.api.workflowservice.v1.WorkflowService";
pub(crate) const OPERATOR: &str = "temporal.api.operatorservice.v1.OperatorService";

pub(crate) struct Server {
    process: Option<ServerProcess>,
    pub(crate) client: Client,
    pub(crate) grpc: u16,
    pub(crate) http: u16,
    channel: Channel,
    log: PathBuf,
    directory: Option<TempDir>,
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(directory) = self.directory.take()
        {
            eprintln!("the server's data and log stay in {}", directory.keep().display());
        }
    }
}

impl Server {
    pub(crate) async fn start() -> Server {
        let directory = tempfile::tempdir().expect("a directory");
        let (grpc, http) = (free_port(), free_port());
        let log = directory.path().join("server.log");
        let command = format!(
            "{} dev --port {grpc} --http-port {http} --data-dir {} --search-attribute CustomIntField=Int",
            env!("CARGO_BIN_EXE_tradewind"),
            directory.path().join("data").display()
        );
        let options = ClientOptions { address: format!("127.0.0.1:{grpc}"), ..ClientOptions::default() };
        let command = ServerCommand { command, log: Some(log.clone()) };
        let process = ServerProcess::spawn_ready(&command, &options).await.expect("it starts");
        let client = Client::new(options).expect("a good address");
        let channel = Endpoint::from_shared(format!("http://127.0.0.1:{grpc}")).expect("a good address").connect_lazy();
        Server { process: Some(process), client, grpc, http, channel, log, directory: Some(directory) }
    }

    /// Calls a method with these bytes for its message.
    pub(crate) async fn call(&self, path: &str, message: Vec<u8>, timeout: Duration) -> Result<Bytes, Status> {
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let mut request = Request::new(Bytes::from(message));
        request.set_timeout(timeout);
        let path = PathAndQuery::try_from(path).expect("a method's path");
        client.unary(request, path, AnyBytes).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn assert_answers(&self) {
        let asked = self.client.once(GetSystemInfoRequest {}, Duration::from_secs(10), |mut rpc, request| async move {
            rpc.get_system_info(request).await
        });
        asked.await.expect("it still answers");
    }

    /// The last word of every test: it answers, has complained of nothing, and ends when it is told to.
    pub(crate) async fn assert_unharmed(mut self) {
        self.assert_answers().await;
        let process = self.process.take().expect("it has not ended before");
        let ended = process.terminate(Duration::from_secs(20)).await.expect("it ends");
        assert_eq!(ended.status.code(), Some(0));
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let bad: Vec<_> = log.lines().filter(|it| it.contains("panick") || it.contains("ERROR")).collect();
        assert!(bad.is_empty(), "the server's log:\n{}", bad.join("\n"));
    }
}

/// What no input may bring about. Bytes that are no message at all are INTERNAL in gRPC itself, as they are with
/// the reference server.
#[track_caller]
pub(crate) fn assert_no_fault_of_the_server(what: &str, status: &Status) {
    let undecodable = status.message().starts_with("failed to decode Protobuf message");
    let bad = match status.code() {
        Code::Internal => !undecodable,
        Code::Unknown | Code::DataLoss | Code::Unavailable => true,
        _ => false,
    };
    assert!(!bad, "{what}: {status:?}");
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound listener has an address").port()
}

/// Messages as they are.
#[derive(Default)]
struct AnyBytes;

impl Codec for AnyBytes {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = AnyBytes;
    type Decoder = AnyBytes;

    fn encoder(&mut self) -> AnyBytes {
        AnyBytes
    }

    fn decoder(&mut self) -> AnyBytes {
        AnyBytes
    }
}

impl Encoder for AnyBytes {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for AnyBytes {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
