use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use base::{CancelToken, Cancelled, Latest};
use inference::InferenceError;
use parking_lot::{Mutex, RwLock};
use pdf_text::PdfReader;
use vfs::Workspace;
use vfs_notify::{Walk, WalkOptions};

use crate::{
    approximate::{self, Approximate, Built},
    documents::Documents,
    embeddings::{self, EmbeddingSource, Embeddings},
    history::{self, History, Known},
    live::{self, Queue},
    lock::WriterLock,
    report::{IndexError, IndexReport, IndexState, IndexStatus, PLAIN_LISTED, Progress},
    snapshot::{Base, Fresh, IndexSnapshot, Overlay, Parts},
    writer::{self, Role, Trust},
};

/// How much may be indexed, and how hard the machine may be worked for it.
#[derive(Clone)]
pub struct IndexOptions {
    /// Which files are left out.
    pub walk: WalkOptions,
    /// Threads that read and parse.
    pub threads: usize,
    /// Called after a new snapshot was published or the status changed, from any thread and
    /// sometimes under a lock: it must return at once and not call the indexer.
    pub on_change: Option<Arc<dyn Fn() + Send + Sync>>,
    /// The model for the second tier of vectors, if there is one.
    pub embedding: Option<EmbeddingSource>,
    /// What reads PDFs; without it they are skipped.
    pub pdf: Option<Arc<dyn PdfReader>>,
    /// Files are listed while the index is opened: for whoever [updates](Indexer::update) it at once.
    pub walk_ahead: bool,
    /// Number of chunks from which on an approximate index of their static vectors is kept, while the workspace is
    /// [watched](Indexer::watch). Below it all vectors are looked at.
    pub approximate_from: usize,
}

impl Default for IndexOptions {
    /// Two threads: a third writes the full text, and the person works on.
    fn default() -> Self {
        Self {
            walk: WalkOptions::default(),
            threads: 2,
            on_change: None,
            embedding: None,
            pdf: None,
            walk_ahead: false,
            approximate_from: approximate::FROM,
        }
    }
}

/// After an update of more files than this the memory that it took is worth giving back.
const MANY: usize = 500;

