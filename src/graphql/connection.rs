//! Pages and cursors, after the GraphQL Cursor Connections Specification.

use async_graphql::OutputType;
use async_graphql::connection::{Connection, CursorType, Edge};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;
use uuid::Uuid;

use talkgraph_domain::{InterruptId, Page, PageRequest};
use talkgraph_store::{SessionCursor, VersionCursor};

use super::{ApiError, ApiLimits};

/// The arguments of every connection field.
#[derive(Debug, Default)]
pub(crate) struct PageArguments {
    pub(crate) first: Option<i32>,
    pub(crate) after: Option<String>,
    pub(crate) last: Option<i32>,
    pub(crate) before: Option<String>,
}

/// A cursor as clients see it: opaque, and valid for one kind of list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor(pub(crate) String);

impl CursorType for Cursor {
    type Error = std::convert::Infallible;

    fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
        Ok(Self(text.to_owned()))
    }

    fn encode_cursor(&self) -> String {
        self.0.clone()
    }
}

/// A list position that a cursor encodes.
pub(crate) trait Position: Sized {
    /// The tag that distinguishes the cursors of different kinds of lists.
    const KIND: &'static str;

    fn encode(&self) -> String;
    fn decode(text: &str) -> Option<Self>;

    fn to_cursor(&self) -> Cursor {
        Cursor(URL_SAFE_NO_PAD.encode(format!("{}:{}", Self::KIND, self.encode())))
    }

    fn from_cursor(cursor: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (kind, position) = text.split_once(':')?;
        (kind == Self::KIND)
            .then(|| Self::decode(position))
            .flatten()
    }
}

/// The position of an agent: its name.
impl Position for String {
    const KIND: &'static str = "agent";

    fn encode(&self) -> String {
        self.clone()
    }

    fn decode(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

/// The position of a message in its branch.
impl Position for i32 {
    const KIND: &'static str = "message";

    fn encode(&self) -> String {
        self.to_string()
    }

    fn decode(text: &str) -> Option<Self> {
        text.parse().ok().filter(|position| *position >= 0)
    }
}

/// The position of an agent version: its number.
impl Position for VersionCursor {
    const KIND: &'static str = "agentVersion";

    fn encode(&self) -> String {
        self.0.to_string()
    }

    fn decode(text: &str) -> Option<Self> {
        text.parse().ok().filter(|number| *number > 0).map(Self)
    }
}

/// The position of a session: its last activity.
impl Position for SessionCursor {
    const KIND: &'static str = "session";

    fn encode(&self) -> String {
        format!(
            "{}:{}",
            self.updated_at.timestamp_micros(),
            self.id.uuid().simple()
        )
    }

    fn decode(text: &str) -> Option<Self> {
        let (micros, id) = text.split_once(':')?;
        Some(Self {
            updated_at: DateTime::from_timestamp_micros(micros.parse().ok()?)?,
            id: Uuid::try_parse(id).ok()?.into(),
        })
    }
}

/// The position of an interrupt: its id, which sorts by time.
impl Position for InterruptId {
    const KIND: &'static str = "interrupt";

    fn encode(&self) -> String {
        self.uuid().simple().to_string()
    }

    fn decode(text: &str) -> Option<Self> {
        Some(Uuid::try_parse(text).ok()?.into())
    }
}

impl PageArguments {
    /// Creates the arguments of a list that is only read from its start.
    pub(crate) fn forward(first: Option<i32>, after: Option<String>) -> Self {
        Self {
            first,
            after,
            ..Self::default()
        }
    }

    /// Checks the arguments. Without `first` and `last` the page is taken from the list's start, or
    /// from its end with `from_end`.
    pub(crate) fn check<P: Position>(
        &self,
        limits: &ApiLimits,
        from_end: bool,
    ) -> Result<PageRequest<P>, ApiError> {
        if self.first.is_some() && self.last.is_some() {
            return Err(ApiError::bad_input(
                "last",
                "give `first` or `last`, not both",
            ));
        }
        let (name, size) = match (self.first, self.last) {
            (None, Some(last)) => ("last", last),
            (Some(first), _) => ("first", first),
            (None, None) => ("first", limits.page_size_default.cast_signed()),
        };
        let most = limits.page_size;
        let limit = u32::try_from(size)
            .ok()
            .filter(|size| (1..=most).contains(size))
            .ok_or_else(|| {
                ApiError::bad_input(
                    name,
                    format!("`{name}` must be from 1 to {most}, not {size}"),
                )
            })?;
        Ok(PageRequest {
            after: position("after", self.after.as_deref())?,
            before: position("before", self.before.as_deref())?,
            limit,
            from_end: self.last.is_some() || (from_end && self.first.is_none()),
        })
    }
}

fn position<P: Position>(name: &str, cursor: Option<&str>) -> Result<Option<P>, ApiError> {
    let Some(cursor) = cursor else {
        return Ok(None);
    };
    P::from_cursor(cursor)
        .map(Some)
        .ok_or_else(|| ApiError::bad_input(name, format!("`{name}` must be a cursor of this list")))
}

/// Converts a page to a connection; `place` returns an item's position and node.
pub(crate) fn connection<T, P: Position, N: OutputType>(
    page: Page<T>,
    place: impl Fn(T) -> (P, N),
) -> Connection<Cursor, N> {
    let mut connection = Connection::new(page.has_previous, page.has_next);
    connection.edges.extend(page.items.into_iter().map(|item| {
        let (position, node) = place(item);
        Edge::new(position.to_cursor(), node)
    }));
    connection
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use talkgraph_domain::time::now;

    proptest! {
        #[test]
        fn cursors_come_back(position in 0..i32::MAX, name in "\\PC*") {
            prop_assert_eq!(i32::from_cursor(&position.to_cursor().0), Some(position));
            prop_assert_eq!(String::from_cursor(&name.to_cursor().0), Some(name));
        }

        #[test]
        fn anything_else_is_refused(text in "\\PC*") {
            if let Some(position) = i32::from_cursor(&text) {
                prop_assert!(position >= 0);
            }
        }
    }

    #[test]
    fn a_cursor_is_of_one_list() {
        let session = SessionCursor {
            updated_at: now(),
            id: talkgraph_domain::SessionId::new(),
        };
        let cursor = session.to_cursor().0;
        assert_eq!(SessionCursor::from_cursor(&cursor), Some(session));
        assert_eq!(i32::from_cursor(&cursor), None);
    }
}
