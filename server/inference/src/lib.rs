//! What a model can be asked, whoever runs it: the traits [`LanguageModel`], [`Embedder`] and [`Reranker`],
//! their requests and answers, and fakes for tests.
//!
//! No engine lives here. `inference-llama` and `inference-embed` own the native ones,
//! `inference-worker` runs them in a process of their own and implements the same traits.

mod error;
pub mod fake;
mod progress;
mod request;
mod speed;

use std::{ops::ControlFlow, sync::Arc};

use base::CancelToken;

pub use error::InferenceError;
pub use progress::Progress;
pub use request::{
    FimTokens, FinishReason, GenerateRequest, Generation, MAX_BATCH, ModelInfo, Priority,
    PromptPiece, Sampling, Sequence, Usage,
};
pub use speed::{SpeedReport, measure_speed};

/// Takes generated text as it comes: whole characters, never half of one. `Break` ends the
/// generation with [`FinishReason::Stopped`].
pub type TextSink<'a> = dyn FnMut(&str) -> ControlFlow<()> + 'a;

/// A language model that may live in another process. Calls block the thread they are made on.
pub trait LanguageModel: Send + Sync {
    /// Loads the model if need be and says what it is.
    fn load(&self, cancel: &CancelToken) -> Result<Arc<ModelInfo>, InferenceError>;

    /// What the model is, if it is loaded and ready; never waits.
    fn loaded(&self) -> Option<Arc<ModelInfo>>;

    /// Generates text, loading the model first if need be. The text reaches `sink` as it is
    /// produced and stands whole in the answer. Cancelling ends the work within one batch of
    /// 256 prompt tokens or one generated token.
    fn generate(
        &self,
        request: &GenerateRequest,
        cancel: &CancelToken,
        sink: &mut TextSink<'_>,
    ) -> Result<Generation, InferenceError>;

    /// Number of tokens of `text`, without any that mark its start or end.
    fn count_tokens(&self, text: &str, cancel: &CancelToken) -> Result<usize, InferenceError>;
}

/// Turns texts into unit vectors.
pub trait Embedder: Send + Sync {
    /// Length of every vector, once the model is loaded.
    fn dimensions(&self) -> usize;

    /// One vector of length 1 for each text, in order.
    fn embed(
        &self,
        texts: &[String],
        cancel: &CancelToken,
    ) -> Result<Vec<Vec<f32>>, InferenceError>;
}

/// Says how well passages answer a question. It reads both together, which tells more than comparing
/// vectors and costs a run of the model for each passage.
pub trait Reranker: Send + Sync {
    /// Whether the model is in memory. Where it is not, begins to load it and does not wait.
    fn prepare(&self) -> bool;

    /// One finite score for each passage, in order, higher for one that answers better. Only scores for
    /// one question can be compared. Loads the model first if need be.
    fn score(
        &self,
        question: &str,
        passages: &[String],
        cancel: &CancelToken,
    ) -> Result<Vec<f32>, InferenceError>;
}
