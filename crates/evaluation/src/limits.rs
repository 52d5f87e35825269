//! Limits of the workers.

use std::path::PathBuf;
use std::time::Duration;

/// Limits of all jobs together and of each worker.
#[derive(Debug, Clone)]
pub struct EvaluationLimits {
    /// The program that the workers run, with the argument `evaluate`; this one when absent.
    pub program: Option<PathBuf>,
    /// The maximum number of workers.
    pub workers: usize,
    /// The maximum number of workers with jobs of one tenant.
    pub workers_per_tenant: usize,
    /// The maximum number of waiting and active jobs.
    pub queue: usize,
    /// The maximum number of jobs of one tenant among them.
    pub queue_per_tenant: usize,
    /// The maximum total size of all of them, in bytes.
    pub queue_bytes: usize,
    /// The longest wait of a job for a worker.
    pub queue_timeout: Duration,
    /// The time limit of a job.
    pub job_timeout: Duration,
    /// The time limit for a worker's start.
    pub start_timeout: Duration,
    /// The memory of a worker beyond its program and its stack, in bytes.
    pub memory_bytes: u64,
    /// The time after which an idle worker ends.
    pub idle: Duration,
}
