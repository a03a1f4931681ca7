//! The only writer of a user's files, and the record that makes each of its edits undoable.
//!
//! [`Journal::apply`] writes an edit: refused when the file is no longer what the edit was made
//! for, recorded durably before the first byte changes, atomic, and byte-exact outside the edit.
//! [`Journal::record`] keeps the same record for an edit that the editor applies itself.
//! [`Journal::undo`] and [`Journal::inverse`] take an edit back, also after later edits elsewhere in
//! the file.
//!
//! It makes no file, removes none, knows nothing of git, and does not carry extended attributes
//! over. Entries are JSON files in the user's data folder: they hold the changed lines and a few
//! around them, never a whole file.

mod entry;
mod error;
mod protected;
mod rebase;
mod write;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use text::{LineEnding, TextEdit, apply_edits};
use vfs::{FileFormat, FileText, Workspace};

pub use entry::{Cause, ContentHash, Entry, EntryId, InverseEdit, MessageReference};
pub use error::JournalError;
pub use protected::is_protected;

/// Entries that are kept; the oldest go first.
const KEPT_ENTRIES: usize = 2_000;
/// Largest file that is edited, in bytes. Larger ones are data, not source.
const LARGEST_FILE: u64 = 32 * 1024 * 1024;

/// The gate to the files of one workspace.
pub struct Journal {
    folder: PathBuf,
    workspace: Workspace,
}

/// An edit of one file on disk.
#[derive(Clone, Debug)]
pub struct FileChange {
    /// The file, relative to the first root or absolute.
    pub path: PathBuf,
    /// Hash of the text that the edits were made for.
    pub expected: ContentHash,
    /// The edits, all relative to that text. Line breaks are turned into the file's own where the
    /// file has only one kind.
    pub edits: Vec<TextEdit>,
    /// What the edit was made for.
    pub cause: Cause,
    /// Whether files that can run code or steer tools may be changed too (see [`is_protected`]).
    pub allow_protected: bool,
}

/// An edit that was or will be applied by the editor, in whole texts.
#[derive(Clone, Debug)]
pub struct EditorChange<'a> {
    /// The file, relative to the first root or absolute.
    pub path: &'a Path,
    /// The document before.
    pub before: &'a str,
    /// The document after.
    pub after: &'a str,
    /// What the edit was made for.
    pub cause: Cause,
}

/// A finished write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The entry that can be undone.
    pub entry: EntryId,
    /// The file that was written, links followed.
    pub path: PathBuf,
    /// Its text now.
    pub text: String,
}

/// A file as it stands on disk.
struct OnDisk {
    path: PathBuf,
    relative: String,
    bytes: Vec<u8>,
    text: String,
    format: FileFormat,
}

impl Journal {
    /// Opens the journal that is kept in `folder` (made when missing) for `workspace`, finishes
    /// writes that a crash interrupted, and forgets the oldest entries.
    pub fn open(folder: &Path, workspace: Workspace) -> Result<Self, JournalError> {
        entry::create_private_folder(folder)?;
        let journal = Self { folder: folder.to_owned(), workspace };
        journal.recover();
        entry::prune(folder, KEPT_ENTRIES);
        Ok(journal)
    }

    /// Writes an edit. Nothing is changed unless `Ok` comes back; the file then holds exactly the
    /// edited text, durably.
    pub fn apply(&self, change: &FileChange) -> Result<Applied, JournalError> {
        let file = self.read(&change.path, change.allow_protected)?;
        if ContentHash::of(&file.text) != change.expected {
            return Err(JournalError::Stale { path: file.path });
        }
        let edits = with_line_ending(&change.edits, &file.text);
        let after = apply_edits(&file.text, &edits)
            .map_err(|source| JournalError::Misfit { path: file.path.clone(), source })?;
        self.commit(file, after, change.cause.clone())
    }

    /// Keeps the record of an edit that the editor applies, so that it can be undone later.
    pub fn record(&self, change: &EditorChange<'_>) -> Result<EntryId, JournalError> {
        let path = self.workspace.resolve(change.path)?;
        let entry = Entry::new(path, change.before, change.after, change.cause.clone(), now());
        entry.save(&self.folder)?;
        Ok(entry.id)
    }

    /// The entry with this identifier.
    pub fn entry(&self, id: &EntryId) -> Result<Entry, JournalError> {
        Entry::load(&self.folder, id)
    }

