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
    let boxed: Box<dyn std::error::Error + Send + Sync> = Error::cancelled().into();
    assert!(Error::new(boxed).to_string().contains("cancelled"));
    let boxed: Box<dyn std::error::Error + Send + Sync> = Error::from(parse()).into();
    assert!(boxed.downcast_ref::<std::num::ParseIntError>().is_some());
}

#[test]
fn cancelled_is_not_failed() {
    let error = Error::cancelled();
    assert!(error.is_cancelled());
    assert!(matches!(error.into_activity_error(), ActivityError::Cancelled { .. }));
}
