//! Work whose cost is decided by input: JSON schemas, templates, expressions, calculations.
//!
//! A thread that computes cannot be stopped, and a stack overflow ends its process. Work whose
//! cost is linear in its bounded size is done at once; everything else goes to a worker, a
//! process of this program that does one job at a time, with a bounded stack, bounded memory and
//! a deadline, after which it is killed. A worker that dies fails its job and nothing else.

mod calculation;
mod evaluator;
mod expression;
mod failure;
mod frame;
mod instructions;
mod job;
mod lenient_schema;
mod limits;
mod linear_schema;
mod linear_template;
mod performer;
mod pool;
mod process;
mod queue;
mod request;
mod schema;
mod size;
mod worker;

pub use evaluator::{Evaluator, Whom};
pub use failure::Failure;
pub use instructions::data;
pub use instructions::uses_variables;
pub use job::Escape;
pub use limits::EvaluationLimits;
pub use schema::CheckedSchema;
pub use size::json_bytes;
pub use worker::serve;