    /// All entries of this workspace, newest first. Files that cannot be read are passed over.
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = entry::files(&self.folder)
            .iter()
            .filter_map(|path| Entry::read(path).ok())
            .filter(|entry| self.workspace.relative(&entry.path).is_some())
            .collect();
        entries.sort_by(|a, b| b.id.cmp(&a.id));
        entries
    }

    /// The entries of one edit that are not undone yet, newest first: the order to undo them in.
    pub fn entries_of_edit(&self, edit: &str) -> Vec<Entry> {
        let mut entries = self.entries();
        entries.retain(|entry| !entry.undone && entry.cause.edit.as_deref() == Some(edit));
        entries
    }

    /// The entries of one chat message that are not undone yet, newest first.
    pub fn entries_of_message(&self, message: &MessageReference) -> Vec<Entry> {
        let mut entries = self.entries();
        entries.retain(|entry| !entry.undone && entry.cause.message.as_ref() == Some(message));
        entries
    }

    /// The edits that take entry `id` back from `current`, the file's or document's present text.
    /// Later changes elsewhere are kept; where the edit's own lines were changed since, the undo is
    /// refused.
    pub fn inverse(&self, id: &EntryId, current: &str) -> Result<Vec<TextEdit>, JournalError> {
        let entry = self.entry(id)?;
        if entry.undone {
            return Err(JournalError::AlreadyUndone { path: entry.path });
        }
        rebase::inverse(&entry, current)
    }

    /// Notes that the editor has taken entry `id` back.
    pub fn mark_undone(&self, id: &EntryId) -> Result<(), JournalError> {
        let mut entry = self.entry(id)?;
        entry.undone = true;
        entry.save(&self.folder)
    }

    /// Takes entry `id` back on disk. The undo is an entry of its own.
    pub fn undo(&self, id: &EntryId) -> Result<Applied, JournalError> {
        let entry = self.entry(id)?;
        // The person asked for this file's old content by name: no second question.
        let file = self.read(&entry.path, true)?;
        let edits = self.inverse(id, &file.text)?;
        let after = apply_edits(&file.text, &edits)
            .map_err(|source| JournalError::Misfit { path: file.path.clone(), source })?;
        let cause = Cause { label: format!("Undo: {}", entry.cause.label), ..Cause::default() };
        let applied = self.commit(file, after, cause)?;
        self.mark_undone(id)?;
        Ok(applied)
    }

    /// Reads a file that may be edited, and proves that it can be written back byte by byte.
    fn read(&self, path: &Path, allow_protected: bool) -> Result<OnDisk, JournalError> {
        let resolved = self.workspace.resolve(path)?;
        let relative = self.workspace.relative(&resolved).unwrap_or_default();
        // The name that was asked for counts as well: a link may lead from or to a protected place.
        let asked = path.to_string_lossy().replace('\\', "/");
        if !allow_protected && (is_protected(&relative) || is_protected(&asked)) {
            return Err(JournalError::Protected { path: resolved });
        }
        let io = |source| JournalError::Io { action: "read", path: resolved.clone(), source };
        let metadata = fs::metadata(&resolved).map_err(io)?;
        if metadata.permissions().readonly() {
            return Err(JournalError::ReadOnly { path: resolved });
        }
        let unreadable = |source| JournalError::Unreadable { path: resolved.clone(), source };
        if metadata.len() > LARGEST_FILE || !metadata.is_file() {
            // Says which of the two it is, without reading.
            vfs::read_text(&resolved, LARGEST_FILE).map_err(unreadable)?;
        }
        let bytes = fs::read(&resolved).map_err(io)?;
        let FileText { text, format } = vfs::decode(bytes.clone()).map_err(unreadable)?;
        if vfs::encode(&text, &format).ok().as_deref() != Some(bytes.as_slice()) {
            return Err(JournalError::NotExact { path: resolved });
        }
        Ok(OnDisk { path: resolved, relative, bytes, text, format })
    }

    /// Records the change from `file` to `after`, then writes it.
    fn commit(&self, file: OnDisk, after: String, cause: Cause) -> Result<Applied, JournalError> {
        let bytes = vfs::encode(&after, &file.format)
            .map_err(|source| JournalError::Encoding { path: file.path.clone(), source })?;
        let mut entry = Entry::new(file.path.clone(), &file.text, &after, cause, now());
        entry.relative = file.relative;
        let staged = self.folder.join(format!("{}.staged", entry.id));
        entry.save(&self.folder)?;
        let written = write::replace(&file.path, &file.bytes, &bytes, &staged);
        if let Err(error) = written {
            // What is half written is finished by its entry.
            if !matches!(error, JournalError::HalfWritten { .. }) {
                entry::remove(&self.folder, &entry.id);
            }
            return Err(error);
        }
        Ok(Applied { entry: entry.id, path: file.path, text: after })
    }

    /// Finishes in-place writes that were cut off: the new bytes lie whole in a staged file.
    fn recover(&self) {
        for staged in entry::staged_files(&self.folder) {
            let id = staged.file_stem().and_then(|stem| stem.to_str()).map(EntryId::from_stem);
            if let Some(entry) = id.and_then(|id| self.entry(&id).ok()) {
                write::finish_staged(&entry.path, &staged);
            } else {
                // Nothing says what the file was for.
                let _ = fs::remove_file(&staged);
            }
        }
    }
}

/// `edits` with the line break of `text`, where it has only one kind.
fn with_line_ending(edits: &[TextEdit], text: &str) -> Vec<TextEdit> {
    let Some(ending) = LineEnding::only_one_of(text) else {
        return edits.to_vec();
    };
    edits.iter().map(|edit| TextEdit::new(edit.range, ending.apply(&edit.replacement))).collect()
}

/// Milliseconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as u64)
}

#[cfg(test)]
mod tests;