/// The live index of one workspace. All methods may be called from any thread; only
/// [`update`](Self::update), [`rebuild`](Self::rebuild) and [`settle`](Self::settle) wait.
pub struct Indexer {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

pub(crate) struct Shared {
    pub(crate) workspace: Workspace,
    pub(crate) options: IndexOptions,
    pub(crate) folder: PathBuf,
    pub(crate) role: Mutex<Role>,
    published: RwLock<IndexSnapshot>,
    /// What the published snapshot is made of; locked only to change it.
    layers: Mutex<Layers>,
    generation: AtomicU64,
    pub(crate) queue: Queue,
    pub(crate) cancel: CancelToken,
    /// The walk that began when the index was opened.
    pub(crate) walking: Mutex<Option<JoinHandle<Result<Walk, Cancelled>>>>,
    paused: AtomicBool,
    updating: AtomicUsize,
    updated: AtomicBool,
    expected: AtomicUsize,
    read_only: AtomicBool,
    /// Why the last update failed.
    failure: Mutex<Option<String>>,
    /// Why changes are noticed late.
    pub(crate) notice: Mutex<Option<String>>,
    /// The folders that the last walk entered.
    pub(crate) directories: Mutex<Arc<HashSet<PathBuf>>>,
    /// How long it took.
    pub(crate) walk_took: Mutex<Duration>,
    pub(crate) embeddings: Option<Arc<Embeddings>>,
    pub(crate) documents: Arc<Documents>,
    /// Tells the thread that keeps the approximate index to look again.
    pub(crate) vectors_changed: Latest<()>,
    pub(crate) history: Mutex<Known>,
    /// Tells the thread that takes up commits to look again.
    pub(crate) history_changed: Latest<()>,
}

struct Layers {
    base: Arc<Base>,
    /// Over this base.
    approximate: Option<Approximate>,
    /// Files on disk that are newer than the base.
    saved: Overlay,
    /// Texts that are being edited.
    open: Overlay,
    /// What the commits say.
    history: Arc<History>,
}

impl Indexer {
    /// Opens the index that is kept in the folder `cache`, empty or not yet up to date. What is
    /// damaged is left out, and made again by the next [update](Self::update). While another
    /// process writes the index, this one reads it.
    pub fn open(
        workspace: Workspace,
        cache: &Path,
        options: IndexOptions,
    ) -> Result<Self, IndexError> {
        let cancel = CancelToken::new();
        let walking = options.walk_ahead.then(|| {
            let (workspace, walk, cancel) =
                (workspace.clone(), options.walk.clone(), cancel.clone());
            thread::spawn(move || vfs_notify::walk(&workspace, &walk, &cancel))
        });
        let mut role = Role::take(cache, Trust::OrderlyEnd)?;
        let base = match &mut role {
            Role::Writer(writer) => writer.base()?,
            Role::Reader(reader) => reader.refresh()?.unwrap_or_else(Base::empty),
        };
        let base = Arc::new(base);
        let embeddings = options.embedding.clone().map(|source| Arc::new(Embeddings::new(source)));
        let documents = Arc::new(Documents::new(options.pdf.clone()));
        let snapshot = IndexSnapshot::new(Parts {
            generation: 1,
            workspace: workspace.clone(),
            base: Arc::clone(&base),
            approximate: None,
            overlay: Overlay::default(),
            embeddings: embeddings.clone(),
            documents: Arc::clone(&documents),
            history: Arc::default(),
        });
        let shared = Arc::new(Shared {
            workspace,
            options,
            folder: cache.to_owned(),
            read_only: AtomicBool::new(matches!(role, Role::Reader(_))),
            role: Mutex::new(role),
            published: RwLock::new(snapshot),
            layers: Mutex::new(Layers {
                base,
                approximate: None,
                saved: Overlay::default(),
                open: Overlay::default(),
                history: Arc::default(),
            }),
            generation: AtomicU64::new(1),
            queue: Queue::new(),
            cancel,
            walking: Mutex::new(walking),
            paused: AtomicBool::new(false),
            updating: AtomicUsize::new(0),
            updated: AtomicBool::new(false),
            expected: AtomicUsize::new(0),
            failure: Mutex::new(None),
            notice: Mutex::new(None),
            directories: Mutex::default(),
            walk_took: Mutex::default(),
            embeddings: embeddings.clone(),
            documents,
            vectors_changed: Latest::new(),
            history: Mutex::default(),
            history_changed: Latest::new(),
        });
        let fail = |source| IndexError::Folder { path: cache.to_owned(), source };
        let mut threads = vec![
            live::start(Arc::clone(&shared)).map_err(fail)?,
            approximate::start(Arc::clone(&shared)).map_err(fail)?,
            history::start(Arc::clone(&shared)).map_err(fail)?,
        ];
        if let Some(embeddings) = embeddings {
            threads.push(embeddings::start(Arc::clone(&shared), embeddings).map_err(fail)?);
        }
        Ok(Self { shared, threads })
    }

