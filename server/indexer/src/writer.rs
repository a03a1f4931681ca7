use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use base::CancelToken;
use lexical_index::{LexicalIndex, LexicalReader};
use static_embedding::StaticEmbedding;
use store::{FileRow, FileRows, IndexBatch, IndexStore, LoadedIndex, Opened};

use crate::{history, lock::WriterLock, prepare::Prepared, report::IndexError, snapshot::Base};

const GENERATION: &str = "lexical_generation";
const STAMP: &str = "lexical_stamp";
const DERIVATION: &str = "derivation";
/// 1 from an orderly end until the next change: only then is the structure of the rows' file trusted.
const CLEAN: &str = "clean";

/// The stored index, in the process that may write it.
///
/// A change is first committed to SQLite, together with a mark that its documents are pending, then
/// to the full text, then the marks go. Whatever moment a crash picks, the marks that are left name
/// the documents that must be made again.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Writer {
    store: IndexStore,
    lexical: LexicalIndex,
    /// The rows as the store has them.
    pub(crate) files: HashMap<Arc<str>, Arc<FileRows>>,
    /// Files whose documents, or rows, must be made again though the file has not changed.
    pub(crate) redo: HashSet<Arc<str>>,
    stamp: u64,
    uncommitted: bool,
    /// Something was written since the last orderly end.
    dirty: bool,
    /// What is stored was trusted and not looked at.
    unverified: bool,
    /// Something is to be found that the last base does not have.
    unpublished: bool,
    _lock: WriterLock,
}

/// The stored index beside the process that writes it.
pub(crate) struct Reader {
    folder: PathBuf,
    store: Option<IndexStore>,
    lexical: Option<LexicalIndex>,
    version: Option<i64>,
}

/// Looks at the structure of the rows in `folder` and at what they hold, beside the process that writes them. Fails
/// when they are damaged; false when it was cancelled.
pub(crate) fn verify(folder: &Path, cancel: &CancelToken) -> Result<bool, IndexError> {
    let Some(store) = IndexStore::open_to_read(folder)? else { return Ok(false) };
    store.check()?;
    Ok(store.check_contents(cancel)?)
}

/// What this process may do with the stored index.
pub(crate) enum Role {
    Writer(Box<Writer>),
    Reader(Box<Reader>),
}

/// Whether what is stored has to be looked at before it is used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Not after an orderly end.
    OrderlyEnd,
    /// In any case.
    Nothing,
}

impl Role {
    /// Writer if nobody else is.
    pub(crate) fn take(folder: &Path, trust: Trust) -> Result<Self, IndexError> {
        let lock = WriterLock::take(folder)
            .map_err(|source| IndexError::Folder { path: folder.to_owned(), source })?;
        Ok(match lock {
            Some(lock) => Self::Writer(Box::new(Writer::open(folder, lock, trust)?)),
            None => Self::reader(folder),
        })
    }
}

impl Role {
    /// The role that needs nothing.
    pub(crate) fn reader(folder: &Path) -> Self {
        Self::Reader(Box::new(Reader::new(folder)))
    }
}

