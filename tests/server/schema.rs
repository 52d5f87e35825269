//! The schema: what is written down is what is served, and all of it is described.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::client::{body, send};
use crate::support::process::{program, run};
use crate::support::server::{Setup, TestServer, repository};
use crate::support::talk::string;

#[tokio::test]
async fn the_schema_on_file_is_the_schema_that_is_served() {
    let on_file = std::fs::read_to_string(repository("schema.graphql")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let printed = run(program(folder.path(), &["schema"], &[])).await;
    assert_eq!(printed.code, 0, "{}", printed.stderr);
    assert!(
        printed.stdout == on_file,
        "schema.graphql is out of date: `talkgraph schema > schema.graphql`"
    );
    let server = TestServer::start().await;
    let request = server.client().request(Method::GET, "/schema.graphql");
    assert!(send(request).await.text().await.unwrap() == on_file);
}

const INTROSPECTION: &str = "{ __schema { types { name kind description
    fields(includeDeprecated: true) { name description args(includeDeprecated: true) { name description } }
    inputFields { name description } enumValues(includeDeprecated: true) { name description } } } }";

#[tokio::test]
async fn everything_is_described() {
    let server = TestServer::start().await;
    let data = server.client().data(INTROSPECTION, &json!({})).await;
    let types = data["__schema"]["types"].as_array().unwrap();
    let own = types
        .iter()
        .filter(|kind| !string(&kind["name"]).starts_with("__"));
    let mut missing = Vec::new();
    for kind in own {
        let name = string(&kind["name"]);
        note(&name, kind, &mut missing);
        for member in ["fields", "inputFields", "enumValues"] {
            for member in kind[member].as_array().into_iter().flatten() {
                let path = format!("{name}.{}", string(&member["name"]));
                note(&path, member, &mut missing);
                for argument in member["args"].as_array().into_iter().flatten() {
                    let path = format!("{path}({})", string(&argument["name"]));
                    note(&path, argument, &mut missing);
                }
            }
        }
    }
    assert!(types.len() > 50, "the walk saw only {}", types.len());
    assert_eq!(missing, [""; 0], "without a description");
}

fn note(path: &str, thing: &Value, missing: &mut Vec<String>) {
    let description = thing["description"].as_str().unwrap_or("");
    if description.trim().len() < 3 {
        missing.push(path.to_owned());
    }
}

#[tokio::test]
async fn introspection_can_be_switched_off() {
    let server = Setup::new().set("http.introspection", false).start().await;
    let client = server.client();
    let response = client
        .response("{ __schema { types { name } } }", &json!({}))
        .await;
    assert!(
        !response.to_string().contains("AgentConnection"),
        "{response}"
    );
    // Nor does an error suggest what there is.
    let error = client
        .error("{ sesions { nodes { id } } }", &json!({}))
        .await;
    assert!(!error.to_string().contains("sessions"), "{error}");
    let (status, _) = body(client.request(Method::GET, "/")).await;
    assert_eq!(status, 404, "GraphiQL cannot work without it");
}
