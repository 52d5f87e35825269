//! The emitted parts of each item of the output, so that nothing is emitted twice.
//!
//! According to the documentation an item has an index and an id, and its content arrives in
//! deltas, then once more with its end, and once more with the response. Imitations omit any of
//! these, give each event an id of its own (GitHub Copilot), or all items the index 0.

use super::event::{Item, ItemKind};
use crate::lenient::Id;

/// The maximum number of separate items; further calls are attributed to the last.
const MAX_ITEMS: usize = 1_024;
/// The last separate piece of an item; further ones are attributed to it.
const LAST_PIECE: u64 = 63;
/// The longest id that is remembered, in bytes.
const MAX_ID_BYTES: usize = 256;

/// The emitted parts of an item.
#[derive(Debug, Default)]
pub(super) struct Known {
    kind: Option<ItemKind>,
    index: Option<u64>,
    id: Option<String>,
    call_id: Option<String>,
    /// The emitted pieces of its content, a bit each.
    pub(super) said: u64,
    texts: Texts,
    /// It is a call that was started, with its name.
    pub(super) is_announced: bool,
    /// Its encrypted form was emitted.
    pub(super) is_signed: bool,
}

impl Known {
    /// Marks a piece of the content as emitted; returns true if it was not before.
    pub(super) fn says(&mut self, piece: u64) -> bool {
        let bit = 1 << piece.min(LAST_PIECE);
        let is_new = self.said & bit == 0;
        self.said |= bit;
        is_new
    }

    /// Records text of a piece of the content.
    pub(super) fn adds(&mut self, piece: u64, text: &str) {
        self.texts.all.add(text);
        self.texts.piece(piece).add(text);
    }

    /// Returns true if the text was emitted already, as a piece or as all of them. An imitation's
    /// odd index makes one piece look like another.
    pub(super) fn has(&self, text: &str) -> bool {
        let mut whole = Digest::default();
        whole.add(text);
        let mut pieces = self.texts.pieces.iter().map(|(_, piece)| piece);
        self.texts.all == whole || pieces.any(|piece| *piece == whole)
    }
}

/// The texts of an item's content, as digests.
#[derive(Debug, Default)]
struct Texts {
    all: Digest,
    /// By their index.
    pieces: Vec<(u64, Digest)>,
}

impl Texts {
    fn piece(&mut self, piece: u64) -> &mut Digest {
        let piece = piece.min(LAST_PIECE);
        let known = self.pieces.iter().position(|(index, _)| *index == piece);
        let at = known.unwrap_or_else(|| {
            self.pieces.push((piece, Digest::default()));
            self.pieces.len() - 1
        });
        &mut self.pieces[at].1
    }
}

/// The digest of a text, independent of how it is cut.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Digest {
    bytes: usize,
    sum: u64,
}

impl Digest {
    /// Any large odd number.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

    fn add(&mut self, text: &str) {
        self.bytes += text.len();
        self.sum = text.bytes().fold(self.sum, |sum, byte| {
            sum.wrapping_add(u64::from(byte) + 1)
                .wrapping_mul(Self::FACTOR)
        });
    }
}

/// The items of one answer.
#[derive(Debug, Default)]
pub(super) struct Items(Vec<Known>);

impl Items {
    /// The position of an item: by the id of its call, its own, or its index.
    pub(super) fn find(&mut self, kind: ItemKind, index: Option<u64>, item: &ItemIds<'_>) -> usize {
        match self.known(kind, index, item) {
            Some(at) => at,
            None => self.add(kind, index, item),
        }
    }

    /// The position of a known item.
    pub(super) fn known(
        &mut self,
        kind: ItemKind,
        index: Option<u64>,
        item: &ItemIds<'_>,
    ) -> Option<usize> {
        let last = |is: &dyn Fn(&Known) -> bool| {
            let is = |known: &Known| known.kind == Some(kind) && is(known);
            self.0.iter().rposition(is)
        };
        let by_call = item
            .call_id
            .and_then(|id| last(&|known| known.call_id.as_deref() == Some(id)));
        let by_id = || {
            item.id
                .and_then(|id| last(&|known| known.id.as_deref() == Some(id)))
        };
        // Another call id means another call, whatever its index.
        let fits = |known: &Known| match (item.call_id, known.call_id.as_deref()) {
            (Some(id), Some(own)) => id == own,
            _ => true,
        };
        let by_index =
            || index.and_then(|index| last(&|known| known.index == Some(index) && fits(known)));
        // Without any of these it belongs to the last item.
        let bare = item.id.is_none() && item.call_id.is_none() && index.is_none();
        let latest = || bare.then(|| last(&|_| true)).flatten();
        let at = by_call.or_else(by_id).or_else(by_index).or_else(latest)?;
        if let Some(known) = self.0.get_mut(at) {
            known.call_id = known.call_id.take().or_else(|| short(item.call_id));
            known.id = known.id.take().or_else(|| short(item.id));
        }
        Some(at)
    }

    fn add(&mut self, kind: ItemKind, index: Option<u64>, item: &ItemIds<'_>) -> usize {
        if self.0.len() < MAX_ITEMS {
            self.0.push(Known {
                kind: Some(kind),
                index,
                id: short(item.id),
                call_id: short(item.call_id),
                ..Known::default()
            });
        }
        self.0.len() - 1
    }

    /// The item at a position.
    pub(super) fn at(&mut self, at: usize) -> Option<&mut Known> {
        self.0.get_mut(at)
    }
}

/// The ids of an item.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct ItemIds<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) call_id: Option<&'a str>,
}

impl<'a> ItemIds<'a> {
    pub(super) fn of(item: &'a Item) -> Self {
        Self {
            id: text(&item.id),
            call_id: text(&item.call_id),
        }
    }

    /// The ids of an event about an item.
    pub(super) fn named(id: &'a Option<Id>) -> Self {
        Self {
            id: text(id),
            call_id: None,
        }
    }
}

fn text(id: &Option<Id>) -> Option<&str> {
    id.as_ref().map(|Id(id)| id.as_str())
}

fn short(id: Option<&str>) -> Option<String> {
    id.filter(|id| id.len() <= MAX_ID_BYTES).map(str::to_owned)
}
