//! The guard for connections whose URL a model or a user can influence.
//!
//! A URL is checked before the first request and at each redirect (scheme, port, literal
//! addresses). A name is checked when it is resolved for the connection itself: the address that
//! was judged is the one that is connected to, even if the name resolves differently the next time.

mod address;
mod body;
mod charset;
mod client;
mod policy;
mod resolve;
mod tunnel;

pub(super) use body::{Body, BodyLimits, content_type};
pub use client::{EgressClient, EgressLimits};
pub use policy::{EgressPolicy, Refusal};
pub use resolve::{Lookup, SystemLookup};
pub use tunnel::ProxyTarget;
