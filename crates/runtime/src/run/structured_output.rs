//! Structured answers: what the model is asked for beside words, and whether it has given it.

use serde_json::Value;

use talkgraph_domain::{FinishReason, RunError, RunErrorCode, StepPurpose, ToolChoice};
use talkgraph_llm::{ChatMessage, OutputSchema};
use talkgraph_tools::{AnswerProblem, AnswerSchema};

use crate::run::abort::{RunAbort, internal};
use crate::run::context::{Assignment, RunContext};
use crate::run::empty_answer::reminder;
use crate::run::step_start::begin_step;
use crate::run::usage_meter::check_cost;

/// What vendors call the form; they want a name.
const SCHEMA_NAME: &str = "answer";

/// The schema of the answer: the request's own, else the agent's.
fn schema<'a>(ctx: &'a RunContext, task: &'a Assignment) -> Option<&'a Value> {
    let own = ctx.run.options.output_schema.as_ref();
    own.or(task.agent.current.spec.output_schema.as_ref())
}

/// What the model is told of the answer's form.
pub(crate) fn output_schema(ctx: &RunContext, task: &Assignment) -> Option<OutputSchema> {
    schema(ctx, task).map(|schema| OutputSchema {
        name: SCHEMA_NAME.to_owned(),
        schema: schema.clone(),
    })
}

/// Whether the model must call tools, or which one. That can be said of the first step
/// only: a model that has to call would never answer.
pub(crate) fn tool_choice(ctx: &RunContext) -> ToolChoice {
    let answer = &ctx.answer;
    let is_first = answer.is_empty() && answer.rejected().is_none();
    match &ctx.run.options.tool_choice {
        ToolChoice::Required | ToolChoice::Named(_) if !is_first => ToolChoice::Auto,
        choice => choice.clone(),
    }
}

/// Reads the data out of the answer that `step` has made. Some other step when the model
/// shall make it anew.
pub(crate) async fn conclude(
    ctx: &mut RunContext,
    task: &Assignment,
    step: u32,
) -> Result<Option<u32>, RunAbort> {
    let Some(schema) = schema(ctx, task) else {
        return Ok(None);
    };
    // A server that has died may have got as far.
    if ctx.answer.has_data() {
        return Ok(None);
    }
    let (evaluator, who) = (&ctx.services.evaluator, &ctx.who);
    let schema = AnswerSchema::new(evaluator, who.into(), schema).await;
    let schema = schema.map_err(|error| {
        tracing::error!(%error, "the answer's schema was right when the run began");
        RunAbort::Failed(internal())
    })?;
    let problem = match schema.read(who, &ctx.answer.step_text()).await {
        Ok(data) => {
            let added = ctx.answer.add_data(data.to_string());
            ctx.pending.push(added);
            return Ok(None);
        }
        Err(problem) => problem,
    };
    tracing::debug!(step, %problem, "the answer is not of the form that was asked for");
    // What a provider withholds it would withhold again.
    let is_withheld = ctx.finish_reason == Some(FinishReason::ContentFilter);
    // What is too costly would be so again, and what is not possible now soon is not either.
    let is_unchecked = matches!(problem, AnswerProblem::Unchecked(_));
    if is_unchecked || is_withheld || ctx.answer.repairs() >= ctx.services.limits.output_repairs {
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

/// What a model is told whose answer was not of the wanted form: what it said, and what
/// is wrong with that.
pub(crate) async fn repair_messages(ctx: &RunContext, task: &Assignment) -> Vec<ChatMessage> {
    if let Some(reminder) = reminder(ctx) {
        return vec![reminder];
    }
    let Some((rejected, schema)) = ctx.answer.rejected().zip(schema(ctx, task)) else {
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
