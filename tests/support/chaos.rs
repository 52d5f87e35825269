//! A network that fails on demand: a TCP proxy in front of a database.

use std::sync::Arc;

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    /// Passes everything on.
    Well,
    /// Ends all connections, and new ones at once.
    Cut,
    /// Passes nothing on and ends nothing; what was sent arrives when it is well again.
    Stalled,
    /// Passes on what is said to the server and loses its answers: what it has committed, it
    /// has, but nobody hears of it. Connections that have lost an answer end.
    Deaf,
}

/// The proxy. It ends, with its connections, when it is dropped.
pub(crate) struct Chaos {
    /// Where the database is found by way of it.
    pub(crate) url: String,
    network: watch::Sender<Network>,
    _tasks: JoinSet<()>,
}

impl Chaos {
    /// A proxy in front of this PostgreSQL, all well.
    pub(crate) async fn before(url: &str) -> Self {
        let options: PgConnectOptions = url.parse().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Arc::from(format!("{}:{}", options.get_host(), options.get_port()));
        let network = watch::Sender::new(Network::Well);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, server, network.subscribe()));
        Self {
            url: options
                .host("127.0.0.1")
                .port(port)
                .to_url_lossy()
                .to_string(),
            network,
            _tasks: tasks,
        }
    }

    pub(crate) fn set(&self, network: Network) {
        self.network.send_replace(network);
    }
}

async fn accept(listener: TcpListener, server: Arc<str>, network: watch::Receiver<Network>) {
    // Held here, so that all connections end when this task is dropped.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        if *network.borrow() != Network::Cut {
            connections.spawn(serve(client, Arc::clone(&server), network.clone()));
        }
        while connections.try_join_next().is_some() {}
    }
}

/// One connection; it ends in both directions when it ends in one.
async fn serve(client: TcpStream, server: Arc<str>, network: watch::Receiver<Network>) {
    let Ok(server) = TcpStream::connect(&*server).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pass(from_client, to_server, network.clone(), false) => {}
        () = pass(from_server, to_client, network, true) => {}
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut network: watch::Receiver<Network>,
    are_answers: bool,
) {
    let mut piece = vec![0; 16 * 1024];
    loop {
        let mut cut = network.clone();
        let read = tokio::select! {
            read = from.read(&mut piece) => read,
            _ = cut.wait_for(|network| *network == Network::Cut) => return,
        };
        let Some(length) = read.ok().filter(|length| *length > 0) else {
            return;
        };
        let moves = network.wait_for(|network| *network != Network::Stalled);
        // An error is the proxy's end.
        let Ok(now) = moves.await.map(|network| *network) else {
            return;
        };
        if now == Network::Deaf && are_answers {
            let _ = network.wait_for(|now| *now != Network::Deaf).await;
            return;
        }
        if now == Network::Cut || to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}
