//! A model provider on a real socket that does as it is told.
//!
//! It speaks HTTP/1.1 by hand, because a test must be able to say which bytes go out
//! together, when, and where they stop. Every piece that a script writes is an HTTP chunk
//! of its own, so the client sees the same pieces whatever TCP makes of them.

#![allow(dead_code, unused_imports, reason = "no test program uses all of it")]
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    reason = "it is part of test programs"
)]

mod echo;
mod script;
mod wire;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use script::{Script, Step, chunk, finish, usage};

/// A request that came in.
#[derive(Debug, Clone)]
pub struct Received {
    /// Method and path: `POST /v1/chat/completions`.
    pub line: String,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Value,
}

impl Received {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The provider. It stops, and closes its connections, when it is dropped.
pub struct Upstream {
    port: u16,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

/// Makes the answers to requests that no script was queued for.
type Answering = Box<dyn Fn(&Received) -> Script + Send + Sync>;

struct Shared {
    scripts: Mutex<VecDeque<Script>>,
    otherwise: Answering,
    received: watch::Sender<Vec<Received>>,
    /// Answers that are being written stop at a [`Step::Hold`] until this says false.
    held: watch::Sender<bool>,
    /// How many answers have arrived at a [`Step::Hold`].
    holding: watch::Sender<usize>,
    /// How many connections were accepted.
    accepted: watch::Sender<usize>,
    /// How many answers found, half-way, that the client had gone.
    closed: watch::Sender<usize>,
    /// How many answers were written to their end.
    written: watch::Sender<usize>,
}

impl Upstream {
    /// Starts on a free port of 127.0.0.1. Requests that no script was queued for are
    /// answered with an echo (see [`Upstream::then`]).
    pub async fn start() -> Self {
        Self::answering(|request| echo::echo(&request.body)).await
    }

    /// As [`Upstream::start`], with other answers to requests that no script was queued for.
    pub async fn answering(
        otherwise: impl Fn(&Received) -> Script + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            scripts: Mutex::default(),
            otherwise: Box::new(otherwise),
            received: watch::Sender::default(),
            held: watch::Sender::new(true),
            holding: watch::Sender::default(),
            accepted: watch::Sender::default(),
            closed: watch::Sender::default(),
            written: watch::Sender::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Self {
            port,
            shared,
            _tasks: tasks,
        }
    }

    /// What to configure as the provider's base URL.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// Queues the answer to the next request that has none yet. When the queue is empty
    /// the answer is `echo N: TEXT`, token by token, where TEXT is the last user message
    /// and N the number of messages in the prompt.
    pub fn then(&self, script: Script) -> &Self {
        self.shared.scripts().push_back(script);
        self
    }

    /// Makes answers stop at [`Step::Hold`], which is how it is at the start.
    pub fn hold(&self) {
        self.shared.held.send_replace(true);
    }

    /// Lets all answers go on, those that come to a [`Step::Hold`] later included.
    pub fn release(&self) {
        self.shared.held.send_replace(false);
    }

    /// Waits until `count` answers since the start have come to a [`Step::Hold`]: what
    /// their scripts say before it has then been written.
    pub async fn wait_holding(&self, count: usize) {
        wait_for(&self.shared.holding, |held| *held >= count).await;
    }

    /// Waits until `count` clients have closed their connection before their answer was
    /// complete.
    pub async fn wait_closed(&self, count: usize) {
        wait_for(&self.shared.closed, |closed| *closed >= count).await;
    }

    /// Waits until `count` requests have come in, and gives all there are.
    pub async fn wait_received(&self, count: usize) -> Vec<Received> {
        wait_for(&self.shared.received, |all| all.len() >= count).await;
        self.received()
    }

    /// The requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.borrow().clone()
    }

    /// How many answers were written to their end so far, as it goes on.
    pub fn written(&self) -> watch::Receiver<usize> {
        self.shared.written.subscribe()
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        *self.shared.accepted.borrow()
    }
}

impl Shared {
    fn scripts(&self) -> MutexGuard<'_, VecDeque<Script>> {
        self.scripts.lock().unwrap()
    }

    fn answer_to(&self, request: &Received) -> Script {
        let queued = self.scripts().pop_front();
        queued.unwrap_or_else(|| (self.otherwise)(request))
    }
}

async fn wait_for<T>(state: &watch::Sender<T>, reached: impl FnMut(&T) -> bool) {
    // The sender is alive as long as the upstream that lends it.
    state.subscribe().wait_for(reached).await.unwrap();
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Held here, so that all connections end when this task is dropped.
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        socket.set_nodelay(true).unwrap();
        shared.accepted.send_modify(|count| *count += 1);
        connections.spawn(wire::serve(socket, Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}
