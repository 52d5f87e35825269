//! A program as an MCP server: its pipes as a transport, and its process group, which ends as a
//! whole.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rmcp::RoleClient;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use rmcp::transport::async_rw::AsyncRwTransport;
use tokio::io::{AsyncBufReadExt, BufReader, Empty};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};

use super::group::Group;
use super::guard::Guard;
use super::lines::{Bounded, Bounds};
use super::message;
use super::pending_requests::Waiting;

/// A running program. Its process group is killed when it is dropped before it was closed.
pub(super) struct Program {
    group: Option<Group>,
    said: BufReader<Bounded<ChildStdout>>,
    /// The line that is being read: an abandoned read continues here.
    line: Vec<u8>,
    /// Its standard input. Its output is read here, because rmcp skips messages that it cannot
    /// read.
    input: AsyncRwTransport<RoleClient, Empty, ChildStdin>,
    waiting: Waiting,
}

impl Program {
    /// Starts a program with pipes, in a process group of its own. `too_long` is set when one of
    /// its messages exceeds the bounds, which ends the connection.
    pub(super) fn start(
        command: Command,
        bounds: Bounds,
        too_long: Arc<AtomicBool>,
        waiting: Waiting,
        guard: &Arc<Guard>,
    ) -> io::Result<(Self, Option<ChildStderr>)> {
        let (group, pipes) = Group::start(command, guard)?;
        let said = BufReader::new(Bounded::new(pipes.stdout, bounds, too_long));
        let program = Self {
            group: Some(group),
            said,
            line: Vec::new(),
            input: AsyncRwTransport::new(tokio::io::empty(), pipes.stdin),
            waiting,
        };
        Ok((program, pipes.stderr))
    }
}

impl Transport<RoleClient> for Program {
    type Error = io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        self.input.send(item)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            let read = self.said.read_until(b'\n', &mut self.line).await;
            // A line without an end is cut off: the stream has ended.
            if !read.is_ok_and(|bytes| bytes > 0) || !self.line.ends_with(b"\n") {
                return None;
            }
            let reading = message::read(&self.line, &self.waiting.ids());
            self.line.clear();
            if let Some(message) = reading.message() {
                return Some(message);
            }
        }
    }

    /// Closes the program's input and ends its group: see [`Group::end`].
    async fn close(&mut self) -> Result<(), Self::Error> {
        self.input.close().await?;
        match self.group.take() {
            Some(group) => group.end().await,
            None => Ok(()),
        }
    }
}
