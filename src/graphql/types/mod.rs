//! GraphQL types, one file each. They wrap domain types and load other data only when it is
//! selected.

pub(crate) mod agent;
pub(crate) mod agent_version;
pub(crate) mod enums;
pub(crate) mod event;
pub(crate) mod fast_path;
pub(crate) mod interrupt;
pub(crate) mod message;
pub(crate) mod node;
pub(crate) mod payload;
pub(crate) mod run;
pub(crate) mod server;
pub(crate) mod session;
pub(crate) mod sized;
pub(crate) mod tool;
pub(crate) mod usage;

use async_graphql::connection::Connection;
use async_graphql::{ID, ObjectType, SchemaBuilder, SubscriptionType};
use chrono::{DateTime, Utc};

use super::connection::Cursor;

type Page<T> = Connection<Cursor, T>;

/// Registers the types that no field names directly.
pub(crate) fn register<Q, M, S>(builder: SchemaBuilder<Q, M, S>) -> SchemaBuilder<Q, M, S>
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    S: SubscriptionType + 'static,
{
    builder
        .register_output_type::<node::Node>()
        .register_output_type::<event::RunEvent>()
        .register_output_type::<interrupt::Interrupt>()
        .override_output_type_description::<ID>(
            "A global id: the type's prefix, an underscore and an encoded UUIDv7, such as \
             `ses_01jq4w0dn9e5rb6c3v8s2h7k4m`.",
        )
        .override_output_type_description::<DateTime<Utc>>(
            "A time in UTC as RFC 3339 text, such as `2026-01-31T09:30:00.250Z`.",
        )
        .override_output_type_description::<Page<agent::Agent>>("A page of agents, by name.")
        .override_output_type_description::<Page<agent_version::AgentVersion>>(
            "A page of an agent's versions, latest first.",
        )
        .override_output_type_description::<Page<session::Session>>(
            "A page of sessions, latest activity first.",
        )
        .override_output_type_description::<Page<interrupt::Interrupt>>(
            "A page of interrupts, oldest first.",
        )
        .override_output_type_description::<Page<message::Message>>(
            "A page of messages, oldest first.",
        )
}
