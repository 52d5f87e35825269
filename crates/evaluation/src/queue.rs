//! Admission: bounded in jobs and bytes, for all tenants together and for each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{EvaluationLimits, Failure};

/// The waiting and active jobs.
#[derive(Debug)]
pub(super) struct Queue {
    workers: Arc<Semaphore>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: usize,
    bytes: usize,
    tenants: HashMap<String, Tenant>,
}

#[derive(Debug)]
struct Tenant {
    jobs: usize,
    workers: Arc<Semaphore>,
}

/// A position in the queue, and a worker's slot; returned when dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    _waits: Waits<'a>,
    _permits: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

#[derive(Debug)]
struct Waits<'a> {
    queue: &'a Queue,
    tenant: String,
    bytes: usize,
}

impl Queue {
    pub(super) fn new(limits: &EvaluationLimits) -> Self {
        Self {
            workers: Arc::new(Semaphore::new(limits.workers)),
            waiting: Mutex::default(),
        }
    }

    /// Waits for a worker's slot. A tenant's jobs wait for each other first, so that they never
    /// occupy all workers.
    pub(super) async fn enter(
        &self,
        limits: &EvaluationLimits,
        tenant: &str,
        bytes: usize,
    ) -> Result<Place<'_>, Failure> {
        let (waits, own) = self.wait(limits, tenant, bytes)?;
        let places = async {
            let own = own.acquire_owned().await;
            let any = Arc::clone(&self.workers).acquire_owned().await;
            Some((own.ok()?, any.ok()?))
        };
        match tokio::time::timeout(limits.queue_timeout, places).await {
            Ok(Some(permits)) => Ok(Place {
                _waits: waits,
                _permits: permits,
            }),
            _ => Err(Failure::Busy),
        }
    }

    fn wait(
        &self,
        limits: &EvaluationLimits,
        tenant: &str,
        bytes: usize,
    ) -> Result<(Waits<'_>, Arc<Semaphore>), Failure> {
        let mut waiting = self.lock();
        if bytes > limits.queue_bytes {
            return Err(Failure::TooCostly("it is too large"));
        }
        let own = waiting.tenants.get(tenant).map_or(0, |tenant| tenant.jobs);
        if waiting.jobs >= limits.queue
            || own >= limits.queue_per_tenant
            || waiting.bytes + bytes > limits.queue_bytes
        {
            return Err(Failure::Busy);
        }
        waiting.jobs += 1;
        waiting.bytes += bytes;
        let entry = waiting.tenants.entry(tenant.to_owned());
        let entry = entry.or_insert_with(|| Tenant {
            jobs: 0,
            workers: Arc::new(Semaphore::new(limits.workers_per_tenant)),
        });
        entry.jobs += 1;
        let workers = Arc::clone(&entry.workers);
        drop(waiting);
        let waits = Waits {
            queue: self,
            tenant: tenant.to_owned(),
            bytes,
        };
        Ok((waits, workers))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let mut waiting = self.queue.lock();
        waiting.jobs -= 1;
        waiting.bytes -= self.bytes;
        if let Some(tenant) = waiting.tenants.get_mut(&self.tenant) {
            tenant.jobs -= 1;
            if tenant.jobs == 0 {
                waiting.tenants.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits() -> EvaluationLimits {
        EvaluationLimits {
            program: None,
            workers: 3,
            workers_per_tenant: 2,
            queue: 5,
            queue_per_tenant: 4,
            queue_bytes: 100,
            queue_timeout: Duration::from_secs(5),
            job_timeout: Duration::from_secs(1),
            start_timeout: Duration::from_secs(1),
            memory_bytes: 0,
            idle: Duration::from_secs(1),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn tenant_leaves_a_worker_to_others() {
        let (limits, queue) = (limits(), Queue::new(&limits()));
        let _first = queue.enter(&limits, "a", 1).await.unwrap();
        let second = queue.enter(&limits, "a", 1).await.unwrap();
        assert_eq!(
            queue.enter(&limits, "a", 1).await.unwrap_err(),
            Failure::Busy
        );
        let _other = queue.enter(&limits, "b", 1).await.unwrap();
        drop(second);
        assert!(queue.enter(&limits, "a", 1).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn jobs_and_bytes_are_bounded() {
        let (limits, queue) = (limits(), Queue::new(&limits()));
        assert!(matches!(
            queue.enter(&limits, "a", 101).await,
            Err(Failure::TooCostly(_))
        ));
        let held: Vec<_> = futures_util::future::join_all([
            queue.enter(&limits, "a", 60),
            queue.enter(&limits, "b", 41),
        ])
        .await;
        let refused: Vec<_> = held.iter().map(Result::is_err).collect();
        assert_eq!(refused, [false, true]);
        drop(held);
        let waiting = queue.lock();
        assert_eq!((waiting.jobs, waiting.bytes), (0, 0));
        assert!(waiting.tenants.is_empty());
    }
}
