//! Who may use whom: the drawing in ARCHITECTURE.md, held against `cargo metadata`.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// What each crate may name in its `[dependencies]`. `bench` is for development, so it may name anything
/// and nothing may name it.
const MAY_USE: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("core", &["api"]),
    ("store", &["api", "core"]),
    ("engine", &["api", "core", "store"]),
    ("server", &["api", "core", "store", "engine"]),
    ("mistral", &["api", "core", "store", "engine", "server"]),
    ("sdk-macros", &[]),
    // Server and worker in one process; they still meet on the wire only.
    ("sdk", &["sdk-macros", "server"]),
    ("cli", &["api", "core", "store", "engine", "server", "mistral"]),
];
const DEVELOPMENT_ONLY: &[&str] = &["bench"];

#[test]
fn crates_use_only_what_lies_below_them() {
    let rules: BTreeMap<_, _> = MAY_USE.iter().copied().collect();
    for (name, used) in workspace() {
        if DEVELOPMENT_ONLY.contains(&name.as_str()) {
            continue;
        }
        let allowed = rules.get(name.as_str()).unwrap_or_else(|| panic!("crate {name} has no rule here"));
        for other in used {
            assert!(allowed.contains(&other.as_str()), "{name} may not use {other}");
        }
    }
}

/// Our crates, by their names without the common prefix, and what each needs of the others when it is built
/// as a dependency.
fn workspace() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");

    let packages = metadata["packages"].as_array().expect("packages");
    packages.iter().map(|package| (ours(&package["name"]).expect("a crate of ours"), uses(package))).collect()
}

fn uses(package: &Value) -> BTreeSet<String> {
    let dependencies = package["dependencies"].as_array().expect("dependencies");
    let built = dependencies.iter().filter(|dependency| dependency["kind"] != "dev");
    built.filter_map(|dependency| ours(&dependency["name"])).collect()
}

/// The SDK has the plain name, because it is what users depend on.
fn ours(name: &Value) -> Option<String> {
    match name.as_str().expect("a name") {
        "tradewind" => Some("sdk".to_owned()),
        name => name.strip_prefix("tradewind-").map(str::to_owned),
    }
}