impl Writer {
    /// Opens what is stored in `folder` and finds out what of it must be made again. Damage is
    /// repaired by leaving out what it touched.
    pub(crate) fn open(folder: &Path, lock: WriterLock, trust: Trust) -> Result<Self, IndexError> {
        let OpenStore { mut store, state, loaded, verified } = open_store(folder, trust)?;
        let mut redo: HashSet<Arc<str>> = HashSet::new();
        let mut files = HashMap::with_capacity(loaded.files.len());
        for file in loaded.damaged {
            tracing::warn!(path = %file.path, "a damaged row is made anew");
            redo.insert(Arc::clone(&file.path));
            files.insert(Arc::clone(&file.path), Arc::new(FileRows::empty(file)));
        }
        for rows in loaded.files {
            files.insert(Arc::clone(&rows.file.path), Arc::new(rows));
        }
        let generation = match store.meta(GENERATION)? {
            Some(generation) if state == Opened::Existing => generation,
            _ => begin_generation(&mut store)?,
        };
        let mut lexical = open_lexical(folder, generation, !verified, &mut store)?;
        let chunks: usize = files.values().map(|rows| rows.chunk_count()).sum();
        let sound = is_sound(&store, &lexical, chunks)?;
        if !sound {
            tracing::warn!("the full text does not match its rows and is made anew");
            let generation = begin_generation(&mut store)?;
            lexical = open_lexical(folder, generation, false, &mut store)?;
            remove_older(folder, generation)?;
        } else if state != Opened::Existing {
            remove_older(folder, generation)?;
        }
        let stamp = lexical.stamp()?.max(store.meta(STAMP)?).unwrap_or(0);
        let mut pending: HashSet<i64> = store.pending()?.into_iter().collect();
        if !pending.is_empty() {
            let paths = files.iter().filter(|(_, rows)| pending.remove(&rows.file.id));
            redo.extend(paths.map(|(path, _)| Arc::clone(path)));
        }
        let uncommitted = !pending.is_empty();
        for id in pending {
            lexical.delete(id.cast_unsigned())?;
        }
        let dirty = store.meta(CLEAN)? != Some(1);
        Ok(Self {
            store,
            lexical,
            files,
            redo,
            stamp,
            uncommitted,
            dirty,
            unverified: !verified,
            unpublished: true,
            _lock: lock,
        })
    }

    /// Whether what is stored was trusted when it was opened and not [verified] since.
    pub(crate) fn is_unverified(&self) -> bool {
        self.unverified
    }

    /// Takes note of what [verify] found of the rows, and looks at the full text. Fails when that is damaged.
    pub(crate) fn verified(&mut self, sound: bool) -> Result<(), IndexError> {
        let verified = self.lexical.verify();
        self.unverified = !sound || verified.is_err();
        if self.unverified {
            self.distrust()?;
        }
        Ok(verified?)
    }

    /// Says that what is stored is not to be trusted at the next start.
    fn distrust(&mut self) -> Result<(), IndexError> {
        if !self.dirty {
            self.store.set_meta(CLEAN, 0)?;
            self.dirty = true;
        }
        Ok(())
    }

    /// Stores changes; they are found after the next [commit](Self::commit).
    pub(crate) fn write(
        &mut self,
        changed: Vec<Prepared>,
        touched: Vec<FileRow>,
        gone: &[Arc<str>],
    ) -> Result<(), IndexError> {
        let mut batch = IndexBatch::default();
        let mut texts = Vec::with_capacity(changed.len());
        for Prepared { rows, text } in changed {
            batch.put.push(rows);
            texts.push(text);
        }
        for row in touched {
            let Some(known) = self.files.get(&row.path) else { continue };
            let mut rows = FileRows::clone(known);
            (rows.file.size, rows.file.mtime_ns, rows.file.inode) =
                (row.size, row.mtime_ns, row.inode);
            batch.touch.push(rows);
        }
        batch.remove =
            gone.iter().filter_map(|path| self.files.get(path).map(|rows| rows.file.id)).collect();
        if batch.is_empty() {
            return Ok(());
        }
        self.distrust()?;
        // Snapshots may still want to look at what is about to be replaced.
        let replaced = batch.put.iter().filter_map(|rows| self.files.get(&rows.file.path));
        let removed = gone.iter().filter_map(|path| self.files.get(path));
        replaced.chain(removed).for_each(|rows| rows.load());
        self.store.write(&mut batch)?;
        self.unpublished = true;
        FileRows::gather(&mut batch.put);
        self.uncommitted |= !batch.put.is_empty() || !batch.remove.is_empty();
        for path in gone {
            if let Some(rows) = self.files.remove(path) {
                self.lexical.delete(rows.file.id.cast_unsigned())?;
            }
            self.redo.remove(path);
        }
        for (rows, text) in batch.put.into_iter().zip(texts) {
            let number = rows.file.id.cast_unsigned();
            self.lexical.delete(number)?;
            let prepared = Prepared { rows, text };
            let mut result = Ok(());
            prepared.documents(number, |document| {
                if result.is_ok() {
                    result = self.lexical.add(document);
                }
            });
            result?;
            let mut rows = prepared.rows;
            rows.compact();
            let path = Arc::clone(&rows.file.path);
            self.redo.remove(&path);
            self.files.insert(path, Arc::new(rows));
        }
        for rows in batch.touch {
            self.files.insert(Arc::clone(&rows.file.path), Arc::new(rows));
        }
        Ok(())
    }

