//! Requests that are made to hurt: what refusing each costs, over POST and over WebSocket.

#[expect(clippy::unwrap_used, reason = "the tests' own: they may")]
#[path = "../../tests/support/hostile.rs"]
mod inputs;

use memchr::memmem;

use super::Outcome;
use super::load::is_whole;
use super::process::{Cores, Running, talkgraph};
use super::socket::{Socket, frame, post, post_in_chunks, subscribe};
use super::table::print;

const REPETITIONS: u32 = 20;

/// Far over every limit.
const LARGE: usize = 20_000_000;

/// Nothing is asked of a model here; nobody listens at this address.
const NO_UPSTREAM: &str = "127.0.0.1:9";

/// Measures each input alone, one request after the other, each on a connection of its own.
pub(crate) fn measure(cores: &Cores) -> Outcome {
    let folder = tempfile::tempdir()?;
    let program = cores.server(env!("CARGO_BIN_EXE_talkgraph"));
    let server = Running::start(talkgraph(program, folder.path(), NO_UPSTREAM))?;
    let inputs = inputs::all();
    let large = vec![b' '; LARGE];
    let accept = "application/graphql-response+json";
    let mut rows = Vec::new();
    for input in &inputs {
        let request = post(&input.request, accept);
        rows.push(row(&server, &format!("POST {}", input.name), &|socket| {
            let answer = socket.exchange(&request, is_whole)?;
            match code("", &answer) == input.code {
                true => Ok((status(&answer), answer)),
                false => {
                    Err(format!("{}: {}", input.name, String::from_utf8_lossy(&answer)).into())
                }
            }
        })?);
    }
    for (name, request) in [
        ("POST 20 MB with a length", post(&large, accept)),
        ("POST 20 MB without a length", post_in_chunks(&large)),
    ] {
        rows.push(row(&server, name, &|socket| {
            let answer = socket.exchange(&request, is_whole)?;
            Ok((status(&answer), answer))
        })?);
    }
    for input in &inputs {
        let request = subscribe("1", &input.request);
        rows.push(row(&server, &format!("WS {}", input.name), &|socket| {
            let answer = socket
                .upgraded()?
                .exchange(&request, |bytes| frame(bytes).is_some())?;
            let (kind, text) = frame(&answer).unwrap_or(("closed", &[]));
            Ok((kind.to_owned(), text.to_owned()))
        })?);
    }
    let title = ["hostile", "answer", "code", "CPU ms", "bytes"];
    Ok(print(&title, &rows)?)
}

type Ask<'a> = dyn Fn(Socket) -> Outcome<(String, Vec<u8>)> + 'a;

fn row(server: &Running, name: &str, ask: &Ask<'_>) -> Outcome<Vec<String>> {
    let again = || ask(Socket::connect(&server.address)?);
    let (mut kind, mut answer) = again()?;
    let before = server.cpu_of_threads()?;
    for _ in 0..REPETITIONS {
        (kind, answer) = again()?;
    }
    let cpu = server.cpu_of_threads()?.saturating_sub(before) / REPETITIONS;
    let code = code(&kind, &answer);
    Ok(vec![
        name.to_owned(),
        kind,
        code,
        format!("{:.2}", cpu.as_secs_f64() * 1e3),
        answer.len().to_string(),
    ])
}

fn status(response: &[u8]) -> String {
    let line = String::from_utf8_lossy(response.get(..12).unwrap_or_default());
    let status = line.split(' ').nth(1);
    status.unwrap_or("closed").to_owned()
}

/// `extensions.code` of the first error, or a close frame's own.
fn code(kind: &str, answer: &[u8]) -> String {
    const BEFORE: &[u8] = b"\"code\":\"";
    if let ("closed", Some(code)) = (kind, answer.first_chunk()) {
        return u16::from_be_bytes(*code).to_string();
    }
    let code = memmem::find(answer, BEFORE).map(|at| &answer[at + BEFORE.len()..]);
    let code = code.and_then(|code| code.split(|byte| *byte == b'"').next());
    String::from_utf8_lossy(code.unwrap_or_default()).into_owned()
}
