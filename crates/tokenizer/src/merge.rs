//! Byte-pair encoding of one piece: of all adjacent parts that together are a token, those with
//! the lowest rank are merged first, from the left.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::vocabulary::Vocabulary;

/// Up to this many bytes, searching all parts for each merge is faster than a heap.
const SMALL: usize = 96;
/// Bytes that are merged at once. A longer run of letters or of spaces is cut, where a count can
/// be off by a token, so that its memory is bounded.
const LONGEST: usize = 64 << 10;
/// The rank of what cannot be merged.
const NONE: u32 = u32::MAX;

/// Counts the tokens of pieces, with buffers that one piece leaves to the next.
pub(crate) struct Merger<'a> {
    vocabulary: &'a Vocabulary,
    small: Vec<Part>,
    chain: Vec<Link>,
    heap: BinaryHeap<Reverse<(u32, u32)>>,
}

/// A part, and the rank of it and the next one together.
struct Part {
    start: u32,
    rank: u32,
}

/// A part by its first byte, with its neighbours and the rank of it and the next one together.
#[derive(Clone, Copy)]
struct Link {
    before: u32,
    next: u32,
    rank: u32,
}

impl<'a> Merger<'a> {
    pub(crate) fn new(vocabulary: &'a Vocabulary) -> Self {
        Self {
            vocabulary,
            small: Vec::new(),
            chain: Vec::new(),
            heap: BinaryHeap::new(),
        }
    }

    pub(crate) fn count(&mut self, piece: &[u8]) -> usize {
        if self.vocabulary.rank(piece).is_some() {
            return 1;
        }
        if piece.len() <= SMALL {
            return self.merge_small(piece);
        }
        let chunks = piece.chunks(LONGEST);
        chunks.map(|chunk| self.merge_large(chunk)).sum()
    }

    fn rank(&self, piece: &[u8], start: u32, end: u32) -> u32 {
        let pair = &piece[start as usize..end as usize];
        self.vocabulary.rank(pair).unwrap_or(NONE)
    }

    fn merge_small(&mut self, piece: &[u8]) -> usize {
        let mut parts = std::mem::take(&mut self.small);
        parts.clear();
        let length = piece.len() as u32;
        parts.extend((0..=length).map(|start| Part {
            start,
            rank: match start + 2 {
                end if end <= length => self.rank(piece, start, end),
                _ => NONE,
            },
        }));
        while let Some((at, lowest)) = parts.iter().enumerate().min_by_key(|(_, part)| part.rank)
            && lowest.rank != NONE
        {
            parts.remove(at + 1);
            for at in at.saturating_sub(1)..=at {
                parts[at].rank = match parts.get(at + 2) {
                    Some(end) => self.rank(piece, parts[at].start, end.start),
                    None => NONE,
                };
            }
        }
        let count = parts.len() - 1;
        self.small = parts;
        count
    }

    fn merge_large(&mut self, piece: &[u8]) -> usize {
        let length = piece.len() as u32;
        let mut chain = std::mem::take(&mut self.chain);
        chain.clear();
        chain.extend((0..length).map(|start| Link {
            before: start.wrapping_sub(1),
            next: start + 1,
            rank: NONE,
        }));
        let mut count = piece.len();
        for start in 0..length {
            self.note(piece, &mut chain, start);
        }
        while let Some(Reverse((rank, start))) = self.heap.pop() {
            let link = chain[start as usize];
            // Another merge has changed the pair since, or has taken its first part.
            if link.rank != rank {
                continue;
            }
            let merged = chain[link.next as usize].next;
            chain[link.next as usize].rank = NONE;
            chain[start as usize].next = merged;
            if let Some(after) = chain.get_mut(merged as usize) {
                after.before = start;
            }
            count -= 1;
            self.note(piece, &mut chain, start);
            if link.before != NONE {
                self.note(piece, &mut chain, link.before);
            }
        }
        self.chain = chain;
        count
    }

    /// Takes in the rank of the pair that begins here.
    fn note(&mut self, piece: &[u8], chain: &mut [Link], start: u32) {
        let second = chain[start as usize].next;
        let rank = match chain.get(second as usize) {
            Some(second) => self.rank(piece, start, second.next),
            None => NONE,
        };
        chain[start as usize].rank = rank;
        if rank != NONE {
            self.heap.push(Reverse((rank, start)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_merging_agree() {
        let vocabulary = Vocabulary::unpack(include_bytes!("../data/o200k_base.zst")).unwrap();
        let mut merger = Merger::new(&vocabulary);
        let mut random = fastrand::Rng::with_seed(7);
        for letters in [2, 4, 26, 90] {
            for length in 2..400 {
                let piece: Vec<u8> = (0..length)
                    .map(|_| b'!' + (b'a' - b'!' + random.u8(0..letters)) % 90)
                    .collect();
                let small = merger.merge_small(&piece);
                assert_eq!(merger.merge_large(&piece), small, "{piece:?}");
            }
        }
    }
}
