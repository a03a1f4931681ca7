//! A scripted model, a hashing embedder, a reranker that counts words and tiny model files, for the
//! tests of whoever uses or implements the traits.

mod gguf;

use std::{
    collections::{HashSet, VecDeque},
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use base::CancelToken;
use parking_lot::Mutex;

use crate::{
    Embedder, FinishReason, GenerateRequest, Generation, InferenceError, LanguageModel, ModelInfo,
    Reranker, TextSink, Usage,
};

pub use gguf::{
    write_scripted_adapter, write_scripted_model, write_tiny_adapter, write_tiny_model,
};

/// Answers each request with the next scripted reply, word by word, and keeps the requests.
#[derive(Default)]
pub struct FakeLanguageModel {
    info: Arc<ModelInfo>,
    replies: Mutex<VecDeque<Result<String, InferenceError>>>,
    requests: Mutex<Vec<GenerateRequest>>,
}

impl FakeLanguageModel {
    /// A model that gives these answers in order, then [`InferenceError::Engine`].
    pub fn new<I: Into<String>>(replies: impl IntoIterator<Item = I>) -> Self {
        Self {
            info: Arc::new(ModelInfo { id: "fake".into(), context: 2048, ..ModelInfo::default() }),
            replies: Mutex::new(replies.into_iter().map(|reply| Ok(reply.into())).collect()),
            requests: Mutex::default(),
        }
    }

    /// The same model with another description.
    #[must_use]
    pub fn with_info(mut self, info: ModelInfo) -> Self {
        self.info = Arc::new(info);
        self
    }

    /// Adds a failure after the replies given so far.
    pub fn fail(&self, error: InferenceError) {
        self.replies.lock().push_back(Err(error));
    }

    /// The requests so far, oldest first.
    pub fn requests(&self) -> Vec<GenerateRequest> {
        self.requests.lock().clone()
    }
}

impl LanguageModel for FakeLanguageModel {
    fn load(&self, _cancel: &CancelToken) -> Result<Arc<ModelInfo>, InferenceError> {
        Ok(self.info.clone())
    }

    fn loaded(&self) -> Option<Arc<ModelInfo>> {
        Some(self.info.clone())
    }

    fn generate(
        &self,
        request: &GenerateRequest,
        cancel: &CancelToken,
        sink: &mut TextSink<'_>,
    ) -> Result<Generation, InferenceError> {
        self.requests.lock().push(request.clone());
        let reply = self.replies.lock().pop_front();
        let reply = reply.unwrap_or_else(|| Err(InferenceError::Engine("no reply left".into())))?;
        let end = request.stop.iter().filter_map(|stop| reply.find(stop.as_str())).min();
        let mut finish =
            if end.is_some() { FinishReason::StopString } else { FinishReason::EndOfText };
        let mut text = String::new();
        for piece in
            reply.get(..end.unwrap_or(reply.len())).unwrap_or_default().split_inclusive(' ')
        {
            cancel.check()?;
            text.push_str(piece);
            if sink(piece) == ControlFlow::Break(()) {
                finish = FinishReason::Stopped;
                break;
            }
        }
        let usage = Usage { generated_tokens: text.split_whitespace().count(), ..Usage::default() };
        Ok(Generation { text, finish, usage })
    }

    fn count_tokens(&self, text: &str, _cancel: &CancelToken) -> Result<usize, InferenceError> {
        Ok(text.len().div_ceil(4))
    }
}

/// Embeds by hashing words into buckets: texts that share words are near each other.
pub struct FakeEmbedder {
    dimensions: usize,
}

impl FakeEmbedder {
    /// Vectors of `dimensions` numbers.
    pub fn new(dimensions: usize) -> Self {
        Self { dimensions: dimensions.max(1) }
    }
}

impl Embedder for FakeEmbedder {
    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn embed(
        &self,
        texts: &[String],
        cancel: &CancelToken,
    ) -> Result<Vec<Vec<f32>>, InferenceError> {
        cancel.check()?;
        Ok(texts.iter().map(|text| self.vector(text)).collect())
    }
}

impl FakeEmbedder {
    fn vector(&self, text: &str) -> Vec<f32> {
        let mut vector = vec![0.0_f32; self.dimensions];
        for word in text.split(|ch: char| !ch.is_alphanumeric()).filter(|word| !word.is_empty()) {
            // FNV-1a: any stable hash will do.
            let hash = word.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3)
            });
            if let Some(bucket) = vector.get_mut((hash % self.dimensions as u64) as usize) {
                *bucket += 1.0;
            }
        }
        let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        if norm > 0.0 {
            for x in &mut vector {
                *x /= norm;
            }
        } else if let Some(first) = vector.first_mut() {
            *first = 1.0;
        }
        vector
    }
}

/// Scores a passage by how many of the question's words it has, and counts what it was asked.
#[derive(Default)]
pub struct FakeReranker {
    /// What every question is answered with instead.
    failure: Option<InferenceError>,
    unloaded: bool,
    passages: AtomicUsize,
}

impl FakeReranker {
    /// A model that is loaded.
    pub fn new() -> Self {
        Self::default()
    }

    /// A model that is loaded and fails.
    pub fn failing(error: InferenceError) -> Self {
        Self { failure: Some(error), ..Self::default() }
    }

    /// A model that would have to be waited for.
    pub fn unloaded() -> Self {
        Self { unloaded: true, ..Self::default() }
    }

    /// Passages that it was asked to score so far.
    pub fn passages(&self) -> usize {
        self.passages.load(Ordering::Relaxed)
    }
}

impl Reranker for FakeReranker {
    fn prepare(&self) -> bool {
        !self.unloaded
    }

    fn score(
        &self,
        question: &str,
        passages: &[String],
        cancel: &CancelToken,
    ) -> Result<Vec<f32>, InferenceError> {
        cancel.check()?;
        self.passages.fetch_add(passages.len(), Ordering::Relaxed);
        if let Some(error) = &self.failure {
            return Err(error.clone());
        }
        let asked = words(question);
        let shared = |passage: &String| words(passage).intersection(&asked).count() as f32;
        Ok(passages.iter().map(shared).collect())
    }
}

fn words(text: &str) -> HashSet<String> {
    let words = text.split(|ch: char| !ch.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}
