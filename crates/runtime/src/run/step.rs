//! The steps of a run: the model's stream becomes events and an answer, and what the model
//! calls is called, until there is an answer or a limit is reached.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tracing::Instrument;

use talkgraph_domain::time::now;
use talkgraph_domain::{
    AgentVersionId, EventBody, FinishReason, Message, RunError, RunErrorCode, StepPurpose, Summary,
    ToolCallId,
};
use talkgraph_llm::{ChatMessage, StreamPart, ToolSpec};

use crate::run::child_run::Told;
use crate::run::context_window::{Fitted, Shown};
use crate::run::executor::{Execution, Stop, internal, too_long};
use crate::run::files::Contents;
use crate::run::files::result_files::ResultFiles;
use crate::run::prompt::Conversation;
use crate::run::tool_calls::{Heard, Toolbox};
use crate::run::usage_meter::Spending;
use crate::run::{prompt, summary};
use crate::spec::team::Team;
use crate::spec::time_zone::local;

/// How many events are gathered at most for the next write, and results of tools at once.
const READY_PARTS: usize = 256;

/// What a run does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The first model call, and before it a summary where one is due.
    Begin,
    /// This step, which makes a summary.
    Summary(u32),
    /// The model call after the summary that this step was for.
    Summarised(u32),
    /// A model call.
    Step(u32),
    /// The check of the answer that this step has made.
    Conclude(u32),
    /// The calls that this step has asked for.
    Tools(u32),
    /// As [`Next::Tools`], after a server died that may have been making them.
    ToolsInDoubt(u32),
}

/// What all steps of a run have in common.
pub(crate) struct Prompt {
    /// Whose it is.
    version: AgentVersionId,
    instructions: Arc<ChatMessage>,
    /// The branch up to the message that is answered, as much of it as the conversation has;
    /// only of an agent that has summaries.
    pub(crate) history: Vec<Message>,
    pub(crate) conversation: Conversation,
    /// The contents of its files, and of those of the answer so far.
    files: Contents,
    /// What is known of the branch before that.
    pub(crate) summary: Option<Summary>,
    tools: Arc<[ToolSpec]>,
    toolbox: Toolbox,
    team: Team,
}

impl Execution {
    /// Model, tools, model, until an answer or a limit.
    pub(crate) async fn answer(&mut self, mut next: Next) -> Result<(), Stop> {
        let mut prompt = self.prompt().await?;
        let mut mistakes = 0;
        loop {
            next = match next {
                Next::Begin => Next::Summarised(self.begin(&mut prompt).await?),
                Next::Summary(step) => {
                    self.summarise_again(step, &mut prompt).await?;
                    Next::Summarised(step)
                }
                Next::Summarised(step) => {
                    self.check_cost()?;
                    Next::Step(self.begin_step(step, StepPurpose::Answer)?)
                }
                Next::Step(step) => {
                    self.show_results(&mut prompt).await?;
                    self.make_step(step, &prompt).await?;
                    // A call that a limit has cut is not made.
                    match self.ending.finish_reason == Some(FinishReason::ToolCalls) {
                        true => {
                            self.check_cost()?;
                            Next::Tools(step)
                        }
                        false => Next::Conclude(step),
                    }
                }
                Next::Conclude(step) => match self.ask_again(step)? {
                    Some(again) => Next::Step(again),
                    None => match self.conclude(step).await? {
                        Some(repair) => Next::Step(repair),
                        None => return Ok(()),
                    },
                },
                Next::Tools(step) | Next::ToolsInDoubt(step) => {
                    let in_doubt = matches!(next, Next::ToolsInDoubt(_));
                    mistakes += match self.ending.answer.is_unread() {
                        true => 1,
                        false => self.call_tools(&prompt, in_doubt).await?,
                    };
                    if mistakes > self.ending.runner.limits.tool_mistakes {
                        return Err(Stop::Failed(RunError {
                            code: RunErrorCode::ToolArguments,
                            message: "the model called tools wrongly too often".to_owned(),
                            retryable: true,
                        }));
                    }
                    if self.agent.current.id != prompt.version {
                        prompt = self.prompt().await?;
                    }
                    Next::Step(self.begin_step(step, StepPurpose::Answer)?)
                }
            };
        }
    }

