//! Replacing servers one after the other while people start runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use tempfile::TempDir;

use crate::shutdown::process;
use crate::support::balancer::Balancer;
use crate::support::client::Client;
use crate::support::talk::{SEND, input};
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

/// The number of people who start runs all the time.
const PEOPLE: usize = 6;

/// Far longer than the balancer takes to notice.
const DELAY: [(&str, &str); 1] = [("http.shutdown_delay_ms", "3000")];

/// Starts runs, each over a connection of its own; everything but a start is an error.
async fn starts(address: String, stop: Arc<AtomicBool>) -> (usize, Vec<Value>) {
    let (mut started, mut refused) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let client = Client::new(&address, None);
        let answer = client.response(SEND, &input(None, "Hello")).await;
        match answer["data"]["sendMessage"]["run"]["id"].is_string() {
            true => started += 1,
            false => refused.push(answer),
        }
    }
    (started, refused)
}

#[tokio::test]
async fn no_start_is_refused_while_servers_are_replaced() {
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let balancer = Balancer::start().await;
    let mut old = process(&folder, &upstream, &DELAY).await;
    balancer.add(&old.address).await;
    let stop = Arc::new(AtomicBool::new(false));
    let people: Vec<_> = (0..PEOPLE)
        .map(|_| tokio::spawn(starts(balancer.address.clone(), Arc::clone(&stop))))
        .collect();
    let mut begun = 0;
    for _ in 0..2 {
        let new = process(&folder, &upstream, &DELAY).await;
        balancer.add(&new.address).await;
        old.terminate();
        let code = old.exit_code().await;
        assert!(matches!(code, Some(0)), "{code:?}: {}", old.log());
        old = new;
        let before = begun;
        begun = eventually("starts", async || {
            let received = upstream.received().len();
            (received > before).then_some(received)
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    let (mut started, mut refused) = (0, Vec::new());
    for person in people {
        let (of_one, errors) = person.await.unwrap();
        started += of_one;
        refused.extend(errors);
    }
    assert!(
        refused.is_empty(),
        "{} of {started}: {:?}",
        refused.len(),
        refused.first()
    );
    assert!(started > PEOPLE, "{started}");
}
