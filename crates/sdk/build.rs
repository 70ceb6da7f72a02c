//! Keeps the descriptors of the API's messages, from which JSON of histories is read.

use std::{env, fs, path::PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let path = env::var("DEP_TEMPORALIO_PROTOS_DESCRIPTOR_PATH")
        .expect("temporalio-protos passes the path of its descriptor set through its links metadata");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::copy(&path, out.join("descriptors.bin")).unwrap_or_else(|error| panic!("cannot copy {path}: {error}"));
}