    async fn prompt(&self) -> Result<Prompt, Stop> {
        let summary = self.summary().await?;
        let history = self.history(summary.as_ref()).await?;
        let files = self.files(&history).await?;
        let (spec, ending) = (&self.agent.current.spec, &self.ending);
        let variables = &ending.run.options.variables;
        let evaluator = &ending.runner.evaluator;
        let today = local(now(), spec, &ending.run.options);
        let instructions =
            evaluator.instructions(&ending.who, &spec.instructions, today, variables);
        let instructions = instructions.await.map_err(|error| {
            tracing::error!(%error, "the instructions do not render");
            Stop::Failed(internal())
        })?;
        let team = Team::of(&ending.runner, &ending.who, spec, &ending.run).await?;
        let toolbox = Toolbox::new(
            &ending.runner.tools,
            &spec.tools,
            ending.who.clone(),
            &ending.run,
            ending.live.cancel_token().clone(),
            self.headers.clone(),
            ResultFiles::new(&ending.runner, ending.run.id, ending.answer.parts()),
        )
        .await;
        Ok(Prompt {
            version: self.agent.current.id,
            instructions: Arc::new(ChatMessage::system(instructions)),
            conversation: Conversation::new(&history, &files),
            files,
            // Nobody else needs it twice.
            history: spec.summary.as_ref().map_or_else(Vec::new, |_| history),
            summary,
            tools: toolbox.specs().into_iter().chain(team.specs()).collect(),
            toolbox,
            team,
        })
    }

    /// Reads the files that calls of this run have given, as far as they are shown.
    async fn show_results(&self, prompt: &mut Prompt) -> Result<(), Stop> {
        let (ending, agent) = (&self.ending, &self.agent);
        let read = || async {
            let mut files = prompt.files.clone();
            let newest_first = ending.answer.parts().iter().rev();
            let runner = &ending.runner;
            runner
                .show_files(&ending.who, agent, newest_first, &mut files)
                .await?;
            Ok(files)
        };
        prompt.files = self.read(read).await?;
        Ok(())
    }

    pub(crate) async fn shown(&self, prompt: &Prompt) -> Shown {
        let (spec, ending) = (&self.agent.current.spec, &self.ending);
        let told = prompt.summary.as_ref().map(summary::told).map(Arc::new);
        let mut messages = vec![Arc::clone(&prompt.instructions)];
        messages.extend(told);
        let head = messages.len();
        messages.extend_from_slice(&prompt.conversation.messages);
        let said = prompt::spoken(ending.answer.parts(), &prompt.files).into_iter();
        messages.extend(said.chain(self.repair_messages().await).map(Arc::new));
        let most = self.limits().max_output_tokens;
        let mut request = prompt::request(spec, messages, most);
        request.tenant = Arc::clone(&ending.who.tenant);
        request.tools = Arc::clone(&prompt.tools);
        request.tool_choice = self.tool_choice();
        request
            .run_tool_choice
            .clone_from(&self.ending.run.options.tool_choice);
        request.output_schema = self.output_schema();
        Shown {
            request,
            head,
            newest: head + prompt.conversation.newest(),
        }
    }

    async fn make_step(&mut self, step: u32, prompt: &Prompt) -> Result<(), Stop> {
        let shown = self.shown(prompt).await;
        let span = tracing::error_span!("step", step, model = self.ending.run.model);
        let timeout = self.limits().step_timeout;
        let made = tokio::time::timeout(timeout, self.step(step, shown).instrument(span));
        made.await.unwrap_or_else(|_| {
            let error = too_long(RunErrorCode::StepTimeout, "the model call", timeout);
            Err(Stop::Failed(error))
        })
    }

