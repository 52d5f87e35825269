//! Traversal and reduction of a schema.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::merge::join;
use super::object::reduced_object;
use super::references::{is_reference, name_of, reference_of, resolve};
use super::rules::{References, Rules, Types};
use super::values::{is_about, types_of};
use super::words::{Words, is_silent};

/// The maximum depth of a schema; deeper ones become open values.
const DEPTH: usize = 48;

/// The maximum number of schemas in a copy, and of inlined schemas in units of 64 bytes: a
/// definition may be referenced everywhere.
const NODES: usize = 6_000;
const INLINED: usize = 1_000;
const UNIT_BYTES: usize = 64;

/// The maximum number of references that are followed to merge schemas.
const HOPS: usize = 16;

/// The maximum number of schemas in a union.
const BRANCHES: usize = 64;

/// Reduces the schemas of one document.
pub(super) struct Reducer<'a> {
    root: &'a Value,
    pub(super) rules: &'a Rules,
    /// The number of optional properties that may still become nullable.
    pub(super) nulls: usize,
    /// True once a constraint cannot be expressed.
    pub(super) misfit: bool,
    definitions: Map<String, Value>,
    /// The names of the definitions, by their references.
    names: BTreeMap<String, String>,
    /// The references that are being followed.
    path: Vec<String>,
    nodes: usize,
    inlined: usize,
}

impl<'a> Reducer<'a> {
    pub(super) fn new(root: &'a Value, rules: &'a Rules, nulls: usize) -> Self {
        Self {
            root,
            rules,
            nulls,
            misfit: false,
            definitions: Map::new(),
            names: BTreeMap::new(),
            path: vec!["#".to_owned()],
            nodes: 0,
            inlined: 0,
        }
    }

    /// Adds the definitions. Returns true if all constraints were expressed.
    pub(super) fn finish(self, schema: &mut Value) -> bool {
        if let (false, Value::Object(fields)) = (self.definitions.is_empty(), schema) {
            fields.insert("$defs".to_owned(), self.definitions.into());
        }
        !self.misfit
    }

    /// The copy of a schema.
    pub(super) fn schema(&mut self, schema: &Value, depth: usize) -> Value {
        self.nodes += 1;
        match schema {
            Value::Object(fields) if depth < DEPTH && self.nodes < NODES => {
                match reference_of(fields) {
                    Some(reference) => self.reference(fields, reference, depth),
                    None => self.object(fields, depth),
                }
            }
            Value::Object(_) => self.open(Some(schema)),
            _ => self.open(None),
        }
    }

    /// Counts an inlined schema.
    fn charge(&mut self, schema: &Value) {
        self.inlined += 1 + schema.to_string().len() / UNIT_BYTES;
    }

    /// An open value, described only in its description.
    fn open(&mut self, schema: Option<&Value>) -> Value {
        self.misfit |= self.rules.closed;
        let mut fields = Map::new();
        if let Some(Value::Object(schema)) = schema {
            if types_of(schema) == ["object"] {
                fields.insert("type".to_owned(), "object".into());
            }
            if let Some(description) = schema.get("description").filter(|one| one.is_string()) {
                fields.insert("description".to_owned(), description.clone());
            }
            let mut words = Words::default();
            for (keyword, value) in schema {
                words.add(keyword, value);
            }
            words.write(&mut fields);
        }
        Value::Object(fields)
    }

    fn reference(&mut self, fields: &Map<String, Value>, reference: &str, depth: usize) -> Value {
        let Some(target) = resolve(self.root, reference) else {
            return self.open(Some(&Value::Object(fields.clone())));
        };
        let is_cycle = self.path.iter().any(|one| one == reference);
        let says_more = fields
            .keys()
            .any(|one| !is_reference(one) && !is_silent(one));
        let (keeps, wants) = match self.rules.references {
            References::Kept | References::KeptWithoutCycles => (true, says_more),
            References::InlinedOrKept => (true, true),
            References::Inlined => (false, true),
        };
        if wants && !is_cycle && self.inlined < INLINED {
            self.charge(target);
            let mut words = Words::default();
            let whole = self.with_target(fields, target, &mut words);
            self.path.push(reference.to_owned());
            let mut reduced = self.object(&whole, depth);
            self.path.pop();
            if let Value::Object(fields) = &mut reduced {
                words.write(fields);
            }
            return reduced;
        }
        if !keeps {
            return self.open(Some(target));
        }
        self.misfit |= is_cycle && self.rules.references == References::KeptWithoutCycles;
        self.kept(reference, target, depth)
    }

