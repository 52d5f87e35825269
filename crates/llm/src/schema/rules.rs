//! The form of a vendor's rules.

/// The keywords and forms that a vendor accepts in one part of its API.
///
/// `type`, `description`, `title`, `properties`, `required`, `items`, `enum` and `anyOf` are
/// accepted everywhere.
#[derive(Debug)]
pub(crate) struct Rules {
    /// Further accepted keywords. All others go into the description.
    pub(super) keywords: &'static [&'static str],
    /// The accepted values of `format`, if `format` is accepted.
    pub(super) formats: &'static [&'static str],
    /// True if every object must name all its properties (`additionalProperties: false`) and every
    /// value must have a type. An open object or value cannot be expressed then.
    pub(super) closed: bool,
    /// The form of an optional property.
    pub(super) optional: Optional,
    /// The use of `$ref`.
    pub(super) references: References,
    /// The form of several types.
    pub(super) types: Types,
    /// The values of `enum`.
    pub(super) values: Values,
    /// True if names of properties may only have letters, digits, `_`, `.` and `-`, 64 at most.
    pub(super) plain_names: bool,
    /// True if an object without properties needs an empty `properties`, and an array `items`.
    pub(super) spelled_out: bool,
    /// True if an answer must be an object, without combinators at the top.
    pub(super) object_at_top: bool,
    /// True if the names of properties are repeated, in their order, in `propertyOrdering`.
    pub(super) ordering: bool,
    /// The limits on the whole.
    pub(super) limits: Limits,
}

/// The form of an optional property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Optional {
    /// Missing from `required`.
    Absent,
    /// Required, and null for a missing one.
    Null,
    /// The same as `Null` before a required property, as far as the number of unions allows,
    /// because the vendor moves optional properties behind all others; the same as `Absent`
    /// elsewhere.
    NullBeforeRequired,
}

/// The use of `$ref`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum References {
    /// Kept, with definitions in `$defs`; recursive schemas too.
    Kept,
    /// Kept, but recursive schemas cannot be expressed.
    KeptWithoutCycles,
    /// Replaced by their targets as far as the size allows, and kept beyond.
    InlinedOrKept,
    /// Replaced by their targets; an open value beyond.
    Inlined,
}

/// The form of several types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Types {
    /// A list in `type`.
    List,
    /// A list of a type and null; `anyOf` for all others.
    NullInList,
    /// A list of a type of single values and null; `anyOf` for all others.
    NullInListOfScalars,
}

/// The values of `enum`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// Any.
    Any,
    /// No arrays and objects.
    Scalars,
    /// Strings alone, or numbers alone.
    TextsOrNumbers,
}

/// The limits on a schema as a whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Levels of objects and arrays inside each other.
    pub(super) depth: usize,
    /// Properties of all objects.
    pub(super) properties: usize,
    /// Properties that are not required.
    pub(super) optional: usize,
    /// Values with `anyOf` or a list of types.
    pub(super) unions: usize,
    /// Values of all enumerations.
    pub(super) enum_values: usize,
    /// Characters of the names of properties and definitions and of enumerated texts.
    pub(super) characters: usize,
}

impl Limits {
    /// The limits of a vendor that documents none.
    pub(super) const NONE: Self = Self {
        depth: usize::MAX,
        properties: usize::MAX,
        optional: usize::MAX,
        unions: usize::MAX,
        enum_values: usize::MAX,
        characters: usize::MAX,
    };
}

impl Rules {
    pub(super) fn takes(&self, keyword: &str) -> bool {
        self.keywords.contains(&keyword)
    }
}
