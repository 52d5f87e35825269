//! Agents and their runs, in four rooms: `spec` (what an agent may be), `run` (one run at work),
//! `follow` (reading runs) and `control` (starting, stopping and resuming them). A room uses only
//! those before it.

mod control;
mod follow;
mod run;
mod runner;
mod spec;

pub use control::branch::{Branches, Branching};
pub use control::cancel::{Canceller, Stopped};
pub use control::cancel_on_disconnect::CancelOnDrop;
pub use control::heartbeat::Heartbeat;
pub use control::housekeeping::Housekeeping;
pub use control::idempotency::Idempotency;
pub use control::resolve::InterruptResolver;
pub use control::resolve_error::ResolveError;
pub use control::session_purge::SessionDeletion;
pub use control::start::{StartRequest, Started, Starter};
pub use control::start_error::StartError;
pub use control::uploads::{FileLink, SentFile};
pub use follow::error::FollowError;
pub use follow::run::{Follow, RunEvents};
pub use follow::session::SessionPlace;
pub use follow::transcript::Transcript;
pub use run::files::mime::mime_type;
pub use runner::Runner;
pub use spec::catalog::{AgentFileError, Catalog, read_agent_files, read_checked};
pub use spec::limits::RunLimits;
pub use spec::output_schema::check_output_schema;
pub use spec::spec_error::SpecError;
pub use spec::spec_validation::Rules;
pub use spec::time_zone::is_time_zone;
