//! Errors on this side of the wire.

use super::*;
use temporalio_common::ActivityError;

#[derive(Debug, thiserror::Error)]
#[error("outer")]
struct Outer(#[source] std::num::ParseIntError);

fn parse() -> std::num::ParseIntError {
    "x".parse::<u8>().unwrap_err()
}

#[test]
fn any_standard_error_converts_and_gives_its_name_and_causes() {
    let error = Error::from(Outer(parse()));
    assert_eq!((error.kind(), error.failure_type()), (Kind::Application, Some("Outer")));
    assert!(error.is::<Outer>() && error.downcast_ref::<Outer>().is_some());
    assert_eq!(format!("{error}"), "outer");
    assert_eq!(format!("{error:#}"), "outer: invalid digit found in string");
}

#[test]
fn what_is_said_about_an_error_reaches_the_platform() {
    let error = Error::from(Outer(parse())).no_retry().with_details(7_u8).benign();
    assert_eq!(error.details::<u8>().unwrap(), Some(7));
    let ActivityError::Application(failure) = error.into_activity_error() else { panic!("an application failure") };
    assert_eq!(failure.type_name(), Some("Outer"));
    assert!(failure.is_non_retryable());
    assert_eq!(failure.details::<u8>().unwrap(), Some(7));
}

#[test]
fn an_error_in_a_box_and_back_is_the_same() {
    let error = Error::from(Error::cancelled().into_boxed());
    assert!(error.is_cancelled());
    let error = Error::from(Error::from(parse()).no_retry().with_type("NotANumber").into_boxed());
    assert_eq!((error.failure_type(), error.is_non_retryable()), (Some("NotANumber"), true));
}

#[test]
fn what_stands_for_an_error_converts_and_has_no_name_of_its_own() {
    fn refuse(text: &'static str) -> Result<()> {
        Err(text)?
    }
    let anyhow = || anyhow::Error::from(parse()).context("no number");
    let boxed: Box<dyn std::error::Error + Send + Sync> = parse().into();
    for error in [refuse("no").unwrap_err(), "no".to_owned().into(), boxed.into(), anyhow().into()] {
        assert_eq!((error.kind(), error.failure_type()), (Kind::Application, None), "{error}");
    }
    assert_eq!(format!("{:#}", Error::from(anyhow())), "no number: invalid digit found in string");
}

#[test]
fn a_cause_that_an_error_says_itself_is_said_once() {
    #[derive(Debug, thiserror::Error)]
    #[error("no number: {0}")]
    struct Says(#[source] std::num::ParseIntError);

    assert_eq!(format!("{:#}", Error::new(Says(parse()))), "no number: invalid digit found in string");
}

#[test]
fn cancelled_is_not_failed() {
    let error = Error::cancelled();
    assert!(error.is_cancelled());
    assert!(matches!(error.into_activity_error(), ActivityError::Cancelled { .. }));
}
