//! Idempotency keys within a group commit: a key is written in the transaction that starts
//! its run, and the table's primary key decides which of several starts is the first.

pub(crate) mod heartbeat;
pub(crate) mod sql;

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx_macros::FromRow;
use uuid::Uuid;

use talkgraph_domain::RunId;

use super::commit::Statements;
use super::{KeptKey, NewKey, NewRun, StartedRun, StoreError};

/// Tenant, owner and key, which are unique.
type Name<'a> = (&'a str, &'a str, &'a str);

/// The row of a key.
#[derive(FromRow)]
pub(crate) struct KeyRow {
    tenant: String,
    owner: String,
    key: String,
    fingerprint: Vec<u8>,
    run_id: Uuid,
}

impl From<KeyRow> for KeptKey {
    fn from(row: KeyRow) -> Self {
        Self {
            fingerprint: row.fingerprint,
            run: row.run_id.into(),
        }
    }
}

fn name(start: &NewRun) -> Option<Name<'_>> {
    let key = start.key.as_ref()?;
    Some((&start.who.tenant, &start.who.owner, &key.key))
}

/// Starts with their keys.
pub(super) fn keyed<'a>(starts: &[&'a NewRun]) -> Vec<(&'a NewRun, &'a NewKey)> {
    let with_key = |start: &&'a NewRun| Some((*start, start.key.as_ref()?));
    starts.iter().filter_map(with_key).collect()
}

/// Writes the keys of the starts that are not refused yet. Of several starts with one key the first
/// gets it; the others are refused with its run.
pub(super) async fn claim(
    db: &mut impl Statements,
    starts: &[NewRun],
    placed: &mut [Result<StartedRun, StoreError>],
) -> Result<(), StoreError> {
    // Sorted, so that two nodes lock keys in one order.
    let mut first: BTreeMap<Name<'_>, &NewRun> = BTreeMap::new();
    for (start, _) in starts.iter().zip(&*placed).filter(|(_, p)| p.is_ok()) {
        if let Some(name) = name(start) {
            first.entry(name).or_insert(start);
        }
    }
    if first.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = first.values().copied().collect();
    let claimed = db.claim_keys(&rows).await?;
    let kept = kept_keys(db, rows, &claimed).await?;
    for (start, outcome) in starts.iter().zip(placed.iter_mut()) {
        let (Some(name), Some(key), true) = (name(start), &start.key, outcome.is_ok()) else {
            continue;
        };
        if !claimed.contains(&start.run.id.uuid()) {
            *outcome = Err(match kept.get(&owned(name)) {
                Some(kept) => key.again(kept),
                // Expired, and removed by another node at this moment.
                None => StoreError::Unavailable("the key has just expired".to_owned()),
            });
        }
    }
    Ok(())
}

/// The stored keys, those claimed in this transaction included.
async fn kept_keys(
    db: &mut impl Statements,
    rows: Vec<&NewRun>,
    claimed: &HashSet<Uuid>,
) -> Result<HashMap<(String, String, String), KeptKey>, StoreError> {
    let (ours, taken): (Vec<_>, Vec<_>) = rows
        .into_iter()
        .partition(|start| claimed.contains(&start.run.id.uuid()));
    let ours = ours.into_iter().filter_map(|start| {
        let kept = KeptKey {
            fingerprint: start.key.as_ref()?.fingerprint.to_vec(),
            run: start.run.id,
        };
        Some((owned(name(start)?), kept))
    });
    let mut kept: HashMap<_, _> = ours.collect();
    if !taken.is_empty() {
        for row in db.kept_keys(&taken).await? {
            let name = (row.tenant.as_str(), row.owner.as_str(), row.key.as_str());
            kept.insert(owned(name), row.into());
        }
    }
    Ok(kept)
}

fn owned((tenant, owner, key): Name<'_>) -> (String, String, String) {
    (tenant.to_owned(), owner.to_owned(), key.to_owned())
}

/// Removes the keys of starts that were refused after their claim. Starts that were refused because
/// of them get the same error.
pub(super) async fn release(
    db: &mut impl Statements,
    starts: &[NewRun],
    placed: &mut [Result<StartedRun, StoreError>],
) -> Result<(), StoreError> {
    let refused: HashMap<RunId, StoreError> = starts
        .iter()
        .zip(&*placed)
        .filter(|(start, _)| start.key.is_some())
        .filter_map(|(start, outcome)| match outcome {
            Err(
                error @ (StoreError::ActiveRun(_) | StoreError::QueueFull | StoreError::Conflict),
            ) => Some((start.run.id, error.duplicate())),
            _ => None,
        })
        .collect();
    if refused.is_empty() {
        return Ok(());
    }
    for outcome in placed.iter_mut() {
        if let Err(StoreError::Repeated(run)) = outcome
            && let Some(error) = refused.get(run)
        {
            *outcome = Err(error.duplicate());
        }
    }
    let rows: Vec<_> = starts
        .iter()
        .filter(|start| refused.contains_key(&start.run.id))
        .collect();
    db.release_keys(&rows).await
}
