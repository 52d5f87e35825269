//! Operations of the server's own schema as tools: a document trusted by the operator, executed in
//! this process as the run's owner, within the guard's limits.

mod arguments;
mod document;

use std::sync::{Arc, OnceLock};

use async_graphql::{Request, Response};
use async_trait::async_trait;
use serde_json::Value;
use serde_json::value::to_raw_value;

use crate::graphql::loader::with_batching;
use crate::graphql::{ApiSchema, ResponseBytes, finish_errors};
use crate::guard::{self, Document, Guard};
use talkgraph_tools::{Tool, ToolContext, ToolError, ToolOutput};

use document::Operation;
pub(crate) use document::OperationError;

/// The maximum number of a response's errors that the model receives.
const ERRORS: usize = 5;

/// An operation from the settings.
#[derive(Debug, Clone)]
pub(crate) struct OperationSpec {
    /// The document.
    pub document: Arc<str>,
    /// The name of its operation; required if there are several.
    pub operation: Option<String>,
    /// The part of the response's `data` that is the output (RFC 6901); all of it if absent.
    pub response_pointer: Option<String>,
}

/// The services of operation tools. The schema is set after the tools are created, because its
/// resolvers call them.
#[derive(Clone)]
pub(crate) struct Endpoint {
    schema: Arc<OnceLock<ApiSchema>>,
    guard: Arc<Guard>,
}

/// A tool that executes an operation.
pub(crate) struct OperationTool {
    endpoint: Endpoint,
    document: Arc<Document>,
    operation: Operation,
    spec: OperationSpec,
}

impl Endpoint {
    /// Creates an endpoint without a schema.
    pub(crate) fn new(guard: Arc<Guard>) -> Self {
        Self {
            schema: Arc::default(),
            guard,
        }
    }

    /// Sets the schema to execute operations with.
    pub(crate) fn open(&self, schema: ApiSchema) {
        // Set once, while the server is assembled.
        let _ = self.schema.set(schema);
    }
}

impl OperationTool {
    /// Checks the document like a client's.
    ///
    /// # Errors
    ///
    /// Fails if the guard refuses it, it has no such operation, or a run may not execute the
    /// operation.
    pub(crate) fn new(endpoint: &Endpoint, spec: OperationSpec) -> Result<Self, OperationError> {
        let document = endpoint.guard.read(&spec.document)?;
        let operation = document::of(&document, spec.operation.as_deref())?;
        let pointer = spec.response_pointer.as_deref().unwrap_or_default();
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err(OperationError::Pointer(pointer.to_owned()));
        }
        Ok(Self {
            endpoint: endpoint.clone(),
            document,
            operation,
            spec,
        })
    }

    /// Returns the JSON Schema of its variables, by the types of `sdl`.
    pub(crate) fn parameters(&self, sdl: &str) -> Value {
        arguments::schema(sdl, &self.operation.variables)
    }

    /// Returns true for a query.
    pub(crate) fn is_query(&self) -> bool {
        self.operation.is_query
    }

    /// Validates the document against the schema, without resolving it.
    ///
    /// # Errors
    ///
    /// Returns the validation errors.
    pub(crate) async fn validate(&self, schema: &ApiSchema) -> Result<(), OperationError> {
        let request = self.request().only_introspection();
        let response = schema.execute(request).await;
        // An error with a path occurred during execution: the document is valid.
        match response.errors.iter().find(|error| error.path.is_empty()) {
            Some(error) => Err(OperationError::Invalid(error.message.clone())),
            None => Ok(()),
        }
    }

    fn request(&self) -> Request {
        let mut request = Request::new(&*self.spec.document);
        request.operation_name.clone_from(&self.spec.operation);
        request.set_parsed_query(self.document.parsed.clone());
        request
    }

    /// Creates the request with its variables, if the guard accepts it.
    fn admit(&self, context: &ToolContext, arguments: &Value) -> Result<Request, ToolError> {
        let guard = &self.endpoint.guard;
        let refused = |error: guard::GuardError| ToolError::Failed(error.to_string());
        let raw = to_raw_value(arguments).map_err(ToolError::internal)?;
        let variables = guard::parse_variables(&raw, guard.limits()).map_err(refused)?;
        let operation = guard::operation(&self.document.parsed, self.spec.operation.as_deref());
        let operation =
            operation.ok_or_else(|| ToolError::internal("the operation does not exist"))?;
        guard
            .complexity(&self.document, operation, &variables)
            .map_err(refused)?;
        Ok(self
            .request()
            .variables(variables)
            .data(ResponseBytes::new(guard.limits().response_bytes))
            .data(context.principal.clone())
            .data(context.headers.clone()))
    }

    fn output(&self, response: Response) -> Result<ToolOutput, ToolError> {
        let errors: Vec<&str> = response
            .errors
            .iter()
            .map(|error| error.message.as_str())
            .collect();
        let data = response.data.into_json().map_err(ToolError::internal)?;
        // A partial response is useless to a reader that takes it for complete.
        if !errors.is_empty() {
            return Err(ToolError::Failed(errors.join("; ")));
        }
        let pointer = self.spec.response_pointer.as_deref().unwrap_or_default();
        ToolOutput::part_of(&data, pointer)
    }
}

#[async_trait]
impl Tool for OperationTool {
    async fn call(&self, context: &ToolContext, arguments: Value) -> Result<ToolOutput, ToolError> {
        let schema = self.endpoint.schema.get();
        let schema = schema.ok_or_else(|| ToolError::internal("the schema is not set"))?;
        let request = self.admit(context, &arguments)?;
        let mut response = with_batching(Box::pin(schema.execute(request))).await;
        // The model receives only what a caller may see.
        // The calling run meets the same outage and reports it.
        finish_errors(&mut response, &context.call_id, ERRORS, |_| {});
        self.output(response)
    }
}
