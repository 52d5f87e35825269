//! Bounds of the workers.

use std::path::PathBuf;
use std::time::Duration;

/// Bounds of all jobs together and of each worker.
#[derive(Debug, Clone)]
pub struct EvaluationLimits {
    /// The program that the workers run, with the argument `evaluate`; this one when absent.
    pub program: Option<PathBuf>,
    /// The most workers at once.
    pub workers: usize,
    /// The most workers that do jobs of one tenant at once.
    pub workers_per_tenant: usize,
    /// The most jobs that wait for a worker or are in progress.
    pub queue: usize,
    /// The most jobs of one tenant among them.
    pub queue_per_tenant: usize,
    /// The most bytes of all of them.
    pub queue_bytes: usize,
    /// The longest a job waits for a worker.
    pub queue_timeout: Duration,
    /// The longest a job may take.
    pub job_timeout: Duration,
    /// The longest a worker may take to start.
    pub start_timeout: Duration,
    /// The memory of a worker beyond its program and its stack, in bytes.
    pub memory_bytes: u64,
    /// The time after which an idle worker ends.
    pub idle: Duration,
}
