use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    thread,
    time::{Duration, Instant},
};

use base::{CancelToken, Cancelled, Folders};
use indexer::{
    EmbeddingSource, IndexOptions, IndexReport, IndexSnapshot, IndexState, IndexStatus, Indexer,
    Progress,
};
use parking_lot::{Condvar, Mutex};
use pdf_text::PdfReader;
use vfs::{OpenDocument, Workspace};

use crate::AssistantError;

/// How long a question waits for the first pass over a workspace. After that it is answered from
/// what is there.
pub const FIRST_PASS: Duration = Duration::from_secs(10);
/// How long a request waits for changes that are being taken in.
const SETTLED: Duration = Duration::from_secs(2);

/// How long after a failure the index is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Tells that the status or the index may have changed; called from any thread, never blocks.
pub type OnChange = Arc<dyn Fn() + Send + Sync>;

/// Finds the model for the second tier of vectors when the index is opened.
pub type FindEmbedding = Box<dyn Fn() -> Option<EmbeddingSource> + Send + Sync>;

/// The index of one workspace, or of one folder of documentation: opened on demand or, for an editor, on a thread of its own.
pub struct IndexService {
    workspace: Workspace,
    folders: Folders,
    on_change: Option<OnChange>,
    embedding: FindEmbedding,
    pdf: Arc<dyn PdfReader>,
    indexer: OnceLock<Arc<Indexer>>,
    /// Held while it is opened; why that failed the last time.
    opening: Mutex<Option<String>>,
    /// Documents that were opened before the index; `None` once they have been handed over.
    waiting: Mutex<Option<HashMap<PathBuf, Arc<OpenDocument>>>>,
    first_pass: Mutex<bool>,
    first_pass_ended: Condvar,
    cancel: CancelToken,
}

impl IndexService {
    /// Nothing is opened yet. With `first_pass`, questions wait for the pass that
    /// [`start`](Self::start) makes.
    pub fn new(
        workspace: Workspace,
        folders: Folders,
        on_change: Option<OnChange>,
        embedding: FindEmbedding,
        pdf: Arc<dyn PdfReader>,
        first_pass: bool,
    ) -> Self {
        Self {
            workspace,
            folders,
            on_change,
            embedding,
            pdf,
            indexer: OnceLock::new(),
            opening: Mutex::default(),
            waiting: Mutex::new(Some(HashMap::new())),
            first_pass: Mutex::new(!first_pass),
            first_pass_ended: Condvar::new(),
            cancel: CancelToken::new(),
        }
    }

    /// Opens the index, brings it up to date and watches, on a thread of its own. What fails, for
    /// want of room for example, is tried again until it works.
    pub fn start(self: &Arc<Self>) {
        let service = self.clone();
        let work = move || {
            base::be_polite();
            let first_pass = || -> Result<(), AssistantError> {
                let indexer = service.opened(true)?;
                indexer.update(&service.cancel, &mut |_| service.changed())?;
                indexer.watch();
                Ok(())
            };
            loop {
                let passed = first_pass();
                service.end_first_pass();
                service.changed();
                match passed {
                    Ok(()) | Err(AssistantError::Cancelled) => return,
                    Err(error) => tracing::error!(%error, "the index is not up to date"),
                }
                if service.cancel.wait(RETRY) {
                    return;
                }
            }
        };
        let started = thread::Builder::new().name("index".into()).spawn(work);
        if let Err(error) = started {
            tracing::error!(%error, "no thread for the index");
            self.end_first_pass();
        }
    }

    /// Brings the index up to date on this thread.
    pub fn update(
        &self,
        rebuild: bool,
        cancel: &CancelToken,
        progress: &mut (dyn FnMut(&Progress) + Send),
    ) -> Result<IndexReport, AssistantError> {
        let indexer = self.opened(true)?;
        let report = if rebuild {
            indexer.rebuild(cancel, progress)
        } else {
            indexer.update(cancel, progress)
        };
        self.end_first_pass();
        indexer.read_history(cancel);
        Ok(report?)
    }

    /// Looks at what is stored, on this thread; what is damaged is made anew.
    pub fn verify(&self) -> Result<(), AssistantError> {
        self.indexer()?.verify();
        Ok(())
    }

    /// Opens the index as it is stored, on this thread.
    pub fn open_stored(&self) -> Result<(), AssistantError> {
        self.indexer().map(drop)
    }

