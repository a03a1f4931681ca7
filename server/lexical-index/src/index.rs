use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use tantivy::{
    Index, IndexReader, IndexSettings, IndexWriter, ReloadPolicy, TantivyDocument, TantivyError,
    Term, directory::MmapDirectory, indexer::IndexWriterOptions,
};
use thiserror::Error;

use crate::{
    document::{CodeTokenizer, Document, Fields, TOKENIZER},
    reader::LexicalReader,
};

/// Memory in which new documents wait before they become a segment on disk.
const BUFFER: usize = 48 << 20;

/// Why the full text cannot be used. It is a cache: the remedy is to fill it again.
#[derive(Debug, Error)]
pub enum LexicalError {
    /// tantivy refused.
    #[error("full text index: {0}; it can be rebuilt with `hearth index --rebuild`")]
    Tantivy(#[from] TantivyError),
    /// The folder cannot be made or cleared.
    #[error("full text index in {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Files that do not match their checksums, or that tantivy cannot read.
    #[error("full text index in {} is damaged: {reason}", path.display())]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// It was opened beside its writer.
    #[error("full text index is written by another process")]
    ReadOnly,
}

impl LexicalError {
    fn is_want_of_room(&self) -> bool {
        let Self::Tantivy(TantivyError::IoError(error)) = self else { return false };
        matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// In what state the folder was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// There was none.
    Created,
    /// It was there and whole.
    Existing,
    /// It was damaged, for the given reason, and an empty one was begun.
    Replaced(String),
}

/// The full text of one workspace.
pub struct LexicalIndex {
    index: Index,
    reader: IndexReader,
    writes: bool,
    /// Made when something is written first: its threads and buffers take time, and most starts write nothing.
    writer: Option<IndexWriter>,
    /// Its files were held against their checksums, or are its own.
    verified: bool,
    folder: PathBuf,
    fields: Fields,
}

impl LexicalIndex {
    /// Opens the index in `folder` for writing. Its files are held against their checksums, unless they are
    /// `trusted` until they are [verified](Self::verify) or written to; an index that fails, or that is of another
    /// schema, is replaced by an empty one.
    pub fn open(folder: &Path, trusted: bool) -> Result<(Self, Opened), LexicalError> {
        let existed = folder.join("meta.json").is_file();
        let fail = |source| LexicalError::Folder { path: folder.to_owned(), source };
        if !existed {
            // What is left of an index whose making was interrupted.
            remove(folder).map_err(fail)?;
            return Ok((Self::create(folder)?, Opened::Created));
        }
        let open = || {
            let mut index = Self::open_existing(folder, true)?;
            if !trusted {
                index.verify()?;
            }
            Ok(index)
        };
        match guarded(folder, open) {
            Ok(index) => Ok((index, Opened::Existing)),
            Err(error @ LexicalError::Tantivy(TantivyError::LockFailure(..))) => Err(error),
            // A full disk is no damage.
            Err(error) if error.is_want_of_room() => Err(error),
            Err(error) => {
                tracing::warn!(%error, "the full text index is made anew");
                remove(folder).map_err(fail)?;
                Ok((Self::create(folder)?, Opened::Replaced(error.to_string())))
            }
        }
    }

    /// Opens the index in `folder` beside its writer; `None` when there is none.
    pub fn open_to_read(folder: &Path) -> Result<Option<Self>, LexicalError> {
        if !folder.join("meta.json").is_file() {
            return Ok(None);
        }
        guarded(folder, || Self::open_existing(folder, false)).map(Some)
    }

    fn create(folder: &Path) -> Result<Self, LexicalError> {
        let fail = |source| LexicalError::Folder { path: folder.to_owned(), source };
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).map_err(fail)?;
        let fields = Fields::new();
        let directory = MmapDirectory::open(folder).map_err(TantivyError::from)?;
        let index = Index::create(directory, fields.schema.clone(), IndexSettings::default())?;
        Ok(Self { verified: true, ..Self::over(index, folder, fields, true)? })
    }

    fn open_existing(folder: &Path, writes: bool) -> Result<Self, LexicalError> {
        let fields = Fields::new();
        let index = Index::open_in_dir(folder)?;
        if index.schema() != fields.schema {
            let reason = "its schema is of another version".to_owned();
            return Err(LexicalError::Damaged { path: folder.to_owned(), reason });
        }
        Self::over(index, folder, fields, writes)
    }

