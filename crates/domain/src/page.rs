//! Pages of a list, in the manner of the GraphQL Cursor Connections Specification.

/// The requested part of an ordered list. `C` is the position that a cursor encodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PageRequest<C> {
    /// Selects the items after this position.
    pub after: Option<C>,
    /// Selects the items before this position.
    pub before: Option<C>,
    /// The maximum number of items.
    pub limit: u32,
    /// Takes the items from the end of the range (`last`) instead of its start (`first`).
    pub from_end: bool,
}

/// One page, always in list order.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// True if the list continues after the last item.
    pub has_next: bool,
    /// True if the list has items before the first item.
    pub has_previous: bool,
}

impl<T> Page<T> {
    /// Creates a page from rows that were read in the request's direction, up to one more than its
    /// limit: the extra row only shows that there are more.
    pub fn from_rows<C>(request: &PageRequest<C>, mut rows: Vec<T>) -> Self {
        let limit = request.limit as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        if request.from_end {
            rows.reverse();
            return Self {
                items: rows,
                has_next: request.before.is_some(),
                has_previous: more,
            };
        }
        Self {
            items: rows,
            has_next: more,
            has_previous: request.after.is_some(),
        }
    }
}
