//! Streaming: 200 answers at once, 50 tokens a second each, and how old a token is when it
//! reaches its client. Everything is stored before it is told; the relay stores nothing.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::Outcome;
use super::paced::TOKENS;
use super::process::{Cores, Running, talkgraph};
use super::readers::Read;
use super::table::{median, print};

const STREAMS: usize = 200;
const ROUNDS: usize = 5;

/// Raised: every stream has a WebSocket of its own.
const BOUNDS: [(&str, &str); 1] = [("TALKGRAPH_HTTP__WEBSOCKET_CONNECTIONS", "400")];

/// A way to get the tokens.
struct Case<'s> {
    name: String,
    server: &'s Running,
    transport: &'static str,
    body: String,
    rounds: Vec<Round>,
}

struct Round {
    read: Read,
    cpu_s: f64,
}

/// Measures all cases by turns; the first is the relay.
pub(crate) fn measure(cores: &Cores, against: Option<&Path>) -> Outcome {
    let this_program = std::env::current_exe()?;
    let mut upstream = cores.rest(&this_program);
    upstream.arg("as-paced-upstream");
    let upstream = Running::start(upstream)?;
    let mut relay = cores.server(&this_program);
    relay.args(["as-relay", &upstream.address]);
    let relay = Running::start(relay)?;
    let folder = tempfile::tempdir()?;
    let start = |program: &Path, folder: PathBuf, settings: &[(&str, &str)]| {
        std::fs::create_dir_all(&folder)?;
        let mut command = talkgraph(cores.server(program), &folder, &upstream.address);
        command.envs(BOUNDS).envs(settings.iter().copied());
        Running::start(command)
    };
    let own = Path::new(env!("CARGO_BIN_EXE_talkgraph"));
    let server = start(own, folder.path().join("a"), &[])?;
    let full = [("TALKGRAPH_STORE__SQLITE_SYNCHRONOUS_FULL", "true")];
    let durable = start(own, folder.path().join("b"), &full)?;
    let other = against.map(|program| start(program, folder.path().join("c"), &[]));
    let other = other.transpose()?;

    let relayed = json!({ "text": "Go on." }).to_string();
    let deltas = chat("sequence ... on TextDelta { delta }");
    let texts = chat("sequence ... on TextDelta { delta message { id text } }");
    let mut cases = vec![
        case("relay, SSE", &relay, "sse", &relayed),
        case("SSE", &server, "sse", &deltas),
        case("SSE, the text so far", &server, "sse", &texts),
        case("WebSocket", &server, "ws", &deltas),
        case("SSE, synchronous=FULL", &durable, "sse", &deltas),
    ];
    if let Some(other) = &other {
        cases.push(case("the other, SSE", other, "sse", &deltas));
    }
    // The first round warms up.
    for round in 0..=ROUNDS {
        for case in &mut cases {
            let measured = case.round(cores, &this_program)?;
            if round > 0 {
                case.rounds.push(measured);
            }
        }
    }
    Ok(report(&cases)?)
}

fn chat(selection: &str) -> String {
    let chat = "chat(input: {message: {text: \"Go on.\"}})";
    json!({ "query": format!("subscription {{ {chat} {{ {selection} }} }}") }).to_string()
}

fn case<'s>(name: &str, server: &'s Running, transport: &'static str, body: &str) -> Case<'s> {
    Case {
        name: name.to_owned(),
        server,
        transport,
        body: body.to_owned(),
        rounds: Vec::new(),
    }
}

impl Case<'_> {
    fn round(&self, cores: &Cores, readers: &Path) -> Outcome<Round> {
        let before = self.server.cpu()?;
        let mut command = cores.rest(readers);
        command.args(["as-readers", &self.server.address, self.transport]);
        let output = command.args([&self.body, &STREAMS.to_string()]).output()?;
        let read = Read::parse(&String::from_utf8(output.stdout)?).map_err(|error| {
            let why = String::from_utf8_lossy(&output.stderr);
            format!("{}: {error} {why}", self.name)
        })?;
        let cpu_s = (self.server.cpu()? - before).as_secs_f64();
        Ok(Round { read, cpu_s })
    }

    fn median(&self, value: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().map(value))
    }

    /// The median of what a value is beside the first case's of the same round.
    fn beside(
        &self,
        first: Option<&Self>,
        value: impl Fn(&Round) -> f64,
        compare: impl Fn(f64, f64) -> f64,
    ) -> f64 {
        let firsts = first.iter().flat_map(|first| &first.rounds);
        let pairs = self.rounds.iter().zip(firsts);
        median(pairs.map(|(own, its)| compare(value(own), value(its))))
    }
}

fn report(cases: &[Case<'_>]) -> std::io::Result<()> {
    let first = cases.first();
    let rows = cases.iter().map(|case| {
        let added = |value: fn(&Round) -> f64| case.beside(first, value, |own, its| own - its);
        let ratio = case.beside(first, |round| round.cpu_s, |own, its| own / its);
        vec![
            case.name.clone(),
            format!("{:.2}", case.median(|round| round.read.p50_ms)),
            format!("{:.2}", case.median(|round| round.read.p99_ms)),
            format!("{:.2}", added(|round| round.read.p50_ms)),
            format!("{:.2}", added(|round| round.read.p99_ms)),
            case.rounds
                .iter()
                .map(|round| round.read.lost)
                .sum::<f64>()
                .to_string(),
            format!("{:.2}", case.median(|round| round.cpu_s)),
            format!("{ratio:.2}"),
        ]
    });
    let streams = format!("streams, {STREAMS} × {TOKENS} tokens");
    let title = [
        &streams,
        "p50 ms",
        "p99 ms",
        "added p50",
        "added p99",
        "lost",
        "CPU s",
        "ratio",
    ];
    print(&title, &rows.collect::<Vec<_>>())
}
