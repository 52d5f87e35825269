//! Statements of files.

use sqlx::QueryBuilder;

use crate::files::rows::FILE_COLUMNS;
use talkgraph_domain::time::now;
use talkgraph_domain::{File, FileId, Principal, RunId};

use crate::dialect::{Dialect, Value};
use crate::sql::{push, push_in, push_owner};

/// A file of a user's message, or of the results of a run's tools.
pub(crate) fn save_file<DB: Dialect>(
    who: &Principal,
    run: Option<RunId>,
    file: &File,
) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(
        "INSERT INTO files (id, tenant, owner, name, mime_type, content, created_at, run_id) \
         VALUES (",
    );
    DB::bind(&mut query, Value::Id(file.id.uuid()));
    push(&mut query, ", ", Value::Text(&who.tenant));
    push(&mut query, ", ", Value::Text(&who.owner));
    push(&mut query, ", ", Value::MaybeText(file.name.as_deref()));
    push(&mut query, ", ", Value::Text(&file.mime_type));
    push(&mut query, ", ", Value::Bytes(&file.content));
    push(&mut query, ", ", Value::Time(now()));
    push(&mut query, ", ", Value::MaybeId(run.map(|run| run.uuid())));
    query.push(")");
    if run.is_some() {
        // Written again when the answer to the first write was lost.
        query.push(" ON CONFLICT (id) DO NOTHING");
    }
    query
}

pub(crate) fn files_by_id<DB: Dialect>(who: &Principal, ids: &[FileId]) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(FILE_COLUMNS);
    query.push(" FROM files WHERE 1 = 1");
    push_owner(&mut query, "", who);
    push_in(&mut query, " AND id ", ids.iter().map(FileId::uuid));
    query
}

pub(crate) fn delete_files<DB: Dialect>(who: &Principal, ids: &[FileId]) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("DELETE FROM files WHERE 1 = 1");
    push_owner(&mut query, "", who);
    push_in(&mut query, " AND id ", ids.iter().map(FileId::uuid));
    query
}
