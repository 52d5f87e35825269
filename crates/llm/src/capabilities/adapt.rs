//! Adaptation of a request to the capabilities of its model: refused parameters are left out, or
//! replaced by the nearest accepted value.

use std::sync::Arc;

use super::{Capabilities, ChatProtocol};
use crate::{ChatMessage, ChatRequest, ChatRole, Content, Reasoning, ToolChoice};
use talkgraph_domain::capabilities::{
    Effort, ForcedTools, SamplingRule, SeedField, ThinkingForm, ThinkingOff, ToolsOverChat,
};

#[cfg(test)]
mod tests;

/// A parameter that the model refuses. The name is that of the setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum LeftOut {
    /// Left out.
    Temperature,
    /// Left out.
    TopP,
    /// Left out.
    Seed,
    /// Lowered to the model's own limit.
    MaxOutputTokens,
    /// Replaced by the nearest effort, or left out.
    ReasoningEffort,
    /// Left out.
    Verbosity,
    /// Replaced by the lowest effort if thinking cannot be switched off.
    Thinking,
    /// Left out.
    ThinkingBudgetTokens,
    /// Replaced by a request in the instructions.
    ToolChoice,
    /// Left out.
    ParallelToolCalls,
    /// Over Chat Completions the model reasons only without tools.
    ReasoningWithTools,
}

