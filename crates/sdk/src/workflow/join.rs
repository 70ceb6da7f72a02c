//! Many at once, in an order that a replay repeats.
//!
//! Invariants
//! - Futures start in the order they are given, and are polled in that order.
//! - A future is polled when it was woken, so a thousand that wait cost nothing for each one that goes on.

use crate::error::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// Runs all of them at once, and gives the results in the order of the futures.
///
/// ```
/// # use tradewind::prelude::*;
/// # #[activity] async fn thumbnail(page: u32) -> Result<String> { Ok(page.to_string()) }
/// #[workflow]
/// async fn thumbnails(pages: u32) -> Result<Vec<String>> {
///     workflow::try_join_all((0..pages).map(thumbnail)).at_most(10).await
/// }
/// ```
pub fn join_all<I>(futures: I) -> JoinAll<I::IntoIter>
where
    I: IntoIterator<Item: Future>,
{
    JoinAll { running: Running::new(futures.into_iter()), done: BTreeMap::new() }
}

/// Runs all of them at once, and gives the results in the order of the futures, or the first error as soon as it is
/// there. The others are then dropped, and so asked to stop.
pub fn try_join_all<I, T>(futures: I) -> TryJoinAll<I::IntoIter, T>
where
    I: IntoIterator<Item: Future<Output = Result<T>>>,
{
    TryJoinAll { running: Running::new(futures.into_iter()), done: BTreeMap::new() }
}

/// Futures that run at once: see [`join_all`].
#[must_use = "nothing runs until this is awaited"]
pub struct JoinAll<I: Iterator<Item: Future>> {
    running: Running<I>,
    done: BTreeMap<usize, <I::Item as Future>::Output>,
}

/// Futures that run at once: see [`try_join_all`].
#[must_use = "nothing runs until this is awaited"]
pub struct TryJoinAll<I: Iterator<Item: Future>, T> {
    running: Running<I>,
    done: BTreeMap<usize, T>,
}

impl<I: Iterator<Item: Future>> JoinAll<I> {
    /// Runs only so many at a time.
    pub fn at_most(mut self, limit: usize) -> Self {
        self.running.limit = limit.max(1);
        self
    }
}

impl<I: Iterator<Item: Future>, T> TryJoinAll<I, T> {
    /// Runs only so many at a time.
    pub fn at_most(mut self, limit: usize) -> Self {
        self.running.limit = limit.max(1);
        self
    }
}

impl<I: Iterator<Item: Future>> Unpin for JoinAll<I> {}
impl<I: Iterator<Item: Future>, T> Unpin for TryJoinAll<I, T> {}

impl<I: Iterator<Item: Future>> Future for JoinAll<I> {
    type Output = Vec<<I::Item as Future>::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let JoinAll { running, done } = &mut *self;
        let finished = running.poll(cx, |at, output| {
            done.insert(at, output);
            true
        });
        match finished {
            true => Poll::Ready(std::mem::take(done).into_values().collect()),
            false => Poll::Pending,
        }
    }
}

impl<I: Iterator<Item: Future<Output = Result<T>>>, T> Future for TryJoinAll<I, T> {
    type Output = Result<Vec<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let TryJoinAll { running, done } = &mut *self;
        let mut failed = None;
        let finished = running.poll(cx, |at, output| match output {
            Ok(output) => {
                done.insert(at, output);
                true
            }
            Err(error) => {
                failed = Some(error);
                false
            }
        });
        match (failed, finished) {
            (Some(error), _) => {
                running.stop();
                Poll::Ready(Err(error))
            }
            (None, true) => Poll::Ready(Ok(std::mem::take(done).into_values().collect())),
            (None, false) => Poll::Pending,
        }
    }
}

/// The futures that have started and not ended, and those to come.
struct Running<I: Iterator<Item: Future>> {
    to_come: Option<I>,
    limit: usize,
    started: usize,
    active: BTreeMap<usize, Active<I::Item>>,
    woken: Arc<Woken>,
}

struct Active<F> {
    future: Pin<Box<F>>,
    waker: Waker,
}

/// Which futures want to be polled, and who polls them.
#[derive(Default)]
struct Woken {
    which: parking_lot::Mutex<BTreeSet<usize>>,
    parent: parking_lot::Mutex<Option<Waker>>,
}

struct WakeOne {
    at: usize,
    woken: Arc<Woken>,
}

impl Wake for WakeOne {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.which.lock().insert(self.at);
        let parent = self.woken.parent.lock().clone();
        if let Some(parent) = parent {
            parent.wake();
        }
    }
}

