//! The `chat` mutation: a question, an answer of 20 tokens, all of it stored.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::Outcome;
use super::contest::{Contestant, Schedule, take_turns};
use super::process::{Cores, Running, talkgraph};
use super::table::{median, print};
use super::upstream::LAST_TOKEN;

const CONNECTIONS: &str = "64";
const ROUNDS: usize = 7;
const ROUND_SECONDS: &str = "4";
const WARM_UP_SECONDS: &str = "2";

const QUESTION: &str = "How do I keep a sourdough starter alive while I am away?";

const CHAT: &str = "mutation Chat($input: ChatInput!) { chat(input: $input) { \
    run { id status } session { id } message { id text } } }";

/// Measures the server, the relay and perhaps another binary of the server, by turns.
pub(crate) async fn measure(cores: &Cores, against: Option<PathBuf>) -> Outcome {
    let this_program = std::env::current_exe()?;
    let mut upstream = cores.rest(&this_program);
    upstream.arg("as-upstream");
    let upstream = Running::start(upstream)?;
    let mut relay = cores.server(&this_program);
    relay.args(["as-relay", &upstream.address]);

    let folder = tempfile::tempdir()?;
    let mut all = vec![
        contestant(
            "relay",
            Running::start(relay)?,
            "/chat",
            json!({ "text": QUESTION }),
        ),
        contestant_talkgraph(
            "talkgraph",
            cores,
            Path::new(env!("CARGO_BIN_EXE_talkgraph")),
            &folder.path().join("a"),
            &upstream.address,
        )?,
    ];
    if let Some(other) = against {
        let folder = folder.path().join("b");
        let other = contestant_talkgraph("the other", cores, &other, &folder, &upstream.address)?;
        all.push(other);
    }
    let schedule = Schedule {
        connections: CONNECTIONS,
        warm_up_seconds: WARM_UP_SECONDS,
        round_seconds: ROUND_SECONDS,
        rounds: ROUNDS,
    };
    take_turns(&mut all, cores, &this_program, &schedule)?;
    Ok(report(&all)?)
}

fn contestant_talkgraph(
    name: &'static str,
    cores: &Cores,
    program: &Path,
    folder: &Path,
    upstream: &str,
) -> Outcome<Contestant> {
    std::fs::create_dir_all(folder)?;
    let server = Running::start(talkgraph(cores.server(program), folder, upstream))?;
    Ok(contestant(
        name,
        server,
        "/graphql",
        chat_request(None, QUESTION),
    ))
}

/// The body of a `chat` mutation.
pub(crate) fn chat_request(session: Option<&str>, text: &str) -> serde_json::Value {
    let input = json!({ "sessionId": session, "message": { "text": text } });
    json!({ "query": CHAT, "variables": { "input": input } })
}

fn contestant(
    name: &'static str,
    server: Running,
    path: &'static str,
    body: serde_json::Value,
) -> Contestant {
    Contestant {
        name,
        server,
        path,
        body: body.to_string(),
        answered: LAST_TOKEN,
        rounds: Vec::new(),
    }
}

fn report(all: &[Contestant]) -> std::io::Result<()> {
    let rows = all.iter().map(|one| {
        // Of the same round: what else the machine does changes less within one.
        let ratios = all.first().map_or(0.0, |first| {
            let pairs = one.rounds.iter().zip(&first.rounds);
            median(pairs.map(|(own, its)| own.seen.turns_per_second / its.seen.turns_per_second))
        });
        let cpu = one.median(|round| round.cpu_us_per_turn);
        let turns = one.median(|round| round.seen.turns_per_second);
        vec![
            one.name.to_owned(),
            format!("{turns:.0}"),
            format!("{ratios:.3}"),
            format!("{cpu:.0}"),
            format!("{:.0} %", cpu * turns / 1e4),
            format!("{:.1}", one.median(|round| round.seen.p50_ms)),
            format!("{:.1}", one.median(|round| round.seen.p99_ms)),
        ]
    });
    let connections = format!("chat, {CONNECTIONS} connections");
    let title = [
        &connections,
        "turns/s",
        "ratio",
        "CPU µs/turn",
        "of a core",
        "p50 ms",
        "p99 ms",
    ];
    print(&title, &rows.collect::<Vec<_>>())
}
