//! What the set-up does with model files: make them smaller, and see what that cost.

use std::{ffi::CString, fs, path::Path, str::FromStr};

use inference::{InferenceError, Progress, PromptPiece};
use llama_cpp_2::llama_batch::LlamaBatch;

use crate::{
    backend::{backend, load_model},
    slot::{Slot, SlotOptions},
    tokenize::Tokenizer,
};

/// Tokens that perplexity is measured over at a time.
const WINDOW: usize = 512;
const HALF: usize = WINDOW / 2;

/// How weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantization {
    /// Four bits and a scale for 32 weights; fast everywhere.
    Q4_0,
    /// Four bits, better scales; needs rows of a multiple of 256 weights.
    Q4KM,
    /// Six bits where rows are a multiple of 256 weights, else as [`Q8_0`](Self::Q8_0).
    Q6K,
    /// Eight bits and a scale for 32 weights; hardly a loss.
    Q8_0,
}

impl FromStr for Quantization {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name.to_ascii_uppercase().as_str() {
            "Q4_0" => Ok(Self::Q4_0),
            "Q4_K_M" => Ok(Self::Q4KM),
            "Q6_K" => Ok(Self::Q6K),
            "Q8_0" => Ok(Self::Q8_0),
            _ => Err(format!("`{name}` is none of Q4_0, Q4_K_M, Q6_K and Q8_0")),
        }
    }
}

/// Writes the model at `source` with other weights to `target`, whole or not at all.
pub fn quantize(
    source: &Path,
    target: &Path,
    quantization: Quantization,
) -> Result<(), InferenceError> {
    backend()?;
    let refused = |path: &Path, reason: &str| InferenceError::ModelFile {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    if !source.is_file() {
        return Err(refused(source, "there is no such file"));
    }
    let part = target.with_extension("partial");
    let c_path = |path: &Path| {
        let text = path.to_str().and_then(|text| CString::new(text).ok());
        text.ok_or_else(|| refused(path, "its path is not plain text"))
    };
    let (from, to) = (c_path(source)?, c_path(&part)?);
    // SAFETY: plain data.
    let mut params = unsafe { llama_cpp_sys_2::llama_model_quantize_default_params() };
    params.allow_requantize = true;
    params.ftype = match quantization {
        Quantization::Q4_0 => llama_cpp_sys_2::LLAMA_FTYPE_MOSTLY_Q4_0,
        Quantization::Q4KM => llama_cpp_sys_2::LLAMA_FTYPE_MOSTLY_Q4_K_M,
        Quantization::Q6K => llama_cpp_sys_2::LLAMA_FTYPE_MOSTLY_Q6_K,
        Quantization::Q8_0 => llama_cpp_sys_2::LLAMA_FTYPE_MOSTLY_Q8_0,
    };
    // SAFETY: strings and parameters outlive the call, which catches its own exceptions.
    let failed = unsafe {
        llama_cpp_sys_2::llama_model_quantize(from.as_ptr(), to.as_ptr(), &raw const params)
    };
    if failed != 0 {
        // What was written is of no use; that it cannot be removed changes nothing.
        let _ = fs::remove_file(&part);
        return Err(refused(source, "its weights cannot be converted"));
    }
    fs::rename(&part, target).map_err(|error| refused(target, &error.to_string()))
}

/// How surprised a model is by a text, each token weighed alike: e to the mean of the negative
/// logarithms of their probabilities. Measured over windows of 512 tokens, the second half of
/// each, so that every token has something before it.
pub fn perplexity(model: &Path, text: &str) -> Result<f64, InferenceError> {
    let tokenizer = Tokenizer::new(load_model(model, false, &Progress::new())?);
    let tokens = tokenizer.prompt(&[PromptPiece::Text(text.to_owned())])?.tokens;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut slot = Slot::new(tokenizer.model(), SlotOptions { context: WINDOW, threads })?;
    let mut batch = LlamaBatch::new(HALF, 1);
    let (mut sum, mut count) = (0.0, 0_u32);
    for window in tokens.chunks_exact(WINDOW) {
        slot.truncate(0);
        for (number, part) in window.chunks(HALF).enumerate() {
            let first = number * HALF;
            let counts = first >= HALF;
            slot.evaluate_all(part, &mut batch, counts)?;
            let next = window.iter().skip(first + 1).take(if counts { HALF } else { 0 });
            for (at, next) in next.enumerate() {
                sum += surprise(slot.logits_at(at), next.0 as usize);
                count += 1;
            }
        }
    }
    if count == 0 {
        let message = format!("perplexity needs a text of {WINDOW} tokens or more");
        return Err(InferenceError::Engine(message));
    }
    Ok((sum / f64::from(count)).exp())
}

/// The negative logarithm of the probability of `token`.
pub(crate) fn surprise(logits: &[f32], token: usize) -> f64 {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = logits.iter().map(|logit| f64::from(logit - highest).exp()).sum();
    let logit = logits.get(token).copied().unwrap_or(f32::NEG_INFINITY);
    total.ln() - f64::from(logit - highest)
}
