//! The breakers of one model: one for each tenant, and one for all of them.
//!
//! A prompt can be crafted so that a provider fails on it. A tenant whose calls fail repeatedly is
//! refused for a while, alone; all tenants are refused once calls of several fail.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use talkgraph_resilience::{Breaker, Open, Permit};

/// The maximum number of tenants with a breaker of their own. Others share the breaker of all.
const REMEMBERED_TENANTS: usize = 1_024;

/// The breakers of one model.
pub(super) struct Breakers {
    failures: u32,
    pause: Duration,
    all: Arc<Breaker>,
    tenants: Mutex<HashMap<u64, Arc<Breaker>>>,
    hasher: RandomState,
}

/// A call that has passed its breakers.
pub(super) struct Pass {
    all: Permit,
    own: Option<Permit>,
}

impl Breakers {
    pub(super) fn new(failures: u32, pause: Duration) -> Self {
        Self {
            failures,
            pause,
            all: Breaker::shared(failures, pause),
            tenants: Mutex::default(),
            hasher: RandomState::new(),
        }
    }

    /// Checks that a tenant's call would pass now.
    pub(super) fn check(&self, tenant: &str) -> Result<(), Open> {
        self.all.check()?;
        let own = self.lock().get(&self.hasher.hash_one(tenant)).cloned();
        own.map_or(Ok(()), |own| own.check())
    }

    /// Lets a tenant's call pass, or refuses it.
    pub(super) fn pass(&self, tenant: &str) -> Result<Pass, Open> {
        let caller = self.hasher.hash_one(tenant);
        let own = self.own(caller).map(|own| own.pass(caller)).transpose()?;
        let all = self.all.pass(caller)?;
        Ok(Pass { all, own })
    }

    fn own(&self, tenant: u64) -> Option<Arc<Breaker>> {
        let mut tenants = self.lock();
        if let Some(own) = tenants.get(&tenant) {
            return Some(Arc::clone(own));
        }
        if tenants.len() >= REMEMBERED_TENANTS {
            tenants.retain(|_, own| !own.is_fresh());
        }
        if tenants.len() >= REMEMBERED_TENANTS {
            return None;
        }
        let own = Breaker::new(self.failures, self.pause);
        tenants.insert(tenant, Arc::clone(&own));
        Some(own)
    }

    /// Returns true when dropping them loses no state.
    pub(super) fn is_fresh(&self) -> bool {
        self.all.is_fresh() && self.lock().values().all(|own| own.is_fresh())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Breaker>>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    /// Records that the call has started successfully.
    pub(super) fn begins_well(&mut self) {
        self.all.begins_well();
        if let Some(own) = &mut self.own {
            own.begins_well();
        }
    }

    /// Records that the call has succeeded.
    pub(super) fn succeeded(self) {
        self.all.succeeded();
        if let Some(own) = self.own {
            own.succeeded();
        }
    }

    /// Records that the call has failed.
    pub(super) fn failed(self) {
        self.all.failed();
        if let Some(own) = self.own {
            own.failed();
        }
    }
}
