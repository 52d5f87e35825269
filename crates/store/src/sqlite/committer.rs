//! The group commit: one transaction on the connection that writes, or a single statement where
//! that is enough.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{Connection, Sqlite, SqliteConnection, SqlitePool};

use crate::StoreError;
use crate::commit::commit_group;
use crate::commit::group::{Group, GroupOutcome};
use crate::commit::writer::Committer;
use crate::dialect::Dialect;
use crate::keys;

use super::checkpoint::Signals;
use super::identity::Identity;
use super::recent::Recent;
use super::statements::SqliteStatements;

pub(super) struct SqliteCommitter {
    pool: SqlitePool,
    recent: Recent,
    /// Receives the commits.
    signals: Arc<Signals>,
    identity: Arc<Identity>,
}

impl SqliteCommitter {
    pub(super) fn new(
        pool: &SqlitePool,
        recent: Recent,
        signals: Arc<Signals>,
        identity: Arc<Identity>,
    ) -> Self {
        Self {
            identity,
            pool: pool.clone(),
            recent,
            signals,
        }
    }

    async fn write(
        &mut self,
        connection: &mut SqliteConnection,
        group: &Group,
    ) -> Result<GroupOutcome, StoreError> {
        self.recent.settle(connection).await?;
        // Most groups have nothing but events, which take one statement: a transaction by
        // itself, and one turn of the connection's thread instead of three.
        if group.only_appends() {
            let rows = group.log_rows(&GroupOutcome::default());
            if self.recent.append(connection, &rows).await? {
                return Ok(group.all_appended());
            }
            self.recent.settle(connection).await?;
        }
        if let Some(outcome) = self.transact(connection, group).await? {
            return Ok(outcome);
        }
        self.recent.doubt();
        self.recent.settle(connection).await?;
        let outcome = self.transact(connection, group).await?;
        outcome.ok_or_else(|| StoreError::Internal("a log stays out of date".to_owned()))
    }

    /// Writes a group in a transaction. None, and nothing is written, if the known state of the
    /// logs seems to be out of date.
    async fn transact(
        &mut self,
        connection: &mut SqliteConnection,
        group: &Group,
    ) -> Result<Option<GroupOutcome>, StoreError> {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let mut statements = SqliteStatements::new(&mut transaction, &self.recent);
        let outcome = commit_group(&mut statements, group).await;
        let (sorted, is_outdated) = statements.into_sorted();
        if is_outdated {
            transaction.rollback().await?;
            return Ok(None);
        }
        let outcome = outcome?;
        transaction.commit().await?;
        self.recent.note_sorted(sorted);
        for (finish, outcome) in group.finishes.iter().zip(&outcome.finishes) {
            if outcome.is_ok() {
                self.recent.forget(finish.run.id);
            }
        }
        Ok(Some(outcome))
    }
}

#[async_trait]
impl Committer for SqliteCommitter {
    async fn commit(&mut self, group: &Group) -> Result<GroupOutcome, StoreError> {
        self.identity.recheck()?;
        let mut connection = self.pool.acquire().await?;
        self.signals.committed();
        let outcome = self.write(&mut connection, group).await;
        // After the commit: a write to a removed file is not acknowledged.
        let outcome = outcome.and_then(|outcome| self.identity.check().map(|()| outcome));
        if outcome.is_err() {
            self.recent.doubt();
        }
        outcome
    }

    async fn heartbeat(&mut self) -> Result<(), StoreError> {
        self.identity.recheck()?;
        let mut connection = self.pool.acquire().await?;
        self.signals.committed();
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        for statement in keys::heartbeat::heartbeat() {
            Sqlite::execute(&mut transaction, statement).await?;
        }
        transaction.commit().await?;
        self.identity.check()
    }

    async fn tidy(&mut self) -> Result<(), StoreError> {
        if !self.recent.is_untidy() || self.identity.recheck().is_err() {
            return Ok(());
        }
        let mut connection = self.pool.acquire().await?;
        let tidied = self.recent.tidy(&mut connection).await;
        if tidied.is_err() {
            self.recent.doubt();
        }
        tidied
    }
}
