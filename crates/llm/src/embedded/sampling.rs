//! Sampling of the next token.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use crate::Sampling;

/// Low enough that so small a model stays on the subject, high enough for variety.
const DEFAULT_TEMPERATURE: f32 = 0.3;
const DEFAULT_TOP_P: f32 = 0.9;
/// Without this penalty the model repeats a sentence until the limit.
const REPETITION_PENALTY: f32 = 1.1;
/// The window in which a token counts as repeated. Only the answer itself counts: the model must be
/// free to repeat a name from the prompt.
const REPETITION_WINDOW: usize = 64;
/// The number of candidates; the weight of further ones is negligible.
const CANDIDATES: usize = 64;

/// One answer's sampler.
pub(crate) struct Sampler {
    temperature: f32,
    top_p: f32,
    penalty: f32,
    random: SplitMix64,
}

impl Sampler {
    /// Creates a sampler with these parameters; numbers out of range are clamped.
    pub(crate) fn new(sampling: Sampling) -> Self {
        let temperature = sampling.temperature.filter(|value| value.is_finite());
        let top_p = sampling.top_p.filter(|value| value.is_finite());
        Self {
            temperature: temperature.unwrap_or(DEFAULT_TEMPERATURE).clamp(0.0, 2.0),
            top_p: top_p.unwrap_or(DEFAULT_TOP_P).clamp(0.0, 1.0),
            penalty: REPETITION_PENALTY,
            random: SplitMix64(sampling.seed.unwrap_or_else(fresh_seed)),
        }
    }

    /// The next token, given the logits and the answer so far.
    pub(crate) fn next(&mut self, logits: Vec<f32>, answer: &[u32]) -> u32 {
        self.next_of(logits, answer, |_| true)
    }

    /// The next token among the allowed ones; 0 if none is.
    pub(crate) fn next_of(
        &mut self,
        mut logits: Vec<f32>,
        answer: &[u32],
        allowed: impl Fn(u32) -> bool,
    ) -> u32 {
        self.penalise(&mut logits, answer);
        let candidates = (0u32..).zip(logits);
        let mut candidates: Vec<_> = candidates.filter(|(token, _)| allowed(*token)).collect();
        if self.temperature == 0.0 {
            let best = candidates.iter().max_by(|a, b| a.1.total_cmp(&b.1));
            return best.map_or(0, |(token, _)| *token);
        }
        if candidates.len() > CANDIDATES {
            candidates.select_nth_unstable_by(CANDIDATES, |a, b| b.1.total_cmp(&a.1));
            candidates.truncate(CANDIDATES);
        }
        candidates.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        self.draw(&candidates)
    }

    fn penalise(&self, logits: &mut [f32], answer: &[u32]) {
        let recent: HashSet<u32> = answer
            .iter()
            .rev()
            .take(REPETITION_WINDOW)
            .copied()
            .collect();
        for token in recent {
            let index = usize::try_from(token).unwrap_or(usize::MAX);
            if let Some(logit) = logits.get_mut(index) {
                *logit = if *logit > 0.0 {
                    *logit / self.penalty
                } else {
                    *logit * self.penalty
                };
            }
        }
    }

    /// Draws among the likeliest candidates that together have `top_p` of the mass.
    fn draw(&mut self, sorted: &[(u32, f32)]) -> u32 {
        let best = sorted.first().map_or(0.0, |(_, logit)| *logit);
        let weight = |logit: f32| ((logit - best) / self.temperature).exp();
        let total: f32 = sorted.iter().map(|(_, logit)| weight(*logit)).sum();
        let mut kept = Vec::new();
        let mut mass = 0.0;
        for (token, logit) in sorted {
            kept.push((*token, weight(*logit)));
            mass += weight(*logit);
            if mass >= self.top_p * total {
                break;
            }
        }
        let mut point = self.random.unit() * mass;
        for (token, weight) in &kept {
            point -= weight;
            if point <= 0.0 {
                return *token;
            }
        }
        kept.last().map_or(0, |(token, _)| *token)
    }
}

/// A small generator: the same seed gives the same answer on every machine and version.
struct SplitMix64(u64);

impl SplitMix64 {
    /// The next number from 0 (inclusive) to 1 (exclusive).
    fn unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        // An f32 between 0 and 1 has 24 significant bits.
        (mixed >> 40) as f32 / (1u64 << 24) as f32
    }
}

/// The standard library's hasher keys are the process's own randomness.
fn fresh_seed() -> u64 {
    RandomState::new().hash_one(0u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(temperature: f32, seed: u64) -> Sampler {
        Sampler::new(Sampling {
            temperature: Some(temperature),
            top_p: Some(0.9),
            seed: Some(seed),
        })
    }

    #[test]
    fn zero_temperature_takes_the_likeliest() {
        assert_eq!(sampler(0.0, 1).next(vec![0.1, 3.0, 2.9], &[]), 1);
    }

    #[test]
    fn repeated_token_is_penalised() {
        assert_eq!(sampler(0.0, 1).next(vec![0.1, 3.0, 2.9], &[1]), 2);
    }

    #[test]
    fn the_same_seed_gives_the_same_tokens() {
        let draw = |seed| {
            let mut sampler = sampler(1.0, seed);
            (0..32)
                .map(|_| sampler.next(vec![1.0; 40], &[]))
                .collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn unlikely_tokens_are_never_drawn() {
        let mut sampler = sampler(1.0, 3);
        let drawn = (0..500).map(|_| sampler.next(vec![5.0, 5.0, 0.0], &[]));
        assert!(drawn.into_iter().all(|token| token < 2));
    }

    #[test]
    fn numbers_out_of_range_are_clamped() {
        let mut sampler = Sampler::new(Sampling {
            temperature: Some(f32::NAN),
            top_p: Some(-3.0),
            seed: Some(1),
        });
        assert_eq!(sampler.next(vec![f32::NEG_INFINITY, 1.0, 2.0], &[]), 2);
        assert_eq!(sampler.next(Vec::new(), &[]), 0);
    }
}