    /// Makes the vectors that the second tier lacks, and waits for it: `progress` is told how many
    /// chunks have one, of how many. Nothing to do where no model is installed.
    pub fn embed(
        &self,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<(), InferenceError> {
        match &self.shared.embeddings {
            Some(embeddings) => embeddings.complete(&self.snapshot(), cancel, progress),
            None => Ok(()),
        }
    }

    /// The same for the chunks that the last searches turned up alone, as many as are remembered.
    pub fn embed_found(&self, cancel: &CancelToken) -> Result<(), InferenceError> {
        match &self.shared.embeddings {
            Some(embeddings) => embeddings.complete_preferred(&self.snapshot(), cancel),
            None => Ok(()),
        }
    }

    /// Brings the index up to date with the files on disk and waits for it. A cancelled update
    /// keeps what it did.
    pub fn update(
        &self,
        cancel: &CancelToken,
        progress: &mut (dyn FnMut(&Progress) + Send),
    ) -> Result<IndexReport, IndexError> {
        self.shared.update(cancel, progress)
    }

    /// Takes up what commits say where others are checked out than before, and waits for it. A workspace that is
    /// [watched](Self::watch) does so by itself.
    pub fn read_history(&self, cancel: &CancelToken) {
        self.shared.refresh_history(cancel);
    }

    /// Throws the stored index away and makes it anew. In a process that only reads it this is an
    /// [update](Self::update).
    pub fn rebuild(
        &self,
        cancel: &CancelToken,
        progress: &mut (dyn FnMut(&Progress) + Send),
    ) -> Result<IndexReport, IndexError> {
        if let Role::Writer(writer) = &mut *self.shared.role.lock() {
            writer.clear(&self.shared.folder)?;
        }
        self.shared.history.lock().forget();
        self.shared.update(cancel, progress)
    }

    /// Looks at what is stored, as far as opening trusted it; what is damaged is made anew. A workspace that is
    /// [watched](Self::watch) does so by itself.
    pub fn verify(&self) {
        self.shared.verify();
        self.settle();
    }

    /// Follows the file system in the background from now on, beginning with an update.
    pub fn watch(&self) {
        self.shared.queue.watch();
        self.shared.vectors_changed.put(());
        self.shared.history_changed.put(());
    }

    /// Looks at every file again in the background: after a checkout, or when the editor's window
    /// gets the focus.
    pub fn rescan(&self) {
        self.shared.queue.rescan();
    }

    /// Says that these files may have changed on disk, come or gone.
    pub fn mark_dirty(&self, paths: &[PathBuf]) {
        self.shared.queue.dirty(paths);
    }

    /// Says what a file holds in the editor. It is searchable a moment later.
    pub fn document_changed(&self, path: &Path, text: Arc<str>) {
        self.shared.queue.document(path, Some(text));
    }

    /// Says that the editor has let go of a file: what is on disk counts again.
    pub fn document_closed(&self, path: &Path) {
        self.shared.queue.document(path, None);
    }

    /// Waits until everything said so far is searchable.
    pub fn settle(&self) {
        self.shared.queue.settle(false, None);
    }

    /// The same, but for no longer than `limit`: a checkout takes seconds to be looked through.
    pub fn settle_within(&self, limit: Duration) {
        self.shared.queue.settle(false, Some(Instant::now() + limit));
    }

    /// Waits until everything said so far is searchable and stored.
    pub fn store(&self) {
        self.shared.queue.settle(true, None);
    }

    /// The index as it is now.
    pub fn snapshot(&self) -> IndexSnapshot {
        self.shared.snapshot()
    }

    /// Stops and resumes work in the background. What is said meanwhile is kept for later;
    /// [`update`](Self::update) works all the same.
    pub fn pause(&self, paused: bool) {
        self.shared.paused.store(paused, Ordering::Relaxed);
        self.shared.queue.wake();
        self.shared.vectors_changed.put(());
        self.shared.history_changed.put(());
        self.shared.changed();
    }

    /// What the index is doing.
    pub fn status(&self) -> IndexStatus {
        let shared = &self.shared;
        let snapshot = shared.snapshot();
        let failure = shared.failure.lock().clone();
        let state = if shared.paused.load(Ordering::Relaxed) {
            IndexState::Paused
        } else if shared.updating.load(Ordering::Relaxed) > 0 {
            IndexState::Scanning
        } else if failure.is_some() {
            IndexState::Failed
        } else if shared.read_only.load(Ordering::Relaxed) {
            IndexState::ReadOnly
        } else if shared.updated.load(Ordering::Relaxed) {
            IndexState::Ready
        } else {
            IndexState::Starting
        };
        let expected = shared.expected.load(Ordering::Relaxed);
        let files = snapshot.file_count();
        let mut plain = snapshot.plain_files();
        plain.truncate(PLAIN_LISTED);
        IndexStatus {
            state,
            files,
            chunks: snapshot.chunk_count(),
            unembedded: shared.embeddings.as_ref().map(|embeddings| embeddings.missing()),
            pending: expected + shared.queue.len(),
            total: (expected > 0).then_some(files + expected),
            plain,
            detail: failure.or_else(|| shared.notice.lock().clone()),
        }
    }
}

impl Drop for Indexer {
    fn drop(&mut self) {
        self.shared.cancel.cancel();
        self.shared.queue.close();
        self.shared.vectors_changed.close();
        self.shared.history_changed.close();
        if let Some(embeddings) = &self.shared.embeddings {
            embeddings.wake();
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("an indexing thread panicked");
            }
        }
        // The thread of the watcher may hold `shared` until after the end of the process: what is stored ends here.
        *self.shared.role.lock() = Role::reader(&self.shared.folder);
    }
}

impl Shared {
    /// [`Indexer::update`]; an index that turns out to be damaged on the way is made anew, once.
    pub(crate) fn update(
        &self,
        cancel: &CancelToken,
        progress: &mut (dyn FnMut(&Progress) + Send),
    ) -> Result<IndexReport, IndexError> {
        self.updating.fetch_add(1, Ordering::Relaxed);
        self.changed();
        let mut result = self.reconcile(cancel, progress);
        if let Err(error) = &result
            && error.is_damage()
        {
            tracing::warn!(%error, "the index is opened anew");
            result = self.reopen().and_then(|()| self.reconcile(cancel, progress));
        }
        self.updating.fetch_sub(1, Ordering::Relaxed);
        self.expect(0);
        if result.as_ref().is_ok_and(|report| report.changed > MANY) {
            base::give_back_memory();
        }
        match &result {
            Ok(_) => {
                self.updated.store(true, Ordering::Relaxed);
                *self.failure.lock() = None;
            }
            Err(IndexError::Cancelled(_)) => {}
            Err(error) => *self.failure.lock() = Some(error.to_string()),
        }
        self.vectors_changed.put(());
        self.history_changed.put(());
        self.changed();
        result
    }

