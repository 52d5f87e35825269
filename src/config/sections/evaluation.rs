//! Work whose cost is decided by input.

use std::path::PathBuf;

sections! {
    /// Work whose cost is decided by input.
    EvaluationSettings {
        /// Program of the workers, with the argument "evaluate", and of the guard of MCP programs,
        /// with the argument "guard". Absent: this server's own.
        program: Option<PathBuf> => "/usr/local/bin/talkgraph",
        /// Most workers that run at once.
        workers: usize = 3,
        /// Most workers that do jobs of one tenant.
        workers_per_tenant: usize = 2,
        /// Most jobs that wait or are in progress, of all tenants together; one more is refused.
        queue: usize = 1_024,
        /// Most such jobs of one tenant.
        queue_per_tenant: usize = 256,
        /// Most bytes of all jobs together.
        queue_bytes: usize = 67_108_864,
        /// Longest wait of a job for a worker, in milliseconds.
        queue_timeout_ms: u64 = 10_000,
        /// Longest time of a job, in milliseconds. Then its worker is killed, and the job is refused
        /// as too costly.
        job_timeout_ms: u64 = 2_000,
        /// Longest time for a worker to start, in milliseconds.
        start_timeout_ms: u64 = 10_000,
        /// Most memory of a worker for its job, in bytes.
        memory_bytes: u64 = 268_435_456,
        /// Time after which an idle worker ends, in seconds.
        idle_s: u64 = 60,
    }
}
