//! Detection of tasks that block their thread, and of a process that does not stop.
//!
//! A task that never yields takes a worker thread of the runtime with it, and as many of them as
//! there are workers stop the server. No task can report that: an ordinary thread checks which
//! tasks are being polled and since when, and ends the process if it does not stop in time.

mod guard;
mod scan;

use std::cell::OnceCell;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Instant;

pub use guard::{EndSettings, Watchdog};
pub use scan::is_stuck;

/// The kind of work of a task, for the log.
#[derive(Debug, Clone)]
pub struct Task {
    /// The kind: a word or two.
    pub what: &'static str,
    /// The id of the run or request, or another one that distinguishes it.
    pub id: Option<Arc<str>>,
}

impl Task {
    /// The only task of its kind.
    pub fn only(what: &'static str) -> Self {
        Self { what, id: None }
    }

    /// One of many.
    pub fn of(what: &'static str, id: &str) -> Self {
        Self {
            what,
            id: Some(id.into()),
        }
    }
}

/// The task that one thread polls at the moment.
struct Polled {
    task: Task,
    since: Instant,
}

/// A thread's entry in the list of polling threads. As many as there are threads.
#[derive(Default)]
struct Place(Mutex<Option<Polled>>);

impl Place {
    fn polled(&self) -> MutexGuard<'_, Option<Polled>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entries of all threads that have polled a watched task; those of ended threads are removed.
static PLACES: Mutex<Vec<Weak<Place>>> = Mutex::new(Vec::new());

thread_local! {
    static PLACE: OnceCell<Arc<Place>> = const { OnceCell::new() };
}

fn places() -> MutexGuard<'static, Vec<Weak<Place>>> {
    PLACES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn new_place() -> Arc<Place> {
    let place = Arc::new(Place::default());
    let mut places = places();
    places.retain(|place| place.strong_count() > 0);
    places.push(Arc::downgrade(&place));
    place
}

/// Records the polled task until this is dropped, also by a panic.
struct Polling {
    place: Option<Arc<Place>>,
    /// The task that contains this one.
    outer: Option<Polled>,
}

impl Polling {
    fn begin(task: &Task) -> Self {
        let place = PLACE.try_with(|place| Arc::clone(place.get_or_init(new_place)));
        // None while the thread ends.
        let place = place.ok();
        let polled = Polled {
            task: task.clone(),
            since: Instant::now(),
        };
        let outer = place
            .as_ref()
            .and_then(|place| place.polled().replace(polled));
        Self { place, outer }
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        if let Some(place) = &self.place {
            *place.polled() = self.outer.take();
        }
    }
}

/// A future that is visible to the watchdog while it is polled.
#[derive(Debug)]
#[must_use = "nothing is done before it is polled"]
pub struct Watched<F> {
    task: Task,
    // Boxed, so that wrapping does not enlarge a task.
    future: Pin<Box<F>>,
}

/// Makes a future visible to the watchdog while it is polled.
pub fn watched<F: Future>(task: Task, future: F) -> Watched<F> {
    Watched {
        task,
        future: Box::pin(future),
    }
}

impl<F: Future> Future for Watched<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let _polling = Polling::begin(&self.task);
        self.future.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests;
