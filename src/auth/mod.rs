//! Authentication by API keys, or the development principal on a server without keys.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use talkgraph_domain::Principal;

/// The reason why a caller is refused, an error of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AuthError {
    /// The request has no credential.
    #[error("a key is required: send `Authorization: Bearer <key>`")]
    Missing,
    /// The credential is unknown to the server.
    #[error("the key in `Authorization: Bearer <key>` is unknown to this server")]
    Unknown,
    /// The key was removed after the caller used it.
    #[error("the key of this connection was removed from the server; connect with another key")]
    Removed,
}

/// A key from the settings.
#[derive(Debug, Clone)]
pub struct Key {
    /// The SHA-256 of the key, in hexadecimal.
    pub sha256: String,
    /// The principal that the key authenticates.
    pub principal: Principal,
}

/// An authenticated caller. Streams and sockets hold it while they are open.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The caller.
    pub principal: Principal,
    /// Cancelled when the caller's key is removed or assigned to another principal.
    pub removed: CancellationToken,
}

/// The difference between two sets of keys, by the principals of the keys.
#[derive(Debug, Default)]
pub struct KeyChange {
    /// Keys that are newly valid.
    pub added: Vec<Principal>,
    /// Keys that are no longer valid.
    pub removed: Vec<Principal>,
}

/// Authenticates callers.
pub struct Authenticator {
    keys: RwLock<Arc<KeySet>>,
}

/// The keys that are valid at one time.
enum KeySet {
    /// Every caller is the development principal.
    Open(Grant),
    /// By the key's SHA-256. A lookup takes as long for a near miss as for any other value, since
    /// no one can choose a digest.
    Closed(HashMap<String, Grant>),
}

impl Grant {
    /// Creates a caller with a valid key.
    pub fn new(principal: Principal) -> Self {
        Self {
            principal,
            removed: CancellationToken::new(),
        }
    }
}

impl KeySet {
    fn grants(&self) -> HashMap<&str, &Grant> {
        match self {
            Self::Open(_) => HashMap::new(),
            Self::Closed(keys) => keys.iter().map(|(key, grant)| (&**key, grant)).collect(),
        }
    }
}

impl Authenticator {
    /// Accepts these keys; without any, each caller is the development principal.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Self {
        let keys = grants(keys);
        let keys = match keys.is_empty() {
            true => KeySet::Open(Grant::new(Principal::development())),
            false => KeySet::Closed(keys),
        };
        Self {
            keys: RwLock::new(Arc::new(keys)),
        }
    }

    /// Returns true if callers need a key.
    pub fn needs_key(&self) -> bool {
        matches!(*self.current(), KeySet::Closed(_))
    }

    /// Returns the caller with this `Authorization` value.
    ///
    /// # Errors
    ///
    /// Fails if the value is missing or its key is not in the current set.
    pub fn authenticate(&self, authorization: Option<&str>) -> Result<Grant, AuthError> {
        let current = self.current();
        let keys = match &*current {
            KeySet::Open(development) => return Ok(development.clone()),
            KeySet::Closed(keys) => keys,
        };
        let key = bearer(authorization.ok_or(AuthError::Missing)?).ok_or(AuthError::Unknown)?;
        let digest = Sha256::digest(key.as_bytes());
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        keys.get(&hex).cloned().ok_or(AuthError::Unknown)
    }

    /// Replaces the set of keys atomically. Streams and sockets of removed keys end; those of a key
    /// that stays with the same principal continue. Callers need a key from then on, even if the
    /// set is empty: a file emptied by mistake must not open the server.
    pub fn replace(&self, keys: impl IntoIterator<Item = Key>) -> KeyChange {
        let mut keys = grants(keys);
        let mut current = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let before = Arc::clone(&current);
        let before_grants = before.grants();
        let mut change = KeyChange::default();
        for (digest, grant) in &mut keys {
            match before_grants.get(&**digest) {
                Some(known) if known.principal == grant.principal => *grant = (*known).clone(),
                _ => change.added.push(grant.principal.clone()),
            }
        }
        let is_gone = |(digest, grant): &(&&str, &&Grant)| {
            let now = keys.get(**digest);
            now.is_none_or(|now| now.principal != grant.principal)
        };
        let mut gone: Vec<Grant> = before_grants
            .iter()
            .filter(is_gone)
            .map(|(_, grant)| (*grant).clone())
            .collect();
        if let KeySet::Open(development) = &*before {
            gone.push(development.clone());
        }
        *current = Arc::new(KeySet::Closed(keys));
        drop(current);
        // Last: a caller whose stream ends reconnects at once and must meet the new set.
        for grant in gone {
            grant.removed.cancel();
            change.removed.push(grant.principal);
        }
        change
    }

    fn current(&self) -> Arc<KeySet> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&keys)
    }
}