impl LeftOut {
    /// The bit of this parameter in the set of logged ones.
    pub(super) fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// Adapts a request to its capabilities. Returns the parameters that are not sent unchanged.
pub(crate) fn adapt(request: &mut ChatRequest, protocol: ChatProtocol) -> Vec<LeftOut> {
    let capabilities = Arc::clone(&request.capabilities);
    let mut left_out = Vec::new();
    thinking(request, &capabilities, protocol, &mut left_out);
    effort(request, &capabilities, &mut left_out);
    tools(request, &capabilities, protocol, &mut left_out);
    sampling(request, &capabilities, protocol, &mut left_out);
    let has_verbosity = matches!(
        protocol,
        ChatProtocol::ChatCompletions | ChatProtocol::Responses
    );
    if !(capabilities.verbosity && has_verbosity) && request.reasoning.verbosity.take().is_some() {
        left_out.push(LeftOut::Verbosity);
    }
    if let (Some(asked), Some(most)) = (request.max_output_tokens, capabilities.max_output_tokens)
        && asked > most
    {
        request.max_output_tokens = Some(most);
        left_out.push(LeftOut::MaxOutputTokens);
    }
    left_out
}

/// The parameters for as little reasoning as the model supports.
pub(crate) fn least_reasoning(capabilities: &Capabilities) -> Reasoning {
    match capabilities.thinking_off {
        _ if !capabilities.reasons => Reasoning::default(),
        ThinkingOff::Never => Reasoning {
            effort: lowest(capabilities),
            ..Reasoning::default()
        },
        ThinkingOff::Disabled | ThinkingOff::BetweenTools => Reasoning {
            thinking: Some(false),
            ..Reasoning::default()
        },
    }
}

/// The form of thinking over a protocol: OpenAI's two protocols use the effort, even if the model's
/// own protocol has another form.
pub(crate) fn form(capabilities: &Capabilities, protocol: ChatProtocol) -> ThinkingForm {
    match (capabilities.thinking, protocol) {
        (Some(ThinkingForm::None), _) => ThinkingForm::None,
        (Some(ThinkingForm::Switch), ChatProtocol::ChatCompletions) => ThinkingForm::Switch,
        (_, ChatProtocol::ChatCompletions | ChatProtocol::Responses) => ThinkingForm::Effort,
        (Some(form), _) => form,
        (None, _) => ThinkingForm::Budget,
    }
}

/// True if the model thinks in answer to this request.
pub(crate) fn thinks(request: &ChatRequest) -> bool {
    let capabilities = &request.capabilities;
    let reasoning = request.reasoning;
    match (reasoning.thinking, reasoning.effort) {
        (Some(thinking), _) => thinking,
        (None, Some(effort)) if capabilities.thinking == Some(ThinkingForm::Effort) => {
            effort != Effort::None
        }
        _ => capabilities.thinks_by_default,
    }
}

fn thinking(
    request: &mut ChatRequest,
    capabilities: &Capabilities,
    protocol: ChatProtocol,
    left_out: &mut Vec<LeftOut>,
) {
    let reasoning = &mut request.reasoning;
    let form = form(capabilities, protocol);
    if form == ThinkingForm::None {
        let asked = reasoning.thinking.take() == Some(true);
        let budget = reasoning.thinking_budget_tokens.take().is_some();
        if asked || budget {
            left_out.push(LeftOut::Thinking);
        }
        return;
    }
    if reasoning.thinking_budget_tokens.is_some() {
        if form != ThinkingForm::Budget {
            reasoning.thinking_budget_tokens = None;
            left_out.push(LeftOut::ThinkingBudgetTokens);
        }
        reasoning.thinking = reasoning.thinking.or(Some(true));
    }
    if form != ThinkingForm::Effort && reasoning.effort == Some(Effort::None) {
        reasoning.effort = None;
        reasoning.thinking = Some(false);
    }
    match reasoning.thinking {
        Some(false) if capabilities.thinking_off == ThinkingOff::Never => {
            reasoning.thinking = None;
            reasoning.effort = lowest(capabilities);
            left_out.push(LeftOut::Thinking);
        }
        Some(false) if form == ThinkingForm::Effort => {
            reasoning.thinking = None;
            reasoning.effort = Some(Effort::None);
        }
        Some(false) => {
            let most = capabilities.thinking_off_effort;
            if let (Some(asked), Some(most)) = (reasoning.effort, most)
                && asked > most
            {
                reasoning.effort = Some(most);
                left_out.push(LeftOut::ReasoningEffort);
            }
        }
        Some(true) if form == ThinkingForm::Effort => {
            reasoning.thinking = None;
            let is_off = capabilities.default_effort == Some(Effort::None);
            if reasoning.effort.is_none() && is_off {
                reasoning.effort = Some(Effort::Medium);
            }
        }
        Some(true) | None => {}
    }
}

/// The lowest effort that includes reasoning.
fn lowest(capabilities: &Capabilities) -> Option<Effort> {
    let efforts = capabilities.efforts.iter().flatten().copied();
    efforts.filter(|effort| *effort != Effort::None).min()
}

fn effort(request: &mut ChatRequest, capabilities: &Capabilities, left_out: &mut Vec<LeftOut>) {
    let (Some(asked), Some(efforts)) = (request.reasoning.effort, &capabilities.efforts) else {
        return;
    };
    let below = efforts.iter().filter(|effort| **effort <= asked).max();
    let nearest = below.or(efforts.iter().min()).copied();
    if nearest != Some(asked) {
        request.reasoning.effort = nearest;
        // A model that never reasons needs no parameter for that.
        if nearest.is_some() || asked != Effort::None {
            left_out.push(LeftOut::ReasoningEffort);
        }
    }
}

fn tools(
    request: &mut ChatRequest,
    capabilities: &Capabilities,
    protocol: ChatProtocol,
    left_out: &mut Vec<LeftOut>,
) {
    if request.tools.is_empty() {
        return;
    }
    if protocol == ChatProtocol::ChatCompletions {
        let effort = &mut request.reasoning.effort;
        // A model that always reasons refuses tools here with any parameters; its provider reports
        // that.
        let takes_none = capabilities
            .efforts
            .as_ref()
            .is_none_or(|efforts| efforts.contains(&Effort::None));
        match capabilities.tools_over_chat_completions {
            ToolsOverChat::WithEffortNone if takes_none && *effort != Some(Effort::None) => {
                *effort = Some(Effort::None);
                left_out.push(LeftOut::ReasoningWithTools);
            }
            ToolsOverChat::WithoutEffort if effort.is_some_and(|one| one != Effort::None) => {
                *effort = None;
                left_out.push(LeftOut::ReasoningWithTools);
            }
            _ => {}
        }
    }
    let refuses_force = match capabilities.forced_tools {
        ForcedTools::Always => false,
        ForcedTools::WithoutThinking => thinks(request),
        ForcedTools::Never => true,
    };
    if refuses_force {
        if is_forced(&request.tool_choice) {
            request.tool_choice = ToolChoice::Auto;
            left_out.push(LeftOut::ToolChoice);
        }
        // Added in every step of the run, so that its instructions stay the same: thinking may be
        // bound to them.
        if let Some(words) = in_words(&request.run_tool_choice) {
            instruct(request, &words);
        }
    }
    if !capabilities.parallel_tool_calls && !request.parallel_tool_calls {
        request.parallel_tool_calls = true;
        left_out.push(LeftOut::ParallelToolCalls);
    }
}

fn is_forced(choice: &ToolChoice) -> bool {
    matches!(choice, ToolChoice::Required | ToolChoice::Named(_))
}

fn in_words(choice: &ToolChoice) -> Option<String> {
    match choice {
        ToolChoice::Auto | ToolChoice::None => None,
        ToolChoice::Required => {
            Some("Call at least one of your tools before you answer the last message.".to_owned())
        }
        ToolChoice::Named(name) => Some(format!(
            "Call the tool {name:?} before you answer the last message."
        )),
    }
}

/// Adds to the instructions.
fn instruct(request: &mut ChatRequest, words: &str) {
    let first = request.messages.first_mut();
    match first.filter(|message| message.role == ChatRole::System) {
        Some(message) => {
            let message = Arc::make_mut(message);
            message.content.push(Content::Text(format!("\n\n{words}")));
        }
        None => request
            .messages
            .insert(0, Arc::new(ChatMessage::system(words))),
    }
}

fn sampling(
    request: &mut ChatRequest,
    capabilities: &Capabilities,
    protocol: ChatProtocol,
    left_out: &mut Vec<LeftOut>,
) {
    let effort = request.reasoning.effort.or(capabilities.default_effort);
    // Anthropic's older models take no temperature while they think.
    let is_thinking_alone = protocol == ChatProtocol::Messages && thinks(request);
    let is_refused = match capabilities.sampling {
        SamplingRule::Always => is_thinking_alone,
        SamplingRule::WithoutReasoning => effort != Some(Effort::None),
        SamplingRule::Never => true,
    };
    let sampling = &mut request.sampling;
    if is_refused {
        if sampling.temperature.take().is_some() {
            left_out.push(LeftOut::Temperature);
        }
        if sampling.top_p.take().is_some() {
            left_out.push(LeftOut::TopP);
        }
    }
    sampling.temperature = sampling
        .temperature
        .map(|value| value.min(capabilities.temperature_max));
    if !capabilities.top_p_with_temperature
        && sampling.temperature.is_some()
        && sampling.top_p.take().is_some()
    {
        left_out.push(LeftOut::TopP);
    }
    let is_chat = protocol == ChatProtocol::ChatCompletions;
    if is_chat && capabilities.seed_field == SeedField::None && sampling.seed.take().is_some() {
        left_out.push(LeftOut::Seed);
    }
}
