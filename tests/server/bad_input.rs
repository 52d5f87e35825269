//! Wrong arguments: each answer names the argument and what is allowed, and nothing of the
//! server's insides.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::support::client::{Client, send};
use crate::support::server::TestServer;
use crate::support::sse::Events;
use crate::support::talk::{chat, create_session, input, run_events_subscription, string};

const ABSENT_SESSION: &str = "ses_01h455vb4pex5vsknk084sn02q";
const ABSENT_RUN: &str = "run_01h455vb4pex5vsknk084sn02q";
const ABSENT_MESSAGE: &str = "msg_01h455vb4pex5vsknk084sn02q";
const SAY: &str = "mutation($input: ChatInput!) { chat(input: $input) { run { id } } }";

/// A table of what is asked and what is answered.
struct Table {
    client: Client,
    lines: String,
    /// What differs from run to run, and what stands for it.
    names: Vec<(String, &'static str)>,
}

impl Table {
    /// Asks, and notes the one error of the answer.
    async fn ask(&mut self, what: &str, document: &str, variables: Value) {
        let response = self.client.response(document, &variables).await;
        self.note(what, &response);
    }

    async fn subscribe(&mut self, what: &str, document: &str, variables: Value) {
        let request = self.client.post(document, &variables);
        let response = send(request.header("accept", "text/event-stream")).await;
        // What validation refuses has no stream.
        if response.status() == 400 {
            let answer = response.text().await.unwrap();
            self.note(what, &serde_json::from_str(&answer).unwrap());
            return;
        }
        let mut events = Events::new(response);
        let response = events.next().await.unwrap();
        self.note(what, &response);
        assert_eq!(events.next().await, None, "an error ends the stream");
    }

