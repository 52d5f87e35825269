//! One trial: people chat, there is trouble, and then everything is looked at.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use fastrand::Rng;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;

use crate::breaker::{of_postgres, of_sqlite, take_away};
use crate::killer::Killer;
use crate::model::Model;
use crate::rows::Rows;
use crate::say;
use crate::servers::Servers;
use crate::speaker::{Talk, speak};
use crate::support::chaos::Chaos;
use crate::support::database::Database;
use crate::verdict::Verdict;
use crate::world::World;

/// People who chat at the same time.
const SPEAKERS: usize = 6;

/// Runs that a server makes at once; fewer, so that some of them wait when it dies.
const ACTIVE: usize = 4;

/// How long everything may take to come to its end once there is no trouble any more.
const QUIET: Duration = Duration::from_secs(60);

/// What becomes of a run whose server has died (`runs.on_restart`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnRestart {
    Resume,
    Fail,
}

/// What happens to the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// They die.
    Deaths,
    /// Their database is away.
    Outages,
}

pub(crate) struct Trial<'a> {
    trouble: Trouble,
    times: usize,
    seed: u64,
    on_restart: OnRestart,
    url: Option<&'a str>,
}

impl<'a> Trial<'a> {
    /// Servers die so many times, or as often as `CRASH_DEATHS` says.
    pub(crate) fn deaths(times: usize) -> Self {
        let times = number("CRASH_DEATHS").map_or(times, |times| usize::try_from(times).unwrap());
        Self::new(Trouble::Deaths, times)
    }

    /// The database is away so many times, or as often as `CRASH_OUTAGES` says.
    pub(crate) fn outages(times: usize) -> Self {
        let times = number("CRASH_OUTAGES").map_or(times, |times| usize::try_from(times).unwrap());
        Self::new(Trouble::Outages, times)
    }

    fn new(trouble: Trouble, times: usize) -> Self {
        let seed = number("CRASH_SEED").unwrap_or_else(|| {
            let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
            u64::from(now.subsec_nanos())
        });
        Self {
            trouble,
            times,
            seed,
            on_restart: OnRestart::Resume,
            url: None,
        }
    }

    /// Runs whose server dies fail.
    pub(crate) fn failing(mut self) -> Self {
        self.on_restart = OnRestart::Fail;
        self
    }

    /// On PostgreSQL, with two servers where servers die.
    pub(crate) fn on(mut self, database: &'a Database) -> Self {
        if let Database::Postgres { url, .. } = database {
            self.url = Some(url);
        }
        self
    }

    fn servers(&self) -> usize {
        match (self.trouble, self.url) {
            (Trouble::Deaths, Some(_)) => 2,
            _ => 1,
        }
    }

    pub(crate) async fn run(self) {
        let (times, trouble, seed) = (self.times, self.trouble, self.seed);
        say(&format!("CRASH_SEED={seed}: {times} {trouble:?}"));
        let begun = Instant::now();
        let mut rng = Rng::with_seed(seed);
        let chaos = match (trouble, self.url) {
            (Trouble::Outages, Some(url)) => Some(Arc::new(Chaos::before(url).await)),
            _ => None,
        };
        let world = Arc::new(World::new(self.servers()));
        let model = Model::start(&world).await;
        let url = chaos.as_ref().map(|chaos| &*chaos.url).or(self.url);
        let settings = self.settings(&model, url);
        let mut servers = Servers::start(&world, self.servers(), settings, seed).await;
        let mut speakers = JoinSet::new();
        for number in 0..SPEAKERS {
            let name = format!("speaker {number}");
            speakers.spawn(speak(Arc::clone(&world), rng.fork(), name));
        }

        let mut killer = Killer::new(rng.fork(), world.counts(), model.written());
        tokio::select! {
            () = async {
                match (trouble, &chaos) {
                    (Trouble::Deaths, _) => killer.kill(&mut servers, times).await,
                    (Trouble::Outages, Some(chaos)) => {
                        take_away(&mut rng, &mut of_postgres(chaos), times).await;
                    }
                    (Trouble::Outages, None) => {
                        take_away(&mut rng, &mut of_sqlite(&servers), times).await;
                    }
                }
            } => {}
            talks = speakers.join_next() => drop(talks.map(spoken)),
        }
        world.end();
        let talks = last_words(&world, speakers).await;
        let verdict = Verdict {
            world: &world,
            model: &model,
            on_restart: self.on_restart,
            alone: servers.made_alone(),
            rng,
        };
        let counted = verdict.of(&talks).await;
        servers.end().await;
        let rows = match self.url {
            Some(url) => Rows::of_url(url).await,
            None => Rows::of_file(&servers.database()).await,
        };
        rows.check(counted.runs).await;
        let took = begun.elapsed().as_secs();
        match trouble {
            Trouble::Deaths => say(&format!("in {took} s, seed {seed}, {killer}; {counted}")),
            Trouble::Outages => say(&format!(
                "in {took} s, seed {seed}, {times} outages; {counted}"
            )),
        }
    }

    fn settings(&self, model: &Model, url: Option<&str>) -> Vec<(String, String)> {
        let on_restart = match self.on_restart {
            OnRestart::Resume => "resume",
            OnRestart::Fail => "fail",
        };
        let mut settings = vec![
            ("models.openai.base_url", model.base_url()),
            ("runs.active", ACTIVE.to_string()),
            ("runs.on_restart", on_restart.to_owned()),
            // However often a server dies with it.
            ("runs.restarts", "1000".to_owned()),
            // Short, so that only a run that dies at once alone can be taken for the cause.
            ("runs.probation_ms", "50".to_owned()),
            ("runs.store_outage_s", QUIET.as_secs().to_string()),
            // What waits for a database waits for moments only.
            ("store.connect_timeout_ms", "500".to_owned()),
            ("store.statement_timeout_ms", "1000".to_owned()),
            ("store.sqlite_busy_timeout_ms", "100".to_owned()),
            ("http.drain_timeout_ms", "100".to_owned()),
        ];
        if let Some(url) = url {
            settings.push(("store.url", url.to_owned()));
            settings.push(("store.acquire_timeout_ms", "500".to_owned()));
            // On SQLite no server waits for the lease of another.
            settings.push(("runs.lease_s", "1".to_owned()));
        }
        let owned = |(key, value): (&str, String)| (key.to_owned(), value);
        settings.into_iter().map(owned).collect()
    }
}

/// Everybody's talks, once all runs have ended.
async fn last_words(world: &World, mut speakers: JoinSet<Vec<Talk>>) -> Vec<Talk> {
    let all = async {
        let mut talks = Vec::new();
        while let Some(talk) = speakers.join_next().await {
            talks.extend(spoken(talk));
        }
        talks
    };
    match timeout(QUIET, all).await {
        Ok(talks) => talks,
        Err(_) => panic!("after {QUIET:?} these have not ended: {:?}", world.open()),
    }
}

fn spoken<T>(task: Result<T, JoinError>) -> T {
    task.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    let number = value.parse();
    Some(number.unwrap_or_else(|error| panic!("{variable}: {error}")))
}
