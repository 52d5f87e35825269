//! The form of a vendor's rules.

/// The keywords and forms that a vendor takes in one place of its API.
///
/// `type`, `description`, `title`, `properties`, `required`, `items`, `enum` and `anyOf` are
/// taken everywhere.
#[derive(Debug)]
pub(crate) struct Rules {
    /// Further keywords that are taken. All others go into the description.
    pub(super) keywords: &'static [&'static str],
    /// The values of `format` that are taken, where `format` is.
    pub(super) formats: &'static [&'static str],
    /// True if every object names all its properties (`additionalProperties: false`) and every
    /// value has a type. An object or a value that is open cannot be expressed then.
    pub(super) closed: bool,
    /// The form of an optional property.
    pub(super) optional: Optional,
    /// The use of `$ref`.
    pub(super) references: References,
    /// The form of several types.
    pub(super) types: Types,
    /// The values of `enum`.
    pub(super) values: Values,
    /// Names of properties have only letters, digits, `_`, `.` and `-`, 64 at most.
    pub(super) plain_names: bool,
    /// An object without properties needs an empty `properties`, and an array `items`.
    pub(super) spelled_out: bool,
    /// An answer is an object, without combinators at the top.
    pub(super) object_at_top: bool,
    /// The names of properties are repeated, in their order, in `propertyOrdering`.
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
    /// As `Null` before a required property, as far as the number of unions allows, because
    /// the vendor moves optional properties behind all others; as `Absent` elsewhere.
    NullBeforeRequired,
}

/// The use of `$ref`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum References {
    /// Kept, with definitions in `$defs`; also of a schema in itself.
    Kept,
    /// Kept, but a schema in itself cannot be expressed.
    KeptWithoutCycles,
    /// Replaced by what they stand for as far as its size allows, and kept beyond.
    InlinedOrKept,
    /// Replaced by what they stand for; an open value beyond.
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
    /// Texts alone, or numbers alone.
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
    /// A vendor that documents none.
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
