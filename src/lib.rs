//! Talkgraph: a GraphQL server for AI agents.
//!
//! The module map is the architecture; dependencies point one way, from `app` down to
//! `domain` (see ARCHITECTURE.md).

pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
pub mod graphql;
pub mod guard;
pub mod http;
pub(crate) mod operation;
pub mod telemetry;
