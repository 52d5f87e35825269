//! The tokens and their ranks.

/// Slots of the hash table; the vocabulary fills four in ten.
const SLOTS: usize = 1 << 19;
/// Low bits of a slot: the rank plus one. The bits above are of the token's hash, so that nearly
/// no other token's bytes are compared.
const RANK_BITS: u32 = 18;
const RANK_MASK: u32 = (1 << RANK_BITS) - 1;
/// Unpacked size of the data, which has a length byte for each token.
const MAX_UNPACKED: usize = 4 << 20;
const TOKENS: usize = 199_998;

/// Ranks of tokens by their bytes, in an open-addressing hash table.
pub(crate) struct Vocabulary {
    bytes: Vec<u8>,
    /// End of each token in `bytes`, by rank.
    ends: Vec<u32>,
    slots: Vec<u32>,
    longest: usize,
}

impl Vocabulary {
    /// Unpacks the format of `data/README.md`; none if the data is damaged.
    pub(crate) fn unpack(data: &[u8]) -> Option<Self> {
        let mut bytes = zstd::bulk::decompress(data, MAX_UNPACKED).ok()?;
        let lengths: Vec<u8> = bytes.drain(..TOKENS.min(bytes.len())).collect();
        bytes.shrink_to_fit();
        let mut end = 0;
        let ends: Vec<u32> = lengths
            .iter()
            .map(|&length| {
                end += u32::from(length);
                end
            })
            .collect();
        if lengths.len() != TOKENS || bytes.len() != end as usize {
            return None;
        }
        let mut vocabulary = Self {
            bytes,
            ends,
            slots: vec![0; SLOTS],
            longest: usize::from(lengths.into_iter().max()?),
        };
        for rank in 0..TOKENS {
            vocabulary.insert(rank);
        }
        Some(vocabulary)
    }

    fn insert(&mut self, rank: usize) {
        let hash = hash(self.token(rank));
        let mut at = home(hash);
        while self.slots[at] != 0 {
            at = (at + 1) % SLOTS;
        }
        self.slots[at] = tag(hash) | (rank as u32 + 1);
    }

    fn token(&self, rank: usize) -> &[u8] {
        let start = rank.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start as usize..self.ends[rank] as usize]
    }

    /// The rank of these bytes; none if they are no token.
    pub(crate) fn rank(&self, bytes: &[u8]) -> Option<u32> {
        if bytes.len() > self.longest {
            return None;
        }
        let hash = hash(bytes);
        let tag = tag(hash);
        let mut at = home(hash);
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            if slot & !RANK_MASK == tag {
                let rank = (slot & RANK_MASK) - 1;
                if self.token(rank as usize) == bytes {
                    return Some(rank);
                }
            }
            at = (at + 1) % SLOTS;
        }
    }
}

fn home(hash: u64) -> usize {
    hash as usize % SLOTS
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 & !RANK_MASK
}

/// A hash whose low and high bits all depend on every byte.
fn hash(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = bytes.len() as u64;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    for word in words.iter().chain([&last]) {
        let product = u128::from(hash ^ u64::from_le_bytes(*word)) * u128::from(FACTOR);
        hash = (product as u64) ^ (product >> 64) as u64;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_their_ranks() {
        let vocabulary = Vocabulary::unpack(include_bytes!("../data/o200k_base.zst")).unwrap();
        for rank in 0..TOKENS {
            let token = vocabulary.token(rank).to_vec();
            assert_eq!(vocabulary.rank(&token), Some(rank as u32));
        }
        assert!((0..=255).all(|byte| vocabulary.rank(&[byte]).is_some()));
        assert_eq!(vocabulary.rank(b"hello wor"), None);
        assert_eq!(vocabulary.rank(&[b' '; 129]), None);
    }

    #[test]
    fn damaged_data_is_refused() {
        assert!(Vocabulary::unpack(b"").is_none());
        let short = zstd::bulk::compress(&[1; TOKENS], 0).unwrap();
        assert!(Vocabulary::unpack(&short).is_none());
    }
}
