//! Client tools: offered to models and validated here, executed by the client.

use serde_json::Value;

use talkgraph_domain::{ClientTool as Definition, Principal};
use talkgraph_evaluation::Evaluator;

use super::registry::RegisterError;
use super::schema::{ArgumentError, Schema};

/// A client's tool, with its schema ready to validate arguments.
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

    /// The definition.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// Validates arguments before the client is asked. Returns them without nulls for absent
    /// optional properties if only that makes them valid.
    ///
    /// # Errors With the problems and their places, bounded.
    pub async fn accept(&self, who: &Principal, arguments: Value) -> Result<Value, ArgumentError> {
        super::schema::check_size(&arguments, self.argument_bytes)?;
        let accepted = self.schema.accept(who.into(), arguments, "the arguments");
        accepted.await
    }
}
