//! Long sessions: thinking goes back where its vendor takes it, and kills no session when what
//! came before it has changed.

use serde_json::{Value, json};

use crate::house::{House, Talk, results};

const COMPUTE: &str = "How much is it?\ncall calculator {\"expression\": \"6*7\"}";
const HAND_OVER: &str = "Find out\ncall handoff_to_research {\"reason\": \"it takes reading\"}";

fn map() -> Value {
    json!({ "clientTools": [{ "name": "show_map", "description": "Shows a map.",
        "parameters": { "type": "object", "properties": { "city": { "type": "string" } },
            "required": ["city"] } }] })
}

/// Twenty turns and more, across a change of tools, date, agent, window and account. `thinks`:
/// the protocol gives thinking back.
pub(crate) async fn twenty_turns(kind: &'static str, model: &'static str, thinks: bool) {
    let house = House::of(kind, model).await;
    let mut process = house.open(0, &[]).await;
    let mut talk = Talk::new(&house, &process, "support");
    for turn in 1..=6 {
        let text = if turn % 3 == 0 { COMPUTE } else { "Go on" };
        let answer = talk.says(text, &json!({})).await;
        assert_eq!(
            results(&answer).is_empty(),
            turn % 3 != 0,
            "{model}: {answer}"
        );
    }
    if thinks {
        // Of each of five turns before, and of the step before in this turn.
        assert!(
            house.thinking_returned() >= 6,
            "{model}: {}",
            house.thinking_returned()
        );
    }

    // Other tools for one run, and for the next the same as before.
    talk.says("Go on", &map()).await;
    talk.says(COMPUTE, &map()).await;
    talk.says("Go on", &json!({})).await;

    // Another date in the instructions.
    stop(&mut process).await;
    process = house.open(1, &[]).await;
    talk.at(&process);
    for text in ["Good morning", COMPUTE, "Go on"] {
        talk.says(text, &json!({})).await;
    }
    if thinks {
        assert!(house.thinking_returned() > 0, "{model}");
    }

    // Another agent.
    talk.says(HAND_OVER, &json!({})).await;
    for text in [COMPUTE, "Go on", "Go on"] {
        talk.says(text, &json!({})).await;
    }

    // A window that moves with each turn, and one of tokens.
    stop(&mut process).await;
    process = house.open(1, &[("runs.history_messages", "5")]).await;
    talk.at(&process);
    for text in ["Go on", COMPUTE, "Go on", "Go on"] {
        talk.says(text, &json!({})).await;
    }

    // Another account.
    stop(&mut process).await;
    let key = [("models.providers.mine.api_key", "sk-second-0123456789")];
    process = house.open(2, &key).await;
    talk.at(&process);
    for text in ["Go on", COMPUTE, "Go on"] {
        talk.says(text, &json!({})).await;
    }
    stop(&mut process).await;
}

async fn stop(process: &mut crate::support::process::Process) {
    process.terminate();
    assert_eq!(process.exit_code().await, Some(0));
}
