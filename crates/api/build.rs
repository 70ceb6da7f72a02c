//! Generates message types and service stubs from the descriptor set that `temporalio-protos` compiles.
//!
//! Ours differ from that crate's own types in two ways that matter to a server: payload bytes are
//! `bytes::Bytes`, so that a payload is never copied on its way through, and maps are ordered, so that
//! what is written to disk is the same on every run.

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
    tonic_prost_build::configure()
        .generate_default_stubs(true)
        .compile_fds_with_config(served, config)
        .expect("the descriptor set generates");
}
