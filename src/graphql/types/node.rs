//! Global object identification.

use async_graphql::{Context, ID, Interface};

use super::agent::Agent;
use super::interrupt::{ClientToolCall, InputRequest, Interrupt, ToolApproval};
use super::message::Message;
use super::run::Run;
use super::session::Session;
use crate::graphql::ApiError;
use crate::graphql::input::parse_id;
use crate::graphql::loader::load;
use talkgraph_domain::ids::{AgentId, InterruptId, MessageId, RunId, SessionId, prefix_of};

/// An object with a global id, after the GraphQL Global Object Identification Specification.
#[derive(Interface)]
#[graphql(field(
    name = "id",
    ty = "ID",
    desc = "The global id, such as `ses_01jq4w0dn9e5rb6c3v8s2h7k4m`."
))]
pub(crate) enum Node {
    Agent(Agent),
    Session(Session),
    Message(Message),
    Run(Run),
    ToolApproval(ToolApproval),
    ClientToolCall(ClientToolCall),
    InputRequest(InputRequest),
}

impl Node {
    /// Loads the object whose type the id's prefix names.
    pub(crate) async fn load(
        ctx: &Context<'_>,
        field: &str,
        id: &ID,
    ) -> Result<Option<Self>, ApiError> {
        Ok(match prefix_of(id) {
            Some("agt") => {
                let key: AgentId = parse_id(field, id)?;
                load(ctx, key).await?.map(|agent| Self::Agent(Agent(agent)))
            }
            Some("ses") => {
                let key: SessionId = parse_id(field, id)?;
                let session = load(ctx, key).await?;
                session.map(|session| Self::Session(Session(session)))
            }
            Some("msg") => {
                let key: MessageId = parse_id(field, id)?;
                let message = load(ctx, key).await?;
                message.map(|message| Self::Message(Message::stored(message)))
            }
            Some("run") => {
                let key: RunId = parse_id(field, id)?;
                load(ctx, key).await?.map(|run| Self::Run(Run::loaded(run)))
            }
            Some("int") => {
                let key: InterruptId = parse_id(field, id)?;
                load(ctx, key).await?.map(|one| match one.into() {
                    Interrupt::ToolApproval(one) => Self::ToolApproval(one),
                    Interrupt::ClientToolCall(one) => Self::ClientToolCall(one),
                    Interrupt::InputRequest(one) => Self::InputRequest(one),
                })
            }
            _ => {
                let allowed = format!(
                    "`{field}` must be an id that begins with agt_, ses_, msg_, run_ or int_"
                );
                return Err(ApiError::bad_input(field, allowed));
            }
        })
    }
}