    async fn step(&mut self, step: u32, shown: Shown) -> Result<(), Stop> {
        let mut taking = Taking {
            spending: Spending::new(&self.ending.run),
            calls: Vec::new(),
            step,
            started: 0,
        };
        self.ending.finish_reason = None;
        // That the step has begun is told before its first token.
        self.flush().await?;
        taking.started = self.ending.log.last_sequence();
        let runner = Arc::clone(&self.ending.runner);
        let models = runner.catalog.models_of(&self.agent.current.spec);
        let models = self.models_left(models);
        let fitted = Fitted::new(Arc::clone(&runner), shown);
        let answering = tokio::select! {
            biased;
            answering = runner.models.stream(models, &fitted) => answering,
            // Who has the run no longer asks no model.
            lost = self.ending.log.refused() => return Err(lost.into()),
        };
        let answering = match answering {
            Ok(answering) => answering,
            Err(error) => return self.end_in_silence(step, error),
        };
        let price = runner.models.price(&answering.model);
        taking.spending.at(price, &mut self.ending.run);
        self.ending.run.model = answering.model;
        let mut parts = answering.parts;
        loop {
            let waiting = self.ending.pending.len();
            tokio::select! {
                biased;
                part = parts.next(), if waiting < READY_PARTS => {
                    let Some(part) = part else { break };
                    self.take(part?, &mut taking)?;
                }
                // One write at a time: what comes while it is committed goes into the next
                // one. Even a model that is faster than the database then costs the run a
                // write for each commit, not for each packet.
                () = self.ending.log.caught_up(), if waiting > 0 => self.flush().await?,
                // Nothing may wait for the database until the model says more: it may be done.
                () = self.ending.log.failed() => self.flush().await?,
            }
        }
        let spending = taking.spending;
        let run = &mut self.ending.run;
        fitted.observe(&run.model, spending.before(), run.usage);
        spending.settle(run);
        self.ending.pending.push(EventBody::UsageUpdated {
            usage: self.ending.run.usage,
            cost: self.ending.run.cost,
        });
        let finish_reason = self.ending.finish_reason.unwrap_or(FinishReason::Stop);
        self.ending.answer.end_step(finish_reason);
        self.ending.pending.push(EventBody::StepFinished {
            step,
            finish_reason,
            model: Some(self.ending.run.model.clone()),
            usage: spending.usage,
            cost: spending.cost(),
            summary: None,
        });
        Ok(())
    }

    fn take(&mut self, part: StreamPart, taking: &mut Taking) -> Result<(), Stop> {
        let ending = &mut self.ending;
        let event = match part {
            StreamPart::Text(text) => Some(ending.answer.add_text(text)),
            StreamPart::TextWasReasoning => return self.take_back_text(taking),
            StreamPart::Reasoning(text) => Some(ending.answer.add_reasoning(text, None)),
            StreamPart::ReasoningSignature(signature) => {
                let event = ending.answer.add_reasoning(String::new(), Some(signature));
                Some(event)
            }
            StreamPart::ToolCallStarted { index, name, .. } => {
                let id = ToolCallId::new();
                taking.calls.push((index, id));
                Some(ending.answer.start_call(id, name))
            }
            StreamPart::ToolCallArguments { index, delta } => taking
                .call(index)
                .map(|id| ending.answer.add_arguments(id, delta)),
            // The end of the step tells it of all of them.
            StreamPart::ToolCallCompleted { .. } => None,
            StreamPart::Usage(usage) => {
                taking.spending.tell(usage, &mut ending.run);
                None
            }
            StreamPart::UsageUnknown => {
                taking.spending.forget(&mut ending.run);
                None
            }
            StreamPart::Finish(reason) => {
                ending.finish_reason = Some(reason);
                None
            }
        };
        ending.pending.extend(event);
        let limit = ending.runner.limits.answer_bytes;
        if ending.answer.bytes() > limit {
            return Err(Stop::Failed(RunError {
                code: RunErrorCode::AnswerTooLong,
                message: format!("the answer grew past {limit} bytes"),
                retryable: false,
            }));
        }
        Ok(())
    }

    /// Says that the text of the step was its reasoning, and gives it as that.
    fn take_back_text(&mut self, taking: &Taking) -> Result<(), Stop> {
        let answer = &mut self.ending.answer;
        let reasoning = answer.step_text().trim_end().to_owned();
        answer.restart_step();
        let restarted = EventBody::StepRestarted {
            step: taking.step,
            discard_after: taking.started,
        };
        let reasoning = answer.add_reasoning(reasoning, None);
        self.ending.pending.extend([restarted, reasoning]);
        Ok(())
    }

