//! Starts the binary as a user would, and reads what it says.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

#[test]
fn dev_says_where_everything_is_and_ends_well_at_sigterm() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Dev::start(&data, &["--namespace", "orders"]);

    assert!(server.summary.contains("gRPC        127.0.0.1:"), "{}", server.summary);
    assert!(server.summary.contains("HTTP        http://127.0.0.1:"), "{}", server.summary);
    assert!(server.summary.contains(&format!("data        {}", data.display())), "{}", server.summary);
    assert!(server.summary.contains("namespaces  default, orders"), "{}", server.summary);
    server.end_with("TERM", 0);
}

#[test]
fn a_second_server_on_the_same_data_is_refused_with_a_reason() {
    let directory = tempfile::tempdir().unwrap();
    let first = Dev::start(directory.path(), &[]);

    let second = tradewind().args(dev_on(directory.path())).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let reason = error(&second);
    assert!(reason.contains("is in use by process") && reason.contains(&first.process.id().to_string()), "{reason}");
    first.end_with("INT", 0);
}

#[test]
fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let refused = tradewind().args(["server", "start-dev", "--headless", "--port", &port]).output().unwrap();

    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(error(&refused), format!("error: cannot listen on 127.0.0.1:{port}: another process uses this port\n"));
}

#[test]
fn a_key_is_asked_for_and_shown_nowhere() {
    let directory = tempfile::tempdir().unwrap();
    let server = Dev::start(directory.path(), &["--api-key", "ci s3cret", "--log-level", "trace"]);

    assert!(server.summary.contains("access      an API key is needed"), "{}", server.summary);
    assert!(!server.summary.contains("s3cret"), "{}", server.summary);
    server.end_with("TERM", 0);
}

#[test]
fn an_open_address_needs_a_key_or_a_word_that_it_is_meant() {
    let directory = tempfile::tempdir().unwrap();
    let refused = tradewind().args(dev_on(directory.path())).args(["--ip", "0.0.0.0"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let reason = error(&refused);
    assert!(reason.contains("--api-key") && reason.contains("--insecure-no-auth"), "{reason}");

    let told = Dev::start(directory.path(), &["--ip", "0.0.0.0", "--insecure-no-auth"]);
    assert!(told.summary.contains("access      NO API KEY IS NEEDED"), "{}", told.summary);
    told.end_with("TERM", 0);
}

#[test]
fn a_key_that_cannot_be_sent_is_refused_and_not_repeated() {
    let directory = tempfile::tempdir().unwrap();
    for (key, reason) in [("", "the API key is empty"), ("ci s3crët", "visible ASCII characters")] {
        for refused in [
            tradewind().args(dev_on(directory.path())).args(["--api-key", key]).output().unwrap(),
            tradewind().args(dev_on(directory.path())).env("TRADEWIND_API_KEY", key).output().unwrap(),
        ] {
            assert_eq!(refused.status.code(), Some(1));
            let told = error(&refused);
            assert!(told.contains(reason) && !told.contains("s3cr"), "{told}");
        }
    }
}

#[test]
fn a_setting_that_does_not_exist_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tradewind.toml");
    std::fs::write(&file, "[storage]\ndirectry = \"x\"\n").unwrap();
    let refused = tradewind().arg("dev").arg("--config").arg(&file).output().unwrap();

    assert_eq!(refused.status.code(), Some(1));
    let reason = error(&refused);
    assert!(reason.contains("directry") && reason.contains("tradewind.toml"), "{reason}");
}

#[test]
fn the_printed_configuration_is_accepted_as_one() {
    let directory = tempfile::tempdir().unwrap();
    let printed = tradewind().arg("config").output().unwrap();
    let file = directory.path().join("tradewind.toml");
    std::fs::write(&file, printed.stdout).unwrap();

    let server = Dev::start(&directory.path().join("data"), &["--config", file.to_str().unwrap()]);
    server.end_with("TERM", 0);
}

/// A running `tradewind dev` on free ports. Killed if a test fails before it ends.
struct Dev {
    process: Child,
    summary: String,
}

impl Dev {
    #[track_caller]
    fn start(data: &Path, more: &[&str]) -> Dev {
        let mut command = tradewind();
        command.args(dev_on(data)).args(more).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut process = command.spawn().expect("the binary starts");
        let output = BufReader::new(process.stdout.take().expect("piped"));
        let mut summary = String::new();
        for line in output.lines() {
            let line = line.expect("it prints text");
            summary.push_str(&line);
            summary.push('\n');
            if line.starts_with("Stop with") {
                return Dev { process, summary };
            }
        }
        panic!("it ended with {:?} after saying: {summary}", process.wait());
    }

    #[track_caller]
    fn end_with(mut self, signal: &str, code: i32) {
        let sent = Command::new("kill").args(["-s", signal, &self.process.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
        assert_eq!(self.process.wait().expect("it ends").code(), Some(code));
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // Both fail once it has ended, which is how it should be.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn dev_on(data: &Path) -> Vec<String> {
    ["dev", "--port", "0", "--http-port", "0", "--data-dir", data.to_str().expect("a plain path")]
        .map(str::to_owned)
        .to_vec()
}

fn tradewind() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tradewind"))
}

fn error(output: &Output) -> String {
    let mut text = String::new();
    output.stderr.as_slice().read_to_string(&mut text).expect("errors are text");
    text
}
