//! Clients that ask again as soon as they are answered, each on a connection it keeps.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Outcome;
use super::table::{quantile, say};

/// What the clients of one round saw.
pub(crate) struct Seen {
    pub(crate) turns: f64,
    pub(crate) turns_per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl Seen {
    /// Reads what [`run`] wrote.
    pub(crate) fn parse(line: &str) -> Outcome<Self> {
        let numbers: Result<Vec<f64>, _> = line.split_whitespace().map(str::parse).collect();
        match numbers?.as_slice() {
            &[turns, turns_per_second, p50_ms, p99_ms] => Ok(Self {
                turns,
                turns_per_second,
                p50_ms,
                p99_ms,
            }),
            _ => Err(format!("the clients said {line:?}").into()),
        }
    }
}

/// Asks for `seconds` and writes what was seen. An answer without `answered` ends it.
pub(crate) async fn run(arguments: &[&str]) -> Outcome {
    let &[address, path, body, answered, connections, seconds] = arguments else {
        return Err("wanted: address, path, body, answered, connections, seconds".into());
    };
    let answered: Arc<[u8]> = answered.as_bytes().into();
    let length = body.len();
    let request: Arc<[u8]> = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\naccept: application/json\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
    .into();
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(seconds.parse()?);
    let mut clients = JoinSet::new();
    for _ in 0..connections.parse()? {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (request, answered) = (Arc::clone(&request), Arc::clone(&answered));
        clients.spawn(ask_until(end, stream, request, answered));
    }
    let mut waits_ms = Vec::new();
    while let Some(client) = clients.join_next().await {
        waits_ms.extend(client??);
    }
    let (turns, time) = (waits_ms.len(), start.elapsed());
    let per_second = f64::from(u32::try_from(turns)?) / time.as_secs_f64();
    let (p50, p99) = (quantile(&mut waits_ms, 0.5), quantile(&mut waits_ms, 0.99));
    Ok(say(&format!("{turns} {per_second} {p50} {p99}"))?)
}

async fn ask_until(
    end: Instant,
    mut stream: TcpStream,
    request: Arc<[u8]>,
    answered: Arc<[u8]>,
) -> io::Result<Vec<f64>> {
    let (mut waits_ms, mut buffer) = (Vec::new(), Vec::with_capacity(8192));
    loop {
        let asked = Instant::now();
        if asked >= end {
            return Ok(waits_ms);
        }
        stream.write_all(&request).await?;
        buffer.clear();
        read_response(&mut stream, &mut buffer).await?;
        if memmem::find(&buffer, &answered).is_none() {
            let answer = String::from_utf8_lossy(&buffer);
            return Err(io::Error::other(format!("answered with {answer}")));
        }
        waits_ms.push(asked.elapsed().as_secs_f64() * 1e3);
    }
}

async fn read_response(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<()> {
    let mut whole = None;
    while whole.is_none_or(|length| buffer.len() < length) {
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        whole = whole.or_else(|| response_length(buffer));
    }
    Ok(())
}

/// The length of head and body, once the head is there.
fn response_length(buffer: &[u8]) -> Option<usize> {
    let head = memmem::find(buffer, b"\r\n\r\n")?;
    let lines = std::str::from_utf8(&buffer[..head]).ok()?.lines();
    let body = lines
        .filter_map(|line| line.split_once(": "))
        .find_map(|(name, value)| {
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.parse().ok()).flatten()
        });
    Some(head + 4 + body.unwrap_or(0_usize))
}

/// Whether this is a response with all of its body.
pub(crate) fn is_whole(response: &[u8]) -> bool {
    response_length(response).is_some_and(|length| response.len() >= length)
}
