//! The authenticated caller.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoEnumIterator, IntoStaticStr};

/// The caller on whose behalf data is read or changed. Every store call takes one, so that no row
/// can be read without naming the caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    /// The customer or team that owns the data; tenants never see each other.
    pub tenant: Arc<str>,
    /// The user within the tenant; sessions belong to one owner.
    pub owner: Arc<str>,
    /// The name of the credential in the settings; for people and logs.
    pub name: Arc<str>,
    /// The scopes of the credential, beyond the owner's own sessions and runs.
    pub scopes: Arc<[Scope]>,
}

/// A permission of a credential.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize, EnumIter, IntoStaticStr,
)]
pub enum Scope {
    /// Direct tool calls by the server.
    #[serde(rename = "tools:call")]
    #[strum(serialize = "tools:call")]
    ToolsCall,
    /// Creating, changing and deleting the tenant's agents.
    #[serde(rename = "agents:write")]
    #[strum(serialize = "agents:write")]
    AgentsWrite,
    /// Reading counts over all tenants.
    #[serde(rename = "operator")]
    #[strum(serialize = "operator")]
    Operator,
}

/// The tenant of the agents from files, which all tenants may use. No credential may have it.
pub const SHARED_TENANT: &str = "*";

/// The longest tenant or owner name, in bytes.
pub const MAX_NAME_BYTES: usize = 128;

impl Principal {
    /// A principal of the given tenant and owner.
    pub fn new(tenant: &str, owner: &str, name: &str) -> Self {
        Self {
            tenant: tenant.into(),
            owner: owner.into(),
            name: name.into(),
            scopes: Arc::default(),
        }
    }

    /// The same principal with these scopes.
    #[must_use]
    pub fn with_scopes(mut self, scopes: &[Scope]) -> Self {
        self.scopes = scopes.into();
        self
    }

    /// Returns true if it has this scope.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// The principal of a server without keys, which serves only its own machine. It has all
    /// scopes.
    pub fn development() -> Self {
        let scopes: Vec<Scope> = Scope::iter().collect();
        Self::new("dev", "dev", "development").with_scopes(&scopes)
    }
}

/// Returns true if `name` may be a tenant or an owner: letters, digits and `._@-`.
pub fn is_valid_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME_BYTES
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._@-".contains(&b))
}