    fn over(
        index: Index,
        folder: &Path,
        fields: Fields,
        writes: bool,
    ) -> Result<Self, LexicalError> {
        index.tokenizers().register(TOKENIZER, CodeTokenizer::default());
        let reader: IndexReader =
            index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let folder = folder.to_owned();
        Ok(Self { index, reader, writes, writer: None, verified: false, folder, fields })
    }

    /// Holds every file against its checksum where opening trusted them and nothing was written since: a third of a
    /// second for a gigabyte.
    pub fn verify(&mut self) -> Result<(), LexicalError> {
        // A reader beside the writer may see files come and go while it checks.
        if self.verified || !self.writes {
            return Ok(());
        }
        let wrong = guarded(&self.folder, || Ok(self.index.validate_checksum()?))?;
        if let Some(file) = wrong.iter().next() {
            let reason = format!("{} of its files, such as {}", wrong.len(), file.display());
            return Err(LexicalError::Damaged { path: self.folder.clone(), reason });
        }
        self.verified = true;
        Ok(())
    }

    /// What writes; it reads what there is to merge it, so that is verified first.
    fn writer(&mut self) -> Result<&mut IndexWriter, LexicalError> {
        if !self.writes {
            return Err(LexicalError::ReadOnly);
        }
        self.verify()?;
        match &mut self.writer {
            Some(writer) => Ok(writer),
            none => Ok(none.insert(writer(&self.index)?)),
        }
    }

    /// Adds a document; it is found after the next [commit](Self::commit).
    pub fn add(&mut self, document: &Document<'_>) -> Result<(), LexicalError> {
        let mut stored = TantivyDocument::new();
        stored.add_u64(self.fields.file, document.file);
        stored.add_u64(self.fields.ordinal, document.ordinal);
        stored.add_u64(self.fields.digest, document.digest());
        for field in crate::Field::ALL {
            let text = document.field(field);
            if !text.is_empty() {
                stored.add_text(self.fields.text(field), text);
            }
        }
        self.writer()?.add_document(stored)?;
        Ok(())
    }

    /// Removes all documents of a file that were added before; takes effect with the next commit.
    pub fn delete(&mut self, file: u64) -> Result<(), LexicalError> {
        let term = Term::from_field_u64(self.fields.file, file);
        self.writer()?.delete_term(term);
        Ok(())
    }

    /// Makes everything so far durable under `stamp`, and visible to new readers.
    pub fn commit(&mut self, stamp: u64) -> Result<(), LexicalError> {
        let writer = self.writer()?;
        let mut prepared = writer.prepare_commit()?;
        prepared.set_payload(&stamp.to_string());
        prepared.commit()?;
        self.reload()
    }

    /// Forgets what was added and deleted since the last commit.
    pub fn rollback(&mut self) -> Result<(), LexicalError> {
        // tantivy's own rollback has been seen to panic; a new writer begins at the last commit.
        drop(self.writer.take());
        Ok(())
    }

    /// The stamp of the last commit; `None` before the first.
    pub fn stamp(&self) -> Result<Option<u64>, LexicalError> {
        Ok(self.index.load_metas()?.payload.and_then(|payload| payload.parse().ok()))
    }

    /// Looks for commits of another process.
    pub fn reload(&self) -> Result<(), LexicalError> {
        Ok(self.reader.reload()?)
    }

    /// The committed documents as they are now.
    pub fn reader(&self) -> Result<LexicalReader, LexicalError> {
        LexicalReader::new(self.reader.searcher(), &self.folder, self.fields.clone())
    }

    /// Waits until the segments that are being merged are written.
    pub fn finish(mut self) -> Result<(), LexicalError> {
        match self.writer.take() {
            Some(writer) => Ok(writer.wait_merging_threads()?),
            None => Ok(()),
        }
    }
}

fn writer(index: &Index) -> Result<IndexWriter, LexicalError> {
    let options = IndexWriterOptions::builder()
        .num_worker_threads(1)
        .num_merge_threads(1)
        .memory_budget_per_thread(BUFFER)
        .build();
    // Nobody waits for what its threads do.
    let writer = base::standing_back(|| index.writer_with_options(options))?;
    // A crash can leave the files of a commit that never came about; tantivy refuses to write over
    // them when the next commit takes the same names.
    writer.garbage_collect_files().wait()?;
    Ok(writer)
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// tantivy asserts what a damaged file breaks; such a panic means damage, not a fault of ours.
pub(crate) fn guarded<T>(
    folder: &Path,
    work: impl FnOnce() -> Result<T, LexicalError>,
) -> Result<T, LexicalError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(LexicalError::Damaged {
            path: folder.to_owned(),
            reason: "its files contradict each other".to_owned(),
        })
    })
}

#[cfg(test)]
mod tests;
