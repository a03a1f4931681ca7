use inference::InferenceError;
use thiserror::Error;

/// Why there is no proposal, or why it cannot be applied.
#[derive(Debug, Error)]
pub enum EditError {
    /// There is nothing to do.
    #[error("say what to change")]
    NoInstruction,
    /// The selection reaches past the end of the document.
    #[error("the selection ends at byte {end}, but the document has {len}")]
    OutOfBounds {
        /// End of the selection.
        end: usize,
        /// Length of the document.
        len: usize,
    },
    /// The selected lines and their replacement do not fit into the model's context.
    #[error(
        "the selection of {lines} lines needs about {tokens} tokens and the model {model} has \
         {limit}; select fewer lines"
    )]
    SelectionTooLong {
        /// Selected lines.
        lines: usize,
        /// Tokens of prompt and answer, estimated.
        tokens: usize,
        /// Tokens of the model's context.
        limit: usize,
        /// The model.
        model: String,
    },
    /// No answer of the model could be used.
    #[error(
        "the model's answer cannot be used: {reason}; select fewer lines, say it in other words, or use a larger model"
    )]
    Unusable {
        /// What is wrong with the last answer.
        reason: String,
        /// How often the model was asked.
        rounds: u32,
    },
    /// The document has changed in the edited lines since the proposal was made.
    #[error("{path} has changed in the edited lines since the proposal was made; ask again")]
    Moved {
        /// The file.
        path: String,
    },
    /// A hunk was accepted that the proposal does not have.
    #[error("the proposal has no hunk {id}")]
    UnknownHunk {
        /// Its name.
        id: String,
    },
    /// The prompt could not be laid out for the model.
    #[error(transparent)]
    Prompt(#[from] prompt::PromptError),
    /// The model failed.
    #[error(transparent)]
    Model(#[from] InferenceError),
}

impl EditError {
    /// Whether the person asked to stop.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Model(InferenceError::Cancelled))
    }
}
