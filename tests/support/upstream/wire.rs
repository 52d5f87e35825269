//! Requests and answers as bytes.

use std::io;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::sleep;

use super::script::{Script, Step};
use super::{Received, Shared};

enum Next {
    KeepAlive,
    Close,
}

/// Serves one connection, request after request.
pub(super) async fn serve(socket: TcpStream, shared: Arc<Shared>) {
    let (read, mut write) = socket.into_split();
    let mut read = BufReader::new(read);
    while let Ok(Some(request)) = receive(&mut read).await {
        let script = shared.answer_to(&request);
        shared.received.send_modify(|all| all.push(request));
        match answer(script, &mut read, &mut write, &shared).await {
            Ok(Next::KeepAlive) => {}
            Ok(Next::Close) => return,
            Err(_) => {
                shared.closed.send_modify(|count| *count += 1);
                return;
            }
        }
    }
}

/// The next request; none when the client has closed the connection.
async fn receive(read: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<Received>> {
    let mut line = String::new();
    if read.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let (mut headers, mut length) = (Vec::new(), 0);
    loop {
        let mut header = String::new();
        read.read_line(&mut header).await?;
        let Some((name, value)) = header.trim_end().split_once(':') else {
            break;
        };
        let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
        if name == "content-length" {
            length = value.parse().unwrap();
        }
        headers.push((name, value));
    }
    let mut body = vec![0; length];
    read.read_exact(&mut body).await?;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Ok(Some(Received {
        line,
        headers,
        body,
    }))
}

/// Plays a script. An error means that the client closed the connection half-way.
async fn answer(
    script: Script,
    read: &mut BufReader<OwnedReadHalf>,
    write: &mut OwnedWriteHalf,
    shared: &Shared,
) -> io::Result<Next> {
    if script.silent {
        hold(read, shared).await?;
    }
    if script.status == 0 {
        return Ok(Next::Close);
    }
    let mut head = format!("HTTP/1.1 {} Scripted\r\n", script.status);
    for (name, value) in script.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += "transfer-encoding: chunked\r\n\r\n";
    write.write_all(head.as_bytes()).await?;
    for step in script.steps {
        match step {
            Step::Bytes(bytes) => write.write_all(&piece(&bytes)).await?,
            Step::Flood(bytes, times) => {
                let piece = piece(&bytes);
                for _ in 0..times {
                    write.write_all(&piece).await?;
                }
            }
            Step::Hold => hold(read, shared).await?,
            Step::Pause(pause) => sleep(pause).await,
            Step::Cut => {
                write.write_all(b"20\r\ndata: {\"choi").await?;
                return Ok(Next::Close);
            }
        }
    }
    write.write_all(b"0\r\n\r\n").await?;
    shared.written.send_modify(|count| *count += 1);
    Ok(Next::KeepAlive)
}

/// Bytes as a chunk of HTTP/1.1.
fn piece(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// Waits to be released. The client's going is noticed here without writing to it.
async fn hold(read: &mut BufReader<OwnedReadHalf>, shared: &Shared) -> io::Result<()> {
    let mut held = shared.held.subscribe();
    shared.holding.send_modify(|count| *count += 1);
    tokio::select! {
        _ = held.wait_for(|held| !held) => Ok(()),
        // No client of ours sends anything while it waits for an answer.
        _ = read.fill_buf() => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}
