//! Conversion between text and tokens, with the vocabulary of the weights file.

use std::collections::HashMap;

use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{PreTokenizerWrapper, Tokenizer as Encoder};

use super::error::EmbeddedError;
use super::weights::Gguf;

/// The file's type of a token for structure, not for text.
const CONTROL_TOKEN: i32 = 3;

/// The model's vocabulary.
///
/// The encoder knows no special tokens at all, so no text can ever become one: those
/// of the chat template come from [`Self::special`] alone.
pub(crate) struct Tokenizer {
    encoder: Encoder,
    specials: Vec<(String, u32)>,
    pieces: Vec<Box<[u8]>>,
    longest_piece: usize,
}

impl Tokenizer {
    /// Loads the vocabulary from the file.
    pub(crate) fn load(gguf: &Gguf) -> Result<Self, EmbeddedError> {
        let tokens = gguf.texts("tokenizer.ggml.tokens")?;
        let kinds = gguf.integers("tokenizer.ggml.token_type")?;
        let bytes_of = byte_alphabet();
        let mut specials = Vec::new();
        let mut pieces = Vec::with_capacity(tokens.len());
        for ((id, token), kind) in (0u32..).zip(&tokens).zip(kinds) {
            if kind == CONTROL_TOKEN {
                specials.push(((*token).to_owned(), id));
                pieces.push(Box::default());
            } else {
                pieces.push(
                    token
                        .chars()
                        .filter_map(|c| bytes_of.get(&c).copied())
                        .collect(),
                );
            }
        }
        Ok(Self {
            encoder: encoder(&tokens, &gguf.texts("tokenizer.ggml.merges")?)?,
            longest_piece: pieces.iter().map(|piece| piece.len()).max().unwrap_or(1),
            specials,
            pieces,
        })
    }

    /// The tokens of plain text; a text that looks like a special token stays text.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>, EmbeddedError> {
        let encoding = self
            .encoder
            .encode_fast(text, false)
            .map_err(encode_error)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The id of a special token such as `<|im_end|>`.
    pub(crate) fn special(&self, token: &str) -> Option<u32> {
        let found = self.specials.iter().find(|(name, _)| name == token);
        found.map(|(_, id)| *id)
    }

    /// The special tokens by name.
    pub(crate) fn specials(&self) -> &[(String, u32)] {
        &self.specials
    }

    /// The bytes of a token; none for a special token.
    pub(crate) fn bytes(&self, token: u32) -> &[u8] {
        let index = usize::try_from(token).unwrap_or(usize::MAX);
        self.pieces.get(index).map_or(&[], |piece| piece)
    }

    /// The number of tokens.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.pieces.len()).unwrap_or(u32::MAX)
    }

    /// The minimum number of tokens of a text of so many bytes.
    pub(crate) fn fewest_tokens(&self, bytes: usize) -> usize {
        bytes.div_ceil(self.longest_piece.max(1))
    }
}

/// Byte-pair encoding over single digits and GPT-2 words. The file's name for this
/// (`smollm`) is one the library does not know, and its default groups digits.
fn encoder(tokens: &[&str], merges: &[&str]) -> Result<Encoder, EmbeddedError> {
    let vocabulary: HashMap<String, u32> = tokens
        .iter()
        .zip(0u32..)
        .map(|(token, id)| ((*token).to_owned(), id))
        .collect();
    let merges = merges
        .iter()
        .filter_map(|merge| merge.split_once(' '))
        .map(|(left, right)| (left.to_owned(), right.to_owned()))
        .collect();
    let bpe = BPE::builder()
        .vocab_and_merges(
            vocabulary
                .into_iter()
                .collect::<tokenizers::models::bpe::Vocab>(),
            merges,
        )
        .build()
        .map_err(encode_error)?;
    let mut encoder = Encoder::new(bpe);
    encoder.with_pre_tokenizer(Some(PreTokenizerWrapper::Sequence(Sequence::new(vec![
        PreTokenizerWrapper::Digits(Digits::new(true)),
        PreTokenizerWrapper::ByteLevel(ByteLevel::new(false, false, true)),
    ]))));
    Ok(encoder)
}

/// The byte for each character of the vocabulary: printable Latin-1 characters represent
/// themselves, the characters from U+0100 on represent the other bytes, in order.
fn byte_alphabet() -> HashMap<char, u8> {
    let is_printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let printable = (0..=u8::MAX)
        .filter(is_printable)
        .map(|byte| (char::from(byte), byte));
    let others = (0..=u8::MAX).filter(|byte| !is_printable(byte));
    printable.chain(('\u{100}'..).zip(others)).collect()
}

fn encode_error(error: tokenizers::Error) -> EmbeddedError {
    EmbeddedError::Format(error.to_string())
}

/// Converts bytes that arrive in pieces into text, without splitting characters.
#[derive(Default)]
pub(crate) struct Utf8Assembler {
    pending: Vec<u8>,
}

impl Utf8Assembler {
    /// The text that is complete now. Invalid bytes become U+FFFD.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let mut text = String::new();
        let mut rest = self.pending.as_slice();
        let unfinished = loop {
            let Some(chunk) = rest.utf8_chunks().next() else {
                break 0;
            };
            text.push_str(chunk.valid());
            let (valid, invalid) = (chunk.valid().len(), chunk.invalid().len());
            let is_last = valid + invalid == rest.len();
            // A prefix of a character at the very end may be completed by the next token.
            if is_last && is_cut(chunk.invalid()) {
                break invalid;
            }
            if invalid > 0 {
                text.push(char::REPLACEMENT_CHARACTER);
            }
            rest = rest.get(valid + invalid..).unwrap_or_default();
        };
        self.pending.drain(..self.pending.len() - unfinished);
        text
    }

    /// The rest at the end of an answer: U+FFFD if it is half a character.
    pub(crate) fn finish(self) -> String {
        String::from_utf8_lossy(&self.pending).into_owned()
    }
}

/// Returns true if these bytes begin a character that is incomplete.
fn is_cut(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}
