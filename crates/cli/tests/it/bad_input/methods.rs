//! Every method that the protocol has, built or not, with bytes that are no message of its own.

use super::{
    server::{OPERATOR, Server, WORKFLOW, assert_no_fault_of_the_server},
    wire_format::{Random, mutate},
};
use prost::Message;
use std::time::Duration;
use tonic::Code;

const TIMEOUT: Duration = Duration::from_millis(500);

#[tokio::test]
async fn every_method_survives_bytes_that_are_not_its_message() {
    let server = Server::start().await;
    let methods = methods();
    assert!(methods.len() > 100, "the descriptors name {} methods", methods.len());
    let mut random = Random(3);
    for path in &methods {
        let mut bodies = vec![vec![], vec![0xff, 0xff, 0xff], vec![0x0a; 1_000]];
        bodies.extend((0..3).map(|length| random.bytes(length * 40 + 1)));
        // A group that never ends, and messages in messages.
        bodies.push(vec![0x0b; 300]);
        bodies.push((0..200).fold(Vec::new(), |inner, _| nested(1, inner)));
        // A right namespace, and fields of any kind behind it.
        for _ in 0..6 {
            let mut body = nested(1, b"default".to_vec());
            body.extend(mutate(&[], &mut random));
            bodies.push(body);
        }
        for body in bodies {
            if let Err(status) = server.call(path, body, TIMEOUT).await {
                assert_no_fault_of_the_server(path, &status);
            }
        }
    }
    server.assert_unharmed().await;
}

#[tokio::test]
async fn methods_that_do_not_exist_are_unimplemented() {
    let server = Server::start().await;
    let none = format!("/{WORKFLOW}/NoSuchMethod");
    for path in [none.as_str(), "/no.such.Service/Method", "/", "/x", "//", "/%00"] {
        let refused = server.call(path, Vec::new(), TIMEOUT).await.expect_err("there is no such method");
        assert_eq!(refused.code(), Code::Unimplemented, "{path}: {refused:?}");
    }
    server.assert_unharmed().await;
}

#[tokio::test]
async fn a_message_above_the_limit_is_refused() {
    let server = Server::start().await;
    let start = format!("/{WORKFLOW}/StartWorkflowExecution");
    let refused =
        server.call(&start, vec![0x0a; 5_000_000], Duration::from_secs(10)).await.expect_err("it is too large");
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    server.assert_unharmed().await;
}

/// The paths of both services' methods. DeleteNamespace is told nothing at random, which might be true.
fn methods() -> Vec<String> {
    let set = prost_types::FileDescriptorSet::decode(api::DESCRIPTORS).expect("the descriptors decode");
    let mut paths = Vec::new();
    for file in &set.file {
        for service in &file.service {
            let name = format!("{}.{}", file.package(), service.name());
            if [WORKFLOW, OPERATOR].contains(&name.as_str()) {
                paths.extend(service.method.iter().map(|method| format!("/{name}/{}", method.name())));
            }
        }
    }
    paths.retain(|path| !path.ends_with("/DeleteNamespace"));
    paths
}

fn nested(number: u8, inner: Vec<u8>) -> Vec<u8> {
    let mut outer = vec![number << 3 | 2];
    prost::encoding::encode_varint(inner.len() as u64, &mut outer);
    outer.extend(inner);
    outer
}
