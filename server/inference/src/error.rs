use std::path::PathBuf;

use base::Cancelled;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a model gave no answer. Every message says what, where and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum InferenceError {
    /// The request was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// No model is installed for the task.
    #[error("no {role} model is installed; run `{command}`")]
    NoModel {
        /// The role that nothing fills, such as `chat`.
        role: String,
        /// The command that gets one.
        command: String,
    },
    /// The file is missing, damaged or of a kind that the engine cannot run.
    #[error("cannot use the model {}: {reason}", path.display())]
    ModelFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// The model does not fit into memory.
    #[error(
        "the model needs about {needed_mb} MB and {available_mb} MB are free; \
         choose a smaller model or a shorter context"
    )]
    OutOfMemory {
        /// Estimate for weights, context and buffers, in units of 1,000,000 bytes.
        needed_mb: u64,
        /// What the system says is free, in the same unit.
        available_mb: u64,
    },
    /// The prompt does not fit into the context window.
    #[error("the prompt has {tokens} tokens and the model's context {limit}")]
    ContextTooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// Tokens that fit.
        limit: usize,
    },
    /// The process that runs the model died. It has been or will be started again.
    #[error("the model's process ended unexpectedly ({reason}); try again")]
    WorkerDied {
        /// Exit status or signal.
        reason: String,
    },
    /// The process died too often and is not started again for now.
    #[error(
        "the model's process died {deaths} times in five minutes and was not started again: {reason}"
    )]
    WorkerGaveUp {
        /// How often it died.
        deaths: u32,
        /// The last exit status or signal.
        reason: String,
    },
    /// The process stopped answering and was ended.
    #[error("the model did not answer for {seconds} seconds and was stopped; try again")]
    WorkerHung {
        /// How long it was silent.
        seconds: u64,
    },
    /// The engine refused for another reason.
    #[error("{0}")]
    Engine(String),
}

impl From<Cancelled> for InferenceError {
    fn from(Cancelled: Cancelled) -> Self {
        Self::Cancelled
    }
}
