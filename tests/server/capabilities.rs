//! Requests that fit the model that is asked, whatever its host.

use serde_json::{Value, json};

use crate::api_agents::{changed, refused};
use crate::support::client::Client;
use crate::support::process::{program, run};
use crate::support::server::{Setup, TestServer};
use crate::support::talk::string;
use crate::support::upstream::{Script, Upstream};
use crate::vendors::answer;

/// An agent with parameters.
fn agent(name: &str, model: &str, parameters: Value) -> Value {
    json!({
        "name": name, "description": "Answers.", "instructions": "Be brief.",
        "models": [model], "parameters": parameters,
    })
}

/// The body of the request with which an agent's model is asked.
async fn asked(server: &TestServer, agent: Value, more: Value) -> Value {
    let client = server.client();
    changed(&client, "createAgent", agent.clone()).await;
    said(server, &client, string(&agent["name"]), more).await
}

async fn said(server: &TestServer, client: &Client, agent: String, more: Value) -> Value {
    let mut input = json!({ "agent": agent, "message": { "text": "Hi" } });
    for (key, value) in more.as_object().into_iter().flatten() {
        input[key] = value.clone();
    }
    let document = "mutation($input: ChatInput!) {
        chat(input: $input) { run { status error { code message } } } }";
    let data = client.data(document, &json!({ "input": input })).await;
    assert_eq!(data["chat"]["run"]["status"], "COMPLETED", "{data}");
    server.upstream.received().last().unwrap().body.clone()
}

#[tokio::test]
async fn the_limit_has_the_field_of_the_model_on_any_host() {
    let server = TestServer::start().await;
    for (at, (model, field)) in [
        ("openai/gpt-5-mini", "max_completion_tokens"),
        ("openai/gpt-6-luna", "max_completion_tokens"),
        ("openai/openai/o4-mini", "max_completion_tokens"),
        ("openai/gpt-4.1-mini", "max_tokens"),
        ("openai/llama-3.3-70b-versatile", "max_tokens"),
    ]
    .into_iter()
    .enumerate()
    {
        let parameters = json!({ "maxOutputTokens": 500 });
        let body = asked(
            &server,
            agent(&format!("a{at}"), model, parameters),
            json!({}),
        )
        .await;
        assert_eq!(body[field], 500, "{model}: {body}");
        let others = ["max_tokens", "max_completion_tokens"];
        let other = others.into_iter().find(|one| *one != field).unwrap();
        assert_eq!(body.get(other), None, "{model}");
    }
}

#[tokio::test]
async fn parameters_reach_the_models_that_take_them() {
    let server = TestServer::start().await;
    let parameters = json!({
        "temperature": 0.3, "reasoningEffort": "HIGH", "verbosity": "LOW",
        "extraBody": { "top_k": 5, "metadata": { "a": "b" } },
    });
    let body = asked(
        &server,
        agent("plain", "openai/anything", parameters.clone()),
        json!({}),
    )
    .await;
    assert_eq!(body["reasoning_effort"], "high");
    assert_eq!(
        (&body["verbosity"], &body["top_k"]),
        (&json!("low"), &json!(5))
    );
    assert_eq!(body["metadata"], json!({ "a": "b" }));
    assert_eq!(body["temperature"].to_string(), "0.3");

    let body = asked(
        &server,
        agent("luna", "openai/gpt-6-luna", parameters.clone()),
        json!({}),
    )
    .await;
    assert_eq!(body["reasoning_effort"], "high");
    assert_eq!(body.get("temperature"), None);
    let body = asked(
        &server,
        agent("old", "openai/gpt-4.1", parameters),
        json!({}),
    )
    .await;
    assert_eq!(body["temperature"].to_string(), "0.3");
    for refused in ["reasoning_effort", "verbosity"] {
        assert_eq!(body.get(refused), None, "{refused}");
    }

    // Over Chat Completions tools come without reasoning.
    let mut with_tools = agent("tools", "openai/gpt-6-luna", json!({ "temperature": 0.3 }));
    with_tools["tools"] = json!(["calculator"]);
    let body = asked(&server, with_tools, json!({})).await;
    assert_eq!(body["reasoning_effort"], "none");
    assert_eq!(body["temperature"].to_string(), "0.3");
}

