//! A budget of bytes for one response, counted while it is built.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_graphql::{Context, PathSegment, Response, ServerError, Value};

use super::{ApiError, Code};

/// The overhead of a list item in bytes, in addition to its texts.
const ITEM_BYTES: usize = 64;

/// The budget of bytes of one response; in a subscription, of each event. Resolvers charge each
/// text before they copy it, so that memory stays near the limit for every query.
#[derive(Debug, Clone)]
pub(crate) struct ResponseBytes {
    most: usize,
    used: Arc<AtomicUsize>,
}

impl ResponseBytes {
    /// Creates a budget of `most` bytes.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            used: Arc::default(),
        }
    }

    /// Counts bytes that are about to become part of the response.
    ///
    /// # Errors
    ///
    /// Fails if they exceed the rest of the budget. Each later charge fails too, until the response
    /// is settled.
    pub(crate) fn charge(&self, bytes: usize) -> Result<(), ApiError> {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        match before.saturating_add(bytes) > self.most {
            true => Err(ApiError::new(Code::LimitExceeded, self.exceeded())),
            false => Ok(()),
        }
    }

    /// Returns the bytes charged so far.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Reverts the charges since `before`, for values that are resolved again. An exceeded budget
    /// stays exceeded.
    pub(crate) fn refund_to(&self, before: usize) {
        if self.used() <= self.most {
            self.used.store(before, Ordering::Relaxed);
        }
    }

    /// Replaces a response that is too large with one error and resets the budget. As the last
    /// check, it also counts values that no resolver charged.
    pub(crate) fn enforce_limit(&self, response: &mut Response) {
        let used = self.used.swap(0, Ordering::Relaxed);
        let mut left = self.most;
        if used <= self.most && take(&response.data, &mut left) {
            return;
        }
        let mut error = ServerError::new(self.exceeded(), None);
        error.path = self.place(response);
        let extensions = error.extensions.get_or_insert_default();
        extensions.set("code", Code::LimitExceeded.as_str());
        extensions.set("limit", self.most);
        response.data = Value::Null;
        response.errors = vec![error];
    }

    /// Returns the path of the field that exceeded the budget; the first one if unknown.
    fn place(&self, response: &mut Response) -> Vec<PathSegment> {
        let exceeded = self.exceeded();
        let of_field = response
            .errors
            .iter_mut()
            .find(|error| error.message == exceeded && !error.path.is_empty());
        match (of_field, &response.data) {
            (Some(error), _) => std::mem::take(&mut error.path),
            (None, Value::Object(fields)) => {
                let first = fields.keys().next();
                first
                    .map(|name| PathSegment::Field(name.to_string()))
                    .into_iter()
                    .collect()
            }
            (None, _) => Vec::new(),
        }
    }

    fn exceeded(&self) -> String {
        format!(
            "the response is larger than {} bytes (limits.response_bytes): select fewer texts or \
             smaller pages; changes that a mutation has made stay",
            self.most
        )
    }
}

/// Charges bytes to the request's response.
pub(crate) fn charge(ctx: &Context<'_>, bytes: usize) -> Result<(), ApiError> {
    let budget = ctx.data_opt::<ResponseBytes>();
    budget.map_or(Ok(()), |budget| budget.charge(bytes))
}

/// Charges the items of a list that is not a page.
pub(crate) fn charge_items(ctx: &Context<'_>, items: usize) -> Result<(), ApiError> {
    charge(ctx, items.saturating_mul(ITEM_BYTES))
}

/// Subtracts the size of a value as JSON; false if it exceeds the rest.
fn take(value: &Value, left: &mut usize) -> bool {
    match value {
        Value::String(text) => spend(left, quoted(text)),
        Value::Enum(name) => spend(left, name.len() + 2),
        Value::List(items) => {
            spend(left, items.len() + 2) && items.iter().all(|item| take(item, left))
        }
        Value::Object(fields) => {
            spend(left, 2)
                && fields
                    .iter()
                    .all(|(name, value)| spend(left, name.len() + 4) && take(value, left))
        }
        Value::Binary(bytes) => spend(left, bytes.len().saturating_mul(4)),
        Value::Number(_) | Value::Boolean(_) | Value::Null => spend(left, 4),
    }
}

fn spend(left: &mut usize, bytes: usize) -> bool {
    match left.checked_sub(bytes) {
        Some(rest) => {
            *left = rest;
            true
        }
        None => false,
    }
}

/// Returns the maximum size of a text as JSON: an escaped control character takes six bytes.
fn quoted(text: &str) -> usize {
    let signs = text.bytes().filter(|byte| matches!(byte, b'"' | b'\\'));
    let controls = text.bytes().filter(|byte| *byte < b' ');
    text.len() + 2 + signs.count() + controls.count() * 5
}

#[cfg(test)]
mod tests {
    use async_graphql::{Response, Value};
    use proptest::prelude::*;
    use serde_json::json;

    use super::{ResponseBytes, take};

    fn taken(value: &Value) -> usize {
        let mut left = usize::MAX;
        assert!(take(value, &mut left));
        usize::MAX - left
    }

    proptest! {
        /// Checks that no text is counted as less than its size.
        #[test]
        fn texts_are_counted_as_they_are_written(texts in proptest::collection::vec(any::<String>(), 0..8)) {
            let value = Value::from_json(json!({ "texts": texts })).unwrap();
            let written = serde_json::to_string(&value).unwrap().len();
            prop_assert!(taken(&value) >= written, "{} < {written}", taken(&value));
        }
    }

    #[test]
    fn exceeded_budget_stays_exceeded_until_it_is_settled() {
        let budget = ResponseBytes::new(10);
        budget.charge(10).unwrap();
        budget.charge(1).unwrap_err();
        budget.refund_to(0);
        budget.charge(0).unwrap_err();
        let mut response = Response::new(Value::Null);
        budget.enforce_limit(&mut response);
        assert_eq!(response.errors.len(), 1);
        budget.charge(10).unwrap();
    }
}
