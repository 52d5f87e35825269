//! `$ref`, within the document.

use serde_json::{Map, Value};

/// The maximum number of references in a chain.
const HOPS: usize = 16;

/// The maximum number of values that are searched for an anchor.
const ANCHOR_VALUES: usize = 10_000;

/// The keywords that refer to another schema.
const KEYWORDS: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];

/// Returns true for a keyword that refers to another schema.
pub(super) fn is_reference(keyword: &str) -> bool {
    KEYWORDS.contains(&keyword)
}

/// The reference of a schema.
pub(super) fn reference_of(schema: &Map<String, Value>) -> Option<&str> {
    let mut references = KEYWORDS.iter().filter_map(|keyword| schema.get(*keyword));
    references.next()?.as_str()
}

/// The target of a reference, through schemas that are only a reference; none if it is outside of
/// the document, or refers to itself.
pub(super) fn resolve<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let mut target = lookup(root, reference)?;
    for _ in 0..HOPS {
        let next = match target {
            Value::Object(fields) if fields.len() == 1 => reference_of(fields),
            _ => None,
        };
        match next {
            Some(next) => target = lookup(root, next)?,
            None => return Some(target),
        }
    }
    None
}

fn lookup<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let own = ["$id", "id"]
        .into_iter()
        .filter_map(|id| root.get(id)?.as_str());
    let mut own = own.map(|id| id.trim_end_matches('#'));
    let fragment = match reference.split_once('#') {
        Some((document, fragment)) if document.is_empty() || own.any(|id| id == document) => {
            fragment
        }
        None if own.any(|id| id == reference) => "",
        _ => return None,
    };
    match fragment {
        "" => Some(root),
        pointer if pointer.starts_with('/') => root.pointer(pointer),
        name => anchored(root, name),
    }
}

/// The schema with an anchor, found breadth-first.
fn anchored<'a>(root: &'a Value, name: &str) -> Option<&'a Value> {
    let mut open = vec![root];
    let mut at = 0;
    while let Some(value) = open.get(at).copied().filter(|_| at < ANCHOR_VALUES) {
        at += 1;
        match value {
            Value::Object(fields) => {
                let is = |keyword: &str| fields.get(keyword).and_then(Value::as_str) == Some(name);
                if is("$anchor") || is("$dynamicAnchor") {
                    return Some(value);
                }
                open.extend(fields.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    None
}

/// A name for a definition: the valid part of the last segment of its reference.
pub(super) fn name_of(reference: &str) -> String {
    let last = reference.rsplit(['/', '#']).next().unwrap_or_default();
    let allowed = |one: &char| one.is_ascii_alphanumeric() || matches!(one, '_' | '-');
    let name: String = last.chars().filter(allowed).take(40).collect();
    match name.is_empty() {
        true => "root".to_owned(),
        false => name,
    }
}
