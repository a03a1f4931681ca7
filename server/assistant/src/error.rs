use std::{
    io,
    path::{Path, PathBuf},
};

use adaptation::StoreError as PriorStoreError;
use base::{Cancelled, FoldersError};
use edit::EditError;
use indexer::IndexError;
use inference::InferenceError;
use journal::JournalError;
use model_registry::RegistryError;
use store::StoreError;
use thiserror::Error;
use vfs::{ReadError, WorkspaceError};

/// Why something asked of the assistant was not done. Every message says what, where and what to
/// do.
#[derive(Debug, Error)]
pub enum AssistantError {
    /// The person, or a newer request, made it needless.
    #[error("cancelled")]
    Cancelled,
    /// The assistant could not be opened.
    #[error("{0}")]
    Unavailable(String),
    /// The workspace is not trusted.
    #[error("{what} needs a trusted workspace; trust it in the editor, or with `hearth trust`")]
    Untrusted {
        /// What was asked for.
        what: &'static str,
    },
    /// The document has moved on since the request was put together.
    #[error("{} stands at version {current}, not {given}; ask again", path.display())]
    Stale {
        /// The document.
        path: PathBuf,
        /// The version that is held.
        current: i32,
        /// The version of the request.
        given: i32,
    },
    /// No such proposal is held; only the latest ones are.
    #[error("the proposal {id} is not known any more; ask again")]
    UnknownEdit {
        /// Its name.
        id: String,
    },
    /// Nothing was recorded that could be undone.
    #[error("there is nothing to undo")]
    NothingToUndo,
    /// No such conversation.
    #[error("the conversation {id} does not exist; it may have been deleted")]
    UnknownConversation {
        /// Its name.
        id: String,
    },
    /// A request that makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// One of Hearth's own files.
    #[error("{}: {source}", path.display())]
    Files {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A folder of Hearth's own.
    #[error(transparent)]
    Folders(#[from] FoldersError),
    /// A path outside the workspace, or one that leads nowhere.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// A file that cannot be read as text.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ReadError,
    },
    /// The index.
    #[error(transparent)]
    Index(IndexError),
    /// A model.
    #[error(transparent)]
    Model(InferenceError),
    /// The model manager.
    #[error(transparent)]
    Registry(RegistryError),
    /// The priors that were learnt for the workspace.
    #[error(transparent)]
    Priors(#[from] PriorStoreError),
    /// An edit.
    #[error(transparent)]
    Edit(EditError),
    /// The journal of edits.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The conversations.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A chat.
    #[error(transparent)]
    Chat(chat::ChatError),
}

impl AssistantError {
    /// The kind of failure, for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Unavailable(_) => "unavailable",
            Self::Untrusted { .. } => "untrusted",
            Self::Stale { .. } | Self::Edit(EditError::Moved { .. }) => "stale",
            Self::UnknownEdit { .. } | Self::UnknownConversation { .. } | Self::NothingToUndo => {
                "unknown"
            }
            Self::Invalid(_) => "invalid",
            Self::Workspace(WorkspaceError::Outside { .. }) => "outside",
            Self::Workspace(_) | Self::Read { .. } => "unreadable",
            Self::Edit(EditError::Unusable { .. } | EditError::SelectionTooLong { .. }) => {
                "refused"
            }
            Self::Files { .. }
            | Self::Folders(_)
            | Self::Journal(_)
            | Self::Store(_)
            | Self::Priors(_) => "files",
            Self::Index(_) => "index",
            _ => match self.inference() {
                Some(InferenceError::NoModel { .. }) => "noModel",
                Some(_) => "model",
                None => "refused",
            },
        }
    }

    /// The command that mends it, where there is one.
    pub fn command(&self) -> Option<String> {
        match self {
            Self::Untrusted { .. } => Some("hearth trust".into()),
            _ => match self.inference()? {
                InferenceError::NoModel { command, .. } => Some(command.clone()),
                InferenceError::ModelFile { .. } => Some("hearth models verify".into()),
                InferenceError::OutOfMemory { .. } => Some("hearth models recommend".into()),
                _ => None,
            },
        }
    }

    /// The model's failure behind this one.
    pub fn inference(&self) -> Option<&InferenceError> {
        match self {
            Self::Model(error) | Self::Edit(EditError::Model(error)) => Some(error),
            _ => None,
        }
    }
}

impl AssistantError {
    /// For `map_err` after the reading of a file. A refused path names itself already.
    pub(crate) fn reading(path: &Path) -> impl FnOnce(ReadError) -> Self + '_ {
        |source| match source {
            ReadError::Refused(refused) => Self::Workspace(refused),
            source => Self::Read { path: path.to_owned(), source },
        }
    }
}

impl From<Cancelled> for AssistantError {
    fn from(Cancelled: Cancelled) -> Self {
        Self::Cancelled
    }
}

impl From<RegistryError> for AssistantError {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Cancelled => Self::Cancelled,
            error => Self::Registry(error),
        }
    }
}

impl From<InferenceError> for AssistantError {
    fn from(error: InferenceError) -> Self {
        match error {
            InferenceError::Cancelled => Self::Cancelled,
            error => Self::Model(error),
        }
    }
}

impl From<EditError> for AssistantError {
    fn from(error: EditError) -> Self {
        if error.is_cancelled() { Self::Cancelled } else { Self::Edit(error) }
    }
}

impl From<IndexError> for AssistantError {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Cancelled(_) => Self::Cancelled,
            error => Self::Index(error),
        }
    }
}
