//! The limits of requests and the trusted documents, from the settings.

use crate::config::{DocumentSettings, LimitSettings};
use crate::graphql::types::sized::LARGE;
use crate::guard::{
    Guard, GuardLimits, Inputs, ManifestError, Pages, Persisted, Trust, TrustedDocuments,
};

pub(super) fn guard(settings: &LimitSettings, sdl: &str) -> Guard {
    let limits = GuardLimits {
        query_bytes: settings.query_bytes,
        query_tokens: settings.query_tokens,
        query_nesting: settings.query_nesting,
        query_depth: settings.query_depth,
        query_fields: settings.query_fields,
        query_root_fields: settings.query_root_fields,
        query_aliases: settings.query_aliases,
        query_directives: settings.query_directives,
        query_complexity: settings.query_complexity,
        variables_nesting: settings.variables_nesting,
        variables_values: settings.variables_values,
        response_bytes: settings.response_bytes,
    };
    Guard::new(
        limits,
        Pages::of(sdl, settings.page_size_default, settings.page_size).with_large(&LARGE),
        Inputs::of(sdl),
    )
}

/// Reads the manifest, and refuses documents in it that could never be executed.
pub(super) fn persisted(
    settings: &DocumentSettings,
    guard: &Guard,
) -> Result<Persisted, ManifestError> {
    let trusted = match &settings.manifest {
        Some(path) if settings.trusted_documents != Trust::Off => TrustedDocuments::read(path)?,
        _ => TrustedDocuments::default(),
    };
    trusted.check(guard)?;
    if settings.trusted_documents != Trust::Off {
        tracing::info!(documents = trusted.len(), "trusted documents read");
    }
    let registered = settings.registered_bytes;
    Ok(Persisted::new(
        settings.trusted_documents,
        trusted,
        registered,
    ))
}
