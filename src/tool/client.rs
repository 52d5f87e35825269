//! Tools that a client has: only told to models and checked here, called elsewhere.

use serde_json::Value;

use crate::domain::{ClientTool as Definition, Principal};
use crate::evaluation::Evaluator;

use super::registry::RegisterError;
use super::schema::{ArgumentError, Schema};

/// A client's tool, ready to have its arguments checked.
pub struct ClientTool {
    definition: Definition,
    schema: Schema,
    argument_bytes: usize,
}

impl ClientTool {
    pub(super) async fn new(
        evaluator: &Evaluator,
        who: &Principal,
        definition: &Definition,
        argument_bytes: usize,
    ) -> Result<Self, RegisterError> {
        let name = definition.name.clone();
        if !super::is_valid_name(&name) {
            return Err(RegisterError::Name(name));
        }
        let schema = Schema::of_arguments(evaluator, who.into(), &definition.parameters).await;
        let schema = schema.map_err(|error| RegisterError::Schema { name, error })?;
        Ok(Self {
            definition: definition.clone(),
            schema,
            argument_bytes,
        })
    }

    /// What it is.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// Checks arguments before the client is asked.
    ///
    /// # Errors
    /// With what is wrong and where, bounded.
    pub async fn validate(&self, who: &Principal, arguments: &Value) -> Result<(), ArgumentError> {
        super::schema::check_size(arguments, self.argument_bytes)?;
        let checked = self.schema.check(who.into(), arguments, "the arguments");
        checked.await
    }
}