    /// Makes the calls that have no result, and tells each result as it comes. Returns how
    /// many of them the model has got wrong. Where somebody has to be asked about others, the
    /// run waits then. Hand-offs come last, when everything else has its result.
    async fn call_tools(&mut self, prompt: &Prompt, in_doubt: bool) -> Result<u32, Stop> {
        let toolbox = &prompt.toolbox;
        let sorted = self.ending.sort_calls(toolbox).await;
        let mut calls = sorted.make;
        let handoffs = prompt.team.take_hand_offs(&mut calls);
        let questions = prompt.team.take_questions(&mut calls);
        if in_doubt {
            let (ending, mut again) = (&mut self.ending, Vec::new());
            for call in calls {
                match toolbox.in_doubt(&call) {
                    Some(result) => ending.pending.push(ending.answer.complete_call(result)),
                    None => again.push(call),
                }
            }
            calls = again;
            self.ending.close_lost_questions().await;
        }
        // What is called is known before anything is done.
        self.flush().await?;
        self.ending.log.settle().await?;
        let at_once = self.ending.runner.limits.parallel_tools;
        let interval = self.ending.runner.limits.progress_interval;
        let results = toolbox.call_all(calls, at_once, interval);
        let results = results.map(|heard| match heard {
            Heard::Called(called) => Told::Called(called),
            Heard::Progress(call, progress) => Told::Progress(call, progress),
            Heard::Asks(call, asked) => Told::Asks(call, asked),
        });
        let answers = self.ask_all(questions, &prompt.team, at_once);
        let told = futures_util::stream::select(results, answers);
        let mut told = Box::pin(told.ready_chunks(READY_PARTS));
        let mut mistakes = 0;
        let mut questions = FuturesUnordered::new();
        loop {
            let ready = tokio::select! {
                ready = told.next() => ready,
                Some(answered) = questions.next() => {
                    self.ending.close_question(answered);
                    self.flush().await?;
                    continue;
                }
            };
            // A question ends with its call.
            let Some(ready) = ready else { break };
            for told in ready {
                if let Told::Asks(call, asked) = told {
                    let open = self.ending.open_question(call, asked).await?;
                    let (runner, who) = (&self.ending.runner, &self.ending.who);
                    let answer = |open| Arc::clone(runner).answer_of(who.clone(), open);
                    questions.extend(open.map(answer));
                } else {
                    mistakes += u32::from(self.ending.hear(told));
                }
            }
            self.flush().await?;
        }
        while let Some(answered) = questions.next().await {
            self.ending.close_question(answered);
        }
        self.flush().await?;
        // A finished call is not made again, whatever happens from here on.
        self.ending.log.settle().await?;
        match sorted.ask.is_empty() {
            true => Ok(mistakes + self.hand_off(handoffs, &prompt.team).await?),
            false => Err(Stop::AwaitsInput(sorted.ask)),
        }
    }

    /// Says that the step after `step` begins; returns which one that is.
    pub(crate) fn begin_step(&mut self, step: u32, purpose: StepPurpose) -> Result<u32, Stop> {
        let most = self.limits().max_steps;
        // A summary takes no step from the answer: it is there for that to become better.
        if step >= most.saturating_add(self.ending.summaries) {
            return Err(Stop::Failed(RunError {
                code: RunErrorCode::TooManySteps,
                message: format!("the model wanted more than {most} steps"),
                retryable: false,
            }));
        }
        match purpose {
            StepPurpose::Repair => self.ending.answer.begin_repair(),
            StepPurpose::Answer | StepPurpose::Summary => self.ending.answer.begin_step(),
        }
        let model = &self.ending.run.model;
        self.tell_step(step + 1, model.clone(), purpose);
        Ok(step + 1)
    }

    pub(crate) fn tell_step(&mut self, step: u32, model: String, purpose: StepPurpose) {
        self.ending.pending.push(EventBody::StepStarted {
            step,
            model,
            purpose,
        });
    }
}

/// A step's stream, as far as it was taken.
struct Taking {
    spending: Spending,
    /// The provider's number of each call, and our id for it.
    calls: Vec<(u32, ToolCallId)>,
    step: u32,
    /// The sequence of the last event before the step's first token.
    started: u64,
}

impl Taking {
    fn call(&self, index: u32) -> Option<ToolCallId> {
        let call = self.calls.iter().find(|(number, _)| *number == index);
        call.map(|(_, id)| *id)
    }
}
