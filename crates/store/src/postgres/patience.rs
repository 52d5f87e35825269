//! Time limits of calls to a server that no longer answers.
//!
//! PostgreSQL's own `statement_timeout` needs a live server. Without a limit on this side a call to
//! one that disappeared silently lasts as long as the operating system keeps sending, a quarter of
//! an hour by default, and keeps its connection for as long.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::PgConnection;

use super::pooler::Way;
use crate::StoreError;

/// The time limit of a whole call, which may be a transaction, as a multiple of that of one
/// statement.
pub(super) const CALL_TIMEOUT_FACTOR: u32 = 2;

/// The time after a time-out or a lost connection during which all connections are checked when
/// they are taken and returned.
const DOUBT: Duration = Duration::from_secs(10);

/// The query for connections that can never write again.
const IS_READ_ONLY: &str = "SELECT current_setting('default_transaction_read_only') = 'on'";

/// The time limit of that query.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// The time limit of calls, and the time of the last that exceeded it.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    timeout: Duration,
    way: Way,
    doubt: Arc<Doubt>,
}

#[derive(Debug)]
struct Doubt {
    begun: Instant,
    /// The end of the time of doubt, in milliseconds after `begun`.
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

    /// Waits for a call, for a bounded time.
    pub(super) async fn wait<T, E>(
        &self,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, StoreError>
    where
        StoreError: From<E>,
    {
        let mut call = pin!(self.way.call(call));
        // Dropped before the call is, whose connection comes back then. The caller may also be the
        // one that stops waiting.
        let given_up = GivenUp(Some(&self.doubt));
        let outcome = tokio::time::timeout(self.timeout, call.as_mut()).await;
        let outcome = match outcome {
            Ok(outcome) => outcome.map_err(StoreError::from),
            Err(_) => Err(StoreError::Unavailable(format!(
                "PostgreSQL did not answer within {:?}",
                self.timeout
            ))),
        };
        // The cause that broke one connection may have broken the others.
        if !matches!(outcome, Err(StoreError::Unavailable(_))) {
            given_up.not_at_all();
        }
        outcome
    }

    /// True if connections are in doubt: one of them has failed recently.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.doubt.is_there()
    }

    /// Checks that a returned connection can be used again: it answers, and was not opened while
    /// the database was read-only, which it would stay. The pool itself would wait for the answer
    /// without a limit, and lack one connection until then.
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

/// A guard of a call, which counts as failed or abandoned unless it reports success.
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