    fn note(&mut self, what: &str, response: &Value) {
        let errors = response["errors"].as_array();
        let errors = errors.unwrap_or_else(|| panic!("{what}: {response}"));
        assert_eq!(errors.len(), 1, "{what}: {response}");
        let error = &errors[0];
        let mut line = format!(
            "{what}: {} {}\n    {}",
            string(&error["extensions"]["code"]),
            error["extensions"]
                .get("field")
                .map_or_else(String::new, string),
            string(&error["message"]),
        );
        for (value, name) in &self.names {
            line = line.replace(value, name);
        }
        check_discreet(&line);
        writeln!(self.lines, "{line}").unwrap();
    }
}

/// Nothing that only somebody who runs the server should know.
pub(crate) fn check_discreet(text: &str) {
    let inside = [
        "sqlx",
        "SELECT",
        "sqlite",
        "database",
        "panicked",
        "src/",
        ".rs",
        "tokio",
        "talkgraph::",
        "talkgraph_",
        "constraint",
        "/home",
        "/tmp",
        "127.0.0.1:",
    ];
    for word in inside {
        assert!(!text.contains(word), "{word}: {text}");
    }
}

async fn table(server: &TestServer) -> Table {
    let client = server.client();
    let deleted = create_session(&client).await;
    let delete = "mutation($id: ID!) { deleteSession(id: $id) { deletedSessionId } }";
    client.data(delete, &json!({ "id": deleted })).await;
    let answer = chat(&client, None, "Hello").await;
    Table {
        client,
        lines: String::new(),
        names: vec![
            (deleted, "[deleted session]"),
            (string(&answer["session"]["id"]), "[session]"),
            (string(&answer["run"]["id"]), "[run]"),
        ],
    }
}

#[tokio::test]
async fn what_is_said_is_checked() {
    let server = TestServer::start().await;
    let mut table = table(&server).await;
    let deleted = table.names[0].0.clone();
    let session = table.names[1].0.clone();
    let run = table.names[2].0.clone();
    let mut say = async |what: &str, variables: Value| table.ask(what, SAY, variables).await;

    say("empty message", input(None, "")).await;
    say("blank message", input(None, " \n\t\u{a0}")).await;
    say("message of 1 MB", input(None, &"x".repeat(1_000_000))).await;
    say("message with NUL", input(None, "a\0b")).await;
    say("unknown session", input(Some(ABSENT_SESSION), "Hello")).await;
    say("deleted session", input(Some(&deleted), "Hello")).await;
    say("id of another type", input(Some(&run), "Hello")).await;
    say(
        "id that is none",
        input(Some("'; DROP TABLE runs"), "Hello"),
    )
    .await;
    let with_agent = |session: Option<&str>, agent: &str| {
        let mut variables = input(session, "Hello");
        variables["input"]["agent"] = agent.into();
        variables
    };
    say("unknown agent", with_agent(None, "nobody")).await;
    say("another agent", with_agent(Some(&session), "support")).await;
    for key in ["", &"k".repeat(256), "a\nb", "a\0b"] {
        let mut variables = input(None, "Hello");
        variables["input"]["idempotencyKey"] = key.into();
        say(&format!("key of {} characters", key.len()), variables).await;
    }
    let mut unknown = input(None, "Hello");
    unknown["input"]["onActiveRun"] = "WAIT".into();
    say("unknown policy", unknown).await;
    say("no variables", json!({})).await;
    say(
        "wrong type of variable",
        json!({ "input": { "message": "Hello" } }),
    )
    .await;
    say(
        "number as text",
        json!({ "input": { "message": { "text": 1 } } }),
    )
    .await;
    say(
        "null as text",
        json!({ "input": { "message": { "text": null } } }),
    )
    .await;
    let mut unknown = input(None, "Hello");
    unknown["input"]["mesage"] = "typo".into();
    say("unknown input field", unknown).await;
    insta::assert_snapshot!(table.lines);

    let log = server.upstream.received();
    assert_eq!(log.len(), 1, "nothing refused has cost a call");
}

#[tokio::test]
async fn branches_are_checked() {
    let server = TestServer::start().await;
    let mut table = table(&server).await;
    let [deleted, session, run] = [0, 1, 2].map(|at| table.names[at].0.clone());
    let answer = chat(&table.client, None, "Hello").await;
    let (asked, answer) = (
        string(&answer["userMessage"]["id"]),
        string(&answer["message"]["id"]),
    );
    table.names.push((asked.clone(), "[question]"));
    table.names.push((answer.clone(), "[answer]"));
    let ids = [
        ("unknown message", ABSENT_MESSAGE),
        ("deleted session", deleted.as_str()),
        ("session", &session),
        ("run", &run),
        ("nothing", ""),
    ];
    let text = "message: { text: \"Hi\" }";
    for (mutation, more) in [
        ("regenerate", ""),
        ("editMessage", text),
        ("switchBranch", ""),
    ] {
        let document = format!(
            "mutation($id: ID!) {{ {mutation}(input: {{ messageId: $id {more} }}) {{
               session {{ id }} }} }}"
        );
        for (what, id) in ids {
            let what = format!("{mutation}({what})");
            table.ask(&what, &document, json!({ "id": id })).await;
        }
    }
    let edit = "mutation($input: EditMessageInput!) { editMessage(input: $input) { run { id } } }";
    for (what, id, text) in [
        ("an answer", &answer, "Hi"),
        ("blank", &asked, " \n"),
        ("with NUL", &asked, "a\0b"),
        ("1 MB", &asked, &"x".repeat(1_000_000)),
    ] {
        let input = json!({ "messageId": id, "message": { "text": text } });
        let what = format!("editMessage({what})");
        table.ask(&what, edit, json!({ "input": input })).await;
    }
    for last in ["0", "-1", "101"] {
        let document = format!(
            "query($id: ID!) {{ node(id: $id) {{ ... on Message {{
               siblings(last: {last}) {{ id }} }} }} }}"
        );
        let what = format!("siblings(last: {last})");
        table.ask(&what, &document, json!({ "id": asked })).await;
    }
    insta::assert_snapshot!(table.lines);
    assert_eq!(server.upstream.received().len(), 2);
}

#[tokio::test]
async fn pages_and_filters_are_checked() {
    let server = TestServer::start().await;
    let mut table = table(&server).await;
    let session = table.names[1].0.clone();
    for arguments in [
        "first: 0",
        "first: -1",
        "first: 10000",
        "first: 2147483648",
        "last: 0",
        "last: 101",
        "first: 1, last: 1",
        "after: \"garbage\"",
        "before: \"\"",
        "after: \"bWVzc2FnZTox\"",
        "first: \"1\"",
        "first: 1.5",
        "filter: { agent: \"nobody\" }",
        "filter: { agent: \"a\\u0000\" }",
        "filter: { titleContains: \"a\\u0000\" }",
        "filter: { agnet: \"\" }",
    ] {
        let document = format!("{{ sessions({arguments}) {{ nodes {{ id }} }} }}");
        let what = format!("sessions({arguments})");
        table.ask(&what, &document, json!({})).await;
    }
    for arguments in [
        "first: 0",
        "last: 1000",
        "first: 1, last: 1",
        "after: \"bWVzc2FnZTotMQ\"",
    ] {
        let document = format!(
            "query($id: ID!) {{ session(id: $id) {{ messages({arguments}) {{ nodes {{ id }} }} }} }}"
        );
        let what = format!("messages({arguments})");
        table.ask(&what, &document, json!({ "id": session })).await;
    }
    insta::assert_snapshot!(table.lines);
}

