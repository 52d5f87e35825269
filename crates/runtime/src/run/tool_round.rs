//! The tool calls of one step.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::run::abort::RunAbort;
use crate::run::child_run::{CallEvent, record_call_event, start_child_runs, take_agent_calls};
use crate::run::context::{Assignment, RunContext};
use crate::run::handoff::{hand_off, take_hand_offs};
use crate::run::interrupts::call_interrupts::plan_calls;
use crate::run::interrupts::input_request::{
    await_resolution, close_input_request, close_lost_input_requests, open_input_request,
};
use crate::run::model_call::MAX_BATCH;
use crate::run::run_prompt::RunPrompt;
use crate::run::toolbox::ToolEvent;

/// Executes the calls that have no result and records each result as it arrives. Returns the number
/// of calls that the model got wrong. Calls that need a resolution suspend the run afterwards.
/// Hand-offs come last, when all other calls have results.
pub(crate) async fn call_tools(
    ctx: &mut RunContext,
    task: &mut Assignment,
    prompt: &RunPrompt,
    in_doubt: bool,
) -> Result<u32, RunAbort> {
    let toolbox = &prompt.toolbox;
    let sorted = plan_calls(ctx, toolbox).await;
    let mut calls = sorted.make;
    let handoffs = take_hand_offs(&prompt.team, &mut calls);
    let questions = take_agent_calls(&prompt.team, &mut calls);
    if in_doubt {
        let mut again = Vec::new();
        for call in calls {
            match toolbox.in_doubt(&call) {
                Some(result) => ctx.pending.push(ctx.message.complete_call(result)),
                None => again.push(call),
            }
        }
        calls = again;
        close_lost_input_requests(ctx).await;
    }
    // The calls are stored before they are executed.
    ctx.flush().await?;
    ctx.log.wait_committed().await?;
    let at_once = ctx.services.limits.parallel_tools;
    let interval = ctx.services.limits.progress_interval;
    let results = toolbox.call_all(calls, at_once, interval);
    let results = results.map(|heard| match heard {
        ToolEvent::Completed(called) => CallEvent::Completed(called),
        ToolEvent::Progress(call, progress) => CallEvent::Progress(call, progress),
        ToolEvent::InputRequested(call, asked) => CallEvent::InputRequested(call, asked),
    });
    let answers = start_child_runs(ctx, task, questions, &prompt.team, at_once);
    let told = futures_util::stream::select(results, answers);
    let mut told = Box::pin(told.ready_chunks(MAX_BATCH));
    let mut mistakes = 0;
    let mut questions = FuturesUnordered::new();
    loop {
        let ready = tokio::select! {
            ready = told.next() => ready,
            Some(answered) = questions.next() => {
                close_input_request(ctx, answered);
                ctx.flush().await?;
                continue;
            }
        };
        // An input request ends with its call.
        let Some(ready) = ready else { break };
        for told in ready {
            if let CallEvent::InputRequested(call, asked) = told {
                let open = open_input_request(ctx, call, asked).await?;
                let (services, control) = (&ctx.services, &ctx.control);
                let answer = |open| {
                    await_resolution(
                        Arc::clone(services),
                        Arc::clone(control),
                        ctx.who.clone(),
                        open,
                    )
                };
                questions.extend(open.map(answer));
            } else {
                mistakes += u32::from(record_call_event(ctx, told));
            }
        }
        ctx.flush().await?;
    }
    while let Some(answered) = questions.next().await {
        close_input_request(ctx, answered);
    }
    ctx.flush().await?;
    // A finished call is stored before the next step, so that no server repeats it.
    ctx.log.wait_committed().await?;
    match sorted.ask.is_empty() {
        true => Ok(mistakes + hand_off(ctx, task, handoffs, &prompt.team).await?),
        false => Err(RunAbort::AwaitsInput(sorted.ask)),
    }
}