    /// Makes the vectors that the second tier lacks, on this thread.
    pub fn embed(
        &self,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<(), AssistantError> {
        Ok(self.indexer()?.embed(cancel, progress)?)
    }

    /// Waits for the first pass, but not for long, and hands back what there is, with all changes
    /// that were made before this call, unless they are so many that taking them in takes longer.
    pub fn current(&self, cancel: &CancelToken) -> Result<IndexSnapshot, AssistantError> {
        self.current_by(Instant::now() + FIRST_PASS, cancel)
    }

    /// The same, but waits for the first pass until `deadline`.
    pub fn current_by(
        &self,
        deadline: Instant,
        cancel: &CancelToken,
    ) -> Result<IndexSnapshot, AssistantError> {
        self.wait_for_first_pass(deadline, cancel)?;
        let indexer = self.indexer()?;
        indexer.settle_within(SETTLED);
        Ok(indexer.snapshot())
    }

    /// What there is, without waiting. Fails while the index is not open.
    pub fn snapshot(&self) -> Result<IndexSnapshot, AssistantError> {
        match self.indexer.get() {
            Some(indexer) => Ok(indexer.snapshot()),
            None => Err(AssistantError::Unavailable(
                self.failure().unwrap_or_else(|| "the index is being opened".into()),
            )),
        }
    }

    /// A document was opened or changed.
    pub fn document_changed(&self, document: &Arc<OpenDocument>) {
        let mut waiting = self.waiting.lock();
        match (&mut *waiting, self.indexer.get()) {
            (Some(waiting), _) => {
                waiting.insert(document.path.clone(), document.clone());
            }
            (None, Some(indexer)) => {
                indexer.document_changed(&document.path, document.text());
            }
            (None, _) => {}
        }
    }

    /// A document was closed.
    pub fn document_closed(&self, path: &Path) {
        let mut waiting = self.waiting.lock();
        match (&mut *waiting, self.indexer.get()) {
            (Some(waiting), _) => {
                waiting.remove(path);
            }
            (None, Some(indexer)) => indexer.document_closed(path),
            (None, _) => {}
        }
    }

    /// Files were saved or changed from outside.
    pub fn files_changed(&self, paths: &[PathBuf]) {
        if let Some(indexer) = self.indexer.get() {
            indexer.mark_dirty(paths);
        }
    }

    /// Rests, or goes on.
    pub fn pause(&self, paused: bool) -> Result<(), AssistantError> {
        self.indexer()?.pause(paused);
        Ok(())
    }

    /// Builds the index from nothing in the background.
    pub fn rebuild(self: &Arc<Self>) -> Result<(), AssistantError> {
        let (indexer, service) = (self.indexer()?, self.clone());
        let work = move || {
            base::be_polite();
            if let Err(error) = indexer.rebuild(&service.cancel, &mut |_| service.changed()) {
                tracing::error!(%error, "the index could not be rebuilt");
            }
            service.changed();
        };
        let started = thread::Builder::new().name("rebuild".into()).spawn(work);
        started.map(drop).map_err(|error| AssistantError::Unavailable(error.to_string()))
    }

    /// What the index is doing.
    pub fn status(&self) -> IndexStatus {
        if let Some(indexer) = self.indexer.get() {
            return indexer.status();
        }
        let detail = self.failure();
        let state = if detail.is_some() { IndexState::Failed } else { IndexState::Starting };
        IndexStatus {
            state,
            files: 0,
            chunks: 0,
            unembedded: None,
            pending: 0,
            total: None,
            plain: Vec::new(),
            detail,
        }
    }

    /// Ends background work.
    pub fn stop(&self) {
        self.cancel.cancel();
    }

    /// Whether background work was ended.
    pub fn is_stopped(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Cancelled when background work was ended.
    pub fn cancel(&self) -> &CancelToken {
        &self.cancel
    }

    /// The index, opened if need be.
    fn indexer(&self) -> Result<Arc<Indexer>, AssistantError> {
        self.opened(false)
    }

    /// The indexer, opened with or without the walk of an update that follows.
    fn opened(&self, walk_ahead: bool) -> Result<Arc<Indexer>, AssistantError> {
        let mut failure = self.opening.lock();
        if let Some(indexer) = self.indexer.get() {
            return Ok(indexer.clone());
        }
        match self.open(walk_ahead) {
            Ok(indexer) => {
                *failure = None;
                let indexer = self.indexer.get_or_init(|| Arc::new(indexer));
                let mut waiting = self.waiting.lock();
                for document in waiting.take().into_iter().flat_map(HashMap::into_values) {
                    indexer.document_changed(&document.path, document.text());
                }
                Ok(indexer.clone())
            }
            Err(reason) => {
                *failure = Some(reason.clone());
                Err(AssistantError::Unavailable(reason))
            }
        }
    }

    fn open(&self, walk_ahead: bool) -> Result<Indexer, String> {
        let folder = self.folders.workspace_cache(&self.workspace.key());
        let folder = folder.map_err(|error| error.to_string())?;
        let options = IndexOptions {
            on_change: self.on_change.clone(),
            embedding: (self.embedding)(),
            pdf: Some(Arc::clone(&self.pdf)),
            walk_ahead,
            ..IndexOptions::default()
        };
        Indexer::open(self.workspace.clone(), &folder, options)
            .map_err(|error| format!("the index cannot be opened: {error}"))
    }

    /// Why it could not be opened; never waits for it to be.
    fn failure(&self) -> Option<String> {
        self.opening.try_lock()?.clone()
    }

    fn end_first_pass(&self) {
        *self.first_pass.lock() = true;
        self.first_pass_ended.notify_all();
    }

    fn wait_for_first_pass(
        &self,
        deadline: Instant,
        cancel: &CancelToken,
    ) -> Result<(), Cancelled> {
        let mut ended = self.first_pass.lock();
        while !*ended && Instant::now() < deadline {
            cancel.check()?;
            self.first_pass_ended.wait_for(&mut ended, Duration::from_millis(20));
        }
        Ok(())
    }

    fn changed(&self) {
        if let Some(on_change) = &self.on_change {
            on_change();
        }
    }
}
