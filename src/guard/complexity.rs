//! Complexity: the number of fields, each multiplied by the sizes of the pages around it. A field
//! of unbounded size counts as several.

use std::collections::HashMap;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet, TypeKind,
    TypeSystemDefinition,
};
use async_graphql::{Name, Value as ConstValue, Variables};
use async_graphql_value::Value;

use super::Names;

/// The fields that are pages or large, and the default size of a page.
#[derive(Debug, Clone)]
pub struct Pages {
    fields: Names,
    /// Fields whose values are unbounded.
    large: &'static [&'static str],
    default_size: u64,
    /// The maximum number of items of a page. A request for more is refused by its resolver, with
    /// the name of the argument.
    most: u64,
}

/// The arguments that determine the size of a page.
const SIZES: [&str; 2] = ["first", "last"];

/// The number of fields that a large one counts as.
const LARGE_WEIGHT: u64 = 5;

impl Pages {
    /// Finds the pages of a schema: its fields with an argument `first` or `last`.
    pub fn of(sdl: &str, default_size: u32, most: u32) -> Self {
        let mut fields = Names::new();
        // The server's own schema; without its pages, only sizes given in a document count.
        let definitions = parse_schema(sdl).map(|schema| schema.definitions);
        for definition in definitions.unwrap_or_default() {
            let TypeSystemDefinition::Type(definition) = definition else {
                continue;
            };
            let of_type = match definition.node.kind {
                TypeKind::Object(object) => object.fields,
                TypeKind::Interface(interface) => interface.fields,
                _ => continue,
            };
            for field in of_type {
                let mut arguments = field.node.arguments.iter();
                if arguments.any(|argument| SIZES.contains(&argument.node.name.node.as_str())) {
                    fields.insert(field.node.name.node.to_string());
                }
            }
        }
        Self {
            fields,
            large: &[],
            default_size: u64::from(default_size),
            most: u64::from(most),
        }
    }

    /// Counts leaf fields with these names as large.
    #[must_use]
    pub fn with_large(self, large: &'static [&'static str]) -> Self {
        Self { large, ..self }
    }

    /// Returns true if a document has pages or lists of arguments.
    pub(super) fn are_in(&self, document: &ExecutableDocument) -> bool {
        let operations = document.operations.iter();
        let mut operations = operations.map(|(_, operation)| &operation.node.selection_set.node);
        let mut fragments = document.fragments.values();
        operations.any(|selections| self.are_within(selections))
            || fragments.any(|fragment| self.are_within(&fragment.node.selection_set.node))
    }

    fn are_within(&self, selections: &SelectionSet) -> bool {
        selections.items.iter().any(|item| match &item.node {
            Selection::Field(field) => {
                let field = &field.node;
                self.fields.contains(field.name.node.as_str())
                    || !field.arguments.is_empty()
                    || self.are_within(&field.selection_set.node)
            }
            Selection::InlineFragment(fragment) => {
                self.are_within(&fragment.node.selection_set.node)
            }
            Selection::FragmentSpread(_) => false,
        })
    }

    /// Computes the complexity of an operation. The document must be measured before: it has no
    /// cycles and nests within limits.
    pub(super) fn complexity(
        &self,
        document: &ExecutableDocument,
        operation: &OperationDefinition,
        variables: &Variables,
    ) -> u64 {
        let mut walk = Walk {
            pages: self,
            document,
            operation,
            variables,
            fragments: HashMap::new(),
        };
        walk.selections(&operation.selection_set.node)
    }
}

struct Walk<'a> {
    pages: &'a Pages,
    document: &'a ExecutableDocument,
    operation: &'a OperationDefinition,
    variables: &'a Variables,
    fragments: HashMap<&'a str, u64>,
}

impl<'a> Walk<'a> {
    fn selections(&mut self, selections: &'a SelectionSet) -> u64 {
        let mut all = 0_u64;
        for item in &selections.items {
            let one = match &item.node {
                Selection::Field(field) => {
                    let inside = self.selections(&field.node.selection_set.node);
                    let times = self.times(&field.node);
                    inside
                        .saturating_mul(times)
                        .saturating_add(self.weight(&field.node))
                }
                Selection::InlineFragment(fragment) => {
                    self.selections(&fragment.node.selection_set.node)
                }
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node),
            };
            all = all.saturating_add(one);
        }
        all
    }

    fn fragment(&mut self, name: &str) -> u64 {
        let Some((name, fragment)) = self.document.fragments.get_key_value(name) else {
            return 0;
        };
        if let Some(known) = self.fragments.get(name.as_str()) {
            return *known;
        }
        let complexity = self.selections(&fragment.node.selection_set.node);
        self.fragments.insert(name, complexity);
        complexity
    }

    /// Returns the weight of one field. A field with a selection is not a text.
    fn weight(&self, field: &Field) -> u64 {
        let is_leaf = field.selection_set.node.items.is_empty();
        match is_leaf && self.pages.large.contains(&field.name.node.as_str()) {
            true => LARGE_WEIGHT,
            false => 1,
        }
    }

    /// Returns the number of times that a field's selection may be resolved: once for each item of
    /// a page, or of the longest list among its arguments.
    fn times(&self, field: &Field) -> u64 {
        let mut size = None;
        let mut longest = 1;
        for (name, value) in &field.arguments {
            match self.value(&value.node) {
                Some(Given::Number(number)) if SIZES.contains(&name.node.as_str()) => {
                    size = Some(size.unwrap_or(0).max(number));
                }
                Some(Given::Items(items)) => longest = longest.max(items),
                _ => {}
            }
        }
        let is_page = self.pages.fields.contains(field.name.node.as_str());
        let default = if is_page { self.pages.default_size } else { 1 };
        size.unwrap_or(default).max(longest).min(self.pages.most)
    }

    fn value(&self, value: &'a Value) -> Option<Given> {
        match value {
            Value::Variable(name) => self.variable(name).and_then(Given::of),
            Value::Number(number) => number.as_u64().map(Given::Number),
            Value::List(items) => Some(Given::Items(items.len() as u64)),
            _ => None,
        }
    }

    fn variable(&self, name: &Name) -> Option<&ConstValue> {
        self.variables.get(name).or_else(|| {
            let mut definitions = self.operation.variable_definitions.iter();
            let defined = definitions.find(|definition| definition.node.name.node == *name)?;
            let default = defined.node.default_value.as_ref()?;
            Some(&default.node)
        })
    }
}

/// The size that an argument gives.
enum Given {
    Number(u64),
    Items(u64),
}

impl Given {
    fn of(value: &ConstValue) -> Option<Self> {
        match value {
            ConstValue::Number(number) => number.as_u64().map(Self::Number),
            ConstValue::List(items) => Some(Self::Items(items.len() as u64)),
            _ => None,
        }
    }
}
