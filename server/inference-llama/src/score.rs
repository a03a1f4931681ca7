//! What a model makes of given texts: for evaluations, and to compare its files with each other.

use inference::{InferenceError, MAX_BATCH, PromptPiece};
use llama_cpp_2::{llama_batch::LlamaBatch, token::LlamaToken};

use crate::{
    LlamaEngine,
    healing::Healing,
    maintenance::surprise,
    sampler::best,
    slot::{Slot, SlotOptions},
};

/// A prompt and a text behind it, as tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continuation {
    /// All of them.
    pub tokens: Vec<i32>,
    /// How many belong to the prompt.
    pub from: usize,
}

impl LlamaEngine {
    /// The tokens of a prompt, as they are before any is taken off.
    pub fn tokenize(&self, pieces: &[PromptPiece]) -> Result<Vec<i32>, InferenceError> {
        Ok(numbers(&self.tokenizer().prompt(pieces)?.tokens))
    }

    /// A prompt healed as for a generation, and `text` behind it: the text's first tokens begin with what was
    /// taken off the prompt.
    pub fn continuation(
        &self,
        pieces: &[PromptPiece],
        text: &str,
    ) -> Result<Continuation, InferenceError> {
        let tokenizer = self.tokenizer();
        let mut prompt = tokenizer.prompt(pieces)?;
        let healing =
            Healing::begin(&mut prompt.tokens, prompt.plain, |token| tokenizer.bytes(token));
        let rest = healing.as_ref().map(Healing::rest).unwrap_or_default();
        let whole = [String::from_utf8_lossy(rest).as_ref(), text].concat();
        let mut tokens = numbers(&prompt.tokens);
        let from = tokens.len();
        let text = tokenizer.prompt(&[PromptPiece::Text(whole)])?;
        let own = text.tokens.len() - text.plain;
        tokens.extend(numbers(text.tokens.get(own..).unwrap_or_default()));
        Ok(Continuation { tokens, from })
    }

    /// The logits from which each token from `from` on would be chosen, evaluated in a context of their own.
    pub fn logits(&self, continuation: &Continuation) -> Result<Vec<Vec<f32>>, InferenceError> {
        let tokens = llama_tokens(&continuation.tokens);
        let mut slot = self.slot(tokens.len())?;
        let mut batch = LlamaBatch::new(MAX_BATCH, 1);
        let first = continuation.from.saturating_sub(1);
        let mut logits = Vec::new();
        for (number, part) in tokens.chunks(MAX_BATCH).enumerate() {
            let start = number * MAX_BATCH;
            slot.evaluate_all(part, &mut batch, start + part.len() > first)?;
            for at in first.saturating_sub(start)..part.len() {
                // Nothing comes behind the last token.
                if start + at + 1 < tokens.len() {
                    logits.push(slot.logits_at(at).to_vec());
                }
            }
        }
        Ok(logits)
    }

    /// The tokens that follow a prompt when the likeliest is chosen each time, up to the end of the text.
    pub fn greedy(&self, prompt: &[i32], count: usize) -> Result<Vec<i32>, InferenceError> {
        let mut slot = self.slot(prompt.len() + count)?;
        let mut batch = LlamaBatch::new(MAX_BATCH, 1);
        for part in llama_tokens(prompt).chunks(MAX_BATCH) {
            slot.evaluate(part, &mut batch)?;
        }
        let mut tokens = Vec::new();
        while tokens.len() < count {
            let Some(token) = best(slot.logits()).map(|token| LlamaToken(token as i32)) else {
                break;
            };
            if self.tokenizer().vocab().is_eog(token) {
                break;
            }
            tokens.push(token.0);
            slot.evaluate(&[token], &mut batch)?;
        }
        Ok(tokens)
    }

    fn slot(&self, context: usize) -> Result<Slot<'_>, InferenceError> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Slot::new(self.tokenizer().model(), SlotOptions { context: context.max(1), threads })
    }

    /// How surprised the model is by the continuation: the sum of the negative logarithms of its tokens'
    /// probabilities.
    pub fn surprise(&self, continuation: &Continuation) -> Result<f64, InferenceError> {
        let logits = self.logits(continuation)?;
        let behind = continuation.tokens.iter().skip(continuation.from.max(1));
        Ok(logits.iter().zip(behind).map(|(logits, token)| surprise(logits, *token as usize)).sum())
    }
}

fn llama_tokens(tokens: &[i32]) -> Vec<LlamaToken> {
    tokens.iter().copied().map(LlamaToken).collect()
}

fn numbers(tokens: &[LlamaToken]) -> Vec<i32> {
    tokens.iter().map(|token| token.0).collect()
}
