//! Expiry of interrupts.

use chrono::TimeDelta;

use talkgraph_domain::{InterruptId, Principal, Resolution, RunId};
use talkgraph_store::StoreError;

use crate::control::resolve::InterruptResolver;

/// The number of expired interrupts that are read at once.
const ROUND: u32 = 100;

/// Resolves the expired interrupts of all owners and resumes their runs. Of several servers
/// the first one succeeds.
pub(crate) async fn expire_interrupts(resolver: &InterruptResolver) -> Result<(), StoreError> {
    if resolver.lifecycle.is_draining() {
        return Ok(());
    }
    loop {
        let expired = resolver
            .services
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
            let taken = resolver.take_answers(who, run, answers.collect()).await;
            match taken {
                Ok(_) => {
                    tracing::info!(%run, "interrupts expired");
                    answered += 1;
                }
                // Resolved or expired by another caller meanwhile.
                Err(StoreError::Resolved(_) | StoreError::Conflict | StoreError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        // Without progress the same ones would be read without end.
        if !is_full || answered == 0 {
            return Ok(());
        }
    }
}
