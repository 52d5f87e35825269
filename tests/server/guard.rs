//! What a request may cost: real documents pass, and each limit is a setting.

use serde_json::{Value, json};

use crate::support::client::{Client, body};
use crate::support::server::{Setup, TestServer};

async fn answer(client: &Client, request: &Value) -> (u16, Value) {
    let request = client
        .request(reqwest::Method::POST, "/graphql")
        .header("accept", "application/graphql-response+json")
        .json(request);
    body(request).await
}

/// At each limit a document passes, and one more is refused with the limit.
#[tokio::test]
async fn limits_are_exact() {
    let repeated = |n: usize| format!("{{ viewer {{ {} }} }}", "owner ".repeat(n));
    let aliases = |n: usize| (0..n).map(|n| format!("a{n}: owner ")).collect::<String>();
    let cases: [(&str, u64, String, String); 8] = [
        (
            "query_bytes",
            200,
            format!("{{ viewer {{ owner }} }}{:180}", ""),
            format!("{{ viewer {{ owner }} }}{:181}", ""),
        ),
        (
            "query_tokens",
            7,
            "{ viewer { owner } } #".to_owned(),
            "{ viewer { owner tenant owner } }".to_owned(),
        ),
        (
            "query_nesting",
            2,
            repeated(1),
            "{ agents(first: 1) { nodes { name } } }".to_owned(),
        ),
        (
            "query_depth",
            2,
            repeated(1),
            "{ agents { nodes { name } } }".to_owned(),
        ),
        ("query_fields", 5, repeated(4), repeated(5)),
        (
            "query_root_fields",
            1,
            repeated(1),
            "{ ...F } fragment F on Query { viewer { owner } server { version } }".to_owned(),
        ),
        (
            "query_aliases",
            3,
            format!("{{ viewer {{ {} }} }}", aliases(3)),
            format!("{{ viewer {{ {} }} }}", aliases(4)),
        ),
        (
            "query_directives",
            1,
            "{ viewer { owner @skip(if: false) } }".to_owned(),
            "{ viewer { ...F ...F } } fragment F on Viewer { owner @skip(if: false) }".to_owned(),
        ),
    ];
    for (setting, limit, within, over) in cases {
        let server = Setup::new()
            .set(&format!("limits.{setting}"), limit)
            .start()
            .await;
        let client = server.client();
        let (status, passed) = answer(&client, &json!({ "query": within })).await;
        assert_eq!(status, 200, "{setting}: {passed}");
        let (status, refused) = answer(&client, &json!({ "query": over })).await;
        let extensions = &refused["errors"][0]["extensions"];
        assert_eq!(status, 400, "{setting}: {refused}");
        assert_eq!(
            extensions,
            &json!({ "code": "LIMIT_EXCEEDED", "limit": limit }),
            "{setting}"
        );
    }
}

#[tokio::test]
async fn variables_are_bounded() {
    let server = Setup::new()
        .set("limits.variables_nesting", 3)
        .set("limits.variables_values", 8)
        .start()
        .await;
    let client = server.client();
    let document = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }";
    for (variables, most) in [
        (json!({ "ids": [], "deep": [[[]]] }), 3),
        (json!({ "ids": ["a", "b", "c", "d", "e", "f", "g"] }), 8),
    ] {
        let request = json!({ "query": document, "variables": variables });
        let (status, refused) = answer(&client, &request).await;
        let extensions = &refused["errors"][0]["extensions"];
        assert_eq!(status, 400, "{refused}");
        assert_eq!(
            extensions,
            &json!({ "code": "LIMIT_EXCEEDED", "limit": most })
        );
    }
}

