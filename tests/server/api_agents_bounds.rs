//! Agents that cannot be: what no run could work with, and one too many.

use serde_json::json;

use crate::api_agents::{changed, delete, numbers, pirate, refused};
use crate::support::server::{Setup, TestServer};

#[tokio::test]
async fn what_no_run_could_work_with_is_refused_with_its_field() {
    let server = TestServer::start().await;
    let client = server.client();
    let made = changed(&client, "createAgent", pirate()).await;
    let long = "a".repeat(65);
    for (field, value, path) in [
        ("name", json!("Pirate"), "input.name"),
        ("name", json!(long), "input.name"),
        ("name", json!(""), "input.name"),
        ("description", json!(" "), "input.description"),
        ("instructions", json!("{{ nobody }}"), "input.instructions"),
        ("instructions", json!("{% if %}"), "input.instructions"),
        ("instructions", json!("a\u{0}b"), "input.instructions"),
        ("models", json!(["gpt"]), "input.models"),
        ("models", json!(["acme/gpt"]), "input.models"),
        ("models", json!(vec!["openai/a"; 9]), "input.models"),
        ("handoffs", json!(["nobody"]), "input.handoffs"),
        ("tools", json!(["telepathy"]), "input.tools"),
        (
            "parameters",
            json!({ "temperature": 3 }),
            "input.parameters.temperature",
        ),
        ("parameters", json!({ "topP": 0 }), "input.parameters.topP"),
        (
            "parameters",
            json!({ "seed": "-1" }),
            "input.parameters.seed",
        ),
        (
            "parameters",
            json!({ "maxOutputTokens": 0 }),
            "input.parameters.maxOutputTokens",
        ),
        ("limits", json!({ "maxSteps": 0 }), "input.limits.maxSteps"),
        (
            "limits",
            json!({ "runTimeoutS": 0 }),
            "input.limits.runTimeoutS",
        ),
        (
            "limits",
            json!({ "stepTimeoutS": -1 }),
            "input.limits.stepTimeoutS",
        ),
    ] {
        let mut input = pirate();
        input["name"] = json!("other");
        input[field] = value.clone();
        let told = refused(&client, "createAgent", input).await;
        assert_eq!(
            (&told[0], &told[1]),
            (&json!("BAD_USER_INPUT"), &json!(path)),
            "{told}"
        );
        if field != "name" {
            let mut change = json!({ "id": made["id"], "expectedVersion": 1 });
            change[field] = value;
            let told = refused(&client, "updateAgent", change).await;
            assert_eq!(
                (&told[0], &told[1]),
                (&json!("BAD_USER_INPUT"), &json!(path)),
                "{told}"
            );
        }
    }
    let mut taken = pirate();
    for (name, description) in [("support", "Mine."), ("pirate", "Other.")] {
        (taken["name"], taken["description"]) = (json!(name), json!(description));
        let told = refused(&client, "createAgent", taken.clone()).await;
        assert_eq!(
            (&told[0], &told[1]),
            (&json!("CONFLICT"), &json!("input.name")),
            "{told}"
        );
    }
    assert_eq!(
        numbers(&client, &made["id"]).await,
        [1],
        "nothing has changed"
    );
}

#[tokio::test]
async fn agents_and_versions_are_bounded() {
    let setup = Setup::new()
        .set("agents.per_tenant", 1)
        .set("agents.versions", 2);
    let server = setup.start().await;
    let client = server.client();
    let made = changed(&client, "createAgent", pirate()).await;
    let mut other = pirate();
    other["name"] = json!("other");
    assert_eq!(
        refused(&client, "createAgent", other.clone()).await[0],
        "LIMIT_EXCEEDED"
    );
    let change = |version, text| {
        json!({ "id": made["id"], "expectedVersion": version,
        "instructions": text })
    };
    changed(&client, "updateAgent", change(1, "Two.")).await;
    assert_eq!(
        refused(&client, "updateAgent", change(2, "Three.")).await[0],
        "LIMIT_EXCEEDED"
    );
    delete(&client, &made["id"]).await;
    changed(&client, "createAgent", other).await;
}
