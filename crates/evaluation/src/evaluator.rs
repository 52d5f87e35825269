//! The choice between evaluating at once, if that is surely cheap, and a worker.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::instructions::{self, Values};
use super::job::{Job, Reply};
use super::linear_template::{is_simple_expression, is_simple_template};
use super::pool::Pool;
use super::request::Template;
use super::size::json_bytes;
use super::{CheckedSchema, Escape, EvaluationLimits, Failure, expression};
use talkgraph_domain::{Principal, time::Timestamp};

/// The largest arguments, in bytes of JSON, that are evaluated at once.
const ARGUMENTS_AT_ONCE: usize = 16_384;

/// The tenant of the server's own jobs, at its start.
const SERVER: &str = "";

/// The handle to all workers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Evaluator(Way);

#[derive(Debug, Clone)]
enum Way {
    Workers(Arc<Pool>),
    /// Evaluates in this process, for tests of other crates, whose program is not a worker.
    #[cfg(any(test, feature = "in-process"))]
    InProcess,
}

impl Evaluator {
    /// Creates an evaluator without workers: they are started on demand.
    pub fn new(limits: EvaluationLimits) -> Self {
        Self(Way::Workers(Pool::new(limits)))
    }

    /// Creates an evaluator without limits.
    #[cfg(any(test, feature = "in-process"))]
    pub fn in_process() -> Self {
        Self(Way::InProcess)
    }

    async fn run(&self, tenant: &str, job: Job<'_>) -> Result<Reply, Failure> {
        match &self.0 {
            Way::Workers(pool) => pool.run(tenant, &job).await,
            #[cfg(any(test, feature = "in-process"))]
            Way::InProcess => on_a_stack_of_its_own(&job).result(),
        }
    }

    /// Compiles a JSON Schema.
    ///
    /// # Errors Fails when it is invalid, refers to another document, or is too costly.
    pub async fn compile(&self, who: Whom<'_>, schema: &Value) -> Result<CheckedSchema, Failure> {
        if let Some(compiled) = CheckedSchema::plain(schema) {
            return compiled;
        }
        let job = Job::CheckSchema {
            schema: Cow::Borrowed(schema),
        };
        self.run(who.tenant(), job).await?;
        Ok(CheckedSchema::costly(schema))
    }

    /// Compiles a JSON Schema of another program as far as it is valid: unreadable keywords, such
    /// as those of an unknown dialect, are left out.
    ///
    /// # Errors Fails when it is too costly.
    pub async fn compile_lenient(
        &self,
        who: Whom<'_>,
        schema: &Value,
    ) -> Result<CheckedSchema, Failure> {
        if let Some(Ok(compiled)) = CheckedSchema::plain(schema) {
            return Ok(compiled);
        }
        let job = Job::MendSchema {
            schema: Cow::Borrowed(schema),
        };
        let mended = match self.run(who.tenant(), job).await? {
            Reply::Schema(mended) => mended,
            _ => return Ok(CheckedSchema::costly(schema)),
        };
        match CheckedSchema::plain(&mended) {
            Some(Ok(compiled)) => Ok(compiled),
            _ => Ok(CheckedSchema::costly(&mended)),
        }
    }

    /// Validates a value against a schema. `name` is the noun for the value where it is wrong as
    /// a whole.
    ///
    /// # Errors
    /// With up to three problems and their places, bounded and without the value's text.
    pub async fn validate(
        &self,
        who: Whom<'_>,
        schema: &CheckedSchema,
        value: &Value,
        name: &str,
    ) -> Result<(), Failure> {
        if let Some(validated) = schema.at_once(value, name) {
            return validated;
        }
        let job = Job::Validate {
            schema: Cow::Borrowed(&schema.source),
            value: Cow::Borrowed(value),
            name: Cow::Borrowed(name),
        };
        self.run(who.tenant(), job).await.map(drop)
    }

    /// Checks that an agent's instructions could be rendered with some variables.
    ///
    /// # Errors With the problem.
    pub async fn check_instructions(&self, who: Whom<'_>, template: &str) -> Result<(), Failure> {
        if is_simple_template(template) {
            return instructions::check(template);
        }
        let template = Cow::Borrowed(template);
        let job = Job::CheckInstructions { template };
        self.run(who.tenant(), job).await.map(drop)
    }

    /// The paths of the variables that instructions use: `a.b` for `variables.a.b`. Empty for
    /// instructions that cannot be parsed.
    ///
    /// # Errors Fails when the instructions are too costly.
    pub async fn variables_of(
        &self,
        who: Whom<'_>,
        template: &str,
    ) -> Result<BTreeSet<String>, Failure> {
        if !instructions::uses_variables(template) || is_simple_template(template) {
            return Ok(instructions::paths_of(template));
        }
        let template = Cow::Borrowed(template);
        match self.run(who.tenant(), Job::Variables { template }).await? {
            Reply::Names(names) => Ok(names),
            other => Err(unexpected(&other)),
        }
    }

