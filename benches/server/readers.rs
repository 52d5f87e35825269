//! Clients that read many streams at once, in a process of their own, and see how old each
//! token is when it comes.

use std::sync::Arc;
use std::time::Duration;

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::Outcome;
use super::paced::{TOKENS, micros};
use super::socket::{Socket, post, subscribe};
use super::table::{quantile, say};

/// How long after one the next stream begins.
const APART: Duration = Duration::from_millis(5);

/// How long a stream may take as a whole: some four times what its tokens take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a token, which is a time, stands behind.
const BEFORE_TOKEN: &[u8] = b"\"delta\":\"";

/// What comes after the last event, and in none.
const END: &[u8] = b"complete";

/// What the readers of one round saw.
pub(crate) struct Read {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) lost: f64,
}

impl Read {
    /// Reads what [`run`] wrote.
    pub(crate) fn parse(line: &str) -> Outcome<Self> {
        let numbers: Result<Vec<f64>, _> = line.split_whitespace().map(str::parse).collect();
        match numbers?.as_slice() {
            &[p50_ms, p99_ms, lost] => Ok(Self {
                p50_ms,
                p99_ms,
                lost,
            }),
            _ => Err(format!("the readers said {line:?}").into()),
        }
    }
}

/// Reads one answer on each of many connections and writes what was seen.
pub(crate) async fn run(arguments: &[&str]) -> Outcome {
    let &[address, transport, body, streams] = arguments else {
        return Err("wanted: address, transport, body, streams".into());
    };
    let streams: usize = streams.parse()?;
    let request: Arc<[u8]> = match transport {
        "ws" => subscribe("1", body.as_bytes()),
        _ => post(body.as_bytes(), "text/event-stream"),
    }
    .into();
    let mut sockets = Vec::new();
    for _ in 0..streams {
        let socket = match transport {
            "ws" => Socket::websocket(address)?,
            _ => Socket::connect(address)?,
        };
        sockets.push(socket.into_tokio()?);
    }
    let (mut readers, mut begin) = (JoinSet::new(), Instant::now());
    for socket in sockets {
        begin += APART;
        readers.spawn(read(socket, begin, Arc::clone(&request)));
    }
    let mut ages_ms = Vec::with_capacity(streams * TOKENS);
    while let Some(reader) = readers.join_next().await {
        ages_ms.extend(reader??);
    }
    let lost = (streams * TOKENS).saturating_sub(ages_ms.len());
    let (p50, p99) = (quantile(&mut ages_ms, 0.5), quantile(&mut ages_ms, 0.99));
    Ok(say(&format!("{p50} {p99} {lost}"))?)
}

/// The age of each token of one answer, in milliseconds.
async fn read(mut stream: TcpStream, begin: Instant, request: Arc<[u8]>) -> Outcome<Vec<f64>> {
    sleep_until(begin).await;
    stream.write_all(&request).await?;
    let (mut ages_ms, mut unread) = (Vec::with_capacity(TOKENS), Vec::new());
    let (token, end) = (memmem::Finder::new(BEFORE_TOKEN), memmem::Finder::new(END));
    while timeout(PATIENCE, stream.read_buf(&mut unread)).await?? > 0 {
        let now = micros();
        let mut read = 0;
        while let Some(at) = token.find(&unread[read..]) {
            let text = &unread[read + at + BEFORE_TOKEN.len()..];
            let Some(length) = text.iter().position(|byte| !byte.is_ascii_digit()) else {
                break;
            };
            let sent: u64 = std::str::from_utf8(&text[..length])?.parse()?;
            ages_ms.push(Duration::from_micros(now.saturating_sub(sent)).as_secs_f64() * 1e3);
            read += at + BEFORE_TOKEN.len() + length;
        }
        unread.drain(..read);
        if end.find(&unread).is_some() {
            return Ok(ages_ms);
        }
    }
    Err(format!("a stream was cut: {:?}", String::from_utf8_lossy(&unread)).into())
}
