//! What everybody in the test knows: where the servers are, what has happened, what was seen.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use fastrand::Rng;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::support::client::Client;
use crate::support::wait::{PATIENCE, soon};

/// How long somebody whose server has gone waits before trying again.
const BEFORE_RETRY: Duration = Duration::from_millis(20);

/// Something that happens again and again, by which a kill can be aimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A client has sent a start that is not acknowledged yet.
    Sent,
    /// A client knows that its run was started.
    Acknowledged,
    /// The model was called.
    Called,
    /// Somebody saw an event.
    Seen,
    /// Somebody saw the last event of a run.
    Ended,
    /// Somebody asked for a run to be stopped.
    Cancelled,
    /// Somebody came back to a stream that had broken.
    Reconnected,
}

const KINDS: usize = 7;

/// How often each has happened.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts([u64; KINDS]);

impl Counts {
    pub(crate) fn of(&self, kind: Kind) -> u64 {
        self.0[kind as usize]
    }
}

pub(crate) struct World {
    client: Client,
    /// Where each server listens, while it does.
    addresses: watch::Sender<Vec<Option<String>>>,
    counts: watch::Sender<Counts>,
    is_over: AtomicBool,
    /// Runs that were acknowledged and whose end nobody has seen yet.
    open: Mutex<BTreeSet<String>>,
    /// What was seen under each sequence of each run.
    seen: Mutex<HashMap<String, BTreeMap<u64, Value>>>,
}

impl World {
    pub(crate) fn new(servers: usize) -> Self {
        Self {
            client: Client::new("", None),
            addresses: watch::Sender::new(vec![None; servers]),
            counts: watch::Sender::default(),
            is_over: AtomicBool::new(false),
            open: Mutex::default(),
            seen: Mutex::default(),
        }
    }

    /// Tells where a server listens, or that it has gone.
    pub(crate) fn set_address(&self, server: usize, address: Option<String>) {
        self.addresses.send_modify(|all| all[server] = address);
    }

    /// A client of any server that is there, once one is.
    pub(crate) async fn client(&self, rng: &mut Rng) -> Client {
        let mut addresses = self.addresses.subscribe();
        let up = addresses.wait_for(|all| all.iter().any(Option::is_some));
        let all = soon("a server", up).await.unwrap().clone();
        let up: Vec<_> = all.into_iter().flatten().collect();
        self.client.at(rng.choice(&up).unwrap())
    }

    /// Waits a little, or until a server comes or goes.
    pub(crate) async fn before_retry(&self) {
        let mut addresses = self.addresses.subscribe();
        // Whichever it was, it is tried again.
        let _ = timeout(BEFORE_RETRY, addresses.changed()).await;
    }

    /// The data of a query or mutation, tried until a server answers it. Mutations must be
    /// idempotent.
    pub(crate) async fn ask(&self, rng: &mut Rng, document: &str, variables: &Value) -> Value {
        loop {
            let request = self.client(rng).await.post(document, variables);
            let answered = async { request.timeout(PATIENCE).send().await?.text().await };
            match answered.await {
                Ok(text) => match data(&text) {
                    Ok(data) => return data,
                    Err(code) => assert_eq!(code, "UNAVAILABLE", "{document}: {text}"),
                },
                Err(error) => assert!(!error.is_timeout(), "{document}: {error}"),
            }
            self.before_retry().await;
        }
    }

    pub(crate) fn count(&self, kind: Kind) {
        self.counts
            .send_modify(|counts| counts.0[kind as usize] += 1);
    }

    pub(crate) fn counts(&self) -> watch::Receiver<Counts> {
        self.counts.subscribe()
    }

    /// Lets everybody come to an end.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    pub(crate) fn acknowledged(&self, run: &str) {
        self.open.lock().unwrap().insert(run.to_owned());
        self.count(Kind::Acknowledged);
    }

    pub(crate) fn ended(&self, run: &str) {
        self.open.lock().unwrap().remove(run);
        self.count(Kind::Ended);
    }

    /// Acknowledged runs that nobody has seen the end of.
    pub(crate) fn open(&self) -> BTreeSet<String> {
        self.open.lock().unwrap().clone()
    }

    /// Takes down what was seen; an error if somebody saw something else before.
    pub(crate) fn record(&self, run: &str, sequence: u64, event: &Value) -> Result<(), String> {
        self.count(Kind::Seen);
        let mut seen = self.seen();
        let run = seen.entry(run.to_owned()).or_default();
        match run.get(&sequence) {
            None => drop(run.insert(sequence, event.clone())),
            Some(before) if before == event => {}
            Some(before) => return Err(format!("{before} was seen before under its sequence")),
        }
        Ok(())
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, HashMap<String, BTreeMap<u64, Value>>> {
        self.seen.lock().unwrap()
    }
}

/// The data of a response, or the code of its first error.
fn data(text: &str) -> Result<Value, String> {
    let response: Value =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    response_data(response)
}

/// As [`data`], of a response that was read.
pub(crate) fn response_data(mut response: Value) -> Result<Value, String> {
    match &response["errors"][0] {
        Value::Null => Ok(response["data"].take()),
        error => Err(error["extensions"]["code"]
            .as_str()
            .unwrap_or("")
            .to_owned()),
    }
}