    /// Renders an agent's instructions for a run of `who`.
    ///
    /// # Errors Fails when a variable is missing or has the wrong form; without the variable's
    /// value.
    pub async fn instructions(
        &self,
        who: &Principal,
        template: &str,
        at: Timestamp,
        variables: &Map<String, Value>,
    ) -> Result<String, Failure> {
        let date = at.date_naive().to_string();
        if is_simple_template(template) {
            let values = Values {
                owner: &who.owner,
                date: &date,
                variables,
            };
            return instructions::instructions(template, values);
        }
        let job = Job::Instructions {
            template: Cow::Borrowed(template),
            owner: Cow::Borrowed(&who.owner),
            date: Cow::Borrowed(&date),
            variables: Cow::Borrowed(variables),
        };
        text(self.run(&who.tenant, job).await?)
    }

    /// Checks an expression over `args`.
    ///
    /// # Errors With the problem.
    pub async fn check_expression(&self, text: &str) -> Result<(), Failure> {
        if is_simple_expression(text) {
            return expression::check(text);
        }
        let text = Cow::Borrowed(text);
        let job = Job::CheckExpression { text };
        self.run(SERVER, job).await.map(drop)
    }

    /// Returns true if an expression over `args` is true for these arguments.
    ///
    /// # Errors Fails when it cannot be evaluated with them.
    pub async fn holds(
        &self,
        who: &Principal,
        text: &str,
        arguments: &Value,
    ) -> Result<bool, Failure> {
        if is_simple_expression(text) && json_bytes(arguments) <= ARGUMENTS_AT_ONCE {
            return expression::holds(text, arguments);
        }
        let job = Job::Expression {
            text: Cow::Borrowed(text),
            arguments: Cow::Borrowed(arguments),
        };
        match self.run(&who.tenant, job).await? {
            Reply::Bool(holds) => Ok(holds),
            other => Err(unexpected(&other)),
        }
    }

    /// Checks a template over `args`.
    ///
    /// # Errors With the problem.
    pub async fn check_request(&self, source: &str, escape: Escape) -> Result<(), Failure> {
        if is_simple_template(source) {
            return Template::new(source, escape).map(drop);
        }
        let source = Cow::Borrowed(source);
        let job = Job::CheckRequest { source, escape };
        self.run(SERVER, job).await.map(drop)
    }

    /// Renders a template over `args`, whose values cannot leave their positions.
    ///
    /// # Errors Fails when an argument is missing or has the wrong form.
    pub async fn request(
        &self,
        who: &Principal,
        source: &str,
        escape: Escape,
        arguments: &Value,
    ) -> Result<String, Failure> {
        if is_simple_template(source) && json_bytes(arguments) <= ARGUMENTS_AT_ONCE {
            return Template::new(source, escape)?.render(arguments);
        }
        let job = Job::Request {
            source: Cow::Borrowed(source),
            escape,
            arguments: Cow::Borrowed(arguments),
        };
        text(self.run(&who.tenant, job).await?)
    }

    /// Evaluates an arithmetic expression.
    ///
    /// # Errors With the problem.
    pub async fn calculate(&self, who: &Principal, expression: &str) -> Result<String, Failure> {
        let expression = Cow::Borrowed(expression);
        let job = Job::Calculate { expression };
        text(self.run(&who.tenant, job).await?)
    }
}

/// Uses a stack of its own, as a worker does: some jobs recurse.
#[cfg(any(test, feature = "in-process"))]
#[allow(clippy::unwrap_used, reason = "compiled for tests alone")]
fn on_a_stack_of_its_own(job: &Job<'_>) -> Reply {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(64 << 20);
        let done = thread.spawn_scoped(scope, || {
            super::performer::Performer::default().perform(job)
        });
        done.unwrap().join().unwrap()
    })
}

/// The tenant of a job; tenants share the workers fairly.
#[derive(Debug, Clone, Copy)]
pub enum Whom<'a> {
    /// The server itself: its settings, its agent files, its tool servers.
    Server,
    /// A caller.
    Caller(&'a Principal),
}

impl<'a> Whom<'a> {
    fn tenant(self) -> &'a str {
        match self {
            Self::Server => SERVER,
            Self::Caller(who) => &who.tenant,
        }
    }
}

impl<'a> From<&'a Principal> for Whom<'a> {
    fn from(who: &'a Principal) -> Self {
        Self::Caller(who)
    }
}

fn text(reply: Reply) -> Result<String, Failure> {
    match reply {
        Reply::Text(text) => Ok(text),
        other => Err(unexpected(&other)),
    }
}

fn unexpected(reply: &Reply) -> Failure {
    Failure::Unavailable(format!("a worker's reply is of another job: {reply:?}"))
}