    /// Makes what was written durable and searchable. No base where the last one has it all.
    pub(crate) fn commit(&mut self) -> Result<Option<Base>, IndexError> {
        if self.uncommitted {
            self.stamp += 1;
            self.lexical.commit(self.stamp)?;
            let redo = self.redo.iter().filter_map(|path| self.files.get(path));
            let still_pending: Vec<i64> = redo.map(|rows| rows.file.id).collect();
            self.store.lexical_committed(self.stamp, &still_pending)?;
            self.uncommitted = false;
            self.unpublished = true;
        }
        if self.unpublished { self.base().map(Some) } else { Ok(None) }
    }

    /// The rows with the committed full text.
    pub(crate) fn base(&mut self) -> Result<Base, IndexError> {
        let base = Base::new(self.files.clone(), self.lexical.reader()?);
        self.unpublished = false;
        Ok(base)
    }

    fn end(&mut self) -> Result<(), IndexError> {
        if self.store.noticed_damage() {
            return self.distrust();
        }
        if self.dirty && !self.uncommitted {
            if self.unverified {
                self.store.check()?;
            }
            self.store.set_meta(CLEAN, 1)?;
        }
        Ok(())
    }

    /// Forgets everything that is stored.
    pub(crate) fn clear(&mut self, folder: &Path) -> Result<(), IndexError> {
        // Snapshots are still searched until there is another one.
        store::load_contents(self.files.values().map(|rows| &**rows));
        store::load_vectors(self.files.values().map(|rows| &**rows));
        self.store.clear()?;
        self.unpublished = true;
        self.files.clear();
        self.redo.clear();
        let generation = begin_generation(&mut self.store)?;
        self.lexical = open_lexical(folder, generation, false, &mut self.store)?;
        self.stamp = 0;
        self.uncommitted = true;
        drop(fs::remove_file(folder.join(history::KEPT)));
        remove_older(folder, generation)
    }
}

impl Drop for Writer {
    /// Marks the end as orderly, unless something that was written was not committed.
    fn drop(&mut self) {
        if !std::thread::panicking()
            && let Err(error) = self.end()
        {
            tracing::debug!(%error, "the next start looks at the whole index");
        }
    }
}

impl Reader {
    fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), store: None, lexical: None, version: None }
    }

    /// What the writer has committed, if that has changed since the last call. What cannot be read
    /// while the writer works counts as unchanged.
    pub(crate) fn refresh(&mut self) -> Result<Option<Base>, IndexError> {
        if self.store.is_none() {
            self.store = IndexStore::open_to_read(&self.folder)?;
        }
        let Some(store) = &self.store else { return Ok(None) };
        let version = store.data_version()?;
        if self.version == Some(version) {
            return Ok(None);
        }
        if store.meta(DERIVATION)? != Some(derivation()) {
            return Ok(None);
        }
        let Some(generation) = store.meta(GENERATION)? else { return Ok(None) };
        let lexical = match LexicalIndex::open_to_read(&lexical_folder(&self.folder, generation)) {
            Ok(lexical) => lexical,
            Err(error) => {
                tracing::debug!(%error, "the full text is read later");
                return Ok(None);
            }
        };
        let reader = match &lexical {
            Some(lexical) => lexical.reader()?,
            None => LexicalReader::empty(),
        };
        let files = store
            .load_whole()?
            .files
            .into_iter()
            .map(|rows| (Arc::clone(&rows.file.path), Arc::new(rows)))
            .collect();
        self.lexical = lexical;
        self.version = Some(version);
        Ok(Some(Base::new(files, reader)))
    }
}

