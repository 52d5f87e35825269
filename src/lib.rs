//! Talkgraph: a GraphQL server for AI agents.
//!
//! The module map is the architecture; dependencies point one way, from `app` down to
//! `domain` (see ARCHITECTURE.md).

pub mod agent;
pub mod app;
pub mod auth;
pub mod bus;
pub mod cli;
pub mod config;
pub mod domain;
pub mod evaluation;
pub mod graphql;
pub mod guard;
pub mod http;
pub mod llm;
pub(crate) mod operation;
pub mod proxy;
pub(crate) mod resilience;
pub mod store;
pub mod telemetry;
pub mod tool;
pub mod watchdog;
