//! The group commit: one transaction on a connection of its own, or a single statement where that
//! is enough.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection, Postgres};

use crate::StoreError;
use crate::commit::commit_group;
use crate::commit::group::{Group, GroupOutcome};
use crate::commit::writer::Committer;
use crate::dialect::Dialect;
use crate::keys;

use super::patience::CALL_TIMEOUT_FACTOR;
use super::pooler::Way;
use super::statements::PostgresStatements;
use super::{PostgresSettings, TRUSTED_IDLE_TIME};

/// The committer with a connection of its own. A pool's connection would cost every group one more
/// round trip, because a pool checks a connection on its return.
pub(super) struct PostgresCommitter {
    options: PgConnectOptions,
    connect_timeout: Duration,
    statement_timeout: Duration,
    way: Way,
    connection: Option<(PgConnection, Instant)>,
}

impl PostgresCommitter {
    pub(super) async fn connect(
        options: PgConnectOptions,
        settings: &PostgresSettings,
        way: Way,
    ) -> Result<Self, StoreError> {
        let mut committer = Self {
            options,
            connect_timeout: settings.connect_timeout,
            statement_timeout: settings.statement_timeout,
            way,
            connection: None,
        };
        let connection = committer.connection().await?;
        committer.connection = Some((connection, Instant::now()));
        Ok(committer)
    }

    /// The connection that was used last, if it still works, or a new one.
    async fn connection(&mut self) -> Result<PgConnection, StoreError> {
        if let Some((mut connection, used_at)) = self.connection.take()
            && (used_at.elapsed() <= TRUSTED_IDLE_TIME
                || self.in_time(connection.ping()).await.is_ok())
        {
            return Ok(connection);
        }
        super::connect(&self.options, self.connect_timeout).await
    }

    /// Without this, a server that disappeared silently would block all writes for as long as the
    /// operating system keeps sending to it, a quarter of an hour by default.
    async fn in_time<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, StoreError>
    where
        StoreError: From<E>,
    {
        let timeout = self.statement_timeout * CALL_TIMEOUT_FACTOR;
        match tokio::time::timeout(timeout, self.way.call(work)).await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(StoreError::Unavailable(format!(
                "PostgreSQL did not answer within {timeout:?}"
            ))),
        }
    }
}

#[async_trait]
impl Committer for PostgresCommitter {
    async fn commit(&mut self, group: &Group) -> Result<GroupOutcome, StoreError> {
        let mut connection = self.connection().await?;
        let outcome = self
            .in_time(commit(&self.way, &mut connection, group))
            .await;
        // After any outage, a new connection is the safe start.
        if !matches!(outcome, Err(StoreError::Unavailable(_))) {
            self.connection = Some((connection, Instant::now()));
        }
        outcome
    }

    async fn heartbeat(&mut self) -> Result<(), StoreError> {
        let mut connection = self.connection().await?;
        let outcome = self.in_time(beat(&self.way, &mut connection)).await;
        if outcome.is_ok() {
            self.connection = Some((connection, Instant::now()));
        }
        outcome
    }
}

async fn beat(way: &Way, connection: &mut PgConnection) -> Result<(), StoreError> {
    let mut transaction = way.begin_on(connection).await?;
    for statement in keys::heartbeat::heartbeat() {
        Postgres::execute(&mut transaction, statement).await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn commit(
    way: &Way,
    connection: &mut PgConnection,
    group: &Group,
) -> Result<GroupOutcome, StoreError> {
    if group.only_appends() && !way.is_pooled() {
        // A single statement is a transaction by itself: one round trip instead of three for most
        // groups.
        return commit_group(&mut PostgresStatements(connection), group).await;
    }
    let mut transaction = way.begin_on(connection).await?;
    let outcome = commit_group(&mut PostgresStatements(&mut transaction), group).await?;
    transaction.commit().await?;
    Ok(outcome)
}
