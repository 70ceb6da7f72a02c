use super::*;
use http::HeaderValue;
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000_000);
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ANYWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

#[test]
fn the_right_key_comes_in_under_its_name() {
    let keys = keys(&["ci s3cret", "0ther"]);

    assert_eq!(admitted(&keys, "Bearer s3cret").unwrap(), "ci");
    assert_eq!(admitted(&keys, "bearer  s3cret ").unwrap(), "ci");
    let unnamed = admitted(&keys, "Bearer 0ther").unwrap();
    assert!(unnamed.starts_with("key-") && unnamed.len() == 20, "{unnamed}");
}

#[test]
fn two_keys_may_have_one_name_while_they_are_exchanged() {
    let keys = keys(&["ci old", "ci new"]);
    assert_eq!([admitted(&keys, "Bearer old").unwrap(), admitted(&keys, "Bearer new").unwrap()], ["ci", "ci"]);
}

#[test]
fn a_pass_lets_its_holder_in_under_another_name_for_a_while() {
    let held = keys(&["ci s3cret", "0ther"]);
    let pass = format!("Bearer {}", held.issue_pass("ada", NOW));

    assert_eq!(admitted(&held, &pass).unwrap(), "ada");
    assert_eq!(admitted_at(&held, &pass, NOW + pass::LIFETIME), Err(Refusal::Unknown));
    let after_a_restart = keys(&["0ther", "ci s3cret"]);
    assert_eq!(admitted(&after_a_restart, &pass).unwrap(), "ada");
    let after_an_exchange = keys(&["ci s3cret", "another"]);
    assert_eq!(admitted(&after_an_exchange, &pass), Err(Refusal::Unknown));
}

#[test]
fn a_pass_that_was_changed_lets_nobody_in() {
    let keys = keys(&["s3cret"]);
    let pass = keys.issue_pass("ada", NOW);
    for at in 0..pass.len() {
        let mut changed = pass.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(admitted(&keys, &format!("Bearer {changed}")), Err(Refusal::Unknown), "byte {at}");
    }
    let (signed, _) = pass.rsplit_once('.').unwrap();
    for unsigned in [signed.to_owned(), format!("{signed}."), format!("eyJhbGciOiJub25lIn0.{signed}.")] {
        assert_eq!(admitted(&keys, &format!("Bearer {unsigned}")), Err(Refusal::Unknown), "{unsigned}");
    }
}

#[test]
fn everything_else_stays_outside() {
    let keys = keys(&["s3cret"]);

    assert_eq!(keys.admit(&HeaderMap::new(), NOW), Err(Refusal::Missing));
    for malformed in ["", "s3cret", "Bearer", "Bearer ", "Bearers3cret", "Basic s3cret", "Bearer s3cret s3cret", "é"] {
        assert_eq!(admitted(&keys, malformed), Err(Refusal::Malformed), "{malformed:?}");
    }
    for unknown in ["Bearer s3cre", "Bearer s3cret!", "Bearer S3CRET", "Bearer \u{e9}", "Bearer ,"] {
        assert_eq!(admitted(&keys, unknown), Err(Refusal::Unknown), "{unknown:?}");
    }
    let mut twice = headers("Bearer s3cret");
    twice.append(AUTHORIZATION, HeaderValue::from_static("Bearer s3cret"));
    assert_eq!(keys.admit(&twice, NOW), Err(Refusal::Malformed), "which of them counts is not for us to guess");
}

#[test]
fn without_keys_everybody_comes_in_on_loopback_only() {
    let off = Keys::load(&config::Auth::default(), LOOPBACK).unwrap();
    assert_eq!(off.admit(&HeaderMap::new(), NOW), Ok(None));
    Keys::load(&config::Auth::default(), IpAddr::V6(Ipv6Addr::LOCALHOST)).expect("loopback as well");

    let refused = Keys::load(&config::Auth::default(), ANYWHERE).unwrap_err().to_string();
    assert!(refused.starts_with("0.0.0.0 is not a loopback address") && refused.contains("--insecure-no-auth"));
    let told = config::Auth { insecure_no_auth: true, ..config::Auth::default() };
    assert!(Keys::load(&told, ANYWHERE).unwrap().are_off());
    let keyed = config::Auth { api_keys: vec!["k".into()], ..config::Auth::default() };
    assert_eq!(Keys::load(&keyed, ANYWHERE).unwrap().count(), 1);
}

#[test]
fn keys_come_from_a_file_as_well() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "# who may come in\n\nci s3cret\n  0ther  ").unwrap();
    let settings = config::Auth {
        api_keys: vec!["third".into()],
        api_keys_file: Some(file.path().to_owned()),
        ..config::Auth::default()
    };

    let keys = Keys::load(&settings, ANYWHERE).unwrap();
    assert_eq!(keys.count(), 3);
    for key in ["s3cret", "0ther", "third"] {
        admitted(&keys, &format!("Bearer {key}")).expect(key);
    }
}

#[test]
fn a_file_that_gives_no_key_is_refused_with_its_name() {
    let refused = |text: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let settings = config::Auth { api_keys_file: Some(file.path().to_owned()), ..config::Auth::default() };
        let refused = Keys::load(&settings, LOOPBACK).unwrap_err().to_string();
        refused.strip_prefix(file.path().to_str().unwrap()).expect("it begins with the path").to_owned()
    };

    assert_eq!(refused("# none\n"), ": there is no API key in it");
    assert_eq!(
        refused("good\nbäd\n"),
        ", line 2: an API key consists of visible ASCII characters; the one at position 2 is something else"
    );
    assert_eq!(
        refused("na/me key\n"),
        ", line 1: the name of an API key has 1 to 128 letters, digits, '-', '_' and '.'"
    );
}

#[test]
fn a_bad_key_is_refused_without_being_repeated() {
    let refused = |key: &str| {
        let settings = config::Auth { api_keys: vec!["good".into(), key.into()], ..config::Auth::default() };
        Keys::load(&settings, LOOPBACK).unwrap_err().to_string()
    };

    assert_eq!(refused(""), "auth.api_keys[1]: the API key is empty");
    assert_eq!(refused("  "), "auth.api_keys[1]: the API key is empty");
    assert_eq!(
        refused(&"x".repeat(4_097)),
        "auth.api_keys[1]: the API key has 4097 characters; at most 4096 are allowed"
    );
    for bad in ["name se cret", "s3cr\u{0}et", "s3crët"] {
        let refused = refused(bad);
        assert!(!refused.contains("cr"), "{refused}");
    }
}

#[test]
fn no_key_is_shown() {
    let settings = config::Auth { api_keys: vec!["ci s3cret".into()], ..config::Auth::default() };
    let keys = Keys::load(&settings, LOOPBACK).unwrap();

    let written = [format!("{settings:?} {keys:?}"), toml::to_string(&settings).unwrap()].concat();
    assert!(!written.contains("s3cret"), "{written}");
}

fn keys(keys: &[&str]) -> Keys {
    let api_keys = keys.iter().map(|key| ApiKey::from(*key)).collect();
    Keys::load(&config::Auth { api_keys, ..config::Auth::default() }, LOOPBACK).expect("the keys are good")
}

fn admitted(keys: &Keys, header: &str) -> Result<String, Refusal> {
    admitted_at(keys, header, NOW)
}

fn admitted_at(keys: &Keys, header: &str, now: Timestamp) -> Result<String, Refusal> {
    keys.admit(&headers(header), now).map(|caller| caller.expect("keys are on").name.to_string())
}

fn headers(authorization: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_bytes(authorization.as_bytes()).expect("a header"));
    headers
}
