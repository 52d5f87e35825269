//! What a summary may cost, and what becomes of a run without one.

use serde_json::{Value, json};

use crate::api_agents::{mutation, pirate};
use crate::summaries::{SHORT, agents, models, notes, of, setup, talk, texts};
use crate::support::server::Setup;
use crate::support::talk::{cancel, chat, half_said, run_events, send, string};
use crate::support::upstream::{Script, finish, usage};

#[tokio::test]
async fn without_a_summary_the_run_goes_on() {
    let folder = agents(SHORT);
    let server = setup(&folder).start().await;
    let client = server.client();
    let session = talk(&client, None, &["one", "two", "three"]).await;
    let too_much = json!({ "error": { "message": "no" } });
    for (number, fails) in [
        Script::status(500),
        Script::hang_up(),
        Script::json(400, &too_much),
        Script::stream().text(["Half of"]).cut(),
        Script::tokens(["\n "]),
        Script::stream()
            .text(["No"])
            .event(finish("content_filter"))
            .event("[DONE]"),
    ]
    .into_iter()
    .enumerate()
    {
        server.upstream.then(fails);
        let answer = chat(&client, Some(&session), "more").await;
        assert_eq!(answer["run"]["status"], "COMPLETED", "{number}: {answer}");
        let shown = texts(server.upstream.received().last().unwrap());
        assert_eq!(shown.len(), 6, "the newest that may be shown: {shown:?}");
        let log = run_events(&client, &string(&answer["run"]["id"]), 0).await;
        let ends = of(&log, "StepFinished");
        assert_eq!(ends[0]["finishReason"], "ERROR", "{number}");
        assert_eq!(ends[1]["finishReason"], "STOP");
    }
    // None of what was missed is lost by then.
    server.upstream.then(notes("All of it."));
    talk(&client, Some(&session), &["last"]).await;
    let received = server.upstream.received();
    let [.., asked, shown] = received.as_slice() else {
        panic!()
    };
    assert!(texts(asked)[1].contains(r#"{"user":"one"}"#));
    assert!(texts(shown)[1].contains("All of it."));
    // The older summary is better than none.
    talk(&client, Some(&session), &["fits"]).await;
    server.upstream.then(Script::status(500));
    talk(&client, Some(&session), &["fails"]).await;
    assert!(texts(server.upstream.received().last().unwrap())[1].contains("All of it."));
}

#[tokio::test]
async fn a_summary_ends_with_its_time_and_with_its_run() {
    let folder = agents("limits = { history_messages = 4, step_timeout_s = 1, max_steps = 1 }");
    let server = setup(&folder).start().await;
    let client = server.client();
    let session = talk(&client, None, &["one", "two", "three"]).await;
    // The answer may have all the steps that a run may have.
    server.upstream.then(half_said());
    talk(&client, Some(&session), &["four"]).await;
    server.upstream.then(notes("Fine."));
    talk(&client, Some(&session), &["five"]).await;
    talk(&client, Some(&session), &["six"]).await;

    server.upstream.then(
        Script::stream()
            .event(usage(30, 5))
            .text(["one"])
            .hold()
            .ended(),
    );
    let (_, id) = send(&client, Some(&session), "seven").await;
    server.upstream.wait_holding(2).await;
    let cancelled = cancel(&client, &id).await;
    server.upstream.wait_closed(2).await;
    assert_eq!(cancelled["status"], "CANCELLED");
    assert_eq!(cancelled["output"], Value::Null);
    let used = "query($id: ID!) { run(id: $id) { usage { totalTokens } } }";
    let used = client.data(used, &json!({ "id": id })).await;
    assert_eq!(
        used["run"]["usage"]["totalTokens"], 35,
        "what it has used counts"
    );
}

const PRICES: &str = "[models.openai.prices.small]\ninput_per_million = 1.0\n\
    output_per_million = 1.0\n[models.openai.prices.notes]\ninput_per_million = 1000.0\n\
    output_per_million = 1000.0\n";

#[tokio::test]
async fn a_summary_costs_what_it_costs() {
    let folder = agents("limits = { history_messages = 4, max_cost_usd = 1.0 }");
    let server = setup(&folder).file(PRICES).start().await;
    let client = server.client();
    let script = |text| {
        let script = Script::stream().text(["Yes."]).event(finish("stop"));
        script.event(usage(text, 0)).event("[DONE]")
    };
    for _ in 0..3 {
        server.upstream.then(script(10));
    }
    let session = talk(&client, None, &["one", "two", "three"]).await;
    server.upstream.then(notes("Dear.")).then(script(10));
    let answer = chat(&client, Some(&session), "four").await;
    let document = "query($id: ID!, $session: ID!) { run(id: $id) { usage { totalTokens cost } }
        session(id: $session) { usage { totalTokens cost } } }";
    let variables = json!({ "id": answer["run"]["id"], "session": session });
    let data = client.data(document, &variables).await;
    assert_eq!(
        data["run"]["usage"],
        json!({ "totalTokens": 430, "cost": "0.42001" })
    );
    assert_eq!(
        data["session"]["usage"],
        json!({ "totalTokens": 460, "cost": "0.42004" })
    );
    server.upstream.then(script(10));
    talk(&client, Some(&session), &["five"]).await;
    // What its agent allows it is for both.
    let dear = Script::stream().text(["Dearer."]).event(finish("stop"));
    server
        .upstream
        .then(dear.event(usage(1_000, 0)).event("[DONE]"));
    let answer = chat(&client, Some(&session), "six").await;
    assert_eq!(answer["run"]["error"]["code"], "COST_LIMIT", "{answer}");
    assert_eq!(models(&server.upstream).last().unwrap(), "notes");
}

#[tokio::test]
async fn what_no_summary_could_be_made_with_is_refused() {
    let server = Setup::new()
        .set("models.openai.context_tokens", 8_000)
        .file("[models.openai.prices.small]\ninput_per_million = 1.0\noutput_per_million = 1.0\n")
        .start()
        .await;
    let client = server.client();
    let with = |summary: Value| {
        let mut input = pirate();
        input["summary"] = summary;
        input
    };
    for (summary, field, why) in [
        (
            json!({ "models": ["nowhere/x"] }),
            "models",
            "not configured",
        ),
        (json!({ "models": ["x"] }), "models", "provider/model"),
        (
            json!({ "models": vec!["openai/x"; 9] }),
            "models",
            "at most 8",
        ),
        (
            json!({ "maxOutputTokens": 0 }),
            "maxOutputTokens",
            "from 32 to 16384",
        ),
        (
            json!({ "maxOutputTokens": -1 }),
            "maxOutputTokens",
            "negative",
        ),
        (
            json!({ "maxOutputTokens": 20_000 }),
            "maxOutputTokens",
            "from 32 to 16384",
        ),
        (
            json!({ "maxOutputTokens": 2_001 }),
            "maxOutputTokens",
            "at most 2000 for the window",
        ),
    ] {
        let input = json!({ "input": with(summary) });
        let refused = client.error(&mutation("createAgent"), &input).await;
        let named = format!("input.summary.{field}");
        assert_eq!(refused["extensions"]["field"], named, "{refused}");
        assert!(string(&refused["message"]).contains(why), "{refused}");
    }
    let mut limited = with(json!({ "models": ["openai/dear"] }));
    limited["models"] = json!(["openai/small"]);
    limited["limits"] = json!({ "maxCostUsd": 1.0 });
    let refused = client
        .error(&mutation("createAgent"), &json!({ "input": limited }))
        .await;
    assert_eq!(refused["extensions"]["field"], "input.limits.maxCostUsd");
    assert!(
        string(&refused["message"]).contains("openai/dear"),
        "{refused}"
    );
}
