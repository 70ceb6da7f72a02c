//! Generates message types and service stubs from the descriptor set that `temporalio-protos` compiles.
//!
//! Ours differ from that crate's own types in three ways that matter to a server: payload bytes are
//! `bytes::Bytes`, so that a payload is never copied on its way through; maps are ordered, so that
//! what is written to disk is the same on every run; and what an event or a command says is behind a
//! pointer, so that one costs what its kind costs, and not what the largest kind would.

use prost::Message;
use prost_types::FileDescriptorSet;
use std::{env, fs, path::PathBuf};

/// What the server speaks: everything else in the set (the SDK's own protocol, cloud, test server) is left out.
fn is_served(file: &str) -> bool {
    (file.starts_with("temporal/api/") && !file.starts_with("temporal/api/cloud/") && !file.starts_with("temporal/api/testservice/"))
        || file == "google/rpc/status.proto"
        // Well-known types: generated as references to prost-types, but their shape must be known.
        || file.starts_with("google/protobuf/")
}

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let path = env::var("DEP_TEMPORALIO_PROTOS_DESCRIPTOR_PATH")
        .expect("temporalio-protos passes the path of its descriptor set through its links metadata");
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
    let all = FileDescriptorSet::decode(bytes.as_slice()).expect("a descriptor set");

    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join("descriptors.bin"), &bytes).expect("OUT_DIR is writable");

    let served = FileDescriptorSet { file: all.file.into_iter().filter(|file| is_served(file.name())).collect() };
    let mut config = tonic_prost_build::Config::new();
    config.bytes(["."]).btree_map(["."]).enable_type_names().include_file("api.rs");
    for (message, oneof) in [("history.v1.HistoryEvent", "attributes"), ("command.v1.Command", "attributes")] {
        for field in fields_of(&served, message) {
            config.boxed(format!(".temporal.api.{message}.{oneof}.{field}"));
        }
    }
    tonic_prost_build::configure()
        .generate_default_stubs(true)
        .compile_fds_with_config(served, config)
        .expect("the descriptor set generates");
}

/// The names of the alternatives of a message of `temporal.api`.
fn fields_of(set: &FileDescriptorSet, message: &str) -> Vec<String> {
    let (package, name) = message.rsplit_once('.').expect("a message is in a package");
    let package = format!("temporal.api.{package}");
    let file = set.file.iter().filter(|file| file.package() == package).flat_map(|file| &file.message_type);
    let message = file.filter(|message| message.name() == name).flat_map(|message| &message.field);
    let names: Vec<_> = message.filter(|it| it.oneof_index.is_some()).map(|it| it.name().to_owned()).collect();
    assert!(!names.is_empty(), "{package}.{name} has alternatives");
    names
}
