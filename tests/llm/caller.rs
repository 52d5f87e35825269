//! Calls, and what came of them.

use std::time::Duration;

use futures_util::StreamExt;
use talkgraph_domain::{CacheTtl, FinishReason, Usage};
use talkgraph_llm::{
    ChatMessage, ChatModel, ChatRequest, ConnectionSettings, HttpSettings, LlmError, Named,
    ParameterMemory, PartStream, Provider, ProviderKind, ProviderSettings, Sampling, StreamPart,
    http_client,
};

use crate::upstream::{Script, Upstream};

pub const KEY: &str = "sk-test-0123456789";
pub const LONG: Duration = Duration::from_secs(30);
pub const SHORT: Duration = Duration::from_millis(60);

/// Settings with a key, limits no test reaches, and small events.
pub fn settings(base_url: String) -> ProviderSettings {
    settings_of(ProviderKind::OpenAi, base_url)
}

/// The same for another kind of provider.
pub fn settings_of(kind: ProviderKind, base_url: String) -> ProviderSettings {
    ProviderSettings {
        kind,
        base_url,
        api_key: Some(KEY.into()),
        connection: ConnectionSettings::default(),
        stream_options: true,
        refused_parameters: ParameterMemory::new(LONG),
        first_token_timeout: LONG,
        idle_timeout: LONG,
        total_timeout: LONG,
        max_event_bytes: 16 * 1024,
        cache_ttl: CacheTtl::default(),
    }
}

/// A provider with a client of its own.
pub fn provider(settings: ProviderSettings) -> Provider {
    let client = http_client(&HttpSettings {
        connect_timeout: LONG,
        proxies: std::sync::Arc::default(),
    });
    Provider::new(client.unwrap(), settings).unwrap()
}

/// A request with instructions and this question.
pub fn ask(text: &str) -> ChatRequest {
    let messages = vec![ChatMessage::system("Be brief."), ChatMessage::user(text)];
    ChatRequest {
        sampling: Sampling {
            temperature: Some(0.5),
            ..Sampling::default()
        },
        max_output_tokens: Some(64),
        ..ChatRequest::new("small", messages)
    }
}

/// What came of a call.
#[derive(Debug, Default, PartialEq)]
pub struct Answer {
    pub text: String,
    pub reasoning: String,
    pub signatures: Vec<String>,
    pub calls: Vec<Call>,
    pub usage: Option<Usage>,
    pub finish: Option<FinishReason>,
    pub error: Option<LlmError>,
}

/// A tool call.
#[derive(Debug, Default, PartialEq)]
pub struct Call {
    pub id: String,
    pub name: String,
    pub arguments: String,
    pub completed: bool,
}

impl Call {
    /// A call that is completed.
    pub fn complete(id: &str, name: &str, arguments: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
            completed: true,
        }
    }
}

impl Answer {
    /// What [`Script::tokens`] of this text gives.
    pub fn complete(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            usage: Some(tokens(7, 3)),
            finish: Some(FinishReason::Stop),
            ..Self::default()
        }
    }

    /// An answer that broke off with an error.
    pub fn failed(text: &str, error: LlmError) -> Self {
        Self {
            text: text.to_owned(),
            error: Some(error),
            ..Self::default()
        }
    }
}

/// A usage without details.
pub fn tokens(input_tokens: u64, output_tokens: u64) -> Usage {
    Usage {
        input_tokens,
        output_tokens,
        ..Usage::default()
    }
}

/// A signature without what it is bound to.
fn unbound(signature: &str) -> String {
    let (signer, rest) = signature.split_once('#').unwrap();
    let (_, proof) = rest.split_once(':').unwrap();
    format!("{signer}:{proof}")
}

/// Reads a stream to its end.
pub async fn collect(mut stream: PartStream) -> Answer {
    let mut answer = Answer::default();
    while let Some(part) = stream.next().await {
        assert_eq!(answer.error, None, "an error is the last thing");
        match part {
            Ok(StreamPart::Text(text)) => answer.text += &text,
            Ok(StreamPart::TextWasReasoning) => {
                let text = std::mem::take(&mut answer.text);
                text.trim_end().clone_into(&mut answer.reasoning);
            }
            Ok(StreamPart::Reasoning(text)) => answer.reasoning += &text,
            Ok(StreamPart::ReasoningSignature(text)) => answer.signatures.push(unbound(&text)),
            Ok(StreamPart::ToolCallStarted { index, id, name }) => {
                assert_eq!(index as usize, answer.calls.len());
                answer.calls.push(Call {
                    id,
                    name,
                    ..Call::default()
                });
            }
            Ok(StreamPart::ToolCallArguments { index, delta }) => {
                answer.calls[index as usize].arguments += &delta;
            }
            Ok(StreamPart::ToolCallCompleted { index }) => {
                answer.calls[index as usize].completed = true;
            }
            Ok(StreamPart::Usage(usage)) => answer.usage = Some(usage),
            Ok(StreamPart::UsageUnknown) => answer.usage = None,
            Ok(StreamPart::Finish(reason)) => assert_eq!(answer.finish.replace(reason), None),
            Err(error) => answer.error = Some(error),
        }
    }
    answer
}

/// One call, from the question to the end of the answer.
pub async fn call(provider: &Provider) -> Answer {
    match provider.stream(ask("How are you?")).await {
        Ok(stream) => collect(stream).await,
        Err(error) => Answer::failed("", error),
    }
}

/// One call with these settings, answered by this script.
pub async fn scripted(script: Script, change: impl FnOnce(&mut ProviderSettings)) -> Answer {
    let upstream = Upstream::start().await;
    upstream.then(script);
    let mut settings = settings(upstream.base_url());
    change(&mut settings);
    call(&provider(settings)).await
}

/// A refusal without a code.
pub fn rejected(status: u16) -> LlmError {
    let named = Named::default();
    LlmError::Rejected { status, named }
}
