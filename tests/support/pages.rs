//! A web server whose pages tools fetch, and that counts who came.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A web server on a port of its own. It stops when it is dropped.
pub(crate) struct Pages {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Method and path of each request, in the order they came.
    seen: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Pages {
    /// Serves these routes on 127.0.0.1.
    pub(crate) async fn serve(routes: Router) -> Self {
        Self::serve_on([127, 0, 0, 1].into(), routes).await
    }

    /// Serves these routes on an address of this machine.
    pub(crate) async fn serve_on(address: IpAddr, routes: Router) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&seen);
        let note = move |request: Request, next: axum::middleware::Next| {
            let line = format!("{} {}", request.method(), request.uri());
            noted.lock().unwrap().push(line);
            async move { next.run(request).await as Response }
        };
        let routes = routes.layer(axum::middleware::from_fn(note));
        let serving = tokio::spawn(async move {
            axum::serve(listener, routes).await.unwrap();
        });
        Self {
            address,
            seen,
            serving,
        }
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
