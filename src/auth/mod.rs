//! Who is calling: API keys, or the development principal on a server without any.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::domain::Principal;

/// Why a caller is refused. The caller's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AuthError {
    /// No credential came with the request.
    #[error("this server needs a key: send `Authorization: Bearer <key>`")]
    Missing,
    /// A credential came that the server does not know.
    #[error("the key in `Authorization: Bearer <key>` is not known to this server")]
    Unknown,
}

/// A key as the settings have it.
#[derive(Debug, Clone)]
pub struct Key {
    /// The SHA-256 of the key, in hexadecimal.
    pub sha256: String,
    /// Whom it stands for.
    pub principal: Principal,
}

/// Tells callers apart.
pub struct Authenticator {
    /// By the key's SHA-256: a lookup that takes as long for a near miss as for any other,
    /// since nobody can choose a digest.
    keys: HashMap<String, Principal>,
}

impl Authenticator {
    /// With these keys; with none, everybody is the development principal.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Self {
        Self {
            keys: keys
                .into_iter()
                .map(|key| (key.sha256.to_ascii_lowercase(), key.principal))
                .collect(),
        }
    }

    /// Whether callers need a key.
    pub fn needs_key(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The caller with this `Authorization` value.
    pub fn authenticate(&self, authorization: Option<&str>) -> Result<Principal, AuthError> {
        if !self.needs_key() {
            return Ok(Principal::development());
        }
        let key = bearer(authorization.ok_or(AuthError::Missing)?).ok_or(AuthError::Unknown)?;
        let digest = Sha256::digest(key.as_bytes());
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        self.keys.get(&hex).cloned().ok_or(AuthError::Unknown)
    }
}

/// The token of `Bearer <token>` (RFC 6750, section 2.1); the scheme's case does not matter.
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_for_its_principal() {
        let who = Principal::new("acme", "alice", "web");
        let auth = Authenticator::new([Key {
            // printf %s hello | sha256sum
            sha256: "2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824".to_owned(),
            principal: who.clone(),
        }]);
        assert_eq!(auth.authenticate(Some("Bearer hello")), Ok(who.clone()));
        assert_eq!(auth.authenticate(Some("bearer  hello ")), Ok(who));
        assert_eq!(auth.authenticate(None), Err(AuthError::Missing));
        for wrong in ["Bearer hello2", "hello", "Basic hello", "Bearer "] {
            assert_eq!(
                auth.authenticate(Some(wrong)),
                Err(AuthError::Unknown),
                "{wrong}"
            );
        }
    }

    #[test]
    fn without_keys_everybody_is_the_developer() {
        let auth = Authenticator::new([]);
        assert_eq!(auth.authenticate(None), Ok(Principal::development()));
    }
}