    /// A reference to a definition, which is reduced once.
    fn kept(&mut self, reference: &str, target: &Value, depth: usize) -> Value {
        let name = match self.names.get(reference) {
            Some(name) => name.clone(),
            None => {
                let mut name = name_of(reference);
                while self.names.values().any(|taken| *taken == name) {
                    name.push('_');
                }
                self.names.insert(reference.to_owned(), name.clone());
                self.path.push(reference.to_owned());
                let reduced = self.schema(target, depth + 1);
                self.path.pop();
                self.definitions.insert(name.clone(), reduced);
                name
            }
        };
        json!({ "$ref": format!("#/$defs/{name}") })
    }

    /// The target of a schema's reference.
    pub(super) fn target_of(&self, fields: &Map<String, Value>) -> Option<&'a Value> {
        resolve(self.root, reference_of(fields)?)
    }

    fn with_target(
        &self,
        fields: &Map<String, Value>,
        target: &Value,
        words: &mut Words,
    ) -> Map<String, Value> {
        let mut whole: Map<_, _> = fields.clone();
        whole.retain(|keyword, _| !is_reference(keyword));
        if let Value::Object(target) = target {
            join(&mut whole, target, words);
        }
        whole
    }

    /// A schema merged with its reference and all of its `allOf`, within the limits.
    pub(super) fn resolved(&mut self, schema: &Value) -> Map<String, Value> {
        let mut words = Words::default();
        let mut whole = match schema {
            Value::Object(fields) => self.flat(fields, &mut words, &mut Vec::new()),
            _ => Map::new(),
        };
        words.write(&mut whole);
        whole
    }

    /// The same as [`Self::resolved`]. A recursive schema is not merged with itself again:
    /// `followed` has the references on the way.
    fn flat(
        &mut self,
        fields: &Map<String, Value>,
        words: &mut Words,
        followed: &mut Vec<String>,
    ) -> Map<String, Value> {
        let mut whole = fields.clone();
        whole.retain(|keyword, _| !is_reference(keyword));
        let parts = whole.shift_remove("allOf");
        let goes_on = followed.len() < HOPS && self.inlined <= INLINED;
        if let Some(reference) = reference_of(fields).filter(|_| goes_on) {
            let is_new = |path: &[String]| path.iter().all(|one| one != reference);
            let target = resolve(self.root, reference);
            match target.and_then(Value::as_object) {
                Some(fields) if is_new(&self.path) && is_new(followed) => {
                    target.into_iter().for_each(|target| self.charge(target));
                    followed.push(reference.to_owned());
                    let fields = self.flat(fields, words, followed);
                    join(&mut whole, &fields, words);
                }
                _ => words.add("$ref", &reference.into()),
            }
        }
        if let Some(Value::Array(parts)) = parts.filter(|_| goes_on) {
            for part in parts.iter().filter_map(Value::as_object) {
                self.inlined += 1;
                let part = self.flat(part, words, followed);
                join(&mut whole, &part, words);
            }
        }
        whole
    }

    /// The copy of a schema with `allOf`.
    fn joined(&mut self, fields: &Map<String, Value>, depth: usize) -> Value {
        // A common way to add keywords next to a reference.
        if let Some(Value::Array(parts)) = fields.get("allOf")
            && let [Value::Object(part)] = parts.as_slice()
            && part.len() == 1
            && let Some(reference) = reference_of(part)
        {
            let mut whole = fields.clone();
            whole.shift_remove("allOf");
            return self.reference(&whole, reference, depth);
        }
        let (mut words, mut followed) = (Words::default(), Vec::new());
        let flat = self.flat(fields, &mut words, &mut followed);
        let before = self.path.len();
        self.path.append(&mut followed);
        let mut reduced = self.object(&flat, depth);
        self.path.truncate(before);
        if let Value::Object(fields) = &mut reduced {
            words.write(fields);
        }
        reduced
    }

    /// The copy of a schema without references.
    pub(super) fn object(&mut self, fields: &Map<String, Value>, depth: usize) -> Value {
        if reference_of(fields).is_some() && depth < DEPTH {
            return self.schema(&Value::Object(fields.clone()), depth + 1);
        }
        if fields.contains_key("allOf") {
            return self.joined(fields, depth + 1);
        }
        for keyword in ["anyOf", "oneOf"] {
            match fields.get(keyword) {
                Some(Value::Array(branches)) if !branches.is_empty() => {
                    return self.union(fields, keyword, branches, depth);
                }
                _ => {}
            }
        }
        let types = types_of(fields);
        let is_one = types.len() < 2;
        let with_null = types.len() == 2 && types.contains(&"null");
        let is_nested = types.contains(&"object") || types.contains(&"array");
        let fits = match self.rules.types {
            Types::List => true,
            Types::NullInList => with_null,
            Types::NullInListOfScalars => with_null && !is_nested && !fields.contains_key("enum"),
        };
        match is_one || fits {
            true => reduced_object(self, fields, &types, depth),
            false => self.split(fields, &types, depth),
        }
    }

    /// Splits a schema of several types into one for each of them.
    fn split(&mut self, fields: &Map<String, Value>, types: &[&str], depth: usize) -> Value {
        let branches = types.iter().map(|kind| {
            let mut branch = fields.clone();
            branch.retain(|keyword, _| is_about(keyword, kind) && !is_annotation(keyword));
            branch.shift_remove("nullable");
            if let Some(Value::Array(values)) = branch.get_mut("enum") {
                let is = |value: &Value| types_of(&singleton(value)).contains(kind);
                values.retain(|value| is(value) || *kind == "number" && value.is_number());
            }
            if *kind == "null" {
                branch.retain(|keyword, _| keyword == "type");
            }
            branch.insert("type".to_owned(), (*kind).into());
            Value::Object(branch)
        });
        let branches: Vec<_> = branches.collect();
        let mut outer = fields.clone();
        outer.retain(|keyword, _| is_annotation(keyword));
        self.union(&outer, "anyOf", &branches, depth)
    }

    fn union(
        &mut self,
        fields: &Map<String, Value>,
        keyword: &str,
        branches: &[Value],
        depth: usize,
    ) -> Value {
        let mut words = Words::default();
        let mut base = fields.clone();
        base.retain(|name, _| name != keyword && !is_annotation(name) && !is_silent(name));
        let has_base = !base.is_empty();
        if has_base {
            // Each branch contains all of it.
            let bytes = Value::Object(base.clone()).to_string().len();
            self.inlined += bytes / UNIT_BYTES * branches.len().saturating_sub(1);
        }
        let only_restricts = |branch: &Value| match branch {
            Value::Object(fields) => fields.keys().all(|name| is_restriction(name)),
            _ => true,
        };
        let too_many = branches.len() > BRANCHES
            || self.nodes + branches.len() > NODES
            || has_base && self.inlined > INLINED;
        if has_base && branches.iter().all(only_restricts) || too_many {
            words.add(keyword, &Value::Array(branches.to_vec()));
            let mut rest = fields.clone();
            rest.shift_remove(keyword);
            let mut reduced = self.object(&rest, depth);
            if let Value::Object(fields) = &mut reduced {
                words.write(fields);
            }
            return reduced;
        }
        let mut variants: Vec<Value> = Vec::new();
        for branch in branches {
            let reduced = match has_base {
                true => {
                    let mut whole = base.clone();
                    join(&mut whole, &self.resolved(branch), &mut words);
                    self.nodes += whole.len();
                    self.schema(&Value::Object(whole), depth + 1)
                }
                false => self.schema(branch, depth + 1),
            };
            let inner = match &reduced {
                Value::Object(fields) if fields.len() == 1 => fields.get("anyOf"),
                _ => None,
            };
            let inner = inner.and_then(Value::as_array).cloned();
            for variant in inner.unwrap_or_else(|| vec![reduced]) {
                if !variants.contains(&variant) {
                    variants.push(variant);
                }
            }
        }
        let mut outer = fields.clone();
        outer.retain(|name, value| {
            matches!(name.as_str(), "description" | "title") && value.is_string()
        });
        match <[Value; 1]>::try_from(variants) {
            Ok([Value::Object(mut only)]) => {
                // A reference cannot have siblings.
                if !only.contains_key("$ref") {
                    only.extend(outer);
                }
                outer = only;
            }
            Ok([only]) => return only,
            Err(variants) => {
                outer.insert("anyOf".to_owned(), variants.into());
            }
        }
        if !outer.contains_key("$ref") {
            words.write(&mut outer);
        }
        Value::Object(outer)
    }
}

fn singleton(value: &Value) -> Map<String, Value> {
    Map::from_iter([("const".to_owned(), value.clone())])
}

/// Returns true for a keyword that describes a value without restricting it.
fn is_annotation(keyword: &str) -> bool {
    matches!(keyword, "description" | "title" | "default")
}

/// Returns true for a keyword that does not determine a value's form by itself.
fn is_restriction(keyword: &str) -> bool {
    matches!(
        keyword,
        "required"
            | "not"
            | "if"
            | "then"
            | "else"
            | "minProperties"
            | "maxProperties"
            | "dependentRequired"
            | "description"
            | "title"
    )
}
