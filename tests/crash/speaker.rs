//! Somebody who chats, one session after the other, whatever happens to the server.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

use crate::follower::Follower;
use crate::support::talk::{SEND, string};
use crate::view::View;
use crate::world::World;

const CHAT: &str = "mutation($input: ChatInput!) { chat(input: $input) {
    session { id } run { id } message { text } } }";

/// One question and the run that answers it.
pub(crate) struct Turn {
    pub(crate) prompt: String,
    pub(crate) run: String,
    /// What `cancelRun` said that had become of it, if it was called.
    pub(crate) cancelled: Option<String>,
}

/// One session from its first question to its last.
#[derive(Default)]
pub(crate) struct Talk {
    pub(crate) session: String,
    pub(crate) turns: Vec<Turn>,
    /// What all subscribers have seen.
    pub(crate) views: Vec<View>,
}

/// Talks until the world is over.
pub(crate) async fn speak(world: Arc<World>, mut rng: Rng, name: String) -> Vec<Talk> {
    let mut talks = Vec::new();
    while !world.is_over() {
        let name = format!("{name}.{}", talks.len());
        talks.push(Speaker::talk(&world, rng.fork(), &name).await);
    }
    talks
}

struct Speaker {
    world: Arc<World>,
    rng: Rng,
    talk: Talk,
    /// Others who watch.
    watching: JoinSet<View>,
}

impl Speaker {
    async fn talk(world: &Arc<World>, mut rng: Rng, name: &str) -> Talk {
        let turns = rng.usize(1..8);
        let mut speaker = Self {
            world: Arc::clone(world),
            rng,
            talk: Talk::default(),
            watching: JoinSet::new(),
        };
        let mut said = 0;
        while said == 0 || said < turns && !speaker.world.is_over() {
            let at_once = match speaker.rng.u8(..4) {
                0 => speaker.rng.usize(1..4).min(turns - said),
                _ => 1,
            };
            let prompts = (said..said + at_once).map(|number| format!("{name}.{number}"));
            speaker.say(prompts.collect()).await;
            said += at_once;
        }
        while let Some(watched) = speaker.watching.join_next().await {
            speaker.talk.views.push(seen(watched));
        }
        speaker.talk
    }

    /// Says something, or several things of which each waits for its turn, and watches it
    /// being answered, with others who do so too.
    async fn say(&mut self, prompts: Vec<String>) {
        let last = prompts.len() - 1;
        let mut answers = Vec::new();
        for (number, prompt) in prompts.into_iter().enumerate() {
            let follower = self.start(&prompt, number < last, last > 0).await;
            for _ in 0..self.rng.u8(..3) {
                self.watch(follower.run());
            }
            let (world, rng) = (Arc::clone(&self.world), self.rng.fork());
            answers.push(async move {
                let run = follower.run().to_owned();
                let stopped = async {
                    match last {
                        0 => cancel(&world, rng, &run).await,
                        // What is stopped while it waits is never said.
                        _ => None,
                    }
                };
                let (view, cancelled) = tokio::join!(follower.until_end(), stopped);
                let turn = Turn {
                    prompt,
                    run,
                    cancelled,
                };
                (view, turn)
            });
        }
        for (view, turn) in join_all(answers).await {
            self.talk.views.push(view);
            self.talk.turns.push(turn);
        }
        while let Some(watched) = self.watching.try_join_next() {
            self.talk.views.push(seen(watched));
        }
        if self.rng.bool() {
            sleep(Duration::from_millis(self.rng.u64(0..50))).await;
        }
    }

    /// Starts a run, and starts it again with the same key until that is acknowledged. Only
    /// what is not followed by more can be waited for.
    async fn start(&mut self, prompt: &str, more: bool, waits: bool) -> Follower {
        let session = Some(&self.talk.session).filter(|id| !id.is_empty());
        let input = json!({ "input": { "sessionId": session, "message": { "text": prompt },
            "idempotencyKey": format!("key of {prompt}"),
            "onActiveRun": if waits { "ENQUEUE" } else { "REJECT" } } });
        let mut rng = self.rng.fork();
        let (world, view) = (&self.world, View::from_the_start);
        let (follower, session) = match self.rng.u8(..3) {
            0 if !more => {
                let follower = Follower::start(world, rng.fork(), &input).await;
                let document = "query($id: ID!) { run(id: $id) { session { id } } }";
                let variables = json!({ "id": follower.run() });
                let data = world.ask(&mut rng, document, &variables).await;
                (follower, string(&data["run"]["session"]["id"]))
            }
            way => {
                let (document, field) = match way {
                    1 if !more => (CHAT, "chat"),
                    _ => (SEND, "sendMessage"),
                };
                let data = world.ask(&mut rng, document, &input).await;
                let view = view(data[field]["run"]["id"].as_str().unwrap());
                let session = string(&data[field]["session"]["id"]);
                (Follower::new(world, rng, view), session)
            }
        };
        if self.talk.session.is_empty() {
            self.talk.session.clone_from(&session);
        }
        assert_eq!(self.talk.session, session);
        self.world.acknowledged(follower.run());
        follower
    }

    /// Lets somebody watch who may come late, or who opens the chat and begins with that.
    fn watch(&mut self, run: &str) {
        let mut rng = self.rng.fork();
        let world = Arc::clone(&self.world);
        let (session, run) = (self.talk.session.clone(), run.to_owned());
        self.watching.spawn(async move {
            sleep(Duration::from_millis(rng.u64(0..100).saturating_sub(30))).await;
            let view = match rng.bool() {
                true => View::from_the_start(&run),
                false => opened(&world, &mut rng, &session, &run).await,
            };
            Follower::new(&world, rng, view).until_end().await
        });
    }
}

/// What somebody knows who has just opened the session.
async fn opened(world: &World, rng: &mut Rng, session: &str, run: &str) -> View {
    let document = "query($id: ID!) { session(id: $id) { activeRun { id lastSequence } } }";
    let data = world.ask(rng, document, &json!({ "id": session })).await;
    match &data["session"]["activeRun"] {
        active if active["id"] == run => View::after(run, active["lastSequence"].as_u64().unwrap()),
        _ => View::from_the_start(run),
    }
}

/// Sometimes asks for a run to be stopped. What became of it, as the server says.
async fn cancel(world: &World, mut rng: Rng, run: &str) -> Option<String> {
    if rng.u8(..10) > 0 {
        return None;
    }
    sleep(Duration::from_millis(rng.u64(0..100))).await;
    let document = "mutation($id: ID!) { cancelRun(id: $id) { run { status } } }";
    let data: Value = world.ask(&mut rng, document, &json!({ "id": run })).await;
    world.count(crate::world::Kind::Cancelled);
    Some(string(&data["cancelRun"]["run"]["status"]))
}

/// What a task has seen, or its panic.
fn seen<T>(task: Result<T, JoinError>) -> T {
    task.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}
