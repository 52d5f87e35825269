//! Data loaders: lookups from one level of a query become one statement. One file for each kind of
//! key. Each key carries its principal, so that all requests share the loaders and data of
//! different owners never mixes.

mod batch_scheduler;
mod branch;
mod by_id;
mod child_runs;
mod enqueued_runs;
mod message;
mod open_interrupts;
mod session_usage;
mod siblings;

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

pub(crate) use batch_scheduler::{stream_with_batching, with_batching};
pub(crate) use child_runs::ChildRunsOf;
pub(crate) use enqueued_runs::EnqueuedRunsOf;
pub(crate) use open_interrupts::OpenInterruptsOf;
pub(crate) use session_usage::UsageOf;
pub(crate) use siblings::LatestSiblings;

use batch_scheduler::BatchSpawner;

/// The maximum number of keys of one statement.
const MAX_BATCH: usize = 1_000;

/// The maximum number of concurrent statements that read messages. More would only wait for the
/// processor, with their texts in memory.
const READS: usize = 4;

/// The loaders of all key types.
pub(crate) struct Loads {
    store: SharedStore,
    /// The maximum number of bytes of messages that one statement reads.
    most_bytes: u64,
    /// The permits of concurrent message reads: each may hold several times that in memory.
    large: Semaphore,
}

/// A key of one principal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Of<K> {
    pub(crate) who: Principal,
    pub(crate) key: K,
}

/// The error of a batch, returned to each waiting lookup.
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

/// A timer that never delays: batches wait for their requests instead of a clock.
struct NoTimer;

impl Timer for NoTimer {
    fn delay(&self, _: Duration) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
}

/// Creates loaders over a store. One statement reads at most `most_bytes` of messages.
pub(crate) fn new(store: SharedStore, most_bytes: usize) -> DataLoader<Loads> {
    let spawner = BatchSpawner(TokioSpawner::current());
    let loads = Loads {
        store,
        most_bytes: most_bytes as u64,
        large: Semaphore::new(READS),
    };
    DataLoader::new(loads, spawner, NoTimer).max_batch_size(MAX_BATCH)
}

/// Loads the value of a key; `None` if there is none for this caller.
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

/// Groups the keys of a batch by principal; usually there is one.
fn by_principal<K: Clone>(keys: &[Of<K>]) -> HashMap<&Principal, Vec<K>> {
    let mut groups: HashMap<_, Vec<K>> = HashMap::new();
    for key in keys {
        groups.entry(&key.who).or_default().push(key.key.clone());
    }
    groups
}
