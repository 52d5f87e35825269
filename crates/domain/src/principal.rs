//! Who is asking.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoEnumIterator, IntoStaticStr};

/// The caller on whose behalf something is read or changed. Every store call takes
/// one, so that no row can be reached without saying who wants it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    /// The customer or team whose data this is; tenants never see each other.
    pub tenant: Arc<str>,
    /// The user within the tenant; sessions belong to one owner.
    pub owner: Arc<str>,
    /// What the credential is called in the settings; for people and logs.
    pub name: Arc<str>,
    /// What the credential allows besides the owner's own sessions and runs.
    pub scopes: Arc<[Scope]>,
}

/// Something that a credential may be allowed to do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize, EnumIter, IntoStaticStr,
)]
pub enum Scope {
    /// To have the server call a tool directly.
    #[serde(rename = "tools:call")]
    #[strum(serialize = "tools:call")]
    ToolsCall,
    /// To make, change and delete the tenant's agents.
    #[serde(rename = "agents:write")]
    #[strum(serialize = "agents:write")]
    AgentsWrite,
    /// To see counts over all tenants.
    #[serde(rename = "operator")]
    #[strum(serialize = "operator")]
    Operator,
}

/// The tenant of what the server itself provides to everybody: the agents that come
/// from files. No credential may carry it.
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

    /// Whether it may do that.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// The principal of a server that has no keys and serves only its own machine. It may do
    /// everything.
    pub fn development() -> Self {
        let scopes: Vec<Scope> = Scope::iter().collect();
        Self::new("dev", "dev", "development").with_scopes(&scopes)
    }
}

/// Whether `name` may be a tenant or an owner: letters, digits and `._@-`.
pub fn is_valid_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME_BYTES
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._@-".contains(&b))
}
