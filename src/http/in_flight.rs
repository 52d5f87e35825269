//! The bytes of requests, and of responses that wait for slow readers, in memory at one time.
//! Beyond the limit new requests are rejected, so that active ones can finish.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use thiserror::Error;

/// The maximum size of a response chunk that is not counted.
const UNCOUNTED_BYTES: usize = 64 * 1024;

/// Counts bytes in flight, in total and for each tenant. One tenant may hold at most half of them,
/// so that none can monopolise the server.
#[derive(Debug)]
pub struct InFlight {
    limit: usize,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    /// Contains only tenants with bytes in flight.
    of: HashMap<Arc<str>, usize>,
}

/// The bytes of one request or queue. Dropping it releases them.
#[derive(Debug)]
pub(super) struct Held {
    counted: Arc<InFlight>,
    tenant: Arc<str>,
    bytes: usize,
}

/// The limit on bytes in flight is reached.
#[derive(Debug, Clone, Copy, Error)]
#[error(
    "too many bytes in flight: at most {limit} bytes of requests and responses \
     (http.in_flight_bytes), half of them for one tenant; retry later"
)]
pub(super) struct Full {
    pub(super) limit: usize,
}

impl InFlight {
    /// Allows at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            counts: Mutex::default(),
        }
    }

    /// Rejects a new request of a tenant whose remaining share is a quarter or less.
    pub(super) fn admit(&self, tenant: &Arc<str>) -> Result<(), Full> {
        self.check(&self.lock(), tenant, 0, true)
    }

    /// Creates an empty count for a tenant.
    pub(super) fn hold(self: &Arc<Self>, tenant: Arc<str>) -> Held {
        Held {
            counted: Arc::clone(self),
            tenant,
            bytes: 0,
        }
    }

    /// Checks a new request, which leaves a quarter to active requests.
    fn check(
        &self,
        counts: &Counts,
        tenant: &Arc<str>,
        more: usize,
        is_new: bool,
    ) -> Result<(), Full> {
        let most = |limit: usize| match is_new {
            true => limit / 4 * 3,
            false => limit,
        };
        let own = counts.of.get(tenant).copied().unwrap_or(0);
        let fits = counts.all + more <= most(self.limit) && own + more <= most(self.limit / 2);
        match fits {
            true => Ok(()),
            false => Err(Full { limit: self.limit }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn change(&mut self, tenant: &Arc<str>, from: usize, to: usize) {
        self.all = self.all - from + to;
        let own = self.of.entry(Arc::clone(tenant)).or_default();
        *own = *own - from + to;
        if *own == 0 {
            self.of.remove(tenant);
        }
    }
}

impl Held {
    /// Changes the number of bytes held.
    ///
    /// # Errors
    ///
    /// Fails if they exceed the limit; the previous number stays.
    pub(super) fn resize(&mut self, bytes: usize) -> Result<(), Full> {
        if bytes == self.bytes {
            return Ok(());
        }
        let mut counts = self.counted.lock();
        if let Some(more) = bytes.checked_sub(self.bytes) {
            self.counted
                .check(&counts, &self.tenant, more, self.bytes == 0)?;
        }
        counts.change(&self.tenant, self.bytes, bytes);
        drop(counts);
        self.bytes = bytes;
        Ok(())
    }

    /// Holds `more` bytes in addition to the first `base`, if they are many.
    ///
    /// # Errors
    ///
    /// Fails if they exceed the limit.
    pub(super) fn with(&mut self, base: usize, more: usize) -> Result<(), Full> {
        match more > UNCOUNTED_BYTES {
            true => self.resize(base + more),
            false => self.resize(base),
        }
    }

    /// Returns the number of bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Moves the bytes held so far to a new value.
    pub(super) fn take(&mut self) -> Self {
        let rest = self.counted.hold(Arc::clone(&self.tenant));
        std::mem::replace(self, rest)
    }

    /// Counts further bytes as the tenant's. The bytes held so far are released.
    pub(super) fn assign(&mut self, tenant: Arc<str>) {
        *self = self.counted.hold(tenant);
    }
}

/// A response chunk, which is in flight until its last byte is written.
///
/// # Errors
///
/// Fails if it exceeds the limit.
pub(super) fn counted(bytes: Vec<u8>, held: &mut Held) -> Result<Bytes, Full> {
    struct Counted(
        Vec<u8>,
        #[expect(dead_code, reason = "counts until it is dropped")] Held,
    );
    impl AsRef<[u8]> for Counted {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    if bytes.len() <= UNCOUNTED_BYTES {
        return Ok(bytes.into());
    }
    held.resize(bytes.len())?;
    Ok(Bytes::from_owner(Counted(bytes, held.take())))
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes > 0 {
            let mut counts = self.counted.lock();
            counts.change(&self.tenant, self.bytes, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_can_finish_and_no_tenant_takes_all() {
        let all = Arc::new(InFlight::new(800));
        let (acme, other): (Arc<str>, Arc<str>) = ("acme".into(), "other".into());
        let mut first = all.hold(Arc::clone(&acme));
        first.resize(290).unwrap();
        assert!(all.hold(Arc::clone(&acme)).resize(11).is_err(), "it is new");
        first.resize(400).unwrap();
        assert!(first.resize(401).is_err(), "half of all");
        assert!(all.admit(&acme).is_err());
        all.admit(&other).unwrap();
        let mut second = all.hold(Arc::clone(&other));
        second.resize(200).unwrap();
        assert!(all.admit(&"third".into()).is_ok());
        second.resize(300).unwrap();
        assert!(all.admit(&"third".into()).is_err());
        second.resize(400).unwrap();
        let taken = first.take();
        drop((first, second));
        assert_eq!(all.lock().all, 400);
        drop(taken);
        assert_eq!(all.lock().all, 0);
        assert!(all.lock().of.is_empty());
    }
}
