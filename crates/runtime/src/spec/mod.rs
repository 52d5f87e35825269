//! What an agent may be: definitions, their validation, look-up and limits.

pub(crate) mod agent_lookup;
pub(crate) mod catalog;
pub(crate) mod extra_body;
pub(crate) mod limits;
pub(crate) mod output_schema;
pub(crate) mod spec_validation;
pub(crate) mod team;
pub(crate) mod template_variables;
pub(crate) mod time_zone;
