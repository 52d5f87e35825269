//! Agent definitions: their rules, lookup, teams and limits.

pub(crate) mod agent_lookup;
pub(crate) mod catalog;
pub(crate) mod extra_body;
pub(crate) mod limits;
pub(crate) mod output_schema;
pub(crate) mod spec_error;
pub(crate) mod spec_validation;
pub(crate) mod team;
pub(crate) mod template_variables;
pub(crate) mod time_zone;
