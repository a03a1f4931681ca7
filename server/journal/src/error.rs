use std::{io, path::PathBuf};

use thiserror::Error;

/// Why a file was not written, or an edit not taken back. The file is then as it was, but for
/// [`HalfWritten`](Self::HalfWritten).
#[derive(Debug, Error)]
pub enum JournalError {
    /// The path is outside the workspace or cannot be resolved.
    #[error(transparent)]
    Workspace(#[from] vfs::WorkspaceError),
    /// The file is not what the edit was made for.
    #[error("{} has changed since the edit was made; ask for the edit again", path.display())]
    Stale {
        /// The file.
        path: PathBuf,
    },
    /// The file can run code or steer tools, and the caller has not allowed that.
    #[error(
        "{} can run code or steer tools, so it is changed only when that is allowed explicitly",
        path.display()
    )]
    Protected {
        /// The file.
        path: PathBuf,
    },
    /// The file's mode forbids writing.
    #[error("{} is read-only; make it writable and try again", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read as text.
    #[error("cannot edit {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is in the way.
        source: vfs::ReadError,
    },
    /// Decoding and encoding the file does not give its bytes back.
    #[error(
        "{} holds bytes that its encoding cannot express; it is left alone, since an edit would \
         damage them",
        path.display()
    )]
    NotExact {
        /// The file.
        path: PathBuf,
    },
    /// The new text has characters that the file's encoding lacks.
    #[error("cannot write the edit into {}: {source}", path.display())]
    Encoding {
        /// The file.
        path: PathBuf,
        /// Which characters.
        source: vfs::EncodeError,
    },
    /// The edits do not fit the text.
    #[error("the edit does not fit {}: {source}", path.display())]
    Misfit {
        /// The file.
        path: PathBuf,
        /// Why.
        source: text::EditError,
    },
    /// The disk is full; nothing was changed.
    #[error(
        "no space left to write {} ({needed} bytes); free some space and try again, nothing was \
         changed",
        path.display()
    )]
    DiskFull {
        /// The file.
        path: PathBuf,
        /// Size of the new file.
        needed: u64,
    },
    /// The file was half written when the system failed, and the old bytes could not be put back.
    /// The next start finishes the edit.
    #[error(
        "{} was half written and could not be put back: {source}; its whole old and new content \
         are kept in {}, and the edit is finished when Hearth starts again",
        path.display(), staged.display()
    )]
    HalfWritten {
        /// The file.
        path: PathBuf,
        /// Where both contents are kept.
        staged: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another failure of the file system.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No such entry.
    #[error("there is no record of the edit {id}; it is too old or was made elsewhere")]
    UnknownEntry {
        /// The identifier that was asked for.
        id: String,
    },
    /// The record of an edit cannot be read.
    #[error("the record {} is damaged: {reason}", path.display())]
    DamagedEntry {
        /// The entry's file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The edit was taken back before.
    #[error("the edit of {} is already undone", path.display())]
    AlreadyUndone {
        /// The file.
        path: PathBuf,
    },
    /// Lines of the edit were changed afterwards.
    #[error(
        "the edited lines of {} (around line {line}) were changed since; undo the later change \
         first",
        path.display()
    )]
    ChangedSince {
        /// The file.
        path: PathBuf,
        /// One-based line of the edit as it was written.
        line: usize,
    },
}

impl JournalError {
    /// The error of a failed write of `needed` bytes to `path`.
    pub(crate) fn writing(path: &std::path::Path, needed: u64, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path, needed }
            }
            _ => Self::Io { action: "write", path, source },
        }
    }
}
