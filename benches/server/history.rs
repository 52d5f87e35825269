//! Opening the client: 50 sessions of 20 messages, read in one request.

use std::time::Instant;

use reqwest::Client;
use serde_json::{Value, json};

use super::Outcome;
use super::chat::chat_request;
use super::process::{Cores, Running, talkgraph};
use super::table::{print, quantile};

const SESSIONS: usize = 50;
/// Each is a question and an answer.
const TURNS: usize = 10;
const WARM_UP: usize = 20;
const REQUESTS: usize = 200;

const HISTORY: &str = "{ sessions(first: 50) { edges { node { id title updatedAt \
    messages(last: 20) { edges { node { id role text createdAt } } } } } } }";

/// Measures one request after the other, with nothing else going on.
pub(crate) async fn measure(cores: &Cores) -> Outcome {
    let this_program = std::env::current_exe()?;
    let mut upstream = cores.rest(&this_program);
    upstream.arg("as-upstream");
    let upstream = Running::start(upstream)?;
    let folder = tempfile::tempdir()?;
    let program = cores.server(env!("CARGO_BIN_EXE_talkgraph"));
    let server = Running::start(talkgraph(program, folder.path(), &upstream.address))?;

    // An error says that there is a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().no_proxy().tcp_nodelay(true).build()?;
    let url = format!("http://{}/graphql", server.address);
    let ask = async |body: &Value| -> Outcome<String> {
        let response = client.post(&url).json(body).send().await?;
        Ok(response.error_for_status()?.text().await?)
    };
    for _ in 0..SESSIONS {
        let mut session: Option<String> = None;
        for _ in 0..TURNS {
            let answer = ask(&chat_request(session.as_deref(), "And then?")).await?;
            let answer: Value = serde_json::from_str(&answer)?;
            let id = answer["data"]["chat"]["session"]["id"].as_str();
            session = Some(id.ok_or_else(|| answer.to_string())?.to_owned());
        }
    }

    let body = json!({ "query": HISTORY });
    let (mut waits_ms, mut length) = (Vec::with_capacity(REQUESTS), 0);
    for request in 0..WARM_UP + REQUESTS {
        let asked = Instant::now();
        let answer = ask(&body).await?;
        if request >= WARM_UP {
            waits_ms.push(asked.elapsed().as_secs_f64() * 1e3);
        }
        length = answer.len();
        let messages = answer.matches("\"role\"").count();
        if messages != SESSIONS * TURNS * 2 {
            return Err(format!("{messages} messages were answered").into());
        }
    }
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let rows = [
        row("p50", format!("{:.1} ms", quantile(&mut waits_ms, 0.5))),
        row("p99", format!("{:.1} ms", quantile(&mut waits_ms, 0.99))),
        row("answer", format!("{} kB", length / 1000)),
    ];
    Ok(print(&["history, 50 × 20 messages", ""], &rows)?)
}
