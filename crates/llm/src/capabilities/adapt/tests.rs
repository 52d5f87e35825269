use std::sync::Arc;

use super::{LeftOut, adapt};
use crate::samples::tools;
use crate::{
    Capabilities, ChatMessage, ChatProtocol, ChatRequest, Reasoning, Sampling, ToolChoice,
};
use talkgraph_domain::capabilities::{Effort, Verbosity};

use ChatProtocol::{ChatCompletions, GenerateContent, Messages, Responses};

/// A request for a model, with instructions and a temperature.
fn request(protocol: ChatProtocol, model: &str) -> ChatRequest {
    let messages = vec![ChatMessage::system("Be brief."), ChatMessage::user("Hi")];
    ChatRequest {
        sampling: Sampling {
            temperature: Some(0.3),
            ..Sampling::default()
        },
        capabilities: Arc::new(Capabilities::of(Some(protocol), "gateway.example", model)),
        ..ChatRequest::new(model, messages)
    }
}

fn asked(protocol: ChatProtocol, model: &str, reasoning: Reasoning) -> (Reasoning, Vec<LeftOut>) {
    let mut request = ChatRequest {
        reasoning,
        sampling: Sampling::default(),
        ..request(protocol, model)
    };
    let left_out = adapt(&mut request, protocol);
    (request.reasoning, left_out)
}

fn effort(effort: Effort) -> Reasoning {
    Reasoning {
        effort: Some(effort),
        ..Reasoning::default()
    }
}

fn thinking(is_on: bool) -> Reasoning {
    Reasoning {
        thinking: Some(is_on),
        ..Reasoning::default()
    }
}

#[test]
fn temperature_is_sent_where_it_is_taken() {
    for (protocol, model, is_taken) in [
        (ChatCompletions, "gpt-5.6-luna", false),
        (Responses, "openai/gpt-5.6", false),
        (Responses, "gpt-5.4-mini", true),
        (Responses, "gpt-5-mini", false),
        (ChatCompletions, "o4-mini", false),
        (ChatCompletions, "gpt-4.1-mini", true),
        (ChatCompletions, "llama-3.3-70b-versatile", true),
        (Messages, "claude-opus-4-7", false),
        (Messages, "claude-opus-4-6", true),
        (Messages, "claude-haiku-5-5", false),
        (
            Messages,
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            true,
        ),
        (ChatCompletions, "anthropic/claude-opus-5.5", false),
        (Messages, "claude-nova-7", false),
        (GenerateContent, "gemini-3.8-flash", true),
    ] {
        let mut request = request(protocol, model);
        let left_out = adapt(&mut request, protocol);
        assert_eq!(request.sampling.temperature.is_some(), is_taken, "{model}");
        assert_eq!(left_out.is_empty(), is_taken, "{model}: {left_out:?}");
    }
    // Without reasoning it is accepted.
    let mut request = ChatRequest {
        reasoning: effort(Effort::None),
        ..request(Responses, "gpt-5.6")
    };
    assert_eq!(adapt(&mut request, Responses), []);
    assert_eq!(request.sampling.temperature, Some(0.3));
}

#[test]
fn effort_becomes_the_nearest_accepted_one() {
    for (protocol, model, wish, sent) in [
        (Responses, "gpt-5.6", Effort::Max, Some(Effort::Max)),
        (Responses, "gpt-5.5", Effort::Max, Some(Effort::Xhigh)),
        (Responses, "gpt-5-mini", Effort::None, Some(Effort::Minimal)),
        (Responses, "gpt-5.6", Effort::Minimal, Some(Effort::None)),
        (Responses, "gpt-4.1", Effort::High, None),
        (
            Messages,
            "claude-opus-5-5",
            Effort::Xhigh,
            Some(Effort::Xhigh),
        ),
        (Messages, "claude-opus-4-5", Effort::Max, Some(Effort::High)),
        (Messages, "claude-haiku-4-5", Effort::High, None),
        (
            GenerateContent,
            "gemini-3.8-flash",
            Effort::Minimal,
            Some(Effort::Low),
        ),
        (
            GenerateContent,
            "gemini-3.5-flash",
            Effort::Minimal,
            Some(Effort::Minimal),
        ),
        (
            ChatCompletions,
            "unknown",
            Effort::Xhigh,
            Some(Effort::Xhigh),
        ),
    ] {
        let (reasoning, left_out) = asked(protocol, model, effort(wish));
        assert_eq!(reasoning.effort, sent, "{model}");
        assert_eq!(left_out.is_empty(), sent == Some(wish), "{model}");
    }
}

#[test]
fn thinking_is_switched_off_as_each_model_has_it() {
    for (protocol, model, thinking_sent, effort_sent) in [
        (Responses, "gpt-5.6", None, Some(Effort::None)),
        (Responses, "o4-mini", None, Some(Effort::Low)),
        (Messages, "claude-opus-5-5", None, Some(Effort::Low)),
        (Messages, "claude-sonnet-5-5", Some(false), None),
        (Messages, "claude-haiku-5-5", Some(false), None),
        (GenerateContent, "gemini-3.8-flash", None, Some(Effort::Low)),
        (GenerateContent, "gemini-2.5-flash", Some(false), None),
        (ChatCompletions, "deepseek-v4-flash", Some(false), None),
    ] {
        let (reasoning, _) = asked(protocol, model, thinking(false));
        let sent = (reasoning.thinking, reasoning.effort);
        assert_eq!(sent, (thinking_sent, effort_sent), "{model}");
        // An effort of `none` has the same effect.
        if thinking_sent == Some(false) {
            let (reasoning, _) = asked(protocol, model, effort(Effort::None));
            assert_eq!(reasoning.thinking, Some(false), "{model}");
        }
    }
    let wish = Reasoning {
        effort: Some(Effort::Max),
        ..thinking(false)
    };
    let (reasoning, left_out) = asked(Messages, "claude-sonnet-5-5", wish);
    assert_eq!(reasoning.effort, Some(Effort::High));
    assert_eq!(left_out, [LeftOut::ReasoningEffort]);
}

