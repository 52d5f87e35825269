//! Connections through a pooler in transaction mode, such as PgBouncer's.
//!
//! Such a pooler lends a server's connection for one transaction. Nothing of a session may be
//! relied on: a prepared statement is on a server's connection that another client has next, and
//! a statement is parsed and executed in two steps that need the same one. So through a pooler
//! every call is a transaction, its statements have no names, and its settings are its own.
//! <https://www.pgbouncer.org/features.html>

use std::ops::DerefMut;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};
use sqlx::{AssertSqlSafe, Connection, Postgres, Row, Transaction};

use super::PostgresSettings;
use crate::StoreError;

/// The code and the text with which PgBouncer refuses a parameter of a session.
const REFUSED: (&str, &str) = ("08P01", "unsupported startup parameter");

/// The timeout that is in force, in milliseconds. A text for the simple protocol, which needs no
/// prepared statement.
const TIMEOUT: &str = "SELECT setting FROM pg_settings WHERE name = 'statement_timeout'";

tokio::task_local! {
    /// Set within a call through a pooler: sqlx has no place for it on a connection.
    static UNNAMED: ();
}

/// The pooler in front of PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooler {
    /// Detected when the store is opened.
    Auto,
    /// A pooler in transaction mode.
    Transaction,
    /// None, or one in session mode.
    None,
}

/// The kind of connection to PostgreSQL.
#[derive(Debug, Clone)]
pub(super) enum Way {
    /// A session of the server's own.
    Direct,
    /// A pooler in transaction mode.
    Pooled {
        /// Begins a transaction.
        begin: String,
    },
}

/// A connection for one call.
pub(super) enum Lent {
    Connection(PoolConnection<Postgres>),
    Transaction(Transaction<'static, Postgres>),
}

impl Way {
    /// Detects the kind of connection, by the settings or by a session's parameters, which a pooler
    /// refuses or ignores.
    pub(super) async fn find(
        options: &PgConnectOptions,
        settings: &PostgresSettings,
    ) -> Result<Self, StoreError> {
        let pooled = || Self::Pooled {
            begin: begin(settings.statement_timeout),
        };
        match settings.pooler {
            Pooler::None => return Ok(Self::Direct),
            Pooler::Transaction => return Ok(pooled()),
            Pooler::Auto => {}
        }
        let asked = Self::Direct.options(options.clone(), settings.statement_timeout);
        let is_pooled = match super::connect_once(&asked, settings.connect_timeout).await? {
            Ok(connection) => !has_timeout(connection, settings.statement_timeout).await?,
            Err(error) if is_refusal(&error) => true,
            Err(error) => return Err(error.into()),
        };
        if !is_pooled {
            return Ok(Self::Direct);
        }
        tracing::info!("pooler detected: statements are not prepared");
        Ok(pooled())
    }

    /// The options of a connection.
    pub(super) fn options(&self, options: PgConnectOptions, timeout: Duration) -> PgConnectOptions {
        match self {
            Self::Direct => options.options([("statement_timeout", timeout.as_millis())]),
            Self::Pooled { .. } => options.extra_float_digits(None),
        }
    }

    /// The same for a connection without a time limit.
    pub(super) fn patient_options(&self, options: PgConnectOptions) -> PgConnectOptions {
        match self {
            Self::Direct => options,
            Self::Pooled { .. } => options.extra_float_digits(None),
        }
    }

    pub(super) fn is_pooled(&self) -> bool {
        matches!(self, Self::Pooled { .. })
    }

    /// Takes a connection for one call.
    pub(super) async fn lend(&self, pool: &PgPool) -> Result<Lent, sqlx::Error> {
        Ok(match self {
            Self::Direct => Lent::Connection(pool.acquire().await?),
            Self::Pooled { .. } => Lent::Transaction(self.begin(pool).await?),
        })
    }

    /// Begins a transaction.
    pub(super) async fn begin(
        &self,
        pool: &PgPool,
    ) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        match self {
            Self::Direct => pool.begin().await,
            Self::Pooled { begin } => pool.begin_with(AssertSqlSafe(begin.clone())).await,
        }
    }

    /// Begins a transaction on a connection.
    pub(super) async fn begin_on<'c>(
        &self,
        connection: &'c mut PgConnection,
    ) -> Result<Transaction<'c, Postgres>, sqlx::Error> {
        match self {
            Self::Direct => connection.begin().await,
            Self::Pooled { begin } => connection.begin_with(AssertSqlSafe(begin.clone())).await,
        }
    }

    /// Executes a call whose statements have names if they can be kept.
    pub(super) async fn call<F: Future>(&self, call: F) -> F::Output {
        match self {
            Self::Direct => call.await,
            Self::Pooled { .. } => UNNAMED.scope((), call).await,
        }
    }
}

impl Lent {
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        match self {
            Self::Connection(connection) => connection.deref_mut(),
            Self::Transaction(transaction) => transaction.deref_mut(),
        }
    }

    /// Returns the connection. All writes are committed.
    pub(super) async fn end(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Connection(_) => Ok(()),
            Self::Transaction(transaction) => transaction.commit().await,
        }
    }
}

/// True if statements may have names, which keep their plans.
pub(super) fn has_names() -> bool {
    UNNAMED.try_with(|()| ()).is_err()
}

fn begin(timeout: Duration) -> String {
    format!(
        "BEGIN; SET LOCAL statement_timeout = {}",
        timeout.as_millis()
    )
}

fn is_refusal(error: &sqlx::Error) -> bool {
    let refused = error.as_database_error();
    refused.is_some_and(|error| {
        error.code().as_deref() == Some(REFUSED.0) && error.message().contains(REFUSED.1)
    })
}

/// True if a session has the timeout that it was opened with.
async fn has_timeout(mut connection: PgConnection, timeout: Duration) -> Result<bool, StoreError> {
    let row = sqlx::raw_sql(TIMEOUT).fetch_one(&mut connection).await?;
    let setting: String = row.try_get(0)?;
    connection.close().await?;
    Ok(setting == timeout.as_millis().to_string())
}
