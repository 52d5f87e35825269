use chrono::TimeDelta;

use super::*;
use talkgraph_domain::{
    AgentId, AgentVersionId, Cost, MessageId, NodeId, Principal, Run, RunOptions, SessionId, Usage,
};

/// A run that a dead server was making, begun at this second.
fn taken(unclean_ends: u32, from: NodeId, started: i64) -> TakenRun {
    let at = chrono::DateTime::UNIX_EPOCH + TimeDelta::seconds(started);
    TakenRun {
        who: Principal::new("acme", "ann", "test"),
        run: Run {
            id: RunId::new(),
            session_id: SessionId::new(),
            agent_id: AgentId::new(),
            agent_version_id: AgentVersionId::new(),
            model: "test/model".to_owned(),
            status: RunStatus::Running,
            enqueued: false,
            turn: Some(1),
            finish_reason: None,
            error: None,
            usage: Usage::default(),
            cost: Some(Cost::ZERO),
            parent: None,
            options: RunOptions::default(),
            input_message_id: MessageId::new(),
            output_message_id: MessageId::new(),
            last_sequence: 1,
            created_at: at,
            started_at: Some(at),
            finished_at: None,
            log_compacted_at: None,
            fence: 1,
        },
        unclean_ends,
        is_held: true,
        alone_since: None,
        taken_from: Some(from),
    }
}

#[test]
fn suspects_are_made_one_by_one_and_before_all_others() {
    let (held, node) = (Held::default(), NodeId::new());
    for unclean_ends in [1, 2, 1, 1, 3] {
        held.add(taken(unclean_ends, node, 0));
    }
    let ends = |next: Option<TakenRun>| next.map(|taken| taken.unclean_ends);
    assert_eq!(ends(held.next(1, false, 2)), None, "not alone yet");
    assert_eq!(ends(held.next(0, false, 2)), Some(2));
    assert_eq!(ends(held.next(1, true, 2)), None);
    assert_eq!(ends(held.next(0, false, 2)), Some(3));
    assert_eq!(ends(held.next(1, true, 2)), None, "others wait for it too");
    assert_eq!(ends(held.next(0, false, 2)), Some(1));
    assert_eq!(ends(held.next(1, false, 2)), Some(1));
    assert_eq!(ends(held.next(2, false, 2)), None, "two at once");
    assert_eq!(held.len(), 5);
}

#[test]
fn a_run_that_is_known_is_not_added_again() {
    let held = Held::default();
    let run = taken(1, NodeId::new(), 0);
    held.add(run.clone());
    held.add(run);
    assert!(held.next(0, false, 4).is_some());
    assert!(held.next(0, false, 4).is_none());
}

#[test]
fn only_a_run_that_was_alone_is_the_cause() {
    let (node, other) = (NodeId::new(), NodeId::new());
    let at = |second| Some(chrono::DateTime::UNIX_EPOCH + TimeDelta::seconds(second));
    let mut suspect = taken(3, node, 0);
    let before = taken(1, node, 1);
    assert!(
        !is_cause(&suspect, std::slice::from_ref(&suspect)),
        "it was not alone"
    );
    suspect.alone_since = at(10);
    let all = [suspect.clone(), before, taken(1, other, 11)];
    assert!(is_cause(&suspect, &all));
    // It may have been what began while the suspect was made.
    let all = [suspect.clone(), taken(1, node, 11)];
    assert!(!is_cause(&suspect, &all));
    suspect.unclean_ends = 4;
    assert!(is_cause(&suspect, &all), "not twice by chance");
}
