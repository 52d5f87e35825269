//! How much of files a request reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The most bytes of files that one request may read: all of it is in memory at once.
const MOST_BYTES: u64 = 33_554_432;

/// How many bytes of files a request has read.
#[derive(Debug, Clone, Default)]
pub(crate) struct FileReads(Arc<AtomicU64>);

impl FileReads {
    /// Whether that many more may be read.
    pub(crate) fn take(&self, bytes: u64) -> bool {
        let read = self.0.fetch_add(bytes, Ordering::Relaxed);
        read.saturating_add(bytes) <= MOST_BYTES
    }
}