/// Each field counts once for every item of the pages that it is in, whether their size is
/// written in the document, in variables, or nowhere.
#[tokio::test]
async fn pages_make_a_query_complex() {
    let server = TestServer::start().await;
    let client = server.client();
    let told = json!({ "complexity": true });
    let inner = "messages(last: 20) { nodes { role } }";
    let page = |size: &str| {
        let variable = if size.contains("$n") {
            "query($n: Int = 3)"
        } else {
            ""
        };
        format!("{variable} {{ sessions{size} {{ nodes {{ id {inner} }} }} }}")
    };
    let one = 1 + 1 + 20 * 2;
    for (document, variables, expected) in [
        ("{ server { version } }".to_owned(), json!({}), 2),
        (page("(first: 50)"), json!({}), 1 + 50 * (1 + one)),
        (page("(last: $n)"), json!({ "n": 7 }), 1 + 7 * (1 + one)),
        (page("(first: $n)"), json!({}), 1 + 3 * (1 + one)),
        (page(""), json!({}), 1 + 20 * (1 + one)),
        (
            "query($ids: [ID!]!) { nodes(ids: $ids) { id } }".to_owned(),
            json!({ "ids": ["ses_00000000000000000000000000", "ses_00000000000000000000000001"] }),
            3,
        ),
        (
            "{ node(id: \"msg_00000000000000000000000000\") { ... on Message {
               siblings { id } few: siblings(last: 3) { siblings(last: 5) { id } } } } }"
                .to_owned(),
            json!({}),
            1 + (1 + 20) + (1 + 3 * (1 + 5)),
        ),
    ] {
        let request = json!({ "query": document, "variables": variables, "extensions": told });
        let (_, answer) = answer(&client, &request).await;
        let complexity = &answer["extensions"]["complexity"];
        assert_eq!(complexity["complexity"], expected, "{document}: {answer}");
        assert_eq!(complexity["limit"], 50_000);
    }
    let untold = client.response("{ server { version } }", &json!({})).await;
    assert!(untold.get("extensions").is_none(), "{untold}");

    // A text counts as five fields.
    let text = "{ sessions(first: 2) { nodes { messages(first: 3) { nodes { id text } } } } }";
    let (_, told_text) = answer(&client, &json!({ "query": text, "extensions": told })).await;
    assert_eq!(
        told_text["extensions"]["complexity"]["complexity"],
        1 + 2 * (1 + 1 + 3 * (1 + 1 + 5))
    );

    let huge = "{ sessions(first: 100) { nodes { messages(first: 100) { nodes { id role finishReason createdAt } } } } }";
    let (_, small) = answer(&client, &json!({ "query": huge.replace("first: 100) { nodes { id", "first: 99) { nodes { id"), "extensions": told })).await;
    assert_eq!(small["errors"], Value::Null, "{small}");
    let (status, refused) = answer(
        &client,
        &json!({ "query": huge.replace("id role", "id role a: role")}),
    )
    .await;
    assert_eq!(status, 400, "{refused}");
    assert_eq!(
        refused["errors"][0]["extensions"],
        json!({ "code": "LIMIT_EXCEEDED", "limit": 50_000 })
    );
}

/// Without introspection nobody is helped to guess the schema.
#[tokio::test]
async fn hints_and_graphiql_go_with_introspection() {
    for (introspection, hints) in [(true, true), (false, false)] {
        let server = Setup::new()
            .set("http.introspection", introspection)
            .start()
            .await;
        let client = server.client();
        for document in [
            "{ viewr { owner } }",
            "{ viewer { ownr } }",
            "{ sessions(frst: 1) { nodes { id } } }",
            "{ sessions(filter: { agnt: \"a\" }) { nodes { id } } }",
            "query($a: Stirng) { viewer { owner } }",
            "{ viewer { ...F } } fragment F on Viewr { owner }",
        ] {
            let text = client.response(document, &json!({})).await["errors"].to_string();
            let hinted = text.contains("Did you mean");
            assert!(!hinted || hints, "{document}: {text}");
        }
        let error = client.error("{ viewr { owner } }", &json!({})).await;
        assert_eq!(
            error["message"].as_str().unwrap().contains("Did you mean"),
            hints
        );
        let data = client
            .response("{ __schema { types { name } } }", &json!({}))
            .await;
        assert_eq!(
            data["data"]["__schema"]["types"].is_array(),
            introspection,
            "{data}"
        );
        for path in ["/", "/schema.graphql"] {
            let page = client.request(reqwest::Method::GET, path);
            let status = page.send().await.unwrap().status();
            assert_eq!(status == 200, introspection, "{path}");
        }
    }
}

#[tokio::test]
async fn error_lists_are_capped() {
    let server = Setup::new().set("limits.errors", 3).start().await;
    let fields: String = (0..20).map(|n| format!("unknown{n} ")).collect();
    let document = format!("{{ {fields} }}");
    let answer = server.client().response(&document, &json!({})).await;
    assert_eq!(answer["errors"].as_array().unwrap().len(), 3);
    assert_eq!(answer["extensions"]["errorsOmitted"], 17, "{answer}");
}
