//! The calls that one step of the model asks for.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::run::abort::RunAbort;
use crate::run::child_run::{Told, ask_all, hear, take_agent_calls};
use crate::run::context::{Assignment, RunContext};
use crate::run::handoff::{hand_off, take_hand_offs};
use crate::run::interrupts::call_interrupts::sort_calls;
use crate::run::interrupts::input_request::{
    answer_of, close_lost_questions, close_question, open_question,
};
use crate::run::model_call::READY_PARTS;
use crate::run::run_prompt::RunPrompt;
use crate::run::toolbox::Heard;

/// Makes the calls that have no result, and tells each result as it comes. Returns how
/// many of them the model has got wrong. Where somebody has to be asked about others, the
/// run waits then. Hand-offs come last, when everything else has its result.
pub(crate) async fn call_tools(
    ctx: &mut RunContext,
    task: &mut Assignment,
    prompt: &RunPrompt,
    in_doubt: bool,
) -> Result<u32, RunAbort> {
    let toolbox = &prompt.toolbox;
    let sorted = sort_calls(ctx, toolbox).await;
    let mut calls = sorted.make;
    let handoffs = take_hand_offs(&prompt.team, &mut calls);
    let questions = take_agent_calls(&prompt.team, &mut calls);
    if in_doubt {
        let mut again = Vec::new();
        for call in calls {
            match toolbox.in_doubt(&call) {
                Some(result) => ctx.pending.push(ctx.answer.complete_call(result)),
                None => again.push(call),
            }
        }
        calls = again;
        close_lost_questions(ctx).await;
    }
    // What is called is known before anything is done.
    ctx.flush().await?;
    ctx.log.settle().await?;
    let at_once = ctx.services.limits.parallel_tools;
    let interval = ctx.services.limits.progress_interval;
    let results = toolbox.call_all(calls, at_once, interval);
    let results = results.map(|heard| match heard {
        Heard::Called(called) => Told::Called(called),
        Heard::Progress(call, progress) => Told::Progress(call, progress),
        Heard::Asks(call, asked) => Told::Asks(call, asked),
    });
    let answers = ask_all(ctx, task, questions, &prompt.team, at_once);
    let told = futures_util::stream::select(results, answers);
    let mut told = Box::pin(told.ready_chunks(READY_PARTS));
    let mut mistakes = 0;
    let mut questions = FuturesUnordered::new();
    loop {
        let ready = tokio::select! {
            ready = told.next() => ready,
            Some(answered) = questions.next() => {
                close_question(ctx, answered);
                ctx.flush().await?;
                continue;
            }
        };
        // A question ends with its call.
        let Some(ready) = ready else { break };
        for told in ready {
            if let Told::Asks(call, asked) = told {
                let open = open_question(ctx, call, asked).await?;
                let (services, control) = (&ctx.services, &ctx.control);
                let answer = |open| {
                    answer_of(
                        Arc::clone(services),
                        Arc::clone(control),
                        ctx.who.clone(),
                        open,
                    )
                };
                questions.extend(open.map(answer));
            } else {
                mistakes += u32::from(hear(ctx, told));
            }
        }
        ctx.flush().await?;
    }
    while let Some(answered) = questions.next().await {
        close_question(ctx, answered);
    }
    ctx.flush().await?;
    // A finished call is not made again, whatever happens from here on.
    ctx.log.settle().await?;
    match sorted.ask.is_empty() {
        true => Ok(mistakes + hand_off(ctx, task, handoffs, &prompt.team).await?),
        false => Err(RunAbort::AwaitsInput(sorted.ask)),
    }
}
