//! A subscriber in a process of its own, perhaps beside many that have nothing to hear.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::Outcome;
use super::socket::{Socket, post, subscribe};
use super::table::say;

/// How many subscriptions wait beside the one that is measured.
pub(crate) const IDLE: usize = 1_000;

/// Where those that wait are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Idle {
    Nowhere,
    OnTheSameSocket,
    Elsewhere,
}

/// A subscriber that has connected and waits to be told to begin.
pub(crate) struct Follower {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Follower {
    /// `idle` is what those that wait ask for, and where they are.
    pub(crate) fn start(
        mut command: Command,
        (address, transport): (&str, &str),
        document: &str,
        idle: (Idle, &str),
    ) -> Outcome<Self> {
        let place = match idle.0 {
            Idle::Nowhere => "nowhere",
            Idle::OnTheSameSocket => "same",
            Idle::Elsewhere => "elsewhere",
        };
        command.args(["as-follower", address, transport, document, place, idle.1]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let mut follower = Self {
            child,
            stdout: BufReader::new(stdout),
        };
        follower.line()?;
        Ok(follower)
    }

    /// Lets it subscribe, and returns how many events it has seen when they end.
    pub(crate) fn go(&mut self) -> Outcome<usize> {
        let stdin = self.child.stdin.as_mut().ok_or("no standard input")?;
        stdin.write_all(b"go\n")?;
        Ok(self.line()?.trim().parse()?)
    }

    fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        match self.stdout.read_line(&mut line)? {
            0 => Err("a subscriber gave up".into()),
            _ => Ok(line),
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the process does.
pub(crate) fn run(arguments: &[&str]) -> Outcome {
    let &[address, transport, document, place, idle] = arguments else {
        return Err(
            "wanted: address, transport, document, place of the idle, their document".into(),
        );
    };
    let request = json!({ "query": document }).to_string();
    let idle = json!({ "query": idle }).to_string();
    let open = || match transport {
        "ws" => Socket::websocket(address),
        _ => Ok(Socket::connect(address)?),
    };
    let ask = |id: &str, request: &str| match transport {
        "ws" => subscribe(id, request.as_bytes()),
        _ => post(request.as_bytes(), "text/event-stream"),
    };
    let mut socket = open()?;
    let mut others = Vec::new();
    for n in 0..IDLE {
        let request = ask(&format!("idle{n}"), &idle);
        match place {
            "same" => socket.send(&request)?,
            "elsewhere" => {
                let mut other = open()?;
                other.send(&request)?;
                others.push(other);
            }
            _ => break,
        }
    }
    say("ready")?;
    std::io::stdin().lock().read_line(&mut String::new())?;
    socket.send(&ask("1", &request))?;
    let events = socket.count(b"\"sequence\":", b"complete")?;
    Ok(say(&events.to_string())?)
}
