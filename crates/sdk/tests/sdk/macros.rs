//! What the attributes take and refuse, by the compiler's own words: each complaint must stand on the token that it is
//! about.
//!
//! The fixtures are compiled against the library that this test was built with, which takes seconds; building it once
//! more for them would take minutes.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[test]
fn the_attributes_take_what_they_should() {
    library();
}

#[test]
fn the_attributes_refuse_with_words_on_the_token() {
    check("fail_rules.rs");
}

#[test]
fn the_compiler_refuses_types_with_our_words() {
    check("fail_types.rs");
}

/// A complaint: where, at what, in which words.
#[derive(Debug, PartialEq)]
struct Complaint {
    line: u64,
    token: String,
    words: String,
}

#[track_caller]
fn check(fixture: &str) {
    let output = compile(fixture, &library());
    // What the compiler says of the attribute as a whole follows from what it said of the token.
    let mut found = complaints(&output);
    found.retain(|one| !["#[activity]", "#[workflow]"].contains(&one.token.as_str()));
    let expected = expected(fixture);
    let said = |wanted: &&Complaint| {
        found
            .iter()
            .any(|one| (one.line, &one.token) == (wanted.line, &wanted.token) && one.words.contains(&wanted.words))
    };
    let missing: Vec<_> = expected.iter().filter(|wanted| !said(wanted)).collect();
    // Of a type that will not do, it says in words of its own too what it lacks, and for the way in and the way out.
    let surprising: Vec<_> =
        found.iter().filter(|one| !expected.iter().any(|wanted| wanted.line == one.line)).collect();
    assert!(missing.is_empty() && surprising.is_empty(), "missing: {missing:#?}\nsurprising: {surprising:#?}");
}

/// What `//~ token => words` asks for.
fn expected(fixture: &str) -> Vec<Complaint> {
    let text = std::fs::read_to_string(path(fixture)).expect("the fixture is there");
    let lines = text.lines().zip(1..).filter(|(text, _)| !text.starts_with("//!")).filter_map(|(text, line)| {
        let (_, wanted) = text.split_once("//~ ")?;
        let (token, words) = wanted.split_once(" => ").expect("a token and words");
        Some(Complaint { line, token: token.to_owned(), words: words.to_owned() })
    });
    lines.collect()
}

fn complaints(output: &Output) -> Vec<Complaint> {
    let text = String::from_utf8_lossy(&output.stderr);
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let errors = messages.filter(|message| message["level"] == "error");
    errors
        .filter_map(|error| {
            let spans = error["spans"].as_array()?;
            let span = spans.iter().find(|span| span["is_primary"] == true)?;
            let text = span["text"][0]["text"].as_str().unwrap_or_default();
            let column = |name: &str| span[name].as_u64().unwrap_or(1) as usize - 1;
            let token: String = text.chars().skip(column("column_start")).collect();
            let token = match span["line_start"] == span["line_end"] {
                true => token.chars().take(column("column_end") - column("column_start")).collect(),
                false => token,
            };
            let words = error["message"].as_str().unwrap_or_default().to_owned();
            Some(Complaint { line: span["line_start"].as_u64()?, token, words })
        })
        .collect()
}

/// The library that this test was built with: the newest one that the fixture of all that is allowed compiles with.
#[track_caller]
fn library() -> PathBuf {
    let dependencies = dependencies();
    let mut candidates: Vec<_> = std::fs::read_dir(&dependencies)
        .expect("the directory of this test")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with("libtradewind-") && name.ends_with(".rlib")
        })
        .collect();
    candidates.sort_by_key(|path| path.metadata().and_then(|metadata| metadata.modified()).ok());
    let mut said = None;
    for candidate in candidates.into_iter().rev() {
        let output = compile("pass.rs", &candidate);
        if output.status.success() {
            return candidate;
        }
        said.get_or_insert_with(|| complaints(&output));
    }
    panic!("what is allowed does not compile with the newest of the libraries beside this test: {said:#?}");
}

fn compile(fixture: &str, library: &Path) -> Output {
    let directory = tempfile::tempdir().expect("a directory");
    let dependencies = dependencies();
    let mut rustc = Command::new(std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into()));
    rustc.args(["--edition", "2024", "--emit", "metadata", "--error-format", "json", "--out-dir"]);
    rustc.arg(directory.path()).arg("-L").arg(format!("dependency={}", dependencies.display()));
    rustc.arg("--extern").arg(format!("tradewind={}", library.display()));
    rustc.arg(path(fixture)).output().expect("the compiler runs")
}

fn dependencies() -> PathBuf {
    let test = std::env::current_exe().expect("this test has a path");
    test.parent().expect("it lies in a directory").to_owned()
}

fn path(fixture: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/macros").join(fixture)
}
