//! Data loaders: lookups made while one level of a query resolves become one statement.
//! One file for each kind of key. Every key carries its principal, so that loaders can be
//! shared by all requests and still never mix what belongs to different people.

mod branch;
mod by_id;
mod child_runs;
mod enqueued_runs;
mod kin;
mod message;
mod open_interrupts;
mod session_usage;
mod turn;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::Context;
use async_graphql::dataloader::{DataLoader, Loader};
use async_graphql::runtime::{Timer, TokioSpawner};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

use talkgraph_domain::Principal;
use talkgraph_store::{SharedStore, StoreError};

use super::{ApiError, api, principal};

pub(crate) use child_runs::ChildRunsOf;
pub(crate) use enqueued_runs::EnqueuedRunsOf;
pub(crate) use kin::LatestKin;
pub(crate) use open_interrupts::OpenInterruptsOf;
pub(crate) use session_usage::UsageOf;
pub(crate) use turn::{in_turns, stream_in_turns};

use turn::TurnSpawner;

/// The most keys of one statement.
const MAX_BATCH: usize = 1_000;

/// The number of statements that read messages at one time: more would only wait for the
/// processor, with their texts in memory.
const READS: usize = 4;

/// Loads everything, by the type of its key.
pub(crate) struct Loads {
    store: SharedStore,
    /// The most bytes of messages that one statement reads.
    most_bytes: u64,
    /// Reads of messages that are under way: each may have several times that in memory.
    large: Semaphore,
}

/// A key of one principal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Of<K> {
    pub(crate) who: Principal,
    pub(crate) key: K,
}

/// Why a batch failed, told to each of its waiters.
#[derive(Debug, Clone)]
pub(crate) struct LoadError(Arc<StoreError>);

impl From<StoreError> for LoadError {
    fn from(error: StoreError) -> Self {
        Self(Arc::new(error))
    }
}

impl From<LoadError> for ApiError {
    fn from(error: LoadError) -> Self {
        error.0.duplicate().into()
    }
}

/// Batches wait for their requests instead of a clock.
struct NoTimer;

impl Timer for NoTimer {
    fn delay(&self, _: Duration) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
}

/// Loaders over a store. One statement reads messages of `most_bytes` at most.
pub(crate) fn new(store: SharedStore, most_bytes: usize) -> DataLoader<Loads> {
    let spawner = TurnSpawner(TokioSpawner::current());
    let loads = Loads {
        store,
        most_bytes: most_bytes as u64,
        large: Semaphore::new(READS),
    };
    DataLoader::new(loads, spawner, NoTimer).max_batch_size(MAX_BATCH)
}

/// Loads what a key of the caller stands for; `None` when there is nothing for this caller.
pub(crate) async fn load<K>(
    ctx: &Context<'_>,
    key: K,
) -> Result<Option<<Loads as Loader<Of<K>>>::Value>, ApiError>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    Loads: Loader<Of<K>, Error = LoadError>,
{
    let who = principal(ctx)?.clone();
    Ok(api(ctx)?.loads.load_one(Of { who, key }).await?)
}

/// The keys of a batch by principal; nearly always there is just one.
fn by_principal<K: Clone>(keys: &[Of<K>]) -> HashMap<&Principal, Vec<K>> {
    let mut groups: HashMap<_, Vec<K>> = HashMap::new();
    for key in keys {
        groups.entry(&key.who).or_default().push(key.key.clone());
    }
    groups
}
