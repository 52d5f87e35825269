//! Checks of the variables of agents' instructions.

use serde_json::{Map, Value};

use crate::graphql::{ApiError, ApiLimits};

const FIELD: &str = "input.variables";

/// Checks that the variables are an object within its limits.
pub(super) fn check_variables(
    variables: Value,
    limits: &ApiLimits,
) -> Result<Map<String, Value>, ApiError> {
    let refused = |why: String| Err(ApiError::bad_input(FIELD, why));
    let depth = limits.variables_depth;
    if !is_within(&variables, depth) {
        return refused(format!("the variables nest deeper than {depth} levels"));
    }
    let Value::Object(variables) = variables else {
        return refused("the variables must be a JSON object".to_owned());
    };
    let text = serde_json::to_string(&variables).unwrap_or_default();
    if text.len() > limits.variables_bytes {
        let (bytes, most) = (text.len(), limits.variables_bytes);
        return refused(format!(
            "the variables have {bytes} bytes of JSON; at most {most} are allowed"
        ));
    }
    if text.contains("\\u0000") {
        return refused("the variables must not contain U+0000".to_owned());
    }
    Ok(variables)
}

fn is_within(value: &Value, depth: usize) -> bool {
    let Some(left) = depth.checked_sub(1) else {
        return !value.is_object() && !value.is_array();
    };
    match value {
        Value::Array(items) => items.iter().all(|item| is_within(item, left)),
        Value::Object(fields) => fields.values().all(|field| is_within(field, left)),
        _ => true,
    }
}
