//! Structured output: its schema, its check and its repair.

use serde_json::Value;

use talkgraph_domain::{FinishReason, RunError, RunErrorCode, StepPurpose, ToolChoice};
use talkgraph_llm::{ChatMessage, OutputSchema};
use talkgraph_tools::{AnswerProblem, AnswerSchema};

use crate::run::abort::{RunAbort, internal};
use crate::run::context::{Assignment, RunContext};
use crate::run::empty_answer::retry_reminder;
use crate::run::step_start::begin_step;
use crate::run::usage_meter::check_cost;

/// The name of the schema, which providers require.
const SCHEMA_NAME: &str = "answer";

/// The schema of the output: the request's own, or else the agent's.
fn schema<'a>(ctx: &'a RunContext, task: &'a Assignment) -> Option<&'a Value> {
    let own = ctx.run.options.output_schema.as_ref();
    own.or(task.agent.current.spec.output_schema.as_ref())
}

/// The schema as the model gets it.
pub(crate) fn output_schema(ctx: &RunContext, task: &Assignment) -> Option<OutputSchema> {
    schema(ctx, task).map(|schema| OutputSchema {
        name: SCHEMA_NAME.to_owned(),
        schema: schema.clone(),
    })
}

/// The tool choice of the step. A required call applies to the first step only: otherwise the model
/// would never answer.
pub(crate) fn tool_choice(ctx: &RunContext) -> ToolChoice {
    let answer = &ctx.message;
    let is_first = answer.is_empty() && answer.rejected().is_none();
    match &ctx.run.options.tool_choice {
        ToolChoice::Required | ToolChoice::Named(_) if !is_first => ToolChoice::Auto,
        choice => choice.clone(),
    }
}

/// Checks the output of `step` and adds its data to the message. Starts a repair if the output is
/// not valid, and returns the number of its step.
pub(crate) async fn check_output(
    ctx: &mut RunContext,
    task: &Assignment,
    step: u32,
) -> Result<Option<u32>, RunAbort> {
    let Some(schema) = schema(ctx, task) else {
        return Ok(None);
    };
    // A server that stopped may have added the data already.
    if ctx.message.has_data() {
        return Ok(None);
    }
    let (evaluator, who) = (&ctx.services.evaluator, &ctx.who);
    let schema = AnswerSchema::new(evaluator, who.into(), schema).await;
    let schema = schema.map_err(|error| {
        tracing::error!(%error, "the answer's schema was right when the run began");
        RunAbort::Failed(internal())
    })?;
    let problem = match schema.read(who, &ctx.message.step_text()).await {
        Ok(data) => {
            let added = ctx.message.add_data(data.to_string());
            ctx.pending.push(added);
            return Ok(None);
        }
        Err(problem) => problem,
    };
    tracing::debug!(step, %problem, "the answer is not of the form that was asked for");
    // The provider would withhold a repair as well.
    let is_withheld = ctx.finish_reason == Some(FinishReason::ContentFilter);
    // A repair would be as costly, or fail for the same temporary reason.
    let is_unchecked = matches!(problem, AnswerProblem::Unchecked(_));
    if is_unchecked
        || is_withheld
        || ctx.message.repair_attempts() >= ctx.services.limits.output_repairs
    {
        return Err(RunAbort::Failed(RunError {
            code: RunErrorCode::OutputInvalid,
            message: problem.to_string(),
            retryable: match &problem {
                AnswerProblem::Unchecked(failure) => failure.is_temporary(),
                _ => true,
            },
        }));
    }
    check_cost(ctx, task)?;
    begin_step(ctx, task, step, StepPurpose::Repair).map(Some)
}

/// The messages that ask for a repair: the rejected output, and the problem with it.
pub(crate) async fn repair_messages(ctx: &RunContext, task: &Assignment) -> Vec<ChatMessage> {
    if let Some(retry_reminder) = retry_reminder(ctx) {
        return vec![retry_reminder];
    }
    let Some((rejected, schema)) = ctx.message.rejected().zip(schema(ctx, task)) else {
        return Vec::new();
    };
    let (evaluator, who) = (&ctx.services.evaluator, &ctx.who);
    let problem = match AnswerSchema::new(evaluator, who.into(), schema).await {
        Ok(schema) => schema.read(who, rejected).await.err(),
        Err(_) => None,
    };
    let problem = problem.map_or_else(String::new, |problem| format!(": {problem}"));
    let told = format!(
        "This answer cannot be used{problem}. Answer once more, with nothing but the whole \
         corrected JSON."
    );
    let said = (!rejected.is_empty()).then(|| ChatMessage::assistant(rejected));
    said.into_iter().chain([ChatMessage::user(told)]).collect()
}