#[test]
fn thinking_budget_is_sent_only_to_models_with_one() {
    let wish = Reasoning {
        thinking_budget_tokens: Some(2_000),
        ..Reasoning::default()
    };
    let (reasoning, left_out) = asked(Messages, "claude-haiku-4-5", wish);
    assert_eq!(reasoning.thinking_budget_tokens, Some(2_000));
    assert_eq!((reasoning.thinking, left_out), (Some(true), Vec::new()));
    let (reasoning, left_out) = asked(Messages, "claude-haiku-5-5", wish);
    assert_eq!(reasoning.thinking_budget_tokens, None);
    assert_eq!(left_out, [LeftOut::ThinkingBudgetTokens]);
}

#[test]
fn tools_come_without_reasoning_over_chat_completions() {
    for (protocol, model, wish, sent) in [
        (ChatCompletions, "gpt-5.6-luna", None, Some(Effort::None)),
        (
            ChatCompletions,
            "gpt-5.6",
            Some(Effort::High),
            Some(Effort::None),
        ),
        (ChatCompletions, "gpt-5.4", Some(Effort::High), None),
        (ChatCompletions, "gpt-5.4", None, None),
        (
            ChatCompletions,
            "gpt-5.1",
            Some(Effort::High),
            Some(Effort::High),
        ),
        (Responses, "gpt-5.6", Some(Effort::High), Some(Effort::High)),
    ] {
        let mut request = request(protocol, model);
        request.tools = tools().into();
        request.reasoning.effort = wish;
        adapt(&mut request, protocol);
        assert_eq!(request.reasoning.effort, sent, "{model}");
    }
    // Then the temperature is accepted.
    let mut request = request(ChatCompletions, "gpt-5.6-luna");
    request.tools = tools().into();
    assert_eq!(
        adapt(&mut request, ChatCompletions),
        [LeftOut::ReasoningWithTools]
    );
    assert_eq!(request.sampling.temperature, Some(0.3));
}

#[test]
fn unforceable_tool_is_requested_in_the_instructions() {
    let forced = |model: &str, choice: ToolChoice, run: ToolChoice| {
        let mut request = request(Messages, model);
        request.sampling.temperature = None;
        request.tools = tools().into();
        request.tool_choice = choice;
        request.run_tool_choice = run;
        let left_out = adapt(&mut request, Messages);
        (
            request.messages[0].all_text(),
            request.tool_choice,
            left_out,
        )
    };
    let time = ToolChoice::Named("time".to_owned());
    let (first, choice, left_out) = forced("claude-opus-5-5", time.clone(), time.clone());
    assert_eq!(choice, ToolChoice::Auto);
    assert_eq!(left_out, [LeftOut::ToolChoice]);
    assert!(
        first.starts_with("Be brief.\n\nCall the tool \"time\""),
        "{first}"
    );
    // The instructions stay the same in the following steps.
    let (later, _, left_out) = forced("claude-opus-5-5", ToolChoice::Auto, time.clone());
    assert_eq!((later, left_out), (first, Vec::new()));

    let (instructions, choice, _) = forced("claude-opus-4-8", time.clone(), time.clone());
    assert_eq!((instructions.as_str(), choice), ("Be brief.", time.clone()));
    let (_, choice, _) = forced("claude-haiku-5-5", time.clone(), time);
    assert_eq!(choice, ToolChoice::Auto, "it thinks by default");
}

#[test]
fn unsupported_keywords_are_left_out() {
    let wish = Reasoning {
        verbosity: Some(Verbosity::Low),
        ..Reasoning::default()
    };
    let (reasoning, left_out) = asked(Responses, "gpt-5.6", wish);
    assert_eq!((reasoning, left_out), (wish, Vec::new()));
    for (protocol, model) in [
        (Responses, "gpt-4.1"),
        (Messages, "claude-opus-5-5"),
        (Messages, "unknown"),
        (GenerateContent, "gemini-3.8-flash"),
    ] {
        let (reasoning, left_out) = asked(protocol, model, wish);
        assert_eq!(reasoning.verbosity, None, "{model}");
        assert_eq!(left_out, [LeftOut::Verbosity], "{model}");
    }
    let mut request = request(ChatCompletions, "o3");
    request.tools = tools().into();
    request.parallel_tool_calls = false;
    request.max_output_tokens = Some(1_000_000);
    let left_out = adapt(&mut request, ChatCompletions);
    assert!(request.parallel_tool_calls);
    assert_eq!(request.max_output_tokens, Some(100_000));
    assert_eq!(
        left_out,
        [
            LeftOut::ParallelToolCalls,
            LeftOut::Temperature,
            LeftOut::MaxOutputTokens
        ]
    );
}