impl<I: Iterator<Item: Future>> Running<I> {
    fn new(futures: I) -> Self {
        let woken = Arc::default();
        Running { to_come: Some(futures), limit: usize::MAX, started: 0, active: BTreeMap::new(), woken }
    }

    /// Polls what was woken and starts what has room, and says whether all have ended. `ended` says whether to go on.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut ended: impl FnMut(usize, <I::Item as Future>::Output) -> bool,
    ) -> bool {
        self.woken.parent.lock().replace(cx.waker().clone());
        loop {
            while self.active.len() < self.limit && self.start_one() {}
            let Some(at) = self.woken.which.lock().pop_first() else { break };
            let Some(active) = self.active.get_mut(&at) else { continue };
            let waker = active.waker.clone();
            if let Poll::Ready(output) = active.future.as_mut().poll(&mut Context::from_waker(&waker)) {
                self.active.remove(&at);
                if !ended(at, output) {
                    return false;
                }
            }
        }
        self.active.is_empty() && self.to_come.is_none()
    }

    fn start_one(&mut self) -> bool {
        let Some(future) = self.to_come.as_mut().and_then(Iterator::next) else {
            self.to_come = None;
            return false;
        };
        let at = self.started;
        self.started += 1;
        let waker = Waker::from(Arc::new(WakeOne { at, woken: self.woken.clone() }));
        self.active.insert(at, Active { future: Box::pin(future), waker });
        self.woken.which.lock().insert(at);
        true
    }

    fn stop(&mut self) {
        self.to_come = None;
        self.active.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::cell::RefCell;
    use std::rc::Rc;
    use tokio::sync::oneshot;

    #[test]
    fn results_keep_the_order_of_the_futures() {
        let mut gates = Gates::new(3);
        let all = gates.all();
        let mut all = join_all(all);
        assert!(all.poll_now().is_none());
        gates.open(2);
        gates.open(0);
        assert!(all.poll_now().is_none());
        gates.open(1);
        assert_eq!(all.poll_now(), Some(vec![0, 1, 2]));
    }

    #[test]
    fn no_more_than_the_limit_are_under_way() {
        let mut gates = Gates::new(5);
        let mut all = join_all(gates.all()).at_most(2);
        assert!(all.poll_now().is_none());
        assert_eq!(gates.started(), [0, 1]);
        gates.open(1);
        assert!(all.poll_now().is_none());
        assert_eq!(gates.started(), [0, 1, 2]);
        for at in [0, 2, 3, 4] {
            gates.open(at);
        }
        assert_eq!(all.poll_now(), Some(vec![0, 1, 2, 3, 4]));
    }

    #[test]
    fn nothing_to_do_is_done_at_once() {
        assert_eq!(join_all(Vec::<std::future::Ready<u8>>::new()).now_or_never(), Some(vec![]));
    }

    #[test]
    fn the_first_error_ends_it() {
        let futures = [Ok(1), Err(crate::Error::new("no")), Ok(3)].map(std::future::ready);
        let error = try_join_all(futures).now_or_never().expect("it ends").unwrap_err();
        assert_eq!(error.to_string(), "no");
    }

    trait PollNow: Future + Unpin {
        fn poll_now(&mut self) -> Option<Self::Output> {
            match Pin::new(self).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(output) => Some(output),
                Poll::Pending => None,
            }
        }
    }

    impl<F: Future + Unpin> PollNow for F {}

    /// Futures that end when a test says so.
    struct Gates {
        open: Vec<Option<oneshot::Sender<()>>>,
        wait: Vec<Option<oneshot::Receiver<()>>>,
        started: Rc<RefCell<Vec<usize>>>,
    }

    impl Gates {
        fn new(number: usize) -> Gates {
            let (open, wait) =
                (0..number).map(|_| oneshot::channel()).map(|(open, wait)| (Some(open), Some(wait))).unzip();
            Gates { open, wait, started: Rc::default() }
        }

        fn all(&mut self) -> Vec<impl Future<Output = usize> + use<>> {
            let waits = self.wait.iter_mut().map(|wait| wait.take().expect("it is waited for once"));
            let started = &self.started;
            waits
                .enumerate()
                .map(|(at, wait)| {
                    let started = started.clone();
                    async move {
                        started.borrow_mut().push(at);
                        wait.await.expect("it is opened");
                        at
                    }
                })
                .collect()
        }

        fn open(&mut self, at: usize) {
            self.open[at].take().expect("it is opened once").send(()).expect("it is waited for");
        }

        fn started(&self) -> Vec<usize> {
            self.started.borrow().clone()
        }
    }
}
