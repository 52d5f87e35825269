//! A run that takes servers down with it, among others that do no harm.

use std::collections::HashMap;
use std::sync::Arc;

use tempfile::TempDir;

use crate::resume::check_log;
use crate::support::database::Database;
use crate::support::process::{Process, program};
use crate::support::talk::{chat, committed_text, ended_run, messages, run_events, send};
use crate::support::upstream::{Received, Script, Upstream};
use crate::support::wait::{eventually, soon};

/// Runs that do no harm.
const INNOCENT: usize = 10;

/// The message of the run that servers die of.
const POISON: &str = "poison";

/// The number of times a server may die of it: with all, with a few, and alone.
const MOST_DEATHS: usize = 3;

fn is_poison(request: &Received) -> bool {
    request.body.to_string().contains(POISON)
}

/// Each run says what it was asked, once it is released.
fn answer(request: &Received) -> Script {
    let said = request.body["messages"].as_array().unwrap().last().unwrap();
    let text = said["content"].as_str().unwrap_or_default().to_owned();
    Script::stream()
        .text(["so ", "far "])
        .hold()
        .text([text])
        .ended()
}

pub(crate) async fn a_run_that_kills_servers_is_failed_and_all_others_are_made(db: Arc<Database>) {
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::answering(answer).await);
    let base_url = upstream.base_url();
    let mut settings = vec![
        ("models.openai.base_url", base_url.as_str()),
        ("runs.lease_s", "1"),
        ("runs.probation_ms", "1000"),
    ];
    if let Database::Postgres { url, .. } = &*db {
        settings.push(("store.url", url));
    }
    let start = async || Process::serve(program(folder.path(), &[], &settings)).await;
    let mut server = start().await;
    let mut innocent = HashMap::new();
    for number in 0..INNOCENT / 2 {
        let text = format!("innocent {number}");
        innocent.insert(send(&server.client(), None, &text).await, text);
    }
    let poisonous = send(&server.client(), None, POISON).await;
    for number in INNOCENT / 2..INNOCENT {
        let text = format!("innocent {number}");
        innocent.insert(send(&server.client(), None, &text).await, text);
    }
    soon("all runs", upstream.wait_holding(INNOCENT + 1)).await;

    let mut deaths = 0;
    let is_failed = loop {
        let asked = || {
            upstream
                .received()
                .iter()
                .filter(|request| is_poison(request))
                .count()
        };
        let client = server.client();
        // It is restarted once more, or it runs no more.
        let ended = eventually("the poison", async || {
            let stored = crate::support::talk::run(&client, &poisonous.1).await;
            match stored["status"] == "FAILED" {
                true => Some(Some(stored)),
                false => (asked() > deaths).then_some(None),
            }
        })
        .await;
        if let Some(ended) = ended {
            break ended;
        }
        committed_text(&client, &poisonous.1, deaths, "so far ").await;
        deaths += 1;
        assert!(deaths <= MOST_DEATHS, "servers die of it again and again");
        server.kill();
        server.exit_code().await;
        server = start().await;
    };
    assert_eq!(is_failed["error"]["code"], "CRASHED", "{is_failed}");
    assert_eq!(is_failed["error"]["retryable"], false);
    assert_eq!(
        is_failed["output"]["text"], "so far ",
        "its partial text is kept"
    );

    // No other caller has to wait, and nothing is lost or said twice.
    upstream.release();
    let client = server.client();
    assert_eq!(
        chat(&client, None, "New").await["message"]["text"],
        "so far New"
    );
    for ((session, run), text) in &innocent {
        let ended = ended_run(&client, run).await;
        assert_eq!(ended["status"], "COMPLETED", "{text}: {ended}");
        let whole = format!("so far {text}");
        assert_eq!(ended["output"]["text"], whole);
        check_log(&run_events(&client, run, 0).await);
        let said = [format!("USER: {text}"), format!("ASSISTANT: {whole}")];
        assert_eq!(messages(&client, session).await, said);
    }
}
