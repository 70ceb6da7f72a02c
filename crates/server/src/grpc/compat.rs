//! `docs/compat.md` says of every method whether it is built; here it is held to that.

use super::{OPERATOR_SERVICE, WORKFLOW_SERVICE};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};

const DOCUMENT: &str = include_str!("../../../../docs/compat.md");

#[test]
fn the_document_agrees_with_what_is_built_of_the_workflow_service() {
    agrees("WorkflowService", WORKFLOW_SERVICE);
}

#[test]
fn the_document_agrees_with_what_is_built_of_the_operator_service() {
    agrees("OperatorService", OPERATOR_SERVICE);
}

#[track_caller]
fn agrees(service: &str, request_types: &[&str]) {
    let built: BTreeSet<&str> = request_types.iter().map(|name| name.strip_suffix("Request").unwrap_or(name)).collect();
    let expected: BTreeMap<String, &str> = methods(service)
        .into_iter()
        .map(|method| {
            let state = if built.contains(method.as_str()) { "built" } else { "not yet" };
            (method, state)
        })
        .collect();
    let written = rows(service);
    for (method, state) in &expected {
        assert_eq!(written.get(method.as_str()), Some(state), "{method} in docs/compat.md");
    }
    let unknown: Vec<_> = written.keys().filter(|method| !expected.contains_key(**method)).collect();
    assert!(unknown.is_empty(), "docs/compat.md has methods that {service} has not: {unknown:?}");

    let summary = format!("{} of {} are built", built.len(), expected.len());
    assert!(section(service).contains(&summary), "docs/compat.md should say of {service} that {summary}");
}

/// All methods of a service, as the protocol has them.
fn methods(service: &str) -> Vec<String> {
    let descriptors =
        prost_types::FileDescriptorSet::decode(api::DESCRIPTORS).expect("the compiled-in descriptors decode");
    let services = descriptors.file.into_iter().flat_map(|file| file.service);
    let found = services.into_iter().find(|it| it.name() == service).expect("the protocol has the service");
    found.method.iter().map(|method| method.name().to_owned()).collect()
}

/// The part of the document about a service.
fn section(service: &str) -> &'static str {
    let (_, rest) =
        DOCUMENT.split_once(&format!("## {service}\n")).expect("the document has a section for the service");
    rest.split_once("\n## ").map_or(rest, |(section, _)| section)
}

/// Method to state, from the table's rows: `| Method | state | remark |`.
fn rows(service: &str) -> BTreeMap<&'static str, &'static str> {
    section(service)
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| method"))
        .map(|line| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            (cells.next().unwrap_or_default(), cells.next().unwrap_or_default())
        })
        .collect()
}
