//! Pages of a list, in the manner of the GraphQL Cursor Connections Specification.

/// Which part of an ordered list is wanted. `C` is the position a cursor stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PageRequest<C> {
    /// Only what comes after this position.
    pub after: Option<C>,
    /// Only what comes before this position.
    pub before: Option<C>,
    /// How many, at most.
    pub limit: u32,
    /// Take them from the end of the range (`last`) instead of from its start (`first`).
    pub from_end: bool,
}

/// One page, in list order whichever end it was taken from.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Whether the list goes on after the last item.
    pub has_next: bool,
    /// Whether the list has something before the first item.
    pub has_previous: bool,
}

impl<T> Page<T> {
    /// Makes a page of rows that were read in the request's direction, up to one more
    /// than its limit: the extra row only tells that there is more.
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