    /// Tells whoever shows the state.
    fn changed(&self) {
        if let Some(on_change) = &self.options.on_change {
            on_change();
        }
    }

    /// Looks at what opening trusted, once, while the index is used; what is damaged is made anew by the next look
    /// at every file.
    pub(crate) fn verify(&self) {
        if !self.is_unverified() {
            return;
        }
        let verified = writer::verify(&self.folder, &self.cancel);
        let sound = match &verified {
            Ok(false) => return,
            Ok(true) => true,
            Err(error) if error.is_damage() => false,
            Err(error) => {
                tracing::warn!(%error, "the index cannot be looked at");
                return;
            }
        };
        let verified = match &mut *self.role.lock() {
            Role::Writer(writer) => writer.verified(sound).and(verified.map(drop)),
            Role::Reader(_) => return,
        };
        let Err(error) = verified else { return };
        tracing::warn!(%error, "the index is opened anew");
        if let Err(error) = self.reopen() {
            tracing::error!(%error, "the index is not up to date");
        }
        self.queue.rescan();
    }

    pub(crate) fn is_unverified(&self) -> bool {
        matches!(&*self.role.lock(), Role::Writer(writer) if writer.is_unverified())
    }

    fn reopen(&self) -> Result<(), IndexError> {
        let mut role = self.role.lock();
        if matches!(*role, Role::Writer(_)) {
            // The old writer gives its locks back before the new one takes them.
            *role = Role::reader(&self.folder);
            *role = Role::take(&self.folder, Trust::Nothing)?;
        }
        Ok(())
    }

