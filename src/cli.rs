//! The command line.

use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{self, App, Ended, StartError, Stop};
use crate::config::{ConfigError, HttpSettings, LogFormat, Settings, Sources, TelemetrySettings};
use crate::graphql;
use crate::telemetry::{self, LogOptions};
use talkgraph_store::SharedStore;
use talkgraph_watchdog::{EndSettings, Watchdog};

/// Exit codes: 0 success, 1 the start or the check failed, 2 wrong usage, 3 stopped with runs left
/// to the next server, 4 ended by force because it did not stop in its time, 130 stopped at once by
/// a second signal.
const RUNS_LEFT: u8 = 3;
const AT_ONCE: u8 = 130;

/// The time for threads of the runtime to end with the process.
const LAST_WORK: Duration = Duration::from_secs(1);

/// A GraphQL server for AI agents.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    after_help = "Settings: talkgraph.example.toml has every key. \
    Exit codes: 0 success, 1 failed, 2 wrong usage, 3 stopped with runs left to the next server, 4 did not stop in its time, 130 stopped at once."
)]
pub struct Cli {
    /// The settings file [default: talkgraph.toml, if it exists]
    #[arg(long, global = true, env = "TALKGRAPH_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve GraphQL (the default)
    Serve,
    /// Print the GraphQL schema
    Schema,
    /// Print the effective settings as TOML, secrets hidden
    Config,
    /// Print the capabilities of each configured model: its parameters, its window and its price,
    /// as TOML
    Models,
    /// Apply pending database migrations and exit
    Migrate,
    /// Copy the SQLite database to a new file, also while a server writes to it, and check the
    /// copy
    Backup {
        /// The new file
        path: PathBuf,
    },
    /// Rewrite the SQLite database while no server uses it: removes free space and traces of
    /// deleted data from its file
    Compact,
    /// Work with agent files
    #[command(subcommand)]
    Agents(AgentsCommand),
    /// Run the jobs that a server sends on the standard input: its workers
    #[command(hide = true)]
    Evaluate,
    /// End the programs of a server that is gone: its guard
    #[command(hide = true)]
    Guard,
    /// Ask the server on this machine whether it is ready
    Health {
        /// Ask whether it is alive: for health checks that restart what fails them
        #[arg(long)]
        live: bool,
    },
}

#[derive(Debug, Subcommand)]
enum AgentsCommand {
    /// Check every agent file, as the server does at start, and whether the tools of MCP servers
    /// that they name are available. Exits with 1 where an agent lacks a tool
    Check {
        /// Skip the MCP servers
        #[arg(long)]
        offline: bool,
    },
}

impl Cli {
    /// Runs a command that needs no runtime.
    pub fn run_alone(&self) -> Option<ExitCode> {
        match self.command {
            Some(Command::Evaluate) => Some(talkgraph_evaluation::serve()),
            Some(Command::Guard) => Some(talkgraph_tools::guard_programs()),
            _ => None,
        }
    }

