//! The key/value cache of a conversation's tokens.

use candle_core::{DType, Device, Tensor};

use super::error::EmbeddedError;

/// The growth of a cache in tokens. Small enough that a short chat stays small, large enough that
/// copying while growing is negligible.
const GROWTH_TOKENS: usize = 256;

/// The shape of the keys (and of the values) of one layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KvShape {
    /// Layers of the model.
    pub(crate) layers: usize,
    /// Key/value heads of a layer.
    pub(crate) heads: usize,
    /// Numbers per head.
    pub(crate) head_dim: usize,
    /// The maximum number of tokens in a cache.
    pub(crate) context_tokens: usize,
}

impl KvShape {
    /// The memory of one token: keys and values, f32.
    fn token_bytes(self) -> usize {
        self.layers * 2 * self.heads * self.head_dim * size_of::<f32>()
    }
}

/// The keys and values of a conversation's tokens.
///
/// Rows past the last token may hold leftovers of a cut or failed step; they are overwritten before
/// they are read.
pub(crate) struct KvCache {
    shape: KvShape,
    layers: Vec<(Tensor, Tensor)>,
    capacity: usize,
    tokens: Vec<u32>,
}

impl KvCache {
    /// A cache with no tokens and no memory.
    pub(crate) fn new(shape: KvShape) -> Self {
        Self {
            shape,
            layers: Vec::new(),
            capacity: 0,
            tokens: Vec::new(),
        }
    }

    /// The tokens with cached keys and values.
    pub(crate) fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.capacity * self.shape.token_bytes()
    }

    /// Drops everything after the first `len` tokens.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.tokens.truncate(len);
    }

    /// A separate cache with the first `len` tokens of this one.
    pub(crate) fn copy_prefix(&self, len: usize) -> Result<Self, EmbeddedError> {
        let len = len.min(self.tokens.len());
        let mut copy = Self::new(self.shape);
        copy.tokens = self.tokens.iter().take(len).copied().collect();
        copy.layers = self.copied_layers(len, copy.rounded(len))?;
        copy.capacity = copy.rounded(len);
        Ok(copy)
    }

    /// Reserves room for `more` tokens after the present ones.
    pub(crate) fn reserve(&mut self, more: usize) -> Result<(), EmbeddedError> {
        let len = self.tokens.len();
        let needed = len.saturating_add(more);
        let limit = self.shape.context_tokens;
        if needed > limit {
            return Err(EmbeddedError::ContextExceeded {
                prompt_tokens: needed,
                limit,
            });
        }
        if needed > self.capacity {
            let capacity = self.rounded(needed);
            self.layers = self.copied_layers(len, capacity)?;
            self.capacity = capacity;
        }
        Ok(())
    }

    /// Writes keys and values of new tokens in one layer, and gives those of all tokens,
    /// old and new: two tensors of heads × tokens × head_dim. Call [`Self::reserve`] first.
    pub(crate) fn append(
        &self,
        layer: usize,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<(Tensor, Tensor), EmbeddedError> {
        let unreserved = || EmbeddedError::Compute("no room was reserved".to_owned());
        let (all_keys, all_values) = self.layers.get(layer).ok_or_else(unreserved)?;
        let past = self.tokens.len();
        all_keys.slice_set(keys, 1, past)?;
        all_values.slice_set(values, 1, past)?;
        let len = past + keys.dim(1)?;
        Ok((all_keys.narrow(1, 0, len)?, all_values.narrow(1, 0, len)?))
    }

    /// Counts tokens as present, once every layer was appended to.
    pub(crate) fn commit(&mut self, tokens: &[u32]) {
        self.tokens.extend_from_slice(tokens);
    }

    fn rounded(&self, tokens: usize) -> usize {
        tokens
            .next_multiple_of(GROWTH_TOKENS)
            .min(self.shape.context_tokens)
    }

    /// Fresh tensors of `capacity` tokens that begin with the first `len` of this cache.
    fn copied_layers(
        &self,
        len: usize,
        capacity: usize,
    ) -> Result<Vec<(Tensor, Tensor)>, EmbeddedError> {
        let KvShape {
            heads, head_dim, ..
        } = self.shape;
        let copy = |old: Option<&Tensor>| -> Result<Tensor, EmbeddedError> {
            let new = Tensor::zeros((heads, capacity, head_dim), DType::F32, &Device::Cpu)?;
            if let Some(old) = old.filter(|_| len > 0) {
                new.slice_set(&old.narrow(1, 0, len)?.contiguous()?, 1, 0)?;
            }
            Ok(new)
        };
        (0..self.shape.layers)
            .map(|layer| {
                let old = self.layers.get(layer);
                Ok((
                    copy(old.map(|pair| &pair.0))?,
                    copy(old.map(|pair| &pair.1))?,
                ))
            })
            .collect()
    }
}
