//! The network: a Llama of 30 small layers, one token sequence at a time, on the CPU.
//!
//! Written out here because the library's own version joins a new tensor for every token
//! and cannot go back to an earlier point of a conversation, which reuse between turns
//! needs. `tests/fixtures/smollm2_greedy.json` holds what the library's version computes.

use candle_core::quantized::{QMatMul, QTensor};
use candle_core::{D, Device, IndexOp, Module, Tensor};
use candle_nn::ops::{rms_norm, softmax_last_dim};
use candle_nn::rotary_emb::rope_i;
use rayon::prelude::*;

use super::error::EmbeddedError;
use super::kv::{KvCache, KvShape};
use super::weights::Gguf;

/// The number of tokens from which unpacking a matrix and multiplying in full precision is faster
/// than the quantised product, which gains nothing from a batch.
const DENSE_FROM_TOKENS: usize = 24;

/// The function that loads a weight matrix from the file.
pub(crate) type TakeMatrix = fn(&Gguf, &str) -> Result<QMatMul, EmbeddedError>;

/// The network's weights, shared by all generations.
pub(crate) struct Model {
    embedding: QMatMul,
    layers: Vec<Layer>,
    norm: Tensor,
    norm_epsilon: f32,
    rotation: (Tensor, Tensor),
    heads: usize,
    kv_shape: KvShape,
}

struct Layer {
    attention_norm: Tensor,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    feed_forward_norm: Tensor,
    gate: Linear,
    up: Linear,
    down: Linear,
}

struct Linear(QMatMul);

impl Linear {
    fn forward(&self, input: &Tensor) -> candle_core::Result<Tensor> {
        match &self.0 {
            QMatMul::QTensor(weights) if input.dim(0)? >= DENSE_FROM_TOKENS => {
                input.matmul(&QTensor::dequantize(weights, &Device::Cpu)?.t()?)
            }
            product => product.forward(input),
        }
    }
}

impl Layer {
    fn load(gguf: &Gguf, index: usize, take: TakeMatrix) -> Result<Self, EmbeddedError> {
        let name = |part: &str| format!("blk.{index}.{part}.weight");
        let linear = |part: &str| take(gguf, &name(part)).map(Linear);
        let norm = |part: &str| gguf.tensor(&name(part));
        Ok(Self {
            attention_norm: norm("attn_norm")?,
            query: linear("attn_q")?,
            key: linear("attn_k")?,
            value: linear("attn_v")?,
            output: linear("attn_output")?,
            feed_forward_norm: norm("ffn_norm")?,
            gate: linear("ffn_gate")?,
            up: linear("ffn_up")?,
            down: linear("ffn_down")?,
        })
    }

    fn feed_forward(&self, input: &Tensor) -> candle_core::Result<Tensor> {
        let gated = (self.gate.forward(input)?.silu()? * self.up.forward(input)?)?;
        self.down.forward(&gated)
    }
}

impl Model {
    /// Loads the network from the file; the layers are unpacked in parallel.
    pub(crate) fn load(gguf: &Gguf, context_tokens: usize) -> Result<Self, EmbeddedError> {
        Self::load_with(gguf, context_tokens, |gguf, name| {
            Ok(QMatMul::from_qtensor(gguf.matrix(name)?)?)
        })
    }

    /// [`Self::load`] with another precision, for tests.
    pub(crate) fn load_with(
        gguf: &Gguf,
        context_tokens: usize,
        take: TakeMatrix,
    ) -> Result<Self, EmbeddedError> {
        let longest = gguf.count("llama.context_length")?;
        if context_tokens == 0 || context_tokens > longest {
            return Err(EmbeddedError::Settings(format!(
                "a context of {context_tokens} tokens; the model takes 1 to {longest}"
            )));
        }
        let layers = gguf.count("llama.block_count")?;
        let kv_shape = KvShape {
            layers,
            heads: gguf.count("llama.attention.head_count_kv")?,
            head_dim: gguf.count("llama.rope.dimension_count")?,
            context_tokens,
        };
        let base = gguf.number("llama.rope.freq_base")?;
        Ok(Self {
            embedding: take(gguf, "token_embd.weight")?,
            layers: (0..layers)
                .into_par_iter()
                .map(|index| Layer::load(gguf, index, take))
                .collect::<Result<_, _>>()?,
            norm: gguf.tensor("output_norm.weight")?,
            norm_epsilon: gguf.number("llama.attention.layer_norm_rms_epsilon")?,
            rotation: rotation(kv_shape.head_dim, context_tokens, base)?,
            heads: gguf.count("llama.attention.head_count")?,
            kv_shape,
        })
    }

    /// The shape of this model's caches.
    pub(crate) fn kv_shape(&self) -> KvShape {
        self.kv_shape
    }

