//! The body of a chat completions request.

use serde::Serialize;

use crate::llm::{ChatMessage, ChatRequest, ChatRole};

/// Which field holds the limit on the answer's length.
///
/// OpenAI refuses `max_tokens` for its reasoning models and takes the newer field for
/// all; most of the servers that imitate it know only the older one, and would ignore
/// the newer and with it the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LimitField {
    MaxTokens,
    MaxCompletionTokens,
}

impl LimitField {
    pub(super) fn of_host(host: &str) -> Self {
        if host == "api.openai.com" {
            Self::MaxCompletionTokens
        } else {
            Self::MaxTokens
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    stream: bool,
    stream_options: StreamOptions,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

/// The body as JSON.
pub(super) fn body(request: &ChatRequest, field: LimitField) -> serde_json::Result<Vec<u8>> {
    let limit_in = |wanted| request.max_output_tokens.filter(|_| field == wanted);
    serde_json::to_vec(&Body {
        model: &request.model,
        messages: request.messages.iter().map(message).collect(),
        stream: true,
        stream_options: StreamOptions {
            include_usage: true,
        },
        temperature: request.sampling.temperature,
        top_p: request.sampling.top_p,
        seed: request.sampling.seed,
        max_tokens: limit_in(LimitField::MaxTokens),
        max_completion_tokens: limit_in(LimitField::MaxCompletionTokens),
    })
}

fn message(message: &ChatMessage) -> Message<'_> {
    let role = match message.role {
        ChatRole::System => "system",
        ChatRole::User => "user",
        ChatRole::Assistant => "assistant",
    };
    Message {
        role,
        content: &message.content,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::{LimitField, body};
    use crate::llm::{ChatMessage, ChatRequest, ChatRole, Sampling};

    fn sent(request: &ChatRequest, host: &str) -> Value {
        let body = body(request, LimitField::of_host(host)).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    #[test]
    fn what_is_not_set_is_not_sent() {
        let mut request = ChatRequest {
            model: "m".to_owned(),
            messages: vec![ChatMessage {
                role: ChatRole::System,
                content: "Be brief.".to_owned(),
            }],
            sampling: Sampling::default(),
            max_output_tokens: None,
        };
        let bare = json!({
            "model": "m",
            "messages": [{ "role": "system", "content": "Be brief." }],
            "stream": true,
            "stream_options": { "include_usage": true },
        });
        assert_eq!(sent(&request, "localhost"), bare);

        request.sampling.temperature = Some(0.7);
        request.sampling.seed = Some(u64::MAX);
        request.max_output_tokens = Some(5);
        let body = sent(&request, "localhost");
        // Not 0.699999988: the number must arrive as it was written.
        assert_eq!(body["temperature"].to_string(), "0.7");
        assert_eq!(body["seed"], u64::MAX);
        assert_eq!(body["max_tokens"], 5);
        assert_eq!(body.get("max_completion_tokens"), None);
    }

    #[test]
    fn openai_itself_gets_the_newer_limit() {
        let request = ChatRequest {
            model: "m".to_owned(),
            messages: Vec::new(),
            sampling: Sampling::default(),
            max_output_tokens: Some(5),
        };
        let body = sent(&request, "api.openai.com");
        assert_eq!(body["max_completion_tokens"], 5);
        assert_eq!(body.get("max_tokens"), None);
    }
}
