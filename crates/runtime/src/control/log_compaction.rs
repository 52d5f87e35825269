//! Compaction: of an old log only the end stays.

use std::time::Duration;

use talkgraph_domain::time::{now, span};
use talkgraph_domain::{EventBody, RunEvent};
use talkgraph_store::{SharedStore, StoreError};

use crate::run::event_log::LOG_PAGE;

/// The number of logs that are compacted in one round.
const COMPACTED: u32 = 200;

/// The number of last events in which a log reports its end.
const LAST_EVENTS: u64 = 8;

/// Keeps of logs older than `retention` only the end.
pub(crate) async fn compact_logs(
    store: &SharedStore,
    retention: Duration,
) -> Result<(), StoreError> {
    let at = now();
    let old = store.runs_to_compact(-span(retention), COMPACTED).await?;
    let has_any = !old.is_empty();
    for (who, run) in old {
        let after = run.last_sequence.saturating_sub(LAST_EVENTS);
        let mut last = store.events(&who, run.id, after, LOG_PAGE).await?;
        let first = last.iter().rposition(|event| !reports_end(event));
        let kept = last.split_off(first.map_or(0, |first| first + 1));
        store.compact_log(&who, run.id, &kept, at).await?;
    }
    if has_any {
        store.scrub().await?;
    }
    Ok(())
}

fn reports_end(event: &RunEvent) -> bool {
    matches!(event.body, EventBody::MessageCompleted { .. }) || event.body.is_terminal()
}
