//! The registry of all tools of the server, through which every call goes.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::Value;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};

use talkgraph_domain::Principal;
use talkgraph_evaluation::{Evaluator, Whom};

use super::progress::Progress;
use super::schema::{ArgumentError, Schema, SchemaError, check_size};
use super::servers::{Servers, UnavailableTool};
use super::{
    ClientTool, OutputLimits, Tool, ToolContext, ToolDefinition, ToolError, ToolOutput,
    is_valid_name,
};

/// Limits of all calls together.
#[derive(Debug, Clone)]
pub struct RegistryLimits {
    /// The maximum number of concurrent calls; further ones wait, within their own time limit.
    pub calls: usize,
    /// The largest arguments, in bytes of JSON.
    pub argument_bytes: usize,
    /// Bounds on the parts of an output.
    pub output: OutputLimits,
    /// The longest wait for a tool of a server that is starting.
    pub server_wait: Duration,
}

/// The reason why a tool cannot be registered.
#[derive(Debug, Error)]
pub enum RegisterError {
    /// A name that providers do not accept.
    #[error("{0:?} is not a valid tool name: use 1 to 64 letters, digits, _ and -")]
    Name(String),
    /// A name that is taken.
    #[error("the tool name {0:?} is taken")]
    Duplicate(String),
    /// Parameters that cannot be checked.
    #[error("tool {name:?}: {error}")]
    Schema {
        /// The tool.
        name: String,
        /// The problem.
        error: SchemaError,
    },
}

type Tools = BTreeMap<String, Arc<RegisteredTool>>;

/// All tools of the server by name. Tools come and go with their MCP servers; a caller that holds
/// one keeps it.
pub struct ToolRegistry {
    /// Replaced as a whole, so that a list never mixes two states.
    tools: RwLock<Arc<Tools>>,
    calls: Arc<Semaphore>,
    argument_bytes: usize,
    output: OutputLimits,
    evaluator: Evaluator,
    servers: Servers,
    /// The longest wait for a tool of a server that is starting.
    server_wait: Duration,
}

/// A tool with its definition, ready to be called.
pub struct RegisteredTool {
    /// The MCP server that provides it; none for the server's own tools.
    owner: Option<Arc<str>>,
    definition: ToolDefinition,
    schema: Schema,
    tool: Arc<dyn Tool>,
    calls: Arc<Semaphore>,
    argument_bytes: usize,
    output: OutputLimits,
}

impl ToolRegistry {
    /// Creates an empty registry.
    pub fn new(limits: &RegistryLimits, evaluator: Evaluator) -> Self {
        Self {
            tools: RwLock::default(),
            calls: Arc::new(Semaphore::new(limits.calls)),
            argument_bytes: limits.argument_bytes,
            output: limits.output,
            evaluator,
            servers: Servers::default(),
            server_wait: limits.server_wait,
        }
    }

    /// The MCP servers.
    pub fn servers(&self) -> &Servers {
        &self.servers
    }

    /// Waits until the servers of these tools are connected or cannot be reached, for at most
    /// [`RegistryLimits::server_wait`].
    pub async fn settled(&self, tools: &[&str]) {
        let missing = tools
            .iter()
            .copied()
            .filter(|tool| self.get(tool).is_none());
        let missing: Vec<&str> = missing.collect();
        if !missing.is_empty() {
            self.servers.settled(&missing, self.server_wait).await;
        }
    }

    /// Adds a tool.
    ///
    /// # Errors
    /// When its name is wrong or taken, or its parameters are no schema.
    pub async fn insert(
        &self,
        definition: ToolDefinition,
        tool: Arc<dyn Tool>,
    ) -> Result<(), RegisterError> {
        let parameters = &definition.parameters;
        let schema = Schema::of_arguments(&self.evaluator, Whom::Server, parameters).await;
        let registered = Arc::new(self.registered(definition, tool, schema)?);
        self.change(|tools| {
            let name = registered.definition.name.clone();
            if tools.contains_key(&name) {
                return Err(RegisterError::Duplicate(name));
            }
            tools.insert(name, registered);
            Ok(())
        })
    }

    /// A client's tool, validated as the server's own are.
    ///
    /// # Errors When its name is invalid, or its parameters are not a schema.
    pub async fn client_tool(
        &self,
        who: &Principal,
        tool: &talkgraph_domain::ClientTool,
    ) -> Result<ClientTool, RegisterError> {
        ClientTool::new(&self.evaluator, who, tool, self.argument_bytes).await
    }

    /// A tool by its name. A server whose name begins with a digit or dash has an underscore
    /// before those of its tools, without which they are found, too.
    pub fn get(&self, name: &str) -> Option<Arc<RegisteredTool>> {
        let tools = self.all();
        let tool = tools.get(name);
        tool.or_else(|| tools.get(&format!("_{name}"))).cloned()
    }