/// The body of a request over another protocol, to an agent with a tool.
async fn asked_over(kind: &str, model: &str, parameters: Value, more: Value) -> Value {
    let upstream = Upstream::start().await;
    let script = answer(kind)
        .into_iter()
        .fold(Script::stream(), Script::event);
    upstream.then(script);
    let url = upstream.base_url();
    let server = Setup::new()
        .set("models.default", "mine/m")
        .set("models.providers.mine.kind", kind)
        .set("models.providers.mine.base_url", &url)
        .start_with(upstream, "http://127.0.0.1:9/v1")
        .await;
    let mut agent = agent("tester", &format!("mine/{model}"), parameters);
    agent["tools"] = json!(["calculator"]);
    asked(&server, agent, more).await
}

#[tokio::test]
async fn claude_is_asked_as_each_generation_takes_it() {
    let off = json!({ "temperature": 0.3, "thinking": false });
    let forced = json!({ "toolChoice": { "tool": "calculator" } });
    let body = asked_over("anthropic", "claude-opus-5-5", off.clone(), forced).await;
    assert_eq!(
        body["thinking"],
        json!({ "type": "adaptive", "display": "summarized" })
    );
    assert_eq!(body["output_config"], json!({ "effort": "low" }));
    for left_out in ["temperature", "tool_choice"] {
        assert_eq!(body.get(left_out), None, "{left_out}");
    }
    let instructions = string(&body["system"][0]["text"]);
    assert!(
        instructions.contains("Call the tool \"calculator\""),
        "{instructions}"
    );

    let body = asked_over("anthropic", "claude-haiku-5-5", off.clone(), json!({})).await;
    assert_eq!(body["thinking"], json!({ "type": "disabled" }));
    let body = asked_over("anthropic", "claude-sonnet-5-5", off.clone(), json!({})).await;
    assert_eq!(body["thinking"], json!({ "type": "between_tools" }));
    let body = asked_over("anthropic", "claude-haiku-4-5", off, json!({})).await;
    assert_eq!(body.get("thinking"), None);
    assert_eq!(body["temperature"].to_string(), "0.3");

    let budget = json!({
        "temperature": 0.3, "thinkingBudgetTokens": 2_000, "maxOutputTokens": 4_000,
    });
    let body = asked_over("anthropic", "claude-haiku-4-5", budget, json!({})).await;
    assert_eq!(
        body["thinking"],
        json!({ "type": "enabled", "budget_tokens": 2_000 })
    );
    assert_eq!(body.get("temperature"), None);
}

#[tokio::test]
async fn gemini_and_responses_have_fields_of_their_own() {
    let minimal = json!({ "reasoningEffort": "MINIMAL" });
    let body = asked_over("gemini", "gemini-3.8-flash", minimal, json!({})).await;
    assert_eq!(
        body["generationConfig"]["thinkingConfig"],
        json!({ "includeThoughts": true, "thinkingLevel": "low" })
    );
    let budget = json!({ "thinkingBudgetTokens": 500 });
    let body = asked_over("gemini", "gemini-2.5-flash", budget, json!({})).await;
    let config = &body["generationConfig"]["thinkingConfig"];
    assert_eq!(config["thinkingBudget"], 500);

    let fast = json!({ "reasoningEffort": "NONE", "temperature": 0.3, "verbosity": "LOW" });
    let body = asked_over("openai-responses", "gpt-6-luna", fast, json!({})).await;
    assert_eq!(body["reasoning"]["effort"], "none");
    assert_eq!(body["temperature"].to_string(), "0.3");
    assert_eq!(body["text"]["verbosity"], "low");
    let deep = json!({ "reasoningEffort": "MAX", "temperature": 0.3 });
    let body = asked_over("openai-responses", "gpt-6-luna", deep, json!({})).await;
    assert_eq!(body["reasoning"]["effort"], "max");
    assert_eq!(body.get("temperature"), None);
}

