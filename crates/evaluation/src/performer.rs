//! Execution of jobs, in a worker.

use std::collections::HashMap;
use std::rc::Rc;

use jsonschema::Validator;
use serde_json::Value;

use super::instructions::Values;
use super::job::{Job, Reply};
use super::request::Template;
use super::{Failure, calculation, expression, instructions, lenient_schema, schema};

/// The maximum number of cached compiled schemas, and the maximum bytes of their sources.
const SCHEMAS: usize = 64;
const SCHEMAS_BYTES: usize = 1 << 20;

/// Executes jobs sequentially, and caches compiled schemas.
#[derive(Debug, Default)]
pub(super) struct Performer {
    schemas: HashMap<String, Rc<Validator>>,
    bytes: usize,
}

impl Performer {
    /// Executes a job.
    pub(super) fn perform(&mut self, job: &Job<'_>) -> Reply {
        match job {
            Job::CheckSchema { schema } => Reply::of(self.compiled(schema), |_| Reply::Done),
            Job::MendSchema { schema } => match self.compiled(schema) {
                Ok(_) => Reply::Done,
                Err(_) => Reply::Schema(lenient_schema::compile_lenient(schema).0),
            },
            Job::Validate {
                schema,
                value,
                name,
            } => {
                let compiled = self.compiled(schema);
                let valid = compiled.and_then(|schema| schema::validate(&schema, value, name));
                Reply::of(valid, |()| Reply::Done)
            }
            Job::CheckInstructions { template } => {
                Reply::of(instructions::check(template), |()| Reply::Done)
            }
            Job::Variables { template } => Reply::Names(instructions::paths_of(template)),
            Job::Instructions {
                template,
                owner,
                date,
                variables,
            } => {
                let values = Values {
                    owner,
                    date,
                    variables,
                };
                Reply::of(instructions::instructions(template, values), Reply::Text)
            }
            Job::CheckExpression { text } => Reply::of(expression::check(text), |()| Reply::Done),
            Job::Expression { text, arguments } => {
                Reply::of(expression::holds(text, arguments), Reply::Bool)
            }
            Job::CheckRequest { source, escape } => {
                Reply::of(Template::new(source, *escape), |_| Reply::Done)
            }
            Job::Request {
                source,
                escape,
                arguments,
            } => {
                let template = Template::new(source, *escape);
                let rendered = template.and_then(|template| template.render(arguments));
                Reply::of(rendered, Reply::Text)
            }
            Job::Calculate { expression } => {
                Reply::of(calculation::calculate(expression), Reply::Text)
            }
        }
    }

    fn compiled(&mut self, schema: &Value) -> Result<Rc<Validator>, Failure> {
        let source = schema.to_string();
        if let Some(known) = self.schemas.get(&source) {
            return Ok(Rc::clone(known));
        }
        let compiled = Rc::new(schema::compile(schema)?);
        if self.schemas.len() >= SCHEMAS || self.bytes + source.len() > SCHEMAS_BYTES {
            self.schemas.clear();
            self.bytes = 0;
        }
        self.bytes += source.len();
        self.schemas.insert(source, Rc::clone(&compiled));
        Ok(compiled)
    }
}
