//! The bytes of requests, and of answers that wait for slow readers, that are in memory at one
//! time. Past the limit the newest are refused, so that those under way can finish.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use thiserror::Error;

/// The largest piece of an answer that is not counted.
const UNCOUNTED_BYTES: usize = 64 * 1024;

/// Counts bytes in flight, in all and for each tenant. One tenant has at most half of them, so
/// that none can take the server away from the others.
#[derive(Debug)]
pub struct InFlight {
    limit: usize,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    /// Only tenants that have some.
    of: HashMap<Arc<str>, usize>,
}

/// Bytes of one request or queue. They are given back when it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    counted: Arc<InFlight>,
    tenant: Arc<str>,
    bytes: usize,
}

/// There is no room for more bytes.
#[derive(Debug, Clone, Copy, Error)]
#[error(
    "too much is in flight: {limit} bytes of requests and answers (http.in_flight_bytes), of which \
     a tenant may have half; try again later"
)]
pub(super) struct Full {
    pub(super) limit: usize,
}

impl InFlight {
    /// At most so many bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            counts: Mutex::default(),
        }
    }

    /// Refuses a new request of a tenant where a quarter or less is left.
    pub(super) fn admit(&self, tenant: &Arc<str>) -> Result<(), Full> {
        self.check(&self.lock(), tenant, 0, true)
    }

    /// The bytes of something that has none yet.
    pub(super) fn hold(self: &Arc<Self>, tenant: Arc<str>) -> Held {
        Held {
            counted: Arc::clone(self),
            tenant,
            bytes: 0,
        }
    }

    /// Checks a new request, which leaves a quarter to the requests that are under way.
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
    /// Holds so many bytes from now on.
    ///
    /// # Errors
    /// More than there is room for; then it holds what it did.
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

    /// Holds room for `more` bytes next to the first `base`, where they are many.
    ///
    /// # Errors
    /// Fails when there is no room for them.
    pub(super) fn with(&mut self, base: usize, more: usize) -> Result<(), Full> {
        match more > UNCOUNTED_BYTES {
            true => self.resize(base + more),
            false => self.resize(base),
        }
    }

    /// The bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Moves the bytes held so far into a value of their own.
    pub(super) fn take(&mut self) -> Self {
        let rest = self.counted.hold(Arc::clone(&self.tenant));
        std::mem::replace(self, rest)
    }

    /// Counts bytes as the tenant's from now on. The bytes so far are given back.
    pub(super) fn assign(&mut self, tenant: Arc<str>) {
        *self = self.counted.hold(tenant);
    }
}

/// A piece of an answer, which is in flight until its last byte is written.
///
/// # Errors
/// Fails when there is no room for it.
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
