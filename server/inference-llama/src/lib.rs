//! llama.cpp behind the trait `LanguageModel`: the only crate that links it.
//!
//! One engine thread owns model and contexts ([`LlamaEngine`]). It evaluates prompts in batches
//! and takes up whoever is most urgent between two of them, so that a completion never waits for a
//! chat answer, and keeps what a prompt shares with the one before. Besides: a vocabulary without
//! weights ([`Vocabulary`]); for the set-up quantisation, perplexity, and adapters merged into models.
//!
//! llama.cpp ends the process on a failed assertion, so this belongs into a process of its own
//! (`inference-worker`). No prompt format, no download and no choice of a model is made here.

mod backend;
mod detokenize;
mod engine;
mod gguf;
mod grammar;
mod healing;
mod job;
mod maintenance;
mod merge;
mod runner;
mod sampler;
mod score;
mod slot;
mod stop;
mod tokenize;
pub mod worker;

pub use engine::{LlamaEngine, LlamaOptions};
pub use maintenance::{Quantization, perplexity, quantize};
pub use merge::merge;
pub use score::Continuation;
pub use tokenize::Vocabulary;

pub use backend::system_info;

/// The engine and the crate it comes through, for the records of files that it wrote.
pub const ENGINE_VERSION: &str = "llama.cpp 0.6.0 (llama-cpp-2 0.1.160)";
