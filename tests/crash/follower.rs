//! A subscriber that comes back, from where it was, until it has seen the end of its run.

use std::sync::Arc;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::feed::{Feed, Heard, Transport};
use crate::support::talk::EVENT;
use crate::view::View;
use crate::world::{Kind, World, response_data};

pub(crate) struct Follower {
    world: Arc<World>,
    rng: Rng,
    transport: Transport,
    view: View,
    /// A stream that is open already.
    feed: Option<Feed>,
}

impl Follower {
    /// Follows a run with what `view` has of it.
    pub(crate) fn new(world: &Arc<World>, mut rng: Rng, view: View) -> Self {
        Self {
            world: Arc::clone(world),
            transport: transport(&mut rng),
            rng,
            view,
            feed: None,
        }
    }

    /// Starts a run with `subscription { chat }`, sent until its first event has come.
    pub(crate) async fn start(world: &Arc<World>, mut rng: Rng, input: &Value) -> Self {
        let document =
            format!("subscription($input: ChatInput!) {{ chat(input: $input) {{ {EVENT} }} }}");
        let transport = transport(&mut rng);
        loop {
            let client = world.client(&mut rng).await;
            world.count(Kind::Sent);
            let feed = Feed::open(&client, transport, &document, input).await;
            if let Some(mut feed) = feed {
                match feed.next().await {
                    Heard::Response(response) => {
                        if let Some(event) = event_of(response, "chat") {
                            let run = event["run"]["id"].as_str().unwrap();
                            let mut follower = Self {
                                world: Arc::clone(world),
                                view: View::from_the_start(run),
                                rng,
                                transport,
                                feed: Some(feed),
                            };
                            follower.take(&event);
                            return follower;
                        }
                    }
                    Heard::Complete => panic!("a stream of nothing"),
                    Heard::Gone => {}
                }
            }
            world.before_retry().await;
        }
    }

    pub(crate) fn run(&self) -> &str {
        self.view.run()
    }

    /// Follows the run to its end.
    pub(crate) async fn until_end(mut self) -> View {
        if let Some(feed) = self.feed.take() {
            self.read(feed, "chat").await;
        }
        while self.view.end().is_none() {
            self.come_back().await;
        }
        self.world.ended(self.view.run());
        if self.rng.bool() {
            // To a run that has ended there is nothing to add.
            self.come_back().await;
        }
        self.view
    }

    async fn come_back(&mut self) {
        let document = format!(
            "subscription($run: ID!, $after: Int) {{
               runEvents(runId: $run, after: $after) {{ {EVENT} }} }}"
        );
        let client = self.world.client(&mut self.rng).await;
        let variables = json!({ "run": self.view.run(), "after": self.view.last() });
        self.world.count(Kind::Reconnected);
        match Feed::open(&client, self.transport, &document, &variables).await {
            Some(feed) => self.read(feed, "runEvents").await,
            None => self.world.before_retry().await,
        }
    }

    /// Reads a stream until it ends, or sometimes only until it has had enough of it.
    async fn read(&mut self, mut feed: Feed, field: &str) {
        let patience = match self.rng.u8(..4) {
            0 => self.rng.usize(1..10),
            _ => usize::MAX,
        };
        for _ in 0..patience {
            match feed.next().await {
                Heard::Response(response) => match event_of(response, field) {
                    Some(event) => self.take(&event),
                    None => return,
                },
                Heard::Complete => {
                    let (run, last) = (self.view.run(), self.view.last());
                    assert!(self.view.end().is_some(), "{run} completes after {last}");
                    return;
                }
                Heard::Gone => return,
            }
        }
    }

    fn take(&mut self, event: &Value) {
        let sequence = self.view.last() + 1;
        let mut taken = self.view.take(event);
        // Events that were put together for a slow subscriber are nobody else's.
        if taken.is_ok() && self.view.last() == sequence {
            taken = self.world.record(self.view.run(), sequence, event);
        }
        if let Err(broken) = taken {
            panic!("{}: {broken}: {event}", self.view.run());
        }
    }
}

fn transport(rng: &mut Rng) -> Transport {
    match rng.bool() {
        true => Transport::Sse,
        false => Transport::Socket,
    }
}

/// The event in a response; none if the server cannot go on with it now.
fn event_of(response: Value, field: &str) -> Option<Value> {
    let shown = response.to_string();
    match response_data(response) {
        Ok(mut data) => Some(data[field].take()),
        Err(code) => {
            assert_eq!(code, "UNAVAILABLE", "{shown}");
            None
        }
    }
}