    /// The current tools, by name.
    pub fn all(&self) -> Arc<Tools> {
        // The value behind the lock is replaced as a whole, so a panic cannot leave a partial one.
        let tools = self.tools.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&tools)
    }

    /// Replaces the tools of an owner at once; those of others stay, and keep their names.
    /// `refused` are tools of the owner that cannot be offered; returns these and the others that
    /// cannot.
    pub(super) async fn replace(
        &self,
        owner: &Arc<str>,
        tools: Vec<(ToolDefinition, Arc<dyn Tool>)>,
        mut refused: Vec<UnavailableTool>,
    ) -> Vec<UnavailableTool> {
        let unavailable = |name: String, reason: String| UnavailableTool { name, reason };
        let mut checked = Tools::new();
        for (definition, tool) in tools {
            let name = definition.name.clone();
            let parameters = &definition.parameters;
            let schema = Schema::of_foreign_arguments(&self.evaluator, parameters).await;
            match self.registered(definition, tool, schema) {
                Ok(mut tool) => {
                    tool.owner = Some(Arc::clone(owner));
                    checked.insert(name, Arc::new(tool));
                }
                Err(RegisterError::Schema { error, .. }) => {
                    refused.push(unavailable(name, error.to_string()));
                }
                Err(error) => refused.push(unavailable(name, error.to_string())),
            }
        }
        self.change(|tools| {
            tools.retain(|_, tool| tool.owner.as_ref() != Some(owner));
            for (name, tool) in checked {
                match tools.entry(name) {
                    Entry::Occupied(taken) => {
                        let reason = "another tool of this server has its name".to_owned();
                        refused.push(unavailable(taken.key().clone(), reason));
                    }
                    Entry::Vacant(free) => {
                        free.insert(tool);
                    }
                }
            }
        });
        self.servers.refused(owner, refused.clone());
        refused
    }

    fn registered(
        &self,
        definition: ToolDefinition,
        tool: Arc<dyn Tool>,
        schema: Result<Schema, SchemaError>,
    ) -> Result<RegisteredTool, RegisterError> {
        if !is_valid_name(&definition.name) {
            return Err(RegisterError::Name(definition.name));
        }
        let schema = schema.map_err(|error| RegisterError::Schema {
            name: definition.name.clone(),
            error,
        })?;
        Ok(RegisteredTool {
            owner: None,
            definition,
            schema,
            tool,
            calls: Arc::clone(&self.calls),
            argument_bytes: self.argument_bytes,
            output: self.output,
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Tools) -> T) -> T {
        let mut tools = self.tools.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut tools))
    }
}

impl RegisteredTool {
    /// The definition.
    pub fn definition(&self) -> &ToolDefinition {
        &self.definition
    }

    /// Returns true if a person has to approve a call with these arguments.
    pub async fn needs_approval(&self, who: &Principal, arguments: &Value) -> bool {
        self.definition.approval.is_needed(who, arguments).await
    }

    /// Validates arguments, as [`RegisteredTool::call`] does before anything else.
    ///
    /// # Errors With the problems and their places, bounded.
    pub async fn validate(&self, who: &Principal, arguments: &Value) -> Result<(), ArgumentError> {
        check_size(arguments, self.argument_bytes)?;
        let checked = self.schema.check(who.into(), arguments, "the arguments");
        checked.await
    }

    /// The arguments if they are valid, else without nulls for absent optional properties, as
    /// models write them, if that makes them valid.
    ///
    /// # Errors With the problems and their places, bounded.
    pub async fn accept(&self, who: &Principal, arguments: Value) -> Result<Value, ArgumentError> {
        check_size(&arguments, self.argument_bytes)?;
        let accepted = self.schema.accept(who.into(), arguments, "the arguments");
        accepted.await
    }

    /// Executes a call: validates the arguments, waits for a slot, and bounds the time and the
    /// output. The caller has to check before if the call needs approval.
    ///
    /// # Errors See [`ToolError`]. Errors that may not be shown are logged here.
    pub async fn call(
        &self,
        context: &ToolContext,
        arguments: Value,
    ) -> Result<ToolOutput, ToolError> {
        let name = &self.definition.name;
        let began = Instant::now();
        let called = self.bounded(context, arguments).await;
        let (call, took) = (&context.call_id, began.elapsed());
        match &called {
            Ok(output) => {
                let (bytes, truncated) = (output.text.len(), output.truncated);
                tracing::debug!(tool = name, %call, ?took, bytes, truncated, "tool call finished");
            }
            Err(error) => match error.cause() {
                Some(cause) if !error.is_ours() => {
                    tracing::warn!(tool = name, %call, ?took, %error, cause, "tool call failed");
                }
                Some(cause) => {
                    tracing::error!(tool = name, %call, ?took, %error, cause, "tool failed internally");
                }
                None => {
                    tracing::debug!(tool = name, %call, ?took, code = error.code(), "tool call failed")
                }
            },
        }
        called
    }

    async fn bounded(
        &self,
        context: &ToolContext,
        arguments: Value,
    ) -> Result<ToolOutput, ToolError> {
        let arguments = self.accept(&context.principal, arguments).await?;
        let too_late = self.too_late(&context.progress);
        let call = async {
            let place = self.calls.acquire().await;
            let _place = place.map_err(ToolError::internal)?;
            self.tool.call(context, arguments).await
        };
        let call = AssertUnwindSafe(call).catch_unwind();
        let called = tokio::select! {
            called = call => called,
            after = too_late => return Err(ToolError::TimedOut(after)),
            () = context.cancel.cancelled() => return Err(ToolError::Cancelled),
        };
        match called {
            Ok(output) => Ok(output?.within(self.definition.output_bytes, self.output)),
            Err(_) => Err(ToolError::internal("it panicked")),
        }
    }

    /// Returns once a call that begins now has exceeded its time limit, with that limit. Each
    /// progress report restarts the limit, up to the time limit of calls with progress.
    async fn too_late(&self, progress: &Progress) -> Duration {
        let time = self.definition.timeout;
        let most = self.tool.progress_timeout();
        let mut most = most.map_or(time, |most| most.max(time));
        let (began, mut reports) = (Instant::now(), progress.watch());
        let mut taken = time;
        loop {
            let is_held = reports.borrow_and_update().held > 0;
            let over = sleep_until(began + taken);
            tokio::select! {
                () = over, if !is_held => return taken,
                // `progress` outlives this, so the channel cannot close.
                _ = reports.changed() => {}
            }
            taken = began.elapsed() + time;
            match is_held {
                // Waiting for the person does not count towards the tool's time limit.
                true => most = most.max(taken),
                false => taken = taken.min(most),
            }
        }
    }
}