    /// What a process that only reads does now and then: looks whether the one that writes is gone,
    /// and if not, what it has stored since. Says whether everything is to be looked at again.
    pub(crate) fn look_after_writer(&self) -> bool {
        // An update is running; it does all this.
        let Some(mut role) = self.role.try_lock() else { return false };
        let Role::Reader(reader) = &mut *role else { return false };
        match WriterLock::take(&self.folder) {
            // Given back at once: an update takes it, and then everything that goes with it.
            Ok(Some(_free)) => return true,
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "the writer's lock cannot be looked at"),
        }
        match reader.refresh() {
            Ok(Some(base)) => self.publish_base(base),
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "what the writer stored is read later"),
        }
        false
    }

    /// Whether another process writes the index.
    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only.load(Ordering::Relaxed)
    }

    /// Whether the last update failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failure.lock().is_some()
    }

    /// Takes over the index when the process that wrote it is gone.
    pub(crate) fn become_writer(&self, role: &mut Role) {
        if matches!(role, Role::Writer(_)) {
            return;
        }
        match Role::take(&self.folder, Trust::OrderlyEnd) {
            Ok(taken @ Role::Writer(_)) => *role = taken,
            Ok(Role::Reader(_)) => {}
            Err(error) => tracing::warn!(%error, "the index cannot be written"),
        }
        self.read_only.store(matches!(role, Role::Reader(_)), Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> IndexSnapshot {
        self.published.read().clone()
    }

    /// Hash of a file's bytes on disk as they were last read; none for a file that is not known.
    pub(crate) fn saved_hash(&self, path: &str) -> Option<[u8; 16]> {
        let layers = self.layers.lock();
        match layers.saved.files.get(path) {
            Some(fresh) => fresh.hash,
            None => layers.base.files.get(path).map(|rows| rows.file.hash),
        }
    }

    pub(crate) fn base(&self) -> Arc<Base> {
        Arc::clone(&self.layers.lock().base)
    }

    /// What is committed, with the approximate index over it.
    pub(crate) fn committed(&self) -> (Arc<Base>, Option<Approximate>) {
        let layers = self.layers.lock();
        (Arc::clone(&layers.base), layers.approximate.clone())
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    /// Whether the files have not been looked at yet.
    pub(crate) fn is_starting(&self) -> bool {
        !self.updated.load(Ordering::Relaxed)
    }

    pub(crate) fn is_updating(&self) -> bool {
        self.updating.load(Ordering::Relaxed) > 0
    }

    /// Says how many files the running update has still to read.
    pub(crate) fn expect(&self, files: usize) {
        self.expected.store(files, Ordering::Relaxed);
        self.changed();
    }

    /// Remembers the folders of a walk, for the watcher and for judging new files.
    pub(crate) fn walked(&self, walk: &Walk) {
        let directories = walk.directories.iter().cloned().collect();
        *self.directories.lock() = Arc::new(directories);
        *self.walk_took.lock() = walk.took;
        self.queue.wake();
    }

    /// Publishes a newly committed base; what it has come to know leaves the layers over it.
    pub(crate) fn publish_base(&self, base: Base) {
        let mut layers = self.layers.lock();
        layers.saved.settle(&base);
        layers.replace_base(base);
        self.publish(&layers);
        // What is committed to a repository was mostly saved before.
        self.history_changed.put(());
    }

    /// The same after a look at every file: what was laid over those that it found is older than the base.
    /// No base means that there is nothing new to be found.
    pub(crate) fn publish_walked(&self, base: Option<Base>, walk: &Walk) {
        let mut layers = self.layers.lock();
        if base.is_none() && layers.saved.files.is_empty() {
            return;
        }
        let found: HashSet<&str> = walk.files.iter().map(|file| file.path.as_str()).collect();
        layers.saved.files.retain(|path, _| !found.contains(&**path));
        if let Some(base) = base {
            layers.replace_base(base);
        }
        let base = Arc::clone(&layers.base);
        layers.saved.settle(&base);
        self.publish(&layers);
    }

    /// Publishes an approximate index of what is committed, or that there is none any more.
    pub(crate) fn publish_approximate(&self, built: Option<Arc<Built>>) {
        let mut layers = self.layers.lock();
        layers.approximate = built.map(|built| Approximate::new(built, &layers.base));
        self.publish(&layers);
    }

    /// Publishes what the commits say.
    pub(crate) fn publish_history(&self, history: Arc<History>) {
        let mut layers = self.layers.lock();
        layers.history = history;
        self.publish(&layers);
    }

    /// Lays the newer state of saved files over the base; `None` takes one away.
    pub(crate) fn lay_over(&self, files: Vec<(Arc<str>, Option<Fresh>)>) {
        let mut layers = self.layers.lock();
        lay(&mut layers.saved, files);
        self.publish(&layers);
    }

    /// Lays texts that are being edited over everything; `None` takes one away.
    pub(crate) fn lay_open(&self, files: Vec<(Arc<str>, Option<Fresh>)>) {
        let mut layers = self.layers.lock();
        lay(&mut layers.open, files);
        self.publish(&layers);
    }

    fn publish(&self, layers: &Layers) {
        let mut overlay = layers.saved.clone();
        for (path, fresh) in &layers.open.files {
            overlay.files.insert(Arc::clone(path), Arc::clone(fresh));
        }
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        let snapshot = IndexSnapshot::new(Parts {
            generation,
            workspace: self.workspace.clone(),
            base: Arc::clone(&layers.base),
            approximate: layers.approximate.clone(),
            overlay,
            embeddings: self.embeddings.clone(),
            documents: Arc::clone(&self.documents),
            history: Arc::clone(&layers.history),
        });
        *self.published.write() = snapshot;
        if let Some(embeddings) = &self.embeddings {
            embeddings.wake();
        }
        self.vectors_changed.put(());
        self.changed();
    }
}

impl Layers {
    fn replace_base(&mut self, base: Base) {
        self.approximate = self.approximate.take().map(|approximate| approximate.over(&base));
        self.base = Arc::new(base);
    }
}

fn lay(overlay: &mut Overlay, files: Vec<(Arc<str>, Option<Fresh>)>) {
    for (path, fresh) in files {
        match fresh {
            Some(fresh) => overlay.files.insert(path, Arc::new(fresh)),
            None => overlay.files.remove(&path),
        };
    }
}
