use base::Cancelled;
use lexical_index::LexicalError;
use serde::Serialize;
use store::StoreError;
use thiserror::Error;

/// Why the index cannot be opened or brought up to date.
#[derive(Debug, Error)]
pub enum IndexError {
    /// The rows.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The full text.
    #[error(transparent)]
    Lexical(#[from] LexicalError),
    /// The cache folder.
    #[error("index folder {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The caller asked to stop; what was done is kept.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl IndexError {
    /// Whether the stored index is at fault, so that making it anew helps.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Store(error) => error.is_damage(),
            Self::Lexical(error) => !matches!(error, LexicalError::ReadOnly),
            Self::Folder { .. } | Self::Cancelled(_) => false,
        }
    }
}

/// What an update is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Listing files.
    Scan,
    /// Reading and parsing those that changed.
    Parse,
    /// Making the result durable and visible.
    Commit,
}

impl Stage {
    /// For a person.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scan => "scanning",
            Self::Parse => "indexing",
            Self::Commit => "committing",
        }
    }
}

/// How far an update is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// What it is doing.
    pub stage: Stage,
    /// Files done in this stage.
    pub done: u64,
    /// Files to do in this stage; 0 while that is not known.
    pub total: u64,
}

/// A file that is not indexed, or not as well as others of its kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SkippedFile {
    /// Relative to the workspace, with `/`.
    pub path: String,
    /// Why, for a person.
    pub reason: String,
}

/// Where the time of an update went, in seconds of wall time. Parsing and the writing of full text
/// overlap; `lexical` is what came on top.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Seconds {
    /// Listing files.
    pub scan: f64,
    /// Reading, parsing and writing rows.
    pub parse: f64,
    /// Committing full text.
    pub lexical: f64,
    /// Embedding.
    pub vectors: f64,
    /// All of it.
    pub total: f64,
}

/// What the index holds after an update.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct IndexReport {
    /// Indexed files.
    pub files: usize,
    /// Their chunks.
    pub chunks: usize,
    /// Their definitions.
    pub symbols: usize,
    /// Their size in bytes.
    pub bytes: u64,
    /// Chunks with a vector.
    pub embedded: usize,
    /// Files that were left out, sorted by path.
    pub skipped: Vec<SkippedFile>,
    /// Files that are indexed as plain text, without definitions, because they could not be parsed
    /// within the limits; sorted by path.
    pub plain: Vec<SkippedFile>,
    /// Files that were read in this update because they had changed.
    pub changed: usize,
    /// Files that were removed from the index in this update.
    pub removed: usize,
    /// Where the time went.
    pub seconds: Seconds,
}

/// What the index is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum IndexState {
    /// It has not been brought up to date yet.
    Starting,
    /// It is being brought up to date.
    Scanning,
    /// It agrees with the files as far as is known.
    Ready,
    /// The person asked it to rest.
    Paused,
    /// Another process writes it; this one reads.
    ReadOnly,
    /// The last update failed.
    Failed,
}

/// So many files indexed as plain text are named by a status, which is sent often.
pub const PLAIN_LISTED: usize = 20;

/// The state of the index for a status bar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IndexStatus {
    /// What it is doing.
    pub state: IndexState,
    /// Indexed files.
    pub files: usize,
    /// Their chunks.
    pub chunks: usize,
    /// Chunks that wait for their vector of the second tier, where a model for it is installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unembedded: Option<usize>,
    /// Files that wait to be indexed.
    pub pending: usize,
    /// Files of the running update, once they are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<usize>,
    /// The files that are indexed as plain text because they could not be parsed within the limits:
    /// the first [`PLAIN_LISTED`] by path. An [`IndexReport`] names them all.
    pub plain: Vec<SkippedFile>,
    /// Why it failed, or why changes are noticed late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}
