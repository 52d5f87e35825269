//! The parts of the prompt that all steps of a run have in common.

use std::sync::Arc;

use talkgraph_domain::time::now;
use talkgraph_domain::{AgentVersionId, Message, Summary};
use talkgraph_llm::{ChatMessage, ToolSpec};

use crate::run::abort::{RunAbort, internal};
use crate::run::context::{Assignment, RunContext};
use crate::run::context_window::FullPrompt;
use crate::run::files::result_files::ResultFiles;
use crate::run::files::{FileContents, add_shown_files};
use crate::run::history::{load_files, load_history, load_summary, summary_message};
use crate::run::prompt::{self, Conversation};
use crate::run::structured_output::{output_schema, repair_messages, tool_choice};
use crate::run::toolbox::Toolbox;
use crate::spec::team::Team;
use crate::spec::time_zone::local;

/// The parts of the prompt that all steps of a run have in common.
pub(crate) struct RunPrompt {
    /// The version of the agent that the prompt is for.
    pub(crate) version: AgentVersionId,
    instructions: Arc<ChatMessage>,
    /// The messages of the branch that the conversation is built from; empty for agents without
    /// summaries.
    pub(crate) history: Vec<Message>,
    pub(crate) conversation: Conversation,
    /// The contents of the files of the conversation and of the message so far.
    files: FileContents,
    /// The summary of the branch before the history.
    pub(crate) summary: Option<Summary>,
    tools: Arc<[ToolSpec]>,
    pub(crate) toolbox: Toolbox,
    pub(crate) team: Team,
}

pub(crate) async fn load_prompt(
    ctx: &RunContext,
    task: &Assignment,
) -> Result<RunPrompt, RunAbort> {
    let summary = load_summary(ctx, task).await?;
    let history = load_history(ctx, task, summary.as_ref()).await?;
    let files = load_files(ctx, task, &history).await?;
    let spec = &task.agent.current.spec;
    let variables = &ctx.run.options.variables;
    let evaluator = &ctx.services.evaluator;
    let today = local(now(), spec, &ctx.run.options);
    let instructions = evaluator.instructions(&ctx.who, &spec.instructions, today, variables);
    let instructions = instructions.await.map_err(|error| {
        tracing::error!(%error, "the instructions do not render");
        RunAbort::Failed(internal())
    })?;
    let team = Team::of(
        &ctx.services.agents,
        ctx.services.limits.max_depth,
        &ctx.who,
        spec,
        &ctx.run,
    )
    .await?;
    let toolbox = Toolbox::new(
        &ctx.services.tools,
        &spec.tools,
        ctx.who.clone(),
        &ctx.run,
        ctx.live.cancel_token().clone(),
        task.headers.clone(),
        ResultFiles::new(&ctx.services, ctx.run.id, ctx.message.parts()),
    )
    .await;
    Ok(RunPrompt {
        version: task.agent.current.id,
        instructions: Arc::new(ChatMessage::system(instructions)),
        conversation: Conversation::new(&history, &files),
        files,
        // Only summaries use the history again.
        history: spec.summary.as_ref().map_or_else(Vec::new, |_| history),
        summary,
        tools: toolbox.specs().into_iter().chain(team.specs()).collect(),
        toolbox,
        team,
    })
}

/// Loads the files of this run's tool results, within the limit for one request.
pub(crate) async fn load_result_files(
    ctx: &RunContext,
    task: &Assignment,
    prompt: &mut RunPrompt,
) -> Result<(), RunAbort> {
    let agent = &task.agent;
    let read = || async {
        let mut files = prompt.files.clone();
        let newest_first = ctx.message.parts().iter().rev();
        let services = &ctx.services;
        add_shown_files(services, &ctx.who, agent, newest_first, &mut files).await?;
        Ok(files)
    };
    prompt.files = ctx.read(read).await?;
    Ok(())
}

pub(crate) async fn full_prompt(
    ctx: &RunContext,
    task: &Assignment,
    prompt: &RunPrompt,
) -> FullPrompt {
    let spec = &task.agent.current.spec;
    let told = prompt.summary.as_ref().map(summary_message).map(Arc::new);
    let mut messages = vec![Arc::clone(&prompt.instructions)];
    messages.extend(told);
    let head = messages.len();
    messages.extend_from_slice(&prompt.conversation.messages);
    let said = prompt::assistant_messages(ctx.message.parts(), &prompt.files).into_iter();
    messages.extend(said.chain(repair_messages(ctx, task).await).map(Arc::new));
    let most = task.limits(ctx).max_output_tokens;
    let mut request = prompt::request(spec, messages, most);
    request.tenant = Arc::clone(&ctx.who.tenant);
    request.tools = Arc::clone(&prompt.tools);
    request.tool_choice = tool_choice(ctx);
    request
        .run_tool_choice
        .clone_from(&ctx.run.options.tool_choice);
    request.output_schema = output_schema(ctx, task);
    FullPrompt {
        request,
        head,
        newest: head + prompt.conversation.newest(),
    }
}
