//! What mutations return: the things they changed, so that a client's cache updates itself.

use async_graphql::{ID, SimpleObject};

use super::message::Message;
use super::run::Run;
use super::session::Session;

/// An answer, or how it failed.
#[derive(SimpleObject)]
pub(crate) struct ChatPayload {
    /// The run, ended. A failed run is data: see its `error`.
    pub(crate) run: Run,
    /// The session, which is new if none was given.
    pub(crate) session: Session,
    /// What the person said.
    pub(crate) user_message: Message,
    /// The answer; null when the run failed before there was any.
    pub(crate) message: Option<Message>,
}

/// A started run.
#[derive(SimpleObject)]
pub(crate) struct SendMessagePayload {
    /// The run, which `runEvents` follows.
    pub(crate) run: Run,
    /// The session, which is new if none was given.
    pub(crate) session: Session,
    /// What the person said.
    pub(crate) user_message: Message,
}

/// A run that was asked to stop.
#[derive(SimpleObject)]
pub(crate) struct CancelRunPayload {
    /// The run; CANCELLED unless it had ended by itself before.
    pub(crate) run: Run,
}

/// A new session.
#[derive(SimpleObject)]
pub(crate) struct CreateSessionPayload {
    /// The session.
    pub(crate) session: Session,
}

/// A changed session.
#[derive(SimpleObject)]
pub(crate) struct UpdateSessionPayload {
    /// The session.
    pub(crate) session: Session,
}

/// A deleted session.
#[derive(SimpleObject)]
pub(crate) struct DeleteSessionPayload {
    /// The id it had.
    pub(crate) deleted_session_id: ID,
}