    /// Runs the command.
    pub async fn run(self) -> Result<ExitCode, Box<dyn std::error::Error>> {
        if let Some(Command::Schema) = self.command {
            say(graphql::sdl().trim_end())?;
            return Ok(ExitCode::SUCCESS);
        }
        let sources = Sources::of_process(self.config);
        let settings = Settings::load(&sources);
        let command = self.command.unwrap_or(Command::Serve);
        if settings.is_err() && matches!(command, Command::Serve) {
            // A server reports everything in its log, settings that cannot be read included.
            telemetry::start(LogOptions {
                filter: "info",
                json: None,
            })?;
        }
        let settings = settings?;
        match command {
            Command::Serve => return serve(&settings, sources, |store| store).await,
            Command::Config => say(settings.to_toml()?.trim_end())?,
            Command::Models => say(app::known_models(&settings).await?.trim_end())?,
            Command::Migrate => {
                start_log(&settings.telemetry)?;
                app::migrate(&settings).await?;
                say("the database is up to date")?;
            }
            Command::Backup { path } => {
                start_log(&settings.telemetry)?;
                let bytes = app::backup(&settings, &path).await?;
                say(&format!("{}: {bytes} bytes, checked", path.display()))?;
            }
            Command::Compact => {
                start_log(&settings.telemetry)?;
                let (before, after) = app::compact(&settings).await?;
                say(&format!("{before} bytes before, {after} bytes after"))?;
            }
            Command::Agents(AgentsCommand::Check { offline }) => {
                let checked = app::check_agents(&settings, offline).await?;
                say(&checked.lines().join("\n"))?;
                if !checked.is_well() {
                    return Ok(ExitCode::FAILURE);
                }
            }
            Command::Health { live } => return Ok(health(&settings, live).await),
            Command::Schema | Command::Evaluate | Command::Guard => {}
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Runs a future on a runtime of its own. A thread that is still busy afterwards, such as that of a
/// model in the process, does not delay the end of the process.
///
/// # Errors
/// Fails when the runtime cannot be created.
pub fn block_on<T>(work: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Runtime::new()?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(LAST_WORK);
    Ok(done)
}

/// Serves until a signal, with a wrapper of the caller around the store.
///
/// # Errors
/// Fails when the server cannot start.
pub async fn serve(
    settings: &Settings,
    sources: Sources,
    around: impl FnOnce(SharedStore) -> SharedStore,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    start_log(&settings.telemetry)?;
    telemetry::log_panics();
    let http = &settings.http;
    let ends = EndSettings {
        stuck_after: Duration::from_millis(settings.telemetry.stuck_after_ms),
        end_after: Duration::from_millis(stops_within_ms(http)),
    };
    Watchdog::start(ends, tokio::runtime::Handle::current())?;
    let app = App::start_around(settings, around).await?;
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let mut hang_up = signal(SignalKind::hangup())?;
    // Elsewhere there is only the log, which has the address, too.
    if io::stdout().is_terminal() {
        say(&welcome(&app, settings.http.graphiql))?;
    }
    let files = app.agent_files();
    let keys = app.key_files(settings, sources);
    let reload = async move {
        let on_signal = async {
            while hang_up.recv().await.is_some() {
                files.reload_or_log().await;
                keys.reload_or_log().await;
            }
        };
        // Watching never ends, so neither does this when signals can no longer arrive.
        tokio::join!(on_signal, keys.watch());
    };
    let (stopping, mut signals) = tokio::sync::watch::channel(false);
    let stop = async move {
        let stop = tokio::select! {
            _ = terminate.recv() => Stop::Announced,
            // From a person at a terminal, who is waiting.
            _ = interrupt.recv() => Stop::Now,
        };
        stopping.send_replace(true);
        // Kept until the end, to receive a second signal.
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            stopping.send_replace(false);
        });
        stop
    };
    let at_once = async {
        let both = async {
            signals.wait_for(|stopping| *stopping).await?;
            signals.wait_for(|stopping| !*stopping).await
        };
        if both.await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let ended: Result<Ended, StartError> = tokio::select! {
        ended = app.serve(stop) => ended,
        () = at_once => return Ok(ExitCode::from(AT_ONCE)),
        () = reload => return Ok(ExitCode::SUCCESS),
    };
    Ok(match ended? {
        Ended::Drained => ExitCode::SUCCESS,
        Ended::Left(_) => ExitCode::from(RUNS_LEFT),
    })
}

fn start_log(settings: &TelemetrySettings) -> Result<(), ConfigError> {
    let json = match settings.format {
        LogFormat::Auto => None,
        LogFormat::Pretty => Some(false),
        LogFormat::Json => Some(true),
    };
    let filter = &settings.log;
    telemetry::start(LogOptions { filter, json })
        .map_err(|error| ConfigError::invalid("telemetry.log", error.to_string()))
}

/// The longest time of a stop that is announced first.
fn stops_within_ms(http: &HttpSettings) -> u64 {
    let stop = http.drain_timeout_ms.saturating_add(http.stop_grace_ms);
    stop.saturating_add(http.shutdown_delay_ms)
}

fn welcome(app: &App, graphiql: bool) -> String {
    let url = format!("http://{}", app.address());
    let mut lines = vec![format!(
        "Talkgraph {} · {url}/graphql · model {}",
        env!("CARGO_PKG_VERSION"),
        app.default_model()
    )];
    if graphiql {
        lines.push(format!("GraphiQL   {url}/"));
    }
    let key = if app.needs_key() {
        " -H \"authorization: Bearer $KEY\""
    } else {
        ""
    };
    if key.is_empty() {
        lines.push(
            "No keys are configured: every client on this machine is tenant \"dev\".".to_owned(),
        );
    }
    lines.push(format!(
        "Try        curl -s {url}/graphql -H 'content-type: application/json'{key} -d '{}'",
        r#"{"query":"mutation { chat(input: {message: {text: \"Hello! Who are you?\"}}) { message { text } } }"}"#,
    ));
    lines.join("\n")
}

async fn health(settings: &Settings, live: bool) -> ExitCode {
    let ip = match settings.http.address {
        // A server on every address listens on loopback too.
        ip if ip.is_unspecified() && ip.is_ipv4() => IpAddr::from([127, 0, 0, 1]),
        ip if ip.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        ip => ip,
    };
    let url = format!(
        "http://{}/health/{}",
        SocketAddr::new(ip, settings.http.port),
        if live { "live" } else { "ready" },
    );
    let client = talkgraph_llm::http_client(&talkgraph_llm::HttpSettings {
        connect_timeout: Duration::from_secs(2),
        proxies: std::sync::Arc::default(),
    });
    let Ok(client) = client else {
        return ExitCode::FAILURE;
    };
    match client.get(url).timeout(Duration::from_secs(5)).send().await {
        Ok(response) if response.status().is_success() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}