#[tokio::test]
async fn ids_and_names_are_checked() {
    let server = TestServer::start().await;
    let mut table = table(&server).await;
    let [deleted, session, run] = [0, 1, 2].map(|place: usize| table.names[place].0.clone());
    for (field, id) in [
        ("session", ABSENT_SESSION),
        ("session", deleted.as_str()),
        ("session", run.as_str()),
        ("session", ""),
        ("session", "ses_\0"),
        ("run", ABSENT_RUN),
        ("run", session.as_str()),
        ("node", "x"),
        ("node", "usr_01h455vb4pex5vsknk084sn02q"),
        ("node", "ses_"),
    ] {
        let document = format!("query($id: ID!) {{ {field}(id: $id) {{ id }} }}");
        let what = format!("{field}(id: {id:?})");
        table.ask(&what, &document, json!({ "id": id })).await;
    }
    let agent = "query($name: String!) { agent(name: $name) { id } }";
    for name in ["nobody", "a\0"] {
        let what = format!("agent(name: {name:?})");
        table.ask(&what, agent, json!({ "name": name })).await;
    }
    let nodes = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }";
    let ids = json!({ "ids": vec![ABSENT_SESSION; 101] });
    table.ask("101 nodes", nodes, ids).await;
    let ids = json!({ "ids": [ABSENT_SESSION, "x"] });
    table.ask("a wrong one of two nodes", nodes, ids).await;
    insta::assert_snapshot!(table.lines);
}

#[tokio::test]
async fn documents_are_checked() {
    let server = TestServer::start().await;
    let mut table = table(&server).await;
    for (what, document) in [
        ("unknown field", "{ sesions { nodes { id } } }"),
        (
            "unknown argument",
            "{ sessions(frist: 1) { nodes { id } } }",
        ),
        ("missing argument", "{ session { id } }"),
        ("no selection", "{ sessions }"),
        ("unknown fragment", "{ viewer { ...Me } }"),
        ("unknown variable", "{ session(id: $id) { id } }"),
        ("syntax", "{ sessions( }"),
        ("empty document", ""),
    ] {
        table.ask(what, document, json!({})).await;
    }
    insta::assert_snapshot!(table.lines);
}

#[tokio::test]
async fn what_is_changed_and_followed_is_checked() {
    let server = TestServer::start().await;
    let mut table = table(&server).await;
    let [deleted, session, run] = [0, 1, 2].map(|place: usize| table.names[place].0.clone());

    let create =
        "mutation($input: CreateSessionInput) { createSession(input: $input) { session { id } } }";
    for (what, input) in [
        ("unknown agent", json!({ "agent": "nobody" })),
        ("blank title", json!({ "title": " " })),
        ("long title", json!({ "title": "x".repeat(201) })),
        ("title with NUL", json!({ "title": "a\0" })),
        ("metadata that is no object", json!({ "metadata": [1] })),
        (
            "large metadata",
            json!({ "metadata": { "x": "y".repeat(20_000) } }),
        ),
        ("metadata with NUL", json!({ "metadata": { "a\0": 1 } })),
    ] {
        table
            .ask(
                &format!("createSession: {what}"),
                create,
                json!({ "input": input }),
            )
            .await;
    }
    let update =
        "mutation($input: UpdateSessionInput!) { updateSession(input: $input) { session { id } } }";
    for (what, input) in [
        ("deleted session", json!({ "id": deleted, "title": "x" })),
        ("id of another type", json!({ "id": run, "title": "x" })),
        ("empty title", json!({ "id": session, "title": "" })),
        ("null metadata", json!({ "id": session, "metadata": "x" })),
    ] {
        table
            .ask(
                &format!("updateSession: {what}"),
                update,
                json!({ "input": input }),
            )
            .await;
    }
    let delete = "mutation($id: ID!) { deleteSession(id: $id) { deletedSessionId } }";
    table
        .ask("deleteSession: twice", delete, json!({ "id": deleted }))
        .await;
    let cancel = "mutation($id: ID!) { cancelRun(id: $id) { run { id } } }";
    table
        .ask("cancelRun: unknown", cancel, json!({ "id": ABSENT_RUN }))
        .await;
    table
        .ask(
            "cancelRun: id of another type",
            cancel,
            json!({ "id": session }),
        )
        .await;

    let follow = run_events_subscription();
    for (what, run, after) in [
        ("negative after", run.as_str(), json!(-1)),
        ("after past the end", run.as_str(), json!(1_000)),
        ("unknown run", ABSENT_RUN, json!(0)),
        ("id of another type", session.as_str(), json!(0)),
        ("after that is no number", run.as_str(), json!("x")),
    ] {
        let variables = json!({ "run": run, "after": after });
        table
            .subscribe(&format!("runEvents: {what}"), &follow, variables)
            .await;
    }
    let chat = "subscription($input: ChatInput!) { chat(input: $input) { sequence } }";
    table
        .subscribe("subscription chat: blank", chat, input(None, " "))
        .await;
    insta::assert_snapshot!(table.lines);
}