/// The rows as they were found.
struct OpenStore {
    store: IndexStore,
    state: Opened,
    loaded: LoadedIndex,
    /// Everything was looked at.
    verified: bool,
}

/// Opens the rows. After an orderly end the files are read and the rest is trusted; else the structure is looked
/// at first, and everything is read.
fn open_store(folder: &Path, trust: Trust) -> Result<OpenStore, IndexError> {
    let (store, state) = IndexStore::open(folder)?;
    let clean = store.meta(CLEAN).is_ok_and(|clean| clean == Some(1));
    let trusted = (clean && trust == Trust::OrderlyEnd)
        .then(|| store.load().ok().filter(|loaded| loaded.damaged.is_empty()));
    let (mut store, state, loaded, verified) = match trusted.flatten() {
        Some(loaded) => (store, state, loaded, false),
        None => match store.check().and_then(|()| store.load_whole()) {
            Ok(loaded) => (store, state, loaded, true),
            Err(error) if error.is_damage() => {
                tracing::warn!(%error, "the index is damaged and is made anew");
                store.set_aside()?;
                let (store, _) = IndexStore::open(folder)?;
                (store, Opened::Replaced(error.to_string()), LoadedIndex::default(), true)
            }
            Err(error) => return Err(error.into()),
        },
    };
    if store.meta(DERIVATION)? == Some(derivation()) {
        return Ok(OpenStore { store, state, loaded, verified });
    }
    store.clear()?;
    store.set_meta(DERIVATION, derivation())?;
    let state = match state {
        Opened::Existing => Opened::Replaced("it was made by another version of Hearth".into()),
        other => other,
    };
    Ok(OpenStore { store, state, loaded: LoadedIndex::default(), verified })
}

/// Names what rows are derived with: those of another table of vectors, or of another way to take a
/// text apart, are of no use.
pub(crate) fn derivation() -> u64 {
    /// To be raised when symbols, links, chunks, what is embedded of them or what a file's row says
    /// change.
    const VERSION: u8 = 6;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[VERSION]).update(StaticEmbedding::shipped().id().as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}

/// Whether the full text is the one that the rows were committed with: the same last commit, or one
/// more whose record the crash prevented, and as many documents as there are chunks.
fn is_sound(store: &IndexStore, lexical: &LexicalIndex, chunks: usize) -> Result<bool, IndexError> {
    let pending = !store.pending()?.is_empty();
    let (recorded, found) = (store.meta(STAMP)?, lexical.stamp()?);
    if pending {
        return Ok(found >= recorded);
    }
    Ok(found == recorded && lexical.reader()?.len() == chunks)
}

fn lexical_folder(folder: &Path, generation: u64) -> PathBuf {
    folder.join(format!("lexical-{generation:016x}"))
}

/// Names a new, empty full text and marks all files as pending for it.
fn begin_generation(store: &mut IndexStore) -> Result<u64, IndexError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
    let generation = now >> 1;
    store.all_pending()?;
    store.set_meta(STAMP, 0)?;
    store.set_meta(GENERATION, generation)?;
    Ok(generation)
}

/// Removes every full text but that of `generation`.
fn remove_older(folder: &Path, generation: u64) -> Result<(), IndexError> {
    let fail = |source| IndexError::Folder { path: folder.to_owned(), source };
    let kept = lexical_folder(folder, generation);
    for entry in fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let old = entry.file_name().to_string_lossy().starts_with("lexical-");
        if old && entry.path() != kept {
            match fs::remove_dir_all(entry.path()) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(fail(source));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn open_lexical(
    folder: &Path,
    generation: u64,
    trusted: bool,
    store: &mut IndexStore,
) -> Result<LexicalIndex, IndexError> {
    let (mut lexical, state) = LexicalIndex::open(&lexical_folder(folder, generation), trusted)?;
    if state != lexical_index::Opened::Existing {
        store.all_pending()?;
        store.set_meta(STAMP, 0)?;
        lexical.commit(0)?;
    }
    Ok(lexical)
}
