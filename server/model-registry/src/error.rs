use std::{
    io,
    path::{Path, PathBuf},
};

use base::{Cancelled, FoldersError};
use inference::InferenceError;
use thiserror::Error;

use crate::{Role, gguf::GgufError};

/// Why a model could not be fetched, found or changed. Every message names what, where and what to
/// do next.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// The operation was asked to stop. What was downloaded so far is kept for the next try.
    #[error("cancelled")]
    Cancelled,
    /// Hearth's own folders cannot be used.
    #[error(transparent)]
    Folders(#[from] FoldersError),
    /// The person's settings cannot be read.
    #[error("cannot use {}: {reason}", path.display())]
    Settings {
        /// The settings file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The list of models that is part of the program is wrong.
    #[error("the program's list of models is wrong: {0}")]
    Manifest(String),
    /// No model has this name.
    #[error("no model is called {id:?}; `hearth models list` shows those that are known")]
    Unknown {
        /// The name.
        id: String,
    },
    /// The model is known and not installed.
    #[error("the model {id} is not installed; run `hearth models pull {id}`")]
    NotInstalled {
        /// The model.
        id: String,
    },
    /// The model cannot do what it was chosen for.
    #[error("the model {id} cannot be used for {role}; it is made for {made_for}")]
    WrongRole {
        /// The model.
        id: String,
        /// What it was chosen for.
        role: Role,
        /// What it is made for.
        made_for: String,
    },
    /// The network may not be used.
    #[error(
        "{id} must be downloaded and the network is switched off (--offline); \
         run `hearth models pull {id}` without it, or import a file"
    )]
    Offline {
        /// The model.
        id: String,
    },
    /// The model cannot be had on this kind of machine.
    #[error("{id} is not available for {target}; {advice}")]
    Platform {
        /// The model or library.
        id: String,
        /// System and processor.
        target: String,
        /// What to do instead.
        advice: String,
    },
    /// A file of ours cannot be read or written.
    #[error("cannot {action} {}: {reason}", path.display())]
    File {
        /// What was tried: `read`, `write`, ….
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// There is too little room.
    #[error(
        "the disk that holds {} is full: {needed_mb} MB are needed and {available_mb} MB are free; \
         nothing was kept. Make room, or set HEARTH_HOME to a folder on another disk",
        path.display()
    )]
    DiskFull {
        /// A folder on that disk.
        path: PathBuf,
        /// What is needed, in units of 1,000,000 bytes.
        needed_mb: u64,
        /// What is free, in the same unit.
        available_mb: u64,
    },
    /// A file is not the one it should be.
    #[error(
        "{what} has the SHA-256 {found} where {expected} was expected, so it was refused; \
         try again, and if this repeats, the source has changed or someone changes it on the way"
    )]
    Checksum {
        /// The file and where it came from.
        what: String,
        /// The pinned hash.
        expected: String,
        /// The hash of what came.
        found: String,
    },
    /// A file is not a usable model.
    #[error("{} was refused: {reason}", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: GgufError,
    },
    /// An import cannot be done for another reason.
    #[error("cannot import {}: {reason}", path.display())]
    Import {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// An adapter and a model do not belong together.
    #[error("cannot use the adapter {}: {reason}", path.display())]
    Adapter {
        /// The adapter.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// Nothing can train an adapter as things are.
    #[error("no adapter can be trained: {reason}")]
    NoTrainer {
        /// What is missing and how to get it.
        reason: String,
    },
    /// A download failed.
    #[error("cannot download {address}: {reason}")]
    Download {
        /// The address.
        address: String,
        /// What happened and what to do.
        reason: String,
    },
    /// A program that is needed is missing or failed.
    #[error("{what} failed: {reason}")]
    Tool {
        /// What was being done.
        what: String,
        /// What the program said, and what to do.
        reason: String,
    },
}

impl RegistryError {
    /// Whether something that can be fetched is missing (exit code 3), rather than a failure.
    pub fn is_missing_component(&self) -> bool {
        matches!(self, Self::NotInstalled { .. } | Self::Offline { .. } | Self::NoTrainer { .. })
    }

    /// For `map_err` after an operation on a file.
    pub(crate) fn file(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(io::Error) -> RegistryError + use<> {
        let path = path.to_owned();
        move |reason| match reason.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                let available_mb = crate::space::available(&path).unwrap_or(0) / 1_000_000;
                Self::DiskFull { needed_mb: available_mb + 1, available_mb, path }
            }
            _ => Self::File { action, path, reason },
        }
    }
}

impl From<Cancelled> for RegistryError {
    fn from(Cancelled: Cancelled) -> Self {
        Self::Cancelled
    }
}

impl From<RegistryError> for InferenceError {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Cancelled => Self::Cancelled,
            RegistryError::Model { path, reason } => {
                Self::ModelFile { path, reason: reason.to_string() }
            }
            other => Self::Engine(other.to_string()),
        }
    }
}
