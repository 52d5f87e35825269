//! Expressions over the arguments of a call.

use std::sync::LazyLock;

use minijinja::value::Serde;
use minijinja::{Environment, Expression, UndefinedBehavior, context};
use serde_json::Value;

use super::Failure;

/// The limit on an expression's run time: it is configuration, not a program.
const EXPRESSION_FUEL: u64 = 20_000;

static EXPRESSIONS: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    // A misspelt name must not silently mean false.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(EXPRESSION_FUEL));
    environment
});

/// Checks that an expression uses nothing but `args`.
pub(super) fn check(text: &str) -> Result<(), Failure> {
    let mut unknown = compile(text)?.undeclared_variables(false);
    unknown.remove("args");
    match unknown.iter().min() {
        Some(name) => Err(Failure::Wrong(format!("{name:?} is not args"))),
        None => Ok(()),
    }
}

/// Returns true if the expression is true for these arguments.
pub(super) fn holds(text: &str, arguments: &Value) -> Result<bool, Failure> {
    let value = compile(text)?.eval(context! { args => Serde(arguments) });
    match value {
        Ok(value) => Ok(value.is_true()),
        Err(error) => Err(Failure::Wrong(format!("{error:#}"))),
    }
}

fn compile(text: &str) -> Result<Expression<'static, 'static>, Failure> {
    let compiled = EXPRESSIONS.compile_expression_owned(text.to_owned());
    compiled.map_err(|error| Failure::Wrong(format!("{error:#}")))
}
