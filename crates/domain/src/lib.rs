//! Domain types: no I/O, no GraphQL.
//!
//! All other crates use these types, and this crate uses none of them.

pub mod agent;
pub mod cache;
pub mod capabilities;
pub mod client_tool;
pub mod cost;
pub mod event;
pub mod file;
pub mod handoff;
pub mod ids;
pub mod interrupt;
pub mod memory;
pub mod message;
pub mod one_or_many;
pub mod page;
pub mod principal;
pub mod redact;
mod restore;
pub mod result;
pub mod run;
pub mod session;
pub mod summary;
pub mod time;

pub use agent::{Agent, AgentSource, AgentSpec, AgentVersion, WRAPPED_ANSWER};
pub use cache::CacheTtl;
pub use client_tool::{ClientTool, MAX_CLIENT_TOOLS, MAX_CLIENT_TOOLS_BYTES};
pub use cost::Cost;
pub use event::{EventBody, RunEvent, StepPurpose, ToolProgress};
pub use file::File;
pub use handoff::HandOff;
pub use ids::{
    AgentId, AgentVersionId, FileId, InterruptId, MessageId, NodeId, RunId, SessionId, ToolCallId,
};
pub use interrupt::{
    AlreadyResolved, InputQuestion, Interrupt, InterruptKind, Resolution, Resolved,
};
pub use memory::Memory;
pub use message::{Message, Part, Role};
pub use page::{Page, PageRequest};
pub use principal::{Principal, Scope};
pub use restore::restored;
pub use result::{ResultFile, ResultPart, ResultResource, ToolResult};
pub use run::{
    ConcurrencyPolicy, FinishReason, IllegalTransition, OnRestart, ParentRun, Run, RunEnd,
    RunError, RunErrorCode, RunOptions, RunOverrides, RunStatus, ToolChoice, Usage,
};
pub use session::{ActiveRun, Session};
pub use summary::{MAX_SUMMARY_BYTES, Summary};
