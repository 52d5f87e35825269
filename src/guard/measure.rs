//! Measurements with fragments expanded. Each fragment is measured once, so that a document of a
//! few hundred bytes that expands to billions of fields is counted in microseconds.

use std::collections::HashMap;

use async_graphql::Positioned;
use async_graphql::parser::types::{
    Directive, ExecutableDocument, OperationDefinition, Selection, SelectionSet,
};

use super::{GuardError, GuardLimits};

/// The size of a part of a document, with fragments expanded. Sums saturate instead of overflowing:
/// they are only compared with limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) fields: usize,
    pub(crate) root_fields: usize,
    pub(crate) depth: usize,
    pub(crate) aliases: usize,
    pub(crate) directives: usize,
    /// Nested selection sets, including those of fragments: the recursion depth of a walk over the
    /// document.
    levels: usize,
    /// Nested lists of the introspection schema.
    introspection_lists: usize,
}

/// The lists of introspection that lead to types, and from those to lists again: each level
/// multiplies the size of the response by that of the schema.
const INTROSPECTION_LISTS: [&str; 4] = ["fields", "inputFields", "interfaces", "possibleTypes"];

/// The maximum nesting of them; no tool needs more than one.
const MOST_INTROSPECTION_LISTS: usize = 2;

/// Measures a document and refuses it if any part exceeds a limit, used by an operation or not:
/// validation walks unused fragments too.
pub(super) fn check(
    document: &ExecutableDocument,
    limits: &GuardLimits,
) -> Result<Measured, GuardError> {
    let mut measure = Measure {
        document,
        most_levels: limits.query_nesting,
        fragments: HashMap::with_capacity(document.fragments.len()),
    };
    let mut whole = Measured::default();
    for (_, operation) in document.operations.iter() {
        let operation = measure.operation(&operation.node)?;
        // Validation walks every operation, so their sizes add up.
        whole.fields = whole.fields.saturating_add(operation.fields);
        whole.aliases = whole.aliases.saturating_add(operation.aliases);
        whole.directives = whole.directives.saturating_add(operation.directives);
        whole.root_fields = whole.root_fields.max(operation.root_fields);
        whole.depth = whole.depth.max(operation.depth);
    }
    compare(&whole, limits)?;
    for name in document.fragments.keys() {
        compare(&measure.fragment(name, 0)?, limits)?;
    }
    Ok(whole)
}

fn compare(measured: &Measured, limits: &GuardLimits) -> Result<(), GuardError> {
    for (what, count, most) in [
        ("fields", measured.fields, limits.query_fields),
        ("levels of fields", measured.depth, limits.query_depth),
        ("aliases", measured.aliases, limits.query_aliases),
        ("directives", measured.directives, limits.query_directives),
        (
            "root fields",
            measured.root_fields,
            limits.query_root_fields,
        ),
    ] {
        if count > most {
            return Err(GuardError::limit_exceeded(what, most));
        }
    }
    Ok(())
}

struct Measure<'a> {
    document: &'a ExecutableDocument,
    most_levels: usize,
    /// None while it is being measured.
    fragments: HashMap<&'a str, Option<Measured>>,
}

impl<'a> Measure<'a> {
    fn operation(&mut self, operation: &'a OperationDefinition) -> Result<Measured, GuardError> {
        let mut measured = self.selections(&operation.selection_set.node, 1)?;
        let on_variables = operation.variable_definitions.iter();
        let on_variables = on_variables.map(|variable| variable.node.directives.len());
        measured.directives = measured
            .directives
            .saturating_add(operation.directives.len() + on_variables.sum::<usize>());
        Ok(measured)
    }

    fn selections(
        &mut self,
        selections: &'a SelectionSet,
        level: usize,
    ) -> Result<Measured, GuardError> {
        if selections.items.is_empty() {
            return Ok(Measured::default());
        }
        if level > self.most_levels {
            return Err(GuardError::limit_exceeded(
                "levels of nesting",
                self.most_levels,
            ));
        }
        let mut all = Measured::default();
        for selection in &selections.items {
            match &selection.node {
                Selection::Field(field) => {
                    let inside = self.selections(&field.node.selection_set.node, level + 1)?;
                    let name = field.node.name.node.as_str();
                    if ["__schema", "__type"].contains(&name)
                        && inside.introspection_lists > MOST_INTROSPECTION_LISTS
                    {
                        let most = MOST_INTROSPECTION_LISTS;
                        return Err(GuardError::limit_exceeded(
                            "lists inside lists of introspection",
                            most,
                        ));
                    }
                    all.add_directives(&field.node.directives);
                    all.add_field(&inside, name, field.node.alias.is_some());
                }
                Selection::InlineFragment(fragment) => {
                    let inside = self.selections(&fragment.node.selection_set.node, level + 1)?;
                    all.add_directives(&fragment.node.directives);
                    all.add(&inside);
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    let inside = self.fragment(name, level)?;
                    all.add_directives(&spread.node.directives);
                    all.add(&inside);
                }
            }
        }
        all.levels += 1;
        Ok(all)
    }

    fn fragment(&mut self, name: &str, level: usize) -> Result<Measured, GuardError> {
        // Validation reports an unknown fragment.
        let Some((name, fragment)) = self.document.fragments.get_key_value(name) else {
            return Ok(Measured::default());
        };
        let measured = match self.fragments.get(name.as_str()) {
            Some(Some(known)) => *known,
            Some(None) => {
                return Err(GuardError::Cycle {
                    fragment: name.to_string(),
                });
            }
            None => {
                self.fragments.insert(name, None);
                let fragment = &fragment.node;
                let mut measured = self.selections(&fragment.selection_set.node, level + 1)?;
                measured.add_directives(&fragment.directives);
                self.fragments.insert(name, Some(measured));
                measured
            }
        };
        if level + measured.levels > self.most_levels {
            return Err(GuardError::limit_exceeded(
                "levels of nesting",
                self.most_levels,
            ));
        }
        Ok(measured)
    }
}

impl Measured {
    /// Adds the size of a fragment.
    fn add(&mut self, inside: &Self) {
        self.fields = self.fields.saturating_add(inside.fields);
        self.root_fields = self.root_fields.saturating_add(inside.root_fields);
        self.aliases = self.aliases.saturating_add(inside.aliases);
        self.directives = self.directives.saturating_add(inside.directives);
        self.depth = self.depth.max(inside.depth);
        self.levels = self.levels.max(inside.levels);
        self.introspection_lists = self.introspection_lists.max(inside.introspection_lists);
    }

    /// Adds a field with its selection.
    fn add_field(&mut self, inside: &Self, name: &str, has_alias: bool) {
        let is_list = INTROSPECTION_LISTS.contains(&name);
        let field = Self {
            fields: inside.fields.saturating_add(1),
            root_fields: 1,
            aliases: inside.aliases.saturating_add(usize::from(has_alias)),
            depth: inside.depth + 1,
            introspection_lists: inside.introspection_lists + usize::from(is_list),
            ..*inside
        };
        self.add(&field);
    }

    fn add_directives(&mut self, directives: &[Positioned<Directive>]) {
        self.directives = self.directives.saturating_add(directives.len());
    }
}
