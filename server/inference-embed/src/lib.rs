//! Sentence embeddings and cross-encoders by fastembed on ONNX Runtime, behind the traits `Embedder`
//! and `Reranker`: the only crate that uses either.
//!
//! The ONNX Runtime library is a file of its own, loaded when the model is. A wrong one may end the
//! process, so this runs in a worker process (`inference-worker`), never in the daemon. It fetches
//! nothing, and keeps no vectors.

mod batches;
mod engine;
mod options;
mod reranker;
mod runtime;

pub use engine::FastEmbedder;
pub use options::Options;
pub use reranker::FastReranker;
pub use runtime::{RuntimeError, preflight};
