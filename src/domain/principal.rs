//! Who is asking.

use std::sync::Arc;

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
        }
    }

    /// The principal of a server that has no keys and serves only its own machine.
    pub fn development() -> Self {
        Self::new("dev", "dev", "development")
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
