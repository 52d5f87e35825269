//! Calls that end even when the server does not answer any more.
//!
//! PostgreSQL's own `statement_timeout` needs a server that is there. Without a bound on this
//! side a call to one that is gone without a word lasts as long as the operating system keeps
//! sending, a quarter of an hour by default, and keeps its connection for as long.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::PgConnection;

use super::pooler::Way;
use crate::StoreError;

/// A whole call, which may be a transaction, may take this many times what one statement may.
pub(super) const CALL_TIMEOUT_FACTOR: u32 = 2;

/// How long after a call was given up, or had lost its connection, all connections are asked
/// whether they still work, when they are taken and when they come back.
const DOUBT: Duration = Duration::from_secs(10);

/// The query for connections that can never write again, whatever becomes of the database.
const IS_READ_ONLY: &str = "SELECT current_setting('default_transaction_read_only') = 'on'";

/// How long such a connection may take to answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long calls may take, and whether one took longer lately.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    timeout: Duration,
    way: Way,
    doubt: Arc<Doubt>,
}

#[derive(Debug)]
struct Doubt {
    begun: Instant,
    /// Until how many milliseconds after `begun` connections are doubted.
    until: AtomicU64,
}

impl Patience {
    pub(super) fn new(statement_timeout: Duration, way: Way) -> Self {
        Self {
            timeout: statement_timeout * CALL_TIMEOUT_FACTOR,
            way,
            doubt: Arc::new(Doubt {
                begun: Instant::now(),
                until: AtomicU64::new(0),
            }),
        }
    }

    /// Waits for a call, but not for ever.
    pub(super) async fn wait<T, E>(
        &self,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, StoreError>
    where
        StoreError: From<E>,
    {
        let mut call = pin!(self.way.call(call));
        // Dropped before the call is, whose connection comes back then. Whoever waits may
        // also be the one who gives up.
        let given_up = GivenUp(Some(&self.doubt));
        let outcome = tokio::time::timeout(self.timeout, call.as_mut()).await;
        let outcome = match outcome {
            Ok(outcome) => outcome.map_err(StoreError::from),
            Err(_) => Err(StoreError::Unavailable(format!(
                "PostgreSQL did not answer within {:?}",
                self.timeout
            ))),
        };
        // What cut one connection may have cut the others.
        if !matches!(outcome, Err(StoreError::Unavailable(_))) {
            given_up.not_at_all();
        }
        outcome
    }

    /// Whether connections are doubted: something went wrong with one of them lately.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.doubt.is_there()
    }

    /// Checks that a connection that comes back to the pool can be used again: it answers, and is
    /// not of a time in which the database was read-only, which it would be for ever. The pool itself
    /// would wait for its answer without an end, and have one connection less meanwhile.
    pub(super) async fn trusts(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        // A pooler's connection is not bound to one of the server's.
        if !self.is_in_doubt() || self.way.is_pooled() {
            return Ok(());
        }
        let asked = sqlx::query_scalar(IS_READ_ONLY).fetch_one(connection);
        match tokio::time::timeout(PROBE_TIMEOUT, asked).await {
            Ok(Ok(true)) => Err(sqlx::Error::PoolClosed),
            Ok(answer) => answer.map(drop),
            Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
        }
    }
}

impl Doubt {
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_there(&self) -> bool {
        self.now() < self.until.load(Ordering::Acquire)
    }

    fn begin(&self) {
        let until = self.begun.elapsed() + DOUBT;
        let until = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
        self.until.fetch_max(until, Ordering::AcqRel);
    }
}

/// A call that has failed or was given up, unless it says otherwise.
struct GivenUp<'d>(Option<&'d Doubt>);

impl GivenUp<'_> {
    fn not_at_all(mut self) {
        self.0 = None;
    }
}

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        if let Some(doubt) = self.0 {
            doubt.begin();
        }
    }
}
