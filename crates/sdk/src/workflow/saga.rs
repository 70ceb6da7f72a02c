//! Undoing what was done, when what follows fails.

use super::detached;
use crate::error::{Error, Result};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use std::cell::RefCell;

type Compensation = Box<dyn FnOnce() -> LocalBoxFuture<'static, Result<()>>>;

/// The steps that can be undone: see [`saga`].
#[derive(Default)]
pub struct Saga {
    compensations: RefCell<Vec<Compensation>>,
}

impl Saga {
    /// Undoes the step just done, should a later one fail. What the undoing returns, if all is well, is left aside.
    pub fn compensate<F, T>(&self, undo: impl FnOnce() -> F + 'static)
    where
        F: Future<Output = Result<T>> + 'static,
    {
        self.compensations.borrow_mut().push(Box::new(move || undo().map(|undone| undone.map(drop)).boxed_local()));
    }
}

/// Runs steps, and if one fails, undoes those before it, last first. The error of the step is returned.
///
/// Undoing goes on although the workflow is cancelled, and although one compensation fails; the error then is of the
/// type `"CompensationFailed"` and names both.
///
/// ```
/// # use tradewind::prelude::*;
/// # #[activity] async fn book_flight(trip: u32) -> Result<u32> { Ok(trip) }
/// # #[activity] async fn cancel_flight(flight: u32) -> Result<()> { Ok(()) }
/// # #[activity] async fn book_hotel(trip: u32) -> Result<u32> { Ok(trip) }
/// #[workflow]
/// async fn book(trip: u32) -> Result<u32> {
///     workflow::saga(async |saga| {
///         let flight = book_flight(trip).await?;
///         saga.compensate(move || cancel_flight(flight));
///         book_hotel(trip).await
///     })
///     .await
/// }
/// ```
pub async fn saga<T>(steps: impl AsyncFnOnce(&Saga) -> Result<T>) -> Result<T> {
    let saga = Saga::default();
    let error = match steps(&saga).await {
        Ok(done) => return Ok(done),
        Err(error) => error,
    };
    let mut failed = Vec::new();
    let compensations = saga.compensations.into_inner();
    detached(async {
        for undo in compensations.into_iter().rev() {
            if let Err(error) = undo().await {
                failed.push(format!("{error:#}"));
            }
        }
    })
    .await;
    match failed.is_empty() {
        true => Err(error),
        false => {
            let message = format!("{error:#}; and {} compensation(s) failed: {}", failed.len(), failed.join("; "));
            Err(Error::new(message).with_type("CompensationFailed"))
        }
    }
}
