//! PgBouncer in transaction mode, in front of the tests' PostgreSQL.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tempfile::TempDir;

use super::wait::eventually;

/// Distributions keep it off the PATH of ordinary users.
const PROGRAMS: [&str; 3] = [
    "/usr/sbin/pgbouncer",
    "/usr/bin/pgbouncer",
    "/usr/local/bin/pgbouncer",
];

/// Parameters of a session that the pooler takes and ignores. Without them it refuses them.
pub(crate) const IGNORED: &str = "ignore_startup_parameters = extra_float_digits, options";

/// A pooler that ends with its test.
pub(crate) struct Pooler {
    program: Child,
    port: u16,
    _folder: TempDir,
}

impl Pooler {
    /// Starts a pooler for the server of `url`, with a line more in its settings.
    pub(crate) async fn start(url: &str, line: &str) -> Self {
        let server: PgConnectOptions = url.parse().expect("a URL");
        let url = server.to_url_lossy();
        let folder = TempDir::new().expect("a folder");
        let port = free_port();
        let settings = format!(
            "[databases]\n* = host={} port={} user={} password={}\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = 4\nserver_reset_query =\n\
             unix_socket_dir =\n{line}\n",
            url.host_str().expect("a host"),
            url.port().expect("a port"),
            url.username(),
            url.password().expect("a password"),
        );
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).expect("its settings");
        let mut command = Command::new(program());
        if rustix::process::geteuid().is_root() {
            // It does not run as root, and reads its settings before it is another user.
            command.args(["-u", "nobody"]);
        }
        command.arg(&file).stdout(Stdio::null());
        let log = std::fs::File::create(folder.path().join("log")).expect("its log");
        let program = command.stderr(log).spawn().expect("pgbouncer starts");
        let pooler = Self {
            program,
            port,
            _folder: folder,
        };
        let options = pooler.options(url.as_str()).extra_float_digits(None);
        eventually("the pooler to answer", async || {
            let connection = PgConnection::connect_with(&options).await.ok()?;
            connection.close().await.ok()
        })
        .await;
        pooler
    }

    /// The URL of the same database through the pooler.
    pub(crate) fn url(&self, url: &str) -> String {
        self.options(url).to_url_lossy().into()
    }

    fn options(&self, url: &str) -> PgConnectOptions {
        let options: PgConnectOptions = url.parse().expect("a URL");
        options.host("127.0.0.1").port(self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

fn program() -> PathBuf {
    let mut programs = PROGRAMS.iter().map(Path::new);
    let found = programs.find(|path| path.exists());
    found
        .expect("pgbouncer is not installed: scripts/test installs it")
        .to_owned()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
