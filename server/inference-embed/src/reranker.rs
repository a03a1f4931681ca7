use base::CancelToken;
use fastembed::{RerankInitOptionsUserDefined, TextRerank, UserDefinedRerankingModel};
use inference::{InferenceError, Progress, Reranker};
use parking_lot::Mutex;

use crate::{
    Options,
    engine::{SPINNING, environment, read, tokenizer, unusable},
};

/// Most tokens of a question and a passage together: cross-encoders are rarely trained on longer ones.
const MAX_TOKENS: usize = 512;

/// A cross-encoder: reads question and passage together and gives one number.
pub struct FastReranker {
    model: Mutex<TextRerank>,
    progress: Progress,
}

impl FastReranker {
    /// Loads library and model and scores a word, so that what cannot work fails here.
    pub fn load(options: &Options, progress: &Progress) -> Result<Self, InferenceError> {
        let (environment, version) = environment(options, progress)?;
        let model = read(&options.model, "model.onnx")?;
        let files = UserDefinedRerankingModel::new(model, tokenizer(&options.model)?);
        progress.step();
        let settings = RerankInitOptionsUserDefined::new()
            .with_environment(environment)
            .with_max_length(MAX_TOKENS)
            .with_intra_threads(options.threads())
            .with_session_config(SPINNING.0, SPINNING.1);
        let model = TextRerank::try_new_from_user_defined(files, settings)
            .map_err(|error| unusable(options, &error.to_string()))?;
        progress.step();
        let loaded = Self { model: Mutex::new(model), progress: progress.clone() };
        loaded
            .score("probe", &["probe".to_owned()], &CancelToken::new())
            .map_err(|error| unusable(options, &error.to_string()))?;
        tracing::info!(version, threads = options.threads(), "cross-encoder loaded");
        Ok(loaded)
    }
}

impl Reranker for FastReranker {
    fn prepare(&self) -> bool {
        true
    }

    fn score(
        &self,
        question: &str,
        passages: &[String],
        cancel: &CancelToken,
    ) -> Result<Vec<f32>, InferenceError> {
        let mut scores = Vec::with_capacity(passages.len());
        let mut model = self.model.lock();
        // One at a time: several would be padded to the longest, and cancelling would be seen later.
        for passage in passages {
            cancel.check()?;
            let answer = model
                .rerank(question, [passage.as_str()], false, Some(1))
                .map_err(|error| InferenceError::Engine(format!("cannot rerank: {error}")))?;
            let score = answer.first().map(|only| only.score).filter(|it| it.is_finite());
            scores.push(score.ok_or_else(|| {
                InferenceError::Engine("the cross-encoder gave a score that is no number".into())
            })?);
            self.progress.step();
        }
        Ok(scores)
    }
}
