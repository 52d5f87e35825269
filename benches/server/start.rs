//! Starting: how soon the server is ready, what it holds when idle, how large it is.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::Outcome;
use super::process::{Running, talkgraph};
use super::table::{median, print};

const STARTS: usize = 9;
const BINARY: &str = env!("CARGO_BIN_EXE_talkgraph");

/// Nothing is asked of a model here; nobody listens at this address.
const NO_UPSTREAM: &str = "127.0.0.1:9";

/// How long a server may idle before its memory is read.
const SETTLE: Duration = Duration::from_millis(500);

/// Measures starts with a new database, and then with one that is there.
pub(crate) async fn measure() -> Outcome {
    let mut rows = Vec::new();
    let kept = tempfile::tempdir()?;
    start(kept.path()).await?;
    let (mut fresh, mut existing, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STARTS {
        fresh.push(start(tempfile::tempdir()?.path()).await?.1);
        let (server, ms) = start(kept.path()).await?;
        existing.push(ms);
        sleep(SETTLE).await;
        memory.push(server.memory_mb()?);
    }
    let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    row("ready, new database", format!("{:.0} ms", median(fresh)));
    row(
        "ready, existing database",
        format!("{:.0} ms", median(existing)),
    );
    row("idle memory", format!("{:.1} MB", median(memory)));
    row(
        "binary",
        format!("{:.1} MB", megabytes(std::fs::metadata(BINARY)?.len())),
    );
    Ok(print(&["start", ""], &rows)?)
}

/// Starts a server and tells how long it took to be ready, in milliseconds.
async fn start(folder: &Path) -> Outcome<(Running, f64)> {
    let begin = Instant::now();
    let server = Running::start(talkgraph(Command::new(BINARY), folder, NO_UPSTREAM))?;
    while !is_ready(&server.address).await? {
        sleep(Duration::from_millis(1)).await;
    }
    Ok((server, begin.elapsed().as_secs_f64() * 1e3))
}

async fn is_ready(address: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    let request = "GET /health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await?;
    Ok(response.starts_with(b"HTTP/1.1 200"))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a file is smaller than 2^53 bytes"
)]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
