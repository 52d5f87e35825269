//! Someone who chats, compares each answer, and deletes the session after some turns.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};

use crate::model::words;
use crate::support::talk::string;
use crate::world::World;

/// Turns before a session is deleted and another begins.
const TURNS: u64 = 12;

const CHAT: &str = "subscription($input: ChatInput!) { chat(input: $input) {
    __typename sequence run { id session { id } } ... on TextDelta { firstSequence delta } } }";

const DELETE: &str = "mutation($id: ID!) { deleteSession(id: $id) { __typename } }";

pub(crate) async fn chat(world: Arc<World>, number: u64) {
    let mut question = number * 1_000_003;
    while world.goes_on() {
        let mut session = None;
        for _ in 0..TURNS {
            if !world.goes_on() {
                break;
            }
            question += 1;
            session = Some(turn(&world, session.as_deref(), question).await);
        }
        if let Some(id) = session {
            world.client.data(DELETE, &json!({ "id": id })).await;
            world.deleted.fetch_add(1, Relaxed);
        }
    }
}

/// Asks and reads the whole answer. The id of the session.
async fn turn(world: &World, session: Option<&str>, question: u64) -> String {
    let text = format!("{question} please");
    let input = json!({ "input": { "sessionId": session, "message": { "text": text } } });
    let mut events = world.client.events(CHAT, &input).await;
    let (mut said, mut ids, mut next) = (String::new(), None, 1);
    while let Some(response) = events.next().await {
        let event = &response["data"]["chat"];
        assert!(event.is_object(), "{response}");
        let first = event["firstSequence"].as_u64();
        let sequence = event["sequence"].as_u64().unwrap();
        assert_eq!(first.unwrap_or(sequence), next, "{response}");
        next = sequence + 1;
        said += event["delta"].as_str().unwrap_or_default();
        ids.get_or_insert_with(|| offer(world, event));
        assert_ne!(event["__typename"], "RunFailed", "{response}");
        world.events.fetch_add(1, Relaxed);
    }
    assert_eq!(said, words(&text).concat());
    world.answers.fetch_add(1, Relaxed);
    ids.unwrap()
}

fn offer(world: &World, event: &Value) -> String {
    world.offer(&string(&event["run"]["id"]));
    string(&event["run"]["session"]["id"])
}
