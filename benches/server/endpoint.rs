//! The cheapest query, against a handler that reads the same JSON and answers the same: what
//! GraphQL, the guard and the transport's rules cost a request.

use std::process::Command;

use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Outcome;
use super::contest::{Contestant, Schedule, take_turns};
use super::process::{Cores, Running, listen, talkgraph};
use super::table::{median, print};

const CONNECTIONS: &str = "32";
const ROUNDS: usize = 7;
const ROUND_SECONDS: &str = "3";
const WARM_UP_SECONDS: &str = "1";

const REQUEST: &str = r#"{"query":"{ server { version } }"}"#;

/// What a whole answer has in it.
const ANSWERED: &str = concat!("\"version\":\"", env!("CARGO_PKG_VERSION"), "\"}}}");

/// Nothing is asked of a model here; nobody listens at this address.
const NO_UPSTREAM: &str = "127.0.0.1:9";

/// Measures both by turns, each alone on its core.
pub(crate) fn measure(cores: &Cores) -> Outcome {
    let this_program = std::env::current_exe()?;
    let mut plain = cores.server(&this_program);
    plain.arg("as-plain");
    let folder = tempfile::tempdir()?;
    let program = cores.server(env!("CARGO_BIN_EXE_talkgraph"));
    let mut all = vec![
        contestant("plain handler", plain)?,
        contestant("talkgraph", talkgraph(program, folder.path(), NO_UPSTREAM))?,
    ];
    let schedule = Schedule {
        connections: CONNECTIONS,
        warm_up_seconds: WARM_UP_SECONDS,
        round_seconds: ROUND_SECONDS,
        rounds: ROUNDS,
    };
    take_turns(&mut all, cores, &this_program, &schedule)?;
    Ok(report(&all)?)
}

fn contestant(name: &'static str, command: Command) -> Outcome<Contestant> {
    Ok(Contestant {
        name,
        server: Running::start(command)?,
        path: "/graphql",
        body: REQUEST.to_owned(),
        answered: ANSWERED,
        rounds: Vec::new(),
    })
}

fn report(all: &[Contestant]) -> std::io::Result<()> {
    let rows = all.iter().map(|one| {
        // Of the same round: what else the machine does changes less within one.
        let ratio = all.first().map_or(0.0, |first| {
            let pairs = one.rounds.iter().zip(&first.rounds);
            median(pairs.map(|(own, its)| own.cpu_us_per_turn / its.cpu_us_per_turn))
        });
        vec![
            one.name.to_owned(),
            format!("{:.2}", one.median(|round| round.cpu_us_per_turn)),
            format!("{ratio:.2}"),
            format!("{:.0}", one.median(|round| round.seen.turns_per_second)),
            format!("{:.2}", one.median(|round| round.seen.p99_ms)),
        ]
    });
    let connections = format!("endpoint, {CONNECTIONS} connections");
    let title = [
        &connections,
        "CPU µs/request",
        "ratio",
        "requests/s",
        "p99 ms",
    ];
    print(&title, &rows.collect::<Vec<_>>())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "read and not used, as in the server's answer to this request"
)]
struct Request {
    query: String,
    operation_name: Option<String>,
    variables: Option<Map<String, Value>>,
}

#[derive(Serialize)]
struct Answer {
    data: Data,
}

#[derive(Serialize)]
struct Data {
    server: Server,
}

#[derive(Serialize)]
struct Server {
    version: String,
}

/// Serves the same answer to whatever is asked, until killed.
pub(crate) async fn serve() -> Outcome {
    let answer = async |_: Json<Request>| {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let server = Server { version };
        Json(Answer {
            data: Data { server },
        })
    };
    let app = Router::new().route("/graphql", post(answer));
    Ok(axum::serve(listen().await?, app).await?)
}
