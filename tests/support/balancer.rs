//! A load balancer that follows readiness.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::client::Client;

/// The interval between its probes.
const PROBE_INTERVAL: Duration = Duration::from_millis(50);

/// Passes each new connection to one of the servers that were ready when asked last, by turns.
/// It ends, with its connections, when it is dropped.
pub(crate) struct Balancer {
    /// The address it listens on.
    pub(crate) address: String,
    servers: watch::Sender<Vec<String>>,
    ready: watch::Receiver<Vec<String>>,
    _tasks: JoinSet<()>,
}

impl Balancer {
    /// A balancer without servers.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (servers, known) = watch::channel(Vec::new());
        let (found, ready) = watch::channel(Vec::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(probe(known, found));
        tasks.spawn(accept(listener, ready.clone()));
        Self {
            address,
            servers,
            ready,
            _tasks: tasks,
        }
    }

    /// Adds a server and waits until it is ready.
    pub(crate) async fn add(&self, address: &str) {
        self.servers
            .send_modify(|servers| servers.push(address.to_owned()));
        let mut ready = self.ready.clone();
        let is_there = |ready: &Vec<String>| ready.iter().any(|server| server == address);
        ready.wait_for(is_there).await.unwrap();
    }
}

async fn probe(servers: watch::Receiver<Vec<String>>, found: watch::Sender<Vec<String>>) {
    let probe = Client::new("", None);
    loop {
        let mut ready = Vec::new();
        let known = servers.borrow().clone();
        for server in known {
            let asked = probe.at(&server);
            let asked = asked.request(reqwest::Method::GET, "/health/ready").send();
            if asked.await.is_ok_and(|answer| answer.status() == 200) {
                ready.push(server);
            }
        }
        found.send_replace(ready);
        tokio::time::sleep(PROBE_INTERVAL).await;
    }
}

async fn accept(listener: TcpListener, ready: watch::Receiver<Vec<String>>) {
    // Held here, so that all connections end when this task is dropped.
    let (mut connections, mut turn) = (JoinSet::new(), 0);
    while let Ok((mut client, _)) = listener.accept().await {
        let ready: Arc<[String]> = ready.borrow().as_slice().into();
        turn += 1;
        let Some(server) = ready.get(turn % ready.len().max(1)).cloned() else {
            continue;
        };
        connections.spawn(async move {
            if let Ok(mut server) = TcpStream::connect(server).await {
                // Either side may go at any time.
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        });
        while connections.try_join_next().is_some() {}
    }
}
