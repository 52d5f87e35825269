//! Events: what one costs the server when there are 100,000 of them in one run, from its log
//! and while it is made, over WebSocket and Server-Sent Events.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;

use super::Outcome;
use super::follow::{Follower, IDLE, Idle};
use super::load::is_whole;
use super::process::{Cores, Running, talkgraph};
use super::socket::{Socket, post};
use super::table::{median, print};
use super::upstream::QUIET;

/// The events of a run, but for the few around the tokens.
const EVENTS: u32 = 100_000;
const ROUNDS: usize = 5;

/// How long a server has to get everybody who waits subscribed.
const SETTLE: Duration = Duration::from_millis(1_500);

/// Raised, so that neither a run of so many tokens nor one of none is ended.
pub(crate) const BOUNDS: [(&str, &str); 8] = [
    ("TALKGRAPH_HTTP__STREAMS", "1100"),
    ("TALKGRAPH_HTTP__WEBSOCKET_CONNECTIONS", "1100"),
    ("TALKGRAPH_HTTP__WEBSOCKET_OPERATIONS", "1100"),
    (
        "TALKGRAPH_MODELS__OPENAI__FIRST_TOKEN_TIMEOUT_MS",
        "3600000",
    ),
    ("TALKGRAPH_MODELS__OPENAI__TOTAL_TIMEOUT_MS", "3600000"),
    ("TALKGRAPH_RUNS__ANSWER_BYTES", "4000000"),
    ("TALKGRAPH_RUNS__TIMEOUT_S", "3600"),
    // Each event counts, so none may be merged.
    ("TALKGRAPH_RUNS__SUBSCRIBER_BEHIND_EVENTS", "100000"),
];

/// A way to get events.
struct Case {
    name: &'static str,
    transport: &'static str,
    document: String,
    idle: Idle,
    /// Whether anybody is told of the events.
    hears: bool,
    /// Of each event, in each round.
    cpu_us: Vec<f64>,
    events_per_second: Vec<f64>,
}

/// Measures all cases by turns.
pub(crate) async fn measure(cores: &Cores) -> Outcome {
    let this_program = std::env::current_exe()?;
    let mut upstream = cores.rest(&this_program);
    upstream.args(["as-upstream", &EVENTS.to_string()]);
    let upstream = Running::start(upstream)?;
    let folder = tempfile::tempdir()?;
    let program = cores.server(env!("CARGO_BIN_EXE_talkgraph"));
    let mut server = talkgraph(program, folder.path(), &upstream.address);
    server.envs(BOUNDS);
    let server = Running::start(server)?;

    let run = ask(&server, "chat", "Go on.")?;
    let quiet = ask(&server, "sendMessage", QUIET)?;
    let nothing =
        format!("subscription {{ runEvents(runId: \"{quiet}\", after: 2) {{ sequence }} }}");
    let mut cases = cases(&run);
    for _ in 0..ROUNDS {
        for case in &mut cases {
            let address = (&*server.address, case.transport);
            let idle = (case.idle, &*nothing);
            let command = cores.rest(&this_program);
            let mut follower = Follower::start(command, address, &case.document, idle)?;
            if case.idle != Idle::Nowhere {
                sleep(SETTLE).await;
            }
            let (before, begun) = (server.cpu()?, Instant::now());
            let heard = follower.go()?;
            let (cpu, time) = (server.cpu()? - before, begun.elapsed());
            if case.hears && heard < EVENTS as usize {
                return Err(format!("{}: {heard} events were heard", case.name).into());
            }
            let events = f64::from(EVENTS);
            case.cpu_us.push(cpu.as_secs_f64() * 1e6 / events);
            case.events_per_second.push(events / time.as_secs_f64());
        }
    }
    report(&cases)
}

fn cases(run: &str) -> Vec<Case> {
    let replay = |selection: &str| {
        format!("subscription {{ runEvents(runId: \"{run}\", after: 0) {{ {selection} }} }}")
    };
    let sequence = replay("sequence");
    let delta = replay("sequence ... on TextDelta { delta }");
    let go_on = "chat(input: {message: {text: \"Go on.\"}})";
    let live = format!("subscription {{ {go_on} {{ sequence }} }}");
    let unheard = format!("mutation {{ {go_on} {{ run {{ status }} }} }}");
    [
        ("WebSocket, log", "ws", &sequence, Idle::Nowhere),
        ("  with deltas", "ws", &delta, Idle::Nowhere),
        (
            "  idle on the socket",
            "ws",
            &sequence,
            Idle::OnTheSameSocket,
        ),
        ("  idle on others", "ws", &sequence, Idle::Elsewhere),
        ("SSE, log", "sse", &sequence, Idle::Nowhere),
        ("  with deltas", "sse", &delta, Idle::Nowhere),
        ("  idle on others", "sse", &sequence, Idle::Elsewhere),
        ("WebSocket, live", "ws", &live, Idle::Nowhere),
        ("SSE, live", "sse", &live, Idle::Nowhere),
        ("made, unheard", "sse", &unheard, Idle::Nowhere),
    ]
    .map(|(name, transport, document, idle)| Case {
        name,
        transport,
        document: document.clone(),
        idle,
        hears: *document != unheard,
        cpu_us: Vec::new(),
        events_per_second: Vec::new(),
    })
    .into()
}

/// Starts a run and returns its id.
pub(crate) fn ask(server: &Running, mutation: &str, text: &str) -> Outcome<String> {
    let document = format!(
        "mutation {{ {mutation}(input: {{message: {{text: \"{text}\"}}}}) {{ run {{ id }} }} }}"
    );
    let request = post(json!({ "query": document }).to_string().as_bytes(), "*/*");
    let answer = Socket::connect(&server.address)?.exchange(&request, is_whole)?;
    let body = memchr::memmem::find(&answer, b"\r\n\r\n").map(|head| &answer[head + 4..]);
    let answer: Value = serde_json::from_slice(body.unwrap_or_default())?;
    let id = answer["data"][mutation]["run"]["id"].as_str();
    Ok(id.ok_or_else(|| answer.to_string())?.to_owned())
}

fn report(cases: &[Case]) -> Outcome {
    let rows = cases.iter().map(|case| {
        vec![
            case.name.to_owned(),
            format!("{:.2}", median(case.cpu_us.iter().copied())),
            format!("{:.0}", median(case.events_per_second.iter().copied())),
        ]
    });
    let events = format!("events, {EVENTS} of a run; {IDLE} idle");
    let title = [&events, "CPU µs/event", "events/s"];
    Ok(print(&title, &rows.collect::<Vec<_>>())?)
}
