//! Schedules batches of lookups.
//!
//! The fields of one level resolve within one poll of the request's future, and each adds its key
//! to a batch. On several threads the batch's own task could overtake that poll and split a level
//! into many statements. So a batch runs only once the request that began it is waiting: neither
//! polled, nor woken, nor about to be woken by an earlier batch that returns its values.

use std::cell::RefCell;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use async_graphql::runtime::TokioSpawner;
use futures_util::future::{self, FutureObj};
use futures_util::stream::{self, Stream, StreamExt};
use futures_util::task::{AtomicWaker, Spawn, SpawnError};

/// The number of times that a batch yields, so that concurrent requests share it.
const YIELDS: usize = 10;

/// The maximum number of checks of a request; afterwards the batch runs although the request is
/// busy.
const LOOKS: usize = 10_000;

/// The polling state of a request.
#[derive(Default)]
struct Request {
    /// The number of current polls: of the request itself and of the batches it began.
    busy: AtomicUsize,
    /// True if the request was woken and not polled since.
    woken: AtomicBool,
    task: AtomicWaker,
}

impl Request {
    fn is_waiting(&self) -> bool {
        self.busy.load(Ordering::SeqCst) == 0 && !self.woken.load(Ordering::SeqCst)
    }

    /// Polls the request itself.
    fn poll<T>(
        self: &Arc<Self>,
        context: &Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.task.register(context.waker());
        let _busy = Busy::begin(self);
        // Cleared only after `busy` is set, so that the request never seems to wait.
        self.woken.store(false, Ordering::SeqCst);
        let outer = CURRENT.replace(Some(Arc::clone(self)));
        let _current = Current(outer);
        poll(&mut Context::from_waker(&Waker::from(Arc::clone(self))))
    }
}

impl Wake for Request {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        self.task.wake();
    }
}

/// Counts a poll for its duration, even if it panics.
struct Busy<'a>(&'a Request);

impl<'a> Busy<'a> {
    fn begin(request: &'a Request) -> Self {
        request.busy.fetch_add(1, Ordering::SeqCst);
        Self(request)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::SeqCst);
    }
}

thread_local! {
    /// The request that this thread polls.
    static CURRENT: RefCell<Option<Arc<Request>>> = const { RefCell::new(None) };
}

/// Restores the previous value of [`CURRENT`].
struct Current(Option<Arc<Request>>);

impl Drop for Current {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// Runs a request so that its batches can detect when it waits.
pub(crate) async fn with_batching<F: Future>(request: F) -> F::Output {
    let state = Arc::new(Request::default());
    let mut request = pin!(request);
    future::poll_fn(|context| state.poll(context, |context| request.as_mut().poll(context))).await
}

/// Runs a request with several responses like [`with_batching`].
pub(crate) fn stream_with_batching<S: Stream + Unpin>(
    mut request: S,
) -> impl Stream<Item = S::Item> {
    let state = Arc::new(Request::default());
    stream::poll_fn(move |context| state.poll(context, |context| request.poll_next_unpin(context)))
}

/// Spawns batches, each after the request that begins it.
pub(super) struct BatchSpawner(pub(super) TokioSpawner);

impl Spawn for BatchSpawner {
    fn spawn_obj(&self, mut batch: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        let Some(request) = CURRENT.with_borrow(Clone::clone) else {
            return self.0.spawn_obj(batch);
        };
        let behind = async move {
            until_waiting(&request).await;
            future::poll_fn(|context| {
                let _busy = Busy::begin(&request);
                pin!(&mut batch).poll(context)
            })
            .await;
        };
        self.0.spawn_obj(FutureObj::new(Box::new(behind)))
    }
}

async fn until_waiting(request: &Request) {
    for look in 0..LOOKS {
        tokio::task::yield_now().await;
        if look >= YIELDS && request.is_waiting() {
            return;
        }
    }
}
