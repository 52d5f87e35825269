//! Interrupts that nobody has answered in time.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::TimeDelta;

use talkgraph_domain::{InterruptId, Principal, Resolution, RunId};
use talkgraph_store::StoreError;

use crate::runner::Runner;

/// How many expired interrupts are looked for at once.
const ROUND: u32 = 100;

impl Runner {
    /// Answers interrupts that have expired, whoever has asked, and goes on with their runs.
    /// Where several servers do so, the first one does.
    pub(crate) async fn expire_interrupts(self: &Arc<Self>) -> Result<(), StoreError> {
        if self.draining.load(Ordering::Acquire) {
            return Ok(());
        }
        loop {
            let expired = self
                .store
                .expired_interrupts(TimeDelta::zero(), ROUND)
                .await?;
            let is_full = expired.len() == ROUND as usize;
            let mut answered = 0;
            let mut by_run: Vec<(Principal, RunId, Vec<InterruptId>)> = Vec::new();
            for (who, interrupt) in expired {
                let run = by_run
                    .iter_mut()
                    .find(|(_, run, _)| *run == interrupt.run_id);
                match run {
                    Some((_, _, ids)) => ids.push(interrupt.id),
                    None => by_run.push((who, interrupt.run_id, vec![interrupt.id])),
                }
            }
            for (who, run, ids) in by_run {
                let answers = ids.into_iter().map(|id| (id, Resolution::Expired));
                let taken = self.take_answers(who, run, answers.collect()).await;
                match taken {
                    Ok(_) => {
                        tracing::info!(%run, "nobody has answered in time");
                        answered += 1;
                    }
                    // Somebody has, at this very moment.
                    Err(StoreError::Resolved(_) | StoreError::Conflict | StoreError::NotFound) => {}
                    Err(error) => return Err(error),
                }
            }
            // Without progress the same ones would be found again and again.
            if !is_full || answered == 0 {
                return Ok(());
            }
        }
    }
}
