//! What models may add to a search that is ranked without them.

mod hypothesis;
mod reranking;

use std::{num::NonZeroUsize, sync::Arc};

use base::CancelToken;
use indexer::Embeddings;
use inference::{InferenceError, LanguageModel, Reranker};
use lru::LruCache;
use parking_lot::Mutex;
use static_embedding::{Scratch, StaticEmbedding, Vector};

use crate::{
    hit::{Hit, SearchMode, SearchQuery},
    question::Question,
};

/// How many of the best hits a reranker judges. Each costs a run of its model, unless it was judged
/// for the same question before.
const RERANKED: usize = 40;
/// Scores that are kept: those of the last hundred questions.
const SCORES: NonZeroUsize = NonZeroUsize::new(100 * RERANKED).expect("some");
/// Hypothetical answers that are kept.
const HYPOTHESES: NonZeroUsize = NonZeroUsize::new(200).expect("some");

/// The models that a search may ask beside the index. The default has none and changes nothing. A
/// model that fails, or that is not loaded while the search does not wait, changes nothing either;
/// nor is any asked about names alone, or where only words or symbols are searched.
#[derive(Clone, Default)]
pub struct Deepening {
    /// Orders the best hits anew; with a name that changes with the model.
    pub reranker: Option<(Arc<dyn Reranker>, String)>,
    /// Writes what an answer may look like, so that what is near to that is found too.
    pub expander: Option<Arc<dyn LanguageModel>>,
    /// Whether a search waits until its models are loaded. One by meaning alone always does.
    pub waits: bool,
    /// What they said before.
    pub cache: Arc<DeepeningCache>,
}

/// What models said, for the next search for the same: bounded, the least recently used goes first.
pub struct DeepeningCache {
    /// By model, question and passage.
    scores: Mutex<LruCache<Key, f32>>,
    /// By model and question.
    hypotheses: Mutex<LruCache<Key, Arc<str>>>,
}

impl Default for DeepeningCache {
    fn default() -> Self {
        Self {
            scores: Mutex::new(LruCache::new(SCORES)),
            hypotheses: Mutex::new(LruCache::new(HYPOTHESES)),
        }
    }
}

/// A digest of texts.
type Key = [u8; 32];

fn key<const COUNT: usize>(texts: [&str; COUNT]) -> Key {
    let mut hasher = blake3::Hasher::new();
    for text in texts {
        hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

impl Deepening {
    /// A text that could answer the question, for [`first_tier`] and [`second_tier`].
    pub(crate) fn hypothesis(
        &self,
        query: &SearchQuery,
        question: &Question,
        cancel: &CancelToken,
    ) -> Option<Arc<str>> {
        let model = self.expander.as_deref().filter(|_| is_asked(query, question))?;
        if !self.waits(query) && model.loaded().is_none() {
            return None;
        }
        let written = hypothesis::of(model, &query.text, &self.cache.hypotheses, cancel);
        written
            .inspect_err(|error| tracing::debug!(%error, "searched without a hypothetical answer"))
            .ok()
            .filter(|text| !text.is_empty())
    }

    /// How many hits are needed to [`rerank`](Self::rerank) them.
    pub(crate) fn breadth(&self, query: &SearchQuery, question: &Question) -> usize {
        let reranks = self.reranker.is_some() && is_asked(query, question) && query.limit > 0;
        if reranks { query.limit.max(RERANKED) } else { query.limit }
    }

    /// The hits, best first, as the reranker has them; as many as are wanted.
    pub(crate) fn rerank(
        &self,
        query: &SearchQuery,
        question: &Question,
        mut hits: Vec<Hit>,
        cancel: &CancelToken,
    ) -> Vec<Hit> {
        if let Some((model, name)) = self.reranker.as_ref().filter(|_| is_asked(query, question)) {
            let judged = hits.get(..hits.len().min(RERANKED)).unwrap_or_default();
            let ask = (&**model, name.as_str(), self.waits(query));
            match reranking::scores(ask, &query.text, judged, &self.cache.scores, cancel) {
                Ok(Some(scores)) => hits = reranking::reordered(hits, &scores),
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "searched without the reranker"),
            }
        }
        hits.truncate(query.limit);
        hits
    }

    fn waits(&self, query: &SearchQuery) -> bool {
        self.waits || query.mode == SearchMode::Semantic
    }
}

/// Whether models have anything to say about it.
fn is_asked(query: &SearchQuery, question: &Question) -> bool {
    matches!(query.mode, SearchMode::Hybrid | SearchMode::Semantic) && !question.names_only
}

/// What is looked for among the vectors of the first tier.
pub(crate) fn first_tier(text: &str, hypothesis: Option<&str>) -> Vector {
    let vector = |text: &str| StaticEmbedding::shipped().query(text, &mut Scratch::default());
    match hypothesis {
        Some(hypothesis) => vector(text).mean(&vector(hypothesis)),
        None => vector(text),
    }
}

/// What is looked for among the vectors of the second tier.
pub(crate) fn second_tier(
    embeddings: &Embeddings,
    text: &str,
    hypothesis: Option<&str>,
    cancel: &CancelToken,
) -> Result<Vector, InferenceError> {
    let vector = embeddings.query(text, cancel)?;
    match hypothesis {
        Some(hypothesis) => Ok(vector.mean(&embeddings.query(hypothesis, cancel)?)),
        None => Ok(vector),
    }
}

#[cfg(test)]
mod tests;
