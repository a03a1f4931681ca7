use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use text::hunks;

use crate::JournalError;

/// Lines kept before and after each hunk, to find its place again.
const CONTEXT_LINES: usize = 3;
/// The format of an entry's file.
const FORMAT: u32 = 1;

/// BLAKE3 of a text, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContentHash(String);

impl ContentHash {
    /// The hash of `text`.
    pub fn of(text: &str) -> Self {
        Self(blake3::hash(text.as_bytes()).to_hex().to_string())
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names an entry. Later entries compare greater.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryId(String);

impl EntryId {
    fn new() -> Self {
        Self(uuid::Uuid::now_v7().to_string())
    }

    pub(crate) fn from_stem(stem: &str) -> Self {
        Self(stem.to_owned())
    }

    /// The identifier that a client sent back; refused unless it has the form of one, so that it
    /// can never name a file elsewhere.
    pub fn parse(id: &str) -> Option<Self> {
        uuid::Uuid::try_parse(id).ok().map(|id| Self(id.hyphenated().to_string()))
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an edit was made for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// In the person's words, such as the instruction.
    pub label: String,
    /// The proposal that was accepted.
    pub edit: Option<String>,
    /// The chat message that proposed it.
    pub message: Option<MessageReference>,
}

/// One message of one conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageReference {
    /// The conversation.
    pub conversation: String,
    /// The message in it.
    pub message: String,
}

/// How to take one hunk back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InverseEdit {
    /// Byte offset of the hunk in the text after the edit.
    pub start: usize,
    /// Zero-based line of the hunk in the text after the edit.
    pub line: usize,
    /// The lines that the edit wrote.
    pub written: String,
    /// The lines that stood there before.
    pub replaced: String,
    /// Lines before the hunk.
    pub before: String,
    /// Lines after the hunk.
    pub after: String,
}

/// One journalled edit of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    format: u32,
    /// Its name.
    pub id: EntryId,
    /// The file, absolute, links followed.
    pub path: PathBuf,
    /// The file relative to the workspace; empty for an edit that the editor applied.
    pub relative: String,
    /// When, in milliseconds since 1970.
    pub created: u64,
    /// What for.
    pub cause: Cause,
    /// Hash of the whole text before.
    pub before: ContentHash,
    /// Hash of the whole text after.
    pub after: ContentHash,
    /// The hunks, in order of place.
    pub hunks: Vec<InverseEdit>,
    /// Whether it was taken back.
    pub undone: bool,
}

impl Entry {
    /// The record of the change from `before` to `after`.
    pub(crate) fn new(
        path: PathBuf,
        before: &str,
        after: &str,
        cause: Cause,
        created: u64,
    ) -> Self {
        let hunks = hunks(before, after)
            .into_iter()
            .map(|hunk| InverseEdit {
                start: hunk.new.start,
                line: hunk.new_lines.start,
                written: hunk.new.slice(after).unwrap_or_default().to_owned(),
                replaced: hunk.old.slice(before).unwrap_or_default().to_owned(),
                before: last_lines(after.get(..hunk.new.start).unwrap_or_default()).to_owned(),
                after: first_lines(after.get(hunk.new.end..).unwrap_or_default()).to_owned(),
            })
            .collect();
        Self {
            format: FORMAT,
            id: EntryId::new(),
            path,
            relative: String::new(),
            created,
            cause,
            before: ContentHash::of(before),
            after: ContentHash::of(after),
            hunks,
            undone: false,
        }
    }

    /// Makes the entry durable.
    pub(crate) fn save(&self, folder: &Path) -> Result<(), JournalError> {
        let path = file_of(folder, &self.id);
        let json = serde_json::to_vec(self).map_err(|error| JournalError::DamagedEntry {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        base::write_atomic(&path, &json)
            .map_err(|source| JournalError::writing(&path, json.len() as u64, source))
    }

    pub(crate) fn load(folder: &Path, id: &EntryId) -> Result<Self, JournalError> {
        let path = file_of(folder, id);
        if !path.is_file() {
            return Err(JournalError::UnknownEntry { id: id.to_string() });
        }
        Self::read(&path)
    }

    pub(crate) fn read(path: &Path) -> Result<Self, JournalError> {
        let io = |source| JournalError::Io { action: "read", path: path.to_owned(), source };
        let bytes = fs::read(path).map_err(io)?;
        let damaged = |reason: String| JournalError::DamagedEntry { path: path.to_owned(), reason };
        let entry: Self =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if entry.format > FORMAT {
            return Err(damaged(format!(
                "it has format {}, and this version knows {FORMAT}; update Hearth",
                entry.format
            )));
        }
        Ok(entry)
    }
}

/// The entry files of `folder`.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    with_extension(folder, "json")
}

/// New contents whose in-place write was not finished.
pub(crate) fn staged_files(folder: &Path) -> Vec<PathBuf> {
    with_extension(folder, "staged")
}

/// Takes the entry of an edit that did not happen out again.
pub(crate) fn remove(folder: &Path, id: &EntryId) {
    // An entry that stays behind does no harm: its undo finds the file as it was before.
    let _ = fs::remove_file(file_of(folder, id));
}

/// Forgets the oldest entries beyond `kept`.
pub(crate) fn prune(folder: &Path, kept: usize) {
    let mut files = files(folder);
    // Identifiers begin with their time.
    files.sort();
    let surplus = files.len().saturating_sub(kept);
    for path in files.into_iter().take(surplus) {
        let _ = fs::remove_file(path);
    }
}

/// Makes the journal's folder, for its owner only.
pub(crate) fn create_private_folder(folder: &Path) -> Result<(), JournalError> {
    let create = || -> io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)
    };
    create().map_err(|source| JournalError::Io {
        action: "create",
        path: folder.to_owned(),
        source,
    })
}

fn with_extension(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect()
}

fn file_of(folder: &Path, id: &EntryId) -> PathBuf {
    folder.join(format!("{id}.json"))
}

/// The last whole lines of `text`.
fn last_lines(text: &str) -> &str {
    let start = text.rmatch_indices('\n').nth(CONTEXT_LINES).map_or(0, |(at, _)| at + 1);
    text.get(start..).unwrap_or_default()
}

/// The first whole lines of `text`.
fn first_lines(text: &str) -> &str {
    let end = text.match_indices('\n').nth(CONTEXT_LINES - 1).map_or(text.len(), |(at, _)| at + 1);
    text.get(..end).unwrap_or_default()
}