    /// Reads `tokens` after those in the cache. Returns the last token's state, from which
    /// [`Self::logits`] predicts the next one.
    pub(crate) fn advance(
        &self,
        tokens: &[u32],
        cache: &mut KvCache,
    ) -> Result<Tensor, EmbeddedError> {
        cache.reserve(tokens.len())?;
        let past = cache.tokens().len();
        let mask = (tokens.len() > 1)
            .then(|| causal_mask(tokens.len(), past))
            .transpose()?;
        let mut state = self
            .embedding
            .embedding(&Tensor::new(tokens, &Device::Cpu)?)?;
        for (index, layer) in self.layers.iter().enumerate() {
            let normed = rms_norm(&state, &layer.attention_norm, self.norm_epsilon)?;
            let attended = self.attend(index, layer, &normed, mask.as_ref(), cache)?;
            state = (state + attended)?;
            let normed = rms_norm(&state, &layer.feed_forward_norm, self.norm_epsilon)?;
            state = (&state + layer.feed_forward(&normed)?)?;
        }
        cache.commit(tokens);
        Ok(state.i(tokens.len().saturating_sub(1)..)?)
    }

    /// The likelihood of each token of the vocabulary to be the next (not normalised).
    pub(crate) fn logits(&self, state: &Tensor) -> Result<Vec<f32>, EmbeddedError> {
        let normed = rms_norm(&state.contiguous()?, &self.norm, self.norm_epsilon)?;
        Ok(self.embedding.forward(&normed)?.flatten_all()?.to_vec1()?)
    }

    /// Grouped-query attention: each key/value head serves several query heads, which become more
    /// rows of one product, so keys are never repeated.
    fn attend(
        &self,
        index: usize,
        layer: &Layer,
        input: &Tensor,
        mask: Option<&Tensor>,
        cache: &KvCache,
    ) -> Result<Tensor, EmbeddedError> {
        let KvShape {
            heads: kv_heads,
            head_dim,
            ..
        } = self.kv_shape;
        let tokens = input.dim(0)?;
        let past = cache.tokens().len();
        let split = |flat: Tensor, heads: usize| -> candle_core::Result<Tensor> {
            flat.reshape((tokens, heads, head_dim))?
                .transpose(0, 1)?
                .contiguous()
        };
        let cos = self.rotation.0.narrow(0, past, tokens)?;
        let sin = self.rotation.1.narrow(0, past, tokens)?;
        let turn = |split: Tensor| rope_i(&split.unsqueeze(0)?, &cos, &sin)?.squeeze(0);

        let queries = turn(split(layer.query.forward(input)?, self.heads)?)?;
        let keys = turn(split(layer.key.forward(input)?, kv_heads)?)?;
        let values = split(layer.value.forward(input)?, kv_heads)?;
        let (keys, values) = cache.append(index, &keys, &values)?;

        let rows = (self.heads / kv_heads.max(1)) * tokens;
        let queries = (queries * (head_dim as f64).powf(-0.5))?;
        let mut scores = queries
            .reshape((kv_heads, rows, head_dim))?
            .matmul(&keys.transpose(1, 2)?)?;
        if let Some(mask) = mask {
            let per_head = scores
                .reshape((self.heads, tokens, ()))?
                .broadcast_add(mask)?;
            scores = per_head.reshape((kv_heads, rows, ()))?;
        }
        let mixed = softmax_last_dim(&scores)?.matmul(&values)?;
        let joined = mixed
            .reshape((self.heads, tokens, head_dim))?
            .transpose(0, 1)?
            .reshape((tokens, ()))?;
        Ok(layer.output.forward(&joined)?)
    }
}

/// 0 for the visible tokens, minus infinity for the tokens after them.
fn causal_mask(tokens: usize, past: usize) -> candle_core::Result<Tensor> {
    let visible = |row: usize, column: usize| column <= past + row;
    let cell = |row, column| {
        if visible(row, column) {
            0.0
        } else {
            f32::NEG_INFINITY
        }
    };
    let cells: Vec<f32> = (0..tokens)
        .flat_map(|row| (0..past + tokens).map(move |column| cell(row, column)))
        .collect();
    Tensor::from_vec(cells, (tokens, past + tokens), &Device::Cpu)
}

/// Cosines and sines of the rotation of queries and keys, one row per position.
fn rotation(head_dim: usize, positions: usize, base: f32) -> candle_core::Result<(Tensor, Tensor)> {
    let speeds: Vec<f32> = (0..head_dim)
        .step_by(2)
        .map(|pair| base.powf(pair as f32 / head_dim as f32).recip())
        .collect();
    let speeds = Tensor::new(speeds, &Device::Cpu)?.unsqueeze(0)?;
    let positions: Vec<f32> = (0..positions).map(|position| position as f32).collect();
    let angles = Tensor::new(positions, &Device::Cpu)?
        .unsqueeze(D::Minus1)?
        .matmul(&speeds)?;
    Ok((angles.cos()?, angles.sin()?))
}
