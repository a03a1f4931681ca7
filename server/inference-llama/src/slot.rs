use std::num::NonZeroU32;

use inference::{InferenceError, MAX_BATCH, Sequence};
use llama_cpp_2::{
    context::{LlamaContext, params::LlamaContextParams},
    llama_batch::LlamaBatch,
    model::LlamaModel,
    token::LlamaToken,
};

use crate::backend::backend;

/// How contexts are made.
#[derive(Clone, Copy)]
pub struct SlotOptions {
    pub context: usize,
    pub threads: usize,
}

/// A context of the model and what is in it.
pub struct Slot<'model> {
    context: LlamaContext<'model>,
    /// The tokens whose state the context holds, in order.
    tokens: Vec<LlamaToken>,
    /// Whose it is; of nobody before its first use.
    pub sequence: Option<Sequence>,
    /// The job whose tokens these are, while it is not done.
    pub owner: Option<u64>,
    /// Grows with each use.
    pub used: u64,
}

impl<'model> Slot<'model> {
    pub fn new(model: &'model LlamaModel, options: SlotOptions) -> Result<Self, InferenceError> {
        let threads = i32::try_from(options.threads).unwrap_or(1);
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(options.context as u32))
            .with_n_batch(MAX_BATCH as u32)
            .with_n_ubatch(MAX_BATCH as u32)
            .with_n_seq_max(1)
            .with_n_threads(threads)
            .with_n_threads_batch(threads);
        let context = model.new_context(backend()?, params).map_err(|error| {
            let context = options.context;
            InferenceError::Engine(format!(
                "cannot make a context of {context} tokens: {error}; choose a shorter one"
            ))
        })?;
        Ok(Self { context, tokens: Vec::new(), sequence: None, owner: None, used: 0 })
    }

    /// Number of tokens whose state is held.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// How many tokens at the beginning of `tokens` need no evaluation.
    pub fn shared(&self, tokens: &[LlamaToken]) -> usize {
        self.tokens.iter().zip(tokens).take_while(|(kept, wanted)| kept == wanted).count()
    }

    /// Forgets all but the first `length` tokens, or all where the model cannot keep a part.
    pub fn truncate(&mut self, length: usize) {
        if length >= self.tokens.len() {
            return;
        }
        let kept = length > 0 && self.context.kv_cache_seq_rm(0, Some(length as u32), None).is_ok();
        if kept {
            self.tokens.truncate(length);
        } else {
            self.clear();
        }
    }

    /// Evaluates more tokens, at most [`MAX_BATCH`]. After it, [`logits`](Self::logits) are those
    /// behind the last of them.
    pub fn evaluate(
        &mut self,
        tokens: &[LlamaToken],
        batch: &mut LlamaBatch<'_>,
    ) -> Result<(), InferenceError> {
        self.evaluate_all(tokens, batch, false)
    }

    /// The same; with `every`, [`logits_at`](Self::logits_at) gives the logits behind each token.
    pub fn evaluate_all(
        &mut self,
        tokens: &[LlamaToken],
        batch: &mut LlamaBatch<'_>,
        every: bool,
    ) -> Result<(), InferenceError> {
        batch.clear();
        let last = tokens.len().saturating_sub(1);
        for (at, token) in tokens.iter().enumerate() {
            let position = (self.tokens.len() + at) as i32;
            batch
                .add(*token, position, &[0], every || at == last)
                .map_err(|error| InferenceError::Engine(error.to_string()))?;
        }
        if let Err(error) = self.context.decode(batch) {
            // What is left in the context is unknown.
            self.clear();
            return Err(InferenceError::Engine(format!("the model cannot go on: {error}")));
        }
        self.tokens.extend_from_slice(tokens);
        Ok(())
    }

    /// One number for each token of the vocabulary: how likely it comes next.
    pub fn logits(&self) -> &[f32] {
        self.context.get_logits_ith(-1)
    }

    /// The logits behind token `at` of those that were evaluated last, every one of them.
    pub fn logits_at(&self, at: usize) -> &[f32] {
        self.context.get_logits_ith(at as i32)
    }

    fn clear(&mut self) {
        self.context.clear_kv_cache();
        self.tokens.clear();
    }
}