fn grants(keys: impl IntoIterator<Item = Key>) -> HashMap<String, Grant> {
    keys.into_iter()
        .map(|key| (key.sha256.to_ascii_lowercase(), Grant::new(key.principal)))
        .collect()
}

/// Returns the token of `Bearer <token>` (RFC 6750, section 2.1); the scheme's case does not
/// matter.
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &str, owner: &str) -> Key {
        let digest = Sha256::digest(key.as_bytes());
        Key {
            sha256: digest.iter().map(|byte| format!("{byte:02X}")).collect(),
            principal: Principal::new("acme", owner, "web"),
        }
    }

    #[test]
    fn a_key_stands_for_its_principal() {
        let who = Principal::new("acme", "alice", "web");
        let auth = Authenticator::new([Key {
            // printf %s hello | sha256sum
            sha256: "2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824".to_owned(),
            principal: who.clone(),
        }]);
        for right in ["Bearer hello", "bearer  hello "] {
            assert_eq!(auth.authenticate(Some(right)).unwrap().principal, who);
        }
        assert_eq!(auth.authenticate(None).unwrap_err(), AuthError::Missing);
        for wrong in ["Bearer hello2", "hello", "Basic hello", "Bearer "] {
            let refused = auth.authenticate(Some(wrong)).unwrap_err();
            assert_eq!(refused, AuthError::Unknown, "{wrong}");
        }
    }

    #[test]
    fn without_keys_everybody_is_the_developer() {
        let auth = Authenticator::new([]);
        let who = auth.authenticate(None).unwrap().principal;
        assert_eq!(who, Principal::development());
    }

    #[test]
    fn a_removed_key_is_refused_and_its_grant_cancelled() {
        let auth = Authenticator::new([key("a", "ann"), key("b", "bob"), key("c", "cid")]);
        let grant = |key: &str| auth.authenticate(Some(&format!("Bearer {key}")));
        let before = ["a", "b", "c"].map(|key| grant(key).unwrap());
        // The first stays, the second is removed, the third belongs to another owner.
        let change = auth.replace([key("a", "ann"), key("c", "dan"), key("e", "eve")]);
        let ended = before.map(|grant| grant.removed.is_cancelled());
        assert_eq!(ended, [false, true, true]);
        let owners = |keys: &[Principal]| {
            let mut owners: Vec<_> = keys.iter().map(|key| key.owner.to_string()).collect();
            owners.sort();
            owners
        };
        assert_eq!(owners(&change.added), ["dan", "eve"]);
        assert_eq!(owners(&change.removed), ["bob", "cid"]);
        assert_eq!(grant("b").unwrap_err(), AuthError::Unknown);
        assert_eq!(&*grant("c").unwrap().principal.owner, "dan");
        assert!(!grant("a").unwrap().removed.is_cancelled());
    }

    #[test]
    fn a_server_with_keys_is_never_opened_again() {
        let auth = Authenticator::new([key("a", "ann")]);
        auth.replace([]);
        assert!(auth.needs_key());
        assert_eq!(auth.authenticate(None).unwrap_err(), AuthError::Missing);
    }

    #[test]
    fn first_keys_end_what_was_open_without_any() {
        let auth = Authenticator::new([]);
        let developer = auth.authenticate(None).unwrap();
        auth.replace([key("a", "ann")]);
        assert!(developer.removed.is_cancelled());
        assert!(auth.needs_key());
    }
}
