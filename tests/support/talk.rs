//! What people do with a server, in GraphQL.

use serde_json::{Value, json};

use super::client::Client;
use super::sse::Events;
use super::upstream::Script;
use super::wait::{eventually, soon};

/// Everything that a run's events tell, the texts so far included.
pub(crate) const EVENT: &str = "
    __typename sequence at run { id }
    ... on StepStarted { step model purpose }
    ... on DataAdded { data message { id data } }
    ... on StepFinished { step finishReason }
    ... on StepRestarted { step discardAfter }
    ... on TextDelta { delta firstSequence message { id text } }
    ... on ReasoningDelta { delta }
    ... on ToolCallStarted { toolCallId name }
    ... on ToolCallArgumentsDelta { toolCallId delta }
    ... on ToolCallCompleted { toolCallId result { text isError truncated } }
    ... on InterruptRequested { interrupt { id toolCallId resolution { kind } } }
    ... on InterruptResolved { interrupt { id toolCallId resolution { kind arguments } } }
    ... on UsageUpdated { usage { inputTokens outputTokens } }
    ... on MessageCompleted { message { id text } }
    ... on RunCompleted { finishReason }
    ... on RunFailed { error { code message retryable } }
    ... on LogCompacted { firstSequence }";

const RUN: &str = "id status finishReason lastSequence error { code message retryable }
    output { id text finishReason }";

/// Says something and waits for the answer: the payload of `chat`.
pub(crate) async fn chat(client: &Client, session: Option<&str>, text: &str) -> Value {
    let document = format!(
        "mutation($input: ChatInput!) {{ chat(input: $input) {{
           session {{ id title }} userMessage {{ id role text }}
           message {{ id role text finishReason }} run {{ {RUN} }} }} }}"
    );
    let mut data = client.data(&document, &input(session, text)).await;
    data["chat"].take()
}

/// Says something without waiting: ids of the session and the run.
pub(crate) async fn send(client: &Client, session: Option<&str>, text: &str) -> (String, String) {
    let data = client.data(SEND, &input(session, text)).await;
    let payload = &data["sendMessage"];
    (
        string(&payload["session"]["id"]),
        string(&payload["run"]["id"]),
    )
}

pub(crate) const SEND: &str = "mutation($input: ChatInput!) { sendMessage(input: $input) {
    session { id } run { id status } } }";

/// The variables of `chat` and `sendMessage`.
pub(crate) fn input(session: Option<&str>, text: &str) -> Value {
    json!({ "input": { "sessionId": session, "message": { "text": text } } })
}

/// The document of `subscription { chat }`.
pub(crate) fn chat_subscription() -> String {
    format!("subscription($input: ChatInput!) {{ chat(input: $input) {{ {EVENT} }} }}")
}

/// The document of `subscription { runEvents }`.
pub(crate) fn run_events_subscription() -> String {
    format!(
        "subscription($run: ID!, $after: Int) {{
           runEvents(runId: $run, after: $after) {{ {EVENT} }} }}"
    )
}

/// Follows a run over Server-Sent Events.
pub(crate) async fn follow(client: &Client, run: &str, after: u64) -> Events {
    let variables = json!({ "run": run, "after": after });
    client.events(&run_events_subscription(), &variables).await
}

/// The events in the responses of any subscription to runs, none of which may be an error.
pub(crate) fn events(responses: Vec<Value>) -> Vec<Value> {
    let event = |mut response: Value| {
        assert!(response.get("errors").is_none(), "{response}");
        let data = &mut response["data"];
        let fields = ["chat", "runEvents", "sessionEvents"];
        let field = fields.iter().find(|field| data.get(**field).is_some());
        data[*field.unwrap()].take()
    };
    responses.into_iter().map(event).collect()
}

/// The events of a run after `after`, to the end.
pub(crate) async fn run_events(client: &Client, run: &str, after: u64) -> Vec<Value> {
    events(follow(client, run, after).await.rest().await)
}

/// A run as it is.
pub(crate) async fn run(client: &Client, id: &str) -> Value {
    let document = format!("query($id: ID!) {{ run(id: $id) {{ {RUN} }} }}");
    let mut data = client.data(&document, &json!({ "id": id })).await;
    data["run"].take()
}

/// A run once it has ended.
pub(crate) async fn ended_run(client: &Client, id: &str) -> Value {
    eventually("the run's end", async || {
        let run = run(client, id).await;
        let active = ["QUEUED", "RUNNING"].map(Value::from);
        (!active.contains(&run["status"])).then_some(run)
    })
    .await
}

/// Waits until a run has got so far that `status` is what it is.
pub(crate) async fn wait_status(client: &Client, id: &str, status: &str) {
    eventually(status, async || {
        (run(client, id).await["status"] == status).then_some(())
    })
    .await;
}

/// `ROLE: text` of all messages of a session.
pub(crate) async fn messages(client: &Client, session: &str) -> Vec<String> {
    let document =
        "query($id: ID!) { session(id: $id) { messages(first: 100) { nodes { role text } } } }";
    let data = client.data(document, &json!({ "id": session })).await;
    let nodes = data["session"]["messages"]["nodes"].as_array().unwrap();
    let line = |node: &Value| format!("{}: {}", string(&node["role"]), string(&node["text"]));
    nodes.iter().map(line).collect()
}

/// Makes a session and gives its id.
pub(crate) async fn create_session(client: &Client) -> String {
    let document = "mutation { createSession { session { id } } }";
    let data = client.data(document, &json!({})).await;
    string(&data["createSession"]["session"]["id"])
}

/// `cancelRun`: the run.
pub(crate) async fn cancel(client: &Client, run: &str) -> Value {
    let document = format!("mutation($id: ID!) {{ cancelRun(id: $id) {{ run {{ {RUN} }} }} }}");
    let mut data = client.data(&document, &json!({ "id": run })).await;
    data["cancelRun"]["run"].take()
}

/// Events are numbered from 1 without holes.
pub(crate) fn check_sequences(log: &[Value]) {
    for (event, sequence) in log.iter().zip(1..) {
        assert_eq!(event["sequence"], sequence, "{event}");
    }
}

/// The field of every value.
pub(crate) fn all<'a>(values: &'a [Value], field: &str) -> Vec<&'a Value> {
    values.iter().map(|value| &value[field]).collect()
}

/// The types of events.
pub(crate) fn kinds(log: &[Value]) -> Vec<String> {
    let kinds = log.iter().map(|event| string(&event["__typename"]));
    kinds.collect()
}

/// A JSON string as a string.
pub(crate) fn string(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => panic!("no string: {value}"),
    }
}

/// An answer that says "one two " and waits there before it says "three".
pub(crate) fn half_said() -> Script {
    Script::stream()
        .text(["one ", "two "])
        .hold()
        .text(["three"])
        .ended()
}

/// Waits until a run's answer is committed as far as `text`, in its try after so many restarts.
/// The upstream that has written it says nothing of that: the server may not have read it yet.
pub(crate) async fn committed_text(client: &Client, run: &str, restarts: usize, text: &str) {
    let mut stream = follow(client, run, 0).await;
    let committed = async {
        let mut seen = 0;
        while let Some(event) = stream.next().await {
            let event = events(vec![event]).remove(0);
            match event["__typename"].as_str() {
                Some("StepRestarted") => seen += 1,
                Some("TextDelta") if seen == restarts && event["message"]["text"] == text => return,
                _ => {}
            }
        }
        panic!("the run ended before it said {text:?}");
    };
    soon("the committed text", committed).await;
}

/// What all of [`half_said`] comes to.
pub(crate) const WHOLE: &str = "one two three";
