//! The guard on every connection whose URL a model or a user can influence.
//!
//! A URL is looked at before the first request and at each redirect (scheme, port, addresses
//! written as such), and a name where it is resolved for the connection itself: what is
//! connected to is what was judged, whatever a name's next answer is.

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