#[tokio::test]
async fn parameters_are_kept_shown_and_replaced() {
    let server = TestServer::start().await;
    let client = server.client();
    let parameters = json!({
        "reasoningEffort": "XHIGH", "verbosity": "MEDIUM", "thinking": true,
        "thinkingBudgetTokens": 2_000, "maxOutputTokens": 4_000,
        "extraBody": { "chat_template_kwargs": { "enable_thinking": true } },
    });
    let mut input = agent("thinker", "openai/m", parameters.clone());
    input["timeZone"] = "Europe/Zurich".into();
    let made = changed(&client, "createAgent", input).await;
    let shown =
        "query { agent(name: \"thinker\") { timeZone currentVersion { timeZone } parameters {
        reasoningEffort verbosity thinking thinkingBudgetTokens maxOutputTokens extraBody } } }";
    let agent = client.data(shown, &json!({})).await["agent"].take();
    assert_eq!(agent["parameters"], parameters);
    assert_eq!(agent["timeZone"], "Europe/Zurich");
    assert_eq!(agent["currentVersion"]["timeZone"], "Europe/Zurich");
    let change = json!({
        "id": made["id"], "expectedVersion": 1, "timeZone": null,
        "parameters": { "thinking": false },
    });
    changed(&client, "updateAgent", change).await;
    let agent = client.data(shown, &json!({})).await["agent"].take();
    assert_eq!(agent["timeZone"], Value::Null);
    assert_eq!(
        agent["parameters"],
        json!({ "reasoningEffort": null, "verbosity": null, "thinking": false,
            "thinkingBudgetTokens": null, "maxOutputTokens": null, "extraBody": null })
    );
}

#[tokio::test]
async fn agents_of_the_api_set_nothing_that_limits_or_price_depend_on() {
    let server = TestServer::start().await;
    let client = server.client();
    for (fields, name) in [
        (json!({ "max_tokens": 1_000_000 }), "max_tokens"),
        (json!({ "service_tier": "priority" }), "service_tier"),
        (json!({ "n": 50 }), "n"),
        (
            json!({ "generationConfig": { "candidateCount": 8 } }),
            "candidateCount",
        ),
        (json!({ "model": "gpt-6.2-astra" }), "model"),
    ] {
        let input = agent("greedy", "openai/m", json!({ "extraBody": fields }));
        let error = refused(&client, "createAgent", input).await;
        assert_eq!(error[0], "BAD_USER_INPUT");
        assert_eq!(error[1], "input.parameters.extraBody");
        assert!(string(&error[2]).contains(&format!("{name:?}")), "{error}");
    }
    for (parameters, field) in [
        (
            json!({ "thinking": true, "reasoningEffort": "NONE" }),
            "input.parameters.thinking",
        ),
        (
            json!({ "thinking": false, "thinkingBudgetTokens": 5 }),
            "input.parameters.thinkingBudgetTokens",
        ),
        (
            json!({ "thinkingBudgetTokens": 0 }),
            "input.parameters.thinkingBudgetTokens",
        ),
    ] {
        let error = refused(&client, "createAgent", agent("odd", "openai/m", parameters)).await;
        assert_eq!(error[1], field, "{error}");
    }
    let mut nowhere = agent("nowhere", "openai/m", json!({}));
    nowhere["timeZone"] = "Nowhere/Land".into();
    let error = refused(&client, "createAgent", nowhere).await;
    assert_eq!(error[1], "input.timeZone", "{error}");
}

