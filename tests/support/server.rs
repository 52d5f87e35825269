//! A whole server in this process, on a port of its own.

use std::path::PathBuf;
use std::sync::Arc;

use talkgraph::app::{App, Ended, StartError, Stop};
use talkgraph::auth::Authenticator;
use talkgraph::config::{Settings, Sources};
use talkgraph_store::SharedStore;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::client::{Client, body};
use super::database::Database;
use super::upstream::Upstream;
use super::wait::{eventually, soon};

/// The key that the server sends to its provider.
pub(crate) const PROVIDER_KEY: &str = "sk-provider-0123456789abcdef";

/// How a server is to be.
pub(crate) struct Setup {
    settings: Vec<(String, String)>,
    file: String,
    database: Option<Arc<Database>>,
    around: Box<dyn FnOnce(SharedStore) -> SharedStore + Send>,
}

/// A running server with its provider. Stops when it is dropped.
pub(crate) struct TestServer {
    /// Where it listens: `127.0.0.1:PORT`.
    pub(crate) address: String,
    /// Its model provider.
    pub(crate) upstream: Upstream,
    /// Its keys.
    pub(crate) authenticator: Arc<Authenticator>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<Result<Ended, StartError>>,
    _folder: TempDir,
}

impl Setup {
    /// The defaults: SQLite in a folder of its own, the shipped agents, a scripted provider,
    /// no keys.
    pub(crate) fn new() -> Self {
        Self {
            settings: Vec::new(),
            file: String::new(),
            database: None,
            around: Box::new(|store| store),
        }
    }

    /// Changes a setting, such as `runs.active`.
    pub(crate) fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.settings.push((variable(key), value.to_string()));
        self
    }

    /// Sets a variable of its environment that is no setting.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds to the settings file.
    pub(crate) fn file(mut self, toml: &str) -> Self {
        self.file += toml;
        self
    }

    /// Adds an API key; the name of its owner is also the key's own.
    pub(crate) fn key(self, key: &str, tenant: &str, owner: &str) -> Self {
        self.file(&key_setting(key, tenant, owner))
    }

    /// Adds an API key that may see counts over all tenants.
    pub(crate) fn operator_key(self, key: &str, tenant: &str, owner: &str) -> Self {
        self.key(key, tenant, owner)
            .file("scopes = [\"operator\"]\n")
    }

    /// Stores everything there.
    pub(crate) fn on(mut self, database: &Arc<Database>) -> Self {
        self.database = Some(Arc::clone(database));
        self
    }

    /// Puts something around its store.
    pub(crate) fn around(
        mut self,
        around: impl FnOnce(SharedStore) -> SharedStore + Send + 'static,
    ) -> Self {
        self.around = Box::new(around);
        self
    }

    /// Starts it.
    pub(crate) async fn start(self) -> TestServer {
        let upstream = Upstream::start().await;
        let base_url = upstream.base_url();
        self.start_with(upstream, &base_url).await
    }

    /// Starts it with a provider at this address; `upstream` is only kept.
    pub(crate) async fn start_with(self, upstream: Upstream, base_url: &str) -> TestServer {
        let folder = TempDir::new().unwrap();
        let has_mcp = self.file.contains(MCP);
        let app = self.app(&folder, base_url).await.unwrap();
        let address = app.address().to_string();
        let authenticator = app.authenticator();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(app.serve(async {
            // A dropped sender stops it as well.
            let _ = stopped.await;
            Stop::Now
        }));
        if has_mcp {
            tools_settled(&address).await;
        }
        TestServer {
            address,
            upstream,
            authenticator,
            stop: Some(stop),
            serving,
            _folder: folder,
        }
    }

    async fn app(self, folder: &TempDir, base_url: &str) -> Result<App, StartError> {
        let url = match self.database.as_deref() {
            None => sqlite_url(folder.path().join("talkgraph.db")),
            Some(Database::Sqlite(folder)) => sqlite_url(folder.path().join("server.db")),
            Some(Database::Postgres { url, .. }) => url.clone(),
        };
        // Always a file, so that one which a person keeps in the working folder is not read.
        let file = folder.path().join("talkgraph.toml");
        std::fs::write(&file, &self.file).unwrap();
        let mut environment = vec![
            (variable("http.port"), "0".to_owned()),
            // This process is a test, and no server that could evaluate anything.
            (
                variable("evaluation.program"),
                env!("CARGO_BIN_EXE_talkgraph").to_owned(),
            ),
            // Honest work is slow where many tests run at once.
            (variable("evaluation.job_timeout_ms"), "10000".to_owned()),
            (variable("store.url"), url),
            (variable("store.connections"), "3".to_owned()),
            (variable("agents.folder"), repository("agents")),
            (variable("models.openai.base_url"), base_url.to_owned()),
            (variable("models.openai.api_key"), PROVIDER_KEY.to_owned()),
        ];
        environment.extend(self.settings);
        let settings = Settings::load(&Sources {
            file: Some(file),
            dotenv: None,
            environment,
        })?;
        App::start_around(&settings, self.around).await
    }
}

impl TestServer {
    /// A server with the default settings.
    pub(crate) async fn start() -> Self {
        Setup::new().start().await
    }

    /// A client without a key.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.address, None)
    }

    /// A client with a key.
    pub(crate) fn client_with(&self, key: &str) -> Client {
        Client::new(&self.address, Some(key))
    }

    /// Tells it to stop, without waiting.
    pub(crate) fn begin_stop(&mut self) {
        self.stop = None;
    }

    /// Stops it and waits until it has stopped.
    pub(crate) async fn stop(mut self) -> Ended {
        self.begin_stop();
        let ended = soon("the server's end", &mut self.serving).await;
        ended.unwrap().unwrap()
    }
}

/// The mark of an MCP server in a settings file.
pub(crate) const MCP: &str = "[[tools.mcp]]";

/// Waits until each MCP server is there or could not be reached: a server does not wait for them.
pub(crate) async fn tools_settled(address: &str) {
    let client = Client::new(address, None);
    eventually("the MCP servers", async || {
        let (_, said) = body(client.request(reqwest::Method::GET, "/health/ready")).await;
        (said["parts"]["tools"]["starting"] == serde_json::json!([])).then_some(())
    })
    .await;
}

/// The environment variable of a setting.
pub(crate) fn variable(key: &str) -> String {
    format!("TALKGRAPH_{}", key.replace('.', "__").to_uppercase())
}

/// A key for the settings file.
pub(crate) fn key_setting(key: &str, tenant: &str, owner: &str) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(key.as_bytes());
    let sha256: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "[[auth.keys]]\nname = \"{owner}\"\ntenant = \"{tenant}\"\nowner = \"{owner}\"\n\
         sha256 = \"{sha256}\"\n"
    )
}

/// A path in the repository.
pub(crate) fn repository(path: &str) -> String {
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
}

fn sqlite_url(path: PathBuf) -> String {
    format!("sqlite://{}", path.display())
}
