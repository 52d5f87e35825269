//! Mutations of tools.

use async_graphql::{Context, Object, Result};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::graphql::error::Fault;
use crate::graphql::input::tool::CallToolInput;
use crate::graphql::types::payload::CallToolPayload;
use crate::graphql::types::tool::{Tool, ToolFailure, ToolFailureCode};
use crate::graphql::{ApiError, Code, api, caller_headers, principal};
use talkgraph_domain::Scope;
use talkgraph_tools::{Progress, ToolContext, ToolError};

/// The mutations that call tools directly.
#[derive(Default)]
pub(super) struct Tools;

/// The mutations that call tools directly.
#[Object]
impl Tools {
    /// Calls a tool and waits for its output. Requires a key with the scope `tools:call`. The call
    /// needs no further approval. A tool's failure is data; an unknown tool or invalid arguments
    /// are an error.
    async fn call_tool(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The tool and its arguments.")] input: CallToolInput,
    ) -> Result<CallToolPayload> {
        let who = principal(ctx)?;
        if !who.may(Scope::ToolsCall) {
            let message = "requires a key with the scope tools:call";
            return Err(ApiError::new(Code::Forbidden, message).into());
        }
        let tools = &api(ctx)?.tools;
        tools.settled(&[&input.name]).await;
        let tool = tools.get(&input.name);
        let tool = tool.ok_or_else(|| ApiError::from(ToolError::Unknown(input.name)))?;
        let context = ToolContext {
            principal: who.clone(),
            run: None,
            call_id: Uuid::now_v7().to_string().into(),
            cancel: CancellationToken::new(),
            headers: caller_headers(ctx),
            progress: Progress::default(),
            asker: None,
        };
        let arguments = input.arguments.map_or_else(|| json!({}), |json| json.0);
        let called = tool.call(&context, arguments).await;
        let (output, failure) = match called {
            Ok(output) => (Some(output.into()), None),
            Err(error) => (None, Some(failure(error)?)),
        };
        Ok(CallToolPayload {
            tool: Tool(tool),
            output,
            failure,
        })
    }
}

/// Separates a tool's own failure, which is data, from an error of the caller or the server.
fn failure(error: ToolError) -> Result<ToolFailure, ApiError> {
    let code = match &error {
        ToolError::Failed(_) => ToolFailureCode::Failed,
        ToolError::TimedOut(_) => ToolFailureCode::TimedOut,
        ToolError::Cancelled => ToolFailureCode::Cancelled,
        ToolError::Refused(_) => ToolFailureCode::Refused,
        ToolError::Status { .. } => ToolFailureCode::HttpStatus,
        ToolError::Unreachable { .. } => ToolFailureCode::Unreachable,
        ToolError::Unknown(_)
        | ToolError::Arguments(_)
        | ToolError::NotJson(_)
        | ToolError::NotApproved
        | ToolError::Internal { .. } => return Err(error.into()),
    };
    Ok(ToolFailure {
        code,
        message: error.public_message().into(),
    })
}

impl From<ToolError> for ApiError {
    fn from(error: ToolError) -> Self {
        let message = error.public_message();
        match error {
            ToolError::Unknown(_) => Self::not_found("input.name", message),
            ToolError::Arguments(_) | ToolError::NotJson(_) => {
                Self::bad_input("input.arguments", message)
            }
            _ => Self::fault(Fault::Tool(message)),
        }
    }
}