#[tokio::test]
async fn settings_go_before_the_table() {
    let server = Setup::new()
        .file(
            "[models.openai.capabilities]\nseed_field = \"random_seed\"\n\
             [models.openai.extra_body]\nservice_tier = \"flex\"\nlogit = {a = 1}\n\
             [models.openai.per_model.\"chat-prod\"]\nsame_as = \"gpt-6-luna\"\n\
             [models.openai.per_model.\"chat-prod\".capabilities]\nverbosity = false\n\
             efforts = [\"low\", \"high\"]\n\
             [models.openai.per_model.\"chat-prod\".extra_body]\nlogit = {b = 2}\n",
        )
        .start()
        .await;
    let parameters = json!({
        "temperature": 0.3, "seed": "7", "verbosity": "LOW", "reasoningEffort": "MEDIUM",
        "maxOutputTokens": 9, "extraBody": { "logit": { "c": 3 } },
    });
    let body = asked(
        &server,
        agent("azure", "openai/chat-prod", parameters),
        json!({}),
    )
    .await;
    assert_eq!(body["random_seed"], 7);
    assert_eq!(body["max_completion_tokens"], 9);
    assert_eq!(body["reasoning_effort"], "low");
    assert_eq!(body["service_tier"], "flex");
    assert_eq!(body["logit"], json!({ "a": 1, "b": 2, "c": 3 }));
    for left_out in ["seed", "verbosity", "temperature", "max_tokens"] {
        assert_eq!(body.get(left_out), None, "{left_out}");
    }
}

#[tokio::test]
async fn the_date_is_that_of_the_runs_or_the_agents_time_zone() {
    let server = TestServer::start().await;
    let client = server.client();
    // Each is a day after the other at any time.
    let (late, early) = ("Pacific/Kiritimati", "Pacific/Pago_Pago");
    let mut input = agent("dated", "openai/m", json!({}));
    input["instructions"] = "{{ date }}".into();
    input["timeZone"] = late.into();
    changed(&client, "createAgent", input).await;
    let date = |body: Value| {
        let told = string(&body["messages"][0]["content"]);
        chrono::NaiveDate::parse_from_str(&told, "%Y-%m-%d").unwrap()
    };
    let own = date(said(&server, &client, "dated".into(), json!({})).await);
    let run = date(
        said(
            &server,
            &client,
            "dated".into(),
            json!({ "timeZone": early }),
        )
        .await,
    );
    let days = (own - run).num_days();
    assert!((1..=2).contains(&days), "{own} {run}");

    let input = json!({ "message": { "text": "Hi" }, "timeZone": "Nowhere/Land" });
    let document = "mutation($input: ChatInput!) { chat(input: $input) { run { id } } }";
    let error = client.error(document, &json!({ "input": input })).await;
    assert_eq!(error["extensions"]["field"], "input.timeZone", "{error}");
}

#[tokio::test]
async fn the_models_that_are_configured_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("talkgraph.toml"),
        "[models]\ndefault = [\"azure/chat-prod\", \"openai/gpt-6-luna\"]\n\
         [models.providers.azure]\nkind = \"openai\"\n\
         base_url = \"https://acme.openai.azure.com/openai/v1\"\n\
         [models.providers.azure.per_model.\"chat-prod\"]\nsame_as = \"claude-opus-5-5\"\n\
         context_tokens = 5000\n",
    )
    .unwrap();
    let url = ("models.openai.base_url", "https://api.openai.com/v1");
    let output = run(program(folder.path(), &["models"], &[url])).await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    let printed: toml::Table = output.stdout.parse().unwrap();
    let luna = &printed["openai/gpt-6-luna"];
    assert_eq!(luna["host"].as_str(), Some("api.openai.com"));
    assert_eq!(luna["context_tokens"].as_integer(), Some(1_050_000));
    assert_eq!(luna["price"]["input"].as_float(), Some(0.1));
    assert_eq!(luna["sampling"].as_str(), Some("without-reasoning"));
    let mut rules = luna["rules"].as_array().unwrap().iter();
    assert!(rules.any(|rule| rule.as_str().unwrap().starts_with("OpenAI: https://")));
    let azure = printed["azure/chat-prod"].as_table().unwrap();
    assert_eq!(azure["host"].as_str(), Some("acme.openai.azure.com"));
    assert_eq!(azure["context_tokens"].as_integer(), Some(5_000));
    assert_eq!(azure["limit_field"].as_str(), Some("max_completion_tokens"));
    assert_eq!(azure["forced_tools"].as_str(), Some("never"));
    assert_eq!(azure.get("price"), None);
}
