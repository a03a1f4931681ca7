use std::{fs, path::Path};

use base::CancelToken;
use fastembed::{
    InitOptionsUserDefined, Pooling, TextEmbedding, TokenizerFiles, UserDefinedEmbeddingModel,
};
use inference::{Embedder, InferenceError, Progress};
use ort::environment::Environment;
use parking_lot::Mutex;

use crate::{Options, batches::Batches, runtime::preflight};

/// Most tokens of a text; the model was trained on no longer ones.
const MAX_TOKENS: usize = 256;
/// Bytes of a token, about, in code (3.1 with the model's tokenizer over 1.3 MB of Rust, TypeScript
/// and Python).
const BYTES_PER_TOKEN: usize = 3;

/// Threads that wait in a loop would take the cores from the editor between two batches.
pub(crate) const SPINNING: (&str, &str) = ("session.intra_op.allow_spinning", "0");

/// A sentence embedder: mean of the token vectors, scaled to length 1.
pub struct FastEmbedder {
    model: Mutex<TextEmbedding>,
    dimensions: usize,
    progress: Progress,
}

impl FastEmbedder {
    /// Loads library and model and embeds a word, so that what cannot work fails here.
    pub fn load(options: &Options, progress: &Progress) -> Result<Self, InferenceError> {
        let failed = |reason: String| unusable(options, &reason);
        let (environment, version) = environment(options, progress)?;
        let model = read(&options.model, "model.onnx")?;
        let files = UserDefinedEmbeddingModel::new(model, tokenizer(&options.model)?)
            .with_pooling(Pooling::Mean);
        progress.step();
        let settings = InitOptionsUserDefined::new()
            .with_environment(environment)
            .with_max_length(MAX_TOKENS)
            .with_intra_threads(options.threads())
            .with_session_config(SPINNING.0, SPINNING.1);
        let mut model = TextEmbedding::try_new_from_user_defined(files, settings)
            .map_err(|error| failed(error.to_string()))?;
        progress.step();
        let probe = model.embed(["probe"], None).map_err(|error| failed(error.to_string()))?;
        let dimensions = probe.first().map_or(0, Vec::len);
        if dimensions == 0 {
            return Err(failed("it gives no vectors".into()));
        }
        tracing::info!(version, dimensions, threads = options.threads(), "embedding model loaded");
        Ok(Self { model: Mutex::new(model), dimensions, progress: progress.clone() })
    }
}

impl Embedder for FastEmbedder {
    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn embed(
        &self,
        texts: &[String],
        cancel: &CancelToken,
    ) -> Result<Vec<Vec<f32>>, InferenceError> {
        let lengths: Vec<usize> = texts.iter().map(String::len).collect();
        let batches = Batches::new(&lengths, MAX_TOKENS * BYTES_PER_TOKEN);
        let mut vectors = vec![Vec::new(); texts.len()];
        let mut model = self.model.lock();
        for run in batches.runs {
            cancel.check()?;
            let indexes = batches.order.get(run).unwrap_or_default();
            let batch: Vec<&str> =
                indexes.iter().filter_map(|index| texts.get(*index).map(String::as_str)).collect();
            let embedded = model
                .embed(&batch, None)
                .map_err(|error| InferenceError::Engine(format!("cannot embed: {error}")))?;
            for (index, vector) in indexes.iter().zip(embedded) {
                self.check(&vector)?;
                if let Some(place) = vectors.get_mut(*index) {
                    *place = vector;
                }
            }
            self.progress.step();
        }
        Ok(vectors)
    }
}

impl FastEmbedder {
    fn check(&self, vector: &[f32]) -> Result<(), InferenceError> {
        let norm: f32 = vector.iter().map(|number| number * number).sum();
        if vector.len() == self.dimensions && (norm - 1.0).abs() < 1e-3 {
            return Ok(());
        }
        Err(InferenceError::Engine("the embedding model gave a vector that is not one".into()))
    }
}

/// Loads the library, and says its version.
pub(crate) fn environment(
    options: &Options,
    progress: &Progress,
) -> Result<(Environment, String), InferenceError> {
    let version =
        preflight(&options.runtime).map_err(|error| InferenceError::Engine(error.to_string()))?;
    progress.step();
    let environment = ort::init_from(&options.runtime)
        .map_err(|error| InferenceError::Engine(error.to_string()))?
        .with_telemetry(false)
        .build()
        .map_err(|error| InferenceError::Engine(error.to_string()))?;
    Ok((environment, version))
}

/// The model cannot be used for this reason.
pub(crate) fn unusable(options: &Options, reason: &str) -> InferenceError {
    InferenceError::ModelFile {
        path: options.model.clone(),
        reason: format!("{reason}; run `hearth models verify`"),
    }
}

/// Reads one of the model's files.
pub(crate) fn read(folder: &Path, name: &str) -> Result<Vec<u8>, InferenceError> {
    let path = folder.join(name);
    fs::read(&path).map_err(|error| InferenceError::ModelFile {
        path,
        reason: format!("it cannot be read: {error}; run `hearth models verify`"),
    })
}

/// Reads what describes the model's tokens.
pub(crate) fn tokenizer(folder: &Path) -> Result<TokenizerFiles, InferenceError> {
    Ok(TokenizerFiles {
        tokenizer_file: read(folder, "tokenizer.json")?,
        config_file: read(folder, "config.json")?,
        special_tokens_map_file: read(folder, "special_tokens_map.json")?,
        tokenizer_config_file: read(folder, "tokenizer_config.json")?,
    })
}
