//! Servers that are asked by turns.

use std::path::Path;

use super::Outcome;
use super::load::Seen;
use super::process::{Cores, Running};
use super::table::median;

/// A server with the request that it is sent, and what its rounds gave.
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) server: Running,
    pub(crate) path: &'static str,
    pub(crate) body: String,
    /// What a whole answer has in it.
    pub(crate) answered: &'static str,
    pub(crate) rounds: Vec<Round>,
}

pub(crate) struct Round {
    pub(crate) seen: Seen,
    pub(crate) cpu_us_per_turn: f64,
}

/// How contestants are asked.
pub(crate) struct Schedule {
    pub(crate) connections: &'static str,
    pub(crate) warm_up_seconds: &'static str,
    pub(crate) round_seconds: &'static str,
    pub(crate) rounds: usize,
}

/// Warms every contestant up and then measures them by turns; `clients` is this program.
pub(crate) fn take_turns(
    all: &mut [Contestant],
    cores: &Cores,
    clients: &Path,
    schedule: &Schedule,
) -> Outcome {
    let connections = schedule.connections;
    for contestant in &*all {
        contestant.round(cores, clients, connections, schedule.warm_up_seconds)?;
    }
    for _ in 0..schedule.rounds {
        for contestant in &mut *all {
            let round = contestant.round(cores, clients, connections, schedule.round_seconds)?;
            contestant.rounds.push(round);
        }
    }
    Ok(())
}

impl Contestant {
    /// Lets clients ask for a time; `clients` is this program.
    fn round(
        &self,
        cores: &Cores,
        clients: &Path,
        connections: &str,
        seconds: &str,
    ) -> Outcome<Round> {
        let before = self.server.cpu()?;
        let mut command = cores.rest(clients);
        command.args([
            "as-clients",
            &self.server.address,
            self.path,
            &self.body,
            self.answered,
            connections,
            seconds,
        ]);
        let output = command.output()?;
        let seen = Seen::parse(&String::from_utf8(output.stdout)?).map_err(|error| {
            let why = String::from_utf8_lossy(&output.stderr);
            format!("{}: {error} {why}", self.name)
        })?;
        let cpu = self.server.cpu()? - before;
        let cpu_us_per_turn = cpu.as_secs_f64() * 1e6 / seen.turns;
        Ok(Round {
            seen,
            cpu_us_per_turn,
        })
    }

    pub(crate) fn median(&self, value: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().map(value))
    }
}
