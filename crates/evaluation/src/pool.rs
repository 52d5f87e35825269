//! The workers: started on demand, ended when idle.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::frame::frame;
use super::job::{Job, Reply};
use super::process::{Lost, Worker};
use super::queue::Queue;
use super::{EvaluationLimits, Failure};

/// The jobs whose excessive cost is remembered, and for how long: a repeated one is refused at
/// once.
const REMEMBERED: usize = 256;
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

const LATE: &str = "it takes too long";
const DIED: &str = "it needs too much memory or is nested too deeply";

/// All workers of a server.
#[derive(Debug)]
pub(super) struct Pool {
    limits: EvaluationLimits,
    queue: Queue,
    idle: Mutex<Vec<(Worker, Instant)>>,
    is_reaped: AtomicBool,
    costly: Mutex<HashMap<u64, (Failure, Instant)>>,
    /// Keyed at random, so that no job can be crafted to collide with another.
    hasher: RandomState,
}

impl Pool {
    pub(super) fn new(limits: EvaluationLimits) -> Arc<Self> {
        Arc::new(Self {
            queue: Queue::new(&limits),
            limits,
            idle: Mutex::default(),
            is_reaped: AtomicBool::new(false),
            costly: Mutex::default(),
            hasher: RandomState::new(),
        })
    }

    /// Executes a job. Dropping the future kills its worker.
    pub(super) async fn run(
        self: &Arc<Self>,
        tenant: &str,
        job: &Job<'_>,
    ) -> Result<Reply, Failure> {
        let job = frame(job).map_err(|error| Failure::Unavailable(error.to_string()))?;
        let hash = self.hasher.hash_one(&job);
        if let Some(known) = self.known(hash) {
            return Err(known);
        }
        let _place = self.queue.enter(&self.limits, tenant, job.len()).await?;
        let mut is_again = false;
        let lost = loop {
            let mut worker = match self.take() {
                Some(worker) => worker,
                None => Worker::start(&self.limits).await?,
            };
            match worker.exchange(&job, self.limits.job_timeout).await {
                Ok(reply) => {
                    self.keep(worker);
                    return reply.result();
                }
                Err(Lost::Ended) if !is_again => is_again = true,
                Err(Lost::Late) => break LATE,
                Err(Lost::Died | Lost::Ended) => break DIED,
            }
        };
        let failure = Failure::TooCostly(lost);
        tracing::warn!(tenant, bytes = job.len(), %failure, "evaluation worker lost");
        self.remember(hash, &failure);
        Err(failure)
    }

    fn take(&self) -> Option<Worker> {
        let mut idle = self.idle();
        while let Some((mut worker, _)) = idle.pop() {
            if worker.lives() {
                return Some(worker);
            }
        }
        None
    }

    fn keep(self: &Arc<Self>, worker: Worker) {
        self.idle().push((worker, Instant::now()));
        if !self.is_reaped.swap(true, Ordering::AcqRel) {
            tokio::spawn(Self::reap(Arc::downgrade(self), self.limits.idle));
        }
    }

    /// Ends idle workers, until there is none.
    async fn reap(pool: std::sync::Weak<Self>, after: Duration) {
        loop {
            tokio::time::sleep(after / 2).await;
            let Some(pool) = pool.upgrade() else {
                return;
            };
            let mut idle = pool.idle();
            idle.retain(|(_, since)| since.elapsed() < after);
            if idle.is_empty() {
                // Under the lock, so that a worker that becomes idle now starts this again.
                pool.is_reaped.store(false, Ordering::Release);
                return;
            }
        }
    }

    fn known(&self, hash: u64) -> Option<Failure> {
        let costly = self.costly();
        let (failure, until) = costly.get(&hash)?;
        (*until > Instant::now()).then(|| failure.clone())
    }

    fn remember(&self, hash: u64, failure: &Failure) {
        let (mut costly, now) = (self.costly(), Instant::now());
        if costly.len() >= REMEMBERED {
            costly.retain(|_, (_, until)| *until > now);
        }
        if costly.len() >= REMEMBERED {
            costly.clear();
        }
        costly.insert(hash, (failure.clone(), now + REMEMBERED_FOR));
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Worker, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn costly(&self) -> MutexGuard<'_, HashMap<u64, (Failure, Instant)>> {
        self.costly.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
